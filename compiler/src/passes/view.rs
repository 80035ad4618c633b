//! Views: nodes whose output has the same bytes as their input. The two share memory, so a view costs
//! nothing.

use dnn_lib::operator::{Operator, OperatorError, Transpose};

use crate::graph::{Graph, GraphNode, Tensor, TensorId};
use crate::lower::lower;

/// Gives every output its own memory. An output that would share the memory of an input, a constant or an
/// earlier output becomes a copy.
pub(crate) fn separate_outputs(graph: &mut Graph) -> Result<(), OperatorError> {
    let roots = lower(graph)?.roots;
    let mut taken = vec![true; graph.tensors.len()];
    graph.nodes.iter().for_each(|node| taken[node.output.index()] = false);
    for place in 0..graph.outputs.len() {
        let output = graph.outputs[place];
        if std::mem::replace(&mut taken[roots[output.index()].index()], true) {
            graph.outputs[place] = copy(graph, output);
        }
    }
    Ok(())
}

/// Adds a node that copies a tensor: a transposition that changes no dimension.
fn copy(graph: &mut Graph, tensor: TensorId) -> TensorId {
    let Tensor { name, ty, .. } = graph.tensor(tensor).clone();
    let perm = Some((0..ty.shape.len() as u64).collect());
    let output = graph.add_tensor(Tensor { name: name.clone(), ty, value: None });
    graph.nodes.push(GraphNode {
        name: format!("copy of {name}"),
        operator: Operator::from(Transpose { perm }),
        inputs: vec![tensor],
        output,
    });
    output
}
