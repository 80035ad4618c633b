//! AVX2 with FMA: vectors of four.

use std::arch::x86_64::*;

use dnn_lib::math::Arithmetic;

use super::{Lanes, each, instructions, is_frequent, loops};
use crate::Isa;
use crate::isa::Level;

/// The proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The vectors of a set that has them.
    pub(crate) fn new(isa: Isa) -> Self {
        assert!(isa.level() >= Level::Avx2, "{isa} has no such vectors");
        Self(())
    }
}

impl Arithmetic for Avx2 {
    type F32 = __m128;
    type F64 = __m256d;
    type I64 = __m256i;
    type Bool = __m256d;

    const TABLES: bool = false;

    instructions! {
        f64(x: f64) -> F64 = _mm256_set1_pd(x);
        i64(x: i64) -> I64 = _mm256_set1_epi64x(x);
        promote(x: Self::F32) -> F64 = _mm256_cvtps_pd(x);
        demote(x: Self::F64) -> F32 = _mm256_cvtpd_ps(x);
        bits(x: Self::F64) -> I64 = _mm256_castpd_si256(x);
        float(bits: Self::I64) -> F64 = _mm256_castsi256_pd(bits);
        add(a: Self::F64, b: Self::F64) -> F64 = _mm256_add_pd(a, b);
        sub(a: Self::F64, b: Self::F64) -> F64 = _mm256_sub_pd(a, b);
        mul(a: Self::F64, b: Self::F64) -> F64 = _mm256_mul_pd(a, b);
        div(a: Self::F64, b: Self::F64) -> F64 = _mm256_div_pd(a, b);
        fma(a: Self::F64, b: Self::F64, c: Self::F64) -> F64 = _mm256_fmadd_pd(a, b, c);
        fms(a: Self::F64, b: Self::F64, c: Self::F64) -> F64 = _mm256_fmsub_pd(a, b, c);
        sqrt(x: Self::F64) -> F64 = _mm256_sqrt_pd(x);
        abs(x: Self::F64) -> F64 = _mm256_andnot_pd(_mm256_set1_pd(-0.0), x);
        add_int(a: Self::I64, b: Self::I64) -> I64 = _mm256_add_epi64(a, b);
        sub_int(a: Self::I64, b: Self::I64) -> I64 = _mm256_sub_epi64(a, b);
        less(a: Self::F64, b: Self::F64) -> Bool = _mm256_cmp_pd::<_CMP_LT_OQ>(a, b);
        select(condition: Self::Bool, then: Self::F64, otherwise: Self::F64) -> F64 =
            _mm256_blendv_pd(otherwise, then, condition);
        // These instructions give the second operand if one is a NaN.
        at_most(x: Self::F32, limit: f32) -> F32 = _mm_min_ps(_mm_set1_ps(limit), x);
        at_least(x: Self::F32, limit: f32) -> F32 = _mm_max_ps(_mm_set1_ps(limit), x);
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector instructions")]
    fn shift_left<const COUNT: u32>(&mut self, x: __m256i) -> __m256i {
        // SAFETY: the processor has the instructions, or there would be no `self`.
        unsafe { _mm256_sll_epi64(x, _mm_cvtsi32_si128(COUNT as i32)) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector instructions")]
    fn shift_right<const COUNT: u32>(&mut self, x: __m256i) -> __m256i {
        // SAFETY: the processor has the instructions, or there would be no `self`.
        unsafe {
            {
                // There is no such instruction: the sign is shifted in as the top of a negated difference.
                let sign = _mm256_cmpgt_epi64(_mm256_setzero_si256(), x);
                _mm256_xor_si256(
                    _mm256_srl_epi64(_mm256_xor_si256(x, sign), _mm_cvtsi32_si128(COUNT as i32)),
                    sign,
                )
            }
        }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector instructions")]
    fn look_up(&mut self, table: &[f64; 8], index: __m256i) -> __m256d {
        // SAFETY: the processor has the instructions, or there would be no `self`; and the masked indices are
        // inside the table.
        unsafe {
            let index = _mm256_and_si256(index, _mm256_set1_epi64x(7));
            _mm256_i64gather_pd::<8>(table.as_ptr(), index)
        }
    }
}

impl Lanes for Avx2 {
    const COUNT: usize = 4;

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector instructions")]
    fn load(self, from: &[f32]) -> __m128 {
        let from = &from[..Self::COUNT];
        // SAFETY: the processor has the instructions, or there would be no `self`; and the slice has as many
        // floats as the vector.
        unsafe { _mm_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector instructions")]
    fn store(self, x: __m128, to: &mut [f32]) {
        let to = &mut to[..Self::COUNT];
        // SAFETY: the processor has the instructions, or there would be no `self`; and the slice has as many
        // floats as the vector.
        unsafe {
            let nan = _mm_set1_ps(f32::from_bits(0x7fc0_0000));
            let x = _mm_blendv_ps(x, nan, _mm_cmp_ps::<_CMP_UNORD_Q>(x, x));
            _mm_storeu_ps(to.as_mut_ptr(), x);
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn compiled<const FUNCTION: usize>(lanes: Avx2, x: &[f32], y: &mut [f32]) {
    if const { is_frequent(FUNCTION) } {
        each::<_, FUNCTION>(super::several::Several::<_, 4>(lanes), x, y);
    } else {
        each::<_, FUNCTION>(lanes, x, y);
    }
}

#[expect(unsafe_code, reason = "code for these instructions")]
fn run<const FUNCTION: usize>(lanes: Avx2, x: &[f32], y: &mut [f32]) {
    // SAFETY: the processor has the instructions, or there would be no `lanes`.
    unsafe { compiled::<FUNCTION>(lanes, x, y) }
}

loops!(Avx2, run);
