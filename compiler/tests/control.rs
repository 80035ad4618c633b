//! Graphs inside of nodes: If, Loop, Scan, and the functions that a model defines.

use std::collections::BTreeMap;

use compiler::Options;
use dnn_lib::tensor::DType;
use graph::{Graph, Kind, reference};
use onnx::{Attribute, Dimension, Function, Initializer, Model, ModelGraph, ModelNode, Tensor, Value};

pub(crate) fn node(
    operator: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: &[(&str, Attribute)],
) -> ModelNode {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    ModelNode {
        name: format!("the_{}", outputs[0]),
        operator: operator.to_owned(),
        inputs: names(inputs),
        outputs: names(outputs),
        attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        ..ModelNode::default()
    }
}

pub(crate) fn value(name: &str) -> Value {
    Value { name: name.to_owned(), ..Value::default() }
}

pub(crate) fn input(name: &str, dtype: DType, shape: &[u64]) -> Value {
    let shape = shape.iter().map(|&size| Dimension::Fixed(size)).collect();
    Value { name: name.to_owned(), dtype: Some(dtype), shape: Some(shape), other: None }
}

pub(crate) fn graph(inputs: &[&str], outputs: &[&str], nodes: &[ModelNode]) -> Attribute {
    let values = |names: &[&str]| names.iter().map(|&name| value(name)).collect();
    Attribute::Graph(Box::new(ModelGraph {
        inputs: values(inputs),
        outputs: values(outputs),
        nodes: nodes.to_vec(),
        ..ModelGraph::default()
    }))
}

pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A model of opset 17 with these inputs, constants and outputs.
pub(crate) fn model(
    inputs: &[Value],
    constants: &[(&str, Tensor)],
    outputs: &[&str],
    nodes: &[ModelNode],
) -> Model {
    let constant =
        |(name, tensor): &(&str, Tensor)| Initializer { name: (*name).to_owned(), tensor: tensor.clone() };
    let graph = ModelGraph {
        inputs: inputs.to_vec(),
        initializers: constants.iter().map(constant).collect(),
        outputs: outputs.iter().map(|&name| value(name)).collect(),
        nodes: nodes.to_vec(),
        ..ModelGraph::default()
    };
    Model { opset: 17, graph, ..Model::default() }
}

pub(crate) fn integer(value: i64) -> Tensor {
    Tensor::new(DType::I64, vec![], value.to_le_bytes().to_vec()).unwrap()
}

pub(crate) fn boolean(value: bool) -> Tensor {
    Tensor::new(DType::Bool, vec![], vec![value.into()]).unwrap()
}

pub(crate) fn single(value: f32) -> Tensor {
    Tensor::new(DType::F32, vec![1], floats(&[value])).unwrap()
}

pub(crate) fn import(model: Model) -> Result<Graph, String> {
    import_with(model, &Options::default())
}

pub(crate) fn import_with(model: Model, options: &Options) -> Result<Graph, String> {
    let imported = compiler::import_model(model, options).map_err(|error| error.to_string())?;
    imported.graph.verify().map_err(|error| error.to_string())?;
    Ok(imported.graph)
}

/// What the graph computes, by the reference and by the machine, as numbers.
fn run(graph: &Graph, inputs: &[&[u8]]) -> Vec<Vec<f32>> {
    let numbers = |bytes: Vec<u8>| bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
    run_bytes(graph, inputs).into_iter().map(|(_, bytes)| numbers(bytes)).collect()
}

/// What the graph computes, by the reference and by the machine, with the outputs that the image has.
pub(crate) fn run_bytes(graph: &Graph, inputs: &[&[u8]]) -> Vec<(image::Tensor, Vec<u8>)> {
    let expected = reference::execute(graph, inputs).unwrap();
    let compiled = compiler::compile_graph(graph.clone(), &Options::default()).unwrap();
    let image = &compiled.image;
    let mut machine = interpreter::Interpreter::new(image).unwrap();
    let interface = image.interface.as_ref().unwrap();
    for (region, input) in interface.inputs.iter().zip(inputs) {
        machine.write_memory(region.address, input).unwrap();
    }
    assert_eq!(machine.run(interface.bound).status, step::Status::Exited);
    let outputs = image.tensors.iter().filter(|tensor| tensor.role == image::Role::Output);
    let found: Vec<Vec<u8>> = outputs
        .map(|tensor| machine.read_memory(tensor.address, tensor.bytes as usize).unwrap().to_vec())
        .collect();
    assert_eq!(found, expected);
    image.tensors.iter().filter(|tensor| tensor.role == image::Role::Output).cloned().zip(found).collect()
}

