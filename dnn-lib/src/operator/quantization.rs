//! Numbers as small integers, with a scale and a zero point.

use crate::definition::{Affine, Builder, Coordinate, Source};
use crate::layout::broadcast_shape;
use crate::operator::error::{SINGLES, check_attribute, check_shape, resolve_axis};
use crate::operator::packing::{element, finish, seen};
use crate::operator::{Meaning, Outputs, Problem, Semantics};
use crate::scalar::{BinaryOp, Conversion, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// The types of quantized numbers.
const QUANTIZED: &[DType] = &[
    DType::U8,
    DType::I8,
    DType::U16,
    DType::I16,
    DType::U4,
    DType::I4,
    DType::U2,
    DType::I2,
    DType::F8E4M3FN,
    DType::F8E4M3FNUZ,
    DType::F8E5M2,
    DType::F8E5M2FNUZ,
    DType::F4E2M1,
];

/// The types of scales.
const SCALES: &[DType] = &[DType::F32, DType::F16, DType::BF16, DType::F8E8M0];

/// Parts of an axis that share a scale and a zero point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
    /// The size of a block. The last one may be smaller.
    pub size: u64,
}

/// x / scale, rounded to the nearest integer, the even one of two, plus the zero point, saturated. A NaN is
/// taken for 0. To a small float, it is x / scale plus the zero point, then rounded and saturated. Inputs: x, the scale, optionally the zero point; the last two are broadcast, apart from
/// blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantizeLinear {
    /// The type of the output.
    pub to: DType,
    /// How scales and zero points belong to parts of an axis.
    pub blocks: Option<Blocks>,
}

/// (x - zero point) * scale, where the difference is exact. Inputs: x, the scale, optionally the zero point;
/// the last two are broadcast, apart from blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DequantizeLinear {
    /// The type of the output.
    pub to: DType,
    /// How scales and zero points belong to parts of an axis.
    pub blocks: Option<Blocks>,
}

/// A sum of products of quantized numbers as a quantized number: sum * (scale of the left * scale of the
/// right / scale of the output), rounded and saturated as by [`QuantizeLinear`]. Inputs: the sum, the scales
/// of the left, of the right and of the output, the zero point; all but the first are broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requantize {
    /// The type of the output.
    pub to: DType,
}

/// The scale and the zero point with which the bytes 0 to 255 cover all elements of a tensor, and 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DynamicScale;

impl Blocks {
    /// The shape of scales for a tensor.
    fn shape(&self, of: &[u64]) -> Result<Vec<u64>, Problem> {
        let axis = resolve_axis(self.axis, of.len())?;
        check_attribute("block_size", self.size, self.size > 0, || "must be at least 1".to_owned())?;
        let mut shape = of.to_vec();
        shape[axis] = shape[axis].div_ceil(self.size);
        Ok(shape)
    }
}

/// The least and the largest integer of a type.
fn range(dtype: DType) -> (i32, i32) {
    let bits = dtype.bits() as u32;
    match dtype {
        DType::I2 | DType::I4 | DType::I8 | DType::I16 => (-1 << (bits - 1), (1 << (bits - 1)) - 1),
        _ => (0, (1 << bits) - 1),
    }
}

fn check_dtype(inputs: &[TensorType], input: usize, expected: &[DType]) -> Result<(), Problem> {
    match inputs.get(input) {
        Some(ty) if !expected.contains(&ty.dtype) => {
            Err(Problem::DType { input, found: ty.dtype, expected: expected.to_vec() })
        }
        _ => Ok(()),
    }
}

