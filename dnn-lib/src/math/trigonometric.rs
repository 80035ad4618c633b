//! Sine, cosine and tangent.
//!
//! The angle is counted in quarters of a turn, x 2 / pi = n + f with |f| <= 1/2, and then
//!
//! ```text
//! sin(f pi / 2) = f SINE(f^2),    cos(f pi / 2) = 1 + f^2 COSINE(f^2)
//! ```

use super::Arithmetic;
use super::exponential::ROUNDER;

/// 2 / pi in pieces of 27 bits, as many as the fraction of the largest float needs.
const QUARTERS: [f64; 8] = [
    f64::from_bits(0x3fe4_5f30_6c00_0000),
    f64::from_bits(0x3e2c_9c88_2800_0000),
    f64::from_bits(0x3c72_9fc2_7000_0000),
    f64::from_bits(0x3ad5_f47d_4c00_0000),
    f64::from_bits(0x3913_7703_6800_0000),
    f64::from_bits(0x3776_2959_9000_0000),
    f64::from_bits(0x35ce_21c8_2000_0000),
    f64::from_bits(0x33ff_e516_3000_0000),
];

/// The first coefficient is pi / 2 without its nearest float.
const SINE: [f64; 7] = [
    f64::from_bits(0x3c90_38c8_614c_a609),
    f64::from_bits(0xbfe4_abbc_e625_be41),
    f64::from_bits(0x3fb4_66bc_6775_87eb),
    f64::from_bits(0xbf73_2d2c_ce2e_4b78),
    f64::from_bits(0x3f25_0782_fd8f_cee4),
    f64::from_bits(0xbece_3007_0981_e2f3),
    f64::from_bits(0x3e6e_3f31_b85b_0a61),
];

const COSINE: [f64; 7] = [
    f64::from_bits(0xbff3_bd3c_c9be_45de),
    f64::from_bits(0x3fd0_3c1f_081b_5ab0),
    f64::from_bits(0xbf95_5d3c_7e3c_95a6),
    f64::from_bits(0x3f4e_1f50_683b_1f97),
    f64::from_bits(0xbefa_6d1e_cb57_19e5),
    f64::from_bits(0x3e9f_9cc6_95cc_c1a3),
    f64::from_bits(0xbe3b_26f7_4b51_e87c),
];

/// Adding this and subtracting it again rounds a number below 2^53 to a multiple of four.
const FOURS: f64 = 4.0 * ROUNDER;

/// The same for multiples of 2^-30.
const COARSE: f64 = ROUNDER / (1 << 30) as f64;

/// An angle in quarters of a turn.
struct Angle<A: Arithmetic> {
    /// Its size.
    x: A::F64,
    /// The whole quarters in the low bits; the other bits have no meaning.
    n: A::I64,
    sine: A::F64,
    cosine: A::F64,
}

/// The sine and the cosine of what is left of |x| after whole quarters. A NaN unless x is finite.
#[inline(always)]
fn angle<A: Arithmetic>(a: &mut A, x: A::F32) -> Angle<A> {
    let x = a.promote(x);
    let size = a.abs(x);
    // x times a piece is exact, and a multiple of four from 2^53 on. Of each product, what is left of fours is
    // added in two parts: multiples of 2^-30, whose sum is exact, and the rest.
    let [zero, fours, coarse, large] = [0.0, FOURS, COARSE, (1u64 << 53) as f64].map(|x| a.f64(x));
    let (mut high, mut low) = (zero, zero);
    for piece in QUARTERS {
        let piece = a.f64(piece);
        let product = a.mul(size, piece);
        let counts = a.less(product, large);
        let product = a.select(counts, product, zero);
        let whole = a.add(product, fours);
        let whole = a.sub(whole, fours);
        let product = a.sub(product, whole);
        let part = a.add(product, coarse);
        let part = a.sub(part, coarse);
        let rest = a.sub(product, part);
        high = a.add(high, part);
        low = a.add(low, rest);
    }
    let rounder = a.f64(ROUNDER);
    let shifted = a.add(high, rounder);
    let n = a.sub(shifted, rounder);
    let f = a.sub(high, n);
    let f = a.add(f, low);
    let infinity = a.f64(f64::INFINITY);
    let (finite, nan) = (a.less(size, infinity), a.f64(f64::NAN));
    let f = a.select(finite, f, nan);
    let square = a.mul(f, f);
    let (quarter, one) = (a.f64(std::f64::consts::FRAC_PI_2), a.f64(1.0));
    let sine = a.polynomial(square, &SINE);
    let sine = a.mul(sine, f);
    let sine = a.fma(f, quarter, sine);
    let cosine = a.polynomial(square, &COSINE);
    let less = a.mul(cosine, square);
    let cosine = a.add(one, less);
    let added = a.sub(cosine, one);
    let lost = a.sub(less, added);
    let cosine = a.rounded_to_odd(cosine, lost);
    Angle { x, n: a.bits(shifted), sine, cosine }
}

/// The first value if n is even, else the second, with the sign changed if the bit above is set.
#[inline(always)]
pub(super) fn turned<A: Arithmetic>(a: &mut A, n: A::I64, even: A::F64, odd: A::F64) -> A::F64 {
    let is_odd = odd_number(a, n);
    let y = a.select(is_odd, odd, even);
    let half = a.shift_right::<1>(n);
    a.with_sign_bit(y, half)
}

/// Whether n is odd.
#[inline(always)]
pub(super) fn odd_number<A: Arithmetic>(a: &mut A, n: A::I64) -> A::Bool {
    let (one, zero) = (a.f64(1.0), a.f64(0.0));
    let signed = a.with_sign_bit(one, n);
    a.less(signed, zero)
}

#[inline(always)]
pub(super) fn sin<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let Angle { x, n, sine, cosine } = angle(a, x);
    let y = turned(a, n, sine, cosine);
    a.with_sign(y, x)
}

#[inline(always)]
pub(super) fn cos<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let Angle { n, sine, cosine, .. } = angle(a, x);
    let one = a.i64(1);
    let n = a.add_int(n, one);
    turned(a, n, sine, cosine)
}

#[inline(always)]
pub(super) fn tan<A: Arithmetic>(a: &mut A, x: A::F32) -> A::F64 {
    let Angle { x, n, sine, cosine } = angle(a, x);
    let is_odd = odd_number(a, n);
    let (above, below) = (a.select(is_odd, cosine, sine), a.select(is_odd, sine, cosine));
    let y = a.div(above, below);
    let y = a.with_sign_bit(y, n);
    a.with_sign(y, x)
}
