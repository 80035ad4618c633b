//! Instructions as assembler text, from the table's syntax column.

use crate::decode::Instruction;
use crate::table::Layout;
use core::fmt::{self, Display, Formatter};

/// The integer registers by their names in the calling convention.
pub const REGISTERS: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6",
    "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
];

/// The float registers by their names in the calling convention.
pub const FLOAT_REGISTERS: [&str; 32] = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4",
    "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8",
    "ft9", "ft10", "ft11",
];

/// The rounding modes by their assembler names.
const ROUNDING_MODES: [&str; 5] = ["rne", "rtz", "rdn", "rup", "rmm"];

impl Display for Instruction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let entry = self.op.entry();
        f.write_str(entry.mnemonic)?;
        if !entry.syntax.is_empty() {
            f.write_str(" ")?;
        }
        let mut rest = entry.syntax;
        while !rest.is_empty() {
            let end = rest.find([',', ' ', '(', ')']).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            self.operand(word, f)?;
            let punctuation = tail.len().min(1);
            f.write_str(&tail[..punctuation])?;
            rest = &tail[punctuation..];
        }
        Ok(())
    }
}

impl Instruction {
    /// Writes the operand for a word of the syntax.
    fn operand(&self, word: &str, f: &mut Formatter<'_>) -> fmt::Result {
        let name = |names: &[&'static str], index: u8| names.get(usize::from(index)).copied().unwrap_or("?");
        match word {
            "rd" => f.write_str(name(&REGISTERS, self.rd)),
            "rs1" => f.write_str(name(&REGISTERS, self.rs1)),
            "rs2" => f.write_str(name(&REGISTERS, self.rs2)),
            "frd" => f.write_str(name(&FLOAT_REGISTERS, self.rd)),
            "frs1" => f.write_str(name(&FLOAT_REGISTERS, self.rs1)),
            "frs2" => f.write_str(name(&FLOAT_REGISTERS, self.rs2)),
            "frs3" => f.write_str(name(&FLOAT_REGISTERS, self.rs3)),
            "rm" => f.write_str(name(&ROUNDING_MODES, self.rm)),
            // The assembler expects the upper 20 bits as a separate number.
            "imm" if self.op.entry().layout == Layout::U => {
                write!(f, "{:#x}", self.imm.cast_unsigned() >> 12)
            }
            "imm" => write!(f, "{}", self.imm),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Extensions, decode};
    extern crate std;
    use std::string::ToString;

    #[test]
    fn syntax() {
        for (word, text) in [
            (0x0010_0513, "addi a0, zero, 1"),
            (0x0085_3503, "ld a0, 8(a0)"),
            (0xfe0a_9ce3, "bne s5, zero, -8"),
            (0x1020_8043, "fmadd.s ft0, ft1, ft2, ft2, rne"),
            (0xffff_f537, "lui a0, 0xfffff"),
            (0x0000_0073, "ecall"),
            (0xc005_1553, "fcvt.w.s a0, fa0, rtz"),
        ] {
            let text_of = decode(word, Extensions::IMFD).map(|i| i.to_string());
            assert_eq!(text_of.as_deref(), Some(text));
        }
    }
}
