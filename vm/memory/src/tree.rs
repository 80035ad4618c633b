//! The tree above pages, in flat reserved memory, and the little trees inside them, hashed when they are needed.

use crate::{PAGE_BITS, reserve};
use memmap2::MmapMut;
use merkle::{Hasher, LEAF, Proof, Root, Tree};
use rayon::prelude::*;

/// Levels between a leaf and its page.
const PAGE_LEVELS: u32 = PAGE_BITS - LEAF.ilog2();

/// Nodes above the leaves of a page.
pub const NODES_IN_PAGE: u64 = (1 << PAGE_LEVELS) - 1;

/// Leaves of a page.
const LEAVES: usize = 1 << PAGE_LEVELS;

/// Pages that are hashed together: their nodes stay in the processor's first cache, and only the top level doesn't fill a
/// batch of eight.
const TOGETHER: usize = 8;

/// Fewer pages than this, or as many hashes above them, are not worth a second thread: half a millisecond at most.
const WORTH_THREADS: usize = 64;

/// Levels of a block. A block of nodes with all above them, as far as it goes, fills a page but for one place.
const BLOCK_LEVELS: u32 = PAGE_LEVELS;

/// The nodes from the pages up.
///
/// They lie in one mapping, reserved as memory is: what was never written is zero, and so is the root of zeros. Seven levels
/// make a block of 4 KiB: the node at its top, the two below it, and so on. So a path from a page to the root touches a page
/// of the host every seven levels and not at each, also where memory is large and what changes in it far apart.
#[derive(Debug)]
pub struct PageTree {
    /// Levels above the pages.
    depth: u32,
    slots: MmapMut,
    hasher: Hasher,
}

impl PageTree {
    /// The tree over 2^depth zero pages.
    pub fn new(depth: u32) -> std::io::Result<Self> {
        let blocks: u64 = (0..=depth / BLOCK_LEVELS).map(|group| blocks(depth, group)).sum();
        Ok(Self { depth, slots: reserve(blocks << PAGE_BITS)?, hasher: Hasher::best() })
    }

    /// Changes how nodes are hashed, but not what comes out.
    pub fn set_hasher(&mut self, hasher: Hasher) {
        self.hasher = hasher;
    }

    /// The root.
    pub fn root(&self) -> Root {
        self.node(self.depth, 0)
    }

    /// A node; zero outside the tree.
    pub fn node(&self, level: u32, index: u64) -> Root {
        let slot = self.slot(level, index).and_then(|at| self.slots.get(at..)).and_then(<[u8]>::first_chunk);
        slot.map_or(Root::ZERO, |&bytes| Root(bytes))
    }

    /// The siblings of a page and of the nodes above it.
    pub fn siblings(&self, page: u64) -> impl Iterator<Item = Root> {
        (0..self.depth).map(move |level| self.node(level, page >> level ^ 1))
    }

    /// Hashes pages, given in order by index, and what is above them, each node once; says how many nodes.
    pub fn update<'a>(&mut self, mut indices: Vec<u64>, page: impl Fn(u64) -> &'a [u8] + Sync) -> u64 {
        let mut hashed = indices.len() as u64 * NODES_IN_PAGE;
        self.set(0, &indices, &self.page_roots(&indices, page));
        for level in 1..=self.depth {
            indices.iter_mut().for_each(|index| *index /= 2);
            indices.dedup();
            self.set(level, &indices, &self.parents(level, &indices));
            hashed += indices.len() as u64;
        }
        hashed
    }

    /// The roots of pages.
    fn page_roots<'a>(&self, indices: &[u64], page: impl Fn(u64) -> &'a [u8] + Sync) -> Vec<Root> {
        let mut roots = vec![Root::ZERO; indices.len()];
        let work = |(indices, out): (&[u64], &mut [Root])| {
            let mut pages = [[].as_slice(); TOGETHER];
            pages.iter_mut().zip(indices).for_each(|(slot, &index)| *slot = page(index));
            page_roots(self.hasher, &pages[..indices.len()], out);
        };
        if indices.len() < WORTH_THREADS {
            indices.chunks(TOGETHER).zip(roots.chunks_mut(TOGETHER)).for_each(work);
        } else {
            indices.par_chunks(TOGETHER).zip(roots.par_chunks_mut(TOGETHER)).for_each(work);
        }
        roots
    }

    /// The nodes of a level over those of the level below.
    fn parents(&self, level: u32, indices: &[u64]) -> Vec<Root> {
        let mut roots = vec![Root::ZERO; indices.len()];
        let work = |(indices, out): (&[u64], &mut [Root])| {
            let pair = |&index: &u64| [self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1)];
            let children: Vec<Root> = indices.iter().flat_map(pair).collect();
            self.hasher.parents(&children, out);
        };
        if indices.len() < WORTH_THREADS * LEAVES {
            work((indices, &mut roots));
        } else {
            let part = WORTH_THREADS * LEAVES / 8;
            indices.par_chunks(part).zip(roots.par_chunks_mut(part)).for_each(work);
        }
        roots
    }

    /// Keeps nodes of a level.
    fn set(&mut self, level: u32, indices: &[u64], roots: &[Root]) {
        for (&index, root) in indices.iter().zip(roots) {
            let slot = self.slot(level, index).and_then(|at| self.slots.get_mut(at..)?.first_chunk_mut());
            // A zero that is there already would only make the system give a page for it.
            if let Some(slot) = slot.filter(|slot| **slot != root.0) {
                *slot = root.0;
            }
        }
    }

    /// Where a node lies; nowhere if it is outside the tree.
    fn slot(&self, level: u32, index: u64) -> Option<usize> {
        if level > self.depth || index >> (self.depth - level) != 0 {
            return None;
        }
        let (group, above) = (level / BLOCK_LEVELS, BLOCK_LEVELS - 1 - level % BLOCK_LEVELS);
        let before: u64 = (0..group).map(|group| blocks(self.depth, group)).sum();
        let in_block = (1 << above) | (index & ((1 << above) - 1));
        usize::try_from(((before + (index >> above)) << PAGE_BITS) + in_block * LEAF as u64).ok()
    }
}

