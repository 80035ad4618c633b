//! What operators see of the chain: the games that run and their clocks, what an account has gained and lost, and
//! that a request's status doesn't cost more calls when there are more requests.

use crate::common::fixture;
use crate::common::net::{
    DEPLOYER, Net, PATIENCE, REQUESTER, REQUESTER_ACCOUNT, SERVER, SERVER_ACCOUNT, VALIDATOR,
    VALIDATOR_ACCOUNT, command, events, log,
};
use chain::{Event, Topics};
use contracts::{Address, B256, IInferenceService, SolCall as _, SolEvent as _, U256};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const DEPLOYER_ACCOUNT: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

/// An amount of an account, in wei.
fn wei(statement: &Value, name: &str) -> i128 {
    statement[name]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("{name}: {statement:#}"))
}

fn account(net: &Net, address: &str) -> Value {
    net.json(REQUESTER, &["account", address])
}

/// Requests a digit, without a callback.
fn ask(net: &Net) -> String {
    let input = format!("image={}", fixture("digits/7.npy"));
    net.json(REQUESTER, &["request", "net.opml", "--input", &input])["request"].to_string()
}

fn service(net: &Net) -> Address {
    let deployment: Value = serde_json::from_slice(&net.folder.read("deployment.json")).expect("JSON");
    deployment["service"].as_str().expect("a service").parse().expect("an address")
}

/// Sends a transaction from an account of the test chain, and waits until it is mined.
fn send(net: &Net, from: &str, call: Vec<u8>) -> bool {
    let data = contracts::Bytes::from(call).to_string();
    let call = json!({ "from": from, "to": service(net), "data": data, "gas": "0x7a120" });
    let hash = net.ask("eth_sendTransaction", json!([call]));
    let start = Instant::now();
    loop {
        let receipt = net.ask("eth_getTransactionReceipt", json!([hash]));
        if let Some(status) = receipt["status"].as_str() {
            return status == "0x1";
        }
        assert!(start.elapsed() < PATIENCE, "it is not mined");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The statement of an account adds up to its balance, to the wei.
fn adds_up(net: &Net, address: &str, before: u128) -> Value {
    let statement = account(net, address);
    let total = &statement["total"];
    let held: i128 = ["bonded", "offered", "credited"].map(|name| wei(total, name)).iter().sum();
    let expected = before as i128 + wei(total, "net") - held;
    assert_eq!(wei(&statement, "balance"), expected, "{address}: {statement:#}");
    assert_eq!(statement["unseen"], 0, "{statement:#}");
    let net_of_parts = wei(total, "won") - wei(total, "lost") - wei(total, "paid") - wei(total, "spent");
    assert_eq!(wei(total, "net"), net_of_parts, "{statement:#}");
    for name in ["bonded", "due", "offered", "won", "lost", "paid", "spent", "net"] {
        let requests = statement["requests"].as_array().expect("requests");
        let sum: i128 = requests.iter().map(|request| wei(request, name)).sum();
        assert_eq!(sum, wei(total, name), "{name}: {statement:#}");
    }
    statement
}

/// The games that run, by the command that lists them.
fn games(net: &Net, more: &[&str]) -> Vec<Value> {
    let found = net.json(REQUESTER, &[&["games"], more].concat());
    found["games"].as_array().expect("games").clone()
}

/// Waits until something is so.
fn until(net: &Net, what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "not {what}: {}", log(&net.folder));
        std::thread::sleep(Duration::from_millis(200));
    }
}

const TENTH: i128 = 100_000_000_000_000_000;
const FEE: i128 = TENTH / 10;

