//! Measures the promised figures, beside those of others. Run with `cargo bench -p opml-tests --bench
//! figures`.
//!
//! With OPML_BLESS=1 they are also written to docs/figures.md.

#[path = "../../vm/interpreter/benches/loops/mod.rs"]
mod loops;

use compiler::{Compiled, Options};
use contracts::cost::{Schedule, Usage};
use evm::{Answer, Cost, Verifier};
use image::{Image, Role};
use interpreter::Interpreter;
use isa::{Extensions, Instruction, Op};
use jit::Jit;
use memory::{Hasher, Memory, PAGE};
use opml_tests::report::{self, number};
use rayon::ThreadPoolBuilder;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use step::{MachineProfile, Status, Tree};

/// How often each measurement is repeated. The median counts.
const ROUNDS: usize = 15;
/// Steps of an endless loop in one measurement.
const STEPS: u64 = 20_000_000;

/// More steps than any of these runs needs.
const ENOUGH: u64 = 1 << 30;

/// Hashers, with the minimum gigabytes per second, and the maximum milliseconds for the root after touching
/// pages.
const HASHERS: [(&str, Goal, Goal); 4] = [
    ("portable", Goal::AtLeast(0.1), Goal::None),
    ("SSE2", Goal::AtLeast(0.1), Goal::None),
    ("AVX2", Goal::AtLeast(0.2), Goal::None),
    ("AVX-512", Goal::AtLeast(0.5), Goal::Below(10.0)),
];

/// A line of the table.
struct Figure {
    name: String,
    ours: f64,
    unit: &'static str,
    goal: Goal,
    baseline: &'static str,
}

/// The target of a figure.
enum Goal {
    AtMost(f64),
    Below(f64),
    AtLeast(f64),
    None,
}

impl Goal {
    /// The target as text, and whether a figure reaches it.
    fn compare(&self, ours: f64) -> (String, bool) {
        match *self {
            Self::AtMost(limit) => (format!("≤ {}", number(limit)), ours <= limit),
            Self::Below(limit) => (format!("< {}", number(limit)), ours < limit),
            Self::AtLeast(limit) => (format!("≥ {}", number(limit)), ours >= limit),
            Self::None => ("-".to_owned(), true),
        }
    }
}

/// A bundled network, compiled.
struct Net {
    name: &'static str,
    compiled: Compiled,
    input: Vec<u8>,
    multiply_adds: f64,
    parameters: f64,
}

impl Net {
    fn new(name: &'static str, folder: &str, digit: &str) -> Self {
        let folder = fixture(folder);
        let compiled = compile(&folder);
        let metrics = fs::read(folder.join("metrics.json")).expect("metrics");
        let metrics: serde_json::Value = serde_json::from_slice(&metrics).expect("JSON");
        let metric = |name: &str| metrics[name].as_f64().expect("a number");
        let digit = fs::read(fixture(digit)).expect("a digit");
        let input = digit[digit.len() - 28 * 28 * size_of::<f32>()..].to_vec();
        Self {
            name,
            compiled,
            input,
            multiply_adds: metric("multiply_adds"),
            parameters: metric("parameters"),
        }
    }

    fn image(&self) -> &Image {
        &self.compiled.image
    }

    /// The machine with the digit in it, before its first step.
    fn machine(&self) -> Interpreter {
        let mut machine = Interpreter::new(self.image()).expect("memory");
        machine.write_memory(self.address(), &self.input).expect("a digit that fits");
        machine
    }

    /// The class of the digit.
    fn address(&self) -> u64 {
        let input = self.image().tensors.iter().find(|tensor| tensor.role == Role::Input);
        input.expect("an input").address
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)
}

fn compile(folder: &Path) -> Compiled {
    compiler::compile(&folder.join("model.onnx"), &Options::default()).expect("a model that compiles")
}

fn main() {
    // Cargo's test runner also starts benchmarks, but only `cargo bench` should measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mlp = Net::new("MLP 784-20-10", "mnist-mlp", "digits/7.flat.npy");
    let cnn = Net::new("CNN", "mnist-cnn", "digits/7.npy");
    let mut figures = Vec::from(inference(&mlp, "opML: about 800", Goal::AtMost(20.0), "opML: 2,000"));
    figures.extend(inference(&cnn, "-", Goal::None, "-"));
    figures.extend(speed(&cnn));
    figures.extend(gas(&[&mlp, &cnn]));
    figures.extend(bytecode());
    figures.extend(compilation(&cnn));
    figures.extend(hashing());
    let table = table(&figures);
    println!("{table}");
    if std::env::var_os("OPML_BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/figures.md");
        fs::write(path, document(&table)).expect("docs/figures.md can be written");
    }
}

