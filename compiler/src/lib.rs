//! From ONNX model to image.
//!
//! [`graph()`] reads a model into a typed graph: shapes fixed, constants folded, dead nodes removed. [`compile`] plans
//! the memory, makes the schedule, turns kernels into code and links it all into an image. The same model gives the same
//! bytes every time: nothing depends on the place, the clock, the number of threads or the order of a hash map.

mod error;
pub mod graph;
mod import;
mod link;
mod metadata;
mod passes;
pub mod plan;
pub mod reference;
pub mod schedule;
mod work;

use std::collections::BTreeMap;
use std::path::Path;

use image::Image;

pub use error::{CompileError, LinkError, ModelError, NodeError};
pub use graph::Graph;
pub use plan::Plan;
pub use schedule::Schedule;

/// What a user can choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Shapes of inputs whose shape the model leaves open, by name.
    pub shapes: BTreeMap<String, Vec<u64>>,
    /// The most memory that a tensor, or all of them together, may need, in bytes.
    pub max_memory: u64,
    /// The most machine steps that a big step may take, if a unit takes no more; `None` makes one big step a node.
    pub budget: Option<u64>,
    /// What is read at most.
    pub limits: onnx::Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { shapes: BTreeMap::new(), max_memory: 1 << 38, budget: None, limits: onnx::Limits::default() }
    }
}

/// A compiled model, with what it was made from on the way.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What is executed and proven.
    pub image: Image,
    /// The same program as an ELF file, for other tools.
    pub elf: Vec<u8>,
    /// The model.
    pub graph: Graph,
    /// Where its tensors are.
    pub plan: Plan,
    /// What is computed in which order.
    pub schedule: Schedule,
}

/// Compiles a model file.
pub fn compile(model: &Path, options: &Options) -> Result<Compiled, CompileError> {
    compile_graph(graph(model, options)?, options)
}

/// Compiles a graph.
pub fn compile_graph(mut graph: Graph, options: &Options) -> Result<Compiled, CompileError> {
    passes::wide::narrow(&mut graph)?;
    let plan = plan::plan(&graph, options.max_memory)?;
    let mut schedule = schedule::schedule(&graph)?;
    let kernels = link::compile(&schedule.kernels)?;
    if let Some(budget) = options.budget {
        schedule = schedule.split(budget, |kernel, units| kernels[kernel].bound(units))?;
    }
    let text = link::text(&schedule, &kernels, &plan)?;
    let elf = link::elf(&text, &plan)?;
    let image = metadata::image(&elf, &text, &graph, &plan, &schedule)?;
    Ok(Compiled { image, elf, graph, plan, schedule })
}

/// Reads a model and makes the graph that is compiled.
pub fn graph(model: &Path, options: &Options) -> Result<Graph, CompileError> {
    import_model(onnx::read_model(model, &options.limits)?, options)
}

/// As [`graph()`], of a model that has been read.
pub fn import_model(model: onnx::Model, options: &Options) -> Result<Graph, CompileError> {
    let mut graph = import::import(model, options)?;
    passes::dead::remove(&mut graph);
    passes::view::separate_outputs(&mut graph)?;
    Ok(graph)
}
