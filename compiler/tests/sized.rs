//! Tensors whose data decide how large they are.

use std::collections::BTreeMap;

use compiler::Options;
use dnn_lib::tensor::DType;
use onnx::{Attribute, Model, ModelNode, Tensor};
use proptest::prelude::*;

use super::control::{floats, graph, import, import_with, input, integer, model, node, run_bytes};

fn list(numbers: &[i64]) -> Tensor {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Tensor::new(DType::I64, vec![numbers.len() as u64], bytes).unwrap()
}

/// The outputs of a model, cut to their true shapes.
fn outputs(model: Model, inputs: &[&[u8]]) -> Vec<(Vec<u64>, Vec<u8>)> {
    let found = run_bytes(&import(model).unwrap(), inputs);
    let shape_of = |name: &str| {
        let (_, bytes) = found.iter().find(|(tensor, _)| tensor.name == image::true_shape(name))?;
        Some(bytes.as_chunks().0.iter().map(|&size| u64::from_le_bytes(size)).collect::<Vec<_>>())
    };
    let own = found.iter().filter(|(tensor, _)| !tensor.name.ends_with("#shape"));
    own.map(|(tensor, bytes)| match shape_of(&tensor.name) {
        Some(shape) => (shape.clone(), tensor.cut(bytes, &shape).unwrap()),
        None => (tensor.shape.clone(), bytes.clone()),
    })
    .collect()
}

/// A node on inputs that are known only in the run, and on the same as constants: both give the same.
fn both(node: &ModelNode, inputs: &[(&str, Tensor)]) {
    let declared: Vec<_> = inputs.iter().map(|(name, x)| input(name, x.dtype(), x.dims())).collect();
    let names: Vec<&str> = node.outputs.iter().map(String::as_str).collect();
    let model = model(&declared, &[], &names, std::slice::from_ref(node));
    let bytes: Vec<&[u8]> = inputs.iter().map(|(_, x)| x.bytes()).collect();
    let found = outputs(model.clone(), &bytes);
    let constants = inputs.iter().map(|(name, x)| ((*name).to_owned(), x.clone())).collect();
    let graph = import_with(model, &Options { constants, ..Options::default() }).unwrap();
    let right = graph.outputs.iter().map(|&id| graph.tensor(id));
    let right: Vec<_> =
        right.map(|tensor| (tensor.ty.shape.clone(), tensor.value.as_ref().unwrap().to_vec())).collect();
    assert_eq!(found, right, "{node:?} {inputs:?}");
}

fn int(value: i64) -> Attribute {
    Attribute::Int(value)
}

