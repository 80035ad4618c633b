//! A real chain (anvil from npm) with all contracts, on which commands and players run.

use super::{Folder, fixture};
use contracts::{B256, Bytes, Input, SolValue as _, Source, U256};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const DEPLOYER: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
pub const REQUESTER: &str = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
pub const REQUESTER_ACCOUNT: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
pub const SERVER: &str = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
pub const SERVER_ACCOUNT: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
pub const VALIDATOR: &str = "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6";
pub const VALIDATOR_ACCOUNT: &str = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";
/// The time limit for each action, enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// A process that does not outlive the test.
pub struct Process(pub Child);

impl Process {
    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.0.kill().expect("a process to kill");
        self.0.wait().expect("its end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The number of a process that has ended may be another one's by now.
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        // devnet ends its chain when it is asked to end, not when it is killed.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A chain with all contracts, and the folder in which the commands run.
pub struct Net {
    pub folder: Folder,
    pub rpc: String,
    _chain: Process,
}

impl Net {
    /// A chain on which the model is registered.
    pub fn start() -> Self {
        let net = Self::start_empty();
        net.json(REQUESTER, &["register", "net.opml"]);
        net
    }

    pub fn start_empty() -> Self {
        Self::with_times(12, 20)
    }

    /// A chain whose service has this window and clock, in seconds.
    pub fn with_times(window: u32, clock: u32) -> Self {
        let folder = Folder::with_net("mnist-cnn");
        let port = free_port();
        let port_text = port.to_string();
        let [window, clock] = [window, clock].map(|seconds| seconds.to_string());
        let args = ["devnet", "--port", &port_text, "--window", &window, "--clock", &clock];
        let chain = spawn(&folder, None, &args);
        let start = Instant::now();
        while !folder.path("deployment.json").exists() {
            assert!(start.elapsed() < PATIENCE, "no chain; is anvil missing? run `npm ci`: {}", log(&folder));
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { folder, rpc: format!("http://127.0.0.1:{port}"), _chain: chain }
    }

    /// The output of a command that must succeed.
    pub fn json(&self, key: &str, args: &[&str]) -> Value {
        let output = command(&self.folder, Some(key)).arg("--json").args(args).output().expect("opml starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "opml {args:?} fails: {error}\n{}", log(&self.folder));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("opml {args:?} prints no JSON"))
    }

    pub fn play(&self, key: &str, args: &[&str]) -> Process {
        spawn(&self.folder, Some(key), args)
    }

    /// Requests the digit 7, with the deployment's consumer as callback.
    pub fn request(&self, more: &[&str]) -> String {
        self.request_about(7, more)
    }

    /// Requests a digit.
    pub fn request_about(&self, digit: usize, more: &[&str]) -> String {
        let deployment: Value = serde_json::from_slice(&self.folder.read("deployment.json")).expect("JSON");
        let input = format!("image={}", fixture(&format!("digits/{digit}.npy")));
        let consumer = deployment["consumer"].as_str().expect("a consumer");
        let args = [&["request", "net.opml", "--input", &input, "--callback", consumer], more].concat();
        self.json(REQUESTER, &args)["request"].to_string()
    }

    /// Has the deployment's consumer ask for the digit 7.
    pub fn request_through_consumer(&self) -> String {
        let deployment: Value = serde_json::from_slice(&self.folder.read("deployment.json")).expect("JSON");
        let model = self.json(REQUESTER, &["inspect", "net.opml"])["model"].clone();
        let model: B256 = model.as_str().expect("an ID").parse().expect("32 bytes");
        let image = std::fs::read(fixture("digits/7.npy")).expect("a digit");
        let image = Bytes::copy_from_slice(&image[image.len() - 28 * 28 * 4..]);
        let selector = &step::keccak(b"ask(bytes32,(uint8,bytes)[])").0[..4];
        let inputs = vec![Input { source: Source::Bytes, data: image }];
        let data = Bytes::from([selector, &(model, inputs).abi_encode_params()].concat());
        let call = json!({
            "from": REQUESTER_ACCOUNT, "to": deployment["consumer"], "value": "0x2386f26fc10000", "data": data,
        });
        self.ask("eth_sendTransaction", json!([call]));
        let call = contracts::IInferenceService::requestCountCall {};
        let service = deployment["service"].as_str().expect("a service").parse().expect("an address");
        let start = Instant::now();
        loop {
            let count = self.node(async |node| {
                let head = node.head().await?;
                node.call(service, &call, head.hash).await
            });
            // The two requests before are mined already.
            if count == U256::from(3) {
                return count.to_string();
            }
            assert!(start.elapsed() < PATIENCE, "the consumer's request is not mined");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a request has the expected status.
    pub fn wait(&self, id: &str, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let status = self.json(REQUESTER, &["status", id]);
            if done(&status) {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "not {what}: {status:#}\n{}", log(&self.folder));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn wait_final(&self, id: &str) -> Value {
        self.wait(id, "final", |status| status["standing"] == "final")
    }

    /// The digit in the final output, as the consumer has it.
    pub fn digit(&self, id: &str) -> usize {
        self.json(REQUESTER, &["result", id, "--image", "net.opml", "-o", "out"]);
        let file = self.folder.read("out/probabilities.npy");
        let numbers: Vec<f32> =
            file[file.len() - 40..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().expect("4"))).collect();
        (0..10).max_by(|&a, &b| numbers[a].total_cmp(&numbers[b])).expect("a digit")
    }

    /// An account's ether, in wei.
    pub fn balance(&self, account: &str) -> u128 {
        let account = account.parse().expect("an address");
        self.node(async |node| node.balance(account).await).to()
    }

    /// Queries the chain directly.
    pub fn ask(&self, method: &'static str, params: Value) -> Value {
        self.node(async |node| node.raw(method, params).await)
    }

    pub fn node<T>(&self, question: impl AsyncFnOnce(chain::Nodes) -> Result<T, chain::NodeError>) -> T {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let node = chain::Nodes::connect(&self.rpc, Duration::from_secs(10)).await.expect("a node");
            question(node).await.expect("an answer")
        })
    }
}

/// A port that nobody has.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

/// What a player or a worker tells at its port for metrics, if it does.
pub fn told(port: u16, page: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(format!("GET {page} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Waits until the health has this status, 200 or 503, and returns what is told.
pub fn wait_for_health(port: u16, status: u16, folder: &Folder) -> String {
    let start = Instant::now();
    loop {
        match told(port, "/health") {
            Some(text) if text.starts_with(&format!("HTTP/1.1 {status} ")) => return text,
            other => assert!(start.elapsed() < PATIENCE, "{other:?}: {}", log(folder)),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub fn command(folder: &Folder, key: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_opml"));
    command.env("OPML_CACHE", "");
    let anvil = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../node_modules/.bin/anvil");
    command.current_dir(folder.path("")).env("OPML_ANVIL", anvil).env("NO_COLOR", "1");
    match key {
        Some(key) => command.env("OPML_KEY", key),
        None => command.env_remove("OPML_KEY"),
    };
    command
}

pub fn spawn(folder: &Folder, key: Option<&str>, args: &[&str]) -> Process {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.path("log")).expect("a log");
    let mut command = command(folder, key);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Process(command.spawn().expect("opml starts"))
}

pub fn log(folder: &Folder) -> String {
    std::fs::read_to_string(folder.path("log")).unwrap_or_default()
}

/// The events of one kind in a request's history.
pub fn events<'a>(status: &'a Value, kind: &str) -> Vec<&'a str> {
    let history = status["history"].as_array().expect("a history");
    let events = history.iter().filter(|event| event["event"] == kind);
    events.map(|event| event["about"].as_str().expect("text")).collect()
}
