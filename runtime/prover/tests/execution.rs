//! Games about real runs of a small image with three big steps.

use game::player;
use game::{Clocks, Game, Illegal, Model, Oracle, Side, VOID};
use image::{BigStep, Contents, Image, Interface, Region, Role, Symbol, Tensor};
use isa::{Extensions, Instruction, Op, encode};
use prover::{Change, Execution, ExecutionError, MemoryLimit};
use step::{MachineProfile, Root, State, Status};
use tensor::DType;

const CODE: u64 = 0x2000;
const CLOCKS: Clocks = Clocks { asserter: 10, challenger: 10 };
const INPUT: u64 = 0;
const OUTPUT: u64 = 64;
/// What the first and second big steps compute.
const SUM: u64 = 128;
const TRIPLE: u64 = 136;

fn instruction(op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) -> Instruction {
    Instruction { rd, rs1, rs2, imm, ..Instruction::new(op) }
}

/// Adds up 1 to n, using the stack. Never ends if n is 0.
fn sum() -> Vec<Instruction> {
    use Op::*;
    vec![
        instruction(Ld, 5, 0, 0, INPUT as i32),
        instruction(Add, 6, 6, 5, 0),
        instruction(Addi, 5, 5, 0, -1),
        instruction(Bne, 0, 5, 0, -8),
        instruction(Sd, 0, 2, 6, -8),
        instruction(Ld, 7, 2, 0, -8),
        instruction(Sd, 0, 0, 7, SUM as i32),
    ]
}

/// Three times the sum.
fn triple() -> Vec<Instruction> {
    use Op::*;
    vec![
        instruction(Ld, 5, 0, 0, SUM as i32),
        instruction(Add, 6, 5, 5, 0),
        instruction(Add, 6, 6, 5, 0),
        instruction(Sd, 0, 0, 6, TRIPLE as i32),
    ]
}

/// Copies the triple to the output. Traps if it is 18.
fn copy() -> Vec<Instruction> {
    use Op::*;
    vec![
        instruction(Ld, 5, 0, 0, TRIPLE as i32),
        instruction(Addi, 6, 0, 0, 18),
        instruction(Bne, 0, 5, 6, 8),
        Instruction::new(Ebreak),
        instruction(Sd, 0, 0, 5, OUTPUT as i32),
    ]
}

/// The three big steps in a row, none with more steps than this.
fn image(bound: u64) -> Image {
    let (mut code, mut schedule) = (Vec::new(), Vec::new());
    for program in [sum(), triple(), copy()] {
        let entry = CODE + code.len() as u64;
        let exit = [instruction(Op::Addi, 17, 0, 0, 93), Instruction::new(Op::Ecall)];
        let words = program.into_iter().chain(exit).map(|i| encode(i).expect("operands that fit"));
        code.extend(words.flat_map(u32::to_le_bytes));
        let (operator, node, arguments) = Default::default();
        schedule.push(BigStep {
            kernel: 0,
            operator,
            node,
            output: 1,
            lo: 0,
            hi: 1,
            arguments,
            entry,
            bound,
        });
    }
    code.resize(code.len().next_multiple_of(32), 0);
    let profile = MachineProfile::new(Extensions::IM, 13, CODE, code.len() as u64).expect("a machine");
    let tensor = |role, address| {
        let (name, dtype) = (format!("{role:?}"), DType::U64);
        Tensor { name, role, dtype, shape: vec![1], address, bytes: 8 }
    };
    let interface = Interface {
        inputs: vec![Region { address: INPUT, bits: 6 }],
        outputs: vec![Region { address: OUTPUT, bits: 6 }],
        scratch_bits: 12,
        bound,
    };
    let symbols = vec![Symbol { name: "kernel".to_owned(), address: CODE, size: 0 }];
    let tensors = vec![tensor(Role::Input, INPUT), tensor(Role::Output, OUTPUT)];
    let (sp, segments, interface) = (profile.memory_size(), Vec::new(), Some(interface));
    Image::new(Contents {
        profile,
        entry: CODE,
        sp,
        code: code.into(),
        segments,
        tensors,
        symbols,
        schedule,
        period: None,
        interface,
        sections: Vec::new(),
    })
    .expect("an image")
}

/// The true run on an input.
fn run(bound: u64, n: u64) -> Execution {
    let image = image(bound);
    let schedule = image.big_steps();
    Execution::new(image, schedule, vec![(INPUT, n.to_le_bytes().to_vec())]).expect("a run")
}

/// A run with bytes changed.
fn changed(bound: u64, n: u64, changes: &[((u64, u64), u64)]) -> Execution {
    let changes = changes.iter().map(|&(place, address)| Change { place, address, bits: 5 }).collect();
    run(bound, n).with_changes(changes).expect("a run")
}

