//! Runs images as code of the host, and stops at any step.
//!
//! A [`Jit`] is an [`Interpreter`] that is quick where it matters: what is executed often is translated, a *region* at a time (all
//! that direct jumps, calls and returns reach), from the same semantics that the interpreter runs. The code keeps the guest's
//! registers in registers, counts steps exactly, and leaves whatever is out of the ordinary (traps, exits, illegal words,
//! rounding modes that the host lacks, the last steps before a limit) to the interpreter, at the beginning of the
//! instruction. So there is one truth about all of that, and the two can be compared at any step.
//!
//! Code never changes in this machine, so what was translated stays valid.

mod access;
mod code;
mod context;
mod domain;
mod effect;
mod form;
mod lower;
mod region;

use code::Code;
use context::{Context, Written};
use cranelift_codegen::isa::OwnedTargetIsa;
use form::{Form, Forms};
use image::{Image, ImageError};
use interpreter::{Interpreter, Outcome};
use lower::{MISSED, lower};
use region::{Region, Text};
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use step::Status;

/// How many steps the interpreter makes at a place before it is translated.
const HOT: u64 = 1 << 16;
/// The most steps that the interpreter makes between two looks at where it is.
const SLICE: u64 = 1 << 15;
/// What leaving a region for a place without code counts for, in steps of the interpreter.
const DETOUR: u64 = 1 << 9;
/// How far the interpreter goes to find the start of a loop.
const SEARCH: u64 = 256;
/// How often a region is translated for other forms of its float registers before all are taken as they come.
const FORMS: u32 = 6;

/// Why nothing can be translated.
#[derive(Debug, thiserror::Error)]
pub enum JitError {
    /// The machine of the image can't be had.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Cranelift doesn't know the host.
    #[error("cannot translate for this host: {0}")]
    Host(String),
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
    isa: OwnedTargetIsa,
    text: Text,
    written: Written,
    /// What is known of the places where regions may start.
    places: Vec<Option<Box<Place>>>,
    /// Steps of the interpreter by place, as long as there is no region.
    heat: HashMap<u64, u64>,
    hot: u64,
    translated: Translated,
}

/// A place in the code where a region starts, or can't.
struct Place {
    /// None if its first instruction is the interpreter's.
    code: Option<Code>,
    /// The most steps until the code looks at how many are left.
    longest: u64,
    forms: Forms,
    /// Which float registers are used, as bits.
    uses: u32,
    /// How often it has been translated.
    versions: u32,
}

impl Jit {
    /// The machine of an image before its first step.
    pub fn new(image: &Image) -> Result<Self, JitError> {
        let machine = Interpreter::new(image)?;
        let isa = code::host().map_err(JitError::Host)?;
        let written = Written::new(machine.memory().bits()).map_err(JitError::Memory)?;
        let text = Text::new(image.profile, &image.code);
        let places = (0..image.code.len() / 4).map(|_| None).collect();
        let (heat, translated) = Default::default();
        Ok(Self { machine, isa, text, written, places, heat, hot: HOT, translated })
    }

    /// The same machine, that translates a place once the interpreter has made this many steps there.
    #[must_use]
    pub fn with_threshold(self, hot: u64) -> Self {
        Self { hot, ..self }
    }

    /// What has been translated so far.
    #[must_use]
    pub fn translated(&self) -> Translated {
        self.translated
    }

    /// Runs until the machine stops, but at most this many steps.
    pub fn run(&mut self, limit: u64) -> Outcome {
        let mut left = limit;
        // After a region the interpreter looks soon whether there is another.
        let mut slice = if self.translated.regions > 0 || self.hot < SLICE { 1 } else { SLICE };
        while left > 0 && self.machine.status() == Status::Running {
            if let Some(made) = self.run_region(left) {
                left -= made;
                slice = 1;
                if made > 0 {
                    continue;
                }
            } else if slice == 1 && self.warm(DETOUR) {
                continue;
            }
            left -= self.machine.run(left.min(slice)).steps;
            if slice == SLICE {
                left -= self.search(left);
                self.warm(SLICE);
            }
            slice = (slice * 2).min(SLICE);
        }
        self.written.tell(self.machine.memory_mut());
        Outcome { steps: limit - left, status: self.machine.status() }
    }

