//! Passes that transform the graph, and what it was lowered to.

pub(crate) mod dead;
pub(crate) mod fold;
pub(crate) mod fuse;
pub(crate) mod view;
