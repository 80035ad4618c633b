//! The permutation keccak-f\[1600\], over lanes of any width.

/// What the permutation does with a lane: 64 bits of one state, or the same 64 bits of several states side by
/// side.
pub trait Lane: Copy {
    /// A lane with this word in every state.
    fn like(self, word: u64) -> Self;
    /// Exclusive or.
    fn xor(self, other: Self) -> Self;
    /// Exclusive or of three.
    fn xor3(self, b: Self, c: Self) -> Self;
    /// `self ^ (!b & c)`.
    fn chi(self, b: Self, c: Self) -> Self;
    /// Rotation to the left; `LEFT + RIGHT` is 64. Both are given because shifts need both.
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self;
}

impl Lane for u64 {
    #[inline(always)]
    fn like(self, word: u64) -> Self {
        word
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }
    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        self ^ b ^ c
    }
    #[inline(always)]
    fn chi(self, b: Self, c: Self) -> Self {
        self ^ (!b & c)
    }
    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        self.rotate_left(LEFT as u32)
    }
}

/// The round constants of iota.
const ROUNDS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// keccak-256 of 64 bytes, as eight little-endian words: the first four lanes of the only block.
#[inline(always)]
pub fn digest<L: Lane>(message: [L; 8]) -> [L; 4] {
    let [a, b, c, d, e, f, g, h] = message;
    let zero = a.like(0);
    // The rate is 17 lanes. A message of 64 bytes ends after lane 7, and padding is its first and the last
    // byte after it.
    let (first, last) = (a.like(1), a.like(1 << 63));
    let state = [
        a, b, c, d, e, f, g, h, first, zero, zero, zero, zero, zero, zero, zero, last, zero, zero, zero,
        zero, zero, zero, zero, zero,
    ];
    let [start, rounds @ .., end] = &ROUNDS;
    // Outside the loop, so that the compiler sees the zeros.
    let mut state = round(state, *start);
    for &constant in rounds {
        state = round(state, constant);
    }
    // The result needs only the first row of the last round.
    let [a, b, c, d, _] = row0(&theta(state));
    [a.xor(a.like(*end)), b, c, d]
}

/// One round.
#[inline(always)]
fn round<L: Lane>(state: [L; 25], constant: u64) -> [L; 25] {
    let a = theta(state);
    let [b0, b1, b2, b3, b4] = row0(&a);
    let [c0, c1, c2, c3, c4] = chi(
        a[3].rotate::<28, 36>(),
        a[9].rotate::<20, 44>(),
        a[10].rotate::<3, 61>(),
        a[16].rotate::<45, 19>(),
        a[22].rotate::<61, 3>(),
    );
    let [d0, d1, d2, d3, d4] = chi(
        a[1].rotate::<1, 63>(),
        a[7].rotate::<6, 58>(),
        a[13].rotate::<25, 39>(),
        a[19].rotate::<8, 56>(),
        a[20].rotate::<18, 46>(),
    );
    let [e0, e1, e2, e3, e4] = chi(
        a[4].rotate::<27, 37>(),
        a[5].rotate::<36, 28>(),
        a[11].rotate::<10, 54>(),
        a[17].rotate::<15, 49>(),
        a[23].rotate::<56, 8>(),
    );
    let [f0, f1, f2, f3, f4] = chi(
        a[2].rotate::<62, 2>(),
        a[8].rotate::<55, 9>(),
        a[14].rotate::<39, 25>(),
        a[15].rotate::<41, 23>(),
        a[21].rotate::<2, 62>(),
    );
    let b0 = b0.xor(b0.like(constant));
    [b0, b1, b2, b3, b4, c0, c1, c2, c3, c4, d0, d1, d2, d3, d4, e0, e1, e2, e3, e4, f0, f1, f2, f3, f4]
}

