//! The state of a machine, and how it is hashed.

use crate::floats::Floats;
use crate::witness::{Part, Reader, WitnessError};
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
    /// The size of a serialised state in bytes.
    pub const SIZE: usize = 353;

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
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..32].copy_from_slice(&self.code_root.0);
        bytes[32..64].copy_from_slice(&self.memory_root.0);
        bytes[64..96].copy_from_slice(&self.float_hash.0);
        bytes[96..104].copy_from_slice(&self.pc.to_be_bytes());
        bytes[104] = self.status.byte();
        for (to, x) in bytes[105..].as_chunks_mut::<8>().0.iter_mut().zip(&self.x[1..]) {
            *to = x.to_be_bytes();
        }
        bytes
    }

    /// Reads a state from its bytes.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Result<Self, WitnessError> {
        let mut reader = Reader::new(bytes);
        let mut root = || reader.take(Part::State).map(Root);
        let (code_root, memory_root, float_hash) = (root()?, root()?, root()?);
        let pc = u64::from_be_bytes(reader.take(Part::State)?);
        let [byte] = reader.take(Part::State)?;
        let status = Status::from_byte(byte).ok_or(WitnessError::Status { found: byte })?;
        let mut x = [0; 32];
        for register in &mut x[1..] {
            *register = u64::from_be_bytes(reader.take(Part::State)?);
        }
        Ok(Self { code_root, memory_root, float_hash, pc, status, x })
    }

    /// The state root.
    #[must_use]
    pub fn root(&self) -> Root {
        keccak(&self.to_bytes())
    }
}
