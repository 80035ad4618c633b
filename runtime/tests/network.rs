//! The players on a real chain (anvil from npm): answered and delivered requests, overturned lies, killed
//! players that continue, and the commands' messages when something is missing.

use crate::common::net::{
    DEPLOYER, Net, PATIENCE, REQUESTER, REQUESTER_ACCOUNT, SERVER, SERVER_ACCOUNT, VALIDATOR,
    VALIDATOR_ACCOUNT, command, events, free_port, log, told, wait_for_health,
};
use crate::common::{Folder, NUMBER, STATE, TWICE, fixture, stateful};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn a_request_is_answered_and_delivered_once_it_is_final() {
    let net = Net::start();
    let _server = net.play(SERVER, &["serve", "net.opml", "--poll", "100", "--inputs", "inputs"]);
    let _validator = net.play(VALIDATOR, &["watch", "net.opml", "--poll", "100", "--inputs", "inputs"]);
    let by_bytes = net.request(&[]);
    let by_root = net.request(&["--by-root", "inputs"]);
    let through_consumer = net.request_through_consumer();
    let pending = net.wait(&by_bytes, "answered", |status| status["standing"] == "pending");
    assert!(
        events(&pending, "final").is_empty(),
        "nothing is delivered before the window is over: {pending:#}"
    );
    // Without waiting there is no result yet, and a short wait ends without one.
    for wait in [&[][..], &["--wait=1"]] {
        let args = [&["result", &by_bytes, "--json"][..], wait].concat();
        let early = command(&net.folder, None).args(args).output().expect("opml starts");
        let error: Value = serde_json::from_slice(&early.stdout).expect("JSON");
        assert_eq!((early.status.code(), &error["error"]["kind"]), (Some(3), &"pending".into()), "{error}");
        assert!(
            error["error"]["message"].as_str().expect("text").contains("can still be challenged for"),
            "{error}"
        );
    }
    let waited = net.json(REQUESTER, &["result", &by_bytes, "--wait"]);
    assert!(waited["outputs"][0].as_str().expect("an output").len() > 40, "{waited}");
    // A consumer takes only what it has asked for itself.
    let unasked = "the callback failed";
    for (id, delivered) in
        [(by_bytes, unasked), (by_root, unasked), (through_consumer, "no callback, or it succeeded")]
    {
        let status = net.wait_final(&id);
        assert_eq!(status["asserter"].as_str().map(str::to_lowercase), Some(SERVER_ACCOUNT.to_lowercase()));
        assert!(events(&status, "final")[0].contains(delivered), "{status:#}");
        assert!(events(&status, "moved").is_empty(), "a right answer is not challenged: {status:#}");
        assert_eq!(net.digit(&id), 7);
    }
    // A callback that has failed can be made again, until it succeeds once.
    let consumer = "0x00000000000000000000000000000000000c0de5";
    let (reverts, stops) = ("0x5f5ffd", "0x00");
    net.ask("anvil_setCode", json!([consumer, reverts]));
    let args = ["request", "net.opml", "--input", &format!("image={}", fixture("digits/7.npy"))];
    let id = net.json(REQUESTER, &[&args[..], &["--callback", consumer]].concat())["request"].to_string();
    let redeliver =
        || command(&net.folder, Some(VALIDATOR)).args(["redeliver", &id]).output().expect("opml starts");
    let refused = |words: &str| {
        let output = redeliver();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(words), "{error}");
    };
    refused("is not final");
    net.wait_final(&id);
    refused("CallbackFailed");
    net.ask("anvil_setCode", json!([consumer, stops]));
    assert!(redeliver().status.success());
    refused("it has succeeded");
    assert_eq!(events(&net.wait_final(&id), "redelivered").len(), 1);
}