/// The median time in seconds of `work` on the result of `prepare`.
fn median<T, R>(mut prepare: impl FnMut() -> T, mut work: impl FnMut(&mut T) -> R) -> f64 {
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let mut subject = prepare();
            let start = Instant::now();
            std::hint::black_box(work(&mut subject));
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[ROUNDS / 2]
}

/// Runs a machine to its end. Returns the number of steps.
fn finish(machine: &mut Interpreter) -> u64 {
    let outcome = machine.run(ENOUGH);
    assert_eq!(outcome.status, Status::Exited);
    outcome.steps
}

fn inference(net: &Net, steps: &'static str, milliseconds: Goal, time: &'static str) -> [Figure; 2] {
    let made = finish(&mut net.machine()) as f64;
    let seconds = median(|| net.machine(), finish);
    [
        Figure {
            name: format!("{}: VM steps per multiply-add", net.name),
            ours: made / net.multiply_adds,
            unit: "",
            goal: Goal::AtMost(8.0),
            baseline: steps,
        },
        Figure {
            name: format!("{}: inference in the interpreter", net.name),
            ours: seconds * 1e3,
            unit: "ms",
            goal: milliseconds,
            baseline: time,
        },
    ]
}

/// Million instructions per second.
fn speed(cnn: &Net) -> [Figure; 4] {
    let endless = |program: Vec<Instruction>| {
        let seconds = median(
            || Interpreter::new(&loops::image_of(&program)).expect("memory"),
            |machine| machine.run(STEPS),
        );
        STEPS as f64 / seconds / 1e6
    };
    let whole = |prepare: &dyn Fn() -> Interpreter| {
        let steps = finish(&mut prepare()) as f64;
        steps / median(prepare, finish) / 1e6
    };
    let crc32 = fs::read(fixture("programs/crc32.elf")).expect("a program");
    let crc32 =
        image::elf::load(&crc32, &image::elf::Options::default()).expect("a program that loads").contents;
    let crc32 = Image::new(crc32).expect("an image");
    let figure = |name: &str, ours: f64, least: f64| Figure {
        name: format!("interpreter, {name}"),
        ours,
        unit: "M instr/s",
        goal: Goal::AtLeast(least),
        baseline: "-",
    };
    [
        figure("loop of integer code", endless(loops::integers()), 250.0),
        figure("CRC-32 compiled by gcc", whole(&|| Interpreter::new(&crc32).expect("memory")), 250.0),
        figure("loop of f32 multiply-adds", endless(loops::floats()), 150.0),
        figure("the CNN", whole(&|| cnn.machine()), 150.0),
    ]
}

/// A kind of instruction, named as in the table, with the maximum gas that it may cost and the cost of a
/// similar one in Cannon.
type Sort = (&'static str, fn(Op) -> bool, f64, &'static str);

const SORTS: [Sort; 4] = [
    (
        "integer ALU",
        |op| matches!(opcode(op), 0x13 | 0x1b | 0x33 | 0x3b | 0x37 | 0x17),
        8_000.0,
        "Cannon: 18,900",
    ),
    ("load, float loads too", |op| matches!(opcode(op), 0x03 | 0x07), 12_000.0, "Cannon: 25,100"),
    ("store, float stores too", |op| matches!(opcode(op), 0x23 | 0x27), 13_500.0, "Cannon: 30,400"),
    ("fmadd.s", |op| op == Op::FmaddS, 16_000.0, "-"),
];

fn opcode(op: Op) -> u32 {
    op.entry().bits & 0x7f
}

