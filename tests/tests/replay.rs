//! One step on every backend that takes one: the loop with hardware and software floats, the shared driver on
//! a live machine, recording, and verification of what was recorded. Only the recorded witness verifies.
//!
//! `OPML_CASES` sets the number of cases per instruction (60).

use interpreter::{Arithmetic, Interpreter};
use isa::{TABLE, Trap};
use opml_tests::hostile::{Case, Event, event};
use opml_tests::random::Random;
use opml_tests::tools::number;
use step::{Part, Root, WitnessError, verify};

/// The root after one step in the loop.
fn run(case: &Case, arithmetic: Arithmetic) -> Root {
    let mut machine = case.machine().with_arithmetic(arithmetic);
    machine.run(1);
    machine.state_root()
}

/// A live machine before its step, with the step's witness and the roots around it.
fn record(case: &Case) -> (Interpreter, Vec<u8>, Root, Root) {
    let mut machine = case.machine();
    let before = machine.state_root();
    let (witness, after) = machine.witness().unwrap_or_else(|error| panic!("{error}\n{case}"));
    assert_eq!(machine.state_root(), before, "recording changed the machine\n{case}");
    (machine, witness, before, after)
}

#[test]
fn all_roads_take_the_same_step() {
    let mut executed = vec![0u64; TABLE.len()];
    let mut trapped = vec![0u64; Trap::ALL.len()];
    let mut random = Random::new(1);
    for _ in 0..number("OPML_CASES", 60) {
        for entry in TABLE {
            let case = Case::random(entry, &mut random);
            let (mut machine, witness, before, recorded) = record(&case);
            let verified = verify(case.image.profile, &witness, before);
            assert_eq!(verified, Ok(recorded), "verified\n{case}");
            machine.step();
            assert_eq!(machine.state_root(), recorded, "driver\n{case}");
            assert_eq!(run(&case, Arithmetic::Soft), recorded, "loop, software floats\n{case}");
            assert_eq!(run(&case, Arithmetic::Host), recorded, "loop, hardware floats\n{case}");
            match event(&case, machine.status()) {
                Event::Executed(op) => executed[op as usize] += 1,
                Event::Trapped(trap) => trapped[trap as usize] += 1,
                Event::Nothing => assert_eq!(recorded, before),
            }
        }
    }
    let unseen: Vec<_> =
        TABLE.iter().filter(|entry| executed[entry.op as usize] == 0).map(|e| e.mnemonic).collect();
    // `ebreak` only traps.
    assert_eq!(unseen, ["ebreak"], "never executed");
    assert!(trapped.iter().all(|&count| count > 0), "traps: {trapped:?}");
}

#[test]
fn a_step_has_one_witness() {
    let mut random = Random::new(2);
    for entry in TABLE.iter().cycle().take(3 * TABLE.len()) {
        let case = Case::random(entry, &mut random);
        let (_, witness, before, _) = record(&case);
        let mut forged =
            vec![[&witness[..], &[0]].concat(), witness[..witness.len() - 1].to_vec(), Vec::new()];
        for _ in 0..30 {
            let mut bytes = witness.clone();
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
            forged.push(bytes);
        }
        // A piece of the witness omitted, doubled or cleared.
        for _ in 0..10 {
            let at = random.below(witness.len() as u64) as usize;
            let end = (at + random.pick(&[1usize, 2, 8, 32, 128])).min(witness.len());
            let piece = &witness[at..end];
            for middle in [&[][..], &[piece, piece].concat(), &vec![0; piece.len()]] {
                forged.push([&witness[..at], middle, &witness[end..]].concat());
            }
        }
        for bytes in forged {
            if bytes != witness {
                let result = verify(case.image.profile, &bytes, before);
                assert!(result.is_err(), "{} bytes instead of {} pass\n{case}", bytes.len(), witness.len());
            }
        }
    }
}

#[test]
fn witnesses_of_other_states_do_not_verify() {
    let mut random = Random::new(3);
    let case = Case::random(&TABLE[0], &mut random);
    let (mut machine, witness, before, _) = record(&case);
    machine.set_x(5, machine.x(5) ^ 1);
    let other = machine.state_root();
    assert_eq!(
        verify(case.image.profile, &witness, other),
        Err(WitnessError::State { expected: other, found: before })
    );
}

#[test]
fn errors_name_the_part() {
    let mut random = Random::new(4);
    let entry = isa::Op::FaddS.entry();
    // A step with code and floats in its witness.
    let case = loop {
        let case = Case::random(entry, &mut random);
        if event(&case, case.status) == Event::Executed(entry.op) && case.image.profile.code_depth() > 1 {
            break case;
        }
    };
    let (mut machine, witness, before, _) = record(&case);
    let depth = case.image.profile.code_depth();
    let code = machine.state().to_bytes().len() - 96;
    let mask = code + 32;
    let siblings = mask + 1;
    let floats = siblings + 32 * witness[mask].count_ones() as usize;
    assert!(depth <= 8, "one byte of mask");
    let check = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = witness.clone();
        change(&mut bytes);
        verify(case.image.profile, &bytes, before).expect_err("a changed witness")
    };
    assert_eq!(
        check(&|w| w.truncate(code + 7)),
        WitnessError::TooShort { part: Part::Code, expected: 32, found: 7 }
    );
    assert_eq!(check(&|w| w.push(7)), WitnessError::TooLong { count: 1 });
    if depth < 8 {
        assert!(
            matches!(check(&|w| w[mask] |= 0x80), WitnessError::Mask { part: Part::Code, depth: d, .. } if d == depth)
        );
    }
    assert!(matches!(
        check(&|w| w[siblings..siblings + 32].fill(0)),
        WitnessError::ZeroSibling { part: Part::Code, .. }
    ));
    // A byte of the leaf that isn't in the instruction.
    let other = code + 31 - (case.pc as usize + 4) % 32;
    assert!(matches!(check(&|w| w[other] ^= 1), WitnessError::State { .. }));
    assert_eq!(check(&|w| w[0] = 2), WitnessError::Status { found: 2 });
    assert_eq!(check(&|w| w[1] = 0x90), WitnessError::Length { part: Part::State, found: 9 });
    assert_eq!(check(&|w| w[floats + 15] = 0x0f), WitnessError::Length { part: Part::Floats, found: 15 });
    let last = witness.len() - 1;
    assert!(matches!(check(&|w| w[last] ^= 1), WitnessError::State { .. }));
    assert_eq!(
        check(&|w| w.truncate(last)),
        WitnessError::TooShort { part: Part::Roots, expected: 32, found: 31 }
    );
}
