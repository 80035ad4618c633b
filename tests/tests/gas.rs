//! What judging a step costs, as a golden file and against the figures that we promise.

use evm::{Cost, Verifier};
use isa::{Entry, Extensions, Op, TABLE};
use opml_tests::hashed::Hashed;
use opml_tests::random::Random;
use std::fmt::Write as _;
use step::{Floats, Source as _};

/// 128 KiB of memory, about what the bundled multi-layer perceptron needs.
const MEMORY_BITS: u8 = 17;
/// Where the code is: behind the memory.
const BASE: u64 = 1 << MEMORY_BITS;
/// 8 KiB of code.
const CODE: usize = 2048;

/// A machine in the middle of its work, before this instruction: nothing in the trees is zero.
fn machine(entry: &Entry, random: &mut Random) -> Hashed {
    let mut code: Vec<u32> = (0..CODE).map(|_| random.bits() as u32 | 1).collect();
    let at = CODE / 3;
    let instruction = typical(entry);
    code[at] = instruction;
    let memory: Vec<u8> = (0..1 << MEMORY_BITS).map(|_| random.bits() as u8 | 1).collect();
    let floats = Floats(std::array::from_fn(|i| number(entry, i)));
    let mut machine = Hashed::new(Extensions::IMFD, MEMORY_BITS, BASE, &code).with_memory(&memory).with_floats(floats);
    machine.state.pc = BASE + 4 * at as u64;
    for x in &mut machine.state.x[1..] {
        *x = random.below(1 << 16) & !7;
    }
    machine.state.x[17] = 93;
    machine
}

/// The instruction with registers x5 to x8, to nearest even, without an immediate.
fn typical(entry: &Entry) -> u32 {
    let fields = 5 << 7 | 6 << 15 | 7 << 20 | 8 << 27;
    let registers = if entry.is_rounded() { fields } else { fields & !(7 << 12) };
    let immediate = if entry.has("imm") { 0x000f_ffff } else { u32::MAX };
    entry.bits | registers & immediate & !entry.mask
}

/// A float register's content: numbers like those of a net's middle.
fn number(entry: &Entry, register: usize) -> u64 {
    let value = 0.37 + register as f64 / 7.0;
    if entry.extension == isa::Extension::D {
        value.to_bits()
    } else {
        u64::from((value as f32).to_bits()) | 0xffff_ffff << 32
    }
}

fn cost(verifiers: &mut Verifier, entry: &Entry) -> Cost {
    let mut machine = machine(entry, &mut Random::new(7));
    let (witness, after) = machine.record();
    let (answer, cost) = verifiers.step(machine.root(), &witness).expect("an answer");
    assert_eq!(answer, evm::Answer::Root(after), "{}", entry.mnemonic);
    cost
}

#[test]
fn report() {
    let profile = machine(Op::Addi.entry(), &mut Random::new(7)).profile();
    let mut verifier = Verifier::new(&profile).expect("a verifier");
    let mut text = String::from("memory 128 KiB, code 8 KiB, rv64imfd\n");
    for extensions in [Extensions::IM, Extensions::IMFD] {
        let profile = step::Profile::new(extensions, MEMORY_BITS, BASE, 4 * CODE as u64).expect("a machine");
        let verifier = Verifier::new(&profile).expect("a verifier");
        let _ = writeln!(
            text,
            "{} code {} bytes, deployment {} gas",
            extensions.name(),
            verifier.code_size(),
            verifier.deployment()
        );
    }
    let _ = writeln!(text, "\n{:10} {:>9} {:>8} {:>8} {:>11}", "", "execution", "calldata", "floor", "transaction");
    for entry in TABLE {
        let Cost { execution, transaction, floor, calldata, .. } = cost(&mut verifier, entry);
        let _ = writeln!(text, "{:10} {execution:9} {calldata:8} {floor:8} {transaction:11}", entry.mnemonic);
    }
    println!("{text}");
}
