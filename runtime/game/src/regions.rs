//! Where inputs and outputs lie, and how the roots of several places lead to the root of memory.

use step::merkle::{LEAF, node};
use step::{Proof, Root, keccak};

/// An aligned subtree of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subtree {
    /// Its level, counted from the leaves.
    pub level: u32,
    /// Its index among the nodes of its level.
    pub index: u64,
}

impl Subtree {
    /// Its first address.
    #[must_use]
    pub fn address(self) -> u64 {
        self.index.checked_shl(self.bits()).unwrap_or(u64::MAX)
    }

    /// log2 of its size in bytes.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.level.saturating_add(LEAF.ilog2())
    }

    /// Whether it is in a tree of this many levels.
    pub(crate) fn is_in(self, depth: u32) -> bool {
        self.level <= depth && self.index.checked_shr(depth - self.level).unwrap_or(0) == 0
    }

    /// The address behind it. It must be in a memory.
    pub(crate) fn end(self) -> u64 {
        self.index.saturating_add(1).checked_shl(self.bits()).unwrap_or(u64::MAX)
    }
}

/// The place of an input or an output: a subtree that begins with its bytes. Zeros follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Where it is.
    pub subtree: Subtree,
    /// How many bytes it has.
    pub bytes: u64,
}

/// What leads from several regions to the root of memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Regions {
    /// The root of each region.
    pub roots: Vec<Root>,
    /// The siblings, in the order in which [`fold`] takes them.
    pub siblings: Vec<Root>,
}

impl Regions {
    /// The regions' roots in a memory with their siblings, from a proof of each region.
    #[must_use]
    pub fn from_proofs(regions: &[Region], proofs: &[Proof], depth: u32) -> Self {
        let roots: Vec<Root> = proofs.iter().map(|proof| proof.leaf).collect();
        let mut siblings = Vec::new();
        let _ = walk(regions, &roots, depth, |region, levels_up| {
            let sibling = *proofs.get(region)?.siblings.get(levels_up as usize)?;
            siblings.push(sibling);
            Some(sibling)
        });
        Self { roots, siblings }
    }

    /// The hash that stands for the regions' roots in requests and answers.
    #[must_use]
    pub fn commitment(&self) -> Root {
        commitment(&self.roots)
    }
}

/// The hash that stands for the roots of all inputs or all outputs.
#[must_use]
pub fn commitment(roots: &[Root]) -> Root {
    keccak(&roots.iter().flat_map(|root| root.0).collect::<Vec<u8>>())
}

/// The root of the tree of `depth` levels to which the roots of ascending, disjoint regions lead; `None` if
/// there are too many or too few siblings.
#[must_use]
pub fn fold(regions: &[Region], roots: &[Root], depth: u32, siblings: &[Root]) -> Option<Root> {
    let mut siblings = siblings.iter().copied();
    let root = walk(regions, roots, depth, |_, _| siblings.next())?;
    siblings.next().is_none().then_some(root)
}

/// How many siblings [`fold`] takes.
#[must_use]
pub fn sibling_count(regions: &[Region], depth: u32) -> usize {
    let mut count = 0;
    let _ = walk(regions, &vec![Root::ZERO; regions.len()], depth, |_, _| {
        count += 1;
        Some(Root::ZERO)
    });
    count
}

/// Climbs from the regions to the root, one region after the other. A node whose right sibling has the next
/// region in it waits for that. `sibling` is asked for all other siblings, and told which region was the last
/// and how many levels above it the sibling is.
fn walk(
    regions: &[Region],
    roots: &[Root],
    depth: u32,
    mut sibling: impl FnMut(usize, u32) -> Option<Root>,
) -> Option<Root> {
    let mut waiting: Vec<(Subtree, Root)> = Vec::new();
    for (number, (region, &root)) in regions.iter().zip(roots).enumerate() {
        let (Subtree { mut level, mut index }, mut root) = (region.subtree, root);
        let next = regions.get(number + 1).map(|next| next.subtree);
        loop {
            if level >= depth {
                return (next.is_none() && waiting.is_empty()).then_some(root);
            }
            let left = index % 2 == 0;
            let holds = |next: Subtree| {
                next.level <= level && next.index.checked_shr(level - next.level) == index.checked_add(1)
            };
            let before = waiting.last().filter(|(at, _)| at.level == level && at.index ^ 1 == index);
            if let Some(&(_, before)) = before.filter(|_| !left) {
                waiting.pop();
                root = node(before, root);
            } else if left && next.is_some_and(holds) {
                waiting.push((Subtree { level, index }, root));
                break;
            } else {
                let sibling = sibling(number, level - region.subtree.level)?;
                root = if left { node(root, sibling) } else { node(sibling, root) };
            }
            (level, index) = (level + 1, index / 2);
        }
    }
    None
}
