//! Runs images fast, stops at any step, and proves the next one.
//!
//! [`Interpreter::run`] executes decoded instructions in one loop whose body is [`isa::semantics`].
//! Everything else (a fetch that traps, an illegal word) goes through [`step::step`], the driver that the
//! recording and replaying machines share.

mod census;
mod code;
mod float;
mod hart;
mod snapshot;

pub use census::{Census, Count};
pub use snapshot::Snapshot;

use code::Code;
use float::Host;
use hart::{Hart, Observer, Record, Registers, Stopped, Unobserved};
use image::{CodeTree, Image, ImageError};
use isa::{Op, Size, SoftFloat, TABLE};
use memory::Memory;
use std::convert::Infallible;
use std::sync::Arc;
use step::{Access, Floats, MachineProfile, Proof, Root, Source, State, Status, WitnessError};

/// A running machine.
#[derive(Debug)]
pub struct Interpreter {
    profile: MachineProfile,
    code: Code,
    code_tree: Arc<CodeTree>,
    memory: Memory,
    registers: Registers,
    pc: u64,
    status: Status,
    steps: u64,
    arithmetic: Arithmetic,
}

/// The parts of a running machine.
#[derive(Debug)]
pub struct Live<'a> {
    /// The integer registers, with spare elements; `x[0]` is 0.
    pub x: &'a mut [u64; 256],
    /// The float registers, with spare elements.
    pub f: &'a mut [u64; 256],
    /// Memory.
    pub memory: &'a mut Memory,
    /// The program counter.
    pub pc: &'a mut u64,
    /// Steps made so far.
    pub steps: &'a mut u64,
}

/// How floating-point arithmetic is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arithmetic {
    /// In hardware where it is known to be equal, in software elsewhere.
    #[default]
    Host,
    /// In software: the reference.
    Soft,
}

/// Where a run stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The number of steps. The one that exits or traps is included.
    pub steps: u64,
    /// Whether the machine still runs.
    pub status: Status,
}

/// How often each instruction was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix(Vec<u64>);

impl Mix {
    /// A count without executions.
    #[must_use]
    pub fn new() -> Self {
        Self(vec![0; TABLE.len()])
    }

    /// How often an instruction was executed.
    #[must_use]
    pub fn count(&self, op: Op) -> u64 {
        self.0.get(op as usize).copied().unwrap_or(0)
    }

