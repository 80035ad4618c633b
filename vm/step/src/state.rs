//! The state of a machine, and how it is hashed.

use crate::floats::Floats;
use crate::packed::Packed;
use crate::witness::{Part, Reader, WitnessError};
use alloc::vec::Vec;
use core::fmt::{self, Display, Formatter};
use isa::Trap;
use merkle::{Root, keccak};

/// Whether a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It executes instructions.
    Running,
    /// It called `exit`; the code is in `a0`.
    Exited,
    /// It trapped; pc is at the instruction that trapped.
    Trapped(Trap),
}

impl Status {
    /// The byte of a trap with cause 0.
    const TRAPPED: u8 = 16;

    /// The byte in the state.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Running => 0,
            Self::Exited => 1,
            Self::Trapped(trap) => Self::TRAPPED + trap as u8,
        }
    }

    /// The status with this byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Running),
            1 => Some(Self::Exited),
            _ => {
                let cause = byte.checked_sub(Self::TRAPPED)?;
                Trap::ALL.into_iter().find(|&trap| trap as u8 == cause).map(Self::Trapped)
            }
        }
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Exited => f.write_str("exited"),
            Self::Trapped(trap) => write!(f, "trapped: {}", trap.message()),
        }
    }
}

/// A machine's state, with memory, code and float registers as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The root of the code.
    pub code_root: Root,
    /// The root of the memory.
    pub memory_root: Root,
    /// The hash of the float registers.
    pub float_hash: Root,
    /// The program counter.
    pub pc: u64,
    /// Whether it runs.
    pub status: Status,
    /// The integer registers; `x[0]` is 0.
    pub x: [u64; 32],
}

impl State {
    /// The bytes of a state before its numbers: the roots, the float hash and the status.
    pub const HEAD: usize = 3 * 32 + 1;
    /// The most bytes that a state can have.
    pub const MOST_BYTES: usize = Self::HEAD + Packed::MOST;

    /// The state at reset.
    #[must_use]
    pub fn reset(code_root: Root, memory_root: Root, entry: u64, sp: u64) -> Self {
        let mut x = [0; 32];
        x[2] = sp;
        Self {
            code_root,
            memory_root,
            float_hash: Floats::RESET.hash(),
            pc: entry,
            status: Status::Running,
            x,
        }
    }

    /// The bytes from which the state root is computed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Form::from(self).to_bytes()
    }

    /// Reads a state from its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WitnessError> {
        let mut reader = Reader::new(bytes);
        let mut root = || reader.take(Part::State).map(Root);
        let roots = [root()?, root()?, root()?];
        let core = Core::read(&mut reader)?;
        reader.end()?;
        let state = Self::from(&Form { roots, core });
        let (expected, found) = (keccak(bytes), state.root());
        if found == expected { Ok(state) } else { Err(WitnessError::State { expected, found }) }
    }

    /// The state root.
    #[must_use]
    pub fn root(&self) -> Root {
        Form::from(self).root()
    }
}

/// The part of a state that isn't a hash: status, integer registers and pc.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Core {
    pub(crate) status: Status,
    /// x1 to x31, then pc.
    numbers: Packed,
}

impl Core {
    /// The place of pc among the numbers.
    const PC: usize = 31;

    pub(crate) fn pc(&self) -> u64 {
        self.numbers.get(Self::PC)
    }
    pub(crate) fn set_pc(&mut self, pc: u64) {
        self.numbers.set(Self::PC, pc);
    }
    /// An integer register; x0 is 0.
    pub(crate) fn x(&self, register: u8) -> u64 {
        self.numbers.get(usize::from(register % 32).wrapping_sub(1))
    }
    /// Writes an integer register; x0 stays 0.
    pub(crate) fn set_x(&mut self, register: u8, value: u64) {
        self.numbers.set(usize::from(register % 32).wrapping_sub(1), value);
    }

    /// Appends it to some bytes.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.status.byte());
        self.numbers.write(bytes);
    }

    /// Reads it.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WitnessError> {
        let [byte] = reader.take(Part::State)?;
        let status = Status::from_byte(byte).ok_or(WitnessError::Status { found: byte })?;
        Ok(Self { status, numbers: Packed::read(reader, Part::State)? })
    }
}

/// A state as it is hashed.
pub(crate) struct Form {
    /// Of the code, of the memory, and the hash of the float registers.
    pub(crate) roots: [Root; 3],
    pub(crate) core: Core,
}

impl Form {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(State::MOST_BYTES);
        self.roots.iter().for_each(|root| bytes.extend(root.0));
        self.core.write(&mut bytes);
        bytes
    }

    /// The state root.
    pub(crate) fn root(&self) -> Root {
        keccak(&self.to_bytes())
    }
}

impl From<&State> for Form {
    fn from(state: &State) -> Self {
        let mut numbers = state.x;
        numbers.rotate_left(1);
        numbers[Core::PC] = state.pc;
        let roots = [state.code_root, state.memory_root, state.float_hash];
        Self { roots, core: Core { status: state.status, numbers: Packed::new(numbers) } }
    }
}

impl From<&Form> for State {
    fn from(form: &Form) -> Self {
        let [code_root, memory_root, float_hash] = form.roots;
        let mut x = form.core.numbers.numbers();
        let pc = core::mem::take(&mut x[Core::PC]);
        x.rotate_right(1);
        Self { code_root, memory_root, float_hash, pc, status: form.core.status, x }
    }
}
