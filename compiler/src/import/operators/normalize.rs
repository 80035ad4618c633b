//! Normalizations.

use dnn_lib::operator::{self as op, Operator};
use dnn_lib::scalar::Type;
use graph::TensorId;

use super::legacy;
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// In the form for training, the mean and the variance are those of the batch, and the running ones are outputs.
/// Before opset 14 a node that names more outputs has that form, before opset 7 one that isn't a test.
pub(super) fn batch(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    if !call.flag("spatial", true)? {
        return Err(value_error("spatial", &0, "1"));
    }
    let momentum = call.float("momentum")?.unwrap_or(0.9);
    let operator = op::BatchNormalization { epsilon: call.float("epsilon")?.unwrap_or(1e-5) };
    let more = call.node.outputs.iter().skip(1).any(|name| !name.is_empty());
    let by_outputs = (7..14).contains(&call.opset) && more;
    if !by_outputs && !call.flag("training_mode", false)? && !legacy::is_training(call)? {
        return call.apply(operator);
    }
    call.check_float(0)?;
    let (x, scale, bias) = (call.input(0)?, call.input(1)?, call.input(2)?);
    // Statistics of halves are not rounded to halves.
    let dtype = Type::of(call.ty(x).dtype).dtype();
    let elements = call.cast("elements", x, dtype)?;
    let axes: Vec<i64> = (0..call.ty(x).shape.len() as i64).filter(|&axis| axis != 1).collect();
    let mean = |keep_dims| op::ReduceMean { axes: Some(axes.clone()), keep_dims };
    let of_batch = call.step("mean", mean(true), &[elements])?;
    let centred = call.step("centred", op::Sub, &[elements, of_batch])?;
    let squares = call.step("squares", op::Mul, &[centred, centred])?;
    let variance = call.step("variance", mean(false), &[squares])?;
    let channels = op::Squeeze { axes: Some(axes.clone()) };
    let of_batch = call.step("channels", channels, &[of_batch])?;
    let mut outputs = call.apply_to(operator, &[x, scale, bias, of_batch, variance])?;
    let [old, new] = [momentum, 1.0 - momentum].map(|factor| call.number("factor", factor, dtype));
    for (index, statistic) in [of_batch, variance].into_iter().enumerate() {
        let before = call.input(3 + index)?;
        let (before, stored) = (call.cast("before", before, dtype)?, call.ty(before).dtype);
        let before = call.step("kept", op::Mul, &[before, old])?;
        let statistic = call.step("added", op::Mul, &[statistic, new])?;
        let running = call.step("running", op::Add, &[before, statistic])?;
        let running = call.cast("stored", running, stored)?;
        outputs.push(call.as_output(1 + index, running)?);
    }
    if call.opset < 14 {
        // What the gradient would need.
        for (index, statistic) in [of_batch, variance].into_iter().enumerate() {
            let stored = call.ty(call.input(3 + index)?).dtype;
            let statistic = call.cast("saved", statistic, stored)?;
            outputs.push(call.as_output(3 + index, statistic)?);
        }
    }
    Ok(outputs)
}

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

/// Likewise, as a step of a node that does more. The axis is given, and whether it is the only one.
pub(super) fn step_along(
    call: &mut Call<'_>,
    what: &str,
    x: TensorId,
    (axis, alone): (i64, bool),
    operator: fn(i64) -> Operator,
) -> Result<TensorId, NodeError> {
    let shape: Vec<i64> = call.ty(x).shape.iter().map(|&size| size.cast_signed()).collect();
    if alone || axis == -1 || axis == shape.len() as i64 - 1 {
        return call.step(what, operator(axis), &[x]);
    }
    let rows = call.step(&format!("{what}.rows"), op::Flatten { axis }, &[x])?;
    let normalized = call.step(&format!("{what}.normalized"), operator(1), &[rows])?;
    call.step(what, op::Reshape { shape, allow_zero: true }, &[normalized])
}
