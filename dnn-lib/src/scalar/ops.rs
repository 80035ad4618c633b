//! Adding operations to programs.

use super::small::{Rounding, decoded, encoded};
use super::table::for_each_operation;
use super::{BinaryOp, Comparison, Const, Conversion, Expr, Type, UnaryOp, Value};
use crate::tensor::DType;

/// Declares a method for each operation but conversions, whose methods need a type.
macro_rules! methods {
    (
        unary { $($(#[doc = $unary_doc:literal])+ $unary:ident = $unary_name:ident $unary_f:tt)+ }
        binary { $($(#[doc = $binary_doc:literal])+ $binary:ident = $binary_name:ident $binary_f:tt)+ }
        comparison { $($(#[doc = $test_doc:literal])+ $test:ident = $test_name:ident $test_f:tt)+ }
        conversion $conversions:tt
    ) => {
        $($(#[doc = $unary_doc])+
        fn $unary_name(&mut self, a: Value) -> Value {
            self.unary(UnaryOp::$unary, a)
        })+

        $($(#[doc = $binary_doc])+
        fn $binary_name(&mut self, a: Value, b: Value) -> Value {
            self.binary(BinaryOp::$binary, a, b)
        })+

        $($(#[doc = $test_doc])+
        fn $test_name(&mut self, a: Value, b: Value) -> Value {
            self.compare(Comparison::$test, a, b)
        })+
    };
}

/// A program that operations are added to: one method for each.
pub trait Ops {
    /// Adds an operation.
    fn define(&mut self, expr: Expr) -> Value;

    /// The type of a value.
    fn ty(&self, value: Value) -> Type;

    /// The value of a constant; `None` for other values.
    fn constant(&self, value: Value) -> Option<Const>;

    for_each_operation!(methods);

    /// The constant `x`, of type `I32`.
    fn i32(&mut self, x: i32) -> Value {
        self.define(Expr::Const(Const::I32(x)))
    }

    /// The constant `x`, of type `I64`.
    fn i64(&mut self, x: i64) -> Value {
        self.define(Expr::Const(Const::I64(x)))
    }

    /// The constant `x`, of type `F32`.
    fn f32(&mut self, x: f32) -> Value {
        self.define(Expr::Const(Const::F32(x.to_bits())))
    }

    /// The constant `x`, of type `F64`.
    fn f64(&mut self, x: f64) -> Value {
        self.define(Expr::Const(Const::F64(x.to_bits())))
    }

    /// The integer `x` in any numeric type, rounded if it must be.
    fn number(&mut self, ty: Type, x: i64) -> Value {
        match ty {
            Type::Bool | Type::I64 => self.i64(x),
            Type::I32 => self.i32(x as i32),
            Type::F32 => self.f32(x as f32),
            Type::F64 => self.f64(x as f64),
        }
    }

    /// A number in a type of floats.
    fn real(&mut self, ty: Type, x: f64) -> Value {
        if ty == Type::F64 { self.f64(x) } else { self.f32(x as f32) }
    }

    /// Adds a unary operation.
    fn unary(&mut self, op: UnaryOp, a: Value) -> Value {
        self.define(Expr::Unary(op, a))
    }

    /// Adds a binary operation.
    fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Value {
        self.define(Expr::Binary(op, a, b))
    }

    /// Adds a comparison.
    fn compare(&mut self, op: Comparison, a: Value, b: Value) -> Value {
        self.define(Expr::Compare(op, a, b))
    }

    /// `value` converted to `ty`.
    fn convert(&mut self, conversion: Conversion, ty: Type, value: Value) -> Value {
        self.define(Expr::Convert(conversion, ty, value))
    }

    /// `a * b + c` of floats, rounded once.
    fn fma(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.define(Expr::Fma(a, b, c))
    }

    /// `then` if the condition holds, else `otherwise`; both are evaluated.
    fn select(&mut self, condition: Value, then: Value, otherwise: Value) -> Value {
        self.define(Expr::Select { condition, then, otherwise })
    }

    /// `a + constant`, of `I64`. Adds nothing for 0.
    fn add_const(&mut self, a: Value, constant: i64) -> Value {
        if constant == 0 {
            return a;
        }
        let constant = self.i64(constant);
        self.add(a, constant)
    }

    /// `a * constant`, of `I64`. Multiplies nothing by 1.
    fn mul_const(&mut self, a: Value, constant: i64) -> Value {
        if constant == 1 {
            return a;
        }
        let constant = self.i64(constant);
        self.mul(a, constant)
    }

    /// The quotient and the remainder of an index `a >= 0` by a positive constant.
    fn div_rem(&mut self, a: Value, divisor: u64) -> (Value, Value) {
        let divisor = self.i64(divisor as i64);
        (self.div_u(a, divisor), self.rem_u(a, divisor))
    }

    /// The bits of a float as an integer of the same size, or back.
    fn bitcast(&mut self, value: Value) -> Value {
        let ty = match self.ty(value) {
            Type::F32 => Type::I32,
            Type::F64 => Type::I64,
            Type::I32 => Type::F32,
            Type::I64 | Type::Bool => Type::F64,
        };
        self.convert(Conversion::Bitcast, ty, value)
    }

    /// An element of type `from` as one of type `to`: integers keep their low bits, floats are rounded to
    /// nearest even, and a float becomes an integer as in [`saturate`](Self::saturate), of four or two bits the low
    /// bits of one of 32. Anything but 0 is true.
    /// A half is rounded where it is stored; until then it is the `F32`. A small float is its code.
    fn cast(&mut self, from: DType, to: DType, value: Value) -> Value {
        if let Some(number) = decoded(self, from, value) {
            return self.cast(DType::F32, to, number);
        }
        if to.is_small_float() {
            return self.cast_small(from, to, value, true, Rounding::Up);
        }
        let (own, ty) = (Type::of(from), Type::of(to));
        if to == DType::Bool {
            let zero = self.number(own, 0);
            let holds = self.ne(value, zero);
            return self.convert(Conversion::FromBool, ty, holds);
        }
        let conversion = match (own, ty) {
            (Type::F32, Type::F64) => Conversion::Promote,
            (Type::F64, Type::F32) => Conversion::Demote,
            (own, ty) if own == ty && own.is_float() => return value,
            (own, _) if own.is_float() && to.is_packed() => {
                let value = self.saturate(from, DType::I32, value);
                return self.low_bits(to, value);
            }
            (own, _) if own.is_float() => return self.saturate(from, to, value),
            (_, ty) if ty.is_float() && is_wide_unsigned(from) => Conversion::UintToFloat,
            (_, ty) if ty.is_float() => Conversion::IntToFloat,
            _ => {
                let value = self.resize(from, ty, value);
                return self.low_bits(to, value);
            }
        };
        self.convert(conversion, ty, value)
    }

    /// An element of type `from` as a small float. What is too large becomes the largest number, or infinity or a
    /// NaN. Only of powers of two, the rounding can be chosen.
    fn cast_small(
        &mut self,
        from: DType,
        to: DType,
        value: Value,
        saturate: bool,
        rounding: Rounding,
    ) -> Value {
        let x = self.cast(from, DType::F32, value);
        encoded(self, to, x, saturate, rounding).unwrap_or(x)
    }

    /// A number of type `from` as an integer of type `to`: towards zero, then to the nearest that there is. Of a
    /// NaN it is 0.
    fn saturate(&mut self, from: DType, to: DType, value: Value) -> Value {
        let ty = Type::of(to);
        if Type::of(from).is_float() {
            let (conversion, like) = match to {
                _ if is_wide_unsigned(to) => (Conversion::FloatToUint, to),
                _ if ty == Type::I64 => (Conversion::FloatToInt, DType::I64),
                _ => (Conversion::FloatToInt, DType::I32),
            };
            let value = self.convert(conversion, ty, value);
            return self.saturate(like, to, value);
        }
        let mut value = value;
        let ((least, most), (own_least, own_most)) = (range(to), range(from));
        if own_least < least {
            let least = self.number(Type::of(from), least as i64);
            value = self.max(value, least);
        }
        if own_most > most {
            let most = self.number(Type::of(from), most as i64);
            value = if is_wide_unsigned(from) { self.min_u(value, most) } else { self.min(value, most) };
        }
        self.resize(from, ty, value)
    }

    /// An integer in an integer type that may be narrower or wider.
    fn resize(&mut self, from: DType, ty: Type, value: Value) -> Value {
        match (Type::of(from), ty) {
            (Type::I32, Type::I64) if is_wide_unsigned(from) => {
                self.convert(Conversion::ZeroExtend, ty, value)
            }
            (Type::I32, Type::I64) => self.convert(Conversion::SignExtend, ty, value),
            (Type::I64, Type::I32) => self.convert(Conversion::Truncate, ty, value),
            _ => value,
        }
    }

    /// The integer that is loaded after this one has been stored as an element of type `to`.
    fn low_bits(&mut self, to: DType, value: Value) -> Value {
        if to.bits() >= 32 {
            return value;
        }
        if range(to).0 == 0 {
            let mask = self.i32((1 << to.bits()) - 1);
            return self.and(value, mask);
        }
        let count = self.i32(32 - to.bits() as i32);
        let value = self.shl(value, count);
        self.shr_s(value, count)
    }
}

/// Whether integers of a type fill their value, so that only the operation says that they have no sign.
fn is_wide_unsigned(dtype: DType) -> bool {
    matches!(dtype, DType::U32 | DType::U64)
}

/// The least and the largest integer of a type.
fn range(dtype: DType) -> (i128, i128) {
    match dtype {
        DType::Bool => (0, 1),
        DType::I2 | DType::I4 | DType::I8 | DType::I16 | DType::I32 | DType::I64 => {
            (-1 << (dtype.bits() - 1), (1 << (dtype.bits() - 1)) - 1)
        }
        _ => (0, (1 << dtype.bits()) - 1),
    }
}
