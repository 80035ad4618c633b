//! The big steps of a model, with everything needed to run them safely and in parallel.

use std::ops::Range;

use compiler::Compiled;
use dnn_lib::kernel::Kernel;
use dnn_lib::operator::Lowering;

use crate::NativeError;

/// A node: a kernel with its addresses.
#[derive(Debug)]
pub(crate) struct Node {
    pub kernel: usize,
    /// The addresses of the inputs and the output.
    pub addresses: Vec<u64>,
    /// The number of units.
    pub units: u64,
    reads: Vec<Range<u64>>,
    pub writes: Range<u64>,
    /// The last earlier node that this one must wait for, because one of the two writes what the other reads
    /// or writes.
    pub after: Option<usize>,
}

/// A range of a node's units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub node: usize,
    pub lo: u64,
    pub hi: u64,
    /// An upper bound of machine steps, as a measure of the work.
    pub work: u64,
}

/// Reads and checks the schedule of a model.
pub(crate) fn steps(compiled: &Compiled) -> Result<(Vec<Node>, Vec<Step>), NativeError> {
    let (mut nodes, mut steps): (Vec<Node>, Vec<Step>) = (Vec::new(), Vec::new());
    let mut last = None;
    for (index, step) in compiled.schedule.steps.iter().enumerate() {
        if last.replace(step.place) != Some(step.place) {
            nodes.push(node(compiled, index)?);
        }
        let node = nodes.len() - 1;
        if step.lo > step.hi || step.hi > nodes[node].units {
            return Err(refuse(compiled, index, "a range outside its units"));
        }
        let work = compiled.image.schedule.get(index).map_or(0, |step| step.bound);
        steps.push(Step { node, lo: step.lo, hi: step.hi, work });
    }
    for index in 0..nodes.len() {
        nodes[index].after = (0..index).rev().find(|&before| conflict(&nodes[before], &nodes[index]));
    }
    Ok((nodes, steps))
}

fn refuse(compiled: &Compiled, index: usize, what: &'static str) -> NativeError {
    let node = compiled.schedule.steps.get(index).map(|step| step.node.clone()).unwrap_or_default();
    NativeError::Schedule { index, node, what }
}

/// The node of a big step. Its kernel must be the one that dnn-lib makes for its operator, because such a
/// kernel stays inside its tensors. The tensors must be aligned and in memory, and the output must not
/// overlap the inputs.
fn node(compiled: &Compiled, index: usize) -> Result<Node, NativeError> {
    let refuse = |what| refuse(compiled, index, what);
    let step = &compiled.schedule.steps[index];
    let kernel = compiled.schedule.kernels.get(step.kernel).ok_or_else(|| refuse("no kernel"))?;
    let node = compiled.graph.nodes.get(step.place).ok_or_else(|| refuse("no node"))?;
    let lowered = node.operator.lower(&compiled.graph.types(&node.inputs));
    let Ok(Lowering::Kernels(kernels)) = lowered else { return Err(refuse("a node that computes nothing")) };
    if kernels[..] != [kernel.clone()] {
        return Err(refuse("a kernel that is not its operator's"));
    }
    let addresses = step.addresses(&compiled.plan);
    let ranges = ranges(kernel, &addresses, compiled.plan.memory_size());
    let mut ranges = ranges.ok_or_else(|| refuse("a tensor that is not in memory or not aligned"))?;
    let writes = ranges.pop().ok_or_else(|| refuse("no output"))?;
    if ranges.iter().any(|reads| overlap(reads, &writes)) {
        return Err(refuse("an output over its inputs"));
    }
    Ok(Node { kernel: step.kernel, addresses, units: kernel.units(), reads: ranges, writes, after: None })
}

/// The memory ranges of a kernel's inputs and its output, if they are in memory.
fn ranges(kernel: &Kernel, addresses: &[u64], memory: u64) -> Option<Vec<Range<u64>>> {
    let tensors = kernel.inputs.iter().chain([&kernel.output]);
    let range = |(ty, &address): (&dnn_lib::tensor::TensorType, &u64)| {
        let end = address.checked_add(ty.bytes()?)?;
        (end <= memory && address.is_multiple_of(ty.dtype.size())).then_some(address..end)
    };
    let ranges: Vec<Range<u64>> = tensors.zip(addresses).map(range).collect::<Option<_>>()?;
    (ranges.len() == kernel.inputs.len() + 1 && addresses.len() == ranges.len()).then_some(ranges)
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Whether the order of two nodes matters.
fn conflict(a: &Node, b: &Node) -> bool {
    overlap(&a.writes, &b.writes)
        || a.reads.iter().any(|reads| overlap(reads, &b.writes))
        || b.reads.iter().any(|reads| overlap(reads, &a.writes))
}
