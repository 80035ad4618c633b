//! Measures an image too large to hold in memory, and the compilation of models with as many weights. Run
//! with `cargo bench -p opml-tests --bench large`. OPML_GIB=N sets another size than 8 GiB. It needs twice as
//! much disk space.
//!
//! With OPML_BLESS=1 the table is also written to docs/large-images.md.

mod compiling;

use dnn_lib::tensor::DType;
use image::{BigStep, Contents, Image, Interface, Region, Role, Segment, Symbol, Tensor};
use interpreter::Interpreter;
use isa::{Extensions, Instruction, Op, encode};
use jit::Jit;
use opml_tests::report::{self, number};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use step::{MachineProfile, Status};

/// log2 of the bytes of a layer's weights.
const LAYER_BITS: u32 = 26;
/// The address of the sum of all weights.
const OUTPUT: u64 = 0x1000;
/// The address of the code.
const CODE: u64 = 0x10_0000;
/// How often each measurement is repeated. The median counts.
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // Cargo's test runner also starts benchmarks, but only `cargo bench` should measure.
    match &arguments[..] {
        [_, child, path] if child == "open" => opened(Path::new(path)),
        [_, child, model, source] if child == "compile" => {
            compiling::measured(Path::new(model), Path::new(source));
        }
        _ if arguments.iter().any(|argument| argument == "--bench") => measure(),
        _ => {}
    }
}

/// The figures of a new process.
fn child(arguments: &[&Path]) -> Vec<(String, f64)> {
    let output = Command::new(std::env::current_exe().expect("this program")).args(arguments).output();
    let output = output.expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figure = |line: &str| {
        let (name, value) = line.split_once('=').expect("a figure");
        (name.to_owned(), value.parse().expect("a number"))
    };
    String::from_utf8_lossy(&output.stdout).lines().map(figure).collect()
}

/// Makes the image. Separate processes open and run it. Then compiles models.
fn measure() {
    let gigabytes: u64 =
        std::env::var("OPML_GIB").map_or(8, |text| text.parse().expect("OPML_GIB is a number"));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = folder.path().join("large.opml");
    let start = Instant::now();
    let image = Image::create(contents(gigabytes), Some(&path), |_| ()).expect("room on the disk");
    let made = start.elapsed().as_secs_f64();
    let whole = fs::metadata(&path).expect("the file").len() as f64;
    let stored = image.stored() as f64;
    drop(image);
    let mut rounds = BTreeMap::<String, Vec<f64>>::new();
    for _ in 0..ROUNDS {
        for (name, value) in child(&["open".as_ref(), &path]) {
            rounds.entry(name).or_default().push(value);
        }
    }
    fs::remove_file(&path).expect("the image");
    let mut rows = vec![["figure", "ours", "to reach"].map(str::to_owned).to_vec()];
    let mut row = |name: &str, value: f64, unit: &str, goal: &str| {
        rows.push([name, &format!("{} {unit}", number(value)), goal].map(str::to_owned).to_vec());
    };
    row("weights", stored / 1e9, "GB", "8");
    row("stored nodes and all else", (whole - stored) / stored * 100.0, "% of that", "-");
    for (name, text, unit, goal) in [
        ("open", "open the image", "ms", "< 50"),
        ("machine", "make a machine of it", "ms", "-"),
        ("step", "first big step: 64 MiB of weights, 34 M instructions", "ms", "-"),
        ("root", "state root after it", "ms", "-"),
        ("resident", "most memory resident until then, the file's pages too", "MB", "< 500"),
        ("next", "the next three big steps with their roots", "ms", "-"),
        ("back", "go back to the first one's end", "ms", "-"),
        ("verify", "check every byte and node", "s", "-"),
    ] {
        let values = rounds.get_mut(name).expect("a figure");
        values.sort_by(f64::total_cmp);
        row(text, values[values.len() / 2], unit, goal);
    }
    row("make it: hash all and write it", made, "s", "-");
    rows.extend(compiling::rows(folder.path(), gigabytes));
    let table = report::table(&rows);
    println!("{table}");
    if std::env::var_os("OPML_BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/large-images.md");
        fs::write(path, document(&table)).expect("docs/large-images.md can be written");
    }
}

/// Opens and runs the image, and reports the cost.
fn opened(path: &Path) {
    let mut start = Instant::now();
    let mut say = |name: &str| {
        println!("{name}={}", start.elapsed().as_secs_f64() * 1e3);
        start = Instant::now();
    };
    let image = Image::open(path).expect("an image");
    say("open");
    let mut machine = Jit::new(&image).expect("a machine");
    say("machine");
    let run = |machine: &mut Jit, big_step: &BigStep| {
        machine.start(big_step.entry);
        assert_eq!(machine.run(big_step.bound).status, Status::Exited);
    };
    run(&mut machine, &image.schedule[0]);
    say("step");
    let root = machine.state_root();
    say("root");
    println!("resident={}", most_resident() / 1e6);
    let snapshot = machine.snapshot();
    say("snapshot");
    for big_step in &image.schedule[1..4] {
        run(&mut machine, big_step);
        let _ = machine.state_root();
    }
    say("next");
    machine.restore(&snapshot).expect("the same image");
    assert_eq!(machine.state_root(), root);
    say("back");
    let start = Instant::now();
    image.verify(|_| ()).expect("a good image");
    println!("verify={}", start.elapsed().as_secs_f64());
    let mut again = Interpreter::new(&image).expect("a machine");
    again.start(image.schedule[0].entry);
    again.run(image.schedule[0].bound);
    assert_eq!(again.state_root(), root, "the interpreter");
}

