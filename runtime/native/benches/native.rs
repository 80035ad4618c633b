//! Measures the bundled CNN natively and in the machine, and the cost of commitments. Run with `cargo bench
//! -p opml-native`.

use std::path::Path;
use std::time::{Duration, Instant};

use compiler::{Compiled, Options};
use image::Role;
use interpreter::Interpreter;
use native::{Native, Run};
use onnx::Limits;

/// The shortest time of several runs.
fn best(runs: u32, mut run: impl FnMut()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..runs).map(time).min().unwrap_or_default()
}

fn interpret(compiled: &Compiled, input: &[u8]) -> (Duration, u64) {
    let mut machine = Interpreter::new(&compiled.image).expect("memory");
    let tensor = compiled.image.tensors.iter().find(|tensor| tensor.role == Role::Input).expect("an input");
    machine.write_memory(tensor.address, input).expect("inside");
    let start = Instant::now();
    let outcome = machine.run(u64::MAX);
    (start.elapsed(), outcome.steps)
}

fn main() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mnist-cnn");
    let input = onnx::read_tensor(&fixture.join("test_data_set_0/input_0.pb"), &Limits::default())
        .expect("an input")
        .1;
    for budget in [None, Some(200_000)] {
        let options = Options { budget, ..Options::default() };
        let compiled = compiler::compile(&fixture.join("model.onnx"), &options).expect("a model");
        let interface = compiled.image.interface.as_ref().expect("an interface");
        println!("mnist-cnn, budget {budget:?}: {} big steps", compiled.image.schedule.len());
        let (vm, steps) = interpret(&compiled, input.bytes());
        println!("  machine: {vm:.2?} for {steps} steps, bound {}", interface.bound);
        for threads in [1, 2] {
            let native = Native::of(&compiled.image, threads).expect("native code");
            let mut run = Run::new(&native, &compiled.image, &[input.bytes()]).expect("a run");
            run.run_to(native.big_steps()).expect("a run");
            let time = best(500, || native.run(run.memory()).expect("a run"));
            println!(
                "  native, {threads} threads: {time:.1?}, {:.0} times as fast",
                vm.as_secs_f64() / time.as_secs_f64()
            );
            let commit = best(500, || drop(std::hint::black_box(run.output_roots().expect("roots"))));
            let share = 100.0 * commit.as_secs_f64() / time.as_secs_f64();
            println!("  output roots: {commit:.2?}, {share:.2} % of the run");
            let all = best(5, || {
                for boundary in 0..=native.big_steps() {
                    run.memory_root_at(boundary).expect("a root");
                }
            });
            println!("  run with all {} memory roots: {all:.1?}", native.big_steps() + 1);
        }
    }
}
