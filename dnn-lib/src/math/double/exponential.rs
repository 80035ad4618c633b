//! Powers of e.
//!
//! With x = n log(2) + r, where n is the nearest integer, e^x is 2^n (1 + q), and q = e^r - 1 is a series.

use std::f64::consts::LOG2_E;

use super::pair::{Pair, Pairs, factorials};
use super::{at_least, at_most, size_of};
use crate::math::Arithmetic;
use crate::math::exponential::ROUNDER;
use crate::math::logarithm::LN_2;

/// 1/2!, 1/3!, ...
const SERIES: [[f64; 2]; 15] = factorials(2, 1, false);

/// Beyond this, powers of e are 0 or infinite, also after they have been multiplied by a small number.
pub(super) const FAR: f64 = 800.0;

/// e^x as 2^n (1 + rest).
pub(super) struct Power<A: Arithmetic> {
    pub n: A::I64,
    pub rest: Pair<A>,
}

/// e^x, of a number of at most [`FAR`]. The rest is exact in proportion to itself if x is small.
pub(super) fn power_of_e<A: Arithmetic>(a: &mut A, x: Pair<A>) -> Power<A> {
    let (log2_e, rounder) = (a.f64(LOG2_E), a.f64(ROUNDER));
    let shifted = a.fma(x.high, log2_e, rounder);
    let minus_n = a.sub(rounder, shifted);
    let [high, low] = LN_2.map(|part| a.f64(part));
    let whole = a.fma(minus_n, high, x.high);
    let less = a.exact_product(minus_n, low);
    let r = a.exact_sum(whole, less.high);
    let rest = a.add(less.low, x.low);
    let rest = a.add(rest, r.low);
    let r = a.exact_sum(r.high, rest);
    let (square, sum) = (a.times(r, r), a.series(r, &SERIES, 2));
    let more = a.times(square, sum);
    Power { n: integer(a, shifted), rest: a.plus(r, more) }
}

/// The integer that was added to the rounder.
pub(super) fn integer<A: Arithmetic>(a: &mut A, shifted: A::F64) -> A::I64 {
    let (bits, rounder) = (a.bits(shifted), a.i64(ROUNDER.to_bits().cast_signed()));
    a.sub_int(bits, rounder)
}

/// 2^n, of an exponent that a normal float has.
fn power_of_two<A: Arithmetic>(a: &mut A, n: A::I64) -> A::F64 {
    let (exponent, one) = (a.shift_left::<52>(n), a.i64(1f64.to_bits().cast_signed()));
    let bits = a.add_int(exponent, one);
    a.float(bits)
}

/// x 2^n, for an n of at most 2,000. Only a result that is subnormal is rounded.
pub(super) fn scale<A: Arithmetic>(a: &mut A, x: A::F64, n: A::I64) -> A::F64 {
    let half = a.shift_right::<1>(n);
    let other = a.sub_int(n, half);
    let (half, other) = (power_of_two(a, half), power_of_two(a, other));
    let x = a.mul(x, half);
    a.mul(x, other)
}

/// 2^-n, or 0.
fn inverse<A: Arithmetic>(a: &mut A, n: A::I64) -> A::F64 {
    let (zero, one) = (a.i64(0), a.f64(1.0));
    let minus_n = a.sub_int(zero, n);
    scale(a, one, minus_n)
}

/// The power of e that belongs to a float.
pub(super) fn power_of<A: Arithmetic>(a: &mut A, x: A::F64) -> Power<A> {
    let x = a.single(x);
    power_of_e(a, x)
}

/// e^-|x|, and besides its parts: 1 + rest, and the whole as a pair, which may be 0.
pub(super) struct Decay<A: Arithmetic> {
    pub n: A::I64,
    pub part: Pair<A>,
    pub whole: Pair<A>,
}

impl<A: Arithmetic> Decay<A> {
    /// e^-x, of a pair that is not negative.
    pub(super) fn of(a: &mut A, x: Pair<A>) -> Self {
        let minus = a.f64(-1.0);
        let opposite = a.doubled(x, minus);
        let Power { n, rest } = power_of_e(a, opposite);
        let one = a.f64(1.0);
        let part = a.plus_float(rest, one);
        let power = scale(a, one, n);
        Self { n, part, whole: a.doubled(part, power) }
    }

