//! What a wallet is to send, and what becomes of it.

use crate::amount::Ether;
use crate::node::NodeError;
use crate::question::Sent;
use crate::store::StoreError;
use alloy::primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most gas that a transaction may use (EIP-7825).
pub(crate) const MOST_GAS: u64 = 1 << 24;
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
    /// The most gas that it can need; zero if that isn't known.
    #[serde(default)]
    pub gas: u64,
}

impl Act {
    /// The gas that any transaction with this calldata needs, whatever it does.
    pub(crate) fn least_gas(&self) -> u64 {
        let zeros = self.data.iter().filter(|&&byte| byte == 0).count() as u64;
        21_000 + 4 * zeros + 16 * (self.data.len() as u64 - zeros)
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
    Node(#[from] NodeError),
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
