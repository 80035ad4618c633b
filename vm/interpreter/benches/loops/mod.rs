//! Endless programs for measurements.

use image::{Contents, Image, Segment};
use isa::{Extensions, Instruction, Op, encode};
use step::MachineProfile;

/// An instruction with registers in the order `rd rs1 rs2`.
fn instruction(op: Op, [rd, rs1, rs2]: [u8; 3], imm: i32) -> Instruction {
    Instruction { rd, rs1, rs2, imm, ..Instruction::new(op) }
}

/// Loads, stores and integer arithmetic, without end.
pub fn integers() -> Vec<Instruction> {
    use Op::*;
    vec![
        instruction(Lui, [5, 0, 0], 0x1000),
        instruction(Addi, [6, 6, 0], 1),
        instruction(Andi, [7, 6, 0], 0x7f8),
        instruction(Add, [8, 7, 5], 0),
        instruction(Ld, [9, 8, 0], 0),
        instruction(Xor, [9, 9, 6], 0),
        instruction(Slli, [11, 9, 0], 13),
        instruction(Add, [9, 9, 11], 0),
        instruction(Sd, [0, 8, 9], 0),
        instruction(Mul, [12, 9, 6], 0),
        instruction(Sltu, [13, 12, 9], 0),
        instruction(Bne, [0, 6, 0], -40),
        instruction(Jal, [0, 0, 0], -44),
    ]
}

/// An endlessly repeated dot product of two arrays of 512 numbers.
pub fn floats() -> Vec<Instruction> {
    use Op::*;
    vec![
        instruction(Lui, [5, 0, 0], 0x1000),
        instruction(Addi, [7, 5, 0], 0x7f0),
        instruction(Addi, [6, 5, 0], 0),
        instruction(Flw, [1, 6, 0], 0),
        instruction(Flw, [2, 6, 0], 4),
        Instruction { rs3: 3, ..instruction(FmaddS, [3, 1, 2], 0) },
        instruction(Flw, [1, 6, 0], 8),
        instruction(Flw, [2, 6, 0], 12),
        Instruction { rs3: 4, ..instruction(FmaddS, [4, 1, 2], 0) },
        instruction(Addi, [6, 6, 0], 16),
        instruction(Bne, [0, 6, 7], -28),
        instruction(Jal, [0, 0, 0], -36),
    ]
}

/// An image of such a program, with numbers in its memory.
pub fn image_of(program: &[Instruction]) -> Image {
    let words = program.iter().map(|&i| encode(i).expect("operands that fit"));
    let mut code: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    code.resize(code.len().next_multiple_of(32), 0);
    let profile = MachineProfile::new(Extensions::IMFD, 16, 0x8000, code.len() as u64).expect("a machine");
    let numbers: Vec<u8> = (0..1024).flat_map(|i| (i as f32 * 0.001).to_le_bytes()).collect();
    let segments = vec![Segment { address: 0x1000, bytes: numbers.into() }];
    let (tensors, symbols, schedule) = Default::default();
    let contents = Contents {
        profile,
        entry: 0x8000,
        sp: 0,
        code: code.into(),
        segments,
        tensors,
        symbols,
        schedule,
        period: None,
        interface: None,
        sections: Vec::new(),
    };
    Image::new(contents).expect("an image")
}
