//! The accessors through which an instruction reads and changes the machine.
//!
//! [`Machine`] is implemented by the interpreter, the machines that record and replay, and the Solidity
//! printer.

use crate::domain::{Domain, Nat};
use crate::float::{self, Format};

/// Why the machine stopped for good. The numbers are those of `mcause` (privileged specification, table
/// "mcause").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Trap {
    /// A jump or taken branch to an address that is not a multiple of four.
    InstructionMisaligned = 0,
    /// The program counter is outside the code.
    InstructionFault = 1,
    /// The word at the program counter is not an instruction of this machine.
    IllegalInstruction = 2,
    /// `ebreak`.
    Breakpoint = 3,
    /// A load from an address that is not a multiple of its size.
    LoadMisaligned = 4,
    /// A load from outside memory and code.
    LoadFault = 5,
    /// A store to an address that is not a multiple of its size.
    StoreMisaligned = 6,
    /// A store outside memory, or to code.
    StoreFault = 7,
    /// `ecall` with a number in `a7` that is not 93 (exit).
    EnvironmentCall = 8,
}

impl Trap {
    /// Every trap.
    pub const ALL: [Self; 9] = [
        Self::InstructionMisaligned,
        Self::InstructionFault,
        Self::IllegalInstruction,
        Self::Breakpoint,
        Self::LoadMisaligned,
        Self::LoadFault,
        Self::StoreMisaligned,
        Self::StoreFault,
        Self::EnvironmentCall,
    ];

    /// A description for people.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::InstructionMisaligned => "jump to a misaligned address",
            Self::InstructionFault => "program counter outside the code",
            Self::IllegalInstruction => "illegal instruction",
            Self::Breakpoint => "breakpoint",
            Self::LoadMisaligned => "misaligned load",
            Self::LoadFault => "load from an unmapped address",
            Self::StoreMisaligned => "misaligned store",
            Self::StoreFault => "store to code or to an unmapped address",
            Self::EnvironmentCall => "system call other than exit (a7 = 93)",
        }
    }
}

/// The machine has stopped, and this step has no further effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// The result of an instruction function.
pub type Done = Result<(), Stop>;

/// The size of a memory access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Size {
    /// One byte.
    Byte = 1,
    /// Two bytes.
    Half = 2,
    /// Four bytes.
    Word = 4,
    /// Eight bytes.
    Double = 8,
}

impl Size {
    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self as u64
    }
    /// The number of bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        8 * self as u32
    }
}

/// The machine as one instruction sees it. The fields of the current instruction choose the registers.
///
/// `pc` advances by four unless the instruction jumps, exits or traps; on exit and trap it stays.
pub trait Machine {
    /// The domain in which the machine computes.
    type D: Domain;
    /// The unit that rounds floating-point operations.
    type Float: FloatUnit<Self::D>;

    /// The address of the current instruction.
    fn pc(&mut self) -> <Self::D as Domain>::Word;
    /// The integer register `rs1`.
    fn rs1(&mut self) -> <Self::D as Domain>::Word;
    /// The integer register `rs2`.
    fn rs2(&mut self) -> <Self::D as Domain>::Word;
    /// The immediate, sign-extended (shift amounts: zero-extended).
    fn imm(&mut self) -> <Self::D as Domain>::Word;
    /// The integer register `a7`: the number of a system call.
    fn a7(&mut self) -> <Self::D as Domain>::Word;
    /// Writes the integer register `rd`; writes to `x0` are ignored.
    fn set_rd(&mut self, value: <Self::D as Domain>::Word) -> Done;
    /// The float register `rs1`, all 64 bits.
    fn frs1(&mut self) -> <Self::D as Domain>::Word;
    /// The float register `rs2`, all 64 bits.
    fn frs2(&mut self) -> <Self::D as Domain>::Word;
    /// The float register `rs3`, all 64 bits.
    fn frs3(&mut self) -> <Self::D as Domain>::Word;
    /// Writes all 64 bits of the float register `rd`.
    fn set_frd(&mut self, value: <Self::D as Domain>::Word) -> Done;
    /// The static rounding mode, 0 to 4.
    fn rm(&mut self) -> <Self::D as Domain>::Nat;
    /// Whether an aligned access at this address reads memory or code.
    fn readable(&mut self, address: <Self::D as Domain>::Word) -> <Self::D as Domain>::Bool;
    /// Whether an aligned access at this address may write: memory, and not code.
    fn writable(&mut self, address: <Self::D as Domain>::Word) -> <Self::D as Domain>::Bool;
    /// Reads `size` little-endian bytes, zero-extended, at an aligned and readable address.
    fn read(&mut self, address: <Self::D as Domain>::Word, size: Size) -> <Self::D as Domain>::Word;
    /// Writes the low `size` bytes of `value` at an aligned and writable address.
    fn write(
        &mut self,
        address: <Self::D as Domain>::Word,
        size: Size,
        value: <Self::D as Domain>::Word,
    ) -> Done;
    /// Continues at `target` (a multiple of four) if `taken`.
    fn jump_if(&mut self, taken: <Self::D as Domain>::Bool, target: <Self::D as Domain>::Word) -> Done;
    /// Continues at `target` (a multiple of four).
    fn jump(&mut self, target: <Self::D as Domain>::Word) -> Done;
    /// Traps, and ends the instruction, if `bad`.
    fn trap_if(&mut self, bad: <Self::D as Domain>::Bool, trap: Trap) -> Done;
    /// Traps and ends the instruction.
    fn trap(&mut self, trap: Trap) -> Done;
    /// Halts the machine; the exit code is in `a0`.
    fn exit(&mut self) -> Done;
}

