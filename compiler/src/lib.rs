//! From ONNX model to image.
//!
//! [`import`] reads a model into a typed graph with fixed shapes, folded constants and no dead nodes.
//! [`compile`] plans the memory, makes the schedule, turns kernels into code and links everything into an
//! image. The same model always gives the same bytes: nothing depends on its folder, the clock, the number of
//! threads or the order of a hash map.

mod elf;
mod error;
mod import;
mod metadata;
pub mod plan;
pub mod schedule;
mod survey;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use codegen::Target;
use codegen::link::{self, Linkable, Mark};
use dnn_lib::definition::Definition;
use graph::{Graph, TensorId, lower, passes};
use image::Image;
use mapped::Mapped;

pub use error::{CompileError, ImportErrors, ImportProblem, ModelError, NodeError, ScheduleError, Warning};
pub use plan::Plan;
pub use schedule::Schedule;
pub use survey::{OperatorUse, Survey, survey};

/// What a user can choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// The shapes of inputs, by name, for dimensions that the model leaves open.
    pub shapes: BTreeMap<String, Vec<u64>>,
    /// The sizes of open dimensions, by their names in the model.
    pub dims: BTreeMap<String, u64>,
    /// How often a loop may run whose number of repetitions the model leaves to its data. It ends then, and an
    /// output says so.
    pub loop_bound: Option<u64>,
    /// The inputs, by name, that are constants with these values. The image doesn't have them as inputs.
    pub constants: BTreeMap<String, onnx::Tensor>,
    /// The states: inputs, each with the output that is its next value, in its place.
    pub states: Vec<(String, String)>,
    /// How often one run repeats the model; states go from one time to the next.
    pub repeat: u64,
    /// The most bytes of memory for a tensor, and for all of them together.
    pub max_memory: u64,
    /// The most machine steps of a big step, unless a single unit needs more; `None` makes one big step for
    /// each node.
    pub budget: Option<u64>,
    /// Whether what is computed element by element becomes a part of what it follows.
    pub fuse: bool,
    /// The largest files and tensors that are read.
    pub limits: onnx::Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shapes: BTreeMap::new(),
            dims: BTreeMap::new(),
            loop_bound: None,
            constants: BTreeMap::new(),
            states: Vec::new(),
            repeat: 1,
            max_memory: 1 << 38,
            budget: None,
            fuse: true,
            limits: onnx::Limits::default(),
        }
    }
}

/// A compiled model, with the intermediate results.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The program that is executed and proven.
    pub image: Image,
    /// The model.
    pub graph: Graph,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// The addresses of its tensors.
    pub plan: Plan,
    /// What is computed, and in which order.
    pub schedule: Schedule,
    /// Where instructions and data begin in the image's code.
    marks: Vec<Mark>,
}

impl Compiled {
    /// Writes the program as an ELF file, for other tools.
    pub fn write_elf(&self, to: impl Write) -> io::Result<()> {
        elf::write(&self.image, &self.marks, to)
    }
}

/// What the compiler is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading the file.
    Reading,
    /// Making the graph, folding constants.
    Importing,
    /// Turning kernels into code.
    Kernels {
        /// The number of kernels that are done.
        done: usize,
        /// The number of all kernels.
        total: usize,
    },
    /// Making one program of the kernels.
    Linking,
    /// Making the image and its hashes.
    Hashing {
        /// The bytes of constants that are done.
        done: u64,
        /// The bytes of all constants.
        total: u64,
    },
}

/// Compiles a model file. It and the files of its external data are mapped, not read. They must not be
/// changed before this returns.
pub fn compile(model: &Path, options: &Options) -> Result<Compiled, CompileError> {
    compile_with_progress(model, options, &|_| {})
}

/// Like [`compile`], and calls `progress` when a phase begins and when a part of it is done.
pub fn compile_with_progress(
    model: &Path,
    options: &Options,
    progress: &dyn Fn(Phase),
) -> Result<Compiled, CompileError> {
    compile_file(model, Store::Temporary, options, progress)
}

/// Likewise, and writes the image to a file, which is replaced only once the new one is complete. No other
/// file is written, so this is the quickest way.
pub fn compile_to(
    image: &Path,
    model: &Path,
    options: &Options,
    progress: &dyn Fn(Phase),
) -> Result<Compiled, CompileError> {
    compile_file(model, Store::File(image), options, progress)
}

/// Like [`compile_with_progress`], but the image is a [draft](Image::draft): constants are neither hashed nor
/// written. This is for questions about the program, whatever the size of the model.
pub fn compile_draft(
    model: &Path,
    options: &Options,
    progress: &dyn Fn(Phase),
) -> Result<Compiled, CompileError> {
    compile_file(model, Store::Draft, options, progress)
}

/// Where an image is written.
#[derive(Clone, Copy)]
enum Store<'a> {
    /// To a temporary file without a name.
    Temporary,
    /// To this file.
    File(&'a Path),
    /// Nowhere; its memory isn't needed.
    Draft,
}

