//! The ways to run a program: opml's machines and their peers.

use crate::programs::{self, Program};
use ckb_vm::decoder::{Decoder, build_decoder};
use ckb_vm::instructions::instruction_length;
use ckb_vm::machine::VERSION2;
use ckb_vm::machine::asm::{AsmCoreMachine, AsmMachine};
use ckb_vm::{
    Bytes, CoreMachine as _, DefaultMachineBuilder, DefaultMachineRunner as _, Error, ISA_B, ISA_IMC,
    ISA_MOP, SupportMachine, registers,
};
use image::{Image, Role};
use isa::Extensions;
use jit::Jit;
use memory::Memory;
use opml_tests::tools::QEMU;
use std::process::Command;
use std::sync::Arc;
use step::Status;

/// A way to run programs.
pub trait Engine {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// A program before its first step; `None` if it can't run here.
    fn start(&self, program: &Program) -> Option<Box<dyn Run>>;

    /// Whether running it starts a process, which takes extra time.
    fn is_process(&self, _: &Program) -> bool {
        false
    }
}

/// A running program.
pub trait Run {
    /// Continues to the end, but not beyond this number of steps, counted from the start of the program.
    /// Engines that can't stop are only given `u64::MAX`.
    fn run(&mut self, until: u64);

    /// The number of steps so far, if they are counted.
    fn steps(&self) -> Option<u64>;

    /// The program's result, if it has ended; `None` if the result can't be seen.
    fn checksum(&self) -> Option<u64>;
}

/// All engines, in the order of the table.
pub fn all() -> Vec<Box<dyn Engine>> {
    vec![
        Box::new(Ours { translates: true }),
        Box::new(Ours { translates: false }),
        Box::new(Ckb),
        Box::new(Qemu),
        Box::new(Native),
    ]
}

/// opml's machine, with or without translated code.
struct Ours {
    translates: bool,
}

struct OurRun {
    machine: Jit,
    /// Addresses and lengths of a model's outputs.
    outputs: Vec<(u64, usize)>,
}

impl Engine for Ours {
    fn name(&self) -> &'static str {
        if self.translates { "our JIT" } else { "our interpreter" }
    }

    fn start(&self, program: &Program) -> Option<Box<dyn Run>> {
        let machine = Jit::new(&program.image).expect("memory");
        let mut machine = if self.translates { machine } else { machine.interpreting() };
        for (address, bytes) in &program.inputs {
            machine.write_memory(*address, bytes).expect("an input that fits");
        }
        Some(Box::new(OurRun { machine, outputs: outputs(&program.image) }))
    }
}

impl Run for OurRun {
    fn run(&mut self, until: u64) {
        self.machine.run(until - self.machine.steps());
    }

    fn steps(&self) -> Option<u64> {
        Some(self.machine.steps())
    }

    fn checksum(&self) -> Option<u64> {
        if self.machine.status() != Status::Exited {
            return None;
        }
        let outputs =
            self.outputs.iter().map(|&(at, len)| self.machine.read_memory(at, len).expect("an output"));
        Some(checksum(self.machine.x(10), outputs))
    }
}

fn outputs(image: &Image) -> Vec<(u64, usize)> {
    let outputs = image.tensors.iter().filter(|tensor| tensor.role == Role::Output);
    outputs.map(|tensor| (tensor.address, tensor.bytes as usize)).collect()
}

