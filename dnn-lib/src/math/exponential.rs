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

/// log2(e) without its nearest float.
const LOG2_E_REST: f64 = f64::from_bits(0x3c77_77d0_ffda_0d24);

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

/// The same with an error of 2^-58, for functions that lose some of it.
const C_FINE: [f64; 6] = [
    f64::from_bits(0x4007_1547_652b_82fe),
    f64::from_bits(0x3fbd_9303_fea2_f7bc),
    f64::from_bits(0xbf4e_5009_6dde_9ba8),
    f64::from_bits(0x3ee6_3144_e990_be5d),
    f64::from_bits(0xbe81_0f32_a8a6_45e4),
    f64::from_bits(0x3e1a_40da_4917_0135),
];

/// Beyond this, exp rounds to infinity or 0, and so does the sigmoid to 1 or 0.
pub(super) const FAR: f32 = 110.0;

/// The eighth roots 2^(j/8) of powers of two, with j subtracted from the bits at EIGHTH. So the bits at EIGHTH of
/// an integer k can be added to the root of its last three, and make it 2^(k/8).
const ROOTS: [f64; 8] = [
    f64::from_bits(0x3ff0_0000_0000_0000),
    f64::from_bits(0x3ff1_72b8_3c7d_517b - (1 << EIGHTH)),
    f64::from_bits(0x3ff3_06fe_0a31_b715 - (2 << EIGHTH)),
    f64::from_bits(0x3ff4_bfda_d536_2a27 - (3 << EIGHTH)),
    f64::from_bits(0x3ff6_a09e_667f_3bcd - (4 << EIGHTH)),
    f64::from_bits(0x3ff8_ace5_422a_a0db - (5 << EIGHTH)),
    f64::from_bits(0x3ffa_e89f_995a_d3ad - (6 << EIGHTH)),
    f64::from_bits(0x3ffd_5818_dcfb_a487 - (7 << EIGHTH)),
];

/// Where the exponent of an `f64` is in its bits.
const WHOLE: u32 = 52;

/// Where the eighths of an exponent would be.
const EIGHTH: u32 = WHOLE - 3;

/// (2^(r/8) - 1) / r as a polynomial. The minimax one has an error of 2^-49, which two hard cases see; these are
/// neighbours of its coefficients by which all results are right.
const ROOT: [f64; 6] = [
    f64::from_bits(0x3fb6_2e42_fefa_3b46),
    f64::from_bits(0x3f6e_bfbd_ff82_f562),
    f64::from_bits(0x3f1c_6b08_d5a1_7c3a),
    f64::from_bits(0x3ec3_b2ab_6e2b_ff44),
    f64::from_bits(0x3e65_d8e6_d616_3cba),
    f64::from_bits(0x3e04_30ee_321a_be1f),
];

/// x factor = n + r. The product is of at most a few thousand.
struct Split<A: Arithmetic> {
    /// n, in the low bits; the other bits have no meaning.
    n: A::I64,
    r: A::F64,
}

#[inline(always)]
fn split<A: Arithmetic>(a: &mut A, x: A::F64, factor: f64) -> Split<A> {
    let (factor, rounder) = (a.f64(factor), a.f64(ROUNDER));
    let shifted = a.fma(x, factor, rounder);
    let n = a.sub(shifted, rounder);
    let r = a.fms(x, factor, n);
    Split { n: a.bits(shifted), r }
}

/// x with the bits of n added from some bit on: x 2^n for WHOLE, if that is a normal number. A NaN stays a NaN.
#[inline(always)]
fn scale<A: Arithmetic, const BIT: u32>(a: &mut A, x: A::F64, n: A::I64) -> A::F64 {
    let exponent = a.shift_left::<BIT>(n);
    let bits = a.bits(x);
    let bits = a.add_int(bits, exponent);
    a.float(bits)
}

#[inline(always)]
pub(super) fn exp<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let x = a.at_most(x, FAR);
    let x = a.at_least(x, -FAR);
    let x = a.promote(x);
    if A::TABLES { exp_by_roots(a, x) } else { exp_by_division(a, x) }
}

#[inline(always)]
fn exp_by_division<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let Split { n, r } = split(a, x, LOG2_E);
    exp2(a, n, r)
}

/// 2^(n + r), where n is in the low bits.
#[inline(always)]
pub(super) fn exp2<A: Arithmetic>(a: &mut A, n: A::I64, r: A::F64) -> A::F64 {
    let square = a.mul(r, r);
    let c = a.polynomial(square, &C);
    let above = a.add(c, r);
    let below = a.sub(c, r);
    let y = a.div(above, below);
    scale::<_, WHOLE>(a, y, n)
}

/// With a root for every eighth of n, r is so small that a short polynomial is quicker than a division.
#[inline(always)]
fn exp_by_roots<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let Split { n, r } = split(a, x, 8.0 * LOG2_E);
    let root = a.look_up(&ROOTS, n);
    let power = scale::<_, EIGHTH>(a, root, n);
    let rest = a.polynomial(r, &ROOT);
    let rest = a.mul(rest, r);
    a.fma(power, rest, power)
}

