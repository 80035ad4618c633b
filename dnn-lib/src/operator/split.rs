//! A tensor cut into parts.

use crate::operator::error::{check_attribute, check_shape, movable, resolve_axis, same_dtype};
use crate::operator::slice::{Along, part};
use crate::operator::{Meaning, Outputs, Problem};
use crate::tensor::TensorType;

/// A tensor cut into parts along an axis, one output for each. Parts that lie in one piece of memory cost
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
    /// The sizes of the parts along the axis.
    pub sizes: Vec<u64>,
}

impl Outputs for Split {
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Problem> {
        let dtype = same_dtype(inputs, &movable())?;
        let shape = &inputs[0].shape;
        let axis = resolve_axis(self.axis, shape.len())?;
        check_attribute("sizes", &self.sizes, !self.sizes.is_empty(), || "must have a part".to_owned())?;
        let sum = self.sizes.iter().try_fold(0u64, |sum, &size| sum.checked_add(size));
        check_shape(inputs, 0, sum == Some(shape[axis]), || {
            format!("the parts of dimension {axis} are {:?}, which is another sum", self.sizes)
        })?;
        let part = |&size: &u64| {
            let mut shape = shape.clone();
            shape[axis] = size;
            TensorType::new(dtype, shape)
        };
        Ok(self.sizes.iter().map(part).collect())
    }

    fn define(
        &self,
        inputs: &[TensorType],
        outputs: &[TensorType],
        index: usize,
    ) -> Result<Meaning, Problem> {
        let axis = resolve_axis(self.axis, inputs[0].shape.len())?;
        let mut along: Vec<Along> =
            outputs[index].shape.iter().map(|&count| Along { start: 0, step: 1, count }).collect();
        along[axis].start = self.sizes[..index].iter().sum();
        part("split", inputs, &outputs[index], &along)
    }
}