    /// The executed instructions, the most frequent first.
    #[must_use]
    pub fn commonest(&self) -> Vec<(Op, u64)> {
        let counts = TABLE.iter().map(|entry| (entry.op, self.count(entry.op)));
        let mut counts: Vec<_> = counts.filter(|&(_, count)| count > 0).collect();
        counts.sort_by_key(|&(op, count)| (std::cmp::Reverse(count), op));
        counts
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Mix {
    fn see(&mut self, op: Op, _: usize) {
        if let Some(count) = self.0.get_mut(op as usize) {
            *count += 1;
        }
    }
}

/// Asks before the steps that the loop leaves to the driver.
struct Watch<F>(F);

impl<F: FnMut(&Interpreter) -> bool> Observer for Watch<F> {
    #[inline(always)]
    fn see(&mut self, _: Op, _: usize) {}

    fn leave(&mut self, machine: &Interpreter) -> bool {
        self.0(machine)
    }
}

impl Interpreter {
    /// The machine of an image before its first step.
    pub fn new(image: &Image) -> Result<Self, ImageError> {
        let profile = image.profile;
        let mut registers = Registers { x: [0; 256], f: [0; 256] };
        registers.x[2] = image.sp;
        registers.set_floats(Floats::RESET);
        Ok(Self {
            profile,
            code: Code::new(profile, image.code.clone()),
            code_tree: image.code_tree().clone(),
            memory: image.memory()?,
            registers,
            pc: image.entry,
            status: Status::Running,
            steps: 0,
            arithmetic: Arithmetic::Host,
        })
    }

    /// The same machine with another arithmetic. Results do not depend on it.
    #[must_use]
    pub fn with_arithmetic(self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self }
    }

    /// Runs until the machine stops, but at most this many steps.
    pub fn run(&mut self, limit: u64) -> Outcome {
        self.run_observed(limit, &mut Unobserved)
    }

    /// The same, counting instructions. Words that are not instructions aren't counted, although they make a
    /// step.
    pub fn run_counting(&mut self, limit: u64, mix: &mut Mix) -> Outcome {
        self.run_observed(limit, mix)
    }

    /// The same, counting at each address.
    pub fn run_census(&mut self, limit: u64, census: &mut Census) -> Outcome {
        let entries: Vec<u64> = census.entries().collect();
        self.run_interrupted(limit, &entries, census)
    }

    /// Runs at full speed. Before each step at one of these addresses, `make` decides whether to continue. It
    /// is also asked before steps that the fast loop does not handle.
    pub fn run_watched(&mut self, limit: u64, addresses: &[u64], make: impl FnMut(&Self) -> bool) -> Outcome {
        self.run_interrupted(limit, addresses, &mut Watch(make))
    }

    /// Runs with a loop that leaves the steps at these addresses to the driver, so other steps are not slowed
    /// down.
    fn run_interrupted<O: Observer>(&mut self, limit: u64, addresses: &[u64], observer: &mut O) -> Outcome {
        let mut hidden = Vec::new();
        for &address in addresses {
            let Some(word) = self.code.word(address & !3) else { continue };
            if let Some(record) = self.code.record(word) {
                hidden.push((word, std::mem::replace(record, Record::STOP)));
            }
        }
        let outcome = self.run_observed(limit, observer);
        // In reverse order, for addresses that occur twice.
        for (word, record) in hidden.into_iter().rev() {
            if let Some(place) = self.code.record(word) {
                *place = record;
            }
        }
        outcome
    }

    fn run_observed<O: Observer>(&mut self, limit: u64, observer: &mut O) -> Outcome {
        let mut left = limit;
        while left > 0 && self.status == Status::Running {
            let word = self.code.word(self.pc);
            let ordinary =
                word.filter(|&word| self.code.record(word).is_some_and(|record| record.is_ordinary()));
            if let Some(word) = ordinary {
                left -= self.run_fast(word, left, observer);
                continue;
            }
            // A step that the loop doesn't handle.
            if !observer.leave(self) {
                break;
            }
            let Ok(()) = step::step(self);
            left -= 1;
        }
        self.steps = self.steps.wrapping_add(limit - left);
        Outcome { steps: limit - left, status: self.status }
    }

    /// Makes steps from this word of the code as long as the loop can handle them nearby.
    fn run_fast<O: Observer>(&mut self, word: usize, limit: u64, observer: &mut O) -> u64 {
        let (records, first) = self.code.records(word);
        let hart = Hart {
            registers: &mut self.registers,
            view: self.memory.view(),
            code: self.code.bytes(),
            base: self.profile.code_base(),
            records,
            first,
        };
        let Stopped { steps, pc, status } = match self.arithmetic {
            Arithmetic::Soft => hart::run::<SoftFloat, O>(hart, self.pc, limit, observer),
            Arithmetic::Host => run_host(hart, self.pc, limit, observer),
        };
        (self.pc, self.status) = (pc, status);
        steps
    }

    /// Makes the next step through the driver that all machines share. It is slow, but has the same effect.
    pub fn step(&mut self) {
        if self.status == Status::Running {
            self.steps = self.steps.wrapping_add(1);
        }
        let Ok(()) = step::step(self);
    }

    /// Steps made so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The machine's shape.
    #[must_use]
    pub fn profile(&self) -> MachineProfile {
        self.profile
    }

    /// Whether the machine runs, and if not, how it ended.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The program counter.
    #[must_use]
    pub fn pc(&self) -> u64 {
        self.pc
    }

    /// Sets the program counter.
    pub fn set_pc(&mut self, pc: u64) {
        self.pc = pc;
    }

    /// Starts a big step: sets the program counter to its entry, resets the registers, and sets the stack
    /// pointer to the end of memory. Memory stays.
    pub fn start(&mut self, entry: u64) {
        self.registers.x = [0; 256];
        self.registers.x[2] = self.profile.memory_size();
        self.registers.set_floats(Floats::RESET);
        (self.pc, self.status) = (entry, Status::Running);
    }

    /// An integer register; 0 if there is no such register.
    #[must_use]
    pub fn x(&self, register: u8) -> u64 {
        if register < 32 { self.registers.x[usize::from(register)] } else { 0 }
    }

    /// Sets an integer register. Does nothing for x0 and for registers that don't exist.
    pub fn set_x(&mut self, register: u8, value: u64) {
        if (1..32).contains(&register) {
            self.registers.x[usize::from(register)] = value;
        }
    }

    /// The float registers.
    #[must_use]
    pub fn floats(&self) -> Floats {
        self.registers.floats()
    }

    /// Sets the float registers.
    pub fn set_floats(&mut self, floats: Floats) {
        self.registers.set_floats(floats);
    }

    /// The parts of the machine, for code that runs it in another way. Such code must change them exactly as
    /// steps would.
    pub fn live(&mut self) -> Live<'_> {
        let Registers { x, f } = &mut self.registers;
        Live { x, f, memory: &mut self.memory, pc: &mut self.pc, steps: &mut self.steps }
    }

