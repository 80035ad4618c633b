//! One machine step over any state, and its proof.
//!
//! [`step`](step()) is the only driver. It fetches, decodes and executes one instruction over anything that
//! implements [`Access`]. A live machine uses its registers and its memory. [`record`] and [`verify`] work
//! over a hashed [`State`] and differ only in the source of the proofs: `record` asks the live machine for
//! them and writes them down, and `verify` reads them from the witness and checks each one. So the order of
//! accesses alone defines the witness.
//!
//! `docs/formats.md` documents every byte.
#![no_std]

extern crate alloc;

mod access;
mod floats;
mod packed;
mod profile;
mod proven;
mod state;
mod witness;

pub use access::{Access, step};
pub use floats::Floats;
pub use merkle;
pub use merkle::{Proof, Root, Tree, keccak};
pub use profile::{MachineProfile, ProfileError};
pub use proven::{Source, instruction_of, record, verify};
pub use state::{State, Status};
pub use witness::{Part, WitnessError};