fn compile_file(
    model: &Path,
    store: Store<'_>,
    options: &Options,
    progress: &dyn Fn(Phase),
) -> Result<Compiled, CompileError> {
    progress(Phase::Reading);
    let model = onnx::read_model(model, &options.limits)?;
    progress(Phase::Importing);
    let imported = import_model(model, options)?;
    let files = imported.files.clone();
    compile_graph_to(imported, store, options, &|phase| {
        if let Phase::Hashing { .. } = phase {
            // Constants are read for the last time here, in the order of their addresses.
            files.iter().for_each(|file| file.release());
        }
        progress(phase);
    })
}

/// Compiles a model that has been read.
pub fn compile_model(model: onnx::Model, options: &Options) -> Result<Compiled, CompileError> {
    compile_graph_to(import_model(model, options)?, Store::Temporary, options, &|_| {})
}

/// Compiles a graph, which may come from anywhere.
pub fn compile_graph(graph: Graph, options: &Options) -> Result<Compiled, CompileError> {
    graph.verify()?;
    compile_graph_to(Imported { graph, ..Imported::default() }, Store::Temporary, options, &|_| {})
}

fn compile_graph_to(
    Imported { graph, mut warnings, .. }: Imported,
    store: Store<'_>,
    options: &Options,
    progress: &dyn Fn(Phase),
) -> Result<Compiled, CompileError> {
    let mut graph = passes::unroll::unroll(graph, options.max_memory)?;
    passes::narrow::narrow(&mut graph);
    passes::dead::remove(&mut graph);
    passes::outputs::separate(&mut graph);
    warnings.extend(metadata::warnings(&graph));
    let lowered = lower::lower(&mut graph)?;
    let mut lowered = passes::share::share(&graph, lowered);
    if options.fuse {
        lowered = passes::fuse::fuse(&graph, lowered);
    }
    let used: Vec<TensorId> = lowered.used(&graph).collect();
    let plan = plan::plan(&graph, &lowered, options.max_memory)?;
    let mut schedule = schedule::schedule(lowered);
    let kernels = kernels(&schedule.definitions, progress)?;
    progress(Phase::Linking);
    if let Some(budget) = options.budget {
        schedule =
            schedule.split(budget, |step, units| kernels[step.definition].bound(units, step.guards.len()))?;
    }
    let (nodes, parts) = schedule.parts(&plan);
    let text = link::text(plan.memory_size(), &kernels, &nodes, &parts, schedule.period)?;
    if let Some(budget) = options.budget {
        warnings.extend(schedule.beyond(budget, &text.entries));
    }
    let marks = text.marks.clone();
    let contents = metadata::contents(text, &graph, &used, &plan, &schedule)?;
    let total = contents.segments.iter().map(|segment| segment.bytes.len() as u64).sum();
    let hashing = |done: u64| progress(Phase::Hashing { done: done.min(total), total });
    hashing(0);
    let image = match store {
        Store::Temporary => Image::create(contents, None, hashing)?,
        Store::File(path) => Image::create(contents, Some(path), hashing)?,
        Store::Draft => Image::draft(contents)?,
    };
    share_constants(&mut graph, &used, &plan, &image);
    Ok(Compiled { image, graph, warnings, plan, schedule, marks })
}

/// The code of each definition.
fn kernels(definitions: &[Definition], progress: &dyn Fn(Phase)) -> Result<Vec<Linkable>, CompileError> {
    let target = Target::guest().map_err(codegen::LinkError::from)?;
    let mut kernels = Vec::with_capacity(definitions.len());
    for definition in definitions {
        progress(Phase::Kernels { done: kernels.len(), total: definitions.len() });
        kernels.push(Linkable::new(&dnn_lib::schedule::guest(definition)?, &target)?);
    }
    Ok(kernels)
}

/// Lets the constants be the bytes in the image. Nothing refers to the model's files any more.
fn share_constants(graph: &mut Graph, used: &[TensorId], plan: &Plan, image: &Image) {
    for &id in used {
        let value = &mut graph.tensors[id.index()].value;
        let stored = value.as_ref().and_then(|value| image.initial(plan.address(id), value.len()));
        *value = stored.or(value.take());
    }
}

/// A model as a graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// The graph.
    pub graph: Graph,
    /// The files in which constants are: those of the model, and of large results that were computed already.
    pub files: Vec<Mapped>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// An operator that models may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedOperator {
    /// Its domain; empty for ONNX's own.
    pub domain: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The oldest opset with a form that is supported.
    pub since: i64,
}

/// The operators that models may have, in the order of their names for each domain.
pub fn operators() -> impl Iterator<Item = SupportedOperator> {
    import::operators()
}

/// Reads a model file into the graph that is compiled. The graph's constants are in the model's files, which
/// must not be changed while it is in use.
pub fn import(model: &Path, options: &Options) -> Result<Imported, CompileError> {
    import_model(onnx::read_model(model, &options.limits)?, options)
}

/// Like [`import`], for a model that has been read already.
pub fn import_model(model: onnx::Model, options: &Options) -> Result<Imported, CompileError> {
    let mut imported = import::import(model, options)?;
    passes::dead::remove(&mut imported.graph);
    if options.repeat != 1 {
        imported.graph = passes::repeat::repeat(imported.graph, options.repeat);
    }
    Ok(imported)
}
