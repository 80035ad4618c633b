//! Measures how many million instructions per second the interpreter executes.
//!
//! Run with `cargo bench -p opml-interpreter`, or with `cargo bench -p opml-interpreter -- model.opml` for
//! your own images. All inputs are zero.

mod loops;

use image::Image;
use interpreter::{Arithmetic, Census, Interpreter};
use loops::{floats, image_of, integers};
use std::time::Instant;

/// Steps per measurement.
const STEPS: u64 = 100_000_000;

/// Runs an image to its end and hashes the memory that it wrote.
fn time_image(path: &str) {
    let image = Image::read(path.as_ref()).unwrap_or_else(|error| panic!("{error}"));
    let mut machine = Interpreter::new(&image).expect("memory");
    let start = Instant::now();
    machine.state_root();
    let first = start.elapsed();
    let start = Instant::now();
    let outcome = machine.run(u64::MAX);
    let seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    machine.state_root();
    let (steps, rate) = (outcome.steps, outcome.steps as f64 / seconds / 1e6);
    println!("{path}: {steps} steps, {rate:.0} million instructions a second, {}", outcome.status);
    println!("{path}: first root {first:.1?}, last root {:.1?}", start.elapsed());
}

fn main() {
    // Cargo adds its own options.
    let images: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if !images.is_empty() {
        return images.iter().for_each(|path| time_image(path));
    }
    for (name, program, arithmetic) in [
        ("integers", integers(), Arithmetic::Host),
        ("f32 multiply-add", floats(), Arithmetic::Host),
        ("f32 multiply-add in software", floats(), Arithmetic::Soft),
    ] {
        let machine = Interpreter::new(&image_of(&program)).expect("memory");
        let mut machine = machine.with_arithmetic(arithmetic);
        let best = (0..5).map(|_| {
            let start = Instant::now();
            let outcome = machine.run(STEPS / if arithmetic == Arithmetic::Soft { 20 } else { 1 });
            outcome.steps as f64 / start.elapsed().as_secs_f64() / 1e6
        });
        println!("{name}: {:.0} million instructions a second", best.fold(0.0, f64::max));
    }
    let mut machine = Interpreter::new(&image_of(&integers())).expect("memory");
    let mut census = Census::new(machine.profile(), []);
    let best = (0..5).map(|_| {
        let start = Instant::now();
        machine.run_census(STEPS, &mut census).steps as f64 / start.elapsed().as_secs_f64() / 1e6
    });
    println!(
        "integers, counted at each address: {:.0} million instructions a second",
        best.fold(0.0, f64::max)
    );
}
