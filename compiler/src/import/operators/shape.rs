//! Operators that move elements or only change the shape.

use dnn_lib::operator as op;

use crate::error::NodeError;
use crate::graph::TensorId;
use crate::import::call::Call;

pub(super) fn flatten(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
    let axis = call.int("axis")?.unwrap_or(1);
    call.apply(op::Flatten { axis })
}

pub(super) fn reshape(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
    let allow_zero = call.flag("allowzero", false)?;
    let shape = call.constant_ints(1, "every shape is fixed at compile time")?;
    let input = call.input(0)?;
    call.apply_to(op::Reshape { shape, allow_zero }, &[input])
}

pub(super) fn transpose(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
    let perm = match call.ints("perm")? {
        None => None,
        Some(_) => Some(call.sizes("perm")?),
    };
    call.apply(op::Transpose { perm })
}

pub(super) fn squeeze(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
    let axes = axes(call)?;
    let input = call.input(0)?;
    call.apply_to(op::Squeeze { axes }, &[input])
}

pub(super) fn unsqueeze(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
    let axes = axes(call)?.ok_or(NodeError::MissingAttribute { attribute: "axes" })?;
    let input = call.input(0)?;
    call.apply_to(op::Unsqueeze { axes }, &[input])
}

/// Before opset 13 the axes are an attribute; since then, an input.
fn axes(call: &Call<'_>) -> Result<Option<Vec<i64>>, NodeError> {
    match call.optional(1) {
        Some(_) => call.constant_ints(1, "the axes decide the shape of the output").map(Some),
        None => call.ints("axes"),
    }
}