/// The exit code of a program without outputs, otherwise a hash of both (FNV-1a).
fn checksum<'a>(code: u64, outputs: impl Iterator<Item = &'a [u8]>) -> u64 {
    outputs.flatten().fold(code, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// ckb-vm's interpreter in assembly. It has no floats and 4 MiB of memory. It counts cycles, which stand for
/// steps here.
struct Ckb;

struct CkbRun {
    machine: AsmMachine,
    /// Executes one instruction at a time.
    decoder: Decoder,
}

/// The instruction set. MOP fuses some pairs of instructions.
const ISA: u8 = ISA_IMC | ISA_B | ISA_MOP;

impl Engine for Ckb {
    fn name(&self) -> &'static str {
        "ckb-vm"
    }

    fn start(&self, program: &Program) -> Option<Box<dyn Run>> {
        let elf = (program.image.extensions() == Extensions::IM).then(|| Bytes::from(program.elf.clone()))?;
        let core = <Box<AsmCoreMachine> as SupportMachine>::new(ISA, VERSION2, u64::MAX);
        let steps = |instruction| u64::from(instruction_length(instruction)) / 4;
        let machine = DefaultMachineBuilder::new(core).instruction_cycle_func(Box::new(steps)).build();
        let mut machine = AsmMachine::new(machine);
        // Programs with too much memory are refused here.
        machine.load_program(&elf, std::iter::empty()).ok()?;
        machine.machine.set_running(true);
        Some(Box::new(CkbRun { machine, decoder: build_decoder::<u64>(ISA & !ISA_MOP, VERSION2) }))
    }
}

impl Run for CkbRun {
    /// It stops before the first block that would exceed the limit. Single steps make up the rest.
    fn run(&mut self, until: u64) {
        self.machine.set_max_cycles(until);
        stopped(self.machine.run().map(drop));
        while self.machine.machine.running() && self.machine.machine.cycles() < until {
            stopped(self.machine.step(&mut self.decoder));
        }
    }

    fn steps(&self) -> Option<u64> {
        Some(self.machine.machine.cycles())
    }

    fn checksum(&self) -> Option<u64> {
        (!self.machine.machine.running()).then(|| self.machine.machine.registers()[registers::A0])
    }
}

/// Reaching the limit is not an error.
fn stopped(result: Result<(), Error>) {
    if let Err(error) = result
        && !matches!(error, Error::CyclesExceeded)
    {
        panic!("ckb-vm: {error}");
    }
}

/// qemu's user mode: a JIT without a step count.
struct Qemu;

/// A process that runs the program.
struct Process {
    command: Command,
    /// Whether its exit code is its result.
    tells: bool,
    code: Option<i32>,
}

impl Engine for Qemu {
    fn name(&self) -> &'static str {
        "qemu-user"
    }

    fn is_process(&self, _: &Program) -> bool {
        true
    }

    /// If it runs several times, the run dominates qemu's start.
    fn start(&self, program: &Program) -> Option<Box<dyn Run>> {
        if program.repeat > 1 {
            return None;
        }
        let mut command = Command::new(QEMU);
        command.arg(&program.executable);
        Some(Box::new(Process { command, tells: outputs(&program.image).is_empty(), code: None }))
    }
}

/// The same program, compiled for this computer.
struct Native;

/// A model's kernels, over the machine's memory.
struct KernelRun {
    native: Arc<native::Native>,
    memory: Memory,
    outputs: Vec<(u64, usize)>,
}

impl Engine for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn is_process(&self, program: &Program) -> bool {
        matches!(program.native, programs::Native::Executable(_))
    }

    fn start(&self, program: &Program) -> Option<Box<dyn Run>> {
        Some(match &program.native {
            programs::Native::Executable(path) => {
                Box::new(Process { command: Command::new(path), tells: true, code: None })
            }
            programs::Native::Model(native) => {
                let mut memory = program.image.memory().expect("memory");
                for (address, bytes) in &program.inputs {
                    memory.write(*address, bytes).expect("an input that fits");
                }
                Box::new(KernelRun { native: native.clone(), memory, outputs: outputs(&program.image) })
            }
        })
    }
}

impl Run for KernelRun {
    fn run(&mut self, _: u64) {
        self.native.run(&mut self.memory).expect("a run");
    }

    fn steps(&self) -> Option<u64> {
        None
    }

    fn checksum(&self) -> Option<u64> {
        // The program's exit code is 0.
        Some(checksum(0, self.outputs.iter().map(|&(at, len)| self.memory.read(at, len).expect("an output"))))
    }
}

impl Run for Process {
    fn run(&mut self, _: u64) {
        let status = self.command.status().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let Some(code) = status.code() else { panic!("{:?}: {status}", self.command) };
        self.code = Some(code);
    }

    fn steps(&self) -> Option<u64> {
        None
    }

    fn checksum(&self) -> Option<u64> {
        self.code.filter(|_| self.tells).map(|code| code as u64)
    }
}
