//! Random straight-line programs over the whole instruction table.
//!
//! A program is a sequence of *blocks*. Each loads every register from a table, executes a few random
//! instructions (branches only forward, loads and stores only in a small sandbox), and stores every register
//! to its own slot. At the end it writes the slots and the sandbox to standard output with system calls. qemu
//! executes these. opml's machine has no such call and traps there, with the same bytes in memory.

use crate::elf::{self, Segment};
use crate::random::{Random, special_floats};
use isa::{Extension, Format, Instruction, InstructionEntry, Layout, Op, TABLE, encode};

/// The address of the code.
pub const CODE: u64 = 0x1_0000;
/// The address of the data: sandbox, slots for results, then the tables of initial values.
pub const DATA: u64 = 0x100_0000;
/// Bytes that random loads and stores may touch.
pub const SANDBOX: u64 = 4096;
/// Registers of a block: x0 to x31, f0 to f31. The slots of x0 and of the base register stay zero.
pub const REGISTERS: u64 = 64;
/// Bytes of a slot or a table.
const SLOT: u64 = 8 * REGISTERS;
/// The number of random instructions in a block: few, so that most results survive to the end.
const BLOCK: usize = 24;

/// A block's random part.
#[derive(Debug, Clone)]
pub struct Block {
    /// The register with the address of the sandbox's middle. It is not compared.
    pub base: u8,
    /// The registers' initial values, x then f.
    pub values: Vec<u64>,
    /// The instructions.
    pub instructions: Vec<Instruction>,
}

/// A program.
#[derive(Debug, Clone)]
pub struct Program {
    /// The blocks.
    pub blocks: Vec<Block>,
    /// The initial contents of the sandbox.
    pub sandbox: Vec<u8>,
}

/// All instructions except the two that end a program.
pub fn candidates() -> impl Iterator<Item = &'static InstructionEntry> {
    TABLE.iter().filter(|entry| !matches!(entry.op, Op::Ecall | Op::Ebreak))
}

impl Program {
    /// A program of this many blocks. Instructions that are certain to be executed are added to `executed`,
    /// one count per [`Op`].
    #[must_use]
    pub fn random(blocks: usize, random: &mut Random, executed: &mut [u64]) -> Self {
        let sandbox = (0..SANDBOX / 8).flat_map(|_| random.word().to_le_bytes()).collect();
        Self { blocks: (0..blocks).map(|_| Block::random(random, executed)).collect(), sandbox }
    }

    /// The addresses `[DATA, DATA + len)` that are compared.
    #[must_use]
    pub fn compared(&self) -> u64 {
        SANDBOX + SLOT * self.blocks.len() as u64
    }

    /// The program as an executable.
    #[must_use]
    pub fn elf(&self) -> Vec<u8> {
        elf::write(CODE, &[Segment::code(CODE, &self.words()), Segment::data(DATA, self.data())])
    }

    /// The contents at [`DATA`]: the sandbox, empty slots and the tables.
    #[must_use]
    pub fn data(&self) -> Vec<u8> {
        let mut data = self.sandbox.clone();
        data.resize(self.compared() as usize, 0);
        data.extend(self.blocks.iter().flat_map(|block| &block.values).flat_map(|value| value.to_le_bytes()));
        data
    }

    /// The code.
    #[must_use]
    pub fn words(&self) -> Vec<u32> {
        let mut code = Assembler::default();
        for (i, block) in self.blocks.iter().enumerate() {
            let slot = DATA + SANDBOX + SLOT * i as u64;
            let table = slot + SLOT * self.blocks.len() as u64;
            code.registers(block.base, table, Op::Ld, Op::Fld);
            code.address(block.base, DATA + SANDBOX / 2);
            block.instructions.iter().for_each(|&instruction| code.emit(instruction));
            code.registers(block.base, slot, Op::Sd, Op::Fsd);
        }
        code.write_and_exit(DATA, self.compared());
        code.words
    }

