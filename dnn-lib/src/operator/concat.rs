//! Concatenation.

use crate::definition::{Builder, Source};
use crate::operator::error::{check_shape, movable, resolve_axis, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Type};
use crate::tensor::TensorType;

/// Tensors joined along an axis. If they lie one behind the other in the result, they can be computed in their
/// place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
}

impl Semantics for Concat {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, &movable())?;
        let mut shape = inputs[0].shape.clone();
        let axis = resolve_axis(self.axis, shape.len())?;
        for (input, other) in inputs.iter().enumerate().skip(1) {
            let fits = other.shape.len() == shape.len()
                && (0..shape.len()).all(|i| i == axis || other.shape[i] == inputs[0].shape[i]);
            check_shape(inputs, input, fits, || {
                format!("must be as {:?}, but for axis {axis}", inputs[0].shape)
            })?;
            shape[axis] = shape[axis].saturating_add(other.shape[axis]);
        }
        Ok(TensorType::new(dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let axis = resolve_axis(self.axis, output.shape.len())?;
        if output.shape[..axis].iter().all(|&size| size == 1) {
            return Ok(Meaning::Joined);
        }
        let inputs: Vec<TensorType> = inputs.iter().map(TensorType::as_integers).collect();
        let mut b = Builder::new("concat", &inputs, &output.as_integers());
        let ty = Type::of(output.dtype.as_integer());
        let (mut value, mut end) = (b.number(ty, 0), output.shape[axis]);
        for (index, input) in inputs.iter().enumerate().rev() {
            end -= input.shape[axis];
            let mut at = b.indices();
            at[axis] = at[axis].clone() - end as i64;
            value = b.load_or(Source::Input(index as u32), at, value);
        }
        Ok(b.finish(value)?.into())
    }
}
