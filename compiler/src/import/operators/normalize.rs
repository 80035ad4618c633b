//! Normalizations.

use dnn_lib::operator::{self as op, Operator};
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

pub(super) fn layer(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    stash_type(call)?;
    let operator = op::LayerNormalization {
        axis: call.int("axis")?.unwrap_or(-1),
        epsilon: call.float("epsilon")?.unwrap_or(1e-5),
    };
    call.apply(operator)
}

pub(super) fn rms(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    stash_type(call)?;
    let operator = op::RMSNormalization {
        axis: call.int("axis")?.unwrap_or(-1),
        epsilon: call.float("epsilon")?.unwrap_or(1e-5),
    };
    call.apply(operator)
}

/// Before opset 21, scale and bias have one element for each group; since then, for each channel.
pub(super) fn group(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    stash_type(call)?;
    let groups = call.int("num_groups")?.ok_or(NodeError::MissingAttribute { attribute: "num_groups" })?;
    let groups = u64::try_from(groups).map_err(|_| value_error("num_groups", &groups, "numbers from 1"))?;
    call.apply(op::GroupNormalization { groups, epsilon: call.float("epsilon")?.unwrap_or(1e-5) })
}

pub(super) fn instance(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    call.apply(op::InstanceNormalization { epsilon: call.float("epsilon")?.unwrap_or(1e-5) })
}

pub(super) fn mean_variance(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    call.apply(op::MeanVarianceNormalization { axes: call.ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]) })
}

pub(super) fn lp(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let operator =
        op::LpNormalization { axis: call.int("axis")?.unwrap_or(-1), p: call.int("p")?.unwrap_or(2) };
    call.apply(operator)
}

pub(super) fn lrn(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let size = call.int("size")?.ok_or(NodeError::MissingAttribute { attribute: "size" })?;
    let operator = op::LRN {
        size: u64::try_from(size).map_err(|_| value_error("size", &size, "numbers from 1"))?,
        alpha: call.float("alpha")?.unwrap_or(1e-4),
        beta: call.float("beta")?.unwrap_or(0.75),
        bias: call.float("bias")?.unwrap_or(1.0),
    };
    call.apply(operator)
}

/// The sums are computed in the type of the elements, which is at least binary32.
fn stash_type(call: &Call<'_>) -> Result<(), NodeError> {
    match call.int("stash_type")?.unwrap_or(1) {
        1 => Ok(()),
        stash => Err(value_error("stash_type", &stash, "1 (float)")),
    }
}

/// An operator along an axis. Before opset 13, the dimensions from the axis on counted as one: the rows of a
/// matrix were normalized.
pub(super) fn along_axis(
    call: &mut Call<'_>,
    operator: fn(i64) -> Operator,
) -> Result<Vec<TensorId>, NodeError> {
    let input = call.input(0)?;
    if call.opset >= 13 {
        let axis = call.int("axis")?.unwrap_or(-1);
        return call.apply(operator(axis));
    }
    let axis = call.int("axis")?.unwrap_or(1);
    let shape: Vec<i64> = call.ty(input).shape.iter().map(|&size| size.cast_signed()).collect();
    if axis == -1 || axis == shape.len() as i64 - 1 {
        return call.apply(operator(axis));
    }
    let rows = call.step("rows", op::Flatten { axis }, &[input])?;
    let normalized = call.step("normalized", operator(1), &[rows])?;
    call.apply_to(op::Reshape { shape, allow_zero: true }, &[normalized])
}
