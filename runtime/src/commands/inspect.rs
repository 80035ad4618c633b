//! `opml inspect`: shows the contents of an image.

use crate::cli::Inspect;
use crate::failure::Failure;
use crate::images::{load, load_verified};
use crate::output::{self, Output, count, table, write_file};
use crate::pictures::map;
use image::Image;
use isa::{Op, decode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Shows the image, and draws it if `--svg` is given.
pub fn run(args: &Inspect, output: Output) -> Result<(), Failure> {
    let image = if args.verify { load_verified(&args.image, output)? } else { load(&args.image)? };
    let (mut object, mut text) = (object(&image), text(&image));
    if args.program {
        let program = native::text(&image).map_err(|error| Failure::about(&args.image, error))?;
        if let Value::Object(fields) = &mut object {
            fields.insert("program".to_owned(), json!(program));
        }
        text += &format!("\n{program}");
    }
    if let Some(file) = &args.svg {
        let name = args.image.file_stem().unwrap_or_default().to_string_lossy();
        write_file(file, &map::draw(&image, &name))?;
        if let Value::Object(fields) = &mut object {
            fields.insert("svg".to_owned(), output::path(file));
        }
        text += &format!("\nThe image is drawn in {}.\n", file.display());
    }
    output.result(&object, &text)
}

/// How often each instruction occurs in the code, the most frequent first, and how many words are not instructions.
fn mix(image: &Image) -> (Vec<(Op, u64)>, u64) {
    let words = image.code.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let (mut counts, mut others) = (BTreeMap::new(), 0);
    for word in words {
        match decode(word, image.extensions()) {
            Some(instruction) => *counts.entry(instruction.op).or_insert(0) += 1,
            None => others += 1,
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|&(op, count)| (std::cmp::Reverse(count), op));
    (counts, others)
}

/// The number of big steps per operator, in the order of first appearance.
fn operators(image: &Image) -> Vec<(&str, u64)> {
    let mut counts: Vec<(&str, u64)> = Vec::new();
    for step in &image.schedule {
        match counts.iter_mut().find(|(name, _)| *name == step.operator) {
            Some((_, count)) => *count += 1,
            None => counts.push((&step.operator, 1)),
        }
    }
    counts
}

/// The report as JSON.
fn object(image: &Image) -> Value {
    let segments = image.segments.iter().map(|s| json!({ "address": s.address, "bytes": s.bytes.len() }));
    let tensors = image.tensors.iter().map(|t| {
        json!({ "name": t.name, "role": format!("{:?}", t.role).to_lowercase(), "dtype": t.dtype.name(), "shape": t.shape,
                "address": t.address, "bytes": t.bytes })
    });
    let steps = image.schedule.iter().map(|s| {
        json!({ "operator": s.operator, "node": s.node, "kernel": image.symbols.get(s.kernel as usize).map(|k| &k.name),
                "output": image.tensors.get(s.output as usize).map(|t| &t.name), "lo": s.lo, "hi": s.hi,
                "entry": s.entry, "bound": s.bound })
    });
    let (mix, others) = mix(image);
    let mix: BTreeMap<_, _> = mix.into_iter().map(|(op, count)| (op.entry().mnemonic, count)).collect();
    json!({
        "image_root": image.state().root().to_string(), "code_root": image.code_root().to_string(),
        "memory_root": image.memory_root().to_string(), "machine": image.extensions().name(),
        "memory_bits": image.profile.memory_bits(), "memory_depth": image.profile.memory_depth(),
        "code_base": image.profile.code_base(), "code_size": image.profile.code_size(),
        "code_depth": image.profile.code_depth(), "entry": image.entry, "sp": stack_pointer(image),
        "segments": segments.collect::<Vec<_>>(), "tensors": tensors.collect::<Vec<_>>(),
        "schedule": steps.collect::<Vec<_>>(), "instruction_mix": mix, "not_instructions": others,
        "operators": operators(image).into_iter().collect::<BTreeMap<_, _>>(),
        "schedule_root": image.schedule_root().to_string(), "interface": interface(image),
        "period": image.period, "model": model_id(image),
    })
}

/// The regions of inputs, outputs and scratch, and the bound of the whole run. Null if the image doesn't
/// declare them.
fn interface(image: &Image) -> Value {
    let regions = |regions: &[image::Region]| -> Vec<Value> {
        let region = |region: &image::Region| json!({ "address": region.address, "bits": region.bits });
        regions.iter().map(region).collect()
    };
    image.interface.as_ref().map_or(Value::Null, |interface| {
        json!({ "inputs": regions(&interface.inputs), "outputs": regions(&interface.outputs),
                "scratch_bits": interface.scratch_bits, "bound": interface.bound })
    })
}

/// The ID by which every registry knows the image's model; `None` if the image can't be disputed.
fn model_id(image: &Image) -> Option<contracts::B256> {
    let model = prover::model_of(image, &image.big_steps())?;
    model.check().is_ok().then(|| contracts::model_id(&model))
}

/// The address from which the stack grows down. A C program's start-up code sets it; otherwise it is the
/// value at reset.
fn stack_pointer(image: &Image) -> u64 {
    image::elf::stack_pointer(image).unwrap_or(image.sp)
}

/// The report as text.
fn text(image: &Image) -> String {
    let mut text = String::new();
    let profile = &image.profile;
    let _ = writeln!(
        text,
        "image root   {}\ncode root    {}\nmemory root  {}\n\nmachine      {}\nmemory       {} bytes, proofs of {} levels\ncode         {} bytes at {:#x}, proofs of {} levels\nentry        {:#x}, stack from {:#x} down\n",
        image.state().root(),
        image.code_root(),
        image.memory_root(),
        image.extensions().name(),
        count(profile.memory_size()),
        profile.memory_depth(),
        count(profile.code_size()),
        profile.code_base(),
        profile.code_depth(),
        image.entry,
        stack_pointer(image)
    );
    if let Some(id) = model_id(image) {
        let _ = writeln!(text, "model        {id}, its ID on every chain");
    }
    if let Some(image::Period { start, count, least, most }) = image.period {
        let last = u64::from(start) + u64::from(count) - 1;
        let _ = writeln!(text, "period       big steps {start} to {last}, {least} to {most} times");
    }
    if let Some(interface) = &image.interface {
        for (name, regions) in [("input", &interface.inputs), ("output", &interface.outputs)] {
            for (index, image::Region { address, bits }) in regions.iter().enumerate() {
                let _ = writeln!(text, "{:<12} 2^{bits} bytes at {address:#x}", format!("{name} {index}"));
            }
        }
        let _ = writeln!(
            text,
            "scratch      2^{} bytes at the top\nrun          at most {} steps\n",
            interface.scratch_bits,
            count(interface.bound)
        );
    }
    let mut map = table(["segment", "from", "to", "bytes"]);
    for (index, segment) in image.segments.iter().enumerate() {
        let end = segment.address + segment.bytes.len() as u64;
        map.add_row([
            index.to_string(),
            format!("{:#x}", segment.address),
            format!("{end:#x}"),
            count(segment.bytes.len() as u64),
        ]);
    }
    let _ = writeln!(text, "{map}\n");
    if !image.tensors.is_empty() {
        let mut tensors = table(["tensor", "role", "type", "shape", "address", "bytes"]);
        for tensor in &image.tensors {
            tensors.add_row([
                tensor.name.clone(),
                format!("{:?}", tensor.role).to_lowercase(),
                tensor.dtype.name().to_owned(),
                format!("{:?}", tensor.shape),
                format!("{:#x}", tensor.address),
                count(tensor.bytes),
            ]);
        }
        let _ = writeln!(text, "{tensors}\n");
    }
    if !image.schedule.is_empty() {
        let mut schedule = table(["big step", "operator", "node", "kernel", "output", "units", "most steps"]);
        for (index, step) in image.schedule.iter().enumerate() {
            let name = |symbol: Option<&String>| symbol.cloned().unwrap_or_default();
            schedule.add_row([
                index.to_string(),
                step.operator.clone(),
                step.node.clone(),
                name(image.symbols.get(step.kernel as usize).map(|kernel| &kernel.name)),
                name(image.tensors.get(step.output as usize).map(|tensor| &tensor.name)),
                format!("{} to {}", step.lo, step.hi),
                count(step.bound),
            ]);
        }
        let _ = writeln!(text, "{schedule}\n");
        let operators: Vec<_> =
            operators(image).into_iter().map(|(name, count)| format!("{name} {count}")).collect();
        let _ = writeln!(text, "operators    {}\n", operators.join(", "));
    }
    let (mix, others) = mix(image);
    let mix: Vec<_> = mix.into_iter().map(|(op, count)| format!("{} {count}", op.entry().mnemonic)).collect();
    let _ = writeln!(text, "instructions {}", mix.join(", "));
    if others > 0 {
        let _ = writeln!(
            text,
            "\nother words  {}: data or padding, which trap if they are reached",
            count(others)
        );
    }
    text
}
