//! Gives every output a tensor of its own: an input, a constant or an earlier output gets a second name.

use dnn_lib::operator::{Identity, Operator};

use crate::{Graph, Kind, Node, Tensor, TensorId};

/// Adds nodes so that no output is an input, a constant or another output.
pub fn separate(graph: &mut Graph) {
    let mut taken = vec![false; graph.tensors.len()];
    graph.inputs.iter().for_each(|id| taken[id.index()] = true);
    for place in 0..graph.outputs.len() {
        let output = graph.outputs[place];
        let constant = graph.tensor(output).value.is_some();
        if std::mem::replace(&mut taken[output.index()], true) || constant {
            graph.outputs[place] = again(graph, output);
        }
    }
}

/// The same tensor under another number.
fn again(graph: &mut Graph, tensor: TensorId) -> TensorId {
    let Tensor { name, ty, .. } = graph.tensor(tensor).clone();
    let output = graph.add_tensor(Tensor { name: name.clone(), ty, value: None });
    graph.nodes.push(Node {
        name: format!("copy of {name}"),
        kind: Kind::Operator(Operator::from(Identity)),
        inputs: vec![tensor],
        outputs: vec![Some(output)],
    });
    output
}
