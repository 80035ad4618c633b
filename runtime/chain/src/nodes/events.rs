//! Events, from ranges of blocks that are as large as a node takes.

use super::{Member, Nodes, PAUSE, ROUNDS};
use crate::node::NodeError;
use crate::question::{Question, Reply};
use alloy::primitives::{Address, B256};
use alloy::rpc::types::Log;
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use tokio::time::sleep;

/// After so many queries of the largest range that a node allows, a larger one is tried.
const GROWS_AFTER: u32 = 200;

/// How many blocks a node's queries for events may cover.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    blocks: u64,
    /// The most that is ever asked for.
    most: u64,
    /// How many queries were answered since `blocks` last changed.
    answered: u32,
}

impl Range {
    /// For all events of a contract.
    pub(super) fn of_all() -> Self {
        Self { blocks: 2_000, most: 2_000, answered: 0 }
    }

    /// For those that a node finds by an index: they are few, however many others there are.
    pub(super) fn of_some() -> Self {
        Self { blocks: 100_000, most: 100_000, answered: 0 }
    }

    fn shrink(&mut self, blocks: u64) {
        (self.blocks, self.answered) = (blocks.max(1), 0);
    }

    /// Notes that a query of so many blocks was answered.
    fn answered(&mut self, blocks: u64) {
        self.answered = self.answered.saturating_add(1);
        if self.answered >= GROWS_AFTER && blocks == self.blocks && blocks < self.most {
            (self.blocks, self.answered) = (self.blocks.saturating_mul(2).min(self.most), 0);
        }
    }
}

/// Which events of a contract are asked for. What is empty may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topics {
    /// The hashes of their signatures.
    pub kinds: Vec<B256>,
    /// Their first indexed field.
    pub about: Vec<B256>,
}

impl Topics {
    fn json(&self) -> Value {
        let any = |topics: &[B256]| if topics.is_empty() { Value::Null } else { json!(topics) };
        json!([any(&self.kinds), any(&self.about)])
    }

    fn are_of(&self, log: &Log) -> bool {
        let fits = |wanted: &[B256], at| {
            wanted.is_empty() || log.topics().get(at).is_some_and(|topic| wanted.contains(topic))
        };
        fits(&self.kinds, 0) && fits(&self.about, 1)
    }
}

/// Blocks whose events are wanted, from one end on.
struct Search<'a> {
    address: Address,
    /// Only these.
    topics: Option<&'a Topics>,
    from: u64,
    to: u64,
    /// Whether the last blocks come first.
    backwards: bool,
}

impl Search<'_> {
    /// The first blocks to look at.
    fn first(&self, blocks: u64) -> RangeInclusive<u64> {
        let more = blocks.max(1) - 1;
        match self.backwards {
            true => self.to.saturating_sub(more).max(self.from)..=self.to,
            false => self.from..=self.from.saturating_add(more).min(self.to),
        }
    }

    fn question(&self, blocks: &RangeInclusive<u64>) -> Question {
        let (address, from, to) = (self.address, *blocks.start(), *blocks.end());
        let Some(topics) = self.topics else { return Question::Logs { address, from, to } };
        // Only commands ask for these, as for a few other things that players don't need.
        let (from, to) = (format!("{from:#x}"), format!("{to:#x}"));
        let filter = json!({ "address": address, "fromBlock": from, "toBlock": to, "topics": topics.json() });
        Question::Other { method: "eth_getLogs", params: json!([filter]) }
    }

    /// The events of a reply, if they are what was asked for.
    fn events(&self, blocks: &RangeInclusive<u64>, reply: Reply) -> Result<Vec<Log>, NodeError> {
        let logs: Vec<Log> = match reply {
            Reply::Logs(logs) => logs,
            Reply::Json(value) => serde_json::from_value(value).map_err(|error| NodeError::Transport {
                what: format!("get the events of blocks {} to {}", blocks.start(), blocks.end()),
                reason: error.to_string(),
            })?,
            _ => return Err(NodeError::Missing("events")),
        };
        let is_its = |log: &Log| {
            log.address() == self.address
                && log.block_number.is_some_and(|block| blocks.contains(&block))
                && self.topics.is_none_or(|topics| topics.are_of(log))
        };
        if !logs.iter().all(is_its) {
            return Err(NodeError::Missing("events of these blocks: it gives others"));
        }
        Ok(logs.into_iter().filter(|log| !log.removed).collect())
    }
}

impl Member {
    fn range(&self, search: &Search<'_>) -> Range {
        self.health().ranges[usize::from(search.topics.is_some())]
    }

