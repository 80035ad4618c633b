//! The tree above pages, in flat reserved memory, and the small trees inside pages, hashed on demand.

use crate::PAGE_BITS;
use crate::base::Base;
use crate::space::reserve;
use memmap2::MmapMut;
use merkle::{Hasher, LEAF, Proof, Root, Tree};
use rayon::prelude::*;
use std::ops::Range;

/// Levels between a leaf and its page.
const PAGE_LEVELS: u32 = PAGE_BITS - LEAF.ilog2();

/// Nodes above the leaves of a page.
pub const NODES_IN_PAGE: u64 = (1 << PAGE_LEVELS) - 1;

/// Leaves of a page.
const LEAVES: usize = 1 << PAGE_LEVELS;

/// The number of pages hashed together. Their nodes stay in the L1 cache, and only the top level doesn't fill
/// a batch of eight.
const TOGETHER: usize = 8;

/// Fewer pages than this, or an equivalent number of hashes above them, take half a millisecond at most. A second
/// thread doesn't pay for those.
const WORTH_THREADS: usize = 64;

/// Levels per block. A block holds a node and up to six levels below it, which fills a page except for one
/// slot.
const BLOCK_LEVELS: u32 = PAGE_LEVELS;

/// The nodes from the pages up.
///
/// They are in one mapping, reserved like memory itself: what was never written is zero, which is also the
/// root of zeros. Seven levels form a block of 4 KiB, from its top node down. A path from a page to the root
/// therefore touches one host page per seven levels instead of one per level, even if memory is large and the
/// changes are far apart.
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
        let blocks = first_block(depth, groups(depth).end);
        Ok(Self { depth, slots: reserve(blocks << PAGE_BITS)?, hasher: Hasher::best() })
    }

    /// The tree over pages that are zero except for those of a base.
    pub fn over(base: &Base) -> std::io::Result<Self> {
        let mut tree = Self::new(base.bits() - PAGE_BITS)?;
        base.overlay_blocks(&mut tree.slots)?;
        Ok(tree)
    }

    /// Sets the hasher. Results do not depend on it.
    pub fn set_hasher(&mut self, hasher: Hasher) {
        self.hasher = hasher;
    }

    /// The root.
    pub fn root(&self) -> Root {
        self.node(self.depth, 0)
    }

    /// A node; zero outside the tree.
    pub fn node(&self, level: u32, index: u64) -> Root {
        let slot = self.at(level, index).and_then(|at| self.slots.get(at..)).and_then(<[u8]>::first_chunk);
        slot.map_or(Root::ZERO, |&bytes| Root(bytes))
    }

    /// The bytes of a range of blocks.
    pub fn blocks(&self, blocks: Range<u64>) -> &[u8] {
        &self.slots[(blocks.start << PAGE_BITS) as usize..(blocks.end << PAGE_BITS) as usize]
    }

    /// The nonzero pages below a node.
    pub fn pages(&self, level: u32, index: u64) -> Vec<u64> {
        let (mut pages, mut waiting) = (Vec::new(), vec![(level, index)]);
        while let Some((level, index)) = waiting.pop() {
            match level.checked_sub(1) {
                _ if self.node(level, index) == Root::ZERO => {}
                Some(below) => waiting.extend([(below, 2 * index), (below, 2 * index + 1)]),
                None => pages.push(index),
            }
        }
        pages
    }

    /// The siblings of a page and of the nodes above it.
    pub fn siblings(&self, page: u64) -> impl Iterator<Item = Root> {
        (0..self.depth).map(move |level| self.node(level, page >> level ^ 1))
    }

    /// Hashes pages, given in ascending order, and each node above them once. Returns the number of nodes.
    pub fn update<'a>(&mut self, indices: Vec<u64>, page: impl Fn(u64) -> &'a [u8] + Sync) -> u64 {
        let in_pages = indices.len() as u64 * NODES_IN_PAGE;
        let roots = self.page_roots(&indices, page);
        in_pages + self.replace(indices, &roots)
    }

    /// Stores the roots of pages, given in ascending order, and hashes each node above them once. Returns the
    /// number of nodes.
    pub fn replace(&mut self, mut indices: Vec<u64>, roots: &[Root]) -> u64 {
        let mut hashed = 0;
        self.set(0, &indices, roots);
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

    /// Hashes the nodes of a level from the level below.
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

    /// Stores nodes of a level.
    fn set(&mut self, level: u32, indices: &[u64], roots: &[Root]) {
        for (&index, root) in indices.iter().zip(roots) {
            let slot = self.at(level, index).and_then(|at| self.slots.get_mut(at..)?.first_chunk_mut());
            // Writing a zero over a zero would only make the system allocate a page.
            if let Some(slot) = slot.filter(|slot| **slot != root.0) {
                *slot = root.0;
            }
        }
    }

    /// The offset of a node in the mapping.
    fn at(&self, level: u32, index: u64) -> Option<usize> {
        slot(self.depth, level, index).map(|slot| ((slot.block << PAGE_BITS) as usize) + slot.offset)
    }
}

