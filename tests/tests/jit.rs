//! Translated code against the interpreter: random programs, stopped at random steps, and proofs from there.

use interpreter::{Arithmetic, Interpreter};
use isa::TABLE;
use jit::Jit;
use opml_tests::random::Random;
use opml_tests::road::{Job, Registers, Road as _};
use opml_tests::soup::soup;
use opml_tests::{program::Program, road};
use step::{Floats, Status};

fn start(machine: &mut Interpreter, registers: &Registers) {
    (1..).zip(&registers.x[1..]).for_each(|(register, &value)| machine.set_x(register, value));
    machine.set_floats(Floats(registers.f));
}

#[test]
fn random_programs_stop_at_any_step_in_the_same_state() {
    let mut random = Random::new(11);
    let (mut compiled, mut ran, mut kinds) = (0, 0, std::collections::BTreeMap::new());
    for number in 0..1000 {
        let length = 8 * (1 + random.below(12));
        let (image, registers) = soup(length, &mut random);
        let threshold = *random.pick(&[0, 1, 600, 3000]);
        let mut reference = Interpreter::new(&image).expect("memory").with_arithmetic(Arithmetic::Soft);
        let mut machine = Jit::new(&image).expect("a host").with_threshold(threshold);
        start(&mut reference, &registers);
        start(&mut machine, &registers);
        for _ in 0..6 {
            let limit = random.below(3000);
            let (expected, found) = (reference.run(limit), machine.run(limit));
            assert_eq!(found, expected, "program {number}");
            assert_eq!(machine.steps(), reference.steps(), "program {number}");
            let (expected, found) = (reference.state(), machine.state());
            assert_eq!(found, expected, "program {number} at step {}", reference.steps());
            assert_eq!(machine.floats(), reference.floats(), "program {number}");
            if reference.status() == Status::Running {
                // The next step is proved from either machine.
                assert_eq!(machine.witness().expect("a witness"), reference.witness().expect("a witness"));
            }
        }
        compiled += machine.translated().regions;
        ran += machine.translated().steps;
        *kinds.entry(format!("{:?}", reference.status())).or_insert(0) += 1;
    }
    eprintln!("{compiled} regions, {ran} steps in them; {kinds:?}");
    assert!(compiled > 400 && ran > 200_000, "{compiled} regions, {ran} steps");
    assert!(kinds.len() > 6, "{kinds:?}");
}

#[test]
fn straight_programs_give_what_soft_floats_give() {
    let mut random = Random::new(5);
    let mut executed = vec![0; TABLE.len()];
    for _ in 0..40 {
        let program = Program::random(12, &mut random, &mut executed);
        let elf = program.elf();
        let contents = image::elf::load(&elf, &image::elf::Options::default()).expect("contents");
        let image = image::Image::new(contents).expect("an image");
        let job = Job { output: (opml_tests::program::DATA, program.compared()), ..Job::whole(&image) };
        let expected = road::InterpreterRoad(Arithmetic::Soft).run(&job).expect("a run");
        let found = road::JitRoad(0).run(&job).expect("a run");
        if let Some(difference) = program.difference(&found.output, &expected.output) {
            panic!("{difference}");
        }
        assert_eq!(found, expected);
    }
}
