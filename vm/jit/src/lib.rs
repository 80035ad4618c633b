//! Runs images as host code, and stops at any step.
//!
//! A [`Jit`] contains an [`Interpreter`] and translates what is executed often. The unit is a *region*:
//! everything that an entry reaches through direct jumps, calls and returns. The code comes from the same
//! semantics that the interpreter runs. It keeps guest registers in host registers and counts steps exactly.
//! Everything unusual (traps, exits, illegal words, rounding modes that the host lacks, the last steps before
//! a limit) it leaves to the interpreter, at the start of the instruction. The interpreter alone defines all
//! of that, and the two can be compared at any step.
//!
//! Guest code never changes, so translated code stays valid.

mod access;
mod cache;
mod code;
mod context;
mod domain;
mod effect;
mod form;
mod lower;
mod machine;
mod places;
mod region;
mod untranslated;

use cache::{Cache, Kept};
use code::Code;
use context::{Context, Written};
use cranelift_codegen::isa::OwnedTargetIsa;
use form::{Form, Forms, settled};
use image::{Image, ImageError};
use interpreter::{Arithmetic, Interpreter, Outcome};
use lower::lower;
use places::Places;
use region::{CodeRegion, Text, members};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use step::Status;

/// The interpreter makes at least this many steps at a place before the place is translated.
const HOT: u64 = 1 << 16;
/// The number of steps that the interpreter makes in the time it takes to translate one instruction. A place
/// is translated once the interpreter has spent that much time there. So together they never take twice the
/// time of the better one alone.
const PRICE: u64 = 6000;
/// The most steps that the interpreter makes before the JIT checks where it is. It stops earlier at a region.
const SLICE: u64 = 1 << 15;
/// The most steps to find the start of a loop.
const SEARCH: u64 = 256;
/// How often a region is translated for other forms of its float registers. After that, it accepts all forms.
const FORMS: u32 = 6;

/// Going from one region to another takes as long as this many steps of the interpreter.
const HOP: u64 = 16;
/// For how many exits to other regions a region's targets are recorded, and how many targets it can have.
const LOOK: u64 = 64;
const TARGETS: usize = 32;

/// Limits on a machine's regions and bytes of code. They keep a hostile program from taking all memory by
/// running everywhere. Everything beyond them is interpreted.
const MOST_REGIONS: u64 = 1 << 14;
const MOST_BYTES: u64 = 1 << 28;

pub use untranslated::{UNTRANSLATED, UNTRANSLATED_MODES};

/// Why a [`Jit`] can't be created.
#[derive(Debug, thiserror::Error)]
pub enum JitError {
    /// The machine of the image can't be created.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The system can't reserve addresses for the list of written pages.
    #[error("cannot reserve addresses: {0}")]
    Memory(std::io::Error),
}

/// Statistics of the translations so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Translated {
    /// The number of regions.
    pub regions: u64,
    /// The number of guest instructions. One that is in several regions counts several times.
    pub instructions: u64,
    /// The number of bytes of code.
    pub bytes: u64,
    /// The time spent on translation.
    pub time: std::time::Duration,
    /// The steps made by translated code.
    pub steps: u64,
}

/// A machine that translates what it executes often.
pub struct Jit {
    machine: Interpreter,
    /// `None` if Cranelift doesn't support the host. Everything is then interpreted.
    isa: Option<OwnedTargetIsa>,
    text: Text,
    written: Written,
    /// The places where regions may start.
    places: Places,
    /// The entries of regions with code.
    entries: Vec<u64>,
    /// Steps of the interpreter by place. A place is removed when it is translated.
    heat: HashMap<u64, Heat>,
    hot: u64,
    price: u64,
    translated: Translated,
    cache: Option<Cache>,
    /// The number of regions when the cache was last read or written.
    kept: u64,
}

/// Steps of the interpreter at a place. Places of one region share a count, since the same code would serve
/// them.
struct Heat {
    steps: u64,
    /// The place that keeps the shared count.
    with: u64,
    /// The shared count, and the count at which translation pays.
    all: u64,
    needed: u64,
}

/// A place in the code where a region starts, or where none can start.
#[derive(Default)]
struct Place {
    /// `None` if the interpreter must execute the first instruction.
    code: Option<Code>,
    /// The most steps from the entry to the next check of `left`.
    longest: u64,
    forms: Forms,
    /// The float registers that are used, and those that are written, as bit sets.
    uses: u32,
    writes: u32,
    /// The number of instructions.
    instructions: u64,
    /// How often the region was translated for other forms.
    versions: u32,
    /// Other known targets of the region's indirect jumps: regions for which it was left.
    targets: Vec<u64>,
    /// How often the region was left for another, and after how many times new targets are recorded. The
    /// count starts anew with each translation.
    hops: u64,
    patience: u64,
}

