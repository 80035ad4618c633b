//! A PostgreSQL cluster of a test's own, in a temporary folder. Nobody can reach it but through a socket in there.

#![allow(dead_code, reason = "each test uses a part of this")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A running cluster with an empty database.
pub struct Cluster(TempDir);

impl Cluster {
    pub fn start() -> Self {
        let new = Self(tempfile::Builder::new().prefix("opml-postgres.").tempdir().expect("a folder"));
        // PostgreSQL refuses to run as root.
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(new.0.path()).status();
            assert!(owned.expect("chown").success(), "there is no user postgres: {INSTALL}");
        }
        new.must(
            "initdb",
            &["--no-sync", "--auth=trust", "--username=opml", "--encoding=UTF8", "--no-locale"],
        );
        new.resume();
        new.sql("CREATE DATABASE opml", "postgres");
        new
    }

    /// The URL of the database.
    pub fn url(&self) -> String {
        format!("postgres://opml@localhost/opml?host={}", self.0.path().display())
    }

    /// Starts it again.
    pub fn resume(&self) {
        let settings =
            format!("-c listen_addresses='' -c unix_socket_directories={} -F", self.0.path().display());
        let log = self.data().join("log").display().to_string();
        self.must("pg_ctl", &["start", "--wait", "--silent", "--options", &settings, "--log", &log]);
    }

    /// Stops it as a power cut would.
    pub fn stop(&self) {
        self.must("pg_ctl", &["stop", "--mode=immediate", "--silent"]);
    }

    /// What the database says to a statement: a line for each row.
    pub fn query(&self, statement: &str) -> Vec<String> {
        self.sql(statement, "opml")
    }

    fn sql(&self, statement: &str, database: &str) -> Vec<String> {
        let host = format!("--host={}", self.0.path().display());
        let more = ["--username=opml", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "-v"];
        let mut psql = Command::new(program("psql"));
        psql.args(more).args(["ON_ERROR_STOP=1", &host, "--command", statement, database]);
        let said = psql.output().expect("psql");
        assert!(said.status.success(), "{statement}: {}", text(&said));
        String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect()
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Runs one of PostgreSQL's programs on the cluster.
    fn run(&self, name: &str, args: &[&str]) -> Output {
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program(name));
            command
        } else {
            Command::new(program(name))
        };
        command.arg("--pgdata").arg(self.data()).args(args).current_dir(self.0.path());
        command.output().expect("it starts")
    }

    fn must(&self, name: &str, args: &[&str]) {
        let said = self.run(name, args);
        let log = std::fs::read_to_string(self.data().join("log")).unwrap_or_default();
        assert!(said.status.success(), "{name}: {}{log}", text(&said));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run("pg_ctl", &["stop", "--mode=immediate", "--silent"]);
    }
}

const INSTALL: &str = "apt-get install postgresql";

fn text(said: &Output) -> String {
    String::from_utf8_lossy(&[&said.stdout[..], &said.stderr].concat()).into_owned()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0)
}

/// Where a program of PostgreSQL is. Debian puts most of them into a folder of their version.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin").join(name)).collect();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&paths).map(|folder| folder.join(name)));
    found.retain(|path| Path::exists(path));
    found.first().cloned().unwrap_or_else(|| panic!("{name} is missing: {INSTALL}"))
}
