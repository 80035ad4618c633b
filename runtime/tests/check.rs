//! `opml check` says beforehand what `opml compile` will say.

use super::common::{Folder, fixture};

#[test]
fn a_model_that_can_be_compiled_comes_with_its_costs() {
    let folder = Folder::new();
    let model = fixture("mnist-cnn/model.onnx");
    let checked = folder.json(&["check", &model]);
    assert_eq!((&checked["compiles"], &checked["problems"]), (&true.into(), &serde_json::json!([])));
    let compiled = folder.json(&["compile", &model, "-o", "net.opml"]);
    let costs = &checked["costs"];
    assert_eq!(costs["big_steps"], compiled["big_steps"]);
    assert_eq!(costs["most_steps"], compiled["most_steps"]);
    let inspected = folder.json(&["inspect", "net.opml"]);
    assert_eq!(costs["steps"], inspected["interface"]["bound"]);
    assert!(costs["native_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    assert!(
        costs["dispute"]["transactions"].as_u64().is_some_and(|moves| (3..20).contains(&moves)),
        "{costs}"
    );
    let nodes = |name: &str| {
        let operators = checked["operators"].as_array().expect("a list");
        operators
            .iter()
            .find(|operator| operator["operator"] == name)
            .map(|operator| operator["nodes"].clone())
    };
    assert_eq!((nodes("Conv"), nodes("LSTM")), (Some(2.into()), None));
    assert_eq!(folder.files(), ["net.opml"]);

    let text = folder.text(&["check", &model]);
    assert!(
        text.contains("model.onnx: can be compiled\n") && text.contains("\ndispute      at most "),
        "{text}"
    );
}

#[test]
fn a_model_that_cannot_be_compiled_comes_with_all_problems() {
    let folder = Folder::new();
    let model = fixture("hostile/if_branch_unsupported.onnx");
    for json in [false, true] {
        let output = folder.output(&[&["check", &model][..], if json { &["--json"] } else { &[] }].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stderr.is_empty());
        let text = String::from_utf8(output.stdout).expect("text");
        for word in ["Frobnicate", "Quux", "the_node"] {
            assert!(text.contains(word), "{text}");
        }
        if json {
            let report: serde_json::Value = serde_json::from_str(&text).expect("an object");
            assert_eq!((&report["compiles"], &report["costs"]), (&false.into(), &serde_json::Value::Null));
        }
    }
}

#[test]
fn a_name_closes_an_open_dimension() {
    let folder = Folder::new();
    let model = fixture("operators/graph_dynamic_batch/model.onnx");
    let complaint = folder.fails(&["compile", &model, "-o", "net.opml"]);
    let (_, advice) = complaint.error.split_once("--dim ").expect("advice");
    let (dim, _) = advice.split_once(" for all inputs").expect("a way for all inputs");
    folder.text(&["compile", &model, "-o", "net.opml", "--dim", dim]);
    folder.text(&["check", &model, "--dim", dim]);
    folder
        .fails(&["compile", &model, "-o", "net.opml", "--dim", "nothing=3"])
        .says(&["--dim nothing", "open dimensions:"]);
    folder.misused(&["check", &model, "--dim", dim, "--dim", dim]).says(&["--dim is given twice"]);
    folder.fails(&["check", "nothing.onnx"]).says(&["nothing.onnx"]);
}
