//! Fusion: chains become one big step where nothing else needs what is between, with the bits of the
//! reference.

use compiler::{Compiled, Options};
use dnn_lib::operator::{Add, Conv, Flatten, MatMul, Mul, Operator, Relu, Softmax, Tanh, Window};
use dnn_lib::tensor::{DType, TensorType};
use graph::{Builder, Graph, TensorId, reference};
use image::Role;
use interpreter::Interpreter;
use proptest::prelude::*;
use proptest::sample::Index;
use step::Status;

/// A graph that grows node by node.
struct Growing(Builder, usize);

impl Growing {
    fn new() -> Self {
        Self(Builder::new("", 1 << 30), 0)
    }

    fn input(&mut self, shape: &[u64]) -> TensorId {
        let name = format!("t{}", self.0.graph().tensors.len());
        self.0.input(name, TensorType::new(DType::F32, shape.to_vec()))
    }

    fn node(&mut self, operator: impl Into<Operator>, inputs: &[TensorId]) -> TensorId {
        let names = [format!("t{}", self.0.graph().tensors.len())];
        self.1 += 1;
        self.0.apply(&format!("n{}", self.1 - 1), operator, inputs, &names).expect("a node")[0]
    }

    fn ending(mut self, outputs: &[TensorId]) -> Graph {
        outputs.iter().for_each(|&id| self.0.output(id));
        self.0.finish()
    }
}

/// The big steps as `operator node`, after the outputs were compared with those of the reference, with fusion
/// and without.
fn check(graph: &Graph) -> (Compiled, Vec<String>) {
    let size = |id: &TensorId| graph.tensor(*id).ty.elements().expect("a size");
    let number = |at: u64| ((at * 37 % 61) as f32 - 30.0) / 8.0;
    let tensor = |id: &TensorId| (0..size(id)).flat_map(|at| number(at).to_le_bytes()).collect();
    let inputs: Vec<Vec<u8>> = graph.inputs.iter().map(tensor).collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let expected = reference::execute(graph, &inputs).expect("the reference");
    let [fused, _] = [true, false].map(|fuse| {
        let options = Options { fuse, ..Options::default() };
        let compiled = compiler::compile_graph(graph.clone(), &options).expect("an image");
        let image = &compiled.image;
        let tensors = |role| image.tensors.iter().filter(move |tensor| tensor.role == role);
        let mut machine = Interpreter::new(image).expect("memory");
        for (tensor, input) in tensors(Role::Input).zip(&inputs) {
            machine.write_memory(tensor.address, input).expect("inside");
        }
        assert_eq!(machine.run(u64::MAX).status, Status::Exited);
        for (tensor, expected) in tensors(Role::Output).zip(&expected) {
            assert_eq!(machine.read_memory(tensor.address, tensor.bytes as usize), Some(&expected[..]));
        }
        compiled
    });
    let steps = fused.schedule.steps.iter().map(|step| format!("{} {}", step.operator, step.node)).collect();
    (fused, steps)
}

#[test]
fn a_chain_is_one_big_step_and_what_is_between_is_not_in_memory() {
    let mut g = Growing::new();
    let (x, w, bias, shift) =
        (g.input(&[1, 4, 6, 6]), g.input(&[6, 2, 3, 3]), g.input(&[6]), g.input(&[6, 1, 1]));
    let conv = g.node(Conv { window: Window::default(), group: 2 }, &[x, w, bias]);
    let shifted = g.node(Add, &[shift, conv]);
    let relu = g.node(Relu, &[shifted]);
    let (compiled, steps) = check(&g.ending(&[relu]));
    assert_eq!(steps, ["Conv+Add+Relu n0+n1+n2"]);
    let names: Vec<&str> = compiled.image.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["t0", "t1", "t2", "t3", "t6"]);
}

