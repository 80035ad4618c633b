//! States change in place, and one run can be many.

use compiler::{Compiled, Options};
use dnn_lib::operator::{Add, Concat, MatMul, Relu, Split};
use dnn_lib::tensor::{DType, TensorType};
use graph::passes::repeat::repeat;
use graph::{Builder, Graph, State, TensorId, reference};
use image::Role;
use interpreter::Interpreter;
use step::Status;

fn bytes(count: usize, from: f32) -> Vec<u8> {
    (0..count).flat_map(|at| (from + at as f32 / 4.0).to_le_bytes()).collect()
}

/// h' = relu(h * w + x), and y = h' + h: the state is read after its next value is known. The last state is
/// turned by one element.
fn recurrence() -> Graph {
    let mut b = Builder::new("recurrence", 1 << 20);
    let ty = |shape: &[u64]| TensorType::new(DType::F32, shape);
    let x = b.input("x", ty(&[1, 4]));
    let h = b.input("h", ty(&[1, 4]));
    let turn = b.input("turn", ty(&[5]));
    let w = b.tensor("w", ty(&[4, 4]), Some(bytes(16, -2.0).into()));
    let mut apply = |operator: dnn_lib::operator::Operator, inputs: &[TensorId], names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        b.apply(names[0].clone().as_str(), operator, inputs, &names).expect("a node")
    };
    let product = apply(MatMul.into(), &[h, w], &["hw"])[0];
    let sum = apply(Add.into(), &[product, x], &["hw+x"])[0];
    let next = apply(Relu.into(), &[sum], &["next_h"])[0];
    let y = apply(Add.into(), &[next, h], &["y"])[0];
    let parts = apply(Split { axis: 0, sizes: vec![1, 4] }.into(), &[turn], &["first", "rest"]);
    let turned = apply(Concat { axis: 0 }.into(), &[parts[1], parts[0]], &["turned"])[0];
    [next, y, turned].into_iter().for_each(|id| b.output(id));
    let mut graph = b.finish();
    graph.states = vec![State { input: 1, output: 0 }, State { input: 2, output: 2 }];
    graph
}

fn inputs() -> Vec<Vec<u8>> {
    vec![bytes(4, 0.5), bytes(4, -0.25), bytes(5, 7.0)]
}

/// The outputs of the image on these inputs.
fn run(compiled: &Compiled, inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let image = &compiled.image;
    let tensors = |role| image.tensors.iter().filter(move |tensor| tensor.role == role);
    let mut machine = Interpreter::new(image).expect("memory");
    let interface = image.interface.as_ref().expect("an interface");
    for (region, input) in interface.inputs.iter().zip(inputs) {
        machine.write_memory(region.address, input).expect("inside");
    }
    assert_eq!(machine.run(interface.bound).status, Status::Exited);
    let output = |tensor: &image::Tensor| machine.read_memory(tensor.address, tensor.bytes as usize);
    tensors(Role::Output).map(|tensor| output(tensor).expect("inside").to_vec()).collect()
}

fn execute(graph: &Graph, inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    reference::execute(graph, &inputs.iter().map(Vec::as_slice).collect::<Vec<_>>()).expect("the reference")
}

#[test]
fn a_state_is_one_region_that_is_an_input_and_an_output() {
    let graph = recurrence();
    let compiled = compiler::compile_graph(graph.clone(), &Options::default()).expect("an image");
    let interface = compiled.image.interface.as_ref().expect("an interface");
    assert_eq!((interface.inputs[1], interface.inputs[2]), (interface.outputs[0], interface.outputs[2]));
    assert!(!interface.inputs.contains(&interface.outputs[1]));
    let mut next = inputs();
    for _ in 0..5 {
        let outputs = run(&compiled, &next);
        assert_eq!(outputs, execute(&graph, &next));
        (next[1], next[2]) = (outputs[0].clone(), outputs[2].clone());
    }
}

#[test]
fn many_runs_are_one() {
    let graph = recurrence();
    for times in [1, 3, 16, 50] {
        let repeated = repeat(graph.clone(), times);
        let expected = execute(&repeated, &inputs());
        let compiled = compiler::compile_graph(repeated, &Options::default()).expect("an image");
        assert_eq!(run(&compiled, &inputs()), expected, "{times}");
        let period = compiled.image.period;
        assert_eq!(period.map(|period| (period.least, period.most)), (times >= 16).then_some((times, times)));
    }
}
