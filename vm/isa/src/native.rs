//! The domain of machine integers, on which the interpreter runs.

use crate::domain::{Bool, Domain, Function, Nat, Word};
use core::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Rem, Shl, Shr, Sub};

/// Machine integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Native;

/// A machine word whose arithmetic wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct U64(pub u64);

/// A natural number below 2^128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct U128(pub u128);

macro_rules! operators {
    ($type:ident: $($trait:ident $method:ident |$a:ident, $b:ident| $value:expr;)*) => {$(
        impl $trait for $type {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                let ($a, $b) = (self.0, other.0);
                Self($value)
            }
        }
    )*};
}

operators! { U64:
    Add add |a, b| a.wrapping_add(b);
    Sub sub |a, b| a.wrapping_sub(b);
    Mul mul |a, b| a.wrapping_mul(b);
    BitAnd bitand |a, b| a & b;
    BitOr bitor |a, b| a | b;
    BitXor bitxor |a, b| a ^ b;
}

operators! { U128:
    Add add |a, b| a + b;
    Sub sub |a, b| a - b;
    Mul mul |a, b| a * b;
    Div div |a, b| a / b;
    Rem rem |a, b| a % b;
    BitAnd bitand |a, b| a & b;
    BitOr bitor |a, b| a | b;
    BitXor bitxor |a, b| a ^ b;
    Shl shl |a, b| { debug_assert!(b < 128 && (a << b) >> b == a, "{a} << {b} overflows"); a << b };
    Shr shr |a, b| { debug_assert!(b < 128, "shift by {b}"); a >> b };
}

impl Word for U64 {
    type D = Native;
    #[inline(always)]
    fn shl(self, n: Self) -> Self {
        Self(self.0 << (n.0 & 63))
    }
    #[inline(always)]
    fn shr(self, n: Self) -> Self {
        Self(self.0 >> (n.0 & 63))
    }
    #[inline(always)]
    fn sar(self, n: Self) -> Self {
        Self((self.0.cast_signed() >> (n.0 & 63)).cast_unsigned())
    }
    #[inline(always)]
    fn divu(self, divisor: Self) -> Self {
        Self(self.0.checked_div(divisor.0).unwrap_or(0))
    }
    #[inline(always)]
    fn remu(self, divisor: Self) -> Self {
        Self(self.0.checked_rem(divisor.0).unwrap_or(0))
    }
    #[inline(always)]
    fn divs(self, divisor: Self) -> Self {
        if divisor.0 == 0 {
            return Self(0);
        }
        Self(self.0.cast_signed().wrapping_div(divisor.0.cast_signed()).cast_unsigned())
    }
    #[inline(always)]
    fn rems(self, divisor: Self) -> Self {
        if divisor.0 == 0 {
            return Self(0);
        }
        Self(self.0.cast_signed().wrapping_rem(divisor.0.cast_signed()).cast_unsigned())
    }
    #[inline(always)]
    fn eq(self, other: Self) -> bool {
        self.0 == other.0
    }
    #[inline(always)]
    fn ltu(self, other: Self) -> bool {
        self.0 < other.0
    }
    #[inline(always)]
    fn lts(self, other: Self) -> bool {
        self.0.cast_signed() < other.0.cast_signed()
    }
    #[inline(always)]
    fn sext(self, bits: u32) -> Self {
        Self((self.0.cast_signed() << (64 - bits) >> (64 - bits)).cast_unsigned())
    }
    #[inline(always)]
    fn zext(self, bits: u32) -> Self {
        Self(self.0 << (64 - bits) >> (64 - bits))
    }
    #[inline(always)]
    fn nat(self) -> U128 {
        U128(u128::from(self.0))
    }
    #[inline(always)]
    fn named(self, _: &'static str) -> Self {
        self
    }
}

impl Nat for U128 {
    type D = Native;
    #[inline(always)]
    fn eq(self, other: Self) -> bool {
        self.0 == other.0
    }
    #[inline(always)]
    fn lt(self, other: Self) -> bool {
        self.0 < other.0
    }
    #[inline(always)]
    fn bit_length(self) -> Self {
        Self(u128::from(u128::BITS - self.0.leading_zeros()))
    }
    #[inline(always)]
    fn word(self) -> U64 {
        U64(self.0 as u64)
    }
    #[inline(always)]
    fn named(self, _: &'static str) -> Self {
        self
    }
}

impl Bool for bool {
    type D = Native;
    #[inline(always)]
    fn select(self, a: U128, b: U128) -> U128 {
        if self { a } else { b }
    }
    #[inline(always)]
    fn select_word(self, a: U64, b: U64) -> U64 {
        if self { a } else { b }
    }
    #[inline(always)]
    fn nat(self) -> U128 {
        U128(u128::from(self))
    }
    #[inline(always)]
    fn named(self, _: &'static str) -> Self {
        self
    }
}

impl Domain for Native {
    type Word = U64;
    type Nat = U128;
    type Bool = bool;

    #[inline(always)]
    fn word(value: u64) -> U64 {
        U64(value)
    }
    #[inline(always)]
    fn nat(value: u128) -> U128 {
        U128(value)
    }
    #[inline(always)]
    fn branch<const K: usize>(
        condition: bool,
        _: [&'static str; K],
        then: impl FnOnce() -> [U128; K],
        otherwise: impl FnOnce() -> [U128; K],
    ) -> [U128; K] {
        if condition { then() } else { otherwise() }
    }
    #[inline(always)]
    fn call<const A: usize, const R: usize>(
        _: &'static Function,
        args: [U128; A],
        body: impl FnOnce([U128; A]) -> [U128; R],
    ) -> [U128; R] {
        body(args)
    }
}
