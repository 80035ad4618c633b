//! Access to the machine inside. Callers can't replace it or its memory, for which code was translated.

use crate::Jit;
use interpreter::{Census, Interpreter, Outcome, Snapshot};
use step::{Proof, Root, State, Status, WitnessError};

impl Jit {
    /// The machine, for inspection.
    #[must_use]
    pub fn interpreter(&self) -> &Interpreter {
        &self.machine
    }

    /// Whether the machine runs, and if not, how it ended.
    #[must_use]
    pub fn status(&self) -> Status {
        self.machine.status()
    }

    /// Steps made so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.machine.steps()
    }

    /// The program counter.
    #[must_use]
    pub fn pc(&self) -> u64 {
        self.machine.pc()
    }

    /// An integer register; 0 if there is no such register.
    #[must_use]
    pub fn x(&self, register: u8) -> u64 {
        self.machine.x(register)
    }

    /// Bytes of memory; `None` if they aren't all in memory.
    #[must_use]
    pub fn read_memory(&self, address: u64, len: usize) -> Option<&[u8]> {
        self.machine.read_memory(address, len)
    }

    /// Writes bytes of memory. `None`, and nothing is written, if they aren't all in memory.
    #[must_use]
    pub fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Option<()> {
        self.machine.write_memory(address, bytes)
    }

    /// Zeroes the 2^bits bytes of memory around an address.
    pub fn clear_memory(&mut self, address: u64, bits: u32) {
        self.machine.memory_mut().clear(address, bits);
    }

    /// The root of memory.
    pub fn memory_root(&mut self) -> Root {
        self.machine.memory_mut().root()
    }

    /// The root of the 2^bits bytes of memory around an address, with its siblings up to the root of memory.
    pub fn subtree(&mut self, address: u64, bits: u32) -> Proof {
        self.machine.memory_mut().subtree_proof(address, bits)
    }

    /// The state, with memory hashed.
    pub fn state(&mut self) -> State {
        self.machine.state()
    }

    /// The state root.
    pub fn state_root(&mut self) -> Root {
        self.machine.state_root()
    }

    /// The witness of the next step, and the state root after it. The step is not made.
    pub fn witness(&mut self) -> Result<(Vec<u8>, Root), WitnessError> {
        self.machine.witness()
    }

    /// Starts a big step: the registers are reset, memory stays.
    pub fn start(&mut self, entry: u64) {
        self.machine.start(entry);
    }

    /// Makes one step in the interpreter.
    pub fn step(&mut self) {
        self.machine.step();
    }

    /// Runs in the interpreter, and counts the steps at each address.
    pub fn run_census(&mut self, limit: u64, census: &mut Census) -> Outcome {
        self.machine.run_census(limit, census)
    }

    /// Runs in the interpreter. Before each step at one of these addresses, `make` decides whether to
    /// continue.
    pub fn run_watched(
        &mut self,
        limit: u64,
        addresses: &[u64],
        make: impl FnMut(&Interpreter) -> bool,
    ) -> Outcome {
        self.machine.run_watched(limit, addresses, make)
    }

    /// Takes a snapshot of the machine (see [`Interpreter::snapshot`]).
    pub fn snapshot(&mut self) -> Snapshot {
        self.machine.snapshot()
    }

    /// Restores a snapshot of this machine, or of another one of the same image. `None`, and nothing changes,
    /// if the snapshot is of another image.
    #[must_use]
    pub fn restore(&mut self, snapshot: &Snapshot) -> Option<()> {
        self.machine.restore(snapshot)
    }

    /// The same for memory alone.
    #[must_use]
    pub fn restore_memory(&mut self, snapshot: &memory::Snapshot) -> Option<()> {
        self.machine.memory_mut().restore(snapshot)
    }
}
