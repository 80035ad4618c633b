//! What an account's transactions to the service cost: from their receipts.
//!
//! Events lead to most of them. Those without an event are found by their nonces: reverted ones, and those that took back
//! a bond. Their blocks are found by bisection, for which a node must know the account's nonce in old blocks.

use crate::failure::Failure;
use crate::network::Session;
use chain::{Head, NodeError};
use contracts::{Address, B256, Bytes, IDisputeGame, IInferenceService, SolCall, U256};
use players::game_of;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use tokio::task::JoinSet;

/// How many transactions are asked for at once.
const AT_ONCE: usize = 16;
/// How many transactions without an event are searched for at most.
const MOST_SEARCHED: usize = 200;

/// A mined transaction of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    nonce: u64,
    block: u64,
    /// What it cost in all, in wei; `None` if it didn't go to the service.
    pub cost: Option<U256>,
    /// The request that it was about.
    pub request: Option<U256>,
}

/// The transactions of an account.
pub struct Spending {
    pub sent: Vec<Sent>,
    /// How many transactions since the first one were not found.
    pub unseen: u64,
}

/// The transactions of an account: those of these hashes, and all between and after them.
pub async fn spending(
    session: &Session,
    head: &Head,
    account: Address,
    hashes: BTreeMap<B256, Option<U256>>,
) -> Result<Spending, Failure> {
    let mut sent = Vec::new();
    let known: HashSet<B256> = hashes.keys().copied().collect();
    let mut tasks = JoinSet::new();
    let mut hashes = hashes.into_iter();
    loop {
        while tasks.len() < AT_ONCE
            && let Some((hash, request)) = hashes.next()
        {
            let (node, service) = (session.node.clone(), session.deployment.service);
            tasks.spawn(async move { transaction(&node, service, account, hash, request).await });
        }
        let Some(found) = tasks.join_next().await else { break };
        sent.extend(found.map_err(Failure::from_error)?.map_err(Failure::from_error)?);
    }
    in_order(&mut sent);
    let Some(first) = sent.first().map(|sent| sent.nonce) else { return Ok(Spending { sent, unseen: 0 }) };
    let count = session.node.nonce(account).await.map_err(Failure::from_error)?;
    let search = Search { session, account, known, head: head.number };
    search.between(&mut sent, count).await;
    in_order(&mut sent);
    let unseen = count.saturating_sub(first).saturating_sub(sent.len() as u64);
    Ok(Spending { sent, unseen })
}

/// Sorts transactions. One that was found twice is kept once.
fn in_order(sent: &mut Vec<Sent>) {
    sent.sort_by_key(|sent| sent.nonce);
    sent.dedup_by_key(|sent| sent.nonce);
}

/// A transaction, if this account sent it.
async fn transaction(
    node: &chain::Nodes,
    service: Address,
    account: Address,
    hash: B256,
    request: Option<U256>,
) -> Result<Option<Sent>, NodeError> {
    let asked = node.raw("eth_getTransactionByHash", json!([hash])).await?;
    if address(&asked["from"]) != Some(account) {
        return Ok(None);
    }
    let receipt = node.raw("eth_getTransactionReceipt", json!([hash])).await?;
    let (Some(nonce), Some(block)) = (number(&asked["nonce"]), number(&receipt["blockNumber"])) else {
        return Err(NodeError::Missing("receipt of a transaction whose events it has"));
    };
    let cost = (address(&asked["to"]) == Some(service)).then(|| cost(&receipt));
    Ok(Some(Sent { nonce, block, cost, request: request.or_else(|| request_of(&asked["input"])) }))
}

/// What a transaction cost. On some layers 2, its data has a price of its own.
fn cost(receipt: &Value) -> U256 {
    let amount = |name: &str| quantity(&receipt[name]).unwrap_or_default();
    amount("gasUsed").saturating_mul(amount("effectiveGasPrice")).saturating_add(amount("l1Fee"))
}

/// The request that a call of the service is about; `None` if the call doesn't say.
fn request_of(input: &Value) -> Option<U256> {
    let data: Bytes = input.as_str()?.parse().ok()?;
    let (selector, rest) = data.split_first_chunk::<4>()?;
    let id = U256::from_be_slice(rest.get(..32)?);
    let of_requests = [
        IInferenceService::answerCall::SELECTOR,
        IInferenceService::challengeCall::SELECTOR,
        IInferenceService::settleCall::SELECTOR,
        IInferenceService::redeliverCall::SELECTOR,
        IInferenceService::cancelCall::SELECTOR,
    ];
    let of_games = [
        IDisputeGame::dissectCall::SELECTOR,
        IDisputeGame::enterCall::SELECTOR,
        IDisputeGame::proveVoidCall::SELECTOR,
        IDisputeGame::proveCall::SELECTOR,
        IDisputeGame::timeoutCall::SELECTOR,
        IInferenceService::reclaimCall::SELECTOR,
    ];
    match selector {
        selector if of_requests.contains(selector) => Some(id),
        selector if of_games.contains(selector) => Some(game_of(id).0),
        _ => None,
    }
}

