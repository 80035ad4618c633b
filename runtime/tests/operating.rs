//! What operators get is right: the files in examples/operating, the metrics in the documents, the exit statuses, and
//! that a player shows no secret and is stopped by nothing that it finds.

use crate::common::Folder;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(in_repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let ends = [
        "_total",
        "_seconds",
        "_ether",
        "_bytes",
        "_block",
        "_games",
        "_waiting",
        "_healthy",
        "_requests",
        "_duties",
        "_events",
        "_jobs",
    ];
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let metrics =
        words.filter(|word| word.starts_with("opml_") && ends.iter().any(|end| word.ends_with(end)));
    metrics.map(str::to_owned).collect()
}

/// The metrics that the code counts.
fn counted() -> BTreeSet<String> {
    fn collect(folder: &Path, into: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                collect(&entry, into);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let code = fs::read_to_string(&entry).expect("text");
                for macro_ in ["counter!(\"", "gauge!(\"", "histogram!(\""] {
                    let names = code.split(macro_).skip(1).filter_map(|rest| rest.split('"').next());
                    into.extend(names.map(str::to_owned));
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    for folder in ["runtime/src", "runtime/chain/src", "runtime/players/src"] {
        collect(&in_repository(folder), &mut found);
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

#[test]
fn every_metric_exists_and_is_documented() {
    let counted = counted();
    assert_eq!(metrics(&text("docs/operating.md")), counted, "docs/operating.md, and what the code counts");
    for file in ["alerts.yml", "alerts.test.yml", "dashboard.json"] {
        let used = metrics(&text(&format!("examples/operating/{file}")));
        assert!(used.is_subset(&counted), "{file}: {:?}", used.difference(&counted));
    }
    let shown = metrics(&text("examples/operating/dashboard.json"));
    assert_eq!(shown, counted, "what the dashboard shows, and what the code counts");
    let board: serde_json::Value =
        serde_json::from_str(&text("examples/operating/dashboard.json")).expect("JSON");
    assert!(board["panels"].as_array().is_some_and(|panels| panels.len() > 5));
}

#[test]
fn every_alert_says_what_to_do() {
    let rules = text("examples/operating/alerts.yml");
    let alerts: BTreeSet<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    let page = text("docs/operating.md");
    let headings: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|head| head.starts_with("Opml"))
        .collect();
    assert_eq!(headings, alerts, "the headings of docs/operating.md, and the alerts");
}

/// Runs a tool of Debian, which must be there.
fn tool(name: &str, package: &str, args: &[&str], folder: &Path) -> Output {
    let output = Command::new(name).args(args).current_dir(folder).output();
    output.unwrap_or_else(|error| panic!("{name} can't be started ({error}): apt-get install {package}"))
}

fn assert_success(output: &Output) {
    let said = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn prometheus_takes_the_rules_and_they_alert_when_they_should() {
    let folder = in_repository("examples/operating");
    assert_success(&tool("promtool", "prometheus", &["check", "rules", "alerts.yml"], &folder));
    assert_success(&tool("promtool", "prometheus", &["test", "rules", "alerts.test.yml"], &folder));
}

#[test]
fn systemd_takes_the_unit_and_finds_it_hardened() {
    let folder = Folder::new();
    let unit = text("examples/operating/opml@.service");
    assert!(unit.contains("/usr/local/bin/opml "));
    // systemd looks whether there is such a command.
    let units = ["serve", "watch", "work"].map(|name| format!("./opml@{name}.service"));
    for name in &units {
        folder.write(name, unit.replace("/usr/local/bin/opml", env!("CARGO_BIN_EXE_opml")));
    }
    let analyze = |args: &[&str]| tool("systemd-analyze", "systemd", args, &folder.path(""));
    let [serve, watch, work] = units.each_ref().map(String::as_str);
    let verified = analyze(&["verify", "--man=no", serve, watch, work]);
    assert_success(&verified);
    assert_eq!(String::from_utf8_lossy(&verified.stderr), "");
    // The exposure is 14 of 100: what is left is the network, and memory for translated code.
    let secure = ["security", "--offline=true", "--no-pager", "--threshold=15", "./opml@serve.service"];
    assert_success(&analyze(&secure));
}

/// A command that runs with these variables.
fn opml(folder: &Folder, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_opml"));
    command.current_dir(folder.path("")).env("OPML_CACHE", "").env_remove("OPML_KEY").stdin(Stdio::null());
    command.args(args).envs(variables.iter().copied()).output().expect("opml starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

const DEPLOYMENT: &str = r#"{ "chain_id": 31337, "registry": "0x1111111111111111111111111111111111111111",
    "service": "0x2222222222222222222222222222222222222222", "block": 0,
    "block_hash": "0x3333333333333333333333333333333333333333333333333333333333333333" }"#;

#[test]
fn the_example_of_options_is_taken_by_both_players_and_by_workers() {
    let folder = Folder::new();
    let options = text("examples/operating/opml.toml");
    folder.write("opml.toml", &options);
    for player in ["serve", "watch"] {
        // All options are fine: what is missing are the files that they name.
        let output = opml(&folder, &[player, "--config", "opml.toml"], &[]);
        let keystore = format!("cannot read ./{player}.keystore");
        assert!(said(&output).contains(&keystore) && output.status.code() == Some(1), "{}", said(&output));
    }
    // A worker needs nothing but the models and a database.
    folder.misused(&["work", "--config", "opml.toml"]).says(&["--database"]);
    folder.write("work.toml", options.replace("# database", "database"));
    folder.fails(&["work", "--config", "work.toml"]).says(&["cannot read ./model.opml"]);
    folder.write("bad.toml", "modles = ['a.opml']\n");
    folder.misused(&["serve", "--config", "bad.toml"]).says(&["bad.toml:1", "'modles'", "'models' is one"]);
    folder.write("none.toml", "poll = 100\n");
    for command in [&["serve"][..], &["work", "--database", "postgres://x"]] {
        let args = [command, &["--config", "none.toml"]].concat();
        folder.misused(&args).says(&["no model is given", "none.toml"]);
    }
    folder.misused(&["serve"]).says(&["IMAGE"]);
}

#[test]
fn a_file_with_options_that_holds_a_key_must_be_its_owners() {
    let folder = Folder::new();
    folder.write("opml.toml", "models = ['a.opml']\nrpc = ['https://rpc.example/v3/0123456789abcdef']\n");
    fs::set_permissions(folder.path("opml.toml"), fs::Permissions::from_mode(0o644)).expect("a mode");
    folder.fails(&["serve", "--config", "opml.toml"]).says(&["chmod 600 opml.toml"]);
    fs::set_permissions(folder.path("opml.toml"), fs::Permissions::from_mode(0o600)).expect("a mode");
    folder.fails(&["serve", "--config", "opml.toml"]).says(&["no key"]);
}

#[test]
fn nothing_shows_the_key_of_a_node() {
    // A server that refuses, and says the key in its refusal.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let _ = stream.read(&mut [0; 4096]);
            let body = "the key 0123456789abcdef is not valid";
            let head = "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length:";
            let _ = stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes());
        }
    });
    let folder = Folder::with_net("mnist-mlp");
    folder.write("deployment.json", DEPLOYMENT);
    let url = format!("http://{address}/v3/0123456789abcdef");
    for args in [
        &["serve", "net.opml", "--rpc", &url][..],
        &["serve", "net.opml", "--rpc", &url, "--json"],
        &["serve", "net.opml", "--rpc", &url, &url, "--poll", "x"],
        &["watch", "net.opml", "--nothing", &url],
        &["status", "1", "--rpc", &url],
        &["deploy", "--rpc", &url],
        &["watch", "net.opml"],
    ] {
        for level in ["trace", "info"] {
            let output = opml(&folder, args, &[("OPML_KEY", KEY), ("OPML_RPC", &url), ("RUST_LOG", level)]);
            let said = said(&output);
            assert!(!output.status.success() && !said.contains("0123456789abcdef"), "opml {args:?}: {said}");
        }
    }
    let help = said(&opml(&folder, &["serve", "--help"], &[("OPML_RPC", &url)]));
    assert!(help.contains("OPML_RPC") && !help.contains("0123456789abcdef"), "{help}");
    let output = opml(&folder, &["status", "1"], &[]);
    assert!(said(&output).contains("it names no node"), "{}", said(&output));
}

#[test]
fn a_supervisor_can_tell_what_to_do_from_the_exit_status() {
    let folder = Folder::new();
    assert_eq!(opml(&folder, &["serve"], &[]).status.code(), Some(2));
    assert_eq!(opml(&folder, &["serve", "none.opml"], &[("OPML_KEY", KEY)]).status.code(), Some(1));
    let page = text("docs/operating.md");
    let help = said(&opml(&folder, &["--help"], &[]));
    for status in [0, 1, 2, 4, 5] {
        assert!(page.contains(&format!("| {status} | ")), "docs/operating.md lacks {status}");
        assert!(help.contains(&format!("\n  {status}  ")), "opml --help lacks {status}");
    }
}
