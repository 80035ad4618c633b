//! The generated contract in an EVM, compared with the step from which it was printed.
//!
//! `OPML_EVM_CASES` sets the number of cases per instruction (200).

use evm::{Answer, Verifier};
use image::{Contents, Image};
use interpreter::Interpreter;
use isa::{Extensions, Instruction, InstructionEntry, Op, TABLE, encode};
use opml_tests::hashed::Hashed;
use opml_tests::hostile::{Case, Event, event};
use opml_tests::program::Program;
use opml_tests::random::Random;
use opml_tests::solc;
use opml_tests::tools::number;
use step::{MachineProfile, Part, Root, Source as _, State, Status, WitnessError, verify};

/// Verifiers of machines of any shape, each deployed once.
struct Contracts {
    /// Creation code in place of the checked-in one.
    code: Option<Vec<u8>>,
    deployed: Vec<(MachineProfile, Verifier)>,
}

impl Contracts {
    fn new() -> Self {
        Self { code: None, deployed: Vec::new() }
    }

    /// The contract's result.
    fn step(&mut self, profile: MachineProfile, before: Root, witness: &[u8]) -> Result<Answer, String> {
        let known = self.deployed.iter().position(|(of, _)| *of == profile);
        let known = match known {
            Some(known) => known,
            None => {
                let verifier = match &self.code {
                    Some(code) => Verifier::deploy(code, profile.word()),
                    None => Verifier::new(&profile),
                };
                // Many shapes occur only once.
                self.deployed.truncate(64);
                self.deployed.insert(0, (profile, verifier.map_err(|error| error.to_string())?));
                0
            }
        };
        let (answer, _) = self.deployed[known].1.step(before, witness).map_err(|error| error.to_string())?;
        Ok(answer)
    }

    /// The result for a witness, if contract and Rust agree.
    fn agree(
        &mut self,
        profile: MachineProfile,
        before: Root,
        witness: &[u8],
    ) -> Result<Option<Root>, String> {
        let rust = verify(profile, witness, before);
        match (&rust, self.step(profile, before, witness)?) {
            (Ok(root), Answer::Root(answer)) if *root == answer => Ok(Some(answer)),
            (Err(_), Answer::Malformed(revert)) if !revert.name.is_empty() => Ok(None),
            (_, answer) => Err(format!("Rust says {rust:?}, the contract {answer:?}")),
        }
    }

    /// Compares the step of a case with the interpreter's, and the contract's result for a tampered witness
    /// with Rust's.
    fn compare(&mut self, case: &Case, random: &mut Random) -> Result<Event, String> {
        let mut machine = case.machine();
        let (profile, before) = (case.image.profile, machine.state_root());
        let (witness, _) = machine.witness().map_err(|error| error.to_string())?;
        machine.run(1);
        let answer = self.agree(profile, before, &witness)?;
        if answer != Some(machine.state_root()) {
            return Err(format!(
                "the interpreter comes to {}, the contract to {answer:?}",
                machine.state_root()
            ));
        }
        let bad = tampered(&witness, random);
        if bad != witness && self.agree(profile, before, &bad)?.is_some() {
            return Err("a tampered witness passes".to_owned());
        }
        // It may well be the witness of another state, which need not be one that a machine can have.
        if let Err(WitnessError::State { found, .. }) = verify(profile, &bad, before)
            && self.agree(profile, found, &bad)?.is_none()
        {
            return Err("the witness of another state is refused".to_owned());
        }
        Ok(event(case, machine.status()))
    }
}

