//! Elements at places that other tensors name.
//!
//! A negative index counts from the end. One that is out of range takes the nearest element.

use crate::definition::{Affine, Builder, Coordinate, Source};
use crate::operator::error::{
    INDICES, check_attribute, check_dtype, check_not_empty, check_shape, movable, resolve_axis,
};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Conversion, Ops, Type, Value};
use crate::tensor::{TensorType, elements};

/// Slices of a tensor along an axis; inputs: data, the indices of the slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
}

/// One element for each index: the element there along an axis, at its own place along the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatherElements {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
}

/// Slices of a tensor, by tuples of indices that are the last dimension of input 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatherND {
    /// The number of leading dimensions that both inputs share.
    pub batch_dims: u64,
}

/// An index into a dimension as an `I64`, if it was loaded as an integer. A negative one counts from the end.
pub(super) fn from_the_end(b: &mut Builder, index: Value, size: u64) -> Value {
    let index = match b.ty(index) {
        Type::I32 => b.convert(Conversion::SignExtend, Type::I64, index),
        _ => index,
    };
    let (zero, end) = (b.i64(0), b.add_const(index, size as i64));
    let negative = b.lt(index, zero);
    b.select(negative, end, index)
}

/// Checks data and indices of an operator that takes or replaces elements.
pub(super) fn check(inputs: &[TensorType]) -> Result<(), Problem> {
    check_dtype(inputs, 0, &movable())?;
    check_dtype(inputs, 1, INDICES)
}

/// Inputs of which elements are moved, as a definition sees them.
fn moved(inputs: &[TensorType]) -> [TensorType; 2] {
    [inputs[0].as_integers(), inputs[1].clone()]
}

impl Semantics for Gather {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check(inputs)?;
        let mut shape = inputs[0].shape.clone();
        let axis = resolve_axis(self.axis, shape.len())?;
        check_not_empty(inputs, 0, axis, inputs[1].elements() != Some(0))?;
        shape.splice(axis..=axis, inputs[1].shape.iter().copied());
        Ok(TensorType::new(inputs[0].dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let shape = &inputs[0].shape;
        let axis = resolve_axis(self.axis, shape.len())?;
        let mut b = Builder::new("gather", &moved(inputs), &output.as_integers());
        let mut at: Vec<Coordinate> = b.indices().into_iter().map(Into::into).collect();
        let named: Vec<Coordinate> = at.drain(axis..axis + inputs[1].shape.len()).collect();
        let index = b.load(Source::Input(1), named);
        let index = from_the_end(&mut b, index, shape[axis]);
        at.insert(axis, index.into());
        let value = b.load(Source::Input(0), at);
        Ok(b.finish(value)?.into())
    }
}

impl Semantics for GatherElements {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check(inputs)?;
        let (data, indices) = (&inputs[0].shape, &inputs[1].shape);
        let axis = resolve_axis(self.axis, data.len())?;
        let fits = indices.len() == data.len()
            && (0..data.len()).all(|other| other == axis || indices[other] <= data[other]);
        check_shape(inputs, 1, fits, || format!("must be at most {data:?}, but for axis {axis}"))?;
        check_not_empty(inputs, 0, axis, inputs[1].elements() != Some(0))?;
        Ok(TensorType::new(inputs[0].dtype, indices.clone()))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let shape = &inputs[0].shape;
        let axis = resolve_axis(self.axis, shape.len())?;
        let mut b = Builder::new("gatherelements", &moved(inputs), &output.as_integers());
        let index = b.load(Source::Input(1), b.indices());
        let index = from_the_end(&mut b, index, shape[axis]);
        let mut at: Vec<Coordinate> = b.indices().into_iter().map(Into::into).collect();
        at[axis] = index.into();
        let value = b.load(Source::Input(0), at);
        Ok(b.finish(value)?.into())
    }
}

impl GatherND {
    /// The number of shared dimensions, and that of the indices in a tuple.
    fn form(&self, inputs: &[TensorType]) -> Result<(usize, usize), Problem> {
        let (data, indices) = (&inputs[0].shape, &inputs[1].shape);
        let batch = usize::try_from(self.batch_dims).unwrap_or(usize::MAX);
        check_attribute("batch_dims", batch, batch < indices.len().min(data.len()), || {
            "must be less than the rank of both inputs".to_owned()
        })?;
        let tuple = indices[indices.len() - 1];
        let fits =
            tuple >= 1 && batch as u64 + tuple <= data.len() as u64 && data[..batch] == indices[..batch];
        check_shape(inputs, 1, fits, || {
            format!("must begin with {:?} and end with 1 to {}", &data[..batch], data.len() - batch)
        })?;
        Ok((batch, tuple as usize))
    }
}

impl Semantics for GatherND {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check(inputs)?;
        let (batch, tuple) = self.form(inputs)?;
        let (data, indices) = (&inputs[0].shape, &inputs[1].shape);
        let shape = [&indices[..indices.len() - 1], &data[batch + tuple..]].concat();
        for axis in batch..batch + tuple {
            check_not_empty(inputs, 0, axis, elements(&shape) != Some(0))?;
        }
        Ok(TensorType::new(inputs[0].dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let (batch, tuple) = self.form(inputs)?;
        let named = inputs[1].shape.len() - 1;
        let mut b = Builder::new("gathernd", &moved(inputs), &output.as_integers());
        let own = b.indices();
        let mut at: Vec<Coordinate> = own[..batch].iter().cloned().map(Into::into).collect();
        for part in 0..tuple {
            let place = [&own[..named], &[Affine::from(part as i64)]].concat();
            let index = b.load(Source::Input(1), place);
            at.push(from_the_end(&mut b, index, inputs[0].shape[batch + part]).into());
        }
        at.extend(own[named..].iter().cloned().map(Coordinate::from));
        let value = b.load(Source::Input(0), at);
        Ok(b.finish(value)?.into())
    }
}
