//! Makes one run of many: a model that is run several times, its states going from one to the next.

use bytes::Bytes;
use dnn_lib::tensor::{DType, TensorType};

use crate::{Graph, Kind, Node, Region, Repeat, Tensor, TensorId};

/// The graph that does in one run what this one does in so many, if inputs that are no states stay the same. The
/// outputs are those of the last one.
pub fn repeat(mut graph: Graph, times: u64) -> Graph {
    let state = |graph: &Graph, output: usize| graph.states.iter().position(|state| state.output == output);
    let next = |graph: &mut Graph, of: TensorId, value: Option<Bytes>| {
        let Tensor { name, ty, .. } = graph.tensor(of).clone();
        graph.add_tensor(Tensor { name, ty, value })
    };
    // Inside, states have the numbers that they had.
    let inside: Vec<TensorId> = graph.states.iter().map(|state| graph.inputs[state.input]).collect();
    for (index, &old) in inside.iter().enumerate() {
        graph.inputs[graph.states[index].input] = next(&mut graph, old, None);
    }
    let made = graph.outputs.clone();
    let (mut first, mut carried, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for (place, &output) in made.iter().enumerate() {
        match state(&graph, place) {
            Some(index) => {
                first.push(graph.inputs[graph.states[index].input]);
                carried.push(inside[index]);
            }
            None => {
                // What was before the first run is never seen.
                let bytes = graph.tensor(output).ty.bytes().unwrap_or(0) as usize;
                first.push(next(&mut graph, output, Some(vec![0; bytes].into())));
                carried.push(next(&mut graph, output, None));
            }
        }
        last.push(next(&mut graph, output, None));
    }
    let number = TensorType::new(DType::I64, []);
    let number = graph.add_tensor(Tensor { name: "number".to_owned(), ty: number, value: None });
    let inputs = [&[number], &carried[..]].concat();
    let body = Region { inputs, nodes: std::mem::take(&mut graph.nodes), outputs: made };
    graph.nodes.push(Node {
        name: "repeat".to_owned(),
        kind: Kind::Repeat(Repeat { times, conditional: false, body }),
        inputs: first,
        outputs: last.iter().copied().map(Some).collect(),
    });
    graph.outputs = last;
    graph
}
