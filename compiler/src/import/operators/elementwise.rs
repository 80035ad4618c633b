//! Operators of single elements.

use dnn_lib::operator as op;
use dnn_lib::scalar::Rounding;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use super::legacy;
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// `saturate` and `round_mode` are about small floats.
fn conversion(call: &Call<'_>, to: DType) -> Result<op::Operator, NodeError> {
    let saturate = call.flag("saturate", true)?;
    let rounding = match call.string("round_mode")?.as_deref() {
        None | Some("up") => Rounding::Up,
        Some("down") => Rounding::Down,
        Some("nearest") => Rounding::Nearest,
        Some(found) => return Err(value_error("round_mode", &found, "up, down, nearest")),
    };
    Ok(if to.is_small_float() {
        op::CastSmall { to, saturate, rounding }.into()
    } else {
        op::Cast { to }.into()
    })
}

pub(super) fn cast(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    if let Some(texts) = call.optional(0).and_then(|x| call.import.texts.get(&x).cloned()) {
        return super::classical::cast_texts(call, &texts);
    }
    let to = element_type(call)?;
    let operator = conversion(call, to)?;
    call.apply(operator)
}

pub(super) fn bit_cast(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let to = element_type(call)?;
    call.apply(op::BitCast { to })
}

/// The attribute `to`.
fn element_type(call: &Call<'_>) -> Result<DType, NodeError> {
    let code = call.int("to")?.ok_or(NodeError::MissingAttribute { attribute: "to" })?;
    onnx::element_type(code).map_err(|name| value_error("to", &name, onnx::ELEMENT_TYPES))
}

pub(super) fn cast_like(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (input, to) = (call.input(0)?, call.ty(call.input(1)?).dtype);
    let operator = conversion(call, to)?;
    call.apply_to(operator, &[input])
}

/// A question about a float. A small one is asked about as an `f32`, which it is exactly.
pub(super) fn of_float(
    call: &mut Call<'_>,
    operator: impl Into<op::Operator>,
) -> Result<Vec<TensorId>, NodeError> {
    let mut input = call.input(0)?;
    if call.ty(input).dtype.is_small_float() {
        input = call.step("single", op::Cast { to: DType::F32 }, &[input])?;
    }
    call.apply_to(operator, &[input])
}

/// Before opset 11 the limits are attributes; since then, inputs.
pub(super) fn clip(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let input = call.input(0)?;
    let [min, max] = if call.opset < 11 {
        // Left out, a limit is the last finite float: an infinite number is brought back to it.
        let dtype = call.ty(input).dtype;
        let mut limit = |name: &str, default: f32| -> Result<Option<TensorId>, NodeError> {
            let limit = call.float(name)?.unwrap_or(default);
            let single = constant(call, name, limit);
            call.step(&format!("{name}.cast"), op::Cast { to: dtype }, &[single]).map(Some)
        };
        [limit("min", f32::MIN)?, limit("max", f32::MAX)?]
    } else {
        [call.optional(1), call.optional(2)]
    };
    let inputs: Vec<TensorId> = [Some(input), min, max].into_iter().flatten().collect();
    call.apply_to(op::Clip { min: min.is_some(), max: max.is_some() }, &inputs)
}

pub(super) fn bit_shift(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    match call.string("direction")?.as_deref() {
        Some("LEFT") => call.apply(op::BitShift { left: true }),
        Some("RIGHT") => call.apply(op::BitShift { left: false }),
        Some(found) => Err(value_error("direction", &found, "LEFT, RIGHT")),
        None => Err(NodeError::MissingAttribute { attribute: "direction" }),
    }
}

pub(super) fn is_inf(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let operator = op::IsInf {
        negative: call.flag("detect_negative", true)?,
        positive: call.flag("detect_positive", true)?,
    };
    of_float(call, operator)
}

pub(super) fn hard_sigmoid(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let operator = op::HardSigmoid {
        alpha: call.float("alpha")?.unwrap_or(0.2),
        beta: call.float("beta")?.unwrap_or(0.5),
    };
    call.apply(operator)
}

pub(super) fn gelu(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    match call.string("approximate")?.as_deref() {
        None | Some("none") => call.apply(op::Gelu { tanh: false }),
        Some("tanh") => call.apply(op::Gelu { tanh: true }),
        Some(found) => Err(value_error("approximate", &found, "none, tanh")),
    }
}

/// A square is a product, which is rounded once.
pub(super) fn pow(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let [base, power] = legacy::aligned(call)?;
    let exponent = call.tensor(power);
    let two: &[u8] = match exponent.ty.dtype {
        DType::F32 => &2f32.to_le_bytes(),
        DType::F64 => &2f64.to_le_bytes(),
        DType::F16 | DType::BF16 => &[0, 0x40],
        dtype => &2u64.to_le_bytes()[..dtype.size() as usize],
    };
    let small = exponent.ty.shape.len() <= call.ty(base).shape.len();
    match &exponent.value {
        Some(value) if value[..] == *two && small => call.apply_to(op::Mul, &[base, base]),
        _ => call.apply_to(op::Pow, &[base, power]),
    }
}

pub(super) fn selu(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (alpha, gamma) = if call.opset < 6 { (1.6732, 1.0507) } else { (1.673_263_2, 1.050_701) };
    let operator = op::Selu {
        alpha: call.float("alpha")?.unwrap_or(alpha),
        gamma: call.float("gamma")?.unwrap_or(gamma),
    };
    call.apply(operator)
}

pub(super) fn shrink(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let operator =
        op::Shrink { bias: call.float("bias")?.unwrap_or(0.0), lambda: call.float("lambd")?.unwrap_or(0.5) };
    call.apply(operator)
}

/// An operator with the attribute `alpha`.
pub(super) fn with_alpha<T: Into<op::Operator>>(
    call: &mut Call<'_>,
    default: f32,
    operator: fn(f32) -> T,
) -> Result<Vec<TensorId>, NodeError> {
    let alpha = call.float("alpha")?.unwrap_or(default);
    call.apply(operator(alpha))
}

/// A number that the node's attributes give.
fn constant(call: &mut Call<'_>, what: &str, value: f32) -> TensorId {
    let output = call.node.outputs.first().map(String::as_str).unwrap_or_default();
    let (name, ty) = (format!("{output}.{what}"), TensorType::new(DType::F32, []));
    call.import.builder.tensor(name, ty, Some(value.to_le_bytes().into_iter().collect()))
}