/// A small tensor with few different numbers, NaNs among them.
fn small(rank: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Tensor> {
    prop::collection::vec(1..5u64, rank).prop_flat_map(|shape| {
        let number = prop::sample::select(vec![0.0f32, -0.0, 1.0, -1.5, f32::NAN, 2.0]);
        let count = shape.iter().product::<u64>() as usize;
        prop::collection::vec(number, count)
            .prop_map(move |numbers| Tensor::new(DType::F32, shape.clone(), floats(&numbers)).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn non_zero_of_the_run(x in small(1..=3)) {
        both(&node("NonZero", &["x"], &["y"], &[]), &[("x", x)]);
    }

    #[test]
    fn compress_of_the_run(x in small(1..=3), axis in prop::option::of(-3..3i64), mask in prop::collection::vec(any::<bool>(), 1..7)) {
        let rank = x.dims().len() as i64;
        let axis = axis.map(|axis| axis.clamp(-rank, rank - 1));
        let attributes: Vec<_> = axis.map(|axis| ("axis", int(axis))).into_iter().collect();
        let size = axis.map_or(x.dims().iter().product(), |axis| x.dims()[axis.rem_euclid(rank) as usize]);
        // What the condition says beyond the end is ignored here, and an index out of range there.
        let mask: Vec<u8> = mask.iter().take(size as usize).map(|&x| x.into()).collect();
        let mask = Tensor::new(DType::Bool, vec![mask.len() as u64], mask).unwrap();
        both(&node("Compress", &["x", "mask"], &["y"], &attributes), &[("x", x), ("mask", mask)]);
    }

    #[test]
    fn unique_of_the_run(x in small(1..=3), axis in prop::option::of(-3..3i64), sorted in any::<bool>()) {
        let rank = x.dims().len() as i64;
        let mut attributes = vec![("sorted", int(sorted.into()))];
        attributes.extend(axis.map(|axis| ("axis", int(axis.clamp(-rank, rank - 1)))));
        let outputs = ["y", "indices", "inverse", "counts"];
        both(&node("Unique", &["x"], &outputs, &attributes), &[("x", x)]);
    }

    #[test]
    fn boxes_are_suppressed(
        (boxes, scores) in (1..3usize, 1..3usize, 1..24usize).prop_flat_map(|(batches, classes, count)| {
            let corner = (0..8i8).prop_map(|x| f32::from(x) * 0.5);
            let score = (0..6i8).prop_map(|x| f32::from(x) * 0.25);
            (
                prop::collection::vec(prop::collection::vec(prop::array::uniform4(corner), count), batches),
                prop::collection::vec(prop::collection::vec(prop::collection::vec(score, count), classes), batches),
            )
        }),
        most in prop::sample::select(vec![0i64, 1, 3, 17, 1000]),
        threshold in prop::sample::select(vec![0.0f32, 0.3, 0.5]),
        least in prop::option::of(prop::sample::select(vec![0.25f32, 0.5])),
    ) {
        let mut right = Vec::new();
        for (batch, classes) in scores.iter().enumerate() {
            for (class, scores) in classes.iter().enumerate() {
                let mut order: Vec<usize> =
                    (0..scores.len()).filter(|&place| least.is_none_or(|least| scores[place] > least)).collect();
                order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
                let mut taken: Vec<usize> = Vec::new();
                for place in order {
                    let boxes = &boxes[batch];
                    let apart = taken.iter().all(|&other| ratio(boxes[place], boxes[other]) <= threshold);
                    if apart && (taken.len() as i64) < most {
                        taken.push(place);
                        right.extend([batch as i64, class as i64, place as i64]);
                    }
                }
            }
        }
        let (batches, classes, count) = (scores.len() as u64, scores[0].len() as u64, boxes[0].len() as u64);
        let inputs = [input("boxes", DType::F32, &[batches, count, 4]), input("scores", DType::F32, &[batches, classes, count])];
        let scalar = |x: f32| Tensor::new(DType::F32, vec![1], floats(&[x])).unwrap();
        let mut constants = vec![("most", integer(most)), ("threshold", scalar(threshold))];
        constants.extend(least.map(|least| ("least", scalar(least))));
        let names = ["boxes", "scores", "most", "threshold", "least"];
        let names = &names[..if least.is_some() { 5 } else { 4 }];
        let model = model(&inputs, &constants, &["y"], &[node("NonMaxSuppression", names, &["y"], &[])]);
        let bytes = [floats(boxes.concat().as_flattened()), floats(&scores.concat().concat())];
        let found = outputs(model, &[&bytes[0], &bytes[1]]);
        let bytes: Vec<u8> = right.iter().flat_map(|x| x.to_le_bytes()).collect();
        prop_assert_eq!(&found[0], &(vec![right.len() as u64 / 3, 3], bytes));
    }
}

/// The intersection divided by the union; 0 if there is none.
fn ratio(a: [f32; 4], b: [f32; 4]) -> f32 {
    let [a, b] = [a, b].map(|x| [x[0].min(x[2]), x[1].min(x[3]), x[0].max(x[2]), x[1].max(x[3])]);
    let area = |x: [f32; 4]| (x[2] - x[0]) * (x[3] - x[1]);
    let side = |k: usize| (a[k + 2].min(b[k + 2]) - a[k].max(b[k])).max(0.0);
    let common = side(0) * side(1);
    if common > 0.0 { common / (area(a) + area(b) - common) } else { 0.0 }
}

/// A model that takes the positive elements of `x` and does something with them.
fn positive(nodes: &[ModelNode], constants: &[(&str, Tensor)]) -> Model {
    let zero = Tensor::new(DType::F32, vec![], floats(&[0.0])).unwrap();
    let mut all = vec![
        node("Greater", &["x", "zero"], &["mask"], &[]),
        node("NonZero", &["mask"], &["places"], &[]),
        node("Transpose", &["places"], &["tuples"], &[]),
        node("GatherND", &["x", "tuples"], &["taken"], &[]),
    ];
    all.extend_from_slice(nodes);
    let constants = [&[("zero", zero)], constants].concat();
    model(&[input("x", DType::F32, &[2, 3])], &constants, &["y"], &all)
}

fn taken(nodes: &[ModelNode], constants: &[(&str, Tensor)]) -> (Vec<u64>, Vec<f32>) {
    let x = floats(&[1.0, -2.0, 3.0, -4.0, 5.0, -6.0]);
    let (shape, bytes) = outputs(positive(nodes, constants), &[&x]).remove(0);
    (shape, bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect())
}

#[test]
fn what_takes_each_element_alone_goes_on() {
    let one = || vec![("one", Tensor::new(DType::F32, vec![1], floats(&[1.0])).unwrap())];
    let add = node("Add", &["taken", "one"], &["y"], &[]);
    assert_eq!(taken(&[add], &one()), (vec![3], vec![2.0, 4.0, 6.0]));
    // As a column; then sums of rows, a softmax of rows and products with a matrix are of each element alone.
    let column = node("Reshape", &["taken", "shape"], &["column"], &[]);
    let constants = vec![
        ("shape", list(&[-1, 1])),
        ("axes", list(&[1])),
        ("w", Tensor::new(DType::F32, vec![1, 2], floats(&[1.0, 10.0])).unwrap()),
    ];
    let wide = [
        column,
        node("MatMul", &["column", "w"], &["wide"], &[]),
        node("Softmax", &["wide"], &["parts"], &[("axis", int(-1))]),
        node("Concat", &["wide", "parts"], &["all"], &[("axis", int(1))]),
    ];
    let with = |last: ModelNode| [&wide[..], &[last]].concat();
    let (shape, all) = taken(&with(node("Identity", &["all"], &["y"], &[])), &constants);
    assert_eq!((shape, &all[..2], &all[4..6]), (vec![3, 4], &[1.0, 10.0][..], &[3.0, 30.0][..]));
    let axis = ("axes", Attribute::Ints(vec![1]));
    let sums = node("ReduceMax", &["all"], &["y"], &[axis.clone(), ("keepdims", int(0))]);
    assert_eq!(taken(&with(sums), &constants), (vec![3], vec![10.0, 30.0, 50.0]));
    // The true shape is known in the run.
    let shape = [node("Shape", &["taken"], &["s"], &[]), node("Cast", &["s"], &["y"], &[("to", int(1))])];
    assert_eq!(taken(&shape, &[]), (vec![1], vec![3.0]));
    let size = [node("Size", &["taken"], &["s"], &[]), node("Cast", &["s"], &["y"], &[("to", int(1))])];
    assert_eq!(taken(&size, &[]), (vec![], vec![3.0]));
}

#[test]
fn what_would_see_the_padding_is_refused() {
    let six = || ("six", Tensor::new(DType::F32, vec![6], vec![0; 24]).unwrap());
    let body = graph(&["i", "on", "v"], &["on", "w"], &[node("Mul", &["v", "v"], &["w"], &[])]);
    let branch = |name: &str| graph(&[], &[name], &[node("Neg", &["taken"], &[name], &[])]);
    for last in [
        vec![node("ReduceSum", &["taken"], &["y"], &[])],
        vec![node("Softmax", &["taken"], &["y"], &[("axis", int(0))])],
        vec![node("Add", &["taken", "six"], &["y"], &[])],
        vec![node("Concat", &["taken", "six"], &["y"], &[("axis", int(0))])],
        vec![node("Reshape", &["taken", "shape"], &["y"], &[])],
        vec![node("Slice", &["taken", "start", "end"], &["y"], &[])],
        vec![node("ArgMax", &["taken"], &["y"], &[])],
        vec![node("TopK", &["taken", "one"], &["y", "z"], &[])],
        vec![node("Gather", &["taken", "one"], &["y"], &[])],
        vec![node("Squeeze", &["taken"], &["y"], &[])],
        vec![node("Expand", &["taken", "wide"], &["y"], &[]), node("EyeLike", &["y"], &["z"], &[])],
        vec![node("CumSum", &["taken", "start0"], &["y"], &[])],
        vec![node("Loop", &["n", "", "taken"], &["y"], &[("body", body.clone())])],
        vec![node("If", &["c"], &["y"], &[("then_branch", branch("t")), ("else_branch", branch("e"))])],
        vec![node("NonZero", &["taken"], &["y"], &[])],
        vec![node("ReduceMean", &["taken"], &["y"], &[])],
        vec![node("LayerNormalization", &["taken", "six"], &["y"], &[])],
    ] {
        let constants = [
            six(),
            ("shape", list(&[6, 1])),
            ("start", list(&[0])),
            ("start0", integer(0)),
            ("end", list(&[-1])),
            ("one", list(&[1])),
            ("wide", list(&[2, 6])),
            ("n", integer(20)),
        ];
        let mut model = positive(&last, &constants);
        model.graph.inputs.push(input("c", DType::Bool, &[]));
        if last.len() > 1 {
            // A copy of each element is fine, but nothing that asks for a fixed shape of it.
            model.graph.outputs[0].name = "z".to_owned();
        }
        let error = import(model).map(|_| "accepted").unwrap_or_else(|error| error.leak());
        assert!(
            error.contains("elements along axis 0 as its data say, at most 6")
                || error.contains("axis 1 as its"),
            "{last:?}: {error}"
        );
    }
}

#[test]
fn an_output_and_its_shape_are_told() {
    let node = node("NonZero", &["x"], &["y"], &[]);
    let declared = model(&[input("x", DType::F32, &[2, 3])], &[], &["y", "x"], &[node]);
    let imported = compiler::import_model(declared.clone(), &Options::default()).unwrap();
    let graph = &imported.graph;
    let names: Vec<&str> = graph.outputs.iter().map(|&id| graph.tensor(id).name.as_str()).collect();
    assert_eq!(names, ["y", "x", "y#shape"]);
    let warnings: Vec<String> = imported.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|text| text.contains("output `y#shape` is the true one")), "{warnings:?}");

    let mut taken = declared.clone();
    taken.graph.inputs.push(input("y#shape", DType::I64, &[1]));
    let error = import(taken).unwrap_err();
    assert!(error.contains("`y#shape` is the name of the true shape of output `y`"), "{error}");

    let states = vec![("x".to_owned(), "y".to_owned())];
    let error = import_with(declared, &Options { states, ..Options::default() }).unwrap_err();
    assert!(error.contains("has as many elements as its data say, and a state keeps its size"), "{error}");
}

#[test]
fn sequences_are_taken_apart() {
    let x = || input("x", DType::F32, &[2, 3]);
    let sequence =
        onnx::Value { other: Some(onnx::Value::SEQUENCE.to_owned()), ..input("s", DType::F32, &[3]) };
    let nodes = [
        node("SequenceInsert", &["s", "x", "first"], &["t"], &[]),
        node("SequenceErase", &["t", "last"], &["u"], &[]),
        node("SequenceLength", &["u"], &["length"], &[]),
        node("SequenceAt", &["u", "last"], &["at"], &[]),
    ];
    let model = model(
        &[x(), sequence],
        &[("first", integer(0)), ("last", integer(-1))],
        &["u", "length", "at"],
        &nodes,
    );
    let error = import(model.clone()).unwrap_err();
    assert!(
        error.contains("input `s` is a sequence; give the shape of each element: --shape s[0]="),
        "{error}"
    );
    let shapes = |names: &[&str]| -> BTreeMap<String, Vec<u64>> {
        names
            .iter()
            .map(|&name| (name.to_owned(), if name.ends_with("[]") { vec![] } else { vec![3] }))
            .collect()
    };
    let options = Options { shapes: shapes(&["s[0]", "s[1]"]), ..Options::default() };
    let graph = import_with(model.clone(), &options).unwrap();
    let names = |ids: &[graph::TensorId]| -> Vec<String> {
        ids.iter().map(|&id| graph.tensor(id).name.clone()).collect()
    };
    assert_eq!(names(&graph.inputs), ["x", "s[0]", "s[1]"]);
    assert_eq!(names(&graph.outputs), ["u[0]", "u[1]", "length", "at"]);
    let inputs = [[1.0f32; 6].to_vec(), vec![2.0; 3], vec![3.0; 3]].map(|numbers| floats(&numbers));
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let found = run_bytes(&graph, &inputs);
    let right = [inputs[0].to_vec(), inputs[1].to_vec(), 2i64.to_le_bytes().to_vec(), inputs[1].to_vec()];
    assert!(found.iter().map(|(_, bytes)| bytes).eq(&right), "{found:?}");
    let options = Options { shapes: shapes(&["s[]"]), ..Options::default() };
    let error = import_with(model, &options).unwrap_err();
    assert!(error.contains("input 0 (`u`) is empty; supported: sequences with elements"), "{error}");
}

#[test]
fn without_a_place_the_last_of_a_sequence_is_meant() {
    let inputs = ["a", "b", "c"].map(|name| input(name, DType::F32, &[1]));
    let nodes = [
        node("SequenceConstruct", &["a", "b"], &["s"], &[]),
        node("SequenceInsert", &["s", "c"], &["t"], &[]),
        node("SequenceErase", &["t"], &["u"], &[]),
        node("SequenceAt", &["t", "last"], &["inserted"], &[]),
        node("ConcatFromSequence", &["u"], &["rest"], &[("axis", int(0))]),
    ];
    let model = model(&inputs, &[("last", integer(-1))], &["inserted", "rest"], &nodes);
    let graph = import(model).unwrap();
    let [a, b, c] = [1.0f32, 2.0, 3.0].map(|number| floats(&[number]));
    let found = run_bytes(&graph, &[&a, &b, &c]);
    assert!(found.iter().map(|(_, bytes)| bytes).eq(&[c, [a, b].concat()]), "{found:?}");
}

#[test]
fn what_is_no_tensor_is_refused_where_one_must_be() {
    let x = || input("x", DType::F32, &[2]);
    let pair = node("SequenceConstruct", &["x", "x"], &["s"], &[]);
    let none = node("Optional", &[], &["s"], &[]);
    let body = graph(&["i", "on", "v"], &["on", "w"], &[node("SequenceInsert", &["v", "x"], &["w"], &[])]);
    let looped = |count: &'static str| node("Loop", &[count, "", "s"], &["y"], &[("body", body.clone())]);
    let grow = |name: &str| graph(&[], &[name], &[node("SequenceInsert", &["s", "x"], &[name], &[])]);
    let same = |name: &str| graph(&[], &[name], &[node("Identity", &["s"], &[name], &[])]);
    let branches = node("If", &["c"], &["y"], &[("then_branch", grow("t")), ("else_branch", same("e"))]);
    for (first, last, expected) in [
        (&pair, node("Relu", &["s"], &["y"], &[]), "input 0 (`s`) is a sequence; expected a tensor"),
        (&pair, node("Shape", &["s"], &["y"], &[]), "input 0 (`s`) is a sequence"),
        (&pair, node("SequenceConstruct", &["s"], &["y"], &[]), "input 0 (`s`) is a sequence"),
        (
            &pair,
            node("SequenceAt", &["x", "n"], &["y"], &[]),
            "input 0 (`x`) is a tensor; expected a sequence",
        ),
        (&pair, node("SequenceErase", &["s", "n"], &["y"], &[]), "must be a constant"),
        (&pair, node("SequenceAt", &["s", "far"], &["y"], &[]), "input 1 (`far`) is 7; supported: -2 to 1"),
        (&pair, node("SequenceInsert", &["s", "x", "far"], &["y"], &[]), "supported: -2 to 2"),
        (&none, node("OptionalGetElement", &["s"], &["y"], &[]), "an optional value that is missing"),
        (&none, node("Neg", &["s"], &["y"], &[]), "an optional value that is missing; expected a tensor"),
        (&pair, looped("n"), "how often it runs isn't known before the run, but decided by `n`"),
        (&pair, branches, "sequences of different lengths"),
        (&pair, node("Scan", &["s"], &["y"], &[("num_scan_inputs", int(1))]), "is a sequence"),
    ] {
        let inputs = [x(), input("n", DType::I64, &[]), input("c", DType::Bool, &[])];
        let model = model(&inputs, &[("far", integer(7))], &["y"], &[first.clone(), last.clone()]);
        let error = import(model).map(|_| String::new()).unwrap_or_else(|error| error);
        assert!(error.contains(expected), "{last:?}: `{error}` does not say `{expected}`");
    }
    // A loop that runs too often to be written out.
    let model = model(&[x()], &[("often", integer(1 << 39))], &["y"], &[pair, looped("often")]);
    let error = import(model).unwrap_err();
    assert!(error.contains("supported: up to 4096"), "{error}");
}
