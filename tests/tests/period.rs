//! Schedules with a period: a program that counts its repetitions, disputed at any of them, by the rules in Rust and by
//! the contracts, with the real verifier.

use dnn_lib::tensor::DType;
use game::player::challenge;
use game::{Oracle as _, Protocol, Side};
use image::{BigStep, Contents, Image, ImageError, Interface, Period, Region, Role, Symbol, Tensor};
use isa::{Extensions, Instruction, Op, encode};
use opml_tests::board::{Board, Place};
use prover::{Change, Execution};
use step::MachineProfile;

const CODE: u64 = 0x2000;
/// How many repetitions do something; none after them does.
const INPUT: u64 = 0;
const OUTPUT: u64 = 64;
const COUNTER: u64 = 128;
const SUM: u64 = 136;
/// A byte that isn't zero once the program has ended early.
const GUARD: u64 = 144;
const ARITY: u16 = 16;
/// Big steps before the period, in it, and behind it.
const PROLOGUE: u64 = 1;
const PERIOD: u64 = 2;
const EPILOGUE: u64 = 1;

fn instruction(op: Op, rd: u8, rs1: u8, rs2: u8, imm: u64) -> Instruction {
    Instruction { rd, rs1, rs2, imm: imm as i32, ..Instruction::new(op) }
}

/// Goes to the end, which is so many instructions away, if the guard is set.
fn guarded(rest: Vec<Instruction>) -> Vec<Instruction> {
    let end = 4 * (rest.len() as u64 + 1);
    [vec![instruction(Op::Lbu, 5, 0, 0, GUARD), instruction(Op::Bne, 0, 5, 0, end)], rest].concat()
}

/// The sum starts at 1; each repetition counts, triples the sum and adds the count; the end copies it.
fn big_steps() -> [Vec<Instruction>; 4] {
    use Op::*;
    let begin = vec![instruction(Addi, 5, 0, 0, 1), instruction(Sd, 0, 0, 5, SUM)];
    let count = guarded(vec![
        instruction(Ld, 6, 0, 0, COUNTER),
        instruction(Addi, 6, 6, 0, 1),
        instruction(Sd, 0, 0, 6, COUNTER),
        instruction(Ld, 7, 0, 0, INPUT),
        instruction(Bne, 0, 6, 7, 12),
        instruction(Addi, 5, 0, 0, 1),
        instruction(Sb, 0, 0, 5, GUARD),
    ]);
    let add = guarded(vec![
        instruction(Ld, 5, 0, 0, SUM),
        instruction(Add, 6, 5, 5, 0),
        instruction(Add, 6, 6, 5, 0),
        instruction(Ld, 7, 0, 0, COUNTER),
        instruction(Add, 6, 6, 7, 0),
        instruction(Sd, 0, 0, 6, SUM),
    ]);
    let end = vec![instruction(Ld, 5, 0, 0, SUM), instruction(Sd, 0, 0, 5, OUTPUT)];
    [begin, count, add, end]
}

fn contents(most: u64) -> Contents {
    const BOUND: u64 = 20;
    let (mut code, mut schedule) = (Vec::new(), Vec::new());
    for program in big_steps() {
        let entry = CODE + code.len() as u64;
        let exit = [instruction(Op::Addi, 17, 0, 0, 93), Instruction::new(Op::Ecall)];
        let words = program.into_iter().chain(exit).map(|i| encode(i).expect("operands that fit"));
        code.extend(words.flat_map(u32::to_le_bytes));
        let (operator, node, arguments) = Default::default();
        let (kernel, output, lo, hi, bound) = (0, 1, 0, 1, BOUND);
        schedule.push(BigStep { kernel, operator, node, output, lo, hi, arguments, entry, bound });
    }
    code.resize(code.len().next_multiple_of(32), 0);
    let profile = MachineProfile::new(Extensions::IM, 13, CODE, code.len() as u64).expect("a machine");
    let tensor = |role, address| {
        let (name, dtype) = (format!("{role:?}"), DType::U64);
        Tensor { name, role, dtype, shape: vec![1], address, bytes: 8 }
    };
    let region = |address| Region { address, bits: 6 };
    Contents {
        profile,
        entry: CODE,
        sp: profile.memory_size(),
        code: code.into(),
        segments: Vec::new(),
        tensors: vec![tensor(Role::Input, INPUT), tensor(Role::Output, OUTPUT)],
        symbols: vec![Symbol { name: "kernel".to_owned(), address: CODE, size: 0 }],
        schedule,
        period: Some(Period { start: PROLOGUE as u32, count: PERIOD as u32, least: 1, most }),
        sections: Vec::new(),
        interface: Some(Interface {
            inputs: vec![region(INPUT)],
            outputs: vec![region(OUTPUT)],
            scratch_bits: 5,
            bound: BOUND,
        }),
    }
}

/// A run of this many repetitions, in which the first `counted` do something, with bytes changed.
fn run(image: &Image, repetitions: u64, counted: u64, changes: Vec<Change>) -> Execution {
    let schedule = image.big_steps().repeated(repetitions).expect("a number of repetitions");
    let inputs = vec![(INPUT, counted.to_le_bytes().to_vec())];
    let run = Execution::new(image.clone(), schedule, inputs).expect("a run");
    if changes.is_empty() { run } else { run.with_changes(changes).expect("a run") }
}

