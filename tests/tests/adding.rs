//! The pages about adding an instruction and an operator, followed exactly. Their changes are made in a copy of
//! the sources, which must compile, and what they add must do the right thing.
//!
//! The JIT, the services and the importer aren't compiled again. The tests only check that the places named on
//! the pages exist.

use evm::{Answer, Verifier};
use isa::Extensions;
use opml_tests::solc;
use opml_tests::tools::in_repository;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use step::{MachineProfile, Root};
use tempfile::TempDir;

/// A change described on a page.
struct Change {
    file: String,
    /// A part of the line above; a new file has none.
    below: Option<String>,
    text: String,
}

/// The changes of a page: "In `file`, below `line`:" or "In `file`, a new file:", and a block of text.
fn changes(page: &str) -> Vec<Change> {
    let page = fs::read_to_string(in_repository(page)).expect("the page");
    let parts = page.split("\nIn `").skip(1);
    let changes = parts.map(|part| {
        let (place, rest) = part.split_once(":\n\n```rust\n").expect("a place and a block");
        let (text, _) = rest.split_once("```\n").expect("the end of the block");
        let (file, place) = place.split_once("`, ").expect("a file");
        let below = match place {
            "a new file" => None,
            place => {
                let line = place.strip_prefix("below `").and_then(|line| line.strip_suffix('`'));
                Some(line.expect("a line").to_owned())
            }
        };
        Change { file: file.to_owned(), below, text: text.to_owned() }
    });
    changes.collect()
}

/// The changed files of a page.
fn changed(page: &str) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for Change { file, below, text } in changes(page) {
        let Some(below) = below else {
            assert!(!in_repository(&file).exists(), "{file} exists");
            files.insert(file, text);
            continue;
        };
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

/// Copies a folder, but for what was built in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() && !from.ends_with("target") {
            copy(&from, &to);
        } else if from.is_file() {
            fs::copy(from, to).expect("a copy");
        }
    }
}

/// A workspace of some crates, changed as a page says, and of a program that uses some of them.
struct Copied {
    folder: TempDir,
}

impl Copied {
    fn new(page: &str, crates: &[&str], uses: &[&str], program: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        crates.iter().for_each(|name| copy(&in_repository(name), &path(name)));
        for (file, text) in changed(page) {
            if crates.iter().any(|name| file.starts_with(name)) {
                fs::write(path(&file), text).expect("a change");
            }
        }
        let root = fs::read_to_string(in_repository("Cargo.toml")).expect("Cargo.toml");
        let (_, rest) = root.split_once("members = [").expect("members");
        let (_, rest) = rest.split_once("\n]\n").expect("their end");
        let lines = rest.lines().filter(|line| !line.starts_with("default-members"));
        let rest: String = lines.map(|line| line.to_owned() + "\n").collect();
        let (rest, _) = rest.split_once("[profile").unwrap_or((&rest, ""));
        let members: String = crates.iter().map(|name| format!("{name:?}, ")).collect();
        let workspace = format!("[workspace]\nresolver = \"3\"\nmembers = [{members}\"new\"]\n{rest}");
        fs::write(path("Cargo.toml"), workspace).expect("a workspace");
        fs::copy(in_repository("Cargo.lock"), path("Cargo.lock")).expect("a copy");
        fs::create_dir_all(path("new/src")).expect("a folder");
        let uses: String = uses.iter().map(|name| format!("{name}.workspace = true\n")).collect();
        let package = format!("[package]\nname = \"new\"\nedition = \"2024\"\n[dependencies]\n{uses}");
        fs::write(path("new/Cargo.toml"), package).expect("a package");
        fs::write(path("new/src/main.rs"), program).expect("a program");
        Self { folder }
    }

    /// Runs the program and returns what it prints.
    fn run(&self) -> Vec<u8> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["run", "--quiet", "--offline", "-p", "new"])
            .current_dir(self.folder.path())
            // Kept, so that only changes are compiled again.
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("adding"))
            .output()
            .expect("cargo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

/// Executes the new instruction, and prints the contract.
const INSTRUCTION: &str = r#"
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
    let crates = ["vm/isa", "vm/merkle", "vm/step", "vm/solidity"];
    let copied =
        Copied::new("docs/adding-an-instruction.md", &crates, &["isa", "step", "solidity"], INSTRUCTION);
    let path = |name: &str| copied.folder.path().join(name);
    fs::create_dir(path("vm/solidity/generated/rv64imfdb")).expect("a folder");
    fs::write(path("vm/solidity/generated/rv64imfdb/StepVerifier.hex"), "").expect("an empty file");
    fs::copy(in_repository("tests/src/hashed.rs"), path("new/src/hashed.rs")).expect("a copy");
    let printed = copied.run();
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
    let steps: Vec<[String; 3]> = serde_json::from_slice(&printed).expect("steps");
    assert!(steps.len() > 60);
    for [before, after, witness] in steps {
        let root = |text: &str| Root(solidity::from_hex(text).try_into().expect("32 bytes"));
        let (answer, _) = verifier.step(root(&before), &solidity::from_hex(&witness)).expect("an answer");
        assert_eq!(answer, Answer::Root(root(&after)));
    }
}

/// Runs the new operator in every way that needs no machine.
const OPERATOR: &str = r#"
use dnn_lib::operator::{HardTanh, Meaning, Operator};
use dnn_lib::tensor::{DType, TensorType};
use host::{Isa, Prepared};

fn main() {
    let operator = Operator::from(HardTanh { low: -0.5, high: 2.0 });
    assert_eq!(operator.name(), "HardTanh");
    let x = [1.5f32, -1.5, 0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-45, -1e-45, -3e38, 7.0];
    let types = [TensorType::new(DType::F32, [x.len() as u64])];
    let Ok(Some(Meaning::Computed(definition))) = operator.define(&types, 0) else { panic!("it is computed") };
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
    let expected = x.iter().map(|&x| if x < -0.5 { -0.5 } else if x > 2.0 { 2.0 } else { x });
    let expected: Vec<u8> = expected.flat_map(f32::to_le_bytes).collect();
    assert_eq!(definition.eval(&[&bytes]).unwrap(), expected);
    assert_eq!(dnn_lib::schedule::guest(&definition).unwrap().run(&[&bytes]).unwrap(), expected);
    for isa in Isa::available() {
        let (prepared, mut found) = (Prepared::new(isa, &definition).unwrap(), vec![0; bytes.len()]);
        prepared.run(&[&bytes], &mut found, &prepared.whole()).unwrap();
        assert_eq!(found, expected, "{isa:?}");
    }
    assert!(operator.infer(&[TensorType::new(DType::I8, [3])]).is_err());
}
"#;

#[test]
fn the_page_about_adding_an_operator_is_right() {
    let crates = ["dnn-lib", "dnn-lib/tensor", "dnn-lib/host"];
    Copied::new("docs/adding-an-operator.md", &crates, &["dnn-lib", "host"], OPERATOR).run();
}
