//! The tree above pages, kept sparse, and the little trees inside them, hashed when they are needed.

use crate::PAGE_BITS;
use std::collections::HashMap;
use step::merkle::{LEAF, node};
use step::{Proof, Root, Tree};

/// Levels between a leaf and its page.
const PAGE_LEVELS: u32 = PAGE_BITS - LEAF.ilog2();

/// Nodes above the leaves of a page.
pub const NODES_IN_PAGE: u64 = (1 << PAGE_LEVELS) - 1;

/// The nodes from the pages up. Zero nodes are not kept.
#[derive(Debug)]
pub struct PageTree {
    /// Levels above the pages.
    depth: u32,
    /// By level above the pages, then by index.
    levels: Vec<HashMap<u64, Root>>,
}

impl PageTree {
    /// The tree over 2^depth zero pages.
    pub fn new(depth: u32) -> Self {
        Self { depth, levels: (0..=depth).map(|_| HashMap::new()).collect() }
    }

    /// The root.
    pub fn root(&self) -> Root {
        self.node(self.depth, 0)
    }

    /// A node; zero outside the tree.
    pub fn node(&self, level: u32, index: u64) -> Root {
        self.levels.get(level as usize).and_then(|nodes| nodes.get(&index)).copied().unwrap_or(Root::ZERO)
    }

    /// The siblings of a page and of the nodes above it.
    pub fn siblings(&self, page: u64) -> impl Iterator<Item = Root> {
        (0..self.depth).map(move |level| self.node(level, page >> level ^ 1))
    }

    /// Takes new page roots and hashes what is above them, each node once; says how many.
    pub fn update(&mut self, mut nodes: Vec<(u64, Root)>) -> u64 {
        let mut hashed = 0;
        nodes.sort_unstable_by_key(|(index, _)| *index);
        for level in 0..=self.depth {
            for &(index, root) in &nodes {
                self.set(level, index, root);
            }
            if level < self.depth {
                let mut parents: Vec<u64> = nodes.iter().map(|(index, _)| index / 2).collect();
                parents.dedup();
                hashed += parents.len() as u64;
                nodes = parents.into_iter().map(|index| (index, self.parent(level, index))).collect();
            }
        }
        hashed
    }

    /// The node over two nodes of a level.
    fn parent(&self, level: u32, index: u64) -> Root {
        node(self.node(level, 2 * index), self.node(level, 2 * index + 1))
    }

    /// Keeps a node unless it is zero.
    fn set(&mut self, level: u32, index: u64, root: Root) {
        if let Some(nodes) = self.levels.get_mut(level as usize) {
            if root.is_zero() {
                nodes.remove(&index);
            } else {
                nodes.insert(index, root);
            }
        }
    }
}

/// The root of a page.
pub fn page_root(page: &[u8]) -> Root {
    Tree::of_bytes(page, PAGE_LEVELS).root()
}

/// The leaf at an offset in a page, with its siblings up to the page.
pub fn leaf_in_page(page: &[u8], offset: usize) -> Proof {
    Tree::of_bytes(page, PAGE_LEVELS).proof((offset / LEAF) as u64)
}

/// The root of the 2^bits bytes, at least a leaf, that hold an offset in a page.
pub fn part_of_page(page: &[u8], offset: usize, bits: u32) -> Root {
    let levels = bits.saturating_sub(LEAF.ilog2());
    let length = LEAF << levels;
    let part = page.chunks(length).nth(offset / length).unwrap_or(&[]);
    Tree::of_bytes(part, levels).root()
}
