//! The transactions of one key. Each is kept until it is mined and buried under more blocks.
//!
//! A transaction is written to the store before it is sent, so a crash never makes the wallet forget a nonce
//! that it used. Every [`Act`] has a name. While a transaction of that name is in flight, the act is not sent
//! again.

use crate::amount::Ether;
use crate::fees::{Bid, Fees, GWEI, bid, raise};
use crate::node::{Head, NodeError, RpcNode, Sent};
use crate::store::{Store, StoreError, encode};
use alloy::consensus::{SignableTransaction as _, TxEip1559};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::network::TxSignerSync as _;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy::signers::local::PrivateKeySigner;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// How many blocks must follow a transaction's block before the wallet forgets it.
const BURIED: u64 = 12;
/// How many seconds of chain time a transaction waits before its fees are raised.
const PATIENCE: u64 = 24;
/// The most gas that a transaction may use (EIP-7825).
const MOST_GAS: u64 = 1 << 24;
/// The largest transaction that nodes relay, in bytes.
pub const MOST_BYTES: usize = 1 << 17;

/// Something to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Identifies the act. Two different acts never have the same name.
    pub name: String,
    /// What the act does, for people: "answer request 3".
    #[serde(default)]
    pub about: String,
    /// The contract to call; `None` deploys one.
    pub to: Option<Address>,
    /// The amount sent along, in wei.
    pub value: U256,
    /// The calldata.
    pub data: Bytes,
    /// The deadline for it to be mined, in seconds since 1970.
    pub deadline: Option<u64>,
    /// The loss if it is mined later, in wei.
    pub stake: u128,
}

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
    /// Whether its outcome was reported.
    reported: bool,
}

impl Pending {
    /// The seconds from a time to its deadline. `None` once that has passed: a transaction that is too late
    /// isn't urgent.
    fn left(&self, from: u64) -> Option<u64> {
        self.act.deadline.and_then(|deadline| deadline.checked_sub(from)).filter(|&left| left > 0)
    }
}

/// A transaction that was mined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mined {
    /// The act's name.
    pub name: String,
    /// The version that was mined.
    pub hash: B256,
    /// The block it is in, and whether it succeeded.
    pub sent: Sent,
}

/// Why an act isn't sent.
#[derive(Debug, Error)]
pub enum WalletError {
    /// The node failed.
    #[error(transparent)]
    RpcNode(#[from] NodeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key can't sign.
    #[error("cannot sign: {0}")]
    Signature(String),
    /// The transaction is too large.
    #[error("{about}: the transaction has {bytes} bytes, but nodes relay at most {MOST_BYTES}")]
    Size {
        /// The act.
        about: String,
        /// The size of the transaction.
        bytes: usize,
    },
    /// The account has too little money.
    #[error(
        "{about}: the account {account} has {} ETH, but needs {} ETH for this and what it has in flight; \
         send it {} ETH or more",
        Ether(*balance),
        Ether(*needed),
        Ether(needed.saturating_sub(*balance))
    )]
    Funds {
        /// The act.
        about: String,
        /// The account that pays.
        account: Address,
        /// What the act and everything in flight may cost, in wei.
        needed: U256,
        /// What the account has, in wei.
        balance: U256,
    },
    /// The act needs too much gas.
    #[error("{about}: it needs {gas} gas, but a transaction may use at most {MOST_GAS} (EIP-7825)")]
    Gas {
        /// The act.
        about: String,
        /// The gas that it needs.
        gas: u64,
    },
}

/// A key and its transactions in flight.
#[derive(Debug)]
pub struct Wallet {
    signer: PrivateKeySigner,
    node: RpcNode,
    store: Arc<Store>,
    fees: Fees,
    pending: BTreeMap<u64, Pending>,
}

impl Wallet {
    /// The wallet of a key, with the transactions that the store has in flight.
    pub fn open(
        signer: PrivateKeySigner,
        node: RpcNode,
        store: Arc<Store>,
        fees: Fees,
    ) -> Result<Self, WalletError> {
        let parsed = |(name, pending): (String, Pending)| {
            let nonce = name.rsplit('/').next().and_then(|nonce| nonce.parse().ok());
            let reason = "its name does not end with a nonce".to_owned();
            Ok((nonce.ok_or(StoreError::Entry { name, reason })?, pending))
        };
        let pending = store.scan(PREFIX)?.into_iter().map(parsed).collect::<Result<_, StoreError>>()?;
        Ok(Self { signer, node, store, fees, pending })
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
        self.pending.values().filter(|pending| !pending.reported).count()
    }

