//! `opml compile`: compiles a model to an image.

use crate::cli::{Compile, ModelArgs};
use crate::failure::Failure;
use crate::images::{self, size};
use crate::kinds::Kind;
use crate::output::{self, Output, count, printable};
use crate::tensors;
use compiler::{CompileError, Compiled, Options, Phase};
use image::{Image, ImageError};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Compiles and writes the image.
pub fn run(args: &Compile, output: Output) -> Result<(), Failure> {
    let start = Instant::now();
    let options = options(&args.model)?;
    let compiled = watched(args, &options, output)?;
    let seconds = start.elapsed().as_secs_f64();
    let warnings: Vec<String> = compiled.warnings.iter().map(ToString::to_string).collect();
    if !output.is_json() {
        warnings.iter().for_each(|warning| eprintln!("warning: {}", printable(warning)));
    }
    let bytes = size(&args.output)?;
    if let Some(path) = &args.elf {
        output::write_with(path, |file| compiled.write_elf(file))?;
    }
    let image = &compiled.image;
    let root = image.state().root();
    let object = json!({
        "image": output::path(&args.output), "image_root": root.to_string(), "code_root": image.code_root().to_string(),
        "memory_root": image.memory_root().to_string(), "machine": image.extensions().name(), "bytes": bytes,
        "code_bytes": image.profile.code_size(), "memory_bits": image.profile.memory_bits(),
        "big_steps": image.schedule.len(), "most_steps": longest(image), "schedule_root": image.schedule_root().to_string(),
        "seconds": seconds, "warnings": warnings, "elf": args.elf.as_deref().map(output::path),
    });
    let text = format!(
        "{}  {} bytes\n  image root  {root}\n  machine     {}, 2^{} bytes of memory, {} bytes of code\n  schedule    {} big steps{} of at most {} machine steps\n  compiled in {:.0} ms",
        args.output.display(),
        count(bytes),
        image.extensions().name(),
        image.profile.memory_bits(),
        count(image.profile.code_size()),
        image.schedule.len(),
        image.period.map_or_else(String::new, |period| format!(
            ", {} of them {} times,",
            period.count,
            count(period.most)
        )),
        count(longest(image)),
        seconds * 1000.0
    );
    output.result(&object, &text)
}

/// How a model is compiled.
pub fn options(args: &ModelArgs) -> Result<Options, Failure> {
    let twice = |flag: &str, name: &str| Err(Failure::usage(format!("{flag} is given twice for '{name}'")));
    let (mut shapes, mut dims) = (BTreeMap::new(), BTreeMap::new());
    for shape in &args.shapes {
        if shapes.insert(shape.name.clone(), shape.dims.clone()).is_some() {
            return twice("--shape", &shape.name);
        }
    }
    for dim in &args.dims {
        if dims.insert(dim.name.clone(), dim.size).is_some() {
            return twice("--dim", &dim.name);
        }
    }
    let states = args.states.iter().map(|state| (state.input.clone(), state.output.clone())).collect();
    let constants = tensors::read_constants(&args.constants)?;
    let (loop_bound, repeat, budget) = (args.loop_bound, args.repeat, args.budget);
    Ok(Options { shapes, dims, constants, loop_bound, states, repeat, budget, ..Options::default() })
}

/// The maximum number of machine steps in any big step.
pub fn longest(image: &Image) -> u64 {
    image.schedule.iter().map(|step| step.bound).max().unwrap_or(0)
}

/// Compiles a model to its image file.
fn watched(args: &Compile, options: &Options, output: Output) -> Result<Compiled, Failure> {
    shown(Some(&args.output), &args.model.file, options, output).map_err(|error| match error {
        CompileError::Image(error @ ImageError::Io { .. }) => images::failure(&args.output, &error),
        error => failure(&args.model.file, error),
    })
}

/// Compiles a model, with a progress bar: to a file, or to a draft.
pub fn shown(
    image: Option<&Path>,
    model: &Path,
    options: &Options,
    output: Output,
) -> Result<Compiled, CompileError> {
    let bar = output.spinner("compiling");
    let progress = |phase| show(&bar, phase);
    let compiled = match image {
        Some(image) => compiler::compile_to(image, model, options, &progress),
        None => compiler::compile_draft(model, options, &progress),
    };
    bar.finish_and_clear();
    compiled
}

/// The error for a model.
pub fn failure(model: &Path, error: CompileError) -> Failure {
    let kind = Kind::of_file(model).filter(|_| matches!(error, CompileError::Read(_)));
    match kind.and_then(|kind| Some((kind.name(), kind.instead_of_model(model)?))) {
        Some((name, hint)) => Failure::about(model, format!("not an ONNX model, but {name}")).hint(hint),
        None => Failure::about(model, error),
    }
}

/// Shows a phase. Kernels and bytes have a bar, since their number is known.
fn show(bar: &ProgressBar, phase: Phase) {
    let (message, template) = match phase {
        Phase::Reading => ("reading the model", "{spinner} {msg} {elapsed}"),
        Phase::Importing => ("importing the model", "{spinner} {msg} {elapsed}"),
        Phase::Kernels { done, total } => {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            ("compiling kernels", "{msg} {bar:30} {pos} of {len} {elapsed}")
        }
        Phase::Linking => ("linking", "{spinner} {msg} {elapsed}"),
        Phase::Hashing { done, total } => {
            bar.set_length(total);
            bar.set_position(done);
            ("writing and hashing", "{msg} {bar:30} {bytes} of {total_bytes} {elapsed}")
        }
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(message);
}