#[test]
fn a_lie_falls_although_both_players_are_killed_in_the_middle() {
    let net = Net::start();
    let before = (net.balance(SERVER_ACCOUNT), net.balance(VALIDATOR_ACCOUNT));
    // One step at once, so that the liar still claims something about single steps, and the validator proves one.
    let lie = ["serve", "net.opml", "--cheat", "output", "--prove-at-once", "1"];
    let serve = [&lie[..], &["--poll", "100", "--state", "server"]].concat();
    let watch = ["watch", "net.opml", "--poll", "100", "--state", "validator"];
    let (server, validator) = (net.play(SERVER, &serve), net.play(VALIDATOR, &watch));
    let id = net.request(&[]);
    net.wait(&id, "in the middle of a game", |status| events(status, "moved").len() >= 2);
    server.kill();
    validator.kill();
    let (_server, _validator) = (net.play(SERVER, &serve), net.play(VALIDATOR, &watch));
    let status = net.wait_final(&id);
    assert_eq!(events(&status, "game over"), ["the challenger has won"], "{status:#}");
    // Without the image, the chain gives the instruction. With it, also what the instruction computes and the
    // wrong output element.
    let told = &status["disputes"][0];
    assert_eq!(
        (&told["winner"], &told["attempt"], &told["details"]),
        (&json!("challenger"), &json!(1), &Value::Null)
    );
    assert_eq!(
        (&told["ending"], &told["executed"]["instruction"]),
        (&json!("executed"), &json!("ecall")),
        "{told:#}"
    );
    let explained = net.json(REQUESTER, &["status", &id, "--image", "net.opml"])["disputes"][0].clone();
    let details = &explained["details"];
    assert_eq!(
        (&details["operator"], &details["node"]),
        (&json!("Softmax"), &json!("softmax")),
        "{explained:#}"
    );
    assert_eq!(details["wrong"]["output_element"], "probabilities[0, 0]", "{explained:#}");
    assert_ne!(details["wrong"]["claimed"], details["wrong"]["right"], "{explained:#}");
    let story = explained["story"].as_str().expect("a story");
    for fact in
        [&details["wrong"]["claimed"], &details["wrong"]["right"], &json!("`ecall`"), &json!("Softmax")]
    {
        assert!(story.contains(fact.as_str().expect("text")), "{fact} is not in {story}");
    }
    let text = command(&net.folder, None)
        .args(["status", &id, "--image", "net.opml"])
        .output()
        .expect("opml starts")
        .stdout;
    let text = String::from_utf8(text).expect("text");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let answers = events(&status, "answered");
    assert_eq!(answers.len(), 2, "the lie, and the truth: {status:#}");
    assert_eq!(status["asserter"].as_str().map(str::to_lowercase), Some(VALIDATOR_ACCOUNT.to_lowercase()));
    assert_eq!(net.digit(&id), 7);
    // No player made two claims about one state: every move cuts another segment.
    let moves = events(&status, "moved");
    let distinct: std::collections::BTreeSet<_> = moves.iter().collect();
    assert_eq!(moves.len(), distinct.len(), "{status:#}");
    // The cheater's bond is gone: half goes to the validator, and half is burned. 10^17 wei are half of it.
    const HALF: u128 = 100_000_000_000_000_000;
    let start = Instant::now();
    while net.balance(VALIDATOR_ACCOUNT) < before.1 + HALF / 2 && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(net.balance(VALIDATOR_ACCOUNT) > before.1 + HALF / 2, "the prize, less gas");
    assert!(net.balance(SERVER_ACCOUNT) < before.0 - 2 * HALF, "the bond is lost");
}

