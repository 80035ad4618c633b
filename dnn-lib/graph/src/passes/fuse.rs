//! Fusion: a node that computes element by element joins the node that computes what it reads. The tensor
//! between them is neither stored nor loaded, and needs no memory.

use std::ops::Range;

use crate::lower::{Computed, Lowered};
use crate::{Graph, TensorId};

use super::share::range;

/// The most nodes that become one.
const MOST_NODES: usize = 8;

/// The most tensors that a node reads after it was joined. Their addresses are in registers.
const MOST_INPUTS: usize = 12;

/// The most steps of an element. The more values it has, the fewer of them stay in registers.
const MOST_STEPS: usize = 64;

/// Joins nodes where it changes no bit and costs nothing. The result is where the last one was.
pub fn fuse(graph: &Graph, mut lowered: Lowered) -> Lowered {
    let alone = alone(graph, &lowered);
    let mut writers: Vec<Option<usize>> = vec![None; graph.tensors.len()];
    let mut nodes: Vec<Option<Computed>> = Vec::new();
    for mut node in std::mem::take(&mut lowered.nodes) {
        while let Some((before, fused)) = (0..node.inputs.len()).find_map(|input| {
            let tensor = node.inputs[input];
            let before = writers[tensor.index()].filter(|_| alone[tensor.index()])?;
            let fused = join(nodes[before].as_ref()?, &node, input)?;
            stays(graph, &lowered, &nodes[before + 1..], &fused).then_some((before, fused))
        }) {
            nodes[before] = None;
            node = fused;
        }
        writers[node.output.index()] = Some(nodes.len());
        nodes.push(Some(node));
    }
    lowered.nodes = nodes.into_iter().flatten().collect();
    lowered
}

/// For each tensor, whether it is written once, read once, and shares its memory with nothing.
fn alone(graph: &Graph, lowered: &Lowered) -> Vec<bool> {
    let (mut reads, mut writes) = (vec![0; graph.tensors.len()], vec![0; graph.tensors.len()]);
    graph.outputs.iter().for_each(|id| reads[id.index()] += 1);
    for node in &lowered.nodes {
        node.reads().for_each(|id| reads[id.index()] += 1);
        writes[node.output.index()] += 1;
    }
    let mut alone: Vec<bool> = reads.iter().zip(writes).map(|count| count == (&1, 1)).collect();
    for id in graph.ids() {
        let root = lowered.place(id).root;
        if root != id {
            (alone[id.index()], alone[root.index()]) = (false, false);
        }
    }
    alone
}

/// Whether what a joined node reads is the same where the second one was, and is not where it writes.
fn stays(graph: &Graph, lowered: &Lowered, between: &[Option<Computed>], fused: &Computed) -> bool {
    let memory = |id| range(graph, lowered, id);
    let overlap = |a: &(TensorId, Range<u64>), b: &(TensorId, Range<u64>)| {
        a.0 == b.0 && a.1.start < b.1.end && b.1.start < a.1.end
    };
    let reads: Vec<_> = fused.inputs.iter().map(|&id| memory(id)).collect();
    let untouched = |output: TensorId| {
        let written = memory(output);
        reads.iter().all(|read| !overlap(read, &written))
    };
    untouched(fused.output) && between.iter().flatten().all(|node| untouched(node.output))
}

/// Two nodes as one, if the second can follow each element of the first.
fn join(first: &Computed, second: &Computed, input: usize) -> Option<Computed> {
    let together = first.phase == second.phase && first.guards == second.guards;
    let name = |a: &str, b: &str| format!("{a}+{b}");
    let operator = name(&first.operator, &second.operator);
    let small = operator.matches('+').count() < MOST_NODES
        && first.inputs.len() + second.inputs.len() - 1 <= MOST_INPUTS;
    let definition = (together && small).then(|| first.definition.then(&second.definition, input))??;
    let others = second.inputs.iter().enumerate().filter(|&(index, _)| index != input);
    let inputs: Vec<TensorId> = first.inputs.iter().chain(others.map(|(_, id)| id)).copied().collect();
    let quick = definition.last().steps.len() <= MOST_STEPS
        && dnn_lib::schedule::keeps_pace(&first.definition, &definition);
    quick.then(|| Computed {
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