/// The location of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The number of its block.
    pub block: u64,
    /// Its offset in the block, in bytes.
    pub offset: usize,
}

/// The location of a node in a tree of some depth. `None` outside the tree.
pub fn slot(depth: u32, level: u32, index: u64) -> Option<Slot> {
    if level > depth || index >> (depth - level) != 0 {
        return None;
    }
    let (group, above) = (level / BLOCK_LEVELS, BLOCK_LEVELS - 1 - level % BLOCK_LEVELS);
    let in_block = (1 << above) | (index & ((1 << above) - 1));
    Some(Slot { block: first_block(depth, group) + (index >> above), offset: in_block as usize * LEAF })
}

/// The groups of seven levels in a tree, from the pages up.
pub fn groups(depth: u32) -> Range<u32> {
    0..depth / BLOCK_LEVELS + 1
}

/// The blocks of a group that are above any of these pages.
pub fn blocks_above(depth: u32, group: u32, pages: &Range<u64>) -> Range<u64> {
    let (first, levels) = (first_block(depth, group), top(group));
    first + (pages.start >> levels)..first + ((pages.end - 1) >> levels) + 1
}

/// The first page below a block.
pub fn first_page(depth: u32, block: u64) -> u64 {
    let group = groups(depth).rev().find(|&group| first_block(depth, group) <= block).unwrap_or(0);
    (block - first_block(depth, group)) << top(group)
}

/// The number of the first block of a group.
fn first_block(depth: u32, group: u32) -> u64 {
    (0..group).map(|group| 1u64 << depth.saturating_sub(top(group))).sum()
}

/// The level of a group's topmost nodes, if the tree reaches that far.
fn top(group: u32) -> u32 {
    group * BLOCK_LEVELS + BLOCK_LEVELS - 1
}

/// The roots of up to [`TOGETHER`] whole pages, computed level by level for all pages at once.
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

/// The root of the aligned 2^bits bytes, at least a leaf, around an offset in a page.
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
                    let slot = slot(depth, level, index).expect("inside");
                    assert!(
                        slot.offset.is_multiple_of(LEAF) && slot.offset < PAGE,
                        "level {level}, node {index} of {depth}"
                    );
                    assert!(
                        slot.offset != 0 && seen.insert(slot),
                        "the first place is free, and every other has one node"
                    );
                    let (group, page) = (level / BLOCK_LEVELS, index << level);
                    assert_eq!(blocks_above(depth, group, &(page..page + 1)), slot.block..slot.block + 1);
                    assert!((first_page(depth, slot.block)..=page).contains(&page));
                    assert!(tree.at(level, index).is_some_and(|at| at < tree.slots.len()));
                }
                assert_eq!(slot(depth, level, 1 << (depth - level)), None);
            }
            assert_eq!(slot(depth, depth + 1, 0), None);
        }
    }

    #[test]
    fn pages_together_are_pages_one_by_one() {
        let page = |seed: usize| -> Vec<u8> { (0..PAGE).map(|at| ((at * at * seed) >> 9) as u8).collect() };
        let mut pages: Vec<Vec<u8>> = (0..TOGETHER).map(page).collect();
        pages[3].fill(0);
        let one_by_one: Vec<Root> =
            pages.iter().map(|page| Tree::of_bytes(page, PAGE_LEVELS).root()).collect();
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
