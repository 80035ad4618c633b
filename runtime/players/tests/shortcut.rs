//! A run that uses native code between big steps has the machine's roots at every place a game can ask for.

use compiler::Options;
use game::{Execution, Oracle as _, steps};
use native::Native;
use players::{LoadedModel, NativeShortcut};
use std::path::Path;
use std::sync::Arc;

/// Both runs of a bundled network on an ordinary input.
fn runs(net: &str, budget: Option<u64>) -> (Execution, Execution) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(net).join("model.onnx");
    let compiled = compiler::compile(&path, &Options { budget, ..Options::default() }).expect("an image");
    let native = Native::of(&compiled.image, 1).expect("native code");
    let model = Arc::new(LoadedModel::new(compiled.image, Some(native)).expect("a model"));
    let input: Vec<u8> =
        (0..model.inputs()[0].bytes / 4).flat_map(|i| ((i % 17) as f32 / 17.0).to_le_bytes()).collect();
    let image = &model.image;
    let run = || {
        let inputs = vec![(model.inputs()[0].subtree.address(), input.clone())];
        Execution::new(image.clone(), image.big_steps(), inputs).expect("a run")
    };
    let shortcut = NativeShortcut::new(&model, 0, &[input.clone().into()]).expect("native").expect("a run");
    (run(), run().with_shortcut(Box::new(shortcut)))
}

#[test]
fn every_place_is_the_same_in_any_order() {
    for (net, budget) in [("mnist-mlp", None), ("mnist-cnn", Some(200_000))] {
        let (mut machine, mut native) = runs(net, budget);
        let model = machine.model().clone();
        let last = model.big_steps();
        assert_eq!(machine.result(&model).expect("a result"), native.result(&model).expect("a result"));
        // Back and forth, so that both ways to reach a place are used.
        for big_step in [last, 0, last / 2, last - 1, 1 % last, last / 2] {
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
