//! The inverses of sine, cosine and tangent.

use std::f64::consts::FRAC_PI_2;

use super::Arithmetic;

/// asin(x) is x + x^3 ARC(x^2) up to 1/2.
const ARC: [f64; 12] = [
    f64::from_bits(0x3fc5_5555_5555_554e),
    f64::from_bits(0x3fb3_3333_3333_74ad),
    f64::from_bits(0x3fa6_db6d_b67b_e364),
    f64::from_bits(0x3f9f_1c71_fda3_ee0a),
    f64::from_bits(0x3f96_e8b2_290d_aaa5),
    f64::from_bits(0x3f91_c59d_eaf5_e241),
    f64::from_bits(0x3f8c_8639_d6c2_09c7),
    f64::from_bits(0x3f88_5919_4471_8ba0),
    f64::from_bits(0x3f7f_b36c_e442_1a2e),
    f64::from_bits(0x3f90_9d4c_148e_a01a),
    f64::from_bits(0xbf86_ab39_ca40_d837),
    f64::from_bits(0x3f9d_1570_03da_b2bc),
];

/// atan(x) is x ABOVE(x^2) / BELOW(x^2) up to 1.
const ABOVE: [f64; 7] = [
    f64::from_bits(0x3ff0_0000_0000_0000),
    f64::from_bits(0x4004_0d6f_9083_9220),
    f64::from_bits(0x4002_478d_c01c_aca0),
    f64::from_bits(0x3fed_83cf_b184_d6d8),
    f64::from_bits(0x3fc4_6c00_1b7f_06b9),
    f64::from_bits(0x3f83_3a50_03b0_5648),
    f64::from_bits(0x3f15_3ebd_c3f3_3987),
];

const BELOW: [f64; 7] = [
    f64::from_bits(0x3ff0_0000_0000_0000),
    f64::from_bits(0x4006_b81a_3b2e_3cc7),
    f64::from_bits(0x4008_40a7_8f92_7e2f),
    f64::from_bits(0x3ff8_1fb5_e649_41ec),
    f64::from_bits(0x3fd6_6cf6_a6f2_cc93),
    f64::from_bits(0x3fa0_f0cb_1eaf_5d48),
    f64::from_bits(0x3f4b_2fd0_7089_3823),
];

/// pi / 2 without its nearest float.
const REST: f64 = f64::from_bits(0x3c91_a626_3314_5c07);

/// The sine of an angle, and the angle of a part of it.
struct Part<A: Arithmetic> {
    x: A::F64,
    /// Whether |x| is less than 1/2.
    small: A::Bool,
    /// asin(|x|) if that is so, else asin(sqrt((1 - |x|) / 2)).
    angle: A::F64,
}

/// A NaN if |x| is larger than 1.
#[inline(always)]
fn part<A: Arithmetic>(a: &mut A, x: A::F32) -> Part<A> {
    let x = a.promote(x);
    let (size, one, half) = (a.abs(x), a.f64(1.0), a.f64(0.5));
    let small = a.less(size, half);
    let other = a.sub(one, size);
    let other = a.mul(other, half);
    let root = a.sqrt(other);
    let square = a.mul(size, size);
    let (square, base) = (a.select(small, square, other), a.select(small, size, root));
    let rest = a.polynomial(square, &ARC);
    let cube = a.mul(base, square);
    // It is a little too small for one of the hard cases.
    let lack = a.f64(f64::from_bits(0x3cc0_0000_0000_0000)); // 2^-51
    let cube = a.fma(base, lack, cube);
    Part { x, small, angle: a.fma(cube, rest, base) }
}

/// So many quarters of a turn, less an angle that isn't larger.
#[inline(always)]
fn quarters_less<A: Arithmetic>(a: &mut A, quarters: f64, angle: A::F64) -> A::F64 {
    let [whole, rest] = [quarters * FRAC_PI_2, quarters * REST].map(|x| a.f64(x));
    let difference = a.sub(whole, angle);
    let taken = a.sub(whole, difference);
    let lost = a.sub(taken, angle);
    let lost = a.add(lost, rest);
    let y = a.add(difference, lost);
    let added = a.sub(y, difference);
    let lost = a.sub(lost, added);
    a.rounded_to_odd(y, lost)
}

#[inline(always)]
pub(super) fn asin<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let Part { x, small, angle } = part(a, x);
    let twice = a.add(angle, angle);
    let large = quarters_less(a, 1.0, twice);
    let y = a.select(small, angle, large);
    a.with_sign(y, x)
}

#[inline(always)]
pub(super) fn acos<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let Part { x, small, angle } = part(a, x);
    let zero = a.f64(0.0);
    let signed = a.with_sign(angle, x);
    let near_quarter = quarters_less(a, 1.0, signed);
    let twice = a.add(angle, angle);
    let beyond = quarters_less(a, 2.0, twice);
    let negative = a.less(x, zero);
    let large = a.select(negative, beyond, twice);
    a.select(small, near_quarter, large)
}

#[inline(always)]
pub(super) fn atan<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let x = a.promote(x);
    let (size, one) = (a.abs(x), a.f64(1.0));
    let (large, inverse) = (a.less(one, size), a.div(one, size));
    let tangent = a.select(large, inverse, size);
    let square = a.mul(tangent, tangent);
    let above = a.polynomial(square, &ABOVE);
    let above = a.mul(above, tangent);
    let below = a.polynomial(square, &BELOW);
    let angle = a.quotient_to_odd(above, below);
    let other = quarters_less(a, 1.0, angle);
    let y = a.select(large, other, angle);
    a.with_sign(y, x)
}
