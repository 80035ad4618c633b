//! The entries of the program: for the whole run, and for each big step.
//!
//! ```text
//! _start:     s0 = 1                    the whole run; at the start of a big step s0 is 0, as at any reset
//! big step 0: its range; call node
//!             if s0 == 0: exit
//!             s1 = repetitions          before the first big step of a period
//! big step 1: ...
//!             s1 = s1 - 1               after its last one
//!             if s1 != 0: go to big step 1
//! big step 2: ...
//!             exit
//! node 0:     the address of its block
//!             if a guard says so: return to the big step
//!             go on to the kernel, which returns to the big step
//!             the addresses of its guards
//!             the block: the addresses of its tensors
//! ```
//!
//! A big step therefore has the same code whether it runs alone or after the others.

use isa::{Instruction, Op, encode};

use crate::error::LinkError;

const ZERO: u8 = 0;
const RA: u8 = 1;
const T1: u8 = 6;
/// Kernels preserve it and the next one, like every function.
const S0: u8 = 8;
/// How many repetitions of the period are left.
const S1: u8 = 9;
const A0: u8 = 10;
const A7: u8 = 17;
/// The number of the system call that exits.
const EXIT: u64 = 93;
/// Bytes of the code that exits.
const EXIT_BYTES: i32 = 12;

/// A kernel and its arguments besides the range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The addresses of its inputs and its output.
    pub addresses: Vec<u64>,
    /// The index of the kernel.
    pub kernel: usize,
    /// When it is computed: only if all of them say so.
    pub guards: Vec<Guard>,
}

impl Node {
    /// How many instructions it executes before the kernel.
    fn steps(&self) -> u64 {
        NODE + GUARD * self.guards.len() as u64
    }
}

/// A byte that says whether a node is computed: unless it is zero, or only if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The address of the byte.
    pub address: u64,
    /// Whether the node is computed unless the byte is zero.
    pub when: bool,
}

/// Big steps that the whole run repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The first big step.
    pub start: usize,
    /// Their number.
    pub count: usize,
    /// How often they are repeated.
    pub times: u64,
}

/// A big step: its node and its units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The node.
    pub node: usize,
    /// The first unit.
    pub lo: u64,
    /// One past the last.
    pub hi: u64,
}

/// A big step in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub address: u64,
    /// The number of instructions executed outside the kernel, including the exit.
    pub steps: u64,
}

/// The instructions of a node: the address of its block, and a jump.
const NODE: u64 = 2 + 2;

/// The instructions that a guard executes if the node is computed: two loads and a branch over the return. If
/// it isn't, the return replaces the rest of the node and the kernel, which are longer.
const GUARD: u64 = 3;

/// The instructions at the end of a repetition: the counter, a branch, and a jump; the last one leaves it out.
const AGAIN: u64 = 2 + JUMP;
const JUMP: u64 = 2;

/// More than the instructions that any big step of a node with so many guards executes outside its kernel:
/// eight for each end of the range, the call, the node, the branch and the exit.
pub(super) const fn most_steps(guards: u64) -> u64 {
    8 * 2 + 2 + NODE + GUARD * guards + 1 + 3
}

/// What is linked: the nodes, and the big steps with a period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule<'a> {
    pub nodes: &'a [Node],
    pub steps: &'a [Part],
    pub period: Option<Period>,
}

impl Schedule<'_> {
    /// Checks that the period is one.
    pub fn check(&self) -> Result<(), LinkError> {
        let Some(Period { start, count, times }) = self.period else { return Ok(()) };
        let inside = start.checked_add(count).is_some_and(|end| end <= self.steps.len());
        let good = inside && count > 0 && times > 0;
        if good { Ok(()) } else { Err(LinkError::Period { start, count, times, steps: self.steps.len() }) }
    }

    /// How often the period is repeated, if it starts with this big step.
    fn starts(&self, step: usize) -> Option<u64> {
        self.period.filter(|period| period.start == step).map(|period| period.times)
    }

    /// Whether the period ends with this big step.
    fn ends(&self, step: usize) -> bool {
        self.period.is_some_and(|period| period.start + period.count == step + 1)
    }

    /// How many instructions the whole run executes, given those of each big step when it runs alone, and those
    /// that set the counter.
    pub fn whole_run(&self, bounds: &[u64], counter: u64) -> u64 {
        let exit = EXIT_BYTES as u64 / 4;
        let sum = |bounds: &[u64]| bounds.iter().map(|bound| bound - exit).fold(0, u64::saturating_add);
        let all = sum(bounds).saturating_add(1 + exit);
        let Some(Period { start, count, times }) = self.period else { return all };
        let again = sum(&bounds[start..start + count]).saturating_add(AGAIN);
        again.saturating_mul(times - 1).saturating_add(all).saturating_add(counter + AGAIN - JUMP)
    }
}

