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
    f64::from_bits(0x4007_1547_652b_82fe),
    f64::from_bits(0x3fbd_9303_fea2_8315),
    f64::from_bits(0xbf4e_5009_64fb_a029),
    f64::from_bits(0x3ee6_312a_0b9d_fe40),
    f64::from_bits(0xbe80_ef35_3064_8159),
];

/// Beyond this, exp rounds to infinity or 0, and so does the sigmoid to 1 or 0.
const FAR: f32 = 110.0;

/// The parts of 2^y.
struct Power<A: Arithmetic> {
    /// n, in the low 12 bits; the other bits have no meaning.
    n: A::I64,
    r: A::F64,
    /// r^2.
    square: A::F64,
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
    Power { n: a.bits(shifted), r, square, c }
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
pub(super) fn exp<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F32 {
    let x = a.at_most(x, FAR);
    let x = a.at_least(x, -FAR);
    let x = a.promote(x);
    let Power { n, r, c, .. } = power(a, x, LOG2_E, &C);
    let above = a.add(c, r);
    let below = a.sub(c, r);
    let y = a.div(above, below);
    let y = scale(a, y, n);
    a.demote(y)
}

/// (1 - 2^y) / (1 + 2^y), where y = -2 x log2(e).
#[inline(always)]
pub(super) fn tanh<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F32 {
    // tanh(10) rounds to 1.
    let x = a.at_most(x, 10.0);
    let x = a.at_least(x, -10.0);
    let x = a.promote(x);
    // -c instead of c, so that the numerator is -0 - 0 or -0 + 0 where x is a zero, and the quotient is x.
    let minus_c = C.map(|coefficient| -coefficient);
    let Power { n, r, c, .. } = power(a, x, -2.0 * LOG2_E, &minus_c);
    let one = a.f64(1.0);
    let p = scale(a, one, n);
    let difference = a.sub(one, p);
    let sum = a.add(one, p);
    let above = a.mul(sum, r);
    let above = a.fma(difference, c, above);
    let below = a.mul(difference, r);
    let below = a.fma(sum, c, below);
    let y = a.div(above, below);
    a.demote(y)
}

/// 1 / (1 + 2^y), where y = -x log2(e).
#[inline(always)]
pub(super) fn sigmoid<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F32 {
    let x = a.at_most(x, FAR);
    let x = a.at_least(x, -FAR);
    let x = a.promote(x);
    let Power { n, r, square, c } = power(a, x, -LOG2_E, &C);
    let r = away_from_midpoints(a, r, square);
    let above = a.sub(c, r);
    let other = a.add(c, r);
    let other = scale(a, other, n);
    let below = a.add(above, other);
    let y = a.div(above, below);
    a.demote(y)
}

/// If 1/2 + x/4 is the midpoint of two floats, the cubic term of the sigmoid decides, 1/2 + x/4 - x^3/48, however
/// small it is. So a small r, which is x / ln(2) then, is reduced by an amount that is too small to matter elsewhere.
#[inline(always)]
fn away_from_midpoints<A: Arithmetic>(a: &mut A, r: A::F64, square: A::F64) -> A::F64 {
    let factor = a.f64(1.0 - f64::from_bits(0x3e60_0000_0000_0000)); // 2^-25
    let limit = a.f64(f64::from_bits(0x3e30_0000_0000_0000)); // 2^-28
    let reduced = a.mul(r, factor);
    let small = a.less(square, limit);
    a.select(small, reduced, r)
}