/// The contract's maximum cost over the sampled steps of whole runs.
fn gas(nets: &[&Net]) -> Vec<Figure> {
    let costs: Vec<(Op, Cost)> = nets.iter().flat_map(|net| sample(net)).collect();
    let worst = |wanted: &dyn Fn(Op) -> bool, amount: fn(&Cost) -> u64| {
        let of_interest = costs.iter().filter(|(op, _)| wanted(*op));
        of_interest.map(|(op, cost)| (amount(cost), *op)).max().expect("such a step")
    };
    let figure = |name: String, (ours, op): (u64, Op), unit, goal, baseline| {
        let name = format!("{name} (worst: {})", op.entry().mnemonic);
        Figure { name, ours: ours as f64, unit, goal, baseline }
    };
    let mut figures: Vec<Figure> = SORTS
        .iter()
        .map(|(name, wanted, most, baseline)| {
            let worst = worst(wanted, |cost| cost.execution);
            figure(format!("execution of {name}"), worst, "gas", Goal::Below(*most), *baseline)
        })
        .collect();
    let (any, steps) = (|_| true, costs.len());
    figures.push(figure(
        "execution of any step".to_owned(),
        worst(&any, |cost| cost.execution),
        "gas",
        Goal::None,
        "-",
    ));
    let calldata = worst(&any, |cost| cost.calldata as u64);
    figures.push(figure("calldata".to_owned(), calldata, "bytes", Goal::AtMost(1536.0), "Cannon: 2,212"));
    let transaction = worst(&any, |cost| cost.transaction);
    let name = format!("whole transaction, floor included, of {} steps", number(steps as f64));
    figures.push(figure(name, transaction, "gas", Goal::AtMost(60_000.0), "Cannon: 104,000"));
    let later = worst(&any, |cost| {
        let (bytes, zeros) = (cost.calldata as u64, cost.zeros as u64);
        let usage = Usage { bytes, zeros, execution: cost.execution, ..Usage::default() };
        Schedule::GLAMSTERDAM.gas(&usage)
    });
    let name = "the same under Glamsterdam's schedule".to_owned();
    figures.push(figure(name, later, "gas", Goal::AtMost(80_000.0), "-"));
    figures
}

/// The costs of steps in a run: the first, second, fourth, eighth step of each instruction, and so on.
fn sample(net: &Net) -> Vec<(Op, Cost)> {
    let image = net.image();
    let mut verifier = Verifier::new(&image.profile).expect("a verifier");
    let mut machine = net.machine();
    let mut visits: HashMap<u64, u64> = HashMap::new();
    let mut costs = Vec::new();
    while machine.status() == Status::Running {
        let visit = visits.entry(machine.pc()).or_insert(0);
        *visit += 1;
        if visit.is_power_of_two() {
            let before = machine.state_root();
            let (witness, after) = machine.witness().expect("a witness");
            let (answer, cost) = verifier.step(before, &witness).expect("an answer");
            assert_eq!(answer, Answer::Root(after), "step {}", machine.steps());
            costs.push((op_at(image, machine.pc()), cost));
        }
        machine.run(1);
    }
    costs
}

fn op_at(image: &Image, pc: u64) -> Op {
    let at = (pc - image.profile.code_base()) as usize;
    let word = u32::from_le_bytes(*image.code[at..].first_chunk().expect("a word"));
    isa::decode(word, image.extensions()).expect("an instruction").op
}

fn bytecode() -> [Figure; 2] {
    let figure = |extensions: Extensions, most: f64, baseline| {
        let profile = MachineProfile::new(extensions, 17, 1 << 17, 4096).expect("a machine");
        let verifier = Verifier::new(&profile).expect("a verifier");
        Figure {
            name: format!("verifier for {}, runtime code", extensions.name()),
            ours: verifier.code_size() as f64,
            unit: "bytes",
            goal: Goal::AtMost(most * 1024.0),
            baseline,
        }
    };
    [figure(Extensions::IM, 7.0, "Cannon: 10,358"), figure(Extensions::IMFD, 16.0, "opML: 25,323")]
}

