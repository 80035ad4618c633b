//! Convolution and pooling.

use dnn_lib::operator::{AveragePool, Conv, MaxPool, Padding, Window};
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

pub(super) fn conv(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let conv = convolution(call, 1)?;
    call.apply(conv)
}

/// The attributes of a convolution, whose kernel is this input.
pub(super) fn convolution(call: &Call<'_>, kernel: usize) -> Result<Conv, NodeError> {
    let group = call.int("group")?.unwrap_or(1);
    let group = u64::try_from(group).map_err(|_| value_error("group", &group, "numbers from 1"))?;
    let weights = call.ty(call.input(kernel)?).shape.clone();
    let declared = call.sizes("kernel_shape")?;
    if !declared.is_empty() && weights.get(2..) != Some(&declared[..]) {
        let supported = format!("what input {kernel} says, whose shape is {weights:?}");
        return Err(value_error("kernel_shape", &format!("{declared:?}"), &supported));
    }
    Ok(Conv { window: window(call)?, group })
}

pub(super) fn max_pool(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    // It only affects the second output, the indices.
    call.flag("storage_order", false)?;
    let (kernel, window, ceil_mode) = pool(call)?;
    call.apply(MaxPool { kernel, window, ceil_mode })
}

pub(super) fn average_pool(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let count_include_pad = call.flag("count_include_pad", false)?;
    let (kernel, window, ceil_mode) = pool(call)?;
    call.apply(AveragePool { kernel, window, ceil_mode, count_include_pad })
}

fn pool(call: &Call<'_>) -> Result<(Vec<u64>, Window, bool), NodeError> {
    if !call.node.attributes.contains_key("kernel_shape") {
        return Err(NodeError::MissingAttribute { attribute: "kernel_shape" });
    }
    let (kernel, window) = (call.sizes("kernel_shape")?, window(call)?);
    check_pads(&kernel, &window)?;
    Ok((kernel, window, call.flag("ceil_mode", false)?))
}

/// A window that lies entirely in the padding has neither a maximum nor a mean.
fn check_pads(kernel: &[u64], window: &Window) -> Result<(), NodeError> {
    let Padding::Explicit(pads) = &window.padding else { return Ok(()) };
    for (axis, (&(before, after), &size)) in pads.iter().zip(kernel).enumerate() {
        let dilation = window.dilations.get(axis).copied().unwrap_or(1);
        let extent = size.saturating_sub(1).saturating_mul(dilation).saturating_add(1);
        if before.max(after) >= extent {
            let supported = format!("less than the window of {extent} positions");
            return Err(value_error(
                "pads",
                &format!("{} in spatial axis {axis}", before.max(after)),
                &supported,
            ));
        }
    }
    Ok(())
}

fn window(call: &Call<'_>) -> Result<Window, NodeError> {
    Ok(Window {
        strides: call.sizes("strides")?,
        dilations: call.sizes("dilations")?,
        padding: padding(call)?,
    })
}

/// ONNX lists all pads before, then all pads after; here they are pairs.
fn padding(call: &Call<'_>) -> Result<Padding, NodeError> {
    let pads = call.sizes("pads")?;
    match call.string("auto_pad")?.as_deref() {
        None | Some("NOTSET" | "") => {
            if !pads.len().is_multiple_of(2) {
                return Err(value_error("pads", &format!("{pads:?}"), "as many values before as after"));
            }
            let (before, after) = pads.split_at(pads.len() / 2);
            Ok(Padding::Explicit(before.iter().copied().zip(after.iter().copied()).collect()))
        }
        Some("VALID") => Ok(Padding::Explicit(Vec::new())),
        Some("SAME_UPPER") => Ok(Padding::SameUpper),
        Some("SAME_LOWER") => Ok(Padding::SameLower),
        Some(found) => Err(value_error("auto_pad", &found, "NOTSET, VALID, SAME_UPPER, SAME_LOWER")),
    }
}
