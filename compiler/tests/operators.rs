//! Runs every case of fixtures/operators and both networks in the reference evaluator, and compares with the
//! stored outputs.

use std::path::{Path, PathBuf};

use compiler::Options;
use dnn_lib::tensor::{DType, TensorType};
use graph::{Graph, reference};
use onnx::Limits;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// The tolerance against onnxruntime, relative and absolute. Operators that round once per element are exact.
/// A sum may be computed in another order there.
fn tolerance(case: &str) -> (f64, f64) {
    const EXACT: (f64, f64) = (0.0, 0.0);
    let exact = [
        "add",
        "concat",
        "constant",
        "div",
        "dropout",
        "exp",
        "flatten",
        "identity",
        "max_pool",
        "mul",
        "relu",
        "reshape",
        "sigmoid",
        "squeeze",
        "sub",
        "tanh",
        "transpose",
        "unsqueeze",
    ];
    if exact.iter().any(|operator| case.starts_with(operator)) { EXACT } else { (1e-5, 1e-6) }
}

/// The tensors `input_0.pb, input_1.pb, ...` of a case.
fn tensors(case: &Path, kind: &str) -> Vec<onnx::Tensor> {
    (0..)
        .map(|index| case.join(format!("test_data_set_0/{kind}_{index}.pb")))
        .take_while(|path| path.exists())
        .map(|path| onnx::read_tensor(&path, &Limits::default()).unwrap().1)
        .collect()
}

fn numbers(ty: &TensorType, bytes: &[u8]) -> Vec<f64> {
    match ty.dtype {
        DType::F32 => bytes.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x).into()).collect(),
        DType::F64 => bytes.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x)).collect(),
        _ => Vec::new(),
    }
}

fn close(a: f64, b: f64, (relative, absolute): (f64, f64)) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= absolute + relative * b.abs()
}

fn check(case: &Path, tolerance: (f64, f64)) -> Result<(), String> {
    let inputs = tensors(case, "input");
    let mut options = Options::default();
    let model = case.join("model.onnx");
    // Cases with open dimensions are compiled for the shapes of their inputs.
    let declared = onnx::read_model(&model, &Limits::default()).map_err(|error| error.to_string())?.graph;
    let initializer = |name: &str| declared.initializers.iter().any(|initializer| initializer.name == name);
    for (value, input) in declared.inputs.iter().filter(|value| !initializer(&value.name)).zip(&inputs) {
        options.shapes.insert(value.name.clone(), input.dims().to_vec());
    }
    let graph = compiler::import(&model, &options).map_err(|error| error.to_string())?.graph;
    let inputs: Vec<&[u8]> = inputs.iter().map(onnx::Tensor::bytes).collect();
    let outputs = reference::execute(&graph, &inputs).map_err(|error| error.to_string())?;
    let expected = tensors(case, "output");
    if outputs.len() != expected.len() {
        return Err(format!("{} outputs, expected {}", outputs.len(), expected.len()));
    }
    for (index, (found, expected)) in outputs.iter().zip(&expected).enumerate() {
        compare(&graph, index, found, expected, tolerance)?;
    }
    Ok(())
}

fn compare(
    graph: &Graph,
    index: usize,
    found: &[u8],
    expected: &onnx::Tensor,
    tolerance: (f64, f64),
) -> Result<(), String> {
    let ty = &graph.tensor(graph.outputs[index]).ty;
    if ty.shape != expected.dims() {
        return Err(format!("output {index} has shape {:?}, expected {:?}", ty.shape, expected.dims()));
    }
    if !matches!(ty.dtype, DType::F32 | DType::F64) {
        return if found == expected.bytes() { Ok(()) } else { Err(format!("output {index} differs")) };
    }
    let (found, expected) = (numbers(ty, found), numbers(ty, expected.bytes()));
    for (place, (&a, &b)) in found.iter().zip(&expected).enumerate() {
        if !close(a, b, tolerance) {
            return Err(format!("output {index}, element {place} is {a:e}, expected {b:e}"));
        }
    }
    Ok(())
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(parent)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

#[test]
fn every_operator_case_gives_the_stored_outputs() {
    let cases = folders(&fixtures().join("operators"));
    assert!(cases.len() > 150, "{} cases", cases.len());
    let mut failures = Vec::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        if let Err(error) = check(case, tolerance(&name)) {
            failures.push(format!("{name}: {error}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases fail:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

#[test]
fn products_of_dequantized_tensors_are_sums_of_integers() {
    let integers = |case: &str| {
        let model = fixtures().join("operators").join(case).join("model.onnx");
        let graph = compiler::import(&model, &Options::default()).unwrap().graph;
        let is_integer = |node: &graph::Node| match &node.kind {
            graph::Kind::Operator(operator) => matches!(operator.name(), "MatMulInteger" | "ConvInteger"),
            _ => false,
        };
        graph.nodes.iter().filter(|node| is_integer(node)).count()
    };
    for case in ["matmul_signed", "matmul_unsigned", "conv_signed", "conv_unsigned", "gemm"] {
        assert_eq!(integers(&format!("qdq_{case}")), 1, "{case}");
    }
    assert_eq!(integers("qdq_matmul_scaled_along_sums"), 0);
}

#[test]
fn the_bundled_networks_give_the_stored_outputs() {
    for network in ["mnist-mlp", "mnist-cnn"] {
        check(&fixtures().join(network), (1e-5, 1e-6)).unwrap_or_else(|error| panic!("{network}: {error}"));
    }
}
