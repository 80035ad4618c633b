//! An Ethereum node, a key and its transactions, as players need them.
//!
//! A [`Node`] answers one [`Question`] at a time; [`RpcNode`] is one that is reached over JSON-RPC. [`Nodes`]
//! are several used as one: they try again, and one after the other. [`Wallet`] makes sure that what was sent
//! is mined. It keeps every transaction until it is buried under more blocks, sends it again when a node has
//! forgotten it, and raises its fees when it waits. [`Store`] is the file that lets players survive a crash.

mod act;
mod amount;
mod deployment;
mod fees;
mod key;
mod keystore;
mod node;
mod nodes;
mod question;
mod secrets;
mod store;
mod transport;
mod wallet;

pub use act::{Act, MOST_BYTES, Mined, WalletError};
pub use alloy::primitives::{Address, B256, Bytes, U256};
pub use alloy::rpc::types::Log;
pub use alloy::signers::local::PrivateKeySigner;
pub use amount::Ether;
pub use deployment::{Deployment, DeploymentError};
pub use fees::{Bid, Fees, GWEI, bid, raise};
pub use key::{KeyError, KeySource, read_password};
pub use keystore::create_keystore;
pub use node::{Event, NodeError, RpcNode, endpoint, without_keys};
pub use nodes::{Nodes, Topics};
pub use question::{Answering, At, Head, Node, Question, Receipt, Reply, Sent};
pub use store::{Store, StoreError};
pub use wallet::Wallet;
