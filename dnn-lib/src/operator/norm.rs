//! Norms: roots of sums of powers.

use crate::definition::Builder;
use crate::math;
use crate::operator::Problem;
use crate::operator::error::check_attribute;
use crate::scalar::{Conversion, Ops, Type, Value};

/// Checks the number of a norm.
pub(super) fn check_norm(p: i64) -> Result<(), Problem> {
    check_attribute("p", p, p >= 1, || "must be 1 or more".to_owned())
}

/// What an element adds to the sum: |x|^p.
pub(super) fn term(b: &mut Builder, x: Value, p: i64) -> Value {
    match p {
        1 => b.abs(x),
        2 => b.mul(x, x),
        _ => {
            let x = b.abs(x);
            power(b, x, p as f64)
        }
    }
}

/// The norm of a sum.
pub(super) fn root(b: &mut Builder, sum: Value, p: i64) -> Value {
    match p {
        1 => sum,
        2 => b.sqrt(sum),
        _ => power(b, sum, 1.0 / p as f64),
    }
}

/// The power of a float that is not negative, as that of Pow. A NaN stays a NaN.
pub(super) fn power(b: &mut Builder, x: Value, exponent: f64) -> Value {
    let (exponent, nan) = (b.f64(exponent), b.f64(f64::NAN));
    if b.ty(x) == Type::F64 {
        let (power, number) = (math::double::power(b, x, exponent), b.eq(x, x));
        return b.select(number, power, nan);
    }
    let x = b.convert(Conversion::Promote, Type::F64, x);
    let power = math::power(b, x, exponent);
    let number = b.eq(x, x);
    let power = b.select(number, power, nan);
    b.convert(Conversion::Demote, Type::F32, power)
}
