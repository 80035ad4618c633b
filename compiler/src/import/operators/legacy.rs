//! Forms from before opset 7. Tensors were only broadcast if a node said so, and only the second one, from an axis
//! of the first on.

use dnn_lib::operator::{self as op, Operator};
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// The attributes of an operator that broadcasts.
pub(super) const BROADCAST: &[&str] = &["axis", "broadcast"];

/// The first opset with broadcasting as numpy has it.
const NUMPY: i64 = 7;

/// An operator on two tensors, in all of its forms.
pub(super) fn broadcast(
    call: &mut Call<'_>,
    operator: impl Into<Operator>,
) -> Result<Vec<TensorId>, NodeError> {
    let inputs = aligned(call)?;
    call.apply_to(operator, &inputs)
}

/// The inputs of an operator on two tensors, so that numpy's broadcasting does what the node says.
pub(super) fn aligned(call: &mut Call<'_>) -> Result<[TensorId; 2], NodeError> {
    let (first, second) = (call.input(0)?, call.input(1)?);
    if call.opset >= NUMPY {
        let old = BROADCAST.iter().find(|name| call.node.attributes.contains_key(**name));
        let known = "none since opset 7, which broadcasts as numpy does".to_owned();
        return match old {
            Some(&name) => Err(NodeError::UnknownAttribute { attribute: name.to_owned(), known }),
            None => Ok([first, second]),
        };
    }
    let (outer, own) = (call.ty(first).shape.len(), call.ty(second).shape.len());
    let (axis, broadcast) = (call.int("axis")?, call.flag("broadcast", false)?);
    let aligned = match axis.filter(|_| broadcast) {
        None => second,
        Some(axis) => {
            let start = usize::try_from(if axis < 0 { axis + outer as i64 } else { axis });
            let start = start.ok().filter(|start| start.saturating_add(own) <= outer);
            let start = start.ok_or_else(|| {
                value_error("axis", &axis, &format!("where {own} of {outer} dimensions can begin"))
            })?;
            trailing(call, second, start + own, outer)?
        }
    };
    let (expected, found) = (&call.ty(first).shape, &call.ty(aligned).shape);
    let fits = found.len() <= outer
        && expected.iter().rev().zip(found.iter().rev()).all(|(&size, &own)| own == size || own == 1);
    if if broadcast { fits } else { found == expected } {
        return Ok([first, aligned]);
    }
    let expected = match broadcast {
        true => format!("dimensions of {expected:?}"),
        false => format!("{expected:?}, unless attribute `broadcast` is 1"),
    };
    Err(call.shape_error(1, expected))
}

/// Likewise for a PRelu, whose slopes are one for all elements or one for each channel.
pub(super) fn p_relu(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (x, mut slopes) = (call.input(0)?, call.input(1)?);
    let (rank, shape) = (call.ty(x).shape.len(), &call.ty(slopes).shape);
    if call.opset < NUMPY && rank > 2 && matches!(shape[..], [channels] if channels > 1) {
        slopes = trailing(call, slopes, 2, rank)?;
    }
    call.apply_to(op::PRelu, &[x, slopes])
}

/// Checks that what a Gemm adds to its product was broadcast on demand.
pub(super) fn check_addend(call: &Call<'_>, product: TensorId) -> Result<(), NodeError> {
    if call.opset < NUMPY && !call.flag("broadcast", false)? {
        let (product, own) = (&call.ty(product).shape, &call.ty(call.input(2)?).shape);
        if own != product {
            return Err(call.shape_error(2, format!("{product:?}, unless attribute `broadcast` is 1")));
        }
    }
    Ok(())
}

/// Whether a node with the attribute `is_test`, which is 0 if it is left out, is one for training.
pub(super) fn is_training(call: &Call<'_>) -> Result<bool, NodeError> {
    Ok(call.opset < NUMPY && !call.flag("is_test", false)?)
}

/// A tensor with dimensions of size 1 added at the end, from this number of dimensions to that.
fn trailing(call: &mut Call<'_>, x: TensorId, from: usize, to: usize) -> Result<TensorId, NodeError> {
    let added = (to - from) as i64;
    let own = call.ty(x).shape.len() as i64;
    call.step("aligned", op::Unsqueeze { axes: (own..own + added).collect() }, &[x])
}
