//! Functions of one element.

use crate::definition;
use crate::kernel::{Builder, Ops, Value};
use crate::math::Function;
use crate::operator::error::same_dtype;
use crate::operator::{Lowering, Meaning, Problem, Semantics};
use crate::tensor::{DType, TensorType};

macro_rules! activations {
    ($($(#[doc = $doc:literal])+ $name:ident: $dtypes:expr, $define:expr, $function:expr;)+) => {$(
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
                let mut b = definition::Builder::new(&name, inputs, output);
                let x = b.broadcast(0);
                let y = $define(&mut b, x);
                Ok(b.finish(y)?.into())
            }

            fn lower(&self, inputs: &[TensorType], output: &TensorType) -> Result<Lowering, Problem> {
                lower(&stringify!($name).to_lowercase(), inputs, output, &mut $function)
            }
        }
    )+};
}

const F32: &[DType] = &[DType::F32];

activations! {
    /// x if it is positive, else 0. A NaN stays a NaN.
    Relu: &[DType::F32, DType::F64, DType::I8, DType::I16, DType::I32, DType::I64], relu, relu;
    /// The exponential, correctly rounded.
    Exp: F32, |b: &mut definition::Builder, x| b.call(Function::Exp, x), |b, x| Function::Exp.apply(b, x);
    /// 1 / (1 + exp(-x)), correctly rounded.
    Sigmoid: F32, |b: &mut definition::Builder, x| b.call(Function::Sigmoid, x), |b, x| Function::Sigmoid.apply(b, x);
    /// The hyperbolic tangent, correctly rounded.
    Tanh: F32, |b: &mut definition::Builder, x| b.call(Function::Tanh, x), |b, x| Function::Tanh.apply(b, x);
}

fn relu(b: &mut impl Ops, x: Value) -> Value {
    let zero = b.number(b.ty(x), 0);
    // Not `0 < x`, which is false for a NaN, and a NaN must stay.
    let cut = b.le(x, zero);
    b.select(cut, zero, x)
}

fn lower(
    name: &str,
    inputs: &[TensorType],
    output: &TensorType,
    function: &mut dyn FnMut(&mut Builder, Value) -> Value,
) -> Result<Lowering, Problem> {
    let dtype = output.dtype;
    let mut b = Builder::new(name, inputs, output, &vec![1; output.shape.len()]);
    // The loop counts in addresses of the input.
    let (lo, hi, x, y) = (b.lo(), b.hi(), b.input(0), b.output());
    let start = b.element(dtype, x, lo);
    let end = b.element(dtype, x, hi);
    let distance = b.sub(y, x);
    b.for_(start, end, dtype.size() as i64, &[], |b, address, _| {
        let x = b.load(dtype, address, 0);
        let result = function(b, x);
        let address = b.add(address, distance);
        b.store(dtype, address, 0, result);
        vec![]
    });
    Ok(Lowering::Kernels(vec![b.finish()?]))
}
