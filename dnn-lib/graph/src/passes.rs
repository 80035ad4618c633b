//! Passes that transform graphs, and what they are lowered to.

pub mod dead;
pub(crate) mod fold;
pub mod fuse;
pub mod narrow;
pub mod outputs;
pub mod repeat;
pub mod share;
pub mod unroll;
