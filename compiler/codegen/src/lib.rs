//! Kernels into machine code by Cranelift: for the guest (RV64IMFD) and, from the same text, for the host.
//!
//! The code of a kernel is position independent, calls nothing and refers to nothing outside itself; what cannot be
//! compiled so is an error. Literal constants may lie behind the last instruction.

mod error;
mod guest;
mod lower;
mod nan;
mod steps;
mod target;

pub use error::CodegenError;
pub use steps::StepBound;
pub use target::{Code, Target};