/// The operations of the float unit, on bit patterns. The defaults are software.
///
/// An override must agree with the default on every bit, NaNs included.
pub trait FloatUnit<D: Domain> {
    /// `a + b`.
    #[inline(always)]
    fn add(format: Format, a: D::Nat, b: D::Nat, rm: D::Nat) -> D::Nat {
        float::add::<D>(format, a, b, rm)
    }
    /// `a * b`.
    #[inline(always)]
    fn mul(format: Format, a: D::Nat, b: D::Nat, rm: D::Nat) -> D::Nat {
        float::mul::<D>(format, a, b, rm)
    }
    /// `a * b + c`, rounded once.
    #[inline(always)]
    fn fma(format: Format, a: D::Nat, b: D::Nat, c: D::Nat, rm: D::Nat) -> D::Nat {
        float::fma::<D>(format, a, b, c, rm)
    }
    /// `a / b`.
    #[inline(always)]
    fn div(format: Format, a: D::Nat, b: D::Nat, rm: D::Nat) -> D::Nat {
        float::div::<D>(format, a, b, rm)
    }
    /// The square root of `a`.
    #[inline(always)]
    fn sqrt(format: Format, a: D::Nat, rm: D::Nat) -> D::Nat {
        float::sqrt::<D>(format, a, rm)
    }
    /// The binary32 in a float register. The canonical NaN unless it is boxed.
    #[inline(always)]
    fn unbox(register: D::Nat) -> D::Nat {
        float::unbox::<D>(register)
    }
    /// Whether `a < b`.
    #[inline(always)]
    fn less(format: Format, a: D::Nat, b: D::Nat) -> D::Nat {
        float::less::<D>(format, a, b)
    }
    /// Whether `a <= b`.
    #[inline(always)]
    fn less_equal(format: Format, a: D::Nat, b: D::Nat) -> D::Nat {
        float::less_equal::<D>(format, a, b)
    }
    /// Whether `a = b`.
    #[inline(always)]
    fn equal(format: Format, a: D::Nat, b: D::Nat) -> D::Nat {
        float::equal::<D>(format, a, b)
    }
    /// The smaller of two numbers.
    #[inline(always)]
    fn min(format: Format, a: D::Nat, b: D::Nat) -> D::Nat {
        float::min::<D>(format, a, b)
    }
    /// The larger of two numbers.
    #[inline(always)]
    fn max(format: Format, a: D::Nat, b: D::Nat) -> D::Nat {
        float::max::<D>(format, a, b)
    }
    /// The number as an integer of `bits` bits, saturating, sign-extended.
    #[inline(always)]
    fn to_int(format: Format, x: D::Nat, rm: D::Nat, bits: u32, signed: bool) -> D::Word {
        float::to_int::<D>(format, x, rm, bits, signed)
    }
    /// The integer as a number. The word is already extended from its source width.
    #[inline(always)]
    fn from_int(format: Format, x: D::Word, rm: D::Nat, signed: bool) -> D::Nat {
        float::from_int::<D>(format, x, rm, signed)
    }
    /// The number of format `from` in format `to`.
    #[inline(always)]
    fn change_format(from: Format, to: Format, x: D::Nat, rm: D::Nat) -> D::Nat {
        float::change_format::<D>(from, to, x, rm)
    }
}

/// The float unit that is all software: the reference.
#[derive(Debug, Clone, Copy)]
pub struct SoftFloat;

impl<D: Domain> FloatUnit<D> for SoftFloat where D::Nat: Nat {}
