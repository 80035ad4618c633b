//! Whatever input the `opml` command is given, it refuses what it can't use with an exit status and a reason,
//! and leaves no trace on disk.

use crate::common::{Folder, fixture, npy, program};
use image::{BigStep, Contents, Image, Interface, Region, Role, Symbol, Tensor};
use isa::Extensions;
use serde_json::Value;
use std::path::Path;
use step::MachineProfile;
use tensor::DType;

/// Reports all complaints of a table of cases at once.
fn report(failures: &[String], cases: usize) {
    assert!(failures.is_empty(), "{} of {cases} cases fail:\n{}", failures.len(), failures.join("\n"));
}

/// The cases of a folder of bad files: the file, what is wrong with it, and words that the message should
/// have.
fn cases(folder: &str) -> Vec<(String, String, Vec<String>)> {
    let text = std::fs::read(fixture(&format!("{folder}/cases.json"))).expect("the cases");
    let cases: Value = serde_json::from_slice(&text).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let case = |case: &Value| {
        let says = case["says"].as_array().expect("words").iter().map(text).collect();
        (fixture(&format!("{folder}/{}", text(&case["file"]))), text(&case["wrong"]), says)
    };
    cases.as_array().expect("a list").iter().map(case).collect()
}

#[test]
fn bad_models() {
    let folder = Folder::new();
    let cases = cases("hostile");
    assert!(cases.len() > 100, "{} cases", cases.len());
    let mut failures = Vec::new();
    for (file, wrong, says) in &cases {
        let says: Vec<&str> = says.iter().map(String::as_str).collect();
        match folder
            .try_fails(&["compile", file, "-o", "net.opml"])
            .map(|complaint| (complaint.missing(&says).join(", "), complaint))
        {
            Ok((missing, _)) if missing.is_empty() => {}
            Ok((missing, complaint)) => {
                failures.push(format!("{file} ({wrong}): {} lacks {missing}", complaint.error))
            }
            Err(failure) => failures.push(format!("{file} ({wrong}): {failure}")),
        }
        assert_eq!(folder.files(), [""; 0], "{file} leaves files behind");
    }
    report(&failures, cases.len());
}

#[test]
fn bad_inputs() {
    let folder = Folder::with_net("mnist-mlp");
    let cases = cases("hostile/inputs");
    assert!(cases.len() > 20, "{} cases", cases.len());
    let mut failures = Vec::new();
    for (file, wrong, says) in &cases {
        // The machine's own name of the type: f64 says as much as double.
        let says: Vec<&str> = says.iter().map(|word| if word == "double" { "f64" } else { word }).collect();
        let input = format!("input={file}");
        for args in [
            &["run", "net.opml", "--input", &input, "-o", "out"][..],
            &["trace", "net.opml", "--input", &input, "--at", "0"],
            &["prove", "net.opml", "--input", &input, "--step", "0", "-o", "out"],
        ] {
            match folder.try_fails(args) {
                Ok(complaint) if !complaint.error.contains(file) => {
                    failures.push(format!("{} names no file", complaint.error))
                }
                Ok(complaint) if complaint.missing(&says).is_empty() => {}
                Ok(complaint) => failures.push(format!(
                    "{} ({wrong}) lacks {:?}",
                    complaint.error,
                    complaint.missing(&says)
                )),
                Err(failure) => failures.push(format!("{wrong}: {failure}")),
            }
            assert_eq!(folder.files(), ["net.opml"], "{file} leaves files behind");
        }
    }
    report(&failures, cases.len());
}