    /// Signs an act and sends it, unless it is in flight. An act that the contract would refuse is not sent.
    pub async fn submit(&mut self, act: Act, head: &Head) -> Result<(), WalletError> {
        if self.pending.values().any(|pending| pending.act.name == act.name) {
            return Ok(());
        }
        let account = self.address();
        let balance = self.node.balance(account).await?;
        let funds = |about, needed| WalletError::Funds { about, account, needed, balance };
        // Nodes report this in many ways, so it is checked before they are asked.
        if balance < act.value {
            return Err(funds(act.about, act.value));
        }
        let estimate = self.node.estimate(account, act.to, act.data.clone(), act.value).await?;
        // The act may cost more in a later block.
        let gas = estimate.saturating_add(estimate / 4).min(MOST_GAS);
        if estimate > MOST_GAS {
            return Err(WalletError::Gas { about: act.about, gas: estimate });
        }
        let mined = self.node.nonce(account).await?;
        let nonce =
            self.pending.last_key_value().map_or(mined, |(last, _)| mined.max(last.saturating_add(1)));
        let bid = bid(&self.fees, head.base_fee, gas, act.stake, false);
        let (hash, raw) = self.sign(&act, nonce, gas, bid)?;
        // A transaction that no node would accept must not get a nonce: everything after it would wait for
        // ever.
        if raw.len() > MOST_BYTES {
            return Err(WalletError::Size { about: act.about, bytes: raw.len() });
        }
        let cost =
            |act: &Act, gas, bid: Bid| act.value.saturating_add(U256::from(gas) * U256::from(bid.max_fee));
        let before =
            self.pending.range(mined..).map(|(_, pending)| cost(&pending.act, pending.gas, pending.bid));
        let needed = before.fold(cost(&act, gas, bid), U256::saturating_add);
        if balance < needed {
            return Err(funds(act.about, needed));
        }
        let (begun, sent, hashes, reported) = (head.time, head.time, vec![hash], false);
        let (eth, gwei) = (Ether(act.value), gwei(bid.max_fee));
        tracing::info!(act = act.about, nonce, %eth, gas, gwei, transaction = %hash, "sending a transaction");
        self.keep(nonce, Pending { act, gas, bid, hashes, raw: raw.clone(), begun, sent, reported })?;
        self.send(&raw).await
    }

    /// Maintains everything in flight: forgets what is buried, sends again what the node has lost, and raises
    /// the fees of what waits. Returns what was mined since the last call.
    pub async fn tend(&mut self, head: &Head) -> Result<Vec<Mined>, WalletError> {
        let mined = self.node.nonce(self.address()).await?;
        let mut news = Vec::new();
        for nonce in self.pending.keys().copied().collect::<Vec<_>>() {
            if nonce < mined {
                news.extend(self.take_receipt(nonce, head).await?);
            } else {
                self.push(nonce, head).await?;
            }
        }
        metrics::gauge!("opml_transactions_waiting").set(self.waiting() as f64);
        Ok(news)
    }

    /// Finds the transaction that used a nonce.
    async fn take_receipt(&mut self, nonce: u64, head: &Head) -> Result<Option<Mined>, WalletError> {
        let Some(pending) = self.pending.get(&nonce).cloned() else { return Ok(None) };
        for &hash in &pending.hashes {
            let Some(sent) = self.node.receipt(hash).await? else { continue };
            // A reverted act may be needed again at once. Any other must not be sent again after a
            // reorganization.
            if head.number >= sent.block.saturating_add(BURIED) || !sent.success {
                self.forget(nonce)?;
            }
            if pending.reported {
                return Ok(None);
            }
            let name = pending.act.name.clone();
            let status = if sent.success { "success" } else { "reverted" };
            metrics::counter!("opml_transactions_total", "status" => status).increment(1);
            metrics::counter!("opml_gas_used_total").increment(sent.gas);
            let (act, block, gas, eth) = (&pending.act.about, sent.block, sent.gas, Ether(sent.cost));
            if sent.success {
                tracing::info!(act, nonce, block, gas, %eth, "the transaction was mined");
            } else {
                tracing::warn!(act, nonce, block, gas, %eth, transaction = %hash, "the transaction was reverted");
            }
            if self.pending.contains_key(&nonce) {
                self.keep(nonce, Pending { reported: true, ..pending })?;
            }
            return Ok(Some(Mined { name, hash, sent }));
        }
        // The key was used by another program. The state of the chain says whether the act is still needed.
        tracing::warn!(
            act = pending.act.about,
            nonce,
            "another program used this key and took the nonce; use one key per player"
        );
        self.forget(nonce)?;
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

    /// Maintains a transaction that isn't mined.
    async fn push(&mut self, nonce: u64, head: &Head) -> Result<(), WalletError> {
        let Some(mut pending) = self.pending.get(&nonce).cloned() else { return Ok(()) };
        if pending.reported {
            tracing::warn!(
                act = pending.act.about,
                nonce,
                "a reorganization undid the transaction: sending it again"
            );
            pending.reported = false;
            self.keep(nonce, pending.clone())?;
        }
        let (cap, new, patience) = self.offer(nonce, head);
        if head.time.saturating_sub(pending.sent) >= patience
            && let Some(bid) = raise(pending.bid, new, cap)
        {
            let (hash, raw) = self.sign(&pending.act, nonce, pending.gas, bid)?;
            let (act, gwei) = (&pending.act.about, gwei(bid.max_fee));
            tracing::info!(act, nonce, gwei, transaction = %hash, "the transaction waits: raising its fees");
            pending.hashes.push(hash);
            let pending = Pending { bid, raw: raw.clone(), sent: head.time, ..pending };
            self.keep(nonce, pending)?;
            return self.send(&raw).await;
        }
        let current = pending.hashes.last().copied().unwrap_or_default();
        if !self.node.knows(current).await? {
            tracing::info!(act = pending.act.about, nonce, "the node lost the transaction: sending it again");
            self.send(&pending.raw).await?;
        }
        Ok(())
    }

    /// Sends a signed transaction. If a node refuses it, the wallet keeps trying.
    async fn send(&self, raw: &[u8]) -> Result<(), WalletError> {
        match self.node.send(raw).await {
            Err(error @ NodeError::Refused { .. }) => {
                tracing::warn!(%error, "a transaction was refused; trying again");
                Ok(())
            }
            other => Ok(other?),
        }
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
        self.pending.remove(&nonce);
        Ok(())
    }
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
