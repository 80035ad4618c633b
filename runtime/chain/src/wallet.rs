//! The transactions of one key. Each is kept until it is mined and buried under more blocks.
//!
//! A transaction is written to the store before it is sent, so a crash never makes the wallet forget a nonce
//! that it used. Every [`Act`] has a name. While a transaction of that name is in flight, the act is not sent
//! again.

mod account;

use crate::act::{Act, MOST_BYTES, MOST_GAS, Mined, WalletError};
use crate::amount::Ether;
use crate::doubt::Doubt;
use crate::fees::{Bid, Fees, GWEI, bid, raise};
use crate::node::NodeError;
use crate::nodes::Nodes;
use crate::question::{Head, Receipt, Sent};
use crate::store::{Store, StoreError, encode};
use account::{Account, Known};
use alloy::consensus::{SignableTransaction as _, TxEip1559};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::network::TxSignerSync as _;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy::signers::local::PrivateKeySigner;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How many blocks must follow a transaction's block before the wallet forgets it.
const BURIED: u64 = 64;
/// How many seconds of chain time a transaction waits before its fees are raised.
const PATIENCE: u64 = 24;
/// A transaction in flight.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pending {
    act: Act,
    gas: u64,
    bid: Bid,
    /// The hashes of all versions; the last one is current.
    hashes: Vec<B256>,
    /// The current version, signed.
    raw: Bytes,
    /// When the first version was sent.
    begun: u64,
    /// When the current version was sent.
    sent: u64,
    /// The block that it was mined in.
    mined: Option<u64>,
    /// Whether every node refused the current version.
    #[serde(default)]
    refused: bool,
    /// Whether this process has passed it on. After a restart, a node may have lost it.
    #[serde(skip)]
    passed_on: bool,
    /// Since when its nonce seems to be used, though no version of it was mined.
    #[serde(skip)]
    lost: Option<Doubt>,
}

impl Pending {
    /// The seconds from a time to its deadline. `None` once that has passed: a transaction that is too late
    /// isn't urgent.
    fn left(&self, from: u64) -> Option<u64> {
        self.act.deadline.and_then(|deadline| deadline.checked_sub(from)).filter(|&left| left > 0)
    }
}

/// A key and its transactions in flight.
#[derive(Debug)]
pub struct Wallet {
    signer: PrivateKeySigner,
    node: Nodes,
    store: Arc<Store>,
    fees: Fees,
    pending: BTreeMap<u64, Pending>,
    /// Of acts that were reverted: how much gas they get next time at least, if they had too little, and the block
    /// at which that was seen.
    thirsty: HashMap<String, (u64, u64)>,
    /// Nonces below the first waiting one that nobody has used, and since when. A single such answer may be wrong.
    gap: Option<Doubt>,
    /// What is known of the account.
    known: Option<Account>,
    /// As of when everything that was mined still is.
    still_mined: Option<Known>,
    /// The nonces of what is to be sent.
    unsent: BTreeSet<u64>,
}

/// What has become of a transaction.
enum Fact {
    /// Its nonce is used, by this version or by an unknown one.
    Mined(Option<(B256, Sent)>),
    /// It waits; whether a node has it.
    Waits { known: bool },
}

impl Wallet {
    /// The wallet of a key, with the transactions that the store has in flight.
    pub fn open(
        signer: PrivateKeySigner,
        node: Nodes,
        store: Arc<Store>,
        fees: Fees,
    ) -> Result<Self, WalletError> {
        let parsed = |(name, pending): (String, Pending)| {
            let nonce = name.rsplit('/').next().and_then(|nonce| nonce.parse().ok());
            let reason = "its name does not end with a nonce".to_owned();
            Ok((nonce.ok_or(StoreError::Entry { name, reason })?, pending))
        };
        let pending = store.scan(PREFIX)?.into_iter().map(parsed).collect::<Result<_, StoreError>>()?;
        Ok(Self {
            signer,
            node,
            store,
            fees,
            pending,
            thirsty: HashMap::new(),
            gap: None,
            known: None,
            still_mined: None,
            unsent: BTreeSet::new(),
        })
    }

