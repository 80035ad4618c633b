//! Arithmetic.

use super::elementwise;
use crate::operator::error::{FLOATS, numbers, signed};
use crate::scalar::Ops;

elementwise! {
    /// The number without its sign. That of the least integer is itself.
    Abs of numbers(); |e, x| if e.unsigned() { x } else { e.abs(x) };
    /// Sum; integers wrap.
    Add of numbers(); |e, x, y| e.add(x, y);
    /// The smallest integer that is not smaller.
    Ceil of FLOATS; |e, x| e.ceil(x);
    /// Quotient. Integers are rounded towards zero. A quotient by zero has all bits set, as in the kernel
    /// language.
    Div of numbers(); |e, x, y| e.quotient(x, y);
    /// The largest integer that is not larger.
    Floor of FLOATS; |e, x| e.floor(x);
    /// Product; integers wrap.
    Mul of numbers(); |e, x, y| e.mul(x, y);
    /// The sign changed; integers wrap.
    Neg of signed(); |e, x| e.neg(x);
    /// 1 / x.
    Reciprocal of FLOATS; |e, x| {
        let one = e.literal(1.0);
        e.div(one, x)
    };
    /// The nearest integer, the even one of two.
    Round of FLOATS; |e, x| e.round(x);
    /// 1, 0 or -1. A NaN stays a NaN.
    Sign of numbers(); |e, x| {
        let (one, zero) = (e.literal(1.0), e.literal(0.0));
        let positive = e.less(zero, x);
        // x + 0 is 0, also for -0, or a NaN.
        let rest = e.add(x, zero);
        let y = e.select(positive, one, rest);
        if e.unsigned() { return y; }
        let (negative, minus_one) = (e.less(x, zero), e.literal(-1.0));
        e.select(negative, minus_one, y)
    };
    /// The square root.
    Sqrt of FLOATS; |e, x| e.sqrt(x);
    /// Difference; integers wrap.
    Sub of numbers(); |e, x, y| e.sub(x, y);
}