/// A witness with one thing wrong.
fn tampered(witness: &[u8], random: &mut Random) -> Vec<u8> {
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

/// Tries an instruction in hostile states. Returns how often it was executed.
fn differential(
    contracts: &mut Contracts,
    entry: &InstructionEntry,
    cases: u64,
    random: &mut Random,
) -> Result<u64, String> {
    let mut executed = 0;
    for _ in 0..cases {
        let case = Case::random(entry, random);
        let event = contracts.compare(&case, random).map_err(|error| format!("{error}\n{case}"))?;
        executed += u64::from(event == Event::Executed(entry.op));
    }
    Ok(executed)
}

/// Every `n`th instruction of the table, to divide the work among tests.
fn every_instruction(offset: usize, n: usize) {
    let mut contracts = Contracts::new();
    let mut random = Random::new(offset as u64);
    for entry in TABLE.iter().skip(offset).step_by(n) {
        let executed = differential(&mut contracts, entry, number("OPML_EVM_CASES", 200), &mut random)
            .unwrap_or_else(|error| panic!("{}: {error}", entry.mnemonic));
        assert!(executed > 0 || entry.op == Op::Ebreak, "{} is never executed", entry.mnemonic);
    }
}

#[test]
fn every_instruction_first_half() {
    every_instruction(0, 2);
}

#[test]
fn every_instruction_second_half() {
    every_instruction(1, 2);
}

// ---- Whole programs

/// Compares every step of a program with the contract.
fn every_step(image: &Image) -> State {
    let mut machine = Interpreter::new(image).expect("memory");
    let mut contracts = Contracts::new();
    while machine.status() == Status::Running {
        let (witness, after) = machine.witness().expect("a witness");
        let answer = contracts.agree(image.profile, machine.state_root(), &witness);
        assert_eq!(answer, Ok(Some(after)), "step {} at {:#x}", machine.steps(), machine.pc());
        machine.step();
        assert_eq!(machine.state_root(), after, "step {}", machine.steps());
    }
    // A machine that has stopped steps to itself.
    let (witness, after) = machine.witness().expect("a witness");
    assert_eq!(after, machine.state_root());
    assert_eq!(contracts.agree(image.profile, after, &witness), Ok(Some(after)));
    machine.state()
}

/// Sums the squares of 1 to 10 in a float loop, through memory, and exits with the sum.
fn squares() -> Image {
    let [t0, t1, a0, a7, ft0, ft1] = [5, 6, 10, 17, 0, 1];
    let i = Instruction::new;
    let program = [
        Instruction { rd: t0, imm: 10, ..i(Op::Addi) },
        Instruction { rd: ft0, ..i(Op::FcvtSL) },
        // The loop: sum += i * i.
        Instruction { rd: ft1, rs1: t0, ..i(Op::FcvtSL) },
        Instruction { rd: ft0, rs1: ft1, rs2: ft1, rs3: ft0, ..i(Op::FmaddS) },
        Instruction { rs2: ft0, imm: 64, ..i(Op::Fsw) },
        Instruction { rd: ft0, imm: 64, ..i(Op::Flw) },
        Instruction { rd: t0, rs1: t0, imm: -1, ..i(Op::Addi) },
        Instruction { rs1: t0, imm: -20, ..i(Op::Bne) },
        // The sum as an integer, through memory.
        Instruction { rd: t1, rs1: ft0, ..i(Op::FcvtLS) },
        Instruction { rs2: t1, imm: 128, ..i(Op::Sd) },
        Instruction { rd: a0, imm: 128, ..i(Op::Lhu) },
        Instruction { rd: a7, imm: 93, ..i(Op::Addi) },
        i(Op::Ecall),
    ];
    let words = program.map(|instruction| encode(instruction).unwrap_or_else(|| panic!("{instruction}")));
    let mut code: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    code.resize(64, 0);
    let profile = MachineProfile::new(Extensions::IMFD, 12, 0x2000, 64).expect("a machine");
    let (segments, tensors, symbols, schedule) = Default::default();
    Image::new(Contents {
        profile,
        entry: 0x2000,
        sp: 0,
        code: code.into(),
        segments,
        tensors,
        symbols,
        schedule,
        period: None,
        interface: None,
        sections: Vec::new(),
    })
    .expect("an image")
}

#[test]
fn every_step_of_a_loop() {
    let end = every_step(&squares());
    assert_eq!((end.status, end.x[10]), (Status::Exited, 385));
}

#[test]
fn every_step_of_a_random_program() {
    let program = Program::random(2, &mut Random::new(4), &mut vec![0; TABLE.len()]);
    let contents =
        image::elf::load(&program.elf(), &image::elf::Options::default()).expect("a program").contents;
    let end = every_step(&Image::new(contents).expect("an image"));
    assert_eq!(
        end.status,
        Status::Trapped(isa::Trap::EnvironmentCall),
        "it ends at the call that only qemu knows"
    );
}

// ---- Malformed witnesses

/// A machine before `fld` whose trees are full, without any boxed float.
fn loading() -> Hashed {
    let random = &mut Random::new(5);
    let load = Instruction { rd: 3, rs1: 4, imm: 8, ..Instruction::new(Op::Fld) };
    let mut code: Vec<u32> = (0..64).map(|_| random.bits() as u32).collect();
    code[21] = encode(load).expect("an instruction");
    let memory: Vec<u8> = (0..4096).map(|_| random.bits() as u8).collect();
    let mut machine = Hashed::new(Extensions::IMFD, 12, 0x1000, &code).with_memory(&memory);
    machine = machine.with_floats(step::Floats(std::array::from_fn(|i| i as u64)));
    machine.state.pc += 84;
    machine.state.x[4] = 1000;
    machine
}

/// Where the parts of that witness start.
const CODE_PROOF: usize = 1 + 16 + 2 + 2;
const FLOATS: usize = CODE_PROOF + 33 + 3 * 32;
const ACCESS_PROOF: usize = FLOATS + 16 + 256;
const END: usize = ACCESS_PROOF + 33 + 7 * 32;

/// The contract's error for one of Rust's.
fn error_name(error: &WitnessError) -> &'static str {
    match error {
        WitnessError::TooShort { .. } | WitnessError::TooLong { .. } => "WitnessLength",
        WitnessError::Status { .. } => "InvalidStatus",
        WitnessError::State { .. } => "StateMismatch",
        WitnessError::Length { .. } => "NumberTooLong",
        WitnessError::Mask { .. } | WitnessError::ZeroSibling { .. } => "ProofNotCanonical",
        WitnessError::Proof { .. } => "ProofMismatch",
    }
}

