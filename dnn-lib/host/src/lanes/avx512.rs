//! AVX-512: vectors of eight.

use std::arch::x86_64::*;

use dnn_lib::math::Arithmetic;

use super::{Lanes, each, instructions, is_frequent, loops};
use crate::Isa;
use crate::isa::Level;

/// The proof that the processor has AVX-512.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The vectors of a set that has them.
    pub(crate) fn new(isa: Isa) -> Self {
        assert!(isa.level() >= Level::Avx512, "{isa} has no such vectors");
        Self(())
    }
}

impl Arithmetic for Avx512 {
    type F32 = __m256;
    type F64 = __m512d;
    type I64 = __m512i;
    type Bool = __mmask8;

    const TABLES: bool = true;

    instructions! {
        f64(x: f64) -> F64 = _mm512_set1_pd(x);
        i64(x: i64) -> I64 = _mm512_set1_epi64(x);
        promote(x: Self::F32) -> F64 = _mm512_cvtps_pd(x);
        demote(x: Self::F64) -> F32 = _mm512_cvtpd_ps(x);
        bits(x: Self::F64) -> I64 = _mm512_castpd_si512(x);
        float(bits: Self::I64) -> F64 = _mm512_castsi512_pd(bits);
        add(a: Self::F64, b: Self::F64) -> F64 = _mm512_add_pd(a, b);
        sub(a: Self::F64, b: Self::F64) -> F64 = _mm512_sub_pd(a, b);
        mul(a: Self::F64, b: Self::F64) -> F64 = _mm512_mul_pd(a, b);
        div(a: Self::F64, b: Self::F64) -> F64 = _mm512_div_pd(a, b);
        fma(a: Self::F64, b: Self::F64, c: Self::F64) -> F64 = _mm512_fmadd_pd(a, b, c);
        fms(a: Self::F64, b: Self::F64, c: Self::F64) -> F64 = _mm512_fmsub_pd(a, b, c);
        abs(x: Self::F64) -> F64 = _mm512_abs_pd(x);
        sqrt(x: Self::F64) -> F64 = _mm512_sqrt_pd(x);
        add_int(a: Self::I64, b: Self::I64) -> I64 = _mm512_add_epi64(a, b);
        sub_int(a: Self::I64, b: Self::I64) -> I64 = _mm512_sub_epi64(a, b);
        less(a: Self::F64, b: Self::F64) -> Bool = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b);
        select(condition: Self::Bool, then: Self::F64, otherwise: Self::F64) -> F64 =
            _mm512_mask_blend_pd(condition, otherwise, then);
        // These instructions give the second operand if one is a NaN.
        at_most(x: Self::F32, limit: f32) -> F32 = _mm256_min_ps(_mm256_set1_ps(limit), x);
        at_least(x: Self::F32, limit: f32) -> F32 = _mm256_max_ps(_mm256_set1_ps(limit), x);
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector instructions")]
    fn shift_left<const COUNT: u32>(&mut self, x: __m512i) -> __m512i {
        // SAFETY: the processor has the instructions, or there would be no `self`.
        unsafe { _mm512_sll_epi64(x, _mm_cvtsi32_si128(COUNT as i32)) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector instructions")]
    fn shift_right<const COUNT: u32>(&mut self, x: __m512i) -> __m512i {
        // SAFETY: the processor has the instructions, or there would be no `self`.
        unsafe { _mm512_sra_epi64(x, _mm_cvtsi32_si128(COUNT as i32)) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector instructions")]
    fn look_up(&mut self, table: &[f64; 8], index: __m512i) -> __m512d {
        // SAFETY: the processor has the instructions, or there would be no `self`; and the table is a vector long.
        unsafe { _mm512_permutexvar_pd(index, _mm512_loadu_pd(table.as_ptr())) }
    }
}

impl Lanes for Avx512 {
    const COUNT: usize = 8;

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector instructions")]
    fn load(self, from: &[f32]) -> __m256 {
        let from = &from[..Self::COUNT];
        // SAFETY: the processor has the instructions, or there would be no `self`; and the slice has as many
        // floats as the vector.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector instructions")]
    fn store(self, x: __m256, to: &mut [f32]) {
        let to = &mut to[..Self::COUNT];
        // SAFETY: the processor has the instructions, or there would be no `self`; and the slice has as many
        // floats as the vector.
        unsafe {
            let nan = _mm256_set1_ps(f32::from_bits(0x7fc0_0000));
            // For each class of floats from the lowest digit on, where its result comes from: NaNs from `nan`.
            let x = _mm256_fixupimm_ps::<0>(nan, x, _mm256_set1_epi32(0x1111_1100));
            _mm256_storeu_ps(to.as_mut_ptr(), x);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn compiled<const FUNCTION: usize>(lanes: Avx512, x: &[f32], y: &mut [f32]) {
    if const { is_frequent(FUNCTION) } {
        each::<_, FUNCTION>(super::several::Several::<_, 4>(lanes), x, y);
    } else {
        each::<_, FUNCTION>(lanes, x, y);
    }
}

#[expect(unsafe_code, reason = "code for these instructions")]
fn run<const FUNCTION: usize>(lanes: Avx512, x: &[f32], y: &mut [f32]) {
    // SAFETY: the processor has the instructions, or there would be no `lanes`.
    unsafe { compiled::<FUNCTION>(lanes, x, y) }
}

loops!(Avx512, run);
