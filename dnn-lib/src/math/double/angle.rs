//! Sine, cosine and tangent.
//!
//! The angle is counted in quarters of a turn, x 2 / pi = n + f with |f| <= 1/2. No float is so near to a
//! quarter that the 130 bits of f that are computed are too few.

use std::f64::consts::FRAC_PI_2;

use super::exponential::{integer, scale};
use super::pair::{Pair, Pairs, factorials};
use super::within;
use crate::math::Arithmetic;
use crate::math::exponential::ROUNDER;
use crate::math::trigonometric::{odd_number, turned};

/// The bits of a piece of 2 / pi.
const PIECE: f64 = 53.0;

/// 2 / pi in pieces of 53 bits, as integers: the first is multiplied by 2^-53, the second by 2^-106, and so on.
const QUARTERS: [f64; 23] = [
    5_734_161_139_222_658.0,
    5_814_151_408_469_972.0,
    7_440_259_586_542_284.0,
    5_563_773_718_881_558.0,
    2_066_796_102_992_750.0,
    2_563_573_915_284_664.0,
    55_291_115_753_100.0,
    5_098_427_330_010_289.0,
    1_465_545_334_474_430.0,
    5_835_026_907_506_289.0,
    6_776_677_510_095_004.0,
    7_069_188_010_357_663.0,
    2_595_984_518_904_818.0,
    2_831_001_892_290_551.0,
    4_552_804_911_380_620.0,
    3_195_225_570_766_134.0,
    4_461_702_110_328_553.0,
    8_190_251_822_055_336.0,
    6_397_593_724_909_042.0,
    8_751_785_341_853_560.0,
    5_811_081_437_509_311.0,
    3_456_741_467_624_832.0,
    7_180_050_975_382_879.0,
];

/// How many pieces of 2 / pi matter for a number.
const WINDOW: usize = 6;

/// pi / 2.
pub(super) const QUARTER: [f64; 2] = [FRAC_PI_2, f64::from_bits(0x3c91_a626_3314_5c07)];

/// -1/3!, 1/5!, ...
const SINE: [[f64; 2]; 11] = factorials(3, 2, true);

/// -1/2!, 1/4!, ...
const COSINE: [[f64; 2]; 11] = factorials(2, 2, true);

/// Below this, an angle is its sine.
const SMALL: f64 = 1.0 / (1 << 27) as f64;

/// An angle in quarters of a turn.
struct Angle<A: Arithmetic> {
    /// The whole quarters in the low bits; the other bits have no meaning.
    n: A::I64,
    sine: Pair<A>,
    cosine: Pair<A>,
}

/// x = y 2^(53 q), and the pieces of 2 / pi from that with the number q - 2 on.
struct Pieces<A: Arithmetic> {
    y: A::F64,
    pieces: [A::F64; WINDOW],
}

fn pieces<A: Arithmetic>(a: &mut A, size: A::F64) -> Pieces<A> {
    let [rounder, zero, half, width, per_width] =
        [ROUNDER, 0.0, (PIECE - 1.0) / 2.0 + 1023.0, -PIECE, 1.0 / PIECE].map(|x| a.f64(x));
    let bits = a.bits(size);
    let (exponent, base) = (a.shift_right::<52>(bits), a.i64(ROUNDER.to_bits().cast_signed()));
    let exponent = a.add_int(exponent, base);
    let exponent = a.float(exponent);
    let exponent = a.sub(exponent, rounder);
    // The quotient of the exponent by the width, rounded down.
    let middle = a.sub(exponent, half);
    let q = a.fma(middle, per_width, rounder);
    let q = a.sub(q, rounder);
    let negative = a.less(q, zero);
    let mut q = a.select(negative, zero, q);
    let places = a.fma(q, width, rounder);
    let places = integer(a, places);
    let y = scale(a, size, places);
    // Each bit of q moves the pieces, the highest first.
    let mut all = vec![zero; 2];
    all.extend(QUARTERS.map(|piece| a.f64(piece)));
    for bit in [16, 8, 4, 2, 1] {
        let [limit, step] = [f64::from(bit) - 0.5, f64::from(-bit)].map(|x| a.f64(x));
        let is_set = a.less(limit, q);
        let rest = a.add(q, step);
        q = a.select(is_set, rest, q);
        let moved = |a: &mut A, i: usize| {
            let other = all.get(i + bit as usize).copied().unwrap_or(zero);
            a.select(is_set, other, all[i])
        };
        all = (0..all.len().min(WINDOW + bit as usize - 1)).map(|i| moved(a, i)).collect();
    }
    Pieces { y, pieces: std::array::from_fn(|i| all[i]) }
}

