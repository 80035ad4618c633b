//! Registers of x86: of AVX2, AVX-512, and VNNI.

#![expect(unsafe_code, reason = "instructions beyond the baseline")]
#![expect(clippy::needless_range_loop, reason = "indices say which register is meant")]

use super::{Place, Quad, SQUARE, Vector, turn_one_by_one};
use std::arch::x86_64::*;

macro_rules! vector {
    (
        $(#[$doc:meta])*
        $name:ident($register:ident) of $lanes:literal $element:ident, $rows:literal rows,
        $splat:ident, $load:ident, $store:ident, $fused:ident, $added:ident, |$sum:ident| $cut:expr,
        |$value:ident| $canonical:expr,
        $mask:ident = |$lane_bits:ident| $lanes_of:expr,
        |$from:ident, $loaded:ident| $load_some:expr,
        |$a:ident, $b:ident, $c:ident, $some:ident| $fused_some:expr,
        |$whole:ident, $to:ident, $count:ident| $store_first:expr,
        |$one:ident, $two:ident| $unzipped:expr
        $(, |$size:ident, $source:ident, $target:ident| $turn:expr)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name($register);

        impl Vector for $name {
            type Element = $element;
            type Mask = $mask;
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
            unsafe fn added(self, other: Self) -> Self {
                // SAFETY: the caller vouches for the processor.
                Self(unsafe { $added(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn cut(self) -> Self {
                let $sum = self.0;
                // SAFETY: the caller vouches for the processor.
                Self(unsafe { $cut })
            }

            #[inline(always)]
            #[allow(unused_unsafe, reason = "some elements are canonical")]
            unsafe fn canonical(self) -> Self {
                let $value = self.0;
                // SAFETY: the caller vouches for the processor.
                Self(unsafe { $canonical })
            }

            #[inline(always)]
            #[allow(unused_unsafe, reason = "some sets need no instruction for it")]
            unsafe fn mask($lane_bits: u32) -> $mask {
                // SAFETY: the caller vouches for the processor.
                unsafe { $lanes_of }
            }

            #[inline(always)]
            unsafe fn load_some($from: *const $element, $loaded: $mask) -> Self {
                // SAFETY: the caller vouches for the processor, and for the elements of the lanes; the
                // instruction reads no others.
                Self(unsafe { $load_some })
            }

            #[inline(always)]
            unsafe fn fused_some(self, factor: Self, acc: Self, $some: $mask) -> Self {
                let ($a, $b, $c) = (self.0, factor.0, acc.0);
                // SAFETY: the caller vouches for the processor.
                Self(unsafe { $fused_some })
            }

            #[inline(always)]
            unsafe fn store_first(self, $to: *mut $element, $count: usize) {
                let $whole = self;
                // SAFETY: the caller vouches for the processor, and for the elements.
                unsafe { $store_first }
            }

            #[inline(always)]
            unsafe fn unzipped(self, next: Self) -> (Self, Self) {
                let ($one, $two) = (self.0, next.0);
                // SAFETY: the caller vouches for the processor.
                let (even, odd) = unsafe { $unzipped };
                (Self(even), Self(odd))
            }

            $(
                #[inline(always)]
                unsafe fn turn(
                    $size: [usize; 2],
                    $source: Place<*const $element>,
                    $target: Place<*mut $element>,
                ) {
                    // SAFETY: the caller vouches for the processor, and for the matrices.
                    unsafe { $turn }
                }
            )?
        }
    };
}

/// The first lanes.
#[inline(always)]
fn first(count: usize) -> u32 {
    (1 << count) - 1
}

/// The columns of eight rows.
///
/// # Safety
///
/// The processor has AVX.
#[inline(always)]
unsafe fn columns(rows: [__m256; SQUARE]) -> [__m256; SQUARE] {
    // SAFETY: the caller's.
    unsafe {
        let mut pairs = rows;
        for i in 0..4 {
            pairs[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
            pairs[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
        }
        // Columns i and i + 4 of rows 0 to 3, and of rows 4 to 7.
        let mut halves = pairs;
        for i in [0, 4] {
            halves[i] = _mm256_shuffle_ps::<0x44>(pairs[i], pairs[i + 2]);
            halves[i + 1] = _mm256_shuffle_ps::<0xee>(pairs[i], pairs[i + 2]);
            halves[i + 2] = _mm256_shuffle_ps::<0x44>(pairs[i + 1], pairs[i + 3]);
            halves[i + 3] = _mm256_shuffle_ps::<0xee>(pairs[i + 1], pairs[i + 3]);
        }
        let mut columns = halves;
        for i in 0..4 {
            columns[i] = _mm256_permute2f128_ps::<0x20>(halves[i], halves[i + 4]);
            columns[i + 4] = _mm256_permute2f128_ps::<0x31>(halves[i], halves[i + 4]);
        }
        columns
    }
}

/// Turns a whole square.
///
/// # Safety
///
/// The processor has AVX, and the matrices' elements can be read and written.
#[inline(always)]
unsafe fn turn_whole(from: Place<*const f32>, to: Place<*mut f32>) {
    // SAFETY: the caller's.
    unsafe {
        let mut rows = [_mm256_setzero_ps(); SQUARE];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = _mm256_loadu_ps(from.start.add(i * from.stride));
        }
        for (i, column) in columns(rows).into_iter().enumerate() {
            _mm256_storeu_ps(to.start.add(i * to.stride), column);
        }
    }
}

// NaNs are told by their bits, as integers: see `Element::canonical`.

vector! {
    /// Eight f32 in an AVX register.
    Avx2F32(__m256) of 8 f32, 6 rows,
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_add_ps,
    |sum| _mm256_and_ps(sum, _mm256_cmp_ps::<_CMP_NLE_UQ>(sum, _mm256_setzero_ps())),
    |value| {
        let bits = _mm256_castps_si256(value);
        let magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fff_ffff));
        let nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7f80_0000));
        _mm256_castsi256_ps(_mm256_blendv_epi8(bits, _mm256_set1_epi32(0x7fc0_0000), nan))
    },
    __m256i = |lanes| {
        let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(lanes as i32), bits), bits)
    },
    |from, mask| _mm256_maskload_ps(from, mask),
    |a, b, c, mask| _mm256_blendv_ps(c, _mm256_fmadd_ps(a, b, c), _mm256_castsi256_ps(mask)),
    |vector, to, count| super::store_by_copy(vector, to, count),
    |a, b| {
        let part = |halves| _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(halves)));
        (part(_mm256_shuffle_ps::<0x88>(a, b)), part(_mm256_shuffle_ps::<0xdd>(a, b)))
    },
    |size, from, to| if size == [SQUARE; 2] {
        turn_whole(from, to)
    } else {
        turn_one_by_one(size, from, to)
    }
}

