//! The generated contract in an Ethereum machine, against the step that it was printed from.

use evm::{Answer, Verifier};
use isa::{Entry, Extensions, Format, Layout, TABLE};
use opml_tests::hashed::Hashed;
use opml_tests::random::{Random, special_floats};
use step::{Floats, Profile, Root, Source as _, Status, WitnessError};

/// States for each instruction.
const STATES: u64 = 250;
/// 16 KiB of memory.
const MEMORY_BITS: u8 = 14;
/// Words of code.
const CODE: usize = 60;

/// A machine about to execute an instruction, in a state that likes the places where things go wrong.
fn hostile(entry: &Entry, extensions: Extensions, memory: &[u8], random: &mut Random) -> Hashed {
    // Mostly inside memory (which it hides), sometimes at either end, sometimes outside of it.
    let base = *random.pick(&BASES);
    let at = random.below(CODE as u64) as usize;
    let instruction = entry.bits | random.bits() as u32 & !entry.mask;
    // Bad rounding modes are wanted, but not in half of all cases.
    let rounded = entry.is_rounded() && instruction >> 12 & 7 > 4 && !random.one_in(8);
    let instruction = if rounded { instruction & !(4 << 12) } else { instruction };
    let code: Vec<u32> = (0..CODE).map(|i| if i == at { instruction } else { random.bits() as u32 }).collect();
    let mut machine = Hashed::new(extensions, MEMORY_BITS, base, &code).with_memory(memory);
    machine.state.pc = base + 4 * at as u64;
    for x in &mut machine.state.x[1..] {
        *x = random.word();
    }
    aim(entry, instruction, base, &mut machine, random);
    machine.with_floats(floats(random))
}

/// Where code is.
const BASES: [u64; 4] = [0x1000, 0, (1 << MEMORY_BITS) - 128, 0xffff_ffff_ffff_0000];

/// Makes addresses meet memory and its ends, system calls be `exit`, and operands meet each other.
fn aim(entry: &Entry, instruction: u32, base: u64, machine: &mut Hashed, random: &mut Random) {
    let (rs1, rs2) = ((instruction >> 15 & 31) as usize, (instruction >> 20 & 31) as usize);
    if entry.syntax.ends_with("imm(rs1)") && !random.one_in(8) {
        let imm = match entry.layout {
            Layout::S => (instruction >> 25 << 5 | instruction >> 7 & 31) << 20,
            _ => instruction >> 20 << 20,
        };
        let imm = i64::from(imm.cast_signed() >> 20).cast_unsigned();
        let place = match random.below(5) {
            0 => base.wrapping_add(random.below(4 * CODE as u64 + 16)).wrapping_sub(8),
            1 => (1 << MEMORY_BITS) - 16 + random.below(24),
            _ => random.below(1 << MEMORY_BITS),
        };
        let place = if random.one_in(4) { place } else { place & !7 };
        machine.state.x[rs1] = place.wrapping_sub(imm);
    } else if random.one_in(6) {
        machine.state.x[rs2] = machine.state.x[rs1];
    }
    if random.one_in(2) {
        machine.state.x[17] = 93;
    }
    machine.state.x[0] = 0;
}

/// Float registers: special ones or random ones, all boxed or a mixture.
fn floats(random: &mut Random) -> Floats {
    let boxed = random.one_in(2);
    let special = random.one_in(2);
    Floats(std::array::from_fn(|_| {
        let format = if boxed || random.one_in(2) { Format::F32 } else { Format::F64 };
        let number = if special { *random.pick(&special_floats(format)) } else { random.float(format) };
        let high = if format == Format::F32 && (boxed || !random.one_in(16)) { 0xffff_ffff << 32 } else { 0 };
        number | high
    }))
}

/// Contracts for the profiles that [`hostile`] makes.
fn verifiers(extensions: Extensions) -> impl Fn(&Profile) -> Verifier {
    move |profile| {
        assert_eq!(profile.extensions(), extensions);
        Verifier::new(profile).expect("a verifier")
    }
}

/// One verifier for each place of the code.
struct Contracts(Vec<(Profile, Verifier)>);

impl Contracts {
    fn step(&mut self, profile: Profile, before: Root, witness: &[u8]) -> Answer {
        let known = self.0.iter().position(|(of, _)| *of == profile).unwrap_or_else(|| {
            self.0.push((profile, verifiers(profile.extensions())(&profile)));
            self.0.len() - 1
        });
        self.0[known].1.step(before, witness).expect("an answer").0
    }

    /// Compares contract and Rust on a witness, whatever it is.
    fn agree(&mut self, profile: Profile, before: Root, witness: &[u8], what: &str) -> Result<Root, WitnessError> {
        let rust = step::verify(profile, witness, before);
        match (&rust, self.step(profile, before, witness)) {
            (Ok(root), Answer::Root(answer)) => assert_eq!(*root, answer, "{what}: other post-state roots"),
            (Err(_), Answer::Malformed(revert)) => assert!(!revert.name.is_empty(), "{what}: untyped {revert:?}"),
            (rust, answer) => panic!("{what}: Rust says {rust:?}, the contract {answer:?}"),
        }
        rust
    }
}

/// Memory half of which is zero.
fn memory(random: &mut Random) -> Vec<u8> {
    let mut leaves = (0..1 << (MEMORY_BITS - 5)).map(|_| random.one_in(2)).collect::<Vec<_>>();
    leaves.truncate(leaves.len() - leaves.len() / 8);
    leaves
        .iter()
        .flat_map(|&used| (0..32).map(move |i| (used, i)))
        .map(|(used, _)| if used { random.bits() as u8 } else { 0 })
        .collect()
}

fn every_instruction(extensions: Extensions, seed: u64) {
    let mut random = Random::new(seed);
    let memory = memory(&mut random);
    let mut contracts = Contracts(Vec::new());
    for entry in TABLE.iter().filter(|entry| extensions.has(entry.extension)) {
        let mut ran = 0;
        for i in 0..STATES {
            let mut machine = hostile(entry, extensions, &memory, &mut random);
            let (witness, after) = machine.record();
            let what = format!("{} state {i}", entry.mnemonic);
            let before = machine.root();
            assert_eq!(contracts.agree(machine.profile(), before, &witness, &what), Ok(after), "{what}");
            ran += u64::from(after != before && !traps(&mut machine));
            let bad = mutated(&witness, &mut random);
            if bad != witness {
                let what = format!("{what}, tampered");
                contracts.agree(machine.profile(), before, &bad, &what).expect_err(&what);
            }
        }
        assert!(ran > 0 || matches!(entry.mnemonic, "ebreak"), "{} never runs", entry.mnemonic);
    }
}

fn traps(machine: &mut Hashed) -> bool {
    let (_, after) = step::record(machine).expect("a step");
    matches!(after.status, Status::Trapped(_))
}

/// A witness with one thing wrong.
fn mutated(witness: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bad = witness.to_vec();
    let at = random.below(bad.len() as u64) as usize;
    match random.below(6) {
        0 => bad.truncate(at),
        1 => bad.push(random.bits() as u8),
        2 => bad.extend([0; 32]),
        3 => {
            bad.remove(at);
        }
        _ => bad[at] ^= 1 << random.below(8),
    }
    bad
}

#[test]
fn every_integer_instruction() {
    every_instruction(Extensions::IM, 1);
}

#[test]
fn every_instruction_with_floats() {
    every_instruction(Extensions::IMFD, 2);
}
