//! The text of graphs.

use dnn_lib::operator::{Add, Relu, Split};
use dnn_lib::tensor::{DType, TensorType};
use graph::{BuildError, Builder, State};

#[test]
fn regions_states_and_unread_outputs_are_in_the_text() {
    let mut b = Builder::new("counter", 1 << 20);
    let (x, flag) =
        (b.input("x", TensorType::new(DType::F32, [4])), b.input("flag", TensorType::new(DType::Bool, [])));
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let parts =
        b.apply("cut", Split { axis: 0, sizes: vec![1, 3] }, &[x], &names(&["one", "three"])).unwrap();
    let chosen = b.when::<BuildError>(
        "choose",
        flag,
        |b| b.apply("positive", Relu, &[x], &names(&["positive"])),
        |_| Ok(vec![x]),
        &names(&["chosen"]),
    );
    let chosen = chosen.unwrap()[0];
    let first = [flag, chosen];
    let last = b.repeat::<BuildError>(
        "grow",
        (20, true),
        &first,
        |b, _, carried| {
            Ok(vec![carried[0], b.apply("double", Add, &[carried[1], parts[0]], &names(&["sum"]))?[0]])
        },
        &names(&["still", "last"]),
    );
    b.output(last.unwrap()[1]);
    let mut graph = b.finish();
    graph.states = vec![State { input: 0, output: 0 }];
    graph::passes::dead::remove(&mut graph);
    insta::assert_snapshot!(graph);
}
