//! Every bad model of fixtures/hostile is refused with the words that its case lists.

use std::path::Path;

use compiler::Options;

#[test]
fn every_bad_model_is_refused_with_a_message_that_helps() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/hostile");
    let cases: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() > 100, "{} cases", cases.len());
    let mut failures = Vec::new();
    for case in cases {
        let file = case["file"].as_str().unwrap();
        match compiler::import(&folder.join(file), &Options::default()) {
            Ok(_) => failures.push(format!("{file}: accepted, although {}", case["wrong"])),
            Err(error) => {
                let message = error.to_string();
                let missing = case["says"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
                let missing: Vec<&str> = missing.filter(|word| !message.contains(word)).collect();
                if !missing.is_empty() {
                    failures.push(format!("{file}: `{message}` does not say {missing:?}"));
                }
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases fail:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}