/// Both play to the end. A side that has no move runs out of time.
fn duel(asserter: &mut Execution, challenger: &mut Execution, arity: u64) -> Result<(Side, u64), Illegal> {
    let model: Model = asserter.model().clone();
    let (input, asserted) =
        (asserter.inputs().expect("inputs").commitment(), asserter.result(&model).expect("a result"));
    let challenge = player::challenge(&model, arity, challenger).expect("a challenge");
    let mut game = Game::challenge(&model, input, asserted, arity, CLOCKS, &challenge, 0)?;
    let (mut claims, mut moves) = (challenge.claims, 1);
    while let Some(mover) = game.mover() {
        let oracle = if mover == Side::Asserter { &mut *asserter } else { &mut *challenger };
        let reply = player::reply(&game, &claims, 1, oracle).expect("an answer");
        match reply.filter(|move_| game.apply(mover, move_, 0).is_ok()) {
            Some(move_) => (claims, moves) = (move_.claims().to_vec(), moves + 1),
            None => drop(game.timeout(11).expect("no time left")),
        }
    }
    Ok((game.winner().expect("the game is over"), moves))
}

/// The honest run wins on both sides.
fn honest_wins(what: &str, truth: &mut Execution, liar: &mut Execution) {
    for arity in [2, 3, 16] {
        assert_eq!(duel(truth, liar, arity).map(|(side, _)| side), Ok(Side::Asserter), "{what}, by {arity}");
        assert_eq!(
            duel(liar, truth, arity).map(|(side, _)| side),
            Ok(Side::Challenger),
            "{what}, by {arity}"
        );
    }
}

#[test]
fn big_steps_compute_and_leave_no_scratch() {
    let mut run = run(100, 4);
    assert_eq!(run.read(OUTPUT, 8).expect("memory"), 30u64.to_le_bytes());
    assert_eq!([0, 1, 2].map(|big_step| run.steps(big_step).expect("a big step")), [1 + 3 * 4 + 3 + 2, 6, 6]);
    let (end, scratch) = run.end(0).expect("an end");
    let memory = scratch.root(scratch.leaf, 1);
    let end = [&run.model().code_root.0[..], &memory.0, &end].concat();
    let end = State::from_bytes(&end).expect("a state");
    assert_eq!((end.status, end.x[7]), (Status::Exited, 10));
    let steps = run.steps(0).expect("steps");
    assert_eq!(end.root(), run.state(0, steps).expect("a root"));
    assert!(!scratch.leaf.is_zero(), "the sum was on the stack");
    assert_eq!(scratch.root(Root::ZERO, 1), run.memory(1).expect("a root"));
}

#[test]
fn places_are_found_in_any_order() {
    let places = [(2, 3), (0, 0), (0, 7), (0, 6), (1, 100), (0, 100), (2, 6), (2, 0)];
    let mut one = run(100, 4);
    for (big_step, step) in places {
        let mut fresh = run(100, 4);
        let expected = fresh.state(big_step, step).expect("a state");
        assert_eq!(one.state(big_step, step).expect("a state"), expected, "{big_step}, {step}");
    }
    // The start is what the contract derives.
    let (leaf, _) = one.schedule(1).expect("a leaf");
    let memory = one.memory(1).expect("a root");
    assert_eq!(one.state(1, 0).expect("a state"), one.model().start(memory, leaf.entry));
}

#[test]
fn a_run_that_lies_tells_the_same_lies_in_any_order() {
    let lies = [((0, 16), SUM), ((1, 0), 256), ((1, 2), 8), ((2, 5), OUTPUT)];
    let mut one = changed(100, 4, &lies);
    // Knuth's linear congruential generator: the same places every time.
    let mut random = 2026u64;
    let mut below = |limit: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % limit
    };
    for _ in 0..200 {
        let (big_step, step) = (below(3), below(30));
        let mut fresh = changed(100, 4, &lies);
        assert_eq!(
            one.state(big_step, step).expect("a state"),
            fresh.state(big_step, step).expect("a state")
        );
        let big_step = below(4);
        assert_eq!(one.memory(big_step).expect("a root"), fresh.memory(big_step).expect("a root"));
    }
    // With other lies, nothing of the first is left.
    let others = vec![Change { place: (0, 3), address: SUM, bits: 1 }];
    let mut other = one.with_changes(others.clone()).expect("a run");
    let mut fresh = run(100, 4).with_changes(others).expect("a run");
    for big_step in [3, 0, 2, 1] {
        assert_eq!(other.memory(big_step).expect("a root"), fresh.memory(big_step).expect("a root"));
    }
}

