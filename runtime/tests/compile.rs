//! The messages of `opml compile` about models that it accepts.

use super::common::{Folder, fixture};

/// An input and an output declared without elements.
const EMPTY: &str = "operators/reshape_empty_zero_copies/model.onnx";

#[test]
fn warnings_are_on_standard_error_and_in_the_json() {
    let folder = Folder::new();
    let model = fixture(EMPTY);
    let args = ["compile", &model, "-o", "net.opml"];
    let output = folder.output(&args);
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(stderr.lines().all(|line| line.starts_with("warning: ")), "{stderr}");
    assert!(
        stderr.contains("and has no elements; if its 0 stands for an open dimension, add --shape"),
        "{stderr}"
    );

    let json = folder.json(&args);
    let warnings =
        json["warnings"].as_array().expect("a list").iter().map(|text| text.as_str().expect("text"));
    assert!(warnings.eq(stderr.lines().map(|line| &line["warning: ".len()..])), "{json}");

    let net = fixture("mnist-mlp/model.onnx");
    assert_eq!(folder.json(&["compile", &net, "-o", "net.opml"])["warnings"], serde_json::json!([]));
}

#[test]
fn the_program_is_written_as_an_elf_file_on_request() {
    let folder = Folder::new();
    let model = fixture("mnist-mlp/model.onnx");
    let image = folder.json(&["compile", &model, "-o", "net.opml", "--elf", "net.elf"]);
    assert_eq!(
        (&image["elf"], folder.files()),
        (&"net.elf".into(), vec!["net.elf".into(), "net.opml".into()])
    );
    let read = folder.json(&["image", "from-elf", "net.elf", "-o", "again.opml"]);
    // The start that is added comes after the code, which is above memory.
    let memory = image["memory_bits"].as_u64().expect("a number");
    let entry = (1 << memory) + image["code_bytes"].as_u64().expect("a number");
    assert_eq!((&read["machine"], read["entry"].as_u64()), (&image["machine"], Some(entry)));
}
