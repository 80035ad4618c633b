//! The nodes of a program, with everything needed to run them safely and in parallel.

use std::ops::Range;

use bytes::Bytes;
use dnn_lib::program::Program;
use dnn_lib::tensor::TensorType;
use image::{Image, Role};

use crate::NativeError;

/// A definition with the addresses of its tensors.
#[derive(Debug)]
pub(crate) struct Node {
    /// The definition.
    pub definition: usize,
    /// The addresses of the inputs.
    pub inputs: Vec<u64>,
    /// The shape of a unit.
    pub tile: Vec<u64>,
    /// The number of units.
    pub units: u64,
    /// The inputs that never change, with their bytes.
    pub constants: Vec<(usize, Bytes)>,
    reads: Vec<Range<u64>>,
    /// The addresses of the output.
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

/// The checked program of an image.
pub(crate) fn program(image: &Image) -> Result<Program, NativeError> {
    let section = image.section(image::Section::PROGRAM).ok_or(NativeError::NoProgram)?;
    let tensor = |tensor: &image::Tensor| TensorType::new(tensor.dtype, tensor.shape.clone());
    let tensors: Vec<TensorType> = image.tensors.iter().map(tensor).collect();
    let program = Program::read(section, &tensors)?;
    if image.period.is_some() {
        return Err(NativeError::Period);
    }
    if program.steps.len() != image.schedule.len() {
        let (expected, found) = (image.schedule.len(), program.steps.len());
        return Err(NativeError::Steps { expected, found });
    }
    Ok(program)
}

/// The nodes and big steps of a program. Their tensors are in memory, aligned, and apart from scratch; the
/// output of a node is apart from its inputs.
pub(crate) fn nodes(image: &Image, program: &Program) -> Result<(Vec<Node>, Vec<Step>), NativeError> {
    let nodes = (0..program.nodes.len()).map(|number| node(image, program, number));
    let mut nodes: Vec<Node> = nodes.collect::<Result<_, _>>()?;
    for index in 0..nodes.len() {
        nodes[index].after = (0..index).rev().find(|&before| conflict(&nodes[before], &nodes[index]));
        nodes[index].constants = constants(image, &nodes, index);
    }
    let mut steps = Vec::with_capacity(program.steps.len());
    for (&number, big_step) in program.steps.iter().zip(&image.schedule) {
        let node = number as usize;
        if big_step.lo > big_step.hi || big_step.hi > nodes[node].units {
            return Err(refuse(node, "a big step with units that it hasn't"));
        }
        steps.push(Step { node, lo: big_step.lo, hi: big_step.hi, work: big_step.bound });
    }
    Ok((nodes, steps))
}

fn refuse(node: usize, what: &'static str) -> NativeError {
    NativeError::Node { node, what }
}

fn node(image: &Image, program: &Program, number: usize) -> Result<Node, NativeError> {
    let node = &program.nodes[number];
    let definition = program.definition(node);
    // `Program::read` has checked that there are such tensors, with as many bytes as the definition's.
    let range = |tensor: u32, ty: &TensorType| {
        let address = image.tensors.get(tensor as usize)?.address;
        let end = address.checked_add(ty.bytes()?)?;
        (end <= image.profile.memory_size() && address.is_multiple_of(ty.dtype.size()))
            .then_some(address..end)
    };
    let outside = || refuse(number, "a tensor that is not in memory or not aligned");
    let reads = node.inputs.iter().zip(&definition.inputs).map(|(&tensor, ty)| range(tensor, ty));
    let reads: Vec<Range<u64>> = reads.collect::<Option<_>>().ok_or_else(outside)?;
    let writes = range(node.output, &definition.output).ok_or_else(outside)?;
    if reads.iter().any(|reads| overlap(reads, &writes)) {
        return Err(refuse(number, "an output over its inputs"));
    }
    if overlap(&writes, &scratch(image)) {
        return Err(refuse(number, "an output in the scratch memory"));
    }
    Ok(Node {
        definition: node.definition as usize,
        inputs: reads.iter().map(|range| range.start).collect(),
        constants: Vec::new(),
        tile: dnn_lib::schedule::tile(definition),
        units: dnn_lib::schedule::units(definition),
        reads,
        writes,
        after: None,
    })
}

/// The inputs of a node that are in the image and that nothing writes.
fn constants(image: &Image, nodes: &[Node], index: usize) -> Vec<(usize, Bytes)> {
    let inputs = image.tensors.iter().filter(|tensor| tensor.role == Role::Input);
    let given: Vec<Range<u64>> =
        inputs.map(|tensor| tensor.address..tensor.address.saturating_add(tensor.bytes)).collect();
    let constant = |(input, reads): (usize, &Range<u64>)| {
        let written = nodes.iter().map(|node| &node.writes).chain(&given).any(|range| overlap(range, reads));
        let length = usize::try_from(reads.end - reads.start).ok().filter(|_| !written)?;
        Some((input, image.initial(reads.start, length)?))
    };
    nodes[index].reads.iter().enumerate().filter_map(constant).collect()
}

/// The memory that counts as zero between big steps.
fn scratch(image: &Image) -> Range<u64> {
    let end = image.profile.memory_size();
    end.saturating_sub(codegen::link::STACK_BYTES)..end
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