fn compilation(cnn: &Net) -> [Figure; 5] {
    let folder = fixture("mnist-cnn");
    let image = cnn.image();
    let written = tempfile::NamedTempFile::new().expect("a file");
    image.write(written.path()).expect("room");
    // The work of `opml run`: everything from the file to the state root.
    let end_to_end = |_: &mut ()| {
        let image = Image::read(written.path()).expect("an image");
        let mut machine = Jit::new(&image).expect("memory");
        machine.write_memory(cnn.address(), &cnn.input).expect("a digit that fits");
        assert_eq!(machine.run(ENOUGH).status, Status::Exited);
        machine.state_root()
    };
    let file = image.to_bytes().expect("a file").len() as f64;
    let weights = cnn.parameters * size_of::<f32>() as f64;
    let rest = file - weights - image.profile.code_size() as f64;
    let figure =
        |name: &str, ours, unit, goal| Figure { name: name.to_owned(), ours, unit, goal, baseline: "-" };
    [
        figure("compilation of the CNN", median(|| (), |()| compile(&folder)), "s", Goal::Below(2.0)),
        figure("image of the CNN less weights and code", rest, "bytes", Goal::Below(64.0 * 1024.0)),
        figure("the CNN: load, check, run, root", median(|| (), end_to_end) * 1e3, "ms", Goal::Below(20.0)),
        figure(
            "check of every byte of the CNN's memory",
            median(|| (), |()| image.verify(|_| ())) * 1e3,
            "ms",
            Goal::None,
        ),
        figure(
            "state root after the CNN's run",
            median(
                || {
                    let mut machine = cnn.machine();
                    machine.state_root();
                    finish(&mut machine);
                    machine
                },
                Interpreter::state_root,
            ) * 1e3,
            "ms",
            Goal::None,
        ),
    ]
}

/// Roots of memory in one thread, with each hasher that this processor supports.
fn hashing() -> Vec<Figure> {
    const FULL: usize = 16 << 20;
    const TOUCHED: usize = 1000;
    let bytes: Vec<u8> =
        (0..FULL as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 | 1).collect();
    let written = |hasher, length: usize| {
        let mut memory = Memory::new(FULL.ilog2()).expect("memory").with_hasher(hasher);
        memory.write(0, &bytes[..length]).expect("inside");
        memory
    };
    let figures = |(name, least, soon)| {
        let hasher = Hasher::all().find(|hasher| hasher.name() == name);
        let seconds =
            |length| hasher.map_or(f64::NAN, |hasher| median(|| written(hasher, length), Memory::root));
        let speed = FULL as f64 / seconds(FULL) / 1e9;
        let figure = |name, ours, unit, goal| Figure { name, ours, unit, goal, baseline: "-" };
        [
            figure(format!("Merkle root, {name}"), speed, "GB/s", least),
            figure(format!("root after {TOUCHED} pages, {name}"), seconds(TOUCHED * PAGE) * 1e3, "ms", soon),
        ]
    };
    let dense = || {
        let seconds = median(|| (), |()| Tree::of_bytes(&bytes, FULL.ilog2() - 5));
        let best = Hasher::best().name();
        let least =
            HASHERS.into_iter().find(|(name, ..)| *name == best).map_or(Goal::None, |(_, least, _)| least);
        let (name, ours) = (format!("dense tree, {best}"), FULL as f64 / seconds / 1e9);
        Figure { name, ours, unit: "GB/s", goal: least, baseline: "-" }
    };
    let one_thread = ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    one_thread.install(|| HASHERS.into_iter().flat_map(figures).chain([dense()]).collect())
}

/// The figures in Markdown.
fn table(figures: &[Figure]) -> String {
    let mut rows = vec![["figure", "ours", "to reach", "baseline"].map(str::to_owned).to_vec()];
    for Figure { name, ours, unit, goal, baseline } in figures {
        let (goal, reached) = goal.compare(*ours);
        let ours = match number(*ours) {
            _ if ours.is_nan() => "not on this processor".to_owned(),
            ours if reached => format!("{ours} {unit}"),
            ours => format!("{ours} {unit} **(missed)**"),
        };
        rows.push(vec![name.clone(), ours.trim_end().to_owned(), goal, (*baseline).to_owned()]);
    }
    report::table(&rows)
}

/// The page with the table.
fn document(table: &str) -> String {
    format!(
        "# Figures

What we promise, what we measure, and what others reach.

    OPML_BLESS=1 cargo bench -p opml-tests --bench figures

wrote this page on {}, on this computer:
{}.

Times are medians of {ROUNDS} rounds on one core. Gas is that of an embedded EVM under Osaka's rules;
*execution* is the transaction's gas less its base cost and its calldata. Steps are taken from whole runs over
a digit: every instruction of the program when it is executed for the first time, the second, the fourth, the
eighth and so on. One KB is 1,024 bytes.

{table}
The baselines are opML's own MNIST example and verifier, and Cannon's single-step contract, the best peer.
\"-\" means that there is no figure, or no promise.
",
        report::today(),
        report::computer(),
    )
}
