//! The printer's machine: every access is a call of a helper of the verifier.

use crate::symbolic::{
    Bool, Id, Nat, Statement, Symbolic, Word, call, constant, emit, is_never, name, parameter, read,
    read_now, unmasked,
};
use isa::{Done, InstructionEntry, Layout, Machine, REGISTERS, Size, SoftFloat, Trap, domain::Bool as _};

/// Records one instruction.
pub struct Recorder {
    entry: &'static InstructionEntry,
    instruction: Id,
    pc: Id,
    ended: bool,
}

/// The name of the constant that holds a trap's cause.
#[must_use]
pub fn trap_name(trap: Trap) -> String {
    let mut name = String::new();
    for letter in format!("{trap:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_uppercase());
    }
    name
}

/// The generated function that extracts the immediate from an instruction.
#[must_use]
pub fn immediate(layout: Layout) -> &'static str {
    match layout {
        Layout::I => "immI",
        Layout::S => "immS",
        Layout::B => "immB",
        Layout::U => "immU",
        Layout::J => "immJ",
        Layout::Shift => "shamt6",
        Layout::ShiftW => "shamt5",
        Layout::R | Layout::Rounded | Layout::R4 | Layout::Nullary => "none",
    }
}

impl Recorder {
    /// A recorder for an instruction.
    #[must_use]
    pub fn new(entry: &'static InstructionEntry) -> Self {
        let recorder =
            Self { entry, instruction: parameter("instruction", 32), pc: parameter("pc", 64), ended: false };
        if entry.uses_floats() {
            emit(Statement::Do("loadFloats".to_owned(), Vec::new()));
        }
        recorder
    }

    /// Ends the instruction. Unless it jumped, execution continues after it.
    pub fn finish(mut self) {
        if !self.ended {
            let next = self.next();
            self.end(next);
        }
    }

    fn next(&self) -> Id {
        call("nextPc", &[self.pc])
    }

    fn end(&mut self, pc: Id) {
        emit(Statement::Return(pc));
        self.ended = true;
    }

    fn stop(&self, trap: Trap) -> Id {
        call("trap", &[name(&trap_name(trap)), self.pc])
    }

    fn operand(&self, helper: &str) -> Word {
        Word(read(helper, &[self.instruction]))
    }
}

impl Machine for Recorder {
    type D = Symbolic;
    type Float = SoftFloat;

    fn pc(&mut self) -> Word {
        Word(self.pc)
    }
    fn rs1(&mut self) -> Word {
        self.operand("rs1")
    }
    fn rs2(&mut self) -> Word {
        self.operand("rs2")
    }
    fn imm(&mut self) -> Word {
        self.operand(immediate(self.entry.layout))
    }
    fn a7(&mut self) -> Word {
        let a7 = REGISTERS.iter().position(|&name| name == "a7").unwrap_or_default();
        Word(read("register", &[constant(a7 as u128)]))
    }
    fn set_rd(&mut self, value: Word) -> Done {
        // `setRd` takes the low 64 bits.
        emit(Statement::Do("setRd".to_owned(), vec![self.instruction, unmasked(value.0)]));
        Ok(())
    }
    fn frs1(&mut self) -> Word {
        self.operand("frs1")
    }
    fn frs2(&mut self) -> Word {
        self.operand("frs2")
    }
    fn frs3(&mut self) -> Word {
        self.operand("frs3")
    }
    fn set_frd(&mut self, value: Word) -> Done {
        emit(Statement::Do("setFrd".to_owned(), vec![self.instruction, value.0]));
        Ok(())
    }
    fn rm(&mut self) -> Nat {
        Nat(self.operand("roundingMode").0)
    }
    fn readable(&mut self, address: Word) -> Bool {
        Bool(call("readable", &[address.0]))
    }
    fn writable(&mut self, address: Word) -> Bool {
        Bool(call("writable", &[address.0]))
    }
    fn read(&mut self, address: Word, size: Size) -> Word {
        Word(read_now("value", "load", &[address.0, constant(u128::from(size.bytes()))]))
    }
    fn write(&mut self, address: Word, size: Size, value: Word) -> Done {
        let args = vec![address.0, constant(u128::from(size.bytes())), value.0];
        emit(Statement::Do("store".to_owned(), args));
        Ok(())
    }
    fn jump_if(&mut self, taken: Bool, target: Word) -> Done {
        let next = Word(self.next());
        let pc = taken.select_word(target, next);
        self.end(pc.0);
        Ok(())
    }
    fn jump(&mut self, target: Word) -> Done {
        self.end(target.0);
        Ok(())
    }
    fn trap_if(&mut self, bad: Bool, trap: Trap) -> Done {
        if !is_never(bad.0) {
            emit(Statement::ReturnIf(bad.0, self.stop(trap)));
        }
        Ok(())
    }
    fn trap(&mut self, trap: Trap) -> Done {
        let pc = self.stop(trap);
        self.end(pc);
        Ok(())
    }
    fn exit(&mut self) -> Done {
        let pc = call("exit", &[self.pc]);
        self.end(pc);
        Ok(())
    }
}
