//! One case: compiled, run in three ways, and compared.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use compiler::{CompileError, Compiled, ImportProblem, NodeError, Options};
use image::{Image, Role};
use interpreter::Arithmetic;
use native::{Native, Run};
use onnx::{Limits, Model, Tensor};
use opml_tests::backend::{Backend, Ending, Input, InterpreterBackend, JitBackend, Job};
use step::Status;

use crate::case::{self, Case};
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

type Read = (Model, Vec<Tensor>, Vec<Tensor>);

fn read(case: &Case, set: &std::path::Path) -> Result<Read, String> {
    let model = onnx::read_model(&case.model(), &Limits::default());
    let model = model.map_err(|error| brief(&error.to_string()))?;
    let tensors = |kind| case::tensors(set, kind);
    let read = tensors("input").and_then(|inputs| Ok((inputs, tensors("output")?)));
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

fn run_set(case: &Case, model: Model, inputs: &[Tensor], expected: &[Tensor]) -> Outcome {
    let names = inputs_of(&model);
    let (options, compiled) =
        match bind(&names, inputs, |options| compiler::compile_model(model.clone(), options)) {
            Ok(bound) => bound,
            Err(error) => return Outcome::Refused(reason(&error)),
        };
    let given = names.iter().zip(inputs).filter(|(name, _)| !options.constants.contains_key(*name));
    let given: Vec<&[u8]> = given.map(|(_, input)| input.bytes()).collect();
    match everywhere(&compiled.image, &given) {
        Ok(outputs) => match check(case, &compiled, &outputs, expected) {
            Ok(()) => Outcome::Passed,
            Err(what) => Outcome::Different(what),
        },
        Err(what) => Outcome::Wrong(what),
    }
}

/// The inputs of a model that have no default.
pub fn inputs_of(model: &Model) -> Vec<String> {
    let constant = |name: &str| model.graph.initializers.iter().any(|initializer| initializer.name == name);
    model.graph.inputs.iter().filter(|input| !constant(&input.name)).map(|input| input.name.clone()).collect()
}

/// Compiles, or only imports, with the shapes of these inputs. An input becomes a constant if the compiler
/// says that it must be one.
pub fn bind<T>(
    names: &[String],
    inputs: &[Tensor],
    attempt: impl Fn(&Options) -> Result<T, CompileError>,
) -> Result<(Options, T), CompileError> {
    let shapes = names.iter().zip(inputs).map(|(name, input)| (name.clone(), input.dims().to_vec()));
    let mut options = Options { shapes: shapes.collect(), ..Options::default() };
    let inputs: BTreeMap<&String, &Tensor> = names.iter().zip(inputs).collect();
    loop {
        let error = match attempt(&options) {
            Ok(result) => return Ok((options, result)),
            Err(error) => error,
        };
        let wanted: Vec<String> = constants_wanted(&error);
        let before = options.constants.len();
        for (name, tensor) in inputs.iter().filter(|(name, _)| wanted.contains(name)) {
            options.constants.insert((*name).clone(), (*tensor).clone());
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
            NodeError::NotConstant { tensor, .. } => Some(tensor.clone()),
            NodeError::InputValue { tensor, found, .. } if found == "not a constant" => Some(tensor.clone()),
            _ => None,
        },
        ImportProblem::Model(_) => None,
    });
    wanted.collect()
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

fn check(case: &Case, compiled: &Compiled, found: &[Vec<u8>], expected: &[Tensor]) -> Result<(), String> {
    let types: Vec<_> = compiled.graph.outputs.iter().map(|&id| &compiled.graph.tensor(id).ty).collect();
    if types.len() != expected.len() || found.len() != expected.len() {
        return Err(format!("{} outputs, expected {}", types.len(), expected.len()));
    }
    for (index, (ty, (found, expected))) in types.into_iter().zip(found.iter().zip(expected)).enumerate() {
        compare(case, ty, found, expected).map_err(|what| format!("output {index} {what}"))?;
    }
    Ok(())
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
