//! Functions that are x times something from 0 to 1.

use super::Arithmetic;
use super::exponential::{FAR, Power};

/// The area under the bell curve below -t is e^(-t^2 / 2) ABOVE(t) / BELOW(t), up to where x times it is 0.
const ABOVE: [f64; 10] = [
    f64::from_bits(0x3fe0_0000_0000_0000),
    f64::from_bits(0x3fe7_aead_f847_c59a),
    f64::from_bits(0x3fe1_6eba_84a1_48fa),
    f64::from_bits(0x3fd0_4f23_c41d_12a9),
    f64::from_bits(0x3fb5_1ffa_5ab2_3d14),
    f64::from_bits(0x3f93_89d0_27fe_4425),
    f64::from_bits(0x3f69_c5de_5f8c_8aae),
    f64::from_bits(0x3f37_6c1a_4b82_9162),
    f64::from_bits(0x3efa_c183_40d0_dcda),
    f64::from_bits(0x3ead_9166_28f0_f6bf),
];

const BELOW: [f64; 11] = [
    f64::from_bits(0x3ff0_0000_0000_0000),
    f64::from_bits(0x4002_3968_4918_f061),
    f64::from_bits(0x4003_41d2_1ff0_0176),
    f64::from_bits(0x3ff8_ea65_8d20_24b0),
    f64::from_bits(0x3fe5_ea13_a2de_90f8),
    f64::from_bits(0x3fcb_781d_1d4b_ac96),
    f64::from_bits(0x3fa8_f1af_b872_5b49),
    f64::from_bits(0x3f80_4822_6f53_e4d3),
    f64::from_bits(0x3f4d_6d87_80a6_5394),
    f64::from_bits(0x3f10_c44b_a939_a654),
    f64::from_bits(0x3ec2_876a_dc9f_2386),
];

/// 0.044715, and 2 sqrt(2 / pi).
const CUBIC: f64 = 0.044715;
const STEEPNESS: f64 = f64::from_bits(0x3ff9_8845_33d4_3651);

/// Half of a small x can be the midpoint of two floats, and then it matters that its factor is not 1/2. So the
/// factor is that of an x of at least this size, which makes no difference elsewhere.
const SMALL: f64 = f64::from_bits(0x3d20_0000_0000_0000); // 2^-45

/// |x|, at least [`SMALL`], at most a limit.
#[inline(always)]
fn size_of<A: Arithmetic>(a: &mut A, x: A::F32, limit: f32) -> A::F64 {
    let x = a.at_most(x, limit);
    let x = a.at_least(x, -limit);
    let x = a.promote(x);
    let (size, small) = (a.abs(x), a.f64(SMALL));
    let is_small = a.less(size, small);
    a.select(is_small, small, size)
}

/// x times the area under the bell curve below x.
#[inline(always)]
pub(super) fn gelu<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    const FAR: f32 = 14.6;
    let size = size_of(a, x, FAR);
    let square = a.mul(size, size);
    let power = Power::of(a, square, -0.5);
    let (above, below) = (a.polynomial(size, &ABOVE), a.polynomial(size, &BELOW));
    let (above, below) = (a.mul(above, power.above), a.mul(below, power.below));
    let tail = a.div(above, below);
    let x = a.at_least(x, -FAR);
    let (x, zero, one) = (a.promote(x), a.f64(0.0), a.f64(1.0));
    let (positive, rest) = (a.less(zero, x), a.sub(one, tail));
    let area = a.select(positive, rest, tail);
    a.mul(x, area)
}

/// x times the sigmoid of 2 sqrt(2 / pi) (x + 0.044715 x^3).
#[inline(always)]
pub(super) fn gelu_tanh<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    const FAR: f32 = 12.0;
    let size = size_of(a, x, FAR);
    let (cubic, one, steepness) = (a.f64(CUBIC), a.f64(1.0), a.f64(STEEPNESS));
    let square = a.mul(size, size);
    let factor = a.fma(square, cubic, one);
    let steep = a.mul(size, steepness);
    let y = a.mul(steep, factor);
    let Power { above, below } = Power::of(a, y, -1.0);
    let sum = a.add(above, below);
    // Of a hard case and its opposite, each is rounded rightly in one of two orders only.
    let x = a.at_least(x, -FAR);
    let (x, zero) = (a.promote(x), a.f64(0.0));
    let positive = a.less(zero, x);
    let most = a.mul(x, below);
    let most = a.div(most, sum);
    let tail = a.div(above, sum);
    let tail = a.mul(x, tail);
    a.select(positive, most, tail)
}

/// x times the hyperbolic tangent of log(1 + e), where e = e^x: w / (w + 2) with w = e (e + 2). As e is a quotient
/// p / q, that is p (p + 2 q) / (p (p + 2 q) + 2 q^2).
#[inline(always)]
pub(super) fn mish<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let x = a.at_least(x, -FAR);
    let clamped = a.at_most(x, FAR);
    let (x, clamped) = (a.promote(x), a.promote(clamped));
    let two = a.f64(2.0);
    let Power { above, below } = Power::of(a, clamped, 1.0);
    let w = a.fma(two, below, above);
    let w = a.mul(above, w);
    let square = a.mul(below, below);
    let sum = a.fma(two, square, w);
    let part = a.div(w, sum);
    a.mul(x, part)
}
