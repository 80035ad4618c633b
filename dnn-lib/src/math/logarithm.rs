//! The logarithm and what follows from it.
//!
//! With x = 2^k m, where m is from sqrt(1/2) to sqrt(2), and s = (m - 1) / (m + 1),
//!
//! ```text
//! log(x) = k log(2) + 2 atanh(s)
//! ```
//!
//! and 2 atanh(s) is 2 s + s^3 NEAR(s^2).

use super::Arithmetic;
use super::exponential::{FAR, Power, ROUNDER};

const NEAR: [f64; 7] = [
    f64::from_bits(0x3fe5_5555_5555_5558),
    f64::from_bits(0x3fd9_9999_9999_5224),
    f64::from_bits(0x3fd2_4924_92e0_3ddb),
    f64::from_bits(0x3fcc_71c6_2d04_9837),
    f64::from_bits(0x3fc7_462b_a241_c039),
    f64::from_bits(0x3fc3_9fdb_9d86_a866),
    f64::from_bits(0x3fc2_b5fb_74dc_f2e3),
];

/// The same as [`NEAR`] up to s = 1/3.
const WIDE: [f64; 10] = [
    f64::from_bits(0x3fe5_5555_5555_5555),
    f64::from_bits(0x3fd9_9999_9999_a455),
    f64::from_bits(0x3fd2_4924_923c_d39e),
    f64::from_bits(0x3fcc_71c7_2766_074b),
    f64::from_bits(0x3fc7_45ce_fc3c_c720),
    f64::from_bits(0x3fc3_b18c_ab0c_0051),
    f64::from_bits(0x3fc1_0ab0_53b3_4344),
    f64::from_bits(0x3fbe_baa0_75d1_ab05),
    f64::from_bits(0x3fb6_7ff2_8ebd_4a25),
    f64::from_bits(0x3fc4_b858_458c_9a8d),
];

/// log(2) in two parts. The first has zeros at its end, so that its product with k is exact.
pub(super) const LN_2: [f64; 2] =
    [f64::from_bits(0x3fe6_2e42_fefa_3800), f64::from_bits(0x3d2e_f357_93c7_6730)];

/// x = 2^k m, of a number that is normal and not negative.
pub(super) struct Parts<A: Arithmetic> {
    pub k: A::F64,
    pub m: A::F64,
    /// 2^-k.
    pub scale: A::F64,
}

#[inline(always)]
pub(super) fn parts<A: Arithmetic>(a: &mut A, x: A::F64) -> Parts<A> {
    let bits = a.bits(x);
    let least = a.i64(std::f64::consts::FRAC_1_SQRT_2.to_bits().cast_signed());
    let distance = a.sub_int(bits, least);
    let n = a.shift_right::<52>(distance);
    let exponent = a.shift_left::<52>(n);
    let m = a.sub_int(bits, exponent);
    let (one, rounder) = (a.i64(1f64.to_bits().cast_signed()), a.i64(ROUNDER.to_bits().cast_signed()));
    let (scale, k) = (a.sub_int(one, exponent), a.add_int(rounder, n));
    let (scale, k, m) = (a.float(scale), a.float(k), a.float(m));
    let rounder = a.f64(ROUNDER);
    Parts { k: a.sub(k, rounder), m, scale }
}

/// 2 atanh(s), in a sum with `rest`.
#[inline(always)]
fn twice_atanh<A: Arithmetic>(a: &mut A, s: A::F64, rest: A::F64, coefficients: &[f64]) -> A::F64 {
    let t = a.mul(s, s);
    let (cube, p, two) = (a.mul(s, t), a.polynomial(t, coefficients), a.f64(2.0));
    let rest = a.fma(cube, p, rest);
    a.fma(two, s, rest)
}

/// k log(2) + 2 atanh(s).
#[inline(always)]
fn sum<A: Arithmetic>(a: &mut A, k: A::F64, s: A::F64) -> A::F64 {
    let [high, low] = LN_2.map(|part| a.f64(part));
    let rest = a.mul(k, low);
    let (whole, y) = (a.mul(k, high), twice_atanh(a, s, rest, &NEAR));
    let sum = a.add(whole, y);
    // The sum is rounded again, to an f32.
    let added = a.sub(sum, whole);
    let lost = a.sub(y, added);
    a.rounded_to_odd(sum, lost)
}

/// log(m).
#[inline(always)]
pub(super) fn log_of_part<A: Arithmetic>(a: &mut A, m: A::F64) -> A::F64 {
    let (s, zero) = (quotient(a, m), a.f64(0.0));
    twice_atanh(a, s, zero, &NEAR)
}

/// s = (m - 1) / (m + 1).
#[inline(always)]
fn quotient<A: Arithmetic>(a: &mut A, m: A::F64) -> A::F64 {
    let one = a.f64(1.0);
    let (above, below) = (a.sub(m, one), a.add(m, one));
    a.div(above, below)
}

