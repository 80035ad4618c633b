//! The checked-in verifiers are what the generator prints and what the pinned compiler makes of it.
//!
//! `BLESS=1 cargo test -p solidity` writes them anew. The compiler is solc from npm: `npm ci` in the repository's root.

use isa::Extensions;
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const BOTH: [Extensions; 2] = [Extensions::IM, Extensions::IMFD];

/// Where the checked-in verifier of these extensions is.
fn folder(extensions: Extensions) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("generated").join(extensions.name())
}

/// Compares a checked-in file with what it should be, or writes it.
fn check(path: &Path, text: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        return fs::write(path, text).expect("a file");
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    let same = found.lines().zip(text.lines()).take_while(|(a, b)| a == b).count();
    assert!(
        found == text,
        "{} differs from what is generated, first at line {}; if that is intended: BLESS=1 cargo test -p solidity",
        path.display(),
        same + 1,
    );
}

/// Compiles contracts with the pinned solc; the answer in standard JSON.
fn compile(input: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("solc.mjs");
    let mut node = Command::new("node")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node (20 or later) must be installed to check the contracts");
    let mut stdin = node.stdin.take().expect("a pipe");
    // If node dies early its own message says more than a broken pipe does.
    let _ = stdin.write_all(input.to_string().as_bytes());
    drop(stdin);
    let output = node.wait_with_output().expect("node ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "is solc missing? run `npm ci` in the repository's root\n{errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Everything that decides about the bytecode, but for the sources.
fn settings() -> Value {
    json!({
        "optimizer": { "enabled": true, "runs": 200 },
        "evmVersion": "cancun",
        "metadata": { "bytecodeHash": "none" },
        "outputSelection": { "*": { "*": ["evm.bytecode.object", "evm.deployedBytecode.object"] } },
    })
}

/// Compiles files and asserts that the compiler has nothing to say about them.
fn compile_files(files: &[(String, String)]) -> Value {
    let sources: serde_json::Map<String, Value> =
        files.iter().map(|(name, text)| (name.clone(), json!({ "content": text }))).collect();
    let output = compile(&json!({ "language": "Solidity", "sources": sources, "settings": settings() }));
    assert_eq!(output["errors"], Value::Null, "the compiler complains");
    output
}

fn sources(extensions: Extensions) -> Vec<(String, String)> {
    vec![
        ("IStepVerifier.sol".to_owned(), solidity::interface().to_owned()),
        ("StepVerifier.sol".to_owned(), solidity::verifier(extensions)),
    ]
}

#[test]
fn sources_are_up_to_date() {
    for extensions in BOTH {
        for (name, text) in sources(extensions) {
            check(&folder(extensions).join(name), &text);
        }
    }
}

#[test]
fn bytecode_is_up_to_date() {
    for extensions in BOTH {
        let output = compile_files(&sources(extensions));
        let contract = &output["contracts"]["StepVerifier.sol"]["StepVerifier"]["evm"];
        let code = contract["bytecode"]["object"].as_str().expect("bytecode");
        let runtime = contract["deployedBytecode"]["object"].as_str().expect("bytecode").len() / 2;
        let limit = if extensions == Extensions::IM { 12_000 } else { 22_000 };
        assert!(runtime < limit, "{} bytes for {}; the limit is {limit}", runtime, extensions.name());
        let source = step::keccak(solidity::verifier(extensions).as_bytes());
        let about = json!({
            "compiler": output["version"],
            "settings": settings(),
            "source": { "StepVerifier.sol": source.to_string() },
            "runtime": runtime,
        });
        let about = serde_json::to_string_pretty(&about).expect("JSON") + "\n";
        check(&folder(extensions).join("compiler.json"), &about);
        check(&folder(extensions).join("StepVerifier.hex"), &lines(code));
    }
}

/// Hexadecimal digits in lines of a readable length.
fn lines(digits: &str) -> String {
    digits.as_bytes().chunks(120).map(|line| String::from_utf8_lossy(line).into_owned() + "\n").collect()
}

#[test]
fn a_package_for_an_image_compiles() {
    for extensions in BOTH {
        let profile = step::Profile::new(extensions, 20, 0x10_0000, 4096).expect("a machine");
        let files = solidity::generate(&profile, "Mnist").into_iter().map(|file| (file.name, file.text));
        let contracts: Vec<_> = files.filter(|(name, _)| name.ends_with(".sol")).collect();
        let output = compile_files(&contracts);
        let code = &output["contracts"]["MnistVerifier.sol"]["MnistVerifier"]["evm"]["deployedBytecode"]["object"];
        assert!(code.as_str().is_some_and(|code| !code.is_empty() && code.len() / 2 < 24_576));
    }
}

#[test]
fn lines_are_readable() {
    for extensions in BOTH {
        for (_, text) in sources(extensions) {
            let long: Vec<_> = text.lines().filter(|line| line.len() > 120).collect();
            assert!(long.is_empty(), "{} long lines:\n{}", long.len(), long.join("\n"));
        }
    }
}
