//! A node, asked over JSON-RPC.

use alloy::consensus::BlockHeader as _;
use alloy::eips::BlockId;
use alloy::network::BlockResponse as _;
use alloy::primitives::{Address, B256, Bytes, TxHash, TxKind, U256};
use alloy::providers::{DynProvider, Provider as _, ProviderBuilder};
use alloy::rpc::types::{BlockNumberOrTag, Filter, Log, TransactionInput, TransactionRequest};
use alloy::sol_types::{SolCall, SolEvent};
use alloy::transports::TransportError;
use alloy::transports::http::reqwest::{Client, Url};
use std::time::Duration;
use thiserror::Error;

/// A node of a chain.
#[derive(Debug, Clone)]
pub struct RpcNode {
    provider: DynProvider,
    chain_id: u64,
}

/// The end of the chain at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last block.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time, in seconds.
    pub time: u64,
    /// The base fee in it, in wei a unit of gas.
    pub base_fee: u128,
}

/// An event and where it is.
#[derive(Debug, Clone)]
pub struct Event<E> {
    /// What it says.
    pub data: E,
    /// The block that it is in.
    pub block: u64,
}

/// What has become of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The block that it is in.
    pub block: u64,
    /// Whether it did anything; else it was reverted.
    pub success: bool,
    /// Its gas.
    pub gas: u64,
}

/// Why a node has no answer.
#[derive(Debug, Error)]
pub enum NodeError {
    /// No URL.
    #[error("'{url}' is no URL of a node: {reason}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer, or an answer that can't be read.
    #[error("{what}: {reason}")]
    Transport {
        /// What was asked.
        what: &'static str,
        /// What happened.
        reason: String,
    },
    /// The node says no.
    #[error("{what}: the node refuses: {reason}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What it says.
        reason: String,
    },
    /// The contract says no.
    #[error("{what}: the contract refuses: {}", name.as_deref().unwrap_or("with an unknown error"))]
    Reverted {
        /// What was asked.
        what: &'static str,
        /// Its error, if it is one of our contracts'.
        name: Option<&'static str>,
    },
    /// Something that isn't there.
    #[error("the node has no {0}")]
    Missing(&'static str),
}

impl NodeError {
    /// Whether the contract reverted with this error.
    #[must_use]
    pub fn is(&self, error: &str) -> bool {
        matches!(self, Self::Reverted { name: Some(name), .. } if *name == error)
    }
}

/// What went wrong with a question.
fn failed(what: &'static str) -> impl Fn(TransportError) -> NodeError {
    move |error| {
        metrics::counter!("opml_rpc_errors_total").increment(1);
        match error.as_error_resp() {
            None => NodeError::Transport { what, reason: error.to_string() },
            Some(response) => match response.as_revert_data() {
                Some(data) => NodeError::Reverted { what, name: contracts::error_name(&data) },
                None => NodeError::Refused { what, reason: response.message.to_string() },
            },
        }
    }
}