#[test]
fn games_and_accounts_are_shown_while_a_lie_falls_and_add_up_when_it_has() {
    let net = Net::start();
    let accounts = [REQUESTER_ACCOUNT, SERVER_ACCOUNT, VALIDATOR_ACCOUNT, DEPLOYER_ACCOUNT];
    let before = accounts.map(|account| net.balance(account));
    assert!(games(&net, &[]).is_empty() && games(&net, &["--all"]).is_empty());
    let never = account(&net, SERVER_ACCOUNT);
    assert_eq!((&never["requests"], &never["transactions"]), (&json!([]), &json!(0)), "{never:#}");
    let lie = ["serve", "net.opml", "--cheat", "output", "--prove-at-once", "1", "--poll", "100"];
    let _server = net.play(SERVER, &[&lie[..], &["--state", "server"]].concat());
    let watch = ["watch", "net.opml", "--poll", "100"];
    let _validator = net.play(VALIDATOR, &[&watch[..], &["--state", "validator"]].concat());
    let _second = net.play(DEPLOYER, &[&watch[..], &["--no-answers", "--state", "second"]].concat());
    let id = ask(&net);
    let mut running = Vec::new();
    until(&net, "two games", || {
        running = games(&net, &[]);
        running.len() == 2
    });
    for game in &running {
        assert_eq!(
            (&game["request"], &game["attempt"], &game["ending"]),
            (&json!(1), &json!(1), &json!("open"))
        );
        assert_eq!(game["asserter"], json!(SERVER_ACCOUNT.to_lowercase()), "{game:#}");
        let clocks = &game["clocks"];
        assert!(
            ["asserter", "challenger"].contains(&clocks["to_move"].as_str().expect("a side")),
            "{game:#}"
        );
        for left in ["asserter_left", "challenger_left"] {
            assert!(clocks[left].as_u64().is_some_and(|left| left <= 20), "{game:#}");
        }
        assert_eq!(clocks["overdue"], false, "{game:#}");
    }
    let deadlines: Vec<u64> =
        running.iter().map(|game| game["clocks"]["deadline"].as_u64().expect("a time")).collect();
    assert!(deadlines.is_sorted(), "{deadlines:?}");
    // What is held while the games run: the answer's bond, and the challenges'.
    assert_eq!(games(&net, &["--of", REQUESTER_ACCOUNT]), [Value::Null; 0]);
    for (of, count) in [(VALIDATOR_ACCOUNT, 1), (SERVER_ACCOUNT, 2)] {
        assert!(games(&net, &["--of", of]).len() <= count, "{of}");
    }
    net.wait_final(&id);
    until(&net, "reclaimed", || games(&net, &[]).is_empty());
    let finished = games(&net, &["--all"]);
    let endings = |ending: &str| finished.iter().filter(|game| game["ending"] == ending).count();
    assert_eq!((finished.len(), endings("reclaimed")), (2, 1), "{finished:#?}");
    let winner = finished.iter().find(|game| game["winner"] == "challenger").expect("a winner");
    let told = net.json(REQUESTER, &["status", &id]);
    assert_eq!(told["disputes"].as_array().map(Vec::len), Some(2), "{told:#}");
    assert_eq!(events(&told, "game over"), ["the challenger has won"], "{told:#}");
    let text = command(&net.folder, None).args(["games", "--all"]).output().expect("opml starts").stdout;
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains("1/1") && text.contains("reclaimed"), "{text}");
    // A reverted transaction has no event, but costs gas.
    assert!(
        !send(&net, REQUESTER_ACCOUNT, IInferenceService::withdrawCall {}.abi_encode()),
        "nothing to withdraw"
    );
    let [requester, liar, validator, second] =
        [0, 1, 2, 3].map(|index| adds_up(&net, accounts[index], before[index]));
    let amounts = |statement: &Value| ["won", "lost", "paid"].map(|name| wei(&statement["total"], name));
    assert_eq!(amounts(&requester), [0, 0, FEE]);
    assert_eq!(requester["transactions"], 2, "the request, and the one that was reverted: {requester:#}");
    assert_eq!(amounts(&liar), [0, 2 * TENTH, 0]);
    // The prize is a tenth; half of it is for the game that was not over. The validator also answered.
    assert_eq!(amounts(&validator), [TENTH / 2 + FEE, 0, 0], "{winner:#}");
    assert_eq!(amounts(&second), [TENTH / 2, 0, 0]);
    for statement in [&requester, &liar, &validator, &second] {
        assert_eq!(wei(&statement["total"], "bonded"), 0, "{statement:#}");
    }
    // All that the service still has is what was burned.
    assert_eq!(net.balance(&service(&net).to_string()) as i128, TENTH);
    let by_key = net.json(VALIDATOR, &["account"]);
    assert_eq!(by_key, validator);
    let text =
        command(&net.folder, None).args(["account", SERVER_ACCOUNT]).output().expect("opml starts").stdout;
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains("lost      0.2 ETH") && text.contains("net       -0.2"), "{text}");
}

#[test]
fn what_an_account_does_not_take_is_credited_and_withdrawn() {
    let net = Net::start();
    let before = net.balance(SERVER_ACCOUNT);
    let server = net.play(SERVER, &["serve", "net.opml", "--poll", "100"]);
    let id = ask(&net);
    let pending = net.wait(&id, "answered", |status| status["standing"] == "pending");
    assert_eq!(pending["attempt"], 1);
    server.kill();
    let bonded = adds_up(&net, SERVER_ACCOUNT, before);
    assert_eq!(wei(&bonded["total"], "bonded"), 2 * TENTH, "{bonded:#}");
    // An account that refuses payments. Somebody else settles.
    net.ask("anvil_setCode", json!([SERVER_ACCOUNT, "0x5f5ffd"]));
    let topics = Topics {
        kinds: vec![IInferenceService::Requested::SIGNATURE_HASH],
        about: vec![B256::from(U256::from(1))],
    };
    let (logs, _) = net.node(async |node| {
        let head = node.head().await?.number;
        node.some_logs(service(&net), &topics, 0, head).await
    });
    let asked = Event::<IInferenceService::Requested>::of(&logs[0]).expect("a request").data;
    let (outputs, callback_data) = Default::default();
    let settle = IInferenceService::settleCall {
        id: asked.id,
        request_: asked.request,
        outputs,
        callbackData: callback_data,
    };
    until(&net, "settled", || send(&net, REQUESTER_ACCOUNT, settle.abi_encode()));
    let credited = adds_up(&net, SERVER_ACCOUNT, before);
    let amounts = |statement: &Value| {
        ["bonded", "won", "credited", "withdrawn"].map(|name| wei(&statement["total"], name))
    };
    assert_eq!(amounts(&credited), [0, FEE, 2 * TENTH + FEE, 0], "{credited:#}");
    let requests = credited["requests"].as_array().expect("requests");
    let its = requests.iter().find(|entry| entry["request"] == 1).expect("the request");
    assert_eq!(wei(its, "credited"), 2 * TENTH + FEE, "{credited:#}");
    net.ask("anvil_setCode", json!([SERVER_ACCOUNT, "0x"]));
    net.json(SERVER, &["withdraw"]);
    let withdrawn = adds_up(&net, SERVER_ACCOUNT, before);
    assert_eq!(amounts(&withdrawn), [0, FEE, 0, 2 * TENTH + FEE], "{withdrawn:#}");
    assert_eq!(withdrawn["transactions"], 2, "answered and withdrew; another settled: {withdrawn:#}");
}

