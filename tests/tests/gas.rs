//! The cost of a step in the contract: a golden file, and the promised figures.
//!
//! Typical steps are measured in the middle of their work. The most expensive ones are built so that no byte
//! of their calldata is zero unless it must be. Their cost is also computed from the format, so nothing can
//! cost more.

use contracts::cost::{Schedule, Usage};
use evm::{Answer, Cost, Verifier};
use isa::{Extension, Extensions, InstructionEntry, Layout, Op, TABLE};
use opml_tests::dearest::{Dearest, Trees, is_access};
use opml_tests::generated::{check, size_limit};
use opml_tests::hashed::Hashed;
use opml_tests::random::Random;
use opml_tests::tools::{in_repository, number};
use std::fmt::Write as _;
use step::{Floats, MachineProfile, Root};

/// 128 KiB of memory, roughly what the bundled multi-layer perceptron needs.
const MEMORY_BITS: u8 = 17;
/// The code is after the memory.
const BASE: u64 = 1 << MEMORY_BITS;
/// Words of code: 8 KiB.
const CODE: usize = 2048;
/// Float registers in use. The others are as at reset.
const FLOATS_IN_USE: usize = 16;

/// A machine before this instruction, in the middle of its work: no sibling in a tree is zero.
fn machine(entry: &InstructionEntry, extensions: Extensions, floats_in_use: usize) -> Hashed {
    let random = &mut Random::new(7);
    let mut code: Vec<u32> = (0..CODE).map(|_| random.bits() as u32).collect();
    let at = CODE / 3;
    code[at] = typical(entry);
    let memory: Vec<u8> = (0..1 << MEMORY_BITS).map(|_| random.bits() as u8).collect();
    let mut floats = Floats::RESET;
    for (i, register) in floats.0.iter_mut().take(floats_in_use).enumerate() {
        *register = value(entry, i);
    }
    let mut machine =
        Hashed::new(extensions, MEMORY_BITS, BASE, &code).with_memory(&memory).with_floats(floats);
    machine.state.pc = BASE + 4 * at as u64;
    for x in &mut machine.state.x[1..] {
        *x = random.below(1 << MEMORY_BITS) & !7;
    }
    machine.state.x[17] = 93;
    machine
}

/// The instruction with registers 5 to 8, rounding to nearest even, with an immediate that keeps addresses
/// aligned.
fn typical(entry: &InstructionEntry) -> u32 {
    let [rd, rs1, rs2, rs3] = [5 << 7, 6 << 15, 7 << 20, 8 << 27];
    let operands = match entry.layout {
        Layout::R | Layout::Rounded => rd | rs1 | rs2,
        Layout::R4 => rd | rs1 | rs2 | rs3,
        Layout::S => rs1 | rs2,
        Layout::B => rs1 | rs2 | 4 << 8,
        _ => rd | rs1,
    };
    entry.bits | operands & !entry.mask
}

/// A number as in the middle of a network.
fn value(entry: &InstructionEntry, register: usize) -> u64 {
    let value = 0.37 + register as f64 / 7.0;
    if entry.extension == Extension::D {
        value.to_bits()
    } else {
        u64::from((value as f32).to_bits()) | 0xffff_ffff << 32
    }
}

fn verifier(extensions: Extensions) -> Verifier {
    Verifier::new(&MachineProfile::new(extensions, MEMORY_BITS, BASE, 4 * CODE as u64).expect("a machine"))
        .expect("a verifier")
}

fn cost(verifier: &mut Verifier, mut machine: Hashed) -> Cost {
    let (witness, after) = machine.record();
    let (answer, cost) = verifier.step(machine.root(), &witness).expect("an answer");
    assert_eq!(answer, Answer::Root(after));
    cost
}

/// The maximum execution cost of an instruction.
fn limit(entry: &InstructionEntry) -> u64 {
    match (is_access(entry), entry.layout) {
        (true, Layout::S) => 13_500,
        (true, _) => 12_000,
        (false, _) if entry.uses_floats() => 16_000,
        (false, _) => 8_000,
    }
}

/// The most expensive transaction with this instruction in a machine of this size, and the proof that there
/// is none more expensive: the price follows from the format, and every byte that can be nonzero is.
fn dearest(entry: &InstructionEntry, trees: Trees, verifier: &mut Verifier) -> Cost {
    let mut machine = Dearest::transaction(entry, trees, &mut Random::new(8));
    let (witness, after) = machine.record();
    let (answer, cost) = verifier.step(machine.root(), &witness).expect("an answer");
    assert_eq!(answer, Answer::Root(after));
    let frame = evm::calldata(Root([1; 32]), machine.profile().word(), &vec![1; witness.len()]);
    let zeros = machine.zeros() + frame.iter().filter(|&&byte| byte == 0).count();
    assert_eq!(cost.zeros, zeros, "{}: {cost:?}", entry.mnemonic);
    let floor = 21_000 + 40 * (cost.calldata - zeros) + 10 * zeros;
    assert_eq!((cost.transaction, cost.floor), (floor as u64, floor as u64), "{}: {cost:?}", entry.mnemonic);
    cost
}

