//! Seeded random numbers that favour the values where arithmetic goes wrong.

use isa::Format;

/// A small generator (SplitMix64, Steele et al. 2014): the same numbers from the same seed, everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A random element.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// A machine word: often a special one or close to one, often short, often with few bits set.
    pub fn word(&mut self) -> u64 {
        let special =
            [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 1 << 31, (1 << 31) - 1, 1 << 32, 1 << 63, u64::MAX];
        match self.below(5) {
            0 => *self.pick(&special),
            1 => self.pick(&special).wrapping_add(self.below(7)).wrapping_sub(3),
            2 => (self.bits().cast_signed() >> self.below(64)).cast_unsigned(),
            3 => self.few_bits(),
            _ => self.bits(),
        }
    }

    /// A pattern of at most three runs of ones and zeros.
    fn few_bits(&mut self) -> u64 {
        (u64::MAX << self.below(64)) ^ (u64::MAX << self.below(64)) ^ (1 << self.below(64))
    }

    /// The bits of a floating-point number: often special, subnormal or near the ends of the range, often
    /// with a short significand (so that products, quotients and roots are exact or ties).
    pub fn float(&mut self, format: Format) -> u64 {
        let man = u32::from(format.man);
        let width = u32::from(format.width);
        let exponents = (1u64 << (width - man - 1)) - 1;
        let exponent = match self.below(8) {
            0 => 0,
            1 => exponents,
            2 => self.below(4),
            3 => exponents - self.below(4).min(exponents),
            4 | 5 => exponents / 2 - 70 + self.below(140),
            _ => self.below(exponents + 1),
        };
        let fraction = match self.below(5) {
            0 => 0,
            1 => self.few_bits(),
            2 => self.bits() << (64 - self.below(man.into()).max(1)) >> (64 - man),
            _ => self.bits(),
        };
        (self.bits() & 1) << (width - 1) | exponent << man | fraction & ((1 << man) - 1)
    }
}

/// The floating-point numbers on which every operation should be tried in all combinations, with both signs.
#[must_use]
pub fn special_floats(format: Format) -> Vec<u64> {
    let man = u32::from(format.man);
    let bias = (1u64 << (format.width - format.man - 2)) - 1;
    let top = 2 * bias + 1;
    let number = |exponent: u64, fraction: u64| exponent << man | fraction;
    let ones = (1u64 << man) - 1;
    let half = 1u64 << (man - 1);
    let magnitudes = [
        number(0, 0),
        number(0, 1),
        number(0, half),
        number(0, ones),
        number(1, 0),
        number(1, ones),
        number(bias - u64::from(man) - 1, 0),
        number(bias - 1, 0),
        number(bias - 1, ones),
        number(bias, 0),
        number(bias, 1),
        number(bias + 1, half),
        number(bias + u64::from(man), 1),
        number(bias + 31, 0),
        number(bias + 63, 0),
        number(top - 1, 0),
        number(top - 1, ones),
        number(top, 0),
        number(top, 1),
        number(top, half),
        number(top, half | 1),
    ];
    let sign = 1u64 << (format.width - 1);
    magnitudes.into_iter().flat_map(|m| [m, m | sign]).collect()
}
