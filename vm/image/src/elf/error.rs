//! Why a file is no program of this machine.

use crate::Symbol;
use std::fmt::{self, Display, Formatter};
use step::{MachineProfile, ProfileError};
use thiserror::Error;

/// How to build what the loader takes.
const HOW: &str = "build with -march=rv64imfd -mabi=lp64d -static -nostdlib";

/// An address and the function or object that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub address: u64,
    /// The last symbol up to there, if there is one.
    pub symbol: Option<Symbol>,
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.address)?;
        match &self.symbol {
            Some(symbol) => write!(f, " (<{}+{:#x}>)", symbol.name, self.address.saturating_sub(symbol.address)),
            None => Ok(()),
        }
    }
}

/// Why a file is no program of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ElfError {
    /// Not an ELF file, or a damaged one.
    #[error("not a readable ELF file: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// A program for another machine.
    #[error("the file is for {found}; this machine runs 64-bit little-endian RISC-V: {HOW}")]
    Machine {
        /// What it is for.
        found: String,
    },
    /// Not a linked program.
    #[error("the file is {found}, not a linked program at a fixed address: {HOW}")]
    Kind {
        /// What it is.
        found: String,
    },
    /// Something that a linker or loader should still do.
    #[error("relocations are left in the file: link it completely, without -r, -q or --emit-relocs; {HOW}")]
    Relocations,
    /// 16-bit instructions.
    #[error("compressed instructions{}: leave out the C extension; {HOW}", place.as_ref().map(|p| format!(" at {p}")).unwrap_or_default())]
    Compressed {
        /// Where; unknown if only the file's flags say so.
        place: Option<Place>,
    },
    /// A word that is no instruction.
    #[error(
        "the word {word:#010x} at {place} is no instruction of rv64imfd (no CSRs, atomics or compressed instructions): {HOW}"
    )]
    Illegal {
        /// Where.
        place: Place,
        /// The word.
        word: u32,
    },
    /// Code that does not start at a multiple of four, or breaks off inside an instruction.
    #[error("the code at {place} is not made of whole words at multiples of 4")]
    Unaligned {
        /// Where.
        place: Place,
    },
    /// A segment that can be changed and run.
    #[error(
        "the segment at {address:#x} is writable and executable; keep code and data apart (ld -z separate-code, no -N)"
    )]
    WritableCode {
        /// Where it starts.
        address: u64,
    },
    /// No code.
    #[error("the file has no executable segment")]
    NoCode,
    /// Code in several places.
    #[error("executable segments at {first:#x} and {second:#x} do not touch; the machine has one range of code")]
    CodeInPieces {
        /// Where the one starts.
        first: u64,
        /// Where the next starts.
        second: u64,
    },
    /// Code that the file does not hold.
    #[error("the executable segment at {address:#x} is larger in memory than in the file")]
    CodeNotInFile {
        /// Where it starts.
        address: u64,
    },
    /// Two segments at one address.
    #[error("two segments hold address {address:#x} (code is extended to multiples of 32)")]
    Overlap {
        /// Where they meet.
        address: u64,
    },
    /// More memory than a machine can have.
    #[error("segments and a stack of {stack} bytes end beyond 2^{max} bytes of memory", max = MachineProfile::MEMORY_BITS.end())]
    TooLarge {
        /// Bytes of stack.
        stack: u64,
    },
    /// Code of an impossible shape.
    #[error(transparent)]
    MachineProfile(#[from] ProfileError),
}
