//! Running and stopping: any number of steps is a place to stop, and every way there leads to the same state.

use image::{Contents, Image};
use interpreter::{Arithmetic, Interpreter, Mix, Outcome};
use isa::{Extensions, Instruction, Op, Trap, encode};
use proptest::prelude::*;
use step::{Profile, Status};

const CODE: u64 = 0x1000;

fn instruction(op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) -> Instruction {
    Instruction { rd, rs1, rs2, imm, ..Instruction::new(op) }
}

fn machine(program: &[Instruction]) -> Interpreter {
    let words = program.iter().map(|&i| encode(i).expect("operands that fit"));
    let mut code: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    code.resize(code.len().next_multiple_of(32), 0);
    let profile = Profile::new(Extensions::IMFD, 13, CODE, code.len() as u64).expect("a machine");
    let (segments, tensors, symbols, schedule) = Default::default();
    let contents =
        Contents { profile, entry: CODE, sp: 0x1000, code, segments, tensors, symbols, schedule, interface: None };
    Interpreter::new(&Image::new(contents).expect("an image")).expect("memory")
}

/// Adds 1 to 10 into memory and exits with the sum: 2 + 10 * 4 + 4 steps.
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
    assert_eq!(machine.witness().map(|(witness, after)| (witness.len(), after)), Ok((353, end)));
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
            // A root in between changes nothing.
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
