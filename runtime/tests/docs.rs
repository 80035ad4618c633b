//! The guarantees about documents besides their commands: links are valid, lines are short, code in other
//! languages can be parsed, the index is complete, and the examples pass their own tests.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The maximum length of a line of prose.
const COLUMNS: usize = 110;
/// Folders with third-party or generated files.
const NOT_OURS: [&str; 5] = ["target", "node_modules", ".git", ".venv", ".cache"];

/// The repository's root.
fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).expect("the repository")
}

/// Every document of the repository: its path and its text.
fn documents() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries.map(|entry| entry.expect("a readable folder")) {
            let (path, kind) = (entry.path(), entry.file_type().expect("a kind of file"));
            if kind.is_dir() && !NOT_OURS.iter().any(|name| path.ends_with(name)) {
                collect(&path, into);
            } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "md") {
                let text =
                    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                into.push((path, text));
            }
        }
    }
    let mut documents = Vec::new();
    collect(&root(), &mut documents);
    documents.sort();
    documents
}

/// The lines of a document that aren't code, each with its number.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fence && !fenced && !line.starts_with("    ")).then_some((index + 1, line))
    })
}

/// A line without its spans of code.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The targets of the links in a line.
fn targets(line: &str) -> Vec<String> {
    let line = without_code(line);
    let ends = line.match_indices("](").map(|(at, _)| &line[at + 2..]);
    ends.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = prose(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len() && title.starts_with(' ')).then(|| title.trim())
    });
    let slug = |title: &str| -> String {
        let kept = title.chars().filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
    };
    let mut unique = |slug: String| {
        let count = seen.entry(slug.clone()).or_default();
        *count += 1;
        if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
    };
    headings.map(|title| unique(slug(title))).collect()
}

/// What is wrong with a link, if anything.
fn broken(from: &Path, text: &str, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = from.parent().expect("a folder").join(file);
    if !file.is_empty() && !path.exists() {
        return Some("there is no such file".to_owned());
    }
    if anchor.is_empty() {
        return None;
    }
    let text = if file.is_empty() { text.to_owned() } else { fs::read_to_string(path).unwrap_or_default() };
    let there = anchors(&text);
    (!there.iter().any(|found| found == anchor))
        .then(|| format!("there is no such heading; there are {there:?}"))
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = String::new();
    let mut found = 0;
    for (path, text) in documents() {
        for (number, line) in prose(&text) {
            for target in targets(line) {
                found += 1;
                if let Some(reason) = broken(&path, &text, &target) {
                    let _ = writeln!(wrong, "{}:{number}: ({target}): {reason}", path.display());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(found > 100, "only {found} links found");
}

#[test]
fn the_index_has_every_page() {
    let index = fs::read_to_string(root().join("docs/README.md")).expect("docs/README.md");
    let linked: Vec<_> = prose(&index).flat_map(|(_, line)| targets(line)).collect();
    let pages =
        fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("a page").file_name());
    let pages = pages.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.ends_with(".md"));
    let missing: Vec<_> = pages.filter(|name| name != "README.md" && !linked.contains(name)).collect();
    assert!(missing.is_empty(), "docs/README.md doesn't link to {missing:?}");
}

/// The tests that a text names, each with its file: `` `file.rs`: `name`, `name` ``.
fn named_tests(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for part in text.split(['|', ';', '\n']) {
        let mut quoted = part.split('`').skip(1).step_by(2);
        let Some(file) = quoted.next().filter(|file| file.ends_with(".rs")) else { continue };
        found.extend(quoted.filter(|name| !name.contains('.')).map(|name| (file, name)));
    }
    found
}

#[test]
fn the_tests_that_the_audit_names_are_there() {
    let audit = fs::read_to_string(root().join("docs/audit.md")).expect("docs/audit.md");
    let named = named_tests(&audit);
    assert!(named.len() > 40, "only {} tests found", named.len());
    let is_there = |(file, name): &&(&str, &str)| {
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        text.contains(&format!("fn {name}("))
    };
    let missing: Vec<_> = named.iter().filter(|test| !is_there(test)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn broken_links_are_found() {
    let readme = root().join("README.md");
    let text = "# One\n\n## Two words, `code`\n\n## One\n";
    assert_eq!(anchors(text), ["one", "two-words-code", "one-1"]);
    assert_eq!(targets("[a](b.md#c), `[x](y)` and ![d](e.svg)"), ["b.md#c", "e.svg"]);
    for good in ["docs/machine.md#limits", "#two-words-code", "docs/", "https://example.org/#x"] {
        assert_eq!(broken(&readme, text, good), None, "{good}");
    }
    for bad in ["docs/nothing.md", "docs/machine.md#nothing", "#three", "docs/#x"] {
        assert!(broken(&readme, text, bad).is_some(), "{bad}");
    }
}

/// The length of a line that could be broken. Tables can't be, and a link counts as its text.
fn columns(line: &str) -> usize {
    if line.trim_end().ends_with('|') {
        return 0;
    }
    let links: usize = targets(line).iter().map(|target| target.chars().count() + 4).sum();
    line.chars().count().saturating_sub(links)
}

#[test]
fn lines_are_short() {
    let mut wrong = String::new();
    for (path, text) in documents() {
        for (number, line) in prose(&text).filter(|(_, line)| columns(line) > COLUMNS) {
            let _ = writeln!(wrong, "{}:{number}: {} columns, not {COLUMNS}", path.display(), columns(line));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn long_lines_are_found() {
    let long = "word ".repeat(23);
    assert_eq!(columns(&long), 115);
    assert_eq!(columns(&format!("| {long} |")), 0);
    assert_eq!(columns(&format!("[a]({})", "x".repeat(200))), 1);
    let code = format!("```text\n{long}\n```\n    {long}\nprose\n");
    assert_eq!(prose(&code).collect::<Vec<_>>(), [(5, "prose")]);
}

/// The blocks of a document in a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let starts = text.split("```").skip(1).step_by(2);
    let inside = |block: &'a str| block.strip_prefix(language)?.strip_prefix('\n');
    starts.filter_map(inside).collect()
}

/// Python's errors in a program, without running it.
fn parse_python(program: &str) -> Result<(), String> {
    let parse = "import ast, sys; ast.parse(sys.stdin.read())";
    let mut python = Command::new("python3")
        .args(["-c", parse])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("python3 can't be started ({error}): apt-get install python3"));
    python.stdin.take().expect("a pipe").write_all(program.as_bytes()).expect("python3 reads");
    let output = python.wait_with_output().expect("python3 ends");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn python_in_documents_is_python() {
    let mut found = 0;
    for (path, text) in documents() {
        for block in blocks(&text, "python") {
            found += 1;
            if let Err(error) = parse_python(block) {
                panic!("{}: {error}\n{block}", path.display());
            }
        }
    }
    assert!(found >= 3, "only {found} blocks of Python found");
    assert!(parse_python("def f(:").is_err());
}

/// Runs forge in the unmodified example, with the compiler from npm and a separate output folder.
#[test]
fn the_consumer_passes_its_tests() {
    let root = root();
    let out = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(root.join("node_modules/.bin/forge"))
        .args(["test", "--root"])
        .arg(root.join("examples/consumer"))
        .env("FOUNDRY_SOLC", root.join("vm/solidity/solc.mjs"))
        .env("FOUNDRY_OUT", out.path().join("out"))
        .env("FOUNDRY_CACHE_PATH", out.path().join("cache"))
        .output()
        .unwrap_or_else(|error| panic!("forge can't be started ({error}): run `npm ci`"));
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("5 passed") && !text.contains("Warning"), "{text}{errors}");
}
