//! Normalization with given statistics.

use crate::definition::{Builder, Source};
use crate::operator::error::{FLOATS, check_shape, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Value};
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
        let factor = self.factor(&mut b, output.dtype, scale, variance);
        let factor = b.stage(factor);
        let (bias, mean) = (b.load(Source::Input(2), [b.at(1)]), b.load(Source::Input(3), [b.at(1)]));
        let (x, factor) = (b.broadcast(0), b.of_row(factor));
        let centred = b.sub(x, mean);
        let y = b.fma(centred, factor, bias);
        Ok(b.finish(y)?.into())
    }
}

impl BatchNormalization {
    fn factor(&self, b: &mut impl Ops, dtype: DType, scale: Value, variance: Value) -> Value {
        let epsilon = if dtype == DType::F64 { b.f64(self.epsilon.into()) } else { b.f32(self.epsilon) };
        let variance = b.add(variance, epsilon);
        let deviation = b.sqrt(variance);
        b.div(scale, deviation)
    }
}
