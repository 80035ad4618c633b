//! The parts of attention that no other operator has: masked softmax, and rotation by positions.

use crate::definition::{Affine, Builder, Coordinate, Source};
use crate::math::Function;
use crate::operator::error::{FLOATS, SINGLES, check_attribute, check_shape};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{BinaryOp, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// Which keys a query sees, apart from what a tensor says. Query i stands at position `i + offset`, or, where
/// the number of valid keys of each batch is given, at `i + valid - queries`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The number of keys before the first query.
    pub offset: u64,
    /// How many keys it sees to the left of its position; `None` for all.
    pub left: Option<u64>,
    /// How many keys it sees to the right of its position; `None` for all.
    pub right: Option<u64>,
    /// Whether input 1 is a mask: true where a key is seen, or a number that is added. It is broadcast to the
    /// scores; keys beyond its end aren't seen.
    pub mask: bool,
    /// Whether the last input is the number of valid keys of each batch.
    pub valid: bool,
}

/// Scores [batch, heads, queries, keys] with the mask added: minus infinity where a query doesn't see a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedScores(pub Sight);

/// The softmax of [`MaskedScores`] along the keys. A query that sees no key has zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedSoftmax(pub Sight);

impl Sight {
    fn check(&self, inputs: &[TensorType]) -> Result<(), Problem> {
        let dtype = |input: usize, expected: &[DType]| match inputs[input].dtype {
            found if expected.contains(&found) => Ok(()),
            found => Err(Problem::DType { input, found, expected: expected.to_vec() }),
        };
        dtype(0, FLOATS)?;
        let scores = &inputs[0].shape;
        check_shape(inputs, 0, scores.len() == 4, || "must be [batch, heads, queries, keys]".to_owned())?;
        let count = 1 + usize::from(self.mask) + usize::from(self.valid);
        if inputs.len() != count {
            return Err(Problem::Inputs { found: inputs.len(), expected: count..=count });
        }
        if self.mask {
            let numbers = if inputs[0].dtype == DType::F64 { &[DType::F64] } else { SINGLES };
            dtype(1, &[&[DType::Bool], numbers].concat())?;
            let mask = &inputs[1].shape;
            let own = &scores[4 - mask.len().min(4)..];
            let last = mask.len().saturating_sub(1);
            let fits = |(axis, (&mask, &size)): (usize, (&u64, &u64))| {
                mask == size || mask == 1 || axis == last && mask < size
            };
            let right = mask.len() <= 4 && mask.iter().zip(own).enumerate().all(fits);
            check_shape(inputs, 1, right, || format!("must be broadcast to the scores {scores:?}"))?;
        }
        if self.valid {
            dtype(count - 1, &[DType::I64])?;
            let batch = scores[0];
            check_shape(inputs, count - 1, inputs[count - 1].shape == [batch], || {
                format!("must be [{batch}], one number for each batch")
            })?;
        }
        Ok(())
    }

    /// What is added to the score of a key: minus infinity, unless the query sees it.
    fn bias(&self, b: &mut Builder, inputs: &[TensorType]) -> Value {
        let ty = Type::of(inputs[0].dtype);
        let (zero, hidden) = (b.real(ty, 0.0), b.real(ty, f64::NEG_INFINITY));
        let mut bias = if self.mask { mask(b, inputs, hidden) } else { zero };
        let key = b.index(b.at(3));
        let mut hide = |b: &mut Builder, seen: Value| {
            let more = b.select(seen, zero, hidden);
            bias = b.add(bias, more);
        };
        let valid = self.valid.then(|| b.load(Source::Input(inputs.len() as u32 - 1), [b.at(0)]));
        if self.left.is_some() || self.right.is_some() {
            let query = b.index(b.at(2));
            let position = match valid {
                Some(valid) => {
                    let first = b.add_const(valid, -inputs[0].shape[2].cast_signed());
                    b.add(query, first)
                }
                None => b.add_const(query, self.offset.cast_signed()),
            };
            if let Some(right) = self.right {
                let last = b.add_const(position, right.cast_signed());
                let seen = b.le(key, last);
                hide(b, seen);
            }
            if let Some(left) = self.left {
                let first = b.add_const(position, -left.cast_signed());
                let seen = b.le(first, key);
                hide(b, seen);
            }
        }
        if let Some(valid) = valid {
            let seen = b.lt(key, valid);
            hide(b, seen);
        }
        bias
    }
}