/// If(c) { x + x } else { x * x }
fn choice() -> ModelNode {
    let then = graph(&[], &["t"], &[node("Add", &["x", "x"], &["t"], &[])]);
    let otherwise = graph(&[], &["e"], &[node("Mul", &["x", "x"], &["e"], &[])]);
    node("If", &["c"], &["y"], &[("then_branch", then), ("else_branch", otherwise)])
}

#[test]
fn a_branch_reads_what_is_outside() {
    let x = input("x", DType::F32, &[2]);
    let open = import(model(&[x.clone(), input("c", DType::Bool, &[1])], &[], &["y"], &[choice()])).unwrap();
    for (c, expected) in [(1, vec![6.0, -8.0]), (0, vec![9.0, 16.0])] {
        assert_eq!(run(&open, &[&floats(&[3.0, -4.0]), &[c]]), std::slice::from_ref(&expected));
        let known = model(std::slice::from_ref(&x), &[("c", boolean(c == 1))], &["y"], &[choice()]);
        let known = import(known).unwrap();
        assert!(known.nodes.iter().all(|node| matches!(node.kind, Kind::Operator(_))));
        assert_eq!(run(&known, &[&floats(&[3.0, -4.0])]), [expected]);
    }
}

#[test]
fn a_branch_that_is_never_taken_may_be_anything() {
    let mut choice = choice();
    choice
        .attributes
        .insert("else_branch".to_owned(), graph(&[], &["e"], &[node("Frobnicate", &["x"], &["e"], &[])]));
    let x = input("x", DType::F32, &[2]);
    let known = |value| {
        model(std::slice::from_ref(&x), &[("c", boolean(value))], &["y"], std::slice::from_ref(&choice))
    };
    import(known(true)).unwrap();
    let error = import(known(false)).unwrap_err();
    assert!(error.starts_with("operator Frobnicate is not supported (node `the_y/the_e`)"), "{error}");
}

#[test]
fn branches_of_different_types_need_a_condition_that_is_known() {
    let mut choice = choice();
    let unsqueeze = node("Unsqueeze", &["x", "axes"], &["e"], &[]);
    choice.attributes.insert("else_branch".to_owned(), graph(&[], &["e"], &[unsqueeze]));
    let axes = Tensor::new(DType::I64, vec![1], 0i64.to_le_bytes().to_vec()).unwrap();
    let inputs = [input("x", DType::F32, &[2]), input("c", DType::Bool, &[])];
    let error = import(model(&inputs, &[("axes", axes)], &["y"], &[choice])).unwrap_err();
    assert_eq!(
        error,
        "node `the_y` (If): output 0 is f32[2] in then_branch and f32[1,2] in else_branch; the condition (`c`) isn't \
         known before the run, so both must have one type"
    );
}

/// Loop(n, go) { h = h * w + i; go on; row h }, where the number i is not used.
fn counted(go_on: &str) -> ModelNode {
    let nodes = [
        node("Mul", &["h", "w"], &["hw"], &[]),
        node("Add", &["hw", "x"], &["next"], &[]),
        node("Identity", &[go_on], &["on"], &[]),
        node("Identity", &["next"], &["row"], &[]),
    ];
    let body = graph(&["i", "holds", "h"], &["on", "next", "row"], &nodes);
    node("Loop", &["n", "go", "x"], &["last", "rows"], &[("body", body)])
}

fn recurrence(times: usize) -> (Vec<f32>, Vec<f32>) {
    let (x, w) = ([1.0f32, -2.0], 0.5f32);
    let (mut h, mut rows) = (x, Vec::new());
    for _ in 0..times {
        h = [0, 1].map(|at| h[at] * w + x[at]);
        rows.extend(h);
    }
    (h.to_vec(), rows)
}

