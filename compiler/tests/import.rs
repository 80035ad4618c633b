//! Old and new forms of operators mean the same, shapes are bound by name, and dead or constant nodes
//! disappear. The models are built from the plain types of the ONNX reader.

use compiler::Options;
use dnn_lib::tensor::{DType, TensorType};
use graph::{Graph, reference};
use onnx::{Attribute, Dimension, Initializer, Model, ModelNode, Tensor, Value};

fn node(operator: &str, inputs: &[&str], output: &str) -> ModelNode {
    ModelNode {
        name: format!("the_{output}"),
        operator: operator.to_owned(),
        inputs: inputs.iter().map(|&name| name.to_owned()).collect(),
        outputs: vec![output.to_owned()],
        ..ModelNode::default()
    }
}

fn with(mut node: ModelNode, name: &str, value: Attribute) -> ModelNode {
    node.attributes.insert(name.to_owned(), value);
    node
}

fn ints(values: &[i64]) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(DType::I64, vec![values.len() as u64], bytes).unwrap()
}

fn boolean(value: bool) -> Tensor {
    Tensor::new(DType::Bool, vec![], vec![value.into()]).unwrap()
}

fn value(name: &str, shape: Option<Vec<Dimension>>) -> Value {
    Value { name: name.to_owned(), dtype: Some(DType::F32), shape, other: None }
}

fn fixed(sizes: &[u64]) -> Option<Vec<Dimension>> {
    Some(sizes.iter().map(|&size| Dimension::Fixed(size)).collect())
}

fn symbol(name: &str) -> Dimension {
    Dimension::Symbol(name.to_owned())
}

/// A model with an input `x` of the given shape and an output `y` of any shape.
fn model(opset: i64, shape: &[u64], initializers: &[(&str, Tensor)], nodes: &[ModelNode]) -> Model {
    let initializer =
        |(name, tensor): &(&str, Tensor)| Initializer { name: (*name).to_owned(), tensor: tensor.clone() };
    Model {
        opset,
        graph: onnx::ModelGraph {
            name: "test".to_owned(),
            nodes: nodes.to_vec(),
            initializers: initializers.iter().map(initializer).collect(),
            inputs: vec![value("x", fixed(shape))],
            outputs: vec![value("y", None)],
            ..onnx::ModelGraph::default()
        },
        ..Model::default()
    }
}

fn import(model: Model) -> Result<Graph, String> {
    let imported = compiler::import_model(model, &Options::default());
    imported.map(|imported| imported.graph).map_err(|error| error.to_string())
}

fn output(graph: &Graph) -> &TensorType {
    &graph.tensor(graph.outputs[0]).ty
}

fn floats(count: usize) -> Vec<u8> {
    (0..count).flat_map(|x| (x as f32 - 2.5).to_le_bytes()).collect()
}

/// The graph's result for `0 - 2.5, 1 - 2.5, ...`.
fn execute(graph: &Graph) -> Vec<u8> {
    let count = graph.tensor(graph.inputs[0]).ty.elements().unwrap() as usize;
    reference::execute(graph, &[&floats(count)]).unwrap().remove(0)
}

#[test]
fn axes_are_taken_from_the_attribute_of_old_forms_and_the_input_of_new_ones() {
    let axes = || Attribute::Ints(vec![0, 2]);
    for (operator, shape, expected) in [
        ("Squeeze", &[1, 3, 1][..], &[3][..]),
        ("Unsqueeze", &[3], &[1, 3, 1]),
        ("ReduceMean", &[2, 3, 2], &[1, 3, 1]),
    ] {
        let old =
            import(model(11, shape, &[], &[with(node(operator, &["x"], "y"), "axes", axes())])).unwrap();
        let new =
            import(model(18, shape, &[("axes", ints(&[0, 2]))], &[node(operator, &["x", "axes"], "y")]))
                .unwrap();
        assert_eq!(output(&old).shape, expected, "{operator}");
        assert_eq!(output(&new).shape, expected, "{operator}");
        assert_eq!(execute(&old), execute(&new), "{operator}");
    }
}

