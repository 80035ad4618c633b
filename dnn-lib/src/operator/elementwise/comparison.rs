//! Comparisons, logic, and the choice by a truth value.

use super::{Elementwise, Formula, elementwise};
use crate::operator::Problem;
use crate::operator::error::{FLOATS, comparable, movable, numbers, same_dtype};
use crate::scalar::{Ops, Type, Value};
use crate::tensor::{DType, TensorType};

const BOOL: [DType; 1] = [DType::Bool];

elementwise! {
    /// Whether both are true.
    And of BOOL; |e, x, y| e.and(x, y);
    /// Whether both are the same number or truth value. A NaN is none.
    Equal of comparable(), to DType::Bool; |e, x, y| {
        if e.ty(x) != Type::Bool { return e.eq(x, y); }
        let different = e.xor(x, y);
        e.not(different)
    };
    /// Whether the first number is larger.
    Greater of numbers(), to DType::Bool; |e, x, y| e.less(y, x);
    /// Whether the first number is larger or both are the same.
    GreaterOrEqual of numbers(), to DType::Bool; |e, x, y| e.at_most(y, x);
    /// Whether it is one of the infinities asked for.
    IsInf { /// Whether the negative one counts.
            negative: bool,
            /// Whether the positive one counts.
            positive: bool } of FLOATS, to DType::Bool; |e, x| {
        let [low, high] = [(negative, f64::NEG_INFINITY), (positive, f64::INFINITY)].map(|(counts, limit)| {
            // Nothing is equal to a NaN.
            let limit = e.literal(if counts { limit } else { f64::NAN });
            e.eq(x, limit)
        });
        e.or(low, high)
    };
    /// Whether it is a NaN.
    IsNaN of FLOATS, to DType::Bool; |e, x| e.ne(x, x);
    /// Whether the first number is smaller.
    Less of numbers(), to DType::Bool; |e, x, y| e.less(x, y);
    /// Whether the first number is smaller or both are the same.
    LessOrEqual of numbers(), to DType::Bool; |e, x, y| e.at_most(x, y);
    /// The opposite.
    Not of BOOL; |e, x| e.not(x);
    /// Whether one of them is true.
    Or of BOOL; |e, x, y| e.or(x, y);
    /// Whether only one of them is true.
    Xor of BOOL; |e, x, y| e.xor(x, y);
}

/// The second input where the first is true, else the third.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Where;

impl Elementwise for Where {
    const NAME: &'static str = "Where";

    fn dtype(&self, inputs: &[TensorType]) -> Result<DType, Problem> {
        same_dtype(&inputs[..1], &BOOL)?;
        same_dtype(&inputs[1..], &movable())
    }

    fn formula(&self, e: &mut Formula) -> Value {
        let [condition, then, otherwise] = e.elements();
        e.select(condition, then, otherwise)
    }
}