vector! {
    /// Four f64 in an AVX register.
    Avx2F64(__m256d) of 4 f64, 6 rows,
    _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_fmadd_pd, _mm256_add_pd,
    |sum| _mm256_and_pd(sum, _mm256_cmp_pd::<_CMP_NLE_UQ>(sum, _mm256_setzero_pd())),
    |value| {
        let bits = _mm256_castpd_si256(value);
        let magnitude = _mm256_and_si256(bits, _mm256_set1_epi64x(0x7fff_ffff_ffff_ffff));
        let nan = _mm256_cmpgt_epi64(magnitude, _mm256_set1_epi64x(0x7ff0_0000_0000_0000));
        _mm256_castsi256_pd(_mm256_blendv_epi8(bits, _mm256_set1_epi64x(0x7ff8_0000_0000_0000), nan))
    },
    __m256i = |lanes| {
        let bits = _mm256_setr_epi64x(1, 2, 4, 8);
        _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x(i64::from(lanes)), bits), bits)
    },
    |from, mask| _mm256_maskload_pd(from, mask),
    |a, b, c, mask| _mm256_blendv_pd(c, _mm256_fmadd_pd(a, b, c), _mm256_castsi256_pd(mask)),
    |vector, to, count| super::store_by_copy(vector, to, count),
    |a, b| {
        let part = |pairs| _mm256_permute4x64_pd::<0xd8>(pairs);
        (part(_mm256_unpacklo_pd(a, b)), part(_mm256_unpackhi_pd(a, b)))
    }
}

