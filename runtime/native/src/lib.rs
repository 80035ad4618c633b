//! Models run natively: the kernels compiled for this host, over the machine's memory.
//!
//! A tensor has the same address as in the machine, and every kernel gives the same bits, so after every big step the
//! memory is the machine's but for the scratch at its top, which nothing native touches. There the machine can take over:
//! [`Run::machine`].
//!
//! What a [`Native`] runs comes from a [`Compiled`] model. An image alone is not enough: its kernels are code of the guest.

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
    /// A kernel has no code for this host.
    #[error("cannot run natively: {0}")]
    Codegen(#[from] CodegenError),
    /// The system gives no executable memory.
    #[error("cannot make memory executable: {0}")]
    Code(std::io::Error),
    /// The system gives no threads.
    #[error("cannot start threads: {0}")]
    Threads(#[from] ThreadPoolBuildError),
    /// A schedule that is not the compiler's.
    #[error("big step {index} (node `{node}`) has {what}")]
    Schedule {
        /// Which big step.
        index: usize,
        /// Its node.
        node: String,
        /// What it has.
        what: &'static str,
    },
    /// Memory of another size than the model's.
    #[error("the memory has 2^{found} bytes; the model needs 2^{expected}")]
    MemorySize {
        /// log2 of the model's.
        expected: u32,
        /// log2 of what was given.
        found: u32,
    },
    /// Big steps that there are not.
    #[error("big steps {from} to {to} were asked for; there are {count}")]
    Boundary {
        /// The first.
        from: usize,
        /// One past the last.
        to: usize,
        /// How many there are.
        count: usize,
    },
    /// An image that was not made from the model.
    #[error("the image is not that of the model: its state root is {found}, the model's is {expected}")]
    OtherImage {
        /// The model's.
        expected: Root,
        /// The image's.
        found: Root,
    },
    /// The wrong number of inputs, or an input of the wrong size.
    #[error(
        "input {index} is {found} bytes long; the model has {count} inputs, and this one takes {expected}"
    )]
    Input {
        /// Which input.
        index: usize,
        /// How many inputs there are.
        count: usize,
        /// How long it must be; 0 if there is no such input.
        expected: u64,
        /// How long it is; 0 if it is not given.
        found: u64,
    },
    /// The image has no memory.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Below this many machine steps threads are not worth their while: some ten microseconds.
const WORTH_THREADS: u64 = 100_000;

/// How many pieces of work there are for each thread, so that a slow one does not hold up the others.
const PIECES: u64 = 4;

/// A model ready to be run.
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
    /// Compiles a model's kernels for this host, to run in so many threads; 0 is as many as the host has processors.
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

    /// How many big steps there are.
    #[must_use]
    pub fn big_steps(&self) -> usize {
        self.steps.len()
    }

    /// Runs all big steps over memory that holds the constants and the inputs.
    pub fn run(&self, memory: &mut Memory) -> Result<(), NativeError> {
        self.run_range(memory, 0..self.steps.len())
    }

    /// Runs some big steps, after those before them have been run.
    pub fn run_range(&self, memory: &mut Memory, range: Range<usize>) -> Result<(), NativeError> {
        if memory.bits() != self.memory_bits {
            return Err(NativeError::MemorySize { expected: self.memory_bits, found: memory.bits() });
        }
        let count = self.steps.len();
        let boundary = NativeError::Boundary { from: range.start, to: range.end, count };
        let mut rest = self.steps.get(range).ok_or(boundary)?;
        while let Some(first) = rest.first() {
            // Big steps that wait for nothing from the first on.
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
        // SAFETY: `steps::node` has checked that the kernel is one that dnn-lib makes for an operator, with a range of its
        // units; such a kernel accesses elements of its tensors only, and writes only those elements of its output that
        // belong to its units (the contract of `dnn_lib::kernel`, to which all its operators are held by tests that count
        // an access outside as an error). The same function has checked that each of the tensors is aligned and inside
        // `0..2^memory_bits`, and `run_range` that memory has that size, so with `memory.start` added they lie in the
        // mapping, which `memory` borrows mutably. What runs at the same time writes somewhere else: another range of the
        // same node by the contract, another node because its `after` says so; and an output is apart from its inputs.
        #[expect(unsafe_code, reason = "the code was made at run time")]
        unsafe {
            self.code.call(node.kernel, arguments);
        }
    }

    /// Tells memory what a big step wrote.
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

/// Memory that kernels may use as long as it is borrowed.
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

/// The same work with neighbouring ranges of a node joined.
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

/// A big step in pieces of about this much work.
fn pieces(step: &Step, work: u64) -> impl Iterator<Item = Step> + use<> {
    let (step, units) = (*step, step.hi - step.lo);
    let count = step.work.div_ceil(work.max(1)).clamp(1, units.max(1));
    let border =
        move |piece: u64| step.lo + (u128::from(units) * u128::from(piece) / u128::from(count)) as u64;
    (0..count).map(move |piece| Step { lo: border(piece), hi: border(piece + 1), ..step })
}

/// The runs of neighbouring elements of a box: the first and how many.
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
