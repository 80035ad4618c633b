//! Decodes instruction words and encodes instructions. Both directions read the table.

use crate::domain::Word;
use crate::fields;
use crate::native::{Native, U64};
use crate::table::{Extensions, InstructionEntry, Layout, Op, TABLE};

/// A decoded instruction. Operands that the instruction does not have are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Which instruction it is.
    pub op: Op,
    /// The destination register.
    pub rd: u8,
    /// The first source register.
    pub rs1: u8,
    /// The second source register.
    pub rs2: u8,
    /// The third source register.
    pub rs3: u8,
    /// The static rounding mode, 0 to 4.
    pub rm: u8,
    /// The immediate, sign-extended; shift amounts are not negative.
    pub imm: i32,
}

impl Instruction {
    /// An instruction without operands, to set fields on.
    #[must_use]
    pub const fn new(op: Op) -> Self {
        Self { op, rd: 0, rs1: 0, rs2: 0, rs3: 0, rm: 0, imm: 0 }
    }
}

/// Decodes an instruction word; `None` if it is illegal on a machine with these extensions. Rounding modes 5
/// to 7 (reserved and dynamic) are illegal.
#[must_use]
pub fn decode(word: u32, extensions: Extensions) -> Option<Instruction> {
    decode_any(word).filter(|instruction| extensions.has(instruction.op.entry().extension))
}

/// Decodes an instruction word of any extension in the table.
#[must_use]
pub fn decode_any(word: u32) -> Option<Instruction> {
    let entry = TABLE.iter().find(|entry| word & entry.mask == entry.bits)?;
    let instruction = U64(u64::from(word));
    let field = |present: bool, value: U64| if present { value.0 as u8 } else { 0 };
    let rm = field(entry.is_rounded(), fields::rm::<Native>(instruction));
    if rm > 4 {
        return None;
    }
    Some(Instruction {
        op: entry.op,
        rd: field(entry.has("rd") || entry.has("frd"), fields::rd::<Native>(instruction)),
        rs1: field(entry.has("rs1") || entry.has("frs1"), fields::rs1::<Native>(instruction)),
        rs2: field(entry.has("rs2") || entry.has("frs2"), fields::rs2::<Native>(instruction)),
        rs3: field(entry.has("frs3"), fields::rs3::<Native>(instruction)),
        rm,
        imm: if entry.has("imm") { immediate(entry, instruction) } else { 0 },
    })
}

/// The immediate of an instruction that has one. Every immediate fits into 32 bits.
fn immediate(entry: &InstructionEntry, word: U64) -> i32 {
    let value = match entry.layout {
        Layout::I => fields::imm_i::<Native>(word),
        Layout::Shift => fields::shamt6::<Native>(word),
        Layout::ShiftW => fields::shamt5::<Native>(word),
        Layout::S => fields::imm_s::<Native>(word),
        Layout::B => fields::imm_b::<Native>(word),
        Layout::U => fields::imm_u::<Native>(word),
        Layout::J => fields::imm_j::<Native>(word),
        Layout::R | Layout::Rounded | Layout::R4 | Layout::Nullary => U64(0).zext(1),
    };
    value.0 as i32
}

/// Encodes an instruction; `None` if an operand does not fit. Decoding the result gives the instruction back.
#[must_use]
pub fn encode(instruction: Instruction) -> Option<u32> {
    let entry = instruction.op.entry();
    let imm = instruction.imm.cast_unsigned();
    let immediate_bits = match entry.layout {
        Layout::R | Layout::Nullary => 0,
        Layout::Rounded => u32::from(instruction.rm) << 12,
        Layout::R4 => u32::from(instruction.rm) << 12 | u32::from(instruction.rs3) << 27,
        Layout::I | Layout::Shift | Layout::ShiftW => imm << 20,
        Layout::S => (imm >> 5 & 0x7f) << 25 | (imm & 0x1f) << 7,
        Layout::B => {
            (imm >> 12 & 1) << 31 | (imm >> 5 & 0x3f) << 25 | (imm >> 1 & 0xf) << 8 | (imm >> 11 & 1) << 7
        }
        Layout::U => imm & 0xffff_f000,
        Layout::J => {
            (imm >> 20 & 1) << 31 | (imm >> 1 & 0x3ff) << 21 | (imm >> 11 & 1) << 20 | (imm & 0x000f_f000)
        }
    };
    let word = entry.bits
        | u32::from(instruction.rd) << 7
        | u32::from(instruction.rs1) << 15
        | u32::from(instruction.rs2) << 20
        | immediate_bits;
    (decode_any(word) == Some(instruction)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every table entry, with its free bits filled from a small generator.
    fn samples() -> impl Iterator<Item = (&'static InstructionEntry, u32)> {
        let mut state = 1u64;
        TABLE.iter().flat_map(|entry| core::iter::repeat_n(entry, 200)).map(move |entry| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (entry, entry.bits | ((state >> 32) as u32 & !entry.mask))
        })
    }

    #[test]
    fn no_word_matches_two_entries() {
        for (entry, word) in samples() {
            let matches = TABLE.iter().filter(|other| word & other.mask == other.bits).count();
            assert_eq!(matches, 1, "{} {word:#010x}", entry.mnemonic);
        }
    }

    #[test]
    fn encoding_inverts_decoding() {
        for (entry, word) in samples() {
            let Some(instruction) = decode_any(word) else {
                assert!(entry.is_rounded() && word >> 12 & 7 > 4, "{} {word:#010x}", entry.mnemonic);
                continue;
            };
            assert_eq!(instruction.op, entry.op);
            if instruction.op != Op::Fence {
                assert_eq!(encode(instruction), Some(word), "{} {word:#010x}", entry.mnemonic);
            }
        }
    }

    #[test]
    fn operands_that_do_not_fit_are_refused() {
        let addi = |imm| encode(Instruction { imm, ..Instruction::new(Op::Addi) });
        assert_eq!(addi(-2048), Some(0x8000_0013));
        assert_eq!(addi(2048), None);
        assert_eq!(encode(Instruction { rd: 32, ..Instruction::new(Op::Add) }), None);
        assert_eq!(encode(Instruction { rm: 7, ..Instruction::new(Op::FaddS) }), None);
        assert_eq!(encode(Instruction { imm: 3, ..Instruction::new(Op::Jal) }), None);
    }

    #[test]
    fn extensions_limit_what_is_legal() {
        let fadd = 0x0020_8053;
        assert!(decode(fadd, Extensions::IMFD).is_some());
        assert!(decode(fadd, Extensions::IM).is_none());
        assert!(decode(0, Extensions::IMFD).is_none());
        assert!(decode(fadd | 7 << 12, Extensions::IMFD).is_none(), "dynamic rounding");
    }
}
