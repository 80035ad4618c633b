//! A concatenation of many tensors, which is one kernel with as many arguments.

use compiler::graph::{GraphNode, Tensor};
use compiler::{Graph, Options, reference};
use dnn_lib::operator::{Concat, Operator};
use dnn_lib::tensor::{DType, TensorType};
use image::Role;
use interpreter::Interpreter;
use step::Status;

/// The concatenation of this many inputs along the last axis: one with 1 column, one with 2, and so on.
fn graph(inputs: u64) -> Graph {
    let mut graph = Graph::default();
    let mut tensor = |name: String, columns: u64| {
        graph.add_tensor(Tensor { name, ty: TensorType::new(DType::I16, [3, columns]), value: None })
    };
    let ids: Vec<_> = (1..=inputs).map(|columns| tensor(format!("x{columns}"), columns)).collect();
    let output = tensor("y".to_owned(), (1..=inputs).sum());
    let operator = Operator::from(Concat { axis: -1 });
    graph.nodes = vec![GraphNode { name: "wide".to_owned(), operator, inputs: ids.clone(), output }];
    (graph.inputs, graph.outputs) = (ids, vec![output]);
    graph
}

#[test]
fn any_number_of_tensors_is_joined() {
    for count in [1, 5, 6, 25, 26, 40] {
        let graph = graph(count);
        let tensor = |columns: u64| (0..6 * columns).map(|byte| (byte * 7 + columns) as u8).collect();
        let inputs: Vec<Vec<u8>> = (1..=count).map(tensor).collect();
        let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let expected = reference::execute(&graph, &slices).expect("the reference");
        let compiled =
            compiler::compile_graph(graph, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(compiled.schedule.steps.len(), 1);

        let image = &compiled.image;
        let mut machine = Interpreter::new(image).expect("memory");
        let tensors = |role| image.tensors.iter().filter(move |tensor| tensor.role == role);
        for (tensor, input) in tensors(Role::Input).zip(&inputs) {
            machine.write_memory(tensor.address, input).expect("inside");
        }
        assert_eq!(machine.run(image.interface.as_ref().expect("an interface").bound).status, Status::Exited);
        let output = tensors(Role::Output).next().expect("an output");
        assert_eq!(
            machine.read_memory(output.address, output.bytes as usize),
            Some(&expected[0][..]),
            "{count}"
        );
    }
}
