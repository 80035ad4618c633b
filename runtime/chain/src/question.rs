//! What is asked of a node, as data. Every query goes through [`Node::answer`], so that several nodes, a
//! simulated chain, and one that fails on purpose are all the same to those who ask.

use crate::node::NodeError;
use alloy::primitives::{Address, B256, Bytes, TxHash, U256};
use alloy::rpc::types::Log;
use std::pin::Pin;

/// The last block of the chain, as one response of the node reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The hash of the block before it.
    pub parent: B256,
    /// Its time, in seconds since 1970.
    pub time: u64,
    /// Its base fee, in wei per unit of gas.
    pub base_fee: u128,
}

/// The block whose state a query is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The one with this hash, and no other.
    Hash(B256),
    /// The last one.
    Latest,
}

/// The outcome of a mined transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The block that it is in, whether it succeeded, and its cost.
    pub sent: Sent,
    /// The contract that it deployed.
    pub created: Option<Address>,
    /// Its events.
    pub logs: Vec<Log>,
}

/// The block and the cost of a mined transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The block that it is in.
    pub block: u64,
    /// Whether it succeeded; otherwise it was reverted.
    pub success: bool,
    /// The gas that it used.
    pub gas: u64,
    /// What that gas cost, in wei.
    pub cost: U256,
}

/// A query, or a transaction to pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The chain's ID.
    Chain,
    /// The last block.
    Head,
    /// The hash of the block with this number.
    Block(u64),
    /// The result of a view function.
    Call {
        /// The contract.
        to: Address,
        /// The calldata.
        data: Bytes,
        /// The block.
        at: At,
    },
    /// The events of a contract in a range of blocks, both ends included.
    Logs {
        /// The contract.
        address: Address,
        /// The first block.
        from: u64,
        /// The last block.
        to: u64,
    },
    /// The events of a contract in one block, from the receipts of its transactions.
    BlockLogs {
        /// The contract.
        address: Address,
        /// The block.
        block: u64,
    },
    /// The number of an account's mined transactions: the next free nonce.
    Nonce(Address),
    /// An account's balance.
    Balance(Address),
    /// Whether there is a contract at an address.
    HasCode(Address),
    /// What others offer to a block's builder now, in wei per unit of gas.
    Tip,
    /// The gas that a transaction would use now.
    Estimate {
        /// The sender.
        from: Address,
        /// The contract; `None` deploys one.
        to: Option<Address>,
        /// The calldata.
        data: Bytes,
        /// The amount sent along.
        value: U256,
    },
    /// A signed transaction to be mined.
    Send(Bytes),
    /// Whether the node has a transaction, mined or not.
    Knows(TxHash),
    /// The outcome of a transaction.
    Receipt(TxHash),
    /// Any other JSON-RPC method.
    Other {
        /// The method.
        method: &'static str,
        /// Its parameters.
        params: serde_json::Value,
    },
}

/// An answer to a [`Question`].
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To `Send`.
    Done,
    /// To `Chain`, `Nonce` and `Estimate`.
    Number(u64),
    /// To `Head`.
    Head(Head),
    /// To `Block`; `None` if there is no such block yet.
    Hash(Option<B256>),
    /// To `Call`.
    Bytes(Bytes),
    /// To `Logs` and `BlockLogs`.
    Logs(Vec<Log>),
    /// To `Balance` and `Tip`.
    Wei(U256),
    /// To `HasCode` and `Knows`.
    Truth(bool),
    /// To `Receipt`; `None` if it isn't mined.
    Receipt(Option<Box<Receipt>>),
    /// To `Other`.
    Json(serde_json::Value),
}

impl Question {
    /// What is asked, to complete "cannot ...".
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Chain => "get the chain's ID".to_owned(),
            Self::Head => "get the last block".to_owned(),
            Self::Block(number) => format!("get block {number}"),
            Self::Call { data, .. } => format!("call {}", contracts::function_name(data)),
            Self::Logs { from, to, .. } => format!("get the events of blocks {from} to {to}"),
            Self::BlockLogs { block, .. } => format!("get the receipts of block {block}"),
            Self::Nonce(_) => "get the account's nonce".to_owned(),
            Self::Balance(_) => "get the account's balance".to_owned(),
            Self::HasCode(_) => "get the contract's code".to_owned(),
            Self::Tip => "get the usual tip".to_owned(),
            Self::Estimate { .. } => "estimate the gas".to_owned(),
            Self::Send(_) => "send a transaction".to_owned(),
            Self::Knows(_) => "get a transaction".to_owned(),
            Self::Receipt(_) => "get a receipt".to_owned(),
            Self::Other { method, .. } => format!("call {method}"),
        }
    }
}

/// An answer that is on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Reply, NodeError>> + Send + 'a>>;

/// Something that answers questions about a chain.
pub trait Node: Send + Sync {
    /// Asks once.
    fn answer(&self, question: Question) -> Answering<'_>;

    /// The name that logs show, without any access key.
    fn name(&self) -> String;
}
