//! Elementary functions.

use super::elementwise;
use crate::math::Function;
use crate::operator::error::FLOATS;

elementwise! {
    /// The inverse of the cosine.
    Acos of FLOATS; |e, x| e.call(Function::Acos, x);
    /// The inverse of the hyperbolic cosine.
    Acosh of FLOATS; |e, x| e.call(Function::Acosh, x);
    /// The inverse of the sine.
    Asin of FLOATS; |e, x| e.call(Function::Asin, x);
    /// The inverse of the hyperbolic sine.
    Asinh of FLOATS; |e, x| e.call(Function::Asinh, x);
    /// The inverse of the tangent.
    Atan of FLOATS; |e, x| e.call(Function::Atan, x);
    /// The inverse of the hyperbolic tangent.
    Atanh of FLOATS; |e, x| e.call(Function::Atanh, x);
    /// The cosine.
    Cos of FLOATS; |e, x| e.call(Function::Cos, x);
    /// The hyperbolic cosine.
    Cosh of FLOATS; |e, x| e.call(Function::Cosh, x);
    /// The error function.
    Erf of FLOATS; |e, x| e.call(Function::Erf, x);
    /// The exponential.
    Exp of FLOATS; |e, x| e.call(Function::Exp, x);
    /// x times the area under the bell curve below x.
    Gelu { /// Whether the area is taken to be the sigmoid of 2 sqrt(2 / pi) (x + 0.044715 x^3).
           tanh: bool } of FLOATS; |e, x| e.call(if tanh { Function::GeluTanh } else { Function::Gelu }, x);
    /// The natural logarithm.
    Log of FLOATS; |e, x| e.call(Function::Log, x);
    /// x tanh(log(1 + exp(x))).
    Mish of FLOATS; |e, x| e.call(Function::Mish, x);
    /// 1 / (1 + exp(-x)).
    Sigmoid of FLOATS; |e, x| e.call(Function::Sigmoid, x);
    /// The sine.
    Sin of FLOATS; |e, x| e.call(Function::Sin, x);
    /// The hyperbolic sine.
    Sinh of FLOATS; |e, x| e.call(Function::Sinh, x);
    /// log(1 + exp(x)).
    Softplus of FLOATS; |e, x| e.call(Function::Softplus, x);
    /// The tangent.
    Tan of FLOATS; |e, x| e.call(Function::Tan, x);
    /// The hyperbolic tangent.
    Tanh of FLOATS; |e, x| e.call(Function::Tanh, x);
}
