//! Registers of elements, one type for each set of vector instructions.

#![expect(unsafe_code, reason = "instructions beyond the baseline")]

use crate::contraction::element::{Element, sealed::Registers};

/// A register of elements.
///
/// # Safety
///
/// Every function needs a processor with the instructions of the type's set. They are inlined into functions
/// that are compiled for it.
pub trait Vector: Copy {
    type Element: Element;

    /// Elements in a register.
    const LANES: usize;
    /// Rows of a tile: times [`WIDTH`](super::tile::WIDTH), as many sums as there are registers for.
    const ROWS: usize;

    unsafe fn splat(value: Self::Element) -> Self;
    /// Reads `LANES` elements.
    unsafe fn load(from: *const Self::Element) -> Self;
    /// Writes `LANES` elements.
    unsafe fn store(self, to: *mut Self::Element);
    /// `self * factor + acc`, rounded once.
    unsafe fn fused(self, factor: Self, acc: Self) -> Self;
    /// Every NaN becomes the canonical one.
    unsafe fn canonical(self) -> Self;
}

/// Elements one after another; the compiler makes of it what every processor of its kind has.
#[derive(Clone, Copy)]
pub struct Scalars<E>([E; 4]);

impl<E: Element> Vector for Scalars<E> {
    type Element = E;
    const LANES: usize = 4;
    const ROWS: usize = 6;

    #[inline(always)]
    unsafe fn splat(value: E) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const E) -> Self {
        // SAFETY: the caller vouches for four elements at `from`; an array has the alignment of its elements.
        Self(unsafe { from.cast::<[E; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut E) {
        // SAFETY: as in `load`.
        unsafe { to.cast::<[E; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn fused(self, factor: Self, acc: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].fused(factor.0[lane], acc.0[lane])))
    }

    #[inline(always)]
    unsafe fn canonical(self) -> Self {
        Self(self.0.map(E::canonical))
    }
}

impl Registers for f32 {
    type Portable = Scalars<Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = x86::Avx2F32;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = x86::Avx512F32;
}

impl Registers for f64 {
    type Portable = Scalars<Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = x86::Avx2F64;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = x86::Avx512F64;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    macro_rules! vector {
        (
            $(#[$doc:meta])* $name:ident($register:ident) of $lanes:literal $element:ident, $rows:literal rows,
            $splat:ident, $load:ident, $store:ident, $fused:ident, |$value:ident| $canonical:expr
        ) => {
            $(#[$doc])*
            #[derive(Clone, Copy)]
            pub struct $name($register);

            impl Vector for $name {
                type Element = $element;
                const LANES: usize = $lanes;
                const ROWS: usize = $rows;

                #[inline(always)]
                unsafe fn splat(value: $element) -> Self {
                    // SAFETY: the caller vouches for the processor.
                    Self(unsafe { $splat(value) })
                }

                #[inline(always)]
                unsafe fn load(from: *const $element) -> Self {
                    // SAFETY: the caller vouches for the processor and the elements; no alignment is needed.
                    Self(unsafe { $load(from) })
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut $element) {
                    // SAFETY: as in `load`.
                    unsafe { $store(to, self.0) }
                }

                #[inline(always)]
                unsafe fn fused(self, factor: Self, acc: Self) -> Self {
                    // SAFETY: the caller vouches for the processor.
                    Self(unsafe { $fused(self.0, factor.0, acc.0) })
                }

                #[inline(always)]
                unsafe fn canonical(self) -> Self {
                    let $value = self.0;
                    // SAFETY: the caller vouches for the processor.
                    Self(unsafe { $canonical })
                }
            }
        };
    }

    // NaNs are told by their bits, as integers: see `Element::canonical`.

    vector! {
        /// Eight f32 in an AVX register.
        Avx2F32(__m256) of 8 f32, 6 rows,
        _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, |value| {
            let bits = _mm256_castps_si256(value);
            let magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fff_ffff));
            let nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7f80_0000));
            _mm256_castsi256_ps(_mm256_blendv_epi8(bits, _mm256_set1_epi32(0x7fc0_0000), nan))
        }
    }

    vector! {
        /// Four f64 in an AVX register.
        Avx2F64(__m256d) of 4 f64, 6 rows,
        _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_fmadd_pd, |value| {
            let bits = _mm256_castpd_si256(value);
            let magnitude = _mm256_and_si256(bits, _mm256_set1_epi64x(0x7fff_ffff_ffff_ffff));
            let nan = _mm256_cmpgt_epi64(magnitude, _mm256_set1_epi64x(0x7ff0_0000_0000_0000));
            _mm256_castsi256_pd(_mm256_blendv_epi8(bits, _mm256_set1_epi64x(0x7ff8_0000_0000_0000), nan))
        }
    }

    vector! {
        /// Sixteen f32 in an AVX-512 register.
        Avx512F32(__m512) of 16 f32, 14 rows,
        _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, |value| {
            let bits = _mm512_castps_si512(value);
            let magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fff_ffff));
            let nan = _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(0x7f80_0000));
            _mm512_castsi512_ps(_mm512_mask_blend_epi32(nan, bits, _mm512_set1_epi32(0x7fc0_0000)))
        }
    }

    vector! {
        /// Eight f64 in an AVX-512 register.
        Avx512F64(__m512d) of 8 f64, 14 rows,
        _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_fmadd_pd, |value| {
            let bits = _mm512_castpd_si512(value);
            let magnitude = _mm512_and_si512(bits, _mm512_set1_epi64(0x7fff_ffff_ffff_ffff));
            let nan = _mm512_cmpgt_epi64_mask(magnitude, _mm512_set1_epi64(0x7ff0_0000_0000_0000));
            _mm512_castsi512_pd(_mm512_mask_blend_epi64(nan, bits, _mm512_set1_epi64(0x7ff8_0000_0000_0000)))
        }
    }
}