/// Elements that share a byte are moved as if they had one each.
#[test]
fn packed_elements_are_moved() {
    let cast = |from, to: i64, name| with(node("Cast", &[from], name), "to", Attribute::Int(to));
    let moved = |from, name| {
        let pad = node("Pad", &["transposed", "pads"], name);
        [node("Transpose", &[from], "transposed"), pad]
    };
    let run = |nodes: Vec<ModelNode>| {
        let graph = import(model(25, &[3, 3], &[("pads", ints(&[1, 0, 0, 1]))], &nodes)).unwrap();
        assert_eq!(output(&graph).shape, [4, 4]);
        execute(&graph)
    };
    let float = 1;
    for (code, name) in [(21, "uint4"), (22, "int4"), (23, "float4e2m1"), (25, "uint2"), (26, "int2")] {
        let [first, second] = moved("small", "larger");
        let packed = run(vec![cast("x", code, "small"), first, second, cast("larger", float, "y")]);
        let [first, second] = moved("wide", "y");
        let plain = run(vec![cast("x", code, "small"), cast("small", float, "wide"), first, second]);
        assert_eq!(packed, plain, "{name}");
    }
}

/// What is too large for a small float becomes the largest number, or what the format has instead.
#[test]
fn small_floats_are_saturated_unless_the_node_says_no() {
    let scale = Tensor::new(DType::F32, vec![], 1e-5f32.to_le_bytes().to_vec()).unwrap();
    let zero = Tensor::new(DType::F8E5M2, vec![], vec![0]).unwrap();
    let run = |saturate: i64, question: &str| {
        let quantize = node("QuantizeLinear", &["x", "scale", "zero"], "small");
        let quantize = with(quantize, "saturate", Attribute::Int(saturate));
        let nodes = [
            quantize,
            node(question, &["small"], "is"),
            with(node("Cast", &["is"], "y"), "to", Attribute::Int(1)),
        ];
        let initializers = [("scale", scale.clone()), ("zero", zero.clone())];
        execute(&import(model(24, &[4], &initializers, &nodes)).unwrap())
    };
    // The first two quotients are beyond the largest number, 57344.
    let ones = |which: [u8; 4]| which.iter().flat_map(|&x| f32::from(x).to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(run(0, "IsInf"), ones([1, 1, 0, 0]));
    assert_eq!(run(1, "IsInf"), ones([0; 4]));
    assert_eq!(run(0, "IsNaN"), ones([0; 4]));
}

#[test]
fn dropout_is_the_identity_unless_training() {
    let dropout = |inputs: &[&str]| node("Dropout", inputs, "y");
    let flags = [("no", boolean(false)), ("yes", boolean(true)), ("ratio", ints(&[1]))];
    let old = import(model(7, &[4], &[], &[with(dropout(&["x"]), "ratio", Attribute::Float(0.5))])).unwrap();
    let new = import(model(13, &[4], &flags, &[dropout(&["x", "ratio", "no"])])).unwrap();
    assert_eq!(execute(&old), floats(4));
    assert_eq!(execute(&new), floats(4));
    let error = import(model(13, &[4], &flags, &[dropout(&["x", "ratio", "yes"])])).unwrap_err();
    assert!(error.starts_with("node `the_y` (Dropout): attribute `seed` is missing"), "{error}");
}

#[test]
fn outputs_beyond_the_first_are_refused_only_where_they_are_used() {
    let mut relu = node("Relu", &["x"], "y");
    relu.outputs.push("more".to_owned());
    let dead = node("Identity", &["more"], "dead");
    import(model(12, &[1, 1, 4], &[], &[relu.clone(), dead])).unwrap();
    let mut used = model(12, &[1, 1, 4], &[], &[relu]);
    used.graph.outputs.push(Value { name: "more".to_owned(), ..Value::default() });
    let error = import(used).unwrap_err();
    assert_eq!(error, "node `the_y` (Relu): output 1 (`more`) is used, but only output 0 is supported");
}

#[test]
fn batch_normalization_for_training_takes_the_statistics_of_the_batch() {
    let normalization = |opset, outputs: &[&str], training: bool, read: &[&str]| {
        let mut node = node("BatchNormalization", &["x", "w", "w", "w", "w"], "y");
        node.outputs.extend(outputs.iter().map(|&name| name.to_owned()));
        if training {
            node.attributes.insert("training_mode".to_owned(), Attribute::Int(1));
        }
        let w = Tensor::new(DType::F32, vec![1], 1f32.to_le_bytes().to_vec()).unwrap();
        let mut model = model(opset, &[1, 1, 2], &[("w", w)], &[node]);
        model.graph.outputs.extend(read.iter().map(|name| value(name, None)));
        let graph = import(model)?;
        let numbers = execute(&graph);
        Ok::<Vec<f32>, String>(numbers.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect())
    };
    let near = |found: Result<Vec<f32>, String>, expected: [f32; 2]| {
        let found = found.unwrap();
        assert!(
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-3),
            "{found:?}"
        );
    };
    // The elements are -2.5 and -1.5.
    let (inference, training) = ([-2.5, -1.5], [0.0, 2.0]);
    near(normalization(9, &[], false, &[]), inference);
    near(normalization(9, &["", ""], false, &[]), inference);
    near(normalization(9, &["mean", "variance"], false, &[]), training);
    near(normalization(15, &["mean", "variance"], true, &[]), training);
    // In older forms the running statistics are read too.
    near(normalization(9, &["mean", "variance"], false, &["variance"]), training);
}

