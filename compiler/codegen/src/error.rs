//! Why a kernel cannot be compiled.

use thiserror::Error;

/// Why a kernel cannot be compiled. The code that built it is at fault.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CodegenError {
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

/// Why kernels can't be linked.
#[derive(Debug, Error)]
pub enum LinkError {
    /// A kernel can't be compiled.
    #[error(transparent)]
    Codegen(#[from] CodegenError),
    /// A kernel needs too much stack.
    #[error("kernel {kernel} needs {found} bytes of stack; the limit is {limit}")]
    Stack {
        /// The kernel.
        kernel: String,
        /// The bytes that it uses.
        found: u64,
        /// The bytes that are available.
        limit: u64,
    },
    /// A kernel has a loop whose length depends on data.
    #[error("kernel {kernel} has no upper bound of steps: a loop in it depends on data")]
    Unbounded {
        /// The kernel.
        kernel: String,
    },
    /// The period is not a part of the big steps that is repeated.
    #[error("{count} big steps from number {start} on, {times} times, are no period of {steps} big steps")]
    Period {
        /// Its first big step.
        start: usize,
        /// The number of big steps in it.
        count: usize,
        /// How often it is repeated.
        times: u64,
        /// The number of all big steps.
        steps: usize,
    },
    /// A value does not fit into an instruction.
    #[error("{what} cannot be encoded")]
    Encoding {
        /// The value.
        what: String,
    },
    /// The code has a word that is not an instruction, which is an error in the linker.
    #[error("the word at {address:#x} of the linked code is not an instruction")]
    Illegal {
        /// The address of the word.
        address: u64,
    },
}
