//! The supported ONNX operators: one entry each, and the translation of every form into the newest one.

mod constant;
mod control;
mod elementwise;
mod recurrent;
mod reduce;
mod shape;
mod window;

use std::ops::RangeInclusive;

use dnn_lib::operator as op;
use graph::TensorId;

use super::Import;
use super::call::{Call, value_error};
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
    OnnxOperator { name: "Abs", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Abs) },
    OnnxOperator { name: "Add", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Add) },
    OnnxOperator { name: "And", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::And) },
    OnnxOperator { name: "AveragePool", since: 1, inputs: 1..=1, attributes: POOL, import: window::average_pool },
    OnnxOperator { name: "BatchNormalization", since: 7, inputs: 5..=5, attributes: &["epsilon", "momentum", "spatial", "training_mode"], import: batch_normalization },
    OnnxOperator { name: "BitShift", since: 11, inputs: 2..=2, attributes: &["direction"], import: elementwise::bit_shift },
    OnnxOperator { name: "BitwiseAnd", since: 18, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::BitwiseAnd) },
    OnnxOperator { name: "BitwiseNot", since: 18, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::BitwiseNot) },
    OnnxOperator { name: "BitwiseOr", since: 18, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::BitwiseOr) },
    OnnxOperator { name: "BitwiseXor", since: 18, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::BitwiseXor) },
    OnnxOperator { name: "Cast", since: 6, inputs: 1..=1, attributes: &["round_mode", "saturate", "to"], import: elementwise::cast },
    OnnxOperator { name: "CastLike", since: 15, inputs: 2..=2, attributes: &["round_mode", "saturate"], import: elementwise::cast_like },
    OnnxOperator { name: "Ceil", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Ceil) },
    OnnxOperator { name: "Clip", since: 6, inputs: 1..=3, attributes: &["max", "min"], import: elementwise::clip },
    OnnxOperator { name: "Concat", since: 4, inputs: 1..=ANY, attributes: &["axis"], import: concat },
    OnnxOperator { name: "Constant", since: 1, inputs: 0..=0, attributes: constant::ATTRIBUTES, import: constant::constant },
    OnnxOperator { name: "Conv", since: 1, inputs: 2..=3, attributes: &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"], import: window::conv },
    OnnxOperator { name: "Div", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Div) },
    OnnxOperator { name: "Dropout", since: 7, inputs: 1..=3, attributes: &["ratio", "seed"], import: dropout },
    OnnxOperator { name: "Equal", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Equal) },
    OnnxOperator { name: "Erf", since: 9, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Erf) },
    OnnxOperator { name: "Exp", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Exp) },
    OnnxOperator { name: "Flatten", since: 1, inputs: 1..=1, attributes: &["axis"], import: shape::flatten },
    OnnxOperator { name: "Floor", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Floor) },
    OnnxOperator { name: "GRU", since: 7, inputs: 3..=6, attributes: recurrent::GRU, import: recurrent::gru },
    OnnxOperator { name: "Gemm", since: 7, inputs: 2..=3, attributes: &["alpha", "beta", "transA", "transB"], import: gemm },
    OnnxOperator { name: "GlobalAveragePool", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::GlobalAveragePool) },
    OnnxOperator { name: "Greater", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Greater) },
    OnnxOperator { name: "GreaterOrEqual", since: 12, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::GreaterOrEqual) },
    OnnxOperator { name: "HardSigmoid", since: 6, inputs: 1..=1, attributes: &["alpha", "beta"], import: elementwise::hard_sigmoid },
    OnnxOperator { name: "HardSwish", since: 14, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::HardSwish) },
    OnnxOperator { name: "Identity", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Identity) },
    OnnxOperator { name: "If", since: 1, inputs: 1..=1, attributes: &["else_branch", "then_branch"], import: control::branch },
    OnnxOperator { name: "IsInf", since: 10, inputs: 1..=1, attributes: &["detect_negative", "detect_positive"], import: elementwise::is_inf },
    OnnxOperator { name: "IsNaN", since: 9, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::IsNaN) },
    OnnxOperator { name: "LSTM", since: 7, inputs: 3..=8, attributes: recurrent::LSTM, import: recurrent::lstm },
    OnnxOperator { name: "LayerNormalization", since: 17, inputs: 2..=3, attributes: &["axis", "epsilon", "stash_type"], import: layer_normalization },
    OnnxOperator { name: "LeakyRelu", since: 6, inputs: 1..=1, attributes: &["alpha"], import: |call| elementwise::with_alpha(call, 0.01, |alpha| op::LeakyRelu { alpha }) },
    OnnxOperator { name: "Less", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Less) },
    OnnxOperator { name: "LessOrEqual", since: 12, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::LessOrEqual) },
    OnnxOperator { name: "Loop", since: 1, inputs: 1..=ANY, attributes: &["body"], import: control::repeat },
    OnnxOperator { name: "MatMul", since: 1, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::MatMul) },
    OnnxOperator { name: "Max", since: 8, inputs: 1..=ANY, attributes: &[], import: |call| call.apply(op::Max) },
    OnnxOperator { name: "MaxPool", since: 1, inputs: 1..=1, attributes: POOL, import: window::max_pool },
    OnnxOperator { name: "Mean", since: 8, inputs: 1..=ANY, attributes: &[], import: |call| call.apply(op::Mean) },
    OnnxOperator { name: "Min", since: 8, inputs: 1..=ANY, attributes: &[], import: |call| call.apply(op::Min) },
    OnnxOperator { name: "Mod", since: 10, inputs: 2..=2, attributes: &["fmod"], import: |call| { let fmod = call.flag("fmod", false)?; call.apply(op::Mod { fmod }) } },
    OnnxOperator { name: "Mul", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Mul) },
    OnnxOperator { name: "Neg", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Neg) },
    OnnxOperator { name: "Not", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Not) },
    OnnxOperator { name: "Or", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Or) },
    OnnxOperator { name: "PRelu", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::PRelu) },
    OnnxOperator { name: "RNN", since: 7, inputs: 3..=6, attributes: recurrent::RNN, import: recurrent::rnn },
    OnnxOperator { name: "Reciprocal", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Reciprocal) },
    OnnxOperator { name: "ReduceMean", since: 1, inputs: 1..=2, attributes: &["axes", "keepdims", "noop_with_empty_axes"], import: reduce::mean },
    OnnxOperator { name: "Relu", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Relu) },
    OnnxOperator { name: "Reshape", since: 5, inputs: 2..=2, attributes: &["allowzero"], import: shape::reshape },
    OnnxOperator { name: "Round", since: 11, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Round) },
    OnnxOperator { name: "Scan", since: 9, inputs: 1..=ANY, attributes: control::SCAN, import: control::scan },
    OnnxOperator { name: "Shape", since: 1, inputs: 1..=1, attributes: &["end", "start"], import: shape::shape },
    OnnxOperator { name: "Shrink", since: 9, inputs: 1..=1, attributes: &["bias", "lambd"], import: elementwise::shrink },
    OnnxOperator { name: "Sigmoid", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Sigmoid) },
    OnnxOperator { name: "Sign", since: 9, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Sign) },
    OnnxOperator { name: "Size", since: 1, inputs: 1..=1, attributes: &[], import: shape::size },
    OnnxOperator { name: "Softmax", since: 1, inputs: 1..=1, attributes: &["axis"], import: softmax },
    OnnxOperator { name: "Softsign", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Softsign) },
    OnnxOperator { name: "Split", since: 2, inputs: 1..=2, attributes: &["axis", "num_outputs", "split"], import: shape::split },
    OnnxOperator { name: "Sqrt", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Sqrt) },
    OnnxOperator { name: "Squeeze", since: 1, inputs: 1..=2, attributes: &["axes"], import: shape::squeeze },
    OnnxOperator { name: "Sub", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Sub) },
    OnnxOperator { name: "Sum", since: 8, inputs: 1..=ANY, attributes: &[], import: |call| call.apply(op::Sum) },
    OnnxOperator { name: "SwiGLU", since: 28, inputs: 2..=2, attributes: &["alpha"], import: |call| elementwise::with_alpha(call, 1.0, |alpha| op::SwiGLU { alpha }) },
    OnnxOperator { name: "Swish", since: 24, inputs: 1..=1, attributes: &["alpha"], import: |call| elementwise::with_alpha(call, 1.0, |alpha| op::Swish { alpha }) },
    OnnxOperator { name: "Tanh", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Tanh) },
    OnnxOperator { name: "ThresholdedRelu", since: 10, inputs: 1..=1, attributes: &["alpha"], import: |call| elementwise::with_alpha(call, 1.0, |alpha| op::ThresholdedRelu { alpha }) },
    OnnxOperator { name: "Transpose", since: 1, inputs: 1..=1, attributes: &["perm"], import: shape::transpose },
    OnnxOperator { name: "Unsqueeze", since: 1, inputs: 1..=2, attributes: &["axes"], import: shape::unsqueeze },
    OnnxOperator { name: "Where", since: 9, inputs: 3..=3, attributes: &[], import: |call| call.apply(op::Where) },
    OnnxOperator { name: "Xor", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Xor) },
];

