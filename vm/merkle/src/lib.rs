//! Merkle trees over 32-byte leaves, with the zero tree free, and keccak of many nodes at once.
//!
//! A node is the hash of exactly 64 bytes, so it is one permutation of one known shape. There is one text of the
//! permutation, over any kind of lane; what differs between processors is how many states stand side by
//! side in a lane. [`Hasher`] chooses when the program runs, so nothing has to be compiled for a processor.
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
