//! The commands in the documents work: those in fenced blocks marked `console` are run in order, each
//! document's in a separate folder that contains `fixtures/` and `examples/`, and must succeed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A path of the repository.
fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The documents: README.md and everything below docs/ and examples/.
fn documents() -> Vec<PathBuf> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for path in entries.map(|entry| entry.expect("a readable folder").path()) {
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                into.push(path);
            }
        }
    }
    let mut documents = vec![in_repository("README.md")];
    collect(&in_repository("docs"), &mut documents);
    collect(&in_repository("examples"), &mut documents);
    documents.sort();
    documents
}

/// The commands of a document: lines that start with `$ ` in blocks marked `console`; a `\` at the end continues.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            inside = !inside && info.trim() == "console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            let mut command = command.to_owned();
            while command.ends_with('\\') {
                command.pop();
                command.push_str(lines.next().unwrap_or_default());
            }
            commands.push(command);
        }
    }
    commands
}

#[test]
fn documented_commands_work() {
    let bin = Path::new(env!("CARGO_BIN_EXE_opml")).parent().expect("a folder");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let linked =
        ["fixtures", "examples"].map(|name| (name, fs::canonicalize(in_repository(name)).expect(name)));
    let mut ran = 0;
    let mut failures = Vec::new();
    for document in documents() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, target) in &linked {
            std::os::unix::fs::symlink(target, folder.path().join(name)).expect("a link to the repository");
        }
        for command in commands(&fs::read_to_string(&document).expect("a readable document")) {
            // The same program, without another build.
            let typed =
                command.replacen("cargo run --release --", "opml", 1).replacen("cargo opml", "opml", 1);
            let output = Command::new("sh")
                .args(["-c", &typed])
                .current_dir(folder.path())
                .env("PATH", &path)
                .env("OPML_CACHE", "")
                .output();
            let output = output.expect("sh starts");
            ran += 1;
            if !output.status.success() {
                let error = String::from_utf8_lossy(&output.stderr);
                failures.push(format!("{}: $ {command}\n{}: {error}", document.display(), output.status));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(ran >= 5, "only {ran} commands found: are the blocks marked `console`?");
}

#[test]
fn commands_are_found() {
    let text = "$ no\n```sh\n$ no\n```\n```console\n$ opml a \\\n    b\noutput\n$ opml c\n```\n$ no\n";
    assert_eq!(commands(text), ["opml a     b", "opml c"]);
}
