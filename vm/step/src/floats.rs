//! The float registers and their hash.

use crate::packed::Packed;
use alloc::vec::Vec;
use merkle::{Root, keccak};

/// NaN-boxed +0: what a float register holds at reset.
const RESET: u64 = 0xffff_ffff_0000_0000;

/// The 32 float registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floats(pub [u64; 32]);

impl Floats {
    /// The registers at reset.
    pub const RESET: Self = Self([RESET; 32]);

    /// Their hash, which is part of the state.
    #[must_use]
    pub fn hash(&self) -> Root {
        hash(&self.packed())
    }

    /// What is hashed: each register less what is set at reset, so a binary32 needs four bytes.
    pub(crate) fn packed(&self) -> Packed {
        Packed::new(self.0.map(|register| register ^ RESET))
    }
}

/// The register that is written as this number, and the other way round.
pub(crate) const fn boxed(number: u64) -> u64 {
    number ^ RESET
}

/// The hash of float registers.
pub(crate) fn hash(floats: &Packed) -> Root {
    let mut bytes = Vec::with_capacity(Packed::MOST);
    floats.write(&mut bytes);
    keccak(&bytes)
}