#[test]
fn a_loop_is_written_out_or_a_period() {
    let constants = |times| [("n", integer(times)), ("go", boolean(true)), ("w", single(0.5))];
    for times in [0, 1, 5, 16, 31, 32, 40, 300] {
        let model =
            model(&[input("x", DType::F32, &[2])], &constants(times), &["last", "rows"], &[counted("holds")]);
        let graph = import(model).unwrap();
        let repeats = graph.nodes.iter().any(|node| matches!(node.kind, Kind::Repeat(_)));
        assert_eq!(repeats, times >= 16);
        let (last, rows) = recurrence(times as usize);
        assert_eq!(graph.tensor(graph.outputs[1]).ty.shape, [times as u64, 2]);
        if times > 0 {
            assert_eq!(run(&graph, &[&floats(&[1.0, -2.0])]), [last, rows], "{times}");
        }
    }
}

#[test]
fn a_condition_may_end_a_loop_in_the_run() {
    let inputs =
        [input("x", DType::F32, &[2]), input("go", DType::Bool, &[]), input("more", DType::Bool, &[])];
    for times in [4, 30] {
        let constants = [("n", integer(times)), ("w", single(0.5))];
        let graph = import(model(&inputs, &constants, &["last"], &[counted("more")])).unwrap();
        for (go, more, count) in [(0, 1, 0), (1, 0, 1), (1, 1, times as usize)] {
            assert_eq!(run(&graph, &[&floats(&[1.0, -2.0]), &[go], &[more]]), [recurrence(count).0]);
        }
        let error = import(model(&inputs, &constants, &["rows"], &[counted("more")])).unwrap_err();
        assert!(error.contains("output 1 (`rows`) collects a row of each repetition"), "{error}");
    }
}

#[test]
fn a_loop_without_an_end_gets_one() {
    let inputs =
        [input("x", DType::F32, &[2]), input("go", DType::Bool, &[]), input("more", DType::Bool, &[])];
    let without = |more: &str| {
        let mut counted = counted(more);
        counted.inputs[0] = String::new();
        model(&inputs, &[("w", single(0.5))], &["last"], &[counted])
    };
    let error = import(without("more")).unwrap_err();
    assert!(error.contains("give the most with --loop-bound TIMES"), "{error}");
    let options = Options { loop_bound: Some(3), ..Options::default() };
    let graph = import_with(without("more"), &options).unwrap();
    // The loop that goes on is cut, and an output says so.
    for (go, more, times, cut) in [(1, 1, 3, true), (1, 0, 1, false), (0, 1, 0, false)] {
        assert_eq!(cut_run(&graph, &[&floats(&[1.0, -2.0]), &[go], &[more]]), (recurrence(times).0, cut));
    }
}

#[test]
fn a_loop_that_may_be_cut_is_not_repeated() {
    let mut looped = counted("more");
    looped.inputs[0] = String::new();
    let inputs =
        [input("x", DType::F32, &[2]), input("go", DType::Bool, &[]), input("more", DType::Bool, &[])];
    let options = Options { loop_bound: Some(3), repeat: 2, ..Options::default() };
    let error =
        import_with(model(&inputs, &[("w", single(0.5))], &["last"], &[looped]), &options).unwrap_err();
    assert!(error.contains("no output could tell that of a repetition before the last"), "{error}");
}

/// What a loop carries last, and whether it was cut.
fn cut_run(graph: &Graph, inputs: &[&[u8]]) -> (Vec<f32>, bool) {
    let outputs = run_bytes(graph, inputs);
    let [(_, last), (flag, cut)] = &outputs[..] else { panic!("{} outputs", outputs.len()) };
    assert!(flag.loop_of().is_some_and(|node| node.contains("the_last")), "{}", flag.name);
    (last.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect(), cut == &[1])
}

