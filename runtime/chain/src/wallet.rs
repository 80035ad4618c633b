//! Transactions of one key, each kept until it is mined and buried.
//!
//! A transaction is written to the store before it is sent, so a crash never makes the wallet forget a nonce that it has
//! used. An [`Act`] has a name; while a transaction of that name is on its way, the same act is not sent again.

use crate::fees::{Bid, Fees, bid, raise};
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

/// How deep a block must be before its transactions are forgotten, at least.
const BURIED: u64 = 12;
/// How many seconds of chain time a transaction waits before its fees are raised.
const PATIENCE: u64 = 24;
/// The most gas that a transaction may have (EIP-7825).
const MOST_GAS: u64 = 1 << 24;
/// The most bytes of a transaction that nodes pass on.
pub const MOST_BYTES: usize = 1 << 17;

/// Something to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// What it is: no two things to be done have one name.
    pub name: String,
    /// The contract; none deploys one.
    pub to: Option<Address>,
    /// The money that goes with it, in wei.
    pub value: U256,
    /// The calldata.
    pub data: Bytes,
    /// The time by which it must be mined, in seconds.
    pub deadline: Option<u64>,
    /// What is lost otherwise, in wei.
    pub stake: u128,
}

/// A transaction on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pending {
    act: Act,
    gas: u64,
    bid: Bid,
    /// The hashes of all versions, the last is the current one.
    hashes: Vec<B256>,
    /// The current version, signed.
    raw: Bytes,
    /// When the first version was sent, and the current one.
    begun: u64,
    sent: u64,
    /// Whether its end has been reported.
    reported: bool,
}

impl Pending {
    /// How many seconds there are from a moment to its deadline, if it has one. What is too late has all the time: it is worth
    /// nothing any more.
    fn left(&self, from: u64) -> Option<u64> {
        self.act.deadline.and_then(|deadline| deadline.checked_sub(from)).filter(|&left| left > 0)
    }
}

/// A transaction that has been mined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mined {
    /// The act's name.
    pub name: String,
    /// The version that was mined.
    pub hash: B256,
    /// What became of it.
    pub sent: Sent,
}

/// Why something isn't sent.
#[derive(Debug, Error)]
pub enum WalletError {
    /// The node.
    #[error(transparent)]
    RpcNode(#[from] NodeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key that can't sign.
    #[error("cannot sign: {0}")]
    Signature(String),
    /// Too large.
    #[error("{name} has {bytes} bytes; nodes pass on transactions of {MOST_BYTES}")]
    Size {
        /// The act.
        name: String,
        /// Its bytes as a transaction.
        bytes: usize,
    },
    /// Too little money.
    #[error("{name} needs {needed} wei with what is on its way, and the account has {balance}")]
    Funds {
        /// The act.
        name: String,
        /// What it may cost, with all before it.
        needed: U256,
        /// What is there.
        balance: U256,
    },
    /// Too much gas.
    #[error("{name} needs {gas} gas; a transaction may have {MOST_GAS}")]
    Gas {
        /// The act.
        name: String,
        /// Its gas.
        gas: u64,
    },
}

/// The key and its transactions on their way.
#[derive(Debug)]
pub struct Wallet {
    signer: PrivateKeySigner,
    node: RpcNode,
    store: Arc<Store>,
    fees: Fees,
    pending: BTreeMap<u64, Pending>,
}

impl Wallet {
    /// The wallet of a key, with what the store knows to be on its way.
    pub fn open(signer: PrivateKeySigner, node: RpcNode, store: Arc<Store>, fees: Fees) -> Result<Self, WalletError> {
        let parsed = |(name, pending): (String, Pending)| {
            let nonce = name.rsplit('/').next().and_then(|nonce| nonce.parse().ok());
            let reason = "its name ends with no nonce".to_owned();
            Ok((nonce.ok_or(StoreError::Entry { name, reason })?, pending))
        };
        let pending = store.scan(PREFIX)?.into_iter().map(parsed).collect::<Result<_, StoreError>>()?;
        Ok(Self { signer, node, store, fees, pending })
    }

    /// The same key, with nothing on its way and nothing kept: for whoever has waited for everything.
    pub fn fresh(&self) -> Result<Self, WalletError> {
        let store = Arc::new(Store::in_memory()?);
        Self::open(self.signer.clone(), self.node.clone(), store, self.fees)
    }

    /// The account.
    #[must_use]
    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// Whether an act of a name that begins like this is on its way, or mined and not yet buried.
    #[must_use]
    pub fn has(&self, prefix: &str) -> bool {
        self.pending.values().any(|pending| pending.act.name.starts_with(prefix))
    }

    /// How many transactions aren't mined yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pending.values().filter(|pending| !pending.reported).count()
    }

