//! An Ethereum node, a key and its transactions, as players need them.
//!
//! [`RpcNode`] asks and sends, once: whoever uses it tries again at the next look at the chain. [`Wallet`] sees to it that
//! what was decided to be sent is mined: it keeps every transaction until it is buried, sends it again when a node has
//! forgotten it, and raises its fees when it waits. [`Store`] is what both survive a crash with.

mod deployment;
mod fees;
mod key;
mod node;
mod store;
mod wallet;

pub use alloy::primitives::{Address, B256, Bytes, U256};
pub use alloy::rpc::types::Log;
pub use alloy::signers::local::PrivateKeySigner;
pub use deployment::{Deployment, DeploymentError};
pub use fees::{Bid, Fees, GWEI, bid, raise};
pub use key::{KeyError, KeySource};
pub use node::{Event, Head, NodeError, RpcNode, Sent};
pub use store::{Store, StoreError};
pub use wallet::{Act, MOST_BYTES, Mined, Wallet, WalletError};
