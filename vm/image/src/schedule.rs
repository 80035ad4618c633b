//! The schedule and its commitment.

use crate::{BigStep, Image};
use step::{Proof, Root, Tree, keccak};

/// The committed part of a big step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// The address of its first instruction.
    pub entry: u64,
    /// The maximum number of steps that it takes.
    pub bound: u64,
}

impl Leaf {
    /// The leaf of the schedule tree: the hash of both numbers, big-endian.
    #[must_use]
    pub fn root(self) -> Root {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.entry.to_be_bytes());
        bytes[8..].copy_from_slice(&self.bound.to_be_bytes());
        keccak(&bytes)
    }
}

impl From<&BigStep> for Leaf {
    fn from(step: &BigStep) -> Self {
        Self { entry: step.entry, bound: step.bound }
    }
}

/// Big steps with their tree.
#[derive(Debug, Clone)]
pub struct Schedule {
    leaves: Vec<Leaf>,
    tree: Tree,
}

impl Schedule {
    fn new(leaves: Vec<Leaf>) -> Self {
        let depth = leaves.len().next_power_of_two().ilog2();
        let tree = Tree::of_leaves(leaves.iter().map(|leaf| leaf.root()).collect(), depth);
        Self { leaves, tree }
    }

    /// The big steps, in order.
    #[must_use]
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The schedule root.
    #[must_use]
    pub fn root(&self) -> Root {
        self.tree.root()
    }

    /// The proof that a big step is in the schedule.
    #[must_use]
    pub fn proof(&self, index: u64) -> Proof {
        self.tree.proof(index)
    }
}

impl Image {
    /// The big steps.
    #[must_use]
    pub fn big_steps(&self) -> Schedule {
        Schedule::new(self.schedule.iter().map(Leaf::from).collect())
    }

    /// The whole program as a single big step, if its number of steps is bounded: single-phase.
    #[must_use]
    pub fn single_phase(&self) -> Option<Schedule> {
        self.interface
            .map(|interface| Schedule::new(vec![Leaf { entry: self.entry, bound: interface.bound }]))
    }

    /// The root of the schedule tree over the big steps.
    #[must_use]
    pub fn schedule_root(&self) -> Root {
        self.big_steps().root()
    }
}
