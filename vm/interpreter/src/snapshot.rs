//! A machine at one point of its run.

use crate::Interpreter;
use step::{Floats, Status};

/// The state of a machine at one point of its run, to return to it: on this machine, or on another of the same image.
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
    /// Memory at that point.
    #[must_use]
    pub fn memory(&self) -> &memory::Snapshot {
        &self.memory
    }
}

impl Interpreter {
    /// Keeps the machine's state. This costs the root of its memory, and a copy of the pages that changed since the last
    /// snapshot.
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

    /// Returns the machine to the state of a snapshot. This costs a copy of the pages that differ. `None`, and nothing
    /// done, if it is a snapshot of a machine of another image.
    #[must_use]
    pub fn restore(&mut self, snapshot: &Snapshot) -> Option<()> {
        self.memory.restore(&snapshot.memory)?;
        self.registers.x[..32].copy_from_slice(&snapshot.x);
        self.set_floats(snapshot.floats);
        (self.pc, self.status, self.steps) = (snapshot.pc, snapshot.status, snapshot.steps);
        Some(())
    }
}
