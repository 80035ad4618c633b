//! `opml compile`: a model becomes an image.

use crate::cli::Compile;
use crate::failure::Failure;
use crate::limits;
use crate::output::{Output, count};
use compiler::Options;
use image::{Image, ImageError};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Compiles and writes the image.
pub fn run(args: &Compile, output: Output) -> Result<(), Failure> {
    let mut shapes = BTreeMap::new();
    for shape in &args.shapes {
        if shapes.insert(shape.name.clone(), shape.dims.clone()).is_some() {
            return Err(Failure::new(format!("--shape is given twice for '{}'", shape.name)));
        }
    }
    let start = Instant::now();
    let spinner = output.spinner("compiling");
    let options = Options { shapes, budget: args.budget, ..Options::default() };
    let compiled = compile(&args.model, &options)?;
    spinner.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let bytes = save(&compiled.image, &args.output)?;
    let image = &compiled.image;
    let root = image.state().root();
    let object = json!({
        "image": args.output, "image_root": root.to_string(), "code_root": image.code_root().to_string(),
        "memory_root": image.memory_root().to_string(), "machine": image.extensions().name(), "bytes": bytes,
        "code_bytes": image.profile.code_size(), "memory_bits": image.profile.memory_bits(),
        "big_steps": image.schedule.len(), "most_steps": longest(image), "schedule_root": image.schedule_root().to_string(),
        "seconds": seconds,
    });
    let text = format!(
        "{}  {} bytes\n  image root  {root}\n  machine     {}, 2^{} bytes of memory, {} bytes of code\n  schedule    {} big steps of at most {} machine steps\n  compiled in {:.0} ms",
        args.output.display(),
        count(bytes),
        image.extensions().name(),
        image.profile.memory_bits(),
        count(image.profile.code_size()),
        image.schedule.len(),
        count(longest(image)),
        seconds * 1000.0
    );
    output.result(&object, &text)
}

/// The most machine steps that any big step takes.
fn longest(image: &Image) -> u64 {
    image.schedule.iter().map(|step| step.bound).max().unwrap_or(0)
}

/// Compiles a model.
pub fn compile(model: &Path, options: &Options) -> Result<compiler::Compiled, Failure> {
    compiler::compile(model, options).map_err(|error| Failure::about(model, error))
}

/// Writes an image and returns its size.
pub fn save(image: &Image, path: &Path) -> Result<u64, Failure> {
    image.write(path).map_err(|error| failure(path, &error))?;
    std::fs::metadata(path)
        .map(|data| data.len())
        .map_err(|error| Failure::io("read", &path.display().to_string(), &error))
}

/// Reads an image that is no larger than one may be.
pub fn load(path: &Path) -> Result<Image, Failure> {
    limits::check_image_file(path)?;
    let image = Image::read(path).map_err(|error| failure(path, &error))?;
    limits::check_code(image.profile.code_size()).map_err(|error| Failure::about(path, error))?;
    Ok(image)
}

/// What is wrong with an image file.
fn failure(path: &Path, error: &ImageError) -> Failure {
    match error {
        ImageError::Io { verb, source, .. } => Failure::io(verb, &path.display().to_string(), source),
        ImageError::Memory { .. } => reserved(Failure::about(path, error), error),
        other => Failure::about(path, other).hint("images are written by `opml compile` and `opml image from-elf`"),
    }
}

/// Adds what to do where the system has not enough addresses for a machine's memory.
pub fn reserved(failure: Failure, error: &ImageError) -> Failure {
    match error {
        ImageError::Memory { .. } => failure.hint(
            "memory is reserved as a whole and taken page by page: look at `ulimit -v` and vm.overcommit_memory, or use a larger machine",
        ),
        _ => failure,
    }
}
