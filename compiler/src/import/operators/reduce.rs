//! Reductions.

use dnn_lib::operator::{self as op, Operator};
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::Call;

/// The attributes of all forms.
pub(super) const ATTRIBUTES: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];

/// A reduction over axes, which are an attribute or, since opset 13 or 18, an input.
pub(super) fn reduce(
    call: &mut Call<'_>,
    operator: fn(Option<Vec<i64>>, bool) -> Operator,
) -> Result<Vec<TensorId>, NodeError> {
    let keep_dims = call.flag("keepdims", true)?;
    let axes = call.ints_or_input("axes", 1, "the axes decide the shape of the output")?;
    let axes = axes.filter(|axes| !axes.is_empty());
    let none = axes.is_none() && call.flag("noop_with_empty_axes", false)?;
    let input = call.input(0)?;
    call.apply_to(operator(if none { Some(Vec::new()) } else { axes }, keep_dims), &[input])
}

/// Where an extreme value is: the axis, whether it is kept, and whether the last one is meant.
pub(super) fn place(
    call: &mut Call<'_>,
    operator: fn(i64, bool, bool) -> Operator,
) -> Result<Vec<TensorId>, NodeError> {
    let (axis, keep_dims) = (call.int("axis")?.unwrap_or(0), call.flag("keepdims", true)?);
    let last = call.flag("select_last_index", false)?;
    call.apply(operator(axis, keep_dims, last))
}

macro_rules! reductions {
    ($($import:ident: $name:ident),+) => {$(
        pub(super) fn $import(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
            reduce(call, |axes, keep_dims| op::$name { axes, keep_dims }.into())
        }
    )+};
}

reductions! {
    l1: ReduceL1,
    l2: ReduceL2,
    log_sum: ReduceLogSum,
    log_sum_exp: ReduceLogSumExp,
    max: ReduceMax,
    mean: ReduceMean,
    min: ReduceMin,
    prod: ReduceProd,
    sum: ReduceSum,
    sum_square: ReduceSumSquare
}