#[test]
fn inputs_that_do_not_fit_the_image() {
    let folder = Folder::with_net("mnist-mlp");
    let digit = fixture("digits/7.flat.npy");
    folder.write("short.npy", npy("<f4", "(1, 10)", &[0; 40]));
    folder.write("column.npy", npy("<f4", "(784, 1)", &[0; 3136]));
    folder.write("truth.npy", npy("|b1", "(1, 784)", &[0; 784]));
    let named = |name: &str| format!("{name}={digit}");
    let (right, wrong) = (named("input"), named("image"));
    let wants = "input: f32 [1, 784]";
    for (inputs, says) in [
        (&[][..], &["input 'input' is missing", "--input input=FILE.npy", wants][..]),
        (&["inptu=x.npy"], &["no input 'inptu'", "did you mean 'input'?", wants]),
        (&[&*wrong], &["no input 'image'", wants]),
        (&[&right, &right], &["input 'input' is given twice"]),
        (&[&right, &digit], &["input 'input' is given twice"]),
        (&["input=nothing.npy"], &["cannot read nothing.npy", "No such file"]),
        (&["input=nothing.pb"], &["nothing.pb", "No such file"]),
        (&["input=."], &["cannot read ."]),
        (&["input="], &["NAME=FILE"]),
        (&[""], &["NAME=FILE"]),
        (&["short.npy"], &["short.npy", "f32 [1, 10]", wants]),
        (&["column.npy"], &["column.npy", "f32 [784, 1]", wants]),
        (&["truth.npy"], &["truth.npy", "bool [1, 784]", wants]),
        (&["net.opml"], &["net.opml", "not an .npy file, but an opml image"]),
    ] {
        let mut args = vec!["run", "net.opml", "-o", "out"];
        inputs.iter().for_each(|input| args.extend(["--input", input]));
        folder.fails(&args).says(says);
        assert!(!folder.path("out").exists());
    }
    folder.text(&["image", "from-elf", &fixture("programs/crc32.elf"), "-o", "crc.opml"]);
    folder.fails(&["run", "crc.opml", "--input", &right]).says(&["no input 'input'", "no inputs"]);
}

#[test]
fn shapes_that_are_missing_or_wrong() {
    let folder = Folder::new();
    let (open, closed) =
        (fixture("operators/graph_dynamic_batch/model.onnx"), fixture("mnist-mlp/model.onnx"));
    for (model, shapes, says) in [
        (&open, &[][..], &["batch", "add --dim batch=1", "or --shape x=1,4"][..]),
        (&open, &["nothing=1,2"], &["nothing"]),
        (&open, &["x=1,4", "x=2,4"], &["--shape is given twice", "x"]),
        (&open, &["x=2,99"], &["x", "99"]),
        (&open, &["x=2"], &["--shape x=2 contradicts the declared shape"]),
        (&open, &["x=18446744073709551615,4"], &["18446744073709551615"]),
        (&open, &["x"], &["NAME=DIM,DIM"]),
        (&open, &["x=1,two"], &["'two' is not a dimension"]),
        (&open, &["x=-1,4"], &["'-1' is not a dimension"]),
        (&open, &["x=99999999999999999999,4"], &["99999999999999999999"]),
        (&closed, &["input=1,783"], &["input", "783"]),
    ] {
        let mut args = vec!["compile", model, "-o", "net.opml"];
        shapes.iter().for_each(|shape| args.extend(["--shape", shape]));
        folder.fails(&args).says(says);
        assert_eq!(folder.files(), [""; 0]);
    }
}

#[test]
fn unsupported_operators_are_named_with_what_is_supported_instead() {
    let folder = Folder::new();
    for (model, says) in [
        ("operator_unsupported", ["`the_node`", "ImageDecoder", "docs/operators.md lists what is supported"]),
        (
            "operator_of_unknown_domain",
            ["`the_node`", "com.example", "docs/operators.md lists what is supported"],
        ),
        (
            "opset_too_old",
            ["`fc` (Gemm)", "has shape [3]; expected [1, 3]", "unless attribute `broadcast` is 1"],
        ),
        ("attribute_training_mode", ["`the_node` (BatchNormalization)", "training_mode", "supported: 0"]),
    ] {
        folder.fails(&["compile", &fixture(&format!("hostile/{model}.onnx")), "-o", "net.opml"]).says(&says);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("folder")).expect("a folder");
    for file in ["nothing", "folder", "", "a\nb", &"long".repeat(100)] {
        for args in [
            &["compile", file, "-o", "out"][..],
            &["inspect", file],
            &["disasm", file],
            &["run", file],
            &["trace", file, "--at", "0"],
            &["prove", file, "--step", "0", "-o", "out"],
            &["verify", file],
            &["verifier", file, "-o", "out"],
            &["image", "from-elf", file, "-o", "out"],
        ] {
            folder.fails(args).says(&[file]);
            assert_eq!(folder.files(), ["folder"], "{args:?}");
        }
    }
}

/// Every command that reads an image, without writing anything.
const READERS: [&[&str]; 6] = [
    &["inspect", "bad.opml"],
    &["disasm", "bad.opml"],
    &["run", "bad.opml", "-o", "out"],
    &["trace", "bad.opml", "--at", "0"],
    &["prove", "bad.opml", "--step", "0", "-o", "out"],
    &["verifier", "bad.opml", "-o", "out"],
];