/// The sine and the cosine of what is left of |x| after whole quarters.
fn angle<A: Arithmetic>(a: &mut A, x: A::F64) -> Angle<A> {
    let size = a.abs(x);
    let Pieces { y, pieces } = pieces(a, size);
    // Of each product, what is left of eights is added in three parts.
    let [zero, eights, large] = [0.0, 8.0 * ROUNDER, (1u64 << 54) as f64].map(|x| a.f64(x));
    let mut sum = [zero; 3];
    for (i, piece) in (0..).zip(pieces) {
        let power = a.f64(2f64.powi(53 * (1 - i)));
        let product = a.exact_product(y, piece);
        let product = a.doubled(product, power);
        for part in [product.high, product.low] {
            let size = a.abs(part);
            // From here on, floats are multiples of four.
            let counts = a.less(size, large);
            let part = a.select(counts, part, zero);
            let whole = a.add(part, eights);
            let whole = a.sub(whole, eights);
            let part = a.sub(part, whole);
            let first = a.exact_sum(sum[0], part);
            let second = a.exact_sum(sum[1], first.low);
            sum = [first.high, second.high, a.add(sum[2], second.low)];
        }
    }
    let rounder = a.f64(ROUNDER);
    let shifted = a.add(sum[0], rounder);
    let n = a.sub(shifted, rounder);
    let left = a.sub(sum[0], n);
    let left = a.exact_sum(left, sum[1]);
    let rest = a.add(left.low, sum[2]);
    let (f, quarter) = (a.exact_sum(left.high, rest), a.pair(QUARTER));
    let f = a.times(f, quarter);
    let square = a.times(f, f);
    let sine = a.series(square, &SINE, 2);
    let sine = a.times(sine, square);
    let sine = a.times(sine, f);
    let (cosine, one) = (a.series(square, &COSINE, 2), a.f64(1.0));
    let cosine = a.times(cosine, square);
    Angle { n: a.bits(shifted), sine: a.plus(f, sine), cosine: a.plus_float(cosine, one) }
}

/// `y`, or nothing where x is not finite.
fn finite<A: Arithmetic>(a: &mut A, x: A::F64, y: A::F64) -> A::F64 {
    let nan = a.f64(f64::NAN);
    within(a, x, f64::INFINITY, y, nan)
}

pub(crate) fn sin<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let Angle { n, sine, cosine } = angle(a, x);
    let y = turned(a, n, sine.high, cosine.high);
    let y = a.with_sign(y, x);
    let y = within(a, x, SMALL, x, y);
    finite(a, x, y)
}

pub(crate) fn cos<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let Angle { n, sine, cosine } = angle(a, x);
    let one = a.i64(1);
    let n = a.add_int(n, one);
    let y = turned(a, n, sine.high, cosine.high);
    finite(a, x, y)
}

pub(crate) fn tan<A: Arithmetic>(a: &mut A, x: A::F64) -> A::F64 {
    let Angle { n, sine, cosine } = angle(a, x);
    let is_odd = odd_number(a, n);
    let (above, below) = (a.choose(is_odd, cosine, sine), a.choose(is_odd, sine, cosine));
    let y = a.over(above, below);
    let y = a.with_sign_bit(y.high, n);
    let y = a.with_sign(y, x);
    let y = within(a, x, SMALL, x, y);
    finite(a, x, y)
}
