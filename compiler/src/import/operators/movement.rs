//! Operators that take, repeat and surround elements.

use bytes::Bytes;
use dnn_lib::operator::{self as op, PadMode};
use dnn_lib::tensor::{DType, TensorType, elements};
use graph::TensorId;
use onnx::Attribute;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

const SHAPE: &str = "it decides the shape of the output";

/// Before opset 10, everything is an attribute; since then, an input.
pub(super) fn slice(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let input = call.input(0)?;
    let required = |name: &'static str, index| {
        call.ints_or_input(name, index, SHAPE)?.ok_or(NodeError::MissingAttribute { attribute: name })
    };
    let (starts, ends) = (required("starts", 1)?, required("ends", 2)?);
    let axes = call.ints_or_input("axes", 3, SHAPE)?;
    let steps = call.ints_or_input("steps", 4, SHAPE)?.unwrap_or_else(|| vec![1; starts.len()]);
    call.apply_to(op::Slice { axes, starts, ends, steps }, &[input])
}

/// One slice by a constant index costs nothing if it lies in one piece of memory.
pub(super) fn gather(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let axis = call.int("axis")?.unwrap_or(0);
    let (data, indices) = (call.input(0)?, call.input(1)?);
    let rank = call.ty(data).shape.len() as i64;
    if call.ty(indices).shape.is_empty()
        && call.tensor(indices).value.is_some()
        && (-rank..rank).contains(&axis)
        && let [index] = call.constant_ints(1, "")?[..]
    {
        let place = if axis < 0 { axis + rank } else { axis } as usize;
        let size = call.ty(data).shape[place].cast_signed();
        if (-size..size).contains(&index) {
            let start = index.rem_euclid(size);
            let slice = op::Slice {
                axes: Some(vec![axis]),
                starts: vec![start],
                ends: vec![start + 1],
                steps: vec![1],
            };
            let slice = call.step("slice", slice, &[data])?;
            return call.apply_to(op::Squeeze { axes: Some(vec![axis]) }, &[slice]);
        }
    }
    call.apply(op::Gather { axis })
}

pub(super) fn expand(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (input, shape) = (call.input(0)?, call.constant_sizes(1, SHAPE)?);
    call.apply_to(op::Expand { shape }, &[input])
}

pub(super) fn tile(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (input, repeats) = (call.input(0)?, call.constant_sizes(1, SHAPE)?);
    call.apply_to(op::Tile { repeats }, &[input])
}

pub(super) fn constant_of_shape(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let shape = call.constant_sizes(0, SHAPE)?;
    let (dtype, bytes) = match call.node.attributes.get("value") {
        None => (DType::F32, Bytes::from_static(&[0; 4])),
        Some(Attribute::Tensor(tensor)) if elements(tensor.dims()) == Some(1) => {
            let (dtype, _, bytes) = tensor.clone().into_parts();
            (dtype, bytes)
        }
        Some(other) => return Err(value_error("value", &other.kind(), "a tensor with one element")),
    };
    let value = call.constant("value", TensorType::new(dtype, []), bytes);
    call.apply_to(op::Expand { shape }, &[value])
}

/// The pads are an attribute or, since opset 11, an input.
pub(super) fn pad(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let mode = match call.string("mode")?.as_deref() {
        None | Some("constant") => PadMode::Constant,
        Some("reflect") => PadMode::Reflect,
        Some("edge") => PadMode::Edge,
        Some("wrap") => PadMode::Wrap,
        Some(found) => return Err(value_error("mode", &found, "constant, reflect, edge, wrap")),
    };
    let input = call.input(0)?;
    let rank = call.ty(input).shape.len();
    let axes = if call.optional(3).is_some() { Some(call.constant_ints(3, SHAPE)?) } else { None };
    let axes = axes.unwrap_or_else(|| (0..rank as i64).collect());
    let pads = call.ints_or_input("pads", 1, SHAPE)?;
    let pads = pads.ok_or(NodeError::MissingAttribute { attribute: "pads" })?;
    if pads.len() != 2 * axes.len() {
        let supported = format!("two numbers for each of {} axes", axes.len());
        return Err(value_error("pads", &format!("{pads:?}"), &supported));
    }
    let mut pairs = vec![(0, 0); rank];
    for (place, &axis) in axes.iter().enumerate() {
        let own = usize::try_from(if axis < 0 { axis.saturating_add(rank as i64) } else { axis }).ok();
        let pair = own.and_then(|own| pairs.get_mut(own));
        let supported = || format!("axes of a tensor of rank {rank}");
        let pair = pair.ok_or_else(|| value_error("axes", &format!("{axes:?}"), &supported()))?;
        *pair = (pads[place], pads[axes.len() + place]);
    }
    let mut inputs = vec![input];
    match (call.optional(2), call.float("value")?) {
        _ if mode != PadMode::Constant => {}
        (Some(value), _) => inputs.push(value),
        (None, None | Some(0.0)) => {}
        (None, Some(value)) => {
            let ty = TensorType::new(call.ty(input).dtype, []);
            let bytes = match ty.dtype {
                DType::F32 => value.to_le_bytes().to_vec(),
                DType::F64 => f64::from(value).to_le_bytes().to_vec(),
                _ => return Err(value_error("value", &value, "0, for elements that are no float or double")),
            };
            inputs.push(call.constant("value", ty, bytes.into()));
        }
    }
    call.apply_to(op::Pad { mode, pads: pairs }, &inputs)
}

