//! Functions of one element.

use crate::definition::Builder;
use crate::math::Function;
use crate::operator::error::{SINGLES, same_dtype, signed};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Value};
use crate::tensor::TensorType;

macro_rules! activations {
    ($($(#[doc = $doc:literal])+ $name:ident: $dtypes:expr, $function:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl Semantics for $name {
            fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
                same_dtype(inputs, $dtypes)?;
                Ok(inputs[0].clone())
            }

            fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
                let name = stringify!($name).to_lowercase();
                let mut b = Builder::new(&name, inputs, output);
                let x = b.broadcast(0);
                let y = $function(&mut b, x);
                Ok(b.finish(y)?.into())
            }
        }
    )+};
}

activations! {
    /// x if it is positive, else 0. A NaN stays a NaN.
    Relu: &signed(), relu;
    /// The error function, correctly rounded.
    Erf: SINGLES, |b: &mut Builder, x| b.call(Function::Erf, x);
    /// The exponential, correctly rounded.
    Exp: SINGLES, |b: &mut Builder, x| b.call(Function::Exp, x);
    /// 1 / (1 + exp(-x)), correctly rounded.
    Sigmoid: SINGLES, |b: &mut Builder, x| b.call(Function::Sigmoid, x);
    /// The hyperbolic tangent, correctly rounded.
    Tanh: SINGLES, |b: &mut Builder, x| b.call(Function::Tanh, x);
}

fn relu(b: &mut Builder, x: Value) -> Value {
    let zero = b.number(b.ty(x), 0);
    // Not `0 < x`, which is false for a NaN, and a NaN must stay.
    let cut = b.le(x, zero);
    b.select(cut, zero, x)
}