#[test]
fn a_loop_inside_of_a_node_tells_that_it_is_cut() {
    let inputs = [
        input("x", DType::F32, &[2]),
        input("go", DType::Bool, &[]),
        input("more", DType::Bool, &[]),
        input("c", DType::Bool, &[]),
    ];
    let mut inner = counted("more");
    inner.inputs[0] = String::new();
    let branch = |taken: bool| {
        let then = graph(&[], &["last"], std::slice::from_ref(&inner));
        let otherwise = graph(&[], &["e"], &[node("Mul", &["x", "x"], &["e"], &[])]);
        let (then, otherwise) = if taken { (then, otherwise) } else { (otherwise, then) };
        node("If", &["c"], &["y"], &[("then_branch", then), ("else_branch", otherwise)])
    };
    let options = Options { loop_bound: Some(3), ..Options::default() };
    for taken in [true, false] {
        let graph = import_with(model(&inputs, &[("w", single(0.5))], &["y"], &[branch(taken)]), &options);
        let graph = graph.unwrap();
        for (more, c) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (_, cut) = cut_run(&graph, &[&floats(&[1.0, -2.0]), &[1], &[more], &[c]]);
            assert_eq!(cut, more == 1 && (c == 1) == taken, "{taken} {more} {c}");
        }
    }
    // In a loop, it is told if it was cut once.
    for times in [3, 20] {
        let nodes = [
            Clone::clone(&inner),
            node("Identity", &["holds"], &["go_on"], &[]),
            node("Less", &["i", "at"], &["first"], &[]),
        ];
        let mut nodes = nodes.to_vec();
        nodes[0].inputs[1] = "first".to_owned();
        let body = graph(&["i", "holds", "h"], &["go_on", "last"], &nodes);
        let outer = node("Loop", &["n", "", "x"], &["y"], &[("body", body)]);
        let constants = [("w", single(0.5)), ("n", integer(times))];
        let inputs =
            [input("x", DType::F32, &[2]), input("more", DType::Bool, &[]), input("at", DType::I64, &[])];
        let graph = import_with(model(&inputs, &constants, &["y"], &[outer]), &options).unwrap();
        for (more, at, cut) in [(1, 1i64, true), (1, 0, false), (0, 1, false), (1, times, true)] {
            let found = cut_run(&graph, &[&floats(&[1.0, -2.0]), &[more], &at.to_le_bytes()]);
            assert_eq!(found.1, cut, "{times} {more} {at}");
        }
    }
}

#[test]
fn a_number_of_repetitions_may_be_an_input_below_a_bound() {
    let inputs = [input("x", DType::F32, &[2]), input("n", DType::I64, &[1])];
    let constants = [("go", boolean(true)), ("w", single(0.5))];
    for bound in [5, 20] {
        let options = Options { loop_bound: Some(bound), ..Options::default() };
        let graph =
            import_with(model(&inputs, &constants, &["last"], &[counted("holds")]), &options).unwrap();
        for n in [-3i64, 0, 1, 4, 5, 1 << 40] {
            let times = n.clamp(0, bound as i64) as usize;
            let found = cut_run(&graph, &[&floats(&[1.0, -2.0]), &n.to_le_bytes()]);
            assert_eq!(found, (recurrence(times).0, n > bound as i64), "{n} of {bound}");
        }
    }
}

#[test]
fn a_loop_whose_condition_is_known_ends_without_a_bound() {
    let nodes = [
        node("Add", &["count", "one"], &["next"], &[]),
        node("Less", &["next", "end"], &["on"], &[]),
        node("Add", &["h", "x"], &["sum"], &[]),
    ];
    let body = graph(&["i", "holds", "count", "h"], &["on", "next", "sum"], &nodes);
    let node = node("Loop", &["most", "", "zero", "x"], &["counted", "y"], &[("body", body)]);
    let constants =
        |end| [("most", integer(i64::MAX)), ("zero", integer(0)), ("one", integer(1)), ("end", integer(end))];
    let build = |end| {
        import(model(&[input("x", DType::F32, &[1])], &constants(end), &["y"], std::slice::from_ref(&node)))
    };
    assert_eq!(run(&build(7).unwrap(), &[&floats(&[1.5])]), [[12.0]]);
    let error = build(i64::MAX).unwrap_err();
    assert!(error.contains("give the most with --loop-bound"), "{error}");
}

