//! Every subcommand of `opml` works, in text and in JSON.

use crate::common::{Folder, assert_near, fixture, numbers};
use serde_json::Value;

/// Steps of the bundled perceptron's run, as `run` counts them.
fn steps(folder: &Folder) -> u64 {
    let input = fixture("digits/7.flat.npy");
    let ran = folder.json(&["run", "net.opml", "--input", &input, "-o", "ran", "--backend", "jit"]);
    ran["steps"].as_u64().expect("a number of steps")
}

fn is_root(value: &Value) -> bool {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    digits.is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

#[test]
fn compile_says_what_it_made() {
    let folder = Folder::new();
    let model = fixture("mnist-cnn/model.onnx");
    let object = folder.json(&["compile", &model, "-o", "net.opml"]);
    assert_eq!(object["image"], "net.opml");
    assert_eq!(object["machine"], "rv64imfd");
    assert_eq!(object["bytes"], folder.read("net.opml").len());
    for field in ["image_root", "code_root", "memory_root"] {
        assert!(is_root(&object[field]), "{field}: {object}");
    }
    let text = folder.text(&["compile", &model, "-o", "net.opml"]);
    assert!(text.contains(object["image_root"].as_str().expect("text")), "{text}");
}

#[test]
fn a_model_has_one_image() {
    for net in ["mnist-mlp", "mnist-cnn"] {
        let [here, there] = [Folder::with_net(net), Folder::new()];
        std::fs::create_dir(there.path("models")).expect("a folder");
        std::fs::copy(fixture(&format!("{net}/model.onnx")), there.path("models/renamed.onnx"))
            .expect("a copy");
        there.text(&["compile", "models/renamed.onnx", "--output", "other.opml"]);
        assert_eq!(here.read("net.opml"), there.read("other.opml"), "{net}");
    }
}

#[test]
fn a_shape_closes_an_open_dimension() {
    let folder = Folder::new();
    let model = fixture("operators/graph_dynamic_batch/model.onnx");
    let complaint = folder.fails(&["compile", &model, "-o", "net.opml"]);
    // Following the advice exactly works.
    let (_, shape) = complaint.error.rsplit_once("--shape ").expect("advice");
    folder.text(&["compile", &model, "-o", "net.opml", "--shape", shape]);
    let input = &folder.json(&["inspect", "net.opml"])["tensors"][0];
    let dims: Vec<_> = input["shape"].as_array().expect("a shape").iter().map(Value::to_string).collect();
    assert_eq!(format!("{}={}", input["name"].as_str().expect("a name"), dims.join(",")), shape);
}

#[test]
fn inspect_shows_an_image() {
    let folder = Folder::with_net("mnist-mlp");
    let object = folder.json(&["inspect", "net.opml"]);
    let tensors = object["tensors"].as_array().expect("tensors");
    let of_role =
        |role: &str| tensors.iter().filter(|t| t["role"] == role).map(|t| &t["name"]).collect::<Vec<_>>();
    assert_eq!(of_role("input"), ["input"]);
    assert_eq!(of_role("output"), ["output"]);
    assert_eq!(object["operators"], serde_json::json!({ "Gemm+Relu": 1, "Gemm": 1, "Softmax": 1 }));
    assert_eq!(object["memory_depth"], object["memory_bits"].as_u64().expect("a number") - 5);
    let words: u64 =
        object["instruction_mix"].as_object().expect("a mix").values().filter_map(Value::as_u64).sum();
    let others = object["not_instructions"].as_u64().expect("a number");
    assert_eq!((words + others) * 4, object["code_size"].as_u64().expect("a size"));
    assert_ne!(others, 0, "the code has literals");
    let text = folder.text(&["inspect", "net.opml"]);
    assert!(text.contains(&format!("other words  {others}: data or padding")), "{text}");
    for word in
        ["fc1.weight", "[20, 784]", "Softmax", "fmadd.s", object["image_root"].as_str().expect("a root")]
    {
        assert!(text.contains(word), "{word} is missing in {text}");
    }
}

#[test]
fn names_in_files_cannot_control_the_terminal() {
    let folder = Folder::new();
    let model = std::fs::read(fixture("operators/graph_two_outputs/model.onnx")).expect("a model");
    folder.write("model.onnx", replace(&model, b"inner", b"\x1b[2Jx"));
    folder.text(&["compile", "model.onnx", "-o", "net.opml"]);
    let object = folder.json(&["inspect", "net.opml"]);
    let tensors = object["tensors"].as_array().expect("tensors");
    assert!(
        tensors.iter().any(|tensor| tensor["name"] == "\u{1b}[2Jx"),
        "JSON has the name as it is: {object}"
    );
    let text = folder.text(&["inspect", "net.opml"]);
    assert!(text.contains("\u{fffd}[2Jx") && !text.contains('\u{1b}'), "{text:?}");
    let complaint = folder.fails(&["run", "net.opml", "--input", "\u{1b}[2J=x.npy"]);
    assert!(!complaint.error.contains('\u{1b}') && !complaint.hint.contains('\u{1b}'), "{complaint:?}");
}

#[test]
fn disasm_lists_every_word() {
    let folder = Folder::with_net("mnist-mlp");
    let lines = folder.json(&["disasm", "net.opml"]);
    let lines = lines["lines"].as_array().expect("lines");
    let object = folder.json(&["inspect", "net.opml"]);
    assert_eq!(lines.len() as u64 * 4, object["code_size"].as_u64().expect("a size"));
    assert_eq!((&lines[0]["address"], &lines[0]["symbol"]), (&object["entry"], &Value::from("_start")));
    let fused =
        lines.iter().find(|line| line["text"].as_str().is_some_and(|text| text.starts_with("fmadd.s")));
    let fused = fused.expect("a multiply-add");
    let text = folder.text(&["disasm", "net.opml"]);
    assert!(text.starts_with("_start:\n"), "{text}");
    let address = format!("{:x}:", fused["address"].as_u64().expect("an address"));
    let line = text.lines().find(|line| line.trim_start().starts_with(&address)).expect("its line");
    assert!(
        line.contains(fused["text"].as_str().expect("text"))
            && line.contains(fused["word"].as_str().expect("text"))
    );
}

#[test]
fn run_answers_as_onnxruntime_does() {
    for (net, digits, output) in [("mnist-mlp", "flat.npy", "output"), ("mnist-cnn", "npy", "probabilities")]
    {
        let folder = Folder::with_net(net);
        for digit in 0..10 {
            let input = fixture(&format!("digits/{digit}.{digits}"));
            let file = format!("out/{output}.npy");
            let run = |backend| {
                let run = ["run", "net.opml", "--input", &input, "-o", "out", "--backend", backend];
                let object = folder.json(&run);
                assert_eq!(object["outputs"], serde_json::json!({ output: file }));
                (object, folder.read(&file))
            };
            let (object, in_machine) = run("jit");
            assert_eq!(object["exit_code"], 0);
            assert!(is_root(&object["state_root"]) && object["steps"].as_u64() > Some(40_000), "{object}");
            let (object, natively) = run("native");
            assert!(is_root(&object["output_roots"][0]) && object["steps"].is_null(), "{object}");
            assert_eq!(natively, in_machine);
            let expected =
                std::fs::read(fixture(&format!("{net}/expected/{digit}.onnxruntime.npy"))).expect("a file");
            assert_near(&numbers(&folder.read(&file)), &numbers(&expected));
        }
    }
}

#[test]
fn run_takes_inputs_in_every_form() {
    let folder = Folder::with_net("mnist-mlp");
    let flat = fixture("digits/7.flat.npy");
    let proto = fixture("mnist-mlp/test_data_set_0/input_0.pb");
    let mut results = Vec::new();
    for (input, backend) in [
        (flat.clone(), "interpreter"),
        (format!("input={flat}"), "interpreter"),
        (format!("input={proto}"), "interpreter"),
        (proto, "reference"),
    ] {
        let object = folder.json(&["run", "net.opml", "--input", &input, "--backend", backend]);
        assert_eq!(object["outputs"]["output"], "./output.npy");
        results.push((object["steps"].clone(), object["state_root"].clone(), folder.read("output.npy")));
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{results:?}");
    let text = folder.text(&["run", "net.opml", "--input", &flat, "-o", "deep/er", "--backend", "jit"]);
    assert!(text.contains(results[0].1.as_str().expect("a root")) && text.contains("exit code"), "{text}");
    assert_eq!(folder.read("deep/er/output.npy"), results[0].2);
}

#[test]
fn run_writes_every_output_and_keeps_it_in_its_folder() {
    let folder = Folder::new();
    // Two outputs; one is called like a path. Names in the file are length-prefixed, so the other has the same length.
    let model = std::fs::read(fixture("operators/graph_two_outputs/model.onnx")).expect("a model");
    folder.write("model.onnx", replace(&model, b"inner", b"../in"));
    folder.text(&["compile", "model.onnx", "-o", "net.opml"]);
    let inspected = folder.json(&["inspect", "net.opml"]);
    let tensors = inspected["tensors"].as_array().expect("tensors");
    let inputs: Vec<_> = tensors.iter().filter(|t| t["role"] == "input").collect();
    let mut args = vec!["run".to_owned(), "net.opml".to_owned(), "-o".to_owned(), "out".to_owned()];
    for (index, input) in inputs.iter().enumerate() {
        let file = fixture(&format!("operators/graph_two_outputs/test_data_set_0/input_{index}.pb"));
        args.extend(["--input".to_owned(), format!("{}={file}", input["name"].as_str().expect("a name"))]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let object = folder.json(&args);
    let outputs = object["outputs"].as_object().expect("outputs");
    assert_eq!(outputs.len(), 2);
    assert_eq!(outputs["../in"], "out/.._in.npy");
    for file in outputs.values() {
        assert!(!numbers(&folder.read(file.as_str().expect("a file"))).is_empty());
    }
    assert_eq!(folder.files(), ["model.onnx", "net.opml", "out"]);
}

/// Bytes with every occurrence of some replaced by others.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

#[test]
fn trace_shows_the_steps_in_order() {
    let folder = Folder::with_net("mnist-mlp");
    let digit = fixture("digits/7.flat.npy");
    let last = steps(&folder);
    let numbers =
        [last.to_string(), (last - 1).to_string(), "30000".to_owned(), "0".to_owned(), "30000".to_owned()];
    let mut args = vec!["trace", "net.opml", "--input", &digit];
    numbers.iter().for_each(|number| args.extend(["--at", number]));
    let rows = folder.json(&args);
    let rows = rows["steps"].as_array().expect("rows");
    let found: Vec<_> = rows.iter().map(|row| row["step"].as_u64().expect("a step")).collect();
    assert_eq!(found, [0, 30000, last - 1, last]);
    assert_eq!(rows[0]["place"], "_start");
    assert_eq!(
        (&rows[1]["operator"], &rows[1]["node"], &rows[1]["tensor"]),
        (&"Gemm+Relu".into(), &"fc1+relu1".into(), &"relu1.out".into())
    );
    assert!(rows[1]["element"].as_u64().is_some_and(|element| element < 20), "{}", rows[1]);
    assert_eq!((&rows[2]["instruction"], &rows[2]["status"]), (&"ecall".into(), &"running".into()));
    assert_ne!(rows[3]["status"], "running");
    let ran = folder.json(&["run", "net.opml", "--input", &digit, "--backend", "jit"]);
    assert_eq!(rows[3]["state_root"], ran["state_root"]);
    assert!(rows.windows(2).all(|pair| pair[0]["state_root"] != pair[1]["state_root"]));

    let text = folder.text(&args);
    for row in rows {
        assert!(text.contains(row["state_root"].as_str().expect("a root")), "{text}");
    }
    let beyond = (last + 1).to_string();
    folder
        .fails(&["trace", "net.opml", "--input", &digit, "--at", &beyond])
        .says(&[&beyond, &last.to_string()]);
}

#[test]
fn proven_steps_verify() {
    let folder = Folder::with_net("mnist-mlp");
    let digit = fixture("digits/7.flat.npy");
    let last = steps(&folder);
    for step in [0, 1000, 1001, last - 1, last] {
        let step = step.to_string();
        let proven =
            folder.json(&["prove", "net.opml", "--input", &digit, "--step", &step, "-o", "step.json"]);
        let rows = folder.json(&["trace", "net.opml", "--input", &digit, "--at", &step]);
        assert_eq!(proven["pre_state_root"], rows["steps"][0]["state_root"]);
        let verified = folder.json(&["verify", "step.json", "--evm"]);
        assert_eq!(verified["holds"], true);
        assert_eq!(verified["post_state_root"], proven["post_state_root"]);
        let evm = &verified["evm"];
        assert!(evm["execution_gas"].as_u64() > Some(0), "{evm}");
        assert!(evm["transaction_gas"].as_u64() >= evm["floor_gas"].as_u64(), "{evm}");
        assert!(evm["calldata_bytes"].as_u64() > proven["witness_bytes"].as_u64(), "{evm}");
        assert!(folder.json(&["verify", "step.json"]).get("evm").is_none());
    }
    let text = folder.text(&["prove", "net.opml", "--input", &digit, "--step", "1000", "-o", "step.json"]);
    assert!(text.contains("witness of step 1,000"), "{text}");
    let text = folder.text(&["verify", "step.json", "--evm"]);
    assert!(text.contains("the claim holds") && text.contains("gas of execution"), "{text}");
    // The machine that has ended steps to itself, and steps are one after the other.
    let roots = |step: u64| {
        folder.json(&["prove", "net.opml", "--input", &digit, "--step", &step.to_string(), "-o", "step.json"])
    };
    assert_eq!(roots(1000)["post_state_root"], roots(1001)["pre_state_root"]);
    assert_eq!(roots(last)["post_state_root"], roots(last)["pre_state_root"]);
}

#[test]
fn verifier_writes_a_package() {
    let folder = Folder::with_net("mnist-mlp");
    let object = folder.json(&["verifier", "net.opml", "-o", "contracts"]);
    let files = object["files"].as_array().expect("files");
    let names: Vec<_> = files.iter().filter_map(Value::as_str).collect();
    assert_eq!(
        names,
        [
            "src/IStepVerifier.sol",
            "src/StepVerifier.sol",
            "src/NetMachine.sol",
            "test/Vm.sol",
            "test/Steps.t.sol",
            "src/DisputeGame.sol",
            "src/ExampleConsumer.sol",
            "src/InferenceService.sol",
            "src/Interfaces.sol",
            "src/Merkle.sol",
            "src/ModelRegistry.sol",
            "src/Models.sol",
            "src/NetModel.sol",
            "script/Deploy.s.sol",
            "test/Service.t.sol",
            "foundry.toml",
            "README.md",
        ]
        .map(|name| format!("contracts/{name}"))
    );
    for file in &names {
        let text = String::from_utf8(folder.read(file)).expect("text");
        assert!(!text.contains("{{"), "a hole in {file} was not filled");
    }
    let generated =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../vm/solidity/generated/rv64imfd/StepVerifier.sol");
    let verifier = folder.read("contracts/src/StepVerifier.sol");
    assert_eq!(verifier, std::fs::read(generated).expect("the generated verifier"));
    let text = |file: &str| String::from_utf8(folder.read(file)).expect("text");
    let (own, model) = (text("contracts/src/NetMachine.sol"), text("contracts/src/NetModel.sol"));
    let inspected = folder.json(&["inspect", "net.opml"]);
    for field in ["memory_bits", "code_size"] {
        let value = inspected[field].to_string();
        assert!(own.contains(&value), "{field} is missing in {own}");
    }
    for root in ["code_root", "memory_root", "schedule_root", "model"] {
        assert!(model.contains(inspected[root].as_str().expect("a root")), "{root} is missing in {model}");
    }
    assert!(
        folder.text(&["verifier", "net.opml", "-o", "contracts"]).contains("contracts/src/NetMachine.sol")
    );
    // An image called "step" must not overwrite the verifier.
    std::fs::copy(folder.path("net.opml"), folder.path("step.opml")).expect("a copy");
    folder.text(&["verifier", "step.opml", "-o", "of-step"]);
    assert_eq!(folder.read("of-step/src/StepVerifier.sol"), verifier);
}

#[test]
fn programs_become_images() {
    let folder = Folder::new();
    let program = fixture("programs/crc32.elf");
    let object = folder.json(&["image", "from-elf", &program, "-o", "crc.opml"]);
    assert_eq!((&object["image"], &object["machine"]), (&"crc.opml".into(), &"rv64im".into()));
    assert_eq!(object["bytes"], folder.read("crc.opml").len());
    let ran = folder.json(&["run", "crc.opml"]);
    assert_ne!(ran["exit_code"], 0, "0 says that the program's own check failed");
    assert_eq!(ran["outputs"], serde_json::json!({}));
    assert_eq!(ran["state_root"], folder.json(&["run", "crc.opml", "--backend", "reference"])["state_root"]);
    folder.json(&["prove", "crc.opml", "--step", "12345", "-o", "step.json"]);
    assert_eq!(folder.json(&["verify", "step.json", "--evm"])["holds"], true);
    let big = folder.json(&["image", "from-elf", &program, "-o", "big.opml", "--stack", "1000000"]);
    assert!(big["memory_bits"].as_u64() > object["memory_bits"].as_u64());
    assert!(folder.text(&["image", "from-elf", &program, "-o", "crc.opml"]).contains("rv64im"));
}

#[test]
fn c_programs_are_run_and_disputed_as_models_are() {
    let folder = Folder::new();
    let example = |file: &str| format!("{}/../examples/c-program/{file}", env!("CARGO_MANIFEST_DIR"));
    let gcc = std::process::Command::new("riscv64-unknown-elf-gcc")
        .args("-O2 -march=rv64imfd -mabi=lp64d -ffreestanding -nostdlib -static -o".split(' '))
        .args([folder.path("score.elf").display().to_string(), example("score.c")])
        .status();
    assert!(gcc.expect("apt-get install gcc-riscv64-unknown-elf").success());
    let inputs = ["figures", "payments"].map(|name| format!("{name}={}", example(&format!("{name}.npy"))));
    let inputs = ["--input", &inputs[0], "--input", &inputs[1]];
    let make = |bound: &[&str]| {
        folder.json(&[&["image", "from-elf", "score.elf", "-o", "score.opml"], bound].concat())
    };
    let run = [&["run", "score.opml", "-o", "out"], &inputs[..]].concat();

    // Without a bound there is nothing to dispute.
    let made = make(&[]);
    assert_eq!(made["inputs"], serde_json::json!(["figures", "payments"]));
    assert_eq!((&made["outputs"][1], &made["stack"]["overflow_traps"]), (&"trend".into(), &true.into()));
    let free = folder.json(&run);
    let steps = free["steps"].as_u64().expect("steps");
    let dispute = |more: &[&'static str]| [&["dispute", "score.opml"], &inputs[..], more].concat();
    assert!(
        folder.fails(&dispute(&[])).error.contains("does not say what its inputs, outputs and bounds are")
    );

    // The bound is part of what is committed to, and a run has to stay within it.
    make(&["--max-steps", &(steps - 1).to_string()]);
    let error = folder.fails(&run).error;
    assert!(error.contains("still runs after") && error.contains("in a dispute it has no result"), "{error}");
    make(&["--max-steps", &steps.to_string()]);
    assert_eq!(folder.json(&run)["steps"], steps);
    let made = make(&["--max-steps", "5000"]);
    assert_eq!(made["max_steps"], 5000);
    let text = folder.text(&run);
    assert!(text.contains("0.855785") && text.contains("192.000000 195.000000"), "{text}");
    for (cheat, winner) in [
        ("step", "challenger"),
        ("output", "challenger"),
        ("silent", "challenger"),
        ("challenger", "asserter"),
    ] {
        for phases in ["1", "2"] {
            let played = folder.json(&dispute(&["--cheat", cheat, "--phases", phases]));
            assert!(played.to_string().contains(&format!("\"winner\":\"{winner}\"")), "{cheat}: {played}");
        }
    }
    assert!(folder.fails(&dispute(&["--cheat", "weight"])).error.contains("names no weights"));
    folder.text(&[&["verifier", "score.opml", "-o", "contracts"], &inputs[..]].concat());
    assert!(folder.text(&[&["profile", "score.opml"], &inputs[..]].concat()).contains("_opml_start"));
}

#[test]
fn demo_reads_the_digit_and_catches_the_lies() {
    let folder = Folder::new();
    let object = folder.json(&["demo"]);
    assert_eq!(object["run"]["class"], object["run"]["label"]);
    let verdicts = object["verdicts"].as_array().expect("verdicts");
    assert_eq!(verdicts.iter().map(|j| j["holds"].clone()).collect::<Vec<_>>(), [true, false, false]);
    let text = folder.text(&["demo"]);
    assert!(text.contains("the honest claim: confirmed") && text.contains("refuted"), "{text}");
    assert!(folder.files().is_empty(), "the demo leaves {:?}", folder.files());
}

#[test]
fn disputes_end_with_the_honest_side() {
    for (net, digits) in [("mnist-mlp", ["3.flat.npy", "8.flat.npy"]), ("mnist-cnn", ["3.npy", "8.npy"])] {
        let folder = Folder::with_net(net);
        for digit in digits.map(|digit| fixture(&format!("digits/{digit}"))) {
            for (cheat, winner) in [
                ("weight", "challenger"),
                ("step", "challenger"),
                ("output", "challenger"),
                ("silent", "challenger"),
                ("challenger", "asserter"),
            ] {
                for phases in ["1", "2"] {
                    let args =
                        ["dispute", "net.opml", "--input", &digit, "--cheat", cheat, "--phases", phases];
                    let played = &folder.json(&args)["disputes"];
                    assert_eq!(played[0]["winner"], winner, "{args:?}");
                    assert!(played[0]["transactions"].as_u64() <= Some(10), "{args:?}");
                    // Whoever isn't silent is shown wrong by a step that the contract executes.
                    let ending = played[0]["ending"].as_str().expect("an ending");
                    match cheat {
                        "silent" => assert_eq!(ending, "timeout", "{args:?}"),
                        _ => assert!(matches!(ending, "executed" | "refused"), "{args:?}: {ending}"),
                    }
                    let step = &played[0]["disputed_step"];
                    assert!(step["instruction"].is_string(), "{args:?}: {step}");
                    // In one phase, the last step belongs to no operator.
                    assert!(step["operator"].is_string() || phases == "1", "{args:?}: {step}");
                    let element = &step["difference"]["element"];
                    assert!(step["output_element"].is_string() || element.is_u64(), "{args:?}: {step}");
                    for value in ["claimed", "right"] {
                        assert!(step["difference"][value].is_string(), "{args:?}: {value} of {step}");
                    }
                    // One answer stands in the end, and the last act is its payment.
                    let moves = played[0]["moves"].as_array().expect("moves");
                    let names: Vec<_> = moves.iter().filter_map(|act| act["move"].as_str()).collect();
                    assert!(names.starts_with(&["request", "answer", "challenge"]), "{args:?}: {names:?}");
                    assert!(names.ends_with(&["settle"]), "{args:?}: {names:?}");
                    let answers = names.iter().filter(|name| **name == "answer").count();
                    assert_eq!(answers, if winner == "challenger" { 2 } else { 1 }, "{args:?}");
                }
            }
        }
    }
}

#[test]
fn a_dispute_is_cheap_at_the_default_arity_and_tells_its_moves() {
    let folder = Folder::with_net("mnist-cnn");
    let digit = fixture("digits/5.npy");
    let args = ["dispute", "net.opml", "--input", &digit];
    let played = &folder.json(&args)["disputes"];
    assert!(played[0]["gas"].as_u64().expect("gas") <= 500_000, "{played}");
    let text = folder.text(&args);
    for word in ["challenge", "enter", "dissect", "settle", "The challenger wins", "of big step"] {
        assert!(text.contains(word), "{word} is missing in {text}");
    }
    let table = folder.json(&["dispute", "net.opml", "--input", &digit, "--arity", "2,16,256"]);
    let moves: Vec<_> = table["disputes"]
        .as_array()
        .expect("disputes")
        .iter()
        .map(|played| played["transactions"].as_u64().expect("a number"))
        .collect();
    assert!(moves.is_sorted_by(|more, less| more > less), "{moves:?}");
    folder.fails(&["dispute", "net.opml", "--input", &digit, "--arity", "1"]);
    folder.fails(&["dispute", "net.opml", "--input", &digit, "--phases", "3"]);
    folder.text(&["image", "from-elf", &fixture("programs/crc32.elf"), "-o", "crc32.opml"]);
    assert!(folder.fails(&["dispute", "crc32.opml"]).error.contains("does not say"));
}

#[test]
fn translated_code_is_kept_between_runs() {
    let folder = Folder::new();
    // lui t1, 0x500; loop: addi t0, t0, 1; bne t0, t1, loop; li a7, 93; ecall: ten million steps.
    let words = [0x0050_0337u32, 0x0012_8293, 0xfe62_9ee3, 0x05d0_0893, 0x0000_0073, 0, 0, 0];
    let contents = image::Contents {
        profile: step::MachineProfile::new(isa::Extensions::IM, 16, 0x8000, 32).expect("a machine"),
        entry: 0x8000,
        sp: 0,
        code: words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>().into(),
        segments: Vec::new(),
        tensors: Vec::new(),
        symbols: Vec::new(),
        schedule: Vec::new(),
        period: None,
        interface: None,
        sections: Vec::new(),
    };
    image::Image::new(contents).expect("an image").write(&folder.path("loop.opml")).expect("room");
    let run = |cache: &str, backend: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_opml"));
        command.current_dir(folder.path(".")).env("OPML_CACHE", cache);
        let output =
            command.args(["run", "loop.opml", "--backend", backend, "--json"]).output().expect("opml starts");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let printed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(printed["steps"], 10_485_763);
        printed["state_root"].as_str().expect("a root").to_owned()
    };
    let expected = run("", "reference");
    assert!(!folder.files().contains(&"kept".to_owned()));
    for _ in 0..2 {
        assert_eq!(run("kept", "jit"), expected);
    }
    let files = std::fs::read_dir(folder.path("kept")).expect("a folder").count();
    assert_eq!(files, 1);
    // A cache that can't be had is as none.
    folder.write("no", "a file");
    assert_eq!(run("no", "jit"), expected);
}

#[test]
fn a_large_image_is_opened_at_once_and_checked_on_demand() {
    let folder = Folder::new();
    folder.text(&["image", "from-elf", &fixture("programs/crc32.elf"), "-o", "small.opml"]);
    let mut contents = image::Image::read(&folder.path("small.opml")).expect("an image").into_contents();
    let (base, size) = (contents.profile.code_base(), contents.profile.code_size());
    contents.profile =
        step::MachineProfile::new(contents.profile.extensions(), 28, base, size).expect("a machine");
    // Where the program has nothing: 65 MiB of which some bytes are not zero.
    let mut weights = vec![0; 65 << 20];
    weights.iter_mut().step_by(100_000).for_each(|byte| *byte = 9);
    contents.segments.push(image::Segment { address: 1 << 27, bytes: weights.into() });
    image::Image::new(contents).expect("an image").write(&folder.path("large.opml")).expect("room");
    let inspected = folder.json(&["inspect", "large.opml", "--verify"]);
    assert_eq!(inspected, folder.json(&["inspect", "large.opml"]));
    // The last byte is a page's root; the weights are the last but for one part in 64.
    let mut damaged = folder.read("large.opml");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    folder.write("damaged.opml", &damaged);
    assert_eq!(inspected, folder.json(&["inspect", "damaged.opml"]));
    // The program never looks there.
    let ran = |file| folder.json(&["run", file])["state_root"].clone();
    assert_eq!(ran("damaged.opml"), ran("large.opml"));
    for verifying in [
        &["inspect", "damaged.opml", "--verify"][..],
        &["dispute", "damaged.opml"],
        &["verifier", "damaged.opml", "-o", "package"],
    ] {
        folder.fails(verifying).says(&["damaged.opml: the image's memory has the hash", "it is damaged"]);
    }
}

#[test]
fn every_move_costs_no_more_than_the_cost_model_says_and_not_much_less() {
    use contracts::cost::{Kind, Schedule, Shape};
    for (net, digit) in [("mnist-cnn", "digits/3.npy"), ("mnist-mlp", "digits/3.flat.npy")] {
        let folder = Folder::with_net(net);
        let image = image::Image::read(&folder.path("net.opml")).expect("an image");
        let schedule = image.big_steps();
        let model = prover::model_of(&image, &schedule).expect("a model");
        let longest = schedule.leaves().iter().map(|leaf| leaf.bound).max().expect("a big step");
        let mut closest = std::collections::BTreeMap::new();
        for cheat in ["weight", "step", "output", "silent", "challenger"] {
            let args =
                ["dispute", "net.opml", "--input", &fixture(digit), "--cheat", cheat, "--arity", "2,8,20,64"];
            for played in folder.json(&args)["disputes"].as_array().expect("disputes") {
                let last =
                    &played["rounds"].as_array().and_then(|rounds| rounds.last()).expect("a round")["picked"];
                let place = |name: &str| last[name].as_u64().unwrap_or(0);
                let executed = place("to") - place("from");
                let shape = Shape::of(&model, longest, played["arity"].as_u64().expect("an arity"));
                assert!(played["transactions"].as_u64() <= Some(shape.moves() + 1), "{played}");
                for act in
                    played["moves"].as_array().expect("moves").iter().filter(|act| act["disputed"] == true)
                {
                    let kind = match act["move"].as_str().expect("a name") {
                        "challenge" => Kind::Challenge,
                        "dissect" => Kind::Dissect,
                        "enter" => Kind::Enter,
                        "prove" => Kind::Prove(executed),
                        "timeout" => Kind::Timeout,
                        other => panic!("{other}"),
                    };
                    let name = act["move"].as_str().expect("a name");
                    for (schedule, field) in
                        [(&Schedule::OSAKA, "gas"), (&Schedule::GLAMSTERDAM, "glamsterdam_gas")]
                    {
                        let bound = shape.bound(kind, schedule);
                        let (bytes, gas) =
                            (act["calldata_bytes"].as_u64(), act[field].as_u64().expect("gas"));
                        assert!(
                            bytes <= Some(bound.bytes) && gas <= bound.gas,
                            "{act} is above {bound:?} of {shape:?} under {}",
                            schedule.name
                        );
                        let ratio = bound.gas as f64 / gas as f64;
                        let least = closest.entry(format!("{name}, {}", schedule.name)).or_insert(ratio);
                        *least = least.min(ratio);
                    }
                }
            }
        }
        // A bound that is far off says nothing. That of a proof is for the instruction with the largest witness.
        let far = |kind: &str| if kind.starts_with("prove") { 1.9 } else { 1.4 };
        assert!(closest.iter().all(|(kind, &ratio)| ratio < far(kind)), "{net}: {closest:?}");
    }
}

#[test]
fn help_and_completions() {
    let folder = Folder::new();
    let help = folder.text(&["--help"]);
    let commands = [
        "compile",
        "inspect",
        "disasm",
        "run",
        "profile",
        "trace",
        "prove",
        "verify",
        "verifier",
        "dispute",
        "devnet",
        "deploy",
        "verify-deployment",
        "account",
        "register",
        "request",
        "status",
        "result",
        "cancel",
        "redeliver",
        "withdraw",
        "serve",
        "watch",
        "image",
        "demo",
        "completions",
    ];
    for command in commands {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is missing in {help}");
        assert!(folder.text(&[command, "--help"]).contains("Usage: opml"), "{command}");
    }
    assert!(folder.text(&["image", "from-elf", "--help"]).contains("--stack"));
    assert!(folder.text(&["--version"]).starts_with("opml "));
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = folder.text(&["completions", shell]);
        for command in commands {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
}

#[test]
#[cfg(unix)]
fn a_reader_that_stops_early_is_not_an_error() {
    use std::process::{Command, Stdio};
    let folder = Folder::with_net("mnist-cnn");
    for args in [&["disasm", "net.opml"][..], &["completions", "bash"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_opml"));
        command.current_dir(folder.path(".")).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("opml starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an end");
        assert_eq!(
            (output.status.code(), &*String::from_utf8_lossy(&output.stderr)),
            (Some(0), ""),
            "{args:?}"
        );
    }
}