#[test]
fn a_changed_byte_loses() {
    for (what, changes) in [
        ("a wrong sum at the end", &[((0, 16), SUM)][..]),
        ("a wrong weight from the start", &[((0, 1), SUM), ((0, 19), SUM)]),
        ("a wrong stack", &[((0, 14), 0x1ff8)]),
        ("a wrong memory between big steps", &[((1, 0), SUM)]),
        ("a wrong memory before the last", &[((2, 0), TRIPLE)]),
        ("a wrong output after the exit", &[((2, 50), OUTPUT)]),
        ("another lie at each big step", &[((0, 16), SUM), ((1, 2), 8), ((2, 5), OUTPUT)]),
        ("wrong in the middle, and a little at the end", &[((1, 0), 256), ((2, 0), 256), ((2, 5), OUTPUT)]),
    ] {
        honest_wins(what, &mut run(100, 4), &mut changed(100, 4, changes));
    }
}

#[test]
fn what_does_not_change_the_result_is_not_disputed() {
    for (what, changes) in [
        ("scratch memory after its use", &[((0, 18), 0x1ff8)][..]),
        ("wrong in the middle and put right", &[((1, 0), 256), ((2, 0), 256)]),
    ] {
        let (mut truth, mut other) = (run(100, 4), changed(100, 4, changes));
        assert_eq!(duel(&mut truth, &mut other, 2), Err(Illegal::Agrees), "{what}");
    }
}

#[test]
fn a_run_without_result_has_the_result_void() {
    let void = |mut run: Execution| {
        let model = run.model().clone();
        run.result(&model).expect("a result") == VOID
    };
    assert!(void(run(100, 3)), "18 traps");
    assert!(void(run(100, 0)), "runs for ever");
    assert!(void(run(10, 4)), "the image says too small a bound");
    assert!(!void(run(100, 4)));
    honest_wins("a result in spite of a trap", &mut run(100, 3), &mut changed(100, 3, &[((2, 0), TRIPLE)]));
    honest_wins("a result of what runs for ever", &mut run(100, 0), &mut changed(100, 0, &[((0, 0), INPUT)]));
    let trap = Change { place: (2, 0), address: TRIPLE, bits: 30 ^ 18 };
    let mut liar = run(100, 4).with_changes(vec![trap]).expect("a run");
    honest_wins("void in spite of a result", &mut run(100, 4), &mut liar);
}

#[test]
fn questions_that_have_no_answer_are_refused() {
    let mut run = run(100, 4);
    let outside = run.state(3, 1).map_err(|error| error.to_string());
    assert_eq!(outside, Err("big step 3; the schedule has 3".to_owned()));
    assert!(run.memory(9).is_err());
    assert!(run.read(u64::MAX, 8).is_err());
    let image = image(100);
    let schedule = image.big_steps();
    assert!(Execution::new(image.clone(), schedule.clone(), vec![(1 << 13, vec![1])]).is_err());
    let mut contents = image.into_contents();
    contents.interface = None;
    let error = Execution::new(Image::new(contents).expect("an image"), schedule, Vec::new()).err();
    assert_eq!(
        error.map(|e| e.to_string()).as_deref(),
        Some("the image doesn't say where its inputs and outputs are")
    );
}

#[test]
fn what_stops_early_is_not_run_to_its_bound() {
    // A bound that is too large to count to.
    let mut run = run(1 << 61, 4);
    assert_eq!(run.read(OUTPUT, 8).expect("memory"), 30u64.to_le_bytes());
    assert_eq!(run.state(1, 1 << 60).expect("a state"), run.state(1, 1 << 40).expect("the same"));
}

#[test]
fn too_much_memory_is_an_error() {
    let exceeded = |run: Result<Root, ExecutionError>| match run {
        Err(ExecutionError::Memory(exceeded)) => Some(exceeded.most),
        _ => None,
    };
    // It never ends, so it is checked during the run.
    let mut endless = run(1 << 40, 0).with_limit(MemoryLimit::new(Some(1000)));
    let model = endless.model().clone();
    if cfg!(target_os = "linux") {
        assert_eq!(exceeded(endless.result(&model)), Some(1000));
        assert_eq!(exceeded(endless.state(2, 0)), Some(1000), "again");
    }
    let mut endless = endless.with_limit(MemoryLimit::none());
    assert_eq!(endless.state(0, 10).expect("it goes on"), run(1 << 40, 0).state(0, 10).expect("a state"));
    let mut small = run(1 << 21, 0).with_limit(MemoryLimit::none());
    assert_eq!(small.result(&model).expect("no output"), VOID);
}
