//! The decisions in a game.

use crate::claims;
use crate::model::{Model, VOID};
use crate::moves::{Illegal, Pick, Proven};
use step::{Proof, Root, State, Status, WitnessError};

/// How a game decides. [`Protocol`] follows the contract. Tests use another machine or a planted bug.
pub trait Rules {
    /// The state root after the step of a witness.
    fn successor(&self, model: &Model, before: Root, witness: &[u8]) -> Result<Root, WitnessError>;

    /// Whether a part with this number exists.
    fn is_part(&self, number: u64, parts: u64) -> bool {
        (1..=parts).contains(&number)
    }

    /// Whether a pick leads to a list of claims about this many parts.
    fn picks(&self, pick: &Pick, parts: u64, claims: Root) -> bool {
        let index = pick.part.wrapping_sub(1);
        claims::fold_pair(pick.agreed, pick.rejected, index, parts + 1, &pick.siblings) == Some(claims)
    }

    /// Whether a proof leads from its leaf to a root.
    fn leads(&self, proof: &Proof, index: u64, depth: u32, root: Root) -> bool {
        claims::leads(proof, index, depth, root)
    }

    /// Whether a move disagrees with the claim that it rejects.
    fn differs(&self, ours: Root, rejected: Root) -> bool {
        ours != rejected
    }

    /// The time left on a clock; `None` if more was used.
    fn left(&self, clock: u64, used: u64) -> Option<u64> {
        clock.checked_sub(used)
    }

    /// The memory root with which a state ends its big step; possibly void.
    fn end(&self, model: &Model, state: &[u8; State::HEAD], scratch: &Proof) -> Result<Root, Illegal> {
        let Some(memory) = self.ended(model, state) else { return Ok(VOID) };
        let region = model.scratch();
        if !self.leads(scratch, region.index, model.levels_above(region), memory) {
            return Err(Illegal::Proof(Proven::Scratch));
        }
        Ok(self.reset(model, scratch))
    }

    /// The memory root of a state that ends a big step, with scratch memory unchanged.
    fn ended(&self, model: &Model, state: &[u8; State::HEAD]) -> Option<Root> {
        let root = |at: usize| Root(std::array::from_fn(|i| state[at + i]));
        (state[96] == Status::Exited.byte() && root(0) == model.code_root).then(|| root(32))
    }

    /// The memory root with scratch memory zeroed.
    fn reset(&self, model: &Model, scratch: &Proof) -> Root {
        scratch.root(Root::ZERO, model.scratch().index)
    }
}

/// The rules of `docs/protocol.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol;

impl Rules for Protocol {
    fn successor(&self, model: &Model, before: Root, witness: &[u8]) -> Result<Root, WitnessError> {
        step::verify(model.profile, witness, before)
    }
}