/// Checks that inputs from this one on are broadcast to the first, or fit its blocks.
fn check_scales(inputs: &[TensorType], from: usize, blocks: Option<Blocks>) -> Result<(), Problem> {
    let of = &inputs[0].shape;
    for (input, ty) in inputs.iter().enumerate().skip(from) {
        let blocked = blocks.map(|blocks| blocks.shape(of)).transpose()?;
        let fits = match &blocked {
            Some(shape) => ty.shape == *shape,
            None => broadcast_shape(&ty.shape, of).as_ref() == Some(of),
        };
        let right = || match &blocked {
            Some(shape) => format!("must be {shape:?}, one for each block"),
            None => format!("must be broadcast to {of:?}"),
        };
        check_shape(inputs, input, fits, right)?;
    }
    Ok(())
}

/// An element as a number, if it is a code.
fn number(b: &mut Builder, dtype: DType, element: Value) -> Value {
    if dtype.is_small_float() { b.cast(dtype, DType::F32, element) } else { element }
}

/// The scale or zero point that belongs to an element.
fn parameter(
    b: &mut Builder,
    inputs: &[TensorType],
    input: usize,
    blocks: Option<Blocks>,
    of: &[Coordinate],
) -> Result<Value, Problem> {
    let shape = &inputs[input].shape;
    let own = of[of.len() - shape.len()..].iter().cloned();
    let mut at: Vec<Coordinate> = shape
        .iter()
        .zip(own)
        .map(|(&size, at)| if size == 1 { Affine::from(0).into() } else { at })
        .collect();
    if let Some(Blocks { axis, size }) = blocks {
        let axis = resolve_axis(axis, of.len())?;
        let index = match of[axis].clone() {
            Coordinate::Affine(at) => b.index(at),
            Coordinate::Value(at) => at,
        };
        at[axis] = Coordinate::Value(b.div_rem(index, size).0);
    }
    let value = element(b, &inputs[input], input, at);
    Ok(number(b, inputs[input].dtype, value))
}

/// A number that is divided by its scale already as a quantized number.
fn quantized(b: &mut Builder, x: Value, zero: Option<Value>, to: DType) -> Value {
    let rounded = b.round(x);
    let integer = b.convert(Conversion::FloatToInt, Type::I32, rounded);
    let (least, most) = range(to);
    let (least, most) = (b.i32(least), b.i32(most));
    // Before the zero point is added, since the sum could be too large.
    let (least, most) = match zero {
        Some(zero) => (b.sub(least, zero), b.sub(most, zero)),
        None => (least, most),
    };
    let integer = b.max(integer, least);
    let integer = b.min(integer, most);
    zero.map_or(integer, |zero| b.add(integer, zero))
}

impl QuantizeLinear {
    /// The element at an index, given by coordinates.
    fn element(&self, b: &mut Builder, inputs: &[TensorType], at: &[Coordinate]) -> Result<Value, Problem> {
        let x = element(b, &inputs[0], 0, at.to_vec());
        let x = b.cast(inputs[0].dtype, DType::F32, x);
        let scale = parameter(b, inputs, 1, self.blocks, at)?;
        let x = b.div(x, scale);
        let zero = match inputs.len() {
            2 => None,
            _ => Some(parameter(b, inputs, 2, self.blocks, at)?),
        };
        if self.to.is_small_float() {
            let x = zero.map_or(x, |zero| b.add(x, zero));
            return Ok(b.cast(DType::F32, self.to, x));
        }
        Ok(quantized(b, x, zero, self.to))
    }
}

impl Semantics for QuantizeLinear {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_dtype(inputs, 0, &[SINGLES, &[DType::I32]].concat())?;
        check_dtype(inputs, 1, SCALES)?;
        check_dtype(inputs, 2, &[self.to])?;
        check_attribute("output_dtype", self.to, QUANTIZED.contains(&self.to), || {
            "must be an integer of 2 to 16 bits, or a float of 4 or 8".to_owned()
        })?;
        check_scales(inputs, 1, self.blocks)?;
        Ok(TensorType::new(self.to, inputs[0].shape.clone()))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let types: Vec<TensorType> = inputs.iter().map(seen).collect();
        let b = Builder::new("quantizelinear", &types, &seen(output));
        finish(b, output, |b, at| self.element(b, inputs, at))
    }
}

