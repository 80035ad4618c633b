//! Parents of many pairs of nodes, as many at once as the processor can.

use crate::keccak;
use crate::{LEAF, Root};

/// A way to hash many nodes. All give the same, and one is made only where the processor can go that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hasher(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    Avx2,
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    Avx512,
}

impl Hasher {
    /// What every processor can do: one node at a time.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// Four nodes at once, with AVX2.
    #[must_use]
    pub fn avx2() -> Option<Self> {
        #[cfg(all(feature = "std", target_arch = "x86_64"))]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Some(Self(Kind::Avx2));
        }
        None
    }

    /// Eight nodes at once, with AVX-512.
    #[must_use]
    pub fn avx512() -> Option<Self> {
        #[cfg(all(feature = "std", target_arch = "x86_64"))]
        if std::arch::is_x86_feature_detected!("avx512f") {
            return Some(Self(Kind::Avx512));
        }
        None
    }

    /// All that this processor has, the slowest first.
    pub fn all() -> impl Iterator<Item = Self> {
        [Some(Self::PORTABLE), Self::avx2(), Self::avx512()].into_iter().flatten()
    }

    /// The fastest that this processor has.
    #[must_use]
    pub fn best() -> Self {
        Self::avx512().or_else(Self::avx2).unwrap_or(Self::PORTABLE)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx2 => "AVX2",
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx512 => "AVX-512",
        }
    }

    /// The nodes over neighbours: `out[i]` over `children[2 * i]` and the next. Children that are missing are zero.
    pub fn parents(self, children: &[Root], out: &mut [Root]) {
        match self.0 {
            Kind::Portable => batched(children, out, |&[message]: &[_; 1]| [keccak::digest(message)]),
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx2 => batched(children, out, |messages: &[_; 4]| {
                // SAFETY: the one requirement is AVX2, and this kind is made only where it was found.
                #[expect(unsafe_code, reason = "a call to a function compiled for more than the baseline")]
                unsafe {
                    crate::wide::four(messages)
                }
            }),
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx512 => batched(children, out, |messages: &[_; 8]| {
                // SAFETY: the one requirement is AVX-512F, and this kind is made only where it was found.
                #[expect(unsafe_code, reason = "a call to a function compiled for more than the baseline")]
                unsafe {
                    crate::wide::eight(messages)
                }
            }),
        }
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::best()
    }
}

/// The nodes over neighbours, by the [best](Hasher::best) way.
pub fn parents(children: &[Root], out: &mut [Root]) {
    Hasher::best().parents(children, out);
}

/// Two nodes as the eight words of a message.
type Message = [u64; 2 * LEAF / 8];

/// Hashes `N` pairs at once. Pairs of zeros have a parent without a hash, so they take no place.
#[inline(always)]
fn batched<const N: usize>(children: &[Root], out: &mut [Root], hash: impl Fn(&[Message; N]) -> [[u64; 4]; N]) {
    let (mut messages, mut places, mut waiting) = ([Message::default(); N], [0; N], 0);
    for at in 0..out.len() {
        let message = message(children, at);
        if message == Message::default() {
            out[at] = Root::ZERO;
            continue;
        }
        (messages[waiting], places[waiting]) = (message, at);
        waiting += 1;
        if waiting == N {
            put(out, &places, &hash(&messages));
            waiting = 0;
        }
    }
    match waiting {
        0 => {}
        // One state alone is quicker than many.
        1 => out[places[0]] = root(keccak::digest(messages[0])),
        _ => put(out, &places[..waiting], &hash(&messages)),
    }
}

/// The pair at an index.
#[inline(always)]
fn message(children: &[Root], at: usize) -> Message {
    let [left, right] = match children.get(2 * at..).and_then(<[Root]>::first_chunk) {
        Some([left, right]) => [words(left), words(right)],
        None => [children.get(2 * at).map_or([0; 4], words), [0; 4]],
    };
    let ([a, b, c, d], [e, f, g, h]) = (left, right);
    [a, b, c, d, e, f, g, h]
}

#[inline(always)]
fn words(root: &Root) -> [u64; 4] {
    let words = root.0.as_chunks::<8>().0;
    core::array::from_fn(|word| u64::from_le_bytes(words[word]))
}

#[inline(always)]
fn root(words: [u64; 4]) -> Root {
    let mut root = Root::ZERO;
    for (to, word) in root.0.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    root
}

/// Puts digests where they belong.
#[inline(always)]
fn put(out: &mut [Root], places: &[usize], digests: &[[u64; 4]]) {
    for (&place, &digest) in places.iter().zip(digests) {
        out[place] = root(digest);
    }
}
