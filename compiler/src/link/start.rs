//! The entry of the program: a call for each big step, then the exit.

use isa::{Instruction, Op, encode};

use crate::error::LinkError;

const RA: u8 = 1;
const A0: u8 = 10;
const A7: u8 = 17;
/// The number of the system call that exits.
const EXIT: u64 = 93;

/// A kernel to call, and with what.
pub(super) struct Call {
    pub arguments: Vec<u64>,
    pub target: u64,
}

/// The code that makes these calls, to be placed at an address. Its size does not depend on the targets.
pub(super) fn start(address: u64, calls: impl Iterator<Item = Call>) -> Result<Vec<u8>, LinkError> {
    let mut code = Assembler { address, words: Vec::new() };
    for call in calls {
        for (register, &argument) in (A0..).zip(&call.arguments) {
            code.load_immediate(register, argument)?;
        }
        code.call(call.target)?;
    }
    code.load_immediate(A0, 0)?;
    code.load_immediate(A7, EXIT)?;
    code.push(Instruction::new(Op::Ecall))?;
    Ok(code.words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

struct Assembler {
    address: u64,
    words: Vec<u32>,
}

impl Assembler {
    fn push(&mut self, instruction: Instruction) -> Result<(), LinkError> {
        let word = encode(instruction).ok_or_else(|| LinkError::Encoding { what: format!("{instruction:?}") })?;
        self.words.push(word);
        Ok(())
    }

    fn immediate(&mut self, op: Op, rd: u8, rs1: u8, imm: i32) -> Result<(), LinkError> {
        self.push(Instruction { rd, rs1, imm, ..Instruction::new(op) })
    }

    /// Any number: the upper part first, shifted into place, then 12 bits at a time.
    fn load_immediate(&mut self, rd: u8, value: u64) -> Result<(), LinkError> {
        let signed = value.cast_signed();
        let low = low_12(signed);
        if i64::from(low) == signed {
            return self.immediate(Op::Addi, rd, 0, low);
        }
        if let Ok(word) = i32::try_from(signed) {
            // Near the top of the range the upper part wraps, and `addiw` wraps back.
            self.immediate(Op::Lui, rd, 0, word.wrapping_sub(low))?;
            return if low == 0 { Ok(()) } else { self.immediate(Op::Addiw, rd, rd, low) };
        }
        let upper = signed.wrapping_sub(low.into()) >> 12;
        let zeros = upper.trailing_zeros();
        self.load_immediate(rd, (upper >> zeros).cast_unsigned())?;
        self.immediate(Op::Slli, rd, rd, zeros as i32 + 12)?;
        if low == 0 { Ok(()) } else { self.immediate(Op::Addi, rd, rd, low) }
    }

    fn call(&mut self, target: u64) -> Result<(), LinkError> {
        let here = self.address + self.words.len() as u64 * 4;
        let distance = target.wrapping_sub(here).cast_signed();
        let low = low_12(distance);
        let upper = i32::try_from(distance - i64::from(low));
        let upper = upper.map_err(|_| LinkError::Encoding { what: format!("a call over {distance} bytes") })?;
        self.immediate(Op::Auipc, RA, 0, upper)?;
        self.immediate(Op::Jalr, RA, RA, low)
    }
}

/// The low 12 bits as a signed number: what an instruction adds to the part above them.
fn low_12(value: i64) -> i32 {
    ((value << 52) >> 52) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use isa::{Extensions, decode};

    /// The value of a register after straight code of the few instructions used here.
    fn execute(words: &[u32]) -> u64 {
        let mut x = 0i64;
        for &word in words {
            let i = decode(word, Extensions::IM).unwrap();
            let source = if i.rs1 == 0 { 0 } else { x };
            x = match i.op {
                Op::Addi => source.wrapping_add(i.imm.into()),
                Op::Addiw => i64::from((source as i32).wrapping_add(i.imm)),
                Op::Lui => i64::from(i.imm),
                Op::Slli => source << i.imm,
                other => panic!("{other:?}"),
            };
        }
        x.cast_unsigned()
    }

    #[test]
    fn any_number_is_loaded() {
        let mut values: Vec<u64> = (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, (1 << bit) + 0x800]).collect();
        values.extend([0x7ff, 0x800, 0xfff, 0x7fff_f800, 0x7fff_ffff, 0x8000_0000, 0x1234_5678_9abc_def0, u64::MAX]);
        for value in values {
            let mut code = Assembler { address: 0, words: Vec::new() };
            code.load_immediate(A0, value).unwrap();
            assert_eq!(execute(&code.words), value, "{value:#x}");
        }
    }

    #[test]
    fn small_numbers_take_one_instruction_and_addresses_two() {
        let length = |value| {
            let mut code = Assembler { address: 0, words: Vec::new() };
            code.load_immediate(A0, value).unwrap();
            code.words.len()
        };
        assert_eq!([length(0), length(784), length(0x1_0000), length(0x1_2345)], [1, 1, 1, 2]);
    }

    #[test]
    fn calls_reach_forwards_and_backwards_but_not_beyond_two_gigabytes() {
        for (here, target) in [(0x1000, 0x2800), (0x2800, 0x1000), (0, 0x7fff_0000)] {
            let mut code = Assembler { address: here, words: Vec::new() };
            code.call(target).unwrap();
            let [upper, jump] = code.words[..] else { panic!() };
            let (upper, jump) = (decode(upper, Extensions::IM).unwrap(), decode(jump, Extensions::IM).unwrap());
            assert_eq!(here.wrapping_add_signed(i64::from(upper.imm) + i64::from(jump.imm)), target);
        }
        let mut code = Assembler { address: 0, words: Vec::new() };
        assert!(code.call(1 << 40).is_err());
    }
}
