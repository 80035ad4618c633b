//! Lanes of two, four and eight states, in the vector registers of x86-64.
//!
//! A node's bytes are words in little-endian order, as the processor has them.

use crate::Root;
use crate::batch::Pair;
use crate::keccak::{Lane, digest};
use core::arch::x86_64::*;
use core::hint::black_box;
use core::mem::{MaybeUninit, transmute};

/// Two states. Values are created only in [`two`]. They need SSE2, which every x86-64 has.
#[derive(Clone, Copy)]
struct Two(__m128i);

/// Four states. Values are created only in [`four`], so a value exists only if the processor has AVX2.
#[derive(Clone, Copy)]
struct Four(__m256i);

/// Eight states. Values are created only in [`eight`], so a value exists only if the processor has AVX-512F.
#[derive(Clone, Copy)]
struct Eight(__m512i);

/// Calls intrinsics that the existence of a lane permits.
macro_rules! with_lane {
    ($body:expr) => {{
        // SAFETY: These operations only use registers. They require only a feature of the processor, and
        // `self` has a type whose values are created only by a function that requires this feature (and by
        // these operations).
        #[expect(unsafe_code, reason = "instructions beyond the baseline")]
        unsafe {
            $body
        }
    }};
}

/// A lane of vectors without rotations or three-operand instructions, by the names of its intrinsics.
macro_rules! lane {
    ($lane:ident: $set:ident, $xor:ident, $andnot:ident, $or:ident, $left:ident, $right:ident) => {
        impl Lane for $lane {
            #[inline(always)]
            fn like(self, word: u64) -> Self {
                with_lane!(Self($set(word.cast_signed())))
            }
            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                with_lane!(Self($xor(self.0, other.0)))
            }
            #[inline(always)]
            fn xor3(self, b: Self, c: Self) -> Self {
                self.xor(b).xor(c)
            }
            #[inline(always)]
            fn chi(self, b: Self, c: Self) -> Self {
                with_lane!(Self($xor(self.0, $andnot(b.0, c.0))))
            }
            #[inline(always)]
            fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
                with_lane!(Self($or($left::<LEFT>(self.0), $right::<RIGHT>(self.0))))
            }
        }
    };
}

lane!(Two: _mm_set1_epi64x, _mm_xor_si128, _mm_andnot_si128, _mm_or_si128, _mm_slli_epi64, _mm_srli_epi64);
lane!(Four: _mm256_set1_epi64x, _mm256_xor_si256, _mm256_andnot_si256, _mm256_or_si256, _mm256_slli_epi64, _mm256_srli_epi64);

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
        // Bit 4a + 2b + c of this number is a ^ (!b & c).
        with_lane!(Self(_mm512_ternarylogic_epi64::<0xd2>(self.0, b.0, c.0)))
    }
    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        with_lane!(Self(_mm512_rol_epi64::<LEFT>(self.0)))
    }
}

/// Aligns the caller's frame for vectors of this type. A state has more lanes than there are registers, so
/// the compiler keeps some in the frame. If the frame isn't aligned, each of them may straddle two cache
/// lines, and hashing takes up to 1.7 times as long.
#[inline(always)]
fn align_frame<V>() {
    black_box(&MaybeUninit::<V>::uninit());
}

/// The nodes over two pairs.
#[target_feature(enable = "sse2")]
pub fn two([a, b]: &[Pair; 2]) -> [Root; 2] {
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (load2(a), load2(b));
    let turned = |a, b| [Two(_mm_unpacklo_epi64(a, b)), Two(_mm_unpackhi_epi64(a, b))];
    let ([a, b], [c, d], [e, f], [g, h]) = (turned(a0, b0), turned(a1, b1), turned(a2, b2), turned(a3, b3));
    let [a, b, c, d] = digest([a, b, c, d, e, f, g, h]);
    [
        store2([_mm_unpacklo_epi64(a.0, b.0), _mm_unpacklo_epi64(c.0, d.0)]),
        store2([_mm_unpackhi_epi64(a.0, b.0), _mm_unpackhi_epi64(c.0, d.0)]),
    ]
}

#[target_feature(enable = "sse2")]
fn load2(&pair: &Pair) -> [__m128i; 4] {
    // SAFETY: Both have 512 bits, and any bits are valid for four vectors.
    #[expect(unsafe_code, reason = "the same bits")]
    unsafe {
        transmute::<Pair, [__m128i; 4]>(pair)
    }
}

#[target_feature(enable = "sse2")]
fn store2(lanes: [__m128i; 2]) -> Root {
    // SAFETY: Both have 256 bits, and any bits are valid for a root.
    #[expect(unsafe_code, reason = "the same bits")]
    unsafe {
        transmute::<[__m128i; 2], Root>(lanes)
    }
}

