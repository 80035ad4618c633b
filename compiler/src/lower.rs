//! What a graph computes: a definition for each node, and which tensors share memory. Memory is planned and
//! the schedule is made from this list alone.

use dnn_lib::definition::Definition;
use dnn_lib::operator::{Meaning, OperatorError};

use crate::graph::{Graph, TensorId};

/// The computed nodes of a graph.
#[derive(Debug)]
pub(crate) struct Lowered {
    /// Each after those whose outputs it reads.
    pub(crate) nodes: Vec<Computed>,
    /// For each tensor, the one whose memory it shares: itself, unless a view defines it.
    pub(crate) roots: Vec<TensorId>,
}

/// A node that computes something.
#[derive(Debug)]
pub(crate) struct Computed {
    /// The name of the node, or the names of several that became one: `conv1+relu1`.
    pub(crate) name: String,
    /// The name of the operator, or likewise: `Conv+Relu`.
    pub(crate) operator: String,
    pub(crate) definition: Definition,
    /// The tensors that it reads.
    pub(crate) inputs: Vec<TensorId>,
    /// The tensor that it writes.
    pub(crate) output: TensorId,
}

/// Defines every node. Views and what has no elements are not computed.
pub(crate) fn lower(graph: &Graph) -> Result<Lowered, OperatorError> {
    let (mut nodes, mut roots) = (Vec::new(), graph.ids().collect::<Vec<_>>());
    for node in &graph.nodes {
        match (node.operator.define(&graph.types(&node.inputs))?, node.inputs.first()) {
            (Some(Meaning::Computed(definition)), _) => nodes.push(Computed {
                name: node.name.clone(),
                operator: node.operator.name().to_owned(),
                definition,
                inputs: node.inputs.clone(),
                output: node.output,
            }),
            (Some(Meaning::View), Some(input)) => roots[node.output.index()] = roots[input.index()],
            _ => {}
        }
    }
    Ok(Lowered { nodes, roots })
}

impl Lowered {
    /// The tensors that are in memory: inputs, outputs, what nodes read and write, and those whose memory
    /// these share.
    pub(crate) fn used<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = TensorId> + use<'a> {
        let mut used = vec![false; graph.tensors.len()];
        let of_nodes = self.nodes.iter().flat_map(|node| node.inputs.iter().chain([&node.output]));
        for id in graph.inputs.iter().chain(&graph.outputs).chain(of_nodes) {
            used[id.index()] = true;
            used[self.roots[id.index()].index()] = true;
        }
        graph.ids().filter(move |id| used[id.index()])
    }
}
