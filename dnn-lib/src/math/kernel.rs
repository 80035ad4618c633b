//! Functions as routines of the kernel language.

use super::Arithmetic;
use crate::kernel::{BinaryOp, Builder, Conversion, Type, Value};

impl Arithmetic for Builder {
    type F32 = Value;
    type F64 = Value;
    type I64 = Value;
    type Bool = Value;

    fn f64(&mut self, x: f64) -> Value {
        self.f64(x)
    }

    fn i64(&mut self, x: i64) -> Value {
        self.i64(x)
    }

    fn at_most(&mut self, x: Value, limit: f32) -> Value {
        let limit = self.f32(limit);
        let beyond = self.lt(limit, x);
        self.select(beyond, limit, x)
    }

    fn at_least(&mut self, x: Value, limit: f32) -> Value {
        let limit = self.f32(limit);
        let beyond = self.lt(x, limit);
        self.select(beyond, limit, x)
    }

    fn promote(&mut self, x: Value) -> Value {
        self.convert(Conversion::Promote, Type::F64, x)
    }

    fn demote(&mut self, x: Value) -> Value {
        self.convert(Conversion::Demote, Type::F32, x)
    }

    fn bits(&mut self, x: Value) -> Value {
        self.bitcast(x)
    }

    fn float(&mut self, bits: Value) -> Value {
        self.bitcast(bits)
    }

    fn add(&mut self, a: Value, b: Value) -> Value {
        self.add(a, b)
    }

    fn sub(&mut self, a: Value, b: Value) -> Value {
        self.sub(a, b)
    }

    fn mul(&mut self, a: Value, b: Value) -> Value {
        self.mul(a, b)
    }

    fn div(&mut self, a: Value, b: Value) -> Value {
        self.div(a, b)
    }

    fn fma(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.fma(a, b, c)
    }

    fn fms(&mut self, a: Value, b: Value, c: Value) -> Value {
        let minus_c = self.neg(c);
        self.fma(a, b, minus_c)
    }

    fn abs(&mut self, x: Value) -> Value {
        self.abs(x)
    }

    fn add_int(&mut self, a: Value, b: Value) -> Value {
        self.add(a, b)
    }

    fn sub_int(&mut self, a: Value, b: Value) -> Value {
        self.sub(a, b)
    }

    fn shift_left<const COUNT: u32>(&mut self, x: Value) -> Value {
        let count = self.i64(COUNT.into());
        self.binary(BinaryOp::Shl, x, count)
    }

    fn shift_right<const COUNT: u32>(&mut self, x: Value) -> Value {
        let count = self.i64(COUNT.into());
        self.binary(BinaryOp::ShrS, x, count)
    }

    fn less(&mut self, a: Value, b: Value) -> Value {
        self.lt(a, b)
    }

    fn select(&mut self, condition: Value, then: Value, otherwise: Value) -> Value {
        self.select(condition, then, otherwise)
    }
}