/// The mask as a number.
fn mask(b: &mut Builder, inputs: &[TensorType], hidden: Value) -> Value {
    let (shape, keys) = (&inputs[1].shape, inputs[0].shape[3]);
    let last = shape.len().saturating_sub(1);
    let index = |(axis, &size): (usize, &u64)| match size {
        // A mask that is shorter than the keys isn't repeated.
        1 if axis != last || keys == 1 => Affine::from(0),
        _ => b.at(axis + 4 - shape.len()),
    };
    let at: Vec<Affine> = shape.iter().enumerate().map(index).collect();
    let short = shape.last().is_some_and(|&size| size < keys);
    if inputs[1].dtype != DType::Bool {
        return if short { b.load_or(Source::Input(1), at, hidden) } else { b.load(Source::Input(1), at) };
    }
    let (unseen, zero) = (b.i32(0), b.real(b.ty(hidden), 0.0));
    let seen = if short { b.load_or(Source::Input(1), at, unseen) } else { b.load(Source::Input(1), at) };
    let seen = b.ne(seen, unseen);
    b.select(seen, zero, hidden)
}

impl Semantics for MaskedScores {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        self.0.check(inputs)?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("maskedscores", inputs, output);
        let score = b.broadcast(0);
        let bias = self.0.bias(&mut b, inputs);
        let y = b.add(score, bias);
        Ok(b.finish(y)?.into())
    }
}

impl Semantics for MaskedSoftmax {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        self.0.check(inputs)?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let (keys, ty) = (output.shape[3], Type::of(output.dtype));
        let mut b = Builder::new("maskedsoftmax", inputs, output);
        b.rows_along([3]);
        let bias = self.0.bias(&mut b, inputs);
        let bias = b.row_stage(bias);
        let lowest = b.real(ty, f64::NEG_INFINITY);
        let largest = b.in_lanes(BinaryOp::Max, [keys], lowest, |b, k| b.load(bias, [k[0].clone()]));
        let largest = b.stage(largest);
        let (score, own) = (b.broadcast(0), b.load(bias, [b.at(3)]));
        let score = b.add(score, own);
        let score = b.row_stage(score);
        let lowest = b.real(ty, f64::NEG_INFINITY);
        let max = b.in_lanes(BinaryOp::Max, [keys], lowest, |b, k| b.load(score, [k[0].clone()]));
        let max = b.stage(max);
        // Infinity less infinity would be no number.
        let (x, max, zero, lowest) =
            (b.load(score, [b.at(3)]), b.of_row(max), b.real(ty, 0.0), b.real(ty, f64::NEG_INFINITY));
        let nothing = b.eq(max, lowest);
        let max = b.select(nothing, zero, max);
        let x = b.sub(x, max);
        let exponential = b.call(Function::Exp, x);
        let exponential = b.row_stage(exponential);
        let zero = b.real(ty, 0.0);
        let sum = b.in_lanes(BinaryOp::Add, [keys], zero, |b, k| b.load(exponential, [k[0].clone()]));
        let sum = b.stage(sum);
        let (e, sum, largest) = (b.load(exponential, [b.at(3)]), b.of_row(sum), b.of_row(largest));
        let (zero, one, lowest) = (b.real(ty, 0.0), b.real(ty, 1.0), b.real(ty, f64::NEG_INFINITY));
        let nothing = b.eq(sum, zero);
        let sum = b.select(nothing, one, sum);
        let y = b.div(e, sum);
        let blind = b.eq(largest, lowest);
        let y = b.select(blind, zero, y);
        Ok(b.finish(y)?.into())
    }
}

