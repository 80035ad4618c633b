//! Sequences backwards.

use crate::definition::{Builder, Coordinate, Source};
use crate::operator::error::{check_attribute, check_shape};
use crate::operator::gather;
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Conversion, Ops, Type};
use crate::tensor::TensorType;

/// The first elements of each sequence in the opposite order; inputs: data, how many there are in each
/// sequence. A number that is too large means all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReverseSequence {
    /// The dimension that numbers the sequences: 0 or 1.
    pub batch_axis: u64,
    /// The dimension of their elements: the other of 0 and 1.
    pub time_axis: u64,
}

impl Semantics for ReverseSequence {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        gather::check(inputs)?;
        let shape = &inputs[0].shape;
        check_shape(inputs, 0, shape.len() >= 2, || "must have two dimensions or more".to_owned())?;
        let axes = [self.batch_axis, self.time_axis];
        check_attribute("batch_axis, time_axis", axes, matches!(axes, [0, 1] | [1, 0]), || {
            "must be 0 and 1 or 1 and 0".to_owned()
        })?;
        let batch = shape[self.batch_axis as usize];
        check_shape(inputs, 1, inputs[1].shape == [batch], || format!("must be [{batch}]"))?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let (batch, time) = (self.batch_axis as usize, self.time_axis as usize);
        let types = [inputs[0].as_integers(), inputs[1].clone()];
        let mut b = Builder::new("reversesequence", &types, &output.as_integers());
        let mut length = b.load(Source::Input(1), [b.at(batch)]);
        if b.ty(length) == Type::I32 {
            length = b.convert(Conversion::SignExtend, Type::I64, length);
        }
        let size = b.i64(output.shape[time] as i64);
        let length = b.min(length, size);
        let (own, opposite) = (b.index(b.at(time)), b.index(-b.at(time) - 1));
        let (inside, opposite) = (b.lt(own, length), b.add(length, opposite));
        let place = b.select(inside, opposite, own);
        let mut at: Vec<Coordinate> = b.indices().into_iter().map(Into::into).collect();
        at[time] = place.into();
        let y = b.load(Source::Input(0), at);
        Ok(b.finish(y)?.into())
    }
}
