//! What contractions are computed in.

use crate::contraction::vector::Vector;

/// A type of floating-point numbers that contractions are computed in: f32 and f64.
pub trait Element: Copy + Send + Sync + PartialEq + std::fmt::Debug + sealed::Registers {
    /// +0, where every sum starts.
    const ZERO: Self;

    /// `self * factor + acc`, rounded once.
    #[must_use]
    fn fused(self, factor: Self, acc: Self) -> Self;

    /// The sum, rounded.
    #[must_use]
    fn added(self, other: Self) -> Self;

    /// +0 for what isn't positive, except NaNs.
    #[must_use]
    fn cut(self) -> Self;

    /// The value itself, and the canonical NaN for any NaN.
    ///
    /// It looks at bits: compilers may take a comparison and a constant NaN for a change that nobody sees.
    #[must_use]
    fn canonical(self) -> Self;
}

pub(super) mod sealed {
    use super::Vector;

    /// Each set's registers of a type.
    pub trait Registers: Sized {
        type Portable: Vector<Element = Self>;
        #[cfg(target_arch = "x86_64")]
        type Avx2: Vector<Element = Self>;
        #[cfg(target_arch = "x86_64")]
        type Avx512: Vector<Element = Self>;
    }
}

macro_rules! element {
    ($type:ident, $nan:literal, $infinity:literal) => {
        impl Element for $type {
            const ZERO: Self = 0.0;

            #[inline(always)]
            fn fused(self, factor: Self, acc: Self) -> Self {
                self.mul_add(factor, acc)
            }

            #[inline(always)]
            fn added(self, other: Self) -> Self {
                self + other
            }

            #[inline(always)]
            fn cut(self) -> Self {
                if self <= 0.0 { 0.0 } else { self }
            }

            #[inline(always)]
            fn canonical(self) -> Self {
                let bits = self.to_bits();
                Self::from_bits(if bits << 1 > $infinity << 1 { $nan } else { bits })
            }
        }
    };
}

element!(f32, 0x7fc0_0000, 0x7f80_0000);
element!(f64, 0x7ff8_0000_0000_0000, 0x7ff0_0000_0000_0000);