/// TLS needs its cryptography chosen once a process; a second choice of the same changes nothing.
#[cfg(feature = "tls")]
fn choose_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl RpcNode {
    /// A node that must answer every question within this time.
    pub async fn connect(url: &str, timeout: Duration) -> Result<Self, NodeError> {
        let bad = |reason: String| NodeError::Url { url: url.to_owned(), reason };
        let parsed: Url = url.parse().map_err(|error| bad(format!("{error}")))?;
        match parsed.scheme() {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => return Err(bad("this opml was built without HTTPS (the feature `tls`)".to_owned())),
            _ => return Err(bad("expected http:// or https://".to_owned())),
        }
        #[cfg(feature = "tls")]
        choose_cryptography();
        let client = Client::builder().timeout(timeout).build().map_err(|error| bad(error.to_string()))?;
        let provider = ProviderBuilder::default().connect_reqwest(client, parsed).erased();
        let chain_id = provider.get_chain_id().await.map_err(failed("asking for the chain's id"))?;
        Ok(Self { provider, chain_id })
    }

    /// The chain's id.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The last block.
    pub async fn head(&self) -> Result<Head, NodeError> {
        let block = self.provider.get_block(BlockId::latest()).await.map_err(failed("asking for the last block"))?;
        let block = block.ok_or(NodeError::Missing("last block"))?;
        let header = block.header();
        let base_fee = header.base_fee_per_gas().unwrap_or(0).into();
        Ok(Head { number: header.number(), hash: header.hash, time: header.timestamp(), base_fee })
    }

    /// The hash of a block; `None` if there is none yet.
    pub async fn block_hash(&self, number: u64) -> Result<Option<B256>, NodeError> {
        let block = self.provider.get_block(BlockId::number(number)).await.map_err(failed("asking for a block"))?;
        Ok(block.map(|block| block.header.hash))
    }

    /// Asks a contract, as of a block.
    pub async fn call<C: SolCall>(&self, to: Address, call: &C, at: B256) -> Result<C::Return, NodeError> {
        let what = C::SIGNATURE;
        let request = transaction(None, Some(to), call.abi_encode().into(), U256::ZERO);
        let bytes = self.provider.call(request).block(BlockId::hash(at)).await.map_err(failed(what))?;
        C::abi_decode_returns(&bytes).map_err(|error| NodeError::Transport { what, reason: error.to_string() })
    }

    /// The gas of a transaction, if it were sent now. An error if it were reverted.
    pub async fn estimate(
        &self,
        from: Address,
        to: Option<Address>,
        data: Bytes,
        value: U256,
    ) -> Result<u64, NodeError> {
        let request = transaction(Some(from), to, data, value);
        self.provider.estimate_gas(request).await.map_err(failed("estimating gas"))
    }

    /// The events of a contract in some blocks.
    pub async fn logs(&self, address: Address, from: u64, to: u64) -> Result<Vec<Log>, NodeError> {
        let filter = Filter::new().address(address).from_block(from).to_block(to);
        self.provider.get_logs(&filter).await.map_err(failed("asking for events"))
    }

    /// How many transactions of an account are mined.
    pub async fn nonce(&self, account: Address) -> Result<u64, NodeError> {
        let count = self.provider.get_transaction_count(account).block_id(BlockNumberOrTag::Latest.into());
        count.await.map_err(failed("asking for a nonce"))
    }

    /// An account's money, in wei.
    pub async fn balance(&self, account: Address) -> Result<U256, NodeError> {
        self.provider.get_balance(account).await.map_err(failed("asking for a balance"))
    }

    /// Whether there is a contract.
    pub async fn has_code(&self, account: Address) -> Result<bool, NodeError> {
        Ok(!self.provider.get_code_at(account).await.map_err(failed("asking for code"))?.is_empty())
    }

    /// Sends a signed transaction.
    pub async fn send(&self, raw: &[u8]) -> Result<(), NodeError> {
        self.provider.send_raw_transaction(raw).await.map(|_| ()).map_err(failed("sending a transaction"))
    }

    /// Whether the node has a transaction, mined or not.
    pub async fn knows(&self, hash: TxHash) -> Result<bool, NodeError> {
        let found = self.provider.get_transaction_by_hash(hash).await;
        Ok(found.map_err(failed("asking for a transaction"))?.is_some())
    }

    /// What has become of a transaction; `None` if it isn't mined.
    pub async fn receipt(&self, hash: TxHash) -> Result<Option<Sent>, NodeError> {
        let receipt = self.provider.get_transaction_receipt(hash).await.map_err(failed("asking for a receipt"))?;
        Ok(receipt.and_then(|receipt| {
            Some(Sent { block: receipt.block_number?, success: receipt.status(), gas: receipt.gas_used })
        }))
    }

    /// The contract that a mined transaction deployed, and its events.
    pub async fn effects(&self, hash: TxHash) -> Result<(Option<Address>, Vec<Log>), NodeError> {
        let receipt = self.provider.get_transaction_receipt(hash).await.map_err(failed("asking for a receipt"))?;
        let receipt = receipt.ok_or(NodeError::Missing("receipt of the transaction"))?;
        Ok((receipt.contract_address, receipt.inner.logs().to_vec()))
    }

    /// Any other question.
    pub async fn raw(&self, method: &'static str, params: serde_json::Value) -> Result<serde_json::Value, NodeError> {
        self.provider.raw_request(method.into(), params).await.map_err(failed(method))
    }
}

impl<E: SolEvent> Event<E> {
    /// The event of a log, if it is of this kind.
    #[must_use]
    pub fn of(log: &Log) -> Option<Self> {
        let data = E::decode_log(&log.inner).ok()?.data;
        Some(Self { data, block: log.block_number? })
    }
}

fn transaction(from: Option<Address>, to: Option<Address>, data: Bytes, value: U256) -> TransactionRequest {
    let kind = to.map_or(TxKind::Create, TxKind::Call);
    TransactionRequest {
        from,
        to: Some(kind),
        value: Some(value),
        input: TransactionInput::new(data),
        ..Default::default()
    }
}