    /// Memory.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Memory, to write inputs.
    pub fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// Bytes of memory; `None` if they aren't all in memory.
    #[must_use]
    pub fn read_memory(&self, address: u64, len: usize) -> Option<&[u8]> {
        self.memory.read(address, len)
    }

    /// Writes bytes of memory. `None`, and nothing is written, if they aren't all in memory.
    #[must_use]
    pub fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Option<()> {
        self.memory.write(address, bytes)
    }

    /// The state, with memory hashed.
    pub fn state(&mut self) -> State {
        State {
            code_root: self.code_tree.root(),
            memory_root: self.memory.root(),
            float_hash: self.registers.floats().hash(),
            pc: self.pc,
            status: self.status,
            x: self.registers.integers(),
        }
    }

    /// The state root.
    pub fn state_root(&mut self) -> Root {
        self.state().root()
    }

    /// The witness of the next step, and the state root after it. The step is not made.
    pub fn witness(&mut self) -> Result<(Vec<u8>, Root), WitnessError> {
        step::record(self).map(|(witness, after)| (witness, after.root()))
    }
}

/// Runs with the host's arithmetic. Uses the host's fused multiply-add if it has one.
fn run_host<O: Observer>(hart: Hart<'_>, pc: u64, limit: u64, observer: &mut O) -> Stopped {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("fma") {
        /// The loop, compiled with FMA3.
        #[target_feature(enable = "fma")]
        fn run_fused<O: Observer>(hart: Hart<'_>, pc: u64, limit: u64, observer: &mut O) -> Stopped {
            hart::run::<Host<true>, O>(hart, pc, limit, observer)
        }
        // SAFETY: The only requirement is that the processor has FMA3, which was just checked.
        #[expect(unsafe_code, reason = "a call to a function compiled for more than the baseline")]
        return unsafe { run_fused(hart, pc, limit, observer) };
    }
    const FUSED: bool = cfg!(target_arch = "aarch64");
    hart::run::<Host<FUSED>, O>(hart, pc, limit, observer)
}

impl Source for Interpreter {
    fn profile(&self) -> MachineProfile {
        self.profile
    }
    fn state(&mut self) -> State {
        Interpreter::state(self)
    }
    fn floats(&mut self) -> Floats {
        self.registers.floats()
    }
    fn code_proof(&mut self, leaf: u64) -> Proof {
        self.code_tree.proof(leaf)
    }
    fn memory_proof(&mut self, leaf: u64) -> Proof {
        self.memory.proof(leaf << 5)
    }
}

impl Access for Interpreter {
    type Float = SoftFloat;
    type Error = Infallible;

    fn profile(&self) -> MachineProfile {
        self.profile
    }
    fn status(&self) -> Status {
        self.status
    }
    fn set_status(&mut self, status: Status) {
        self.status = status;
    }
    fn pc(&self) -> u64 {
        self.pc
    }
    fn set_pc(&mut self, pc: u64) {
        self.pc = pc;
    }
    fn fetch(&mut self, address: u64) -> Result<u32, Infallible> {
        self.read(address, Size::Word).map(|word| word as u32)
    }
    fn x(&self, register: u8) -> u64 {
        Interpreter::x(self, register)
    }
    fn set_x(&mut self, register: u8, value: u64) {
        Interpreter::set_x(self, register, value);
    }
    fn open_floats(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
    fn f(&self, register: u8) -> u64 {
        self.registers.f[usize::from(register % 32)]
    }
    fn set_f(&mut self, register: u8, value: u64) {
        self.registers.f[usize::from(register % 32)] = value;
    }
    fn read(&mut self, address: u64, size: Size) -> Result<u64, Infallible> {
        if !self.profile.is_code(address) {
            return Ok(self.memory.load(address, size));
        }
        let at = (address - self.profile.code_base()) as usize;
        let bytes = self.code.bytes().get(at..at + size as usize).unwrap_or_default();
        Ok(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }
    fn write(&mut self, address: u64, size: Size, value: u64) -> Result<(), Infallible> {
        self.memory.store(address, size, value);
        Ok(())
    }
}