#[test]
fn every_form_of_constant_is_understood() {
    let forms = [("value", Attribute::Tensor(ints(&[2, 2]))), ("value_ints", Attribute::Ints(vec![2, 2]))];
    for (name, attribute) in forms {
        let nodes =
            [with(node("Constant", &[], "shape"), name, attribute), node("Reshape", &["x", "shape"], "y")];
        let graph = import(model(13, &[4], &[], &nodes)).unwrap();
        assert_eq!(output(&graph).shape, [2, 2], "{name}");
    }
    for (name, attribute) in
        [("value_float", Attribute::Float(2.0)), ("value_floats", Attribute::Floats(vec![2.0]))]
    {
        let nodes = [with(node("Constant", &[], "two"), name, attribute), node("Mul", &["x", "two"], "y")];
        assert_eq!(
            execute(&import(model(13, &[1], &[], &nodes)).unwrap()),
            (-5.0f32).to_le_bytes(),
            "{name}"
        );
    }
    let string = with(node("Constant", &[], "y"), "value_string", Attribute::String(String::new()));
    let error = import(model(13, &[1], &[], &[string])).unwrap_err();
    assert!(error.contains("attribute `value_string` is unknown; supported: value, value_float"), "{error}");
}

#[test]
fn constants_are_folded_and_dead_nodes_removed() {
    let nodes = [
        node("Relu", &["x"], "dead"),
        node("Add", &["shape", "shape"], "doubled"),
        node("Reshape", &["x", "doubled"], "y"),
    ];
    let graph = import(model(13, &[4], &[("shape", ints(&[1, 1]))], &nodes)).unwrap();
    assert_eq!(output(&graph).shape, [2, 2]);
    let left: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(left, ["the_y"]);
}

#[test]
fn nodes_may_come_in_any_order() {
    let nodes = [node("Relu", &["between"], "y"), node("Exp", &["x"], "between")];
    let graph = import(model(13, &[4], &[], &nodes)).unwrap();
    let order: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(order, ["the_between", "the_y"]);
}

#[test]
fn many_tensors_are_joined_at_once() {
    let concat = with(node("Concat", &["x"; 32], "y"), "axis", Attribute::Int(0));
    let graph = import(model(13, &[3], &[], &[concat])).unwrap();
    assert_eq!(graph.nodes.len(), 1);
    assert_eq!(execute(&graph), floats(3).repeat(32));
}

#[test]
fn outputs_that_are_inputs_or_constants_are_copied() {
    for (of, nodes) in [("x", vec![]), ("w", vec![]), ("y", vec![node("Identity", &["x"], "y")])] {
        let mut model = model(13, &[2], &[("w", ints(&[7]))], &nodes);
        model.graph.outputs = vec![Value { name: of.to_owned(), ..Value::default() }];
        let compiled = compiler::compile_graph(import(model).unwrap(), &Options::default()).unwrap();
        let [input, output] = [compiled.graph.inputs[0], compiled.graph.outputs[0]];
        assert_ne!(compiled.plan.address(input), compiled.plan.address(output), "{of}");
        assert_eq!(compiled.image.schedule.len(), 1, "{of}");
    }
}

#[test]
fn outputs_that_are_views_of_another_are_copied() {
    let nodes = [node("Relu", &["x"], "y"), node("Identity", &["y"], "z")];
    let mut model = model(13, &[2], &[], &nodes);
    model.graph.outputs = ["z", "y"].map(|name| value(name, None)).into();
    let compiled = compiler::compile_graph(import(model).unwrap(), &Options::default()).unwrap();
    let outputs = compiled.image.tensors.iter().filter(|tensor| tensor.role == image::Role::Output);
    let names: Vec<&str> = outputs.map(|tensor| &*tensor.name).collect();
    assert_eq!(names, ["z", "y"]);
    assert_eq!(compiled.image.schedule.len(), 2);
}

