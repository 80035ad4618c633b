//! Graphs that make no sense are refused, with the reason.

use dnn_lib::operator::{Add, Operator, Relu};
use dnn_lib::tensor::{DType, TensorType};
use graph::{BuildError, Builder, Graph, Kind, Node, Repeat, State, TensorId};

fn matrix() -> TensorType {
    TensorType::new(DType::F32, [2, 2])
}

/// An If and a Repeat over one input.
fn good() -> Graph {
    let mut b = Builder::new("good", 1 << 20);
    let (x, flag) = (b.input("x", matrix()), b.input("flag", TensorType::new(DType::Bool, [1])));
    let name = |name: &str| [name.to_owned()];
    let relu = |b: &mut Builder| b.apply("relu", Relu, &[x], &name("r"));
    let y = b.when::<BuildError>("if", flag, relu, |_| Ok(vec![x]), &name("y")).unwrap()[0];
    let body = |b: &mut Builder, _, carried: &[TensorId]| b.apply("add", Add, &[carried[0], x], &name("s"));
    let z = b.repeat::<BuildError>("repeat", (3, false), &[y], body, &name("z")).unwrap()[0];
    b.output(z);
    b.finish()
}

#[track_caller]
fn refused(change: impl Fn(&mut Graph), reason: &str) {
    let mut graph = good();
    change(&mut graph);
    assert_eq!(graph.verify().map_err(|error| error.to_string()), Err(reason.to_owned()));
}

fn branch(graph: &mut Graph) -> &mut Node {
    let Kind::If { then, .. } = &mut graph.nodes[0].kind else { panic!("an If") };
    &mut then.nodes[0]
}

fn repeat(graph: &mut Graph) -> &mut Repeat {
    let Kind::Repeat(repeat) = &mut graph.nodes[1].kind else { panic!("a Repeat") };
    repeat
}

#[test]
fn graphs_that_make_no_sense_are_refused() {
    assert_eq!(good().verify(), Ok(()));
    let inner = branch(&mut good()).outputs[0].expect("an output");
    refused(|graph| graph.outputs.push(inner), "the graph reads tensor `r`, which is not defined there");
    refused(|graph| graph.nodes.swap(0, 1), "node `repeat` reads tensor `y`, which is not defined there");
    refused(
        |graph| graph.nodes[1].outputs = vec![Some(inner)],
        "node `repeat` defines tensor `r`, which is defined already",
    );
    refused(|graph| graph.tensors.truncate(6), "node `add` names tensor 6, but there are 6");
    refused(
        |graph| graph.tensors[0].value = Some(vec![0; 3].into()),
        "constant `x` of type f32[2,2] has 3 bytes",
    );
    refused(
        |graph| branch(graph).kind = Kind::Operator(Operator::from(Add)),
        "node `relu`: Add: has 1 inputs, but takes 2",
    );
    refused(|graph| branch(graph).outputs.push(None), "node `relu` has 2 outputs; it must have 1");
    refused(
        |graph| repeat(graph).body.outputs.clear(),
        "node `repeat` has 0 results of a region; it must have 1",
    );
    refused(
        |graph| repeat(graph).conditional = true,
        "node `repeat`: tensor `y` is f32[2,2], but must be one boolean",
    );
    let input = good().inputs[0];
    refused(
        |graph| graph.nodes[0].inputs = vec![input],
        "node `if`: tensor `x` is f32[2,2], but must be one boolean",
    );
    let state = |input, output| State { input, output };
    refused(|graph| graph.states = vec![state(0, 1)], "state 0: there is no such input or output");
    refused(
        |graph| graph.states = vec![state(1, 0)],
        "state 0: its old and its new value have different types",
    );
    refused(
        |graph| graph.states = vec![state(0, 0), state(0, 0)],
        "state 1: states have the same order among the inputs and the outputs, and each is there once",
    );
}

#[test]
fn a_builder_refuses_what_does_not_fit() {
    let mut b = Builder::new("", 100);
    let (x, flag) = (b.input("x", matrix()), b.input("flag", TensorType::new(DType::Bool, [1])));
    let large = b.input("large", TensorType::new(DType::F32, [1000]));
    let text = |result: Result<Vec<TensorId>, BuildError>| result.unwrap_err().to_string();
    assert_eq!(
        text(b.apply("", Relu, &[large], &[])),
        "the output f32[1000] needs 4000 bytes; the limit is 100"
    );
    assert_eq!(
        text(b.when("", x, |_| Ok(vec![]), |_| Ok(vec![]), &[])),
        "a condition is one boolean, not f32[2,2]"
    );
    assert_eq!(
        text(b.when("", flag, |_| Ok(vec![x]), |_| Ok(vec![]), &[])),
        "the region gives 0 tensors; it must give 1"
    );
    assert_eq!(
        text(b.repeat("", (2, false), &[x], |_, _, _| Ok(vec![flag]), &[])),
        "result 0 of the region is bool[1]; it must be f32[2,2]"
    );
    assert!(b.graph().nodes.is_empty());
}

#[test]
fn repetitions_that_cannot_be_written_out_are_refused() {
    let mut b = Builder::new("", 1 << 20);
    let x = b.input("x", matrix());
    let twice = |b: &mut Builder, _, carried: &[TensorId]| {
        b.repeat::<BuildError>(
            "inner",
            (1 << 20, false),
            carried,
            |b, _, carried| b.apply("", Relu, carried, &[]),
            &[],
        )
    };
    let y = b.repeat::<BuildError>("outer", (1 << 20, false), &[x], twice, &[]).unwrap()[0];
    b.output(y);
    let error = graph::passes::unroll::unroll(b.finish(), 1 << 20).unwrap_err().to_string();
    assert!(error.starts_with("the repetitions of node `outer` are 2097153 nodes"), "{error}");
}

#[test]
fn conditions_inside_of_conditions_have_a_limit() {
    fn inside(
        b: &mut Builder,
        flag: TensorId,
        x: TensorId,
        depth: usize,
    ) -> Result<Vec<TensorId>, BuildError> {
        match depth {
            0 => b.apply("relu", Relu, &[x], &[]),
            _ => {
                b.when(&format!("if {depth}"), flag, |b| inside(b, flag, x, depth - 1), |_| Ok(vec![x]), &[])
            }
        }
    }
    let lowered = |depth| {
        let mut b = Builder::new("", 1 << 20);
        let (x, flag) = (b.input("x", matrix()), b.input("flag", TensorType::new(DType::Bool, [1])));
        let y = inside(&mut b, flag, x, depth).unwrap()[0];
        b.output(y);
        graph::lower::lower(&mut b.finish()).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(lowered(8), Ok(()));
    let error = "node `if 1` is an If inside of others: a node can wait for 8 conditions at most";
    assert_eq!(lowered(9), Err(error.to_owned()));
}