#[test]
#[cfg(unix)]
fn files_that_never_end() {
    let folder = Folder::with_net("mnist-mlp");
    let pipe = folder.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts").success());
    for endless in ["/dev/zero", "pipe"] {
        for args in [
            &["run", "net.opml", "--input", endless][..],
            &["run", endless],
            &["verify", endless],
            &["compile", endless, "-o", "out.opml"],
            &["status", "1", "--deployment", endless],
            &["account", "address", "--keystore", endless],
            &["serve", "net.opml", "--config", endless],
        ] {
            folder.fails(args).says(&[endless, "not a regular file"]);
        }
    }
}

#[test]
fn damaged_images() {
    let folder = Folder::with_net("mnist-mlp");
    let good = folder.read("net.opml");
    let check = |bytes: &[u8], says: &[&str]| {
        folder.write("bad.opml", bytes);
        for args in READERS {
            let complaint = folder.fails(args);
            complaint.says(&[says, &["bad.opml", "`opml compile`"]].concat());
        }
        assert_eq!(folder.files(), ["bad.opml", "net.opml"]);
    };
    // Truncated.
    for part in 0..16 {
        let length = good.len() * part / 16;
        check(&good[..length], &[&format!("the file has {length} bytes; its header says")]);
    }
    check(&[&good[..], &[0]].concat(), &["bytes; its header says"]);
    // Something else.
    check(&[b"OPMLIMG\0", &good[8..]].concat(), &["not an opml image"]);
    check(&[&good[..8], &[9], &good[9..]].concat(), &["image version 9"]);
    // A bit changed: in the metadata and its hash, in the code, in the weights, in the nodes over them.
    let inspected = folder.json(&["inspect", "net.opml"]);
    let size = |value: &serde_json::Value| value.as_u64().expect("a size") as usize;
    let (weights, code) = (size(&inspected["segments"][0]["bytes"]), size(&inspected["code_size"]));
    let metadata = 48 + u32::from_le_bytes(good[12..16].try_into().expect("a length")) as usize;
    let memory = (metadata + code).next_multiple_of(4096);
    for (from, to, says) in [
        (16, 48, "the image's metadata has the hash"),
        (48, metadata, "the image's metadata has the hash"),
        (metadata, metadata + code, "the image's code has the hash"),
        (metadata + code, memory, "the padding is not zero"),
        (memory, memory + weights, "the image's memory has the hash"),
        (memory + weights, good.len(), "is not the hash of what is below it"),
    ] {
        for at in [from, (from + to) / 2, to - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            check(&bad, &[says, "damaged"]);
        }
    }
}

#[test]
fn every_flipped_bit_of_an_image_is_noticed() {
    let folder = Folder::new();
    folder.text(&["image", "from-elf", &fixture("programs/crc32.elf"), "-o", "net.opml"]);
    let good = folder.read("net.opml");
    // Knuth's linear congruential generator: the same bits every time.
    let mut random = 2026u64;
    for _ in 0..100 {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let bit = (random >> 32) as usize % (8 * good.len());
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        folder.write("bad.opml", &bad);
        folder.fails(&["inspect", "bad.opml"]).says(&["bad.opml"]);
    }
}

#[test]
fn programs_that_are_none() {
    let folder = Folder::new();
    let good = std::fs::read(fixture("programs/crc32.elf")).expect("a program");
    let patched = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        bad
    };
    let host = std::fs::read(env!("CARGO_BIN_EXE_opml")).expect("our own program");
    let mut cases = vec![
        ("nothing", Vec::new()),
        ("text", b"#!/bin/sh\n".to_vec()),
        ("noise", (0..4096u32).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8).collect()),
        ("only the magic", good[..4].to_vec()),
        ("big-endian", patched(5, &[2])),
        ("32-bit", patched(4, &[1])),
        ("for another machine", patched(18, &[62, 0])),
        ("a shared object", patched(16, &[3, 0])),
        ("entry nowhere", patched(24, &[0xff; 8])),
        ("program headers nowhere", patched(32, &[0xff; 8])),
        ("65,535 program headers", patched(56, &[0xff; 2])),
        ("a program of this computer", host),
    ];
    cases.extend((1..16).map(|part| ("cut off", good[..good.len() * part / 16].to_vec())));
    let mut failures = Vec::new();
    for (name, bytes) in &cases {
        folder.write("bad.elf", bytes);
        match folder.try_fails(&["image", "from-elf", "bad.elf", "-o", "out.opml"]) {
            Ok(complaint) if complaint.missing(&["bad.elf", "-march=rv64imfd"]).is_empty() => {}
            other => failures.push(format!("{name}, {} of {} bytes: {other:?}", bytes.len(), good.len())),
        }
        let _ = std::fs::remove_file(folder.path("out.opml"));
    }
    report(&failures, cases.len());
    let good = fixture("programs/crc32.elf");
    for stack in ["18446744073709551615", "9223372036854775808", "-1", "much"] {
        folder.fails(&["image", "from-elf", &good, "-o", "out.opml", "--stack", stack]);
        assert_eq!(folder.files(), ["bad.elf"], "{stack}");
    }
}