vector! {
    /// Sixteen f32 in an AVX-512 register.
    Avx512F32(__m512) of 16 f32, 14 rows,
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, _mm512_add_ps,
    |sum| {
        let more = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(sum, _mm512_setzero_ps());
        _mm512_maskz_mov_ps(more, sum)
    },
    |value| {
        let bits = _mm512_castps_si512(value);
        let magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fff_ffff));
        let nan = _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(0x7f80_0000));
        _mm512_castsi512_ps(_mm512_mask_blend_epi32(nan, bits, _mm512_set1_epi32(0x7fc0_0000)))
    },
    __mmask16 = |lanes| lanes as u16,
    |from, mask| _mm512_maskz_loadu_ps(mask, from),
    |a, b, c, mask| _mm512_mask3_fmadd_ps(a, b, c, mask),
    |vector, to, count| _mm512_mask_storeu_ps(to, Self::mask(first(count)), vector.0),
    |a, b| {
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
        (_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b))
    },
    |size, from, to| if size == [SQUARE; 2] {
        turn_whole(from, to)
    } else {
        let (reads, writes) = (first(size[1]) as u8, first(size[0]) as u8);
        let mut rows = [_mm256_setzero_ps(); SQUARE];
        for i in 0..SQUARE {
            if i < size[0] {
                rows[i] = _mm256_maskz_loadu_ps(reads, from.start.add(i * from.stride));
            }
        }
        let columns = columns(rows);
        for i in 0..SQUARE {
            if i < size[1] {
                _mm256_mask_storeu_ps(to.start.add(i * to.stride), writes, columns[i]);
            }
        }
    }
}

vector! {
    /// Eight f64 in an AVX-512 register.
    Avx512F64(__m512d) of 8 f64, 14 rows,
    _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_fmadd_pd, _mm512_add_pd,
    |sum| {
        let more = _mm512_cmp_pd_mask::<_CMP_NLE_UQ>(sum, _mm512_setzero_pd());
        _mm512_maskz_mov_pd(more, sum)
    },
    |value| {
        let bits = _mm512_castpd_si512(value);
        let magnitude = _mm512_and_si512(bits, _mm512_set1_epi64(0x7fff_ffff_ffff_ffff));
        let nan = _mm512_cmpgt_epi64_mask(magnitude, _mm512_set1_epi64(0x7ff0_0000_0000_0000));
        _mm512_castsi512_pd(_mm512_mask_blend_epi64(nan, bits, _mm512_set1_epi64(0x7ff8_0000_0000_0000)))
    },
    __mmask8 = |lanes| lanes as u8,
    |from, mask| _mm512_maskz_loadu_pd(mask, from),
    |a, b, c, mask| _mm512_mask3_fmadd_pd(a, b, c, mask),
    |vector, to, count| _mm512_mask_storeu_pd(to, Self::mask(first(count)), vector.0),
    |a, b| {
        let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
        let odd = _mm512_add_epi64(even, _mm512_set1_epi64(1));
        (_mm512_permutex2var_pd(a, even, b), _mm512_permutex2var_pd(a, odd, b))
    }
}

/// The sums plus the products of four bytes each.
///
/// # Safety
///
/// The processor has AVX2.
#[inline(always)]
unsafe fn fused_quads(left: __m256i, right: __m256i, sums: __m256i) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        // Even and odd bytes, as words; products of words don't overflow, and neither do sums of two.
        let even = _mm256_and_si256(left, _mm256_set1_epi16(0xff));
        let odd = _mm256_srli_epi16::<8>(left);
        let even_right = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(right));
        let odd_right = _mm256_srai_epi16::<8>(right);
        let sums = _mm256_add_epi32(sums, _mm256_madd_epi16(even, even_right));
        _mm256_add_epi32(sums, _mm256_madd_epi16(odd, odd_right))
    }
}

