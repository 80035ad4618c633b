//! Powers.

use super::{Elementwise, Formula};
use crate::math;
use crate::operator::Problem;
use crate::operator::error::{FLOATS, numbers, same_dtype};
use crate::scalar::{Conversion, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// The first number to the power of the second, in the type of the first.
///
/// Of floats, the result is less than 0.501 units in the last place from the right one, or one unit if it is an
/// `f64`. An integer to the power
/// of an integer wraps, and is rounded towards zero if the exponent is negative. To the power of a float it is
/// the power as an `f32`, and then the nearest integer towards zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pow;

impl Elementwise for Pow {
    const NAME: &'static str = "Pow";

    fn dtype(&self, inputs: &[TensorType]) -> Result<DType, Problem> {
        same_dtype(&inputs[1..], &numbers())?;
        same_dtype(&inputs[..1], &[FLOATS, &[DType::I32, DType::I64]].concat())
    }

    fn formula(&self, e: &mut Formula) -> Value {
        let [x, y] = e.elements();
        let [base, exponent] = [e.dtypes[0], e.dtypes[1]];
        if e.float() || Type::of(exponent).is_float() {
            // Others are computed with as f32.
            let float = if base == DType::F64 { base } else { DType::F32 };
            let x = e.cast(base, float, x);
            let y = e.cast(exponent, DType::F64, y);
            let power = of_floats(e, x, y);
            e.cast(float, base, power)
        } else {
            let unsigned = exponent == DType::U32 || exponent == DType::U64;
            of_integers(e, x, y, exponent.bits(), unsigned)
        }
    }
}

/// By squares: the factors whose bit of the exponent is set.
fn of_integers(e: &mut Formula, x: Value, y: Value, bits: u64, unsigned: bool) -> Value {
    let (own, ty) = (e.ty(y), e.ty(x));
    let [none, one] = [0, 1].map(|x| e.number(own, x));
    let [zero, unit, minus] = [0, 1, -1].map(|x| e.number(ty, x));
    let (mut power, mut square, mut rest) = (unit, x, y);
    for bit in 0..bits {
        if bit > 0 {
            square = e.mul(square, square);
            rest = e.shr_u(rest, one);
        }
        let last = e.and(rest, one);
        let (multiplied, counts) = (e.mul(power, square), e.ne(last, none));
        power = e.select(counts, multiplied, power);
    }
    if unsigned {
        return power;
    }
    // Of the reciprocal of a power, only that of 1 or -1 has an integer part. One by zero has all bits set.
    let odd = e.and(y, one);
    let odd = e.ne(odd, none);
    let signed = e.select(odd, minus, unit);
    let [is_unit, is_minus, is_zero] = [unit, minus, zero].map(|of| e.eq(x, of));
    let reciprocal = e.select(is_minus, signed, zero);
    let reciprocal = e.select(is_unit, unit, reciprocal);
    let reciprocal = e.select(is_zero, minus, reciprocal);
    let negative = e.lt(y, none);
    e.select(negative, reciprocal, power)
}

/// A float to the power of an `f64`. The special cases are those of IEEE-754.
fn of_floats(e: &mut Formula, x: Value, y: Value) -> Value {
    let [zero, half, one, infinity, nan] = [0.0, 0.5, 1.0, f64::INFINITY, f64::NAN].map(|x| e.f64(x));
    let double = e.ty(x) == Type::F64;
    let x = if double { x } else { e.convert(Conversion::Promote, Type::F64, x) };
    let size = e.abs(x);
    let power = if double { math::double::power(e, size, y) } else { math::power(e, size, y) };
    // A negative number has a power if the exponent is an integer; it is negative if that is odd.
    let half_of_y = e.mul(y, half);
    let (whole, whole_half) = (e.trunc(y), e.trunc(half_of_y));
    let (integer, even) = (e.eq(whole, y), e.eq(whole_half, half_of_y));
    let odd = e.not(even);
    let odd = e.and(integer, odd);
    let sign = e.copysign(one, x);
    let sign = e.select(odd, sign, one);
    let power = e.copysign(power, sign);
    let (negative, finite) = (e.lt(x, zero), e.lt(size, infinity));
    let without = e.not(integer);
    let without = e.and(without, finite);
    let without = e.and(without, negative);
    let power = e.select(without, nan, power);
    // A NaN has powers only where it doesn't matter.
    let (of_nan, by_nan) = (e.ne(x, x), e.ne(y, y));
    let unknown = e.or(of_nan, by_nan);
    let power = e.select(unknown, nan, power);
    let (by_zero, of_one) = (e.eq(y, zero), e.eq(x, one));
    let always = e.or(by_zero, of_one);
    let power = e.select(always, one, power);
    if double { power } else { e.convert(Conversion::Demote, Type::F32, power) }
}