#[test]
fn who_answered_too_late_answers_when_the_other_answer_has_fallen() {
    let net = Net::start();
    let id = net.request(&[]);
    // Both answers are in one block, the lie first.
    net.ask("evm_setIntervalMining", json!([0]));
    let waiting = |count: &str| {
        let start = Instant::now();
        while net.ask("txpool_status", json!([]))["pending"] != count {
            assert!(start.elapsed() < PATIENCE, "no answers: {}", log(&net.folder));
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let serve = ["serve", "net.opml", "--poll", "100"];
    let server = net.play(SERVER, &serve);
    waiting("0x1");
    server.kill();
    net.ask("anvil_dropAllTransactions", json!([]));
    let _liar = net.play(DEPLOYER, &["serve", "net.opml", "--cheat", "output", "--poll", "100"]);
    waiting("0x1");
    // What was sent before is sent again.
    let _server = net.play(SERVER, &serve);
    waiting("0x2");
    net.ask("evm_setIntervalMining", json!([1]));
    let _validator = net.play(VALIDATOR, &["watch", "net.opml", "--no-answers", "--poll", "100"]);
    let status = net.wait_final(&id);
    assert_eq!(events(&status, "answered").len(), 2, "{status:#}");
    assert_eq!(
        status["asserter"].as_str().map(str::to_lowercase),
        Some(SERVER_ACCOUNT.to_lowercase()),
        "{status:#}"
    );
    assert_eq!(net.digit(&id), 7);
}

#[test]
fn a_server_may_be_started_before_its_model_is_registered() {
    let net = Net::start_empty();
    let _server = net.play(SERVER, &["serve", "net.opml", "--poll", "100"]);
    let start = Instant::now();
    while !log(&net.folder).contains("opml register") {
        assert!(start.elapsed() < PATIENCE, "the server doesn't say what is missing: {}", log(&net.folder));
        std::thread::sleep(Duration::from_millis(100));
    }
    net.json(REQUESTER, &["register", "net.opml"]);
    let id = net.request(&[]);
    net.wait(&id, "answered", |status| status["standing"] == "pending");
}

#[test]
fn a_deployment_names_a_block_that_no_reorganisation_undoes() {
    let net = Net::start_empty();
    net.ask("anvil_mine", json!(["0x64"]));
    let head = net.node(async |node| node.head().await).number;
    let deployment = net.json(DEPLOYER, &["deploy", "--rpc", &net.rpc, "--deployment", "other.json"]);
    let block = deployment["block"].as_u64().expect("a number");
    assert!((head - 64..head).contains(&block), "{block} of {head}");
    net.json(REQUESTER, &["register", "net.opml", "--deployment", "other.json"]);
}

#[test]
fn a_deployment_of_other_code_is_noticed() {
    let net = Net::start_empty();
    let verify = || {
        let mut verify = command(&net.folder, None);
        verify.args(["--json", "verify-deployment"]).output().expect("opml starts")
    };
    let good = verify();
    let object: Value = serde_json::from_slice(&good.stdout).expect("JSON");
    assert!(good.status.success() && object["window"] == 12, "{object}");
    assert!(object["notes"].as_array().is_some_and(|notes| notes.len() >= 2), "a window of 12 s: {object}");
    net.json(REQUESTER, &["register", "net.opml"]);
    assert!(verify().status.success(), "with a verifier");
    let deployment: Value = serde_json::from_slice(&net.folder.read("deployment.json")).expect("JSON");
    // The same code with a byte behind it does the same, but isn't the same.
    for what in ["service", "registry"] {
        let address = &deployment[what];
        let code = net.ask("eth_getCode", json!([address, "latest"]));
        net.ask("anvil_setCode", json!([address, format!("{}00", code.as_str().expect("code"))]));
        let bad = verify();
        let error = String::from_utf8_lossy(&bad.stdout);
        assert!(!bad.status.success() && error.contains(&format!("the {what} has other code")), "{error}");
        net.ask("anvil_setCode", json!([address, code]));
    }
    assert!(verify().status.success(), "the code is as it was");
    let other = format!("0x{}", "12".repeat(20));
    let mut theirs = deployment;
    theirs["service"] = json!(other);
    net.folder.write("deployment.json", theirs.to_string());
    let bad = verify();
    let error = String::from_utf8_lossy(&bad.stdout);
    assert!(!bad.status.success() && error.contains("there is no service at"), "{error}");
}

#[test]
fn unanswered_requests_are_cancelled() {
    let net = Net::start();
    let before = net.balance(REQUESTER_ACCOUNT);
    let id = net.request(&["--fee", "1eth"]);
    let cancel = |key| command(&net.folder, Some(key)).args(["cancel", &id]).output().expect("opml starts");
    let stranger = cancel(SERVER);
    let error = String::from_utf8_lossy(&stranger.stderr);
    assert!(!stranger.status.success() && error.contains("NotCancellable"), "{error}");
    // The first one gives notice; the others are too early until the notice period is over.
    let notice = cancel(REQUESTER);
    let text = String::from_utf8_lossy(&notice.stdout);
    assert!(notice.status.success() && text.contains("notice"), "{text}");
    let early = cancel(REQUESTER);
    let error = String::from_utf8_lossy(&early.stderr);
    assert!(!early.status.success() && error.contains("Notice") && error.contains("period"), "{error}");
    let start = Instant::now();
    while !cancel(REQUESTER).status.success() {
        assert!(start.elapsed() < PATIENCE, "it can't be cancelled");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(net.json(REQUESTER, &["status", &id])["standing"], "cancelled");
    assert!(net.balance(REQUESTER_ACCOUNT) > before - 10u128.pow(17), "all but gas");
    assert_eq!(net.json(REQUESTER, &["withdraw"])["wei"], "0", "nothing is left to withdraw");
}

/// Writes the image of a program that adds a number to its state, and also gives twice the sum.
fn adder(path: &std::path::Path) {
    use isa::{Instruction, Op};
    let op =
        |op, rd, rs1, rs2, imm: u64| Instruction { rd, rs1, rs2, imm: imm as i32, ..Instruction::new(op) };
    let code = [
        op(Op::Ld, 5, 0, 0, NUMBER),
        op(Op::Ld, 6, 0, 0, STATE),
        op(Op::Add, 6, 6, 5, 0),
        op(Op::Sd, 0, 0, 6, STATE),
        op(Op::Add, 7, 6, 6, 0),
        op(Op::Sd, 0, 0, 7, TWICE),
        op(Op::Addi, 17, 0, 0, 93),
        op(Op::Ecall, 0, 0, 0, 0),
    ];
    stateful(path, &code, 20);
}

#[test]
fn a_request_continues_from_the_state_that_another_left_behind() {
    let net = Net::start_empty();
    adder(&net.folder.path("adder.opml"));
    let number = |name: &str, number: u64| {
        let header = "{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }";
        let head = format!("{header:<117}\n");
        net.folder.write(name, [b"\x93NUMPY\x01\x00v\x00", head.as_bytes(), &number.to_le_bytes()].concat());
    };
    for (name, value) in [("zero.npy", 0), ("seven.npy", 7), ("five.npy", 5)] {
        number(name, value);
    }
    net.json(REQUESTER, &["register", "adder.opml"]);
    let serve = ["serve", "adder.opml", "--poll", "100", "--state", "server"];
    let server = net.play(SERVER, &serve);
    let _validator = net.play(VALIDATOR, &["watch", "adder.opml", "--poll", "100", "--state", "validator"]);
    let ask = |more: &[&str]| {
        let args = [&["request", "adder.opml", "--output-by-root", "state"], more].concat();
        net.json(REQUESTER, &args)["request"].to_string()
    };
    let twice = |id: &str| {
        let shown = net.json(REQUESTER, &["result", id]);
        assert_eq!(shown["by_root"], json!([0]), "{shown}");
        let bytes = shown["outputs"][1].as_str().expect("bytes")[2..18].to_owned();
        u64::from_str_radix(&bytes, 16).expect("a number").swap_bytes()
    };
    let first = ask(&["--input", "state=zero.npy", "--input", "number=seven.npy"]);
    // What isn't final is no input.
    let result = format!("state={first}/0");
    let args = ["request", "adder.opml", "--input", "number=five.npy", "--result", &result];
    let early = command(&net.folder, Some(REQUESTER)).args(args).output().expect("opml starts");
    assert_eq!(early.status.code(), Some(3), "{}", String::from_utf8_lossy(&early.stderr));
    net.wait_final(&first);
    assert_eq!(twice(&first), 14);
    // The server that lies about the second request has what it needs from the first.
    server.kill();
    let _liar = net.play(SERVER, &[&serve[..], &["--cheat", "output"]].concat());
    let second = ask(&["--input", "number=five.npy", "--result", &result]);
    let status = net.wait_final(&second);
    assert_eq!(events(&status, "answered").len(), 2, "the lie, and the truth: {status:#}");
    assert_eq!(twice(&second), 24);
    let explained =
        net.json(REQUESTER, &["status", &second, "--image", "adder.opml", "--inputs", "validator/inputs"]);
    assert_eq!(explained["disputes"][0]["winner"], "challenger", "{explained:#}");
    let wrong = &explained["disputes"][0]["details"]["wrong"];
    assert_eq!(wrong["right"], "24", "{explained:#}");
    // What an answer shows needs no file: players read it there.
    let shown = format!("number={second}/1");
    let third = ask(&["--input", "state=zero.npy", "--result", &shown]);
    net.wait_final(&third);
    assert_eq!(twice(&third), 48);
    for (args, words) in [
        (&["--result", "state=9/0"][..], "there is no request 9"),
        (&["--result", &format!("state={second}/2")], "counted from 0"),
        (&["--result", &result, "--root", &format!("state=0x{}", "0".repeat(64))], "given twice"),
        (&["--root", "state=0x12"], "64 hexadecimal digits"),
        (&[], "input 'state' is missing"),
        (&["--result", &result, "--output-by-root", "nothing"], "no output 'nothing'"),
    ] {
        let args = [&["request", "adder.opml", "--input", "number=five.npy"], args].concat();
        let output = command(&net.folder, Some(REQUESTER)).args(&args).output().expect("opml starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(words), "{args:?}: {error}");
    }
}

#[test]
fn a_large_image_is_checked_while_the_server_runs() {
    let net = Net::start_empty();
    adder(&net.folder.path("small.opml"));
    let mut contents = image::Image::read(&net.folder.path("small.opml")).expect("an image").into_contents();
    let (base, size) = (contents.profile.code_base(), contents.profile.code_size());
    contents.profile =
        step::MachineProfile::new(contents.profile.extensions(), 28, base, size).expect("a machine");
    let weights: Vec<u8> = (0..66u32 << 20).map(|at| (at / 4096) as u8).collect();
    contents.segments.push(image::Segment { address: 1 << 27, bytes: weights.into() });
    image::Image::new(contents).expect("an image").write(&net.folder.path("large.opml")).expect("room");
    net.json(REQUESTER, &["register", "large.opml"]);
    let bytes = net.folder.read("large.opml");
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    net.folder.write("large.opml", damaged);
    let says = |words: &str, times: usize| {
        let start = Instant::now();
        while log(&net.folder).matches(words).count() < times {
            assert!(start.elapsed() < PATIENCE, "nothing of '{words}': {}", log(&net.folder));
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let header = "{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }";
    let head = format!("{header:<117}\n");
    net.folder.write("one.npy", [b"\x93NUMPY\x01\x00v\x00", head.as_bytes(), &1u64.to_le_bytes()].concat());
    let inputs = ["--input", "state=one.npy", "--input", "number=one.npy"];
    let ask =
        || net.json(REQUESTER, &[&["request", "large.opml"], &inputs[..]].concat())["request"].to_string();
    let id = ask();
    let serve = ["serve", "large.opml", "--poll", "100"];
    let port = free_port();
    let server = net.play(SERVER, &[&serve[..], &["--metrics", &port.to_string()]].concat());
    says("the image can't be used", 1);
    let red = wait_for_health(port, 503, &net.folder);
    assert!(red.contains("check: large: "), "{red}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(net.json(REQUESTER, &["status", &id])["standing"], "open", "{}", log(&net.folder));
    server.kill();
    net.folder.write("large.opml", bytes);
    let server = net.play(SERVER, &serve);
    net.wait(&id, "answered", |status| status["standing"] == "pending");
    says("every byte of the image is right", 1);
    assert!(!log(&net.folder).contains("it is used meanwhile"));
    server.kill();
    let _server = net.play(SERVER, &serve);
    says("it is used meanwhile", 1);
    let id = ask();
    net.wait(&id, "answered", |status| status["standing"] == "pending");
}

#[test]
fn after_a_reorganisation_another_request_has_the_number_and_gets_its_own_answer() {
    let net = Net::start();
    let _server = net.play(SERVER, &["serve", "net.opml", "--poll", "100"]);
    let before = net.ask("evm_snapshot", json!([]));
    let undone = net.request(&[]);
    net.wait(&undone, "answered", |status| status["standing"] == "pending");
    net.ask("evm_revert", json!([before]));
    net.ask("anvil_dropAllTransactions", json!([]));
    let id = net.request_about(3, &[]);
    assert_eq!(id, undone);
    let status = net.wait_final(&id);
    assert_eq!(events(&status, "answered").len(), 1, "{status:#}");
    assert_eq!(net.digit(&id), 3);
}

#[test]
fn a_player_tells_its_health_and_ends_as_a_supervisor_expects() {
    let net = Net::start();
    let port = free_port();
    let port_text = port.to_string();
    let args = ["serve", "net.opml", "--poll", "100", "--metrics", &port_text];
    let mut server = net.play(SERVER, &args);
    wait_for_health(port, 200, &net.folder);
    let metrics = told(port, "/metrics").expect("metrics");
    for line in ["opml_healthy 1", "opml_clock_seconds 20", "opml_open_games 0"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    // What others must not read is its owner's only.
    let state = fs::read_dir(net.folder.path("opml-state"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let state: Vec<_> =
        state.filter(|path| path.extension().is_some_and(|extension| extension == "redb")).collect();
    assert_eq!(fs::metadata(&state[0]).expect("a file").permissions().mode() & 0o777, 0o600);
    let again = || {
        let output =
            command(&net.folder, Some(SERVER)).args(["serve", "net.opml"]).output().expect("opml starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, error) = again();
    assert!(status == Some(4) && error.contains("another player"), "{status:?}: {error}");
    // A pipe where an input should be doesn't stop it, and it ends when it is asked to.
    net.request(&["--by-root", "given"]);
    for file in fs::read_dir(net.folder.path("given")).expect("a folder") {
        let pipe = net.folder.path("opml-state/inputs").join(file.expect("a file").file_name());
        fs::create_dir_all(pipe.parent().expect("a folder")).expect("a folder");
        assert!(Command::new("mkfifo").arg(pipe).status().expect("mkfifo starts").success());
    }
    let start = Instant::now();
    while !log(&net.folder).contains("the bytes of an input are missing") {
        assert!(start.elapsed() < PATIENCE, "{}", log(&net.folder));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(
        Command::new("kill").args(["-TERM", &server.0.id().to_string()]).status().expect("kill").success()
    );
    let start = Instant::now();
    let ended = loop {
        if let Some(ended) = server.0.try_wait().expect("a process") {
            break ended;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "it doesn't end: {}", log(&net.folder));
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(ended.code(), Some(0));
    net.folder.write(
        state[0].strip_prefix(net.folder.path("")).expect("in it").to_str().expect("text"),
        "no database",
    );
    let (status, error) = again();
    assert!(
        status == Some(5) && error.contains("damaged") && !error.contains("another player"),
        "{status:?}: {error}"
    );
}

#[test]
fn commands_say_what_is_missing() {
    let folder = Folder::with_net("mnist-mlp");
    let fails = |key: Option<&str>, args: &[&str], words: &[&str]| {
        let output = command(&folder, key).env("OPML_ANVIL", "/nowhere").env("PATH", "").args(args).output();
        let output = output.expect("opml starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {error}");
        for word in words {
            assert!(error.contains(word), "{args:?} does not say '{word}': {error}");
        }
        assert!(!error.contains(REQUESTER), "a key in an error: {error}");
    };
    let nowhere = "http://127.0.0.1:9";
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let [taken_port, free_port] = [&taken, &TcpListener::bind("127.0.0.1:0").expect("a port")]
        .map(|socket| socket.local_addr().expect("an address").port().to_string());
    fails(None, &["devnet", "--port", &taken_port], &["cannot listen on port", "--port"]);
    fails(None, &["devnet", "--port", &free_port], &["anvil is not installed", "npm install"]);
    fails(None, &["register", "net.opml"], &["no key", "OPML_KEY"]);
    fails(Some("0x12"), &["register", "net.opml"], &["OPML_KEY is not a key"]);
    fails(Some(REQUESTER), &["register", "net.opml"], &["deployment.json", "opml devnet"]);
    fails(Some(REQUESTER), &["deploy", "--rpc", nowhere], &[nowhere, "is the node running"]);
    fails(Some(REQUESTER), &["deploy", "--rpc", "ftp://x"], &["is not the URL of a node"]);
    fails(Some(REQUESTER), &["deploy", "--rpc", nowhere, "--burned", "1eth"], &["burned"]);
    fails(
        Some(REQUESTER),
        &["deploy", "--rpc", nowhere, "--asserter-bond", "80000000000eth"],
        &["too large", "at most"],
    );
    fails(Some(REQUESTER), &["deploy", "--rpc", nowhere, "--burned", "one"], &["is not an amount", "0.1eth"]);
    fails(None, &["register", "net.opml", "--keystore", "none"], &["cannot read none"]);
    fails(Some(REQUESTER), &["watch", "net.opml", "--cheat", "challenger"], &["opml dispute"]);
    folder.write("deployment.json", "{}");
    fails(None, &["status", "1"], &["not a deployment", "chain_id"]);
    fails(Some(REQUESTER), &["register", "none.opml"], &["none.opml"]);
    let greedy = ["request", "net.opml", "--callback-gas", "9e6"];
    fails(Some(REQUESTER), &greedy, &["9,000,000", "at most 8,000,000"]);
    assert_eq!(folder.files(), ["deployment.json", "net.opml"], "nothing is left behind");
}
