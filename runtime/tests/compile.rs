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

#[test]
fn one_run_is_many_and_its_state_is_one_region() {
    let folder = Folder::new();
    let (model, input) =
        (fixture("operators/tanh/model.onnx"), fixture("operators/tanh/test_data_set_0/input_0.pb"));
    let of_x = format!("x={input}");
    folder.text(&["compile", &model, "-o", "once.opml"]);
    // Both ways to repeat: written out, and as a period of the schedule.
    for times in [3u64, 20] {
        let name = format!("{times}.opml");
        folder.text(&["compile", &model, "-o", &name, "--state", "x=y", "--repeat", &times.to_string()]);
        let image = folder.json(&["inspect", &name]);
        assert_eq!(image["interface"]["inputs"], image["interface"]["outputs"], "{times}");
        assert_eq!(image["period"]["most"].as_u64(), (times >= 16).then_some(times));
        for backend in ["native", "jit", "interpreter"] {
            folder.text(&["run", &name, "--input", &of_x, "-o", backend, "--backend", backend]);
        }
        assert_eq!(folder.read("native/y.npy"), folder.read("interpreter/y.npy"), "{times}");
        assert_eq!(folder.read("native/y.npy"), folder.read("jit/y.npy"), "{times}");
        for time in 0..times {
            let given = if time == 0 { of_x.clone() } else { "x=next/y.npy".to_owned() };
            folder.text(&["run", "once.opml", "--input", &given, "-o", "next"]);
        }
        assert_eq!(folder.read("native/y.npy"), folder.read("next/y.npy"), "{times}");
    }
    let program = folder.text(&["inspect", "20.opml", "--program"]);
    assert!(program.contains("define tanh(") && program.contains("define copy("), "{program}");
    let complaint = folder.fails(&["compile", &model, "-o", "no.opml", "--state", "z=y"]);
    complaint.says(&["the model has no input `z`; inputs: x"]);
}
