//! The operators of ONNX that are understood: one entry each, and what each form means in the newest one.

mod constant;
mod reduce;
mod shape;
mod window;

use std::ops::RangeInclusive;

use dnn_lib::operator as op;

use super::Import;
use super::call::{Call, value_error};
use crate::error::NodeError;
use crate::graph::TensorId;

/// An operator that is understood.
struct Entry {
    name: &'static str,
    /// The oldest opset with a form that is understood.
    since: i64,
    inputs: RangeInclusive<usize>,
    /// All attributes of all forms understood.
    attributes: &'static [&'static str],
    import: fn(&mut Call<'_>) -> Result<TensorId, NodeError>,
}

const ANY: usize = usize::MAX;
const POOL: &[&str] =
    &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "storage_order", "strides"];

#[rustfmt::skip]
const TABLE: &[Entry] = &[
    Entry { name: "Add", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Add) },
    Entry { name: "AveragePool", since: 1, inputs: 1..=1, attributes: POOL, import: window::average_pool },
    Entry { name: "BatchNormalization", since: 7, inputs: 5..=5, attributes: &["epsilon", "momentum", "spatial", "training_mode"], import: batch_normalization },
    Entry { name: "Concat", since: 4, inputs: 1..=ANY, attributes: &["axis"], import: concat },
    Entry { name: "Constant", since: 1, inputs: 0..=0, attributes: constant::ATTRIBUTES, import: constant::constant },
    Entry { name: "Conv", since: 1, inputs: 2..=3, attributes: &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"], import: window::conv },
    Entry { name: "Div", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Div) },
    Entry { name: "Dropout", since: 7, inputs: 1..=3, attributes: &["ratio", "seed"], import: dropout },
    Entry { name: "Exp", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Exp) },
    Entry { name: "Flatten", since: 1, inputs: 1..=1, attributes: &["axis"], import: shape::flatten },
    Entry { name: "Gemm", since: 7, inputs: 2..=3, attributes: &["alpha", "beta", "transA", "transB"], import: gemm },
    Entry { name: "GlobalAveragePool", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::GlobalAveragePool) },
    Entry { name: "Identity", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Identity) },
    Entry { name: "MatMul", since: 1, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::MatMul) },
    Entry { name: "MaxPool", since: 1, inputs: 1..=1, attributes: POOL, import: window::max_pool },
    Entry { name: "Mul", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Mul) },
    Entry { name: "ReduceMean", since: 1, inputs: 1..=2, attributes: &["axes", "keepdims", "noop_with_empty_axes"], import: reduce::mean },
    Entry { name: "Relu", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Relu) },
    Entry { name: "Reshape", since: 5, inputs: 2..=2, attributes: &["allowzero"], import: shape::reshape },
    Entry { name: "Sigmoid", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Sigmoid) },
    Entry { name: "Softmax", since: 1, inputs: 1..=1, attributes: &["axis"], import: softmax },
    Entry { name: "Squeeze", since: 1, inputs: 1..=2, attributes: &["axes"], import: shape::squeeze },
    Entry { name: "Sub", since: 7, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::Sub) },
    Entry { name: "Tanh", since: 6, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Tanh) },
    Entry { name: "Transpose", since: 1, inputs: 1..=1, attributes: &["perm"], import: shape::transpose },
    Entry { name: "Unsqueeze", since: 1, inputs: 1..=2, attributes: &["axes"], import: shape::unsqueeze },
];

/// Adds what a node means to the graph.
pub(super) fn import(import: &mut Import, node: &onnx::ModelNode, index: usize) -> Result<(), NodeError> {
    let entry = entry(node)?;
    check(entry, node, import.opset)?;
    let mut inputs: Vec<Option<TensorId>> = node.inputs.iter().map(|name| import.named(name)).collect();
    while inputs.len() > *entry.inputs.start() && inputs.last() == Some(&None) {
        inputs.pop();
    }
    let (label, opset) = (super::label(node, index), import.opset);
    let mut call = Call { import, node, label, opset, inputs };
    let output = (entry.import)(&mut call)?;
    if let Some(name) = node.outputs.first() {
        import.names.insert(name.clone(), output);
    }
    Ok(())
}

fn entry(node: &onnx::ModelNode) -> Result<&'static Entry, NodeError> {
    if !node.domain.is_empty() {
        return Err(NodeError::Domain { domain: node.domain.clone() });
    }
    TABLE
        .iter()
        .find(|entry| entry.name == node.operator)
        .ok_or_else(|| NodeError::Operator { supported: nearest(&node.operator) })
}

/// The operators to name where an unknown one is met: those with a similar name, or else all.
fn nearest(found: &str) -> String {
    let found = found.to_lowercase();
    let alike = |entry: &&Entry| {
        let name = entry.name.to_lowercase();
        !found.is_empty() && (found.contains(&name) || name.contains(&found))
    };
    let names = |entries: Vec<&Entry>| entries.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
    match TABLE.iter().filter(alike).collect::<Vec<_>>() {
        none if none.is_empty() => names(TABLE.iter().collect()),
        some => names(some),
    }
}

/// What can be checked for every operator alike.
fn check(entry: &Entry, node: &onnx::ModelNode, opset: i64) -> Result<(), NodeError> {
    if opset < entry.since {
        return Err(NodeError::Opset { found: opset, since: entry.since });
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
    match node.outputs.iter().enumerate().skip(1).find(|(_, name)| !name.is_empty()) {
        Some((index, name)) => Err(NodeError::Output { index, name: name.clone() }),
        None => Ok(()),
    }
}

fn gemm(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
    let operator = op::Gemm {
        alpha: call.float("alpha")?.unwrap_or(1.0),
        beta: call.float("beta")?.unwrap_or(1.0),
        trans_a: call.flag("transA", false)?,
        trans_b: call.flag("transB", false)?,
    };
    call.apply(operator)
}

fn batch_normalization(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
    if call.flag("training_mode", false)? {
        return Err(value_error("training_mode", &1, "0 (inference)"));
    }
    if !call.flag("spatial", true)? {
        return Err(value_error("spatial", &0, "1"));
    }
    call.float("momentum")?;
    let epsilon = call.float("epsilon")?.unwrap_or(1e-5);
    call.apply(op::BatchNormalization { epsilon })
}

/// In inference nothing is dropped.
fn dropout(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
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

/// Before opset 13 the tensor was a matrix, cut before `axis`, and each of its rows was normalised.
fn softmax(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
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

/// The most tensors joined by one kernel: their addresses, the output's and the range have to fit in registers.
const CONCAT_INPUTS: usize = 5;

/// Many tensors are joined group by group, and then the groups.
fn concat(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
    let axis = call.int("axis")?.ok_or(NodeError::MissingAttribute { attribute: "axis" })?;
    let mut parts = call.all()?;
    for round in 0.. {
        if parts.len() <= CONCAT_INPUTS {
            break;
        }
        let mut joined = Vec::new();
        for (index, group) in parts.chunks(CONCAT_INPUTS).enumerate() {
            joined.push(match group {
                [single] => *single,
                group => call.step(&format!("concat_{round}_{index}"), op::Concat { axis }, group)?,
            });
        }
        parts = joined;
    }
    call.apply_to(op::Concat { axis }, &parts)
}
