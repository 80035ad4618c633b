//! The supported ONNX operators: one entry each, and the translation of every form into the newest one.

mod attention;
mod constant;
mod microsoft;
mod quantization;
mod reduce;
mod shape;
mod window;

use std::ops::RangeInclusive;

use dnn_lib::operator as op;
use graph::TensorId;

use super::Import;
use super::call::{Call, value_error};
use crate::SupportedOperator;
use crate::error::NodeError;

/// A supported operator.
struct OnnxOperator {
    name: &'static str,
    /// The oldest opset with a supported form.
    since: i64,
    inputs: RangeInclusive<usize>,
    /// The attributes of all supported forms.
    attributes: &'static [&'static str],
    import: fn(&mut Call<'_>) -> Result<Vec<TensorId>, NodeError>,
}

/// The attributes of convolutions.
const CONV: &[&str] = &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
const ANY: usize = usize::MAX;
const POOL: &[&str] = &[
    "auto_pad",
    "ceil_mode",
    "count_include_pad",
    "dilations",
    "kernel_shape",
    "pads",
    "storage_order",
    "strides",
];

#[rustfmt::skip]
const TABLE: &[OnnxOperator] = &[
    OnnxOperator { name: "Add", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Add) },
    OnnxOperator { name: "Attention", since: 23, inputs: 3..=7, attributes: attention::ATTENTION, import: attention::attention },
    OnnxOperator { name: "AveragePool", since: 1, inputs: 1..=1, attributes: POOL, import: window::average_pool },
    OnnxOperator { name: "BatchNormalization", since: 7, inputs: 5..=5, attributes: &["epsilon", "momentum", "spatial", "training_mode"], import: batch_normalization },
    OnnxOperator { name: "Concat", since: 4, inputs: 1..=ANY, attributes: &["axis"], import: concat },
    OnnxOperator { name: "Constant", since: 1, inputs: 0..=0, attributes: constant::ATTRIBUTES, import: constant::constant },
    OnnxOperator { name: "Conv", since: 1, inputs: 2..=3, attributes: &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"], import: window::conv },
    OnnxOperator { name: "ConvInteger", since: 10, inputs: 2..=4, attributes: CONV, import: quantization::conv_integer },
    OnnxOperator { name: "DequantizeLinear", since: 10, inputs: 2..=3, attributes: quantization::DEQUANTIZE, import: quantization::dequantize_linear },
    OnnxOperator { name: "Div", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Div) },
    OnnxOperator { name: "Dropout", since: 7, inputs: 1..=3, attributes: &["ratio", "seed"], import: dropout },
    OnnxOperator { name: "DynamicQuantizeLinear", since: 11, inputs: 1..=1, attributes: &[], import: quantization::dynamic_quantize_linear },
    OnnxOperator { name: "Erf", since: 9, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Erf) },
    OnnxOperator { name: "Exp", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Exp) },
    OnnxOperator { name: "Flatten", since: 1, inputs: 1..=1, attributes: &["axis"], import: shape::flatten },
    OnnxOperator { name: "Gemm", since: 7, inputs: 2..=3, attributes: &["alpha", "beta", "transA", "transB"], import: gemm },
    OnnxOperator { name: "GlobalAveragePool", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::GlobalAveragePool) },
    OnnxOperator { name: "Identity", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Identity) },
    OnnxOperator { name: "LayerNormalization", since: 17, inputs: 2..=3, attributes: &["axis", "epsilon", "stash_type"], import: layer_normalization },
    OnnxOperator { name: "MatMul", since: 1, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::MatMul) },
    OnnxOperator { name: "MatMulInteger", since: 10, inputs: 2..=4, attributes: &[], import: quantization::matmul_integer },
    OnnxOperator { name: "MaxPool", since: 1, inputs: 1..=1, attributes: POOL, import: window::max_pool },
    OnnxOperator { name: "Mul", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Mul) },
    OnnxOperator { name: "QLinearConv", since: 10, inputs: 8..=9, attributes: CONV, import: quantization::qlinear_conv },
    OnnxOperator { name: "QLinearMatMul", since: 10, inputs: 8..=8, attributes: &[], import: quantization::qlinear_matmul },
    OnnxOperator { name: "QuantizeLinear", since: 10, inputs: 2..=3, attributes: quantization::QUANTIZE, import: quantization::quantize_linear },
    OnnxOperator { name: "ReduceMean", since: 1, inputs: 1..=2, attributes: &["axes", "keepdims", "noop_with_empty_axes"], import: reduce::mean },
    OnnxOperator { name: "Relu", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Relu) },
    OnnxOperator { name: "Reshape", since: 5, inputs: 2..=2, attributes: &["allowzero"], import: shape::reshape },
    OnnxOperator { name: "RotaryEmbedding", since: 23, inputs: 3..=4, attributes: &["interleaved", "num_heads", "rotary_embedding_dim"], import: attention::rotary_embedding },
    OnnxOperator { name: "Sigmoid", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Sigmoid) },
    OnnxOperator { name: "Softmax", since: 1, inputs: 1..=1, attributes: &["axis"], import: softmax },
    OnnxOperator { name: "Split", since: 2, inputs: 1..=2, attributes: &["axis", "num_outputs", "split"], import: shape::split },
    OnnxOperator { name: "Squeeze", since: 1, inputs: 1..=2, attributes: &["axes"], import: shape::squeeze },
    OnnxOperator { name: "Sub", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Sub) },
    OnnxOperator { name: "Tanh", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Tanh) },
    OnnxOperator { name: "Transpose", since: 1, inputs: 1..=1, attributes: &["perm"], import: shape::transpose },
    OnnxOperator { name: "Unsqueeze", since: 1, inputs: 1..=2, attributes: &["axes"], import: shape::unsqueeze },
];

