//! A cache with new elements written into it.

use crate::definition::{Builder, Coordinate, Source};
use crate::operator::error::{check_attribute, check_dtype, check_shape, movable, resolve_axis};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{BinaryOp, Ops, Value};
use crate::tensor::{DType, TensorType};

/// A tensor in which an update replaces the elements along an axis from an index on; inputs: the tensor, the
/// update, optionally the index for each element of dimension 0, else 0. What would be before the tensor or behind
/// it isn't written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorScatter {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
    /// Whether indices begin again after the end of the tensor, so that all of the update is written.
    pub circular: bool,
}

impl Semantics for TensorScatter {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_dtype(inputs, 0, &movable())?;
        check_dtype(inputs, 1, &[inputs[0].dtype])?;
        let (past, new) = (&inputs[0].shape, &inputs[1].shape);
        let axis = resolve_axis(self.axis, past.len())?;
        check_attribute("axis", self.axis, axis > 0, || "must not be that of the batch, 0".to_owned())?;
        let fits = new.len() == past.len()
            && (0..past.len()).all(|other| other == axis || new[other] == past[other])
            && new[axis] <= past[axis];
        check_shape(inputs, 1, fits, || format!("must be {past:?}, or less in dimension {axis}"))?;
        if inputs.len() == 3 {
            check_dtype(inputs, 2, &[DType::I64])?;
            check_shape(inputs, 2, inputs[2].shape == past[..1], || {
                format!("must be [{}], one index for each element of dimension 0", past[0])
            })?;
        }
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        if inputs[1].elements() == Some(0) {
            return Ok(Meaning::View { offset: 0 });
        }
        let axis = resolve_axis(self.axis, output.shape.len())?;
        let mut types = inputs.to_vec();
        types[..2].iter_mut().for_each(|ty| *ty = ty.as_integers());
        let mut b = Builder::new("tensorscatter", &types, &output.as_integers());
        let past = b.broadcast(0);
        let mut at: Vec<Coordinate> = b.indices().into_iter().map(Into::into).collect();
        if inputs.len() == 3 {
            let (own, start) = (b.index(b.at(axis)), b.load(Source::Input(2), [b.at(0)]));
            at[axis] = self.since(&mut b, own, start, output.shape[axis]).into();
        }
        let value = b.load_or(Source::Input(1), at, past);
        Ok(b.finish(value)?.into())
    }
}

impl TensorScatter {
    /// How far an index is behind the start.
    fn since(&self, b: &mut Builder, index: Value, start: Value, size: u64) -> Value {
        if !self.circular {
            return b.sub(index, start);
        }
        let size = b.i64(size as i64);
        let start = b.binary(BinaryOp::RemS, start, size);
        let index = b.add(index, size);
        let distance = b.sub(index, start);
        b.binary(BinaryOp::RemS, distance, size)
    }
}
