//! Limits on what images may cost this computer. `docs/machine.md` lists all limits.

use crate::cli::Limits;
use crate::failure::Failure;
use crate::output::count;
use image::{Image, Role, Schedule};
use prover::{Exceeded, ExecutionError, MemoryLimit};

impl Limits {
    /// The limit on the memory that a run takes.
    pub fn memory(&self) -> MemoryLimit {
        MemoryLimit::new(self.max_memory)
    }

    /// Rejects a schedule with more steps, before anything runs.
    pub fn admit(&self, schedule: &Schedule) -> Result<(), Failure> {
        self.admit_steps(schedule.bound())
    }

    /// The same for runs in which native code computes the start of each big step.
    pub fn admit_big_steps(&self, schedule: &Schedule) -> Result<(), Failure> {
        self.admit_steps(schedule.leaves().iter().map(|leaf| leaf.bound).max().unwrap_or_default())
    }

    /// Rejects outputs that are too large to be copied and written.
    pub fn admit_outputs(&self, image: &Image) -> Result<(), Failure> {
        let outputs = image.tensors.iter().filter(|tensor| tensor.role == Role::Output);
        let bytes = outputs.fold(0u64, |bytes, tensor| bytes.saturating_add(tensor.bytes));
        let most = self.memory().most() / 4;
        if bytes <= most {
            return Ok(());
        }
        let (bytes, most) = (count(bytes), count(most));
        Err(Failure::new(format!(
            "the outputs have {bytes} bytes, more than {most}, a quarter of the memory that may be held"
        ))
        .hint("raise --max-memory if the image is meant to give so much"))
    }

    /// The maximum number of steps in a run of this image. `None` if the image has no bound.
    pub fn most_steps(&self, image: &Image) -> Option<u64> {
        image.interface.as_ref().map(|interface| interface.bound.min(self.max_steps))
    }

    fn admit_steps(&self, steps: u64) -> Result<(), Failure> {
        if steps <= self.max_steps {
            return Ok(());
        }
        let (steps, most) = (count(steps), count(self.max_steps));
        Err(Failure::new(format!("the image may run for {steps} steps, more than --max-steps, {most}"))
            .hint("raise --max-steps if it is meant to"))
    }
}

impl From<Exceeded> for Failure {
    fn from(error: Exceeded) -> Self {
        Self::from_error(error).hint("raise --max-memory if the image is meant to touch so much")
    }
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::Memory(exceeded) => exceeded.into(),
            other => Self::from_error(other),
        }
    }
}