#[test]
fn what_grows_in_a_loop_is_written_out_or_refused() {
    let grow = |times| {
        let nodes = [
            node("Concat", &["h", "x"], &["next"], &[("axis", Attribute::Int(0))]),
            node("Identity", &["holds"], &["on"], &[]),
        ];
        let body = graph(&["i", "holds", "h"], &["on", "next"], &nodes);
        let node = node("Loop", &["n", "", "x"], &["y"], &[("body", body)]);
        import(model(&[input("x", DType::F32, &[2])], &[("n", integer(times))], &["y"], &[node]))
    };
    for times in [3, 20] {
        let graph = grow(times).unwrap();
        assert_eq!(graph.tensor(graph.outputs[0]).ty.shape, [2 * (times as u64 + 1)]);
    }
    let error = grow(1000).unwrap_err();
    assert!(
        error.contains("`next`, which goes from one repetition to the next, is f32[2] before one and f32[4]"),
        "{error}"
    );
}

/// Scan over x: h = h + x, y = h, each perhaps from the end.
fn scan(directions: (i64, i64), axes: (i64, i64)) -> ModelNode {
    let nodes = [node("Add", &["h", "step"], &["next"], &[]), node("Identity", &["next"], &["row"], &[])];
    let body = graph(&["h", "step"], &["next", "row"], &nodes);
    let list = |value| Attribute::Ints(vec![value]);
    let attributes = [
        ("body", body),
        ("num_scan_inputs", Attribute::Int(1)),
        ("scan_input_directions", list(directions.0)),
        ("scan_output_directions", list(directions.1)),
        ("scan_input_axes", list(axes.0)),
        ("scan_output_axes", list(axes.1)),
    ];
    node("Scan", &["zero", "x"], &["last", "rows"], &attributes)
}

#[test]
fn a_scan_goes_both_ways_and_along_any_axis() {
    for length in [5usize, 17, 50] {
        let rows: Vec<[f32; 2]> = (0..length).map(|at| [at as f32, 10.0 - at as f32]).collect();
        for (forward, back) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            for (from, to) in [(0, 0), (1, -1)] {
                let shape = if from == 0 { [length as u64, 2] } else { [2, length as u64] };
                let turn = |rows: &[[f32; 2]], axis| -> Vec<f32> {
                    match axis {
                        0 => rows.concat(),
                        _ => (0..2).flat_map(|side| rows.iter().map(move |row| row[side])).collect(),
                    }
                };
                let node = scan((forward, back), (from, to));
                let constants = [("zero", Tensor::new(DType::F32, vec![2], floats(&[0.0; 2])).unwrap())];
                let model = model(&[input("x", DType::F32, &shape)], &constants, &["last", "rows"], &[node]);
                let mut sum = [0.0f32; 2];
                let mut sums: Vec<[f32; 2]> = Vec::new();
                for at in 0..length {
                    let row = rows[if forward == 1 { length - 1 - at } else { at }];
                    sum = [sum[0] + row[0], sum[1] + row[1]];
                    sums.push(sum);
                }
                if back == 1 {
                    sums.reverse();
                }
                let found = run(&import(model).unwrap(), &[&floats(&turn(&rows, from))]);
                assert_eq!(found, [sum.to_vec(), turn(&sums, to)], "{length} {forward} {back} {from}");
            }
        }
    }
}

#[test]
fn rows_need_room() {
    let nodes = [node("Relu", &["h"], &["next"], &[]), node("Identity", &["next"], &["row"], &[])];
    let body = graph(&["i", "on", "h"], &["on", "next", "row"], &nodes);
    let endless = node("Loop", &["n", "", "x"], &["y", "rows"], &[("body", body)]);
    let inputs = [input("x", DType::F32, &[1 << 10])];
    let error = import(model(&inputs, &[("n", integer(1 << 28))], &["rows"], &[endless])).unwrap_err();
    assert!(error.contains("needs 1099511627776 bytes; the limit is"), "{error}");
}

