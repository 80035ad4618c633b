//! The fast loop: predecoded instructions over registers and memory.
//!
//! It handles the common case, a legal instruction inside the code. It stops before anything else, which the
//! driver in [`step`] then handles.

use crate::Interpreter;
use isa::{
    Done, FloatUnit, Instruction, Layout, Machine, Native, Op, Size, Stop, Trap, U64, U128,
    for_each_instruction, semantics,
};
use memory::View;
use std::marker::PhantomData;
use step::{Floats, Status};

/// The register that receives writes to x0.
const NOWHERE: u8 = 32;

/// A predecoded instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    /// `None` if the word is illegal, or if the loop has to stop here.
    op: Option<Op>,
    /// The destination. For x0, a register that is never read.
    rd: u8,
    rs1: u8,
    rs2: u8,
    /// The immediate. For float instructions without one, `rs3`, and the rounding mode above it.
    imm: i32,
}

const _: () = assert!(size_of::<Record>() == 8, "eight records share a cache line");

impl Record {
    /// A record that stops the loop, whatever the word is. The driver decodes the word itself.
    pub(crate) const STOP: Self = Self { op: None, rd: 0, rs1: 0, rs2: 0, imm: 0 };

    /// Whether the loop executes it.
    pub(crate) fn is_ordinary(&self) -> bool {
        self.op.is_some()
    }

    /// The record of a word.
    pub(crate) fn new(instruction: Option<Instruction>) -> Self {
        let Some(Instruction { op, rd, rs1, rs2, rs3, rm, imm }) = instruction else {
            return Self::STOP;
        };
        let entry = op.entry();
        let rd = if rd == 0 && !entry.has("frd") { NOWHERE } else { rd };
        let imm = match entry.layout {
            Layout::Rounded | Layout::R4 => i32::from(rs3) | i32::from(rm) << 8,
            _ => imm,
        };
        Self { op: Some(op), rd, rs1, rs2, imm }
    }
}

/// The registers of one kind, of which the first 32 exist. There is one for each value of a byte, so that no
/// index needs a check.
#[derive(Debug, Clone)]
pub(crate) struct Registers {
    pub(crate) x: [u64; 256],
    pub(crate) f: [u64; 256],
}

impl Registers {
    /// The integer registers that are hashed.
    pub(crate) fn integers(&self) -> [u64; 32] {
        std::array::from_fn(|i| self.x[i])
    }

    /// The float registers that are hashed.
    pub(crate) fn floats(&self) -> Floats {
        Floats(std::array::from_fn(|i| self.f[i]))
    }

    /// Writes all float registers.
    pub(crate) fn set_floats(&mut self, floats: Floats) {
        self.f[..32].copy_from_slice(&floats.0);
    }
}

/// The parts of a machine that the loop uses.
pub(crate) struct Hart<'a> {
    pub(crate) registers: &'a mut Registers,
    pub(crate) view: View<'a>,
    pub(crate) code: &'a [u8],
    pub(crate) base: u64,
    /// A decoded part of the code, and its offset in the code.
    pub(crate) records: &'a [Record],
    pub(crate) first: u64,
}

/// Where the loop stopped.
pub(crate) struct Stopped {
    /// The number of steps.
    pub(crate) steps: u64,
    /// The program counter.
    pub(crate) pc: u64,
    /// Whether it runs. If it does although fewer steps were made than allowed, the driver must make the next
    /// one.
    pub(crate) status: Status,
}

/// Observes every instruction.
pub(crate) trait Observer {
    /// The loop is about to execute this instruction, at this word of the code.
    fn see(&mut self, op: Op, word: usize);

    /// The driver is about to make a step for the loop. Returns whether it may.
    fn leave(&mut self, _: &Interpreter) -> bool {
        true
    }
}

/// No observer.
pub(crate) struct Unobserved;

impl Observer for Unobserved {
    #[inline(always)]
    fn see(&mut self, _: Op, _: usize) {}
}

