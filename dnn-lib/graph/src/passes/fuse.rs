//! Fusion: a node that computes element by element joins the node that computes what it reads. The tensor
//! between them is neither stored nor loaded, and needs no memory.

use std::ops::Range;

use dnn_lib::definition::{Definition, Source, Step, keeps_bits};
use dnn_lib::tensor::{DType, TensorType};

use crate::lower::{Computed, Lowered};
use crate::{Graph, TensorId};

use super::share::range;

/// The most nodes that become one.
const MOST_NODES: usize = 8;

/// The most tensors that a node reads after it was joined. Their addresses are in registers.
const MOST_INPUTS: usize = 12;

/// The most steps of an element that may be computed again.
const FEW_STEPS: usize = 8;

/// The most steps of an element. The more values it has, the fewer of them stay in registers.
const MOST_STEPS: usize = 64;

/// Joins nodes where it changes no bit and costs nothing. The result is where the last one was.
pub fn fuse(graph: &Graph, mut lowered: Lowered) -> Lowered {
    let Uses { mut reads, own } = Uses::of(graph, &lowered);
    let again = again(&lowered, &reads, &own);
    let mut writers: Vec<Option<usize>> = vec![None; graph.tensors.len()];
    let mut nodes: Vec<Option<Computed>> = Vec::new();
    for mut node in std::mem::take(&mut lowered.nodes) {
        while let Some((before, fused)) = (0..node.inputs.len()).find_map(|input| {
            let tensor = node.inputs[input];
            let before = writers[tensor.index()]?;
            let joins = own[tensor.index()] && (reads[tensor.index()] == 1 || again[tensor.index()]);
            let fused = joins.then(|| join(nodes[before].as_ref()?, &node, input))??;
            let (first, between) = nodes[before..].split_first()?;
            stays(graph, &lowered, first.as_ref()?, between, &fused).then_some((before, fused))
        }) {
            node.inputs.iter().for_each(|id| reads[id.index()] -= 1);
            fused.inputs.iter().for_each(|id| reads[id.index()] += 1);
            // Otherwise others compute it again.
            if let Some(first) = nodes[before].take_if(|first| reads[first.output.index()] == 0) {
                first.inputs.iter().for_each(|id| reads[id.index()] -= 1);
            }
            node = fused;
        }
        writers[node.output.index()] = Some(nodes.len());
        nodes.push(Some(node));
    }
    lowered.nodes = nodes.into_iter().flatten().collect();
    lowered
}

/// How tensors are used.
struct Uses {
    /// How often each is read.
    reads: Vec<usize>,
    /// Whether it is written once, no output, and shares its memory with nothing.
    own: Vec<bool>,
}

impl Uses {
    fn of(graph: &Graph, lowered: &Lowered) -> Self {
        let (mut reads, mut writes) = (vec![0; graph.tensors.len()], vec![0; graph.tensors.len()]);
        for node in &lowered.nodes {
            node.reads().for_each(|id| reads[id.index()] += 1);
            writes[node.output.index()] += 1;
        }
        let mut own: Vec<bool> = writes.iter().map(|&count| count == 1).collect();
        graph.outputs.iter().for_each(|id| own[id.index()] = false);
        for id in graph.ids() {
            let root = lowered.place(id).root;
            if root != id {
                (own[id.index()], own[root.index()]) = (false, false);
            }
        }
        Self { reads, own }
    }
}

/// For each tensor, whether all that read it may compute it instead: floats from bytes, which takes few steps. As bytes,
/// less is stored and loaded.
fn again(lowered: &Lowered, reads: &[usize], own: &[bool]) -> Vec<bool> {
    let mut writers: Vec<Option<&Computed>> = vec![None; reads.len()];
    for node in &lowered.nodes {
        let tensor = node.output.index();
        writers[tensor] = Some(node).filter(|node| own[tensor] && is_dequantization(node));
    }
    let mut joined = vec![0; reads.len()];
    for node in &lowered.nodes {
        for (input, id) in node.inputs.iter().enumerate() {
            let joins = writers[id.index()].is_some_and(|first| join(first, node, input).is_some());
            joined[id.index()] += usize::from(joins);
        }
    }
    let all = |tensor: usize| writers[tensor].is_some() && joined[tensor] == reads[tensor];
    (0..reads.len()).map(all).collect()
}

