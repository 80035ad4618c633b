//! Operators that give the same bytes another shape.

use crate::operator::error::{check_attribute, check_shape, resolve_axes, resolve_axis};
use crate::operator::{Meaning, Problem, Semantics};
use crate::tensor::{DType, TensorType, elements};

/// The same tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity;

/// The same bits as elements of another type of the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitCast {
    /// The type.
    pub to: DType,
}

impl Semantics for BitCast {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let (from, to) = (inputs[0].dtype, self.to);
        check_attribute("to", to, from.bits() == to.bits(), || format!("{from} has {} bits", from.bits()))?;
        Ok(TensorType::new(to, inputs[0].shape.clone()))
    }

    fn define(&self, _: &[TensorType], _: &TensorType) -> Result<Meaning, Problem> {
        Ok(Meaning::View { offset: 0 })
    }
}

/// A matrix with the dimensions before `axis` as rows and the others as columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flatten {
    /// The first dimension of the columns. A negative one counts from the end, and the rank itself gives one
    /// column.
    pub axis: i64,
}

/// Another shape with the same number of elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// The new shape. One dimension may be -1: whatever remains. A 0 copies the input's dimension, or is 0
    /// with `allow_zero`.
    pub shape: Vec<i64>,
    /// Whether a 0 means 0.
    pub allow_zero: bool,
}

/// Removes dimensions of size 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Squeeze {
    /// The dimensions; `None` means all of size 1.
    pub axes: Option<Vec<i64>>,
}

/// Adds dimensions of size 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsqueeze {
    /// The new dimensions, as numbered in the output.
    pub axes: Vec<i64>,
}

/// The shape of a view.
trait View {
    fn shape(&self, inputs: &[TensorType]) -> Result<Vec<u64>, Problem>;
}

macro_rules! views {
    ($($name:ident),+) => {$(
        impl Semantics for $name {
            fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
                Ok(TensorType::new(inputs[0].dtype, self.shape(inputs)?))
            }

            fn define(&self, _: &[TensorType], _: &TensorType) -> Result<Meaning, Problem> {
                Ok(Meaning::View { offset: 0 })
            }
        }
    )+};
}

views!(Identity, Flatten, Reshape, Squeeze, Unsqueeze);

impl View for Identity {
    fn shape(&self, inputs: &[TensorType]) -> Result<Vec<u64>, Problem> {
        Ok(inputs[0].shape.clone())
    }
}

impl View for Flatten {
    fn shape(&self, inputs: &[TensorType]) -> Result<Vec<u64>, Problem> {
        let shape = &inputs[0].shape;
        let axis =
            if self.axis == shape.len() as i64 { shape.len() } else { resolve_axis(self.axis, shape.len())? };
        let (rows, columns) = shape.split_at(axis);
        let too_large = || Problem::TooLarge { found: inputs[0].clone() };
        Ok(vec![elements(rows).ok_or_else(too_large)?, elements(columns).ok_or_else(too_large)?])
    }
}

impl View for Reshape {
    fn shape(&self, inputs: &[TensorType]) -> Result<Vec<u64>, Problem> {
        let (found, wanted) = (&inputs[0].shape, &self.shape);
        let total = elements(found).unwrap_or(0);
        let inferred = wanted.iter().filter(|&&size| size == -1).count();
        check_attribute("shape", wanted, inferred <= 1 && wanted.iter().all(|&size| size >= -1), || {
            "sizes must not be negative, but for one -1".to_owned()
        })?;
        let copied = |axis: usize| {
            let size = found.get(axis).copied();
            let problem = || {
                check_attribute("shape", wanted, false, || {
                    format!("has a 0 at {axis}, which {found:?} has not")
                })
            };
            size.map_or_else(|| problem().map(|()| 0), Ok)
        };
        let known = |(axis, &size): (usize, &i64)| match size {
            -1 => Ok(1),
            0 if !self.allow_zero => copied(axis),
            size => Ok(size as u64),
        };
        let mut shape = wanted.iter().enumerate().map(known).collect::<Result<Vec<u64>, _>>()?;
        let rest = elements(&shape);
        if let (Some(axis), Some(rest @ 1..)) = (wanted.iter().position(|&size| size == -1), rest) {
            shape[axis] = total / rest;
        }
        check_attribute("shape", wanted, elements(&shape) == Some(total), || {
            format!("must have the {total} elements of the input's shape {found:?}")
        })?;
        Ok(shape)
    }
}

impl View for Squeeze {
    fn shape(&self, inputs: &[TensorType]) -> Result<Vec<u64>, Problem> {
        let shape = &inputs[0].shape;
        let Some(axes) = &self.axes else {
            return Ok(shape.iter().copied().filter(|&size| size != 1).collect());
        };
        let axes = resolve_axes(axes, shape.len())?;
        check_shape(inputs, 0, axes.iter().all(|&axis| shape[axis] == 1), || {
            format!("dimensions {axes:?} must be 1 to be squeezed")
        })?;
        let kept = shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
        Ok(kept.map(|(_, &size)| size).collect())
    }
}

impl View for Unsqueeze {
    fn shape(&self, inputs: &[TensorType]) -> Result<Vec<u64>, Problem> {
        let shape = &inputs[0].shape;
        let mut unsqueezed = shape.clone();
        for axis in resolve_axes(&self.axes, shape.len() + self.axes.len())? {
            unsqueezed.insert(axis, 1);
        }
        Ok(unsqueezed)
    }
}
