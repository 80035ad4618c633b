//! Sorting: the place of each element in order, and the elements by their places.

use crate::definition::{Affine, Builder, Coordinate, Over, Source};
use crate::operator::error::{
    check_attribute, check_dtype, check_shape, comparable, resolve_axis, same_dtype,
};
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

/// The places of elements along an axis, in the order of [`Rank`] within blocks of `width`, with neighbouring
/// blocks made one, of which the first `kept` places stay. Both are powers of two. Inputs: the elements, and the
/// places; without these, each block has one element. Blocks are merged from one element on until there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
    /// Whether larger elements go first, and not smaller ones.
    pub largest: bool,
    /// The number of places in a block; the last block may have fewer.
    pub width: u64,
    /// The most places in a block of the output.
    pub kept: u64,
}

impl Merge {
    /// The number of places that stay of `count`.
    pub fn left(&self, count: u64) -> u64 {
        let pair = self.width.saturating_mul(2).max(1);
        (count / pair).saturating_mul(self.kept) + (count % pair).min(self.kept)
    }
}

impl Semantics for Merge {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        same_dtype(&inputs[..1], &comparable())?;
        let mut shape = inputs[0].shape.clone();
        let axis = resolve_axis(self.axis, shape.len())?;
        for (name, value) in [("width", self.width), ("kept", self.kept)] {
            let fits = value.is_power_of_two() && value <= 1 << 44;
            check_attribute(name, value, fits, || "must be a power of two up to 2^44".to_owned())?;
        }
        let whole = self.kept <= 2 * self.width && (inputs.len() == 2 || self.width == 1);
        check_attribute("kept", self.kept, whole, || "a pair of blocks has fewer places".to_owned())?;
        if let Some(places) = inputs.get(1) {
            check_dtype(inputs, 1, &[DType::I64])?;
            shape[axis] = places.shape.get(axis).copied().unwrap_or(0);
            check_shape(inputs, 1, places.shape == shape, || format!("must be {shape:?}"))?;
        }
        shape[axis] = self.left(shape[axis]);
        Ok(TensorType::new(DType::I64, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let axis = resolve_axis(self.axis, output.shape.len())?;
        let (dtype, count) = (inputs[0].dtype, inputs.last().map_or(0, |ty| ty.shape[axis]));
        let mut b = Builder::new("merge", inputs, output);
        // The pair of blocks, and how many of its places come before this one.
        let (own, last) = (b.index(b.at(axis)), b.i64(self.kept as i64 - 1));
        let before = b.and(own, last);
        let [kept, pair] = [self.kept, 2 * self.width].map(|size| b.i64(size.trailing_zeros().into()));
        let number = b.shr_u(own, kept);
        let first = b.shl(number, pair);
        let second = b.add_const(first, self.width as i64);
        let (zero, one, width) = (b.i64(0), b.i64(1), b.i64(self.width as i64));
        let count = b.i64(count as i64);
        // A load at a place is that of the nearest one, so these may be too large.
        let place = |b: &mut Builder, start: Value, offset: Value| {
            let at = b.add(start, offset);
            if inputs.len() < 2 {
                return at;
            }
            let mut coordinates: Vec<Coordinate> = b.indices().into_iter().map(Into::into).collect();
            coordinates[axis] = at.into();
            b.load(Source::Input(1), coordinates)
        };
        let element = |b: &mut Builder, place: Value| {
            let mut coordinates: Vec<Coordinate> = b.indices().into_iter().map(Into::into).collect();
            coordinates[axis] = place.into();
            b.load(Source::Input(0), coordinates)
        };
        // Whether the place `j` of the second block goes before the place `i` of the first.
        let overtakes = |b: &mut Builder, i: Value, j: Value| {
            let places = [place(b, first, i), place(b, second, j)];
            let [x, y] = places.map(|place| element(b, place));
            let before = if self.largest { is_larger } else { is_smaller };
            (before(b, dtype, y, x), places)
        };
        // All that come before are `i` of the first block and the others of the second. `i` is at least the
        // number that the second block is too short for; then it is found by halving.
        let rest = [first, second].map(|start| b.sub(count, start));
        let [long, short] = rest.map(|rest| {
            let rest = b.min(rest, width);
            b.max(rest, zero)
        });
        let least = b.sub(before, short);
        let (least, most) = (b.max(least, zero), b.min(before, long));
        let halvings = u64::from(self.width.trailing_zeros()) + 1;
        let found = b.fold([Over::all(halvings)], &[least, most], |b, _, range| {
            let [least, most] = [range[0], range[1]];
            let sum = b.add(least, most);
            let middle = b.shr_u(sum, one);
            let behind = b.sub(before, middle);
            let other = b.sub(behind, one);
            let (overtakes, _) = overtakes(b, middle, other);
            let open = b.lt(least, most);
            let next = b.add(middle, one);
            let more = b.not(overtakes);
            let (more, fewer) = (b.and(open, more), b.and(open, overtakes));
            vec![b.select(more, next, least), b.select(fewer, middle, most)]
        });
        let i = found[0];
        let j = b.sub(before, i);
        let (overtakes, [of_first, of_second]) = overtakes(&mut b, i, j);
        let (has_first, has_second) = (b.lt(i, long), b.lt(j, short));
        let overtaken = b.and(overtakes, has_second);
        let stays = b.not(overtaken);
        let stays = b.and(stays, has_first);
        let place = b.select(stays, of_first, of_second);
        Ok(b.finish(place)?.into())
    }
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
