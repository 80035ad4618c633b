//! Elementary functions, all of them correctly rounded.

use super::elementwise;
use crate::math::Function;
use crate::operator::error::SINGLES;

elementwise! {
    /// The inverse of the cosine.
    Acos of SINGLES; |e, x| e.call(Function::Acos, x);
    /// The inverse of the hyperbolic cosine.
    Acosh of SINGLES; |e, x| e.call(Function::Acosh, x);
    /// The inverse of the sine.
    Asin of SINGLES; |e, x| e.call(Function::Asin, x);
    /// The inverse of the hyperbolic sine.
    Asinh of SINGLES; |e, x| e.call(Function::Asinh, x);
    /// The inverse of the tangent.
    Atan of SINGLES; |e, x| e.call(Function::Atan, x);
    /// The inverse of the hyperbolic tangent.
    Atanh of SINGLES; |e, x| e.call(Function::Atanh, x);
    /// The cosine.
    Cos of SINGLES; |e, x| e.call(Function::Cos, x);
    /// The hyperbolic cosine.
    Cosh of SINGLES; |e, x| e.call(Function::Cosh, x);
    /// The error function.
    Erf of SINGLES; |e, x| e.call(Function::Erf, x);
    /// The exponential.
    Exp of SINGLES; |e, x| e.call(Function::Exp, x);
    /// x times the area under the bell curve below x.
    Gelu { /// Whether the area is taken to be the sigmoid of 2 sqrt(2 / pi) (x + 0.044715 x^3).
           tanh: bool } of SINGLES; |e, x| e.call(if tanh { Function::GeluTanh } else { Function::Gelu }, x);
    /// The natural logarithm.
    Log of SINGLES; |e, x| e.call(Function::Log, x);
    /// x tanh(log(1 + exp(x))).
    Mish of SINGLES; |e, x| e.call(Function::Mish, x);
    /// 1 / (1 + exp(-x)).
    Sigmoid of SINGLES; |e, x| e.call(Function::Sigmoid, x);
    /// The sine.
    Sin of SINGLES; |e, x| e.call(Function::Sin, x);
    /// The hyperbolic sine.
    Sinh of SINGLES; |e, x| e.call(Function::Sinh, x);
    /// log(1 + exp(x)).
    Softplus of SINGLES; |e, x| e.call(Function::Softplus, x);
    /// The tangent.
    Tan of SINGLES; |e, x| e.call(Function::Tan, x);
    /// The hyperbolic tangent.
    Tanh of SINGLES; |e, x| e.call(Function::Tanh, x);
}
