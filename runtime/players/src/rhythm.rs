//! How regularly blocks come: while none can have come, a player need not ask for it.

use chain::Head;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// So many gaps between blocks must be known.
const GAPS: usize = 16;

/// The times between the last blocks.
#[derive(Debug, Default)]
pub(crate) struct Rhythm {
    /// The last block's number and time, and when it was first seen.
    last: Option<(u64, u64, Instant)>,
    /// The seconds between blocks, on an average of those that were seen at once.
    gaps: VecDeque<u64>,
}

impl Rhythm {
    /// Notes the head that a look has asked for at this moment.
    pub(crate) fn note(&mut self, head: &Head, asked: Instant) {
        match self.last {
            Some((number, time, _)) if head.number > number && head.time >= time => {
                self.gaps.push_back((head.time - time) / (head.number - number));
            }
            Some((number, ..)) if head.number == number => return,
            Some(_) => self.gaps.clear(),
            None => {}
        }
        if self.gaps.len() > GAPS {
            self.gaps.pop_front();
        }
        self.last = Some((head.number, head.time, asked));
    }

    /// Until when no other block can come, if none has followed another faster than usual. It was made up to a poll
    /// before it was seen. A part of that is taken back at each block, until the player is early and polls again:
    /// then it sees blocks as soon as it would with all polls.
    pub(crate) fn quiet_until(&self, poll: Duration) -> Option<Instant> {
        let (_, _, seen) = self.last?;
        let shortest = self.gaps.iter().min().filter(|_| self.gaps.len() == GAPS)?;
        Some(seen + Duration::from_secs(*shortest).checked_sub(poll / 4)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(number: u64, time: u64) -> Head {
        Head { number, time, hash: Default::default(), parent: Default::default(), base_fee: 0 }
    }

    #[test]
    fn nothing_is_waited_for_before_it_can_come() {
        let (mut rhythm, start, poll) = (Rhythm::default(), Instant::now(), Duration::from_secs(4));
        let quiet = |rhythm: &Rhythm| rhythm.quiet_until(poll).map(|until| (until - start).as_secs());
        // Some slots stay empty.
        let times = (0..=GAPS as u64).map(|number| 12 * (number + number / 5));
        for (number, time) in (0..).zip(times) {
            assert_eq!(quiet(&rhythm), None, "not before there are enough");
            rhythm.note(&head(number, time), start + Duration::from_secs(time));
        }
        assert_eq!(quiet(&rhythm), Some(12 * 19 + 11));
        // Seen again, it is no younger.
        rhythm.note(&head(16, 12 * 19), start + Duration::from_secs(12 * 19 + 3));
        assert_eq!(quiet(&rhythm), Some(12 * 19 + 11));
        // A block that comes early.
        rhythm.note(&head(17, 12 * 19 + 2), start + Duration::from_secs(12 * 19 + 2));
        assert_eq!(quiet(&rhythm), Some(12 * 19 + 2 + 1));
        rhythm.note(&head(18, 12 * 19 + 2), start + Duration::from_secs(12 * 19 + 2));
        assert_eq!(quiet(&rhythm), None, "several in a second");
        // After a reorganization, it is found out anew.
        rhythm.note(&head(10, 12 * 12), start);
        assert!(rhythm.gaps.is_empty() && quiet(&rhythm).is_none());
    }
}
