//! One case: compiled, run in three ways, and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use compiler::{CompileError, Compiled, ImportProblem, NodeError, Options};
use dnn_lib::tensor::TensorType;
use image::{Image, Role};
use interpreter::Arithmetic;
use native::{Native, Run};
use onnx::{Limits, Model, ModelGraph, Tensor, Value};
use opml_tests::backend::{Backend, Ending, Input, InterpreterBackend, JitBackend, Job};
use step::Status;

use crate::case::{self, Case, Values};
use crate::compare::compare;

/// What became of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Passed,
    /// The compiler does not take it.
    Refused(String),
    /// All ways of running it agree on another result than the stored one.
    Different(String),
    /// They don't agree, or there is no result.
    Wrong(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => write!(f, "passed"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Different(what) | Self::Wrong(what) => write!(f, "WRONG: {what}"),
        }
    }
}

/// The interpreter is left out of longer runs.
const INTERPRETED: u64 = 4_000_000;

/// No case of ONNX needs more steps.
const STEPS: u64 = 1 << 33;

pub fn run(case: &Case) -> Outcome {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let sets = case.data_sets();
        let outcomes = sets.iter().map(|set| match read(case, set) {
            Ok((model, inputs, outputs)) => run_set(case, model, &inputs, &outputs),
            Err(reason) => Outcome::Refused(reason),
        });
        let nothing = sets.is_empty().then(|| Outcome::Wrong("there is no data to compare with".to_owned()));
        nothing
            .or_else(|| outcomes.into_iter().find(|outcome| *outcome != Outcome::Passed))
            .unwrap_or(Outcome::Passed)
    }));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        Outcome::Wrong(format!("panic: {text}"))
    })
}

type Read = (Model, Values, Values);

fn read(case: &Case, set: &std::path::Path) -> Result<Read, String> {
    let model = onnx::read_model(&case.model(), &Limits::default());
    let model = model.map_err(|error| brief(&error.to_string()))?;
    let read = case::values(set, "input", &inputs_of(&model))
        .and_then(|inputs| Ok((inputs, case::values(set, "output", &model.graph.outputs)?)));
    // What is no tensor has no good message in its own file.
    let mut values = model.graph.inputs.iter().chain(&model.graph.outputs);
    let other = values.find_map(|value| value.other.as_ref());
    let reason = |error: String| match other {
        Some(what) => format!("an input or an output is {what}"),
        None => brief(&error),
    };
    let (inputs, outputs) = read.map_err(reason)?;
    Ok((model, inputs, outputs))
}

fn run_set(case: &Case, model: Model, inputs: &Values, expected: &Values) -> Outcome {
    let (options, compiled) =
        match bind(&model, inputs, |options| compiler::compile_model(model.clone(), options)) {
            Ok(bound) => bound,
            Err(error) => return Outcome::Refused(reason(&error)),
        };
    let given = inputs.tensors.iter().filter(|(name, _)| !options.constants.contains_key(name));
    let given: Vec<&[u8]> = given.map(|(_, input)| input.bytes()).collect();
    match everywhere(&compiled.image, &given) {
        Ok(outputs) => match check(case, &compiled, &outputs, &expected.tensors) {
            Ok(()) => Outcome::Passed,
            Err(what) => Outcome::Different(what),
        },
        Err(what) => Outcome::Wrong(what),
    }
}

/// The inputs of a model that have no default.
pub fn inputs_of(model: &Model) -> Vec<Value> {
    let constant = |name: &str| model.graph.initializers.iter().any(|initializer| initializer.name == name);
    model.graph.inputs.iter().filter(|input| !constant(&input.name)).cloned().collect()
}

/// Compiles, or only imports, with the shapes of these inputs. An input becomes a constant if the compiler
/// says that it, or something that depends on it, must be one.
pub fn bind<T>(
    model: &Model,
    inputs: &Values,
    attempt: impl Fn(&Options) -> Result<T, CompileError>,
) -> Result<(Options, T), CompileError> {
    let shapes = inputs.tensors.iter().map(|(name, input)| (name.clone(), input.dims().to_vec()));
    let empty = inputs.empty.iter().map(|name| (format!("{name}[]"), Vec::new()));
    let mut options = Options { shapes: shapes.chain(empty).collect(), ..Options::default() };
    loop {
        let error = match attempt(&options) {
            Ok(result) => return Ok((options, result)),
            Err(error) => error,
        };
        let wanted = sources(&model.graph, constants_wanted(&error));
        let before = options.constants.len();
        for (name, tensor) in &inputs.tensors {
            let of = name.split_once('[').map_or(name.as_str(), |(of, _)| of);
            if wanted.contains(name.as_str()) || wanted.contains(of) {
                options.constants.insert(name.clone(), tensor.clone());
            }
        }
        if options.constants.len() == before {
            return Err(error);
        }
    }
}

/// The tensors that the compiler says must be constants.
fn constants_wanted(error: &CompileError) -> Vec<String> {
    let CompileError::Import(errors) = error else { return Vec::new() };
    let wanted = errors.problems.iter().filter_map(|problem| match problem {
        ImportProblem::Nodes { error, .. } => match &**error {
            NodeError::NotConstant { tensor, .. } | NodeError::Unbounded { tensor } => Some(tensor.clone()),
            NodeError::Rows { condition, .. } => Some(condition.clone()),
            NodeError::InputValue { tensor, found, .. } if found == "not a constant" => Some(tensor.clone()),
            _ => None,
        },
        ImportProblem::Model(_) => None,
    });
    wanted.collect()
}

