//! The lists of cases that don't pass: `refused.txt`, which is generated, and `deviations.txt`, which is not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::PathBuf;

use opml_tests::tools::in_repository;

use crate::case::Case;
use crate::page;
use crate::run::Outcome;

const BLESS: &str = "OPML_BLESS=1 cargo nextest run -p opml-tests --no-default-features --test conformance";

/// The cases that don't pass, with reasons.
pub struct List {
    pub refused: BTreeMap<String, String>,
    pub deviations: BTreeMap<String, String>,
}

fn path(name: &str) -> PathBuf {
    in_repository("tests/conformance").join(name)
}

/// Lines of a name and a reason, apart from comments.
fn parse(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let entry = |line: &str| {
        let (name, reason) = line.split_once(' ').unwrap_or((line, ""));
        (name.to_owned(), reason.trim().to_owned())
    };
    lines.filter(|line| !line.is_empty()).map(entry).collect()
}

impl List {
    pub fn read() -> Self {
        let file = |name| parse(&fs::read_to_string(path(name)).unwrap_or_default());
        Self { refused: file("refused.txt"), deviations: file("deviations.txt") }
    }

    /// All cases that are listed.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.refused.keys().chain(self.deviations.keys()).cloned()
    }

    /// What is not as the lists say.
    pub fn complaints(&self, outcomes: &[(&Case, Outcome)]) -> String {
        let mut text = self.wrong(outcomes);
        let passing: Vec<&str> = outcomes
            .iter()
            .filter(|(case, outcome)| *outcome == Outcome::Passed && self.refused.contains_key(&case.name))
            .map(|(case, _)| case.name.as_str())
            .collect();
        for (case, outcome) in outcomes {
            if let Outcome::Refused(reason) = outcome
                && !self.refused.contains_key(&case.name)
            {
                text += &format!("{} passed and is refused now: {reason}\n", case.name);
            }
        }
        if !passing.is_empty() {
            text += &format!("{} more cases pass, which is good: {BLESS}\n", passing.len());
            text += &format!("they are: {}\n", passing.join(" "));
        }
        text
    }

    /// The wrong results, and the deviations that are none any more.
    fn wrong(&self, outcomes: &[(&Case, Outcome)]) -> String {
        let mut text = String::new();
        for (case, outcome) in outcomes {
            match (outcome, self.deviations.contains_key(&case.name)) {
                (Outcome::Wrong(what), _) | (Outcome::Different(what), false) => {
                    text += &format!("{}: {what}\n", case.name);
                }
                (Outcome::Passed, true) => {
                    text += &format!("{} passes: take it out of deviations.txt\n", case.name);
                }
                _ => {}
            }
        }
        text
    }
}

/// Writes the list of refusals again, as far as these cases decide it, and the page of operators. Returns
/// complaints about what can't be listed.
pub fn bless(outcomes: &[(&Case, Outcome)]) -> String {
    let mut options = File::options();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path("refused.txt"))
        .expect("a list");
    // Other tests write the same list.
    file.lock().expect("a lock");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("text");
    let mut refused = parse(&text);
    for (case, outcome) in outcomes {
        match outcome {
            Outcome::Refused(reason) => refused.insert(case.name.clone(), reason.clone()),
            _ => refused.remove(&case.name),
        };
    }
    let mut text =
        "# ONNX's test cases that the compiler refuses, and why. Generated: see main.rs.\n".to_owned();
    text.extend(refused.iter().map(|(name, reason)| format!("{name} {reason}\n")));
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(text.as_bytes()))
        .expect("a list");
    page::check();
    List::read().wrong(outcomes)
}
