//! What judging a step costs: a golden file, and the figures that we promise.

use evm::{Answer, Cost, Verifier};
use isa::{Entry, Extension, Extensions, Layout, Op, TABLE};
use opml_tests::hashed::Hashed;
use opml_tests::random::Random;
use std::fmt::Write as _;
use step::{Floats, MachineProfile};

/// 128 KiB of memory, about what the bundled multi-layer perceptron needs.
const MEMORY_BITS: u8 = 17;
/// The code is behind the memory.
const BASE: u64 = 1 << MEMORY_BITS;
/// Words of code: 8 KiB.
const CODE: usize = 2048;
/// Float registers in use; the others are as they were at reset.
const FLOATS_IN_USE: usize = 16;

/// A machine before this instruction, in the middle of its work: no sibling in a tree is zero.
fn machine(entry: &Entry, extensions: Extensions, floats_in_use: usize) -> Hashed {
    let random = &mut Random::new(7);
    let mut code: Vec<u32> = (0..CODE).map(|_| random.bits() as u32).collect();
    let at = CODE / 3;
    code[at] = typical(entry);
    let memory: Vec<u8> = (0..1 << MEMORY_BITS).map(|_| random.bits() as u8).collect();
    let mut floats = Floats::RESET;
    for (i, register) in floats.0.iter_mut().take(floats_in_use).enumerate() {
        *register = number(entry, i);
    }
    let mut machine = Hashed::new(extensions, MEMORY_BITS, BASE, &code).with_memory(&memory).with_floats(floats);
    machine.state.pc = BASE + 4 * at as u64;
    for x in &mut machine.state.x[1..] {
        *x = random.below(1 << MEMORY_BITS) & !7;
    }
    machine.state.x[17] = 93;
    machine
}

/// The instruction with registers 5 to 8, to nearest even, with an immediate that keeps addresses aligned.
fn typical(entry: &Entry) -> u32 {
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

/// A number like those in the middle of a net.
fn number(entry: &Entry, register: usize) -> u64 {
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

/// What an instruction may cost in execution.
fn limit(entry: &Entry) -> u64 {
    let access = entry.syntax.ends_with("imm(rs1)") && entry.op != Op::Jalr;
    match (access, entry.layout) {
        (true, Layout::S) => 13_000,
        (true, _) => 12_000,
        (false, _) if entry.uses_floats() => 16_000,
        (false, _) => 8_000,
    }
}

/// A line of the report.
fn line(text: &mut String, name: &str, cost: &Cost) {
    let Cost { execution, transaction, calldata, .. } = cost;
    let _ = writeln!(text, "{name:24} {execution:9} {calldata:8} {transaction:11}");
}

#[test]
fn report() {
    let mut text = String::from("Memory 128 KiB, code 8 KiB, every sibling sent.\n\n");
    let _ = writeln!(text, "{:10} {:>10} {:>10}", "verifier", "bytes", "deployment");
    for (extensions, limit) in [(Extensions::IM, 12_000), (Extensions::IMFD, 22_000)] {
        let verifier = verifier(extensions);
        let (bytes, gas) = (verifier.code_size(), verifier.deployment());
        let _ = writeln!(text, "{:10} {bytes:10} {gas:10}", extensions.name());
        assert!(bytes < limit, "{bytes} bytes");
    }
    let mut verifier = verifier(Extensions::IMFD);
    let _ = writeln!(text, "\n{:24} {:>9} {:>8} {:>11}", "rv64imfd", "execution", "calldata", "transaction");
    for entry in TABLE {
        let cost = cost(&mut verifier, machine(entry, Extensions::IMFD, FLOATS_IN_USE));
        line(&mut text, entry.mnemonic, &cost);
        assert!(cost.execution < limit(entry), "{}: {cost:?}", entry.mnemonic);
        assert!(cost.calldata <= 1536 && cost.transaction < 70_000, "{}: {cost:?}", entry.mnemonic);
    }
    let worst = cost(&mut verifier, machine(Op::Fld.entry(), Extensions::IMFD, 32));
    line(&mut text, "fld, 32 doubles in use", &worst);
    insta::assert_snapshot!(text);
}
