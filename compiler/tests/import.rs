//! Old and new forms of operators mean the same, shapes are bound by name, and what is dead or constant disappears.
//! Models are made here, from the plain types that the ONNX reader gives.

use std::collections::BTreeMap;

use compiler::{Graph, Options, reference};
use dnn_lib::tensor::TensorType;
use onnx::{Attribute, Dimension, ElementType, Initializer, Model, ModelNode, Tensor, Value};

fn node(operator: &str, inputs: &[&str], output: &str) -> ModelNode {
    ModelNode {
        name: format!("the_{output}"),
        operator: operator.to_owned(),
        domain: String::new(),
        inputs: inputs.iter().map(|&name| name.to_owned()).collect(),
        outputs: vec![output.to_owned()],
        attributes: BTreeMap::new(),
    }
}

fn with(mut node: ModelNode, name: &str, value: Attribute) -> ModelNode {
    node.attributes.insert(name.to_owned(), value);
    node
}

fn ints(values: &[i64]) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(ElementType::Int64, vec![values.len() as u64], bytes).unwrap()
}

fn boolean(value: bool) -> Tensor {
    Tensor::new(ElementType::Bool, vec![], vec![value.into()]).unwrap()
}

fn value(name: &str, shape: Option<Vec<Dimension>>) -> Value {
    Value { name: name.to_owned(), element: Some(ElementType::Float32), shape }
}

fn fixed(sizes: &[u64]) -> Option<Vec<Dimension>> {
    Some(sizes.iter().map(|&size| Dimension::Fixed(size)).collect())
}

fn symbol(name: &str) -> Dimension {
    Dimension::Symbol(name.to_owned())
}

/// A model with input `x` of the shape given and output `y` of any shape.
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
        },
    }
}

fn import(model: Model) -> Result<Graph, String> {
    compiler::import_model(model, &Options::default()).map_err(|error| error.to_string())
}

fn output(graph: &Graph) -> &TensorType {
    &graph.tensor(graph.outputs[0]).ty
}

fn floats(count: usize) -> Vec<u8> {
    (0..count).flat_map(|x| (x as f32 - 2.5).to_le_bytes()).collect()
}

/// What the graph computes of `0 - 2.5, 1 - 2.5, ...`.
fn execute(graph: &Graph) -> Vec<u8> {
    let count = graph.tensor(graph.inputs[0]).ty.elements().unwrap() as usize;
    reference::execute(graph, &[&floats(count)]).unwrap().remove(0)
}

#[test]
fn axes_are_taken_from_the_attribute_of_old_forms_and_the_input_of_new_ones() {
    let axes = || Attribute::Ints(vec![0, 2]);
    for (operator, shape, expected) in
        [("Squeeze", &[1, 3, 1][..], &[3][..]), ("Unsqueeze", &[3], &[1, 3, 1]), ("ReduceMean", &[2, 3, 2], &[1, 3, 1])]
    {
        let old = import(model(11, shape, &[], &[with(node(operator, &["x"], "y"), "axes", axes())])).unwrap();
        let new = import(model(18, shape, &[("axes", ints(&[0, 2]))], &[node(operator, &["x", "axes"], "y")])).unwrap();
        assert_eq!(output(&old).shape, expected, "{operator}");
        assert_eq!(output(&new).shape, expected, "{operator}");
        assert_eq!(execute(&old), execute(&new), "{operator}");
    }
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
    assert_eq!(error, "node `the_y` (Dropout): input 2 (`yes`) is true; supported: false (inference)");
}

#[test]
fn outputs_beyond_the_first_are_refused_only_where_they_are_wanted() {
    let mut pool = with(node("MaxPool", &["x"], "y"), "kernel_shape", Attribute::Ints(vec![2]));
    pool.outputs.push(String::new());
    import(model(12, &[1, 1, 4], &[], &[pool.clone()])).unwrap();
    pool.outputs[1] = "indices".to_owned();
    let error = import(model(12, &[1, 1, 4], &[], &[pool])).unwrap_err();
    assert_eq!(error, "node `the_y` (MaxPool): output 1 (`indices`) is wanted, but only output 0 is supported");
}

#[test]
fn every_form_of_constant_is_understood() {
    let forms = [("value", Attribute::Tensor(ints(&[2, 2]))), ("value_ints", Attribute::Ints(vec![2, 2]))];
    for (name, attribute) in forms {
        let nodes = [with(node("Constant", &[], "shape"), name, attribute), node("Reshape", &["x", "shape"], "y")];
        let graph = import(model(13, &[4], &[], &nodes)).unwrap();
        assert_eq!(output(&graph).shape, [2, 2], "{name}");
    }
    for (name, attribute) in [("value_float", Attribute::Float(2.0)), ("value_floats", Attribute::Floats(vec![2.0]))] {
        let nodes = [with(node("Constant", &[], "two"), name, attribute), node("Mul", &["x", "two"], "y")];
        assert_eq!(execute(&import(model(13, &[1], &[], &nodes)).unwrap()), (-5.0f32).to_le_bytes(), "{name}");
    }
    let string = with(node("Constant", &[], "y"), "value_string", Attribute::String(String::new()));
    let error = import(model(13, &[1], &[], &[string])).unwrap_err();
    assert!(error.contains("attribute `value_string` is unknown; known: value, value_float"), "{error}");
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
    assert_eq!(left, ["the_y", "copy of y"]);
}