#[test]
fn an_old_scan_goes_through_each_element_of_a_batch() {
    let nodes = [node("Add", &["h", "step"], &["next"], &[]), node("Identity", &["next"], &["row"], &[])];
    let body = graph(&["h", "step"], &["next", "row"], &nodes);
    let attributes = [("body", body), ("num_scan_inputs", Attribute::Int(1))];
    let node = node("Scan", &["", "zero", "x"], &["last", "rows"], &attributes);
    let zero = Tensor::new(DType::F32, vec![2, 1], floats(&[0.0, 10.0])).unwrap();
    let constants = [("zero", zero)];
    let mut model = model(&[input("x", DType::F32, &[2, 3, 1])], &constants, &["last", "rows"], &[node]);
    model.opset = 8;
    let found = run(&import(model.clone()).unwrap(), &[&floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]);
    assert_eq!(found, [vec![6.0, 25.0], vec![1.0, 3.0, 6.0, 14.0, 19.0, 25.0]]);
    model.graph.nodes[0].inputs[0] = "zero".to_owned();
    let error = import(model).unwrap_err();
    assert!(error.contains("input 0` is the lengths of sequences; supported: none"), "{error}");
}

#[test]
fn names_of_outside_are_not_defined_again() {
    let then = graph(&[], &["x"], &[node("Add", &["z", "z"], &["x"], &[])]);
    let otherwise = graph(&[], &["e"], &[node("Mul", &["z", "z"], &["e"], &[])]);
    let shadow = node("If", &["c"], &["y"], &[("then_branch", then), ("else_branch", otherwise)]);
    let inputs = [("x", DType::F32), ("z", DType::F32), ("c", DType::Bool)];
    let inputs = inputs.map(|(name, dtype)| input(name, dtype, &[1]));
    let error = import(model(&inputs, &[], &["y"], &[shadow])).unwrap_err();
    assert!(error.contains("tensor `x` is defined twice: as a tensor outside of a graph"), "{error}");
}

#[test]
fn an_input_of_a_body_may_have_a_name_of_outside() {
    let body = graph(&["i", "go", "x"], &["go", "next"], &[node("Add", &["x", "x"], &["next"], &[])]);
    let node = node("Loop", &["n", "go", "x"], &["y"], &[("body", body)]);
    let constants = [("n", integer(3)), ("go", boolean(true))];
    let graph = import(model(&[input("x", DType::F32, &[1])], &constants, &["y"], &[node])).unwrap();
    assert_eq!(run(&graph, &[&floats(&[1.5])]), [[12.0]]);
}

#[test]
fn what_is_inside_is_not_seen_outside_and_what_is_nowhere_is_an_error() {
    let inputs = [input("x", DType::F32, &[2]), input("c", DType::Bool, &[])];
    let error = import(model(&inputs, &[], &["t"], &[choice()])).unwrap_err();
    assert!(error.contains("tensor `t`, used by the graph's outputs, is not defined"), "{error}");
    let then = graph(&[], &["t"], &[node("Add", &["nowhere", "x"], &["t"], &[])]);
    let mut lost = choice();
    lost.attributes.insert("then_branch".to_owned(), then);
    let error = import(model(&inputs, &[], &["y"], &[lost])).unwrap_err();
    assert!(error.contains("tensor `nowhere`, used by node `the_y` (If), is not defined"), "{error}");
}

#[test]
fn a_loop_that_reads_its_own_result_is_a_cycle() {
    let body = graph(&["i", "on", "h"], &["on", "next"], &[node("Add", &["h", "y"], &["next"], &[])]);
    let circle = node("Loop", &["n", "", "x"], &["y"], &[("body", body)]);
    let error =
        import(model(&[input("x", DType::F32, &[2])], &[("n", integer(3))], &["y"], &[circle])).unwrap_err();
    assert!(error.contains("the graph has a cycle through `the_y` (Loop)"), "{error}");
}

