//! The error function, and functions that are x times something from 0 to 1.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::exponential::{self, Decay, scale};
use super::pair::{Pair, Pairs, areas};
use super::{at_least, at_most, size_of};
use crate::math::Arithmetic;

/// 1 - erf(x) is e^(-x^2) TAIL((x - CENTRE) / (x + CENTRE)) / (1 + 2 x) for x from 0 on (Shepherd, Laframboise).
const TAIL: [[f64; 2]; 28] = [
    [f64::from_bits(0x3ff3_ccda_0b5d_5dc2), f64::from_bits(0x3c9e_5e2d_a95d_35ac)],
    [f64::from_bits(0xbfc1_f367_683f_89a7), f64::from_bits(0x3c47_587d_1049_bcaa)],
    [f64::from_bits(0x3f6d_5f29_4815_9d5c), f64::from_bits(0x3c0b_13af_ff28_4a58)],
    [f64::from_bits(0x3fb5_1016_9d09_6805), f64::from_bits(0xbc54_93a2_b686_963b)],
    [f64::from_bits(0xbfbb_da93_09a2_88f3), f64::from_bits(0x3c4d_21bb_c438_c340)],
    [f64::from_bits(0x3fb7_a141_88a9_9ad9), f64::from_bits(0x3c5c_ce9b_aa97_ccb0)],
    [f64::from_bits(0xbfae_0d0f_a6df_ff48), f64::from_bits(0xbc01_4b78_ae91_348f)],
    [f64::from_bits(0x3f9d_0b00_37dc_e4a5), f64::from_bits(0xbc38_b6a8_6504_4ed3)],
    [f64::from_bits(0xbf83_f603_c33d_3651), f64::from_bits(0x3c15_f2df_a45b_8a8b)],
    [f64::from_bits(0x3f5c_c3a0_e20e_382a), 0.0],
    [f64::from_bits(0x3f33_3fb2_48b9_8a1f), 0.0],
    [f64::from_bits(0xbf33_03f9_d6d6_7f1a), 0.0],
    [f64::from_bits(0x3f0b_1444_2355_be43), 0.0],
    [f64::from_bits(0x3ef7_78a1_ef1a_cfe3), 0.0],
    [f64::from_bits(0xbee8_0083_9304_a96c), 0.0],
    [f64::from_bits(0xbeb0_5239_c97b_0804), 0.0],
    [f64::from_bits(0x3ebd_6afb_6f3f_188e), 0.0],
    [f64::from_bits(0xbe6f_4f5f_1bc1_2eef), 0.0],
    [f64::from_bits(0xbe91_8678_c18a_d7ac), 0.0],
    [f64::from_bits(0x3e5a_28c4_a946_7a8a), 0.0],
    [f64::from_bits(0x3e65_ff0a_c2a5_982f), 0.0],
    [f64::from_bits(0xbe33_2056_03c2_51e9), 0.0],
    [f64::from_bits(0xbe3c_1ceb_688a_aded), 0.0],
    [f64::from_bits(0x3e04_001e_0b4f_6b8d), 0.0],
    [f64::from_bits(0x3e0e_fff7_805d_80a7), 0.0],
    [f64::from_bits(0xbdcb_4c81_95ee_892b), 0.0],
    [f64::from_bits(0xbdd4_2cb7_ae4c_d5a0), 0.0],
    [f64::from_bits(0x3d7f_99a0_4646_4d7d), 0.0],
];

/// See [`TAIL`].
const CENTRE: f64 = 3.75;

/// How many coefficients of [`TAIL`] are so large that they are pairs.
const LARGE: usize = 9;

/// erf(x) is 2 / sqrt(pi) (x - x^3/3 + x^5/(2! 5) - x^7/(3! 7) + ...).
const SERIES: [[f64; 2]; 14] = areas();

const SLOPE: [f64; 2] = [FRAC_2_SQRT_PI, f64::from_bits(0x3c71_ae3a_914f_ed80)];
const ROOT: [f64; 2] = [FRAC_1_SQRT_2, f64::from_bits(0xbc8b_dd34_13b2_6456)];

/// 0.044715, and 2 sqrt(2 / pi).
const CUBIC: [f64; 2] = [0.044715, f64::from_bits(0x3c44_4135_5475_a31a)];
const STEEPNESS: [f64; 2] = [f64::from_bits(0x3ff9_8845_33d4_3651), f64::from_bits(0xbc9c_bc0d_30eb_fd15)];

/// From here on, the functions are x.
const FAR: f64 = 40.0;