/// Shapes given, by input.
type Given<'a> = &'a [(&'a str, &'a [u64])];
/// The shapes of the inputs, or the error.
type Bound<'a> = Result<Vec<Vec<u64>>, &'a str>;

fn bind(shapes: Given<'_>) -> Result<Vec<Vec<u64>>, String> {
    let mut model = model(13, &[], &[], &[node("Add", &["x", "z"], "y")]);
    model.graph.inputs = vec![
        value("x", Some(vec![symbol("batch"), Dimension::Fixed(4)])),
        value("z", Some(vec![symbol("batch"), Dimension::Unknown])),
    ];
    let shapes = shapes.iter().map(|&(name, shape)| (name.to_owned(), shape.to_vec())).collect();
    let graph = compiler::import_model(model, &Options { shapes, ..Options::default() });
    let graph = graph.map_err(|error| error.to_string())?.graph;
    Ok(graph.inputs.iter().map(|&id| graph.tensor(id).ty.shape.clone()).collect())
}

#[test]
fn open_dimensions_are_bound_by_shapes_and_by_their_names() {
    let table: [(Given<'_>, Bound<'_>); 7] = [
        (&[("x", &[2, 4]), ("z", &[2, 4])], Ok(vec![vec![2, 4], vec![2, 4]])),
        (&[("z", &[2, 1])], Ok(vec![vec![2, 4], vec![2, 1]])),
        (
            &[],
            Err("2 problems:
  input `x` has shape [batch, 4], which is not fixed; add --dim batch=1 for all inputs, or --shape x=1,4
  input `z` has shape [batch, ?], which is not fixed; add --dim batch=1 for all inputs, or --shape z=1,1"),
        ),
        (&[("x", &[2, 4])], Err("input `z` has shape [batch, ?], which is not fixed; add --shape z=2,1")),
        (&[("x", &[2, 5]), ("z", &[2, 1])], Err("--shape x=2,5 contradicts the declared shape [2, 4]")),
        (&[("x", &[2, 4]), ("z", &[3, 1])], Err("--shape z=3,1 contradicts the declared shape [2, ?]")),
        (
            &[("w", &[2]), ("x", &[2, 4]), ("z", &[2, 1])],
            Err("--shape w: the model has no such input; inputs: x, z"),
        ),
    ];
    for (shapes, expected) in table {
        assert_eq!(bind(shapes), expected.map_err(str::to_owned), "{shapes:?}");
    }
}

#[test]
fn all_problems_are_named_at_once() {
    let mut custom = node("Gelu", &["x"], "g");
    custom.domain = "com.example".to_owned();
    let mut unnamed = node("Mystery", &["p"], "e2");
    unnamed.name = String::new();
    let nodes = [
        node("Mystery", &["x"], "e"),
        node("StringConcat", &["e", "e"], "p"),
        unnamed,
        custom,
        with(node("Relu", &["e2"], "r"), "slope", Attribute::Float(1.0)),
        with(node("Softmax", &["x"], "s"), "axis", Attribute::Int(7)),
        node("Or", &["x", "x"], "dead"),
        node("Exp", &["count"], "h"),
        with(node("Concat", &["g", "r", "s", "h"], "y"), "axis", Attribute::Int(0)),
    ];
    let count = Tensor::new(DType::I32, vec![1], vec![0; 4]).unwrap();
    let mut model = model(13, &[2], &[("count", count.clone()), ("unused count", count)], &nodes);
    model.graph.inputs.push(value("z", Some(vec![symbol("batch")])));
    model.graph.outputs.push(value("z", None));
    let error = import(model).unwrap_err();
    let supported = error.find("\ndocs/operators.md lists what is supported; ").expect("what is supported");
    assert_eq!(
        &error[..supported],
        "7 problems:
  input `z` has shape [batch], which is not fixed; add --dim batch=1 for all inputs, or --shape z=1
  operator Mystery is not supported (2 nodes: `the_e`, `#2`)
  operator StringConcat is not supported (node `the_p`)
  operator com.example.Gelu is not supported (node `the_g`); did you mean Gelu?
  node `the_r` (Relu): attribute `slope` is unknown; supported: none
  node `the_s` (Softmax): attribute axis is 7, but must be in -1..1 for a tensor of rank 1
  node `the_h` (Exp): input 0 (`count`) is int32; expected float or double or float16 or bfloat16"
    );
}

/// Packed elements are moved, and computed with after a cast only.
#[test]
fn halves_are_numbers_and_packed_elements_are_moved() {
    let types = [DType::F16, DType::BF16, DType::I4, DType::U4];
    let [half, brain, int4, uint4] =
        types.map(|dtype| Tensor::new(dtype, vec![3, 1], vec![7; dtype.bytes(3).unwrap() as usize]).unwrap());
    let constants =
        [("half", half), ("brain", brain), ("int4", int4), ("uint4", uint4), ("shape", ints(&[1, 3]))];
    let outcome = |operator: &str, inputs: &[&str]| {
        let mut model = model(13, &[2], &constants, &[node(operator, inputs, "y")]);
        model.graph.outputs[0].dtype = None;
        import(model).map(|graph| graph.tensor(graph.outputs[0]).ty.to_string())
    };
    assert_eq!(outcome("Transpose", &["half"]), Ok("f16[1,3]".to_owned()));
    assert_eq!(outcome("Transpose", &["brain"]), Ok("bf16[1,3]".to_owned()));
    assert_eq!(outcome("Add", &["half", "half"]), Ok("f16[3,1]".to_owned()));
    assert_eq!(outcome("Relu", &["brain"]), Ok("bf16[3,1]".to_owned()));
    assert_eq!(outcome("Reshape", &["int4", "shape"]), Ok("i4[1,3]".to_owned()));
    assert_eq!(outcome("Transpose", &["int4"]), Ok("i4[1,3]".to_owned()));
    for (operator, inputs, found) in [
        ("Add", &["int4", "int4"], "input 0 (`int4`) is int4; expected float or double or int8 or"),
        ("Mul", &["uint4", "uint4"], "input 0 (`uint4`) is uint4; expected float or double or int8 or"),
    ] {
        let error = outcome(operator, inputs).unwrap_err();
        assert!(error.contains(found), "{error}");
    }
}

#[test]
fn a_name_that_is_nearly_right_is_suggested() {
    let error = import(model(13, &[2], &[], &[node("relu", &["x"], "y")])).unwrap_err();
    assert!(
        error.starts_with(
            "operator relu is not supported (node `the_y`); did you mean Relu?\ndocs/operators.md"
        ),
        "{error}"
    );
}

#[test]
fn the_arithmetic_of_shapes_folds_away() {
    let numbers = |values: &[i64]| Attribute::Ints(values.to_vec());
    let nodes = [
        node("Shape", &["x"], "shape"),
        with(node("Split", &["shape"], "first"), "split", numbers(&[1, 2])),
        with(node("Constant", &[], "rest"), "value_ints", numbers(&[-1])),
        with(node("Concat", &["first", "rest"], "target"), "axis", Attribute::Int(0)),
        node("Reshape", &["x", "target"], "y"),
    ];
    let graph = import(model(11, &[2, 3, 4], &[], &nodes)).unwrap();
    assert_eq!((&output(&graph).shape[..], graph.nodes.len()), (&[2, 12][..], 1));
    for (start, end, expected) in [
        (Some(1), None, vec![3, 4]),
        (Some(-1), None, vec![4]),
        (None, Some(-1), vec![2, 3]),
        (Some(2), Some(1), vec![]),
    ] {
        let mut shape = node("Shape", &["x"], "y");
        shape.attributes.extend(start.map(|value| ("start".to_owned(), Attribute::Int(value))));
        shape.attributes.extend(end.map(|value| ("end".to_owned(), Attribute::Int(value))));
        let mut of_shape = model(15, &[2, 3, 4], &[], &[shape]);
        of_shape.graph.outputs[0].dtype = None;
        let expected = Some(ints(&expected).into_parts().2);
        let graph = import(of_shape).unwrap();
        assert_eq!(graph.tensor(graph.outputs[0]).value, expected);
    }
    let mut size = model(13, &[2, 3, 4], &[], &[node("Size", &["x"], "y")]);
    size.graph.outputs[0].dtype = None;
    let graph = import(size).unwrap();
    assert_eq!(graph.tensor(graph.outputs[0]).value.as_deref(), Some(&24i64.to_le_bytes()[..]));
}

#[test]
fn dimensions_are_bound_by_name_for_the_whole_model() {
    let bound = |dims: &[(&str, u64)], shapes: Given<'_>| {
        let mut model = model(13, &[], &[], &[node("Add", &["x", "z"], "y")]);
        model.graph.inputs = vec![
            value("x", Some(vec![symbol("batch"), Dimension::Fixed(4)])),
            value("z", Some(vec![symbol("batch"), symbol("width")])),
        ];
        let dims = dims.iter().map(|&(name, size)| (name.to_owned(), size)).collect();
        let shapes = shapes.iter().map(|&(name, shape)| (name.to_owned(), shape.to_vec())).collect();
        let graph = compiler::import_model(model, &Options { dims, shapes, ..Options::default() });
        let graph = graph.map_err(|error| error.to_string())?.graph;
        Ok::<_, String>(graph.inputs.iter().map(|&id| graph.tensor(id).ty.shape.clone()).collect::<Vec<_>>())
    };
    assert_eq!(bound(&[("batch", 2), ("width", 4)], &[]), Ok(vec![vec![2, 4], vec![2, 4]]));
    assert_eq!(bound(&[("width", 1)], &[("x", &[3, 4])]), Ok(vec![vec![3, 4], vec![3, 1]]));
    let error = bound(&[("batch", 2)], &[]).unwrap_err();
    assert_eq!(
        error,
        "input `z` has shape [batch, width], which is not fixed; add --dim width=1 for all inputs, or --shape z=2,1"
    );
    let error = bound(&[("batch", 2), ("width", 4)], &[("x", &[3, 4])]).unwrap_err();
    assert_eq!(error, "--shape x=3,4 contradicts the declared shape [2, 4]");
    let error = bound(&[("batch", 2), ("width", 4), ("height", 4)], &[]).unwrap_err();
    assert_eq!(
        error,
        "--dim height: no input has an open dimension of that name; open dimensions: batch, width"
    );
}

