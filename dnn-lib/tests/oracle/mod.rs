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
        pub safe fn erfc(x: f64) -> f64;
        pub safe fn asinh(x: f64) -> f64;
        pub safe fn acosh(x: f64) -> f64;
        pub safe fn atanh(x: f64) -> f64;
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
        Function::Log => x.ln(),
        Function::Expm1 => x.exp_m1(),
        Function::Softplus if x.is_nan() => x,
        Function::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        Function::Mish => mish(x),
        Function::Gelu | Function::GeluTanh if x.abs() < SMALL => x * (0.5 + SMALL.copysign(x)),
        Function::Gelu => gelu(x),
        Function::GeluTanh => gelu_tanh(x),
        Function::Sin => x.sin(),
        Function::Cos => x.cos(),
        Function::Tan => x.tan(),
        Function::Sinh => x.sinh(),
        Function::Cosh => x.cosh(),
        Function::Asin => x.asin(),
        Function::Acos => x.acos(),
        Function::Atan => x.atan(),
        Function::Asinh => c::asinh(x),
        Function::Acosh => c::acosh(x),
        Function::Atanh => c::atanh(x),
    }
}

/// Half of an x below this can be the midpoint of two floats. Its factor is 1/2 and a little, on which side is
/// all that matters.
const SMALL: f64 = f64::from_bits(0x3d20_0000_0000_0000); // 2^-45

/// A number as large as makes a difference in an exponential.
fn near(x: f64) -> f64 {
    x.clamp(-200.0, 200.0)
}

fn mish(x: f64) -> f64 {
    let e = near(x).exp();
    let w = e * (e + 2.0);
    x.max(near(x)) * (w / (w + 2.0))
}

/// The last places of the exponent decide about the last places of a small result, so it has two parts.
fn gelu(x: f64) -> f64 {
    const ROOT: [f64; 2] = [std::f64::consts::FRAC_1_SQRT_2, -4.833646656726457e-17];
    let t = -near(x);
    let z = t * ROOT[0];
    let rest = t.mul_add(ROOT[0], -z) + t * ROOT[1];
    let slope = std::f64::consts::FRAC_2_SQRT_PI * (-z * z).exp();
    x.max(near(x)) * (c::erfc(z) - rest * slope) / 2.0
}

fn gelu_tanh(x: f64) -> f64 {
    const CUBIC: [f64; 2] = [0.044715, 2.1960211427085595e-18];
    const STEEPNESS: [f64; 2] = [1.595_769_121_605_730_8, -9.96930880911092e-17];
    // A larger one would be too large for the exponential.
    let t = x.clamp(-20.0, 20.0);
    let square = t * t;
    let p = CUBIC[0] * square;
    let p_rest = CUBIC[0].mul_add(square, -p) + CUBIC[1] * square;
    let sum = 1.0 + p;
    let own = sum - p;
    let sum_rest = (1.0 - own) + (p - (sum - own)) + p_rest;
    let product = t * sum;
    let product_rest = t.mul_add(sum, -product) + t * sum_rest;
    let y = STEEPNESS[0] * product;
    let rest = STEEPNESS[0].mul_add(product, -y) + STEEPNESS[0] * product_rest + STEEPNESS[1] * product;
    let e = (-y).exp();
    x.max(near(x)) / (1.0 + (e - e * rest))
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
