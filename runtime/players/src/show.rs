//! How logs show games, deadlines and roots.

use crate::duty::{challenger_of, game_of};
use chain::U256;
use contracts::{B256, Position};
use game::Level;
use std::fmt::{Display, Formatter, Result};

/// The ID of a game as its three parts: request, attempt and the challenger's account, shortened.
pub(crate) struct GameName(pub U256);

impl Display for GameName {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (request, attempt) = game_of(self.0);
        write!(f, "{request}/{attempt}/{}", &challenger_of(self.0).to_string()[..10])
    }
}

/// A root, shortened.
pub(crate) struct Short(pub B256);

impl Display for Short {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}...", &self.0.to_string()[..10])
    }
}

/// A time in seconds since 1970, and its distance from another time.
pub(crate) struct Deadline {
    pub at: u64,
    pub now: u64,
}

impl Display for Deadline {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} s left, until {}", self.at.saturating_sub(self.now), utc(self.at))
    }
}

/// The date and the time of day in UTC.
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02} UTC", second % 60)
}

/// The year, month and day of a day, counted from the first of 1970.
fn date(mut days: u64) -> (u64, usize, u64) {
    /// The days of 400 years, after which the calendar repeats.
    const CYCLE: u64 = 146_097;
    let mut year = 1970 + 400 * (days / CYCLE);
    days %= CYCLE;
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    loop {
        let length = 365 + u64::from(is_leap(year));
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    for (month, length) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
        if days < length {
            return (year, month, days + 1);
        }
        days -= length;
    }
    (year, 12, 31)
}

/// The segment that a game is about: what is left of the run.
pub(crate) fn range(position: &Position) -> String {
    let segment = position.segment;
    let (units, inside) = match segment.level {
        Level::BigSteps => ("big steps", String::new()),
        Level::Steps { big_step } => ("steps", format!(" of big step {big_step}")),
    };
    format!("{units} {} to {}{inside} ({} left)", segment.lo, segment.hi, segment.units())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duty::game_id;
    use chain::Address;

    #[test]
    fn times_are_in_utc() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_164_800, "2024-02-29 00:00:00 UTC"),
            (1_795_824_000, "2026-11-28 00:00:00 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (13_574_649_599, "2400-02-29 23:59:59 UTC"),
        ] {
            assert_eq!(utc(seconds), expected);
        }
        assert_eq!(Deadline { at: 100, now: 40 }.to_string(), "60 s left, until 1970-01-01 00:01:40 UTC");
        assert!(utc(u64::MAX).ends_with("UTC"));
    }

    #[test]
    fn games_are_named_by_their_parts() {
        let id = game_id(U256::from(77), 3, Address::repeat_byte(0x12));
        assert_eq!(GameName(id).to_string(), "77/3/0x12121212");
    }
}
