//! A concatenation of many tensors, which is one kernel with as many arguments.

use compiler::Options;
use dnn_lib::operator::Concat;
use dnn_lib::tensor::{DType, TensorType};
use graph::{Builder, Graph, reference};
use image::Role;
use interpreter::Interpreter;
use step::Status;

/// The concatenation of this many inputs along the last axis: one with 1 column, one with 2, and so on.
fn joined(inputs: u64) -> Graph {
    let mut b = Builder::new("", 1 << 20);
    let mut input = |columns| b.input(format!("x{columns}"), TensorType::new(DType::I16, [3, columns]));
    let ids: Vec<_> = (1..=inputs).map(&mut input).collect();
    let output = b.apply("wide", Concat { axis: -1 }, &ids, &["y".to_owned()]).expect("a node");
    b.output(output[0]);
    b.finish()
}

#[test]
fn any_number_of_tensors_is_joined() {
    for count in [1, 5, 6, 25, 26, 40] {
        let graph = joined(count);
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