impl Place {
    /// Counts an exit to another region. Returns whether the region should be translated again with its new
    /// targets.
    fn hop(&mut self, to: u64) -> bool {
        self.hops += 1;
        if self.hops > self.patience {
            self.note(to);
        }
        self.hops == self.patience.saturating_add(LOOK)
    }

    /// Records a target.
    fn note(&mut self, target: u64) {
        if self.targets.len() < TARGETS && !self.targets.contains(&target) {
            self.targets.push(target);
        }
    }

    /// Whether the float registers have the forms that the code expects.
    fn fits(&self, floats: &[u64; 32]) -> bool {
        members(self.uses).map(usize::from).all(|register| self.forms[register].fits(floats[register]))
    }

    /// Converts the float registers that the code has written to the machine's representation.
    fn settle(&self, context: &mut Context) {
        for register in members(self.writes) {
            let (single, arithmetic) =
                (context.forms >> register & 1 == 1, context.forms >> 32 >> register & 1 == 1);
            let bits = &mut context.f[usize::from(register)];
            *bits = settled(*bits, single, arithmetic);
        }
    }
}

impl Jit {
    /// The machine of an image before its first step.
    pub fn new(image: &Image) -> Result<Self, JitError> {
        let machine = Interpreter::new(image)?;
        let isa = code::host().ok();
        let written = Written::new(image.profile.memory_bits().into()).map_err(JitError::Memory)?;
        let text = Text::new(image.profile, image.code.clone());
        let places = Places::new(text.len());
        let (heat, translated, cache, kept) = Default::default();
        Ok(Self {
            machine,
            isa,
            text,
            written,
            places,
            entries: Vec::new(),
            heat,
            hot: HOT,
            price: PRICE,
            translated,
            cache,
            kept,
        })
    }

    /// The same machine with a fixed threshold: it translates a place once the interpreter has made this many
    /// steps there, regardless of the cost.
    #[must_use]
    pub fn with_threshold(self, hot: u64) -> Self {
        Self { hot, price: 0, ..self }
    }

    /// The same machine with a cache in `folder`: it starts with the code that was stored for this image and
    /// kind of host. Without valid stored code, or if other users can write to the folder, nothing changes.
    #[must_use]
    pub fn with_cache(mut self, folder: &Path, image: &Image) -> Self {
        self.cache = self.isa.as_ref().and_then(|isa| Cache::new(folder, image, isa));
        for kept in self.cache.iter().flat_map(Cache::read).collect::<Vec<_>>() {
            let index = self.text.index(kept.pc);
            let (Some(index), Some(code)) = (index, Code::of(&kept.code)) else { continue };
            let Kept { longest, forms, uses, writes, instructions, versions, targets, patience, .. } = kept;
            let (code, hops) = (Some(code), 0);
            let place =
                Place { code, longest, forms, uses, writes, instructions, versions, targets, hops, patience };
            self.put(index, place);
        }
        self.kept = self.translated.regions;
        self
    }

    /// Stores translated code for the next machine of the image, if there is a [cache](Self::with_cache) and
    /// it lacks some of the code.
    pub fn keep(&mut self) -> io::Result<()> {
        if self.kept == self.translated.regions {
            return Ok(());
        }
        self.kept = self.translated.regions;
        let Some(cache) = &self.cache else { return Ok(()) };
        let kept = |&pc: &u64| {
            let place = self.place(pc)?;
            let code = place.code.as_ref()?.bytes().to_vec();
            let Place { longest, forms, uses, writes, instructions, versions, patience, .. } = *place;
            let targets = place.targets.clone();
            Some(Kept { pc, code, longest, forms, uses, writes, instructions, versions, targets, patience })
        };
        cache.write(&self.entries.iter().filter_map(kept).collect::<Vec<_>>())
    }

    /// The same machine without translation.
    #[must_use]
    pub fn interpreting(self) -> Self {
        Self { isa: None, ..self }
    }

    /// The same machine with another arithmetic in its interpreter. Results do not depend on it.
    #[must_use]
    pub fn with_arithmetic(self, arithmetic: Arithmetic) -> Self {
        Self { machine: self.machine.with_arithmetic(arithmetic), ..self }
    }

    /// Statistics of the translations so far.
    #[must_use]
    pub fn translated(&self) -> Translated {
        self.translated
    }

