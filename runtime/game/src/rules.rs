//! The decisions in a game.

use crate::claims;
use crate::model::Model;
use crate::moves::Pick;
use crate::regions::{self, Region};
use step::{Proof, Root, Status, WitnessError};

/// How a game decides. [`Protocol`] follows the contract. Tests use another machine or a planted bug.
pub trait Rules {
    /// The state root after the step of a witness.
    fn successor(&self, model: &Model, before: Root, witness: &[u8]) -> Result<Root, WitnessError>;

    /// Whether a part with this number exists.
    fn is_part(&self, number: u64, parts: u64) -> bool {
        (1..=parts).contains(&number)
    }

    /// How many of a pick's siblings lead to a list of claims about this many parts; `None` if they don't.
    fn picks(&self, pick: &Pick, parts: u64, claims: Root) -> Option<usize> {
        let index = pick.part.wrapping_sub(1);
        let folded = claims::fold_pair(pick.agreed, pick.rejected, index, parts + 1, &pick.siblings);
        folded.filter(|(root, _)| *root == claims).map(|(_, taken)| taken)
    }

    /// Whether a proof leads from its leaf to a root.
    fn leads(&self, proof: &Proof, index: u64, depth: u32, root: Root) -> bool {
        claims::leads(proof, index, depth, root)
    }

    /// Whether the roots of regions lead to a root of memory.
    fn folds(&self, regions: &[Region], roots: &[Root], depth: u32, siblings: &[Root], root: Root) -> bool {
        regions::fold(regions, roots, depth, siblings) == Some(root)
    }

    /// Whether a move disagrees with the claim that it rejects.
    fn differs(&self, ours: Root, rejected: Root) -> bool {
        ours != rejected
    }

    /// The time left on a clock; `None` if more was used.
    fn left(&self, clock: u64, used: u64) -> Option<u64> {
        clock.checked_sub(used)
    }

    /// Whether a state with this status ends its big step with a memory.
    fn has_ended(&self, status: u8) -> bool {
        status == Status::Exited.byte()
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
