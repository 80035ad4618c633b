//! Sorting: the place of each element in order, and the elements by their places.

use crate::definition::{Affine, Builder, Over, Source};
use crate::operator::error::{check_attribute, comparable, resolve_axis, same_dtype};
use crate::operator::reduction::{is_larger, is_smaller};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Value};
use crate::tensor::{DType, TensorType};

/// How many elements along an axis go before each one, as an `i64`. Of equal ones, the first goes first, and
/// a NaN goes before all numbers, whatever the order. This takes as many comparisons as the square of the
/// axis has elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
    /// Whether larger elements go first, and not smaller ones.
    pub largest: bool,
}

/// Where the elements with the ranks 0 to `count` are along an axis; input: the ranks, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByRank {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
    /// How many elements are asked for.
    pub count: u64,
}

impl Semantics for Rank {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        same_dtype(inputs, &comparable())?;
        resolve_axis(self.axis, inputs[0].shape.len())?;
        Ok(TensorType::new(DType::I64, inputs[0].shape.clone()))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let axis = resolve_axis(self.axis, output.shape.len())?;
        let dtype = inputs[0].dtype;
        let before = if self.largest { is_larger } else { is_smaller };
        let mut b = Builder::new("rank", inputs, output);
        let (own, place, zero) = (b.broadcast(0), b.index(b.at(axis)), b.i64(0));
        let one = b.i64(1);
        let rank = b.fold([Over::all(output.shape[axis])], &[zero], |b, k, rank| {
            let mut at = b.indices();
            at[axis] = k[0].clone();
            let (x, other) = (b.load(Source::Input(0), at), b.index(k[0].clone()));
            let (first, behind, earlier) =
                (before(b, dtype, x, own), before(b, dtype, own, x), b.lt(other, place));
            let equal = b.not(behind);
            let tied = b.and(equal, earlier);
            let goes_first: Value = b.or(first, tied);
            let next = b.add(rank[0], one);
            vec![b.select(goes_first, next, rank[0])]
        });
        Ok(b.finish(rank[0])?.into())
    }
}

impl Semantics for ByRank {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        same_dtype(inputs, &[DType::I64])?;
        let mut shape = inputs[0].shape.clone();
        let axis = resolve_axis(self.axis, shape.len())?;
        check_attribute("k", self.count, self.count <= shape[axis], || {
            format!("the dimension has only {} elements", shape[axis])
        })?;
        shape[axis] = self.count;
        Ok(TensorType::new(DType::I64, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let axis = resolve_axis(self.axis, output.shape.len())?;
        let mut b = Builder::new("byrank", inputs, output);
        b.rows_along([axis]);
        let (own, none) = (b.index(b.at(axis)), b.i64(0));
        let found = b.fold([Over::all(inputs[0].shape[axis])], &[none], |b, k, so_far| {
            let mut at: Vec<Affine> = b.indices();
            at[axis] = k[0].clone();
            let (rank, place) = (b.load(Source::Input(0), at), b.index(k[0].clone()));
            let here = b.eq(rank, own);
            vec![b.select(here, place, so_far[0])]
        });
        Ok(b.finish(found[0])?.into())
    }
}