    /// Runs until the machine stops, but at most this many steps.
    pub fn run(&mut self, limit: u64) -> Outcome {
        let mut left = limit;
        while left > 0 && self.machine.status() == Status::Running {
            let made = self.run_regions(left);
            left -= made;
            let pc = self.machine.pc();
            if made > 0 || self.ripen(pc, 0) {
                continue;
            }
            let detour = self.interpret(left);
            left -= detour;
            // With a region here, these steps would have been saved.
            self.warm(pc, detour);
            if detour >= SLICE {
                left -= self.search(left);
                self.ripen(self.machine.pc(), SLICE);
            }
        }
        self.written.tell(self.machine.memory_mut());
        Outcome { steps: limit - left, status: self.machine.status() }
    }

    /// Interprets until a region starts, for at most a slice, and returns the number of steps. It always
    /// makes the first step: if a region starts here, `left` was too small for it.
    fn interpret(&mut self, left: u64) -> u64 {
        let first = self.machine.run(1).steps;
        let rest = SLICE.min(left - first);
        let entries = &self.entries;
        first + self.machine.run_watched(rest, entries, |machine| !entries.contains(&machine.pc())).steps
    }

    /// The region at a place.
    fn place(&self, pc: u64) -> Option<&Place> {
        self.places.get(self.text.index(pc)?)
    }

    /// Runs translated code while there is some and enough steps are left. Returns the number of steps.
    fn run_regions(&mut self, left: u64) -> u64 {
        let enough = |place: &&Place| place.code.is_some() && place.longest <= left;
        if self.place(self.machine.pc()).filter(enough).is_none() {
            return 0;
        }
        let limit = i64::try_from(left).unwrap_or(i64::MAX);
        let live = self.machine.live();
        let (marks, pages) = self.written.parts();
        let mut context = Context {
            x: std::array::from_fn(|register| live.x[register]),
            f: std::array::from_fn(|register| live.f[register]),
            memory: live.memory.bytes_mut().as_mut_ptr(),
            marks,
            pages,
            count: self.written.count,
            pc: *live.pc,
            forms: 0,
            left: limit,
            bound: 0,
        };
        let mut before = None;
        let (mut misfit, mut narrow) = (None, None);
        while let Some(index) = self.text.index(context.pc)
            && self.places.get(index).is_some_and(|place| place.code.is_some())
        {
            if let Some(before) = before.replace(index)
                && let Some(place) = self.places.get_mut(before)
                && place.hop(context.pc)
            {
                narrow = Some(before);
                break;
            }
            let Some(place) = self.places.get(index) else { break };
            let left = context.left;
            let Some(code) = place.code.as_ref().filter(|_| left.cast_unsigned() >= place.longest) else {
                break;
            };
            if !place.fits(&context.f) {
                misfit = Some(index);
                break;
            }
            // SAFETY: The code was made for this machine's image. No other crate can replace the machine or
            // its memory, so memory has the size that the code assumes. The call borrows memory from the
            // machine, and the marks and the list from `written`, which was made for memory of this size.
            #[expect(unsafe_code, reason = "a call of translated code")]
            unsafe {
                code.run(&mut context)
            };
            place.settle(&mut context);
            if context.left == left {
                break;
            }
        }
        self.written.count = context.count;
        live.x[..32].copy_from_slice(&context.x);
        live.f[..32].copy_from_slice(&context.f);
        *live.pc = context.pc;
        let made = (limit - context.left).cast_unsigned();
        *live.steps = live.steps.wrapping_add(made);
        self.translated.steps += made;
        if let Some(index) = narrow {
            self.widen(index);
        }
        if let Some(index) = misfit {
            // The new code fits, so this happens only once.
            self.adapt(index);
            return if made == 0 { self.run_regions(left) } else { made };
        }
        made
    }

    /// Runs to the next jump backwards, where a loop starts. Returns the number of steps.
    fn search(&mut self, left: u64) -> u64 {
        let mut made = 0;
        while made < left.min(SEARCH) && self.machine.status() == Status::Running {
            let before = self.machine.pc();
            made += self.machine.run(1).steps;
            if self.machine.pc() <= before {
                break;
            }
        }
        made
    }

    /// The step count of a place.
    fn heat(&mut self, pc: u64) -> &mut Heat {
        self.heat.entry(pc).or_insert(Heat { steps: 0, with: pc, all: 0, needed: self.hot })
    }

    /// Counts steps at a place that has not been tried yet. Returns whether its count, or its shared count,
    /// justifies building its region.
    fn warm(&mut self, pc: u64, steps: u64) -> bool {
        if self.text.index(pc).is_none_or(|index| self.places.get(index).is_some()) {
            return false;
        }
        let heat = self.heat(pc);
        heat.steps += steps;
        let (alone, with) = (heat.steps >= heat.needed, heat.with);
        let shared = self.heat(with);
        shared.all += steps;
        alone || shared.all >= shared.needed
    }