/// 1 - erf(x) as 2^n times a pair, of a number that is not negative, and of its square.
fn tail<A: Arithmetic>(a: &mut A, x: Pair<A>, square: Pair<A>) -> (A::I64, Pair<A>) {
    let [centre, minus_centre, one, two] = [CENTRE, -CENTRE, 1.0, 2.0].map(|x| a.f64(x));
    let (above, below) = (a.plus_float(x, minus_centre), a.plus_float(x, centre));
    let t = a.over(above, below);
    let (above, below) = (a.series(t, &TAIL, LARGE), a.doubled(x, two));
    let below = a.plus_float(below, one);
    let Decay { n, part, .. } = Decay::of(a, square);
    let above = a.times(above, part);
    (n, a.over(above, below))
}

pub(crate) fn erf<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let size = size_of(a, x, 6.0);
    let (pair, square) = (a.single(size), a.exact_product(size, size));
    let (n, tail) = tail(a, pair, square);
    let [one, minus, half] = [1.0, -1.0, 0.5].map(|x| a.f64(x));
    let power = scale(a, minus, n);
    let less = a.doubled(tail, power);
    let far = a.plus_float(less, one);
    let sum = a.series(square, &SERIES, 2);
    let sum = a.times(sum, square);
    let sum = a.plus_float(sum, one);
    let slope = a.pair(SLOPE);
    let sum = a.times(sum, slope);
    let near = a.times_float(sum, size);
    let is_near = a.less(size, half);
    let y = a.select(is_near, near.high, far.high);
    a.with_sign(y, x)
}

/// x times a factor 2^n part where x is negative, x times another where it is not, and x from [`FAR`] on.
fn times_factor<A: Arithmetic>(
    a: &mut A,
    x: A::F64,
    (n, negative): (A::I64, Pair<A>),
    positive: Pair<A>,
) -> A::F64 {
    let near = at_most(a, x, FAR);
    // Beyond this, the factor is 0.
    let below = at_least(a, near, -exponential::FAR);
    let below = a.times_float(negative, below);
    let below = scale(a, below.high, n);
    let above = a.times_float(positive, near);
    let (zero, far) = (a.f64(0.0), a.f64(FAR));
    let (is_negative, is_far) = (a.less(x, zero), a.less(far, x));
    let y = a.select(is_negative, below, above.high);
    let y = a.select(is_far, x, y);
    // Of minus zero, it is minus zero.
    let size = a.abs(y);
    a.with_sign(size, x)
}

/// x times the area under the bell curve below x.
pub(crate) fn gelu<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let (size, root) = (size_of(a, x, FAR), a.pair(ROOT));
    let (square, half, one, minus) = (a.exact_product(size, size), a.f64(0.5), a.f64(1.0), a.f64(-1.0));
    let (distance, square) = (a.times_float(root, size), a.doubled(square, half));
    let (n, tail) = tail(a, distance, square);
    let tail = a.doubled(tail, half);
    let power = scale(a, minus, n);
    let less = a.doubled(tail, power);
    let most = a.plus_float(less, one);
    times_factor(a, x, (n, tail), most)
}

/// x times the sigmoid of 2 sqrt(2 / pi) (x + 0.044715 x^3).
pub(crate) fn gelu_tanh<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    // Beyond this, the sigmoid of the opposite is 0, also after it has been multiplied.
    let (size, one) = (size_of(a, x, 22.0), a.f64(1.0));
    let [cubic, steepness] = [CUBIC, STEEPNESS].map(|x| a.pair(x));
    let square = a.exact_product(size, size);
    let factor = a.times(square, cubic);
    let factor = a.plus_float(factor, one);
    let steep = a.times_float(steepness, size);
    let y = a.times(steep, factor);
    let Decay { n, part, whole } = Decay::of(a, y);
    let (below, unit) = (a.plus_float(whole, one), a.single(one));
    let (small, most) = (a.over(part, below), a.over(unit, below));
    times_factor(a, x, (n, small), most)
}

/// x times the hyperbolic tangent of log(1 + e^x). With e = e^-|x|, that is (1 + 2 e) / (1 + 2 e + 2 e^2), or
/// e (2 + e) / (2 + 2 e + e^2) where x is negative.
pub(crate) fn mish<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let (Decay { n, part, whole }, one, two) = (Decay::of_size(a, x), a.f64(1.0), a.f64(2.0));
    let (twice, square) = (a.doubled(whole, two), a.times(whole, whole));
    let (above, squares) = (a.plus_float(twice, one), a.doubled(square, two));
    let below = a.plus(above, squares);
    let most = a.over(above, below);
    let (above, below) = (a.plus_float(whole, two), a.plus_float(twice, two));
    let (above, below) = (a.times(above, part), a.plus(below, square));
    let small = a.over(above, below);
    times_factor(a, x, (n, small), most)
}
