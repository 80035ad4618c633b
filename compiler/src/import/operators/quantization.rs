//! Quantized numbers: small integers with a scale and a zero point.

use bytes::Bytes;
use dnn_lib::operator as op;
use dnn_lib::scalar::Rounding;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use super::dequantized::Dequantized;
use super::window;
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

type Outputs = Result<Vec<TensorId>, NodeError>;

pub(super) const QUANTIZE: &[&str] = &["axis", "block_size", "output_dtype", "precision", "saturate"];
pub(super) const DEQUANTIZE: &[&str] = &["axis", "block_size", "output_dtype"];

impl Call<'_> {
    /// A vector as a tensor that runs along one axis of another: with dimensions of size 1 behind. Other
    /// tensors stay as they are.
    pub(super) fn along(
        &mut self,
        what: &str,
        vector: TensorId,
        rank: usize,
        axis: usize,
    ) -> Result<TensorId, NodeError> {
        let shape = &self.ty(vector).shape;
        if shape.len() != 1 || axis + 1 >= rank {
            return Ok(vector);
        }
        let mut shape = vec![shape[0].cast_signed()];
        shape.resize(rank - axis, 1);
        self.step(what, op::Reshape { shape, allow_zero: true }, &[vector])
    }

    /// The zero points of the factors; none if both are left out.
    pub(super) fn zero_points(&mut self, given: [Option<TensorId>; 2], of: [TensorId; 2]) -> Vec<TensorId> {
        let zero = |call: &mut Self, of: TensorId| {
            let ty = TensorType::new(call.ty(of).dtype, []);
            call.import.builder.tensor("zero", ty, Some(Bytes::from_static(&[0])))
        };
        match given {
            [None, None] => Vec::new(),
            [Some(left), None] => vec![left],
            [left, Some(right)] => vec![left.unwrap_or_else(|| zero(self, of[0])), right],
        }
    }
}

/// The scales and zero points of an input, as they are broadcast to it, and its blocks.
fn parameters(call: &mut Call<'_>) -> Result<(Vec<TensorId>, Option<op::Blocks>), NodeError> {
    let (x, scale) = (call.input(0)?, call.input(1)?);
    let mut parameters = vec![scale];
    parameters.extend(call.optional(2));
    let axis = call.int("axis")?.unwrap_or(1);
    let size = call.int("block_size")?.unwrap_or(0);
    let size = u64::try_from(size).map_err(|_| value_error("block_size", &size, "numbers from 0"))?;
    if size > 0 {
        return Ok((parameters, Some(op::Blocks { axis, size })));
    }
    let rank = call.ty(x).shape.len();
    let signed = rank as i64;
    if call.ty(scale).shape.len() == 1 && call.ty(scale).shape != [1] {
        if !(-signed..signed).contains(&axis) {
            return Err(value_error("axis", &axis, &format!("{} to {}", -signed, signed - 1)));
        }
        let axis = (if axis < 0 { axis + signed } else { axis }) as usize;
        for (parameter, what) in parameters.iter_mut().zip(["scale", "zero_point"]) {
            *parameter = call.along(what, *parameter, rank, axis)?;
        }
    }
    Ok((parameters, None))
}

pub(super) fn quantize_linear(call: &mut Call<'_>) -> Outputs {
    // It concerns floats of 8 bits only.
    let saturate = call.flag("saturate", true)?;
    let declared = call.element_type("output_dtype")?;
    let zero = call.optional(2).map(|zero| call.ty(zero).dtype);
    let to = zero.or(declared).unwrap_or(DType::U8);
    if let Some(declared) = declared.filter(|&declared| declared != to) {
        let supported = format!("the type of the zero point, {}", onnx::element_name(to));
        return Err(value_error("output_dtype", &onnx::element_name(declared), &supported));
    }
    match call.element_type("precision")? {
        None | Some(DType::F32) => {}
        Some(other) => return Err(value_error("precision", &onnx::element_name(other), "float")),
    }
    let x = call.input(0)?;
    let (parameters, blocks) = parameters(call)?;
    if !saturate && to.is_small_float() {
        if blocks.is_some() {
            return Err(value_error("saturate", &0, "1 with blocks"));
        }
        return unsaturated(call, x, parameters, to);
    }
    call.apply_to(op::QuantizeLinear { to, blocks }, &[&[x], &parameters[..]].concat())
}

/// To floats of 8 bits, with infinities or NaNs for what is too large. Everything is computed in `f32`.
fn unsaturated(call: &mut Call<'_>, x: TensorId, parameters: Vec<TensorId>, to: DType) -> Outputs {
    let mut singles = Vec::new();
    for tensor in [&[x], &parameters[..]].concat() {
        singles.push(call.step("single", op::Cast { to: DType::F32 }, &[tensor])?);
    }
    let mut y = call.step("quotient", op::Div, &singles[..2])?;
    if let Some(&zero) = singles.get(2) {
        y = call.step("sum", op::Add, &[y, zero])?;
    }
    call.apply_to(op::CastSmall { to, saturate: false, rounding: Rounding::Nearest }, &[y])
}

