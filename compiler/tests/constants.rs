//! Inputs that are bound to constants.

use std::collections::BTreeMap;

use compiler::Options;
use dnn_lib::tensor::DType;
use onnx::{Dimension, Model, ModelGraph, ModelNode, Tensor, Value};

/// `y` is `x` with the shape that the input `shape` says.
fn reshape() -> Model {
    let value = |name: &str, dtype, shape: Vec<Dimension>| Value {
        name: name.to_owned(),
        dtype: Some(dtype),
        shape: Some(shape),
        ..Value::default()
    };
    let rows = || Dimension::Symbol("rows".to_owned());
    let node = ModelNode {
        operator: "Reshape".to_owned(),
        inputs: vec!["x".to_owned(), "shape".to_owned()],
        outputs: vec!["y".to_owned()],
        ..ModelNode::default()
    };
    let inputs = vec![
        value("x", DType::F32, vec![rows(), Dimension::Fixed(3)]),
        value("shape", DType::I64, vec![Dimension::Fixed(2)]),
    ];
    let outputs = vec![Value { name: "y".to_owned(), ..Value::default() }];
    let graph = ModelGraph {
        name: "reshape".to_owned(),
        nodes: vec![node],
        inputs,
        outputs,
        ..ModelGraph::default()
    };
    Model { opset: 13, graph, ..Model::default() }
}

fn ints(values: &[i64]) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(DType::I64, vec![values.len() as u64], bytes).unwrap()
}

fn import(constants: &[(&str, Tensor)]) -> Result<graph::Graph, String> {
    let constants = constants.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect();
    let shapes = BTreeMap::from([("x".to_owned(), vec![2, 3])]);
    let options = Options { shapes, constants, ..Options::default() };
    compiler::import_model(reshape(), &options)
        .map(|imported| imported.graph)
        .map_err(|error| error.to_string())
}

#[test]
fn an_input_can_be_bound_to_a_constant() {
    let error = import(&[]).unwrap_err();
    assert!(error.contains("must be a constant") && error.contains("--constant shape=FILE.npy"), "{error}");
    let graph = import(&[("shape", ints(&[3, -1]))]).unwrap();
    let names: Vec<&str> = graph.inputs.iter().map(|&id| graph.tensor(id).name.as_str()).collect();
    assert_eq!(names, ["x"]);
    assert_eq!(graph.tensor(graph.outputs[0]).ty.shape, [3, 2]);
}

#[test]
fn a_constant_has_the_name_and_the_type_of_an_input() {
    let error = import(&[("axes", ints(&[1]))]).unwrap_err();
    assert!(error.contains("--constant axes: the model has no such input; inputs: x, shape"), "{error}");
    for (name, found, declared) in [("shape", "i64[3]", "int64 [2]"), ("x", "i64[3]", "float [rows, 3]")] {
        let error = import(&[(name, ints(&[1, 2, 3]))]).unwrap_err();
        let expected = format!("--constant {name}: the tensor is {found}, but the model declares {declared}");
        assert!(error.contains(&expected), "{error}");
    }
}