    /// Describes the first difference between two memories of `compared()` bytes.
    #[must_use]
    pub fn difference(&self, ours: &[u8], oracle: &[u8]) -> Option<String> {
        if ours.len() != oracle.len() {
            return Some(format!("{} bytes, the oracle has {}", ours.len(), oracle.len()));
        }
        let place = |at: usize| u64::from_le_bytes(ours[at..at + 8].try_into().unwrap_or_default());
        let other = |at: usize| u64::from_le_bytes(oracle[at..at + 8].try_into().unwrap_or_default());
        let differs = |at: &usize| place(*at) != other(*at);
        let slots = (SANDBOX as usize..ours.len()).step_by(8).find(differs);
        let Some(at) = slots else {
            let at = (0..SANDBOX as usize).step_by(8).find(differs)?;
            return Some(format!("sandbox + {at:#x}: {:#x}, oracle {:#x}", place(at), other(at)));
        };
        let (block, register) = ((at as u64 - SANDBOX) / SLOT, (at as u64 - SANDBOX) % SLOT / 8);
        let name = if register < 32 { format!("x{register}") } else { format!("f{}", register - 32) };
        let block = &self.blocks[block as usize];
        Some(format!("{name}: {:#x}, oracle {:#x}, after\n{block}", place(at), other(at)))
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, instruction) in self.instructions.iter().enumerate() {
            writeln!(f, "  {:#4x}  {instruction}", 4 * i)?;
        }
        write!(f, "from {:#x?}", self.values)
    }
}

impl Block {
    /// A random block.
    fn random(random: &mut Random, executed: &mut [u64]) -> Self {
        let base = 1 + random.below(31) as u8;
        let mut generator = Generator { base, random, instructions: Vec::new(), reachable: 0, executed };
        while generator.instructions.len() < BLOCK {
            generator.item();
        }
        // The last branches must not go beyond the block.
        while generator.reachable > 0 {
            generator.push(Instruction::new(Op::Addi));
        }
        let instructions = generator.instructions;
        Self { base, values: values(random), instructions }
    }
}

/// Initial registers. Half of the blocks use only special values, so that rare pairs occur.
fn values(random: &mut Random) -> Vec<u64> {
    let special = random.one_in(2);
    let words = [0, 1, 2, 31, 32, 63, 64, 1 << 31, (1 << 31) - 1, 1 << 32, 1 << 63, (1 << 63) - 1, u64::MAX];
    let mut values: Vec<u64> =
        (0..32).map(|_| if special { *random.pick(&words) } else { random.word() }).collect();
    values.extend((0..32).map(|register| {
        let format = format_of(register);
        let number = if special { *random.pick(&special_floats(format)) } else { random.float(format) };
        match format {
            // One in sixteen is not boxed.
            Format::F32 if !random.one_in(16) => number | 0xffff_ffff << 32,
            _ => number,
        }
    }));
    values
}

/// Even float registers usually hold singles, odd ones doubles, since a single that is not boxed is just a
/// NaN.
fn format_of(register: u64) -> Format {
    if register.is_multiple_of(2) { Format::F32 } else { Format::F64 }
}

/// Makes the instructions of one block.
struct Generator<'a> {
    base: u8,
    random: &'a mut Random,
    instructions: Vec<Instruction>,
    /// How many of the next instructions some branch may skip.
    reachable: usize,
    executed: &'a mut [u64],
}

impl Generator<'_> {
    /// Adds an instruction, or the two of an indirect jump.
    fn item(&mut self) {
        let entries: Vec<_> = candidates().collect();
        let entry = *self.random.pick(&entries);
        if entry.op == Op::Jalr {
            // No branch may land between the two.
            if self.reachable > 0 {
                return;
            }
            let rs1 = self.destination().max(1);
            if rs1 == self.base {
                return;
            }
            self.push(Instruction { rd: rs1, ..Instruction::new(Op::Auipc) });
            let skip = self.skip();
            // The lowest bit of the sum is ignored.
            let imm = 4 + skip + self.random.below(2) as i32;
            let rd = self.destination();
            self.push(Instruction { rd, rs1, imm, ..Instruction::new(Op::Jalr) });
            self.reachable = (skip / 4 - 1) as usize;
            return;
        }
        let instruction = self.instruction(entry);
        self.push(instruction);
        if matches!(entry.layout, Layout::B | Layout::J) {
            self.reachable = self.reachable.max((instruction.imm / 4 - 1) as usize);
        }
    }

    /// Appends an instruction. Counts it unless a branch may skip it.
    fn push(&mut self, instruction: Instruction) {
        if self.reachable == 0 {
            self.executed[instruction.op as usize] += 1;
        }
        self.reachable = self.reachable.saturating_sub(1);
        self.instructions.push(instruction);
    }

    /// The distance of a jump: to one of the next instructions of the block, or to its end.
    fn skip(&mut self) -> i32 {
        4 * (1 + self.random.below(3)) as i32
    }

    /// A register that may be written.
    fn destination(&mut self) -> u8 {
        loop {
            let register = self.random.below(32) as u8;
            if register != self.base {
                return register;
            }
        }
    }

    /// A float register, usually one for this format.
    fn float(&mut self, format: Format) -> u8 {
        let register = self.random.below(32);
        if self.random.one_in(16) || format_of(register) == format {
            register as u8
        } else {
            register as u8 ^ 1
        }
    }

    /// An instruction with random operands.
    fn instruction(&mut self, entry: &InstructionEntry) -> Instruction {
        let own = if entry.extension == Extension::D { Format::F64 } else { Format::F32 };
        let (source, target) = match entry.op {
            Op::FcvtSD => (Format::F64, Format::F32),
            Op::FcvtDS => (Format::F32, Format::F64),
            _ => (own, own),
        };
        let mut it = Instruction::new(entry.op);
        if entry.has("rd") {
            it.rd = self.destination();
        } else if entry.has("frd") {
            it.rd = self.float(target);
        }
        let accesses = entry.syntax.ends_with("imm(rs1)");
        if accesses {
            it.rs1 = self.base;
        } else if entry.has("rs1") {
            it.rs1 = self.random.below(32) as u8;
        } else if entry.has("frs1") {
            it.rs1 = self.float(source);
        }
        if entry.has("rs2") {
            it.rs2 = self.random.below(32) as u8;
        } else if entry.has("frs2") {
            it.rs2 = self.float(source);
        }
        if entry.has("frs3") {
            it.rs3 = self.float(source);
        }
        if entry.is_rounded() {
            it.rm = self.random.below(5) as u8;
        }
        if entry.has("imm") {
            it.imm = self.immediate(entry, accesses);
        }
        it
    }

    /// A random immediate that the instruction can hold; aligned for the largest access.
    fn immediate(&mut self, entry: &InstructionEntry, accesses: bool) -> i32 {
        let any = self.random.word() as i32;
        match entry.layout {
            Layout::I | Layout::S if accesses => 8 * (self.random.below(512) as i32 - 256),
            Layout::Shift => any & 63,
            Layout::ShiftW => any & 31,
            Layout::B | Layout::J => self.skip(),
            Layout::U => any & !0xfff,
            _ => any << 20 >> 20,
        }
    }
}

