//! Events that were missed: found again from the last block backwards.

use super::View;
use crate::player::PlayerError;
use chain::{Head, Nodes};

/// How many queries for missed events a look makes at most.
const MOST_SEARCHES: usize = 6;
/// How many blocks are searched one by one.
const MOST_BLOCKS: u64 = 64;

/// How many blocks pass at most between two searches.
const LONGEST_PAUSE: u64 = 255;

/// A search for missed events, from the last block backwards.
pub(super) struct Search {
    /// The last block that hasn't been searched.
    to: u64,
}

/// The searches so far that have found nothing.
#[derive(Default)]
pub(super) struct Vain {
    count: u32,
    /// No other one begins before this block.
    until: u64,
}

impl View {
    /// Searches a few ranges of blocks for missed events, if there are any.
    pub(super) async fn search(&mut self, nodes: &Nodes, head: &Head) -> Result<(), PlayerError> {
        // A node may have told of a block that is yet to come.
        if self.vain.until > head.number.saturating_add(LONGEST_PAUSE) {
            self.vain = Vain::default();
        }
        if let Some(Search { to }) = &mut self.search {
            *to = (*to).min(head.number);
        }
        if self.lacks() == 0 {
            (self.search, self.vain) = (None, Vain::default());
            return Ok(());
        }
        if self.search.is_none() {
            if head.number < self.vain.until {
                return Ok(());
            }
            let (missing, searched) = (self.lacks(), self.vain.count);
            tracing::warn!(missing, searched, "events were missed: reading the last blocks again");
            self.search = Some(Search { to: head.number });
        }
        let (bottom, turn) = (self.bottom(), self.vain.count as usize);
        // A node may have lost them for its index of events, but still have them in the blocks themselves.
        let by_block = turn % 2 == 1;
        let bottom = if by_block { bottom.max(head.number.saturating_sub(MOST_BLOCKS)) } else { bottom };
        for _ in 0..MOST_SEARCHES {
            let Some(Search { to }) = self.search else { break };
            let from = if by_block { to } else { to.saturating_sub(nodes.range(turn / 2) - 1).max(bottom) };
            let (logs, reached) = match by_block {
                true => (nodes.block_logs(self.service, to).await?, to),
                false => nodes.logs(self.service, from, to, turn / 2).await?,
            };
            for log in &logs {
                self.read(log);
            }
            // If the node wanted a smaller range, the next step is one.
            if reached >= to {
                self.search = (from > bottom).then(|| Search { to: from - 1 });
            }
        }
        if self.search.is_none() {
            // Whether something was found shows at the next look.
            let count = self.vain.count.saturating_add(1);
            let pause = (2u64.pow(count.saturating_sub(4).min(8)) - 1).min(LONGEST_PAUSE);
            self.vain = Vain { count, until: head.number.saturating_add(pause) };
        }
        Ok(())
    }

    /// The block before which no missed event can be: requests are made in the order of their numbers.
    pub(super) fn bottom(&self) -> u64 {
        let lowest = self.missing.first().into_iter().chain(self.cases.lacking().first()).min();
        let Some(&lowest) = lowest else { return self.first };
        let before = self.recent.range(..=lowest).next_back();
        before.map_or(self.first, |(_, block)| *block)
    }
}