impl Semantics for DequantizeLinear {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_dtype(inputs, 0, &[QUANTIZED, &[DType::I32]].concat())?;
        check_dtype(inputs, 1, SCALES)?;
        check_dtype(inputs, 2, &[inputs[0].dtype])?;
        check_attribute("output_dtype", self.to, SINGLES.contains(&self.to), || {
            "must be float, float16 or bfloat16".to_owned()
        })?;
        check_scales(inputs, 1, self.blocks)?;
        Ok(TensorType::new(self.to, inputs[0].shape.clone()))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let types: Vec<TensorType> = inputs.iter().map(seen).collect();
        let mut b = Builder::new("dequantizelinear", &types, output);
        let at: Vec<Coordinate> = b.indices().into_iter().map(Coordinate::from).collect();
        let x = element(&mut b, &inputs[0], 0, at.clone());
        let mut x = number(&mut b, inputs[0].dtype, x);
        if inputs.len() > 2 {
            let zero = parameter(&mut b, inputs, 2, self.blocks, &at)?;
            x = b.sub(x, zero);
        }
        let x = if b.ty(x) == Type::F32 { x } else { b.cast(DType::I32, DType::F32, x) };
        let scale = parameter(&mut b, inputs, 1, self.blocks, &at)?;
        let y = b.mul(x, scale);
        Ok(b.finish(y)?.into())
    }
}

impl Semantics for Requantize {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_dtype(inputs, 0, &[DType::I32])?;
        (1..4).try_for_each(|input| check_dtype(inputs, input, SINGLES))?;
        check_dtype(inputs, 4, &[self.to])?;
        check_attribute("output type", self.to, matches!(self.to, DType::U8 | DType::I8), || {
            "must be an integer of 8 bits".to_owned()
        })?;
        check_scales(inputs, 1, None)?;
        Ok(TensorType::new(self.to, inputs[0].shape.clone()))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("requantize", inputs, output);
        let [sum, left, right, scale, zero] = [0, 1, 2, 3, 4].map(|input| b.broadcast(input));
        let factor = b.mul(left, right);
        let factor = b.div(factor, scale);
        let sum = b.cast(DType::I32, DType::F32, sum);
        let x = b.mul(sum, factor);
        let y = quantized(&mut b, x, Some(zero), self.to);
        Ok(b.finish(y)?.into())
    }
}

impl DynamicScale {
    /// The least or the largest of all elements and 0.
    fn extreme(b: &mut Builder, op: BinaryOp, shape: &[u64]) -> Value {
        let zero = b.f32(0.0);
        b.in_lanes(op, shape.iter().copied(), zero, |b, at| b.load(Source::Input(0), at.to_vec()))
    }
}

impl Outputs for DynamicScale {
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Problem> {
        check_dtype(inputs, 0, &[DType::F32])?;
        Ok(vec![TensorType::new(DType::F32, []), TensorType::new(DType::U8, [])])
    }

    fn define(
        &self,
        inputs: &[TensorType],
        outputs: &[TensorType],
        index: usize,
    ) -> Result<Meaning, Problem> {
        let mut b = Builder::new(["dynamicscale", "dynamiczero"][index], inputs, &outputs[index]);
        let shape = &inputs[0].shape;
        let least = Self::extreme(&mut b, BinaryOp::Min, shape);
        let most = Self::extreme(&mut b, BinaryOp::Max, shape);
        let (width, levels) = (b.sub(most, least), b.f32(255.0));
        // Of a tensor of zeros, any scale is right.
        let (zero, one) = (b.f32(0.0), b.f32(1.0));
        let empty = b.eq(width, zero);
        let width = b.select(empty, one, width);
        let scale = b.div(width, levels);
        if index == 0 {
            return Ok(b.finish(scale)?.into());
        }
        let steps = b.div(least, scale);
        let place = b.sub(zero, steps);
        let place = quantized(&mut b, place, None, DType::U8);
        Ok(b.finish(place)?.into())
    }
}
