//! How queries reach a node: over HTTP, with a limit for what a response may be, and to another node of the same
//! chain when one fails.
//!
//! The client of the library reads a response of any length into memory, and names the whole URL in its log.
//! This one does neither.

use crate::node::without_keys;
use crate::secrets::note;
use alloy::primitives::U64;
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{Id, Request, RequestPacket, ResponsePacket};
use alloy::transports::http::reqwest::{Client, Response, Url, redirect::Policy};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use thiserror::Error;

/// The most bytes of a response. The largest that are right are those with events: 2,000 blocks of them.
const MOST: usize = 128 << 20;

/// A response that is longer than any that is right.
#[derive(Debug, Error)]
#[error("the response has more than the {} MiB that are read at most", most >> 20)]
pub struct TooLong {
    most: usize,
}

/// A client for the nodes of one chain with these URLs, between which there is space. Every node must answer within
/// `timeout`, whatever it does.
pub fn client(urls: &str, timeout: Duration) -> Result<RpcClient, String> {
    let urls = urls.split_whitespace().map(parse).collect::<Result<Vec<_>, _>>()?;
    if urls.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(RpcClient::new(Transport::new(urls, timeout, MOST)?, false))
}

fn parse(url: &str) -> Result<Url, String> {
    let url: Url = url.parse().map_err(|error| format!("{error}"))?;
    match url.scheme() {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "https" => return Err("this opml was built without HTTPS (the feature `tls`)".to_owned()),
        _ => return Err("expected http:// or https://".to_owned()),
    }
    note(&url);
    Ok(url)
}

/// TLS needs its cryptography provider installed once per process. Installing the same one again is harmless.
#[cfg(feature = "tls")]
fn choose_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[derive(Debug, Clone)]
struct Transport {
    client: Client,
    nodes: Arc<[Node]>,
    /// The node that is asked first.
    first: Arc<AtomicUsize>,
    /// The chain of the first node that answered.
    chain: Arc<OnceLock<u64>>,
    most: usize,
}

#[derive(Debug)]
struct Node {
    url: Url,
    /// Whether it was seen to be on the chain of the others.
    checked: AtomicBool,
}

impl Transport {
    fn new(urls: Vec<Url>, timeout: Duration, most: usize) -> Result<Self, String> {
        #[cfg(feature = "tls")]
        choose_cryptography();
        // A node has no reason to send anyone elsewhere.
        let client = Client::builder().timeout(timeout).redirect(Policy::none()).build();
        let client = client.map_err(|error| error.to_string())?;
        let nodes = urls.into_iter().map(|url| Node { url, checked: AtomicBool::new(false) }).collect();
        Ok(Self { client, nodes, first: Arc::default(), chain: Arc::default(), most })
    }

