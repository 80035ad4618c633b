//! A run of an image.

use crate::limit::{Exceeded, MemoryLimit};
use crate::model::model_of;
use game::{Model, Oracle, Region, Regions, VOID, steps};
use image::{Image, ImageError, Leaf, Schedule};
use interpreter::Snapshot;
use jit::{Jit, JitError};
use memory::{Checkpoints, Memory};
use native::{Native, NativeError, Run};
use std::collections::BTreeMap;
use step::{Proof, Root, Status, WitnessError};
use thiserror::Error;

/// A run of an image that can go to any of its places.
#[derive(Debug)]
pub struct Execution {
    image: Image,
    model: Model,
    schedule: Schedule,
    /// The most steps before each leaf of the schedule, and in total.
    begins: Vec<u64>,
    inputs: Vec<(u64, Vec<u8>)>,
    changes: Vec<Change>,
    machine: Jit,
    /// The current big step and the next step in it.
    at: (u64, u64),
    /// Whether an earlier big step ended void.
    void: bool,
    /// The memory roots that have been asked for, by the big step before which they are.
    memories: BTreeMap<u64, Root>,
    /// The machine with its inputs, before anything happened.
    start: Snapshot,
    /// Checkpoints at places that were asked for. The flag is set if an earlier big step ended void.
    checkpoints: Checkpoints<(u64, u64), (Snapshot, bool)>,
    /// The same run in native code, which is the faster way to reach big steps.
    native: Option<Run>,
    /// How much memory the run may take.
    limit: MemoryLimit,
}

/// A byte that is changed before a step. It makes the run a lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The big step, and the step in it.
    pub place: (u64, u64),
    /// The byte's address.
    pub address: u64,
    /// The bits that change.
    pub bits: u8,
}