#[test]
fn an_input_that_nobody_reads_needs_no_type() {
    let mut model = model(13, &[2], &[], &[node("Relu", &["x"], "y")]);
    model.graph.inputs.extend([
        value("open", Some(vec![symbol("batch")])),
        Value { name: "list".to_owned(), other: Some("a sequence".to_owned()), ..Value::default() },
        value("fixed", fixed(&[3])),
    ]);
    let imported = compiler::import_model(model.clone(), &Options::default()).unwrap();
    let names: Vec<&str> = imported.graph.inputs.iter().map(|&id| &*imported.graph.tensor(id).name).collect();
    assert_eq!(names, ["x", "fixed"]);
    let warnings: Vec<String> = imported.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "input `open` is of shape [batch]; nothing reads it, so the program is made without it",
            "input `list` is a sequence; nothing reads it, so the program is made without it",
        ]
    );
    model.graph.nodes = vec![node("Concat", &["x", "list"], "y")];
    let error = import(model).unwrap_err();
    assert!(
        error.contains("input `list` is a sequence; give the shape of each element: --shape list[0]="),
        "{error}"
    );
}

#[test]
fn a_wrong_structure_is_told_with_the_operators_that_are_missing() {
    let nodes = [
        node("Tanh", &["x"], "y"),
        node("Add", &["x", "nowhere"], "a"),
        node("Mystery", &["a"], "b"),
        node("Relu", &["b"], "y"),
    ];
    let mut model = model(13, &[2], &[], &nodes);
    model.graph.outputs.push(Value { name: "nothing".to_owned(), ..Value::default() });
    let error = import(model).unwrap_err();
    for part in [
        "4 problems:",
        "operator Mystery is not supported (node `the_b`)",
        "tensor `y` is defined twice: as an output of node `the_y` (Tanh) and as an output of node `the_y` (Relu)",
        "tensor `nowhere`, used by node `the_a` (Add), is not defined",
        "tensor `nothing`, used by the graph's outputs, is not defined",
    ] {
        assert!(error.contains(part), "`{error}` should say `{part}`");
    }
}