    fn set_range(&self, search: &Search<'_>, set: impl FnOnce(&mut Range)) {
        set(&mut self.health().ranges[usize::from(search.topics.is_some())]);
    }
}

impl Nodes {
    /// The events of a contract in the blocks from `from` on, up to `to` or as far as a node looks at once, and
    /// the last block that was looked at. With another `turn`, another node is asked first.
    pub async fn logs(
        &self,
        address: Address,
        from: u64,
        to: u64,
        turn: usize,
    ) -> Result<(Vec<Log>, u64), NodeError> {
        let search = Search { address, topics: None, from, to, backwards: false };
        let (logs, blocks) = self.search(&search, turn).await?;
        Ok((logs, *blocks.end()))
    }

    /// Some of the events of a contract in the blocks from `from` on, likewise.
    pub async fn some_logs(
        &self,
        address: Address,
        topics: &Topics,
        from: u64,
        to: u64,
    ) -> Result<(Vec<Log>, u64), NodeError> {
        let search = Search { address, topics: Some(topics), from, to, backwards: false };
        let (logs, blocks) = self.search(&search, 0).await?;
        Ok((logs, *blocks.end()))
    }

    /// The same from `to` on backwards, and the first block that was looked at.
    pub async fn last_logs(
        &self,
        address: Address,
        topics: &Topics,
        from: u64,
        to: u64,
    ) -> Result<(Vec<Log>, u64), NodeError> {
        let search = Search { address, topics: Some(topics), from, to, backwards: true };
        let (logs, blocks) = self.search(&search, 0).await?;
        Ok((logs, *blocks.start()))
    }

    /// How many blocks the node looks at that [`Self::logs`] asks first.
    #[must_use]
    pub fn range(&self, turn: usize) -> u64 {
        let members = self.in_order();
        let first = members.get(turn % members.len().max(1));
        first.map_or(Range::of_all().blocks, |member| member.health().ranges[0].blocks)
    }

    /// The events of a contract in one block, from the receipts of its transactions: a node's index of events may
    /// lag behind.
    pub async fn block_logs(&self, address: Address, block: u64) -> Result<Vec<Log>, NodeError> {
        match self.ask(&Question::BlockLogs { address, block }).await?.1 {
            Reply::Logs(logs) => {
                let is_in = |log: &Log| log.address() == address && log.block_number == Some(block);
                Ok(logs.into_iter().filter(is_in).collect())
            }
            _ => Err(NodeError::Missing("receipts of the block")),
        }
    }

    /// Asks one node after the other, several times.
    async fn search(
        &self,
        search: &Search<'_>,
        turn: usize,
    ) -> Result<(Vec<Log>, RangeInclusive<u64>), NodeError> {
        let mut failure = NodeError::Missing("events");
        for round in 0..ROUNDS {
            let mut members = self.in_order();
            let places = members.len().max(1);
            members.rotate_left(turn % places);
            for member in members {
                match self.search_one(member, search).await {
                    Ok(found) => return Ok(found),
                    Err(error) => failure = error,
                }
            }
            if matches!(failure, NodeError::OtherChain { .. }) {
                break;
            }
            if round + 1 < ROUNDS {
                sleep(PAUSE * 2u32.pow(round)).await;
            }
        }
        Err(failure)
    }

    /// Asks one node. What it refuses is asked of it in smaller ranges, now and later.
    async fn search_one(
        &self,
        member: &Member,
        search: &Search<'_>,
    ) -> Result<(Vec<Log>, RangeInclusive<u64>), NodeError> {
        loop {
            let blocks = search.first(member.range(search).blocks);
            let asked = (blocks.end().saturating_sub(*blocks.start())).saturating_add(1);
            let error = match self.ask_one(member, search.question(&blocks)).await {
                Ok(reply) => {
                    let logs = search.events(&blocks, reply)?;
                    member.set_range(search, |range| range.answered(asked));
                    return Ok((logs, blocks));
                }
                Err(error) => error,
            };
            // A range that is too large is refused, or takes too long, or gives too long an answer.
            match &error {
                NodeError::Refused { .. } if asked > 1 => {
                    member.set_range(search, |range| range.shrink(asked / 2));
                    tracing::debug!(
                        node = member.node.name(),
                        blocks = asked / 2,
                        "a node wants smaller ranges"
                    );
                }
                NodeError::Transport { .. } if asked > 16 => {
                    member.set_range(search, |range| range.shrink(asked / 4));
                    return Err(error);
                }
                _ => return Err(error),
            }
        }
    }
}
