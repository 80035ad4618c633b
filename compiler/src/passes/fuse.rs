//! Fusion: a node that computes element by element joins the node that computes what it reads. The tensor
//! between them is neither stored nor loaded, and needs no memory.

use crate::graph::{Graph, TensorId};
use crate::lower::{Computed, Lowered};

/// The most nodes that become one.
const MOST_NODES: usize = 8;

/// The most tensors that a node reads after it was joined. Their addresses are in registers.
const MOST_INPUTS: usize = 12;

/// The most steps of an element. The more values it has, the fewer of them stay in registers.
const MOST_STEPS: usize = 64;

/// Joins nodes where it changes no bit and costs nothing. The result is where the last one was.
pub(crate) fn fuse(graph: &Graph, lowered: Lowered) -> Lowered {
    let readers = readers(graph);
    let mut writers: Vec<Option<usize>> = vec![None; graph.tensors.len()];
    let mut nodes: Vec<Option<Computed>> = Vec::new();
    for mut node in lowered.nodes {
        while let Some((before, fused)) = (0..node.inputs.len()).find_map(|input| {
            let tensor = node.inputs[input];
            let before = writers[tensor.index()].filter(|_| readers[tensor.index()] == 1)?;
            Some((before, join(nodes[before].as_ref()?, &node, input)?))
        }) {
            nodes[before] = None;
            node = fused;
        }
        writers[node.output.index()] = Some(nodes.len());
        nodes.push(Some(node));
    }
    Lowered { nodes: nodes.into_iter().flatten().collect(), ..lowered }
}

/// How often each tensor is read. A view reads it, and so does whoever takes the output of the model.
fn readers(graph: &Graph) -> Vec<usize> {
    let mut readers = vec![0; graph.tensors.len()];
    let inputs = graph.nodes.iter().flat_map(|node| &node.inputs);
    inputs.chain(&graph.outputs).for_each(|id| readers[id.index()] += 1);
    readers
}

/// Two nodes as one, if the second can follow each element of the first.
fn join(first: &Computed, second: &Computed, input: usize) -> Option<Computed> {
    let name = |a: &str, b: &str| format!("{a}+{b}");
    let operator = name(&first.operator, &second.operator);
    let small = operator.matches('+').count() < MOST_NODES
        && first.inputs.len() + second.inputs.len() - 1 <= MOST_INPUTS;
    let definition = small.then(|| first.definition.then(&second.definition, input))??;
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
    })
}
