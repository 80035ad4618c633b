//! The machine's memory and its Merkle tree.