#[test]
fn bodies_of_the_wrong_form_are_refused() {
    let x = input("x", DType::F32, &[2]);
    let error = |node: ModelNode| {
        let constants = [("n", integer(3)), ("c", boolean(true)), ("zero", single(0.0))];
        import(model(std::slice::from_ref(&x), &constants, &[&node.outputs[0].clone()], &[node])).unwrap_err()
    };
    let body =
        |inputs: &[&str], outputs: &[&str]| graph(inputs, outputs, &[node("Relu", &["x"], &["t"], &[])]);
    let of_loop = |body| node("Loop", &["n", "", "x"], &["y"], &[("body", body)]);
    for (node, says) in [
        (of_loop(body(&["i", "on"], &["on", "t"])), "`body` has 2 inputs; expected 3"),
        (of_loop(body(&["i", "on", "h"], &["on"])), "`body` has 1 outputs; expected at least 2"),
        (of_loop(body(&["i", "on", "h"], &["t", "t"])), "`t` is defined twice"),
        (of_loop(body(&["i", "on", "h"], &["i", "t"])), "a condition is one boolean, not i64[]"),
        (of_loop(Attribute::Int(3)), "attribute `body` is of kind INT; expected GRAPH"),
        (node("Loop", &["n", "", "x"], &["y"], &[]), "attribute `body` is missing"),
        (
            node("Loop", &["c", "", "x"], &["y"], &[("body", body(&["i", "on", "h"], &["on", "t"]))]),
            "is bool; expected int64",
        ),
        (
            node("Loop", &["n", "n", "x"], &["y"], &[("body", body(&["i", "on", "h"], &["on", "t"]))]),
            "one boolean, not i64[]",
        ),
        (
            node(
                "If",
                &["x"],
                &["y"],
                &choice()
                    .attributes
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.clone()))
                    .collect::<Vec<_>>(),
            ),
            "one boolean, not f32[2]",
        ),
        (
            scan((2, 0), (0, 0)),
            "attribute `scan_input_directions` is 2; supported: 0 (forward), 1 (backward)",
        ),
        (scan((0, 0), (3, 0)), "attribute `axis` is 3; supported: -1 to 0"),
    ] {
        let error = error(node);
        assert!(error.contains(says), "`{error}` should say `{says}`");
    }
}

/// scaled(a, b?, alpha = 2) = a * alpha, plus b if it is given.
fn scaled() -> Function {
    let alpha =
        node("Constant", &[], &["alpha"], &[("value_float", Attribute::Reference("alpha".to_owned()))]);
    let body = ModelGraph {
        inputs: vec![value("a")],
        outputs: vec![value("c")],
        nodes: vec![alpha, node("Mul", &["a", "alpha"], &["c"], &[])],
        ..ModelGraph::default()
    };
    Function {
        domain: "com.example".to_owned(),
        name: "Scaled".to_owned(),
        opset: 17,
        attributes: BTreeMap::from([("alpha".to_owned(), Some(Attribute::Float(2.0)))]),
        body,
        ..Function::default()
    }
}

fn call(name: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attribute)]) -> ModelNode {
    ModelNode { domain: "com.example".to_owned(), ..node(name, inputs, outputs, attributes) }
}

#[test]
fn functions_take_attributes_and_call_others() {
    let twice = Function {
        name: "Twice".to_owned(),
        attributes: BTreeMap::from([("beta".to_owned(), None)]),
        body: ModelGraph {
            inputs: vec![value("x")],
            outputs: vec![value("c")],
            nodes: vec![
                call("Scaled", &["x"], &["a"], &[("alpha", Attribute::Reference("beta".to_owned()))]),
                call("Scaled", &["a"], &["c"], &[]),
            ],
            ..ModelGraph::default()
        },
        ..scaled()
    };
    let nodes = [
        call("Twice", &["x"], &["y"], &[("beta", Attribute::Float(5.0))]),
        call("Twice", &["x"], &["z"], &[]),
        call("Scaled", &["x"], &["c"], &[("alpha", Attribute::Float(-1.0))]),
    ];
    let mut model = model(&[input("x", DType::F32, &[2])], &[], &["y", "z", "c"], &nodes);
    model.functions = vec![scaled(), twice];
    let found = run(&import(model.clone()).unwrap(), &[&floats(&[1.0, -3.0])]);
    assert_eq!(found, [vec![10.0, -30.0], vec![4.0, -12.0], vec![-1.0, 3.0]]);

    model.graph.nodes[0] = call("Scaled", &["x", "x"], &["y"], &[]);
    model.graph.nodes[1] = call("Scaled", &["x"], &["z"], &[("gamma", Attribute::Int(1))]);
    model.functions[0].opset = 6;
    let multiplies = model.functions[0].body.nodes.iter_mut().filter(|node| node.operator == "Mul");
    multiplies.for_each(|node| node.operator = "Mod".to_owned());
    let error = import(model).unwrap_err();
    for says in [
        "node `the_y` (com.example.Scaled): has 2 inputs; expected at most 1",
        "node `the_z` (com.example.Scaled): attribute `gamma` is unknown; supported: alpha",
        "node `the_c/the_c` (Mod): the form of opset 6 is not supported",
    ] {
        assert!(error.contains(says), "`{error}` should say `{says}`");
    }
}

