//! The start-up code. It sets the registers that a program expects, calls the program's entry like a
//! function, and exits with its result.
//!
//! The values are stored after the instructions and loaded from there. Loads may read code, and a load takes
//! one instruction regardless of the value.

use isa::{Instruction, Op, encode};

/// The name of its symbol.
pub(super) const NAME: &str = "_opml_start";

/// The registers that it uses.
const RA: u8 = 1;
const SP: u8 = 2;
const GP: u8 = 3;
const T0: u8 = 5;
const A0: u8 = 10;
const A7: u8 = 17;

/// The number of the system call that ends a run.
const EXIT: i32 = 93;

/// The maximum number of pointers passed in registers.
pub(super) const MOST_ARGUMENTS: usize = 8;

/// The size of its instructions in bytes.
pub(super) fn instructions(arguments: usize) -> u64 {
    4 * (7 + arguments as u64)
}

/// Its size, a multiple of 32.
pub(super) fn size(arguments: usize) -> u64 {
    (values_at(arguments) + 8 * (3 + arguments as u64)).next_multiple_of(32)
}

/// The offset of the values: an aligned place after the instructions.
fn values_at(arguments: usize) -> u64 {
    instructions(arguments).next_multiple_of(8)
}

/// The value of `sp` that start-up code with this many arguments loads, if these bytes are such code.
pub(super) fn stack_pointer(code: &[u8], arguments: usize) -> Option<u64> {
    let at = values_at(arguments) as usize + 8;
    Some(u64::from_le_bytes(*code.get(at..)?.first_chunk()?))
}

/// The code that sets `gp`, `sp` and the first arguments, and calls `entry`.
pub(super) fn bytes(gp: u64, sp: u64, entry: u64, arguments: &[u64]) -> Vec<u8> {
    let load = |rd: u8, value: usize| {
        let imm = values_at(arguments.len()) as i32 + 8 * value as i32;
        Instruction { rd, rs1: T0, imm, ..Instruction::new(Op::Ld) }
    };
    let mut code = vec![Instruction { rd: T0, ..Instruction::new(Op::Auipc) }, load(GP, 0), load(SP, 1)];
    code.extend((A0..).zip(3..).take(arguments.len()).map(|(register, value)| load(register, value)));
    code.push(load(T0, 2));
    code.push(Instruction { rd: RA, rs1: T0, ..Instruction::new(Op::Jalr) });
    code.push(Instruction { rd: A7, imm: EXIT, ..Instruction::new(Op::Addi) });
    code.push(Instruction::new(Op::Ecall));
    // Every operand fits: registers are below 32, and displacements below 160.
    let mut bytes: Vec<u8> = code.into_iter().filter_map(encode).flat_map(u32::to_le_bytes).collect();
    bytes.resize(values_at(arguments.len()) as usize, 0);
    bytes.extend([gp, sp, entry].into_iter().chain(arguments.iter().copied()).flat_map(u64::to_le_bytes));
    bytes.resize(size(arguments.len()) as usize, 0);
    bytes
}
