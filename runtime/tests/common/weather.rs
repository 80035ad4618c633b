//! A node in bad weather: what is asked is passed on to a real one, and some of it is spoilt.

use super::Random;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What becomes of a query.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The node fails in HTTP.
    Status(u16),
    /// The node fails in JSON-RPC.
    Error,
    /// The node is asked, and its answer is lost.
    Lost,
    /// The same, but half of it arrives.
    Cut,
    /// It takes a while.
    Slow,
    /// It takes longer than anybody waits.
    Hang,
    /// The last block is an older one.
    Stale,
    /// There are no events.
    Empty,
    /// An account has sent more than it has, and anything takes little gas.
    Wrong,
    /// Nobody is there, for a while.
    Outage,
}

/// How many of a thousand queries suffer what. Some faults are only those of some queries.
const WEATHER: [(u64, Fault); 11] = [
    (30, Fault::Status(500)),
    (30, Fault::Status(429)),
    (30, Fault::Error),
    (20, Fault::Lost),
    (20, Fault::Cut),
    (50, Fault::Slow),
    (5, Fault::Hang),
    (150, Fault::Stale),
    (150, Fault::Empty),
    (50, Fault::Wrong),
    (3, Fault::Outage),
];
/// How long it hangs: longer than a player waits for an answer.
const HANG: Duration = Duration::from_secs(10);

/// What a node says.
enum Said {
    Nothing,
    Whole(u16, Vec<u8>),
    Half(Vec<u8>),
}

/// A node with weather, until the test ends.
#[derive(Clone)]
pub struct Weather {
    pub url: String,
    /// Where the real one is.
    node: String,
    random: Arc<Mutex<Random>>,
    /// The end of the outage.
    calm: Arc<Mutex<Option<Instant>>>,
    /// The transactions that it was given.
    sent: Arc<Mutex<Vec<String>>>,
}

impl Weather {
    pub fn over(rpc: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let new = Self {
            url: format!("http://{}", listener.local_addr().expect("an address")),
            node: rpc.strip_prefix("http://").expect("a URL").to_owned(),
            random: Arc::new(Mutex::new(Random(seed))),
            calm: Arc::default(),
            sent: Arc::default(),
        };
        let weather = new.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let weather = weather.clone();
                // A client that goes away is nobody's fault.
                std::thread::spawn(move || weather.talk(client));
            }
        });
        new
    }

    /// The transactions that were sent through it, in hexadecimal digits.
    pub fn sent(&self) -> Vec<String> {
        self.sent.lock().expect("a lock").clone()
    }

    fn talk(&self, mut client: TcpStream) -> Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        while let Some(query) = message(&mut reader)? {
            let (status, body, length) = match self.say(serde_json::from_slice(&query)?) {
                Said::Nothing => return Ok(()),
                Said::Whole(status, body) => (status, body.clone(), body.len()),
                Said::Half(body) => (200, body[..body.len() / 2].to_vec(), body.len()),
            };
            let head = "Content-Type: application/json\r\nContent-Length";
            write!(client, "HTTP/1.1 {status} Weather\r\n{head}: {length}\r\n\r\n")?;
            client.write_all(&body)?;
            if body.len() < length {
                return Ok(());
            }
        }
        Ok(())
    }

    fn say(&self, mut query: Value) -> Said {
        let (method, first) = (query["method"].clone(), query["params"][0].clone());
        if method == "eth_sendRawTransaction" {
            self.sent.lock().expect("a lock").push(first.as_str().expect("bytes").to_owned());
        }
        let answer = |name: &str, value: Value| {
            Said::Whole(
                200,
                json!({ "jsonrpc": "2.0", "id": query["id"], name: value }).to_string().into_bytes(),
            )
        };
        let whole = |answer: Result<Vec<u8>>| answer.map_or(Said::Nothing, |body| Said::Whole(200, body));
        match self.fault() {
            Some(Fault::Status(status)) => Said::Whole(status, b"the weather is bad".to_vec()),
            Some(Fault::Error) => answer("error", json!({ "code": -32005, "message": "limit exceeded" })),
            Some(Fault::Empty) if method == "eth_getLogs" => answer("result", json!([])),
            Some(Fault::Wrong) if method == "eth_estimateGas" => answer("result", json!("0x5208")),
            Some(Fault::Wrong) if method == "eth_getTransactionCount" => {
                let count = self.asked(&query).unwrap_or(0);
                answer("result", json!(format!("{:#x}", count + 3)))
            }
            Some(Fault::Outage) => Said::Nothing,
            Some(Fault::Hang) => {
                sleep(HANG);
                Said::Nothing
            }
            Some(Fault::Lost) => {
                let _ = self.pass(&query);
                Said::Nothing
            }
            Some(Fault::Cut) => self.pass(&query).map_or(Said::Nothing, Said::Half),
            Some(Fault::Slow) => {
                sleep(Duration::from_millis(100 + self.below(1400)));
                whole(self.pass(&query))
            }
            Some(Fault::Stale) if method == "eth_getBlockByNumber" && first == "latest" => {
                let head = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": [] });
                let Some(head) = self.asked(&head) else { return Said::Nothing };
                query["params"][0] = json!(format!("{:#x}", head.saturating_sub(1 + self.below(5))));
                whole(self.pass(&query))
            }
            _ => whole(self.pass(&query)),
        }
    }

    /// What becomes of the next query.
    fn fault(&self) -> Option<Fault> {
        let mut calm = self.calm.lock().expect("a lock");
        if calm.is_some_and(|calm| Instant::now() < calm) {
            return Some(Fault::Outage);
        }
        let mut left = self.below(1000);
        let hit = WEATHER.iter().find(|(of, _)| {
            let hit = left < *of;
            left = left.saturating_sub(*of);
            hit
        });
        let fault = hit.map(|(_, fault)| *fault);
        *calm = matches!(fault, Some(Fault::Outage))
            .then(|| Instant::now() + Duration::from_millis(500 + self.below(3500)));
        fault
    }

    fn below(&self, limit: u64) -> u64 {
        self.random.lock().expect("a lock").below(limit)
    }

    /// The number that the real node answers.
    fn asked(&self, query: &Value) -> Option<u64> {
        let answer: Value = serde_json::from_slice(&self.pass(query).ok()?).ok()?;
        u64::from_str_radix(answer["result"].as_str()?.strip_prefix("0x")?, 16).ok()
    }

    /// What the real node answers.
    fn pass(&self, query: &Value) -> Result<Vec<u8>> {
        let (mut node, body) = (TcpStream::connect(&self.node)?, query.to_string());
        let head = "POST / HTTP/1.1\r\nHost: node\r\nConnection: close\r\nContent-Type: application/json";
        write!(node, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        message(&mut BufReader::new(node))?.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))
    }
}

/// The body of the next HTTP message; `None` at the end.
fn message(reader: &mut BufReader<TcpStream>) -> Result<Option<Vec<u8>>> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().ok();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length.ok_or_else(|| Error::other("a message without a length"))?];
    reader.read_exact(&mut body)?;
    Ok(Some(body))
}