#[test]
fn malformed_witnesses_revert_with_the_same_error() {
    let mut machine = loading();
    let (witness, after) = machine.record();
    assert_eq!(witness.len(), END);
    let (profile, before) = (machine.profile(), machine.root());
    let mut contracts = Contracts::new();
    assert_eq!(contracts.agree(profile, before, &witness), Ok(Some(after)));
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bad = witness.clone();
        change(&mut bad);
        bad
    };
    let swap = |at: usize| changed(&|bad| (0..32).for_each(|i| bad.swap(at + i, at + 32 + i)));
    let flip = |at: usize| changed(&|bad| bad[at] ^= 1);
    // A load from code proves two leaves of one tree.
    let mut twice = loading();
    twice.state.x[4] = 0x1010 - 8;
    let (from_code, second) = (twice.record().0, ACCESS_PROOF + 31);
    let another_leaf = [&from_code[..second], &[from_code[second] ^ 1], &from_code[second + 1..]].concat();
    // A sibling that is zero, and one that is left out because it is.
    let mut sparse = loading().with_memory(&[7; 1024]);
    let mut spelled_out = sparse.record().0;
    spelled_out[ACCESS_PROOF + 32] |= 0x40;
    spelled_out.extend([0; 32]);
    let cases = [
        ("nothing", before, Vec::new(), "WitnessLength"),
        ("half the registers", before, witness[..20].to_vec(), "WitnessLength"),
        ("no code proof", before, witness[..CODE_PROOF].to_vec(), "WitnessLength"),
        ("half a code proof", before, witness[..CODE_PROOF + 70].to_vec(), "WitnessLength"),
        ("no floats", before, witness[..FLOATS].to_vec(), "WitnessLength"),
        ("half the floats", before, witness[..FLOATS + 129].to_vec(), "WitnessLength"),
        ("no access proof", before, witness[..ACCESS_PROOF].to_vec(), "WitnessLength"),
        ("a sibling short", before, witness[..END - 32].to_vec(), "WitnessLength"),
        ("a byte short", before, witness[..END - 1].to_vec(), "WitnessLength"),
        ("a byte long", before, [&witness[..], &[0]].concat(), "WitnessLength"),
        ("a word long", before, [&witness[..], &[1; 32]].concat(), "WitnessLength"),
        ("no status", before, changed(&|bad| bad[0] = 2), "InvalidStatus"),
        ("a register of nine bytes", before, changed(&|bad| bad[10] = 0x90), "NumberTooLong"),
        ("a register of fifteen bytes", before, changed(&|bad| bad[10] = 0x0f), "NumberTooLong"),
        ("a float of ten bytes", before, changed(&|bad| bad[FLOATS] = 0xa8), "NumberTooLong"),
        ("another state", after, witness.clone(), "StateMismatch"),
        ("another register", before, flip(17), "StateMismatch"),
        ("another pc", before, changed(&|bad| bad[20] ^= 0x20), "StateMismatch"),
        ("another instruction", before, flip(CODE_PROOF), "StateMismatch"),
        ("code siblings swapped", before, swap(CODE_PROOF + 33), "StateMismatch"),
        ("code mask too long", before, changed(&|bad| bad[CODE_PROOF + 32] |= 8), "ProofNotCanonical"),
        (
            "code sibling zero",
            before,
            changed(&|bad| bad[CODE_PROOF + 33..][..32].fill(0)),
            "ProofNotCanonical",
        ),
        ("another float", before, flip(FLOATS + 16), "StateMismatch"),
        ("the last float", before, flip(ACCESS_PROOF - 1), "StateMismatch"),
        ("another value", before, flip(ACCESS_PROOF + 5), "StateMismatch"),
        ("siblings swapped", before, swap(ACCESS_PROOF + 33 + 96), "StateMismatch"),
        ("mask too long", before, changed(&|bad| bad[ACCESS_PROOF + 32] |= 0x80), "ProofNotCanonical"),
        ("sibling zero", before, changed(&|bad| bad[END - 32..].fill(0)), "ProofNotCanonical"),
        ("a sibling that is zero", sparse.root(), spelled_out, "ProofNotCanonical"),
        ("two roots of the code", twice.root(), another_leaf, "ProofMismatch"),
    ];
    for (what, root, bad, expected) in cases {
        let rust = verify(profile, &bad, root).expect_err(what);
        assert_eq!(error_name(&rust), expected, "{what}: {rust}");
        match contracts.step(profile, root, &bad) {
            Ok(Answer::Malformed(revert)) => assert_eq!(revert.name, expected, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

/// A state with a root that isn't in the form of one is malformed, whatever machine it is shown to.
#[test]
fn no_state_has_another_status_or_longer_numbers() {
    let profile = loading().profile();
    let mut contracts = Contracts::new();
    let core = |status: u8, lengths: &[u8], numbers: usize| {
        let mut core = vec![0; 1 + 16 + numbers];
        core[0] = status;
        core[1..][..lengths.len()].copy_from_slice(lengths);
        core
    };
    let cases = [2, 15, 25, 255].map(|status| (core(status, &[], 0), "InvalidStatus"));
    let longer = [(0x90, 9), (0x09, 9), (0xa0, 10), (0x0c, 12), (0xf0, 15), (0x8f, 23)]
        .map(|(lengths, numbers)| (core(Status::Exited.byte(), &[0, 0, lengths], numbers), "NumberTooLong"));
    for (core, expected) in cases.into_iter().chain(longer) {
        // A machine that doesn't run shows all roots.
        let roots = [1; 96];
        let (root, witness) = (step::keccak(&[&roots[..], &core].concat()), [&core[..], &roots].concat());
        let rust = verify(profile, &witness, root).expect_err("no state");
        assert_eq!(error_name(&rust), expected, "{rust}");
        match contracts.step(profile, root, &witness) {
            Ok(Answer::Malformed(revert)) => assert_eq!(revert.name, expected),
            other => panic!("{core:?}: {other:?}"),
        }
    }
    let good = core(Status::Exited.byte(), &[0, 0, 0x88], 16);
    let (root, witness) = (step::keccak(&[&[1; 96][..], &good].concat()), [&good[..], &[1; 96]].concat());
    assert_eq!(contracts.agree(profile, root, &witness), Ok(Some(root)));
}

/// A state whose numbers have zeros in front is none that a machine has. It has a root all the same, and a step.
#[test]
fn numbers_with_zeros_in_front_keep_them() {
    let mut machine = loading();
    let (witness, after) = machine.record();
    let (profile, mut contracts) = (machine.profile(), Contracts::new());
    // Where a length is, how it grows, and where the zero goes: x1, x4, x5, and the program counter.
    for (at, by, zero) in [(1, 0x10, 17), (2, 0x01, 17), (3, 0x10, 19), (16, 0x01, 19)] {
        let mut longer = witness.clone();
        longer[at] += by;
        longer.insert(zero, 0);
        let Err(WitnessError::State { found, .. }) = verify(profile, &longer, Root::ZERO) else {
            panic!("a witness with the length at {at}");
        };
        assert_ne!(found, machine.root());
        let root = contracts.agree(profile, found, &longer).expect("one answer").expect("a root");
        // Only the program counter is written again.
        assert_eq!(root == after, at == 16);
    }
}

#[test]
fn the_witness_names_its_parts() {
    let (witness, _) = loading().record();
    for (end, part) in
        [(0, Part::State), (CODE_PROOF, Part::Code), (FLOATS, Part::Floats), (ACCESS_PROOF, Part::Access)]
    {
        let error = verify(loading().profile(), &witness[..end], loading().root());
        assert!(
            matches!(error, Err(WitnessError::TooShort { part: found, .. }) if found == part),
            "{error:?}"
        );
    }
}

// ---- Planted bugs

/// Bugs that a verifier might have: what the text says, what it should not say, and an instruction that shows it.
const BUGS: [(Extensions, &str, &str, Op); 16] = [
    (Extensions::IM, "index - 1, value & WORD", "index - 1, value", Op::Slli),
    (
        Extensions::IM,
        "rs1(instruction) >> (rs2(instruction) & 63)",
        "rs1(instruction) >> (rs2(instruction) & 31)",
        Op::Srl,
    ),
    (Extensions::IM, "sdiv(signextend(7, a), signextend(7, b))", "sdiv(a, b)", Op::Div),
    (Extensions::IM, "((instruction >> 7) & 1) << 11", "((instruction >> 7) & 1) << 12", Op::Beq),
    (Extensions::IM, "if (index == 0) return;", "", Op::Addi),
    (Extensions::IM, "if (given != preStateRoot)", "if (false)", Op::Xor),
    (Extensions::IM, "if (read != witness.length)", "if (read > witness.length)", Op::Or),
    (Extensions::IM, "if (!first && root != known)", "if (false)", Op::Ld),
    (Extensions::IM, "if and(shr(place, hidden), 1)", "if iszero(mload(add(OLD, place)))", Op::Lw),
    (Extensions::IM, "xor(length, newLength)", "or(length, newLength)", Op::Add),
    (Extensions::IMFD, "reveal(FLOAT_HASH, hashOf(FLOATS, end));", "", Op::FaddD),
    (Extensions::IM, "(location & 3) != 0", "(location & 1) != 0", Op::Lw),
    (Extensions::IM, "mstore(xor(place, 32), sibling)", "mstore(sub(32, place), root)", Op::Add),
    (Extensions::IM, "inMemory(location) && !inCode(location)", "inMemory(location)", Op::Sd),
    (Extensions::IMFD, "quotient | toUint(!exact)", "quotient | toUint(exact)", Op::FdivD),
    (Extensions::IMFD, "sign = toUint(rm == 2);", "sign = toUint(rm == 3);", Op::FaddS),
];

#[test]
fn planted_bugs_are_noticed() {
    for (extensions, right, wrong, op) in BUGS {
        let source = solidity::verifier(extensions);
        assert!(source.contains(right), "the verifier does not say {right}");
        let files = [
            ("IStepVerifier.sol".to_owned(), solidity::interface().to_owned()),
            ("StepVerifier.sol".to_owned(), source.replace(right, wrong)),
        ];
        let mut contracts = Contracts::new();
        contracts.code = Some(solc::compile_one(&files, "StepVerifier"));
        let mut random = Random::new(6);
        let noticed = (0..2000).any(|_| {
            let case = Case::random(op.entry(), &mut random);
            case.image.profile.extensions() == extensions && contracts.compare(&case, &mut random).is_err()
        });
        assert!(noticed, "nothing notices {wrong} in place of {right}");
    }
}