#[test]
fn functions_without_an_end_are_refused_in_little_time() {
    let calls = |name: &str, to: &str, times: usize| {
        let nodes = (0..times).map(|at| {
            let from = if at == 0 { "a".to_owned() } else { format!("a{at}") };
            let next = if at + 1 == times { "c".to_owned() } else { format!("a{}", at + 1) };
            call(to, &[&from], &[&next], &[])
        });
        let body = ModelGraph {
            inputs: vec![value("a")],
            outputs: vec![value("c")],
            nodes: nodes.collect(),
            ..ModelGraph::default()
        };
        Function { name: name.to_owned(), body, ..scaled() }
    };
    let start = |functions: Vec<Function>| {
        let mut model =
            model(&[input("x", DType::F32, &[2])], &[], &["y"], &[call("F0", &["x"], &["y"], &[])]);
        model.functions = functions;
        import(model).unwrap_err()
    };
    let error = start(vec![calls("F0", "F1", 1), calls("F1", "F0", 1)]);
    assert!(error.contains("function `F0` calls itself"), "{error}");
    let chain = |length: usize, times| {
        (0..length).map(|at| calls(&format!("F{at}"), &format!("F{}", at + 1), times)).collect()
    };
    let error = start(chain(100, 1));
    assert!(error.contains("more than 24 graphs and functions inside of each other"), "{error}");
    let began = std::time::Instant::now();
    let mut wide: Vec<Function> = chain(20, 10);
    wide.push(Function { name: "F20".to_owned(), ..scaled() });
    let error = start(wide);
    assert!(
        error.contains("functions and repetitions make more than 262144 nodes"),
        "{}",
        &error[..300.min(error.len())]
    );
    assert!(began.elapsed().as_secs() < 60);
}

#[test]
fn graphs_inside_of_each_other_have_a_limit() {
    let mut inner = node("Add", &["x", "x"], &["y"], &[]);
    for level in 0..60 {
        let name = format!("y{level}");
        inner.outputs[0].clone_from(&name);
        let (then, otherwise) = (graph(&[], &[&name], &[inner]), graph(&[], &["x"], &[]));
        inner = node("If", &["c"], &["y"], &[("then_branch", then), ("else_branch", otherwise)]);
    }
    let inputs = [input("x", DType::F32, &[1]), input("c", DType::Bool, &[])];
    let error = import(model(&inputs, &[], &["y"], &[inner])).unwrap_err();
    assert!(error.contains("more than 24 graphs and functions inside of each other"), "{error}");
}

#[test]
fn loops_inside_of_loops_have_a_limit() {
    let mut body = graph(&["i0", "on0", "h0"], &["on0", "n0"], &[node("Add", &["h0", "x"], &["n0"], &[])]);
    for level in 1..8 {
        let [i, on, h, n] = ["i", "on", "h", "n"].map(|name| format!("{name}{level}"));
        let inner = node("Loop", &["n", "", &h], &[&n], &[("body", body)]);
        body = graph(&[&i, &on, &h], &[&on, &n], &[inner]);
    }
    let outer = node("Loop", &["n", "", "x"], &["y"], &[("body", body)]);
    let began = std::time::Instant::now();
    let error =
        import(model(&[input("x", DType::F32, &[1])], &[("n", integer(15))], &["y"], &[outer])).unwrap_err();
    assert!(error.contains("functions and repetitions make more than 262144 nodes"), "{error}");
    assert!(began.elapsed().as_secs() < 60);
}