/// Pairs of numbers, turned by angles: `(x * cos - y * sin, x * sin + y * cos)`. Inputs: X, the cosines and
/// the sines, optionally positions. X is [batch, heads, length, size], or [batch, length, heads, size].
/// Cosines are [batch, length, size / 2], or, with positions [batch, length], [positions, size / 2]. A
/// position out of range takes the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotary {
    /// Whether the numbers of a pair are next to each other, not half of the size apart.
    pub interleaved: bool,
    /// Whether heads come before the length.
    pub heads_first: bool,
}

impl Semantics for Rotary {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        for (input, ty) in inputs.iter().enumerate().take(3) {
            let expected = if input == 0 { FLOATS.to_vec() } else { vec![inputs[0].dtype] };
            if !expected.contains(&ty.dtype) {
                return Err(Problem::DType { input, found: ty.dtype, expected });
            }
        }
        let x = &inputs[0].shape;
        check_shape(inputs, 0, x.len() == 4, || "must have 4 dimensions".to_owned())?;
        check_attribute("rotary_embedding_dim", x[3], x[3].is_multiple_of(2), || "must be even".to_owned())?;
        let (batch, length, half) = (x[0], x[if self.heads_first { 2 } else { 1 }], x[3] / 2);
        let table = |input: usize| {
            let shape = &inputs[input].shape;
            let fits = match inputs.len() {
                3 => *shape == [batch, length, half],
                _ => shape.len() == 2 && shape[0] > 0 && shape[1] == half,
            };
            check_shape(inputs, input, fits, || {
                format!("must be [{batch}, {length}, {half}], or [positions, {half}] with positions")
            })
        };
        table(1)?;
        table(2)?;
        if let Some(positions) = inputs.get(3) {
            if positions.dtype != DType::I64 {
                let (found, expected) = (positions.dtype, vec![DType::I64]);
                return Err(Problem::DType { input: 3, found, expected });
            }
            let shape = &positions.shape;
            let fits = *shape == [batch, length] || *shape == [1] || shape.is_empty();
            check_shape(inputs, 3, fits, || format!("must be [{batch}, {length}], or one number"))?;
        }
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        // The two numbers of a pair are a dimension of their own.
        let pair = if self.interleaved { [output.shape[3] / 2, 2] } else { [2, output.shape[3] / 2] };
        let paired = TensorType::new(output.dtype, [&output.shape[..3], &pair].concat());
        let mut types = inputs.to_vec();
        types[0] = paired.clone();
        let mut b = Builder::new("rotary", &types, &paired);
        let (part, index) = if self.interleaved { (4, 3) } else { (3, 4) };
        let place: Vec<Coordinate> = {
            let length = b.at(if self.heads_first { 2 } else { 1 });
            match inputs.get(3) {
                None => vec![b.at(0).into(), length.into()],
                Some(positions) if positions.elements() == Some(1) => {
                    let at = vec![Affine::from(0); positions.shape.len()];
                    let first = b.load(Source::Input(3), at);
                    let own = b.index(length);
                    vec![Coordinate::Value(b.add(first, own))]
                }
                Some(_) => vec![Coordinate::Value(b.load(Source::Input(3), [b.at(0), length]))],
            }
        };
        let turn = |b: &mut Builder, input: u32| {
            let at: Vec<Coordinate> = place.iter().cloned().chain([b.at(index).into()]).collect();
            b.load(Source::Input(input), at)
        };
        let (cos, sin) = (turn(&mut b, 1), turn(&mut b, 2));
        let number = |b: &mut Builder, which: i64| {
            let mut at = b.indices();
            at[part] = Affine::from(which);
            b.load(Source::Input(0), at)
        };
        let (x, y) = (number(&mut b, 0), number(&mut b, 1));
        let (x_cos, y_sin) = (b.mul(x, cos), b.mul(y, sin));
        let (x_sin, y_cos) = (b.mul(x, sin), b.mul(y, cos));
        let (real, imaginary) = (b.sub(x_cos, y_sin), b.add(x_sin, y_cos));
        let (which, first) = (b.index(b.at(part)), b.i64(0));
        let is_real = b.eq(which, first);
        let turned = b.select(is_real, real, imaginary);
        Ok(b.finish(turned)?.into())
    }
}
