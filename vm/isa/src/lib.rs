//! The instruction set of the opml machine: RV64IMFD without CSRs, compressed or atomic instructions.
//!
//! Every instruction is defined once. [`table`] declares it (name, bits, syntax, doc line). [`semantics`]
//! gives its meaning as one Rust function that is generic over the [`Domain`] in which it computes. On
//! machine integers ([`Native`]), this function is the interpreter. On expressions, it prints the Solidity
//! verifier. [`float`] builds the machine's IEEE-754 arithmetic from natural numbers in the same generic way.
//!
//! This crate does not allocate, and does not use the host's floating point.
#![no_std]

pub mod decode;
pub mod disasm;
pub mod domain;
pub mod fields;
pub mod float;
#[cfg(test)]
mod float_tests;
pub mod machine;
pub mod native;
pub mod semantics;
pub mod table;

pub use decode::{Instruction, decode, decode_any, encode};
pub use disasm::{FLOAT_REGISTERS, REGISTERS};
pub use domain::{Bool, Domain, Function, Nat, Word};
pub use float::Format;
pub use machine::{Done, FloatUnit, Machine, Size, SoftFloat, Stop, Trap};
pub use native::{Native, U64, U128};
pub use table::{Extension, Extensions, InstructionEntry, Layout, Op, TABLE};
