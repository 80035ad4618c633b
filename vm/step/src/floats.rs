//! The float registers: their hash and their form in a witness.

use crate::witness::{Part, Reader, WitnessError};
use alloc::vec::Vec;
use merkle::{Root, keccak};

/// The upper half of a register that holds a binary32.
const BOX: u32 = u32::MAX;

/// The 32 float registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floats(pub [u64; 32]);

impl Floats {
    /// The registers at reset: NaN-boxed +0 in each.
    pub const RESET: Self = Self([(BOX as u64) << 32; 32]);

    /// Their hash, which is part of the state.
    #[must_use]
    pub fn hash(&self) -> Root {
        let mut bytes = [0; 256];
        let halves = self.lows().chain(self.highs());
        for (to, half) in bytes.chunks_exact_mut(4).zip(halves) {
            to.copy_from_slice(&half.to_be_bytes());
        }
        keccak(&bytes)
    }

    /// Appends them to a witness.
    pub(crate) fn write(&self, witness: &mut Vec<u8>) {
        let boxed = self.are_boxed();
        witness.push(u8::from(boxed));
        witness.extend(self.lows().flat_map(u32::to_be_bytes));
        if !boxed {
            witness.extend(self.highs().flat_map(u32::to_be_bytes));
        }
    }

    /// Reads them from a witness.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WitnessError> {
        let [tag] = reader.take::<1>(Part::Floats)?;
        let lows = halves(reader)?;
        let highs = match tag {
            0 => halves(reader)?,
            1 => [BOX; 32],
            _ => return Err(WitnessError::FloatForm { found: tag }),
        };
        let floats = Self(core::array::from_fn(|i| u64::from(highs[i]) << 32 | u64::from(lows[i])));
        if tag == 0 && floats.are_boxed() {
            return Err(WitnessError::FloatsNotShort);
        }
        Ok(floats)
    }

    /// Whether every register holds a binary32.
    fn are_boxed(&self) -> bool {
        self.highs().all(|high| high == BOX)
    }

    fn lows(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|&register| register as u32)
    }

    fn highs(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|&register| (register >> 32) as u32)
    }
}

/// 32 halves of registers.
fn halves(reader: &mut Reader<'_>) -> Result<[u32; 32], WitnessError> {
    let bytes = reader.take::<128>(Part::Floats)?;
    let mut halves = [0; 32];
    for (half, chunk) in halves.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *half = u32::from_be_bytes(*chunk);
    }
    Ok(halves)
}
