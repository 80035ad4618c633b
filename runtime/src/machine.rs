//! A machine with its inputs, ready to run.

use image::Image;
use indicatif::ProgressBar;
use interpreter::Arithmetic;
use jit::{Jit, JitError};
use prover::MemoryLimit;
use std::path::PathBuf;
use step::Status;

use crate::cli::{Backend, RunArgs};
use crate::failure::Failure;
use crate::images::{load, reserved};
use crate::output::count;
use crate::tensors::read_inputs;

/// An image with its machine, whose memory holds the inputs.
pub struct Loaded {
    /// The image.
    pub image: Image,
    /// The machine.
    pub machine: Jit,
    /// The limit on the memory that the run takes.
    pub memory: MemoryLimit,
}

impl Loaded {
    /// Runs to the end. Fails if the run doesn't end within `max` steps or within the image's own bound, or
    /// if the machine traps.
    pub fn run_to_end(&mut self, max: u64, bar: &ProgressBar) -> Result<(), Failure> {
        let bound = self.image.interface.as_ref().map_or(u64::MAX, |interface| interface.bound);
        run_to(&mut self.machine, max.min(bound), &self.memory, bar)?;
        if self.machine.status() == Status::Running && bound <= max {
            let bound = count(bound);
            return Err(Failure::new(format!(
                "the program still runs after {bound} steps, its bound: in a dispute it has no result on this input"
            ))
            .hint("make the image with a larger --max-steps"));
        }
        run_to_end(&mut self.machine, max, &self.memory, bar)
    }
}

/// Reads an image and its inputs.
pub fn prepare(run: &RunArgs, backend: Backend) -> Result<Loaded, Failure> {
    let image = load(&run.image)?;
    let inputs = read_inputs(&image, &run.inputs)?;
    let mut machine = start(&image, backend)?;
    for input in &inputs {
        machine
            .write_memory(input.address, &input.bytes)
            .ok_or_else(|| Failure::new(format!("an input at {:#x} is outside memory", input.address)))?;
    }
    Ok(Loaded { image, machine, memory: run.limits.memory() })
}

/// The machine of an image with all inputs zero.
pub fn start(image: &Image, backend: Backend) -> Result<Jit, Failure> {
    let machine = Jit::new(image).map_err(|error| {
        let failure = Failure::from_error(&error);
        match error {
            JitError::Image(error) => reserved(failure, &error),
            JitError::Memory(_) => failure,
        }
    })?;
    Ok(match (backend, cache_folder()) {
        (Backend::Native | Backend::Jit, Some(folder)) => machine.with_cache(&folder, image),
        (Backend::Native | Backend::Jit, None) => machine,
        (Backend::Interpreter, _) => machine.interpreting(),
        (Backend::Reference, _) => machine.with_arithmetic(Arithmetic::Soft).interpreting(),
    })
}

/// The folder for translated code: the one in OPML_CACHE, or the user's cache folder if that isn't set.
/// `None` if OPML_CACHE is empty.
fn cache_folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let usual = || {
        let absolute = |path: &PathBuf| path.is_absolute();
        let caches = variable("XDG_CACHE_HOME").filter(absolute);
        Some(caches.or_else(|| Some(variable("HOME").filter(absolute)?.join(".cache")))?.join("opml"))
    };
    variable("OPML_CACHE").map_or_else(usual, |folder| (!folder.as_os_str().is_empty()).then_some(folder))
}

/// Runs until step `target`, or until the machine stops.
pub fn run_to(
    machine: &mut Jit,
    target: u64,
    memory: &MemoryLimit,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    run_by(machine, target, memory, bar, |machine, steps| {
        machine.run(steps);
        true
    })
}

/// The same with another way to run: `run` makes up to this many steps and returns whether to continue.
pub fn run_by(
    machine: &mut Jit,
    target: u64,
    memory: &MemoryLimit,
    bar: &ProgressBar,
    mut run: impl FnMut(&mut Jit, u64) -> bool,
) -> Result<(), Failure> {
    // The memory already in use may exceed the limit.
    memory.check()?;
    let mut more = true;
    while more && machine.steps() < target && machine.status() == Status::Running {
        let steps = MemoryLimit::SLICE.min(target - machine.steps());
        more = run(machine, steps);
        bar.set_position(machine.steps());
        memory.check()?;
    }
    // Without the cache, the next run only takes longer.
    let _ = machine.keep();
    Ok(())
}

/// Rejects a step beyond `--max-steps`, before the machine runs there.
pub fn check_reach(run: &RunArgs, target: u64) -> Result<(), Failure> {
    let most = run.limits.max_steps;
    if target <= most {
        return Ok(());
    }
    Err(Failure::new(format!("step {target} is beyond --max-steps, {most}")).hint("raise --max-steps"))
}

/// Runs until step `target`. Fails if the machine stops before.
pub fn run_exactly(
    machine: &mut Jit,
    target: u64,
    memory: &MemoryLimit,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    run_to(machine, target, memory, bar)?;
    if machine.steps() == target {
        return Ok(());
    }
    Err(Failure::new(format!(
        "step {target} is beyond the end: the machine {} after {} steps",
        ending(machine),
        machine.steps()
    ))
    .hint(format!("choose a step from 0 to {}", machine.steps())))
}

/// Runs to the end. Fails if the run doesn't end within `max` steps, or if the machine traps.
pub fn run_to_end(
    machine: &mut Jit,
    max: u64,
    memory: &MemoryLimit,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    run_to(machine, max, memory, bar)?;
    match machine.status() {
        Status::Exited => Ok(()),
        Status::Running => {
            Err(Failure::new(format!("the machine still runs after {max} steps")).hint("raise --max-steps"))
        }
        Status::Trapped(trap) => Err(Failure::new(format!(
            "the machine trapped at step {}, pc {:#x}: {}",
            machine.steps().saturating_sub(1),
            machine.pc(),
            trap.message()
        ))
        .hint("`opml trace --at STEP` shows the instruction")),
    }
}

/// How a machine ended.
fn ending(machine: &Jit) -> &'static str {
    match machine.status() {
        Status::Exited => "exited",
        _ => "trapped",
    }
}
