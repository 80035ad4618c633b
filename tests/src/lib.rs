//! Everything that crosses two crates: oracles, backends, whole programs and models, fuzzing. Helpers shared by `tests/`.
//!
//! What a test needs and can't find is a failure that says how to get it, never a skip.

pub mod backend;
#[cfg(feature = "chain")]
pub mod board;
pub mod dearest;
pub mod elf;
pub mod flat;
pub mod fuzz;
pub mod generated;
pub mod guest;
pub mod hashed;
pub mod hostile;
pub mod program;
pub mod random;
pub mod report;
#[cfg(feature = "chain")]
pub mod service;
pub mod smt;
#[cfg(feature = "chain")]
pub mod solc;
pub mod soup;
pub mod tools;
