//! A step over any state: fetch, decode, execute.

use crate::profile::MachineProfile;
use crate::state::Status;
use isa::{Done, FloatUnit, Instruction, Machine, Native, Size, Stop, Trap, U64, U128, decode, semantics};

/// How a step reads and changes a machine. Addresses are aligned and inside code or memory.
pub trait Access {
    /// The unit that rounds floating-point operations.
    type Float: FloatUnit<Native>;
    /// Why an access fails. A live machine's accesses never fail.
    type Error;

    /// The machine's shape.
    fn profile(&self) -> MachineProfile;
    /// The machine's status.
    fn status(&self) -> Status;
    /// Changes the status.
    fn set_status(&mut self, status: Status);
    /// The program counter.
    fn pc(&self) -> u64;
    /// Sets the program counter.
    fn set_pc(&mut self, pc: u64);
    /// The instruction word at this address of the code.
    fn fetch(&mut self, address: u64) -> Result<u32, Self::Error>;
    /// An integer register.
    fn x(&self, register: u8) -> u64;
    /// Writes an integer register other than 0.
    fn set_x(&mut self, register: u8, value: u64);
    /// Called once before an instruction that names a float register.
    fn open_floats(&mut self) -> Result<(), Self::Error>;
    /// A float register.
    fn f(&self, register: u8) -> u64;
    /// Writes a float register.
    fn set_f(&mut self, register: u8, value: u64);
    /// Reads code or memory, zero-extended.
    fn read(&mut self, address: u64, size: Size) -> Result<u64, Self::Error>;
    /// Writes memory.
    fn write(&mut self, address: u64, size: Size, value: u64) -> Result<(), Self::Error>;
}

/// Executes one step. A machine that isn't running steps to itself.
pub fn step<A: Access>(access: &mut A) -> Result<(), A::Error> {
    if access.status() != Status::Running {
        return Ok(());
    }
    let pc = access.pc();
    let profile = access.profile();
    if !profile.is_code(pc) {
        access.set_status(Status::Trapped(Trap::InstructionFault));
        return Ok(());
    }
    if !pc.is_multiple_of(4) {
        access.set_status(Status::Trapped(Trap::InstructionMisaligned));
        return Ok(());
    }
    let Some(instruction) = decode(access.fetch(pc)?, profile.extensions()) else {
        access.set_status(Status::Trapped(Trap::IllegalInstruction));
        return Ok(());
    };
    if instruction.op.entry().uses_floats() {
        access.open_floats()?;
    }
    let mut current = Current { access, instruction, next: pc.wrapping_add(4), error: None };
    // The machine's new status is set. Its pc stays.
    if semantics::execute(&mut current, instruction.op).is_err() {
        current.next = pc;
    }
    let Current { next, error, .. } = current;
    access.set_pc(next);
    error.map_or(Ok(()), Err)
}

/// The machine as the current instruction sees it.
struct Current<'a, A: Access> {
    access: &'a mut A,
    instruction: Instruction,
    next: u64,
    /// The access that failed. The instruction continues with a zero, and its result is discarded.
    error: Option<A::Error>,
}

impl<A: Access> Machine for Current<'_, A> {
    type D = Native;
    type Float = A::Float;

    fn pc(&mut self) -> U64 {
        U64(self.access.pc())
    }
    fn rs1(&mut self) -> U64 {
        U64(self.access.x(self.instruction.rs1))
    }
    fn rs2(&mut self) -> U64 {
        U64(self.access.x(self.instruction.rs2))
    }
    fn imm(&mut self) -> U64 {
        U64(i64::from(self.instruction.imm).cast_unsigned())
    }
    fn a7(&mut self) -> U64 {
        U64(self.access.x(17))
    }
    fn set_rd(&mut self, value: U64) -> Done {
        if self.instruction.rd != 0 {
            self.access.set_x(self.instruction.rd, value.0);
        }
        Ok(())
    }
    fn frs1(&mut self) -> U64 {
        U64(self.access.f(self.instruction.rs1))
    }
    fn frs2(&mut self) -> U64 {
        U64(self.access.f(self.instruction.rs2))
    }
    fn frs3(&mut self) -> U64 {
        U64(self.access.f(self.instruction.rs3))
    }
    fn set_frd(&mut self, value: U64) -> Done {
        self.access.set_f(self.instruction.rd, value.0);
        Ok(())
    }
    fn rm(&mut self) -> U128 {
        U128(self.instruction.rm.into())
    }
    fn readable(&mut self, address: U64) -> bool {
        self.access.profile().is_readable(address.0)
    }
    fn writable(&mut self, address: U64) -> bool {
        self.access.profile().is_writable(address.0)
    }
    fn read(&mut self, address: U64, size: Size) -> U64 {
        match self.access.read(address.0, size) {
            Ok(value) => U64(value),
            Err(error) => {
                self.error = Some(error);
                U64(0)
            }
        }
    }
    fn write(&mut self, address: U64, size: Size, value: U64) -> Done {
        if let Err(error) = self.access.write(address.0, size, value.0) {
            self.error = Some(error);
        }
        Ok(())
    }
    fn jump_if(&mut self, taken: bool, target: U64) -> Done {
        if taken { self.jump(target) } else { Ok(()) }
    }
    fn jump(&mut self, target: U64) -> Done {
        self.next = target.0;
        Ok(())
    }
    fn trap_if(&mut self, bad: bool, trap: Trap) -> Done {
        if bad { self.trap(trap) } else { Ok(()) }
    }
    fn trap(&mut self, trap: Trap) -> Done {
        self.access.set_status(Status::Trapped(trap));
        Err(Stop)
    }
    fn exit(&mut self) -> Done {
        self.access.set_status(Status::Exited);
        Err(Stop)
    }
}
