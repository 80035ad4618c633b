//! What a single answer of a node is not enough for.

/// Something that is believed only if it stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// When it was first seen, in chain time.
    since: u64,
    /// How often it was seen.
    seen: u32,
}

impl Doubt {
    /// The same, seen once more.
    pub(crate) fn again(doubt: Option<Self>, now: u64) -> Self {
        // A node may have told a time that is yet to come.
        doubt.map_or(Self { since: now, seen: 1 }, |old| Self {
            since: old.since.min(now),
            seen: old.seen.saturating_add(1),
        })
    }

    /// Whether it was seen in several looks at several blocks.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.seen >= 3 && now > self.since
    }
}
