//! Conversion of element types.

use super::{Elementwise, Formula};
use crate::operator::Problem;
use crate::operator::error::{movable, same_dtype};
use crate::scalar::{Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// The same numbers as elements of another type. Integers keep their low bits, floats are rounded to nearest
/// even, and a float becomes an integer towards zero, or the nearest that there is; of a NaN, 0. Anything but 0 is
/// true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cast {
    /// The type.
    pub to: DType,
}

impl Elementwise for Cast {
    const NAME: &'static str = "Cast";

    fn dtype(&self, inputs: &[TensorType]) -> Result<DType, Problem> {
        same_dtype(inputs, &movable())?;
        match movable().contains(&self.to) {
            true => Ok(self.to),
            false => Err(Problem::Attribute {
                name: "to",
                found: self.to.to_string(),
                expected: "must not be a type whose elements share a byte".to_owned(),
            }),
        }
    }

    fn formula(&self, e: &mut Formula) -> Value {
        let [mut x] = e.elements();
        if e.ty(x) == Type::Bool {
            x = e.number_of(x);
        }
        e.cast(e.dtype(), self.to, x)
    }
}