    /// Runs translated code, if there is any here and if it has room enough; says how many steps it made.
    fn run_region(&mut self, left: u64) -> Option<u64> {
        let index = self.text.index(self.machine.pc())?;
        let place = self.places.get(index)?.as_deref()?;
        let code = place.code.as_ref()?;
        if left < place.longest {
            return None;
        }
        let limit = i64::try_from(left).unwrap_or(i64::MAX);
        let live = self.machine.live();
        let (marks, pages) = self.written.parts();
        let mut context = Context {
            x: live.x.as_mut_ptr(),
            f: live.f.as_mut_ptr(),
            memory: live.memory.bytes_mut().as_mut_ptr(),
            marks,
            pages,
            count: self.written.count,
            pc: *live.pc,
        };
        // SAFETY: the code was made for this machine's text and profile, and the machine's memory has the size that its
        // profile says. Registers and memory are borrowed from the machine, which nobody else can use meanwhile, the marks and
        // the list from `written`, which was made for memory of this size.
        #[expect(unsafe_code, reason = "a call of translated code")]
        let rest = unsafe { code.run(&mut context, limit) };
        self.written.count = context.count;
        if rest == MISSED {
            self.translate(index);
            return None;
        }
        *live.pc = context.pc;
        let made = (limit - rest).cast_unsigned();
        *live.steps = live.steps.wrapping_add(made);
        self.translated.steps += made;
        Some(made)
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

    /// Counts steps at this place, and translates it when they are enough; says whether it did.
    fn warm(&mut self, steps: u64) -> bool {
        let pc = self.machine.pc();
        let unknown = self.text.index(pc).filter(|&index| self.places.get(index).is_some_and(Option::is_none));
        let Some(index) = unknown else { return false };
        let heat = self.heat.entry(pc).or_default();
        *heat += steps;
        if *heat < self.hot {
            return false;
        }
        self.heat.remove(&pc);
        self.translate(index);
        true
    }

    /// Translates the region that starts here, for the forms that float registers have now, and had.
    fn translate(&mut self, index: usize) {
        let start = std::time::Instant::now();
        let pc = self.machine.pc();
        let old = self.places.get_mut(index).and_then(Option::take);
        let versions = old.as_ref().map_or(0, |place| place.versions) + 1;
        let floats = self.machine.floats().0;
        let forms = std::array::from_fn(|i| match &old {
            _ if versions > FORMS => Form::Exact64,
            Some(old) if old.uses >> i & 1 == 1 => old.forms[i].join(Form::of_bits(floats[i])),
            _ => Form::of_bits(floats[i]),
        });
        let mut place = Place { code: None, longest: 0, forms, uses: 0, versions };
        if let Some(region) = Region::new(&self.text, pc, forms) {
            place.uses = region.uses.f;
            place.longest = region.blocks.get(&pc).and_then(|block| block.check).unwrap_or(u64::MAX);
            place.code = Code::new(lower(&self.text, &region, self.isa.frontend_config()), &self.isa);
            self.translated.regions += 1;
            self.translated.instructions += region.blocks.values().map(|block| block.len).sum::<u64>();
            self.translated.bytes += place.code.as_ref().map_or(0, Code::len) as u64;
        }
        self.places[index] = Some(Box::new(place));
        self.translated.time += start.elapsed();
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

impl Deref for Jit {
    type Target = Interpreter;
    fn deref(&self) -> &Interpreter {
        &self.machine
    }
}

impl DerefMut for Jit {
    fn deref_mut(&mut self) -> &mut Interpreter {
        &mut self.machine
    }
}
