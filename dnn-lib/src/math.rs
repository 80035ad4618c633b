//! Elementary functions, as routines of the kernel language: correctly rounded in `f32`, evaluated in `f64`.
//!
//! They use only `+ * fma /` and integer operations, so that every backend computes the same bits. An `f64`
//! evaluation with an error of about one unit in the last place rounds almost every `f32` input correctly.
//! The few results that are closer to the midpoint of two floats are listed in `tests/hard_cases.txt` and
//! have been tested individually. `examples/exhaustive.rs` tests all 2^32 inputs.

use crate::kernel::{BinaryOp, Builder, Conversion, Ops, Type, Value};

/// Adding this to a small `f64` and subtracting it again rounds to an integer, which is also in the low bits
/// of the sum.
const ROUNDER: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// The top 40 bits of ln 2, so that its product with a small integer is exact.
const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fefa_3000);

/// ln 2 - LN2_HIGH.
const LN2_LOW: f64 = f64::from_bits(0x3d53_de6a_f278_ece6);

/// The number of coefficients 1 / (i + 2)! in the Taylor series of (exp(r) - 1 - r) / r^2. The remainder is
/// below 2^-57 for |r| <= ln(2) / 2.
const TERMS: u64 = 12;

/// exp(x) = 2^n * (1 + rest).
struct Split {
    /// n, in the low 12 bits; the other bits have no meaning.
    n: Value,
    /// exp(r) - 1, where r = x - n ln 2 and |r| <= ln(2) / 2.
    rest: Value,
}

/// Splits the exponential of an `F64` of at most a few hundred.
fn split_exp(b: &mut Builder, x: Value) -> Split {
    let (log2_e, rounder) = (b.f64(std::f64::consts::LOG2_E), b.f64(ROUNDER));
    let shifted = b.fma(x, log2_e, rounder);
    let n = b.sub(shifted, rounder);
    let (high, low) = (b.f64(-LN2_HIGH), b.f64(-LN2_LOW));
    let r = b.fma(n, high, x);
    let r = b.fma(n, low, r);
    let series = series(b, r);
    let square = b.mul(r, r);
    let rest = b.fma(square, series, r);
    Split { n: b.bitcast(shifted), rest }
}

/// (exp(r) - 1 - r) / r^2, by Horner's rule.
fn series(b: &mut Builder, r: Value) -> Value {
    let coefficient = |i: u64| 1.0 / (1..=i + 2).product::<u64>() as f64;
    let mut sum = b.f64(coefficient(TERMS - 1));
    for i in (0..TERMS - 1).rev() {
        let next = b.f64(coefficient(i));
        sum = b.fma(sum, r, next);
    }
    sum
}

/// An `F64` times 2^n, if that is a normal number. A NaN stays a NaN.
fn scale(b: &mut Builder, x: Value, n: Value) -> Value {
    let shift = b.i64(52);
    let exponent = b.binary(BinaryOp::Shl, n, shift);
    let bits = b.bitcast(x);
    let bits = b.add(bits, exponent);
    b.bitcast(bits)
}

/// exp(x) of an `F64` of at most a few hundred.
fn exp_f64(b: &mut Builder, x: Value) -> Value {
    let split = split_exp(b, x);
    let one = b.f64(1.0);
    let mantissa = b.add(one, split.rest);
    scale(b, mantissa, split.n)
}

/// The smaller of `x` and the limit. A NaN stays a NaN.
fn at_most(b: &mut Builder, x: Value, limit: f32) -> Value {
    let limit = b.f32(limit);
    let beyond = b.lt(limit, x);
    b.select(beyond, limit, x)
}

fn promote(b: &mut Builder, x: Value) -> Value {
    b.convert(Conversion::Promote, Type::F64, x)
}

fn demote(b: &mut Builder, x: Value) -> Value {
    b.convert(Conversion::Demote, Type::F32, x)
}