/// The tables of all domains. That of ONNX itself has no name.
const TABLES: &[(&str, &[OnnxOperator])] = &[("", TABLE), (microsoft::DOMAIN, microsoft::TABLE)];

/// All operators that are supported.
pub(crate) fn all() -> impl Iterator<Item = SupportedOperator> {
    TABLES.iter().flat_map(|&(domain, table)| {
        table.iter().map(move |entry| SupportedOperator { domain, name: entry.name, since: entry.since })
    })
}

/// Adds a node's meaning to the graph. If something about its inputs is unknown, only its form is checked.
pub(super) fn import(import: &mut Import, node: &onnx::ModelNode, index: usize) -> Result<(), NodeError> {
    let entry = entry(node)?;
    check(entry, node, import)?;
    let unknown = |name: &String| !name.is_empty() && import.named(name).is_none();
    if node.inputs.iter().any(unknown) {
        return Ok(());
    }
    let mut inputs: Vec<Option<TensorId>> = node.inputs.iter().map(|name| import.named(name)).collect();
    while inputs.len() > *entry.inputs.start() && inputs.last() == Some(&None) {
        inputs.pop();
    }
    let (label, opset) = (super::label(node, index), import.opset);
    let mut call = Call { import, node, label, opset, inputs };
    let outputs = (entry.import)(&mut call)?;
    let wanted = |(_, name): &(usize, &String)| import.used.contains(*name);
    if let Some((index, name)) = node.outputs.iter().enumerate().skip(outputs.len()).find(wanted) {
        let supported = match outputs.len() {
            1 => "output 0 is".to_owned(),
            count => format!("outputs 0 to {} are", count - 1),
        };
        return Err(NodeError::Output { index, name: name.clone(), supported });
    }
    // An output without a name isn't used, and an input without one isn't there.
    let named = node.outputs.iter().cloned().zip(outputs).filter(|(name, _)| !name.is_empty());
    import.names.extend(named);
    Ok(())
}

fn entry(node: &onnx::ModelNode) -> Result<&'static OnnxOperator, NodeError> {
    let tables = TABLES.iter().filter(|(domain, _)| *domain == node.domain);
    let entry = tables.flat_map(|(_, table)| *table).find(|entry| entry.name == node.operator);
    entry.ok_or_else(|| {
        let names: Vec<&str> = TABLE.iter().map(|entry| entry.name).collect();
        NodeError::Unsupported { supported: names.join(", ") }
    })
}

