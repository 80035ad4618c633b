//! `docs/adding-an-instruction.md`, followed exactly. Its changes are made in a copy of the sources, which
//! must compile. Its instruction must do the right thing in Rust, in the verification of the witness, and in
//! the contract.
//!
//! The JIT and the services aren't compiled again. The test only checks that the places named on the page
//! exist.

use evm::{Answer, Verifier};
use isa::Extensions;
use opml_tests::solc;
use opml_tests::tools::in_repository;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use step::{MachineProfile, Root};

/// A change described on the page.
struct Change {
    file: String,
    below: String,
    text: String,
}

/// The changes of the page: "In `file`, below `line`:", and a block of text.
fn changes() -> Vec<Change> {
    let page = fs::read_to_string(in_repository("docs/adding-an-instruction.md")).expect("the page");
    let parts = page.split("\nIn `").skip(1);
    let changes = parts.map(|part| {
        let (file, rest) = part.split_once("`, below `").expect("a file and a line");
        let (below, rest) = rest.split_once("`:\n\n```rust\n").expect("a line and a block");
        let (text, _) = rest.split_once("```\n").expect("the end of the block");
        Change { file: file.to_owned(), below: below.to_owned(), text: text.to_owned() }
    });
    changes.collect()
}

/// The changed files.
fn changed() -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for Change { file, below, text } in changes() {
        let source = files.entry(file.clone()).or_insert_with(|| {
            fs::read_to_string(in_repository(&file))
                .unwrap_or_else(|error| panic!("the page names {file}: {error}"))
        });
        let found = source.match_indices(&below).count();
        assert_eq!(found, 1, "{file} has {found} lines with {below}");
        let at = source.find(&below).expect("the line");
        let end = at + source[at..].find('\n').expect("its end") + 1;
        source.insert_str(end, &text);
    }
    files
}

/// The crates that are compiled again.
const CRATES: [&str; 4] = ["vm/isa", "vm/merkle", "vm/step", "vm/solidity"];

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).expect("a copy");
        }
    }
}

/// Executes the new instruction, and prints the contract.
const MAIN: &str = r#"
use isa::{Extensions, Instruction, Op, encode};
#[allow(dead_code)]
mod hashed;

fn main() {
    let extensions = *Extensions::ALL.last().unwrap();
    assert_eq!(extensions.name(), "rv64imfdb");
    let clz = Instruction { rd: 5, rs1: 6, ..Instruction::new(Op::Clz) };
    assert_eq!(clz.to_string(), "clz t0, t1");
    let mut code = vec![0x13; 8];
    code[3] = encode(clz).unwrap();
    let values = (0..65).map(|bits| u64::MAX.checked_shr(bits).unwrap_or(0)).chain([1 << 40, 0x8000_0000_0000_0001]);
    let steps: Vec<_> = values.map(|value| {
        let mut machine = hashed::Hashed::new(extensions, 12, 0x1000, &code);
        machine.state.pc = 0x100c;
        machine.state.x[6] = value;
        let before = machine.root();
        let (witness, after) = machine.record();
        assert_eq!(step::verify(step::Source::profile(&machine), &witness, before), Ok(after));
        machine.state.x[5] = value.leading_zeros().into();
        machine.state.pc = 0x1010;
        assert_eq!(machine.root(), after, "clz of {value:#x}");
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("[\"{}\", \"{}\", \"{}\"]", hex(&before.0), hex(&after.0), hex(&witness))
    }).collect();
    std::fs::write("StepVerifier.sol", solidity::verifier(extensions)).unwrap();
    println!("[{}]", steps.join(","));
}
"#;

#[test]
fn the_page_about_adding_an_instruction_is_right() {
    let changed = changed();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for name in CRATES {
        copy(&in_repository(name), &path(name));
    }
    for (file, text) in &changed {
        if CRATES.iter().any(|name| file.starts_with(name)) {
            fs::write(path(file), text).expect("a change");
        }
    }
    fs::create_dir(path("vm/solidity/generated/rv64imfdb")).expect("a folder");
    fs::write(path("vm/solidity/generated/rv64imfdb/StepVerifier.hex"), "").expect("an empty file");
    // A workspace of these crates and a program.
    let root = fs::read_to_string(in_repository("Cargo.toml")).expect("Cargo.toml");
    let (_, rest) = root.split_once("members = [").expect("members");
    let (_, rest) = rest.split_once("\n]\n").expect("their end");
    let rest: String = rest
        .lines()
        .filter(|line| !line.starts_with("default-members"))
        .map(|l| l.to_owned() + "\n")
        .collect();
    let (rest, _) = rest.split_once("[profile").unwrap_or((&rest, ""));
    let members = CRATES.map(|name| format!("{name:?}")).join(", ");
    let workspace = format!("[workspace]\nresolver = \"3\"\nmembers = [{members}, \"new\"]\n{rest}");
    fs::write(path("Cargo.toml"), workspace).expect("a workspace");
    fs::copy(in_repository("Cargo.lock"), path("Cargo.lock")).expect("a copy");
    fs::create_dir_all(path("new/src")).expect("a folder");
    let dependencies = ["isa", "step", "solidity"].map(|name| format!("{name}.workspace = true\n")).concat();
    let package = format!("[package]\nname = \"new\"\nedition = \"2024\"\n[dependencies]\n{dependencies}");
    fs::write(path("new/Cargo.toml"), package).expect("a package");
    fs::write(path("new/src/main.rs"), MAIN).expect("a program");
    fs::copy(in_repository("tests/src/hashed.rs"), path("new/src/hashed.rs")).expect("a copy");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--offline", "-p", "new"])
        .current_dir(folder.path())
        // Kept, so that only changes are compiled again.
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("adding"))
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The contract computes the same.
    let text = fs::read_to_string(path("StepVerifier.sol")).expect("a contract");
    let files = [
        ("IStepVerifier.sol".to_owned(), solidity::interface().to_owned()),
        ("StepVerifier.sol".to_owned(), text),
    ];
    let output_of_solc = solc::compile(&files);
    let code = solidity::from_hex(solc::bytecode(&output_of_solc, "StepVerifier").0);
    // The page's set is unknown here: a bit of its own beside those of rv64imfd.
    let profile = MachineProfile::new(Extensions::IMFD, 12, 0x1000, 32).expect("a machine");
    let mut machine = profile.word();
    machine[14] |= 16;
    let mut verifier = Verifier::deploy(&code, machine).expect("a verifier");
    let steps: Vec<[String; 3]> = serde_json::from_slice(&output.stdout).expect("steps");
    assert!(steps.len() > 60);
    for [before, after, witness] in steps {
        let root = |text: &str| Root(solidity::from_hex(text).try_into().expect("32 bytes"));
        let (answer, _) = verifier.step(root(&before), &solidity::from_hex(&witness)).expect("an answer");
        assert_eq!(answer, Answer::Root(root(&after)));
    }
}
