//! The Foundry packages that `opml verifier` writes pass their own tests under the real forge, and those tests notice
//! what is wrong.
//!
//! forge and the compiler come from npm: `npm ci` in the repository's root.

use crate::common::{Folder, fixture};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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

/// What a package of a model tests beside single steps.
const SERVICE: [&str; 4] = [
    "test_theCompilerMakesTheKnownVerifier",
    "test_anAnswerBecomesFinal",
    "test_anOpeningLeadsToItsOutput",
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

/// In which file, what, and what in its place that is wrong.
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
        ("src/NetModel.sol", "memoryRoot: 0x", "memoryRoot: ~bytes32(0) ^ 0x"),
        ("src/StepVerifier.sol", "return (pc + 4) & WORD;", "return (pc + 8) & WORD;"),
    ];
    for (file, right, wrong) in bugs {
        let good = text(file);
        assert!(good.contains(right), "{right} is not in {file}");
        folder.write(&format!("package/{file}"), good.replacen(right, wrong, 1));
        let output = forge(&folder.path("package"), &["test"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && said.contains("[FAIL"), "{file}: {said}");
        folder.write(&format!("package/{file}"), good);
    }
}