    /// Signs an act and sends it, unless it is on its way. An act that the contract would refuse is not sent.
    pub async fn submit(&mut self, act: Act, head: &Head) -> Result<(), WalletError> {
        if self.pending.values().any(|pending| pending.act.name == act.name) {
            return Ok(());
        }
        let estimate = self.node.estimate(self.address(), act.to, act.data.clone(), act.value).await?;
        // What is estimated on this block may cost more on a later one.
        let gas = estimate.saturating_add(estimate / 4).min(MOST_GAS);
        if estimate > MOST_GAS {
            return Err(WalletError::Gas { name: act.name, gas: estimate });
        }
        let mined = self.node.nonce(self.address()).await?;
        let nonce = self.pending.last_key_value().map_or(mined, |(last, _)| mined.max(last.saturating_add(1)));
        let bid = bid(&self.fees, head.base_fee, gas, act.stake, false);
        let (hash, raw) = self.sign(&act, nonce, gas, bid)?;
        // What a node would never take must not get a nonce: everything behind it would wait for ever.
        if raw.len() > MOST_BYTES {
            return Err(WalletError::Size { name: act.name, bytes: raw.len() });
        }
        let cost = |act: &Act, gas, bid: Bid| act.value.saturating_add(U256::from(gas) * U256::from(bid.max_fee));
        let before = self.pending.range(mined..).map(|(_, pending)| cost(&pending.act, pending.gas, pending.bid));
        let needed = before.fold(cost(&act, gas, bid), U256::saturating_add);
        let balance = self.node.balance(self.address()).await?;
        if balance < needed {
            return Err(WalletError::Funds { name: act.name, needed, balance });
        }
        let (begun, sent, hashes, reported) = (head.time, head.time, vec![hash], false);
        tracing::info!(act = act.name, nonce, gas, max_fee = bid.max_fee, %hash, "sending");
        self.keep(nonce, Pending { act, gas, bid, hashes, raw: raw.clone(), begun, sent, reported })?;
        self.send(&raw).await
    }

    /// Looks after what is on its way: forgets what is buried, sends again what the node has lost, raises what waits.
    /// Answers with what has been mined since the last time.
    pub async fn tend(&mut self, head: &Head) -> Result<Vec<Mined>, WalletError> {
        let mined = self.node.nonce(self.address()).await?;
        let mut news = Vec::new();
        for nonce in self.pending.keys().copied().collect::<Vec<_>>() {
            if nonce < mined {
                news.extend(self.look(nonce, head).await?);
            } else {
                self.push(nonce, head).await?;
            }
        }
        metrics::gauge!("opml_transactions_waiting").set(self.waiting() as f64);
        Ok(news)
    }

    /// Looks at what has become of a nonce that is used.
    async fn look(&mut self, nonce: u64, head: &Head) -> Result<Option<Mined>, WalletError> {
        let Some(pending) = self.pending.get(&nonce).cloned() else { return Ok(None) };
        for &hash in &pending.hashes {
            let Some(sent) = self.node.receipt(hash).await? else { continue };
            // What was reverted may be wanted again at once; what was not must not come again after a reorganisation.
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
            tracing::info!(act = name, nonce, block = sent.block, gas = sent.gas, status, "mined");
            if self.pending.contains_key(&nonce) {
                self.keep(nonce, Pending { reported: true, ..pending })?;
            }
            return Ok(Some(Mined { name, hash, sent }));
        }
        // Somebody else has used the nonce with this key. Whether the act is still wanted, the chain's state says.
        tracing::warn!(act = pending.act.name, nonce, "another transaction has this nonce");
        self.forget(nonce)?;
        Ok(None)
    }

    /// What the transaction with a nonce may offer now at most, what it should, and how long it waits before it does. All that
    /// can't be mined before it counts: a move whose time runs out must not be stuck behind what could wait.
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

    /// Helps a transaction that isn't mined.
    async fn push(&mut self, nonce: u64, head: &Head) -> Result<(), WalletError> {
        let Some(mut pending) = self.pending.get(&nonce).cloned() else { return Ok(()) };
        if pending.reported {
            // A reorganisation has undone it.
            tracing::warn!(act = pending.act.name, nonce, "no longer mined: sending again");
            pending.reported = false;
            self.keep(nonce, pending.clone())?;
        }
        let (cap, new, patience) = self.offer(nonce, head);
        if head.time.saturating_sub(pending.sent) >= patience
            && let Some(bid) = raise(pending.bid, new, cap)
        {
            let (hash, raw) = self.sign(&pending.act, nonce, pending.gas, bid)?;
            tracing::info!(act = pending.act.name, nonce, max_fee = bid.max_fee, %hash, "raising the fees");
            pending.hashes.push(hash);
            let pending = Pending { bid, raw: raw.clone(), sent: head.time, ..pending };
            self.keep(nonce, pending)?;
            return self.send(&raw).await;
        }
        let current = pending.hashes.last().copied().unwrap_or_default();
        if !self.node.knows(current).await? {
            tracing::info!(act = pending.act.name, nonce, "the node has lost it: sending again");
            self.send(&pending.raw).await?;
        }
        Ok(())
    }

    /// Sends a signed transaction. That a node doesn't take it is no reason to give it up.
    async fn send(&self, raw: &[u8]) -> Result<(), WalletError> {
        match self.node.send(raw).await {
            Err(error @ NodeError::Refused { .. }) => {
                tracing::warn!(%error, "a transaction is not taken");
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

/// The name under which a transaction is kept; names are in the order of nonces.
fn key(nonce: u64) -> String {
    format!("{PREFIX}{nonce:020}")
}
