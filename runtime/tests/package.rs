//! The Foundry packages written by `opml verifier` pass their own tests under the real forge, and those tests
//! notice errors.
//!
//! forge and the compiler come from npm: `npm ci` in the repository's root.

use crate::common::{Folder, fixture};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A path of the repository.
fn in_repository(path: &str) -> PathBuf {
    std::path::absolute(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).expect("a path")
}

/// Runs forge in a package, with the compiler from npm in place of the one that Foundry would download.
fn forge(package: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(in_repository("node_modules/.bin/forge"));
    command.current_dir(package).args(args).env("FOUNDRY_SOLC", in_repository("vm/solidity/solc.mjs"));
    command.output().unwrap_or_else(|error| panic!("forge can't be started ({error}): run `npm ci`"))
}

/// The tests of a package that passed.
fn passed(package: &Path) -> Vec<String> {
    let output = forge(package, &["test"]);
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}{errors}");
    assert!(!text.contains("Warning"), "{text}");
    let name = |line: &str| line.strip_prefix("[PASS] ")?.split_once('(').map(|(name, _)| name.to_owned());
    text.lines().filter_map(name).collect()
}

fn assert_has(found: &[String], expected: &[&str]) {
    for name in expected {
        assert!(found.iter().any(|found| found == name), "{name} is not in {found:?}");
    }
}

/// The tests of a model's package besides those of single steps.
const SERVICE: [&str; 4] = [
    "test_theCompilerMakesTheKnownVerifier",
    "test_anAnswerBecomesFinal",
    "test_anOpeningLeadsToItsOutputs",
    "test_aDisputeEndsInOneStep",
];

#[test]
fn a_package_with_inputs_passes() {
    let folder = Folder::with_net("mnist-cnn");
    folder.text(&["verifier", "net.opml", "-o", "package", "--input", &fixture("digits/7.npy")]);
    let found = passed(&folder.path("package"));
    assert_has(&found, &SERVICE);
    assert_has(&found, &["test_fmadd_s", "test_fsw", "test_bne", "test_jalr"]);
    assert!(found.len() > 40, "{found:?}");
}

#[test]
fn a_package_of_a_program_has_its_steps() {
    let folder = Folder::new();
    folder.text(&["image", "from-elf", &fixture("programs/crc32.elf"), "-o", "crc.opml"]);
    folder.text(&["verifier", "crc.opml", "-o", "package"]);
    let found = passed(&folder.path("package"));
    assert_has(&found, &["test_lbu", "test_xor", "test_ecall"]);
    assert!(!folder.path("package/script").exists(), "there is no model to register");
}

/// The file, a text in it, and a wrong replacement.
type Bug<'a> = (&'a str, &'a str, &'a str);

#[test]
fn a_package_without_inputs_passes_and_notices_bugs() {
    let folder = Folder::with_net("mnist-mlp");
    folder.text(&["verifier", "net.opml", "-o", "package"]);
    assert_has(&passed(&folder.path("package")), &SERVICE);

    let text = |file: &str| String::from_utf8(folder.read(&format!("package/{file}"))).expect("text");
    let steps = text("test/Steps.t.sol");
    let (_, witness) = steps.rsplit_once("hex\"").expect("a witness");
    let changed = if witness.starts_with('0') { "1" } else { "0" };
    let bugs: [Bug<'_>; 3] = [
        ("test/Steps.t.sol", witness, &(changed.to_owned() + &witness[1..])),
        ("src/NetModel.sol", "memoryRoot = 0x", "memoryRoot = ~bytes32(0) ^ 0x"),
        ("src/StepVerifier.sol", "return (pc + 4) & WORD;", "return (pc + 8) & WORD;"),
    ];
    for (file, right, wrong) in bugs {
        let good = text(file);
        assert!(good.contains(right), "{right} is not in {file}");
        folder.write(&format!("package/{file}"), good.replacen(right, wrong, 1));
        let output = forge(&folder.path("package"), &["test"]);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && printed.contains("[FAIL"), "{file}: {printed}");
        folder.write(&format!("package/{file}"), good);
    }
}

/// A chain that ends with the test.
struct Chain(Child, String);

impl Chain {
    fn start() -> Self {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let mut command = Command::new(in_repository("node_modules/.bin/anvil"));
        command.args(["--port", &port.to_string(), "--silent"]).stdout(Stdio::null());
        let child =
            command.spawn().unwrap_or_else(|error| panic!("anvil can't be started ({error}): run `npm ci`"));
        let chain = Self(child, format!("http://127.0.0.1:{port}"));
        let start = Instant::now();
        while chain.node(async |_| Some(())).is_none() {
            assert!(start.elapsed() < Duration::from_secs(60), "anvil does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        chain
    }

    /// A node's response; `None` if it doesn't answer.
    fn node<T>(&self, question: impl AsyncFnOnce(chain::Nodes) -> Option<T>) -> Option<T> {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            question(chain::Nodes::connect(&self.1, Duration::from_secs(10)).await.ok()?).await
        })
    }

    /// The terms of the service of a deployment.
    fn terms(&self, deployment: &[u8]) -> contracts::Terms {
        let service = chain::Deployment::from_json(deployment).expect("a deployment").service;
        let ask = async |node: chain::Nodes| {
            let head = node.head().await.ok()?;
            node.call(service, &contracts::IInferenceService::termsCall {}, head.hash).await.ok()
        };
        self.node(ask).expect("terms")
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An account that anvil funds.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

#[test]
fn a_package_deploys_what_players_take() {
    let folder = Folder::with_net("mnist-mlp");
    folder.text(&["verifier", "net.opml", "-o", "package"]);
    let chain = Chain::start();
    let package = folder.path("package");
    let script = ["script", "script/Deploy.s.sol", "--rpc-url", &chain.1, "--private-key", KEY];
    let run = |args: &[&str]| {
        let mut command = Command::new(in_repository("node_modules/.bin/forge"));
        command.current_dir(&package).args(args).env("ETH_RPC_URL", &chain.1);
        let output = command
            .env("FOUNDRY_SOLC", in_repository("vm/solidity/solc.mjs"))
            .output()
            .expect("forge starts");
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    };
    // A dry run deploys nothing, so it writes nothing either.
    run(&script);
    assert!(!package.join("deployment.json").exists());
    run(&[&script[..], &["--broadcast"]].concat());
    let opml = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_opml"));
        let output = command
            .current_dir(folder.path(""))
            .args(args)
            .env("OPML_KEY", KEY)
            .env("OPML_RPC", &chain.1)
            .output()
            .expect("opml starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let input = fixture("digits/7.flat.npy");
    opml(&["request", "net.opml", "--input", &input, "--deployment", "package/deployment.json"]);
    // The defaults are the same, however a service is deployed.
    opml(&["deploy", "--rpc", &chain.1]);
    let [by_script, by_command] =
        ["package/deployment.json", "deployment.json"].map(|file| chain.terms(&folder.read(file)));
    assert_eq!(by_script, by_command);
}
