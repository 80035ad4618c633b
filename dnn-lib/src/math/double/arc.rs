//! The inverses of sine, cosine and tangent.
//!
//! The angle of a vector whose tangent t is near c = j / 8 is that of c, and that of (t - c) / (1 + t c), which is
//! at most 1/15 and whose series is short.

use super::angle::QUARTER;
use super::pair::{Pair, Pairs, odd_reciprocals};
use super::{size_of, within};
use crate::math::Arithmetic;
use crate::math::exponential::ROUNDER;

/// The angles whose tangents are 0/8 to 7/8.
const ANGLES: [f64; 8] = [
    f64::from_bits(0x0000_0000_0000_0000),
    f64::from_bits(0x3fbf_d5ba_9aac_2f6e),
    f64::from_bits(0x3fcf_5b75_f92c_80dd),
    f64::from_bits(0x3fd6_f619_41e4_def1),
    f64::from_bits(0x3fdd_ac67_0561_bb4f),
    f64::from_bits(0x3fe1_e00b_abde_feb4),
    f64::from_bits(0x3fe4_978f_a326_9ee1),
    f64::from_bits(0x3fe7_00a7_c578_4634),
];

/// The same without their nearest floats.
const ANGLES_REST: [f64; 8] = [
    f64::from_bits(0x0000_0000_0000_0000),
    f64::from_bits(0xbc4c_d376_8676_0c17),
    f64::from_bits(0x3c68_ab6e_3cf7_afbd),
    f64::from_bits(0xbc7c_63aa_e6f6_e918),
    f64::from_bits(0x3c7a_2b7f_222f_65e2),
    f64::from_bits(0xbc59_28df_287a_668f),
    f64::from_bits(0x3c72_419a_87f2_a458),
    f64::from_bits(0xbc78_c34d_25aa_def6),
];

/// -1/3, 1/5, ...
const SERIES: [[f64; 2]; 9] = odd_reciprocals(true);

/// The angle of a vector whose coordinates are not negative.
fn angle<A: Arithmetic>(a: &mut A, x: Pair<A>, y: Pair<A>) -> Pair<A> {
    let steep = a.less(x.high, y.high);
    let (above, below) = (a.choose(steep, x, y), a.choose(steep, y, x));
    let [rounder, eight, eighth, last] = [ROUNDER, 8.0, 0.125, 7.0].map(|x| a.f64(x));
    let ratio = a.div(above.high, below.high);
    let eighths = a.mul(ratio, eight);
    let beyond = a.less(last, eighths);
    let eighths = a.select(beyond, last, eighths);
    let shifted = a.add(eighths, rounder);
    let c = a.sub(shifted, rounder);
    let (c, minus) = (a.mul(c, eighth), a.f64(-1.0));
    let minus_c = a.mul(c, minus);
    let (less, more) = (a.times_float(below, minus_c), a.times_float(above, c));
    let (above, below) = (a.plus(above, less), a.plus(below, more));
    let t = a.over(above, below);
    let square = a.times(t, t);
    let rest = a.series(square, &SERIES, 1);
    let rest = a.times(rest, square);
    let rest = a.times(rest, t);
    let rest = a.plus(t, rest);
    let index = a.bits(shifted);
    let near = Pair { high: a.look_up(&ANGLES, index), low: a.look_up(&ANGLES_REST, index) };
    let flat = a.plus(near, rest);
    let (quarter, opposite) = (a.pair(QUARTER), a.doubled(flat, minus));
    let other = a.plus(quarter, opposite);
    a.choose(steep, other, flat)
}

/// sqrt(1 - x^2).
fn other_side<A: Arithmetic>(a: &mut A, size: A::F64) -> Pair<A> {
    let (one, minus) = (a.f64(1.0), a.f64(-1.0));
    let minus_size = a.mul(size, minus);
    let (less, more) = (a.exact_sum(one, minus_size), a.exact_sum(one, size));
    let square = a.times(less, more);
    a.root(square)
}

/// `y`, or nothing where |x| is larger than 1.
fn inside<A: Arithmetic>(a: &mut A, x: A::F64, y: A::F64) -> A::F64 {
    let nan = a.f64(f64::NAN);
    within(a, x, 1.0 + f64::EPSILON, y, nan)
}

pub(crate) fn asin<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let size = a.abs(x);
    let (across, along) = (a.single(size), other_side(a, size));
    let y = angle(a, along, across);
    let y = a.with_sign(y.high, x);
    inside(a, x, y)
}

pub(crate) fn acos<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let size = a.abs(x);
    let (along, across) = (a.single(size), other_side(a, size));
    let sharp = angle(a, along, across);
    let (half, minus, zero) = (a.pair(QUARTER.map(|x| 2.0 * x)), a.f64(-1.0), a.f64(0.0));
    let blunt = a.doubled(sharp, minus);
    let blunt = a.plus(half, blunt);
    let negative = a.less(x, zero);
    let y = a.select(negative, blunt.high, sharp.high);
    inside(a, x, y)
}

pub(crate) fn atan<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    // From here on, the angle rounds to a quarter of a turn.
    let (across, one) = (size_of(a, x, 1e20), a.f64(1.0));
    let (across, along) = (a.single(across), a.single(one));
    let y = angle(a, along, across);
    a.with_sign(y.high, x)
}
