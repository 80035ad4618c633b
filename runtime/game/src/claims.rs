//! The segment in dispute, how it is cut, and how claims about its boundaries are committed.

use step::{Proof, Root, Tree};

/// The sequence that a segment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The memory roots between big steps.
    BigSteps,
    /// The state roots between the steps of a big step.
    Steps {
        /// The index of the big step.
        big_step: u64,
    },
}

/// A part of a sequence: the places from `lo` to `hi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The sequence.
    pub level: Level,
    /// The first place, where both players agree.
    pub lo: u64,
    /// The last place, where they disagree.
    pub hi: u64,
}

impl Segment {
    /// The number of units in it.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.hi.saturating_sub(self.lo)
    }

    /// The number of parts that it is cut into.
    #[must_use]
    pub fn parts(&self, arity: u64) -> u64 {
        self.units().min(arity)
    }

    /// A boundary between its parts: `lo` for 0, `hi` for the last.
    #[must_use]
    pub fn boundary(&self, index: u64, arity: u64) -> u64 {
        let parts = u128::from(self.parts(arity).max(1));
        let offset = u128::from(self.units()) * u128::from(index) / parts;
        u64::try_from(u128::from(self.lo) + offset).unwrap_or(u64::MAX)
    }

    /// Its part with this number, counted from 1.
    #[must_use]
    pub fn part(&self, number: u64, arity: u64) -> Self {
        let (lo, hi) = (self.boundary(number.saturating_sub(1), arity), self.boundary(number, arity));
        Self { lo, hi, ..*self }
    }

    /// The boundaries after `lo`: the places that claims are about.
    pub fn boundaries(self, arity: u64) -> impl Iterator<Item = u64> {
        (1..=self.parts(arity)).map(move |index| self.boundary(index, arity))
    }
}

/// The number of levels of a tree over this many leaves.
#[must_use]
pub fn depth(leaves: u64) -> u32 {
    leaves.checked_sub(1).map_or(0, |last| u64::BITS - last.leading_zeros())
}

/// The tree that commits to a list of claims.
#[must_use]
pub fn commit(claims: &[Root]) -> Tree {
    Tree::of_leaves(claims.to_vec(), depth(claims.len() as u64))
}

/// Whether a proof leads from its leaf at this index to the root of a tree with this many levels above the
/// leaf.
#[must_use]
pub fn leads(proof: &Proof, index: u64, depth: u32, root: Root) -> bool {
    proof.siblings.len() == depth as usize && proof.root(proof.leaf, index) == root
}
