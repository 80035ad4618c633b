//! Images whose schedule repeats a period, in every command that runs one.

use crate::common::{Folder, npy, numbers};
use crate::model::{SIZE, counted, counter, inputs};
use serde_json::{Value, json};

/// How often the period is repeated.
const TIMES: u64 = 7;
/// Big steps before the period, and in it.
const PROLOGUE: u64 = 2;
const PERIOD: u64 = 8;

fn first() -> Vec<f32> {
    (0..SIZE).map(|x| x as f32 / 4.0).collect()
}

/// A folder with the image of a model that counts to a number, and its inputs.
fn folder(end: i32) -> Folder {
    let folder = Folder::new();
    let image = image::Image::new(counter(1, TIMES).contents()).expect("an image");
    image.write(&folder.path("net.opml")).expect("room");
    let [end, first] = &inputs(&first(), end)[..] else { panic!("other inputs") };
    folder.write("end.npy", npy("<i4", "(1,)", end));
    folder.write("first.npy", npy("<f4", &format!("({SIZE},)"), first));
    folder
}

const INPUTS: [&str; 5] = ["net.opml", "--input", "t0=end.npy", "--input", "t1=first.npy"];

fn with<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[command], &INPUTS[..], more].concat()
}

#[test]
fn every_backend_repeats_the_period() {
    for end in [1, 4, 100] {
        let folder = folder(end);
        for backend in ["native", "jit", "interpreter"] {
            folder.json(&with("run", &["--backend", backend, "-o", backend]));
            assert_eq!(numbers(&folder.read(&format!("{backend}/t2.npy"))), counted(&first(), end, TIMES));
        }
        let text = folder.text(&with("run", &[]));
        assert!(text.contains("natively"), "{text}");
    }
}

#[test]
fn inspect_trace_and_profile_know_the_period() {
    let folder = folder(100);
    let inspected = folder.json(&["inspect", "net.opml"]);
    let period = json!({ "start": PROLOGUE, "count": PERIOD, "least": 1, "most": TIMES });
    assert_eq!(inspected["period"], period);
    assert!(folder.text(&["inspect", "net.opml"]).contains("big steps 2 to 9, 1 to 7 times"));

    let profile = folder.json(&with("profile", &[]));
    let rows = profile["big_steps"].as_array().expect("rows");
    let all: u64 = rows.iter().map(|row| row["steps"].as_u64().expect("a number")).sum();
    // All but the first instruction, which sets s0.
    assert_eq!(all + 1, profile["steps"].as_u64().expect("a number"));
    // The period and the epilogue copy the same state; but for the exit, one does it as often.
    let [again, once] = [7, 10].map(|row: usize| rows[row]["steps"].as_u64().expect("a number"));
    assert!((again / TIMES).abs_diff(once) < 20, "{rows:?}");

    let every = (all / 100).to_string();
    let steps = folder.json(&with("trace", &["--every", &every]))["steps"].clone();
    let steps = steps.as_array().expect("rows");
    let found: Vec<u64> = steps.iter().filter_map(|row| row["big_step"].as_u64()).collect();
    // It goes back as often as the period begins again.
    assert_eq!(found.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64, TIMES - 1, "{found:?}");
}

#[test]
fn disputes_lead_to_a_step_of_a_repetition() {
    let folder = folder(5);
    let schedule = folder.json(&["inspect", "net.opml"])["schedule"].clone();
    for cheat in ["step", "output", "challenger"] {
        for phases in ["1", "2"] {
            let args = with("dispute", &["--cheat", cheat, "--phases", phases, "--svg", "a.svg"]);
            let played = folder.json(&args)["disputes"][0].clone();
            assert_eq!(played["winner"], if cheat == "challenger" { "asserter" } else { "challenger" });
            let step = &played["disputed_step"];
            if phases == "1" {
                continue;
            }
            let big_step = step["big_step"].as_u64().expect("a big step");
            let leaf = match big_step.checked_sub(PROLOGUE) {
                Some(behind) if behind < PERIOD * TIMES => PROLOGUE + behind % PERIOD,
                Some(behind) => PROLOGUE + PERIOD + (behind - PERIOD * TIMES),
                None => big_step,
            };
            let expected: &Value = &schedule[leaf as usize];
            assert_eq!((&step["operator"], &step["node"]), (&expected["operator"], &expected["node"]));
            if cheat == "step" {
                assert!((PROLOGUE + PERIOD..PROLOGUE + PERIOD * TIMES).contains(&big_step), "{step}");
            }
            let picture = String::from_utf8(folder.read("a.svg")).expect("text");
            assert!(picture.contains(expected["node"].as_str().expect("a node")), "{picture}");
        }
    }
}

#[test]
fn a_run_that_would_take_too_long_is_refused_before_it_begins() {
    let folder = Folder::new();
    let image = image::Image::new(counter(1, 1 << 36).contents()).expect("an image");
    image.write(&folder.path("net.opml")).expect("room");
    let other = self::folder(5);
    for name in ["first.npy", "end.npy"] {
        folder.write(name, other.read(name));
    }
    for command in [with("run", &["--backend", "native"]), with("dispute", &["--cheat", "output"])] {
        folder.fails(&command).says(&["--max-steps"]);
    }
}
