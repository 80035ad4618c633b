//! What a player knows of the run that a game is about.

use crate::model::{Model, VOID};
use image::Leaf;
use step::{Proof, Root};

/// Somebody who has run the model, or says so.
pub trait Oracle {
    /// Why it can't answer.
    type Error;

    /// The memory root before a big step; that before the one after the last is the root at the end.
    fn memory(&mut self, big_step: u64) -> Result<Root, Self::Error>;
    /// The state root before a step of a big step; there are as many states as the bound says, and one more.
    fn state(&mut self, big_step: u64, step: u64) -> Result<Root, Self::Error>;
    /// The bytes of a big step's last state, and its scratch subtree.
    fn end(&mut self, big_step: u64) -> Result<(Vec<u8>, Proof), Self::Error>;
    /// The witness of a step.
    fn witness(&mut self, big_step: u64, step: u64) -> Result<Vec<u8>, Self::Error>;
    /// A leaf of the schedule with its siblings.
    fn schedule(&mut self, big_step: u64) -> Result<(Leaf, Vec<Root>), Self::Error>;
    /// The input subtree as it is in the image.
    fn input(&mut self) -> Result<Proof, Self::Error>;
    /// The output subtree at the end.
    fn output(&mut self) -> Result<Proof, Self::Error>;

    /// The output root: what to assert.
    fn result(&mut self, model: &Model) -> Result<Root, Self::Error> {
        if self.memory(model.big_steps)? == VOID { Ok(VOID) } else { Ok(self.output()?.leaf) }
    }
}
