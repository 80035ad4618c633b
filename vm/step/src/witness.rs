//! The bytes of a witness: writing and reading proofs, and the errors of malformed ones.

use alloc::vec::Vec;
use core::fmt::{self, Display, Formatter};
use merkle::{Proof, Root};
use thiserror::Error;

/// A part of a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Status, registers and pc before the step.
    State,
    /// The proof of the instruction.
    Code,
    /// The float registers.
    Floats,
    /// The proof of the leaf that is loaded or replaced.
    Access,
    /// The hashes in the state that nothing before them gives.
    Roots,
}

impl Display for Part {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State => "state",
            Self::Code => "code proof",
            Self::Floats => "float registers",
            Self::Access => "access proof",
            Self::Roots => "roots",
        })
    }
}

/// Why a witness is malformed, or belongs to another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WitnessError {
    /// It ends too early.
    #[error("the witness ends in its {part}: {expected} bytes expected, {found} left")]
    TooShort {
        /// The part in which it ends.
        part: Part,
        /// The number of bytes that this part needs.
        expected: usize,
        /// The number of bytes left.
        found: usize,
    },
    /// It has bytes that the step does not read.
    #[error("{count} bytes are left over after the witness")]
    TooLong {
        /// The number of bytes left over.
        count: usize,
    },
    /// The status byte is invalid.
    #[error("status byte {found}; it must be 0 (running), 1 (exited) or 16 to 24 (trapped)")]
    Status {
        /// The byte.
        found: u8,
    },
    /// The state has a different root.
    #[error("the state in the witness has the root {found}; {expected} was expected")]
    State {
        /// The root before the step.
        expected: Root,
        /// The root of the witness's state.
        found: Root,
    },
    /// A mask has more bits than the tree has levels.
    #[error("mask {mask:#x} in the {part} has bits beyond the tree's {depth} levels")]
    Mask {
        /// Which proof.
        part: Part,
        /// Its mask.
        mask: u64,
        /// Levels of the tree.
        depth: u32,
    },
    /// A sibling should have been omitted.
    #[error("the {part}'s sibling at level {level} is zero; the mask has to leave it out")]
    ZeroSibling {
        /// Which proof.
        part: Part,
        /// Which sibling.
        level: u32,
    },
    /// A proof that leads to another root than a proof in the same tree before it.
    #[error("the {part} leads to the root {found}; the proof before it leads to {expected}")]
    Proof {
        /// Which proof.
        part: Part,
        /// The root of the earlier proof.
        expected: Root,
        /// The root that the proof leads to.
        found: Root,
    },
    /// A register longer than a machine word.
    #[error("a number in the {part} has {found} bytes; it must have at most 8")]
    Length {
        /// Where it is.
        part: Part,
        /// Its bytes.
        found: u8,
    },
}

/// Reads a witness from its start.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next bytes.
    pub(crate) fn take<const N: usize>(&mut self, part: Part) -> Result<[u8; N], WitnessError> {
        let too_short = WitnessError::TooShort { part, expected: N, found: self.rest.len() };
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(too_short)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// The next bytes, if their number isn't known before.
    pub(crate) fn bytes(&mut self, part: Part, count: usize) -> Result<&'a [u8], WitnessError> {
        let too_short = WitnessError::TooShort { part, expected: count, found: self.rest.len() };
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(too_short)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next proof in a tree of this many levels.
    pub(crate) fn proof(&mut self, part: Part, depth: u32) -> Result<Proof, WitnessError> {
        let leaf = Root(self.take(part)?);
        let mask = self.bytes(part, mask_bytes(depth))?;
        let mask = mask.iter().fold(0, |mask, &byte| mask << 8 | u64::from(byte));
        if mask.checked_shr(depth).unwrap_or(0) != 0 {
            return Err(WitnessError::Mask { part, mask, depth });
        }
        let sibling = |level: u32| {
            if mask >> level & 1 == 0 {
                return Ok(Root::ZERO);
            }
            let sibling = Root(self.take(part)?);
            if sibling.is_zero() { Err(WitnessError::ZeroSibling { part, level }) } else { Ok(sibling) }
        };
        Ok(Proof { leaf, siblings: (0..depth).map(sibling).collect::<Result<_, _>>()? })
    }

    /// The end of the witness.
    pub(crate) fn end(self) -> Result<(), WitnessError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(WitnessError::TooLong { count }),
        }
    }
}

/// Bytes of the mask of a proof in a tree of this many levels.
const fn mask_bytes(depth: u32) -> usize {
    depth.div_ceil(8) as usize
}

/// Appends a proof to a witness.
pub(crate) fn write_proof(proof: &Proof, witness: &mut Vec<u8>) {
    let given = || proof.siblings.iter().enumerate().filter(|(_, sibling)| !sibling.is_zero());
    let mask = given().fold(0u64, |mask, (level, _)| mask | 1 << level);
    witness.extend(proof.leaf.0);
    let start = mask.to_be_bytes().len().saturating_sub(mask_bytes(proof.siblings.len() as u32));
    witness.extend(&mask.to_be_bytes()[start..]);
    given().for_each(|(_, sibling)| witness.extend(sibling.0));
}
