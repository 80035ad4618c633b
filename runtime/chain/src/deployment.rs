//! Where the contracts are: the file that `opml deploy` writes and the other commands read.

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The contracts on a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The URL of a node of the chain.
    pub rpc: String,
    /// The chain's ID.
    pub chain_id: u64,
    /// The registry of models.
    pub registry: Address,
    /// The service.
    pub service: Address,
    /// A block in which the contracts exist; no event is older.
    pub block: u64,
    /// That block's hash. It distinguishes this chain from others with the same ID, as test chains have.
    pub block_hash: B256,
    /// A consumer that stores the outputs it receives, to try out callbacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<Address>,
}

/// The file is not a deployment.
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
        // Addresses, numbers and strings can always be written as JSON.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