pub(super) fn range(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let mut numbers = Vec::new();
    for index in 0..3 {
        numbers.extend(call.constant_numbers(index, SHAPE)?);
    }
    let &[(start, from), (limit, to), (delta, by)] = &numbers[..] else {
        return Err(value_error("inputs", &format!("{} numbers", numbers.len()), "three"));
    };
    if delta == 0.0 || [start, limit, delta].iter().any(|x| !x.is_finite()) {
        return Err(value_error("delta", &delta, "a number that is not 0, and finite limits"));
    }
    let count = match (from, to, by) {
        (Some(from), Some(to), Some(by)) => {
            let length = if by > 0 { to - from } else { from - to };
            length.max(0).unsigned_abs().div_ceil(by.unsigned_abs()) as u64
        }
        // A conversion of a float saturates.
        _ => ((limit - start) / delta).ceil().max(0.0) as u64,
    };
    let (start, delta) = (call.input(0)?, call.input(2)?);
    let scalar = |call: &mut Call<'_>, what: &str, id| {
        let shape = op::Reshape { shape: Vec::new(), allow_zero: true };
        call.step(what, shape, &[id])
    };
    let (start, delta) = (scalar(call, "start", start)?, scalar(call, "delta", delta)?);
    call.apply_to(op::Range { count }, &[start, delta])
}

/// Whether the channels of a block are apart, and not those of a pixel.
fn channels_first(call: &Call<'_>) -> Result<bool, NodeError> {
    match call.string("mode")?.as_deref() {
        None | Some("DCR") => Ok(false),
        Some("CRD") => Ok(true),
        Some(found) => Err(value_error("mode", &found, "DCR, CRD")),
    }
}

/// Blocks of channels become blocks of pixels.
pub(super) fn depth_to_space(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (input, block) = (call.input(0)?, block_size(call)?);
    let [n, c, h, w] = image(call, input)?;
    let square = block * block;
    if c % square != 0 {
        return Err(value_error("blocksize", &block, &format!("numbers whose square divides {c} channels")));
    }
    let (split, perm) = if channels_first(call)? {
        (vec![n, c / square, block, block, h, w], vec![0, 1, 4, 2, 5, 3])
    } else {
        (vec![n, block, block, c / square, h, w], vec![0, 3, 4, 1, 5, 2])
    };
    regrouped(call, input, split, perm, vec![n, c / square, h * block, w * block])
}

/// Blocks of pixels become blocks of channels.
pub(super) fn space_to_depth(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (input, block) = (call.input(0)?, block_size(call)?);
    let [n, c, h, w] = image(call, input)?;
    if h % block != 0 || w % block != 0 {
        return Err(value_error("blocksize", &block, &format!("numbers that divide {h} and {w}")));
    }
    let split = vec![n, c, h / block, block, w / block, block];
    let joined = vec![n, c * block * block, h / block, w / block];
    let perm = if channels_first(call)? { vec![0, 1, 3, 5, 2, 4] } else { vec![0, 3, 5, 1, 2, 4] };
    regrouped(call, input, split, perm, joined)
}

fn block_size(call: &Call<'_>) -> Result<i64, NodeError> {
    let block = call.int("blocksize")?.ok_or(NodeError::MissingAttribute { attribute: "blocksize" })?;
    if (1..1 << 15).contains(&block) {
        Ok(block)
    } else {
        Err(value_error("blocksize", &block, "1 to 32767"))
    }
}

/// The dimensions of an image.
fn image(call: &Call<'_>, input: TensorId) -> Result<[i64; 4], NodeError> {
    let shape: Vec<i64> = call.ty(input).shape.iter().map(|&size| size.cast_signed()).collect();
    let image =
        <[i64; 4]>::try_from(&shape[..]).ok().filter(|image| image.iter().all(|&size| size < 1 << 44));
    image.ok_or_else(|| call.input_error(0, format!("of shape {shape:?}"), "[N, C, H, W]"))
}

/// The dimensions split, in another order, and joined.
fn regrouped(
    call: &mut Call<'_>,
    input: TensorId,
    split: Vec<i64>,
    perm: Vec<u64>,
    joined: Vec<i64>,
) -> Result<Vec<TensorId>, NodeError> {
    let split = call.step("split", op::Reshape { shape: split, allow_zero: true }, &[input])?;
    let turned = call.step("turned", op::Transpose { perm: Some(perm) }, &[split])?;
    call.apply_to(op::Reshape { shape: joined, allow_zero: true }, &[turned])
}

/// What is added or removed is so at both ends, one more at the end if it is odd.
pub(super) fn center_crop_pad(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (input, wanted) = (call.input(0)?, call.constant_sizes(1, SHAPE)?);
    let sizes = call.ty(input).shape.clone();
    let rank = sizes.len() as i64;
    let axes = call.ints("axes")?.unwrap_or_else(|| (0..rank).collect());
    let right = axes.len() == wanted.len() && axes.iter().all(|axis| (-rank..rank).contains(axis));
    if !right {
        let supported = format!("{} axes of a tensor of rank {rank}", wanted.len());
        return Err(value_error("axes", &format!("{axes:?}"), &supported));
    }
    let mut pads = vec![(0, 0); sizes.len()];
    for (&axis, &wanted) in axes.iter().zip(&wanted) {
        let axis = axis.rem_euclid(rank) as usize;
        let difference = wanted.cast_signed().saturating_sub(sizes[axis].cast_signed());
        let before = difference / 2;
        pads[axis] = (before, difference - before);
    }
    call.apply_to(op::Pad { mode: PadMode::Constant, pads }, &[input])
}
