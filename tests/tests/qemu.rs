//! Random programs over every table entry, under qemu-riscv64 and on opml's machine: every register and byte
//! of memory must be the same. qemu is an independent oracle.
//!
//! `OPML_PROGRAMS` sets how many programs run (20).

use image::Image;
use isa::{Op, TABLE, Trap};
use opml_tests::backend::{BACKENDS, Job, agree};
use opml_tests::program::{DATA, Program, candidates};
use opml_tests::random::Random;
use opml_tests::tools;
use step::Status;

/// Blocks per program: enough to make the start of qemu cheap.
const BLOCKS: usize = 200;

/// The memory that a program leaves under qemu.
fn oracle(program: &Program) -> Vec<u8> {
    let output = tools::qemu(&program.elf());
    assert!(output.status.success(), "qemu: {}, {}", output.status, String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The memory that a program leaves on all backends.
fn ours(program: &Program) -> Vec<u8> {
    let contents =
        image::elf::load(&program.elf(), &image::elf::Options::default()).expect("a program").contents;
    let image = Image::new(contents).expect("an image");
    let ending = agree(BACKENDS, &Job { output: (DATA, program.compared()), ..Job::whole(&image) });
    // The first system call after the blocks is `write`, which the machine does not have.
    assert_eq!(ending.state.status, Status::Trapped(Trap::EnvironmentCall), "pc {:#x}", ending.state.pc);
    ending.output
}

#[test]
fn every_instruction_agrees_with_qemu() {
    let mut executed = vec![0; TABLE.len()];
    for seed in 0..tools::number("OPML_PROGRAMS", 20) {
        let program = Program::random(BLOCKS, &mut Random::new(seed), &mut executed);
        let oracle = oracle(&program);
        if let Some(difference) = program.difference(&ours(&program), &oracle) {
            panic!("program {seed}: {difference}");
        }
    }
    let rare: Vec<_> =
        candidates().filter(|entry| executed[entry.op as usize] < 100).map(|entry| entry.mnemonic).collect();
    assert!(rare.is_empty(), "executed fewer than 100 times: {rare:?}");
}

/// A bug in the semantics: one instruction replaces the other wherever it occurs.
const MISTAKES: [(Op, Op); 8] = [
    (Op::Srlw, Op::Sraw),
    (Op::Bltu, Op::Blt),
    (Op::Lhu, Op::Lh),
    (Op::Mulhsu, Op::Mulh),
    (Op::Remu, Op::Rem),
    (Op::FnmsubS, Op::FnmaddS),
    (Op::FminD, Op::FmaxD),
    (Op::FcvtWuS, Op::FcvtWS),
];

#[test]
fn planted_mistakes_are_noticed() {
    let program = Program::random(BLOCKS, &mut Random::new(0), &mut vec![0; TABLE.len()]);
    let oracle = oracle(&program);
    for (right, wrong) in MISTAKES {
        let mut mistaken = program.clone();
        for it in
            mistaken.blocks.iter_mut().flat_map(|block| &mut block.instructions).filter(|it| it.op == right)
        {
            it.op = wrong;
        }
        assert!(mistaken.difference(&ours(&mistaken), &oracle).is_some(), "{right:?} as {wrong:?}");
    }
}

#[test]
fn swapped_rounding_modes_are_noticed() {
    let program = Program::random(BLOCKS, &mut Random::new(0), &mut vec![0; TABLE.len()]);
    let mut mistaken = program.clone();
    for it in mistaken.blocks.iter_mut().flat_map(|block| &mut block.instructions) {
        it.rm = [0, 1, 3, 2, 4][usize::from(it.rm)];
    }
    assert!(mistaken.difference(&ours(&mistaken), &oracle(&program)).is_some());
}
