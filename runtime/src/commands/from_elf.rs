//! `opml image from-elf`: makes an image from a freestanding RISC-V program.

use crate::cli::FromElf;
use crate::failure::Failure;
use crate::images::{reserved, save};
use crate::output::{self, Output, count, read_file};
use image::elf::{ElfError, Options, Program};
use image::{Image, Role};
use serde_json::json;
use std::fmt::Write;

/// The maximum size of an ELF file.
const MAX_PROGRAM: u64 = 1 << 32;

/// Loads the program and writes the image.
pub fn run(args: &FromElf, output: Output) -> Result<(), Failure> {
    let options = Options { stack: args.stack, max_steps: args.max_steps };
    let bytes = read_file(&args.program, MAX_PROGRAM)?;
    let Program { contents, stack, not_instructions } =
        image::elf::load(&bytes, &options).map_err(|error| {
            let failure = Failure::about(&args.program, &error);
            match error {
                ElfError::Declaration { .. }
                | ElfError::TooManyDeclared { .. }
                | ElfError::NoneDeclared { .. }
                | ElfError::NothingDeclared
                | ElfError::GlobalPointer => failure,
                _ => failure.hint(
                    "the machine runs freestanding static programs: \
                 -march=rv64imfd -mabi=lp64d -static -nostdlib -ffreestanding",
                ),
            }
        })?;
    let image =
        Image::new(contents).map_err(|error| reserved(Failure::about(&args.program, &error), &error))?;
    let bytes = save(&image, &args.output)?;
    let root = image.state().root();
    let names = |role| {
        image.tensors.iter().filter(|tensor| tensor.role == role).map(|tensor| &*tensor.name).collect()
    };
    let (inputs, outputs): (Vec<&str>, Vec<&str>) = (names(Role::Input), names(Role::Output));
    let object = json!({
        "image": output::path(&args.output), "image_root": root.to_string(),
        "machine": image.extensions().name(), "bytes": bytes,
        "code_bytes": image.profile.code_size(), "memory_bits": image.profile.memory_bits(), "entry": image.entry,
        "stack": { "top": stack.top, "bytes": stack.bytes, "overflow_traps": stack.guarded },
        "inputs": inputs, "outputs": outputs, "max_steps": args.max_steps,
        "not_instructions": not_instructions.as_ref().map_or(0, |others| others.count),
    });
    let mut text = format!(
        "{}  {} bytes\n  image root  {root}\n  machine     {}, 2^{} bytes of memory, {} bytes of code at {:#x}, entry {:#x}\n  stack       {} bytes from {:#x} down; {}",
        args.output.display(),
        count(bytes),
        image.extensions().name(),
        image.profile.memory_bits(),
        count(image.profile.code_size()),
        image.profile.code_base(),
        image.entry,
        count(stack.bytes),
        stack.top,
        if stack.guarded { "an overflow traps" } else { "an overflow OVERWRITES the program's data" },
    );
    if !stack.guarded {
        let address = args.stack.checked_next_power_of_two().unwrap_or(args.stack);
        let _ =
            write!(text, "\n              (link with -Wl,-Ttext-segment={address:#x} and it traps instead)");
    }
    if !inputs.is_empty() {
        let _ = write!(text, "\n  inputs      {}\n  outputs     {}", inputs.join(", "), outputs.join(", "));
        let _ = match args.max_steps {
            Some(most) => {
                write!(text, "\n  disputes    yes; a run of more than {} steps has no result", count(most))
            }
            None => {
                write!(text, "\n  disputes    no: state the most steps that a run takes with --max-steps")
            }
        };
    }
    if let Some(others) = not_instructions {
        let (number, word, place) = (count(others.count), others.word, others.place);
        let _ =
            write!(text, "\n  code        {number} words are not instructions and trap if they are reached");
        let _ = write!(text, ": {word:#010x} at {place}");
    }
    output.result(&object, &text)
}