#[test]
fn the_same_problem_of_many_nodes_is_told_once() {
    let nodes: Vec<ModelNode> = (0..9).map(|index| node("Mod", &["x", "x"], &format!("a{index}"))).collect();
    let mut model = model(6, &[2], &[], &nodes);
    let output = |index| Value { name: format!("a{index}"), ..Value::default() };
    model.graph.outputs = (0..9).map(output).collect();
    let error = import(model).unwrap_err();
    let nodes = "9 nodes: `the_a0`, `the_a1`, `the_a2`, `the_a3`, `the_a4`, ... (Mod)";
    assert!(error.starts_with(&format!("{nodes}: the form of opset 6 is not supported")), "{error}");
}

/// A model that copies `x` to `y`, with a declared shape for `x` and the given shapes.
fn copy(x: Vec<Dimension>, y: Vec<Dimension>, given: &[u64]) -> Result<(Vec<u64>, Vec<String>), String> {
    let mut model = model(13, &[], &[], &[node("Relu", &["x"], "y")]);
    model.graph.inputs = vec![value("x", Some(x))];
    model.graph.outputs = vec![value("y", Some(y))];
    let given = (!given.is_empty()).then(|| ("x".to_owned(), given.to_vec()));
    let options = Options { shapes: given.into_iter().collect(), ..Options::default() };
    let imported = compiler::import_model(model, &options).map_err(|error| error.to_string())?;
    let warnings = imported.warnings.iter().map(ToString::to_string).collect();
    Ok((output(&imported.graph).shape.clone(), warnings))
}