/// Passes a node's answers on, and counts.
struct Meter {
    url: String,
    asked: Arc<Mutex<Vec<u8>>>,
    answered: Arc<AtomicUsize>,
}

impl Meter {
    fn of(net: &Net) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let target = net.rpc.strip_prefix("http://").expect("a URL").to_owned();
        let (asked, answered) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<AtomicUsize>::default());
        let (requests, replies) = (Arc::clone(&asked), Arc::clone(&answered));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(node)) = (client, TcpStream::connect(&target)) else { continue };
                let both = || (client.try_clone().expect("a socket"), node.try_clone().expect("a socket"));
                let ((from, to), (back_to, back_from)) = (both(), both());
                let (requests, replies) = (Arc::clone(&requests), Arc::clone(&replies));
                std::thread::spawn(move || {
                    pass(from, to, |bytes| requests.lock().expect("a lock").extend(bytes));
                });
                std::thread::spawn(move || {
                    pass(back_from, back_to, |bytes| {
                        replies.fetch_add(bytes.len(), Ordering::Relaxed);
                    });
                });
            }
        });
        Self { url, asked, answered }
    }

    /// How many calls a command makes, how many of them are for events, and how many bytes it is answered.
    fn measure(&self, net: &Net, args: &[&str]) -> (usize, usize, usize) {
        self.asked.lock().expect("a lock").clear();
        self.answered.store(0, Ordering::Relaxed);
        net.json(REQUESTER, &[args, &["--rpc", &self.url]].concat());
        let asked = String::from_utf8_lossy(&self.asked.lock().expect("a lock")).into_owned();
        let count = |word: &str| asked.matches(word).count();
        (count("\"method\""), count("\"eth_getLogs\""), self.answered.load(Ordering::Relaxed))
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        see(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_status_costs_as_many_calls_however_many_other_requests_there_are() {
    let net = Net::start();
    let _server = net.play(SERVER, &["serve", "net.opml", "--poll", "100"]);
    let id = net.request(&[]);
    net.wait_final(&id);
    let open = net.request(&["--fee", "1wei"]);
    let meter = Meter::of(&net);
    let commands = [["status", &id], ["result", &id], ["status", &open]];
    let before = commands.map(|args| meter.measure(&net, &args));
    // The same request, again and again.
    let asked = net.ask("eth_getBlockByNumber", json!(["latest", true]));
    let mut block = asked["number"]
        .as_str()
        .map(|text| u64::from_str_radix(&text[2..], 16).expect("a number"))
        .expect("a block");
    let call = loop {
        let found = net.ask("eth_getBlockByNumber", json!([format!("{block:#x}"), true]));
        let transactions = found["transactions"].as_array().expect("transactions").clone();
        let its = |transaction: &Value| {
            transaction["from"].as_str().map(str::to_lowercase) == Some(REQUESTER_ACCOUNT.to_lowercase())
        };
        if let Some(found) = transactions.into_iter().find(its) {
            break json!({ "from": found["from"], "to": found["to"], "data": found["input"], "value": "0x1" });
        }
        block -= 1;
    };
    for _ in 0..40 {
        net.ask("eth_sendTransaction", json!([call]));
    }
    let count = IInferenceService::requestCountCall {};
    until(&net, "asked", || {
        let made = net.node(async |node| node.call(service(&net), &count, node.head().await?.hash).await);
        made == U256::from(42)
    });
    // What a node says of the last block is longer if there are many transactions in it.
    net.ask("anvil_mine", json!(["0x3"]));
    let after = commands.map(|args| meter.measure(&net, &args));
    for ((args, before), after) in commands.iter().zip(before).zip(after) {
        assert_eq!((before.0, before.1), (after.0, after.1), "{args:?}: calls, and calls for events");
        assert!(before.1 <= 2, "{args:?}: {before:?}");
        // Each other request has 3 kB of inputs.
        assert!(after.2 < before.2 + 2000, "{args:?}: {} bytes, then {}", before.2, after.2);
    }
    let unknown = command(&net.folder, None).args(["status", "43"]).output().expect("opml starts");
    let error = String::from_utf8_lossy(&unknown.stderr);
    assert!(!unknown.status.success() && error.contains("there is no request 43"), "{error}");
}
