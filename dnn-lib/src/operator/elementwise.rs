//! Operators that are a formula: an element of the output follows from the elements at its place in the inputs,
//! which are broadcast.
//!
//! Most of them are a row of a table, of which most files have one:
//!
//! ```text
//! /// The documentation.
//! Name { /// An attribute.
//!        attribute: f32 } of FLOATS; |e, x, y| formula;
//! ```
//!
//! `of` is followed by the element types that all inputs may have. If the output has another one, `to` gives
//! it. `e` is a [`Formula`], to which operations are added. The attributes are variables.

mod activation;
mod arithmetic;
mod cast;
mod comparison;
mod function;
mod integer;
mod power;
mod remainder;
mod several;

pub use activation::*;
pub use arithmetic::*;
pub use cast::*;
pub use comparison::*;
pub use function::*;
pub use integer::*;
pub use power::*;
pub use remainder::*;
pub use several::*;

use crate::definition::Builder;
use crate::layout::broadcast_shape;
use crate::math::Function;
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Const, Expr, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// An operator that is a formula.
trait Elementwise {
    /// Its name.
    const NAME: &'static str;

    /// The element type of the output, if those of the inputs are right.
    fn dtype(&self, inputs: &[TensorType]) -> Result<DType, Problem>;

    /// An element of the output. Truth values, of inputs too, are those of comparisons.
    fn formula(&self, e: &mut Formula) -> Value;
}

impl<T: Elementwise> Semantics for T {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = self.dtype(inputs)?;
        let mut shape = inputs[0].shape.clone();
        for input in &inputs[1..] {
            shape = broadcast_shape(&shape, &input.shape)
                .ok_or_else(|| Problem::Broadcast { a: shape, b: input.shape.clone() })?;
        }
        Ok(TensorType::new(dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let builder = Builder::new(&T::NAME.to_lowercase(), inputs, output);
        let mut e = Formula { builder, dtypes: inputs.iter().map(|input| input.dtype).collect() };
        let mut y = self.formula(&mut e);
        if e.ty(y) == Type::Bool {
            y = e.number_of(y);
        }
        Ok(e.builder.finish(y)?.into())
    }
}

/// A formula that is being written, of elements of some types. Besides the operations of [`Ops`] it has those
/// that depend on the type of the first input.
struct Formula {
    builder: Builder,
    /// The element types of the inputs.
    dtypes: Vec<DType>,
}

impl Ops for Formula {
    fn define(&mut self, expr: Expr) -> Value {
        self.builder.define(expr)
    }

    fn ty(&self, value: Value) -> Type {
        self.builder.ty(value)
    }

    fn constant(&self, value: Value) -> Option<Const> {
        self.builder.constant(value)
    }
}

impl Formula {
    /// The element of an input that belongs to that of the output.
    fn element(&mut self, input: usize) -> Value {
        let x = self.builder.broadcast(input);
        if self.dtypes[input] != DType::Bool {
            return x;
        }
        let zero = self.i32(0);
        self.ne(x, zero)
    }

    /// The elements of all inputs, of which there are `N`.
    fn elements<const N: usize>(&mut self) -> [Value; N] {
        std::array::from_fn(|input| self.element(input))
    }

    /// The type of the elements of the first input.
    fn dtype(&self) -> DType {
        self.dtypes[0]
    }

    /// Whether elements are integers without a sign.
    fn unsigned(&self) -> bool {
        matches!(self.dtype(), DType::U8 | DType::U16 | DType::U32 | DType::U64)
    }

    /// Whether elements are floats.
    fn float(&self) -> bool {
        Type::of(self.dtype()).is_float()
    }

    /// A number in the type of elements; an integer keeps no fraction.
    fn literal(&mut self, x: f64) -> Value {
        match Type::of(self.dtype()) {
            Type::F64 => self.f64(x),
            Type::F32 => self.f32(x as f32),
            ty => self.number(ty, x as i64),
        }
    }

    /// 0 or 1, of a truth value.
    fn number_of(&mut self, x: Value) -> Value {
        self.convert(crate::scalar::Conversion::FromBool, Type::I32, x)
    }

    /// An elementary function.
    fn call(&mut self, function: Function, x: Value) -> Value {
        self.builder.call(function, x)
    }

    /// Whether a number is less than another; false with a NaN.
    fn less(&mut self, a: Value, b: Value) -> Value {
        if self.unsigned() { self.lt_u(a, b) } else { self.lt(a, b) }
    }

    /// Whether a number is less than another or equal; false with a NaN.
    fn at_most(&mut self, a: Value, b: Value) -> Value {
        if self.unsigned() { self.le_u(a, b) } else { self.le(a, b) }
    }

    /// The smaller number; a NaN if one of them is.
    fn smaller(&mut self, a: Value, b: Value) -> Value {
        if self.unsigned() { self.min_u(a, b) } else { self.min(a, b) }
    }

    /// The larger number; a NaN if one of them is.
    fn larger(&mut self, a: Value, b: Value) -> Value {
        if self.unsigned() { self.max_u(a, b) } else { self.max(a, b) }
    }

    /// The quotient; of integers towards zero.
    fn quotient(&mut self, a: Value, b: Value) -> Value {
        match (self.float(), self.unsigned()) {
            (true, _) => self.div(a, b),
            (_, true) => self.div_u(a, b),
            _ => self.div_s(a, b),
        }
    }
}

/// Declares operators: see the head of this file.
macro_rules! elementwise {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident $({ $($(#[doc = $field_doc:literal])+ $field:ident: $ty:ty),+ $(,)? })? of $dtypes:expr
            $(, to $to:expr)?; |$e:ident $(, $x:ident)+| $formula:expr;
    )+) => {$(
        elementwise!(@struct [$(#[doc = $doc])+] $name $({ $($(#[doc = $field_doc])+ pub $field: $ty),+ })?);

        impl $crate::operator::elementwise::Elementwise for $name {
            const NAME: &'static str = stringify!($name);

            fn dtype(
                &self,
                inputs: &[$crate::tensor::TensorType],
            ) -> Result<$crate::tensor::DType, $crate::operator::Problem> {
                let dtype = $crate::operator::error::same_dtype(inputs, &$dtypes);
                $(let dtype = dtype.map(|_| $to);)?
                dtype
            }

            fn formula(&self, $e: &mut $crate::operator::elementwise::Formula) -> $crate::scalar::Value {
                $(let Self { $($field),+ } = *self;)?
                let [$($x),+] = $e.elements::<{ [$(stringify!($x)),+].len() }>();
                $formula
            }
        }
    )+};
    (@struct [$($doc:tt)+] $name:ident) => {
        $($doc)+
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name;
    };
    (@struct [$($doc:tt)+] $name:ident $fields:tt) => {
        $($doc)+
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name $fields
    };
}
use elementwise;
