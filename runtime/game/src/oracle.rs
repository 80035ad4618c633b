//! What a player knows about the disputed run.

use crate::model::{Model, VOID};
use crate::regions::Regions;
use schedule::Leaf;
use step::{Proof, Root};

/// Answers questions about a run of the model, truthfully or not.
pub trait Oracle {
    /// Why a question can't be answered.
    type Error;

    /// The memory root before a big step. After the last big step, it is the root at the end.
    fn memory(&mut self, big_step: u64) -> Result<Root, Self::Error>;
    /// The state root before a step of a big step. There is one more state than the bound allows steps.
    fn state(&mut self, big_step: u64, step: u64) -> Result<Root, Self::Error>;
    /// The bytes of a big step's last state without its two roots; and its scratch subtree if it has exited,
    /// otherwise its memory root, without siblings.
    fn end(&mut self, big_step: u64) -> Result<(Vec<u8>, Proof), Self::Error>;
    /// The witness of a step.
    fn witness(&mut self, big_step: u64, step: u64) -> Result<Vec<u8>, Self::Error>;
    /// A leaf of the schedule with its siblings.
    fn schedule(&mut self, big_step: u64) -> Result<(Leaf, Vec<Root>), Self::Error>;
    /// The inputs' roots, with their siblings in the image's memory.
    fn inputs(&mut self) -> Result<Regions, Self::Error>;
    /// The outputs at the end.
    fn outputs(&mut self) -> Result<Regions, Self::Error>;

    /// The result that an asserter posts: the commitment to the outputs' roots, or void.
    fn result(&mut self, model: &Model) -> Result<Root, Self::Error> {
        if self.memory(model.big_steps())? == VOID { Ok(VOID) } else { Ok(self.outputs()?.commitment()) }
    }
}