/// How many blocks hold the seven levels of a group.
fn blocks(depth: u32, group: u32) -> u64 {
    1 << depth.saturating_sub(group * BLOCK_LEVELS + BLOCK_LEVELS - 1)
}

/// The roots of up to [`TOGETHER`] whole pages: level by level, all pages at once.
fn page_roots(hasher: Hasher, pages: &[&[u8]], out: &mut [Root]) {
    const HALF: usize = LEAVES / 2;
    let (mut lower, mut upper) = ([Root::ZERO; TOGETHER * HALF], [Root::ZERO; TOGETHER * HALF / 2]);
    for (page, nodes) in pages.iter().zip(lower.as_chunks_mut::<HALF>().0) {
        hasher.parents(&leaves(page), nodes);
    }
    let (mut from, mut to) = (&mut lower[..], &mut upper[..]);
    let mut count = pages.len() * HALF;
    while count > pages.len() {
        hasher.parents(&from[..count], &mut to[..count / 2]);
        (from, to) = (to, from);
        count /= 2;
    }
    out.copy_from_slice(&from[..count]);
}

/// The leaves of a page.
fn leaves(page: &[u8]) -> [Root; LEAVES] {
    let mut leaves = [Root::ZERO; LEAVES];
    for (leaf, &bytes) in leaves.iter_mut().zip(page.as_chunks::<LEAF>().0) {
        *leaf = Root::leaf(bytes);
    }
    leaves
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PAGE;
    use std::collections::HashSet;

    #[test]
    fn nodes_lie_apart_and_blocks_are_full() {
        for depth in 0..=16 {
            let tree = PageTree::new(depth).expect("a small mapping");
            let mut seen = HashSet::new();
            for level in 0..=depth {
                for index in 0..1u64 << (depth - level) {
                    let slot = tree.slot(level, index).expect("inside");
                    assert!(slot.is_multiple_of(LEAF) && !slot.is_multiple_of(PAGE), "the first place is free");
                    assert!(slot < tree.slots.len() && seen.insert(slot), "level {level}, node {index} of {depth}");
                }
                assert_eq!(tree.slot(level, 1 << (depth - level)), None);
            }
            assert_eq!(tree.slot(depth + 1, 0), None);
        }
    }

    #[test]
    fn pages_together_are_pages_one_by_one() {
        let page = |seed: usize| -> Vec<u8> { (0..PAGE).map(|at| ((at * at * seed) >> 9) as u8).collect() };
        let mut pages: Vec<Vec<u8>> = (0..TOGETHER).map(page).collect();
        pages[3].fill(0);
        let one_by_one: Vec<Root> = pages.iter().map(|page| Tree::of_bytes(page, PAGE_LEVELS).root()).collect();
        for hasher in Hasher::all() {
            for count in 0..=TOGETHER {
                let slices: Vec<&[u8]> = pages[..count].iter().map(Vec::as_slice).collect();
                let mut out = vec![Root([1; LEAF]); count];
                page_roots(hasher, &slices, &mut out);
                assert_eq!(out, one_by_one[..count]);
            }
        }
    }
}
