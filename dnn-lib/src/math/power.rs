//! The power of two numbers.

use super::Arithmetic;
use super::exponential::{ROUNDER, exp2};
use super::logarithm::{Parts, log_of_part, parts};

/// x^y of a number that is not negative, so that it is off by less than 2^-44 of itself; of 1, it is 1. Beyond
/// 2^-200 and 2^200 it is one of these.
///
/// With x = 2^k m, y log2(x) is y k + y log2(m), of which y k is subtracted from its nearest integer exactly.
#[inline(always)]
pub(crate) fn power<A: Arithmetic>(a: &mut A, x: A::F64, y: A::F64) -> A::F64 {
    let [zero, log2_e, least, infinity] =
        [0.0, std::f64::consts::LOG2_E, f64::MIN_POSITIVE, f64::INFINITY].map(|x| a.f64(x));
    let Parts { k, m, .. } = parts(a, x);
    let log = log_of_part(a, m);
    let log = a.mul(log, log2_e);
    // Zero and infinity are infinitely many doublings from 1.
    let minus_infinity = a.f64(f64::NEG_INFINITY);
    let (is_zero, finite) = (a.less(x, least), a.less(x, infinity));
    let k = a.select(is_zero, minus_infinity, k);
    let k = a.select(finite, k, infinity);
    let doublings = a.add(k, log);
    let exponent = a.mul(y, doublings);
    // That of 1 is 0 for any y.
    let (above, below) = (a.less(zero, doublings), a.less(doublings, zero));
    let exponent_below = a.select(below, exponent, zero);
    let exponent = a.select(above, exponent, exponent_below);
    let [high, low, rounder] = [200.0, -200.0, ROUNDER].map(|x| a.f64(x));
    let too_high = a.less(high, exponent);
    let too_low = a.less(exponent, low);
    let exponent = a.select(too_high, high, exponent);
    let exponent = a.select(too_low, low, exponent);
    let shifted = a.add(exponent, rounder);
    let n = a.sub(shifted, rounder);
    let rest = a.fms(y, k, n);
    let rest = a.fma(y, log, rest);
    // Otherwise the exponent is n.
    let (r, size) = (a.sub(exponent, n), a.abs(rest));
    let one = a.f64(1.0);
    let known = a.less(size, one);
    let r = a.select(known, rest, r);
    let n = a.bits(shifted);
    exp2(a, n, r)
}
