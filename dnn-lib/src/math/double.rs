//! The functions of an `f64`, with an error of less than one unit in the last place.
//!
//! They are computed with [`Pair`]s of floats, of about 100 bits, so that what the parts of a formula lose can't
//! be seen in the result. Four cores (a power of e, a logarithm, an angle and its inverse) carry the rest. Their
//! series are those of the textbooks, since a few more terms cost less than tables of coefficients. The texts
//! are [`Arithmetic`] like those of an `f32`, but become operations of the definition that calls them, so that
//! nothing else knows them.

mod angle;
mod arc;
mod area;
mod exponential;
mod logarithm;
mod pair;

pub(super) use angle::{cos, sin, tan};
pub(super) use arc::{acos, asin, atan};
pub(super) use area::{erf, gelu, gelu_tanh, mish};
pub(super) use exponential::{cosh, exp, expm1, sigmoid, sinh, tanh};
pub(super) use logarithm::{acosh, asinh, atanh, log, softplus};

use self::exponential::{Power, scale};
use self::pair::{Pair, Pairs};
use super::Arithmetic;

/// x^y of a number that is not negative. Of 1, it is 1.
pub(crate) fn power<A: Arithmetic>(a: &mut A, x: A::F64, y: A::F64) -> A::F64 {
    let log = logarithm::log_of(a, x);
    // Zero and infinity have infinite logarithms.
    let [zero, infinity, nothing] = [0.0, f64::INFINITY, f64::NEG_INFINITY].map(|x| a.f64(x));
    let (positive, finite) = (a.less(zero, x), a.less(x, infinity));
    let high = a.select(positive, log.high, nothing);
    let high = a.select(finite, high, infinity);
    // A product of 0 with a finite number is no NaN.
    let y = at_most(a, y, f64::MAX);
    let y = at_least(a, y, -f64::MAX);
    let product = a.exact_product(high, y);
    let rest = a.fma(log.low, y, product.low);
    let (limit, size) = (a.f64(exponential::FAR), a.abs(product.high));
    let near = a.less(size, limit);
    let high = at_most(a, product.high, exponential::FAR);
    let high = at_least(a, high, -exponential::FAR);
    let low = a.select(near, rest, zero);
    let Power { n, rest } = exponential::power_of_e(a, Pair { high, low });
    let one = a.f64(1.0);
    let y = a.plus_float(rest, one);
    scale(a, y.high, n)
}

/// The smaller of x and a limit. A NaN stays a NaN.
fn at_most<A: Arithmetic>(a: &mut A, x: A::F64, limit: f64) -> A::F64 {
    let limit = a.f64(limit);
    let beyond = a.less(limit, x);
    a.select(beyond, limit, x)
}

/// The larger of x and a limit. A NaN stays a NaN.
fn at_least<A: Arithmetic>(a: &mut A, x: A::F64, limit: f64) -> A::F64 {
    let limit = a.f64(limit);
    let beyond = a.less(x, limit);
    a.select(beyond, limit, x)
}

/// |x|, at most a limit.
fn size_of<A: Arithmetic>(a: &mut A, x: A::F64, limit: f64) -> A::F64 {
    let size = a.abs(x);
    at_most(a, size, limit)
}

/// `y` where |x| is less than a limit, else `beyond`: also where x is a NaN.
fn within<A: Arithmetic>(a: &mut A, x: A::F64, limit: f64, y: A::F64, beyond: A::F64) -> A::F64 {
    let (size, limit) = (a.abs(x), a.f64(limit));
    let inside = a.less(size, limit);
    a.select(inside, y, beyond)
}
