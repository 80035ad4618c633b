//! Roots, nodes, proofs, and trees in memory.

use crate::batch::Hasher;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{self, Debug, Display, Formatter};
use sha3::{Digest, Keccak256};

/// Bytes in a leaf.
pub const LEAF: usize = 32;

/// The root of a tree, or the hash of something else: 32 bytes, in the EVM's order.
///
/// An inner node is the root of the tree below it, and so is a leaf.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Root(pub [u8; LEAF]);

impl Root {
    /// The root of a tree of any size whose leaves are all zero.
    pub const ZERO: Self = Self([0; LEAF]);

    /// A leaf: 32 bytes of memory as a little-endian number.
    #[inline]
    #[must_use]
    pub fn leaf(mut memory: [u8; LEAF]) -> Self {
        memory.reverse();
        Self(memory)
    }

    /// The bytes of memory that a leaf represents.
    #[must_use]
    pub fn memory(self) -> [u8; LEAF] {
        Self::leaf(self.0).0
    }

    /// Whether everything below is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

impl Display for Root {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Debug for Root {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// The keccak-256 of some bytes.
#[must_use]
pub fn keccak(bytes: &[u8]) -> Root {
    Root(Keccak256::digest(bytes).into())
}

/// The node over two others.
#[must_use]
pub fn node(left: Root, right: Root) -> Root {
    if left.is_zero() && right.is_zero() {
        return Root::ZERO;
    }
    let mut children = [0; 2 * LEAF];
    children[..LEAF].copy_from_slice(&left.0);
    children[LEAF..].copy_from_slice(&right.0);
    keccak(&children)
}

/// A leaf and its siblings from the leaf up, zeros included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The leaf.
    pub leaf: Root,
    /// One sibling per level.
    pub siblings: Vec<Root>,
}

impl Proof {
    /// The root to which this leaf at this index leads with its siblings.
    #[must_use]
    pub fn root(&self, leaf: Root, index: u64) -> Root {
        let mut at = index;
        self.siblings.iter().fold(leaf, |below, &sibling| {
            let right = at & 1 == 1;
            at >>= 1;
            if right { node(sibling, below) } else { node(below, sibling) }
        })
    }
}

/// A tree with all its nodes in memory, for data that never changes, such as code and schedules.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The levels from the leaves to the root. Zeros at the end of each are omitted.
    levels: Vec<Vec<Root>>,
}

impl Tree {
    /// The tree with this many levels over bytes. The last leaf is padded with zeros. Bytes beyond the tree
    /// are ignored.
    #[must_use]
    pub fn of_bytes(bytes: &[u8], depth: u32) -> Self {
        Self::of_leaves(bytes.chunks(LEAF).map(|chunk| Root::leaf(padded(chunk))).collect(), depth)
    }

    /// The tree with this many levels over leaves. Missing leaves are zero.
    #[must_use]
    pub fn of_leaves(leaves: Vec<Root>, depth: u32) -> Self {
        let hasher = Hasher::best();
        let mut levels = vec![leaves];
        for _ in 0..depth {
            let below = levels.last().map(Vec::as_slice).unwrap_or_default();
            let mut above = vec![Root::ZERO; below.len().div_ceil(2)];
            hasher.parents(below, &mut above);
            levels.push(above);
        }
        Self { levels }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Root {
        self.node(self.levels.len() - 1, 0)
    }

    /// The proof of the leaf at this index.
    #[must_use]
    pub fn proof(&self, index: u64) -> Proof {
        let siblings = (0..self.levels.len() - 1).map(|level| self.node(level, index >> level ^ 1)).collect();
        Proof { leaf: self.node(0, index), siblings }
    }

    /// A node by its level, counted from the leaves, and its index in the level.
    fn node(&self, level: usize, index: u64) -> Root {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.levels.get(level).and_then(|nodes| nodes.get(index)).copied().unwrap_or(Root::ZERO)
    }
}

/// Up to 32 bytes, padded with zeros.
fn padded(chunk: &[u8]) -> [u8; LEAF] {
    let mut leaf = [0; LEAF];
    for (to, from) in leaf.iter_mut().zip(chunk) {
        *to = *from;
    }
    leaf
}