/// The most expensive execution found for this instruction.
fn dearest_execution(entry: &InstructionEntry, trees: Trees, verifier: &mut Verifier) -> u64 {
    let mut random = Random::new(9);
    let costs = (0..number("OPML_GAS_CASES", 30)).map(|_| {
        let mut machine = Dearest::execution(entry, trees, &mut random);
        let (witness, after) = machine.record();
        let (answer, cost) = verifier.step(machine.root(), &witness).expect("an answer");
        assert_eq!(answer, Answer::Root(after), "{}", entry.mnemonic);
        cost.execution
    });
    costs.max().unwrap_or_default()
}

/// What the same transaction costs under the announced schedule.
fn glamsterdam(cost: &Cost) -> u64 {
    let (bytes, zeros) = (cost.calldata as u64, cost.zeros as u64);
    Schedule::GLAMSTERDAM.gas(&Usage { bytes, zeros, execution: cost.execution, ..Usage::default() })
}

fn verifier_of(trees: Trees) -> Verifier {
    let machine = Dearest::transaction(Op::Fence.entry(), trees, &mut Random::new(8));
    Verifier::new(&machine.profile()).expect("a verifier")
}

/// The most expensive step of machines of some sizes, in `docs/costs.md`.
#[test]
fn the_dearest_steps_are_in_the_docs() {
    let mut table = String::from(
        "| Memory | Code | Calldata, bytes | Gas, Osaka | Gas, Glamsterdam | Instructions |\n|---|---|---:|---:|---:|---|\n",
    );
    for (memory, code, memory_bits, code_bits) in
        [("128 KiB", "8 KiB", 17, 13), ("2^45 bytes", "8 KiB", 45, 13), ("2^45 bytes", "1 GiB", 45, 30)]
    {
        let trees = Trees { memory_bits, code_bits };
        let mut verifier = verifier_of(trees);
        let costs: Vec<_> =
            TABLE.iter().map(|entry| (entry.mnemonic, dearest(entry, trees, &mut verifier))).collect();
        let most = costs.iter().map(|(_, cost)| cost.transaction).max().expect("instructions");
        let dearest: Vec<_> = costs.iter().filter(|(_, cost)| cost.transaction == most).collect();
        let names: Vec<_> = dearest.iter().map(|(mnemonic, _)| format!("`{mnemonic}`")).collect();
        let calldata = costs.iter().map(|(_, cost)| cost.calldata).max().expect("instructions") as u64;
        let later = costs.iter().map(|(_, cost)| glamsterdam(cost)).max().expect("instructions");
        let [calldata, most, later] =
            [calldata, most, later].map(|number| format!("{},{:03}", number / 1000, number % 1000));
        let names = names.join(", ");
        let _ = writeln!(table, "| {memory} | {code} | {calldata} | {most} | {later} | {names} |");
    }
    let path = in_repository("docs/costs.md");
    let (begin, end) = ("<!-- steps: made by a test -->\n\n", "\n<!-- end of steps -->");
    let page = std::fs::read_to_string(&path).expect("docs/costs.md");
    let (before, rest) = page.split_once(begin).expect("where the table begins");
    // An empty table has no line of its own.
    let (_, after) = rest.split_once(end.trim_start()).expect("where it ends");
    check(&path, &format!("{before}{begin}{table}{end}{after}"));
}

#[test]
fn report() {
    let mut text = String::from("Memory 128 KiB, code 8 KiB, every sibling sent.\n\n");
    let _ = writeln!(text, "{:10} {:>10} {:>10}", "verifier", "bytes", "deployment");
    for &extensions in Extensions::ALL {
        let verifier = verifier(extensions);
        let (bytes, gas) = (verifier.code_size(), verifier.deployment());
        let _ = writeln!(text, "{:10} {bytes:10} {gas:10}", extensions.name());
        assert!(bytes <= size_limit(extensions), "{bytes} bytes");
    }
    let trees = Trees { memory_bits: MEMORY_BITS, code_bits: 13 };
    let (mut verifier, mut other) = (verifier(Extensions::IMFD), verifier_of(trees));
    let _ = writeln!(text, "\n{:9} {:>29}   {:>29}", "rv64imfd", "typical", "dearest");
    let columns = format!("{:>9} {:>8} {:>10}", "execution", "calldata", "transaction");
    let _ = writeln!(text, "{:9} {columns}   {columns}", "");
    for entry in TABLE {
        let typical = cost(&mut verifier, machine(entry, Extensions::IMFD, FLOATS_IN_USE));
        assert!(typical.execution < limit(entry), "{}: {typical:?}", entry.mnemonic);
        assert!(typical.calldata <= 1536 && typical.transaction < 70_000, "{}: {typical:?}", entry.mnemonic);
        let worst = dearest(entry, trees, &mut other);
        let execution = dearest_execution(entry, trees, &mut other);
        let line =
            |execution, cost: &Cost| format!("{execution:9} {:8} {:11}", cost.calldata, cost.transaction);
        let (typical, worst) = (line(typical.execution, &typical), line(execution, &worst));
        let _ = writeln!(text, "{:9} {typical}   {worst}", entry.mnemonic);
    }
    insta::assert_snapshot!(text);
}
