//! The correct results of the functions, shared by a test and the exhaustive check.
#![allow(dead_code)]

use std::collections::HashMap;

use dnn_lib::math::Function;

/// The canonical NaN.
const NAN: u32 = 0x7fc0_0000;

#[expect(unsafe_code, reason = "the C library is a second opinion")]
mod c {
    unsafe extern "C" {
        pub safe fn erf(x: f64) -> f64;
    }
}

/// The platform's `f64` function, with an error of at most 2^-49.
fn platform(function: Function, x: f64) -> f64 {
    match function {
        Function::Exp => x.exp(),
        Function::Tanh => x.tanh(),
        Function::Sigmoid if x < 0.0 => x.exp() / (1.0 + x.exp()),
        Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Function::Erf => c::erf(x),
    }
}

/// The correct result according to the platform's `f64` functions, if their error cannot matter. From bits to
/// bits.
pub fn by_f64(function: Function, bits: u32) -> Option<u32> {
    let y = platform(function, f64::from(f32::from_bits(bits)));
    if y.is_nan() {
        return Some(NAN);
    }
    if y == 0.0 || y.is_infinite() {
        return Some((y as f32).to_bits());
    }
    // The platform's functions are accurate to 2 units in the last place, 2^-51. Division and sum add the
    // same again.
    let error = y.abs() * f64::from_bits(0x3ce0_0000_0000_0000); // 2^-49
    let (low, high) = ((y - error) as f32, (y + error) as f32);
    (low.to_bits() == high.to_bits()).then_some(low.to_bits())
}

/// The inputs that `f64` can't decide, with results from MPFR (see `tests/hard_cases.py`).
pub struct HardCases(HashMap<(Function, u32), u32>);

impl HardCases {
    pub fn load() -> Self {
        let line = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let bits = |field: &str| u32::from_str_radix(field, 16).expect("hexadecimal bits");
            ((Function::named(fields[0]).expect("a function"), bits(fields[1])), bits(fields[2]))
        };
        let lines = include_str!("../hard_cases.txt").lines();
        Self(lines.filter(|line| !line.starts_with('#')).map(line).collect())
    }

    /// The inputs of a function.
    pub fn inputs(&self, function: Function) -> Vec<u32> {
        self.0.keys().filter(|case| case.0 == function).map(|case| case.1).collect()
    }

    /// The correct result, if it is known.
    pub fn right(&self, function: Function, x: u32) -> Option<u32> {
        by_f64(function, x).or_else(|| self.0.get(&(function, x)).copied())
    }
}
