//! A machine at one point of its run.

use crate::Interpreter;
use step::{Floats, Status};

/// The state of a machine at one point of its run. It can be restored to this machine, or to another one of
/// the same image.
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
    /// Takes a snapshot. This costs the root of memory, and a copy of the pages that changed since the last
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

    /// Restores a snapshot. This costs a copy of the pages that differ. `None`, and nothing changes, if the
    /// snapshot is of another image.
    #[must_use]
    pub fn restore(&mut self, snapshot: &Snapshot) -> Option<()> {
        self.memory.restore(&snapshot.memory)?;
        self.registers.x[..32].copy_from_slice(&snapshot.x);
        self.set_floats(snapshot.floats);
        (self.pc, self.status, self.steps) = (snapshot.pc, snapshot.status, snapshot.steps);
        Some(())
    }
}
