//! Quantized numbers: operators on integers with scales, most of them computed by their floats.

use dnn_lib::operator as op;
use dnn_lib::tensor::DType;
use graph::TensorId;

use super::{Outputs, channels_first, channels_last, turned};
use crate::error::NodeError;
use crate::import::call::{Call, value_error};
use crate::import::operators::{normalize, quantization, window};

/// The floats that quantized numbers stand for. `what` makes the name.
fn dequantized(
    call: &mut Call<'_>,
    what: &str,
    x: TensorId,
    scale: TensorId,
    zero: Option<TensorId>,
) -> Result<TensorId, NodeError> {
    let operator = op::DequantizeLinear { to: call.ty(scale).dtype, blocks: None };
    let inputs: Vec<TensorId> = [x, scale].into_iter().chain(zero).collect();
    call.step(what, operator, &inputs)
}

/// The output: floats as quantized numbers of a type, or of that of the zero point.
fn quantized(
    call: &mut Call<'_>,
    x: TensorId,
    scale: TensorId,
    zero: Option<TensorId>,
    to: DType,
) -> Outputs {
    let to = zero.map_or(to, |zero| call.ty(zero).dtype);
    let inputs: Vec<TensorId> = [x, scale].into_iter().chain(zero).collect();
    call.apply_to(op::QuantizeLinear { to, blocks: None }, &inputs)
}

/// Inputs: x, its scale, its zero point, the scale and the zero point of y.
pub(super) fn qlinear_of_one(call: &mut Call<'_>, operator: op::Operator) -> Outputs {
    let (given, zero) = (call.input(0)?, call.optional(2));
    let x = dequantized(call, "x", given, call.input(1)?, zero)?;
    let y = call.step("y", operator, &[x])?;
    let to = call.ty(given).dtype;
    quantized(call, y, call.input(3)?, call.optional(4), to)
}

/// Inputs: a, its scale, its zero point, b, its scale, its zero point, the scale and the zero point of c.
pub(super) fn qlinear_of_two(call: &mut Call<'_>, operator: op::Operator) -> Outputs {
    let given = call.input(0)?;
    let a = dequantized(call, "a", given, call.input(1)?, call.optional(2))?;
    let b = dequantized(call, "b", call.input(3)?, call.input(4)?, call.optional(5))?;
    let c = call.step("c", operator, &[a, b])?;
    let to = call.ty(given).dtype;
    quantized(call, c, call.input(6)?, call.optional(7), to)
}

/// Inputs: a condition, x, its scale, its zero point, y, its scale, its zero point, the scale and the zero
/// point of z.
pub(super) fn qlinear_where(call: &mut Call<'_>) -> Outputs {
    let given = call.all()?;
    let x = dequantized(call, "x", given[1], given[2], Some(given[3]))?;
    let y = dequantized(call, "y", given[4], given[5], Some(given[6]))?;
    let z = call.step("z", op::Where, &[given[0], x, y])?;
    quantized(call, z, given[7], Some(given[8]), DType::U8)
}

/// Inputs: x, its scale, its zero point, the scale and the zero point of y. The form is that of Softmax in an
/// opset that the node names.
pub(super) fn qlinear_softmax(call: &mut Call<'_>) -> Outputs {
    let opset = call.int("opset")?.unwrap_or(13);
    let (given, zero) = (call.input(0)?, call.optional(2));
    let x = dequantized(call, "x", given, call.input(1)?, zero)?;
    let axis = call.int("axis")?.unwrap_or(if opset < 13 { 1 } else { -1 });
    let y = normalize::step_along(call, "y", x, (axis, opset >= 13), |axis| op::Softmax { axis }.into())?;
    let to = call.ty(given).dtype;
    quantized(call, y, call.input(3)?, call.optional(4), to)
}

pub(super) fn qlinear_average_pool(call: &mut Call<'_>) -> Outputs {
    let operator = window::average(call)?;
    if !call.flag("channels_last", false)? {
        return qlinear_of_one(call, operator.into());
    }
    let (given, zero) = (call.input(0)?, call.optional(2));
    let x = dequantized(call, "x", given, call.input(1)?, zero)?;
    let x = channels_first(call, x)?;
    let y = call.step("pooled", operator, &[x])?;
    let y = channels_last(call, y)?;
    let to = call.ty(given).dtype;
    quantized(call, y, call.input(3)?, call.optional(4), to)
}

pub(super) fn qlinear_global_average_pool(call: &mut Call<'_>) -> Outputs {
    if !call.flag("channels_last", false)? {
        return qlinear_of_one(call, op::GlobalAveragePool.into());
    }
    let given = call.input(0)?;
    let rank = call.ty(given).shape.len();
    let axes: Vec<i64> = (1..rank.saturating_sub(1) as i64).collect();
    qlinear_of_one(call, op::ReduceMean { axes: Some(axes), keep_dims: true }.into())
}

/// Inputs: the scale and the zero point of y, then a tensor, its scale and its zero point, again and again.
pub(super) fn qlinear_concat(call: &mut Call<'_>) -> Outputs {
    let axis = call.int("axis")?.ok_or(NodeError::MissingAttribute { attribute: "axis" })?;
    let given = call.all()?;
    let (groups, rest) = given[2..].as_chunks::<3>();
    if !rest.is_empty() {
        let expected = "2, and 3 for each tensor".to_owned();
        return Err(NodeError::InputCount { found: given.len(), expected });
    }
    let part = |(index, &[x, scale, zero]): (usize, &[TensorId; 3])| {
        dequantized(call, &format!("x{index}"), x, scale, Some(zero))
    };
    let parts = groups.iter().enumerate().map(part).collect::<Result<Vec<_>, _>>()?;
    let joined = call.step("joined", op::Concat { axis }, &parts)?;
    quantized(call, joined, given[0], Some(given[1]), DType::U8)
}

