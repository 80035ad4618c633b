//! Remainders.

use super::{Elementwise, Formula};
use crate::operator::Problem;
use crate::operator::error::{numbers, same_dtype};
use crate::scalar::{Conversion, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// What is left of the first number after whole multiples of the second. By 0 an integer is left as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mod {
    /// Whether it has the sign of the first number, as in C, or that of the second, as in Python.
    pub fmod: bool,
}

impl Elementwise for Mod {
    const NAME: &'static str = "Mod";

    fn dtype(&self, inputs: &[TensorType]) -> Result<DType, Problem> {
        same_dtype(inputs, &numbers())
    }

    fn formula(&self, e: &mut Formula) -> Value {
        let [x, y] = e.elements();
        if e.unsigned() {
            return e.rem_u(x, y);
        }
        let rest = if e.float() { of_floats(e, x, y) } else { e.rem_s(x, y) };
        if self.fmod { rest } else { with_the_sign_of(e, rest, y) }
    }
}

/// A remainder by `y`, with its sign: another multiple of it is added if the signs are different. The sum is
/// rounded if it must be.
fn with_the_sign_of(e: &mut Formula, rest: Value, y: Value) -> Value {
    let zero = e.literal(0.0);
    let [negative, other] = [rest, y].map(|x| e.lt(x, zero));
    let (different, moved) = (e.xor(negative, other), e.add(rest, y));
    let moved = e.select(different, moved, rest);
    let (none, unmoved) = (e.eq(rest, zero), if e.float() { e.copysign(zero, y) } else { rest });
    e.select(none, unmoved, moved)
}

/// How many bits of the quotient are found at once. An `f64` has three more.
const BITS: i32 = 50;

/// The exact remainder of floats, with the sign of `x`.
///
/// It is found by long division: from multiples `y` 2^(50 n) with large n down to `y` itself, as many as fit
/// are taken away. Each time the quotient has so few bits that it is off by one at most, and what is left is a
/// float.
fn of_floats(e: &mut Formula, x: Value, y: Value) -> Value {
    let single = e.ty(x) == Type::F32;
    let wide = |e: &mut Formula, x| if single { e.convert(Conversion::Promote, Type::F64, x) } else { x };
    let (x, y) = (wide(e, x), wide(e, y));
    // The quotient of the largest float by the smallest one is less than 2^277, or 2^2098.
    let digits = if single { 6 } else { 42 };
    let (zero, infinity) = (e.f64(0.0), e.f64(f64::INFINITY));
    let (size, divisor) = (e.abs(x), e.abs(y));
    // A factor is a float for up to 20 digits, so larger multiples are made in several steps.
    let multiples: Vec<Value> = (0..digits)
        .map(|digit: i32| {
            (0..digit).collect::<Vec<_>>().chunks(20).fold(divisor, |multiple, part| {
                let factor = e.f64(f64::from(BITS * part.len() as i32).exp2());
                e.mul(multiple, factor)
            })
        })
        .collect();
    let mut rest = size;
    for multiple in multiples.into_iter().rev() {
        let quotient = e.div(rest, multiple);
        let quotient = e.trunc(quotient);
        let minus = e.neg(quotient);
        let left = e.fma(minus, multiple, rest);
        // If the quotient was rounded up, one too many was taken away.
        let (negative, other) = (e.lt(left, zero), e.add(left, multiple));
        let left = e.select(negative, other, left);
        // A multiple that is infinite leaves everything.
        let fits = e.le(multiple, rest);
        rest = e.select(fits, left, rest);
    }
    // Nothing is known of what is infinite, or by zero.
    let (finite, divides) = (e.lt(size, infinity), e.lt(zero, divisor));
    let defined = e.and(finite, divides);
    let nan = e.f64(f64::NAN);
    let rest = e.select(defined, rest, nan);
    let rest = e.copysign(rest, x);
    if single { e.convert(Conversion::Demote, Type::F32, rest) } else { rest }
}
