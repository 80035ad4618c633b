//! Floats of 8 bits and fewer. An element is its code, an integer: only casts give it the meaning of a number.

use super::{Ops, Value};
use crate::tensor::DType;

/// What is done with a number between two neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest one; of powers of two, the larger one of two.
    Nearest,
    /// To the larger one.
    Up,
    /// To the smaller one.
    Down,
}

/// Which codes are no numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    /// Those with the largest exponent: infinity, and NaNs above it.
    Large,
    /// The largest one is a NaN.
    Largest,
    /// Minus zero is a NaN.
    MinusZero,
    /// None.
    None,
}

/// A format with a sign.
#[derive(Clone, Copy, Debug)]
struct Signed {
    /// The bits without the sign.
    bits: u32,
    /// The bits of the fraction.
    fraction: u32,
    bias: u32,
    special: Special,
}

impl Signed {
    fn of(dtype: DType) -> Option<Self> {
        let (bits, fraction, bias, special) = match dtype {
            DType::F8E4M3FN => (7, 3, 7, Special::Largest),
            DType::F8E4M3FNUZ => (7, 3, 8, Special::MinusZero),
            DType::F8E5M2 => (7, 2, 15, Special::Large),
            DType::F8E5M2FNUZ => (7, 2, 16, Special::MinusZero),
            DType::F4E2M1 => (3, 1, 1, Special::None),
            _ => return None,
        };
        Some(Self { bits, fraction, bias, special })
    }

    /// The code of minus zero.
    fn sign(&self) -> i32 {
        1 << self.bits
    }

    /// The code of the largest number.
    fn most(&self) -> i32 {
        match self.special {
            Special::Large => (1 << self.bits) - (1 << self.fraction) - 1,
            Special::Largest => (1 << self.bits) - 2,
            Special::MinusZero | Special::None => (1 << self.bits) - 1,
        }
    }

    /// The code of infinity, or of what is instead of it, and the code of a NaN.
    fn beyond(&self) -> [i32; 2] {
        match self.special {
            Special::Large => [self.most() + 1, self.most() + 1 + (1 << (self.fraction - 1))],
            Special::Largest => [self.most() + 1; 2],
            Special::MinusZero => [self.sign(); 2],
            // The library that defines the type does so.
            Special::None => [self.most(), self.sign()],
        }
    }

    /// The number as an `F32`, exactly.
    fn decoded(&self, b: &mut (impl Ops + ?Sized), code: Value) -> Value {
        let [all, places, sign, nothing] =
            [self.sign() - 1, 23 - self.fraction.cast_signed(), self.sign(), 0].map(|x| b.i32(x));
        let size = b.and(code, all);
        // As if it were an f32 with a smaller exponent, which a product with a power of two corrects exactly.
        let (shifted, power) = (b.shl(size, places), b.f32(f32::from_bits((254 - self.bias) << 23)));
        let shifted = b.bitcast(shifted);
        let mut x = b.mul(shifted, power);
        if self.special == Special::Large {
            let (most, infinity) = (b.i32(self.most()), b.f32(f32::INFINITY));
            let beyond = b.lt(most, size);
            x = b.select(beyond, infinity, x);
        }
        let (signed, minus) = (b.and(code, sign), b.neg(x));
        let negative = b.ne(signed, nothing);
        x = b.select(negative, minus, x);
        let (code, nan) = match self.special {
            Special::Large => (size, self.beyond()[0] + 1),
            Special::Largest => (size, self.most() + 1),
            Special::MinusZero => (code, self.sign()),
            Special::None => return x,
        };
        let (least, nan) = (b.i32(nan), b.f32(f32::NAN));
        let is_nan = b.le(least, code);
        // Of these, only minus zero has codes above it.
        let is_nan = if self.special == Special::MinusZero { b.eq(code, least) } else { is_nan };
        b.select(is_nan, nan, x)
    }

