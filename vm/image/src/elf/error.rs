//! Why a file is not a program of this machine.

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
            Some(symbol) => {
                write!(f, " (<{}+{:#x}>)", symbol.name, self.address.saturating_sub(symbol.address))
            }
            None => Ok(()),
        }
    }
}

/// Why a file is not a program of this machine.
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
    #[error("the file has compressed instructions: leave out the C extension; {HOW}")]
    Compressed,
    /// A word that is not an instruction, in a program that is taken as it is.
    #[error("the word {word:#010x} at {place} is not an instruction of rv64imfd")]
    Illegal {
        /// Where.
        place: Place,
        /// The word.
        word: u32,
    },
    /// An entry point that can't be jumped to.
    #[error("the entry point {entry:#x} is not a multiple of 4 inside the code")]
    Entry {
        /// The address.
        entry: u64,
    },
    /// `gp` is used, and nothing says what it should hold.
    #[error(
        "the program uses gp, but sets it nowhere and has no symbol __global_pointer$: keep the symbols (no -s, no \
         strip), or link with -Wl,--no-relax"
    )]
    GlobalPointer,
    /// No place for the start-up code.
    #[error(
        "no room for {size} bytes of start-up code right before or behind the code at {start:#x} to {end:#x}"
    )]
    NoRoom {
        /// How many bytes.
        size: u64,
        /// Where the code starts.
        start: u64,
        /// Where it ends.
        end: u64,
    },
    /// A line of the section `.opml` that makes no sense.
    #[error("the section .opml declares \"{line}\": {reason}; a line is like: input data f32[16]")]
    Declaration {
        /// The line.
        line: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More inputs and outputs than fit into registers.
    #[error(
        "the section .opml declares {found} inputs and outputs; at most {most} pointers are passed: join some"
    )]
    TooManyDeclared {
        /// How many.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// Only inputs or only outputs.
    #[error(
        "the section .opml declares no {missing}: a program has at least one input and one output, or neither"
    )]
    NoneDeclared {
        /// What is missing.
        missing: &'static str,
    },
    /// A bound of steps for a program without inputs and outputs.
    #[error(
        "a bound of steps is for programs that can be disputed, and this one declares no inputs and outputs: add a \
         section .opml (docs/c-programs.md)"
    )]
    NothingDeclared,
    /// A segment that can be changed and run.
    #[error(
        "the segment at {address:#x} is writable and executable, and its sections don't say where data starts: keep code \
         and data apart (-Wl,-z,separate-code, no -N) and the section headers in the file"
    )]
    WritableCode {
        /// Where it starts.
        address: u64,
    },
    /// No code.
    #[error("the file has no executable segment")]
    NoCode,
    /// Code in several places.
    #[error(
        "executable segments at {first:#x} and {second:#x} do not touch; the machine has one range of code"
    )]
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