/// Checks the form of a node: opset, attributes, and the number of inputs.
fn check(entry: &OnnxOperator, node: &onnx::ModelNode, import: &Import) -> Result<(), NodeError> {
    if import.opset < entry.since {
        return Err(NodeError::Opset { found: import.opset, since: entry.since });
    }
    if let Some(attribute) = node.attributes.keys().find(|name| !entry.attributes.contains(&name.as_str())) {
        let known = if entry.attributes.is_empty() { "none".to_owned() } else { entry.attributes.join(", ") };
        return Err(NodeError::UnknownAttribute { attribute: attribute.clone(), known });
    }
    if !entry.inputs.contains(&node.inputs.len()) {
        let expected = match (*entry.inputs.start(), *entry.inputs.end()) {
            (start, end) if start == end => start.to_string(),
            (start, ANY) => format!("at least {start}"),
            (start, end) => format!("{start} to {end}"),
        };
        return Err(NodeError::InputCount { found: node.inputs.len(), expected });
    }
    Ok(())
}

fn gemm(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let operator = op::Gemm {
        alpha: call.float("alpha")?.unwrap_or(1.0),
        beta: call.float("beta")?.unwrap_or(1.0),
        trans_a: call.flag("transA", false)?,
        trans_b: call.flag("transB", false)?,
    };
    call.apply(operator)
}

fn layer_normalization(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    // The sums are computed in the type of the elements, which is at least binary32.
    let stash = call.int("stash_type")?.unwrap_or(1);
    if stash != 1 {
        return Err(value_error("stash_type", &stash, "1 (float)"));
    }
    let operator = op::LayerNormalization {
        axis: call.int("axis")?.unwrap_or(-1),
        epsilon: call.float("epsilon")?.unwrap_or(1e-5),
    };
    call.apply(operator)
}

fn batch_normalization(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    if call.flag("training_mode", false)? {
        return Err(value_error("training_mode", &1, "0 (inference)"));
    }
    if !call.flag("spatial", true)? {
        return Err(value_error("spatial", &0, "1"));
    }
    // Before opset 14, a node that names the statistics as further outputs is for training.
    if call.opset < 14
        && let Some(name) = call.node.outputs.iter().skip(1).find(|name| !name.is_empty())
    {
        let found = format!("implied by output `{name}`");
        return Err(value_error("training_mode", &found, "0 (inference), with one output"));
    }
    call.float("momentum")?;
    let epsilon = call.float("epsilon")?.unwrap_or(1e-5);
    call.apply(op::BatchNormalization { epsilon })
}

/// Dropout does nothing during inference.
fn dropout(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    call.float("ratio")?;
    call.int("seed")?;
    if let Some(training) = call.optional(2) {
        let tensor = call.tensor(training);
        let (tensor, found) = (tensor.name.clone(), tensor.value.clone());
        if found.as_ref().is_none_or(|value| value.iter().any(|&byte| byte != 0)) {
            let found = if found.is_some() { "true" } else { "not a constant" }.to_owned();
            return Err(NodeError::InputValue { index: 2, tensor, found, supported: "false (inference)" });
        }
    }
    let input = call.input(0)?;
    call.apply_to(op::Identity, &[input])
}

/// Before opset 13, the dimensions from `axis` on counted as one: the rows of a matrix were normalized.
fn softmax(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let input = call.input(0)?;
    if call.opset >= 13 {
        let axis = call.int("axis")?.unwrap_or(-1);
        return call.apply(op::Softmax { axis });
    }
    let axis = call.int("axis")?.unwrap_or(1);
    let shape: Vec<i64> = call.ty(input).shape.iter().map(|&size| size.cast_signed()).collect();
    if axis == -1 || axis == shape.len() as i64 - 1 {
        return call.apply(op::Softmax { axis });
    }
    let rows = call.step("rows", op::Flatten { axis }, &[input])?;
    let normalized = call.step("softmax", op::Softmax { axis: 1 }, &[rows])?;
    call.apply_to(op::Reshape { shape, allow_zero: true }, &[normalized])
}

fn concat(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let axis = call.int("axis")?.ok_or(NodeError::MissingAttribute { attribute: "axis" })?;
    let parts = call.all()?;
    call.apply_to(op::Concat { axis }, &parts)
}

#[cfg(test)]
mod tests {
    use super::{TABLE, TABLES};
    use dnn_lib::operator::Operator;

    #[test]
    fn every_operator_is_imported_unless_it_is_internal() {
        for entry in Operator::TABLE {
            let imported = TABLE.iter().any(|onnx| onnx.name == entry.name);
            assert_eq!(imported, !entry.internal, "{} of dnn-lib", entry.name);
        }
    }

    #[test]
    fn the_tables_are_in_order() {
        for (domain, table) in TABLES {
            assert!(table.is_sorted_by_key(|entry| entry.name), "{domain}");
        }
    }
}
