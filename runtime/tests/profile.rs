//! Where a run spends its steps, and the machine's state at any of them.

use crate::common::{Folder, fixture, program};
use serde_json::Value;

#[test]
fn trace_takes_ranges_and_shows_long_runs_from_afar() {
    let folder = Folder::with_net("mnist-mlp");
    let digit = fixture("digits/7.flat.npy");
    let run = ["run", "net.opml", "--input", &digit, "--backend", "jit"];
    let last = folder.json(&run)["steps"].as_u64().expect("a number");
    let rows = |args: &[&str]| {
        let args = [&["trace", "net.opml", "--input", &digit], args].concat();
        folder.json(&args)["steps"].as_array().expect("rows").clone()
    };
    let numbers =
        |rows: &[Value]| rows.iter().map(|row| row["step"].as_u64().expect("a step")).collect::<Vec<_>>();
    let range = rows(&["--at", "1000..1003", "--at", "7", "--at", "1002..1004"]);
    assert_eq!(numbers(&range), [7, 1000, 1001, 1002, 1003]);
    let every = rows(&["--every", "10000"]);
    let mut expected: Vec<u64> = (0..last).step_by(10000).collect();
    expected.push(last);
    assert_eq!(numbers(&every), expected);
    assert_eq!(every.last().expect("rows")["status"], "exited");
    // However it is reached, a step has one root and one element.
    let both = rows(&["--every", "10000", "--at", "1001", "--at", "10000", "--at", &last.to_string()]);
    assert_eq!(both.len(), every.len() + 1);
    for row in every.iter().chain(&range) {
        let same = both.iter().find(|other| other["step"] == row["step"]);
        assert!(same.is_none_or(|same| same["state_root"] == row["state_root"]), "{row}");
    }
    let single = rows(&["--at", "10000"]);
    assert_eq!(single[0], both[2]);
    assert!(single[0]["element"].is_number() && every[1]["element"].is_null(), "{single:?}");
    // A truncated run shows where it ended.
    assert_eq!(numbers(&rows(&["--every", "10", "--max-steps", "25"])), [0, 10, 20, 25]);
    for (args, says) in [
        (&["--at", "5..5"][..], &["5..5", "does not include its end"][..]),
        (&["--at", "0..1000000000000"], &["more than 100,000 steps", "--every"]),
        (&["--at", "18446744073709551615"], &["--max-steps"]),
        (&["--every", "0"], &["--every"]),
        (&["--every", "10000", "--at", "99999999"], &["99999999 is beyond the end"]),
        (&[], &["--at"]),
    ] {
        folder.fails(&[&["trace", "net.opml", "--input", &digit], args].concat()).says(says);
    }
    folder.write("loop.elf", program(&[0x0000_006f]));
    folder.text(&["image", "from-elf", "loop.elf", "-o", "loop.opml"]);
    folder.fails(&["trace", "loop.opml", "--every", "1"]).says(&["more than 100,000 steps", "raise --every"]);
}

/// The sum of the steps in the rows of a table.
fn sum(table: &Value) -> u64 {
    table.as_array().expect("rows").iter().map(|row| row["steps"].as_u64().expect("a number")).sum()
}

