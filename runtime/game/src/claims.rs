//! The segment in dispute, how it is cut, and how claims about its boundaries are committed.

use step::merkle::node;
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

/// The root that commits to a segment's agreed start and the claims about its other boundaries.
#[must_use]
pub fn commit(start: Root, claims: &[Root]) -> Root {
    let leaves: Vec<Root> = std::iter::once(start).chain(claims.iter().copied()).collect();
    let levels = depth(leaves.len() as u64);
    Tree::of_leaves(leaves, levels).root()
}

/// The siblings that lead from two neighbouring leaves, `index` and the next one, to the root: from the bottom
/// up, the left one first. Those behind the last leaf are zero and left out.
#[must_use]
pub fn pair(start: Root, claims: &[Root], index: u64) -> Vec<Root> {
    let mut nodes: Vec<Root> = std::iter::once(start).chain(claims.iter().copied()).collect();
    let (mut siblings, mut index, mut split) = (Vec::new(), index, true);
    while nodes.len() > 1 {
        let at =
            |index: Option<u64>| index.and_then(|index| nodes.get(usize::try_from(index).ok()?)).copied();
        if split && index % 2 == 0 {
            split = false;
        } else if split {
            siblings.extend([at(index.checked_sub(1)), at(index.checked_add(2))].into_iter().flatten());
        } else {
            siblings.extend(at(Some(index ^ 1)));
        }
        nodes = nodes.chunks(2).map(|two| node(two[0], two.get(1).copied().unwrap_or_default())).collect();
        index /= 2;
    }
    siblings
}

/// The root to which two neighbouring leaves of a tree over `count` leaves lead, and how many of the siblings
/// that takes; `None` if there are too few.
#[must_use]
pub fn fold_pair(
    left: Root,
    right: Root,
    index: u64,
    count: u64,
    siblings: &[Root],
) -> Option<(Root, usize)> {
    let given = siblings.len();
    let mut siblings = siblings.iter().copied();
    let (mut left, mut right, mut index, mut count) = (left, right, index, count);
    while index % 2 == 1 {
        left = node(siblings.next()?, left);
        let beyond = index.saturating_add(2) >= count;
        right = node(right, if beyond { Root::ZERO } else { siblings.next()? });
        (index, count) = (index / 2, count.div_ceil(2));
    }
    let mut root = node(left, right);
    (index, count) = (index / 2, count.div_ceil(2));
    while count > 1 {
        root = match index % 2 {
            0 if index.saturating_add(1) >= count => node(root, Root::ZERO),
            0 => node(root, siblings.next()?),
            _ => node(siblings.next()?, root),
        };
        (index, count) = (index / 2, count.div_ceil(2));
    }
    Some((root, given - siblings.len()))
}

/// Whether a proof leads from its leaf at this index to the root of a tree with this many levels above the
/// leaf.
#[must_use]
pub fn leads(proof: &Proof, index: u64, depth: u32, root: Root) -> bool {
    proof.siblings.len() == depth as usize && proof.root(proof.leaf, index) == root
}