/// A search for transactions without events.
struct Search<'a> {
    session: &'a Session,
    account: Address,
    /// The transactions that were asked for already.
    known: HashSet<B256>,
    head: u64,
}

impl Search<'_> {
    /// Adds what is missing between and after these transactions, of which there are `count` in all. A node that
    /// doesn't know old states can't say where they are; they stay unseen then.
    async fn between(&self, sent: &mut Vec<Sent>, count: u64) {
        let places = sent.iter().map(|sent| (sent.nonce, sent.block));
        let places: Vec<(u64, u64)> = places.chain([(count, self.head)]).collect();
        for pair in places.windows(2) {
            let &[(before, mut from), (end, to)] = pair else { continue };
            let mut next = before.saturating_add(1);
            while next < end {
                if sent.len().saturating_sub(places.len()) >= MOST_SEARCHED {
                    return;
                }
                let Ok(Some((block, reached))) = self.block_of(next, from, to).await else { return };
                let Ok(found) = self.in_block(block).await else { return };
                sent.extend(found);
                (from, next) = (block, reached);
            }
        }
    }

    /// The block with the transaction of this nonce, among these, and the nonce after that block.
    async fn block_of(&self, nonce: u64, from: u64, to: u64) -> Result<Option<(u64, u64)>, NodeError> {
        let (mut low, mut high, mut reached) = (from, to, self.count(to).await?);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.count(middle).await? {
                count if count > nonce => (high, reached) = (middle, count),
                _ => low = middle + 1,
            }
        }
        Ok((reached > nonce).then_some((high, reached)))
    }

    /// How many transactions the account had sent by the end of a block.
    async fn count(&self, block: u64) -> Result<u64, NodeError> {
        let params = json!([self.account, format!("{block:#x}")]);
        let count = self.session.node.raw("eth_getTransactionCount", params).await?;
        number(&count).ok_or(NodeError::Missing("nonce of an old block"))
    }

    /// The account's transactions in a block that aren't known yet.
    async fn in_block(&self, block: u64) -> Result<Vec<Sent>, NodeError> {
        let (node, service) = (&self.session.node, self.session.deployment.service);
        let receipts = node.raw("eth_getBlockReceipts", json!([format!("{block:#x}")])).await?;
        let its = receipts
            .as_array()
            .into_iter()
            .flatten()
            .filter(|receipt| address(&receipt["from"]) == Some(self.account));
        let hashes = its.filter_map(|receipt| receipt["transactionHash"].as_str()?.parse::<B256>().ok());
        let mut sent = Vec::new();
        for hash in hashes.filter(|hash| !self.known.contains(hash)) {
            sent.extend(transaction(node, service, self.account, hash, None).await?);
        }
        Ok(sent)
    }
}

fn quantity(value: &Value) -> Option<U256> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    U256::from_str_radix(digits, 16).ok().filter(|_| !digits.is_empty())
}

fn number(value: &Value) -> Option<u64> {
    quantity(value)?.try_into().ok()
}

fn address(value: &Value) -> Option<Address> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::Game;

    #[test]
    fn a_receipt_tells_the_cost_whatever_it_says() {
        let receipt = |gas: &str, price: &str, more: Value| {
            cost(&json!({ "gasUsed": gas, "effectiveGasPrice": price, "l1Fee": more }))
        };
        assert_eq!(receipt("0x5208", "0x3b9aca00", Value::Null), U256::from(21_000_000_000_000u64));
        assert_eq!(receipt("0x2", "0x3", json!("0x4")), U256::from(10));
        let most = format!("{:#x}", U256::MAX);
        assert_eq!(receipt(&most, &most, json!(most)), U256::MAX);
        assert_eq!(receipt("gas", "", json!({})), U256::ZERO);
        for odd in [json!(7), json!("0x1ffffffffffffffff"), json!(""), Value::Null] {
            assert_eq!(number(&odd), None, "{odd}");
        }
    }

    #[test]
    fn a_call_tells_its_request() {
        let hex = |data: Vec<u8>| json!(Bytes::from(data).to_string());
        let (id, game) = (U256::from(7), Game { subject: B256::ZERO, position: U256::ZERO });
        let its_game = players::game_id(id, 3, Address::repeat_byte(9));
        let reclaim = IInferenceService::reclaimCall { id: its_game, game: game.clone(), claims: B256::ZERO };
        let timeout = IDisputeGame::timeoutCall { id: its_game, game, claims: B256::ZERO };
        for data in [reclaim.abi_encode(), timeout.abi_encode()] {
            assert_eq!(request_of(&hex(data)), Some(id));
        }
        assert_eq!(request_of(&hex(IInferenceService::withdrawCall {}.abi_encode())), None);
        for odd in [json!("0x"), json!("0x12345678"), json!("no"), json!(1)] {
            assert_eq!(request_of(&odd), None, "{odd}");
        }
    }
}