#[test]
fn the_declared_shape_of_an_output_decides_nothing() {
    use Dimension::Fixed;
    let wrong = |declared: &str| {
        vec![format!(
            "output `y` is declared {declared}, but its nodes compute [4, 3]; the declared shape is ignored"
        )]
    };
    for (declared, warnings) in [
        (vec![Fixed(1), Fixed(3)], wrong("[1, 3]")),
        (vec![Fixed(12)], wrong("[12]")),
        (vec![], wrong("[]")),
        (vec![Fixed(0), Fixed(3)], vec![]),
        (vec![symbol("batch"), Fixed(3)], vec![]),
        (vec![Fixed(4), Fixed(3)], vec![]),
    ] {
        assert_eq!(copy(vec![symbol("n"), Fixed(3)], declared, &[4, 3]), Ok((vec![4, 3], warnings)));
    }
    let mut double = model(13, &[2], &[], &[node("Relu", &["x"], "y")]);
    double.graph.outputs[0].dtype = Some(DType::F64);
    let error = import(double).unwrap_err();
    assert_eq!(error, "output `y` is declared double, but its nodes compute float; correct its declaration");
}

#[test]
fn a_declared_zero_may_stand_for_an_open_dimension() {
    use Dimension::Fixed;
    let zero = || vec![Fixed(0), Fixed(3)];
    assert_eq!(copy(zero(), zero(), &[4, 3]), Ok((vec![4, 3], vec![])));
    let error = copy(zero(), zero(), &[4, 2]).unwrap_err();
    assert_eq!(error, "--shape x=4,2 contradicts the declared shape [0, 3]");
    let (shape, warnings) = copy(zero(), zero(), &[]).unwrap();
    assert_eq!(shape, [0, 3]);
    let expected = [
        "input `x` is declared [0, 3] and has no elements; if its 0 stands for an open dimension, add --shape x=1,3",
        "output `y` has shape [0, 3] and no elements: the model computes nothing for it",
    ];
    assert_eq!(warnings, expected);
    // A user who asks for a 0 needs no hint.
    assert_eq!(copy(zero(), zero(), &[0, 3]).unwrap().1, expected[1..]);
}

#[test]
fn a_model_that_needs_more_memory_than_allowed_is_refused() {
    let graph = import(model(13, &[600], &[], &[node("Relu", &["x"], "y")])).unwrap();
    let compile = |max_memory| {
        let options = Options { max_memory, ..Options::default() };
        compiler::compile_graph(graph.clone(), &options).map_err(|error| error.to_string())
    };
    assert!(compile(1 << 14).is_ok());
    let error = compile(1 << 13).unwrap_err();
    assert_eq!(error, "the memory of all tensors needs 12288 bytes; the limit is 8192");
}

#[test]
fn large_constants_are_computed_by_the_compiler_unless_that_makes_them_larger() {
    let zeros = |shape: &[u64]| {
        let bytes = vec![0; shape.iter().product::<u64>() as usize * 4];
        Tensor::new(DType::F32, shape.to_vec(), bytes).unwrap()
    };
    let constants =
        [("square", zeros(&[512, 512])), ("column", zeros(&[3000, 1])), ("row", zeros(&[1, 3000]))];
    let count = |operator: &str, inputs: &[&str]| {
        let nodes = [node(operator, inputs, "folded"), node("Add", &["x", "folded"], "y")];
        import(model(13, &[1], &constants, &nodes)).unwrap().nodes.len()
    };
    assert_eq!(count("Transpose", &["square"]), 1);
    assert_eq!(count("MatMul", &["square", "square"]), 1);
    assert_eq!(count("MatMul", &["column", "row"]), 2);
}