/// The code before the kernels. Its size does not depend on addresses.
#[derive(Debug, Default)]
pub(super) struct Start {
    /// The entry and the big steps.
    pub steps: Vec<u8>,
    /// Where each big step is in it.
    pub entries: Vec<Entry>,
    /// The instructions that set the counter of repetitions.
    pub counter: u64,
    /// The code that the big steps call.
    pub nodes: Vec<u8>,
    /// The addresses in it, which are data.
    pub blocks: Vec<std::ops::Range<usize>>,
    /// The offset of each node in that code.
    places: Vec<u64>,
}

impl Start {
    /// The code for its own address and those of the kernels.
    pub fn new(address: u64, schedule: &Schedule<'_>, kernels: &[u64]) -> Result<Self, LinkError> {
        let draft = Self::assemble(address, schedule, kernels, &Self::default())?;
        Self::assemble(address, schedule, kernels, &draft)
    }

    fn assemble(
        address: u64,
        schedule: &Schedule<'_>,
        kernels: &[u64],
        draft: &Self,
    ) -> Result<Self, LinkError> {
        let calls_start = address + draft.steps.len() as u64;
        let (mut places, mut blocks) = (Vec::new(), Vec::new());
        let mut calls = Assembler { address: calls_start, words: Vec::new() };
        for node in schedule.nodes {
            places.push(calls.here() - calls_start);
            let kernel = kernels.get(node.kernel).copied().unwrap_or(address);
            let data = calls.node(node, kernel)?;
            blocks.push((data - calls_start) as usize..(calls.here() - calls_start) as usize);
        }
        let mut code = Assembler { address, words: Vec::new() };
        code.load_immediate(S0, 1)?;
        let (mut entries, mut counter, mut first) = (Vec::new(), 0, 0);
        for (index, step) in schedule.steps.iter().enumerate() {
            if let Some(times) = schedule.starts(index) {
                let before = code.here();
                code.load_immediate(S1, times)?;
                first = code.here();
                counter = (first - before) / 4;
            }
            let entry = code.here();
            code.load_immediate(A0 + 1, step.lo)?;
            code.load_immediate(A0 + 2, step.hi)?;
            code.jump(RA, RA, calls_start + draft.places.get(step.node).unwrap_or(&0))?;
            code.push(Instruction { rs1: S0, imm: 4 + EXIT_BYTES, ..Instruction::new(Op::Bne) })?;
            code.exit()?;
            let node = schedule.nodes.get(step.node).map_or(NODE, Node::steps);
            entries.push(Entry { address: entry, steps: (code.here() - entry) / 4 + node });
            if schedule.ends(index) {
                code.immediate(Op::Addi, S1, S1, -1)?;
                code.push(Instruction { rs1: S1, imm: 4 + 4 * JUMP as i32, ..Instruction::new(Op::Beq) })?;
                code.jump(ZERO, T1, first)?;
            }
        }
        code.exit()?;
        if !code.here().is_multiple_of(8) {
            code.immediate(Op::Addi, ZERO, ZERO, 0)?;
        }
        Ok(Self { steps: code.bytes(), entries, counter, nodes: calls.bytes(), blocks, places })
    }
}

struct Assembler {
    address: u64,
    words: Vec<u32>,
}

impl Assembler {
    /// The address of the next instruction.
    fn here(&self) -> u64 {
        self.address + self.words.len() as u64 * 4
    }

    fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn push(&mut self, instruction: Instruction) -> Result<(), LinkError> {
        let word =
            encode(instruction).ok_or_else(|| LinkError::Encoding { what: format!("{instruction:?}") })?;
        self.words.push(word);
        Ok(())
    }

    fn immediate(&mut self, op: Op, rd: u8, rs1: u8, imm: i32) -> Result<(), LinkError> {
        self.push(Instruction { rd, rs1, imm, ..Instruction::new(op) })
    }

