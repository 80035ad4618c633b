//! The pinned Solidity compiler, and how the verifiers are compiled.

use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Compiles contracts, given as file names and texts, and answers in the compiler's standard JSON.
///
/// # Panics
/// If the compiler is not there, or has anything to say about the contracts, warnings included.
#[must_use]
pub fn compile(files: &[(String, String)]) -> Value {
    let sources: serde_json::Map<String, Value> =
        files.iter().map(|(name, text)| (name.clone(), json!({ "content": text }))).collect();
    let output = standard_json(&json!({ "language": "Solidity", "sources": sources, "settings": settings() }));
    assert_eq!(output["errors"], Value::Null, "the compiler complains");
    output
}

/// The creation and the deployed bytecode of a contract, in hexadecimal.
#[must_use]
pub fn bytecode<'a>(output: &'a Value, contract: &str) -> (&'a str, &'a str) {
    let evm = &output["contracts"][format!("{contract}.sol")][contract]["evm"];
    let code = |part: &str| evm[part]["object"].as_str().unwrap_or_default();
    (code("bytecode"), code("deployedBytecode"))
}

/// Everything that decides about the bytecode, but for the sources and the compiler.
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
        .arg(crate::tools::in_repository("vm/solidity/solc.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node is not installed; the contracts are checked with solc from npm, which needs Node 20 or later");
    let mut stdin = node.stdin.take().expect("a pipe");
    // If node dies early its own message says more than a broken pipe does.
    let _ = stdin.write_all(input.to_string().as_bytes());
    drop(stdin);
    let output = node.wait_with_output().expect("node ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "is solc missing? run `npm ci` in the repository's root\n{errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}