/// exp(x), of an `F32`.
pub(crate) fn exp(b: &mut Builder, x: Value) -> Value {
    // exp(90) rounds to infinity and exp(-110) to 0.
    let x = at_most(b, x, 90.0);
    let least = b.f32(-110.0);
    let below = b.lt(x, least);
    let x = b.select(below, least, x);
    let x = promote(b, x);
    let y = exp_f64(b, x);
    demote(b, y)
}

/// tanh(x), of an `F32`: E / (E + 2), where E = exp(2 |x|) - 1, with the sign of x.
pub(crate) fn tanh(b: &mut Builder, x: Value) -> Value {
    let magnitude = b.abs(x);
    // tanh(10) rounds to 1.
    let magnitude = at_most(b, magnitude, 10.0);
    let doubled = b.add(magnitude, magnitude);
    let doubled = promote(b, doubled);
    let split = split_exp(b, doubled);
    let (one, two) = (b.f64(1.0), b.f64(2.0));
    let power = scale(b, one, split.n);
    let whole = b.sub(power, one);
    let e = b.fma(power, split.rest, whole);
    let below = b.add(e, two);
    let y = b.div(e, below);
    let y = demote(b, y);
    with_sign_of(b, y, x)
}

/// A magnitude with the sign of another `F32`. A NaN stays a NaN.
fn with_sign_of(b: &mut Builder, magnitude: Value, x: Value) -> Value {
    let mask = b.i32(i32::MIN);
    let x = b.bitcast(x);
    let sign = b.binary(BinaryOp::And, x, mask);
    let magnitude = b.bitcast(magnitude);
    let bits = b.binary(BinaryOp::Or, magnitude, sign);
    b.bitcast(bits)
}

/// 1 / (1 + exp(-x)), of an `F32`: 1 / (1 + E) or E / (1 + E), where E = exp(-|x|).
pub(crate) fn sigmoid(b: &mut Builder, x: Value) -> Value {
    let magnitude = b.abs(x);
    // E(110) rounds to 0.
    let clamped = at_most(b, magnitude, 110.0);
    let clamped = promote(b, clamped);
    let negative = b.neg(clamped);
    let e = exp_f64(b, negative);
    let (zero, one) = (b.f32(0.0), b.f64(1.0));
    let below = b.add(one, e);
    let left = b.lt(x, zero);
    let above = b.select(left, e, one);
    let y = b.div(above, below);
    let near = near_half(b, x);
    let limit = b.f32(f32::from_bits(0x3980_0000)); // 2^-12
    let small = b.lt(magnitude, limit);
    let y = b.select(small, near, y);
    demote(b, y)
}

/// 1/2 + x/4 - x^3/48 + ... for |x| < 2^-12. If 1/2 + x/4 is the midpoint of two floats, the cubic term
/// decides, however small it is. So x/4 is reduced by an amount that is too small to matter elsewhere.
fn near_half(b: &mut Builder, x: Value) -> Value {
    let x = promote(b, x);
    let slope = b.f64(0.25 - f64::from_bits(0x3e20_0000_0000_0000)); // 2^-29
    let half = b.f64(0.5);
    b.fma(x, slope, half)
}

/// The elementary functions of definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Function {
    /// The exponential.
    Exp,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

impl Function {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exp => "exp",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
        }
    }

    /// Its code in a kernel.
    pub fn emit(self, b: &mut Builder, x: Value) -> Value {
        match self {
            Self::Exp => exp(b, x),
            Self::Sigmoid => sigmoid(b, x),
            Self::Tanh => tanh(b, x),
        }
    }

    /// Its value.
    pub fn eval(self, x: f32) -> f32 {
        let ty = crate::tensor::TensorType::new(crate::tensor::DType::F32, [1]);
        let mut b = Builder::new("function", std::slice::from_ref(&ty), &ty, &[1]);
        let (from, to) = (b.input(0), b.output());
        let value = b.load(crate::tensor::DType::F32, from, 0);
        let y = self.emit(&mut b, value);
        b.store(crate::tensor::DType::F32, to, 0, y);
        let bytes = b.finish().ok().and_then(|kernel| kernel.run(&[&x.to_le_bytes()]).ok());
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or(f32::NAN, f32::from_le_bytes)
    }
}
