//! Runs models natively, from their images: the definitions of an image's program, in this computer's vectors,
//! over the machine's memory.
//!
//! Tensors have the same addresses as in the machine, and definitions have the same bits however they are run.
//! After every big step, memory therefore equals the machine's, except for the scratch at its top, which native
//! runs never touch. The machine can take over at these points: [`Run::machine`].
//!
//! An image can come from a stranger. [`Native::of`] runs only a program whose code is the image's.

mod code;
mod nodes;
mod parts;
mod run;
mod team;
mod text;

use std::cell::RefCell;
use std::num::NonZero;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use dnn_lib::program::ProgramError;
use host::{Isa, Prepared, Scratch};
use image::{Image, ImageError, Shape};
use memory::Memory;
use step::Root;

use nodes::{Node, Step};
pub use run::Run;
use team::{Team, Work};
pub use text::text;

/// Why something cannot be run natively.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// The image has no program.
    #[error("the image has no program, only code: it runs on the machine")]
    NoProgram,
    /// The image's program is not one.
    #[error("the image's program is refused: {0}")]
    Program(#[from] ProgramError),
    /// The program has another number of big steps than the image.
    #[error("the image's program is refused: it has {found} big steps, the image's schedule {expected}")]
    Steps {
        /// The image's.
        expected: usize,
        /// The program's.
        found: usize,
    },
    /// Memory before the first big step isn't what contracts take it for.
    #[error("the image's program is refused: {0}")]
    Start(&'static str),
    /// A node can't be run.
    #[error("the image's program is refused: node {node} has {what}")]
    Node {
        /// The node.
        node: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The code of the image is not that of its program.
    #[error(
        "the image's code is not what this version of opml makes of its program: the program may say something else \
         than the code, so only the machine can run it; compile the model again for native speed"
    )]
    OtherCode,
    /// Making the code again would take too long.
    #[error("making the code of the image's program again would take too long: only the machine can run it")]
    TooMuchCode,
    /// The code can't be made again.
    #[error("the code of the image's program can't be made: {0}")]
    Link(#[from] codegen::LinkError),
    /// A definition has no kernel.
    #[error("the code of the image's program can't be made: {0}")]
    Kernel(#[from] dnn_lib::kernel::BuildError),
    /// A definition can't be run on this computer.
    #[error("cannot run natively: {0}")]
    Prepare(#[from] host::PrepareError),
    /// The vector instructions that were asked for are not there.
    #[error(transparent)]
    Isa(#[from] host::Unavailable),
    /// The system provides no threads.
    #[error("cannot start threads: {0}")]
    Threads(std::io::Error),
    /// The memory's size differs from the model's.
    #[error("the memory has 2^{found} bytes; the model needs 2^{expected}")]
    MemorySize {
        /// log2 of the model's size.
        expected: u32,
        /// log2 of the memory's size.
        found: u32,
    },
    /// The period can't be repeated this often.
    #[error("the model's period can't be repeated {found} times, only {least} to {most} times")]
    Repetitions {
        /// How often.
        found: u64,
        /// The fewest repetitions; zero if there is no period.
        least: u64,
        /// The most.
        most: u64,
    },
    /// The schedule has no such big steps.
    #[error("big steps {from} to {to} were asked for; there are {count}")]
    Boundary {
        /// The first.
        from: u64,
        /// One past the last.
        to: u64,
        /// The number of big steps.
        count: u64,
    },
    /// The image is another one.
    #[error("the image is not that of the model: its state root is {found}, the model's is {expected}")]
    OtherImage {
        /// The model's state root.
        expected: Root,
        /// The image's state root.
        found: Root,
    },
    /// The number of inputs, or the size of one, is wrong.
    #[error(
        "input {index} is {found} bytes long; the model has {count} inputs, and this one takes {expected}"
    )]
    Input {
        /// The input.
        index: usize,
        /// The number of inputs that the model has.
        count: usize,
        /// The length that it must have; 0 if the model has no such input.
        expected: u64,
        /// The length that it has; 0 if it is missing.
        found: u64,
    },
    /// The image's memory can't be created.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Work of fewer nanoseconds than this isn't worth several threads, if one of them looks out for it, and if it first
/// has to wake up.
const WORTH_THREADS: [u64; 2] = [15_000, 100_000];

/// The number of pieces of work per thread, so that a slow piece does not hold up the others.
const PIECES: u64 = 4;

/// A model that is ready to run, and how often it repeats its period. A clone is cheap: both share the model.
#[derive(Clone)]
pub struct Native {
    model: Arc<Model>,
    repetitions: u64,
}

impl Native {
    /// Makes the program of an image ready to run in this many threads; 0 means one per processor. Fails if
    /// the image has no program, or one that could say something else than its code. A period is repeated as
    /// often as it may be.
    pub fn of(image: &Image, threads: usize) -> Result<Self, NativeError> {
        Self::with(Isa::chosen()?, image, threads)
    }

    /// Like [`of`](Self::of), with these vector instructions.
    pub fn with(isa: Isa, image: &Image, threads: usize) -> Result<Self, NativeError> {
        let model = Model::new(isa, image, threads)?;
        Ok(Self { repetitions: model.shape.most, model: Arc::new(model) })
    }

    /// The same model with another number of repetitions of its period. Zero is that of a model without one.
    pub fn repeated(&self, repetitions: u64) -> Result<Self, NativeError> {
        let Shape { least, most, .. } = self.model.shape;
        if !self.model.shape.allows(repetitions) {
            return Err(NativeError::Repetitions { found: repetitions, least, most });
        }
        Ok(Self { model: Arc::clone(&self.model), repetitions })
    }

    /// The number of big steps of a run.
    #[must_use]
    pub fn big_steps(&self) -> u64 {
        self.model.shape.big_steps(self.repetitions)
    }

    /// About how many nanoseconds a run takes in one thread, without hashing.
    #[must_use]
    pub fn expected(&self) -> u64 {
        let Shape { prologue, period, .. } = self.model.shape;
        let repeated = prologue as usize..prologue as usize + period as usize;
        let times = |index: usize| if repeated.contains(&index) { self.repetitions } else { 1 };
        let work =
            self.model.steps.iter().enumerate().map(|(index, step)| step.work.saturating_mul(times(index)));
        work.fold(0, u64::saturating_add)
    }

    /// The index in the image's schedule of a big step of the run; `None` beyond its end.
    #[must_use]
    pub fn index(&self, big_step: u64) -> Option<u64> {
        (big_step < self.big_steps()).then(|| self.model.shape.leaf(self.repetitions, big_step))
    }

    /// Runs all big steps over memory that holds the constants and the inputs.
    pub fn run(&self, memory: &mut Memory) -> Result<(), NativeError> {
        self.run_range(memory, 0..self.big_steps())
    }

    /// Runs some big steps. Those before them must have been run.
    pub fn run_range(&self, memory: &mut Memory, range: Range<u64>) -> Result<(), NativeError> {
        let (expected, found) = (self.model.memory_bits, memory.bits());
        if expected != found {
            return Err(NativeError::MemorySize { expected, found });
        }
        let (Range { start: from, end: to }, count) = (range, self.big_steps());
        if from > to || to > count {
            return Err(NativeError::Boundary { from, to, count });
        }
        let work = self.model.steps.iter().map(|step| step.work).fold(0, u64::saturating_add);
        self.model.rouse(memory, work);
        self.run_steps(memory, from..to);
        Ok(())
    }

    /// Runs big steps of the run, which has so many.
    fn run_steps(&self, memory: &mut Memory, range: Range<u64>) {
        let (shape, steps) = (self.model.shape, &self.model.steps);
        let (mut next, to) = (range.start, range.end);
        while next < to {
            // As far as the schedule goes on: to the end of the prologue, of a repetition, or of the run.
            let leaf = shape.leaf(self.repetitions, next);
            let period = u64::from(shape.prologue)..u64::from(shape.prologue) + u64::from(shape.period);
            let ends = [period.start, period.end, shape.leaves()].into_iter();
            let end = ends.filter(|&end| end > leaf).min().unwrap_or(leaf + 1).min(leaf + (to - next));
            // There are as many steps as leaves.
            Model::run_steps(&self.model, memory, &steps[leaf as usize..end as usize]);
            next += end - leaf;
        }
    }
}

/// A model that is ready to run.
struct Model {
    isa: Isa,
    definitions: Vec<Prepared>,
    nodes: Vec<Node>,
    /// For each node, its definition with packed weights; made at its first run. `None` if it has none.
    packed: Vec<OnceLock<Option<Prepared>>>,
    /// The big steps, those of the period once.
    steps: Vec<Step>,
    shape: Shape,
    memory_bits: u32,
    state_root: Root,
    team: Team<Level>,
}

impl Model {
    fn new(isa: Isa, image: &Image, threads: usize) -> Result<Self, NativeError> {
        let program = nodes::program(image)?;
        let (nodes, mut steps) = nodes::nodes(image, &program)?;
        code::check(image, &program)?;
        let prepare = |definition| Prepared::new(isa, definition);
        let definitions: Vec<Prepared> = program.definitions.iter().map(prepare).collect::<Result<_, _>>()?;
        for step in &mut steps {
            let node = &nodes[step.node];
            let all = u128::from(definitions[node.definition].work());
            let work = all * u128::from(step.hi - step.lo) / u128::from(node.units.max(1));
            step.work = u64::try_from(work).unwrap_or(u64::MAX);
        }
        Ok(Self {
            definitions,
            isa,
            packed: nodes.iter().map(|_| OnceLock::new()).collect(),
            nodes,
            steps,
            shape: image.shape(),
            memory_bits: image.profile.memory_bits().into(),
            state_root: image.state().root(),
            team: Team::new(helpers(threads)).map_err(NativeError::Threads)?,
        })
    }

    /// Wakes the helpers up if there will be enough work: it takes them a moment.
    fn rouse(self: &Arc<Self>, memory: &mut Memory, work: u64) {
        if self.team.threads() > 1 && work >= 2 * WORTH_THREADS[1] && !self.team.is_awake() {
            let (model, bytes) = (Arc::clone(self), Bytes::of(memory));
            self.team.share(Level { model, bytes, pieces: Vec::new() });
        }
    }

    /// Runs big steps that follow each other in the schedule.
    fn run_steps(self: &Arc<Self>, memory: &mut Memory, mut rest: &[Step]) {
        while let Some(first) = rest.first() {
            // The longest prefix of big steps that wait for none in it.
            let ready = |step: &&Step| self.nodes[step.node].after.is_none_or(|after| after < first.node);
            let (level, later) = rest.split_at(rest.iter().take_while(ready).count());
            // What a level writes is no guard in it.
            let computed = level.iter().filter(|step| self.is_computed(memory, step));
            self.run_level(memory, &joined(computed));
            rest = later;
        }
    }

    /// Whether the guards of a big step say that it is computed.
    fn is_computed(&self, memory: &Memory, step: &Step) -> bool {
        // Guards are in memory.
        let is_set = |address| memory.read(address, 1).is_some_and(|byte| byte != [0]);
        self.nodes[step.node].guards.iter().all(|&(address, when)| is_set(address) == when)
    }

    /// Runs big steps that do not depend on each other.
    fn run_level(self: &Arc<Self>, memory: &mut Memory, level: &[Step]) {
        let bytes = Bytes::of(memory);
        let work: u64 = level.iter().map(|step| step.work).fold(0, u64::saturating_add);
        let threads = self.team.threads() as u64;
        let [awake, asleep] = WORTH_THREADS;
        if threads == 1 || work < awake || (work < asleep && !self.team.is_awake()) {
            level.iter().for_each(|step| self.compute(&bytes, step));
        } else {
            // A part of a convolution arranges the input anew, so there are as few as there can be.
            let each = |step: &Step| match self.prepared(step.node).is_contraction() {
                true => work.div_ceil(threads),
                false => work.div_ceil(threads * PIECES),
            };
            let pieces: Vec<Step> = level.iter().flat_map(|step| pieces(step, each(step))).collect();
            self.team.share(Level { model: Arc::clone(self), bytes, pieces });
        }
        for step in level {
            self.touch(memory, step);
        }
    }

    /// The definition of a node, ready to run.
    fn prepared(&self, number: usize) -> &Prepared {
        let node = &self.nodes[number];
        let shared = &self.definitions[node.definition];
        let pack = || {
            // It was made ready before.
            let wanted = shared.is_contraction() && !node.constants.is_empty();
            let mut packed = Prepared::new(self.isa, shared.definition()).ok().filter(|_| wanted)?;
            for (input, bytes) in &node.constants {
                packed.pack(*input, bytes).ok()?;
            }
            Some(packed)
        };
        self.packed[number].get_or_init(pack).as_ref().unwrap_or(shared)
    }

    /// The boxes of the output that a big step computes.
    fn boxes(&self, step: &Step) -> Vec<parts::Box> {
        let node = &self.nodes[step.node];
        let shape = &self.definitions[node.definition].definition().output.shape;
        parts::boxes(shape, &node.tile, step.lo, step.hi)
    }

    /// Runs a big step.
    fn compute(&self, memory: &Bytes, step: &Step) {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        let node = &self.nodes[step.node];
        let prepared = self.prepared(step.node);
        let inputs: Vec<*const u8> =
            node.inputs.iter().map(|&address| memory.at(address).cast_const()).collect();
        let output = memory.at(node.writes.start);
        SCRATCH.with_borrow_mut(|scratch| {
            for part in self.boxes(step) {
                // SAFETY: `nodes::node` has checked that each tensor of the definition is inside
                // `0..2^memory_bits` and aligned, and `run_range` that memory has that size and, with
                // `memory.start` at a page boundary, the alignment. `run_level` has borrowed all of it mutably, and
                // waits until this is over.
                // Concurrent work writes elsewhere: another range of units of the same node covers other
                // boxes, and another node of the level neither writes what this one reads or writes nor reads
                // what it writes (`after`). An output doesn't overlap its inputs.
                #[expect(unsafe_code, reason = "several threads write to parts of one memory")]
                unsafe {
                    prepared.run_raw(scratch, &inputs, output, &part);
                }
            }
        });
    }

    /// Reports to memory what a big step wrote.
    fn touch(&self, memory: &mut Memory, step: &Step) {
        let node = &self.nodes[step.node];
        if step.lo == 0 && step.hi == node.units {
            return memory.touch(node.writes.start, node.writes.end - node.writes.start);
        }
        let output = &self.definitions[node.definition].definition().output;
        let size = output.dtype.size();
        for (first, count) in self.boxes(step).iter().flat_map(|part| parts::rows(&output.shape, part)) {
            memory.touch(node.writes.start + first * size, count * size);
        }
    }
}

/// How many threads help another one, so that they are this many together; 0 means one per processor.
fn helpers(threads: usize) -> usize {
    let threads = NonZero::new(threads).or_else(|| std::thread::available_parallelism().ok());
    threads.map_or(0, |threads| threads.get() - 1)
}

/// Big steps, or parts of some, that do not depend on each other.
struct Level {
    model: Arc<Model>,
    bytes: Bytes,
    pieces: Vec<Step>,
}

impl Work for Level {
    fn pieces(&self) -> usize {
        self.pieces.len()
    }

    fn run(&self, piece: usize) {
        self.model.compute(&self.bytes, &self.pieces[piece]);
    }
}

/// Memory for big steps to use while `run_level` borrows it.
struct Bytes {
    start: *mut u8,
}

// SAFETY: It is a mutable borrow of memory whose parts are used according to the contract of `compute`. A `Level`
// may outlive the borrow, but `Team::share` returns only when nobody computes any of its pieces, or will.
#[expect(unsafe_code, reason = "several threads write to parts of one memory")]
unsafe impl Send for Bytes {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "several threads write to parts of one memory")]
unsafe impl Sync for Bytes {}

impl Bytes {
    fn of(memory: &mut Memory) -> Self {
        Self { start: memory.bytes_mut().as_mut_ptr() }
    }

    /// The byte at an address, which is in memory.
    fn at(&self, address: u64) -> *mut u8 {
        self.start.wrapping_add(address as usize)
    }
}

/// The same work, with adjacent ranges of a node joined.
fn joined<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<Step> {
    let mut joined: Vec<Step> = Vec::new();
    for step in steps {
        match joined.last_mut() {
            Some(last) if last.node == step.node && last.hi == step.lo => {
                last.hi = step.hi;
                last.work = last.work.saturating_add(step.work);
            }
            _ => joined.push(*step),
        }
    }
    joined
}

/// Cuts a big step into pieces of about this much work.
fn pieces(step: &Step, work: u64) -> impl Iterator<Item = Step> + use<> {
    let (step, units) = (*step, step.hi - step.lo);
    let count = step.work.div_ceil(work.max(1)).clamp(1, units.max(1));
    let border =
        move |piece: u64| step.lo + (u128::from(units) * u128::from(piece) / u128::from(count)) as u64;
    (0..count).map(move |piece| Step { lo: border(piece), hi: border(piece + 1), ..step })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole() {
        let step = Step { node: 3, lo: 10, hi: 47, work: 1000 };
        for work in [0, 1, 10, 300, 1000, 5000] {
            let pieces: Vec<Step> = pieces(&step, work).collect();
            assert!(pieces.iter().all(|piece| piece.lo < piece.hi));
            let [all] = joined(&pieces)[..] else { panic!("{pieces:?}") };
            assert_eq!((all.node, all.lo, all.hi), (3, 10, 47));
        }
    }
}