    /// e^-|x|.
    pub(super) fn of_size(a: &mut A, x: A::F64) -> Self {
        let size = size_of(a, x, FAR);
        let size = a.single(size);
        Self::of(a, size)
    }
}

pub(crate) fn exp<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let x = at_most(a, x, FAR);
    let x = at_least(a, x, -FAR);
    let (Power { n, rest }, one) = (power_of(a, x), a.f64(1.0));
    let y = a.plus_float(rest, one);
    scale(a, y.high, n)
}

/// 2^n (q + (1 - 2^-n)).
pub(crate) fn expm1<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let near = at_most(a, x, FAR);
    let near = at_least(a, near, -50.0);
    let (Power { n, rest }, one) = (power_of(a, near), a.f64(1.0));
    let inverse = inverse(a, n);
    let minus = a.f64(-1.0);
    let minus_inverse = a.mul(inverse, minus);
    let difference = a.exact_sum(one, minus_inverse);
    let y = a.plus(difference, rest);
    let y = scale(a, y.high, n);
    let size = a.abs(y);
    a.with_sign(size, x)
}

/// e^|x| and e^-|x| as 2^n (c + d) and 2^n (c - d).
struct Both<A: Arithmetic> {
    n: A::I64,
    /// Twice c, and twice d.
    sum: Pair<A>,
    difference: Pair<A>,
}

/// With p = 2^-2n, they are 2^n (1 + q) and 2^n (p - p q / (1 + q)).
fn both<A: Arithmetic>(a: &mut A, x: A::F64) -> Both<A> {
    let size = size_of(a, x, 720.0);
    let (Power { n, rest }, one, minus) = (power_of(a, size), a.f64(1.0), a.f64(-1.0));
    let p = inverse(a, n);
    let p = a.mul(p, p);
    let minus_p = a.mul(p, minus);
    let whole = a.plus_float(rest, one);
    let less = a.over(rest, whole);
    let (less, more) = (a.doubled(less, minus_p), a.doubled(less, p));
    let (sum, difference) = (a.exact_sum(one, p), a.exact_sum(one, minus_p));
    let (sum, difference) = (a.plus(sum, rest), a.plus(difference, rest));
    Both { n, sum: a.plus(sum, less), difference: a.plus(difference, more) }
}

pub(crate) fn sinh<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let (Both { n, difference, .. }, one) = (both(a, x), a.i64(1));
    let n = a.sub_int(n, one);
    let y = scale(a, difference.high, n);
    a.with_sign(y, x)
}

pub(crate) fn cosh<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let (Both { n, sum, .. }, one) = (both(a, x), a.i64(1));
    let n = a.sub_int(n, one);
    scale(a, sum.high, n)
}

/// (q + 1 - p) / (q + 1 + p), where e^2|x| = 2^n (1 + q) and p = 2^-n.
pub(crate) fn tanh<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let size = size_of(a, x, 20.0);
    let twice = a.add(size, size);
    let (Power { n, rest }, one, minus) = (power_of(a, twice), a.f64(1.0), a.f64(-1.0));
    let p = inverse(a, n);
    let minus_p = a.mul(p, minus);
    let (above, below) = (a.exact_sum(one, minus_p), a.exact_sum(one, p));
    let (above, below) = (a.plus(above, rest), a.plus(below, rest));
    let y = a.over(above, below);
    a.with_sign(y.high, x)
}

/// 1 / (1 + e) or e / (1 + e), where e = e^-|x|.
pub(crate) fn sigmoid<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let (Decay { n, part, whole }, one) = (Decay::of_size(a, x), a.f64(1.0));
    let (below, unit) = (a.plus_float(whole, one), a.single(one));
    let (most, small) = (a.over(unit, below), a.over(part, below));
    let small = scale(a, small.high, n);
    let zero = a.f64(0.0);
    let negative = a.less(x, zero);
    a.select(negative, small, most.high)
}