    /// The code nearest to an `F32`, the even one of two.
    fn encoded(&self, b: &mut (impl Ops + ?Sized), x: Value, saturate: bool) -> Value {
        let size = b.abs(x);
        let bits = b.bitcast(size);
        let places = 23 - self.fraction;
        // What is subnormal has the code at the end of its sum with a power of two.
        let power = (127 + places - self.bias + 1) << 23;
        let (power, minus_power) = (b.f32(f32::from_bits(power)), b.i32(-power.cast_signed()));
        let sum = b.add(size, power);
        let sum = b.bitcast(sum);
        let subnormal = b.add(sum, minus_power);
        let [count, one] = [places.cast_signed(), 1].map(|x| b.i32(x));
        let odd = b.shr_u(bits, count);
        let odd = b.and(odd, one);
        let shift = (1 << (places - 1)) - 1 - ((127 - self.bias) << 23).cast_signed();
        let (shift, least) = (b.i32(shift), b.i32(((128 - self.bias) << 23).cast_signed()));
        let normal = b.add(bits, shift);
        let normal = b.add(normal, odd);
        let normal = b.shr_s(normal, count);
        let is_small = b.lt(bits, least);
        let code = b.select(is_small, subnormal, normal);
        // Too large ones, then the sign, then what has none.
        let [beyond, nan] = self.beyond();
        let most = b.i32(self.most());
        let instead = if saturate { most } else { b.i32(beyond) };
        let is_beyond = b.lt(most, code);
        let code = b.select(is_beyond, instead, code);
        let [all, sign, nan, zero] = [31, self.sign(), nan, 0].map(|x| b.i32(x));
        let own = b.bitcast(x);
        let own = b.shr_s(own, all);
        let own = b.and(own, sign);
        let mut signed = b.or(code, own);
        if self.special == Special::MinusZero {
            let is_zero = b.eq(code, zero);
            signed = b.select(is_zero, zero, signed);
        }
        let number = b.eq(x, x);
        b.select(number, signed, nan)
    }
}

/// The code of a NaN as a power of two, whose largest code is one below.
const NO_POWER: i32 = 255;

/// 2^(code - 127) as an `F32`; the last code is a NaN.
fn decoded_power(b: &mut (impl Ops + ?Sized), code: Value) -> Value {
    // The first one is subnormal.
    let [places, zero, least, last] = [23, 0, 1 << 22, NO_POWER].map(|x| b.i32(x));
    let bits = b.shl(code, places);
    let is_first = b.eq(code, zero);
    let bits = b.select(is_first, least, bits);
    let (x, nan) = (b.bitcast(bits), b.f32(f32::NAN));
    let is_nan = b.eq(code, last);
    b.select(is_nan, nan, x)
}

/// The code of |x| as a power of two.
fn encoded_power(b: &mut (impl Ops + ?Sized), x: Value, saturate: bool, rounding: Rounding) -> Value {
    let size = b.abs(x);
    let bits = b.bitcast(size);
    // Below the second code, powers are half as far apart in bits.
    let added = match rounding {
        Rounding::Nearest => 1 << 22,
        Rounding::Up => (1 << 23) - 1,
        Rounding::Down => 0,
    };
    let [normal, subnormal, places, least, first] =
        [added, added / 2, 23, 1 << 23, 1 << 22].map(|x| b.i32(x));
    let is_small = b.lt(bits, least);
    let added = b.select(is_small, subnormal, normal);
    let code = b.add(bits, added);
    let code = b.shr_u(code, places);
    let [last, nan] = [NO_POWER - 1, NO_POWER].map(|x| b.i32(x));
    if saturate {
        let (code, number) = (b.min(code, last), b.eq(x, x));
        return b.select(number, code, nan);
    }
    let (code, too_small) = (b.min(code, nan), b.lt(bits, first));
    let number = b.not(too_small);
    b.select(number, code, nan)
}

/// The number of a code as an `F32`. `None` for other types.
pub(super) fn decoded(b: &mut (impl Ops + ?Sized), from: DType, code: Value) -> Option<Value> {
    match Signed::of(from) {
        Some(format) => Some(format.decoded(b, code)),
        None => (from == DType::F8E8M0).then(|| decoded_power(b, code)),
    }
}

/// The code of an `F32`. `None` for other types.
pub(super) fn encoded(
    b: &mut (impl Ops + ?Sized),
    to: DType,
    x: Value,
    saturate: bool,
    rounding: Rounding,
) -> Option<Value> {
    match Signed::of(to) {
        Some(format) => Some(format.encoded(b, x, saturate)),
        None => (to == DType::F8E8M0).then(|| encoded_power(b, x, saturate, rounding)),
    }
}
