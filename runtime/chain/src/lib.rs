//! An Ethereum node, a key and its transactions, as players need them.
//!
//! [`RpcNode`] queries or sends once; its caller tries again at the next poll. [`Wallet`] makes sure that
//! what was sent is mined. It keeps every transaction until it is buried under more blocks, sends it again
//! when a node has forgotten it, and raises its fees when it waits. [`Store`] is the file that lets players
//! survive a crash.

mod amount;
mod deployment;
mod fees;
mod key;
mod keystore;
mod node;
mod store;
mod wallet;

pub use alloy::primitives::{Address, B256, Bytes, U256};
pub use alloy::rpc::types::Log;
pub use alloy::signers::local::PrivateKeySigner;
pub use amount::Ether;
pub use deployment::{Deployment, DeploymentError};
pub use fees::{Bid, Fees, GWEI, bid, raise};
pub use key::{KeyError, KeySource};
pub use keystore::create_keystore;
pub use node::{Event, Head, NodeError, RpcNode, Sent, endpoint};
pub use store::{Store, StoreError};
pub use wallet::{Act, MOST_BYTES, Mined, Wallet, WalletError};
