//! Normalization with given statistics, or with those of the row.

use crate::definition::{Affine, Builder, Source};
use crate::layout::broadcast_shape;
use crate::operator::error::{FLOATS, check_shape, resolve_axis, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{BinaryOp, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// Y = (X - mean) * (scale / sqrt(variance + epsilon)) + B, for each channel (dimension 1). The last product
/// and sum are one fused multiply-add.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormalization {
    /// The constant added to the variance.
    pub epsilon: f32,
}

impl Semantics for BatchNormalization {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        same_dtype(inputs, FLOATS)?;
        let shape = &inputs[0].shape;
        check_shape(inputs, 0, shape.len() >= 2, || "must have the form [N, C, ...]".to_owned())?;
        for input in 1..inputs.len() {
            check_shape(inputs, input, inputs[input].shape == [shape[1]], || {
                format!("must be [{}]: one for each channel", shape[1])
            })?;
        }
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("batchnormalization", inputs, output);
        b.rows_along(2..output.shape.len());
        let [scale, variance] = [1, 4].map(|input| b.load(Source::Input(input), [b.at(1)]));
        let deviation = deviation(&mut b, output.dtype, variance, self.epsilon);
        let factor = b.div(scale, deviation);
        let factor = b.stage(factor);
        let (bias, mean) = (b.load(Source::Input(2), [b.at(1)]), b.load(Source::Input(3), [b.at(1)]));
        let (x, factor) = (b.broadcast(0), b.of_row(factor));
        let centred = b.sub(x, mean);
        let y = b.fma(centred, factor, bias);
        Ok(b.finish(y)?.into())
    }
}

/// (X - mean) / sqrt(variance + epsilon) * scale + B, with the mean and the variance over the dimensions from
/// an axis on; inputs: X, scale, optionally B, which are broadcast to X.
///
/// Both sums are in 16 lanes. The variance is the mean of the squares of X - mean. X - mean is multiplied by
/// the reciprocal of the deviation; the product with the scale and the sum with B are one fused multiply-add.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNormalization {
    /// The first normalized dimension; a negative one counts from the end.
    pub axis: i64,
    /// The constant added to the variance.
    pub epsilon: f32,
}

impl Semantics for LayerNormalization {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        same_dtype(inputs, FLOATS)?;
        let shape = &inputs[0].shape;
        resolve_axis(self.axis, shape.len())?;
        for input in 1..inputs.len() {
            let own = &inputs[input].shape;
            let fits = broadcast_shape(own, shape).as_ref() == Some(shape);
            check_shape(inputs, input, fits, || format!("must be broadcast to {shape:?}"))?;
        }
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let (shape, ty) = (&output.shape, Type::of(output.dtype));
        let axis = resolve_axis(self.axis, shape.len())?;
        let mut b = Builder::new("layernormalization", inputs, output);
        b.rows_along(axis..shape.len());
        let at = |b: &Builder, k: &[Affine]| [&b.indices()[..axis], k].concat();
        let count = shape[axis..].iter().product::<u64>() as i64;
        let (zero, n) = (b.number(ty, 0), b.number(ty, count));
        let sum = b.in_lanes(BinaryOp::Add, shape[axis..].iter().copied(), zero, |b, k| {
            b.load(Source::Input(0), at(b, k))
        });
        let mean = b.div(sum, n);
        let mean = b.stage(mean);
        let (zero, n, m) = (b.number(ty, 0), b.number(ty, count), b.of_row(mean));
        let squares = b.in_lanes(BinaryOp::Add, shape[axis..].iter().copied(), zero, |b, k| {
            let x = b.load(Source::Input(0), at(b, k));
            let centred = b.sub(x, m);
            b.mul(centred, centred)
        });
        let variance = b.div(squares, n);
        let one = b.number(ty, 1);
        let factor = deviation(&mut b, output.dtype, variance, self.epsilon);
        let factor = b.div(one, factor);
        let factor = b.stage(factor);
        let (x, m, factor, scale) = (b.broadcast(0), b.of_row(mean), b.of_row(factor), b.broadcast(1));
        let centred = b.sub(x, m);
        let normal = b.mul(centred, factor);
        let y = match inputs.len() {
            2 => b.mul(normal, scale),
            _ => {
                let bias = b.broadcast(2);
                b.fma(normal, scale, bias)
            }
        };
        Ok(b.finish(y)?.into())
    }
}

/// sqrt(variance + epsilon).
fn deviation(b: &mut Builder, dtype: DType, variance: Value, epsilon: f32) -> Value {
    let epsilon = if dtype == DType::F64 { b.f64(epsilon.into()) } else { b.f32(epsilon) };
    let variance = b.add(variance, epsilon);
    b.sqrt(variance)
}
