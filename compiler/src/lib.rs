//! From ONNX model to image.
//!
//! [`import`] makes a typed graph of a model; passes fold, remove and share; [`compile`] plans the memory, turns kernels
//! into code and links them with the schedule into an image.

mod error;
pub mod graph;
mod import;
mod passes;
mod plan;
pub mod reference;
mod schedule;
mod work;

use std::collections::BTreeMap;
use std::path::Path;

pub use error::{CompileError, LinkError, ModelError, NodeError};
pub use graph::Graph;

/// What a user can choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Shapes of inputs whose shape the model leaves open, by name.
    pub shapes: BTreeMap<String, Vec<u64>>,
    /// The most memory that a tensor, or all of them together, may need, in bytes.
    pub max_memory: u64,
    /// What is read at most.
    pub limits: onnx::Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { shapes: BTreeMap::new(), max_memory: 1 << 38, limits: onnx::Limits::default() }
    }
}

/// Reads a model and makes the graph that is compiled: imported, constants folded, dead nodes removed.
pub fn graph(model: &Path, options: &Options) -> Result<Graph, CompileError> {
    import_model(onnx::read_model(model, &options.limits)?, options)
}

/// As [`graph`], of a model that has been read.
pub fn import_model(model: onnx::Model, options: &Options) -> Result<Graph, CompileError> {
    let mut graph = import::import(model, options)?;
    passes::dead::remove(&mut graph);
    passes::view::separate_outputs(&mut graph)?;
    Ok(graph)
}
