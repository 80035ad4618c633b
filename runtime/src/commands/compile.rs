//! `opml compile`: a model becomes an image.

use crate::cli::Compile;
use crate::failure::Failure;
use crate::images::save;
use crate::output::{Output, count};
use compiler::Options;
use image::Image;
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
