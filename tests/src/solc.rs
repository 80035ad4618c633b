//! The pinned Solidity compiler, and how the verifiers are compiled.

use crate::tools::in_repository;
use serde_json::{Map, Value, json};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Calls the pinned compiler.
const SCRIPT: &str = "vm/solidity/solc.mjs";

/// Compiles contracts, given as file names and texts. Returns the compiler's standard JSON.
///
/// # Panics
/// If the compiler is missing, or reports anything about the contracts, including warnings.
#[must_use]
pub fn compile(files: &[(String, String)]) -> Value {
    checked(&json!({ "language": "Solidity", "sources": sources(files), "settings": settings() }))
}

/// The creation bytecode of one of these contracts. No code is generated for the others, which saves a third
/// of the time.
///
/// # Panics
/// Like [`compile`].
#[must_use]
pub fn compile_one(files: &[(String, String)], contract: &str) -> Vec<u8> {
    let mut settings = settings();
    settings["outputSelection"] = json!({ format!("{contract}.sol"): { contract: ["evm.bytecode.object", "evm.deployedBytecode.object"] } });
    let output = checked(&json!({ "language": "Solidity", "sources": sources(files), "settings": settings }));
    solidity::from_hex(bytecode(&output, contract).0)
}

/// File names and texts in the compiler's format.
fn sources(files: &[(String, String)]) -> Value {
    files.iter().map(|(name, text)| (name.clone(), json!({ "content": text }))).collect::<Map<_, _>>().into()
}

/// The compiler's output, which must have no messages about the contracts.
fn checked(input: &Value) -> Value {
    let output = cached(input);
    assert_eq!(output["errors"], Value::Null, "the compiler complains");
    output
}

/// The compiler's output, cached: equal inputs have equal outputs.
fn cached(input: &Value) -> Value {
    let script = fs::read(in_repository(SCRIPT)).expect("the script");
    let versions = fs::read(in_repository("package-lock.json")).expect("the versions");
    let key = step::keccak(&[&script[..], &versions, input.to_string().as_bytes()].concat());
    let folder = in_repository(".cache/solc");
    let path = folder.join(format!("{}.json", key));
    let kept = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    kept.unwrap_or_else(|| {
        let output = standard_json(input);
        fs::create_dir_all(&folder).expect("a folder");
        // Tests run concurrently, so a file must appear complete or not at all.
        let mut file = tempfile::NamedTempFile::new_in(&folder).expect("a file");
        file.write_all(output.to_string().as_bytes()).expect("a file is written");
        file.persist(&path).expect("a file is renamed");
        output
    })
}

/// The creation and the deployed bytecode of a contract, in hexadecimal.
#[must_use]
pub fn bytecode<'a>(output: &'a Value, contract: &str) -> (&'a str, &'a str) {
    let evm = &output["contracts"][format!("{contract}.sol")][contract]["evm"];
    let code = |part: &str| evm[part]["object"].as_str().unwrap_or_default();
    (code("bytecode"), code("deployedBytecode"))
}

/// Everything that determines the bytecode, except the sources and the compiler.
#[must_use]
pub fn settings() -> Value {
    json!({
        "optimizer": { "enabled": true, "runs": 200 },
        "evmVersion": "cancun",
        "metadata": { "bytecodeHash": "none" },
        "outputSelection": { "*": { "*": ["evm.bytecode.object", "evm.deployedBytecode.object"] } },
    })
}

fn standard_json(input: &Value) -> Value {
    let mut node = Command::new("node")
        .arg(in_repository(SCRIPT))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node is not installed; the contracts are checked with solc from npm, which needs Node 20 or later");
    let mut stdin = node.stdin.take().expect("a pipe");
    // If node fails early, its message is more useful than a broken pipe.
    let _ = stdin.write_all(input.to_string().as_bytes());
    drop(stdin);
    let output = node.wait_with_output().expect("node ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "is solc missing? run `npm ci` in the repository's root\n{errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}
