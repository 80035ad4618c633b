//! Means over whole dimensions.

use crate::definition::{Builder, Source};
use crate::operator::error::{FLOATS, check_shape, resolve_axes, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{BinaryOp, Ops, Type};
use crate::tensor::TensorType;

/// The mean over some axes: a sum in 16 lanes, divided by the count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReduceMean {
    /// The axes; negative ones count from the end. `None` means all.
    pub axes: Option<Vec<i64>>,
    /// Whether reduced dimensions are kept with size 1.
    pub keep_dims: bool,
}

/// The mean over all dimensions but the first two, which are kept; summed as in [`ReduceMean`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalAveragePool;

impl GlobalAveragePool {
    fn reduction(&self, inputs: &[TensorType]) -> Result<ReduceMean, Problem> {
        let rank = inputs[0].shape.len();
        check_shape(inputs, 0, rank >= 3, || "must have the form [N, C, D1, ...]".to_owned())?;
        Ok(ReduceMean { axes: Some((2..rank as i64).collect()), keep_dims: true })
    }
}

impl Semantics for GlobalAveragePool {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        self.reduction(inputs)?.infer(inputs)
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        self.reduction(inputs)?.define(inputs, output)
    }
}

impl ReduceMean {
    /// Whether each dimension is reduced.
    fn reduced(&self, rank: usize) -> Result<Vec<bool>, Problem> {
        let Some(axes) = &self.axes else {
            return Ok(vec![true; rank]);
        };
        let axes = resolve_axes(axes, rank)?;
        Ok((0..rank).map(|axis| axes.contains(&axis)).collect())
    }
}

impl Semantics for ReduceMean {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, FLOATS)?;
        let shape = &inputs[0].shape;
        let sizes =
            shape.iter().zip(self.reduced(shape.len())?).filter_map(|(&size, reduced)| match reduced {
                false => Some(size),
                true => self.keep_dims.then_some(1),
            });
        Ok(TensorType::new(dtype, sizes.collect::<Vec<_>>()))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let shape = &inputs[0].shape;
        let reduced = self.reduced(shape.len())?;
        let sizes: Vec<u64> =
            shape.iter().zip(&reduced).filter(|(_, reduced)| **reduced).map(|(&size, _)| size).collect();
        let ty = Type::of(output.dtype);
        let mut b = Builder::new("reducemean", inputs, output);
        let zero = b.number(ty, 0);
        let sum = b.in_lanes(BinaryOp::Add, sizes.iter().copied(), zero, |b, summed| {
            let (mut summed, mut kept) = (summed.iter().cloned(), b.indices().into_iter());
            let mut at = Vec::new();
            for &reduced in &reduced {
                // A reduced dimension that is kept has size 1 in the output.
                let own = if reduced && !self.keep_dims { None } else { kept.next() };
                at.extend(if reduced { summed.next() } else { own });
            }
            b.load(Source::Input(0), at)
        });
        let count = b.number(ty, sizes.iter().product::<u64>() as i64);
        let mean = b.div(sum, count);
        Ok(b.finish(mean)?.into())
    }
}
