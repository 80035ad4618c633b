//! Indices as vectors.

use crate::definition::{Affine, Builder, Source};
use crate::operator::error::{check_attribute, check_dtype, check_shape, movable, numbers};
use crate::operator::gather::from_the_end;
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Type};
use crate::tensor::{DType, TensorType};

/// Each index as a vector along a new axis; inputs: indices, a pair of the values elsewhere and at the index.
/// A negative index counts from the end, and one out of range is nowhere. Floats go towards zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneHot {
    /// The new axis, as numbered in the output; a negative one counts from the end.
    pub axis: i64,
    /// The length of the vectors.
    pub depth: u64,
}

impl OneHot {
    fn axis(&self, inputs: &[TensorType]) -> Result<usize, Problem> {
        crate::operator::error::resolve_axis(self.axis, inputs[0].shape.len() + 1)
    }
}

impl Semantics for OneHot {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_dtype(inputs, 0, &numbers())?;
        check_dtype(inputs, 1, &movable())?;
        check_shape(inputs, 1, inputs[1].shape == [2], || "must be [2]".to_owned())?;
        check_attribute("depth", self.depth, self.depth < 1 << 44, || "must be less than 2^44".to_owned())?;
        let mut shape = inputs[0].shape.clone();
        shape.insert(self.axis(inputs)?, self.depth);
        Ok(TensorType::new(inputs[1].dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let axis = self.axis(inputs)?;
        let mut b =
            Builder::new("onehot", &[inputs[0].clone(), inputs[1].as_integers()], &output.as_integers());
        let mut at = b.indices();
        let own = b.index(at.remove(axis));
        let index = b.load(Source::Input(0), at);
        let dtype = inputs[0].dtype;
        let index = match dtype {
            DType::U32 => b.cast(dtype, DType::I64, index),
            _ if Type::of(dtype).is_float() => b.saturate(dtype, DType::I64, index),
            _ => index,
        };
        let index = from_the_end(&mut b, index, self.depth);
        let [off, on] = [0, 1].map(|place| b.load(Source::Input(1), [Affine::from(place)]));
        let here = b.eq(index, own);
        let y = b.select(here, on, off);
        Ok(b.finish(y)?.into())
    }
}
