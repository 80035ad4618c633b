//! How queries reach a node: over HTTP, with a limit for what a response may be.
//!
//! The client of the library reads a response of any length into memory, and names the whole URL in its log.
//! This one does neither.

use crate::secrets::note;
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::http::reqwest::{Client, Response, Url, redirect::Policy};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
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

/// A client for the node with this URL, which must answer within `timeout`, whatever it does.
pub fn client(url: &str, timeout: Duration) -> Result<RpcClient, String> {
    Ok(RpcClient::new(Transport::new(parse(url)?, timeout, MOST)?, false))
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
    url: Url,
    most: usize,
}

impl Transport {
    fn new(url: Url, timeout: Duration, most: usize) -> Result<Self, String> {
        #[cfg(feature = "tls")]
        choose_cryptography();
        // A node has no reason to send anyone elsewhere.
        let client = Client::builder().timeout(timeout).redirect(Policy::none()).build();
        Ok(Self { client: client.map_err(|error| error.to_string())?, url, most })
    }

    async fn ask(self, query: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let request = self.client.post(self.url.clone()).headers(query.headers()).json(&query);
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

    /// What the node answers to a query.
    fn ask(url: Url, timeout: Duration, most: usize) -> Result<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = RpcClient::new(Transport::new(url, timeout, most).expect("a client"), false);
        let answer =
            runtime.block_on(async { client.request_noparams::<String>("web3_clientVersion").await });
        answer.map_err(|error| error.to_string())
    }

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_response_that_is_too_long_is_not_read() {
        let whole = response("0x1").len();
        assert_eq!(ask(node("0x1"), PATIENCE, whole).as_deref(), Ok("0x1"));
        let error = ask(node("0x1"), PATIENCE, whole - 1).expect_err("a byte too long");
        assert!(error.contains("more than the 0 MiB"), "{error}");
        // It announces 5 GB, or nothing and then sends without an end.
        for head in ["Content-Length: 5000000000", "Connection: close"] {
            let endless = server(move |stream| {
                let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes());
                while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
            });
            let error = ask(endless, Duration::from_secs(60), 3 << 20).expect_err("too long");
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
        ask(slow, Duration::from_millis(500), MOST).expect_err("no end");
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
        let error = ask(sends, PATIENCE, MOST).expect_err("a redirection");
        assert!(error.contains("307"), "{error}");
    }
}