/// Why a run failed.
#[derive(Debug, Error)]
pub enum ExecutionError {
    /// The image can't be run.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The JIT can't run here.
    #[error(transparent)]
    Jit(#[from] JitError),
    /// The image can't be disputed.
    #[error("the image doesn't say where its inputs and outputs are")]
    NoInterface,
    /// The native code failed.
    #[error("cannot run natively: {0}")]
    Native(#[from] NativeError),
    /// It takes too much memory.
    #[error(transparent)]
    Memory(#[from] Exceeded),
    /// A snapshot is of another memory.
    #[error("the snapshot is not of this image's memory")]
    Foreign,
    /// The step has no proof.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The bytes are not in memory.
    #[error("{len} bytes at {address:#x} are not all in memory")]
    Outside {
        /// The first address.
        address: u64,
        /// The number of bytes.
        len: usize,
    },
    /// More or fewer repetitions than the model allows.
    #[error("the model's period can't be repeated {0} times")]
    Repetitions(u64),
    /// A big step that isn't in the schedule.
    #[error("big step {found}; the schedule has {count}")]
    BigStep {
        /// The big step that was asked for.
        found: u64,
        /// How many there are.
        count: u64,
    },
}

impl Execution {
    /// A run of an image with one of its schedules and inputs, given as addresses and bytes.
    pub fn new(
        image: Image,
        schedule: Schedule,
        inputs: Vec<(u64, Vec<u8>)>,
    ) -> Result<Self, ExecutionError> {
        let model = model_of(&image, &schedule).ok_or(ExecutionError::NoInterface)?;
        let mut machine = Jit::new(&image)?;
        for (address, bytes) in &inputs {
            let outside = ExecutionError::Outside { address: *address, len: bytes.len() };
            machine.write_memory(*address, bytes).ok_or(outside)?;
        }
        let start = machine.snapshot();
        let begins = schedule.leaves().iter().scan(0u64, |end, leaf| {
            *end = end.saturating_add(steps(*leaf));
            Some(*end)
        });
        let begins = [0].into_iter().chain(begins).collect();
        let (at, void, memories, changes, checkpoints, native) = Default::default();
        let mut new = Self {
            image,
            model,
            schedule,
            begins,
            inputs,
            changes,
            machine,
            at,
            void,
            memories,
            start,
            checkpoints,
            native,
            limit: MemoryLimit::none(),
        };
        new.begin(0);
        Ok(new)
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The same run with the memory between big steps computed by native code, which must be the image's.
    pub fn with_native(mut self, native: &Native) -> Result<Self, ExecutionError> {
        let native = native.repeated(self.schedule.repetitions())?;
        self.native = Some(Run::over(&native, &self.image, memory_with(&self.image, &self.inputs)?)?);
        Ok(self)
    }

    /// The same run with a memory limit. It fails when it exceeds the limit.
    #[must_use]
    pub fn with_limit(mut self, limit: MemoryLimit) -> Self {
        self.limit = limit;
        self
    }

    /// The same run with bytes changed during it. Native code doesn't know of them.
    pub fn with_changes(mut self, mut changes: Vec<Change>) -> Result<Self, ExecutionError> {
        changes.sort_by_key(|change| change.place);
        (self.changes, self.memories, self.native, self.checkpoints) =
            (changes, BTreeMap::new(), None, Checkpoints::default());
        self.restore(&self.start.clone())?;
        self.void = false;
        self.begin(0);
        Ok(self)
    }

    /// The number of steps that a big step actually takes.
    pub fn steps(&mut self, big_step: u64) -> Result<u64, ExecutionError> {
        self.seek(big_step, 0)?;
        let before = self.machine.steps();
        self.seek(big_step, steps(self.leaf(big_step)?))?;
        Ok(self.machine.steps() - before)
    }

    /// Bytes of memory at the end of the run.
    pub fn read(&mut self, address: u64, len: usize) -> Result<&[u8], ExecutionError> {
        self.seek(self.model.big_steps(), 0)?;
        self.machine.read_memory(address, len).ok_or(ExecutionError::Outside { address, len })
    }

    /// Calls `look` with the machine at a place. Its changes to the machine are undone.
    pub fn visit<T>(
        &mut self,
        big_step: u64,
        step: u64,
        look: impl FnOnce(&mut Jit) -> T,
    ) -> Result<T, ExecutionError> {
        self.leaf(big_step)?;
        self.seek(big_step, step)?;
        let before = self.machine.snapshot();
        let seen = look(&mut self.machine);
        self.restore(&before)?;
        Ok(seen)
    }

    /// The number of memory nodes hashed so far (see [`memory::Memory::hashed`]).
    pub fn hashed(&mut self) -> u64 {
        let native = self.native.as_mut().map_or(0, |native| native.memory().hashed());
        native + self.machine.interpreter().memory().hashed()
    }

    fn leaf(&self, big_step: u64) -> Result<Leaf, ExecutionError> {
        let (found, count) = (big_step, self.schedule.big_steps());
        self.schedule.leaf(big_step).ok_or(ExecutionError::BigStep { found, count })
    }

    /// Restores the machine to a checkpoint.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), ExecutionError> {
        self.machine.restore(snapshot).ok_or(ExecutionError::Foreign)
    }

    /// Keeps this place as a checkpoint, unless it is one already.
    fn keep(&mut self) {
        if !self.checkpoints.has(self.at) {
            let snapshot = self.machine.snapshot();
            let copied = snapshot.memory().copied();
            let distance = self.distance(self.at);
            self.checkpoints.keep(self.at, (snapshot, self.void), distance, copied);
        }
    }

    /// The most steps from the start of the run to a place in it.
    fn distance(&self, (big_step, step): (u64, u64)) -> u64 {
        let begin = |leaf: u64| {
            let index = usize::try_from(leaf).unwrap_or(usize::MAX);
            self.begins.get(index).or(self.begins.last()).copied().unwrap_or(0)
        };
        let (shape, repetitions) = (self.schedule.shape(), self.schedule.repetitions());
        let (prologue, period) = (u64::from(shape.prologue), u64::from(shape.period));
        let around = begin(prologue + period) - begin(prologue);
        let rounds = big_step.saturating_sub(prologue).checked_div(period).unwrap_or(0).min(repetitions);
        let inside = self.schedule.index(big_step).unwrap_or_else(|| shape.leaves());
        // What is behind the period has the leaves of one repetition before it already.
        let again = if inside >= prologue + period { rounds.saturating_sub(1) } else { rounds };
        begin(inside).saturating_add(around.saturating_mul(again)).saturating_add(step)
    }

    /// Begins a big step, or ends the run.
    fn begin(&mut self, big_step: u64) {
        self.at = (big_step, 0);
        self.change();
        self.ready();
    }

    /// Prepares the machine for the current big step, unless the run is at its end.
    fn ready(&mut self) {
        if let Ok(leaf) = self.leaf(self.at.0) {
            self.machine.start(leaf.entry);
        }
        // Of very many short big steps, those that nobody asks about are not all kept.
        let far = self.distance((self.schedule.big_steps(), 0)) / Checkpoints::<(u64, u64), ()>::MOST;
        let last = self.checkpoints.before(self.at).map(|(place, _)| self.distance(place));
        if last.is_none_or(|last| self.distance(self.at) - last >= far) {
            self.keep();
        }
    }

    /// Goes to a place.
    fn seek(&mut self, big_step: u64, step: u64) -> Result<(), ExecutionError> {
        let target = (big_step, step);
        // The first checkpoint is never dropped, so without native code there is always one.
        let kept =
            self.checkpoints.before(target).filter(|(place, _)| self.native.is_none() || place.0 == big_step);
        if let Some((place, (snapshot, void))) =
            kept.filter(|(place, _)| target < self.at || *place > self.at)
        {
            (self.at, self.void) = (place, *void);
            self.machine.restore(snapshot).ok_or(ExecutionError::Foreign)?;
        }
        if let Some(native) = self.native.as_mut().filter(|_| big_step != self.at.0 || step < self.at.1) {
            let memory = native.snapshot_at(big_step)?;
            self.machine.restore_memory(&memory).ok_or(ExecutionError::Foreign)?;
            self.at = (big_step, 0);
            self.ready();
        }
        while self.at.0 < big_step {
            let leaf = self.leaf(self.at.0)?;
            self.run_to(steps(leaf))?;
            self.void |= self.machine.status() != Status::Exited;
            let scratch = self.model.scratch();
            self.machine.clear_memory(scratch.address(), self.model.scratch_bits.into());
            self.begin(self.at.0 + 1);
        }
        self.run_to(step)
    }

    /// Runs to a step of the current big step and applies the changes on the way. A halted machine stays as
    /// it is.
    fn run_to(&mut self, step: u64) -> Result<(), ExecutionError> {
        while self.at.1 < step {
            let changes = self.changes.iter().map(|change| change.place);
            let next = changes.filter(|&place| place > self.at).min().filter(|place| place.0 == self.at.0);
            let stop = next.map_or(step, |place| place.1.min(step));
            while self.at.1 < stop && self.machine.status() == Status::Running {
                let steps = MemoryLimit::SLICE.min(stop - self.at.1);
                self.machine.run(steps);
                self.at.1 += steps;
                self.limit.check()?;
            }
            self.at.1 = stop;
            self.change();
        }
        Ok(())
    }

    /// Applies the changes that belong to this place.
    fn change(&mut self) {
        for change in self.changes.iter().filter(|change| change.place == self.at) {
            let old = self.machine.read_memory(change.address, 1).map_or(0, |bytes| bytes[0]);
            // A change outside memory has no effect.
            let _ = self.machine.write_memory(change.address, &[old ^ change.bits]);
        }
    }
}

impl Oracle for Execution {
    type Error = ExecutionError;

    fn memory(&mut self, big_step: u64) -> Result<Root, ExecutionError> {
        if let Some(&known) = self.memories.get(&big_step) {
            return Ok(known);
        }
        let root = if let Some(native) = &mut self.native {
            native.memory_root_at(big_step)?
        } else {
            self.seek(big_step, 0)?;
            self.keep();
            if self.void { VOID } else { self.machine.memory_root() }
        };
        self.memories.insert(big_step, root);
        Ok(root)
    }

    fn state(&mut self, big_step: u64, step: u64) -> Result<Root, ExecutionError> {
        self.leaf(big_step)?;
        self.seek(big_step, step)?;
        self.keep();
        Ok(self.machine.state_root())
    }

    fn end(&mut self, big_step: u64) -> Result<(Vec<u8>, Proof), ExecutionError> {
        self.seek(big_step, steps(self.leaf(big_step)?))?;
        let state = self.machine.state();
        let scratch = match state.status {
            Status::Exited => {
                let scratch = self.model.scratch();
                self.machine.subtree(scratch.address(), scratch.bits())
            }
            _ => Proof { leaf: state.memory_root, siblings: Vec::new() },
        };
        Ok((state.to_bytes().split_off(ROOTS), scratch))
    }

    fn witness(&mut self, big_step: u64, step: u64) -> Result<Vec<u8>, ExecutionError> {
        self.leaf(big_step)?;
        self.seek(big_step, step)?;
        Ok(self.machine.witness()?.0)
    }

    fn schedule(&mut self, big_step: u64) -> Result<(Leaf, Vec<Root>), ExecutionError> {
        let leaf = self.leaf(big_step)?;
        Ok((leaf, self.schedule.proof(self.model.leaf(big_step)).siblings))
    }

    fn inputs(&mut self) -> Result<Regions, ExecutionError> {
        let mut memory = memory_with(&self.image, &self.inputs)?;
        Ok(regions(&self.model, &self.model.inputs, |address, bits| memory.subtree_proof(address, bits)))
    }

    fn outputs(&mut self) -> Result<Regions, ExecutionError> {
        self.seek(self.model.big_steps(), 0)?;
        let machine = &mut self.machine;
        Ok(regions(&self.model, &self.model.outputs, |address, bits| machine.subtree(address, bits)))
    }
}

/// The memory of an image with its inputs, given as addresses and bytes.
pub fn memory_with(image: &Image, inputs: &[(u64, Vec<u8>)]) -> Result<Memory, ExecutionError> {
    let mut memory = image.memory()?;
    for (address, bytes) in inputs {
        let outside = ExecutionError::Outside { address: *address, len: bytes.len() };
        memory.write(*address, bytes).ok_or(outside)?;
    }
    Ok(memory)
}

/// The bytes of a state before the float hash: its code root and its memory root.
const ROOTS: usize = 64;

/// Regions of a memory whose subtrees can be proved.
fn regions(model: &Model, regions: &[Region], mut prove: impl FnMut(u64, u32) -> Proof) -> Regions {
    let subtrees = regions.iter().map(|region| region.subtree);
    let proofs: Vec<Proof> = subtrees.map(|subtree| prove(subtree.address(), subtree.bits())).collect();
    Regions::from_proofs(regions, &proofs, model.profile.memory_depth())
}
