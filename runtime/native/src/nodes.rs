//! The nodes of a program, with everything needed to run them safely and in parallel.

use std::ops::Range;

use bytes::Bytes;
use dnn_lib::program::{Guard, Program};
use dnn_lib::tensor::{DType, TensorType};
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
    /// The bytes that say whether it is computed, and what each must be: zero, or anything else.
    pub guards: Vec<(u64, bool)>,
    reads: Vec<Range<u64>>,
    /// The addresses of the output.
    pub writes: Range<u64>,
    /// The last earlier node that this one must wait for, because one of the two writes what the other reads
    /// or writes.
    pub after: Option<usize>,
}

impl Node {
    /// All that it reads, guards included.
    fn reads(&self) -> impl Iterator<Item = Range<u64>> {
        self.reads.iter().cloned().chain(self.guards.iter().map(|&(address, _)| address..address + 1))
    }
}

/// A range of a node's units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub node: usize,
    pub lo: u64,
    pub hi: u64,
    /// About how many nanoseconds one thread needs for it.
    pub work: u64,
}

/// The checked program of an image.
pub(crate) fn program(image: &Image) -> Result<Program, NativeError> {
    let section = image.section(image::Section::PROGRAM).ok_or(NativeError::NoProgram)?;
    let tensor = |tensor: &image::Tensor| TensorType::new(tensor.dtype, tensor.shape.clone());
    let tensors: Vec<TensorType> = image.tensors.iter().map(tensor).collect();
    let program = Program::read(section, &tensors)?;
    if program.steps.len() != image.schedule.len() {
        let (expected, found) = (image.schedule.len(), program.steps.len());
        return Err(NativeError::Steps { expected, found });
    }
    Ok(program)
}

/// The nodes and big steps of a program, those of the period once. Their tensors are in memory, aligned, and apart from scratch; the
/// output of a node is apart from its inputs.
pub(crate) fn nodes(image: &Image, program: &Program) -> Result<(Vec<Node>, Vec<Step>), NativeError> {
    check_start(image)?;
    let nodes = (0..program.nodes.len()).map(|number| node(image, program, number));
    let mut nodes: Vec<Node> = nodes.collect::<Result<_, _>>()?;
    let written = written(image, &nodes);
    for index in 0..nodes.len() {
        nodes[index].after = (0..index).rev().find(|&before| conflict(&nodes[before], &nodes[index]));
        nodes[index].constants = constants(image, &nodes[index], &written);
    }
    let mut steps: Vec<Step> = Vec::with_capacity(program.steps.len());
    for (&number, big_step) in program.steps.iter().zip(&image.schedule) {
        let node = number as usize;
        if big_step.lo > big_step.hi || big_step.hi > nodes[node].units {
            return Err(refuse(node, "a big step with units that it hasn't"));
        }
        // Big steps of a node run at the same time.
        if steps.last().is_some_and(|last| last.node == node && big_step.lo < last.hi) {
            return Err(refuse(node, "big steps with units in common"));
        }
        steps.push(Step { node, lo: big_step.lo, hi: big_step.hi, work: 0 });
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
    let flag = TensorType::new(DType::Bool, []);
    let guard = |guard: &Guard| Some((range(guard.tensor, &flag)?.start, guard.when));
    let node = Node {
        definition: node.definition as usize,
        guards: node.guards.iter().map(guard).collect::<Option<_>>().ok_or_else(outside)?,
        inputs: reads.iter().map(|range| range.start).collect(),
        constants: Vec::new(),
        tile: dnn_lib::schedule::tile(definition),
        units: dnn_lib::schedule::units(definition),
        reads,
        writes,
        after: None,
    };
    // It would depend on the order in which threads or big steps of the node come to it.
    if node.reads().any(|reads| overlap(&reads, &node.writes)) {
        return Err(refuse(number, "an output over its inputs or guards"));
    }
    if node.reads().chain([node.writes.clone()]).any(|range| overlap(&range, &scratch(image))) {
        return Err(refuse(number, "a tensor in the scratch memory"));
    }
    Ok(node)
}

/// Checks that memory before the first big step is what native runs and contracts both take it for.
fn check_start(image: &Image) -> Result<(), NativeError> {
    if image.interface.as_ref().is_some_and(|interface| interface.scratch_bits != codegen::link::STACK_BITS) {
        return Err(NativeError::Start("its scratch memory has another size than its code uses"));
    }
    // Only the machine's scratch would be zero after a big step.
    let range = |segment: &image::Segment| {
        segment.address..segment.address.saturating_add(segment.bytes.len() as u64)
    };
    if image.segments.iter().any(|segment| overlap(&range(segment), &scratch(image))) {
        return Err(NativeError::Start("it has constants in the scratch memory"));
    }
    Ok(())
}

/// The regions of the inputs.
fn regions(image: &Image) -> impl Iterator<Item = Range<u64>> {
    let regions = image.interface.iter().flat_map(|interface| &interface.inputs);
    regions.filter_map(|region| region.range())
}

/// What can differ from the image's memory: outputs of nodes, and inputs. Ascending and disjoint.
fn written(image: &Image, nodes: &[Node]) -> Vec<Range<u64>> {
    let given = image.tensors.iter().filter(|tensor| tensor.role == Role::Input);
    let given = given.map(|tensor| tensor.address..tensor.address.saturating_add(tensor.bytes));
    let outputs = nodes.iter().map(|node| node.writes.clone());
    let mut all: Vec<Range<u64>> = outputs.chain(given).chain(regions(image)).collect();
    all.sort_unstable_by_key(|range| range.start);
    let mut written: Vec<Range<u64>> = Vec::new();
    for range in all {
        match written.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => written.push(range),
        }
    }
    written
}

/// The inputs of a node that are in the image and that nothing writes.
fn constants(image: &Image, node: &Node, written: &[Range<u64>]) -> Vec<(usize, Bytes)> {
    let constant = |(input, reads): (usize, &Range<u64>)| {
        let before = written.partition_point(|range| range.end <= reads.start);
        let changes = written.get(before).is_some_and(|range| overlap(range, reads));
        let length = usize::try_from(reads.end - reads.start).ok().filter(|_| !changes)?;
        Some((input, image.initial(reads.start, length)?))
    };
    node.reads.iter().enumerate().filter_map(constant).collect()
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
        || a.reads().any(|reads| overlap(&reads, &b.writes))
        || b.reads().any(|reads| overlap(&reads, &a.writes))
}
