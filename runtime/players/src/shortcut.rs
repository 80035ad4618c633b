//! The first phase at native speed: native code computes the memory between big steps.

use crate::model::LoadedModel;
use contracts::Bytes;
use game::{Checkpoints, Shortcut, ShortcutError};
use memory::{Memory, Snapshot};
use native::Native;
use std::fmt::{Debug, Formatter};
use step::Root;

/// A native run of a model on its inputs. It always stands between two big steps.
pub struct NativeShortcut {
    native: Native,
    memory: Memory,
    boundary: u64,
    /// Checkpoints at the first boundary and at every boundary that was asked for.
    checkpoints: Checkpoints<u64, Snapshot>,
}

impl NativeShortcut {
    /// A run with this many repetitions at its first big step. `None` if the model has no native code.
    pub fn new(
        model: &LoadedModel,
        repetitions: u64,
        inputs: &[Bytes],
    ) -> Option<Result<Self, ShortcutError>> {
        let native = model.native.as_ref()?;
        Some(native.repeated(repetitions).map_err(ShortcutError::from).and_then(|native| {
            let memory = before(model, inputs)?;
            let mut run = Self { native, memory, boundary: 0, checkpoints: Checkpoints::default() };
            run.keep();
            Ok(run)
        }))
    }

    /// Goes to a boundary, starting from the last checkpoint before it.
    fn go(&mut self, boundary: u64) -> Result<(), ShortcutError> {
        let kept = self.checkpoints.before(boundary);
        if let Some((at, snapshot)) = kept.filter(|(at, _)| boundary < self.boundary || *at > self.boundary) {
            self.boundary = at;
            // The snapshot was taken from this memory.
            self.memory.restore(snapshot).ok_or("a snapshot of other memory")?;
        }
        self.native.run_range(&mut self.memory, self.boundary..boundary)?;
        self.boundary = boundary;
        self.keep();
        Ok(())
    }

    /// Keeps a checkpoint here, unless there is one already.
    fn keep(&mut self) {
        if !self.checkpoints.has(self.boundary) {
            let snapshot = self.memory.snapshot();
            let copied = snapshot.copied();
            self.checkpoints.keep(self.boundary, snapshot, self.boundary, copied);
        }
    }
}

impl Shortcut for NativeShortcut {
    fn root(&mut self, big_step: u64) -> Result<Root, ShortcutError> {
        self.go(big_step)?;
        Ok(self.memory.root())
    }

    fn enter(&mut self, big_step: u64) -> Result<Snapshot, ShortcutError> {
        self.go(big_step)?;
        Ok(self.memory.snapshot())
    }

    fn hashed(&self) -> u64 {
        self.memory.hashed()
    }
}

impl Debug for NativeShortcut {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativeShortcut").field("boundary", &self.boundary).finish_non_exhaustive()
    }
}

/// Memory before the first big step.
fn before(model: &LoadedModel, inputs: &[Bytes]) -> Result<Memory, ShortcutError> {
    let mut memory = model.image.memory()?;
    for (region, input) in model.inputs().iter().zip(inputs) {
        memory.write(region.subtree.address(), input).ok_or("an input is not in memory")?;
    }
    Ok(memory)
}
