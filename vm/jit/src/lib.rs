//! Runs images as code of the host, and stops at any step.
//!
//! A [`Jit`] has an [`Interpreter`] and is quick where it matters: what is executed often is translated, a *region* at a time (all
//! that direct jumps, calls and returns reach), from the same semantics that the interpreter runs. The code keeps the guest's
//! registers in registers, counts steps exactly, and leaves whatever is out of the ordinary (traps, exits, illegal words,
//! rounding modes that the host lacks, the last steps before a limit) to the interpreter, at the beginning of the
//! instruction. So there is one truth about all of that, and the two can be compared at any step.
//!
//! Code never changes in this machine, so what was translated stays valid.

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
use region::{Region, Text, members};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use step::Status;

/// How many steps the interpreter makes at a place at least before it is translated.
const HOT: u64 = 1 << 16;
/// How many steps the interpreter makes in the time that it takes to translate an instruction. A place is translated when the
/// interpreter has spent as much time there as that takes: so the two together never take twice what the better one alone would.
const PRICE: u64 = 6000;
/// The most steps that the interpreter makes between two looks at where it is, unless it comes to a region.
const SLICE: u64 = 1 << 15;
/// How far the interpreter goes to find the start of a loop.
const SEARCH: u64 = 256;
/// How often a region is translated for other forms of its float registers before all are taken as they come.
const FORMS: u32 = 6;

/// How many steps of the interpreter take as long as going from one region to another.
const HOP: u64 = 16;
/// How many times a region is left, when it has been left often, to find out where its jumps lead, and how many such places there may be.
const LOOK: u64 = 64;
const TARGETS: usize = 32;

/// The most regions, and the most bytes of code, that a machine has: a hostile program must not take all memory by running all over
/// itself. What isn't translated is interpreted.
const MOST_REGIONS: u64 = 1 << 14;
const MOST_BYTES: u64 = 1 << 28;

pub use untranslated::{UNTRANSLATED, UNTRANSLATED_MODES};

/// Why nothing can be translated.
#[derive(Debug, thiserror::Error)]
pub enum JitError {
    /// The machine of the image can't be had.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// No addresses for the list of written pages.
    #[error("cannot reserve addresses: {0}")]
    Memory(std::io::Error),
}

/// What has been translated so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Translated {
    /// How many regions.
    pub regions: u64,
    /// How many instructions of the guest, those in several regions counted in each.
    pub instructions: u64,
    /// How many bytes of code.
    pub bytes: u64,
    /// How long it took.
    pub time: std::time::Duration,
    /// Steps made by translated code.
    pub steps: u64,
}

/// A machine that translates what it executes often.
pub struct Jit {
    machine: Interpreter,
    /// None if Cranelift doesn't know the host: then everything is interpreted.
    isa: Option<OwnedTargetIsa>,
    text: Text,
    written: Written,
    /// What is known of the places where regions may start.
    places: Places,
    /// Where regions start that have code.
    entries: Vec<u64>,
    /// Steps of the interpreter by place, as long as there is no region.
    heat: HashMap<u64, Heat>,
    hot: u64,
    price: u64,
    translated: Translated,
    cache: Option<Cache>,
    /// How many regions there were when the cache was last read or written.
    kept: u64,
}

/// Steps of the interpreter at a place. Places of one region have them in common: they would be served by the same code.
struct Heat {
    steps: u64,
    /// The place that counts for this one too.
    with: u64,
    /// The steps of all for which this place counts, and how many it takes to translate it.
    all: u64,
    needed: u64,
}

/// A place in the code where a region starts, or can't.
#[derive(Default)]
struct Place {
    /// None if its first instruction is the interpreter's.
    code: Option<Code>,
    /// The most steps until the code looks at how many are left.
    longest: u64,
    forms: Forms,
    /// Which float registers are used, and which of them are written, as bits.
    uses: u32,
    writes: u32,
    /// How many instructions it has.
    instructions: u64,
    /// How often it has been translated for other forms.
    versions: u32,
    /// Where jumps of the region are known to lead: regions that it was left for.
    targets: Vec<u64>,
    /// How often it was left for another region, and how often it takes to look for new targets. That starts anew with each translation.
    hops: u64,
    patience: u64,
}

impl Place {
    /// Notes that the region was left for another; says whether it should be translated again, with new targets.
    fn hop(&mut self, to: u64) -> bool {
        self.hops += 1;
        if self.hops > self.patience {
            self.note(to);
        }
        self.hops == self.patience.saturating_add(LOOK)
    }

    /// Notes a target.
    fn note(&mut self, target: u64) {
        if self.targets.len() < TARGETS && !self.targets.contains(&target) {
            self.targets.push(target);
        }
    }

    /// Whether float registers have the forms that the code was made for.
    fn fits(&self, floats: &[u64; 32]) -> bool {
        members(self.uses).map(usize::from).all(|register| self.forms[register].fits(floats[register]))
    }