/// The maximum number of bytes that this process has had in memory.
fn most_resident() -> f64 {
    let text = fs::read_to_string("/proc/self/status").expect("a process");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
}

/// As many random bytes, a multiple of eight.
fn random(mut seed: u64, length: u64) -> Vec<u8> {
    let next = |_| {
        // Knuth's linear congruential generator.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed.to_le_bytes()
    };
    (0..length / 8).flat_map(next).collect()
}

/// Layers of random weights, with one big step for each that sums them.
fn contents(gigabytes: u64) -> Contents {
    let layers = gigabytes << (30 - LAYER_BITS);
    let weights = bytes::Bytes::from(random(2026, 1 << LAYER_BITS));
    let address = |layer: u64| (layer + 1) << LAYER_BITS;
    let segment = |layer| Segment { address: address(layer), bytes: weights.clone() };
    let bound = 4 * (1 << (LAYER_BITS - 3)) + 20;
    let (mut code, mut schedule) = (Vec::new(), Vec::new());
    for layer in 0..layers {
        let entry = CODE + 4 * code.len() as u64;
        code.extend(sum(layer));
        let (operator, node) = ("Sum".to_owned(), format!("layer {layer}"));
        let (kernel, output, lo, hi, arguments) = (0, 0, 0, 1, vec![address(layer)]);
        schedule.push(BigStep { kernel, operator, node, output, lo, hi, arguments, entry, bound });
    }
    let mut code: Vec<u8> = code.into_iter().flat_map(u32::to_le_bytes).collect();
    code.resize(code.len().next_multiple_of(32), 0);
    let memory_bits = (address(layers).next_power_of_two() << 1).ilog2() as u8;
    let tensor = |name: &str, role, address| {
        let (dtype, shape, bytes) = (DType::U64, vec![1], 8);
        Tensor { name: name.to_owned(), role, dtype, shape, address, bytes }
    };
    Contents {
        profile: MachineProfile::new(Extensions::IM, memory_bits, CODE, code.len() as u64)
            .expect("a machine"),
        entry: CODE,
        sp: 0,
        code: code.into(),
        segments: (0..layers).map(segment).collect(),
        tensors: vec![tensor("sum", Role::Output, OUTPUT), tensor("start", Role::Input, 0x2000)],
        symbols: vec![Symbol { name: "sum".to_owned(), address: CODE, size: 0 }],
        schedule,
        period: None,
        sections: Vec::new(),
        interface: Some(Interface {
            inputs: vec![Region { address: 0x2000, bits: 5 }],
            outputs: vec![Region { address: OUTPUT, bits: 5 }],
            scratch_bits: 12,
            bound: layers * bound,
        }),
    }
}

/// Adds a layer's weights to the sum, and exits.
fn sum(layer: u64) -> Vec<u32> {
    use Op::*;
    let instruction =
        |op, [rd, rs1, rs2]: [u8; 3], imm| Instruction { rd, rs1, rs2, imm, ..Instruction::new(op) };
    let program = [
        instruction(Addi, [5, 0, 0], layer as i32 + 1),
        instruction(Slli, [5, 5, 0], LAYER_BITS as i32),
        instruction(Addi, [6, 0, 0], layer as i32 + 2),
        instruction(Slli, [6, 6, 0], LAYER_BITS as i32),
        instruction(Lui, [9, 0, 0], OUTPUT as i32),
        instruction(Ld, [8, 9, 0], 0),
        instruction(Ld, [7, 5, 0], 0),
        instruction(Add, [8, 8, 7], 0),
        instruction(Addi, [5, 5, 0], 8),
        instruction(Bne, [0, 5, 6], -12),
        instruction(Sd, [0, 9, 8], 0),
        instruction(Addi, [17, 0, 0], 93),
        instruction(Ecall, [0, 0, 0], 0),
    ];
    program.into_iter().map(|instruction| encode(instruction).expect("operands that fit")).collect()
}

fn document(table: &str) -> String {
    let (today, computer) = (report::today(), report::computer());
    format!(
        "# Large images

An image is opened, not read. Memory and the nodes above it stay in the file, and the system loads the pages
that are touched ([formats.md](formats.md#image)). So neither weights of tens of gigabytes nor the many
machines of a dispute take memory that they don't use, and what was hashed when the image was made isn't
hashed again.

    OPML_BLESS=1 cargo bench -p opml-tests --bench large

wrote this page on {today}, on this computer:
{computer}.

The image is synthetic: layers of 64 MiB of random weights, and one big step per layer that adds them up.
Every figure is the median of {ROUNDS} new processes. The file is in the system's cache as far as it fits.

A model is compiled as sparingly. Its file and those of its external data are mapped, and a constant is a part
of such a mapping all the way to the image. The image is written once, in its place, while its tree is hashed,
and what has been written leaves the memory of the process. The models here are chains of matrix products with
random weights. Their figures are medians of 5 new processes for the smaller one and of 3 for the larger. For
the ratio, the image is hashed once more, and the weights are read and written once more. A constant that has
to be transposed is written to a file without a name first, in the folder of `TMPDIR`, and leaves memory too.

What a command does with an image of more than 64 MiB before it begins:

| command | at the start |
|---|---|
| `run`, `trace`, `profile`, `inspect`, `disasm` | opens it |
| `serve`, `watch` | open it; the bytes are checked while the player runs ([operating.md](operating.md#the-check-of-an-image)) |
| `register`, `dispute`, `verifier`, `inspect --verify` | check every byte and node |

{table}"
    )
}
