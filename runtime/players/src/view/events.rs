//! What the events say has changed, also in a reorganization.

use super::{AGAIN, COMPARED_EVERY, View};
use crate::duty::{challenger_of, game_of};
use crate::player::PlayerError;
use chain::{Event, Head, Log, Nodes};
use contracts::{IDisputeGame, IInferenceService, U256};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// How many queries for new events a look makes at most. The next look goes on.
const MOST_QUERIES: usize = 40;
/// How long it does so. A node may have told of a block that is yet to come: then each query for the blocks before it
/// is answered once the next one is there, and such a look goes on for as long as the chain.
const LONGEST: Duration = Duration::from_secs(4);
/// How many old heads are known.
const MOST_HEADS: usize = 64;
/// How many of the last requests have their blocks known.
const MOST_RECENT: usize = 5_000;

impl View {
    /// Compares an old head with the chain, to find a reorganization that is deeper than what is read again.
    pub(super) async fn compare(&mut self, nodes: &Nodes, head: &Head) -> Result<(), PlayerError> {
        let old = |number: &u64| number.saturating_add(COMPARED_EVERY / 2) <= head.number;
        let numbers: Vec<u64> = self.heads.keys().copied().filter(old).collect();
        for (back, &number) in numbers.iter().rev().enumerate() {
            if nodes.block_hash(number).await? == self.heads.get(&number).copied() {
                if back > 0 {
                    tracing::warn!(
                        block = number,
                        "a deep reorganization: reading all events after this block again"
                    );
                    self.undo(number);
                }
                self.compared = head.number;
                return Ok(());
            }
        }
        if let Some(&oldest) = numbers.first() {
            tracing::warn!(
                block = oldest,
                "a reorganization deeper than all known blocks: reading all events again"
            );
            self.undo(self.first);
        }
        self.compared = head.number;
        Ok(())
    }

    /// Forgets what was read after a block.
    pub(super) fn undo(&mut self, block: u64) {
        self.heads.retain(|number, _| *number <= block);
        self.next = self.next.min(block.saturating_add(1)).max(self.first);
        let undone: Vec<U256> =
            self.recent.iter().filter(|(_, at)| **at > block).map(|(id, _)| *id).collect();
        self.forget(&undone);
        // The state of all others may have changed too.
        let all: Vec<U256> = self.cases.ids(U256::ZERO).collect();
        all.into_iter().for_each(|id| self.touch(id));
    }

    /// Makes requests unknown: their events seem to be gone.
    pub(super) fn forget(&mut self, ids: &[U256]) {
        for id in ids {
            self.recent.remove(id);
            self.others.remove(id);
            if self.cases.contains(*id) {
                self.touch(*id);
            } else if *id < self.unknown {
                // It can't be told from a number that was never given.
                self.missing.insert(*id);
            } else {
                self.known.remove(id);
            }
        }
    }

    /// Whether the last head is an ancestor of this one.
    pub(super) async fn goes_on(&self, nodes: &Nodes, head: &Head) -> bool {
        let Some((&number, &hash)) = self.heads.last_key_value() else { return false };
        match head.number.checked_sub(number) {
            Some(0) => head.hash == hash,
            Some(1) => head.parent == hash,
            Some(_) => nodes.block_hash(number).await.is_ok_and(|found| found == Some(hash)),
            None => false,
        }
    }

    /// Notes the first new events, and reads the others.
    pub(super) async fn follow(
        &mut self,
        nodes: &Nodes,
        head: &Head,
        start: u64,
        mut events: Option<(Vec<Log>, u64)>,
    ) -> Result<(), PlayerError> {
        // Without the first events, all of them are read again.
        let again = events.is_none();
        let (mut from, mut found) = (start, BTreeSet::new());
        let began = Instant::now();
        for _ in 0..MOST_QUERIES {
            if from > head.number || began.elapsed() >= LONGEST {
                break;
            }
            let (logs, to) = match events.take() {
                Some(events) => events,
                None => nodes.logs(self.service, from, head.number, 0).await?,
            };
            for log in &logs {
                found.extend(self.read(log));
            }
            from = to.saturating_add(1);
            self.next = self.next.max(from);
        }
        self.behind = from <= head.number;
        if self.behind {
            // The next look goes on from there.
            return Ok(());
        }
        if again {
            let gone = |(_, block): &(&U256, &u64)| (start..=head.number).contains(*block);
            let gone = self.recent.iter().filter(gone).map(|(id, _)| *id).filter(|id| !found.contains(id));
            let gone: Vec<U256> = gone.collect();
            self.forget(&gone);
            self.heads.retain(|number, _| *number < head.number);
        }
        self.heads.insert(head.number, head.hash);
        self.thin_heads(head.number);
        Ok(())
    }

