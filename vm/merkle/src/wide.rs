//! Lanes of four and eight states, in the vector registers of x86-64.

use crate::keccak::{Lane, digest};
use core::arch::x86_64::*;

/// Four states. A value is made in [`four`] only, so where there is one, the processor has AVX2.
#[derive(Clone, Copy)]
struct Four(__m256i);

/// Eight states. A value is made in [`eight`] only, so where there is one, the processor has AVX-512F.
#[derive(Clone, Copy)]
struct Eight(__m512i);

/// Calls intrinsics that a lane's existence allows.
macro_rules! with_lane {
    ($body:expr) => {{
        // SAFETY: these are operations on registers only; their one requirement is the processor's feature, and `self` is a
        // value of a type that is made only by a function which requires that feature (and by these operations).
        #[expect(unsafe_code, reason = "instructions beyond the baseline")]
        unsafe {
            $body
        }
    }};
}

impl Lane for Four {
    #[inline(always)]
    fn like(self, word: u64) -> Self {
        with_lane!(Self(_mm256_set1_epi64x(word.cast_signed())))
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        with_lane!(Self(_mm256_xor_si256(self.0, other.0)))
    }
    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        self.xor(b).xor(c)
    }
    #[inline(always)]
    fn chi(self, b: Self, c: Self) -> Self {
        with_lane!(Self(_mm256_xor_si256(self.0, _mm256_andnot_si256(b.0, c.0))))
    }
    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        with_lane!(Self(_mm256_or_si256(_mm256_slli_epi64::<LEFT>(self.0), _mm256_srli_epi64::<RIGHT>(self.0))))
    }
}

impl Lane for Eight {
    #[inline(always)]
    fn like(self, word: u64) -> Self {
        with_lane!(Self(_mm512_set1_epi64(word.cast_signed())))
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        with_lane!(Self(_mm512_xor_si512(self.0, other.0)))
    }
    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        with_lane!(Self(_mm512_ternarylogic_epi64::<0x96>(self.0, b.0, c.0)))
    }
    #[inline(always)]
    fn chi(self, b: Self, c: Self) -> Self {
        // Bit 4a + 2b + c of the number is a ^ (!b & c).
        with_lane!(Self(_mm512_ternarylogic_epi64::<0xd2>(self.0, b.0, c.0)))
    }
    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        with_lane!(Self(_mm512_rol_epi64::<LEFT>(self.0)))
    }
}

/// The digests of four messages of eight words.
#[target_feature(enable = "avx2")]
pub fn four(messages: &[[u64; 8]; 4]) -> [[u64; 4]; 4] {
    let [a, b, c, d] = messages.map(|words| words.map(u64::cast_signed));
    let words = core::array::from_fn(|word| Four(_mm256_set_epi64x(d[word], c[word], b[word], a[word])));
    let lanes = digest(words).map(|Four(lane)| {
        [
            _mm256_extract_epi64::<0>(lane),
            _mm256_extract_epi64::<1>(lane),
            _mm256_extract_epi64::<2>(lane),
            _mm256_extract_epi64::<3>(lane),
        ]
    });
    core::array::from_fn(|state| lanes.map(|lane| lane[state].cast_unsigned()))
}

/// The digests of eight messages of eight words.
#[target_feature(enable = "avx512f")]
pub fn eight(messages: &[[u64; 8]; 8]) -> [[u64; 4]; 8] {
    let [a, b, c, d, e, f, g, h] = messages.map(|words| words.map(u64::cast_signed));
    let words = core::array::from_fn(|word| {
        Eight(_mm512_set_epi64(h[word], g[word], f[word], e[word], d[word], c[word], b[word], a[word]))
    });
    let lanes = digest(words).map(|Eight(lane)| {
        let half = |half: __m256i| {
            [
                _mm256_extract_epi64::<0>(half),
                _mm256_extract_epi64::<1>(half),
                _mm256_extract_epi64::<2>(half),
                _mm256_extract_epi64::<3>(half),
            ]
        };
        [half(_mm512_extracti64x4_epi64::<0>(lane)), half(_mm512_extracti64x4_epi64::<1>(lane))]
    });
    core::array::from_fn(|state| lanes.map(|halves| halves[state / 4][state % 4].cast_unsigned()))
}
