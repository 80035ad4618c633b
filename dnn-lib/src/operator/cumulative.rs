//! Sums and products of all elements up to each.

use crate::definition::{Affine, Builder, Over, Source};
use crate::operator::error::{numbers, resolve_axis, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{BinaryOp, Ops, Type};
use crate::tensor::TensorType;

macro_rules! cumulative {
    ($($(#[doc = $doc:literal])+ $name:ident: $op:expr, $init:literal;)+) => {$(
        $(#[doc = $doc])+
        /// There is one accumulator in the order of the axis, which begins at its other end if it is reversed.
        /// Integers wrap. All elements along the axis share one run of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            /// The axis; a negative one counts from the end.
            pub axis: i64,
            /// Whether the element itself is left out.
            pub exclusive: bool,
            /// Whether it goes from the end to the element.
            pub reverse: bool,
        }

        impl Semantics for $name {
            fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
                same_dtype(inputs, &numbers())?;
                resolve_axis(self.axis, inputs[0].shape.len())?;
                Ok(inputs[0].clone())
            }

            fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
                let axis = resolve_axis(self.axis, output.shape.len())?;
                let mut b = Builder::new(&stringify!($name).to_lowercase(), inputs, output);
                b.rows_along([axis]);
                let init = b.number(Type::of(output.dtype), $init);
                let (size, own) = (output.shape[axis], b.at(axis));
                // The elements before this one, counted from the end at which it begins.
                let before = if self.reverse { -own + (size as i64 - 1) } else { own };
                let start = before - (size as i64 - 1) - i64::from(self.exclusive);
                let over = Over::window(size, start.clone(), 1, size);
                let all = b.fold([over], &[init], |b, k, so_far| {
                    let place = start.clone() + k[0].clone();
                    let mut at: Vec<Affine> = b.indices();
                    let x = if self.reverse {
                        at[axis] = -place + (size as i64 - 1);
                        // It is never out of range, but only the window is proved not to be.
                        b.load_or(Source::Input(0), at, init)
                    } else {
                        at[axis] = place;
                        b.load(Source::Input(0), at)
                    };
                    vec![b.binary($op, so_far[0], x)]
                });
                Ok(b.finish(all[0])?.into())
            }
        }
    )+};
}

cumulative! {
    /// The sum of all elements up to this one along an axis.
    CumSum: BinaryOp::Add, 0;
    /// The product of all elements up to this one along an axis.
    CumProd: BinaryOp::Mul, 1;
}