/// Adds a node's meaning to the graph. If something about its inputs is unknown, only its form is checked.
pub(super) fn import(import: &mut Import, node: &onnx::ModelNode, index: usize) -> Result<(), NodeError> {
    let function = import.function(node);
    let entry = if function.is_some() { None } else { Some(entry(node)?) };
    entry.map_or(Ok(()), |entry| check(entry, node, import))?;
    let known = |name: &String| if name.is_empty() { Some(None) } else { import.named(name) };
    let Some(mut inputs) = node.inputs.iter().map(known).collect::<Option<Vec<Option<TensorId>>>>() else {
        return Ok(());
    };
    let least = entry.map_or(0, |entry| *entry.inputs.start());
    while inputs.len() > least && inputs.last() == Some(&None) {
        inputs.pop();
    }
    let (label, opset) = (import.label(node, index), import.opset());
    let outputs = match (function, entry) {
        (Some(function), _) => import.call(&label, node, function, &inputs)?,
        (None, Some(entry)) => (entry.import)(&mut Call { import, node, label, opset, inputs })?,
        (None, None) => return Ok(()),
    };
    let wanted = |(_, name): &(usize, &String)| !name.is_empty() && import.wants(name);
    if let Some((index, name)) = node.outputs.iter().enumerate().skip(outputs.len()).find(wanted) {
        let supported = match outputs.len() {
            1 => "output 0 is".to_owned(),
            count => format!("outputs 0 to {} are", count - 1),
        };
        return Err(NodeError::Output { index, name: name.clone(), supported });
    }
    let named = node.outputs.iter().zip(outputs).filter(|(name, _)| !name.is_empty());
    named.for_each(|(name, id)| import.define(name.clone(), Some(id)));
    Ok(())
}