/// Inputs: a, its scale, its zero point, b, its scale, its zero point, c, the scale and the zero point of y.
/// c counts in units of the sum. Without a scale of y, it is a float.
pub(super) fn qgemm(call: &mut Call<'_>) -> Outputs {
    let given: Vec<TensorId> = (0..6).map(|index| call.input(index)).collect::<Result<_, _>>()?;
    let (a, b) = (turned(call, "transA", given[0])?, turned(call, "transB", given[3])?);
    let mut sum = call.step("sum", op::MatMulInteger, &[a, b, given[2], given[5]])?;
    if let Some(c) = call.optional(6) {
        sum = call.step("biased", op::Add, &[sum, c])?;
    }
    let mut left = given[1];
    let alpha = call.float("alpha")?.unwrap_or(1.0);
    if alpha != 1.0 {
        let alpha = call.number("alpha", alpha, call.ty(left).dtype);
        left = call.step("scaled", op::Mul, &[alpha, left])?;
    }
    let Some(scale) = call.optional(7) else {
        return integers_as_floats(call, sum, [left, given[4]], None);
    };
    let zero = call.input(8)?;
    let to = call.ty(zero).dtype;
    call.apply_to(op::Requantize { to }, &[sum, left, given[4], scale, zero])
}

/// A sum of products of quantized numbers as floats, and a bias added.
pub(super) fn integers_as_floats(
    call: &mut Call<'_>,
    sum: TensorId,
    scales: [TensorId; 2],
    bias: Option<TensorId>,
) -> Outputs {
    let scale = call.step("scale", op::Mul, &scales)?;
    let operator = op::DequantizeLinear { to: call.ty(scale).dtype, blocks: None };
    let Some(bias) = bias else { return call.apply_to(operator, &[sum, scale]) };
    let product = call.step("product", operator, &[sum, scale])?;
    call.apply_to(op::Add, &[product, bias])
}

/// Inputs: a, b, the scale and the zero point of b, a bias. a is quantized first.
pub(super) fn dynamic_quantize_matmul(call: &mut Call<'_>) -> Outputs {
    let (x, b, b_scale) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (scale, zero) = quantization::dynamic_scale(call, x)?;
    let a = call.step("a", op::QuantizeLinear { to: DType::U8, blocks: None }, &[x, scale, zero])?;
    let inputs = quantization::factors(call, [a, b], [Some(zero), call.optional(3)])?;
    let sum = call.step("sum", op::MatMulInteger, &inputs)?;
    integers_as_floats(call, sum, [scale, b_scale], call.optional(4))
}

/// A product of quantized numbers as floats. Scales and zero points of the left are those of its rows.
pub(super) fn product(
    call: &mut Call<'_>,
    of: [TensorId; 2],
    scales: [TensorId; 2],
    zeros: [Option<TensorId>; 2],
) -> Result<TensorId, NodeError> {
    let rank = call.ty(of[0]).shape.len();
    let inputs = quantization::factors(call, of, zeros)?;
    let sum = call.step("sum", op::MatMulInteger, &inputs)?;
    let left = call.along("a_scale", scales[0], rank, rank.saturating_sub(2))?;
    let scale = call.step("scale", op::Mul, &[left, scales[1]])?;
    let to = call.ty(scale).dtype;
    call.step("product", op::DequantizeLinear { to, blocks: None }, &[sum, scale])
}

/// Inputs: a, b, their scales, their zero points, a bias.
pub(super) fn matmul_integer_to_float(call: &mut Call<'_>) -> Outputs {
    let of = [call.input(0)?, call.input(1)?];
    let (scales, zeros) = ([call.input(2)?, call.input(3)?], [call.optional(4), call.optional(5)]);
    let product = product(call, of, scales, zeros)?;
    match call.optional(6) {
        Some(bias) => call.apply_to(op::Add, &[product, bias]),
        None => call.apply_to(op::Identity, &[product]),
    }
}

/// Inputs: a, the packed columns of b, their scales, their zero points, the blocks of the rows of b, a bias.
pub(super) fn matmul_n_bits(call: &mut Call<'_>) -> Outputs {
    if call.optional(4).is_some() {
        return Err(value_error("g_idx", &"given", "none"));
    }
    let size = |name: &'static str| {
        let value = call.int(name)?.ok_or(NodeError::MissingAttribute { attribute: name })?;
        u64::try_from(value).map_err(|_| value_error(name, &value, "numbers from 0"))
    };
    let (depth, columns, block) = (size("K")?, size("N")?, size("block_size")?);
    let bits = call.int("bits")?.unwrap_or(4);
    let operator = match bits {
        4 | 8 => op::MatMulNBits { depth, columns, block, bits: bits.unsigned_abs() },
        _ => return Err(value_error("bits", &bits, "4, 8")),
    };
    let given = [call.input(0)?, call.input(1)?, call.input(2)?];
    let inputs: Vec<TensorId> = given.into_iter().chain(call.optional(3)).collect();
    let Some(bias) = call.optional(5) else { return call.apply_to(operator, &inputs) };
    let product = call.step("product", operator, &inputs)?;
    call.apply_to(op::Add, &[product, bias])
}
