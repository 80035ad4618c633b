//! The clock of the players' computers. It can be set, unlike the time in which they wait.

use super::chain::START;
use std::cell::Cell;
use tokio::time::Instant;

thread_local! {
    /// When the run on this thread began, and how far the clock was set forward since.
    static CLOCK: Cell<Option<(Instant, i64)>> = const { Cell::new(None) };
}

/// Begins a run, with a clock that is right.
pub fn start(now: Instant) {
    CLOCK.set(Some((now, 0)));
}

/// Sets the clock forward by so many seconds.
pub fn set_forward(by: i64) {
    CLOCK.set(CLOCK.get().map(|(start, before)| (start, before + by)));
}

/// The time that it shows, in seconds since 1970.
pub fn time() -> u64 {
    let (start, forward) = CLOCK.get().expect("a run");
    (START + start.elapsed().as_secs()).saturating_add_signed(forward)
}