/// Whether there is an operator for a node, in one form at least.
pub(crate) fn supports(node: &onnx::ModelNode) -> bool {
    entry(node).is_ok()
}

fn entry(node: &onnx::ModelNode) -> Result<&'static OnnxOperator, NodeError> {
    let entry = TABLE.iter().find(|entry| node.domain.is_empty() && entry.name == node.operator);
    entry.ok_or_else(|| NodeError::Unsupported { near: near(node) })
}

/// The supported operators whose names are nearly this one. Many short names of other operators are so too.
fn near(node: &onnx::ModelNode) -> Vec<&'static str> {
    let name = &node.operator;
    let most = if name.len() < 6 || !node.domain.is_empty() { 0 } else { 2 };
    let near = TABLE.iter().map(|entry| (distance(name, entry.name), entry.name));
    let mut near: Vec<(usize, &str)> = near.filter(|&(far, _)| far <= most).collect();
    near.sort_unstable();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

/// How many letters must be added, removed or replaced to make one name of the other, whatever their case. Names
/// of very different lengths are far apart.
fn distance(one: &str, other: &str) -> usize {
    if one.len().abs_diff(other.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[other.len()]
}

/// Checks the form of a node: opset, attributes, and the number of inputs.
fn check(entry: &OnnxOperator, node: &onnx::ModelNode, import: &Import) -> Result<(), NodeError> {
    if import.opset() < entry.since {
        return Err(NodeError::Opset { found: import.opset(), since: entry.since });
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
    use super::TABLE;
    use dnn_lib::operator::Operator;

    #[test]
    fn every_operator_is_imported_unless_it_is_internal() {
        for entry in Operator::TABLE {
            let imported = TABLE.iter().any(|onnx| onnx.name == entry.name);
            assert_eq!(imported, !entry.internal, "{} of dnn-lib", entry.name);
        }
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(TABLE.is_sorted_by_key(|entry| entry.name));
    }
}
