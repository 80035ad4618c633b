//! ONNX's own tests: the node, simple, pytorch-converted and pytorch-operator cases of the pinned `onnx`
//! wheel, which `tests/fetch-wheels.sh` makes.
//!
//! Each case is compiled and runs natively, as translated code and in the interpreter. All must give the same
//! bits, and the stored output within the tolerance of ONNX's own runner.
//!
//! `refused.txt` lists the cases that the compiler refuses, with reasons. A case that is not listed must
//! pass, and one that is listed must not. After work on operators, one command writes the list and
//! `docs/operators.md` again:
//!
//! ```text
//! OPML_BLESS=1 cargo nextest run -p opml-tests --no-default-features --test conformance
//! ```
//!
//! `OPML_CASE=test_gemm` runs only the cases whose names begin so, and `OPML_OPERATOR=Gemm` those of one
//! operator:
//!
//! ```text
//! OPML_OPERATOR=Gemm cargo nextest run -p opml-tests --no-default-features --test conformance --no-capture
//! ```
//!
//! A wrong result or a panic is never listed. Where a result has to differ from the stored one,
//! `deviations.txt` says why.

mod case;
mod compare;
mod list;
mod page;
mod run;

use std::time::Instant;

use case::Case;
use list::List;
use run::Outcome;

/// The number of tests that share the node cases.
const PARTS: usize = 8;

/// Runs every `parts`-th case of these kinds, and compares with the lists.
fn check(kinds: &[&str], part: usize, parts: usize) {
    let cases: Vec<Case> = case::all().into_iter().filter(|case| kinds.contains(&&*case.kind)).collect();
    let mine = cases.iter().skip(part).step_by(parts).filter(|case| case.is_wanted());
    let outcome = |case| {
        let start = Instant::now();
        let outcome = run::run(case);
        if case::are_chosen() {
            println!("{} ({:.2} s): {outcome}", case.name, start.elapsed().as_secs_f64());
        }
        (case, outcome)
    };
    let outcomes: Vec<(&Case, Outcome)> = mine.map(outcome).collect();
    let bless = std::env::var_os("OPML_BLESS").is_some();
    let complaints = if bless { list::bless(&outcomes) } else { List::read().complaints(&outcomes) };
    assert!(complaints.is_empty(), "{complaints}");
}

macro_rules! parts {
    ($($name:ident = $part:literal;)+) => {
        $(#[test]
        fn $name() {
            check(&["node"], $part, PARTS);
        })+
    };
}

parts! {
    nodes_0 = 0;
    nodes_1 = 1;
    nodes_2 = 2;
    nodes_3 = 3;
    nodes_4 = 4;
    nodes_5 = 5;
    nodes_6 = 6;
    nodes_7 = 7;
}

#[test]
fn models_from_pytorch() {
    check(&["pytorch-converted", "pytorch-operator"], 0, 1);
}

#[test]
fn simple_models() {
    check(&["simple"], 0, 1);
}

#[test]
fn the_lists_name_cases() {
    let cases = case::all();
    let unknown: Vec<String> =
        List::read().names().filter(|name| cases.iter().all(|case| case.name != *name)).collect();
    assert!(unknown.is_empty(), "no such cases: {unknown:?}");
}

#[test]
fn the_page_of_operators_is_what_the_lists_say() {
    // The other tests write it when they have written the lists.
    if std::env::var_os("OPML_BLESS").is_none() {
        page::check();
    }
}