/// These tensors and all that they depend on. What is given to a graph inside of a node depends on all that the
/// node reads.
fn sources(graph: &ModelGraph, tensors: Vec<String>) -> BTreeSet<String> {
    fn collect<'a>(graph: &'a ModelGraph, dependencies: &mut BTreeMap<&'a str, BTreeSet<&'a str>>) {
        for node in &graph.nodes {
            let mut reads = BTreeSet::new();
            node.reads(&mut reads);
            for inner in node.graphs() {
                for input in &inner.inputs {
                    dependencies.entry(&input.name).or_default().extend(&reads);
                }
                collect(inner, dependencies);
            }
            for output in &node.outputs {
                dependencies.entry(output).or_default().extend(&reads);
            }
        }
    }
    let (mut dependencies, mut found) = (BTreeMap::new(), BTreeSet::new());
    collect(graph, &mut dependencies);
    let mut open = tensors;
    while let Some(name) = open.pop() {
        if let Some(on) = dependencies.get(name.as_str())
            && !found.contains(&name)
        {
            open.extend(on.iter().map(|&name| name.to_owned()));
        }
        found.insert(name);
    }
    found
}

/// Runs an image natively, as translated code and in the interpreter. All give the same outputs.
fn everywhere(image: &Image, inputs: &[&[u8]]) -> Result<Vec<Vec<u8>>, String> {
    let native = Native::of(image, 1).map_err(|error| format!("native: {error}"))?;
    let run = Run::new(&native, image, inputs).and_then(|mut run| run.outputs());
    let outputs = run.map_err(|error| format!("native: {error}"))?;

    let tensors = |role| image.tensors.iter().filter(move |tensor| tensor.role == role);
    let inputs: Vec<Input> =
        tensors(Role::Input).zip(inputs).map(|(tensor, &bytes)| (tensor.address, bytes.to_vec())).collect();
    let begin = tensors(Role::Output).map(|tensor| tensor.address).min().unwrap_or(0);
    let end = tensors(Role::Output).map(|tensor| tensor.address + tensor.bytes).max().unwrap_or(0);
    let job = Job { inputs: &inputs, output: (begin, end - begin), limit: STEPS, ..Job::whole(image) };
    let machine =
        |backend: &dyn Backend| backend.run(&job).map_err(|error| format!("{}: {error}", backend.name()));
    let translated = machine(&JitBackend(0))?;
    if translated.state.status != Status::Exited {
        return Err(format!("the machine ends {:?}", translated.state.status));
    }
    if translated.steps <= INTERPRETED && machine(&InterpreterBackend(Arithmetic::Host))? != translated {
        return Err("the translated code and the interpreter disagree".to_owned());
    }
    let Ending { output, .. } = translated;
    let same = tensors(Role::Output).zip(&outputs).all(|(tensor, native)| {
        let from = (tensor.address - begin) as usize;
        output[from..from + tensor.bytes as usize] == native[..]
    });
    if same { Ok(outputs) } else { Err("the native run and the machine disagree".to_owned()) }
}

fn check(
    case: &Case,
    compiled: &Compiled,
    found: &[Vec<u8>],
    expected: &[(String, Tensor)],
) -> Result<(), String> {
    let outputs = cut(&compiled.image, found)?;
    if outputs.len() != expected.len() {
        return Err(format!("{} outputs, expected {}", outputs.len(), expected.len()));
    }
    for (index, ((ty, found), (_, expected))) in outputs.iter().zip(expected).enumerate() {
        compare(case, ty, found, expected).map_err(|what| format!("output {index} {what}"))?;
    }
    Ok(())
}

/// The outputs of the model. Those whose data decide how large they are are cut to their true shapes, which are
/// outputs of their own.
fn cut(image: &Image, found: &[Vec<u8>]) -> Result<Vec<(TensorType, Vec<u8>)>, String> {
    let tensors: Vec<_> = image.tensors.iter().filter(|tensor| tensor.role == Role::Output).collect();
    if tensors.len() != found.len() {
        return Err(format!("{} outputs, but the image has {}", found.len(), tensors.len()));
    }
    let shape_of = |name: &str| {
        let place = tensors.iter().position(|tensor| tensor.name == image::true_shape(name))?;
        Some(found[place].as_chunks().0.iter().map(|&bytes| u64::from_le_bytes(bytes)).collect::<Vec<_>>())
    };
    let is_shape = |name: &str| tensors.iter().any(|tensor| image::true_shape(&tensor.name) == name);
    let own = tensors.iter().zip(found).filter(|(tensor, _)| !is_shape(&tensor.name));
    own.map(|(tensor, bytes)| {
        let Some(shape) = shape_of(&tensor.name) else {
            return Ok((TensorType::new(tensor.dtype, &tensor.shape[..]), bytes.clone()));
        };
        let bytes = tensor.cut(bytes, &shape).ok_or_else(|| format!("has no such part: {shape:?}"))?;
        Ok((TensorType::new(tensor.dtype, shape), bytes))
    })
    .collect()
}

/// Why the compiler refuses a model, in a line: the first problem, without what else would be accepted.
fn reason(error: &CompileError) -> String {
    let CompileError::Import(errors) = error else { return brief(&error.to_string()) };
    match errors.problems.first() {
        Some(ImportProblem::Nodes { operator, error, .. }) => match &**error {
            NodeError::Unsupported { .. } => format!("operator {operator} is not supported"),
            error => brief(&format!("{operator}: {error}")),
        },
        Some(ImportProblem::Model(error)) => brief(&error.to_string()),
        None => String::new(),
    }
}

/// The first line of a message, without hints.
fn brief(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.split("; ").next().unwrap_or_default().to_owned()
}
