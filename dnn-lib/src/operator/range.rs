//! Numbers at regular distances.

use crate::definition::Builder;
use crate::operator::error::{check_shape, numbers, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Conversion, Ops, Type};
use crate::tensor::{DType, TensorType};

/// `start + index * delta`, each operation rounded; inputs: start, delta, each one element. Integers wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// How many there are.
    pub count: u64,
}

impl Semantics for Range {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, &numbers())?;
        for (input, ty) in inputs.iter().enumerate() {
            check_shape(inputs, input, ty.shape.is_empty(), || "must be a scalar".to_owned())?;
        }
        Ok(TensorType::new(dtype, [self.count]))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("range", inputs, output);
        let [start, delta] = [0, 1].map(|input| b.broadcast(input));
        let index = b.index(b.at(0));
        let ty = Type::of(output.dtype);
        let index = match ty {
            Type::I64 => index,
            Type::I32 | Type::Bool => b.convert(Conversion::Truncate, Type::I32, index),
            Type::F32 | Type::F64 => b.cast(DType::I64, ty.dtype(), index),
        };
        let distance = b.mul(index, delta);
        let value = b.add(start, distance);
        Ok(b.finish(value)?.into())
    }
}
