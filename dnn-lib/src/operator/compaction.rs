//! The places of what is true, and of what is new: the parts of operators whose data decide how much there is.

use crate::definition::{Affine, Builder, Coordinate, Over, Source};
use crate::operator::error::{check_attribute, check_dtype, check_shape, movable, same_dtype};
use crate::operator::reduction::is_smaller;
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// Each element of a list with the one at this distance before it added, if there is one. With the distances
/// 1, 2, 4, ... one after the other, every element becomes the sum of all up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddEarlier {
    /// The distance.
    pub distance: u64,
}

/// Number k of the output is the first place at which a list of ascending numbers is larger than k: with the
/// running count of what is true, where the k-th true element is. It is 0 if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstAbove {
    /// How many numbers the output has.
    pub count: u64,
}

/// For each row of a matrix, the first row that is equal to it. All NaNs are equal, and 0 and -0 are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstEqual;

/// For each row of a matrix, how many different rows are smaller, as lists of numbers that are compared from
/// the beginning. A NaN is larger than all numbers. Inputs: the matrix, and the first row that is equal to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DifferentBefore;

/// Checks that an input is a list of `i64`, and gives its length.
fn list(inputs: &[TensorType], index: usize) -> Result<u64, Problem> {
    check_dtype(inputs, index, &[DType::I64])?;
    let shape = &inputs[index].shape;
    check_shape(inputs, index, shape.len() == 1 && shape[0] > 0, || {
        "must be a list that is not empty".into()
    })?;
    Ok(shape[0])
}

impl Semantics for AddEarlier {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        list(inputs, 0)?;
        check_attribute("distance", self.distance, (1..1 << 44).contains(&self.distance), || {
            "must be from 1 to 2^44".to_owned()
        })?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("addearlier", inputs, output);
        let (own, zero) = (b.broadcast(0), b.i64(0));
        let earlier = b.load_or(Source::Input(0), [b.at(0) - self.distance as i64], zero);
        let sum = b.add(own, earlier);
        Ok(b.finish(sum)?.into())
    }
}

impl Semantics for FirstAbove {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        list(inputs, 0)?;
        Ok(TensorType::new(DType::I64, [self.count]))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let length = inputs[0].shape[0];
        // One more halving than the length has, so that the place behind the last element can be found too.
        let halvings = u64::from(64 - length.leading_zeros());
        let mut b = Builder::new("firstabove", inputs, output);
        let (own, zero, one) = (b.index(b.at(0)), b.i64(0), b.i64(1));
        let half = b.i64(1 << (halvings - 1));
        let end = b.i64(length as i64);
        let found = b.fold([Over::all(halvings)], &[zero, half], |b, _, so_far| {
            // All before `place` is not larger. Are the next `half` so too? The last of them says so.
            let [place, half] = [so_far[0], so_far[1]];
            let next = b.add(place, half);
            let last = b.sub(next, one);
            let number = b.load(Source::Input(0), [Coordinate::from(last)]);
            let (larger, inside) = (b.lt(own, number), b.le(next, end));
            let not_larger = b.not(larger);
            let all = b.and(not_larger, inside);
            vec![b.select(all, next, place), b.shr_u(half, one)]
        });
        let is_there = b.lt(found[0], end);
        let place = b.select(is_there, found[0], zero);
        Ok(b.finish(place)?.into())
    }
}

/// Checks that input 0 is a matrix, and gives its type with one number for each row.
fn of_rows(inputs: &[TensorType]) -> Result<TensorType, Problem> {
    same_dtype(&inputs[..1], &movable())?;
    let shape = &inputs[0].shape;
    check_shape(inputs, 0, shape.len() == 2 && !shape.contains(&0), || {
        "must be a matrix that is not empty".to_owned()
    })?;
    Ok(TensorType::new(DType::I64, &shape[..1]))
}

/// Whether a number goes before another one; a NaN goes last.
fn goes_before(b: &mut Builder, dtype: DType, x: Value, y: Value) -> Value {
    if !Type::of(dtype).is_float() {
        return is_smaller(b, dtype, x, y);
    }
    let (smaller, own, other) = (b.lt(x, y), b.eq(x, x), b.eq(y, y));
    let other_is_nan = b.not(other);
    let before_nan = b.and(own, other_is_nan);
    b.or(smaller, before_nan)
}

/// Whether the row of an index of the output goes before the other one, and whether it goes after it.
fn compare(b: &mut Builder, dtype: DType, other: &Affine) -> (Value, Value) {
    let columns = b.input_shape(0)[1];
    let zero = b.i32(0);
    let no = b.ne(zero, zero);
    let result = b.fold([Over::all(columns)], &[no, no], |b, k, so_far| {
        let x = b.load(Source::Input(0), [b.at(0), k[0].clone()]);
        let y = b.load(Source::Input(0), [other.clone(), k[0].clone()]);
        let decided = b.or(so_far[0], so_far[1]);
        let open = b.not(decided);
        let (before, after) = (goes_before(b, dtype, x, y), goes_before(b, dtype, y, x));
        let (before, after) = (b.and(open, before), b.and(open, after));
        vec![b.or(so_far[0], before), b.or(so_far[1], after)]
    });
    (result[0], result[1])
}

impl Semantics for FirstEqual {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        of_rows(inputs)
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let (dtype, rows) = (inputs[0].dtype, inputs[0].shape[0]);
        let mut b = Builder::new("firstequal", inputs, output);
        let none = b.i64(-1);
        let first = b.fold([Over::all(rows)], &[none], |b, k, so_far| {
            let (before, after) = compare(b, dtype, &k[0]);
            let different = b.or(before, after);
            let equal = b.not(different);
            let (place, zero) = (b.index(k[0].clone()), b.i64(0));
            let open = b.lt(so_far[0], zero);
            let found = b.and(open, equal);
            vec![b.select(found, place, so_far[0])]
        });
        Ok(b.finish(first[0])?.into())
    }
}

impl Semantics for DifferentBefore {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let ty = of_rows(inputs)?;
        list(inputs, 1)?;
        check_shape(inputs, 1, inputs[1].shape == ty.shape, || format!("must be {:?}", ty.shape))?;
        Ok(ty)
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let (dtype, rows) = (inputs[0].dtype, inputs[0].shape[0]);
        let mut b = Builder::new("differentbefore", inputs, output);
        let (zero, one) = (b.i64(0), b.i64(1));
        let count = b.fold([Over::all(rows)], &[zero], |b, k, so_far| {
            let (_, after) = compare(b, dtype, &k[0]);
            let (place, first) = (b.index(k[0].clone()), b.load(Source::Input(1), [k[0].clone()]));
            let is_first = b.eq(place, first);
            let counts = b.and(after, is_first);
            let next = b.add(so_far[0], one);
            vec![b.select(counts, next, so_far[0])]
        });
        Ok(b.finish(count[0])?.into())
    }
}
