//! Tests across crates: oracles, backends, whole programs and models, fuzzing. These helpers are shared by
//! `tests/`.
//!
//! If a test lacks a tool, it fails and tells how to get it. It is never skipped.

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
