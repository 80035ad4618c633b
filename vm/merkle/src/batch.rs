//! Hashes the parents of many pairs of nodes, as many at once as the processor allows.

use crate::Root;
use crate::keccak;

/// A way to hash many nodes. All ways give the same result. A value exists only if the processor supports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hasher(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    Sse2,
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    Avx2,
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    Avx512,
}

impl Hasher {
    /// One node at a time, on any processor.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// Two nodes at once, with SSE2: on every x86-64.
    #[must_use]
    pub const fn sse2() -> Option<Self> {
        #[cfg(all(feature = "std", target_arch = "x86_64"))]
        {
            Some(Self(Kind::Sse2))
        }
        #[cfg(not(all(feature = "std", target_arch = "x86_64")))]
        {
            None
        }
    }

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

    /// The hashers that this processor supports, the slowest first.
    pub fn all() -> impl Iterator<Item = Self> {
        [Some(Self::PORTABLE), Self::sse2(), Self::avx2(), Self::avx512()].into_iter().flatten()
    }

    /// The fastest hasher that this processor supports.
    #[must_use]
    pub fn best() -> Self {
        Self::avx512().or_else(Self::avx2).or(Self::sse2()).unwrap_or(Self::PORTABLE)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Sse2 => "SSE2",
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx2 => "AVX2",
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx512 => "AVX-512",
        }
    }

    /// The parents of neighbours: `out[i]` is the parent of `children[2 * i]` and the next one. Missing
    /// children are zero.
    pub fn parents(self, children: &[Root], out: &mut [Root]) {
        match self.0 {
            Kind::Portable => batched(children, out, |[pair]: &[_; 1]| [one(pair)]),
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Sse2 => batched(children, out, |pairs: &[_; 2]| {
                // SAFETY: The only requirement is SSE2, which is part of x86-64.
                #[expect(unsafe_code, reason = "a call to a function compiled for more than the baseline")]
                unsafe {
                    crate::wide::two(pairs)
                }
            }),
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx2 => batched(children, out, |pairs: &[_; 4]| {
                // SAFETY: The only requirement is AVX2. This variant is created only where AVX2 was detected.
                #[expect(unsafe_code, reason = "a call to a function compiled for more than the baseline")]
                unsafe {
                    crate::wide::four(pairs)
                }
            }),
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx512 => batched(children, out, |pairs: &[_; 8]| {
                // SAFETY: The only requirement is AVX-512F. This variant is created only where AVX-512F was
                // detected.
                #[expect(unsafe_code, reason = "a call to a function compiled for more than the baseline")]
                unsafe {
                    crate::wide::eight(pairs)
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

/// The parents of neighbours, computed by the [best](Hasher::best) hasher.
pub fn parents(children: &[Root], out: &mut [Root]) {
    Hasher::best().parents(children, out);
}

/// Two nodes side by side: a message of 64 bytes.
pub type Pair = [Root; 2];

/// Hashes `N` pairs at once. Pairs of zeros need no hash, so they are left out.
#[inline(always)]
fn batched<const N: usize>(children: &[Root], out: &mut [Root], hash: impl Fn(&[Pair; N]) -> [Root; N]) {
    const ZERO: Pair = [Root::ZERO; 2];
    let pairs = children.as_chunks::<2>().0;
    let (mut waiting, mut places, mut count, mut at) = ([ZERO; N], [0; N], 0, 0);
    while at < out.len() {
        let ready = pairs.get(at..).and_then(<[Pair]>::first_chunk::<N>);
        let room = out.get_mut(at..).and_then(<[Root]>::first_chunk_mut::<N>);
        if let (Some(pairs), Some(room)) = (ready.filter(|pairs| !pairs.contains(&ZERO)), room) {
            *room = hash(pairs);
            at += N;
            continue;
        }
        let pair =
            pairs.get(at).copied().unwrap_or([children.get(2 * at).copied().unwrap_or_default(), Root::ZERO]);
        if pair == ZERO {
            out[at] = Root::ZERO;
        } else {
            (waiting[count], places[count]) = (pair, at);
            count += 1;
        }
        if count == N {
            put(out, &places, &hash(&waiting));
            count = 0;
        }
        at += 1;
    }
    match count {
        0 => {}
        // A single state alone is faster than several.
        1 => out[places[0]] = one(&waiting[0]),
        _ => put(out, &places[..count], &hash(&waiting)),
    }
}

/// The node over one pair.
#[inline(always)]
fn one([left, right]: &Pair) -> Root {
    let ([a, b, c, d], [e, f, g, h]) = (words(left), words(right));
    let mut root = Root::ZERO;
    let digest = keccak::digest([a, b, c, d, e, f, g, h]);
    for (to, word) in root.0.as_chunks_mut::<8>().0.iter_mut().zip(digest) {
        *to = word.to_le_bytes();
    }
    root
}

#[inline(always)]
fn words(root: &Root) -> [u64; 4] {
    let words = root.0.as_chunks::<8>().0;
    core::array::from_fn(|word| u64::from_le_bytes(words[word]))
}

/// Stores nodes at their places.
#[inline(always)]
fn put(out: &mut [Root], places: &[usize], nodes: &[Root]) {
    for (&place, &node) in places.iter().zip(nodes) {
        out[place] = node;
    }
}
