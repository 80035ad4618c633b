//! Reductions.

use dnn_lib::operator as op;
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::Call;

/// Before opset 18 the axes are an attribute; since then, an input.
pub(super) fn mean(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let keep_dims = call.flag("keepdims", true)?;
    let axes = if call.optional(1).is_some() {
        Some(call.constant_ints(1, "the axes decide the shape of the output")?)
    } else {
        call.ints("axes")?
    };
    let input = call.input(0)?;
    let axes = axes.filter(|axes| !axes.is_empty());
    if axes.is_none() && call.flag("noop_with_empty_axes", false)? {
        return call.apply_to(op::Identity, &[input]);
    }
    call.apply_to(op::ReduceMean { axes, keep_dims }, &[input])
}