#[test]
fn split_has_three_forms_and_unread_parts_cost_nothing() {
    let split = |inputs: &[&str], outputs: &[&str]| ModelNode {
        outputs: outputs.iter().map(|&name| name.to_owned()).collect(),
        ..node("Split", inputs, "parts")
    };
    let second = |model: Model| {
        let mut model = model;
        model.graph.outputs = vec![value("b", None)];
        import(model).map(|graph| (output(&graph).shape.clone(), execute(&graph)))
    };
    let all = floats(7);
    let part = |from: usize, to: usize| Ok((vec![(to - from) as u64], all[4 * from..4 * to].to_vec()));
    let sizes = with(split(&["x"], &["a", "b", "c"]), "split", Attribute::Ints(vec![1, 4, 2]));
    assert_eq!(second(model(11, &[7], &[], &[sizes])), part(1, 5));
    let constant = [("sizes", ints(&[1, 4, 2]))];
    let names: [&[&str]; 2] = [&["a", "b", "c"], &["", "b", ""]];
    for names in names {
        assert_eq!(second(model(13, &[7], &constant, &[split(&["x", "sizes"], names)])), part(1, 5));
    }
    let equal = with(split(&["x"], &["a", "b", "c"]), "num_outputs", Attribute::Int(3));
    assert_eq!(second(model(18, &[7], &[], &[equal])), part(3, 6));
    assert_eq!(second(model(13, &[8], &[], &[split(&["x"], &["a", "b"])])).unwrap().0, [4]);

    let last = with(split(&["x"], &["a", "", "b"]), "num_outputs", Attribute::Int(3));
    assert_eq!(second(model(18, &[7], &[], &[last])), part(6, 7));

    let error = |model| second(model).unwrap_err();
    let uneven = error(model(13, &[7], &[], &[split(&["x"], &["a", "b"])]));
    assert!(
        uneven.contains("a number of parts into which 7 can be cut, or the sizes in `split`"),
        "{uneven}"
    );
    let many = with(split(&["x"], &["a", "b", "c", "d", "e"]), "num_outputs", Attribute::Int(5));
    assert!(error(model(18, &[6], &[], &[many])).contains("into which 6 can be cut"));
    let wrong = with(split(&["x"], &["a", "b"]), "num_outputs", Attribute::Int(3));
    assert_eq!(
        error(model(18, &[7], &[], &[wrong])),
        "node `the_parts` (Split): attribute `num_outputs` is 3; supported: 2, as many as the node has"
    );
    let short = with(split(&["x"], &["a", "b"]), "split", Attribute::Ints(vec![1, 4]));
    let text = error(model(11, &[7], &[], &[short]));
    assert!(text.contains("the parts of dimension 0 are [1, 4], which is another sum"), "{text}");
    let more = with(split(&["x"], &["a", "", "b"]), "split", Attribute::Ints(vec![3, 4]));
    assert_eq!(
        error(model(11, &[7], &[], &[more])),
        "node `the_parts` (Split): output 2 (`b`) is used, but only outputs 0 to 1 are supported"
    );
}

#[test]
fn states_are_declared_by_name() {
    let states = |states: &[(&str, &str)]| {
        let mut model = model(13, &[3], &[], &[node("Relu", &["x"], "y"), node("Exp", &["h"], "i")]);
        model.graph.inputs.push(value("h", fixed(&[2])));
        model.graph.outputs.push(value("i", None));
        let states =
            states.iter().map(|(input, output)| ((*input).to_owned(), (*output).to_owned())).collect();
        let imported = compiler::import_model(model, &Options { states, ..Options::default() });
        imported.map(|imported| imported.graph.states).map_err(|error| error.to_string())
    };
    let state = |place| graph::State { input: place, output: place };
    assert_eq!(states(&[("h", "i")]), Ok(vec![state(1)]));
    assert_eq!(states(&[("h", "i"), ("x", "y")]), Ok(vec![state(0), state(1)]));
    assert_eq!(
        states(&[("g", "i")]),
        Err("--state g=i: the model has no input `g`; inputs: x, h".to_owned())
    );
    assert_eq!(
        states(&[("h", "j")]),
        Err("--state h=j: the model has no output `j`; outputs: y, i".to_owned())
    );
    let kind = "--state h=y: the input is f32[2], the output f32[3]; a state keeps its type";
    assert_eq!(states(&[("h", "y")]), Err(kind.to_owned()));
    let order = "--state: each state is named once, and states have the same order among the inputs (x, h) and the \
                 outputs (y, i); reorder the model's outputs";
    assert_eq!(states(&[("h", "i"), ("h", "i")]), Err(order.to_owned()));
}
