//! Activations.

use super::{Formula, elementwise};
use crate::math::Function;
use crate::operator::error::{FLOATS, numbers, signed};
use crate::scalar::{Ops, Value};
use crate::tensor::DType;

elementwise! {
    /// max(0, x) + min(0, alpha (exp(x / alpha) - 1)).
    Celu { /// The negative limit.
           alpha: f32 } of FLOATS; |e, x| {
        let (zero, alpha) = (e.literal(0.0), e.literal(alpha.into()));
        let (above, below) = (e.max(x, zero), e.div(x, alpha));
        let below = e.call(Function::Expm1, below);
        let below = e.mul(alpha, below);
        let below = e.min(below, zero);
        e.add(above, below)
    };
    /// x if it is not negative, else alpha (exp(x) - 1).
    Elu { /// The negative limit.
          alpha: f32 } of FLOATS; |e, x| {
        let (alpha, below) = (e.literal(alpha.into()), e.call(Function::Expm1, x));
        let below = e.mul(alpha, below);
        where_negative(e, x, below)
    };
    /// alpha x + beta, rounded once, from 0 to 1.
    HardSigmoid { /// The slope.
                  alpha: f32,
                  /// The value at 0.
                  beta: f32 } of FLOATS; |e, x| hard_sigmoid(e, x, alpha.into(), beta.into());
    /// x times the HardSigmoid of slope 1/6 of it.
    HardSwish of FLOATS; |e, x| { let y = hard_sigmoid(e, x, 1.0 / 6.0, 0.5); e.mul(x, y) };
    /// x if it is not negative, else alpha x.
    LeakyRelu { /// The factor of negative numbers.
                alpha: f32 } of FLOATS; |e, x| {
        let alpha = e.literal(alpha.into());
        let scaled = e.mul(alpha, x);
        where_negative(e, x, scaled)
    };
    /// x if it is not negative, else slope x. Integers wrap.
    PRelu of numbers(); |e, x, slope| {
        let scaled = e.mul(slope, x);
        where_negative(e, x, scaled)
    };
    /// x if it is positive, else 0. A NaN stays a NaN.
    Relu of signed(); |e, x| {
        let zero = e.literal(0.0);
        // Not `0 < x`, which is false for a NaN, and a NaN must stay.
        let cut = e.le(x, zero);
        e.select(cut, zero, x)
    };
    /// gamma x if x is positive, else gamma (alpha (exp(x) - 1)).
    Selu { /// The negative limit, before it is scaled.
           alpha: f32,
           /// The factor of all numbers.
           gamma: f32 } of FLOATS; |e, x| {
        let (zero, alpha, gamma) = (e.literal(0.0), e.literal(alpha.into()), e.literal(gamma.into()));
        let below = e.call(Function::Expm1, x);
        let (positive, below) = (e.lt(zero, x), e.mul(alpha, below));
        let y = e.select(positive, x, below);
        e.mul(gamma, y)
    };
    /// x + bias below -lambda, x - bias above lambda, 0 between. Integers are computed with as f64, and what
    /// comes of them is rounded towards zero.
    Shrink { /// What the absolute value is reduced by.
             bias: f32,
             /// The limit of what becomes 0.
             lambda: f32 } of numbers(); |e, x| {
        let (own, integer) = (e.dtype(), !e.float());
        let x = if integer { e.cast(own, DType::F64, x) } else { x };
        let literal = |e: &mut Formula, x: f32| if integer { e.f64(x.into()) } else { e.literal(x.into()) };
        let (zero, bias) = (literal(e, 0.0), literal(e, bias));
        let (low, high) = (literal(e, -lambda), literal(e, lambda));
        let (below, above) = (e.lt(x, low), e.lt(high, x));
        let (added, reduced) = (e.add(x, bias), e.sub(x, bias));
        let y = e.select(above, reduced, zero);
        let y = e.select(below, added, y);
        if integer { e.cast(DType::F64, own, y) } else { y }
    };
    /// x / (1 + |x|).
    Softsign of FLOATS; |e, x| {
        let (one, size) = (e.literal(1.0), e.abs(x));
        let below = e.add(one, size);
        e.div(x, below)
    };
    /// x times the sigmoid of alpha x, times y.
    SwiGLU { /// The steepness.
             alpha: f32 } of FLOATS; |e, x, y| {
        let gate = swish(e, x, alpha);
        e.mul(gate, y)
    };
    /// x times the sigmoid of alpha x.
    Swish { /// The steepness.
            alpha: f32 } of FLOATS; |e, x| swish(e, x, alpha);
    /// x if it is larger than alpha, else 0.
    ThresholdedRelu { /// The limit.
                      alpha: f32 } of FLOATS; |e, x| {
        let (zero, alpha) = (e.literal(0.0), e.literal(alpha.into()));
        let passes = e.lt(alpha, x);
        e.select(passes, x, zero)
    };
}

/// `other` where x is negative, else x. A NaN stays a NaN.
fn where_negative(e: &mut Formula, x: Value, other: Value) -> Value {
    let zero = e.literal(0.0);
    let negative = e.less(x, zero);
    e.select(negative, other, x)
}

fn hard_sigmoid(e: &mut Formula, x: Value, alpha: f64, beta: f64) -> Value {
    let [alpha, beta, zero, one] = [alpha, beta, 0.0, 1.0].map(|x| e.literal(x));
    let y = e.fma(alpha, x, beta);
    let y = e.min(y, one);
    e.max(y, zero)
}

fn swish(e: &mut Formula, x: Value, alpha: f32) -> Value {
    let alpha = e.literal(alpha.into());
    let y = e.mul(alpha, x);
    let y = e.call(Function::Sigmoid, y);
    e.mul(x, y)
}
