//! What is left to the interpreter, with reasons. A test over the instruction table keeps the lists complete.

use isa::Op;
use std::ops::RangeInclusive;

/// Instructions that are never translated.
pub const UNTRANSLATED: &[(Op, &str)] = &[
    (Op::Ecall, "it ends the run or traps, and only the interpreter does either"),
    (Op::Ebreak, "it traps, and only the interpreter does"),
    (Op::FclassS, "hosts have no such instruction, and programs hardly use it"),
    (Op::FclassD, "hosts have no such instruction, and programs hardly use it"),
];

/// Rounding modes in which instructions are not translated.
pub const UNTRANSLATED_MODES: &[(&[Op], RangeInclusive<u8>, &str)] = {
    use Op::*;
    &[
        (
            &[
                FaddS, FsubS, FmulS, FdivS, FsqrtS, FmaddS, FmsubS, FnmsubS, FnmaddS, FaddD, FsubD, FmulD,
                FdivD, FsqrtD, FmaddD, FmsubD, FnmsubD, FnmaddD, FcvtSD,
            ],
            1..=4,
            "the host's arithmetic rounds to nearest, ties to even",
        ),
        (
            &[FcvtWS, FcvtWuS, FcvtLS, FcvtLuS, FcvtWD, FcvtWuD, FcvtLD, FcvtLuD],
            4..=4,
            "hosts have no rounding to nearest with ties away from zero",
        ),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::effect;
    use isa::{Instruction, TABLE};

    #[test]
    fn every_instruction_is_translated_or_listed_with_a_reason() {
        let mut wrong = Vec::new();
        for entry in TABLE {
            for rm in 0..if entry.is_rounded() { 5 } else { 1 } {
                let op = entry.op;
                let instruction =
                    Instruction { rd: 7, rs1: 5, rs2: 6, rs3: 8, rm, imm: 16, ..Instruction::new(op) };
                let is_translated = effect(instruction, 0x1000).is_some();
                let is_listed = UNTRANSLATED.iter().any(|&(listed, _)| listed == op)
                    || UNTRANSLATED_MODES
                        .iter()
                        .any(|(ops, modes, _)| ops.contains(&op) && modes.contains(&rm));
                if is_translated == is_listed {
                    let is = if is_translated { "is translated, but listed" } else { "is neither" };
                    wrong.push(format!("{} with rounding mode {rm} {is}", entry.mnemonic));
                }
            }
        }
        assert!(wrong.is_empty(), "translate these instructions or list why not:\n{}", wrong.join("\n"));
    }
}