    /// The same key with an empty store in memory, for use once nothing is in flight any more.
    pub fn fresh(&self) -> Result<Self, WalletError> {
        let store = Arc::new(Store::in_memory()?);
        Self::open(self.signer.clone(), self.node.clone(), store, self.fees)
    }

    /// The account.
    #[must_use]
    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// Whether an act whose name begins with `prefix` is in flight, or mined and not yet buried.
    #[must_use]
    pub fn has(&self, prefix: &str) -> bool {
        self.pending.values().any(|pending| pending.act.name.starts_with(prefix))
    }

    /// The number of transactions that aren't mined yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pending.values().filter(|pending| pending.mined.is_none()).count()
    }

    /// How many transactions, and acts that were reverted, are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.pending.len() + self.thirsty.len()
    }

    /// Whether something with a deadline isn't mined yet.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.pending.values().any(|pending| pending.mined.is_none() && pending.act.deadline.is_some())
    }

    /// What everything that isn't mined yet may cost, in wei.
    #[must_use]
    pub fn committed(&self) -> U256 {
        let waiting = self.pending.values().filter(|pending| pending.mined.is_none());
        waiting
            .map(|pending| cost(&pending.act, pending.gas, pending.bid))
            .fold(U256::ZERO, U256::saturating_add)
    }

    /// Signs an act and sends it, unless it is in flight. An act that the contract would refuse is not sent.
    pub async fn submit(&mut self, act: Act, head: &Head) -> Result<(), WalletError> {
        self.prepare(act, head).await?;
        self.flush().await
    }

    /// The same, but it is only sent with the next [`Self::flush`].
    pub async fn prepare(&mut self, act: Act, head: &Head) -> Result<(), WalletError> {
        if self.is_in_flight(&act.name).await? {
            return Ok(());
        }
        let account = self.address();
        let standing = self.standing(act.value, head).await?;
        let funds = |about, needed| WalletError::Funds { about, account, needed, balance: standing.balance };
        // Nodes report this in many ways, so it is checked before they are asked.
        if standing.balance < act.value {
            return Err(funds(act.about, act.value));
        }
        let available = standing.balance.saturating_sub(self.committed());
        let bid_for = |gas| bid(&standing.fees, head.base_fee, gas, act.stake, false);
        // A move in a game needs no estimate, which would be another round trip: it was found from the state that
        // it is made in, and what it needs at most is known. One that was reverted all the same is asked for.
        let is_move = act.gas > 0 && act.deadline.is_some() && act.value.is_zero();
        let affordable = cost(&act, act.gas, bid_for(act.gas)) <= available;
        let gas = match is_move && affordable && !self.thirsty.contains_key(&act.name) {
            true => act.gas.min(MOST_GAS),
            false => self.gas(&act).await?,
        };
        let bid = bid_for(gas);
        let standing = self.standing(cost(&act, gas, bid), head).await?;
        let nonce = self.next_nonce(standing.count);
        let (hash, raw) = self.sign(&act, nonce, gas, bid)?;
        // A transaction that no node would accept must not get a nonce: everything after it would wait for
        // ever.
        if raw.len() > MOST_BYTES {
            return Err(WalletError::Size { about: act.about, bytes: raw.len() });
        }
        let needed = self.committed().saturating_add(cost(&act, gas, bid));
        if standing.balance < needed {
            return Err(funds(act.about, needed));
        }
        let (eth, gwei) = (Ether(act.value), gwei(bid.max_fee));
        tracing::info!(act = act.about, nonce, %eth, gas, gwei, transaction = %hash, "sending a transaction");
        let (begun, sent, hashes) = (head.time, head.time, vec![hash]);
        let new = Pending {
            act,
            gas,
            bid,
            hashes,
            raw,
            begun,
            sent,
            mined: None,
            refused: false,
            passed_on: false,
            lost: None,
        };
        self.keep(nonce, new)?;
        self.unsent.insert(nonce);
        Ok(())
    }

    fn next_nonce(&self, mined: u64) -> u64 {
        self.pending.last_key_value().map_or(mined, |(last, _)| mined.max(last.saturating_add(1)))
    }

    /// Sends what was prepared, all of it at once.
    pub async fn flush(&mut self) -> Result<(), WalletError> {
        let nonces: Vec<u64> = std::mem::take(&mut self.unsent).into_iter().collect();
        let raws = nonces.iter().filter_map(|nonce| Some((*nonce, self.pending.get(nonce)?.raw.clone())));
        let raws: Vec<(u64, Bytes)> = raws.collect();
        let sent = raws.iter().map(|(_, raw)| self.node.send(raw));
        let done = join_all(sent).await;
        let mut failure = None;
        for ((nonce, _), done) in raws.iter().zip(done) {
            let Some(pending) = self.pending.get_mut(nonce) else { continue };
            (pending.refused, pending.passed_on) = (false, true);
            match done {
                Ok(()) => {}
                // Some nodes say this of what they have.
                Err(NodeError::Refused { reason, .. }) if reason.to_lowercase().contains("already known") => {
                }
                Err(NodeError::Refused { reason, .. }) => {
                    let act = &pending.act.about;
                    tracing::warn!(act, nonce, reason, "a transaction was refused; trying again");
                    pending.refused = true;
                }
                Err(error) => {
                    pending.passed_on = false;
                    failure = Some(error);
                }
            }
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Whether an act of this name is in flight, or was mined and has succeeded. A reorganization may have made
    /// one fail that had succeeded, so of those the node is asked again.
    async fn is_in_flight(&mut self, name: &str) -> Result<bool, WalletError> {
        let found = self.pending.iter().find(|(_, pending)| pending.act.name == name);
        let Some((&nonce, pending)) = found else { return Ok(false) };
        if pending.mined.is_none() {
            return Ok(true);
        }
        for &hash in &pending.hashes {
            match self.node.receipt(hash).await? {
                Some(receipt) if receipt.sent.success => return Ok(true),
                Some(_) => {
                    self.forget(nonce)?;
                    return Ok(false);
                }
                None => {}
            }
        }
        // It is undone: the next look at the account's nonce tells.
        Ok(true)
    }

    /// How much gas an act gets: more than the estimate, since it may cost more in a later block. What the act is
    /// known to need at most is taken if the node can't tell, or says what can't be.
    async fn gas(&self, act: &Act) -> Result<u64, WalletError> {
        let estimate = self.node.estimate(self.address(), act.to, act.data.clone(), act.value).await;
        let gas = match estimate {
            Ok(estimate) if estimate > MOST_GAS => {
                return Err(WalletError::Gas { about: act.about.clone(), gas: estimate });
            }
            Ok(estimate) if estimate >= act.least_gas() => estimate.saturating_add(estimate / 4),
            Ok(_) if act.gas > 0 => act.gas,
            Ok(estimate) => {
                let reason =
                    format!("the node says {estimate} gas, less than any transaction with this data");
                return Err(NodeError::Transport { what: "estimate the gas".to_owned(), reason }.into());
            }
            Err(error @ NodeError::Reverted { .. }) => return Err(error.into()),
            Err(error) if act.gas == 0 => return Err(error.into()),
            Err(error) => {
                tracing::warn!(act = act.about, gas = act.gas, %error, "sending it with the most gas that it can need");
                act.gas
            }
        };
        Ok(gas.max(self.thirsty.get(&act.name).map_or(0, |(gas, _)| *gas)).min(MOST_GAS))
    }

    /// Maintains everything in flight: forgets what is buried, sends again what the node has lost, and raises
    /// the fees of what waits. Returns what was mined since the last call. Asks nothing if nothing waits and no
    /// block was undone.
    pub async fn tend(&mut self, head: &Head) -> Result<Vec<Mined>, WalletError> {
        let mut news = Vec::new();
        metrics::gauge!("opml_transactions_waiting").set(self.waiting() as f64);
        // What is still due would have been sent again.
        self.thirsty.retain(|_, (_, block)| head.number < block.saturating_add(BURIED));
        self.follow(head);
        if self.pending.is_empty() || (self.waiting() == 0 && self.still_mined.is_some()) {
            return Ok(news);
        }
        let mined = self.node.nonce(self.address()).await?;
        self.note_count(mined, head);
        self.close_gap(mined, head)?;
        let wallet = &*self;
        let asked = wallet.pending.iter().map(|(&nonce, pending)| async move {
            Some((nonce, wallet.ask_about(nonce < mined, pending, head).await?))
        });
        let facts: Vec<(u64, Fact)> = join_all(asked).await.into_iter().flatten().collect();
        for (nonce, fact) in facts {
            match fact {
                Fact::Mined(found) => news.extend(self.take_receipt(nonce, found, head)?),
                Fact::Waits { known } => self.push(nonce, known, head).await?,
            }
        }
        metrics::gauge!("opml_transactions_waiting").set(self.waiting() as f64);
        self.flush().await?;
        Ok(news)
    }

    /// Asks what has become of a transaction: its receipt, if its nonce is used; otherwise whether a node still has
    /// it. `None` if no node answers.
    async fn ask_about(&self, used: bool, pending: &Pending, head: &Head) -> Option<Fact> {
        if used && pending.mined.is_some() {
            return Some(Fact::Mined(None));
        }
        if used {
            let mut found = None;
            for &hash in &pending.hashes {
                if let Some(Receipt { sent, .. }) = self.node.receipt(hash).await.ok()? {
                    found = Some((hash, sent));
                }
            }
            return Some(Fact::Mined(found));
        }
        // A node should have it at least until the next block, unless every second counts.
        let current = pending.hashes.last().copied().unwrap_or_default();
        let waits = pending.passed_on && head.time <= pending.sent && pending.act.deadline.is_none();
        let known = waits || self.node.knows(current).await.ok()?;
        Some(Fact::Waits { known })
    }

    /// Gives what waits the nonces that come next, if it has waited for others for some time that nobody uses: a
    /// reorganization has undone what was forgotten, or a node once said a nonce that was too high.
    fn close_gap(&mut self, mined: u64, head: &Head) -> Result<(), WalletError> {
        let first = self.pending.iter().find(|(_, pending)| pending.mined.is_none()).map(|(&nonce, _)| nonce);
        let Some(first) = first.filter(|&first| first > mined && !self.pending.contains_key(&mined)) else {
            self.gap = None;
            return Ok(());
        };
        let doubt = Doubt::again(self.gap, head.time);
        self.gap = Some(doubt);
        if !doubt.is_over(head.time) {
            return Ok(());
        }
        self.gap = None;
        tracing::warn!(from = first, to = mined, "nothing uses the nonces between: signing what waits anew");
        let taken: Vec<u64> = self.pending.range(..first).map(|(&nonce, _)| nonce).collect();
        let free = (mined..).filter(|nonce| !taken.contains(nonce));
        let waiting: Vec<u64> = self.pending.range(first..).map(|(&nonce, _)| nonce).collect();
        for (old, new) in waiting.into_iter().zip(free) {
            let Some(pending) = self.pending.get(&old).cloned() else { continue };
            let (hash, raw) = self.sign(&pending.act, new, pending.gas, pending.bid)?;
            let pending =
                Pending { hashes: vec![hash], raw, refused: true, lost: None, mined: None, ..pending };
            let bytes = encode(&key(new), &pending)?;
            self.store.write(&[(key(old), None), (key(new), Some(bytes))])?;
            self.pending.remove(&old);
            self.pending.insert(new, pending);
        }
        Ok(())
    }

    /// Takes the receipt of a transaction whose nonce is used.
    fn take_receipt(
        &mut self,
        nonce: u64,
        found: Option<(B256, Sent)>,
        head: &Head,
    ) -> Result<Option<Mined>, WalletError> {
        let Some(pending) = self.pending.get(&nonce).cloned() else { return Ok(None) };
        if let Some(block) = pending.mined {
            if head.number >= block.saturating_add(BURIED) {
                self.forget(nonce)?;
            }
            return Ok(None);
        }
        if let Some((hash, sent)) = found {
            let name = pending.act.name.clone();
            self.note_cost(&pending.act, nonce, &sent);
            let status = if sent.success { "success" } else { "reverted" };
            metrics::counter!("opml_transactions_total", "status" => status).increment(1);
            metrics::counter!("opml_gas_used_total").increment(sent.gas);
            let (act, block, gas, eth) = (&pending.act.about, sent.block, sent.gas, Ether(sent.cost));
            if sent.success {
                tracing::info!(act, nonce, block, gas, %eth, "the transaction was mined");
                // It must not be sent again after a reorganization, unless that undoes it.
                self.keep(nonce, Pending { mined: Some(block), lost: None, ..pending })?;
            } else {
                tracing::warn!(act, nonce, block, gas, %eth, transaction = %hash, "the transaction was reverted");
                // If it is still due, it is sent again at once; with more gas, if it had too little.
                let little = gas >= pending.gas - pending.gas / 50;
                let next = if little { pending.gas.saturating_mul(2).min(MOST_GAS) } else { 0 };
                self.thirsty.insert(name.clone(), (next, head.number));
                self.forget(nonce)?;
            }
            return Ok(Some(Mined { name, hash, sent }));
        }
        // Either the node is wrong about the nonce or doesn't have the receipt yet, or another program used the key.
        // In that case the state of the chain says whether the act is still needed.
        let doubt = Doubt::again(pending.lost, head.time);
        if doubt.is_over(head.time) {
            tracing::warn!(
                act = pending.act.about,
                nonce,
                "another program used this key and took the nonce; use one key per player"
            );
            self.forget(nonce)?;
        } else if let Some(pending) = self.pending.get_mut(&nonce) {
            pending.lost = Some(doubt);
        }
        Ok(None)
    }

    /// The most that the transaction with a nonce may offer now, what it should offer, and how long it waits
    /// before it does. All transactions behind it count: an urgent move must not be stuck behind a
    /// transaction that can wait.
    fn offer(&self, nonce: u64, head: &Head) -> (u128, Bid, u64) {
        let (mut cap, mut best, mut patience) = (0, Bid { max_fee: 0, tip: 0 }, PATIENCE);
        for pending in self.pending.range(nonce..).map(|(_, pending)| pending) {
            let left = pending.left(head.time);
            let urgent = left.zip(pending.left(pending.begun)).is_some_and(|(left, whole)| left < whole / 2);
            let at = |base_fee| bid(&self.fees, base_fee, pending.gas, pending.act.stake, urgent);
            let (most, now) = (at(u128::MAX).max_fee, at(head.base_fee));
            cap = cap.max(most);
            best = Bid { max_fee: best.max_fee.max(now.max_fee), tip: best.tip.max(now.tip) };
            patience = patience.min(left.map_or(PATIENCE, |left| left / 4));
        }
        (cap, best, patience)
    }

    /// The most that a transaction with so much gas can offer for it, if all others in flight are paid for too.
    async fn affordable(&mut self, pending: &Pending, gas: u64, head: &Head) -> u128 {
        let others = self.committed().saturating_sub(cost(&pending.act, pending.gas, pending.bid));
        let Ok(Account { balance, .. }) = self.standing(U256::MAX, head).await else { return u128::MAX };
        let left = balance.saturating_sub(others).saturating_sub(pending.act.value);
        (left / U256::from(gas.max(1))).saturating_to()
    }

    /// Maintains a transaction that isn't mined.
    async fn push(&mut self, nonce: u64, known: bool, head: &Head) -> Result<(), WalletError> {
        let Some(mut pending) = self.pending.get(&nonce).cloned() else { return Ok(()) };
        (pending.lost, pending.passed_on) = (None, pending.passed_on || known);
        if pending.mined.take().is_some() {
            tracing::warn!(
                act = pending.act.about,
                nonce,
                "a reorganization undid the transaction: sending it again"
            );
            self.keep(nonce, pending.clone())?;
        }
        if pending.sent > head.time || pending.begun > head.time {
            // A node told a time that is yet to come. From now on, it waits as long as any other.
            (pending.begun, pending.sent) = (pending.begun.min(head.time), pending.sent.min(head.time));
            self.keep(nonce, pending.clone())?;
        }
        let (cap, new, patience) = self.offer(nonce, head);
        let refused = pending.refused && head.time > pending.sent;
        // What no node has heard of doesn't wait for more money.
        if refused || pending.passed_on && head.time.saturating_sub(pending.sent) >= patience {
            // What no node has taken need not offer more than before, but perhaps it needs more gas.
            let gas = match refused {
                true => self.gas(&pending.act).await.unwrap_or(pending.gas).max(pending.gas),
                false => pending.gas,
            };
            // Nodes refuse an offer that the account can't pay, and forget the one before.
            let most = self.affordable(&pending, gas, head).await;
            let new = Bid { max_fee: new.max_fee.min(most), tip: new.tip.min(most) };
            let bid = raise(pending.bid, new, cap.min(most)).unwrap_or(pending.bid);
            if bid != pending.bid || gas != pending.gas {
                let (hash, raw) = self.sign(&pending.act, nonce, gas, bid)?;
                let (act, gwei) = (&pending.act.about, gwei(bid.max_fee));
                tracing::info!(act, nonce, gas, gwei, transaction = %hash, "the transaction waits: offering more");
                pending.hashes.push(hash);
                self.keep(nonce, Pending { gas, bid, raw, sent: head.time, refused: false, ..pending })?;
                self.unsent.insert(nonce);
                return Ok(());
            }
        }
        if !known {
            tracing::info!(act = pending.act.about, nonce, "the node lost the transaction: sending it again");
            self.unsent.insert(nonce);
        }
        Ok(())
    }

    fn sign(&self, act: &Act, nonce: u64, gas: u64, bid: Bid) -> Result<(B256, Bytes), WalletError> {
        let mut unsigned = TxEip1559 {
            chain_id: self.node.chain_id(),
            nonce,
            gas_limit: gas,
            max_fee_per_gas: bid.max_fee,
            max_priority_fee_per_gas: bid.tip,
            to: act.to.map_or(TxKind::Create, TxKind::Call),
            value: act.value,
            input: act.data.clone(),
            ..Default::default()
        };
        let signature = self.signer.sign_transaction_sync(&mut unsigned);
        let signature = signature.map_err(|error| WalletError::Signature(error.to_string()))?;
        let envelope: alloy::consensus::TxEnvelope = unsigned.into_signed(signature).into();
        let raw = Bytes::from(envelope.encoded_2718());
        Ok((keccak256(&raw), raw))
    }

    fn keep(&mut self, nonce: u64, pending: Pending) -> Result<(), WalletError> {
        let name = key(nonce);
        let bytes = encode(&name, &pending)?;
        self.store.write(&[(name, Some(bytes))])?;
        self.pending.insert(nonce, pending);
        Ok(())
    }

    fn forget(&mut self, nonce: u64) -> Result<(), WalletError> {
        self.store.write(&[(key(nonce), None)])?;
        if let Some(pending) = self.pending.remove(&nonce)
            && pending.mined.is_some()
        {
            self.thirsty.remove(&pending.act.name);
        }
        Ok(())
    }
}

/// What a transaction costs at most, in wei.
fn cost(act: &Act, gas: u64, bid: Bid) -> U256 {
    act.value.saturating_add(U256::from(gas) * U256::from(bid.max_fee))
}

const PREFIX: &str = "transaction/";

/// An amount of wei in gwei, the usual unit of gas prices.
fn gwei(wei: u128) -> f64 {
    wei as f64 / GWEI as f64
}

/// The name of a transaction in the store. Names sort by nonce.
fn key(nonce: u64) -> String {
    format!("{PREFIX}{nonce:020}")
}
