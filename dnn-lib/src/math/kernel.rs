//! Functions as operations of a program.

use super::Arithmetic;
use crate::scalar::{BinaryOp, Conversion, Ops, Type, Value};

impl<B: Ops> Arithmetic for B {
    type F32 = Value;
    type F64 = Value;
    type I64 = Value;
    type Bool = Value;

    const TABLES: bool = false;

    fn f64(&mut self, x: f64) -> Value {
        Ops::f64(self, x)
    }

    fn i64(&mut self, x: i64) -> Value {
        Ops::i64(self, x)
    }

    fn at_most(&mut self, x: Value, limit: f32) -> Value {
        let limit = self.f32(limit);
        let beyond = self.lt(limit, x);
        Ops::select(self, beyond, limit, x)
    }

    fn at_least(&mut self, x: Value, limit: f32) -> Value {
        let limit = self.f32(limit);
        let beyond = self.lt(x, limit);
        Ops::select(self, beyond, limit, x)
    }

    fn promote(&mut self, x: Value) -> Value {
        Ops::convert(self, Conversion::Promote, Type::F64, x)
    }

    fn demote(&mut self, x: Value) -> Value {
        Ops::convert(self, Conversion::Demote, Type::F32, x)
    }

    fn bits(&mut self, x: Value) -> Value {
        Ops::bitcast(self, x)
    }

    fn float(&mut self, bits: Value) -> Value {
        Ops::bitcast(self, bits)
    }

    fn add(&mut self, a: Value, b: Value) -> Value {
        Ops::add(self, a, b)
    }

    fn sub(&mut self, a: Value, b: Value) -> Value {
        Ops::sub(self, a, b)
    }

    fn mul(&mut self, a: Value, b: Value) -> Value {
        Ops::mul(self, a, b)
    }

    fn div(&mut self, a: Value, b: Value) -> Value {
        Ops::div(self, a, b)
    }

    fn fma(&mut self, a: Value, b: Value, c: Value) -> Value {
        Ops::fma(self, a, b, c)
    }

    fn fms(&mut self, a: Value, b: Value, c: Value) -> Value {
        let minus_c = Ops::neg(self, c);
        Ops::fma(self, a, b, minus_c)
    }

    fn abs(&mut self, x: Value) -> Value {
        Ops::abs(self, x)
    }

    fn sqrt(&mut self, x: Value) -> Value {
        Ops::sqrt(self, x)
    }

    fn add_int(&mut self, a: Value, b: Value) -> Value {
        Ops::add(self, a, b)
    }

    fn sub_int(&mut self, a: Value, b: Value) -> Value {
        Ops::sub(self, a, b)
    }

    fn shift_left<const COUNT: u32>(&mut self, x: Value) -> Value {
        let count = Ops::i64(self, COUNT.into());
        Ops::binary(self, BinaryOp::Shl, x, count)
    }

    fn shift_right<const COUNT: u32>(&mut self, x: Value) -> Value {
        let count = Ops::i64(self, COUNT.into());
        Ops::binary(self, BinaryOp::ShrS, x, count)
    }

    fn look_up(&mut self, table: &[f64; 8], index: Value) -> Value {
        let mask = Ops::i64(self, 7);
        let index = Ops::binary(self, BinaryOp::And, index, mask);
        let mut found = Ops::f64(self, table[0]);
        for (i, &entry) in (0..).zip(table).skip(1) {
            let (i, entry) = (Ops::i64(self, i), Ops::f64(self, entry));
            let here = self.eq(index, i);
            found = Ops::select(self, here, entry, found);
        }
        found
    }

    fn less(&mut self, a: Value, b: Value) -> Value {
        Ops::lt(self, a, b)
    }

    fn select(&mut self, condition: Value, then: Value, otherwise: Value) -> Value {
        Ops::select(self, condition, then, otherwise)
    }
}
