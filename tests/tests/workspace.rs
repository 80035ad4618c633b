//! Checks on `cargo metadata` for the workspace: the licences of all dependencies, the dependencies between
//! crates, and that every test file is included.

use opml_tests::tools::in_repository;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::process::Command;
use std::sync::LazyLock;

/// `cargo metadata` for the processor and system that this test runs on.
static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--all-features",
            "--filter-platform",
            &target,
        ])
        .current_dir(in_repository("."))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
});

/// The elements of a JSON array.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A JSON string.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// All packages, ours and others', by id.
fn packages() -> HashMap<&'static str, &'static Value> {
    list(&METADATA["packages"]).iter().map(|package| (text(&package["id"]), package)).collect()
}

/// The packages of this workspace.
fn ours() -> impl Iterator<Item = &'static Value> {
    let members: BTreeSet<_> = list(&METADATA["workspace_members"]).iter().map(text).collect();
    list(&METADATA["packages"]).iter().filter(move |package| members.contains(text(&package["id"])))
}

/// The run-time dependencies of each package, by id: no build scripts, no tests.
fn links() -> HashMap<&'static str, Vec<&'static str>> {
    let normal =
        |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
    list(&METADATA["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let needs = list(&node["deps"]).iter().filter(|dependency| normal(dependency));
            (text(&node["id"]), needs.map(|dependency| text(&dependency["pkg"])).collect())
        })
        .collect()
}

/// A package and all its dependencies, direct and indirect.
fn reached(from: &'static str, links: &HashMap<&'static str, Vec<&'static str>>) -> BTreeSet<&'static str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(links.get(id).into_iter().flatten());
        }
    }
    found
}

/// The licences that `deny.toml` allows.
fn allowed() -> BTreeSet<String> {
    let file = fs::read_to_string(in_repository("deny.toml")).expect("deny.toml");
    let (_, rest) = file.split_once("allow = [").expect("a list of licences");
    let (licences, _) = rest.split_once(']').expect("its end");
    licences.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met with the allowed licences. `A/B` is an old way to write `A OR B`.
fn permits(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced =
        expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ").replace(" WITH ", "+WITH+");
    let mut words = spaced.split_whitespace().peekable();
    let permitted = either(&mut words, allowed);
    permitted && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

/// Alternatives.
fn either(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = both(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= both(words, allowed);
    }
    met
}

/// What must be met together.
fn both(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = single(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= single(words, allowed);
    }
    met
}

/// One licence, or an expression in parentheses.
fn single(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    match words.next() {
        Some("(") => {
            let met = either(words, allowed);
            words.next_if_eq(&")").is_some() && met
        }
        Some(licence) => allowed.contains(&licence.replace("+WITH+", " WITH ")),
        None => false,
    }
}

#[test]
fn licences_are_read_as_spdx_says() {
    let allowed = BTreeSet::from(["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned));
    for (expression, permitted) in [
        ("MIT", true),
        ("MPL-2.0", false),
        ("MIT OR GPL-3.0", true),
        ("MIT/GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND Apache-2.0", true),
        ("GPL-3.0 OR (MIT AND MPL-2.0)", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("GPL-2.0 WITH Classpath-exception-2.0", false),
        ("(MIT", false),
        ("MIT MIT", false),
        ("", false),
    ] {
        assert_eq!(permits(expression, &allowed), permitted, "{expression}");
    }
}

#[test]
fn all_that_the_command_links_is_permissive() {
    // Unlike `cargo metadata`, `cargo tree` knows exactly which optional dependencies are in use.
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", "opml", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}|{l}"])
        .current_dir(in_repository("."))
        .output()
        .expect("cargo starts");
    let lines = String::from_utf8(output.stdout).expect("text");
    let linked: BTreeSet<_> = lines.lines().filter_map(|line| line.split_once('|')).collect();
    assert!(linked.len() > 200, "the command links {} packages, which is too few to be true", linked.len());
    let allowed = allowed();
    let refused: Vec<_> =
        linked.iter().filter(|(_, licence)| !permits(licence.trim_end_matches(" (*)"), &allowed)).collect();
    assert!(refused.is_empty(), "not on deny.toml's list of licences: {refused:#?}");
}

/// A package's direct dependencies in the workspace.
fn direct(package: &Value) -> BTreeSet<String> {
    list(&package["dependencies"])
        .iter()
        .filter(|dependency| dependency["kind"].is_null() && !dependency["path"].is_null())
        .map(|dependency| text(&dependency["name"]).to_owned())
        .collect()
}

/// The rows, as cells, of the table in docs/architecture.md with this head.
fn table(head: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(in_repository("docs/architecture.md")).expect("the page");
    let rows = page.lines().skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "docs/architecture.md has no table with the head {head}");
    rows
}

/// The names in backquotes.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_table_of_crates_is_what_cargo_says() {
    let rows = table("| Crate | Folder | Purpose | Depends on |");
    let written: BTreeMap<_, _> = rows
        .iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), (row[1].clone(), names(&row[3]))))
        .collect();
    let root = text(&METADATA["workspace_root"]);
    let real: BTreeMap<_, _> = ours()
        .map(|package| {
            let manifest = text(&package["manifest_path"]);
            let folder = manifest.trim_start_matches(root).trim_matches('/').trim_end_matches("/Cargo.toml");
            (text(&package["name"]).to_owned(), (format!("`{folder}`"), direct(package)))
        })
        .collect();
    for (name, row) in &real {
        assert_eq!(written.get(name), Some(row), "docs/architecture.md, the row of {name}");
    }
    assert_eq!(written.len(), real.len(), "docs/architecture.md lists crates that don't exist");
}