#[test]
fn nodes_may_come_in_any_order() {
    let nodes = [node("Relu", &["between"], "y"), node("Exp", &["x"], "between")];
    let graph = import(model(13, &[4], &[], &nodes)).unwrap();
    let order: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(order, ["the_between", "the_y"]);
}

#[test]
fn many_tensors_are_joined_in_groups() {
    let concat = with(node("Concat", &["x"; 32], "y"), "axis", Attribute::Int(0));
    let graph = import(model(13, &[3], &[], &[concat])).unwrap();
    assert!(graph.nodes.iter().all(|node| node.inputs.len() <= 5));
    assert_eq!(execute(&graph), floats(3).repeat(32));
}

#[test]
fn outputs_that_are_inputs_or_constants_are_copied() {
    for (of, nodes) in [("x", vec![]), ("w", vec![]), ("y", vec![node("Identity", &["x"], "y")])] {
        let mut model = model(13, &[2], &[("w", ints(&[7]))], &nodes);
        model.graph.outputs = vec![Value { name: of.to_owned(), element: None, shape: None }];
        let compiled = compiler::compile_graph(import(model).unwrap(), &Options::default()).unwrap();
        let [input, output] = [compiled.graph.inputs[0], compiled.graph.outputs[0]];
        assert_ne!(compiled.plan.address(input), compiled.plan.address(output), "{of}");
        assert_eq!(compiled.image.schedule.len(), 1, "{of}");
    }
}

/// Shapes given, by input.
type Given<'a> = &'a [(&'a str, &'a [u64])];
/// The shapes of the inputs, or the message.
type Bound<'a> = Result<Vec<Vec<u64>>, &'a str>;

fn bind(shapes: Given<'_>) -> Result<Vec<Vec<u64>>, String> {
    let mut model = model(13, &[], &[], &[node("Add", &["x", "z"], "y")]);
    model.graph.inputs = vec![
        value("x", Some(vec![symbol("batch"), Dimension::Fixed(4)])),
        value("z", Some(vec![symbol("batch"), Dimension::Unknown])),
    ];
    let shapes = shapes.iter().map(|&(name, shape)| (name.to_owned(), shape.to_vec())).collect();
    let graph = compiler::import_model(model, &Options { shapes, ..Options::default() });
    let graph = graph.map_err(|error| error.to_string())?;
    Ok(graph.inputs.iter().map(|&id| graph.tensor(id).ty.shape.clone()).collect())
}

#[test]
fn open_dimensions_are_bound_by_shapes_and_by_their_names() {
    let table: [(Given<'_>, Bound<'_>); 7] = [
        (&[("x", &[2, 4]), ("z", &[2, 4])], Ok(vec![vec![2, 4], vec![2, 4]])),
        (&[("z", &[2, 1])], Ok(vec![vec![2, 4], vec![2, 1]])),
        (&[], Err("input `x` has shape [batch, 4], which is not fixed; add --shape x=1,4")),
        (&[("x", &[2, 4])], Err("input `z` has shape [batch, ?], which is not fixed; add --shape z=2,1")),
        (&[("x", &[2, 5]), ("z", &[2, 1])], Err("--shape x=2,5 contradicts the declared shape [2, 4]")),
        (&[("x", &[2, 4]), ("z", &[3, 1])], Err("--shape z=3,1 contradicts the declared shape [2, ?]")),
        (&[("w", &[2])], Err("--shape w: the model has no such input; inputs: x, z")),
    ];
    for (shapes, expected) in table {
        assert_eq!(bind(shapes), expected.map_err(str::to_owned), "{shapes:?}");
    }
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
fn large_constants_are_moved_by_the_compiler_but_not_multiplied() {
    let square = Tensor::new(ElementType::Float32, vec![512, 512], vec![0; 4 << 18]).unwrap();
    let count = |operator: &str, inputs: &[&str]| {
        let nodes = [node(operator, inputs, "folded"), node("Add", &["x", "folded"], "y")];
        import(model(13, &[512], &[("w", square.clone())], &nodes)).unwrap().nodes.len()
    };
    assert_eq!(count("Transpose", &["w"]), 1);
    assert_eq!(count("MatMul", &["w", "w"]), 2);
}
