//! The Merkle tree over code. Nodes are kept from 4 KiB blocks up, and nodes inside a block are hashed when a
//! proof needs them. The tree of a gibibyte of code takes 16 MiB.

use bytes::Bytes;
use step::merkle::LEAF;
use step::{Proof, Root, Tree};

/// Levels inside a block.
const BLOCK_LEVELS: u32 = 7;

/// The tree over an image's code.
#[derive(Debug, Clone)]
pub struct CodeTree {
    code: Bytes,
    /// Levels inside a block. Fewer if the code is smaller than a block.
    levels: u32,
    /// The tree over the blocks' roots.
    blocks: Tree,
}

impl CodeTree {
    /// The tree of this many levels over code.
    pub(crate) fn new(code: Bytes, depth: u32) -> Self {
        let levels = depth.min(BLOCK_LEVELS);
        let roots = code.chunks(LEAF << levels).map(|block| Tree::of_bytes(block, levels).root()).collect();
        Self { levels, blocks: Tree::of_leaves(roots, depth - levels), code }
    }

    /// The code root.
    #[must_use]
    pub fn root(&self) -> Root {
        self.blocks.root()
    }

    /// The proof of the leaf at this index.
    #[must_use]
    pub fn proof(&self, index: u64) -> Proof {
        let (block, size) = (index >> self.levels, LEAF << self.levels);
        let start =
            usize::try_from(block).ok().and_then(|block| block.checked_mul(size)).unwrap_or(usize::MAX);
        let bytes = self.code.get(start..).map_or(&[][..], |rest| &rest[..rest.len().min(size)]);
        let mut proof = Tree::of_bytes(bytes, self.levels).proof(index & ((1 << self.levels) - 1));
        proof.siblings.extend(self.blocks.proof(block).siblings);
        proof
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_and_proofs_are_those_of_the_whole_tree() {
        for leaves in [1u64, 2, 3, 64, 127, 128, 129, 300, 1000] {
            let code: Vec<u8> = (0..leaves * 32).map(|at| ((at * at) >> 5) as u8).collect();
            let depth = leaves.next_power_of_two().ilog2();
            let (whole, ours) = (Tree::of_bytes(&code, depth), CodeTree::new(code.clone().into(), depth));
            assert_eq!(ours.root(), whole.root(), "{leaves}");
            for index in 0..1 << depth {
                assert_eq!(ours.proof(index), whole.proof(index), "leaf {index} of {leaves}");
            }
        }
    }
}
