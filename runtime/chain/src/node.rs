//! A node, asked over JSON-RPC.

use crate::question::{Answering, At, Head, Node, Question, Receipt, Reply, Sent};
use crate::{secrets, transport};
use alloy::consensus::BlockHeader as _;
use alloy::eips::BlockId;
use alloy::network::BlockResponse as _;
use alloy::primitives::{Address, Bytes, TxKind, U256};
use alloy::providers::{DynProvider, Provider as _, ProviderBuilder};
use alloy::rpc::types::{BlockNumberOrTag, Filter, Log, TransactionInput, TransactionRequest};
use alloy::sol_types::SolEvent;
use alloy::transports::{HttpError, RpcError, TransportError, TransportErrorKind};
use std::time::Duration;
use thiserror::Error;

/// A node that is asked over JSON-RPC.
#[derive(Debug, Clone)]
pub struct RpcNode {
    provider: DynProvider,
    /// The scheme and host of its URL.
    name: String,
}

/// An event and its block.
#[derive(Debug, Clone)]
pub struct Event<E> {
    /// Its fields.
    pub data: E,
    /// The block that it is in.
    pub block: u64,
}

/// Why a query failed. No message shows more of a URL than its scheme and host: the rest may contain an
/// access key.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The URL is unusable.
    #[error("'{url}' is not the URL of a node: {reason}")]
    Url {
        /// The scheme and host of what was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The node can't be reached, or its response makes no sense.
    #[error("cannot {what}: {reason}")]
    Transport {
        /// The query.
        what: String,
        /// What happened.
        reason: String,
    },
    /// A server answers, but it doesn't speak JSON-RPC.
    #[error("cannot {what}: {found}; is the URL that of a node's JSON-RPC, with its access key?")]
    NotRpc {
        /// The query.
        what: String,
        /// The start of the response.
        found: String,
    },
    /// The server doesn't let us in.
    #[error("cannot {what}: the node doesn't let us in: {reason}; is its access key right?")]
    Denied {
        /// The query.
        what: String,
        /// What it says.
        reason: String,
    },
    /// The node refuses.
    #[error("cannot {what}: the node refuses: {reason}")]
    Refused {
        /// The query.
        what: String,
        /// The node's reason.
        reason: String,
    },
    /// The contract refuses.
    #[error("cannot {what}: the contract refuses: {}", contracts::error_text(*name))]
    Reverted {
        /// The query.
        what: String,
        /// The name of its error, if the error is one of our contracts'.
        name: Option<&'static str>,
    },
    /// The node doesn't have the requested data.
    #[error("the node has no {0}")]
    Missing(&'static str),
    /// The node belongs to another chain.
    #[error("{name} is a node of another chain: {reason}")]
    OtherChain {
        /// The node.
        name: String,
        /// How that shows.
        reason: String,
    },
    /// Two nodes answer differently.
    #[error("cannot {what}: {first} and {second} answer differently")]
    Disagree {
        /// The query.
        what: String,
        /// The first node.
        first: String,
        /// The second one.
        second: String,
    },
}

impl NodeError {
    /// Whether the contract reverted with this error.
    #[must_use]
    pub fn is(&self, error: &str) -> bool {
        matches!(self, Self::Reverted { name: Some(name), .. } if *name == error)
    }
}

/// Builds the error of a query: `what` completes "cannot ...".
fn failed(what: impl Into<String>) -> impl FnOnce(TransportError) -> NodeError {
    let what = what.into();
    move |error| {
        metrics::counter!("opml_rpc_errors_total").increment(1);
        if let Some(response) = error.as_error_resp() {
            return match response.as_revert_data() {
                Some(data) => NodeError::Reverted { what, name: contracts::error_name(&data) },
                None => NodeError::Refused { what, reason: without_keys(&shortened(&response.message)) },
            };
        }
        let http = match &error {
            RpcError::DeserError { text, .. } => return NodeError::NotRpc { what, found: described(text) },
            RpcError::Transport(
                TransportErrorKind::HttpError(http)
                | TransportErrorKind::HttpErrorWithRetryAfter { error: http, .. },
            ) => Some(http),
            _ => None,
        };
        match http {
            Some(HttpError { status, body }) if is_page(body) => {
                NodeError::NotRpc { what, found: format!("HTTP status {status} with {}", described(body)) }
            }
            Some(HttpError { status, body }) => {
                let reason = format!("HTTP status {status}: {}", without_keys(&shortened(body)));
                match status {
                    401 | 403 => NodeError::Denied { what, reason },
                    _ => NodeError::Transport { what, reason },
                }
            }
            None => NodeError::Transport { what, reason: without_keys(&with_cause(&error)) },
        }
    }
}

/// Whether a text is a web page.
fn is_page(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

/// Describes a response that is not JSON-RPC.
fn described(text: &str) -> String {
    let kind = match text.trim_start() {
        "" => return "an empty answer".to_owned(),
        text if is_page(text) => "a web page",
        _ => "an answer",
    };
    format!("{kind} that is not JSON-RPC (\"{}\")", without_keys(&shortened(text)))
}

/// The beginning of a text, on one line.
fn shortened(text: &str) -> String {
    const MOST: usize = 100;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// An error with its root cause. The outer errors only say that a request failed.
fn with_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let outer = error.to_string();
    match std::iter::successors(error.source(), |error| error.source()).last().map(ToString::to_string) {
        Some(cause) if !outer.contains(&cause) => format!("{outer}: {cause}"),
        _ => outer,
    }
}

/// The scheme, host and port of a URL. The rest often contains an access key, which must not be logged.
#[must_use]
pub fn endpoint(url: &str) -> String {
    if url.contains("://") { without_keys(url) } else { host(url).to_owned() }
}

/// A text in which every URL is cut down to its scheme and host, and the keys of nodes are hidden elsewhere too.
#[must_use]
pub fn without_keys(text: &str) -> String {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some((before, url)) = rest.split_once("://") {
        let end = url.find(|c: char| c.is_whitespace() || "\"'()<>".contains(c)).unwrap_or(url.len());
        shown += before;
        shown += "://";
        shown += host(&url[..end]);
        rest = &url[end..];
    }
    secrets::hide(shown + rest)
}

/// The host and port of a URL without its scheme.
fn host(url: &str) -> &str {
    let authority = url.split(['/', '?', '#']).next().unwrap_or_default();
    // A name and a password may come before the host.
    authority.rsplit('@').next().unwrap_or_default()
}

impl RpcNode {
    /// A node whose URL this is. Nothing is asked of it yet; every query will have to be answered within `timeout`.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, NodeError> {
        let bad = |reason: String| NodeError::Url { url: endpoint(url), reason };
        let client = transport::client(url, timeout).map_err(bad)?;
        let provider = ProviderBuilder::default().connect_client(client).erased();
        Ok(Self { provider, name: endpoint(url) })
    }

    async fn ask(&self, question: Question) -> Result<Reply, NodeError> {
        let (node, what) = (&self.provider, question.what());
        metrics::counter!("opml_rpc_calls_total").increment(1);
        Ok(match question {
            Question::Chain => Reply::Number(node.get_chain_id().await.map_err(failed(what))?),
            Question::Head => {
                let block = node.get_block(BlockId::latest()).await.map_err(failed(what))?;
                let block = block.ok_or(NodeError::Missing("last block"))?;
                let header = block.header();
                Reply::Head(Head {
                    number: header.number(),
                    hash: header.hash,
                    parent: header.parent_hash(),
                    time: header.timestamp(),
                    base_fee: header.base_fee_per_gas().unwrap_or(0).into(),
                })
            }
            Question::Block(number) => {
                let block = node.get_block(BlockId::number(number)).await.map_err(failed(what))?;
                Reply::Hash(block.map(|block| block.header.hash))
            }
            Question::Call { to, data, at } => {
                let at = match at {
                    At::Hash(hash) => BlockId::hash(hash),
                    At::Latest => BlockId::latest(),
                };
                let request = transaction(None, Some(to), data, U256::ZERO);
                Reply::Bytes(node.call(request).block(at).await.map_err(failed(what))?)
            }
            Question::Logs { address, from, to } => {
                let filter = Filter::new().address(address).from_block(from).to_block(to);
                Reply::Logs(node.get_logs(&filter).await.map_err(failed(what))?)
            }
            Question::BlockLogs { address, block } => {
                let receipts = node.get_block_receipts(BlockId::number(block)).await.map_err(failed(what))?;
                let receipts = receipts.ok_or(NodeError::Missing("receipts of the block"))?;
                let logs = receipts.iter().flat_map(|receipt| receipt.inner.logs());
                Reply::Logs(logs.filter(|log| log.address() == address).cloned().collect())
            }
            Question::Nonce(account) => {
                let count = node.get_transaction_count(account).block_id(BlockNumberOrTag::Latest.into());
                Reply::Number(count.await.map_err(failed(what))?)
            }
            Question::Balance(account) => Reply::Wei(node.get_balance(account).await.map_err(failed(what))?),
            Question::HasCode(account) => {
                Reply::Truth(!node.get_code_at(account).await.map_err(failed(what))?.is_empty())
            }
            Question::Tip => {
                Reply::Wei(U256::from(node.get_max_priority_fee_per_gas().await.map_err(failed(what))?))
            }
            Question::Estimate { from, to, data, value } => {
                let request = transaction(Some(from), to, data, value);
                Reply::Number(node.estimate_gas(request).await.map_err(failed(what))?)
            }
            Question::Send(raw) => {
                let _ = node.send_raw_transaction(&raw).await.map_err(failed(what))?;
                Reply::Done
            }
            Question::Knows(hash) => {
                Reply::Truth(node.get_transaction_by_hash(hash).await.map_err(failed(what))?.is_some())
            }
            Question::Receipt(hash) => {
                let receipt = node.get_transaction_receipt(hash).await.map_err(failed(what))?;
                Reply::Receipt(receipt.and_then(|receipt| {
                    let cost = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
                    let (success, gas) = (receipt.status(), receipt.gas_used);
                    let sent = Sent { block: receipt.block_number?, success, gas, cost };
                    let (created, logs) = (receipt.contract_address, receipt.inner.logs().to_vec());
                    Some(Box::new(Receipt { sent, created, logs }))
                }))
            }
            Question::Other { method, params } => {
                Reply::Json(node.raw_request(method.into(), params).await.map_err(failed(what))?)
            }
        })
    }
}

impl Node for RpcNode {
    fn answer(&self, question: Question) -> Answering<'_> {
        Box::pin(self.ask(question))
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl<E: SolEvent> Event<E> {
    /// Decodes a log, if it is an event of this kind.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Nodes;
    use std::io::{Read as _, Write as _};

    #[test]
    fn a_url_is_shown_without_what_may_be_a_key() {
        for (url, shown) in [
            ("https://mainnet.example.org/v3/secret", "https://mainnet.example.org"),
            ("http://name:secret@127.0.0.1:8545/?key=secret", "http://127.0.0.1:8545"),
            ("https://example.org?secret#secret", "https://example.org"),
            ("example.org/secret", "example.org"),
            ("", ""),
        ] {
            assert_eq!(endpoint(url), shown);
        }
        let text = "request for url (https://example.org/secret) failed, 'ws://a.b/secret' too: no :// here";
        assert_eq!(
            without_keys(text),
            "request for url (https://example.org) failed, 'ws://a.b' too: no :// here"
        );
    }

    /// The error when a server gives this response to a connection.
    fn error_of(status: &str, body: &'static str) -> NodeError {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/v3/secret", listener.local_addr().expect("an address"));
        let answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(answer.as_bytes()).expect("an answer");
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let node = RpcNode::new(&url, Duration::from_secs(5)).expect("a URL");
        let error = runtime.block_on(node.answer(Question::Chain)).expect_err("not a node");
        server.join().expect("the server ends");
        error
    }

    #[test]
    fn a_web_page_is_named_as_such_and_cut_short() {
        const PAGE: &str = "<!DOCTYPE html>\n<html><body>\n  This is a web site with a lot of text, which is about \
            something else and is of no use to anybody who runs a player.\n</body></html>";
        for status in ["200 OK", "404 Not Found", "429 Too Many Requests"] {
            let error = error_of(status, PAGE);
            assert!(matches!(error, NodeError::NotRpc { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("a web page that is not JSON-RPC (\"<!DOCTYPE html> <html>"), "{text}");
            assert!(text.len() < 300 && !text.contains("secret") && !text.contains('\n'), "{text}");
        }
        assert!(error_of("200 OK", "").to_string().contains("an empty answer"));
        let text = error_of("401 Unauthorized", "invalid key").to_string();
        assert!(text.ends_with("HTTP status 401: invalid key; is its access key right?"), "{text}");
        let text = error_of("500 Internal Server Error", "out of order").to_string();
        assert!(text.ends_with("HTTP status 500: out of order"), "{text}");
    }

    #[test]
    fn what_stops_a_connection_is_named_without_the_key() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connect =
            |url| runtime.block_on(Nodes::connect(url, Duration::from_secs(2))).expect_err(url).to_string();
        let refused = connect("http://127.0.0.1:9/v3/secret");
        assert!(
            refused.contains("cannot get the chain's ID") && refused.contains("http://127.0.0.1:9"),
            "{refused}"
        );
        assert!(refused.to_lowercase().contains("refused") && !refused.contains("secret"), "{refused}");
        for url in ["127.0.0.1:8545/secret", "ftp://127.0.0.1/secret"] {
            let error = connect(url);
            assert!(error.contains("is not the URL of a node") && !error.contains("secret"), "{error}");
        }
    }
}