#[test]
fn steps_beyond_the_end() {
    let folder = Folder::with_net("mnist-mlp");
    let input = fixture("digits/7.flat.npy");
    let fed = ["net.opml", "--input", &input];
    let last = folder.json(&[&["run", "--backend", "jit"], &fed[..]].concat())["steps"].to_string();
    let beyond = (last.parse::<u64>().expect("a number") + 1).to_string();
    let before = folder.files();
    for (args, says) in [
        (&["prove", "-o", "out", "--step", &beyond][..], &[&*beyond, &last, "choose a step from 0 to"][..]),
        (&["trace", "--at", "0", "--at", &beyond], &[&beyond, &last]),
        (&["prove", "-o", "out", "--step", "18446744073709551615"], &["18446744073709551615", "--max-steps"]),
        (&["trace", "--at", "11", "--max-steps", "10"], &["step 11", "--max-steps, 10"]),
        (&["prove", "-o", "out", "--step", "11", "--max-steps", "10"], &["step 11", "--max-steps, 10"]),
        (
            &["run", "--backend", "jit", "--max-steps", "10"],
            &["still runs after 10 steps", "raise --max-steps"],
        ),
        (&["run", "--backend", "jit", "--max-steps", "0"], &["still runs after 0 steps"]),
        (&["prove", "-o", "out", "--step", "-1"], &["-1"]),
        (&["prove", "-o", "out", "--step", "18446744073709551616"], &["18446744073709551616"]),
        (&["trace", "--at", "first"], &["first"]),
    ] {
        folder.fails(&[args, &fed].concat()).says(says);
        assert_eq!(folder.files(), before);
    }
}

#[test]
fn command_lines_that_make_no_sense() {
    let folder = Folder::with_net("mnist-mlp");
    for (args, says) in [
        (&[][..], &[][..]),
        (&["complie"], &["complie", "compile"]),
        (&["--frobnicate"], &["--frobnicate"]),
        (&["image"], &[]),
        (&["image", "from-pdf"], &["from-pdf"]),
        (&["run"], &["<IMAGE>"]),
        (&["run", "net.opml", "more.opml"], &["more.opml"]),
        (&["run", "net.opml", "--frobnicate"], &["--frobnicate"]),
        (&["run", "net.opml", "--backend", "walk"], &["jit", "interpreter", "reference"]),
        (&["run", "net.opml", "--max-steps", "many"], &["many"]),
        (&["trace", "net.opml"], &["--at"]),
        (&["prove", "net.opml", "-o", "out"], &["--step"]),
        (&["prove", "net.opml", "--step", "1", "--step", "2", "-o", "out"], &["--step"]),
        (&["compile", "model.onnx"], &["--output"]),
        (&["verifier", "net.opml"], &["--output"]),
        (&["completions", "tcsh"], &["tcsh", "bash"]),
        (&["demo", "please"], &["please"]),
    ] {
        // Without a command, help is printed, which is not an error message.
        if says.is_empty() {
            let output = folder.output(args);
            assert_eq!(output.status.code(), Some(2), "{args:?}");
            assert!(
                output.stdout.is_empty() && String::from_utf8_lossy(&output.stderr).contains("Usage: opml")
            );
            continue;
        }
        folder.misused(args).says(says);
        assert_eq!(folder.files(), ["net.opml"], "{args:?}");
    }
}

#[test]
fn places_that_cannot_be_written() {
    let folder = Folder::with_net("mnist-mlp");
    let (model, input) = (fixture("mnist-mlp/model.onnx"), fixture("digits/7.flat.npy"));
    let elf = fixture("programs/crc32.elf");
    folder.write("file", "mine");
    std::fs::create_dir(folder.path("folder")).expect("a folder");
    let before = folder.files();
    // A file where a folder is expected, and the reverse. (Permissions would not stop root, which runs many
    // tests.)
    for place in ["file/out", "nowhere/out", "folder"] {
        for args in [
            &["compile", &model, "-o", place][..],
            &["image", "from-elf", &elf, "-o", place],
            &["prove", "net.opml", "--input", &input, "--step", "0", "-o", place],
        ] {
            folder.fails(args).says(&["write", place]);
        }
    }
    for args in [
        &["run", "net.opml", "--input", &input, "-o", "file"][..],
        &["run", "net.opml", "--input", &input, "-o", "file/out"],
        &["verifier", "net.opml", "-o", "file"],
        &["verifier", "net.opml", "-o", "file/out"],
    ] {
        folder.fails(args).says(&["cannot ", "file"]);
    }
    assert_eq!(folder.read("file"), b"mine");
    assert_eq!(folder.files(), before);
    assert!(std::fs::read_dir(folder.path("folder")).expect("a folder").next().is_none());
}