    /// Keeps the last heads, and of those before one for every few dozen blocks.
    pub(super) fn thin_heads(&mut self, last: u64) {
        let mut spaced: Option<u64> = None;
        self.heads.retain(|&number, _| {
            let keep = number.saturating_add(COMPARED_EVERY) > last
                || spaced.is_none_or(|before| number >= before.saturating_add(AGAIN));
            if keep {
                spaced = Some(number);
            }
            keep
        });
        while self.heads.len() > MOST_HEADS {
            self.heads.pop_first();
        }
    }

    /// Notes what an event says. Returns the ID of a request whose event it is.
    pub(super) fn read(&mut self, log: &Log) -> Option<U256> {
        let block = log.block_number?;
        if let Some(Event { data, .. }) = Event::<IInferenceService::Requested>::of(log) {
            return Some(self.requested(data, block));
        }
        if let Some(Event { data, .. }) = Event::<IDisputeGame::Moved>::of(log) {
            let (request, attempt) = game_of(data.id);
            if let Some(case) = self.cases.get(request) {
                let against_me = case.answer.asserter == self.me && case.answer.attempt == attempt;
                if against_me || challenger_of(data.id) == self.me {
                    self.book.moved(data);
                }
            }
            self.touch(request);
        } else if let Some(Event { data, .. }) = Event::<IInferenceService::Answered>::of(log) {
            self.book.answered(data.id, block);
            // Until its state is read. A game against it may be in the same block.
            self.cases.change(data.id, |case| {
                (case.answer.asserter, case.answer.attempt) = (data.asserter, data.attempt);
            });
            self.touch(data.id);
        } else if let Some(Event { data, .. }) = Event::<IDisputeGame::Won>::of(log) {
            self.touch(game_of(data.id).0);
        } else if let Some(Event { data, .. }) = Event::<IInferenceService::Settled>::of(log) {
            self.touch(data.id);
        } else if let Some(Event { data, .. }) = Event::<IInferenceService::CancelNotice>::of(log) {
            self.touch(data.id);
        } else if let Some(Event { data, .. }) = Event::<IInferenceService::Cancelled>::of(log) {
            self.touch(data.id);
        } else if let Some(Event { data, .. }) = Event::<IInferenceService::Credited>::of(log) {
            self.credited |= data.account == self.me;
        }
        None
    }

    /// Has the state of a request read.
    pub(super) fn touch(&mut self, request: U256) {
        if self.cases.contains(request) {
            self.cases.change(request, |case| case.unread = true);
            self.changed.insert(request);
        }
    }

    pub(super) fn requested(&mut self, event: IInferenceService::Requested, block: u64) -> U256 {
        let id = event.id;
        self.recent.insert(id, block);
        while self.recent.len() > MOST_RECENT {
            self.recent.pop_first();
        }
        if self.book.keeps(event.request.model) {
            if self.book.requested(event) {
                self.cases.add(id);
                self.touch(id);
                self.missing.remove(&id);
            }
        } else if id >= self.unknown && !self.known.contains(&id) || self.missing.contains(&id) {
            // It counts as known once the contract has it too.
            self.others.insert(id, contracts::request_hash(id, &event.request));
        }
        id
    }

    /// Notes that a request is known.
    pub(super) fn know(&mut self, id: U256) {
        self.missing.remove(&id);
        self.others.remove(&id);
        if id >= self.unknown {
            self.known.insert(id);
        }
        while self.known.remove(&self.unknown) {
            self.unknown += U256::ONE;
        }
    }
}