#[test]
fn what_must_never_depend_does_not() {
    let (packages, links) = (packages(), links());
    let ids: HashMap<_, _> = ours().map(|package| (text(&package["name"]), text(&package["id"]))).collect();
    for row in table("| Crate | never depends on |") {
        for (user, used) in
            names(&row[0]).iter().flat_map(|user| names(&row[1]).into_iter().map(move |used| (user, used)))
        {
            let user = ids.get(user.as_str()).unwrap_or_else(|| panic!("there is no crate {user}"));
            assert!(packages.values().any(|package| package["name"] == used), "there is no crate {used}");
            let found = reached(user, &links).iter().any(|id| packages[id]["name"] == used);
            assert!(!found, "{} depends on {used}", packages[user]["name"]);
        }
    }
}

#[test]
fn every_test_file_is_part_of_an_executable() {
    let mut missing = Vec::new();
    for package in ours() {
        let targets = || list(&package["targets"]).iter();
        let folder = text(&package["manifest_path"]).trim_end_matches("Cargo.toml");
        let Ok(entries) = fs::read_dir(format!("{folder}tests")) else { continue };
        let files = entries.map(|entry| entry.expect("an entry").path());
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
            let is_root = targets().any(|target| file == *text(&target["src_path"]));
            let module = format!("mod {};", file.file_stem().expect("a name").to_string_lossy());
            let is_module = targets().filter(|target| target["kind"][0] == "test").any(|target| {
                let root = fs::read_to_string(text(&target["src_path"])).expect("a test");
                root.lines().any(|line| line == module)
            });
            if !is_root && !is_module {
                missing.push(file);
            }
        }
    }
    assert!(missing.is_empty(), "no test executable has these files; add their `mod` lines: {missing:#?}");
}

#[test]
fn packages_say_what_they_are() {
    for package in ours() {
        let name = text(&package["name"]);
        assert!(name == "opml" || name.starts_with("opml-"), "{name} lacks the prefix opml-");
        assert!(text(&package["description"]).len() > 20, "{name} has no description");
        assert_eq!(package["license"], "MIT OR Apache-2.0", "{name}");
        let internal = ["opml-tests", "opml-fuzz", "opml-peers"].contains(&name);
        let labels = |key: &str| list(&package[key]).len();
        assert!(
            internal || labels("keywords") > 2 && labels("categories") > 0,
            "{name} has no keywords or categories"
        );
    }
}