/// Whether a node makes floats of bytes, in a few steps.
fn is_dequantization(node: &Computed) -> bool {
    let definition = &node.definition;
    let simple = |step: &Step| matches!(step, Step::Let(..) | Step::Load(..));
    let size = |ty: &TensorType| ty.elements();
    let of_bytes =
        definition.inputs.iter().all(|ty| ty.dtype.size() == 1 || size(ty) != size(&definition.output));
    let [stage] = &definition.stages[..] else { return false };
    of_bytes
        && definition.output.dtype == DType::F32
        && stage.steps.len() <= FEW_STEPS
        && stage.steps.iter().all(simple)
}

/// Whether what the first of two nodes reads is the same where the second one is, and nothing that both read is where
/// they write as one.
fn stays(
    graph: &Graph,
    lowered: &Lowered,
    first: &Computed,
    between: &[Option<Computed>],
    fused: &Computed,
) -> bool {
    let memory = |id| range(graph, lowered, id);
    let overlap = |a: &(TensorId, Range<u64>), b: &(TensorId, Range<u64>)| {
        a.0 == b.0 && a.1.start < b.1.end && b.1.start < a.1.end
    };
    let untouched = |reader: &Computed, output: TensorId| {
        let written = memory(output);
        reader.inputs.iter().all(|&read| !overlap(&memory(read), &written))
    };
    untouched(fused, fused.output) && between.iter().flatten().all(|node| untouched(first, node.output))
}

/// Two nodes as one, if the second can follow each element of the first.
fn join(first: &Computed, second: &Computed, input: usize) -> Option<Computed> {
    let together = first.phase == second.phase && first.guards == second.guards;
    let name = |a: &str, b: &str| format!("{a}+{b}");
    let operator = name(&first.operator, &second.operator);
    let few = operator.matches('+').count() < MOST_NODES;
    // A sum that is used twice would take a register for as long.
    let lasts = has_sums(&first.definition) && loads(&second.definition, input) > 1;
    let mut definition =
        (together && few && !lasts).then(|| first.definition.then(&second.definition, input))??;
    let others = second.inputs.iter().enumerate().filter(|&(index, _)| index != input);
    let mut inputs: Vec<TensorId> = first.inputs.iter().chain(others.map(|(_, id)| id)).copied().collect();
    // What both read is read by one input.
    let twins = |inputs: &[TensorId], definition: &Definition| {
        let pairs = (1..inputs.len()).flat_map(|twin| (0..twin).map(move |input| (input, twin)));
        let mut same = pairs.filter(|&(input, twin)| inputs[input] == inputs[twin]);
        same.find_map(|(input, twin)| Some((twin, definition.with_twin(input, twin)?)))
    };
    while let Some((twin, joined)) = twins(&inputs, &definition) {
        inputs.remove(twin);
        definition = joined;
    }
    let joins = inputs.len() <= MOST_INPUTS
        && definition.last().steps.len() <= MOST_STEPS
        && (keeps_bits(first.definition.output.dtype) || is_of_one_byte(&definition))
        && dnn_lib::schedule::keeps_pace(&first.definition, &definition);
    joins.then(|| Computed {
        name: name(&first.name, &second.name),
        operator,
        definition,
        inputs,
        output: second.output,
        guards: second.guards.clone(),
        phase: second.phase,
        copy: false,
    })
}

/// Whether all elements are bytes, and depend on one byte of the same tensor each, and else on what is the same for
/// many: this computer looks them up. Other bytes are better stored: what follows a product would no longer be as
/// simple.
fn is_of_one_byte(definition: &Definition) -> bool {
    let size = definition.output.elements();
    let mut large = definition.inputs.iter().filter(|ty| ty.elements() == size);
    let is_byte = |ty: &TensorType| matches!(ty.dtype, DType::U8 | DType::I8);
    let alone = large.next().is_some_and(is_byte) && large.next().is_none();
    is_byte(&definition.output) && alone && !has_sums(definition)
}

fn has_sums(definition: &Definition) -> bool {
    definition.last().steps.iter().any(|step| matches!(step, Step::Reduce(_)))
}

/// How often the elements of an input are loaded, apart from sums.
fn loads(definition: &Definition, input: usize) -> usize {
    let of_input =
        |step: &&Step| matches!(step, Step::Load(_, load) if load.from == Source::Input(input as u32));
    definition.last().steps.iter().filter(of_input).count()
}