/// (1 - 2^y) / (1 + 2^y), where y = -2 x log2(e).
#[inline(always)]
pub(super) fn tanh<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    // tanh(10) rounds to 1.
    let x = a.at_most(x, 10.0);
    let x = a.at_least(x, -10.0);
    let x = a.promote(x);
    // -c instead of c, so that the numerator is -0 - 0 or -0 + 0 where x is a zero, and the quotient is x.
    let minus_c = C.map(|coefficient| -coefficient);
    let Split { n, r } = split(a, x, -2.0 * LOG2_E);
    let square = a.mul(r, r);
    let c = a.polynomial(square, &minus_c);
    let one = a.f64(1.0);
    let p = scale::<_, WHOLE>(a, one, n);
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
pub(super) fn sigmoid<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let x = a.at_most(x, FAR);
    let x = a.at_least(x, -FAR);
    let x = a.promote(x);
    let Split { n, r } = split(a, x, -LOG2_E);
    let square = a.mul(r, r);
    let c = a.polynomial(square, &C);
    let r = away_from_midpoints(a, r, square);
    let above = a.sub(c, r);
    let other = a.add(c, r);
    let other = scale::<_, WHOLE>(a, other, n);
    let below = a.add(above, other);
    a.div(above, below)
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

/// e^y as a quotient.
pub(super) struct Power<A: Arithmetic> {
    pub above: A::F64,
    pub below: A::F64,
}

/// What an x is in powers of two, more exactly than [`Split`].
struct Exact<A: Arithmetic> {
    n: A::I64,
    r: A::F64,
    square: A::F64,
    c: A::F64,
}

#[inline(always)]
fn split_exactly<A: Arithmetic>(a: &mut A, x: A::F64, times: f64) -> Exact<A> {
    let Split { n, r } = split(a, x, times * LOG2_E);
    let rest = a.f64(times * LOG2_E_REST);
    let r = a.fma(x, rest, r);
    let square = a.mul(r, r);
    Exact { n, r, square, c: a.polynomial(square, &C_FINE) }
}

impl<A: Arithmetic> Power<A> {
    /// e^(x times), where the factor is a power of two or its opposite.
    #[inline(always)]
    pub fn of(a: &mut A, x: A::F64, times: f64) -> Self {
        let Exact { n, r, c, .. } = split_exactly(a, x, times);
        let above = a.add(c, r);
        Self { above: scale::<_, WHOLE>(a, above, n), below: a.sub(c, r) }
    }
}

/// ((2^n - 1) c + (2^n + 1) r) / (c - r).
#[inline(always)]
pub(super) fn expm1<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let x = a.at_most(x, FAR);
    let x = a.at_least(x, -FAR);
    let x = a.promote(x);
    let Exact { n, r, c, .. } = split_exactly(a, x, 1.0);
    let one = a.f64(1.0);
    let p = scale::<_, WHOLE>(a, one, n);
    // Subtracted, so that the numerator is -0 if x is.
    let less = a.sub(one, p);
    let less = a.mul(less, c);
    let more = a.add(one, p);
    let above = a.fms(more, r, less);
    let below = a.sub(c, r);
    a.div(above, below)
}

/// e^|x| and e^-|x| over one denominator.
struct Both<A: Arithmetic> {
    /// What they have in common, and what is different.
    common: A::F64,
    different: A::F64,
    /// 2^2n.
    p: A::F64,
    below: A::F64,
    x: A::F64,
}

/// With p = 2^n, they are p (c + r)^2 / (c^2 - r^2) and (c - r)^2 / (p (c^2 - r^2)).
#[inline(always)]
fn both<A: Arithmetic>(a: &mut A, x: A::F32) -> Both<A> {
    let x = a.at_most(x, FAR);
    let x = a.at_least(x, -FAR);
    let x = a.promote(x);
    let size = a.abs(x);
    let Exact { n, r, square, c } = split_exactly(a, size, 1.0);
    let (one, two) = (a.f64(1.0), a.f64(2.0));
    let p = scale::<_, WHOLE>(a, one, n);
    let common = a.fma(c, c, square);
    let different = a.mul(c, r);
    let different = a.mul(two, different);
    let below = a.fms(c, c, square);
    let twice = a.mul(two, p);
    Both { common, different, p: a.mul(p, p), below: a.mul(twice, below), x }
}

#[inline(always)]
pub(super) fn sinh<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let Both { common, different, p, below, x } = both(a, x);
    let one = a.f64(1.0);
    let (less, more) = (a.sub(p, one), a.add(p, one));
    let above = a.mul(less, common);
    let above = a.fma(more, different, above);
    // It is a little too large for one of the hard cases.
    let (y, excess) = (a.div(above, below), a.f64(-f64::from_bits(0x3cc0_0000_0000_0000))); // 2^-51
    let y = a.fma(y, excess, y);
    a.with_sign(y, x)
}

#[inline(always)]
pub(super) fn cosh<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let Both { common, different, p, below, .. } = both(a, x);
    let one = a.f64(1.0);
    let (less, more) = (a.sub(p, one), a.add(p, one));
    let above = a.mul(more, common);
    let above = a.fma(less, different, above);
    a.div(above, below)
}
