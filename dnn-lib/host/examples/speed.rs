//! The time of a function over 262,144 floats on one thread, for each set of vector instructions.

use std::time::Instant;

use dnn_lib::math::Function;
use host::Isa;
use host::lanes::apply;

const COUNT: usize = 262_144;

fn main() {
    // A sum of uniform numbers, which is about normal with a deviation of 2.
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let x: Vec<f32> = (0..COUNT).map(|_| 2.0 * (0..12).map(|_| uniform()).sum::<f32>()).collect();
    let mut y = vec![0.0; COUNT];
    for &function in Function::ALL {
        for isa in Isa::available() {
            let mut times: Vec<f64> = (0..200)
                .map(|_| {
                    let start = Instant::now();
                    apply(isa, function, &x, &mut y);
                    start.elapsed().as_secs_f64() / COUNT as f64 * 1e9
                })
                .collect();
            times.sort_by(f64::total_cmp);
            println!("{:8} {:8} {:.3} ns", function.name(), isa.name(), times[times.len() / 2]);
        }
    }
}
