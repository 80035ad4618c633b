//! Merkle trees over 32-byte leaves, where zeros need no hashing, and keccak of many nodes at once.
//!
//! A node is the hash of exactly 64 bytes, which takes a single permutation. The permutation is written once,
//! over any kind of lane. Processors differ only in how many states share a lane. [`Hasher`] chooses at run
//! time, so one build serves every processor.
#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod batch;
mod keccak;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod wide;

mod tree;

pub use batch::{Hasher, parents};
pub use tree::{LEAF, Proof, Root, Tree, keccak, node};
