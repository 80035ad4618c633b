//! `opml check`: what a model needs and costs, before it is compiled for good.

use super::compile::{failure, longest, options, shown};
use crate::cli::Check;
use crate::failure::Failure;
use crate::output::{self, Output, count, table};
use crate::terms::ARITY;
use compiler::{CompileError, Compiled, ImportErrors, Survey};
use contracts::cost::{Schedule, Shape};
use game::Side;
use image::{Image, Role};
use native::Native;
use onnx::element_name;
use prover::model_of;
use serde_json::{Value, json};
use std::fmt::Write;

/// Compiles the model but for the bytes of its constants, and reports.
pub fn run(args: &Check, output: Output) -> Result<(), Failure> {
    let (file, options) = (&args.model.file, options(&args.model)?);
    let model = onnx::read_model(file, &options.limits).map_err(|error| failure(file, error.into()))?;
    let survey = compiler::survey(&model);
    drop(model);
    let compiled = shown(None, file, &options, output);
    let (problems, compiled) = match compiled {
        Ok(compiled) => (Vec::new(), Some(compiled)),
        Err(CompileError::Import(errors)) => (problems(&errors), None),
        Err(error) => (vec![error.to_string()], None),
    };
    let costs = compiled.as_ref().map(Costs::of);
    let warnings: Vec<String> =
        compiled.iter().flat_map(|compiled| &compiled.warnings).map(ToString::to_string).collect();
    let operators = survey.operators.iter().map(
        |operator| json!({ "operator": operator.name, "nodes": operator.nodes, "supported": operator.supported }),
    );
    let object = json!({
        "model": output::path(file), "compiles": problems.is_empty(), "problems": problems, "warnings": warnings,
        "operators": operators.collect::<Vec<_>>(), "types": survey.types,
        "inputs": compiled.as_ref().map(|compiled| tensors(&compiled.image, Role::Input)),
        "outputs": compiled.as_ref().map(|compiled| tensors(&compiled.image, Role::Output)),
        "costs": costs.as_ref().map(Costs::object),
    });
    let mut text = String::new();
    let verdict = if problems.is_empty() { "can be compiled" } else { "can't be compiled as it is" };
    let _ = write!(text, "{}: {verdict}\n\n{}", file.display(), operators_text(&survey));
    if let (Some(compiled), Some(costs)) = (&compiled, &costs) {
        let _ = write!(text, "\n{}", costs.text(&compiled.image));
    }
    for (title, lines) in [("problems", &problems), ("warnings", &warnings)] {
        if !lines.is_empty() {
            let _ = writeln!(text, "\n{title}\n  {}", lines.join("\n  "));
        }
    }
    output.result(&object, &text)?;
    if problems.is_empty() { Ok(()) } else { Err(Failure::reported()) }
}

/// All problems, one a line.
fn problems(errors: &ImportErrors) -> Vec<String> {
    errors.problems.iter().map(ToString::to_string).collect()
}

/// The inputs or the outputs, with their types.
fn tensors(image: &Image, role: Role) -> Vec<Value> {
    let tensors = image.tensors.iter().filter(|tensor| tensor.role == role);
    tensors
        .map(|tensor| json!({ "name": tensor.name, "type": element_name(tensor.dtype), "shape": tensor.shape }))
        .collect()
}

fn operators_text(survey: &Survey) -> String {
    let mut rows = table(["operator", "nodes", "supported"]);
    for operator in &survey.operators {
        let supported = if operator.supported { "yes" } else { "no" };
        rows.add_row([&operator.name, &count(operator.nodes), supported]);
    }
    let types: Vec<String> = survey.types.iter().map(|(name, tensors)| format!("{name} {tensors}")).collect();
    format!("{rows}\n\ntypes        {}\n", types.join(", "))
}

/// What the program costs.
struct Costs {
    big_steps: u64,
    longest: u64,
    /// The most steps of a run.
    steps: u64,
    memory: u64,
    constants: u64,
    /// Nanoseconds of a native run in one thread, if it can run so.
    native: Option<u64>,
    /// The most transactions of a dispute, and the most gas that each side spends on them.
    dispute: Option<(u64, [u64; 2])>,
}

impl Costs {
    fn of(compiled: &Compiled) -> Self {
        let image = &compiled.image;
        let schedule = image.big_steps();
        let sum = || image.schedule.iter().fold(0u64, |sum, step| sum.saturating_add(step.bound));
        let dispute = model_of(image, &schedule).filter(|model| model.check().is_ok()).map(|model| {
            let shape = Shape::of(&model, longest(image), ARITY.into());
            let gas = [Side::Asserter, Side::Challenger].map(|side| shape.gas(side, &Schedule::OSAKA));
            (shape.moves(), gas)
        });
        let native = Native::of(image, 1).ok();
        Self {
            big_steps: native.as_ref().map_or(image.schedule.len() as u64, Native::big_steps),
            longest: longest(image),
            steps: image.interface.as_ref().map_or_else(sum, |interface| interface.bound),
            memory: image.profile.memory_size(),
            constants: image.segments.iter().map(|segment| segment.bytes.len() as u64).sum(),
            native: native.as_ref().map(Native::expected),
            dispute,
        }
    }

    fn object(&self) -> Value {
        let dispute = self.dispute.map(|(transactions, [asserter, challenger])| {
            json!({ "transactions": transactions, "asserter_gas": asserter, "challenger_gas": challenger })
        });
        json!({
            "big_steps": self.big_steps, "most_steps": self.longest, "steps": self.steps, "memory_bytes": self.memory,
            "constant_bytes": self.constants, "native_seconds": self.native.map(seconds), "dispute": dispute,
        })
    }

    fn text(&self, image: &Image) -> String {
        let mut text = String::new();
        for (title, role) in [("input", Role::Input), ("output", Role::Output)] {
            for tensor in image.tensors.iter().filter(|tensor| tensor.role == role) {
                let _ = writeln!(
                    text,
                    "{title:<12} {} {}{:?}",
                    tensor.name,
                    element_name(tensor.dtype),
                    tensor.shape
                );
            }
        }
        let [big_steps, longest, steps, memory, constants] =
            [self.big_steps, self.longest, self.steps, self.memory, self.constants].map(count);
        let _ = writeln!(
            text,
            "run          at most {steps} machine steps, in {big_steps} big steps of at most {longest}\nmemory       \
             {memory} bytes, {constants} of them constants"
        );
        if let Some(native) = self.native {
            let _ = writeln!(
                text,
                "native run   about {} microseconds in one thread, without hashing",
                count(native.div_ceil(1000))
            );
        }
        let _ = match self.dispute {
            Some((transactions, [asserter, challenger])) => writeln!(
                text,
                "dispute      at most {transactions} moves; gas of the asserter at most {}, of the challenger {}",
                count(asserter),
                count(challenger)
            ),
            None => writeln!(text, "dispute      none: the image can be run, but not registered"),
        };
        text
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
