//! The error function.

use super::Arithmetic;

/// erf(x) is x ABOVE(x^2) / BELOW(x^2) up to where it rounds to 1. All coefficients are positive, so nothing is
/// cancelled. The first one is 2 / sqrt(pi), a unit in the last place too large for one of the hard cases.
const ABOVE: [f64; 10] = [
    f64::from_bits(0x3ff2_0dd7_5042_9b6e),
    f64::from_bits(0x3fc9_80fe_afe5_a30a),
    f64::from_bits(0x3fae_c7d2_d705_6e7b),
    f64::from_bits(0x3f75_d238_78cf_6a40),
    f64::from_bits(0x3f44_8722_4ca0_0be0),
    f64::from_bits(0x3f00_ed25_baa0_d764),
    f64::from_bits(0x3ebe_85e0_9859_061f),
    f64::from_bits(0x3e69_d417_064d_4c19),
    f64::from_bits(0x3e11_3f58_e0e8_28a3),
    f64::from_bits(0x3d87_e254_9a87_de8c),
];

const BELOW: [f64; 10] = [
    f64::from_bits(0x3ff0_0000_0000_0000),
    f64::from_bits(0x3fe0_5135_9d2b_94d1),
    f64::from_bits(0x3fbf_8d47_f3c6_b876),
    f64::from_bits(0x3f93_11d3_9523_9ec0),
    f64::from_bits(0x3f5f_ee87_2003_bdf4),
    f64::from_bits(0x3f23_510e_ec98_0e13),
    f64::from_bits(0x3ee0_fc37_415c_3950),
    f64::from_bits(0x3e95_019f_d59c_5af5),
    f64::from_bits(0x3e40_6dd2_ed99_8184),
    f64::from_bits(0x3dd5_e4d5_7377_c4fc),
];

/// erf(3.92) rounds to 1.
const FAR: f32 = 3.92;

#[inline(always)]
pub(super) fn erf<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let x = a.at_most(x, FAR);
    let x = a.at_least(x, -FAR);
    let x = a.promote(x);
    let square = a.mul(x, x);
    let above = a.polynomial(square, &ABOVE);
    let above = a.mul(above, x);
    let below = a.polynomial(square, &BELOW);
    a.div(above, below)
}
