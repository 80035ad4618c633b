//! Reading the bodies of reductions. They can contain reductions, so reading recurses, and a file of a stranger
//! must not decide how deep.

use std::cell::Cell;

use serde::{Deserialize, Deserializer, de::Error};

use super::Step;

/// How deep reductions may be nested.
pub(super) const MOST_DEPTH: usize = 8;

thread_local! {
    /// The number of bodies that are being read.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Counts a body while it is being read.
struct Inside;

impl Inside {
    /// `None` if that would be too deep.
    fn enter() -> Option<Self> {
        let depth = DEPTH.get();
        (depth < MOST_DEPTH).then(|| DEPTH.set(depth + 1))?;
        Some(Self)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Reads the body of a reduction.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Step>, D::Error> {
    let _inside = Inside::enter().ok_or_else(|| D::Error::custom("reductions are nested too deep"))?;
    Vec::deserialize(deserializer)
}
