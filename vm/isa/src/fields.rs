//! The fields of an instruction word (unprivileged specification, chapter "Base Instruction Formats").
//!
//! They are generic over the domain, so the decoder and the verifier share the same definitions.

use crate::domain::{Domain, Word};

/// Bits `low + width - 1` to `low` of an instruction word.
#[inline(always)]
pub fn bits<D: Domain>(instruction: D::Word, low: u32, width: u32) -> D::Word {
    instruction.shr(D::word(u64::from(low))).zext(width)
}

/// The same bits, moved to position `at` of an immediate.
#[inline(always)]
fn part<D: Domain>(instruction: D::Word, low: u32, width: u32, at: u32) -> D::Word {
    bits::<D>(instruction, low, width).shl(D::word(u64::from(at)))
}

/// The sign bit of every immediate, sign-extended from position `at`.
#[inline(always)]
fn sign<D: Domain>(instruction: D::Word, at: u32) -> D::Word {
    part::<D>(instruction, 31, 1, at).sext(at + 1)
}

/// The destination register.
#[inline(always)]
pub fn rd<D: Domain>(instruction: D::Word) -> D::Word {
    bits::<D>(instruction, 7, 5)
}

/// The first source register.
#[inline(always)]
pub fn rs1<D: Domain>(instruction: D::Word) -> D::Word {
    bits::<D>(instruction, 15, 5)
}

/// The second source register.
#[inline(always)]
pub fn rs2<D: Domain>(instruction: D::Word) -> D::Word {
    bits::<D>(instruction, 20, 5)
}

/// The third source register.
#[inline(always)]
pub fn rs3<D: Domain>(instruction: D::Word) -> D::Word {
    bits::<D>(instruction, 27, 5)
}

/// The rounding mode.
#[inline(always)]
pub fn rm<D: Domain>(instruction: D::Word) -> D::Word {
    bits::<D>(instruction, 12, 3)
}

/// The 12-bit immediate of loads and register-immediate instructions.
#[inline(always)]
pub fn imm_i<D: Domain>(instruction: D::Word) -> D::Word {
    bits::<D>(instruction, 20, 12).sext(12)
}

/// The 12-bit immediate of stores.
#[inline(always)]
pub fn imm_s<D: Domain>(instruction: D::Word) -> D::Word {
    (part::<D>(instruction, 25, 7, 5) | bits::<D>(instruction, 7, 5)).sext(12)
}

/// The 13-bit displacement of branches.
#[inline(always)]
pub fn imm_b<D: Domain>(instruction: D::Word) -> D::Word {
    sign::<D>(instruction, 12)
        | part::<D>(instruction, 7, 1, 11)
        | part::<D>(instruction, 25, 6, 5)
        | part::<D>(instruction, 8, 4, 1)
}

/// The upper 20 bits of `lui` and `auipc`, sign-extended from bit 31.
#[inline(always)]
pub fn imm_u<D: Domain>(instruction: D::Word) -> D::Word {
    (instruction & D::word(0xffff_f000)).sext(32)
}

/// The 21-bit displacement of `jal`.
#[inline(always)]
pub fn imm_j<D: Domain>(instruction: D::Word) -> D::Word {
    sign::<D>(instruction, 20)
        | (instruction & D::word(0x000f_f000))
        | part::<D>(instruction, 20, 1, 11)
        | part::<D>(instruction, 21, 10, 1)
}

/// The 6-bit shift amount.
#[inline(always)]
pub fn shamt6<D: Domain>(instruction: D::Word) -> D::Word {
    bits::<D>(instruction, 20, 6)
}

/// The 5-bit shift amount of the 32-bit shifts.
#[inline(always)]
pub fn shamt5<D: Domain>(instruction: D::Word) -> D::Word {
    bits::<D>(instruction, 20, 5)
}
