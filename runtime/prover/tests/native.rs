//! A run that uses native code between big steps has the machine's roots at every place a game can ask for.

use crate::model::{SIZE, counter, inputs};
use compiler::Options;
use game::{Oracle as _, steps};
use image::Image;
use native::{Native, NativeError};
use prover::{Execution, ExecutionError};
use std::path::Path;

/// Both runs of a bundled network on an ordinary input.
fn runs_of(net: &str, budget: Option<u64>) -> (Execution, Execution) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(net).join("model.onnx");
    let compiled = compiler::compile(&path, &Options { budget, ..Options::default() }).expect("an image");
    let input = compiled.image.interface.as_ref().expect("an interface").inputs[0];
    let input: Vec<u8> =
        (0..(1u64 << input.bits) / 4).flat_map(|i| ((i % 17) as f32 / 17.0).to_le_bytes()).collect();
    runs(compiled.image, 0, vec![input])
}

/// Runs of an image that repeats its period so often, in the machine and with native code.
fn runs(image: Image, repetitions: u64, inputs: Vec<Vec<u8>>) -> (Execution, Execution) {
    let native = Native::of(&image, 1).expect("native code");
    let regions = &image.interface.as_ref().expect("an interface").inputs;
    let run = || {
        let addresses = regions.iter().map(|region| region.address);
        let schedule = image.big_steps().repeated(repetitions).expect("a number of repetitions");
        Execution::new(image.clone(), schedule, addresses.zip(inputs.clone()).collect()).expect("a run")
    };
    (run(), run().with_native(&native).expect("native code of the image"))
}

#[test]
fn every_place_is_the_same_in_any_order() {
    let networks = [("mnist-mlp", None), ("mnist-cnn", Some(200_000))];
    let mut all: Vec<_> = networks.into_iter().map(|(net, budget)| (net, runs_of(net, budget))).collect();
    for (repetitions, end) in [(2, 9), (5, 9), (5, 3), (5, 1)] {
        let image = Image::new(counter(2, 5).contents()).expect("an image");
        all.push(("a counter", runs(image, repetitions, inputs(&[1.5; SIZE as usize], end))));
    }
    for (net, (mut machine, mut native)) in all {
        let model = machine.model().clone();
        let last = model.big_steps();
        assert_eq!(machine.result(&model).expect("a result"), native.result(&model).expect("a result"));
        // Back and forth, so that both ways to reach a place are used.
        for big_step in [last, 0, last / 2, last - 1, 1 % last, last / 3, last / 2] {
            assert_eq!(machine.memory(big_step).expect("a root"), native.memory(big_step).expect("a root"));
            if big_step == last {
                continue;
            }
            let (leaf, _) = machine.schedule(big_step).expect("a leaf");
            for step in [0, steps(leaf) / 3, steps(leaf), 1, steps(leaf) - 1] {
                let [ours, theirs] =
                    [&mut machine, &mut native].map(|run| run.state(big_step, step).expect("a state"));
                assert_eq!(ours, theirs, "{net}: step {step} of big step {big_step}");
            }
            assert_eq!(machine.end(big_step).expect("an end"), native.end(big_step).expect("an end"));
            assert_eq!(
                machine.witness(big_step, 2).expect("a witness"),
                native.witness(big_step, 2).expect("a witness")
            );
        }
        assert_eq!(machine.outputs().expect("outputs"), native.outputs().expect("outputs"));
    }
}

#[test]
fn a_period_is_not_repeated_more_often_than_it_may_be() {
    let image = Image::new(counter(2, 5).contents()).expect("an image");
    let native = Native::of(&image, 1).expect("native code");
    for repetitions in [0, 1, 6] {
        let error = native.repeated(repetitions).err().expect("refused").to_string();
        assert!(error.ends_with("only 2 to 5 times"), "{error}");
    }
}

#[test]
fn native_code_of_another_image_is_refused() {
    let native =
        Native::of(&Image::new(counter(2, 5).contents()).expect("an image"), 1).expect("native code");
    let other = Image::new(counter(2, 6).contents()).expect("an image");
    let run = Execution::new(other.clone(), other.big_steps(), Vec::new()).expect("a run");
    let error = run.with_native(&native).expect_err("refused");
    assert!(matches!(error, ExecutionError::Native(NativeError::Repetitions { .. })), "{error}");
    let run = Execution::new(other.clone(), other.big_steps().repeated(5).expect("as often"), Vec::new());
    let error = run.expect("a run").with_native(&native).expect_err("refused");
    assert!(matches!(error, ExecutionError::Native(NativeError::OtherImage { .. })), "{error}");
}
