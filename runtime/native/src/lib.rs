//! Runs models natively: kernels compiled for this host, over the machine's memory.
//!
//! Tensors have the same addresses as in the machine, and kernels compute the same bits. After every big
//! step, memory therefore equals the machine's, except for the scratch at its top, which native code never
//! touches. The machine can take over at these points: [`Run::machine`].
//!
//! A [`Native`] is made from a [`Compiled`] model. An image is not enough, since its kernels are guest code.

mod code;
mod run;
mod steps;

use std::ops::Range;

use codegen::CodegenError;
use compiler::Compiled;
use dnn_lib::kernel::Kernel;
use image::ImageError;
use memory::Memory;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use step::Root;

use code::{ARGUMENTS, Code};
pub use run::Run;
use steps::{Node, Step};

/// Why something cannot be run natively.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// A kernel can't be compiled for this host.
    #[error("cannot run natively: {0}")]
    Codegen(#[from] CodegenError),
    /// The system provides no executable memory.
    #[error("cannot make memory executable: {0}")]
    Code(std::io::Error),
    /// The system provides no threads.
    #[error("cannot start threads: {0}")]
    Threads(#[from] ThreadPoolBuildError),
    /// The schedule is not one that the compiler makes.
    #[error("big step {index} (node `{node}`) has {what}")]
    Schedule {
        /// The big step.
        index: usize,
        /// Its node.
        node: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The memory's size differs from the model's.
    #[error("the memory has 2^{found} bytes; the model needs 2^{expected}")]
    MemorySize {
        /// log2 of the model's size.
        expected: u32,
        /// log2 of the memory's size.
        found: u32,
    },
    /// The schedule has no such big steps.
    #[error("big steps {from} to {to} were asked for; there are {count}")]
    Boundary {
        /// The first.
        from: usize,
        /// One past the last.
        to: usize,
        /// The number of big steps.
        count: usize,
    },
    /// The image was not made from the model.
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

/// Fewer machine steps than this, about ten microseconds, aren't worth several threads.
const WORTH_THREADS: u64 = 100_000;

/// The number of pieces of work per thread, so that a slow piece does not hold up the others.
const PIECES: u64 = 4;

/// A model that is ready to run.
pub struct Native {
    kernels: Vec<Kernel>,
    code: Code,
    nodes: Vec<Node>,
    steps: Vec<Step>,
    memory_bits: u32,
    state_root: Root,
    threads: ThreadPool,
}

impl Native {
    /// Compiles a model's kernels for this host. They run in this many threads; 0 means one per processor.
    pub fn new(compiled: &Compiled, threads: usize) -> Result<Self, NativeError> {
        let (nodes, steps) = steps::steps(compiled)?;
        Ok(Self {
            kernels: compiled.schedule.kernels.clone(),
            code: Code::new(&compiled.schedule.kernels)?,
            nodes,
            steps,
            memory_bits: compiled.plan.memory_bits,
            state_root: compiled.image.state().root(),
            threads: ThreadPoolBuilder::new().num_threads(threads).build()?,
        })
    }

    /// The number of big steps.
    #[must_use]
    pub fn big_steps(&self) -> usize {
        self.steps.len()
    }

    /// Runs all big steps over memory that holds the constants and the inputs.
    pub fn run(&self, memory: &mut Memory) -> Result<(), NativeError> {
        self.run_range(memory, 0..self.steps.len())
    }

    /// Runs some big steps. Those before them must have been run.
    pub fn run_range(&self, memory: &mut Memory, range: Range<usize>) -> Result<(), NativeError> {
        if memory.bits() != self.memory_bits {
            return Err(NativeError::MemorySize { expected: self.memory_bits, found: memory.bits() });
        }
        let count = self.steps.len();
        let boundary = NativeError::Boundary { from: range.start, to: range.end, count };
        let mut rest = self.steps.get(range).ok_or(boundary)?;
        while let Some(first) = rest.first() {
            // The longest prefix of big steps that wait for none in it.
            let ready = |step: &&Step| self.nodes[step.node].after.is_none_or(|after| after < first.node);
            let (level, later) = rest.split_at(rest.iter().take_while(ready).count());
            self.run_level(memory, &joined(level));
            rest = later;
        }
        Ok(())
    }

    /// Runs big steps that do not depend on each other.
    fn run_level(&self, memory: &mut Memory, level: &[Step]) {
        let memory_bytes = Bytes::of(memory);
        let work: u64 = level.iter().map(|step| step.work).fold(0, u64::saturating_add);
        let threads = self.threads.current_num_threads() as u64;
        if threads == 1 || work < WORTH_THREADS {
            level.iter().for_each(|step| self.compute(&memory_bytes, step));
        } else {
            let least = work.div_ceil(threads * PIECES);
            let pieces: Vec<Step> = level.iter().flat_map(|step| pieces(step, least)).collect();
            self.threads.install(|| pieces.par_iter().for_each(|step| self.compute(&memory_bytes, step)));
        }
        for step in level {
            self.touch(memory, step);
        }
    }

    /// Runs a kernel.
    fn compute(&self, memory: &Bytes<'_>, step: &Step) {
        let node = &self.nodes[step.node];
        let mut arguments = [0; ARGUMENTS];
        let addresses = node.addresses.iter().map(|address| memory.start + address);
        for (to, argument) in arguments.iter_mut().zip(addresses.chain([step.lo, step.hi])) {
            *to = argument;
        }
        // SAFETY: `steps::node` has checked that the kernel is one that dnn-lib makes for an operator, with a
        // range of its units. Such a kernel accesses only elements of its tensors, and writes only those
        // elements of its output that belong to its units. That is the contract of `dnn_lib::kernel`; tests
        // hold all its operators to it and count an access outside as an error. `steps::node` has also
        // checked that each tensor is aligned and inside `0..2^memory_bits`, and `run_range` that memory has
        // that size. With `memory.start` added, the tensors therefore lie in the mapping, which `memory`
        // borrows mutably. Concurrent work writes elsewhere: another range of the same node by the contract,
        // another node because of its `after`. An output doesn't overlap its inputs.
        #[expect(unsafe_code, reason = "the code was made at run time")]
        unsafe {
            self.code.call(node.kernel, arguments);
        }
    }

    /// Reports to memory what a big step wrote.
    fn touch(&self, memory: &mut Memory, step: &Step) {
        let node = &self.nodes[step.node];
        let kernel = &self.kernels[node.kernel];
        let size = kernel.output.dtype.size();
        if step.lo == 0 && step.hi == node.units {
            return memory.touch(node.writes.start, node.writes.end - node.writes.start);
        }
        if kernel.tile.iter().all(|&size| size == 1) {
            return memory.touch(node.writes.start + step.lo * size, (step.hi - step.lo) * size);
        }
        for unit in step.lo..step.hi {
            for (first, count) in rows(&kernel.output.shape, &kernel.unit(unit)) {
                memory.touch(node.writes.start + first * size, count * size);
            }
        }
    }
}

/// Memory for kernels to use while it is borrowed.
struct Bytes<'a> {
    start: u64,
    _borrowed: std::marker::PhantomData<&'a mut [u8]>,
}

impl Bytes<'_> {
    fn of(memory: &mut Memory) -> Self {
        Self {
            start: memory.bytes_mut().as_mut_ptr().expose_provenance() as u64,
            _borrowed: std::marker::PhantomData,
        }
    }
}

/// The same work, with adjacent ranges of a node joined.
fn joined(steps: &[Step]) -> Vec<Step> {
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

/// The runs of adjacent elements in a box: the first element and the number of elements.
fn rows(shape: &[u64], ranges: &[Range<u64>]) -> Vec<(u64, u64)> {
    let mut rows = vec![(0, 1)];
    for (axis, (&size, range)) in shape.iter().zip(ranges).enumerate() {
        let last = axis + 1 == shape.len();
        let of = |first: u64| {
            let at = |index: u64| first * size + index;
            if last {
                vec![(at(range.start), range.end - range.start)]
            } else {
                range.clone().map(|index| (at(index), 1)).collect()
            }
        };
        rows = rows.into_iter().flat_map(|(first, _)| of(first)).collect();
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_box_are_its_elements() {
        assert_eq!(rows(&[], &[]), [(0, 1)]);
        assert_eq!(rows(&[5], std::slice::from_ref(&(2..4))), [(2, 2)]);
        assert_eq!(rows(&[2, 3, 4], &[1..2, 0..2, 1..4]), [(13, 3), (17, 3)]);
    }

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
