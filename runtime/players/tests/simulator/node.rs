//! Nodes of the simulated chain, and all that can be wrong with one.

use super::cast::last_time;
use super::chain::{self, CHAIN_ID, Chain};
use ::chain::{At, Head, Log, NodeError, Question, Reply};
use contracts::{Address, B256, U256};
use evm::chain::{ChainError, Outcome};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Random numbers (splitmix64).
#[derive(Debug, Clone, Copy)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What is wrong with a node. Times are seconds since the start.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// So many of a hundred queries fail; only those whose name contains the text.
    pub errors: u64,
    pub errors_in: &'static str,
    /// How long every answer takes.
    pub latency: Duration,
    /// So many of a hundred queries are never answered.
    pub hangs: u64,
    /// The most queries per second.
    pub rate: Option<u32>,
    /// The most blocks in a query for events.
    pub range: Option<u64>,
    /// When there are no events.
    pub no_events: Option<Range<u64>>,
    /// How many blocks late events are.
    pub late_events: u64,
    /// Every event is given twice.
    pub twice: bool,
    /// When nonces are too high, and by how much.
    pub nonces: Option<(Range<u64>, u64)>,
    /// When estimates are this.
    pub estimates: Option<(Range<u64>, u64)>,
    /// When there are no estimates.
    pub no_estimates: Option<Range<u64>>,
    /// When the head stands still.
    pub still: Option<Range<u64>>,
    /// When the head is said to be a block that is yet to come, and the blocks until then are said to be empty.
    pub absurd: Option<Range<u64>>,
    /// When nothing works.
    pub away: Option<Range<u64>>,
    /// The state of a block is not known, except the last one's.
    pub pruned: bool,
    /// It accepts transactions and forgets so many of a hundred.
    pub forgets: u64,
}

/// What is sent, as a check of what players do.
pub type Sent = Arc<Mutex<Vec<(Address, Vec<u8>)>>>;

pub struct SimNode {
    pub name: String,
    pub faults: Faults,
    pub start: Instant,
    pub random: Mutex<Random>,
    /// How often each kind of query was made.
    pub calls: Arc<Mutex<HashMap<&'static str, u64>>>,
    pub sent: Sent,
    /// When the last queries were made.
    pub recent: Mutex<Vec<Instant>>,
    /// The block at which the head stands still.
    pub frozen: Mutex<Option<u64>>,
    /// Whether its player waits with everything until the last moment.
    pub late: Option<Late>,
}

/// How somebody is late.
#[derive(Debug, Clone, Copy)]
pub struct Late {
    /// The seconds between two blocks.
    pub block: u64,
}

fn failed(question: &Question, reason: &str) -> NodeError {
    NodeError::Transport { what: question.what(), reason: reason.to_owned() }
}

fn refused(question: &Question, reason: &str) -> NodeError {
    NodeError::Refused { what: question.what(), reason: reason.to_owned() }
}

fn kind(question: &Question) -> &'static str {
    match question {
        Question::Chain => "chain",
        Question::Head => "head",
        Question::Block(_) => "block",
        Question::Call { .. } => "call",
        Question::Logs { .. } => "logs",
        Question::BlockLogs { .. } => "receipts of a block",
        Question::Nonce(_) => "nonce",
        Question::Balance(_) => "balance",
        Question::HasCode(_) => "code",
        Question::Tip => "tip",
        Question::Estimate { .. } => "estimate",
        Question::Send(_) => "send",
        Question::Knows(_) => "transaction",
        Question::Receipt(_) => "receipt",
        Question::Other { .. } => "other",
    }
}

