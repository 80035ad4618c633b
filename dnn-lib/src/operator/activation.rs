//! Functions of one element.

use crate::definition::Builder;
use crate::math::Function;
use crate::operator::error::same_dtype;
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Value};
use crate::tensor::{DType, TensorType};

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

const F32: &[DType] = &[DType::F32];

activations! {
    /// x if it is positive, else 0. A NaN stays a NaN.
    Relu: &[DType::F32, DType::F64, DType::I8, DType::I16, DType::I32, DType::I64], relu;
    /// The error function, correctly rounded.
    Erf: F32, |b: &mut Builder, x| b.call(Function::Erf, x);
    /// The exponential, correctly rounded.
    Exp: F32, |b: &mut Builder, x| b.call(Function::Exp, x);
    /// 1 / (1 + exp(-x)), correctly rounded.
    Sigmoid: F32, |b: &mut Builder, x| b.call(Function::Sigmoid, x);
    /// The hyperbolic tangent, correctly rounded.
    Tanh: F32, |b: &mut Builder, x| b.call(Function::Tanh, x);
}

fn relu(b: &mut Builder, x: Value) -> Value {
    let zero = b.number(b.ty(x), 0);
    // Not `0 < x`, which is false for a NaN, and a NaN must stay.
    let cut = b.le(x, zero);
    b.select(cut, zero, x)
}
