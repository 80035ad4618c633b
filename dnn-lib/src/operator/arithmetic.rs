//! Arithmetic of two tensors, element by element.

use crate::definition::Builder;
use crate::layout::broadcast_shape;
use crate::operator::error::{numbers, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{BinaryOp, Ops, Type};
use crate::tensor::{DType, TensorType};

macro_rules! arithmetic {
    ($($(#[doc = $doc:literal])+ $name:ident = $op:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl Semantics for $name {
            fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
                infer(inputs)
            }

            fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
                let name = stringify!($name).to_lowercase();
                let mut b = Builder::new(&name, inputs, output);
                let [x, y] = [0, 1].map(|input| b.broadcast(input));
                let result = b.binary($op(output.dtype), x, y);
                Ok(b.finish(result)?.into())
            }

        }
    )+};
}

arithmetic! {
    /// Sum; integers wrap.
    Add = |_| BinaryOp::Add;
    /// Difference; integers wrap.
    Sub = |_| BinaryOp::Sub;
    /// Product; integers wrap.
    Mul = |_| BinaryOp::Mul;
    /// Quotient. Integers are rounded towards zero. A quotient by zero has all bits set, as in the kernel
    /// language.
    Div = division;
}

fn division(dtype: DType) -> BinaryOp {
    match dtype {
        _ if Type::of(dtype).is_float() => BinaryOp::Div,
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => BinaryOp::DivU,
        _ => BinaryOp::DivS,
    }
}

fn infer(inputs: &[TensorType]) -> Result<TensorType, Problem> {
    let dtype = same_dtype(inputs, &numbers())?;
    let (a, b) = (&inputs[0].shape, &inputs[1].shape);
    let shape = broadcast_shape(a, b).ok_or_else(|| Problem::Broadcast { a: a.clone(), b: b.clone() })?;
    Ok(TensorType::new(dtype, shape))
}