impl SimNode {
    fn now(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    fn head(&self, chain: &Chain, faults: &Faults) -> Head {
        let mut frozen = self.frozen.lock().expect("a lock");
        if faults.still.as_ref().is_some_and(|still| still.contains(&self.now())) {
            let number = *frozen.get_or_insert(chain.head().number);
            return chain.block(number).unwrap_or(chain.head()).head();
        }
        *frozen = None;
        chain.head().head()
    }

    pub async fn ask(&self, question: Question) -> Result<Reply, NodeError> {
        let faults = &self.faults;
        let kind = kind(&question);
        *self.calls.lock().expect("a lock").entry(kind).or_default() += 1;
        if !faults.latency.is_zero() {
            tokio::time::sleep(faults.latency).await;
        }
        let (fails, hangs, forgets) = {
            let mut random = self.random.lock().expect("a lock");
            let concerned = kind.contains(faults.errors_in);
            (
                concerned && random.chance(faults.errors),
                random.chance(faults.hangs),
                random.chance(faults.forgets),
            )
        };
        if hangs {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        let during =
            |range: &Option<Range<u64>>| range.as_ref().is_some_and(|range| range.contains(&self.now()));
        if during(&faults.away) {
            return Err(failed(&question, "connection refused"));
        }
        if fails {
            return Err(failed(&question, "HTTP status 502"));
        }
        if let Some(rate) = faults.rate {
            let mut recent = self.recent.lock().expect("a lock");
            recent.retain(|at| at.elapsed() < Duration::from_secs(1));
            if recent.len() >= rate as usize {
                return Err(failed(&question, "HTTP status 429"));
            }
            recent.push(Instant::now());
        }
        chain::with(|chain| self.tell(chain, faults, question, forgets))
    }

    /// The answer of a node that is well enough to give one.
    fn tell(
        &self,
        chain: &mut Chain,
        faults: &Faults,
        question: Question,
        forgets: bool,
    ) -> Result<Reply, NodeError> {
        let during =
            |range: &Option<Range<u64>>| range.as_ref().is_some_and(|range| range.contains(&self.now()));
        let head = self.head(chain, faults);
        Ok(match &question {
            Question::Chain => Reply::Number(CHAIN_ID),
            Question::Head if during(&faults.absurd) => Reply::Head(Head {
                number: head.number + 1000,
                hash: B256::repeat_byte(0xab),
                parent: Default::default(),
                time: u64::MAX,
                base_fee: u128::MAX,
            }),
            Question::Head => Reply::Head(head),
            Question::Block(number) => Reply::Hash(chain.block(*number).map(|block| block.hash)),
            Question::Call { to, data, at } => {
                let number = match at {
                    At::Latest => head.number,
                    At::Hash(hash) => {
                        let found = chain.blocks.iter().rev().find(|block| block.hash == *hash);
                        let number = found.map(|block| block.number);
                        let known = |number: u64| number <= head.number && head.number <= number + 128;
                        let pruned = faults.pruned || !number.is_some_and(known);
                        number.filter(|_| !pruned).ok_or_else(|| refused(&question, "missing trie node"))?
                    }
                };
                let (to, data) = (*to, data.clone());
                Reply::Bytes(chain.view(number, to, &data).map_err(|error| reverted(&question, &error))?)
            }
            Question::Logs { address, from, to } => {
                if faults.range.is_some_and(|most| to.saturating_sub(*from) + 1 > most)
                    || (*to > head.number && !during(&faults.absurd))
                {
                    return Err(refused(&question, "block range is too large"));
                }
                let late = head.number.saturating_sub(faults.late_events);
                let end = (*to.min(&late) + 1).min(chain.blocks.len() as u64);
                let blocks = &chain.blocks[(*from).min(end) as usize..end as usize];
                let logs = blocks
                    .iter()
                    .flat_map(|block| block.logs.clone())
                    .filter(|log| log.address() == *address);
                let mut logs: Vec<Log> = logs.collect();
                if during(&faults.no_events) {
                    logs.clear();
                }
                if faults.twice {
                    logs.extend(logs.clone());
                }
                Reply::Logs(logs)
            }
            Question::BlockLogs { address, block } => {
                let block = chain.block(*block).ok_or(NodeError::Missing("receipts of the block"))?;
                Reply::Logs(block.logs.iter().filter(|log| log.address() == *address).cloned().collect())
            }
            Question::Nonce(account) => {
                let more = faults.nonces.as_ref().filter(|(when, _)| when.contains(&self.now()));
                Reply::Number(chain.nonce(*account) + more.map_or(0, |(_, more)| *more))
            }
            Question::Balance(account) => Reply::Wei(chain.balance(*account)),
            Question::HasCode(_) => Reply::Truth(true),
            Question::Tip => Reply::Wei(U256::from(2_000_000_000u64)),
            Question::Estimate { from, to, data, value } => {
                if during(&faults.no_estimates) {
                    return Err(failed(&question, "HTTP status 500"));
                }
                if let Some((_, gas)) =
                    faults.estimates.as_ref().filter(|(when, _)| when.contains(&self.now()))
                {
                    return Ok(Reply::Number(*gas));
                }
                let (outcome, gas) =
                    chain.estimate(*from, *to, data, *value).map_err(|error| reverted(&question, &error))?;
                match outcome {
                    Outcome::Success { .. } => Reply::Number(gas),
                    Outcome::Revert(data) => return Err(reverted(&question, &ChainError::Reverted { data })),
                    Outcome::Halt(reason) => return Err(refused(&question, &reason)),
                }
            }
            Question::Send(raw) => {
                let sending = chain.take(raw).map_err(|reason| refused(&question, reason))?;
                self.sent.lock().expect("a lock").push((sending.from, sending.data.to_vec()));
                if let Some(Late { block }) = self.late
                    && let Some(last) = last_time(chain, &sending.data)
                    && let Some(waiting) = chain.pool.get_mut(&(sending.from, sending.nonce))
                {
                    waiting.not_before = last + 1 - block;
                }
                if forgets {
                    chain.pool.remove(&(sending.from, sending.nonce));
                }
                Reply::Done
            }
            Question::Knows(hash) => Reply::Truth(chain.knows(*hash)),
            Question::Receipt(hash) => Reply::Receipt(chain.receipt(*hash).cloned().map(Box::new)),
            Question::Other { .. } => return Err(refused(&question, "method not found")),
        })
    }
}

fn reverted(question: &Question, error: &ChainError) -> NodeError {
    let what = question.what();
    match error {
        ChainError::Reverted { data } => NodeError::Reverted { what, name: contracts::error_name(data) },
        other => NodeError::Refused { what, reason: other.to_string() },
    }
}
