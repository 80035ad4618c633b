//! The messages of `opml dispute` about how a dispute ended.

use crate::common::{Folder, fixture};
use serde_json::Value;

/// A network and a digit, ready for disputes.
fn dispute(folder: &Folder, cheat: &str, more: &[&str]) -> Value {
    let digit = fixture("digits/3.npy");
    let args = [&["dispute", "net.opml", "--input", &digit, "--cheat", cheat][..], more].concat();
    folder.json(&args)["disputes"][0].clone()
}

#[test]
fn a_dispute_names_instruction_operator_element_and_both_values() {
    let folder = Folder::with_net("mnist-cnn");
    let digit = fixture("digits/3.npy");
    let schedule = folder.json(&["inspect", "net.opml"])["schedule"].clone();
    for cheat in ["weight", "step", "output", "silent", "challenger"] {
        for phases in ["1", "2"] {
            let played = dispute(&folder, cheat, &["--phases", phases]);
            let step = &played["disputed_step"];
            let story = played["story"].as_str().expect("a story");
            // With one phase, lies about the end lead to the `ecall` after the last big step.
            let last = phases == "1" && !["weight", "step"].contains(&cheat);
            assert_eq!(step["big_step"].is_null(), last, "{played:#}");
            let big_step = step["big_step"].as_u64().map_or(&Value::Null, |index| &schedule[index as usize]);
            assert_eq!(
                (&step["operator"], &step["node"]),
                (&big_step["operator"], &big_step["node"]),
                "{played:#}"
            );
            // With one phase, steps are those of the whole run, as in a trace.
            if phases == "1" {
                let at = step["step"].to_string();
                let row = &folder.json(&["trace", "net.opml", "--input", &digit, "--at", &at])["steps"][0];
                assert_eq!((&row["pc"], &row["place"]), (&step["pc"], &step["place"]), "{played:#}");
                assert_eq!(row["instruction"], step["instruction"], "{played:#}");
            }
            let difference = &step["difference"];
            assert_ne!(difference["claimed"], difference["right"], "{played:#}");
            // The lies are about the last weight, the middle of the schedule, and the output.
            let tensor = match (cheat, phases) {
                ("weight", _) => "fc.bias",
                ("step", "1") => "relu1.out",
                ("step", _) => "pool2.out",
                _ => "probabilities",
            };
            assert_eq!(difference["tensor"], tensor, "{cheat} {phases}: {played:#}");
            let facts =
                [&step["instruction"], &difference["what"], &difference["claimed"], &step["operator"]];
            for fact in &facts[..if last { 3 } else { 4 }] {
                assert!(story.contains(fact.as_str().expect("text")), "{fact} is not in {story}");
            }
            let liar = if cheat == "challenger" { "the challenger" } else { "the asserter" };
            assert!(story.contains(&format!("{liar} claims")), "{story}");
            let timeout = story.contains("no step was executed");
            assert_eq!(timeout, played["ending"] == "timeout", "{story}");
            assert_eq!(story.contains("did not answer in time"), cheat == "silent", "{story}");
            // An executed step is the disputed one. Otherwise it is in the remaining part.
            let left = &played["narrowed_to"];
            if left["unit"] == "steps" {
                let bounds = [&left["from"], &step["step"], &left["to"]]
                    .map(|number| number.as_u64().expect("a number"));
                assert!(bounds[0] <= bounds[1] && bounds[1] < bounds[2], "{played:#}");
                assert!(timeout || bounds[0] + 1 == bounds[2], "{played:#}");
            }
        }
    }
}

#[test]
fn the_right_value_is_the_one_of_an_honest_run() {
    let folder = Folder::with_net("mnist-cnn");
    let digit = fixture("digits/3.npy");
    folder.json(&["run", "net.opml", "--input", &digit]);
    let output = crate::common::numbers(&folder.read("probabilities.npy"));
    let difference = dispute(&folder, "output", &[])["disputed_step"]["difference"].clone();
    let element = difference["element"].as_u64().expect("an element") as usize;
    assert_eq!(difference["right"], format!("{:?}", output[element]), "{difference}");
    assert_eq!(difference["what"], format!("probabilities[0, {element}]"));
}

#[test]
fn moves_are_told_one_a_line_in_80_columns() {
    let folder = Folder::with_net("mnist-cnn");
    let digit = fixture("digits/3.npy");
    for cheat in ["weight", "output", "silent", "challenger"] {
        let args = ["dispute", "net.opml", "--input", &digit, "--cheat", cheat, "--svg", "dispute.svg"];
        let text = folder.text(&args);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let played = dispute(&folder, cheat, &[]);
        let moves = played["moves"].as_array().expect("moves");
        for (act, line) in moves.iter().zip(text.lines()) {
            for field in ["who", "move"] {
                assert!(line.contains(act[field].as_str().expect("text")), "{act} is not in {line}");
            }
        }
        // The rounds narrow the disputed part, each to a part of the one before.
        for pair in played["rounds"].as_array().expect("rounds").windows(2) {
            let (picked, next) = (&pair[0]["picked"], &pair[1]["about"]);
            assert!(
                picked == next || pair[1]["move"] == "enter" && picked["from"] == next["big_step"],
                "{pair:#?}"
            );
        }
        let svg = String::from_utf8(folder.read("dispute.svg")).expect("text");
        let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
        let words: Vec<_> =
            document.descendants().filter(|node| node.is_text()).filter_map(|node| node.text()).collect();
        let words = words.join("\n");
        let difference = &played["disputed_step"]["difference"];
        for fact in ["what", "claimed", "right"] {
            assert!(words.contains(difference[fact].as_str().expect("text")), "{fact} is not in {words}");
        }
        assert_eq!(words.contains("no step was executed"), played["ending"] == "timeout", "{words}");
    }
    let several = ["dispute", "net.opml", "--input", &digit, "--arity", "2,4", "--svg", "dispute.svg"];
    folder.fails(&several).says(&["--svg", "--arity"]);
}
