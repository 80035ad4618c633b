//! Passes that transform the graph.

pub(crate) mod dead;
pub(crate) mod fold;
pub(crate) mod view;