/// The nodes over four pairs.
#[target_feature(enable = "avx2")]
pub fn four([a, b, c, d]: &[Pair; 4]) -> [Root; 4] {
    align_frame::<__m256i>();
    let [a0, b0, c0, d0] = turned4([load4(&a[0]), load4(&b[0]), load4(&c[0]), load4(&d[0])]);
    let [a1, b1, c1, d1] = turned4([load4(&a[1]), load4(&b[1]), load4(&c[1]), load4(&d[1])]);
    let [a, b, c, d] =
        digest([Four(a0), Four(b0), Four(c0), Four(d0), Four(a1), Four(b1), Four(c1), Four(d1)]);
    let [a, b, c, d] = turned4([a.0, b.0, c.0, d.0]);
    [store4(a), store4(b), store4(c), store4(d)]
}

/// Transposes four rows of four words.
#[target_feature(enable = "avx2")]
fn turned4([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let (ab0, ab1) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    let (cd0, cd1) = (_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
    [
        _mm256_permute2x128_si256::<0x20>(ab0, cd0),
        _mm256_permute2x128_si256::<0x20>(ab1, cd1),
        _mm256_permute2x128_si256::<0x31>(ab0, cd0),
        _mm256_permute2x128_si256::<0x31>(ab1, cd1),
    ]
}

#[target_feature(enable = "avx2")]
fn load4(&root: &Root) -> __m256i {
    // SAFETY: Both have 256 bits, and any bits are valid for a vector.
    #[expect(unsafe_code, reason = "the same bits")]
    unsafe {
        transmute::<Root, __m256i>(root)
    }
}

#[target_feature(enable = "avx2")]
fn store4(lane: __m256i) -> Root {
    // SAFETY: Both have 256 bits, and any bits are valid for a root.
    #[expect(unsafe_code, reason = "the same bits")]
    unsafe {
        transmute::<__m256i, Root>(lane)
    }
}

/// The nodes over eight pairs.
#[target_feature(enable = "avx512f")]
pub fn eight([a, b, c, d, e, f, g, h]: &[Pair; 8]) -> [Root; 8] {
    align_frame::<__m512i>();
    let [a, b, c, d, e, f, g, h] =
        turned([load8(a), load8(b), load8(c), load8(d), load8(e), load8(f), load8(g), load8(h)]);
    let [a, b, c, d] =
        digest([Eight(a), Eight(b), Eight(c), Eight(d), Eight(e), Eight(f), Eight(g), Eight(h)]);
    let zero = _mm512_setzero_si512();
    let [a, b, c, d, e, f, g, h] = turned([a.0, b.0, c.0, d.0, zero, zero, zero, zero]);
    [half(a), half(b), half(c), half(d), half(e), half(f), half(g), half(h)]
}

/// Transposes eight rows of eight words.
#[target_feature(enable = "avx512f")]
fn turned([a, b, c, d, e, f, g, h]: [__m512i; 8]) -> [__m512i; 8] {
    // Pairs of rows: their even words, and their odd words.
    let (ab0, ab1) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    let (cd0, cd1) = (_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
    let (ef0, ef1) = (_mm512_unpacklo_epi64(e, f), _mm512_unpackhi_epi64(e, f));
    let (gh0, gh1) = (_mm512_unpacklo_epi64(g, h), _mm512_unpackhi_epi64(g, h));
    // Each has four quarters, one for every second column. Combine the four quarters of each column.
    let [c0, c2, c4, c6] = turned_quarters([ab0, cd0, ef0, gh0]);
    let [c1, c3, c5, c7] = turned_quarters([ab1, cd1, ef1, gh1]);
    [c0, c1, c2, c3, c4, c5, c6, c7]
}

/// Transposes four rows of four quarters.
#[target_feature(enable = "avx512f")]
fn turned_quarters([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab_low, ab_high) = (_mm512_shuffle_i64x2::<0x44>(a, b), _mm512_shuffle_i64x2::<0xee>(a, b));
    let (cd_low, cd_high) = (_mm512_shuffle_i64x2::<0x44>(c, d), _mm512_shuffle_i64x2::<0xee>(c, d));
    [
        _mm512_shuffle_i64x2::<0x88>(ab_low, cd_low),
        _mm512_shuffle_i64x2::<0xdd>(ab_low, cd_low),
        _mm512_shuffle_i64x2::<0x88>(ab_high, cd_high),
        _mm512_shuffle_i64x2::<0xdd>(ab_high, cd_high),
    ]
}

#[target_feature(enable = "avx512f")]
fn load8(&pair: &Pair) -> __m512i {
    // SAFETY: Both have 512 bits, and any bits are valid for a vector.
    #[expect(unsafe_code, reason = "the same bits")]
    unsafe {
        transmute::<Pair, __m512i>(pair)
    }
}

/// The lower half.
#[target_feature(enable = "avx512f")]
fn half(lane: __m512i) -> Root {
    store4(_mm512_castsi512_si256(lane))
}
