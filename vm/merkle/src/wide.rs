//! Lanes of four and eight states, in the vector registers of x86-64.

use crate::keccak::{Lane, digest};
use core::arch::x86_64::*;
use core::mem::transmute;

/// Four states. A value is made in [`load4`] only, so where there is one, the processor has AVX2.
#[derive(Clone, Copy)]
struct Four(__m256i);

/// Eight states. A value is made in [`load8`] only, so where there is one, the processor has AVX-512F.
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

/// The first word of all four messages, then the second, and so on; and of the digests likewise.
#[target_feature(enable = "avx2")]
pub fn four([a, b, c, d, e, f, g, h]: &[[u64; 4]; 8]) -> [[u64; 4]; 4] {
    let [a, b, c, d] = digest([load4(a), load4(b), load4(c), load4(d), load4(e), load4(f), load4(g), load4(h)]);
    [store4(a), store4(b), store4(c), store4(d)]
}

#[target_feature(enable = "avx2")]
fn load4(&words: &[u64; 4]) -> Four {
    // SAFETY: both are 256 bits, and every value of them is one of a vector.
    #[expect(unsafe_code, reason = "the same bits")]
    Four(unsafe { transmute::<[u64; 4], __m256i>(words) })
}

#[target_feature(enable = "avx2")]
fn store4(lane: Four) -> [u64; 4] {
    // SAFETY: both are 256 bits, and every value of them is one of four words.
    #[expect(unsafe_code, reason = "the same bits")]
    unsafe {
        transmute::<__m256i, [u64; 4]>(lane.0)
    }
}

/// The first word of all eight messages, then the second, and so on; and of the digests likewise.
#[target_feature(enable = "avx512f")]
pub fn eight([a, b, c, d, e, f, g, h]: &[[u64; 8]; 8]) -> [[u64; 8]; 4] {
    let [a, b, c, d] = digest([load8(a), load8(b), load8(c), load8(d), load8(e), load8(f), load8(g), load8(h)]);
    [store8(a), store8(b), store8(c), store8(d)]
}

#[target_feature(enable = "avx512f")]
fn load8(&words: &[u64; 8]) -> Eight {
    // SAFETY: both are 512 bits, and every value of them is one of a vector.
    #[expect(unsafe_code, reason = "the same bits")]
    Eight(unsafe { transmute::<[u64; 8], __m512i>(words) })
}

#[target_feature(enable = "avx512f")]
fn store8(lane: Eight) -> [u64; 8] {
    // SAFETY: both are 512 bits, and every value of them is one of eight words.
    #[expect(unsafe_code, reason = "the same bits")]
    unsafe {
        transmute::<__m512i, [u64; 8]>(lane.0)
    }
}