#[test]
fn a_command_that_fails_leaves_the_old_output_alone() {
    let folder = Folder::with_net("mnist-mlp");
    let (model, input) = (fixture("hostile/cycle.onnx"), fixture("hostile/inputs/shape_wrong.npy"));
    folder.write("output.npy", "mine");
    folder.write("bad.elf", "no program");
    let before = folder.files();
    for args in [
        &["compile", &model, "-o", "output.npy"][..],
        &["image", "from-elf", "bad.elf", "-o", "output.npy"],
        &["run", "net.opml", "--input", &input],
        &["run", "net.opml", "--input", &fixture("digits/7.flat.npy"), "--max-steps", "9"],
        &["prove", "net.opml", "--input", &input, "--step", "0", "-o", "output.npy"],
        &[
            "prove",
            "net.opml",
            "--input",
            &fixture("digits/7.flat.npy"),
            "--step",
            "99999999",
            "-o",
            "output.npy",
        ],
        &["verifier", "output.npy", "-o", "."],
    ] {
        folder.fails(args);
        assert_eq!(folder.read("output.npy"), b"mine", "{args:?}");
        assert_eq!(folder.files(), before, "{args:?}");
    }
}

/// The fields of a witness file, `step.json`, of the first step at or after this one with this instruction.
fn witness(folder: &Folder, from: u64, mnemonic: &str) -> serde_json::Map<String, Value> {
    let input = fixture("digits/7.flat.npy");
    let steps = format!("{from}..{}", from + 20);
    let rows = folder.json(&["trace", "net.opml", "--input", &input, "--at", &steps]);
    let is = |row: &&Value| row["instruction"].as_str().is_some_and(|text| text.starts_with(mnemonic));
    let step =
        rows["steps"].as_array().expect("rows").iter().find(is).expect("such a step")["step"].to_string();
    folder.text(&["prove", "net.opml", "--input", &input, "--step", &step, "-o", "step.json"]);
    serde_json::from_slice(&folder.read("step.json")).expect("an object")
}

#[test]
fn tampered_witness_files() {
    let folder = Folder::with_net("mnist-mlp");
    let good = witness(&folder, 30_000, "flw");
    let text = |field: &str| good[field].as_str().expect("text").to_owned();
    let flipped = |field: &str, at: usize| {
        let mut text = text(field);
        let digit = if text[at..].starts_with('0') { "1" } else { "0" };
        text.replace_range(at..=at, digit);
        Value::from(text)
    };
    let malformed = "the witness is malformed";
    let (root, bytes) = (text("pre_state_root"), text("witness"));
    for (field, value, says) in [
        ("pre_state_root", flipped("pre_state_root", 40), malformed),
        ("pre_state_root", root[..64].into(), "pre_state_root: expected 0x and 64 hexadecimal digits"),
        ("pre_state_root", root[2..].into(), "pre_state_root: expected 0x"),
        ("pre_state_root", 7.into(), "invalid type"),
        ("post_state_root", flipped("post_state_root", 65), "the claim is false: step 300"),
        ("post_state_root", root.clone().into(), "the claim is false"),
        ("post_state_root", "".into(), "post_state_root: expected 0x"),
        ("post_state_root", "0xzz".into(), "post_state_root: expected 0x"),
        ("witness", "0x".into(), malformed),
        ("witness", "".into(), "witness: expected 0x"),
        ("witness", bytes[..bytes.len() - 1].into(), "witness: expected 0x and an even number"),
        ("witness", bytes[..bytes.len() - 2].into(), malformed),
        ("witness", format!("{bytes}00").into(), malformed),
        ("witness", "0x+1".into(), "witness: expected 0x"),
        ("witness", "0xéé".into(), "witness: expected 0x"),
        ("extensions", "rv64im".into(), ""),
        ("extensions", "rv128".into(), "extensions 'rv128'; expected rv64im or rv64imfd"),
        ("memory_bits", 18.into(), ""),
        ("memory_bits", 11.into(), "2^11"),
        ("memory_bits", 46.into(), "2^46"),
        ("memory_bits", 256.into(), "256"),
        ("memory_bits", (-1).into(), "-1"),
        ("code_base", 0.into(), ""),
        ("code_base", 7.into(), "32"),
        ("code_base", u64::MAX.into(), ""),
        ("code_size", 64.into(), malformed),
        ("code_size", 0.into(), ""),
        ("code_size", u64::MAX.into(), ""),
        ("step", "first".into(), "invalid type"),
        ("surprise", 1.into(), "unknown field `surprise`"),
    ] {
        let mut bad = good.clone();
        bad.insert(field.to_owned(), value.clone());
        folder.write("bad.json", Value::from(bad).to_string());
        for args in [&["verify", "bad.json"][..], &["verify", "bad.json", "--evm"]] {
            match folder.try_fails(args) {
                Ok(complaint) => {
                    assert!(complaint.missing(&[says]).is_empty(), "{field} = {value}: {complaint:?}")
                }
                Err(failure) => panic!("{field} = {value}: {failure}"),
            }
        }
    }
    for field in good.keys() {
        let mut bad = good.clone();
        bad.remove(field);
        folder.write("bad.json", Value::from(bad).to_string());
        folder.fails(&["verify", "bad.json"]).says(&["bad.json", field, "`opml prove`"]);
    }
    for text in ["", "{", "[]", "null", "{\"step\": 1, \"step\": 2}", &"[".repeat(100_000)] {
        folder.write("bad.json", text);
        folder.fails(&["verify", "bad.json"]).says(&["not a witness file"]);
    }
}

