//! The floats of Rust.

use super::Arithmetic;

/// The arithmetic of single floats. The bits of a NaN are those of this computer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scalar;

impl Arithmetic for Scalar {
    type F32 = f32;
    type F64 = f64;
    type I64 = i64;
    type Bool = bool;

    // The text without tables, as in the guest.
    const TABLES: bool = false;

    #[inline(always)]
    fn f64(&mut self, x: f64) -> f64 {
        x
    }

    #[inline(always)]
    fn i64(&mut self, x: i64) -> i64 {
        x
    }

    #[inline(always)]
    fn at_most(&mut self, x: f32, limit: f32) -> f32 {
        if limit < x { limit } else { x }
    }

    #[inline(always)]
    fn at_least(&mut self, x: f32, limit: f32) -> f32 {
        if x < limit { limit } else { x }
    }

    #[inline(always)]
    fn promote(&mut self, x: f32) -> f64 {
        x.into()
    }

    #[inline(always)]
    fn demote(&mut self, x: f64) -> f32 {
        x as f32
    }

    #[inline(always)]
    fn bits(&mut self, x: f64) -> i64 {
        x.to_bits().cast_signed()
    }

    #[inline(always)]
    fn float(&mut self, bits: i64) -> f64 {
        f64::from_bits(bits.cast_unsigned())
    }

    #[inline(always)]
    fn add(&mut self, a: f64, b: f64) -> f64 {
        a + b
    }

    #[inline(always)]
    fn sub(&mut self, a: f64, b: f64) -> f64 {
        a - b
    }

    #[inline(always)]
    fn mul(&mut self, a: f64, b: f64) -> f64 {
        a * b
    }

    #[inline(always)]
    fn div(&mut self, a: f64, b: f64) -> f64 {
        a / b
    }

    #[inline(always)]
    fn fma(&mut self, a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn fms(&mut self, a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, -c)
    }

    #[inline(always)]
    fn abs(&mut self, x: f64) -> f64 {
        x.abs()
    }

    #[inline(always)]
    fn sqrt(&mut self, x: f64) -> f64 {
        x.sqrt()
    }

    #[inline(always)]
    fn add_int(&mut self, a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }

    #[inline(always)]
    fn sub_int(&mut self, a: i64, b: i64) -> i64 {
        a.wrapping_sub(b)
    }

    #[inline(always)]
    fn shift_left<const COUNT: u32>(&mut self, x: i64) -> i64 {
        x << COUNT
    }

    #[inline(always)]
    fn shift_right<const COUNT: u32>(&mut self, x: i64) -> i64 {
        x >> COUNT
    }

    #[inline(always)]
    fn look_up(&mut self, table: &[f64; 8], index: i64) -> f64 {
        table[(index & 7) as usize]
    }

    #[inline(always)]
    fn less(&mut self, a: f64, b: f64) -> bool {
        a < b
    }

    #[inline(always)]
    fn select(&mut self, condition: bool, then: f64, otherwise: f64) -> f64 {
        if condition { then } else { otherwise }
    }
}
