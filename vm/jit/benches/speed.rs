//! Compares how many million instructions per second the JIT and the interpreter execute.
//!
//! Run with `cargo bench -p opml-jit`, or with `cargo bench -p opml-jit -- model.opml program.elf` for your
//! own images and ELF programs. All inputs are zero.

#[path = "../../interpreter/benches/loops/mod.rs"]
mod loops;

use image::Image;
use interpreter::Interpreter;
use jit::Jit;
use loops::{floats, image_of, integers};
use std::time::{Duration, Instant};

/// Steps of an endless loop in one measurement.
const STEPS: u64 = 1_000_000_000;
/// How often each measurement is repeated. The best result counts.
const ROUNDS: usize = 3;

fn main() {
    let files: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for file in &files {
        report(file, &read(file), u64::MAX);
    }
    if files.is_empty() {
        report("integers", &image_of(&integers()), STEPS);
        report("f32 multiply-add", &image_of(&floats()), STEPS);
    }
}

fn read(file: &str) -> Image {
    let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    if bytes.starts_with(&image::MAGIC) {
        return Image::from_bytes(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let program = image::elf::load(&bytes, &image::elf::Options::default());
    let program = program.unwrap_or_else(|error| panic!("{file}: {error}"));
    Image::new(program.contents).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs `work` and measures this thread's processor time, since other processes may be busy too.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let on_processor = || {
        let times = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        times.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let (wall, start) = (Instant::now(), on_processor());
    let result = work();
    let time = start.and_then(|start| on_processor()?.checked_sub(start));
    // The system counts in ticks of a few milliseconds.
    (result, time.filter(|time| *time > Duration::from_millis(50)).unwrap_or_else(|| wall.elapsed()))
}

fn report(name: &str, image: &Image, limit: u64) {
    let mut best = (0.0f64, 0.0f64);
    let (mut steps, mut translated) = Default::default();
    for _ in 0..ROUNDS {
        let mut machine = Jit::new(image).expect("a host");
        let (outcome, time) = timed(|| machine.run(limit));
        steps = outcome.steps;
        best.0 = best.0.max(steps as f64 / time.as_secs_f64());
        translated = machine.translated();
        let mut machine = Interpreter::new(image).expect("memory");
        let (outcome, time) = timed(|| machine.run(steps / 10));
        best.1 = best.1.max(outcome.steps as f64 / time.as_secs_f64());
    }
    let (quick, slow) = (best.0 / 1e6, best.1 / 1e6);
    println!("{name}: {quick:.0} million instructions a second, the interpreter {slow:.0}; {steps} steps");
    let each = translated.time.as_secs_f64() * 1e6 / translated.instructions.max(1) as f64;
    println!("  {translated:?}, {each:.1} us an instruction");
}
