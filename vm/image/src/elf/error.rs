//! Why a file is not a program for this machine.

use crate::Symbol;
use std::fmt::{self, Display, Formatter};
use step::{MachineProfile, ProfileError};
use thiserror::Error;

/// How to build a program that the loader accepts.
const HOW: &str = "build with -march=rv64imfd -mabi=lp64d -static -nostdlib";

/// An address and the function or object that contains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub address: u64,
    /// The last symbol at or before the address, if any.
    pub symbol: Option<Symbol>,
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.address)?;
        match &self.symbol {
            Some(symbol) => {
                write!(f, " (<{}+{:#x}>)", symbol.name, self.address.saturating_sub(symbol.address))
            }
            None => Ok(()),
        }
    }
}

/// Why a file is not a program for this machine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ElfError {
    /// It is not an ELF file, or is damaged.
    #[error("not a readable ELF file: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// It is for another machine.
    #[error("the file is for {found}; this machine runs 64-bit little-endian RISC-V: {HOW}")]
    Machine {
        /// The machine.
        found: String,
    },
    /// It is not a linked program.
    #[error("the file is {found}, not a linked program at a fixed address: {HOW}")]
    Kind {
        /// Its kind.
        found: String,
    },
    /// It needs more work by a linker or loader.
    #[error("relocations are left in the file: link it completely, without -r, -q or --emit-relocs; {HOW}")]
    Relocations,
    /// It has 16-bit instructions.
    #[error("the file has compressed instructions: leave out the C extension; {HOW}")]
    Compressed,
    /// A word is not an instruction, in a program that is loaded unchanged.
    #[error("the word {word:#010x} at {place} is not an instruction of rv64imfd")]
    Illegal {
        /// The address.
        place: Place,
        /// The word.
        word: u32,
    },
    /// The entry point can't be jumped to.
    #[error("the entry point {entry:#x} is not a multiple of 4 inside the code")]
    Entry {
        /// The address.
        entry: u64,
    },
    /// `gp` is used, but its value is undefined.
    #[error(
        "the program uses gp, but sets it nowhere and has no symbol __global_pointer$: keep the symbols (no -s, no \
         strip), or link with -Wl,--no-relax"
    )]
    GlobalPointer,
    /// There is no room for the start-up code.
    #[error(
        "no room for {size} bytes of start-up code directly before or after the code at {start:#x} to {end:#x}"
    )]
    NoRoom {
        /// The number of bytes needed.
        size: u64,
        /// Where the code starts.
        start: u64,
        /// Where it ends.
        end: u64,
    },
    /// A line of the section `.opml` is invalid.
    #[error("the section .opml declares \"{line}\": {reason}; a line is like: input data f32[16]")]
    Declaration {
        /// The line.
        line: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It has more inputs and outputs than fit into registers.
    #[error(
        "the section .opml declares {found} inputs and outputs; at most {most} pointers are passed: join some"
    )]
    TooManyDeclared {
        /// Their number.
        found: usize,
        /// The maximum.
        most: usize,
    },
    /// It has only inputs or only outputs.
    #[error(
        "the section .opml declares no {missing}: a program has at least one input and one output, or neither"
    )]
    NoneDeclared {
        /// What is missing.
        missing: &'static str,
    },
    /// The steps are bounded, but the program has no inputs and outputs.
    #[error(
        "a bound of steps is for programs that can be disputed, and this one declares no inputs and outputs: add a \
         section .opml (docs/c-programs.md)"
    )]
    NothingDeclared,
    /// A segment is both writable and executable.
    #[error(
        "the segment at {address:#x} is writable and executable, and its sections don't say where data starts: keep code \
         and data apart (-Wl,-z,separate-code, no -N) and the section headers in the file"
    )]
    WritableCode {
        /// Its address.
        address: u64,
    },
    /// There is no code.
    #[error("the file has no executable segment")]
    NoCode,
    /// There is code in several places.
    #[error(
        "executable segments at {first:#x} and {second:#x} do not touch; the machine has one range of code"
    )]
    CodeInPieces {
        /// The address of the first segment.
        first: u64,
        /// The address of the next one.
        second: u64,
    },
    /// The file does not contain all of the code.
    #[error("the executable segment at {address:#x} is larger in memory than in the file")]
    CodeNotInFile {
        /// The address of the code.
        address: u64,
    },
    /// Two segments overlap.
    #[error("two segments hold address {address:#x} (code is extended to multiples of 32)")]
    Overlap {
        /// The address where they overlap.
        address: u64,
    },
    /// It needs more memory than a machine can have.
    #[error("segments and a stack of {stack} bytes end beyond 2^{max} bytes of memory", max = MachineProfile::MEMORY_BITS.end())]
    TooLarge {
        /// The size of the stack in bytes.
        stack: u64,
    },
    /// The code has an impossible shape.
    #[error(transparent)]
    MachineProfile(#[from] ProfileError),
}
