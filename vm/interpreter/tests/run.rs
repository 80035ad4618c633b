//! Running and stopping: a run can stop after any number of steps, and every path there leads to the same
//! state.

use image::{Contents, Image};
use interpreter::{Arithmetic, Census, Count, Interpreter, Mix, Outcome};
use isa::{Extensions, Instruction, Op, Trap, encode};
use proptest::prelude::*;
use std::collections::BTreeMap;
use step::{MachineProfile, Status};

const CODE: u64 = 0x1000;

fn instruction(op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) -> Instruction {
    Instruction { rd, rs1, rs2, imm, ..Instruction::new(op) }
}

fn machine(program: &[Instruction]) -> Interpreter {
    let words = program.iter().map(|&i| encode(i).expect("operands that fit"));
    let mut code: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    code.resize(code.len().next_multiple_of(32), 0);
    let profile = MachineProfile::new(Extensions::IMFD, 13, CODE, code.len() as u64).expect("a machine");
    let (segments, tensors, symbols, schedule) = Default::default();
    let contents = Contents {
        profile,
        entry: CODE,
        sp: 0x1000,
        code: code.into(),
        segments,
        tensors,
        symbols,
        schedule,
        period: None,
        interface: None,
        sections: Vec::new(),
    };
    Interpreter::new(&Image::new(contents).expect("an image")).expect("memory")
}

/// Adds the numbers 1 to 10 in memory and exits with the sum: 2 + 10 * 4 + 4 steps.
fn sum() -> Vec<Instruction> {
    use Op::*;
    vec![
        instruction(Addi, 5, 0, 0, 10),
        instruction(Addi, 0, 0, 0, 99),
        instruction(Add, 10, 10, 5, 0),
        instruction(Sd, 0, 0, 10, 64),
        instruction(Addi, 5, 5, 0, -1),
        instruction(Bne, 0, 5, 0, -12),
        instruction(Ld, 10, 0, 0, 64),
        instruction(Addi, 17, 0, 0, 93),
        instruction(FaddS, 1, 2, 3, 0),
        instruction(Ecall, 0, 0, 0, 0),
    ]
}

const STEPS: u64 = 2 + 10 * 4 + 4;

#[test]
fn a_program_runs_to_its_end() {
    let mut machine = machine(&sum());
    assert_eq!((machine.pc(), machine.x(2), machine.steps()), (CODE, 0x1000, 0));
    assert_eq!(machine.run(u64::MAX), Outcome { steps: STEPS, status: Status::Exited });
    assert_eq!((machine.x(10), machine.x(0), machine.pc()), (55, 0, CODE + 36));
    assert_eq!(machine.read_memory(64, 8), Some(&55u64.to_le_bytes()[..]));
    // Nothing more happens.
    let end = machine.state_root();
    assert_eq!(machine.run(5), Outcome { steps: 0, status: Status::Exited });
    machine.step();
    assert_eq!((machine.state_root(), machine.steps()), (end, STEPS));
    // The witness of a machine that has stopped is its whole state.
    let size = machine.state().to_bytes().len();
    assert_eq!(machine.witness().map(|(witness, after)| (witness.len(), after)), Ok((size, end)));
}

#[test]
fn every_step_is_a_place_to_stop() {
    let mut slow = machine(&sum());
    for steps in 0..=STEPS + 1 {
        let mut fast = machine(&sum());
        let outcome = fast.run(steps);
        assert_eq!(outcome.steps, steps.min(STEPS));
        assert_eq!((fast.state(), fast.steps()), (slow.state(), slow.steps()), "after {steps} steps");
        slow.step();
    }
}

proptest! {
    #[test]
    fn pieces_make_a_whole(pieces in prop::collection::vec(0..20u64, 0..10), soft in any::<bool>()) {
        let arithmetic = if soft { Arithmetic::Soft } else { Arithmetic::Host };
        let mut one = machine(&sum()).with_arithmetic(arithmetic);
        let mut many = machine(&sum());
        one.run(pieces.iter().sum());
        for piece in pieces {
            many.run(piece);
            // Computing a root in between changes nothing.
            many.state_root();
        }
        prop_assert_eq!(one.state(), many.state());
    }
}

#[test]
fn instructions_are_counted() {
    let mut mix = Mix::new();
    machine(&sum()).run_counting(u64::MAX, &mut mix);
    assert_eq!(mix.commonest()[..2], [(Op::Addi, 13), (Op::Bne, 10)]);
    assert_eq!((mix.count(Op::Ecall), mix.count(Op::Ebreak)), (1, 0));
    let total: u64 = mix.commonest().iter().map(|(_, count)| count).sum();
    assert_eq!(total, STEPS);
}

/// The expected census: where each step is made, observed step by step.
fn counted_slowly(program: &[Instruction], entries: &[u64], limit: u64) -> Vec<Count> {
    let mut machine = machine(program);
    let (mut section, mut counts) = (None, BTreeMap::new());
    while machine.status() == Status::Running && machine.steps() < limit {
        section = entries.iter().position(|&entry| entry == machine.pc()).or(section);
        *counts.entry((section, machine.pc())).or_insert(0) += 1;
        machine.step();
    }
    counts.into_iter().map(|((section, address), steps)| Count { section, address, steps }).collect()
}

