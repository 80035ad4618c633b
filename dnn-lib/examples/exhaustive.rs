//! Compares exp, tanh and sigmoid with the correct results for all 2^32 inputs, or for every `STEP`th input
//! between two bit patterns (in hexadecimal). A full run takes about 20 core minutes per function.
//!
//! The right answer is that of the platform's `f64` functions, wherever their error cannot change how it is
//! rounded to `f32`; the inputs that are left are those of `tests/hard_cases.txt`, with answers from MPFR.
//!
//!     cargo run --release -p opml-dnn-lib --example exhaustive -- [exp|tanh|sigmoid|all] [STEP [FROM TO]]
//!     cargo run --release -p opml-dnn-lib --example exhaustive -- hard    # prints the inputs that f64 leaves open

#[path = "../tests/oracle/mod.rs"]
mod oracle;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use oracle::{Function, HardCases};

/// How many inputs one kernel call takes.
const CHUNK: u64 = 1 << 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let what = arguments.first().map_or("all", String::as_str);
    let step: u64 = arguments.get(1).and_then(|step| step.parse().ok()).unwrap_or(1);
    let bits = |index: usize, default: u64| {
        arguments.get(index).and_then(|bits| u64::from_str_radix(bits, 16).ok()).unwrap_or(default)
    };
    let range = bits(2, 0)..bits(3, 1 << 32).min(1 << 32);
    for function in Function::ALL {
        if what == "hard" {
            in_parallel(1, range.clone(), &|inputs| {
                for &x in inputs.iter().filter(|&&x| function.by_f64(x).is_none()) {
                    println!("{} {x:08x}", function.name());
                }
            });
        } else if what == "all" || what == function.name() {
            check(function, step, range.clone());
        }
    }
}

fn check(function: Function, step: u64, range: Range<u64>) {
    let hard = HardCases::load();
    let kernel = function.kernel(CHUNK);
    let wrong = AtomicU64::new(0);
    let checked = AtomicU64::new(0);
    in_parallel(step, range, &|inputs| {
        let found = oracle::evaluate(&kernel, inputs);
        for (&x, found) in inputs.iter().zip(found) {
            let right = hard.right(function, x);
            if right != Some(found) {
                wrong.fetch_add(1, Ordering::Relaxed);
                println!("{}({x:08x}) is {right:08x?}, not {found:08x}", function.name());
            }
        }
        checked.fetch_add(inputs.len() as u64, Ordering::Relaxed);
    });
    println!("{}: {} wrong of {}", function.name(), wrong.into_inner(), checked.into_inner());
}

/// Calls `work` with every `step`th input, in chunks, on all cores.
fn in_parallel(step: u64, range: Range<u64>, work: &(dyn Fn(&[u32]) + Sync)) {
    let next = AtomicU64::new(0);
    let chunks = range.end.saturating_sub(range.start).div_ceil(step * CHUNK);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |cores| cores.get()) {
            scope.spawn(|| {
                loop {
                    let chunk = next.fetch_add(1, Ordering::Relaxed);
                    if chunk >= chunks {
                        break;
                    }
                    let first = range.start + chunk * CHUNK * step;
                    let inputs = (0..CHUNK).map(|i| first + i * step).take_while(|&x| x < range.end);
                    work(&inputs.map(|x| x as u32).collect::<Vec<_>>());
                }
            });
        }
    });
}
