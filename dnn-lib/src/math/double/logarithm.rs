//! Logarithms.
//!
//! Of 2^k (1 + w), where 1 + w is from sqrt(1/2) to sqrt(2): with s = w / (2 + w) it is
//!
//! ```text
//! k log(2) + 2 atanh(s) = k log(2) + 2 s + 2 s^3 (1/3 + s^2/5 + s^4/7 + ...)
//! ```

use super::exponential::{Decay, scale};
use super::pair::{Pair, Pairs, odd_reciprocals};
use super::within;
use crate::math::Arithmetic;
use crate::math::logarithm::{LN_2, Parts, parts};

/// 1/3, 1/5, ...
const SERIES: [[f64; 2]; 13] = odd_reciprocals(false);

/// Beyond this, x and 1 + x have the same logarithm, and so have 2 x and x + sqrt(x^2 + 1).
const LARGE: f64 = (1 << 30) as f64;

/// A number as 2^k (1 + w).
struct Split<A: Arithmetic> {
    k: A::F64,
    w: Pair<A>,
}

/// A positive number that is finite.
fn split<A: Arithmetic>(a: &mut A, x: A::F64) -> Split<A> {
    // A subnormal number is made a normal one.
    let [least, power, zero, places] = [f64::MIN_POSITIVE, (1u64 << 54) as f64, 0.0, 54.0].map(|x| a.f64(x));
    let subnormal = a.less(x, least);
    let larger = a.mul(x, power);
    let (x, places) = (a.select(subnormal, larger, x), a.select(subnormal, places, zero));
    let (Parts { k, m, .. }, one) = (parts(a, x), a.f64(1.0));
    let (k, w) = (a.sub(k, places), a.sub(m, one));
    Split { k, w: a.single(w) }
}

/// 1 + w, of a number that is not negative and less than 2^1000.
fn split_1p<A: Arithmetic>(a: &mut A, w: Pair<A>) -> Split<A> {
    let (one, minus) = (a.f64(1.0), a.f64(-1.0));
    let whole = a.add(w.high, one);
    let Parts { k, scale, .. } = parts(a, whole);
    let (less, part) = (a.exact_sum(scale, minus), a.doubled(w, scale));
    Split { k, w: a.plus(less, part) }
}

fn log_of_split<A: Arithmetic>(a: &mut A, Split { k, w }: Split<A>) -> Pair<A> {
    let two = a.f64(2.0);
    let below = a.plus_float(w, two);
    let s = a.over(w, below);
    let square = a.times(s, s);
    let sum = a.series(square, &SERIES, 2);
    let sum = a.times(sum, square);
    let sum = a.times(sum, s);
    let sum = a.plus(s, sum);
    let sum = a.doubled(sum, two);
    let [high, low] = LN_2.map(|part| a.f64(part));
    let (high, low) = (a.mul(k, high), a.exact_product(k, low));
    let low = a.plus(low, sum);
    a.plus_float(low, high)
}

/// log(x), of a positive number that is finite.
pub(super) fn log_of<A: Arithmetic>(a: &mut A, x: A::F64) -> Pair<A> {
    let split = split(a, x);
    log_of_split(a, split)
}

/// log(1 + w), of a number that is not negative and less than 2^1000.
fn log_1p<A: Arithmetic>(a: &mut A, w: Pair<A>) -> Pair<A> {
    let split = split_1p(a, w);
    log_of_split(a, split)
}

pub(crate) fn log<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let y = log_of(a, x).high;
    // What is infinite stays what it is, and so does a NaN.
    let y = within(a, x, f64::INFINITY, y, x);
    let [zero, nan, infinite] = [0.0, f64::NAN, f64::NEG_INFINITY].map(|x| a.f64(x));
    let negative = a.less(x, zero);
    let y = a.select(negative, nan, y);
    within(a, x, f64::from_bits(1), infinite, y)
}

/// log(1 + w) for a w with which x is asinh's or acosh's argument, or log(2 x) if that is large.
fn log_of_twice<A: Arithmetic>(a: &mut A, size: A::F64, w: Pair<A>) -> A::F64 {
    let (near, far, one) = (split_1p(a, w), split(a, size), a.f64(1.0));
    let (large, further) = (a.f64(LARGE), a.add(far.k, one));
    let is_large = a.less(large, size);
    let k = a.select(is_large, further, near.k);
    let w = a.choose(is_large, far.w, near.w);
    let y = log_of_split(a, Split { k, w });
    within(a, size, f64::INFINITY, y.high, size)
}

/// log(1 + x + x^2 / (1 + sqrt(1 + x^2))), of the absolute value.
pub(crate) fn asinh<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let (size, one) = (a.abs(x), a.f64(1.0));
    let near = super::at_most(a, size, LARGE);
    let square = a.exact_product(near, near);
    let root = a.plus_float(square, one);
    let root = a.root(root);
    let below = a.plus_float(root, one);
    let part = a.over(square, below);
    let w = a.plus_float(part, near);
    let y = log_of_twice(a, size, w);
    let y = a.with_sign(y, x);
    // Half of the least number would be needed.
    within(a, x, 1.0 / LARGE, x, y)
}

/// log(1 + d + sqrt(d (d + 2))), where d = x - 1.
pub(crate) fn acosh<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let (one, nan) = (a.f64(1.0), a.f64(f64::NAN));
    let near = super::at_most(a, x, LARGE);
    let d = a.sub(near, one);
    let (square, twice) = (a.exact_product(d, d), a.add(d, d));
    let square = a.plus_float(square, twice);
    let root = a.root(square);
    let w = a.plus_float(root, d);
    let y = log_of_twice(a, x, w);
    let below = a.less(x, one);
    a.select(below, nan, y)
}

/// Half of log(1 + 2 x / (1 - x)), of the absolute value.
pub(crate) fn atanh<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let (size, one, minus, half) = (a.abs(x), a.f64(1.0), a.f64(-1.0), a.f64(0.5));
    let (twice, minus_size) = (a.add(size, size), a.mul(size, minus));
    let (above, below) = (a.single(twice), a.exact_sum(one, minus_size));
    let w = a.over(above, below);
    let y = log_1p(a, w);
    let y = a.mul(y.high, half);
    // From 1 on: infinity at 1, and nothing beyond; a NaN stays a NaN.
    let outside = a.sqrt(below.high);
    let outside = a.div(one, outside);
    let y = within(a, x, 1.0, y, outside);
    a.with_sign(y, x)
}

/// The larger of x and 0, and log(1 + e^-|x|), which is the power itself if that is small.
pub(crate) fn softplus<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let Decay { n, part, whole } = Decay::of_size(a, x);
    let rest = log_1p(a, whole);
    let positive = super::at_least(a, x, 0.0);
    let y = a.plus_float(rest, positive);
    let (small, limit) = (scale(a, part.high, n), a.f64(-40.0));
    let is_small = a.less(x, limit);
    let y = a.select(is_small, small, y.high);
    // Nothing is added to an infinite number.
    within(a, x, f64::INFINITY, y, positive)
}