/// What the program computes. The repetition that sets the guard doesn't add any more.
fn expected(repetitions: u64, counted: u64) -> u64 {
    let adding = if counted == 0 || counted > repetitions { repetitions } else { counted - 1 };
    (1..=adding).fold(1u64, |sum, count| sum.wrapping_mul(3).wrapping_add(count))
}

/// Both play to the end, in Rust and in the contracts.
fn duel(place: &mut Place, players: &mut [Execution; 2]) -> Side {
    let model = players[0].model().clone();
    let input = players[0].inputs().expect("inputs").commitment();
    let asserted = players[0].result(&model).expect("a result");
    let opening = challenge(&model, ARITY.into(), &mut players[1]).expect("a challenge");
    let board = Board::open(place, &Protocol, &model, input, asserted, ARITY, 3600, &opening);
    board.expect("a game").duel(opening.claims, players, 3)
}

#[test]
fn the_period_is_repeated_as_often_as_the_run_says() {
    let image = Image::new(contents(1 << 20)).expect("an image");
    for (repetitions, counted) in [(1, 0), (2, 0), (7, 0), (7, 3), (7, 7), (7, 8), (500, 0), (500, 499)] {
        let mut run = run(&image, repetitions, counted, Vec::new());
        let found = run.read(OUTPUT, 8).expect("an output").to_vec();
        assert_eq!(found, expected(repetitions, counted).to_le_bytes(), "{repetitions}, {counted}");
        assert_eq!(run.model().big_steps(), PROLOGUE + PERIOD * repetitions + EPILOGUE);
    }
    assert!(image.big_steps().repeated(0).is_none() && image.big_steps().repeated((1 << 20) + 1).is_none());
    let bytes = image.to_bytes().expect("bytes");
    assert_eq!(Image::from_bytes(&bytes).expect("an image"), image);
}

#[test]
fn periods_that_cannot_be_are_refused() {
    let refused = |period: Period| {
        let error = Image::new(Contents { period: Some(period), ..contents(5) }).err();
        matches!(error, Some(ImageError::Period { .. }))
    };
    let good = Period { start: 1, count: 2, least: 1, most: 5 };
    assert!(!refused(good) && !refused(Period { start: 0, count: 4, ..good }));
    for period in [
        Period { count: 0, ..good },
        Period { start: 3, ..good },
        Period { start: u32::MAX, ..good },
        Period { least: 0, ..good },
        Period { least: 6, ..good },
        Period { most: 1 << 39, ..good },
        Period { most: u64::MAX, ..good },
    ] {
        assert!(refused(period), "{period:?}");
    }
}

#[test]
fn the_honest_side_wins_at_every_big_step_of_every_repetition() {
    const REPETITIONS: u64 = 3;
    let image = Image::new(contents(5)).expect("an image");
    let mut place = Place::of_machines(Extensions::IM);
    for big_step in 0..PROLOGUE + PERIOD * REPETITIONS + EPILOGUE {
        for (step, address) in [(1, SUM), (3, SUM), (5, GUARD), (15, OUTPUT)] {
            let lies = vec![Change { place: (big_step, step), address, bits: 1 }];
            // A guard that is set too early, a wrong sum, a wrong output; some change nothing in the end.
            let truth = || run(&image, REPETITIONS, 0, Vec::new());
            let (mut honest, mut liar) = (truth(), run(&image, REPETITIONS, 0, lies));
            let model = honest.model().clone();
            let results = [&mut honest, &mut liar].map(|run| run.result(&model).expect("a result"));
            if results[0] == results[1] {
                continue;
            }
            let mut players = [honest, liar];
            assert_eq!(duel(&mut place, &mut players), Side::Asserter, "big step {big_step}, step {step}");
            players.swap(0, 1);
            assert_eq!(duel(&mut place, &mut players), Side::Challenger, "big step {big_step}, step {step}");
        }
    }
}

#[test]
fn a_lie_in_repetition_one_million_is_found() {
    const REPETITIONS: u64 = 1_000_003;
    const MILLIONTH: u64 = PROLOGUE + PERIOD * 999_999;
    let image = Image::new(contents(1 << 21)).expect("an image");
    let mut place = Place::of_machines(Extensions::IM);
    // The whole run, and one whose guard ends it just after the lie.
    for (counted, lie) in [
        (0, Change { place: (MILLIONTH, 2), address: COUNTER, bits: 1 }),
        (0, Change { place: (MILLIONTH + 1, 2), address: SUM, bits: 4 }),
        (1_000_002, Change { place: (MILLIONTH + 1, 9), address: GUARD, bits: 1 }),
    ] {
        let mut truth = run(&image, REPETITIONS, counted, Vec::new());
        assert_eq!(truth.read(OUTPUT, 8).expect("an output"), expected(REPETITIONS, counted).to_le_bytes());
        let mut players = [truth, run(&image, REPETITIONS, counted, vec![lie])];
        assert_eq!(duel(&mut place, &mut players), Side::Asserter, "{lie:?}");
        players.swap(0, 1);
        assert_eq!(duel(&mut place, &mut players), Side::Challenger, "{lie:?}");
    }
}
