//! Values of Rust for values of programs.

use std::ops::{BitAnd, BitOr, BitXor, Not};

use super::Type;

/// A value of a [`Type`], as Rust computes with it.
pub trait Lane: Copy + Default {
    /// Its type.
    const TYPE: Type;

    /// From its bits as evaluators keep them: integers sign-extended, floats as they are.
    fn from_kept(bits: u64) -> Self;

    /// Its bits as evaluators keep them.
    fn kept(self) -> u64;
}

macro_rules! lanes {
    ($($lane:ident: $ty:ident, $from:expr, $kept:expr;)+) => {$(
        impl Lane for $lane {
            const TYPE: Type = Type::$ty;

            #[inline(always)]
            fn from_kept(bits: u64) -> Self {
                let from: fn(u64) -> Self = $from;
                from(bits)
            }

            #[inline(always)]
            fn kept(self) -> u64 {
                let kept: fn(Self) -> u64 = $kept;
                kept(self)
            }
        }
    )+};
}

lanes! {
    Truth: Bool, |bits| Truth::from(bits != 0), |x| x.0 as u64;
    i32: I32, |bits| bits as i32, |x| i64::from(x) as u64;
    u32: I32, |bits| bits as u32, |x| i64::from(x as i32) as u64;
    i64: I64, |bits| bits as i64, |x| x as u64;
    u64: I64, |bits| bits, |x| x;
    f32: F32, |bits| f32::from_bits(bits as u32), |x| x.to_bits().into();
    f64: F64, f64::from_bits, f64::to_bits;
}

/// A truth value as vectors and evaluators have it: an `i32` of 0 or 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Truth(i32);

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        Self(holds.into())
    }
}

impl From<Truth> for i32 {
    fn from(Truth(x): Truth) -> i32 {
        x
    }
}

impl Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0 ^ 1)
    }
}

impl BitAnd for Truth {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Truth {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitXor for Truth {
    type Output = Self;

    fn bitxor(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }
}