/// Mixes columns. Written out, like everything here: a call of `map` would not be compiled for the caller's
/// processor features.
#[inline(always)]
fn theta<L: Lane>(a: [L; 25]) -> [L; 25] {
    let c =
        [column::<0, L>(&a), column::<1, L>(&a), column::<2, L>(&a), column::<3, L>(&a), column::<4, L>(&a)];
    let d = [
        c[4].xor(turn(c[1])),
        c[0].xor(turn(c[2])),
        c[1].xor(turn(c[3])),
        c[2].xor(turn(c[4])),
        c[3].xor(turn(c[0])),
    ];
    [
        a[0].xor(d[0]),
        a[1].xor(d[1]),
        a[2].xor(d[2]),
        a[3].xor(d[3]),
        a[4].xor(d[4]),
        a[5].xor(d[0]),
        a[6].xor(d[1]),
        a[7].xor(d[2]),
        a[8].xor(d[3]),
        a[9].xor(d[4]),
        a[10].xor(d[0]),
        a[11].xor(d[1]),
        a[12].xor(d[2]),
        a[13].xor(d[3]),
        a[14].xor(d[4]),
        a[15].xor(d[0]),
        a[16].xor(d[1]),
        a[17].xor(d[2]),
        a[18].xor(d[3]),
        a[19].xor(d[4]),
        a[20].xor(d[0]),
        a[21].xor(d[1]),
        a[22].xor(d[2]),
        a[23].xor(d[3]),
        a[24].xor(d[4]),
    ]
}

/// The exclusive or of a column.
#[inline(always)]
fn column<const X: usize, L: Lane>(a: &[L; 25]) -> L {
    a[X].xor3(a[X + 5], a[X + 10]).xor3(a[X + 15], a[X + 20])
}

/// A rotation by one.
#[inline(always)]
fn turn<L: Lane>(lane: L) -> L {
    lane.rotate::<1, 63>()
}

/// The first row after rho, pi and chi.
#[inline(always)]
fn row0<L: Lane>(a: &[L; 25]) -> [L; 5] {
    chi(
        a[0],
        a[6].rotate::<44, 20>(),
        a[12].rotate::<43, 21>(),
        a[18].rotate::<21, 43>(),
        a[24].rotate::<14, 50>(),
    )
}

/// Mixes a row.
#[inline(always)]
fn chi<L: Lane>(a: L, b: L, c: L, d: L, e: L) -> [L; 5] {
    [a.chi(b, c), b.chi(c, d), c.chi(d, e), d.chi(e, a), e.chi(a, b)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha3::{Digest, Keccak256};

    /// A lane whose rotation by 56 is wrong. This is one of 24 rotations, and the last round doesn't use it.
    #[derive(Clone, Copy)]
    struct Wrong(u64);

    impl Lane for Wrong {
        fn like(self, word: u64) -> Self {
            Self(word)
        }
        fn xor(self, other: Self) -> Self {
            Self(self.0 ^ other.0)
        }
        fn xor3(self, b: Self, c: Self) -> Self {
            self.xor(b).xor(c)
        }
        fn chi(self, b: Self, c: Self) -> Self {
            Self(self.0.chi(b.0, c.0))
        }
        fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
            Self(self.0.rotate_left(if LEFT == 56 { 57 } else { LEFT as u32 }))
        }
    }

    /// Whether sha3 gives the same digest for these words.
    fn right(message: [u64; 8], digest: [u64; 4]) -> bool {
        let bytes: alloc::vec::Vec<u8> = message.iter().flat_map(|word| word.to_le_bytes()).collect();
        let found: alloc::vec::Vec<u8> = digest.iter().flat_map(|word| word.to_le_bytes()).collect();
        Keccak256::digest(bytes)[..] == found
    }

    #[test]
    fn one_wrong_rotation_is_seen() {
        for message in [[0; 8], [u64::MAX; 8], [1, 2, 3, 4, 5, 6, 7, 8]] {
            assert!(right(message, digest(message)));
            assert!(!right(message, digest(message.map(Wrong)).map(|lane| lane.0)));
        }
    }
}
