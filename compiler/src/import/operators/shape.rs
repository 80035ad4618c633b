//! Operators that move elements or only change the shape.

use dnn_lib::operator as op;
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// Why axes must be constants. Before opset 13 they are an attribute.
const AXES: &str = "the axes decide the shape of the output";

pub(super) fn flatten(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let axis = call.int("axis")?.unwrap_or(1);
    call.apply(op::Flatten { axis })
}

pub(super) fn reshape(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let allow_zero = call.flag("allowzero", false)?;
    let shape = call.constant_ints(1, "every shape is fixed at compile time")?;
    let input = call.input(0)?;
    let outputs = call.apply_to(op::Reshape { shape: shape.clone(), allow_zero }, &[input])?;
    // A size that the model names is not one that the data decide: it must be left open, or be copied.
    if let Some((before, after)) = call.import.bounded(input).zip(call.import.bounded(outputs[0])) {
        let copied = !allow_zero && shape[after.axis] == 0 && before.axis == after.axis;
        if shape[after.axis] != -1 && !copied {
            call.import.unbounded(&[input])?;
        }
    }
    Ok(outputs)
}

/// Shapes are known, so the result is a constant, unless the data decide a size.
pub(super) fn shape(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let input = call.input(0)?;
    let shape: Vec<i64> = call.ty(input).shape.iter().map(|&size| size.cast_signed()).collect();
    let rank = shape.len() as i64;
    let place = |from: i64| (if from < 0 { from.saturating_add(rank) } else { from }).clamp(0, rank) as usize;
    let (start, end) = (place(call.int("start")?.unwrap_or(0)), place(call.int("end")?.unwrap_or(rank)));
    if let Some(bounded) = call.import.bounded(input) {
        let label = call.label.clone();
        let all = call.import.true_shape(&label, input, bounded)?;
        let (starts, ends) = (vec![start as i64], vec![end.max(start) as i64]);
        return call.apply_to(op::Slice { axes: Some(vec![0]), starts, ends, steps: vec![1] }, &[all]);
    }
    let sizes = shape.get(start..end).unwrap_or_default();
    let name = call.node.outputs.first().map(String::as_str).unwrap_or_default();
    Ok(vec![call.import.integers(name, &[sizes.len() as u64], sizes)])
}

/// The number of elements, which is known.
pub(super) fn size(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let input = call.input(0)?;
    if let Some(bounded) = call.import.bounded(input) {
        let label = call.label.clone();
        let all = call.import.true_shape(&label, input, bounded)?;
        return call.apply_to(op::ReduceProd { axes: None, keep_dims: false }, &[all]);
    }
    // No tensor has more elements than an i64 can count.
    let elements = call.ty(input).elements().unwrap_or(0).cast_signed();
    let name = call.node.outputs.first().map(String::as_str).unwrap_or_default();
    Ok(vec![call.import.integers(name, &[], &[elements])])
}

pub(super) fn transpose(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let perm = match call.ints("perm")? {
        None => None,
        Some(_) => Some(call.sizes("perm")?),
    };
    call.apply(op::Transpose { perm })
}

pub(super) fn squeeze(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let axes = call.ints_or_input("axes", 1, AXES)?;
    let input = call.input(0)?;
    call.apply_to(op::Squeeze { axes }, &[input])
}

pub(super) fn unsqueeze(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let axes = call.ints_or_input("axes", 1, AXES)?;
    let axes = axes.ok_or(NodeError::MissingAttribute { attribute: "axes" })?;
    let input = call.input(0)?;
    call.apply_to(op::Unsqueeze { axes }, &[input])
}

/// The sizes are an attribute or, since opset 13, an input. Without them there are as many parts as outputs,
/// of the same size but perhaps the last, which is smaller.
pub(super) fn split(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (input, axis) = (call.input(0)?, call.int("axis")?.unwrap_or(0));
    let sizes = match call.optional(1) {
        Some(_) => Some(call.constant_ints(1, "the sizes decide the shapes of the outputs")?),
        None => call.ints("split")?,
    };
    let sizes = match sizes {
        Some(sizes) => {
            let sized: Option<Vec<u64>> = sizes.iter().map(|&size| u64::try_from(size).ok()).collect();
            sized.ok_or_else(|| value_error("split", &format!("{sizes:?}"), "numbers from 0"))?
        }
        None => {
            let outputs = call.node.outputs.len() as i64;
            let parts = call.int("num_outputs")?.unwrap_or(outputs);
            if parts != outputs || parts < 1 {
                return Err(value_error(
                    "num_outputs",
                    &parts,
                    &format!("{outputs}, as many as the node has"),
                ));
            }
            let rank = call.ty(input).shape.len() as i64;
            let place = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok();
            let size = place.and_then(|axis| call.ty(input).shape.get(axis).copied());
            let size =
                size.ok_or_else(|| value_error("axis", &axis, &format!("{} to {}", -rank, rank - 1)))?;
            let part = size.div_ceil(parts as u64);
            // Only a node that says how many parts there are may have a smaller one.
            let last = size.checked_sub(part * (parts as u64 - 1));
            let last = last.filter(|&last| last == part || call.node.attributes.contains_key("num_outputs"));
            let supported =
                || format!("a number of parts into which {size} can be cut, or the sizes in `split`");
            let last = last.ok_or_else(|| value_error("num_outputs", &parts, &supported()))?;
            [vec![part; parts as usize - 1], vec![last]].concat()
        }
    };
    call.apply_to(op::Split { axis, sizes }, &[input])
}