/// Other possible values for a field of a witness file.
fn other_values(value: &Value) -> Vec<Value> {
    if let Some(number) = value.as_u64() {
        let other =
            [number ^ 1, number + 1, number + 32, number + 4096, number.saturating_sub(32), 2 * number, 0];
        return other.into_iter().filter(|&other| other != number).map(Value::from).collect();
    }
    let text = value.as_str().expect("a number or text");
    if let Some(other) =
        ["rv64im", "rv64imfd"].into_iter().find(|name| text.starts_with("rv64") && *name != text)
    {
        return vec![other.into()];
    }
    let digits = (2..text.len()).step_by((text.len() / 12).max(1)).chain([text.len() - 1]);
    let flipped = digits.map(|at| {
        let digit = if text[at..].starts_with('0') { "1" } else { "0" };
        [&text[..at], digit, &text[at + 1..]].concat().into()
    });
    flipped.chain([format!("{text}00").into(), text[..text.len() - 2].into()]).collect()
}

/// Every change to a witness file is noticed or reported as unchecked. With the image, it is always noticed.
#[test]
fn no_field_of_a_witness_file_is_just_believed() {
    let folder = Folder::with_net("mnist-mlp");
    let input = fixture("digits/7.flat.npy");
    let with_image = ["verify", "bad.json", "--image", "net.opml", "--input", &input];
    for (from, mnemonic) in [(0, "addi"), (0, "sd"), (30_000, "blt"), (30_000, "flw"), (30_000, "fmadd.s")] {
        let good = witness(&folder, from, mnemonic);
        let check = |fields: &serde_json::Map<String, Value>| {
            folder.write("bad.json", Value::from(fields.clone()).to_string());
            folder.output(&["verify", "bad.json", "--json"])
        };
        let honest = check(&good);
        let honest: Value = serde_json::from_slice(&honest.stdout).expect("JSON");
        let checked = folder.json(&with_image);
        assert_eq!((&checked["holds"], &checked["unchecked"]), (&true.into(), &serde_json::json!([])));
        let mut believed = Vec::new();
        for (field, value) in &good {
            for other in other_values(value) {
                let mut bad = good.clone();
                bad.insert(field.clone(), other.clone());
                let output = check(&bad);
                let what = format!("{mnemonic}: {field} = {other} for {value}");
                folder.try_fails(&with_image).unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
                if output.status.code() == Some(1) {
                    continue;
                }
                // The same verdict on what the file now claims, with a note that it is only a claim.
                let mut expected = honest.clone();
                let place =
                    if field == "step" { &mut expected[field] } else { &mut expected["machine"][field] };
                *place = other;
                let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
                assert_eq!(found, expected, "{what}");
                let unchecked = found["unchecked"].as_array().expect("fields");
                assert!(unchecked.contains(&Value::from(field.clone())), "{what} is believed");
                believed.push(field.as_str());
            }
        }
        assert!(believed.contains(&"step") && !believed.contains(&"witness"), "{believed:?}");
    }
    let text = folder.text(&["verify", "step.json"]);
    assert!(text.contains("are as the file has them (--image checks them)"), "{text}");
    let other = fixture("digits/3.flat.npy");
    let other = ["verify", "step.json", "--image", "net.opml", "--input", &other];
    folder.fails(&other).says(&["step.json: net.opml is in state 0x", "other inputs"]);
}

