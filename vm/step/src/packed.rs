//! Numbers in as few bytes as they need: how registers are hashed, and how they travel in a witness.

use crate::witness::{Part, Reader, WitnessError};
use alloc::vec::Vec;

/// How many numbers a list has.
const COUNT: usize = 32;

/// A list of 32 numbers, each with the number of its bytes.
///
/// A machine writes each number in as few bytes as it needs. Bytes from elsewhere may have more; they are
/// kept, so that the list has the hash that it came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    lengths: [u8; COUNT],
    numbers: [u64; COUNT],
}

impl Packed {
    /// The most bytes that a list can have.
    pub(crate) const MOST: usize = COUNT / 2 + 8 * COUNT;

    /// A list in as few bytes as it needs.
    pub(crate) fn new(numbers: [u64; COUNT]) -> Self {
        Self { lengths: numbers.map(length), numbers }
    }

    /// All numbers.
    pub(crate) const fn numbers(&self) -> [u64; COUNT] {
        self.numbers
    }

    /// Number `place`; 0 where there is none.
    pub(crate) fn get(&self, place: usize) -> u64 {
        self.numbers.get(place).copied().unwrap_or_default()
    }

    /// Replaces number `place`, if there is one.
    pub(crate) fn set(&mut self, place: usize, number: u64) {
        if let (Some(to), Some(bytes)) = (self.numbers.get_mut(place), self.lengths.get_mut(place)) {
            (*to, *bytes) = (number, length(number));
        }
    }

    /// Appends the list to some bytes: half a byte for each length, then the numbers, big-endian.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.lengths.as_chunks().0.iter().map(|[high, low]| high << 4 | low));
        for (number, &length) in self.numbers.iter().zip(&self.lengths) {
            bytes.extend(&number.to_be_bytes()[8 - usize::from(length)..]);
        }
    }

    /// Reads a list.
    pub(crate) fn read(reader: &mut Reader<'_>, part: Part) -> Result<Self, WitnessError> {
        let pairs = reader.take::<{ COUNT / 2 }>(part)?;
        let mut list = Self { lengths: [0; COUNT], numbers: [0; COUNT] };
        for (to, pair) in list.lengths.as_chunks_mut().0.iter_mut().zip(pairs) {
            *to = [pair >> 4, pair & 15];
        }
        if let Some(&found) = list.lengths.iter().find(|&&length| length > 8) {
            return Err(WitnessError::Length { part, found });
        }
        for (number, &length) in list.numbers.iter_mut().zip(&list.lengths) {
            let bytes = reader.bytes(part, length.into())?;
            *number = bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        }
        Ok(list)
    }
}

/// How many bytes a number needs: none for 0.
const fn length(number: u64) -> u8 {
    (u64::BITS - number.leading_zeros()).div_ceil(8) as u8
}
