//! Repeated elements.

use crate::definition::{Affine, Builder, Source};
use crate::layout::broadcast_shape;
use crate::operator::error::{check_attribute, movable, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::tensor::TensorType;

/// A tensor broadcast with a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expand {
    /// The shape.
    pub shape: Vec<u64>,
}

/// Copies of a tensor side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// How many there are along each dimension.
    pub repeats: Vec<u64>,
}

impl Semantics for Expand {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, &movable())?;
        let shape = broadcast_shape(&inputs[0].shape, &self.shape);
        let broadcast = || Problem::Broadcast { a: inputs[0].shape.clone(), b: self.shape.clone() };
        Ok(TensorType::new(dtype, shape.ok_or_else(broadcast)?))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        if inputs[0].elements() == output.elements() {
            return Ok(Meaning::View { offset: 0 });
        }
        let mut b = Builder::new("expand", &[inputs[0].as_integers()], &output.as_integers());
        let value = b.broadcast(0);
        Ok(b.finish(value)?.into())
    }
}

impl Semantics for Tile {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, &movable())?;
        let shape = &inputs[0].shape;
        check_attribute("repeats", &self.repeats, self.repeats.len() == shape.len(), || {
            format!("must have {} numbers", shape.len())
        })?;
        let sizes = shape.iter().zip(&self.repeats).map(|(&size, &count)| size.saturating_mul(count));
        Ok(TensorType::new(dtype, sizes.collect::<Vec<_>>()))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        if inputs[0].elements() == output.elements() {
            return Ok(Meaning::View { offset: 0 });
        }
        // The same bytes, with the copies as dimensions of their own.
        let copies = self.repeats.iter().zip(&inputs[0].shape).flat_map(|(&count, &size)| [count, size]);
        let output = TensorType::new(output.dtype, copies.collect::<Vec<_>>()).as_integers();
        let mut b = Builder::new("tile", &[inputs[0].as_integers()], &output);
        let at: Vec<Affine> = b.indices().into_iter().skip(1).step_by(2).collect();
        let value = b.load(Source::Input(0), at);
        Ok(b.finish(value)?.into())
    }
}
