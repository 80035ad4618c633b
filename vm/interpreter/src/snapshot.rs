//! A machine at some moment.

use crate::Interpreter;
use step::{Floats, Status};

/// What a machine is at some moment, to come back to: on this machine, or on another of the same image.
#[derive(Debug, Clone)]
pub struct Snapshot {
    memory: memory::Snapshot,
    x: [u64; 32],
    floats: Floats,
    pc: u64,
    status: Status,
    steps: u64,
}

impl Snapshot {
    /// Memory at that moment.
    #[must_use]
    pub fn memory(&self) -> &memory::Snapshot {
        &self.memory
    }
}

impl Interpreter {
    /// Keeps what the machine is. Costs the root of its memory, and a copy of the pages that changed since the last snapshot.
    pub fn snapshot(&mut self) -> Snapshot {
        Snapshot {
            memory: self.memory.snapshot(),
            x: std::array::from_fn(|register| self.registers.x[register]),
            floats: self.floats(),
            pc: self.pc,
            status: self.status,
            steps: self.steps,
        }
    }

    /// Makes the machine what it was then. Costs a copy of the pages that differ. `None`, and nothing done, if it is a snapshot of
    /// a machine of another image.
    #[must_use]
    pub fn restore(&mut self, snapshot: &Snapshot) -> Option<()> {
        self.memory.restore(&snapshot.memory)?;
        self.registers.x[..32].copy_from_slice(&snapshot.x);
        self.set_floats(snapshot.floats);
        (self.pc, self.status, self.steps) = (snapshot.pc, snapshot.status, snapshot.steps);
        Some(())
    }
}
