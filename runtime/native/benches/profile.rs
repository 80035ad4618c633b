//! Says where the time of a native run goes: the fastest time of each big step, the dearest first.
//!
//!     cargo bench -p opml-native --bench profile -- MODEL.onnx [ROUNDS]
//!
//! Inputs are those of `test_data_set_0` beside the model. Big steps run alone, on one thread.

use std::env;
use std::path::Path;
use std::time::Duration;

use compiler::Options;
use native::{Native, Run};
use onnx::Limits;

/// How long this thread has run: what else the computer does counts little.
#[cfg(target_os = "linux")]
fn clock() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The time.
#[cfg(not(target_os = "linux"))]
fn clock() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Some(model) = arguments.first() else {
        return println!("profile MODEL.onnx [ROUNDS]");
    };
    let rounds = arguments.get(1).map_or(20, |rounds| rounds.parse().expect("a number"));
    let model = Path::new(model);
    let inputs: Vec<_> = (0..)
        .map(|index| model.with_file_name(format!("test_data_set_0/input_{index}.pb")))
        .take_while(|path| path.exists())
        .map(|path| onnx::read_tensor(&path, &Limits::default()).expect("a tensor").1)
        .collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(|input| input.bytes()).collect();
    let image = compiler::compile(model, &Options::default()).expect("a model").image;
    let native = Native::of(&image, 1).expect("native code");
    let mut run = Run::new(&native, &image, &inputs).expect("a run");
    // A period is measured at its first repetition.
    let count = image.schedule.len();
    let mut times = vec![Duration::MAX; count];
    for _ in 0..=rounds {
        for (index, time) in times.iter_mut().enumerate() {
            let start = clock();
            let index = index as u64;
            native.run_range(run.memory(), index..index + 1).expect("a run");
            *time = (clock() - start).min(*time);
        }
    }
    let all: Duration = times.iter().sum();
    println!("{:>9.1} us together", all.as_secs_f64() * 1e6);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(times[index]));
    for index in order {
        let (step, time) = (&image.schedule[index], times[index].as_secs_f64());
        let output = &image.tensors[step.output as usize];
        let share = 100.0 * time / all.as_secs_f64();
        println!(
            "{:>9.1} us {share:>5.1} %  {:<22} {:<20} {}",
            time * 1e6,
            step.operator,
            format!("{:?}", output.shape),
            step.node
        );
    }
}