pub(super) fn dequantize_linear(call: &mut Call<'_>) -> Outputs {
    let declared = call.element_type("output_dtype")?;
    let to = declared.unwrap_or(call.ty(call.input(1)?).dtype);
    let x = call.input(0)?;
    let (parameters, blocks) = parameters(call)?;
    let outputs = call.apply_to(op::DequantizeLinear { to, blocks }, &[&[x], &parameters[..]].concat())?;
    if let Some(dequantized) = dequantized(call, x, blocks.is_none() && to == DType::F32)? {
        call.import.dequantized.insert(outputs[0], dequantized);
    }
    Ok(outputs)
}

/// What products of floats can be computed from, if `is_plain`.
fn dequantized(call: &Call<'_>, bytes: TensorId, is_plain: bool) -> Result<Option<Dequantized>, NodeError> {
    let (scale, zero) = (call.input(1)?, call.optional(2));
    let is_byte = matches!(call.ty(bytes).dtype, DType::U8 | DType::I8);
    let is_plain =
        is_plain && is_byte && call.ty(scale).dtype == DType::F32 && call.ty(scale).shape.len() <= 1;
    let (axis, rank) = (call.int("axis")?.unwrap_or(1), call.ty(bytes).shape.len());
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    let axis = usize::try_from(axis).unwrap_or(usize::MAX);
    Ok(is_plain.then_some(Dequantized { bytes, scale, zero, axis }))
}

/// Output, scale and zero point.
pub(super) fn dynamic_quantize_linear(call: &mut Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let (scale, zero) = dynamic_scale(call, x)?;
    let y = call.apply_to(op::QuantizeLinear { to: DType::U8, blocks: None }, &[x, scale, zero])?;
    Ok(vec![y[0], scale, zero])
}

pub(super) fn dynamic_scale(call: &mut Call<'_>, x: TensorId) -> Result<(TensorId, TensorId), NodeError> {
    let output = call.node.outputs.first().cloned().unwrap_or_default();
    let name = |index: usize, what: &str| {
        let own = call.node.outputs.get(index).filter(|name| !name.is_empty());
        own.cloned().unwrap_or_else(|| format!("{output}.{what}"))
    };
    let names = [name(1, "scale"), name(2, "zero_point")];
    let label = call.label.clone();
    let outputs = call.import.apply(&label, op::DynamicScale, &[x], &names)?;
    Ok((outputs[0], outputs[1]))
}

/// The factors of a product of matrices and their zero points, as they are broadcast: a vector is for the
/// rows of the left, and for the columns of the right.
pub(super) fn factors(
    call: &mut Call<'_>,
    of: [TensorId; 2],
    mut zeros: [Option<TensorId>; 2],
) -> Result<Vec<TensorId>, NodeError> {
    let rank = call.ty(of[0]).shape.len();
    if let Some(zero) = &mut zeros[0] {
        *zero = call.along("a_zero_point", *zero, rank, rank.saturating_sub(2))?;
    }
    let zeros = call.zero_points(zeros, of);
    Ok([&of[..], &zeros].concat())
}

pub(super) fn matmul_integer(call: &mut Call<'_>) -> Outputs {
    let of = [call.input(0)?, call.input(1)?];
    let inputs = factors(call, of, [call.optional(2), call.optional(3)])?;
    call.apply_to(op::MatMulInteger, &inputs)
}

pub(super) fn conv_integer(call: &mut Call<'_>) -> Outputs {
    let of = [call.input(0)?, call.input(1)?];
    let conv = window::convolution(call, 1)?;
    let zeros = call.zero_points([call.optional(2), call.optional(3)], of);
    call.apply_to(op::ConvInteger(conv), &[&of[..], &zeros].concat())
}

/// Inputs: a, its scale, its zero point, b, its scale, its zero point, the scale and the zero point of y.
pub(super) fn qlinear_matmul(call: &mut Call<'_>) -> Outputs {
    let given = call.all()?;
    let inputs = factors(call, [given[0], given[3]], [Some(given[2]), Some(given[5])])?;
    let sum = call.step("sum", op::MatMulInteger, &inputs)?;
    let rank = call.ty(given[0]).shape.len();
    let left = call.along("a_scale", given[1], rank, rank.saturating_sub(2))?;
    let to = call.ty(given[7]).dtype;
    call.apply_to(op::Requantize { to }, &[sum, left, given[4], given[6], given[7]])
}

/// Inputs: x, its scale, its zero point, w, its scale, its zero point, the scale and the zero point of y, the
/// bias.
pub(super) fn qlinear_conv(call: &mut Call<'_>) -> Outputs {
    let given = call.all()?;
    let conv = window::convolution(call, 3)?;
    let rank = call.ty(given[0]).shape.len();
    let mut sum = call.step("sum", op::ConvInteger(conv), &[given[0], given[3], given[2], given[5]])?;
    if let Some(&bias) = given.get(8) {
        let bias = call.along("bias", bias, rank, 1)?;
        sum = call.step("biased", op::Add, &[sum, bias])?;
    }
    let scale = call.along("w_scale", given[4], rank, 1)?;
    let to = call.ty(given[7]).dtype;
    call.apply_to(op::Requantize { to }, &[sum, given[1], scale, given[6], given[7]])
}