#[inline(always)]
pub(super) fn log<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let x = a.promote(x);
    let Parts { k, m, .. } = parts(a, x);
    let s = quotient(a, m);
    let y = sum(a, k, s);
    // What is infinite stays what it is, and so does a NaN.
    let (zero, infinity) = (a.f64(0.0), a.f64(f64::INFINITY));
    let finite = a.less(x, infinity);
    let y = a.select(finite, y, x);
    let negative = a.less(x, zero);
    let nan = a.f64(f64::NAN);
    let y = a.select(negative, nan, y);
    let least = a.f64(f64::MIN_POSITIVE);
    let size = a.abs(x);
    let is_zero = a.less(size, least);
    let minus_infinity = a.f64(f64::NEG_INFINITY);
    a.select(is_zero, minus_infinity, y)
}

/// log(1 + w), of a number that is not negative. What 1 + w loses when it is rounded is added to m.
#[inline(always)]
fn log_1p<A: Arithmetic>(a: &mut A, w: A::F64) -> A::F64 {
    let one = a.f64(1.0);
    let u = a.add(one, w);
    let added = a.sub(u, one);
    let own = a.sub(u, added);
    let (lost, lost_of_one) = (a.sub(w, added), a.sub(one, own));
    let lost = a.add(lost, lost_of_one);
    let Parts { k, m, scale } = parts(a, u);
    let lost = a.mul(lost, scale);
    let (above, below) = (a.sub(m, one), a.add(m, one));
    let (above, below) = (a.add(above, lost), a.add(below, lost));
    let s = a.div(above, below);
    let y = sum(a, k, s);
    let infinity = a.f64(f64::INFINITY);
    let finite = a.less(w, infinity);
    a.select(finite, y, w)
}

/// log(1 + x + x^2 / (1 + sqrt(1 + x^2))), of the absolute value.
#[inline(always)]
pub(super) fn asinh<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let x = a.promote(x);
    let (one, size) = (a.f64(1.0), a.abs(x));
    let square = a.mul(size, size);
    let root = a.fma(size, size, one);
    let root = a.sqrt(root);
    let below = a.add(one, root);
    let part = a.div(square, below);
    let w = a.add(size, part);
    let infinity = a.f64(f64::INFINITY);
    let finite = a.less(size, infinity);
    let w = a.select(finite, w, size);
    let y = log_1p(a, w);
    a.with_sign(y, x)
}

/// log(1 + (x - 1) + sqrt((x - 1) (x + 1))).
#[inline(always)]
pub(super) fn acosh<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let x = a.promote(x);
    let one = a.f64(1.0);
    let beyond = a.sub(x, one);
    let square = a.fms(x, x, one);
    let root = a.sqrt(square);
    let w = a.add(beyond, root);
    let y = log_1p(a, w);
    let (nan, below) = (a.f64(f64::NAN), a.less(x, one));
    a.select(below, nan, y)
}

/// Half of log((1 + x) / (1 - x)). With k of that quotient, s is ((1 + x) - 2^k (1 - x)) / ((1 + x) + 2^k (1 - x)).
#[inline(always)]
pub(super) fn atanh<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let x = a.promote(x);
    let (one, half, size) = (a.f64(1.0), a.f64(0.5), a.abs(x));
    let (up, down) = (a.add(one, size), a.sub(one, size));
    let ratio = a.div(up, down);
    let Parts { k, scale, .. } = parts(a, ratio);
    // 2^k; for k = 0, s is x.
    let power = a.div(one, scale);
    let (less, more) = (a.sub(one, power), a.add(one, power));
    let (above, below) = (a.fma(size, more, less), a.fma(size, less, more));
    let s = a.div(above, below);
    let y = sum(a, k, s);
    let y = a.mul(half, y);
    // From 1 on: infinity at 1, and nothing beyond; a NaN stays a NaN.
    let inside = a.less(size, one);
    let outside = a.sqrt(down);
    let outside = a.div(one, outside);
    let y = a.select(inside, y, outside);
    a.with_sign(y, x)
}

/// The larger of x and 0, and log(1 + e^-|x|) = 2 atanh(e / (2 + e)), where e = e^-|x| is a quotient itself.
#[inline(always)]
pub(super) fn softplus<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let positive = a.at_least(x, 0.0);
    let positive = a.promote(positive);
    let x = a.at_most(x, FAR);
    let x = a.at_least(x, -FAR);
    let x = a.promote(x);
    let (size, two) = (a.abs(x), a.f64(2.0));
    let Power { above, below } = Power::of(a, size, -1.0);
    let below = a.fma(two, below, above);
    let s = a.div(above, below);
    twice_atanh(a, s, positive, &WIDE)
}