#[test]
fn profile_books_every_step() {
    for (net, digit) in [("mnist-mlp", "digits/7.flat.npy"), ("mnist-cnn", "digits/7.npy")] {
        let folder = Folder::with_net(net);
        let fed = ["net.opml", "--input", &fixture(digit)];
        let ran = folder.json(&[&["run", "--backend", "jit"], &fed[..]].concat());
        let profile =
            folder.json(&[&["profile"], &fed[..], &["--flame", "flame.svg", "--top", "1000000"]].concat());
        assert_eq!((&profile["steps"], &profile["status"]), (&ran["steps"], &"exited".into()));
        let steps = ran["steps"].as_u64().expect("a number");
        for table in ["operators", "nodes", "functions", "instructions", "blocks", "addresses"] {
            assert_eq!(sum(&profile[table]), steps, "{net}: {table}");
        }
        // All steps except the first belong to a big step, and none takes more than its bound.
        assert_eq!(sum(&profile["big_steps"]), steps - 1);
        let big_steps = profile["big_steps"].as_array().expect("rows");
        assert!(
            big_steps.iter().all(|step| step["steps"].as_u64() <= step["bound"].as_u64()),
            "{big_steps:?}"
        );
        assert_eq!(profile["instructions_touched"], profile["addresses"].as_array().expect("rows").len());
        let svg = String::from_utf8(folder.read("flame.svg")).expect("text");
        assert!(svg.starts_with("<?xml") && svg.contains("<svg"), "{}", &svg[..80]);
        let largest = &profile["nodes"][0];
        for name in ["operator", "node"].map(|field| largest[field].as_str().expect("a name")) {
            assert!(svg.contains(name), "{name} is not in the flame graph");
        }
        // The same run gives the same picture, and text the same numbers.
        let text = folder.text(&[&["profile"], &fed[..], &["--flame", "again.svg", "--top", "3"]].concat());
        assert_eq!(folder.read("again.svg"), svg.into_bytes());
        assert_eq!(text.lines().filter(|line| line.trim().starts_with("all ")).count(), 5, "{text}");
        for word in ["Softmax", "others", "100.00", "fmadd.s", "exited with 0", "again.svg"] {
            assert!(
                text.contains(word) || word == "Softmax" && net == "mnist-cnn",
                "{word} is missing in {text}"
            );
        }
    }
}

#[test]
fn big_steps_of_one_node_share_its_row() {
    let folder = Folder::new();
    folder.text(&["compile", &fixture("mnist-mlp/model.onnx"), "-o", "net.opml", "--budget", "15000"]);
    let profile = folder.json(&["profile", "net.opml", "--input", &fixture("digits/7.flat.npy")]);
    let nodes = profile["nodes"].as_array().expect("rows");
    let big_steps = profile["big_steps"].as_array().expect("rows");
    let first = nodes.iter().find(|node| node["node"] == "fc1+relu1").expect("the first layer");
    let parts: Vec<_> = big_steps.iter().filter(|step| step["node"] == "fc1+relu1").collect();
    assert!(parts.len() > 1 && first["big_steps"] == parts.len(), "{first}");
    assert_eq!(
        first["steps"],
        parts.iter().map(|part| part["steps"].as_u64().expect("a number")).sum::<u64>()
    );
    assert_eq!(sum(&profile["nodes"]), profile["steps"].as_u64().expect("a number"));
}

#[test]
fn profile_takes_programs() {
    let folder = Folder::new();
    folder.text(&["image", "from-elf", &fixture("programs/crc32.elf"), "-o", "crc.opml"]);
    let profile = folder.json(&["profile", "crc.opml", "--flame", "flame.svg"]);
    let ran = folder.json(&["run", "crc.opml"]);
    assert_eq!((&profile["steps"], &profile["exit_code"]), (&ran["steps"], &ran["exit_code"]));
    for table in ["functions", "instructions"] {
        assert_eq!(sum(&profile[table]), ran["steps"].as_u64().expect("a number"), "{table}");
    }
    assert!(profile.get("operators").is_none() && profile.get("nodes").is_none(), "{profile}");
    let svg = String::from_utf8(folder.read("flame.svg")).expect("text");
    assert!(svg.contains(profile["functions"][0]["function"].as_str().expect("a name")), "{svg}");
    let text = folder.text(&["profile", "crc.opml"]);
    assert!(text.contains(profile["blocks"][0]["place"].as_str().expect("a place")), "{text}");
}

