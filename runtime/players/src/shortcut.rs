//! The first phase at the host's speed: memory between big steps from native code.

use crate::model::Known;
use contracts::Bytes;
use game::{Shortcut, ShortcutError};
use memory::Memory;
use std::fmt::{Debug, Formatter};
use std::sync::Arc;
use step::Root;

/// A native run of a model on an input, which stands between two big steps.
pub struct NativeShortcut {
    known: Arc<Known>,
    input: Bytes,
    memory: Memory,
    boundary: usize,
    /// What memories that were given up have hashed.
    hashed: u64,
}

impl NativeShortcut {
    /// A run before its first big step; `None` if the model has no native code.
    pub fn new(known: Arc<Known>, input: Bytes) -> Option<Result<Self, ShortcutError>> {
        known.native.as_ref()?;
        let memory = before(&known, &input);
        Some(memory.map(|memory| Self { known, input, memory, boundary: 0, hashed: 0 }))
    }

    /// Goes to a boundary; to an earlier one by starting again.
    fn go(&mut self, big_step: u64) -> Result<(), ShortcutError> {
        let boundary = usize::try_from(big_step)?;
        if boundary < self.boundary {
            self.hashed += self.memory.hashed();
            self.memory = before(&self.known, &self.input)?;
            self.boundary = 0;
        }
        let native = self.known.native.as_ref().ok_or("the model has no native code")?;
        native.run_range(&mut self.memory, self.boundary..boundary)?;
        self.boundary = boundary;
        Ok(())
    }
}

impl Shortcut for NativeShortcut {
    fn root(&mut self, big_step: u64) -> Result<Root, ShortcutError> {
        self.go(big_step)?;
        Ok(self.memory.root())
    }

    fn enter(&mut self, big_step: u64, memory: &mut Memory) -> Result<(), ShortcutError> {
        self.go(big_step)?;
        native::copy(&self.memory, memory);
        Ok(())
    }

    fn hashed(&self) -> u64 {
        self.hashed + self.memory.hashed()
    }
}

impl Debug for NativeShortcut {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativeShortcut").field("boundary", &self.boundary).finish_non_exhaustive()
    }
}

/// Memory before the first big step.
fn before(known: &Known, input: &[u8]) -> Result<Memory, ShortcutError> {
    let mut memory = known.image.memory()?;
    memory.write(known.input().address, input).ok_or("the input is not in memory")?;
    Ok(memory)
}
