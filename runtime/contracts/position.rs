//! The packed word of a game's state: whose turn it is, the clocks, and the segment in dispute.

use crate::U256;
use game::{Clocks, Level, Segment, Side};

/// A game's position, unpacked. `Interfaces.sol` gives the bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Whose turn it is.
    pub mover: Side,
    /// The seconds that each side has left.
    pub clocks: Clocks,
    /// When the mover's clock started.
    pub since: u64,
    /// How often the period is repeated; unknown at the level of steps.
    pub repetitions: Option<u64>,
    /// The segment.
    pub segment: Segment,
}

impl Position {
    /// The position that a word packs. Bits that no position has are ignored.
    #[must_use]
    pub fn unpack(word: U256) -> Self {
        let bits = |at: usize, count: usize| (word >> at).wrapping_to::<u64>() & ((1 << count) - 1);
        let (place, in_steps) = (bits(96, 40), bits(241, 1) == 1);
        let level = if in_steps { Level::Steps { big_step: place } } else { Level::BigSteps };
        Self {
            mover: if bits(240, 1) == 1 { Side::Asserter } else { Side::Challenger },
            clocks: Clocks { asserter: bits(208, 32), challenger: bits(176, 32) },
            since: bits(136, 40),
            repetitions: (!in_steps).then_some(place),
            segment: Segment { level, lo: bits(48, 48), hi: bits(0, 48) },
        }
    }

    /// The word. Numbers that don't fit are cut off; the contract has none.
    #[must_use]
    pub fn pack(&self) -> U256 {
        let Self { mover, clocks, since, repetitions, segment } = *self;
        let (place, in_steps) = match segment.level {
            Level::BigSteps => (repetitions.unwrap_or(0), 0),
            Level::Steps { big_step } => (big_step, 2),
        };
        let flags = u64::from(mover == Side::Asserter) | in_steps;
        let fields = [
            (flags, 240, 2),
            (clocks.asserter, 208, 32),
            (clocks.challenger, 176, 32),
            (since, 136, 40),
            (place, 96, 40),
            (segment.lo, 48, 48),
            (segment.hi, 0, 48),
        ];
        let pack = |(value, at, count): (u64, usize, usize)| U256::from(value & ((1 << count) - 1)) << at;
        fields.into_iter().map(pack).fold(U256::ZERO, |word, field| word | field)
    }

    /// The last time at which the mover may move.
    #[must_use]
    pub fn deadline(&self) -> u64 {
        self.since.saturating_add(self.clocks.of(self.mover))
    }
}
