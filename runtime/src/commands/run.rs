//! `opml run`: runs an image and writes its outputs to files.

use crate::cli::{Backend, Run};
use crate::failure::Failure;
use crate::images::load;
use crate::machine::prepare;
use crate::output::{Output, count, create_folder};
use crate::tensors::{outputs, paths, read_inputs, show, write_outputs};
use image::{Image, Role};
use native::{Native, NativeError};
use serde_json::json;
use std::fmt::Write as _;
use std::time::Instant;

/// Runs the image.
pub fn run(args: &Run, output: Output) -> Result<(), Failure> {
    match args.backend {
        None | Some(Backend::Native) => {
            let image = load(&args.run.image)?;
            match (Native::of(&image, args.threads), args.backend) {
                (Ok(native), _) => natively(args, &image, &native, output),
                (Err(error), Some(_)) => Err(Failure::about(&args.run.image, error)
                    .hint("--backend jit runs the code of any image, with the same bits")),
                (Err(error @ NativeError::Isa(_)), None) => Err(Failure::from_error(error)),
                (Err(_), None) => in_machine(args, Backend::Jit, output),
            }
        }
        Some(backend) => in_machine(args, backend, output),
    }
}

/// Runs the program of an image on this computer.
fn natively(args: &Run, image: &Image, native: &Native, output: Output) -> Result<(), Failure> {
    args.run.limits.admit_outputs(image)?;
    args.run.limits.admit(&image.big_steps())?;
    let inputs = read_inputs(image, &args.run.inputs)?;
    // The machine's order of inputs is that of the table, which is also that of a run.
    let wanted = image.tensors.iter().filter(|tensor| tensor.role == Role::Input);
    let bytes = |tensor: &image::Tensor| inputs.iter().find(|input| input.address == tensor.address);
    let inputs: Vec<&[u8]> = wanted.filter_map(bytes).map(|input| &*input.bytes).collect();
    let mut run = native::Run::new(native, image, &inputs).map_err(Failure::from_error)?;
    let start = Instant::now();
    run.run_to(native.big_steps()).map_err(Failure::from_error)?;
    let seconds = start.elapsed().as_secs_f64();
    let roots: Vec<String> =
        run.output_roots().map_err(Failure::from_error)?.iter().map(ToString::to_string).collect();
    let memory = run.memory();
    let results = outputs(image, |address, bytes| memory.read(address, usize::try_from(bytes).ok()?))?;
    if !results.is_empty() {
        create_folder(&args.output)?;
    }
    let files = write_outputs(&args.output, &results)?;
    let object = json!({
        "backend": "native", "output_roots": roots, "outputs": paths(&files), "seconds": seconds,
    });
    let mut text = format!("{} big steps in {:.1} ms, natively\n", native.big_steps(), seconds * 1e3);
    for (index, root) in roots.iter().enumerate() {
        let _ = writeln!(text, "root of output {index}  {root}");
    }
    text += &show(&results, &files);
    output.result(&object, &text)
}

/// Runs the code of an image in the machine.
fn in_machine(args: &Run, backend: Backend, output: Output) -> Result<(), Failure> {
    let mut loaded = prepare(&args.run, backend)?;
    args.run.limits.admit_outputs(&loaded.image)?;
    let bar = output.steps(args.run.limits.most_steps(&loaded.image));
    let start = Instant::now();
    loaded.run_to_end(args.run.limits.max_steps, &bar)?;
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let machine = &mut loaded.machine;
    let (steps, root, exit_code) = (machine.steps(), machine.state_root(), machine.x(10));
    let results =
        outputs(&loaded.image, |address, bytes| machine.read_memory(address, usize::try_from(bytes).ok()?))?;
    if !results.is_empty() {
        create_folder(&args.output)?;
    }
    let files = write_outputs(&args.output, &results)?;
    let object = json!({
        "steps": steps, "state_root": root.to_string(), "exit_code": exit_code, "outputs": paths(&files), "seconds": seconds,
    });
    let mut text = format!(
        "{} steps in {:.1} ms ({:.0} million a second)\nstate root  {root}\nexit code   {exit_code}\n",
        count(steps),
        seconds * 1e3,
        steps as f64 / seconds / 1e6
    );
    text += &show(&results, &files);
    output.result(&object, &text)
}
