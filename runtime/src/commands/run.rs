//! `opml run`: runs an image and writes its outputs to files.

use crate::cli::Run;
use crate::failure::Failure;
use crate::machine::prepare;
use crate::output::{Output, count, create_folder};
use crate::tensors::{outputs, paths, show, write_outputs};
use serde_json::json;
use std::time::Instant;

/// Runs the image.
pub fn run(args: &Run, output: Output) -> Result<(), Failure> {
    let mut loaded = prepare(&args.run, args.backend)?;
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