/// Writes code.
#[derive(Default)]
struct Assembler {
    words: Vec<u32>,
}

impl Assembler {
    fn emit(&mut self, instruction: Instruction) {
        self.words.push(encode(instruction).unwrap_or_else(|| panic!("{instruction} has no encoding")));
    }

    /// Loads an address into a register.
    fn address(&mut self, rd: u8, address: u64) {
        let here = CODE + 4 * self.words.len() as u64;
        let offset = address.wrapping_sub(here) as i32;
        let low = offset << 20 >> 20;
        self.emit(Instruction { rd, imm: offset.wrapping_sub(low), ..Instruction::new(Op::Auipc) });
        self.emit(Instruction { rd, rs1: rd, imm: low, ..Instruction::new(Op::Addi) });
    }

    /// Loads or stores every register except x0 and `base`, which is overwritten.
    fn registers(&mut self, base: u8, at: u64, integer: Op, float: Op) {
        self.address(base, at);
        for register in 0..32u8 {
            self.access(float, base, register, 256 + 8 * i32::from(register));
            if register != 0 && register != base {
                self.access(integer, base, register, 8 * i32::from(register));
            }
        }
    }

    /// A load or store of a register.
    fn access(&mut self, op: Op, base: u8, register: u8, imm: i32) {
        let store = op.entry().layout == Layout::S;
        let (rd, rs2) = if store { (0, register) } else { (register, 0) };
        self.emit(Instruction { rd, rs1: base, rs2, imm, ..Instruction::new(op) });
    }

    /// `write(1, address, size)` and `exit(0)`. The write is repeated until everything is written, since
    /// pipes take 64 KiB at a time.
    fn write_and_exit(&mut self, address: u64, size: u64) {
        let [a0, a1, a2, a7, end] = [10, 11, 12, 17, 18];
        self.address(a1, address);
        self.address(end, address + size);
        let li = |rd, imm| Instruction { rd, imm, ..Instruction::new(Op::Addi) };
        self.emit(li(a7, 64));
        let again = self.words.len();
        self.emit(li(a0, 1));
        self.emit(Instruction { rd: a2, rs1: end, rs2: a1, ..Instruction::new(Op::Sub) });
        self.emit(Instruction::new(Op::Ecall));
        self.emit(Instruction { rd: a1, rs1: a1, rs2: a0, ..Instruction::new(Op::Add) });
        let back = 4 * (again as i32 - self.words.len() as i32);
        self.emit(Instruction { rs1: a1, rs2: end, imm: back, ..Instruction::new(Op::Bne) });
        self.emit(li(a7, 93));
        self.emit(li(a0, 0));
        self.emit(Instruction::new(Op::Ecall));
    }
}
