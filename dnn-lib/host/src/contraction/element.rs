//! What contractions are computed in.
//!
//! Bytes are taken four at a time. So a sum of their products is one of fewer, larger elements, and the layouts,
//! tiles and blocks are those of floats.

use crate::contraction::vector::Vector;

/// What contractions are computed in: f32, f64, and four bytes.
pub trait Element: Copy + Send + Sync + PartialEq + std::fmt::Debug + sealed::Registers {
    /// +0, where every sum starts.
    const ZERO: Self;
    /// Whether it is four bytes. Then factors can't change places.
    const ARE_BYTES: bool;

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
        #[cfg(target_arch = "x86_64")]
        type Vnni: Vector<Element = Self>;
    }
}

macro_rules! element {
    ($type:ident, $nan:literal, $infinity:literal) => {
        impl Element for $type {
            const ZERO: Self = 0.0;
            const ARE_BYTES: bool = false;

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

/// Four bytes that are factors, the lowest one first; or a sum of 32 bits. Left factors have no sign, right ones
/// have one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Quad(pub u32);

impl Element for Quad {
    const ZERO: Self = Self(0);
    const ARE_BYTES: bool = true;

    /// The sum of `acc` and the products of the four bytes, modulo 2^32.
    #[inline(always)]
    fn fused(self, factor: Self, acc: Self) -> Self {
        let (left, right) = (self.0.to_le_bytes(), factor.0.to_le_bytes());
        let products =
            left.into_iter().zip(right).map(|(left, right)| i32::from(left) * i32::from(right as i8));
        Self(products.fold(acc.0, |sum, product| sum.wrapping_add_signed(product)))
    }

    #[inline(always)]
    fn added(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    #[inline(always)]
    fn cut(self) -> Self {
        Self(self.0.cast_signed().max(0).cast_unsigned())
    }

    #[inline(always)]
    fn canonical(self) -> Self {
        self
    }
}