    /// Counts steps at the machine's place, and translates its region once that pays. Returns whether it
    /// tried.
    fn ripen(&mut self, pc: u64, steps: u64) -> bool {
        if !self.warm(pc, steps) || self.is_full() {
            return false;
        }
        let region = self.isa.as_ref().and_then(|_| CodeRegion::new(&self.text, pc, &[]));
        let places = || region.iter().flat_map(|region| region.blocks.keys());
        let steps = places().filter_map(|place| self.heat.get(place)).map(|heat| heat.steps).sum();
        let price = region.as_ref().map_or(0, |region| region.len() * self.price);
        if steps < price {
            places().for_each(|&place| self.heat(place).with = pc);
            let heat = self.heat(pc);
            (heat.all, heat.needed) = (steps, price);
            return false;
        }
        places().for_each(|place| _ = self.heat.remove(place));
        if let Some(index) = self.text.index(pc) {
            let forms = self.machine.floats().0.map(Form::of_bits);
            self.translate(index, region, forms, Place { versions: 1, ..Place::default() });
        }
        true
    }

    /// Translates a region again for the current forms of the float registers, in addition to the old ones.
    fn adapt(&mut self, index: usize) {
        let Some(old) = self.places.take(index) else { return };
        let versions = old.versions + 1;
        let floats = self.machine.floats().0;
        let forms = std::array::from_fn(|i| match old.uses >> i & 1 {
            _ if versions > FORMS => Form::Exact64,
            1 => old.forms[i].join(Form::of_bits(floats[i])),
            _ => Form::of_bits(floats[i]),
        });
        let region = CodeRegion::new(&self.text, self.machine.pc(), &old.targets);
        self.translate(index, region, forms, Place { versions, ..*old });
    }

    /// Translates a region again, extended by the regions for which it is often left.
    fn widen(&mut self, index: usize) {
        let Some(mut old) = self.places.take(index) else { return };
        // This region then leads to their targets as well.
        let further =
            old.targets.iter().filter_map(|&target| self.place(target)).flat_map(|place| &place.targets);
        for target in further.copied().collect::<Vec<_>>() {
            old.note(target);
        }
        let region = CodeRegion::new(&self.text, self.text.address(index), &old.targets);
        let price = region.as_ref().filter(|region| region.is_open()).map(|region| region.len() * self.price);
        match price {
            Some(price) if old.hops * HOP >= price && !self.is_full() => {
                let forms = old.forms;
                self.translate(index, region, forms, *old);
            }
            _ => {
                old.patience = price.map_or(u64::MAX, |price| (price / HOP).max(2 * old.hops));
                self.places.put(index, old);
            }
        }
    }

    /// Whether the limits on translated code are reached.
    fn is_full(&self) -> bool {
        self.translated.regions >= MOST_REGIONS || self.translated.bytes >= MOST_BYTES
    }

    /// Translates a region for these forms of the float registers. `old` is the place's previous state.
    fn translate(&mut self, index: usize, region: Option<CodeRegion>, forms: Forms, old: Place) {
        let start = std::time::Instant::now();
        let code = |region: &CodeRegion, isa: &OwnedTargetIsa| {
            Code::new(lower(&self.text, region, isa.frontend_config()), isa)
        };
        let region = region.map(|region| region.prepared(&self.text, forms));
        let place = region.map_or_else(Place::default, |region| Place {
            code: self.isa.as_ref().and_then(|isa| code(&region, isa)),
            longest: region.longest(),
            forms: region.forms(),
            uses: region.uses.f,
            writes: region.writes.f,
            instructions: region.len(),
            hops: 0,
            patience: (region.len() * self.price / HOP).max(2 * old.hops),
            ..old
        });
        self.put(index, place);
        self.translated.time += start.elapsed();
    }

    /// Stores a place.
    fn put(&mut self, index: usize, place: Place) {
        let entry = self.text.address(index);
        if place.code.is_some() && !self.entries.contains(&entry) {
            self.entries.push(entry);
        }
        self.translated.regions += u64::from(place.code.is_some());
        self.translated.instructions += place.instructions;
        self.translated.bytes += place.code.as_ref().map_or(0, |code| code.bytes().len()) as u64;
        self.places.put(index, Box::new(place));
    }
}

impl std::fmt::Debug for Jit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jit")
            .field("machine", &self.machine)
            .field("translated", &self.translated)
            .finish_non_exhaustive()
    }
}
