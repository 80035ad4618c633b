//! Convolution and pooling.

use bytes::Bytes;
use dnn_lib::operator::{self as op, AveragePool, Conv, LpPool, MaxPool, Padding, Window};
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use super::dequantized;
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

pub(super) fn conv(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    if let Some(outputs) = dequantized::conv(call)? {
        return Ok(outputs);
    }
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
    let operator = max(call)?;
    call.apply(operator)
}

/// The attributes of a MaxPool.
pub(super) fn max(call: &Call<'_>) -> Result<MaxPool, NodeError> {
    let column_major = call.flag("storage_order", false)?;
    let (kernel, window, ceil_mode) = pool(call)?;
    Ok(MaxPool { kernel, window, ceil_mode, column_major })
}

pub(super) fn average_pool(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let operator = average(call)?;
    call.apply(operator)
}

/// The attributes of an AveragePool.
pub(super) fn average(call: &Call<'_>) -> Result<AveragePool, NodeError> {
    let count_include_pad = call.flag("count_include_pad", false)?;
    let (kernel, window, ceil_mode) = pool(call)?;
    Ok(AveragePool { kernel, window, ceil_mode, count_include_pad })
}

pub(super) fn lp_pool(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let p = call.int("p")?.unwrap_or(2);
    let (kernel, window, ceil_mode) = pool(call)?;
    call.apply(LpPool { kernel, window, ceil_mode, p })
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
pub(super) fn padding(call: &Call<'_>) -> Result<Padding, NodeError> {
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

/// The elements at the places that a MaxPool found, and 0 elsewhere. Each image is scattered on its own.
pub(super) fn max_unpool(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (x, places) = (call.input(0)?, call.input(1)?);
    let (kernel, ty) = (call.sizes("kernel_shape")?, call.ty(x).clone());
    let rank = kernel.len();
    let (strides, pads) = (call.sizes("strides")?, call.sizes("pads")?);
    let (strides, pads) = (or_default(strides, vec![1; rank]), or_default(pads, vec![0; 2 * rank]));
    let fits = rank > 0 && ty.shape.len() == rank + 2 && strides.len() == rank && pads.len() == 2 * rank;
    let small = kernel.iter().chain(&strides).chain(&pads).chain(&ty.shape).all(|&size| size < 1 << 20);
    if !fits || !small {
        return Err(value_error(
            "kernel_shape",
            &format!("{kernel:?}"),
            "sizes below 2^20 that fit to input 0",
        ));
    }
    let mut shape: Vec<i64> = ty.shape[..2].iter().map(|&size| size.cast_signed()).collect();
    for axis in 0..rank {
        let whole = (ty.shape[axis + 2].max(1) - 1) * strides[axis] + kernel[axis];
        shape.push((whole.cast_signed() - (pads[axis] + pads[rank + axis]).cast_signed()).max(0));
    }
    let image: i64 = shape[2..].iter().try_fold(1i64, |all, &size| all.checked_mul(size)).unwrap_or(i64::MAX);
    let images = shape[0] * shape[1];
    if image >= 1 << 40 || images >= 1 << 20 {
        return Err(value_error("kernel_shape", &format!("{kernel:?}"), "a smaller output"));
    }
    let rows = |call: &mut Call<'_>, what: &str, id| {
        let flat = op::Reshape { shape: vec![images, -1], allow_zero: false };
        call.step(what, flat, &[id])
    };
    let (x, places) = (rows(call, "rows", x)?, rows(call, "places", places)?);
    // Places count through all images.
    let starts: Bytes = (0..images).flat_map(|number| (number * image).to_le_bytes()).collect();
    let starts = call.constant("starts", TensorType::new(DType::I64, [images.cast_unsigned(), 1]), starts);
    let places = call.step("own", op::Sub, &[places, starts])?;
    let zero = vec![0; ty.dtype.size() as usize];
    let zero = call.constant("zero", TensorType::new(ty.dtype, []), zero.into());
    let zeros = op::Expand { shape: vec![images.cast_unsigned(), image.cast_unsigned()] };
    let zeros = call.step("zeros", zeros, &[zero])?;
    let scatter = op::ScatterElements { axis: 1, update: op::Update::Replace };
    let scattered = call.step("scattered", scatter, &[zeros, places, x])?;
    let unpooled = op::Reshape { shape: shape.clone(), allow_zero: true };
    if call.optional(2).is_none() {
        return call.apply_to(unpooled, &[scattered]);
    }
    let wanted = call.constant_ints(2, "it is the shape of the output")?;
    if wanted.len() != shape.len() {
        return Err(value_error("output_shape", &format!("{wanted:?}"), &format!("{} sizes", shape.len())));
    }
    let unpooled = call.step("unpooled", unpooled, &[scattered])?;
    let pads = shape.iter().zip(&wanted).map(|(&size, &wanted)| (0, wanted.saturating_sub(size))).collect();
    call.apply_to(op::Pad { mode: op::PadMode::Constant, pads }, &[unpooled])
}

fn or_default(values: Vec<u64>, default: Vec<u64>) -> Vec<u64> {
    if values.is_empty() { default } else { values }
}

pub(super) fn col2im(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (image, block) = (
        call.constant_sizes(1, "it is the size of the output")?,
        call.constant_sizes(2, "it decides how windows lie")?,
    );
    let (input, window) = (call.input(0)?, window(call)?);
    call.apply_to(op::Col2Im { image, block, window }, &[input])
}
