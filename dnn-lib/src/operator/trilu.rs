//! Triangles of matrices.

use crate::definition::{Affine, Builder, Source};
use crate::operator::error::{check_dtype, check_shape, movable};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Type};
use crate::tensor::{DType, TensorType};

/// The last two dimensions with 0 outside of a triangle; inputs: data, optionally the number `k` of a
/// diagonal, where 0 is the main one and larger ones are above it. The diagonal belongs to the triangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trilu {
    /// Whether the triangle is above the diagonal, and not below it.
    pub upper: bool,
}

impl Semantics for Trilu {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_dtype(inputs, 0, &movable())?;
        check_shape(inputs, 0, inputs[0].shape.len() >= 2, || {
            "must be a matrix or a stack of them".to_owned()
        })?;
        if inputs.len() > 1 {
            check_dtype(inputs, 1, &[DType::I64])?;
            check_shape(inputs, 1, inputs[1].elements() == Some(1), || "must be one number".to_owned())?;
        }
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut types = inputs.to_vec();
        types[0] = types[0].as_integers();
        let mut b = Builder::new("trilu", &types, &output.as_integers());
        let rank = output.shape.len();
        let k = match inputs.get(1) {
            Some(k) => b.load(Source::Input(1), vec![Affine::from(0); k.shape.len()]),
            None => b.i64(0),
        };
        let diagonal = b.index(b.at(rank - 1) - b.at(rank - 2));
        let inside = if self.upper { b.le(k, diagonal) } else { b.le(diagonal, k) };
        let (x, zero) = (b.broadcast(0), b.number(Type::of(output.dtype.as_integer()), 0));
        let y = b.select(inside, x, zero);
        Ok(b.finish(y)?.into())
    }
}
