//! Why a kernel cannot be compiled.

use thiserror::Error;

/// Why a kernel cannot be compiled. Except for too many parameters, the code that built the kernel is at
/// fault.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CodegenError {
    /// It has more parameters than the calling convention has registers.
    #[error("kernel {kernel} has {found} parameters; at most {limit} are passed in registers")]
    TooManyParameters {
        /// The kernel's name.
        kernel: String,
        /// The number of its parameters.
        found: usize,
        /// The maximum number of parameters.
        limit: usize,
    },
    /// A value is used before it is defined.
    #[error("kernel {kernel}: value {value} is used but not defined")]
    Undefined {
        /// The kernel's name.
        kernel: String,
        /// The value's number.
        value: usize,
    },
    /// An operation or a list of values has the wrong types.
    #[error("kernel {kernel}: the types of {what} do not fit")]
    Types {
        /// The kernel's name.
        kernel: String,
        /// The place.
        what: String,
    },
    /// Cranelift's verifier or code generator rejected it.
    #[error("kernel {kernel}: {reason}")]
    Cranelift {
        /// The kernel's name.
        kernel: String,
        /// Its reason.
        reason: String,
    },
    /// The code refers to something outside itself, usually a library function that replaces a missing
    /// instruction.
    #[error("kernel {kernel}: the code needs {symbol}, which the target does not have")]
    Relocation {
        /// The kernel's name.
        kernel: String,
        /// What it refers to.
        symbol: String,
    },
    /// The guest code has an instruction that the machine lacks.
    #[error("kernel {kernel}: {word:#010x} at offset {offset:#x} is not an instruction of the machine")]
    Instruction {
        /// The kernel's name.
        kernel: String,
        /// The offset of the word in the code.
        offset: usize,
        /// The word.
        word: u32,
    },
    /// There is no code generator for this computer.
    #[error("no code generator for this host: {reason}")]
    Host {
        /// The reason.
        reason: String,
    },
}
