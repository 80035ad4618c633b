//! Where the contracts are: the file that `opml deploy` writes and all other commands read.

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The contracts on a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Where a node of the chain listens.
    pub rpc: String,
    /// The chain.
    pub chain_id: u64,
    /// The registry of models.
    pub registry: Address,
    /// The service.
    pub service: Address,
    /// The block after which the contracts are there; no event is older.
    pub block: u64,
    /// That block's hash: tells this chain from another with the same id, as test chains have.
    pub block_hash: B256,
    /// A consumer that keeps what it is told, for trying out callbacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<Address>,
}

/// A file that is none.
#[derive(Debug, Error)]
#[error("not a deployment: {0}")]
pub struct DeploymentError(#[from] serde_json::Error);

impl Deployment {
    /// Reads the JSON of a deployment.
    pub fn from_json(json: &[u8]) -> Result<Self, DeploymentError> {
        Ok(serde_json::from_slice(json)?)
    }

    /// The JSON of a deployment.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Addresses, numbers and strings always are JSON.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
