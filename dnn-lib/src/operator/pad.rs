//! Padding.

use crate::definition::{Affine, Builder, Coordinate, Source};
use crate::operator::error::{check_attribute, movable, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Type, Value};
use crate::tensor::TensorType;

/// What is around a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PadMode {
    /// Input 1, which is one element; 0 without it.
    Constant,
    /// The tensor, mirrored at its first and last element.
    Reflect,
    /// The nearest element.
    Edge,
    /// The tensor again.
    Wrap,
}

/// A tensor with elements added around it, or removed: a negative pad removes. What is removed goes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pad {
    /// Which elements are added.
    pub mode: PadMode,
    /// How many, before and after, along each dimension.
    pub pads: Vec<(i64, i64)>,
}

/// The limit on pads, so that no sum of them overflows.
const MOST: i64 = 1 << 40;

impl Pad {
    /// The sizes of the output.
    fn shape(&self, input: &TensorType) -> Result<Vec<u64>, Problem> {
        let fits = self.pads.len() == input.shape.len()
            && self.pads.iter().all(|pads| [pads.0, pads.1].iter().all(|pad| (-MOST..=MOST).contains(pad)))
            && input.shape.iter().all(|&size| size <= MOST.cast_unsigned() << 10);
        check_attribute("pads", &self.pads, fits, || {
            format!("must have {} pairs of numbers up to 2^40, for sizes up to 2^50", input.shape.len())
        })?;
        let mut shape = Vec::new();
        for (&size, &(before, after)) in input.shape.iter().zip(&self.pads) {
            let kept = size as i64 + before.min(0) + after.min(0);
            check_attribute("pads", (before, after), kept >= 0, || format!("a dimension has {size}"))?;
            let added = before.max(0) + after.max(0);
            let possible = self.mode == PadMode::Constant || kept > 0 || added == 0;
            check_attribute("pads", (before, after), possible, || "there is nothing to repeat".to_owned())?;
            shape.push((kept + added) as u64);
        }
        Ok(shape)
    }

    /// The coordinate in a dimension of this size.
    fn coordinate(&self, b: &mut Builder, at: Affine, size: u64, (before, after): (i64, i64)) -> Coordinate {
        if self.mode == PadMode::Constant || (before <= 0 && after <= 0) {
            return (at - before).into();
        }
        // A position in what is kept, which begins after what is removed.
        let kept = size as i64 + before.min(0) + after.min(0);
        let position = b.index(at - before.max(0));
        let index = match self.mode {
            PadMode::Constant | PadMode::Edge => {
                let (zero, last) = (b.i64(0), b.i64(kept - 1));
                let position = b.max(position, zero);
                b.min(position, last)
            }
            PadMode::Wrap => modulo(b, position, kept),
            PadMode::Reflect => {
                let last = b.i64(kept - 1);
                let position = if before < kept && after < kept {
                    b.abs(position)
                } else {
                    modulo(b, position, 2 * (kept - 1))
                };
                let distance = b.sub(last, position);
                let distance = b.abs(distance);
                b.sub(last, distance)
            }
        };
        b.add_const(index, -before.min(0)).into()
    }
}

/// The remainder of a number that is not negative, by a positive one; 0 if that is 0.
fn modulo(b: &mut Builder, position: Value, size: i64) -> Value {
    if size == 0 {
        return b.i64(0);
    }
    let (zero, size) = (b.i64(0), b.i64(size));
    let rest = b.rem_s(position, size);
    let (negative, positive) = (b.lt(rest, zero), b.add(rest, size));
    b.select(negative, positive, rest)
}

impl Semantics for Pad {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, &movable())?;
        if let Some(value) = inputs.get(1) {
            let found = || Problem::Shape {
                input: 1,
                found: value.shape.clone(),
                expected: "must be one element".to_owned(),
            };
            (value.elements() == Some(1)).then_some(()).ok_or_else(found)?;
        }
        Ok(TensorType::new(dtype, self.shape(&inputs[0])?))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        if self.pads.iter().all(|&pads| pads == (0, 0)) {
            return Ok(Meaning::View { offset: 0 });
        }
        let types: Vec<TensorType> = inputs.iter().map(TensorType::as_integers).collect();
        let mut b = Builder::new("pad", &types, &output.as_integers());
        let shape = &inputs[0].shape;
        let mut at = Vec::new();
        for (axis, (&size, &pads)) in shape.iter().zip(&self.pads).enumerate() {
            let own = b.at(axis);
            at.push(self.coordinate(&mut b, own, size, pads));
        }
        let value = if self.mode == PadMode::Constant {
            let around = match inputs.get(1) {
                Some(value) => b.load(Source::Input(1), vec![Affine::from(0); value.shape.len()]),
                None => b.number(Type::of(output.dtype.as_integer()), 0),
            };
            b.load_or(Source::Input(0), at, around)
        } else {
            b.load(Source::Input(0), at)
        };
        Ok(b.finish(value)?.into())
    }
}
