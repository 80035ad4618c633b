//! Where the contracts are: the file that `opml deploy` writes and the other commands read.

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::node::endpoint;

/// The contracts on a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The URL of a node of the chain, if it holds nothing that may be a key: the file is for everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc: Option<String>,
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
    /// A node's URL as it may be written to the file: `None` if it has more than a scheme, a host and a port.
    #[must_use]
    pub fn public(url: &str) -> Option<String> {
        let short = endpoint(url);
        (short == url.trim_end_matches('/')).then_some(short)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_written_only_without_what_may_be_a_key() {
        for url in ["http://127.0.0.1:8545", "https://rpc.example/"] {
            assert_eq!(Deployment::public(url).as_deref(), Some(url.trim_end_matches('/')));
        }
        for url in [
            "https://rpc.example/v3/secret",
            "https://rpc.example/?key=secret",
            "https://rpc.example#secret",
            "https://name:secret@rpc.example",
            "http://a.example https://b.example/secret",
        ] {
            assert_eq!(Deployment::public(url), None, "{url}");
        }
    }

    #[test]
    fn a_deployment_needs_no_node() {
        let word = "11".repeat(32);
        let address = "22".repeat(20);
        let json = format!(
            r#"{{ "chain_id": 1, "registry": "0x{address}", "service": "0x{address}", "block": 7, "block_hash": "0x{word}" }}"#
        );
        let read = Deployment::from_json(json.as_bytes()).expect("a deployment");
        assert_eq!(read.rpc, None);
        assert!(!read.to_json().contains("rpc"), "{}", read.to_json());
        let with = json.replacen('{', r#"{ "rpc": "http://127.0.0.1:8545", "#, 1);
        let read = Deployment::from_json(with.as_bytes()).expect("a deployment");
        assert_eq!(Deployment::from_json(read.to_json().as_bytes()).expect("the same"), read);
    }
}
