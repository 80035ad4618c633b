//! One module a subcommand.

pub mod compile;
pub mod demo;
pub mod disasm;
pub mod dispute;
pub mod from_elf;
pub mod inspect;
mod judge;
pub mod prove;
pub mod run;
pub mod trace;
pub mod verifier;
pub mod verify;
