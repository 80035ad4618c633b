//! exp and what follows from it.
//!
//! With y = n + r, where n is the nearest integer and |r| <= 1/2,
//!
//! ```text
//! 2^y = 2^n (c + r) / (c - r),    c = r coth(r ln(2) / 2)
//! ```
//!
//! c is a function of r^2, and nearly constant: five coefficients give 50 bits. The division is no loss, since
//! tanh and the sigmoid are quotients anyway, and their numerators and denominators are sums of c and r times
//! powers of two.

use std::f64::consts::LOG2_E;

use super::Arithmetic;

/// Adding this to a small `f64` and subtracting it again rounds to an integer, which is also in the low bits
/// of the sum.
pub(super) const ROUNDER: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// c as a polynomial in r^2.
const C: [f64; 5] = [
    f64::from_bits(0x4007_1547_652b_8320),
    f64::from_bits(0x3fbd_9303_fea1_97e3),
    f64::from_bits(0xbf4e_5009_5e48_2332),
    f64::from_bits(0x3ee6_3121_0bf9_cc56),
    f64::from_bits(0xbe80_eb30_cd8b_a8ae),
];

/// Beyond this, exp rounds to infinity or 0, and so does the sigmoid to 1 or 0.
const FAR: f64 = 110.0;

/// The parts of 2^y.
struct Power<A: Arithmetic> {
    /// n, in the low 12 bits; the other bits have no meaning.
    n: A::I64,
    r: A::F64,
    c: A::F64,
}

/// The parts of 2^(x * factor), of at most a few hundred.
#[inline(always)]
fn power<A: Arithmetic>(a: &mut A, x: A::F64, factor: f64, c: &[f64]) -> Power<A> {
    let (factor, rounder) = (a.f64(factor), a.f64(ROUNDER));
    let shifted = a.fma(x, factor, rounder);
    let n = a.sub(shifted, rounder);
    let r = a.fms(x, factor, n);
    let square = a.mul(r, r);
    let c = a.polynomial(square, c);
    Power { n: a.bits(shifted), r, c }
}

/// x 2^n, if that is a normal number. A NaN stays a NaN.
#[inline(always)]
fn scale<A: Arithmetic>(a: &mut A, x: A::F64, n: A::I64) -> A::F64 {
    let exponent = a.shift_left::<52>(n);
    let bits = a.bits(x);
    let bits = a.add_int(bits, exponent);
    a.float(bits)
}

#[inline(always)]
pub(super) fn exp<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let x = a.at_most(x, FAR);
    let x = a.at_least(x, -FAR);
    let Power { n, r, c } = power(a, x, LOG2_E, &C);
    let above = a.add(c, r);
    let below = a.sub(c, r);
    let y = a.div(above, below);
    scale(a, y, n)
}

/// (1 - 2^y) / (1 + 2^y), where y = -2 x log2(e).
#[inline(always)]
pub(super) fn tanh<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    // tanh(10) rounds to 1.
    let x = a.at_most(x, 10.0);
    let x = a.at_least(x, -10.0);
    // -c instead of c, so that the numerator is -0 - 0 or -0 + 0 where x is a zero, and the quotient is x.
    let minus_c = C.map(|coefficient| -coefficient);
    let Power { n, r, c } = power(a, x, -2.0 * LOG2_E, &minus_c);
    let one = a.f64(1.0);
    let p = scale(a, one, n);
    let difference = a.sub(one, p);
    let sum = a.add(one, p);
    let above = a.mul(sum, r);
    let above = a.fma(difference, c, above);
    let below = a.mul(difference, r);
    let below = a.fma(sum, c, below);
    a.div(above, below)
}

/// 1 / (1 + 2^y), where y = -x log2(e).
#[inline(always)]
pub(super) fn sigmoid<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let x = a.at_most(x, FAR);
    let x = a.at_least(x, -FAR);
    let x = away_from_midpoints(a, x);
    let Power { n, r, c } = power(a, x, -LOG2_E, &C);
    let above = a.sub(c, r);
    let other = a.add(c, r);
    let other = scale(a, other, n);
    let below = a.add(above, other);
    a.div(above, below)
}

/// For |x| < 2^-12, the sigmoid is 1/2 + x/4 - x^3/48 + ... If 1/2 + x/4 is the midpoint of two floats, the
/// cubic term decides, however small it is. So x is reduced by an amount that is too small to matter elsewhere.
#[inline(always)]
fn away_from_midpoints<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let factor = a.f64(1.0 - f64::from_bits(0x3e60_0000_0000_0000)); // 2^-25
    let reduced = a.mul(x, factor);
    let magnitude = a.abs(x);
    let limit = a.f64(f64::from_bits(0x3f30_0000_0000_0000)); // 2^-12
    let small = a.less(magnitude, limit);
    a.select(small, reduced, x)
}
