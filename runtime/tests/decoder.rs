//! A small decoder as one program that writes many tokens, as docs/language-models.md does it.

use crate::common::{Folder, fixture, npy};
use serde_json::Value;

/// How many tokens there is room for.
const TOKENS: usize = 16;

/// Every input, and the output that is its next value.
const STATES: [[&str; 2]; 7] = [
    ["tokens", "next_token"],
    ["positions", "next_position"],
    ["text", "next_text"],
    ["past_k.0", "present_k.0"],
    ["past_v.0", "present_v.0"],
    ["past_k.1", "present_k.1"],
    ["past_v.1", "present_v.1"],
];

/// A folder with the images `all.opml`, for all tokens, and `one.opml`, for one; and with the first values of
/// all states.
fn folder() -> Folder {
    let folder = Folder::new();
    let model = fixture("decoder/model.onnx");
    let states: Vec<String> = STATES.iter().map(|[old, new]| format!("{old}={new}")).collect();
    let states: Vec<&str> = states.iter().flat_map(|state| ["--state", state]).collect();
    let times = TOKENS.to_string();
    folder.text(&[&["compile", &model, "-o", "all.opml", "--repeat", &times], &states[..]].concat());
    folder.text(&[&["compile", &model, "-o", "one.opml"], &states[..]].concat());
    folder.write("tokens.npy", npy("<i8", "(1, 1)", &1i64.to_le_bytes()));
    folder.write("positions.npy", npy("<i8", "(1, 1)", &[0; 8]));
    folder.write("text.npy", npy("<i8", &format!("(1, {TOKENS})"), &[0; 8 * TOKENS]));
    for [cache, _] in &STATES[3..] {
        folder.write(
            &format!("{cache}.npy"),
            npy("<f4", &format!("(1, 1, {TOKENS}, 8)"), &[0; 4 * TOKENS * 8]),
        );
    }
    folder
}

/// A command on an image and the states that are in files of their names.
fn with<'a>(command: &'a str, image: &'a str, inputs: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let inputs = inputs.iter().flat_map(|input| ["--input", input]);
    [command, image].into_iter().chain(inputs).chain(more.iter().copied()).collect()
}

fn inputs() -> Vec<String> {
    STATES.iter().map(|[name, _]| format!("{name}={name}.npy")).collect()
}

/// The tokens of a text.
fn tokens(file: &[u8]) -> Vec<i64> {
    let bytes = &file[file.len() - 8 * TOKENS..];
    bytes.as_chunks().0.iter().map(|&token| i64::from_le_bytes(token)).collect()
}

#[test]
fn one_run_writes_what_many_runs_write() {
    let (folder, inputs) = (folder(), inputs());
    let expected: Vec<i64> =
        serde_json::from_slice(&std::fs::read(fixture("decoder/text.json")).expect("a file"))
            .expect("tokens");
    for backend in ["native", "jit", "interpreter"] {
        folder.text(&with("run", "all.opml", &inputs, &["--backend", backend, "-o", backend]));
        assert_eq!(tokens(&folder.read(&format!("{backend}/next_text.npy"))), expected, "{backend}");
    }
    for _ in 0..TOKENS {
        folder.text(&with("run", "one.opml", &inputs, &["-o", "step"]));
        for [old, new] in STATES {
            folder.write(&format!("{old}.npy"), folder.read(&format!("step/{new}.npy")));
        }
    }
    for name in STATES.iter().map(|[_, new]| *new).chain(["logits"]) {
        for backend in ["native", "jit", "interpreter"] {
            let found = folder.read(&format!("{backend}/{name}.npy"));
            assert!(found == folder.read(&format!("step/{name}.npy")), "{name} differs on {backend}");
        }
    }
}

#[test]
fn a_lie_about_a_token_is_disputed_to_its_step() {
    let (folder, inputs) = (folder(), inputs());
    let period = folder.json(&["inspect", "all.opml"])["period"].clone();
    let number = |value: &Value| value.as_u64().expect("a number");
    let (start, count) = (number(&period["start"]), number(&period["count"]));
    let played =
        folder.json(&with("dispute", "all.opml", &inputs, &["--cheat", "step"]))["disputes"][0].clone();
    assert_eq!(played["winner"], "challenger");
    assert!(number(&played["transactions"]) <= 12, "{played}");
    // The lie is in the middle of the run: about a token, and neither the first one nor the last.
    let step = &played["disputed_step"];
    let token = (number(&step["big_step"]) - start) / count;
    assert!((1..TOKENS as u64 - 1).contains(&token), "{step}");
    assert!(step["instruction"].is_string() && step["difference"]["tensor"].is_string(), "{step}");
}
