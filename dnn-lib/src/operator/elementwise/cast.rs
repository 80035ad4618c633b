//! Conversion of element types.

use crate::definition::Builder;
use crate::operator::error::check_attribute;
use crate::operator::packing::{element, finish, seen};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Conversion, Ops, Rounding, Type, Value};
use crate::tensor::{DType, TensorType};

/// The same numbers as elements of another type. Integers keep their low bits, floats are rounded to nearest
/// even, and a float becomes an integer towards zero, or the nearest that there is; of a NaN, 0. Of four or two bits,
/// it is the low bits of one of 32. Anything but 0 is true. To a small float it is [`CastSmall`], saturated, and upwards to a power of two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cast {
    /// The type.
    pub to: DType,
}

/// The same numbers as floats of 8 or fewer bits, as an `f32` first. They are rounded to nearest even.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CastSmall {
    /// The type.
    pub to: DType,
    /// Whether what is too large becomes the largest number, not infinity or a NaN.
    pub saturate: bool,
    /// How numbers become powers of two.
    pub rounding: Rounding,
}

impl Semantics for Cast {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        Ok(TensorType::new(self.to, inputs[0].shape.clone()))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        converted(inputs, output, |b, from, x| b.cast(from, self.to, x))
    }
}

impl Semantics for CastSmall {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_attribute("to", self.to, self.to.is_small_float(), || {
            "must be a float of 8 or fewer bits".into()
        })?;
        Ok(TensorType::new(self.to, inputs[0].shape.clone()))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        converted(inputs, output, |b, from, x| b.cast_small(from, self.to, x, self.saturate, self.rounding))
    }
}

/// A definition in which each element is converted from a type.
fn converted(
    inputs: &[TensorType],
    output: &TensorType,
    conversion: impl Fn(&mut Builder, DType, Value) -> Value,
) -> Result<Meaning, Problem> {
    let from = &inputs[0];
    let b = Builder::new("cast", &[seen(from)], &seen(output));
    finish(b, output, |b, at| {
        let mut x = element(b, from, 0, at.to_vec());
        if from.dtype == DType::Bool {
            // Any byte but 0 is true.
            let zero = b.i32(0);
            let holds = b.ne(x, zero);
            x = b.convert(Conversion::FromBool, Type::I32, holds);
        }
        Ok(conversion(b, from.dtype, x))
    })
}