#[test]
fn a_profile_of_a_known_program_has_known_counts() {
    let folder = Folder::new();
    // li t0, 100; loop: addi t0, t0, -1; sw t0, 64(zero); bnez t0, loop; then exit, or an illegal word.
    let turns = [0x0640_0293, 0xfff2_8293, 0x0450_2023, 0xfe02_9ce3];
    folder.write("exit.elf", program(&[&turns[..], &[0x05d0_0893, 0x0000_0073]].concat()));
    folder.write("trap.elf", program(&[&turns[..], &[0x0000_3003, 0x0000_0073]].concat()));
    for name in ["exit", "trap"] {
        folder.text(&["image", "from-elf", &format!("{name}.elf"), "-o", &format!("{name}.opml")]);
    }
    let profile = folder.json(&["profile", "exit.opml"]);
    // The start code loads `gp`, `sp` and the entry, and calls it.
    let expected = serde_json::json!([
        { "instruction": "addi", "steps": 102 }, { "instruction": "bne", "steps": 100 },
        { "instruction": "sw", "steps": 100 }, { "instruction": "ld", "steps": 3 },
        { "instruction": "auipc", "steps": 1 }, { "instruction": "ecall", "steps": 1 },
        { "instruction": "jalr", "steps": 1 },
    ]);
    assert_eq!((&profile["steps"], &profile["instructions"]), (&308.into(), &expected));
    let functions = serde_json::json!([
        { "function": "(no symbol)", "steps": 303 }, { "function": "_opml_start", "steps": 5 },
    ]);
    assert_eq!(profile["functions"], functions);
    let hot = &profile["blocks"][0];
    assert_eq!((&hot["times"], &hot["steps"], &hot["address"]), (&100.into(), &300.into(), &0x1_0004.into()));
    let texts: Vec<_> =
        hot["instructions"].as_array().expect("lines").iter().map(|line| &line["text"]).collect();
    assert_eq!(texts, ["addi t0, t0, -1", "sw t0, 64(zero)", "bne t0, zero, -8  # 0x10004"]);
    // A run that traps or continues is shown as far as it went.
    let trapped = folder.json(&["profile", "trap.opml"]);
    assert_eq!(sum(&trapped["instructions"]), trapped["steps"].as_u64().expect("a number"));
    assert!(trapped["ending"].as_str().expect("text").contains("trapped at pc 0x1001"), "{trapped}");
    assert!(folder.text(&["profile", "trap.opml"]).contains("the machine trapped"));
    // li t0, -4; jr t0: the last possible address.
    folder.write("far.elf", program(&[0xffc0_0293, 0x0002_8067]));
    folder.text(&["image", "from-elf", "far.elf", "-o", "far.opml"]);
    let far = folder.json(&["profile", "far.opml", "--flame", "far.svg"]);
    assert_eq!((&far["steps"], &far["instructions_touched"], sum(&far["blocks"])), (&8.into(), &7.into(), 8));
    assert!(folder.text(&["profile", "far.opml"]).contains("(no code)"));
    ["far.elf", "far.opml", "far.svg"]
        .iter()
        .for_each(|file| std::fs::remove_file(folder.path(file)).expect("a file"));
    let cut = folder.json(&["profile", "exit.opml", "--max-steps", "50"]);
    assert_eq!((sum(&cut["instructions"]), &cut["status"]), (50, &"running".into()));
    assert!(
        folder
            .text(&["profile", "exit.opml", "--max-steps", "0"])
            .contains("still running: --max-steps is 0")
    );
    let nothing = ["profile", "exit.opml", "--max-steps", "0", "--flame", "no.svg"];
    folder.fails(&nothing).says(&["nothing to draw", "--max-steps"]);
    folder.fails(&["profile", "exit.opml", "--flame", "nowhere/no.svg"]).says(&["nowhere/no.svg"]);
    folder.fails(&["profile", "exit.opml", "--top", "-1"]).says(&["-1"]);
    assert_eq!(folder.files(), ["exit.elf", "exit.opml", "trap.elf", "trap.opml"]);
}