/// The census of a run in pieces.
fn counted(program: &[Instruction], entries: &[u64], limit: u64, piece: u64) -> (Vec<Count>, u64) {
    let mut machine = machine(program);
    let mut census = Census::new(machine.profile(), entries.iter().copied());
    while machine.steps() < limit && machine.status() == Status::Running {
        machine.run_census(piece.min(limit - machine.steps()), &mut census);
    }
    (census.counts().collect(), machine.steps())
}

proptest! {
    #[test]
    fn a_census_counts_every_step_where_it_is_made(
        entries in prop::collection::vec((0..12u64).prop_map(|word| CODE + 4 * word), 0..5),
        limit in 0..=STEPS + 3,
        piece in 1..60u64,
    ) {
        let (counts, steps) = counted(&sum(), &entries, limit, piece);
        prop_assert_eq!(counts.iter().map(|count| count.steps).sum::<u64>(), steps);
        prop_assert_eq!(counts, counted_slowly(&sum(), &entries, limit));
    }
}

#[test]
fn a_census_counts_what_traps() {
    let beyond = vec![Instruction::new(Op::Addi); 8];
    let illegal = vec![Instruction::new(Op::Addi); 7];
    let crooked = vec![instruction(Op::Jal, 1, 0, 0, 2)];
    for (program, last) in [(beyond, CODE + 32), (illegal, CODE + 28), (crooked, CODE)] {
        for entries in [vec![], vec![last], vec![CODE, last, last]] {
            let (counts, _) = counted(&program, &entries, 100, 100);
            assert_eq!(counts.last().map(|count| (count.address, count.steps)), Some((last, 1)));
            assert_eq!(counts, counted_slowly(&program, &entries, 100));
        }
    }
}

#[test]
fn a_watched_run_asks_at_its_addresses_and_nowhere_else() {
    let store = CODE + 12;
    let mut watched = machine(&sum());
    let mut seen = Vec::new();
    let outcome = watched.run_watched(u64::MAX, &[store, store], |machine| {
        seen.push((machine.pc(), machine.x(10)));
        true
    });
    assert_eq!(outcome, Outcome { steps: STEPS, status: Status::Exited });
    assert_eq!(seen.iter().map(|&(pc, _)| pc).collect::<Vec<_>>(), [store; 10]);
    assert_eq!(seen[..3], [(store, 10), (store, 19), (store, 27)]);
    // The refused step is not made, and has no effect when the machine continues.
    let mut stopped = machine(&sum());
    assert_eq!(stopped.run_watched(u64::MAX, &[store], |machine| machine.x(10) < 19).steps, 7);
    assert_eq!((stopped.pc(), stopped.steps()), (store, 7));
    assert_eq!(stopped.run(u64::MAX).steps, STEPS - 7);
    assert_eq!(stopped.state(), watched.state());
}

#[test]
fn traps_stop_at_the_instruction() {
    let far = instruction(Op::Jal, 1, 0, 0, 0x8000);
    for (program, steps, trap, pc) in [
        (vec![instruction(Op::Ebreak, 0, 0, 0, 0)], 1, Trap::Breakpoint, CODE),
        (vec![instruction(Op::Ecall, 0, 0, 0, 0)], 1, Trap::EnvironmentCall, CODE),
        (vec![instruction(Op::Jal, 1, 0, 0, 2)], 1, Trap::InstructionMisaligned, CODE),
        (vec![far], 2, Trap::InstructionFault, CODE + 0x8000),
        (vec![Instruction::new(Op::Addi); 8], 9, Trap::InstructionFault, CODE + 32),
        (vec![Instruction::new(Op::Addi); 7], 8, Trap::IllegalInstruction, CODE + 28),
        (vec![instruction(Op::Ld, 5, 0, 0, 4)], 1, Trap::LoadMisaligned, CODE),
        (vec![instruction(Op::Ld, 5, 0, 0, -8)], 1, Trap::LoadFault, CODE),
        (vec![instruction(Op::Sh, 0, 0, 5, 1)], 1, Trap::StoreMisaligned, CODE),
        (vec![instruction(Op::Sb, 0, 2, 5, 0)], 1, Trap::StoreFault, CODE),
    ] {
        let mut machine = machine(&program);
        let outcome = machine.run(100);
        assert_eq!(outcome, Outcome { steps, status: Status::Trapped(trap) });
        assert_eq!(machine.pc(), pc, "{trap:?}");
    }
}

#[test]
fn code_can_be_read() {
    let mut machine = machine(&[instruction(Op::Lwu, 5, 2, 0, 0)]);
    machine.run(1);
    assert_eq!(Some(machine.x(5) as u32), encode(instruction(Op::Lwu, 5, 2, 0, 0)));
}
