//! What the functions are written with.

/// Numbers and the operations on them. A domain is a kernel being built, the floats of Rust, or vectors.
///
/// Operations round once, to nearest even. A NaN has any bits, but never any in its low 29: it comes from an
/// `f32` or from an invalid operation.
pub trait Arithmetic {
    /// An `f32`: an argument or a result.
    type F32: Copy;
    /// An `f64`, in which everything is computed.
    type F64: Copy;
    /// The bits of an `f64`, and a signed integer.
    type I64: Copy;
    /// The result of a comparison.
    type Bool: Copy;

    /// Whether [`look_up`](Self::look_up) is as quick as an addition.
    const TABLES: bool;

    /// A constant.
    fn f64(&mut self, x: f64) -> Self::F64;
    /// A constant.
    fn i64(&mut self, x: i64) -> Self::I64;

    /// The smaller of `x` and a limit. A NaN stays a NaN.
    fn at_most(&mut self, x: Self::F32, limit: f32) -> Self::F32;
    /// The larger of `x` and a limit. A NaN stays a NaN.
    fn at_least(&mut self, x: Self::F32, limit: f32) -> Self::F32;
    /// An `f32` as an `f64`, exactly.
    fn promote(&mut self, x: Self::F32) -> Self::F64;
    /// The nearest `f32`.
    fn demote(&mut self, x: Self::F64) -> Self::F32;
    /// The bits of a float.
    fn bits(&mut self, x: Self::F64) -> Self::I64;
    /// The float with these bits.
    fn float(&mut self, bits: Self::I64) -> Self::F64;

    /// `a + b`.
    fn add(&mut self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a - b`.
    fn sub(&mut self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a * b`.
    fn mul(&mut self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a / b`.
    fn div(&mut self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a * b + c`, rounded once.
    fn fma(&mut self, a: Self::F64, b: Self::F64, c: Self::F64) -> Self::F64;
    /// `a * b - c`, rounded once.
    fn fms(&mut self, a: Self::F64, b: Self::F64, c: Self::F64) -> Self::F64;
    /// `|x|`.
    fn abs(&mut self, x: Self::F64) -> Self::F64;
    /// The square root.
    fn sqrt(&mut self, x: Self::F64) -> Self::F64;

    /// `a + b`, of integers, wrapping.
    fn add_int(&mut self, a: Self::I64, b: Self::I64) -> Self::I64;
    /// `a - b`, of integers, wrapping.
    fn sub_int(&mut self, a: Self::I64, b: Self::I64) -> Self::I64;
    /// `x << COUNT`.
    fn shift_left<const COUNT: u32>(&mut self, x: Self::I64) -> Self::I64;
    /// `x >> COUNT`, with copies of the sign.
    fn shift_right<const COUNT: u32>(&mut self, x: Self::I64) -> Self::I64;

    /// `table[index % 8]`.
    fn look_up(&mut self, table: &[f64; 8], index: Self::I64) -> Self::F64;

    /// `a < b`; false with a NaN.
    fn less(&mut self, a: Self::F64, b: Self::F64) -> Self::Bool;
    /// `then` where the condition holds, else `otherwise`.
    fn select(&mut self, condition: Self::Bool, then: Self::F64, otherwise: Self::F64) -> Self::F64;

    /// A polynomial with the coefficients of x^0, x^1 and so on, by Horner's rule.
    #[inline(always)]
    fn polynomial(&mut self, x: Self::F64, coefficients: &[f64]) -> Self::F64 {
        let (&last, rest) = coefficients.split_last().unwrap_or((&0.0, &[]));
        let mut sum = self.f64(last);
        for &coefficient in rest.iter().rev() {
            let coefficient = self.f64(coefficient);
            sum = self.fma(sum, x, coefficient);
        }
        sum
    }

    /// `x`, with the other sign if `n` is odd.
    #[inline(always)]
    fn with_sign_bit(&mut self, x: Self::F64, n: Self::I64) -> Self::F64 {
        let sign = self.shift_left::<63>(n);
        let bits = self.bits(x);
        let bits = self.add_int(bits, sign);
        self.float(bits)
    }

    /// `x`, with the other sign if `like` has one.
    #[inline(always)]
    fn with_sign(&mut self, x: Self::F64, like: Self::F64) -> Self::F64 {
        let bits = self.bits(like);
        let sign = self.shift_right::<63>(bits);
        self.with_sign_bit(x, sign)
    }

    /// `x`, a sum that lost a part, rounded another way: to the neighbour of the exact sum that is odd. When it
    /// becomes an `f32`, it is as if it had been rounded once.
    #[inline(always)]
    fn rounded_to_odd(&mut self, x: Self::F64, lost: Self::F64) -> Self::F64 {
        let less = self.mul(x, lost);
        let (bits, less) = (self.bits(x), self.bits(less));
        let less = self.shift_right::<63>(less);
        let towards_zero = self.add_int(bits, less);
        let (half, one) = (self.shift_right::<1>(towards_zero), self.i64(1));
        let even = self.shift_left::<1>(half);
        let odd = self.add_int(even, one);
        self.float(odd)
    }

    /// `a / b`, of numbers that are not negative, as [`rounded_to_odd`](Self::rounded_to_odd).
    #[inline(always)]
    fn quotient_to_odd(&mut self, a: Self::F64, b: Self::F64) -> Self::F64 {
        let (quotient, zero) = (self.div(a, b), self.f64(0.0));
        let beyond = self.fms(quotient, b, a);
        let lost = self.sub(zero, beyond);
        self.rounded_to_odd(quotient, lost)
    }
}
