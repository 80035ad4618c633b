//! Compiles kernels to machine code with Cranelift, and links them with a schedule to one program.
//!
//! The code of a kernel is position independent, calls nothing, and refers to nothing outside itself. A
//! kernel that cannot be compiled that way is an error. Literals may follow the last instruction.

mod error;
mod guest;
pub mod link;
mod lower;
mod nan;
mod steps;
mod target;

pub use error::{CodegenError, LinkError};
pub use steps::StepBound;
pub use target::{Code, Target};
