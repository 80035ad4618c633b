//! Splits nodes with more inputs than a kernel can have. Joining a few tensors at a time gives the same
//! bytes.

use dnn_lib::operator::{Operator, OperatorError};

use crate::graph::{Graph, GraphNode, Tensor, TensorId};

/// A kernel's parameters are its inputs, its output and a range. At most eight of them are passed in
/// registers.
pub(crate) const MOST_INPUTS: usize = 5;

/// Replaces each wide concatenation by a tree of narrow ones.
pub(crate) fn narrow(graph: &mut Graph) -> Result<(), OperatorError> {
    for mut node in std::mem::take(&mut graph.nodes) {
        while matches!(node.operator, Operator::Concat(_)) && node.inputs.len() > MOST_INPUTS {
            let parts: Vec<Vec<TensorId>> =
                node.inputs.chunks(MOST_INPUTS).map(<[TensorId]>::to_vec).collect();
            node.inputs =
                parts.into_iter().map(|inputs| part(graph, &node, inputs)).collect::<Result<_, _>>()?;
        }
        graph.nodes.push(node);
    }
    Ok(())
}

/// Joins some inputs of a node.
fn part(graph: &mut Graph, node: &GraphNode, inputs: Vec<TensorId>) -> Result<TensorId, OperatorError> {
    if let [alone] = inputs[..] {
        return Ok(alone);
    }
    let types = node.operator.infer(&graph.types(&inputs))?;
    let ty = types.into_iter().next().unwrap_or_else(|| graph.tensor(node.output).ty.clone());
    let name = format!("part of {}", graph.tensor(node.output).name);
    let output = graph.add_tensor(Tensor { name, ty, value: None });
    graph.nodes.push(GraphNode { name: node.name.clone(), operator: node.operator.clone(), inputs, output });
    Ok(output)
}