#[test]
fn every_byte_of_a_witness_counts() {
    let folder = Folder::with_net("mnist-mlp");
    let good = witness(&folder, 30_000, "flw");
    let bytes = good["witness"].as_str().expect("text").to_owned();
    for at in (2..bytes.len()).step_by(2 * 13) {
        let mut text = bytes.clone();
        let digit = if text[at..].starts_with('0') { "1" } else { "0" };
        text.replace_range(at..=at, digit);
        let mut bad = good.clone();
        bad.insert("witness".to_owned(), text.into());
        folder.write("bad.json", Value::from(bad).to_string());
        folder.fails(&["verify", "bad.json"]).says(&["the witness is malformed"]);
    }
}

#[test]
fn a_machine_that_traps_or_never_ends() {
    let folder = Folder::new();
    folder.write("loop.elf", program(&[0x0000_006f]));
    folder.write("trap.elf", program(&[0x0000_0013, 0x0000_3003]));
    for name in ["loop", "trap"] {
        folder.text(&["image", "from-elf", &format!("{name}.elf"), "-o", &format!("{name}.opml")]);
    }
    folder.fails(&["run", "loop.opml", "--max-steps", "1000000"]).says(&["still runs after 1000000 steps"]);
    folder
        .fails(&["prove", "loop.opml", "--step", "18446744073709551615", "-o", "out"])
        .says(&["--max-steps"]);
    folder.fails(&["trace", "loop.opml", "--at", "18446744073709551614"]).says(&["--max-steps"]);
    assert_eq!(folder.json(&["profile", "loop.opml", "--max-steps", "1000000"])["steps"], 1_000_000);
    // ld x0, 0(x0) is an ordinary step. The first steps are the same in every program.
    folder.fails(&["run", "trap.opml"]).says(&["trapped at step 7", "opml trace --at STEP"]);
    let row = &folder.json(&["trace", "trap.opml", "--at", "7"])["steps"][0];
    assert_eq!(row["status"], "running");
    folder.json(&["prove", "trap.opml", "--step", "7", "-o", "step.json"]);
    assert_eq!(folder.json(&["verify", "step.json", "--evm"])["holds"], true);
}

/// A page of memory in each iteration: lui t0, 256; lui t1, 1; loop: sd t1, 0(t0); add t0, t0, t1; 60 nops; j loop.
fn greedy() -> Vec<u32> {
    [&[0x0010_02b7, 0x0000_1337, 0x0062_b023, 0x0062_82b3], &[0x0000_0013; 60][..], &[0xf09f_f06f]].concat()
}

#[test]
#[cfg(target_os = "linux")]
fn images_that_want_more_than_there_is() {
    use std::process::Command;
    let folder = Folder::new();
    folder.write("greedy.elf", program(&greedy()));
    let largest = (1u64 << 44).to_string();
    folder.text(&["image", "from-elf", "greedy.elf", "-o", "greedy.opml", "--stack", &largest]);
    assert_eq!(folder.json(&["inspect", "greedy.opml"])["memory_bits"], 45);
    // Memory that is only requested costs nothing if the system can provide addresses, and is an error
    // otherwise.
    for command in
        ["run greedy.opml", "inspect greedy.opml", "trace greedy.opml --at 5", "profile greedy.opml"]
    {
        let script = format!("ulimit -v 8000000; exec {} {command}", env!("CARGO_BIN_EXE_opml"));
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(folder.path("."))
            .output()
            .expect("sh starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {stderr}");
        assert!(
            stderr.contains("can't reserve 2^45 bytes") && stderr.contains("hint: "),
            "{command}: {stderr}"
        );
    }
    // Touched memory is limited. The program would continue for 2^33 pages.
    for command in ["run", "profile", "trace"] {
        let mut args = vec![command, "greedy.opml", "--max-memory", "200000000"];
        if command == "trace" {
            args.extend(["--at", "100000000"]);
        }
        folder.fails(&args).says(&["more memory than the limit, 200000000 bytes", "raise --max-memory"]);
    }
    folder
        .fails(&["image", "from-elf", "greedy.elf", "-o", "no.opml", "--stack", &(1u64 << 45).to_string()])
        .says(&["2^45"]);
    // An image file that is longer than its header says is refused without being read.
    std::fs::copy(folder.path("greedy.opml"), folder.path("long.opml")).expect("a copy");
    let file = std::fs::File::options().write(true).open(folder.path("long.opml")).expect("a file");
    file.set_len((1 << 36) + 1).expect("a file with a hole");
    for command in [&["run", "long.opml"][..], &["inspect", "long.opml"], &["profile", "long.opml"]] {
        folder.fails(command).says(&["the file has 68719476737 bytes; its header says"]);
    }
}

