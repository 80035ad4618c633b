//! Compares functions with the correct results for all 2^32 inputs. A full run takes half a minute to
//! two minutes on two cores for each function, nearly all of it for the right answers.
//!
//! The right answer is that of the platform's `f64` functions, wherever their error cannot change how it is
//! rounded to `f32`; the inputs that are left are those of `tests/hard_cases.txt`, with answers from MPFR.
//!
//!     cargo run --release -p opml-host --example exhaustive -- [FUNCTION...]
//!     cargo run --release -p opml-host --example exhaustive -- hard    # prints the inputs that f64 leaves open

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use dnn_lib::math::Function;
use host::Isa;
use host::lanes::apply;

use oracle::{HardCases, by_f64};

/// How many inputs are taken at once.
const CHUNK: u32 = 1 << 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "hard") {
        return Function::ALL.iter().for_each(|&function| print_hard(function));
    }
    let wanted = |function: &&Function| {
        arguments.is_empty() || arguments.iter().any(|argument| argument == function.name())
    };
    let wrong: u64 = Function::ALL.iter().filter(wanted).map(|&function| check(function)).sum();
    std::process::exit(i32::from(wrong > 0));
}

fn print_hard(function: Function) {
    in_parallel(&|inputs| {
        for x in inputs.filter(|&x| by_f64(function, x).is_none()) {
            println!("{} {x:08x}", function.name());
        }
    });
}

/// The number of wrong results.
fn check(function: Function) -> u64 {
    let isa = Isa::chosen().unwrap_or_else(|error| panic!("{error}"));
    let hard = HardCases::load();
    let wrong = AtomicU64::new(0);
    in_parallel(&|inputs| {
        let x: Vec<f32> = inputs.map(f32::from_bits).collect();
        let mut y = vec![0.0; x.len()];
        apply(isa, function, &x, &mut y);
        for (x, y) in x.iter().zip(&y) {
            let (x, y) = (x.to_bits(), y.to_bits());
            let right = hard.right(function, x);
            if right != Some(y) && wrong.fetch_add(1, Ordering::Relaxed) < 100 {
                println!("{}({x:08x}) is {right:08x?}, not {y:08x}", function.name());
            }
        }
    });
    println!("{} on {isa}: {} wrong of 2^32", function.name(), wrong.load(Ordering::Relaxed));
    wrong.into_inner()
}

/// Calls `work` with all inputs, in chunks, on all cores.
fn in_parallel(work: &(dyn Fn(RangeInclusive<u32>) + Sync)) {
    let next = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                loop {
                    let chunk = next.fetch_add(1, Ordering::Relaxed);
                    if chunk > u32::MAX / CHUNK {
                        break;
                    }
                    work(chunk * CHUNK..=chunk * CHUNK + (CHUNK - 1));
                }
            });
        }
    });
}
