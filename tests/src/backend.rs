//! Backends: the ways to run an image. One driver compares all of them.

use crate::flat::Flat;
use image::Image;
use interpreter::{Arithmetic, Interpreter};
use jit::Jit;
use step::{Floats, Root, State, Status};

/// Bytes to write before the first step, and their address.
pub type Input = (u64, Vec<u8>);

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The number of steps.
    pub steps: u64,
    /// The state after them. Its root covers every register and byte.
    pub state: State,
    /// The requested part of memory.
    pub output: Vec<u8>,
}

/// The initial registers, if they are not those at reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    /// The integer registers. The value for x0 is ignored.
    pub x: [u64; 32],
    /// The float registers.
    pub f: [u64; 32],
}

/// A run to make.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// The program.
    pub image: &'a Image,
    /// Other registers than those at reset.
    pub registers: Option<Registers>,
    /// The inputs, written first.
    pub inputs: &'a [Input],
    /// The maximum number of steps.
    pub limit: u64,
    /// The address and length of the memory to read at the end.
    pub output: (u64, u64),
}

impl<'a> Job<'a> {
    /// Runs an image to its end.
    #[must_use]
    pub fn whole(image: &'a Image) -> Self {
        Self { image, registers: None, inputs: &[], limit: u64::MAX, output: (0, 0) }
    }
}

/// A way to run an image.
pub trait Backend {
    /// Its name, for messages.
    fn name(&self) -> &'static str;
    /// Runs until the machine stops or the job's steps are made.
    ///
    /// # Errors
    /// If the backend breaks down, which fails the test.
    fn run(&self, job: &Job<'_>) -> Result<Ending, String>;
}

/// The backends that are fast enough for whole programs.
pub const BACKENDS: &[&dyn Backend] = &[
    &InterpreterBackend(Arithmetic::Host),
    &InterpreterBackend(Arithmetic::Soft),
    &JitBackend(0),
    &JitBackend(1 << 12),
    &FlatBackend,
];

/// Every backend. Replaying hashes at each step, so programs must be short.
pub const ALL_BACKENDS: &[&dyn Backend] = &[
    &InterpreterBackend(Arithmetic::Host),
    &InterpreterBackend(Arithmetic::Soft),
    &JitBackend(0),
    &FlatBackend,
    &ReplayBackend,
];

/// Runs a job on every backend. Returns the ending, which must be the same on all.
///
/// # Panics
/// If two backends end differently.
pub fn agree(backends: &[&dyn Backend], job: &Job<'_>) -> Ending {
    let mut endings = backends.iter().map(|backend| {
        let ending = backend.run(job).unwrap_or_else(|error| panic!("{}: {error}", backend.name()));
        (backend.name(), ending)
    });
    let (first, expected) = endings.next().expect("a backend");
    for (name, ending) in endings {
        assert_eq!(ending.steps, expected.steps, "steps of {name} and {first}");
        assert_eq!(ending.state, expected.state, "state of {name} and {first}");
        assert!(ending.output == expected.output, "output of {name} and {first}");
    }
    expected
}

/// The interpreter with one of its arithmetics.
#[derive(Debug, Clone, Copy)]
pub struct InterpreterBackend(pub Arithmetic);

impl InterpreterBackend {
    /// The machine before its first step, with its inputs in memory.
    ///
    /// # Errors
    /// If the system has no memory, or an input does not fit into it.
    pub fn start(self, job: &Job<'_>) -> Result<Interpreter, String> {
        let machine = Interpreter::new(job.image).map_err(|error| error.to_string())?;
        let mut machine = machine.with_arithmetic(self.0);
        prepare(&mut machine, job)?;
        Ok(machine)
    }
}

/// Writes the inputs and registers of a job.
fn prepare(machine: &mut Interpreter, job: &Job<'_>) -> Result<(), String> {
    for (address, bytes) in job.inputs {
        machine
            .write_memory(*address, bytes)
            .ok_or_else(|| format!("input at {address:#x} outside memory"))?;
    }
    if let Some(Registers { x, f }) = job.registers {
        (1..).zip(&x[1..]).for_each(|(register, &value)| machine.set_x(register, value));
        machine.set_floats(Floats(f));
    }
    Ok(())
}

/// The state of an interpreter.
fn ending(machine: &mut Interpreter, job: &Job<'_>) -> Result<Ending, String> {
    let (address, len) = job.output;
    let output = machine.read_memory(address, len as usize).ok_or("output outside memory")?.to_vec();
    Ok(Ending { steps: machine.steps(), state: machine.state(), output })
}

impl Backend for InterpreterBackend {
    fn name(&self) -> &'static str {
        match self.0 {
            Arithmetic::Host => "interpreter, host floats",
            Arithmetic::Soft => "interpreter, soft floats",
        }
    }