    /// Brings the float registers that the code has written from the forms in which it left them into those of the machine.
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

    /// The same machine, that translates a place as soon as the interpreter has made this many steps there, whatever it costs.
    #[must_use]
    pub fn with_threshold(self, hot: u64) -> Self {
        Self { hot, price: 0, ..self }
    }

    /// The same machine, that begins with what is kept in a folder of the code that was made for this image on such a host. If
    /// nothing is, or the folder isn't this user's alone, it is as it was.
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

    /// Keeps translated code for the next machine of the image, if there is a [cache](Self::with_cache), and code that it
    /// doesn't have.
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

    /// The same machine, that translates nothing.
    #[must_use]
    pub fn interpreting(self) -> Self {
        Self { isa: None, ..self }
    }

    /// The same machine, whose interpreter has other arithmetic; results do not depend on it.
    #[must_use]
    pub fn with_arithmetic(self, arithmetic: Arithmetic) -> Self {
        Self { machine: self.machine.with_arithmetic(arithmetic), ..self }
    }

    /// What has been translated so far.
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
            // Had there been a region, it would have saved these steps.
            self.warm(pc, detour);
            if detour >= SLICE {
                left -= self.search(left);
                self.ripen(self.machine.pc(), SLICE);
            }
        }
        self.written.tell(self.machine.memory_mut());
        Outcome { steps: limit - left, status: self.machine.status() }
    }

    /// Has the interpreter go on to where a region starts, a slice at most; says how many steps it has made. The first one is
    /// made in any case: a region that starts here had not room enough.
    fn interpret(&mut self, left: u64) -> u64 {
        let first = self.machine.run(1).steps;
        let rest = SLICE.min(left - first);
        let entries = &self.entries;
        first + self.machine.run_watched(rest, entries, |machine| !entries.contains(&machine.pc())).steps
    }

    /// What is known of a place.
    fn place(&self, pc: u64) -> Option<&Place> {
        self.places.get(self.text.index(pc)?)
    }

    /// Runs translated code as long as there is some and it has room enough; says how many steps it made.
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
            // SAFETY: the code was made for the image that the machine is of, and nothing outside this crate can replace
            // the machine or its memory, so memory has the size that the code compares with. Memory is borrowed from the
            // machine for as long as the call lasts, the marks and the list from `written`, which was made for memory of
            // this size.
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
            // The new code fits, so this is not done again.
            self.adapt(index);
            return if made == 0 { self.run_regions(left) } else { made };
        }
        made
    }

    /// Goes on to where the code jumps back to: there a loop starts. Says how many steps it made.
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

    /// What is known of the steps at a place.
    fn heat(&mut self, pc: u64) -> &mut Heat {
        self.heat.entry(pc).or_insert(Heat { steps: 0, with: pc, all: 0, needed: self.hot })
    }

    /// Counts steps at a place that hasn't been tried yet; says whether they, or those of all that share theirs with it, are enough to
    /// look at its region.
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

    /// Counts steps at the place where the machine is, and translates it when those in its region are enough; says whether it did.
    fn ripen(&mut self, pc: u64, steps: u64) -> bool {
        if !self.warm(pc, steps) || self.is_full() {
            return false;
        }
        let region = self.isa.as_ref().and_then(|_| Region::new(&self.text, pc, &[]));
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

    /// Translates a region again that can't be entered, for the forms that float registers have now and had.
    fn adapt(&mut self, index: usize) {
        let Some(old) = self.places.take(index) else { return };
        let versions = old.versions + 1;
        let floats = self.machine.floats().0;
        let forms = std::array::from_fn(|i| match old.uses >> i & 1 {
            _ if versions > FORMS => Form::Exact64,
            1 => old.forms[i].join(Form::of_bits(floats[i])),
            _ => Form::of_bits(floats[i]),
        });
        let region = Region::new(&self.text, self.machine.pc(), &old.targets);
        self.translate(index, region, forms, Place { versions, ..*old });
    }

    /// Translates a region again that is often left for others, together with what it is left for.
    fn widen(&mut self, index: usize) {
        let Some(mut old) = self.places.take(index) else { return };
        // Where those lead, this one leads then.
        let further =
            old.targets.iter().filter_map(|&target| self.place(target)).flat_map(|place| &place.targets);
        for target in further.copied().collect::<Vec<_>>() {
            old.note(target);
        }
        let region = Region::new(&self.text, self.text.address(index), &old.targets);
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

    /// Whether nothing more is translated.
    fn is_full(&self) -> bool {
        self.translated.regions >= MOST_REGIONS || self.translated.bytes >= MOST_BYTES
    }

    /// Translates a region for these forms of the float registers; `old` says what is known of its place.
    fn translate(&mut self, index: usize, region: Option<Region>, forms: Forms, old: Place) {
        let start = std::time::Instant::now();
        let code = |region: &Region, isa: &OwnedTargetIsa| {
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

    /// Puts what is known of a place where it belongs.
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
