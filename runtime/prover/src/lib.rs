//! Any root, state and witness of a run, from native code, checkpoints and the machine.
//!
//! An [`Execution`] is a run of an image that can go to any of its places: the true [`game::Oracle`]. Where the
//! image has native code, that computes the memory between big steps, and the machine only what is inside of
//! one. [`model_of`] is what a chain knows of an image.

mod execution;
mod limit;
mod model;

pub use execution::{Change, Execution, ExecutionError, memory_with};
pub use limit::{Exceeded, MemoryLimit};
pub use model::model_of;