/// Makes up to `limit` steps from a `pc` that is a multiple of four.
#[inline(always)]
pub(crate) fn run<F: FloatUnit<Native>, O: Observer>(
    hart: Hart<'_>,
    pc: u64,
    limit: u64,
    observer: &mut O,
) -> Stopped {
    let Hart { registers, mut view, code, base, records, first } = hart;
    let mut offset = pc.wrapping_sub(base);
    let mut left = limit;
    let mut status = Status::Running;
    while left != 0 {
        let Some(record) = records.get((offset.wrapping_sub(first) >> 2) as usize) else { break };
        let place = Place { code, base, offset };
        let mut current = Current::<F>::new(registers, view.reborrow(), place, record);
        match dispatch(&mut current, observer) {
            Ok(()) => offset = current.next,
            Err(Stop) if current.status == Status::Running => break,
            Err(Stop) => {
                status = current.status;
                left -= 1;
                break;
            }
        }
        left -= 1;
    }
    Stopped { steps: limit - left, pc: base.wrapping_add(offset), status }
}

/// The address of the code, and the machine's offset in it.
#[derive(Clone, Copy)]
struct Place<'a> {
    code: &'a [u8],
    base: u64,
    /// pc relative to the code.
    offset: u64,
}

/// The machine as the current instruction sees it.
struct Current<'a, F> {
    registers: &'a mut Registers,
    view: View<'a>,
    place: Place<'a>,
    record: &'a Record,
    /// The next pc relative to the code.
    next: u64,
    status: Status,
    float: PhantomData<F>,
}

impl<'a, F: FloatUnit<Native>> Current<'a, F> {
    #[inline(always)]
    fn new(registers: &'a mut Registers, view: View<'a>, place: Place<'a>, record: &'a Record) -> Self {
        let next = place.offset.wrapping_add(4);
        Self { registers, view, place, record, next, status: Status::Running, float: PhantomData }
    }

    /// Whether an address is in the code.
    #[inline(always)]
    fn is_code(&self, address: u64) -> bool {
        address.wrapping_sub(self.place.base) < self.place.code.len() as u64
    }

    /// Bytes of code or memory.
    #[inline(always)]
    fn load<const N: usize>(&self, address: u64) -> [u8; N] {
        if self.is_code(address) {
            let at = address.wrapping_sub(self.place.base) as usize;
            return self.place.code.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N]);
        }
        self.view.load(address)
    }
}

/// Executes the current instruction. Conversions are outside the loop, whose code would not fit into the
/// cache otherwise. An illegal word has no effect and stops the loop while the machine's status is still
/// running.
macro_rules! dispatch {
    ($($op:ident $function:ident $mnemonic:literal $extension:ident $layout:ident $fixed:expr, $syntax:literal $doc:literal;)*) => {
        #[inline(always)]
        fn dispatch<F: FloatUnit<Native>, O: Observer>(current: &mut Current<'_, F>, observer: &mut O) -> Done {
            match current.record.op {
                $(Some(Op::$op) => {
                    observer.see(Op::$op, (current.place.offset >> 2) as usize);
                    if const { is_conversion(Op::$op) } {
                        convert::<F>(current.registers, current.view.reborrow(), current.place, current.record, Op::$op);
                        Ok(())
                    } else {
                        semantics::execute(current, Op::$op)
                    }
                })*
                None => Err(Stop),
            }
        }
    };
}
for_each_instruction!(dispatch);

/// Whether an instruction is a rounding conversion. These only compute: they don't access memory, jump or
/// stop.
const fn is_conversion(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        FcvtWS
            | FcvtWuS
            | FcvtLS
            | FcvtLuS
            | FcvtSW
            | FcvtSWu
            | FcvtSL
            | FcvtSLu
            | FcvtSD
            | FcvtDS
            | FcvtWD
            | FcvtWuD
            | FcvtLD
            | FcvtLuD
            | FcvtDW
            | FcvtDWu
            | FcvtDL
            | FcvtDLu
    )
}

