//! Greedy suppression of boxes that overlap: the steps of NonMaxSuppression, for all batches and classes.
//!
//! Each box has a mark: -1 if it is open, -2 if it is out, and otherwise the number of the step in which it was
//! taken.

use crate::definition::{Affine, Builder, Coordinate, Over, Source};
use crate::operator::error::{check_dtype, check_shape};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Value};
use crate::tensor::{DType, TensorType};

/// Which of the open boxes has the highest score: the first of equal ones, and -1 if none is open; inputs:
/// scores and marks of the form [batches, classes, boxes].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestOpen;

/// The marks after a box was taken; inputs: marks [batches, classes, boxes], boxes [batches, boxes, 4], the box
/// taken [batches, classes], the number of the step and the threshold, which are scalars.
///
/// Open boxes are out if their intersection with that box, divided by the union, is more than the threshold. The
/// union is the first area plus the second less the intersection. Each operation is rounded. Boxes without an
/// area stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suppress {
    /// Whether a box is its centre (x, y), width and height, and not two opposite corners (y, x).
    pub centered: bool,
}

fn check(inputs: &[TensorType], input: usize, dtype: DType, shape: &[u64]) -> Result<(), Problem> {
    check_dtype(inputs, input, &[dtype])?;
    check_shape(inputs, input, inputs[input].shape == shape, || format!("must be {shape:?}"))
}

/// Checks that there are three dimensions, none of them empty.
fn three(inputs: &[TensorType]) -> Result<[u64; 3], Problem> {
    let shape = &inputs[0].shape;
    check_shape(inputs, 0, shape.len() == 3 && !shape.contains(&0), || {
        "must have the form [batches, classes, boxes]".to_owned()
    })?;
    Ok([shape[0], shape[1], shape[2]])
}

impl Semantics for BestOpen {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let [batches, classes, boxes] = three(inputs)?;
        check_dtype(inputs, 0, &[DType::F32])?;
        check(inputs, 1, DType::I64, &[batches, classes, boxes])?;
        Ok(TensorType::new(DType::I64, [batches, classes]))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("bestopen", inputs, output);
        let (none, nothing) = (b.i64(-1), b.f32(0.0));
        let best = b.fold([Over::all(inputs[0].shape[2])], &[none, nothing], |b, k, so_far| {
            let at = [b.at(0), b.at(1), k[0].clone()];
            let (score, mark) = (b.load(Source::Input(0), at.clone()), b.load(Source::Input(1), at));
            let (open, first) = (b.eq(mark, none), b.eq(so_far[0], none));
            let higher = b.lt(so_far[1], score);
            let better = b.or(first, higher);
            let takes = b.and(open, better);
            let place = b.index(k[0].clone());
            vec![b.select(takes, place, so_far[0]), b.select(takes, score, so_far[1])]
        });
        Ok(b.finish(best[0])?.into())
    }
}

/// The ends of a box along both dimensions, and its area.
struct Extent {
    ends: [(Value, Value); 2],
    area: Value,
}

impl Suppress {
    fn extent(&self, b: &mut Builder, place: &Coordinate) -> Extent {
        let mut part = |number: i64| {
            let at = [Coordinate::from(b.at(0)), place.clone(), Affine::from(number).into()];
            b.load(Source::Input(1), at)
        };
        let parts = [part(0), part(1), part(2), part(3)];
        let ends = [0, 1].map(|side| {
            let (first, second) = (parts[side], parts[side + 2]);
            if self.centered {
                let half = b.f32(0.5);
                let half = b.mul(second, half);
                (b.sub(first, half), b.add(first, half))
            } else {
                (b.min(first, second), b.max(first, second))
            }
        });
        let [height, width] = ends.map(|(low, high)| b.sub(high, low));
        Extent { ends, area: b.mul(height, width) }
    }

    /// Whether two boxes overlap more than the threshold says.
    fn overlap(b: &mut Builder, one: &Extent, other: &Extent, threshold: Value) -> Value {
        let zero = b.f32(0.0);
        let [height, width] = [0, 1].map(|side| {
            let ((low, high), (other_low, other_high)) = (one.ends[side], other.ends[side]);
            let (low, high) = (b.max(low, other_low), b.min(high, other_high));
            b.sub(high, low)
        });
        let intersection = b.mul(height, width);
        let sum = b.add(one.area, other.area);
        let union = b.sub(sum, intersection);
        let ratio = b.div(intersection, union);
        let mut all = b.lt(threshold, ratio);
        for positive in [height, width, one.area, other.area, union] {
            let holds = b.lt(zero, positive);
            all = b.and(all, holds);
        }
        all
    }
}

impl Semantics for Suppress {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let [batches, classes, boxes] = three(inputs)?;
        check_dtype(inputs, 0, &[DType::I64])?;
        check(inputs, 1, DType::F32, &[batches, boxes, 4])?;
        check(inputs, 2, DType::I64, &[batches, classes])?;
        check(inputs, 3, DType::I64, &[])?;
        check(inputs, 4, DType::F32, &[])?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("suppress", inputs, output);
        let (mark, taken) = (b.broadcast(0), b.load(Source::Input(2), [b.at(0), b.at(1)]));
        let [number, threshold] = [3, 4].map(|input| b.broadcast(input));
        let (open, out, zero) = (b.i64(-1), b.i64(-2), b.i64(0));
        let own = b.at(2).into();
        let own = self.extent(&mut b, &own);
        let other = self.extent(&mut b, &taken.into());
        let overlaps = Self::overlap(&mut b, &own, &other, threshold);
        let place = b.index(b.at(2));
        let is_taken = b.eq(place, taken);
        let suppressed = b.select(overlaps, out, open);
        let next = b.select(is_taken, number, suppressed);
        let (is_open, any) = (b.eq(mark, open), b.le(zero, taken));
        let changes = b.and(is_open, any);
        let y = b.select(changes, next, mark);
        Ok(b.finish(y)?.into())
    }
}