    /// Loads any number: first the upper part, shifted into place, then 12 bits at a time.
    fn load_immediate(&mut self, rd: u8, value: u64) -> Result<(), LinkError> {
        let signed = value.cast_signed();
        let low = low_12(signed);
        if i64::from(low) == signed {
            return self.immediate(Op::Addi, rd, ZERO, low);
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

    /// A jump of any distance through a register, with the return address in another register. A call if that
    /// is `ra`.
    fn jump(&mut self, link: u8, by: u8, target: u64) -> Result<(), LinkError> {
        let distance = target.wrapping_sub(self.here()).cast_signed();
        let low = low_12(distance);
        let upper = i32::try_from(distance - i64::from(low));
        let upper =
            upper.map_err(|_| LinkError::Encoding { what: format!("a call over {distance} bytes") })?;
        self.immediate(Op::Auipc, by, 0, upper)?;
        self.immediate(Op::Jalr, link, by, low)
    }

    /// The address of something at any distance.
    fn address_of(&mut self, rd: u8, target: u64) -> Result<(), LinkError> {
        let distance = target.wrapping_sub(self.here()).cast_signed();
        let low = low_12(distance);
        let upper = i32::try_from(distance - i64::from(low));
        let upper =
            upper.map_err(|_| LinkError::Encoding { what: format!("an address {distance} bytes away") })?;
        self.immediate(Op::Auipc, rd, 0, upper)?;
        self.immediate(Op::Addi, rd, rd, low)
    }

    /// A node. Returns the address of the numbers in it, which are the last.
    fn node(&mut self, node: &Node, kernel: u64) -> Result<u64, LinkError> {
        // A node begins at a multiple of 8 bytes, and its instructions and numbers are such multiples, so each
        // number is aligned.
        let guards = node.guards.len() as u64;
        let data = self.here() + 4 * (NODE + (GUARD + 1) * guards);
        self.address_of(A0, data + 8 * guards)?;
        for (guard, place) in node.guards.iter().zip((0..guards as i32).rev()) {
            self.immediate(Op::Ld, T1, A0, -8 * (place + 1))?;
            self.immediate(Op::Lbu, T1, T1, 0)?;
            let computed = if guard.when { Op::Bne } else { Op::Beq };
            self.push(Instruction { rs1: T1, imm: 8, ..Instruction::new(computed) })?;
            self.immediate(Op::Jalr, ZERO, RA, 0)?;
        }
        self.jump(ZERO, T1, kernel)?;
        node.guards.iter().for_each(|guard| self.data(guard.address));
        node.addresses.iter().for_each(|&argument| self.data(argument));
        Ok(data)
    }

    /// A number that is no instruction.
    fn data(&mut self, number: u64) {
        self.words.extend([number as u32, (number >> 32) as u32]);
    }

    fn exit(&mut self) -> Result<(), LinkError> {
        self.load_immediate(A0, 0)?;
        self.load_immediate(A7, EXIT)?;
        self.push(Instruction::new(Op::Ecall))
    }
}

/// The low 12 bits as a signed number, which an instruction adds to the upper part.
fn low_12(value: i64) -> i32 {
    ((value << 52) >> 52) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use isa::{Extensions, decode};

    /// The value of a register after straight-line code of the few instructions used here.
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
        let mut values: Vec<u64> =
            (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, (1 << bit) + 0x800]).collect();
        values.extend([
            0x7ff,
            0x800,
            0xfff,
            0x7fff_f800,
            0x7fff_ffff,
            0x8000_0000,
            0x1234_5678_9abc_def0,
            u64::MAX,
        ]);
        for value in values {
            let mut code = Assembler { address: 0, words: Vec::new() };
            code.load_immediate(A0, value).unwrap();
            assert_eq!(execute(&code.words), value, "{value:#x}");
            assert!(code.words.len() <= 8, "{value:#x}");
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
            code.jump(RA, RA, target).unwrap();
            let [upper, jump] = code.words[..] else { panic!() };
            let (upper, jump) =
                (decode(upper, Extensions::IM).unwrap(), decode(jump, Extensions::IM).unwrap());
            assert_eq!(here.wrapping_add_signed(i64::from(upper.imm) + i64::from(jump.imm)), target);
        }
        let mut code = Assembler { address: 0, words: Vec::new() };
        assert!(code.jump(RA, RA, 1 << 40).is_err());
    }
}