/// Executes a conversion.
#[inline(never)]
fn convert<F: FloatUnit<Native>>(
    registers: &mut Registers,
    view: View<'_>,
    place: Place<'_>,
    record: &Record,
    op: Op,
) {
    // A conversion can't stop the machine.
    let _ = semantics::execute(&mut Current::<F>::new(registers, view, place, record), op);
}

impl<F: FloatUnit<Native>> Machine for Current<'_, F> {
    type D = Native;
    type Float = F;

    #[inline(always)]
    fn pc(&mut self) -> U64 {
        U64(self.place.base.wrapping_add(self.place.offset))
    }
    #[inline(always)]
    fn rs1(&mut self) -> U64 {
        U64(self.registers.x[usize::from(self.record.rs1)])
    }
    #[inline(always)]
    fn rs2(&mut self) -> U64 {
        U64(self.registers.x[usize::from(self.record.rs2)])
    }
    #[inline(always)]
    fn imm(&mut self) -> U64 {
        U64(i64::from(self.record.imm).cast_unsigned())
    }
    #[inline(always)]
    fn a7(&mut self) -> U64 {
        U64(self.registers.x[17])
    }
    #[inline(always)]
    fn set_rd(&mut self, value: U64) -> Done {
        self.registers.x[usize::from(self.record.rd)] = value.0;
        Ok(())
    }
    #[inline(always)]
    fn frs1(&mut self) -> U64 {
        U64(self.registers.f[usize::from(self.record.rs1)])
    }
    #[inline(always)]
    fn frs2(&mut self) -> U64 {
        U64(self.registers.f[usize::from(self.record.rs2)])
    }
    #[inline(always)]
    fn frs3(&mut self) -> U64 {
        U64(self.registers.f[usize::from(self.record.imm as u8)])
    }
    #[inline(always)]
    fn set_frd(&mut self, value: U64) -> Done {
        self.registers.f[usize::from(self.record.rd)] = value.0;
        Ok(())
    }
    #[inline(always)]
    fn rm(&mut self) -> U128 {
        U128((self.record.imm >> 8 & 7) as u128)
    }
    #[inline(always)]
    fn readable(&mut self, address: U64) -> bool {
        self.view.contains(address.0) || self.is_code(address.0)
    }
    #[inline(always)]
    fn writable(&mut self, address: U64) -> bool {
        self.view.contains(address.0) && !self.is_code(address.0)
    }
    #[inline(always)]
    fn read(&mut self, address: U64, size: Size) -> U64 {
        U64(match size {
            Size::Byte => u64::from(u8::from_le_bytes(self.load(address.0))),
            Size::Half => u64::from(u16::from_le_bytes(self.load(address.0))),
            Size::Word => u64::from(u32::from_le_bytes(self.load(address.0))),
            Size::Double => u64::from_le_bytes(self.load(address.0)),
        })
    }
    #[inline(always)]
    fn write(&mut self, address: U64, size: Size, value: U64) -> Done {
        let (address, value) = (address.0, value.0);
        match size {
            Size::Byte => self.view.store(address, (value as u8).to_le_bytes()),
            Size::Half => self.view.store(address, (value as u16).to_le_bytes()),
            Size::Word => self.view.store(address, (value as u32).to_le_bytes()),
            Size::Double => self.view.store(address, value.to_le_bytes()),
        }
        Ok(())
    }
    #[inline(always)]
    fn jump_if(&mut self, taken: bool, target: U64) -> Done {
        if taken { self.jump(target) } else { Ok(()) }
    }
    #[inline(always)]
    fn jump(&mut self, target: U64) -> Done {
        self.next = target.0.wrapping_sub(self.place.base);
        Ok(())
    }
    #[inline(always)]
    fn trap_if(&mut self, bad: bool, trap: Trap) -> Done {
        if bad { self.trap(trap) } else { Ok(()) }
    }
    #[inline(always)]
    fn trap(&mut self, trap: Trap) -> Done {
        self.status = Status::Trapped(trap);
        Err(Stop)
    }
    #[inline(always)]
    fn exit(&mut self) -> Done {
        self.status = Status::Exited;
        Err(Stop)
    }
}