    fn run(&self, job: &Job<'_>) -> Result<Ending, String> {
        let mut machine = self.start(job)?;
        machine.run(job.limit);
        ending(&mut machine, job)
    }
}

/// Translates each place after the interpreter has made this many steps there.
#[derive(Debug, Clone, Copy)]
pub struct JitBackend(pub u64);

impl Backend for JitBackend {
    fn name(&self) -> &'static str {
        "code of the host"
    }

    fn run(&self, job: &Job<'_>) -> Result<Ending, String> {
        let mut machine = Jit::new(job.image).map_err(|error| error.to_string())?.with_threshold(self.0);
        let begin = InterpreterBackend(Arithmetic::Host).start(job)?.snapshot();
        machine.restore(&begin).ok_or("another image")?;
        machine.run(job.limit);
        let (address, len) = job.output;
        let output = machine.read_memory(address, len as usize).ok_or("output outside memory")?.to_vec();
        Ok(Ending { steps: machine.steps(), state: machine.state(), output })
    }
}

/// Records a witness of every step and verifies it. The live machine only makes the proofs. It must arrive at
/// the verified state.
#[derive(Debug, Clone, Copy)]
pub struct ReplayBackend;

impl Backend for ReplayBackend {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn run(&self, job: &Job<'_>) -> Result<Ending, String> {
        let mut machine = InterpreterBackend(Arithmetic::Soft).start(job)?;
        while machine.status() == Status::Running && machine.steps() < job.limit {
            let step = machine.steps();
            let at = |error: step::WitnessError| format!("step {step}: {error}");
            let before = machine.state_root();
            let (witness, claimed) = machine.witness().map_err(at)?;
            let verified = step::verify(machine.profile(), &witness, before).map_err(at)?;
            machine.step();
            let after = machine.state_root();
            if verified != after || claimed != after {
                return Err(format!("step {step}: verified {verified}, recorded {claimed}, live {after}"));
            }
        }
        ending(&mut machine, job)
    }
}

/// The step over registers and bytes, with software floats. Hashes only at the end.
#[derive(Debug, Clone, Copy)]
pub struct FlatBackend;

impl Backend for FlatBackend {
    fn name(&self) -> &'static str {
        "flat"
    }

    fn run(&self, job: &Job<'_>) -> Result<Ending, String> {
        let mut machine = Flat::of(job.image);
        for (address, bytes) in job.inputs {
            machine.put(*address, bytes);
        }
        if let Some(Registers { x, f }) = job.registers {
            machine.x[1..].copy_from_slice(&x[1..]);
            machine.f = f;
        }
        let steps = machine.run(job.limit);
        let (address, len) = job.output;
        Ok(Ending { steps, state: flat_state(&machine, job.image)?, output: machine.get(address, len) })
    }
}

/// The hashed state of a flat machine.
fn flat_state(machine: &Flat, image: &Image) -> Result<State, String> {
    Ok(State {
        code_root: image.code_root(),
        memory_root: flat_root(machine)?,
        float_hash: Floats(machine.f).hash(),
        pc: machine.pc,
        status: machine.status,
        x: machine.x,
    })
}

/// The root of a flat machine's memory. Memory hidden by code stays zero.
fn flat_root(machine: &Flat) -> Result<Root, String> {
    let profile = machine.profile();
    let mut memory = memory::Memory::new(profile.memory_bits().into()).map_err(|error| error.to_string())?;
    for (address, bytes) in machine.pages() {
        for (at, byte) in (address..).zip(bytes).filter(|(at, byte)| **byte != 0 && !profile.is_code(*at)) {
            memory.write(at, &[*byte]).ok_or("a byte outside memory")?;
        }
    }
    Ok(memory.root())
}
