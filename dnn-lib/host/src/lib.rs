//! Runs the definitions of operators on this computer, with its vector instructions.
//!
//! Lanes run over outputs, so every set of vector instructions gives the same bits.

pub mod contraction;
mod engine;
mod isa;
pub mod lanes;

pub use engine::{PrepareError, Prepared, RunError, Scratch};
pub use isa::{Isa, Unavailable, VARIABLE};
