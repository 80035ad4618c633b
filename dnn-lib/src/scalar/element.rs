//! Elements of tensors and the bits of floats.

use super::Type;
use crate::tensor::DType;

/// The bits of an `f32`, canonical for a NaN. Computed on integers, because a compiler may drop float code that
/// only changes one NaN into another.
#[inline(always)]
pub const fn canonical32(bits: u32) -> u32 {
    if bits & 0x7fff_ffff > 0x7f80_0000 { 0x7fc0_0000 } else { bits }
}

/// [`canonical32`] of an `f64`.
#[inline(always)]
pub const fn canonical64(bits: u64) -> u64 {
    if bits & !(1 << 63) > 0x7ff0_0000_0000_0000 { 0x7ff8_0000_0000_0000 } else { bits }
}

/// The second float if it is less, else the first; a NaN if one of them is.
#[inline(always)]
#[expect(clippy::eq_op, reason = "only a NaN differs from itself")]
pub fn minimum<F: PartialOrd + Copy>(a: F, b: F) -> F {
    let less = if b < a { b } else { a };
    // In this form, both choices are single vector instructions.
    if b == b { less } else { b }
}

/// The second float if it is larger, else the first; a NaN if one of them is.
#[inline(always)]
#[expect(clippy::eq_op, reason = "only a NaN differs from itself")]
pub fn maximum<F: PartialOrd + Copy>(a: F, b: F) -> F {
    let larger = if a < b { b } else { a };
    if b == b { larger } else { b }
}

/// The bits of a value, canonical for a NaN.
fn canonical(ty: Type, bits: u64) -> u64 {
    match ty {
        Type::F32 => canonical32(bits as u32).into(),
        Type::F64 => canonical64(bits),
        _ => bits,
    }
}

/// A loaded element, in the type of its value.
pub fn widen(dtype: DType, bits: u64) -> u64 {
    match dtype {
        DType::I8 => bits as i8 as i64 as u64,
        DType::I16 => bits as i16 as i64 as u64,
        DType::I32 | DType::U32 => bits as i32 as i64 as u64,
        DType::F16 => u64::from(from_f16(bits as u16).to_bits()),
        DType::BF16 => bits << 16,
        _ => bits,
    }
}

/// The bits of a value as an element: a NaN is the canonical one, a half is rounded to nearest even.
pub fn narrow(dtype: DType, bits: u64) -> u64 {
    let bits = canonical(Type::of(dtype), bits);
    match dtype {
        DType::F16 => to_f16(bits as u32).into(),
        DType::BF16 => (bits + 0x7fff + (bits >> 16 & 1)) >> 16,
        _ => bits,
    }
}

/// The `f32` of a binary16.
fn from_f16(bits: u16) -> f32 {
    let (sign, magnitude) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff));
    // As if it were an f32 with a smaller exponent, which a product with a power of two corrects exactly.
    let scaled = f32::from_bits(magnitude << 13) * 112f32.exp2();
    let right = if magnitude < 0x7c00 { scaled.to_bits() } else { 0x7f80_0000 | magnitude << 13 };
    f32::from_bits(sign | right)
}

/// The binary16 nearest to an `f32`, by their bits. The only NaN is the canonical one.
fn to_f16(bits: u32) -> u16 {
    let (sign, magnitude) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
    sign | match magnitude {
        0x7fc0_0000 => 0x7e00,
        // From 65520 on, the nearest is infinity.
        0x477f_f000.. => 0x7c00,
        // Below 2^-14, the sum with 1/2 has the element's bits at its end.
        ..0x3880_0000 => ((f32::from_bits(magnitude) + 0.5).to_bits() - 0.5f32.to_bits()) as u16,
        _ => ((magnitude - (112 << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13) as u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_keeps_its_bits_and_others_are_rounded_to_the_nearest() {
        let f16 = |bits: u64| f32::from_bits(widen(DType::F16, bits) as u32);
        for half in 0..=u64::from(u16::MAX) {
            for dtype in [DType::F16, DType::BF16] {
                let wide = widen(dtype, half);
                let nan = f32::from_bits(wide as u32).is_nan();
                let right = if dtype == DType::F16 { 0x7e00 } else { 0x7fc0 };
                assert_eq!(narrow(dtype, wide), if nan { right } else { half }, "{dtype} {half:#x}");
            }
        }
        assert_eq!([f16(0x3c00), f16(1), f16(0x7bff), f16(0xc000)], [1.0, (-24f32).exp2(), 65504.0, -2.0]);
        // Between two neighbours, the middle goes to the even one, and what is beyond the middle to the next.
        for half in 0..0x7bff {
            let (low, high) = (f16(half), f16(half + 1));
            let middle = (low + high) / 2.0;
            let rounded = |x: f32| narrow(DType::F16, x.to_bits().into());
            assert_eq!(rounded(middle), half + (half & 1), "{half:#x}");
            assert_eq!(
                [rounded(middle.next_down()), rounded(middle.next_up())],
                [half, half + 1],
                "{half:#x}"
            );
        }
    }
}