/// What the macro wants to call by one name, of quads.
///
/// # Safety
///
/// Of all of them: the processor has AVX2, or AVX-512 with VNNI; the elements can be read or written.
mod quads {
    use super::{Place, Quad, SQUARE, turn_one_by_one, turn_whole};
    use std::arch::x86_64::*;

    macro_rules! named {
        ($($name:ident($($x:ident: $ty:ty),*) $(-> $result:ty)? = $body:expr;)+) => {$(
            #[inline(always)]
            pub unsafe fn $name($($x: $ty),*) $(-> $result)? {
                // SAFETY: the caller's.
                unsafe { $body }
            }
        )+};
    }
    named! {
        splat256(x: Quad) -> __m256i = _mm256_set1_epi32(x.0.cast_signed());
        load256(from: *const Quad) -> __m256i = _mm256_loadu_si256(from.cast());
        store256(to: *mut Quad, x: __m256i) = _mm256_storeu_si256(to.cast(), x);
        splat512(x: Quad) -> __m512i = _mm512_set1_epi32(x.0.cast_signed());
        load512(from: *const Quad) -> __m512i = _mm512_loadu_si512(from.cast());
        store512(to: *mut Quad, x: __m512i) = _mm512_storeu_si512(to.cast(), x);
        fused512(left: __m512i, right: __m512i, sums: __m512i) -> __m512i =
            _mm512_dpbusd_epi32(sums, left, right);
        turn(size: [usize; 2], from: Place<*const Quad>, to: Place<*mut Quad>) = {
            if size == [SQUARE; 2] {
                let from = Place { start: from.start.cast(), stride: from.stride };
                turn_whole(from, Place { start: to.start.cast(), stride: to.stride });
            } else {
                turn_one_by_one(size, from, to);
            }
        };
    }
}
use quads::{fused512, load256, load512, splat256, splat512, store256, store512};

vector! {
    /// Eight quads in an AVX register.
    Avx2Quads(__m256i) of 8 Quad, 4 rows,
    splat256, load256, store256, fused_quads, _mm256_add_epi32,
    |sum| _mm256_max_epi32(sum, _mm256_setzero_si256()),
    |value| value,
    __m256i = |lanes| {
        let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(lanes as i32), bits), bits)
    },
    |from, mask| _mm256_maskload_epi32(from.cast(), mask),
    |a, b, c, mask| _mm256_blendv_epi8(c, fused_quads(a, b, c), mask),
    |vector, to, count| super::store_by_copy(vector, to, count),
    |a, b| {
        let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
        let part = |halves| _mm256_permute4x64_epi64::<0xd8>(_mm256_castps_si256(halves));
        (part(_mm256_shuffle_ps::<0x88>(a, b)), part(_mm256_shuffle_ps::<0xdd>(a, b)))
    },
    |size, from, to| quads::turn(size, from, to)
}

vector! {
    /// Sixteen quads in an AVX-512 register.
    VnniQuads(__m512i) of 16 Quad, 14 rows,
    splat512, load512, store512, fused512, _mm512_add_epi32,
    |sum| _mm512_max_epi32(sum, _mm512_setzero_si512()),
    |value| value,
    __mmask16 = |lanes| lanes as u16,
    |from, mask| _mm512_maskz_loadu_epi32(mask, from.cast()),
    |a, b, c, mask| _mm512_mask_blend_epi32(mask, c, fused512(a, b, c)),
    |vector, to, count| _mm512_mask_storeu_epi32(to.cast(), Self::mask(first(count)), vector.0),
    |a, b| {
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
        (_mm512_permutex2var_epi32(a, even, b), _mm512_permutex2var_epi32(a, odd, b))
    },
    |size, from, to| quads::turn(size, from, to)
}