#[test]
fn what_others_need_stays() {
    let mut g = Growing::new();
    let x = g.input(&[4, 4]);
    let twice = g.node(Relu, &[x]);
    let square = g.node(Mul, &[twice, twice]);
    let (_, steps) = check(&g.ending(&[square]));
    assert_eq!(steps, ["Relu n0", "Mul n1"], "it is read twice by one node");

    let mut g = Growing::new();
    let x = g.input(&[4, 4]);
    let shared = g.node(Relu, &[x]);
    let tanh = g.node(Tanh, &[shared]);
    let product = g.node(MatMul, &[shared, x]);
    let (_, steps) = check(&g.ending(&[tanh, product]));
    assert_eq!(steps, ["Relu n0", "Tanh n1", "MatMul n2"], "it is read by two nodes");

    let mut g = Growing::new();
    let x = g.input(&[4, 4]);
    let output = g.node(Relu, &[x]);
    let tanh = g.node(Tanh, &[output]);
    let (_, steps) = check(&g.ending(&[output, tanh]));
    assert_eq!(steps, ["Relu n0", "Tanh n1"], "it is an output");

    let mut g = Growing::new();
    let x = g.input(&[4, 2, 2]);
    let viewed = g.node(Relu, &[x]);
    let view = g.node(Flatten { axis: 1 }, &[viewed]);
    let tanh = g.node(Tanh, &[view]);
    let (_, steps) = check(&g.ending(&[tanh]));
    assert_eq!(steps, ["Relu n0", "Tanh n2"], "it is read through a view");
}

/// What was read by two nodes is read by one after they were joined.
#[test]
fn what_two_read_joins_both() {
    let mut g = Growing::new();
    let x = g.input(&[4, 4]);
    let shared = g.node(Relu, &[x]);
    let tanh = g.node(Tanh, &[shared]);
    let sum = g.node(Add, &[shared, tanh]);
    let (compiled, steps) = check(&g.ending(&[sum]));
    assert_eq!(steps, ["Relu+Tanh+Add n0+n1+n2"]);
    let names: Vec<&str> = compiled.image.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["t0", "t3"]);
}

#[test]
fn a_sum_that_is_used_twice_stays() {
    let mut g = Growing::new();
    let x = g.input(&[4, 4]);
    let product = g.node(MatMul, &[x, x]);
    let relu = g.node(Relu, &[product]);
    let sum = g.node(Add, &[product, relu]);
    let (_, steps) = check(&g.ending(&[sum]));
    assert_eq!(steps, ["MatMul n0", "Relu+Add n1+n2"]);
}

#[test]
fn inputs_of_what_came_first_live_until_the_last() {
    let mut g = Growing::new();
    let x = g.input(&[8, 8]);
    // The factor is needed when the sum is computed, after nodes that need memory.
    let factor = g.node(Softmax { axis: 1 }, &[x]);
    let product = g.node(MatMul, &[factor, x]);
    let a = g.node(Softmax { axis: 0 }, &[x]);
    let b = g.node(MatMul, &[a, a]);
    let c = g.node(MatMul, &[b, b]);
    let sum = g.node(Add, &[c, product]);
    let (_, steps) = check(&g.ending(&[sum]));
    assert_eq!(steps, ["Softmax n0", "MatMul n1", "Softmax n2", "MatMul n3", "MatMul+Add n4+n5"]);
}

#[test]
fn chains_have_a_limit() {
    let mut g = Growing::new();
    let mut x = g.input(&[8]);
    for _ in 0..20 {
        x = g.node(Relu, &[x]);
    }
    let (_, steps) = check(&g.ending(&[x]));
    let counts: Vec<usize> = steps.iter().map(|step| step.matches("Relu").count()).collect();
    assert_eq!(counts, [8, 8, 4]);
}

/// Matrices through products, rows and elements. Any of them are outputs.
fn arbitrary_graph() -> impl Strategy<Value = Graph> {
    let nodes = prop::collection::vec((0..7, any::<Index>(), any::<Index>()), 1..12);
    let outputs = prop::collection::vec(any::<Index>(), 1..3);
    (nodes, outputs).prop_map(|(nodes, outputs)| {
        let mut g = Growing::new();
        let mut ids = vec![g.input(&[4, 4]), g.input(&[4, 4])];
        let row = g.input(&[4]);
        for (kind, a, b) in nodes {
            // Late ones more often, so that there are chains.
            let late = |index: Index| ids[ids.len() - 1 - index.index(ids.len()) / 2];
            let (a, b) = (late(a), late(b));
            ids.push(match kind {
                0 => g.node(MatMul, &[a, b]),
                1 => g.node(Softmax { axis: 1 }, &[a]),
                2 => g.node(Add, &[a, b]),
                3 => g.node(Mul, &[row, a]),
                4 => g.node(Tanh, &[a]),
                5 => g.node(Flatten { axis: 1 }, &[a]),
                _ => g.node(Relu, &[a]),
            });
        }
        let outputs: Vec<TensorId> = outputs.iter().map(|index| *index.get(&ids)).collect();
        g.ending(&outputs)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_graph_gives_the_bits_of_the_reference(graph in arbitrary_graph()) {
        check(&graph);
    }
}
