//! One machine step over any state, and its proof.
//!
//! [`step`](step()) is the only driver: it fetches, decodes and executes one instruction over anything that implements
//! [`Access`]. A live machine does so with its registers and memory. [`record`] and [`verify`] do so over a hashed
//! [`State`] and differ only in where proofs come from: one asks the live machine for them and writes them down, the
//! other reads them and believes nothing. So a witness is the order of accesses, and nothing else defines it.
//!
//! `docs/formats.md` gives every byte.
#![no_std]

extern crate alloc;

mod access;
mod floats;
mod profile;
mod proven;
mod state;
mod witness;

pub use access::{Access, step};
pub use floats::Floats;
pub use merkle;
pub use merkle::{Proof, Root, Tree, keccak};
pub use profile::{MachineProfile, ProfileError};
pub use proven::{Source, record, verify};
pub use state::{State, Status};
pub use witness::{Part, WitnessError};
