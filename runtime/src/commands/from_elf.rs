//! `opml image from-elf`: anybody's program becomes an image.

use crate::cli::FromElf;
use crate::failure::Failure;
use crate::images::{reserved, save};
use crate::output::{Output, count, read_file};
use image::Image;
use serde_json::json;

/// The longest ELF file that is read.
const MAX_PROGRAM: u64 = 1 << 32;

/// Loads the program and writes the image.
pub fn run(args: &FromElf, output: Output) -> Result<(), Failure> {
    let options = image::elf::Options { stack: args.stack };
    let program = read_file(&args.program, MAX_PROGRAM)?;
    let about = |error: &dyn std::fmt::Display| {
        Failure::about(&args.program, error)
            .hint("the machine runs freestanding static programs: -march=rv64imfd -mabi=lp64d -static -nostdlib -ffreestanding")
    };
    let contents = image::elf::load(&program, &options).map_err(|error| about(&error))?;
    let image = Image::new(contents).map_err(|error| reserved(about(&error), &error))?;
    let bytes = save(&image, &args.output)?;
    let root = image.state().root();
    let object = json!({
        "image": args.output, "image_root": root.to_string(), "machine": image.extensions().name(), "bytes": bytes,
        "code_bytes": image.profile.code_size(), "memory_bits": image.profile.memory_bits(), "entry": image.entry,
    });
    let text = format!(
        "{}  {} bytes\n  image root  {root}\n  machine     {}, 2^{} bytes of memory, {} bytes of code at {:#x}, entry {:#x}",
        args.output.display(),
        count(bytes),
        image.extensions().name(),
        image.profile.memory_bits(),
        count(image.profile.code_size()),
        image.profile.code_base(),
        image.entry
    );
    output.result(&object, &text)
}