/// Writes the image of a model whose only big step runs this code. The sizes of inputs, outputs and scratch
/// are given as log2.
fn model(path: &Path, bits: [u8; 3], words: &[u32], bound: u64) {
    const CODE: u64 = 1 << 13;
    let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let code = [code.clone(), vec![0; code.len().next_multiple_of(32) - code.len()]].concat();
    let profile = MachineProfile::new(Extensions::IM, 45, CODE, code.len() as u64).expect("a machine");
    let [input, output, scratch_bits] = bits;
    let input = Region { address: 1 << input, bits: input };
    let output = Region { address: 1 << output, bits: output };
    let tensor = |role, region: Region| {
        let (name, bytes) = (format!("{role:?}"), 1 << region.bits);
        Tensor { name, role, dtype: DType::U8, shape: vec![bytes], address: region.address, bytes }
    };
    let (operator, node, arguments) = Default::default();
    let step = BigStep { kernel: 0, operator, node, output: 1, lo: 0, hi: 1, arguments, entry: CODE, bound };
    let contents = Contents {
        profile,
        entry: CODE,
        sp: profile.memory_size(),
        code: code.into(),
        segments: Vec::new(),
        tensors: vec![tensor(Role::Input, input), tensor(Role::Output, output)],
        symbols: vec![Symbol { name: "kernel".to_owned(), address: CODE, size: 0 }],
        schedule: vec![step],
        period: None,
        sections: Vec::new(),
        interface: Some(Interface { inputs: vec![input], outputs: vec![output], scratch_bits, bound }),
    };
    Image::new(contents).expect("an image").write(path).expect("room");
}

#[test]
fn models_that_want_more_than_there_is() {
    let folder = Folder::new();
    let exit = [0x05d0_0893, 0x0000_0073];
    folder.write("in.npy", npy("|u1", "(4096,)", &[0; 1 << 12]));
    let fails = |args: &str| folder.fails(&args.split(' ').collect::<Vec<_>>());
    // Outputs that don't fit into any memory.
    model(&folder.path("wide.opml"), [12, 43, 44], &exit, 1000);
    fails("run wide.opml --input in.npy").says(&["the outputs have 8,796,093,022,208 bytes", "--max-memory"]);
    for args in ["verifier wide.opml -o out", "dispute wide.opml --input in.npy --cheat output"] {
        fails(args).says(&["the outputs have 8796093022208 bytes; at most 1073741824"]);
    }
    // Outputs that no transaction can show, so that nobody could answer.
    model(&folder.path("tall.opml"), [12, 17, 12], &exit, 1000);
    fails("request tall.opml --input in.npy")
        .says(&["nobody can answer: the outputs have 131,072 bytes", "--output-by-root Output"]);
    fails("request tall.opml --input in.npy --output-by-root Output").says(&["no key"]);
    // Scratch too large to be cleared byte by byte costs nothing.
    model(&folder.path("deep.opml"), [12, 14, 44], &exit, 1000);
    let dispute = ["dispute", "deep.opml", "--input", "in.npy", "--cheat", "output"];
    assert_eq!(folder.json(&dispute)["disputes"][0]["winner"], "challenger");
    // More steps than anyone would wait for.
    model(&folder.path("long.opml"), [12, 14, 12], &exit, 1 << 41);
    for args in ["verifier long.opml -o out", "dispute long.opml --input in.npy --cheat output"] {
        fails(args).says(&["the image may run for 2,199,023,255,552 steps", "raise --max-steps"]);
        fails(&format!("{args} --max-steps 1000")).says(&["more than --max-steps, 1,000"]);
    }
    // A program that touches pages as long as it can.
    model(&folder.path("greedy.opml"), [12, 14, 12], &greedy(), 1 << 39);
    if cfg!(target_os = "linux") {
        for args in ["verifier greedy.opml -o out", "dispute greedy.opml --input in.npy --cheat output"] {
            fails(&format!("{args} --max-memory 200000000"))
                .says(&["more memory than the limit, 200000000 bytes", "raise --max-memory"]);
        }
    }
    assert_eq!(folder.files(), ["deep.opml", "greedy.opml", "in.npy", "long.opml", "tall.opml", "wide.opml"]);
}
