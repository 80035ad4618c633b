//! Random programs that jump anywhere: loops, calls, traps. Most run for a while before they stop, if they
//! ever do.

use crate::backend::Registers;
use crate::program::candidates;
use crate::random::Random;
use image::{Contents, Image, Segment};
use isa::{Extensions, Format, Instruction, Layout, Op, encode};
use step::MachineProfile;

/// log2 of the bytes of memory.
const MEMORY_BITS: u8 = 15;
/// Registers that usually hold addresses, and are rarely written.
const BASES: [u8; 3] = [8, 9, 18];

/// A program with this many instructions, and its initial registers.
///
/// # Panics
/// If the generated machine is impossible, which would be a bug here.
#[must_use]
pub fn soup(length: u64, random: &mut Random) -> (Image, Registers) {
    let memory = 1u64 << MEMORY_BITS;
    // Code inside memory hides it. Code beyond memory doesn't.
    let code_base = if random.one_in(2) { memory } else { memory / 4 };
    let most = &Extensions::ALL[Extensions::ALL.len() - 1..];
    let sets = if random.one_in(2) { Extensions::ALL } else { most };
    let extensions = *random.pick(sets);
    let code: Vec<u8> = (0..length)
        .flat_map(|at| {
            let instruction = instruction(at, length, random);
            // Occasionally a word that is not an instruction, or one of a missing extension.
            let word =
                if random.one_in(400) { random.bits() as u32 } else { encode(instruction).unwrap_or(0) };
            word.to_le_bytes()
        })
        .collect();
    let profile =
        MachineProfile::new(extensions, MEMORY_BITS, code_base, code.len() as u64).expect("a machine");
    let bytes = (0..memory / 16).flat_map(|_| random.float(Format::F32).to_le_bytes()).collect();
    let contents = Contents {
        profile,
        entry: code_base,
        sp: memory,
        code: code.into(),
        segments: vec![Segment { address: memory / 2, bytes }],
        tensors: Vec::new(),
        symbols: Vec::new(),
        schedule: Vec::new(),
        period: None,
        interface: None,
        sections: Vec::new(),
    };
    (Image::new(contents).expect("an image"), registers(code_base, length, random))
}

fn registers(code_base: u64, length: u64, random: &mut Random) -> Registers {
    let mut x = [0; 32];
    x.iter_mut().skip(1).for_each(|register| *register = random.word());
    for base in BASES {
        x[usize::from(base)] = (1 << (MEMORY_BITS - 1)) + 4096 + 8 * random.below(512);
    }
    // Returns have a valid target.
    x[1] = code_base + 4 * random.below(length);
    let mut f = [0; 32];
    for register in &mut f {
        *register = match random.below(4) {
            0 => random.float(Format::F64),
            1 => random.word(),
            _ => random.float(Format::F32) | 0xffff_ffff << 32,
        };
    }
    Registers { x, f }
}

/// An instruction for a place in the code.
fn instruction(at: u64, length: u64, random: &mut Random) -> Instruction {
    let entries: Vec<_> = candidates().collect();
    let entry = *random.pick(&entries);
    let register = |random: &mut Random| random.below(32) as u8;
    let mut rd = register(random);
    if BASES.contains(&rd) && !random.one_in(16) {
        rd = 5;
    }
    let is_access = entry.syntax.contains("imm(rs1)") && entry.op != Op::Jalr;
    let rs1 = if is_access && !random.one_in(32) { *random.pick(&BASES) } else { register(random) };
    let distance = |random: &mut Random| {
        let target = if random.one_in(64) { length + 8 } else { random.below(length) };
        4 * (target.cast_signed() - at.cast_signed()) as i32 + if random.one_in(256) { 2 } else { 0 }
    };
    let imm = match entry.layout {
        Layout::B | Layout::J => distance(random),
        Layout::Shift => random.below(64) as i32,
        Layout::ShiftW => random.below(32) as i32,
        Layout::U => (random.bits() as i32) & !0xfff,
        _ if is_access && !random.one_in(64) => 8 * (random.below(256) as i32 - 128),
        Layout::I | Layout::S => random.below(4096) as i32 - 2048,
        _ => 0,
    };
    // Usually to nearest, as compilers do.
    let rm = if random.one_in(4) { random.below(5) as u8 } else { 0 };
    let field =
        |names: &[&str], register: u8| if names.iter().any(|name| entry.has(name)) { register } else { 0 };
    Instruction {
        rd: field(&["rd", "frd"], rd),
        rs1: field(&["rs1", "frs1"], rs1),
        rs2: field(&["rs2", "frs2"], register(random)),
        rs3: field(&["frs3"], register(random)),
        rm: if entry.is_rounded() { rm } else { 0 },
        imm: if entry.has("imm") { imm } else { 0 },
        ..Instruction::new(entry.op)
    }
}