    /// Asks the nodes in turn until one answers. The one that does is asked first from then on.
    async fn ask(self, query: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let (first, count) = (self.first.load(Ordering::Relaxed), self.nodes.len());
        let mut last = TransportErrorKind::custom_str("no node is given");
        for index in (0..count).map(|offset| (first + offset) % count) {
            match self.ask_checked(&self.nodes[index], &query).await {
                Ok(answer) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks a node, which must be on the chain of the others. If there are no others, the caller knows its chain.
    async fn ask_checked(
        &self,
        node: &Node,
        query: &RequestPacket,
    ) -> Result<ResponsePacket, TransportError> {
        if self.nodes.len() > 1 && !node.checked.load(Ordering::Relaxed) {
            let ask = Request::new("eth_chainId", Id::Number(0), ()).serialize();
            let ask = RequestPacket::Single(ask.map_err(TransportError::ser_err)?);
            let answer = self.ask_one(&node.url, &ask).await?;
            let found = answer.responses().iter().find_map(|response| response.payload.as_success());
            let found = found.and_then(|text| serde_json::from_str::<U64>(text.get()).ok());
            let found = found.ok_or_else(|| TransportErrorKind::custom_str("the node names no chain"))?.to();
            let expected = *self.chain.get_or_init(|| found);
            if found != expected {
                let host = without_keys(node.url.as_str());
                let error = format!("{host} is on chain {found}, but the node before on chain {expected}");
                return Err(TransportErrorKind::custom_str(&error));
            }
            node.checked.store(true, Ordering::Relaxed);
        }
        self.ask_one(&node.url, query).await
    }

    async fn ask_one(&self, url: &Url, query: &RequestPacket) -> Result<ResponsePacket, TransportError> {
        let request = self.client.post(url.clone()).headers(query.headers()).json(query);
        let response = request.send().await.map_err(TransportErrorKind::custom)?;
        let status = response.status();
        let body = self.body(response).await?;
        let answer = serde_json::from_slice::<ResponsePacket>(&body);
        // A node may explain an error in JSON-RPC, whatever its status.
        if !status.is_success() && !answer.as_ref().is_ok_and(ResponsePacket::is_error) {
            let text = String::from_utf8_lossy(&body).into_owned();
            return Err(TransportErrorKind::http_error(status.as_u16(), text));
        }
        answer.map_err(|error| TransportError::deser_err(error, String::from_utf8_lossy(&body)))
    }

    /// The bytes of a response, as far as they are within the limit.
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, TransportError> {
        let too_long = || TransportErrorKind::custom(TooLong { most: self.most });
        if response.content_length().is_some_and(|length| length > self.most as u64) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(TransportErrorKind::custom)? {
            if body.len() + chunk.len() > self.most {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl tower_service::Service<RequestPacket> for Transport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, query: RequestPacket) -> Self::Future {
        Box::pin(self.clone().ask(query))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    /// Serves every connection in this way, until the test ends. Returns the URL.
    fn server(serve: impl Fn(&mut TcpStream) + Send + 'static) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/v3/secret", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a client");
                let _ = stream.read(&mut [0; 4096]);
                serve(&mut stream);
            }
        });
        url.parse().expect("a URL")
    }

    /// A node that gives this result to every query.
    fn node(result: &'static str) -> Url {
        server(move |stream| answer(stream, "200 OK", &response(result)))
    }

    fn response(result: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":0,"result":"{result}"}}"#)
    }

    fn answer(stream: &mut TcpStream, status: &str, body: &str) {
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = stream.write_all((head + body).as_bytes());
    }

    /// What the nodes answer to a query.
    fn ask(urls: Vec<Url>, timeout: Duration, most: usize) -> Result<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = RpcClient::new(Transport::new(urls, timeout, most).expect("a client"), false);
        let answer =
            runtime.block_on(async { client.request_noparams::<String>("web3_clientVersion").await });
        answer.map_err(|error| error.to_string())
    }

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_response_that_is_too_long_is_not_read() {
        let whole = response("0x1").len();
        assert_eq!(ask(vec![node("0x1")], PATIENCE, whole).as_deref(), Ok("0x1"));
        let error = ask(vec![node("0x1")], PATIENCE, whole - 1).expect_err("a byte too long");
        assert!(error.contains("more than the 0 MiB"), "{error}");
        // It announces 5 GB, or nothing and then sends without an end.
        for head in ["Content-Length: 5000000000", "Connection: close"] {
            let endless = server(move |stream| {
                let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes());
                while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
            });
            let error = ask(vec![endless], Duration::from_secs(60), 3 << 20).expect_err("too long");
            assert!(error.contains("more than the 3 MiB"), "{error}");
        }
    }

    #[test]
    fn a_node_that_never_ends_is_left() {
        let slow = server(|stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let start = Instant::now();
        ask(vec![slow], Duration::from_millis(500), MOST).expect_err("no end");
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        let target = node("0x1");
        let sends = server(move |stream| {
            let head =
                format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {target}\r\nContent-Length: 0\r\n");
            let _ = stream.write_all((head + "Connection: close\r\n\r\n").as_bytes());
        });
        let error = ask(vec![sends], PATIENCE, MOST).expect_err("a redirection");
        assert!(error.contains("307"), "{error}");
    }

    #[test]
    fn another_node_of_the_same_chain_takes_over() {
        let gone = || Url::parse("http://127.0.0.1:9/").expect("a URL");
        let busy = || server(|stream| answer(stream, "429 Too Many Requests", "slow down"));
        for bad in [&gone, &|| node("not a chain"), &busy] as [&dyn Fn() -> Url; 3] {
            assert_eq!(ask(vec![bad(), node("0x1")], PATIENCE, MOST).as_deref(), Ok("0x1"));
        }
        let error = ask(vec![busy(), gone()], PATIENCE, MOST).expect_err("no node");
        assert!(!error.is_empty());
    }

    #[test]
    fn a_node_of_another_chain_does_not_take_over() {
        let transport = Transport::new(vec![node("0x1"), node("0x2")], PATIENCE, MOST).expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let query = Request::new("web3_clientVersion", Id::Number(0), ()).serialize().expect("a query");
        let asks = |node: &Node| {
            let query = RequestPacket::Single(query.clone());
            runtime.block_on(transport.ask_checked(node, &query)).map_err(|error| error.to_string())
        };
        asks(&transport.nodes[0]).expect("an answer");
        let error = asks(&transport.nodes[1]).expect_err("another chain");
        assert!(error.contains("is on chain 2, but the node before on chain 1"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
