//! Several vectors at once.

use std::array::from_fn;

use dnn_lib::math::Arithmetic;

use super::Lanes;

/// So many vectors, each operation on one after the other. A processor looks only so far ahead for
/// instructions that don't wait for others; here they are next to each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Several<L, const VECTORS: usize>(pub L);

/// Methods that do the same to each vector.
macro_rules! for_each {
    ($($name:ident($($x:ident: $from:ident),+) -> $to:ident;)+) => {$(
        #[inline(always)]
        fn $name(&mut self, $($x: Self::$from),+) -> Self::$to {
            from_fn(|i| self.0.$name($($x[i]),+))
        }
    )+};
}

impl<L: Lanes, const VECTORS: usize> Arithmetic for Several<L, VECTORS> {
    type F32 = [L::F32; VECTORS];
    type F64 = [L::F64; VECTORS];
    type I64 = [L::I64; VECTORS];
    type Bool = [L::Bool; VECTORS];

    const TABLES: bool = L::TABLES;

    for_each! {
        promote(x: F32) -> F64;
        demote(x: F64) -> F32;
        bits(x: F64) -> I64;
        float(bits: I64) -> F64;
        add(a: F64, b: F64) -> F64;
        sub(a: F64, b: F64) -> F64;
        mul(a: F64, b: F64) -> F64;
        div(a: F64, b: F64) -> F64;
        fma(a: F64, b: F64, c: F64) -> F64;
        fms(a: F64, b: F64, c: F64) -> F64;
        abs(x: F64) -> F64;
        sqrt(x: F64) -> F64;
        add_int(a: I64, b: I64) -> I64;
        sub_int(a: I64, b: I64) -> I64;
        less(a: F64, b: F64) -> Bool;
        select(condition: Bool, then: F64, otherwise: F64) -> F64;
    }

    #[inline(always)]
    fn f64(&mut self, x: f64) -> Self::F64 {
        [self.0.f64(x); VECTORS]
    }

    #[inline(always)]
    fn i64(&mut self, x: i64) -> Self::I64 {
        [self.0.i64(x); VECTORS]
    }

    #[inline(always)]
    fn shift_left<const COUNT: u32>(&mut self, x: Self::I64) -> Self::I64 {
        x.map(|x| self.0.shift_left::<COUNT>(x))
    }

    #[inline(always)]
    fn shift_right<const COUNT: u32>(&mut self, x: Self::I64) -> Self::I64 {
        x.map(|x| self.0.shift_right::<COUNT>(x))
    }

    #[inline(always)]
    fn at_most(&mut self, x: Self::F32, limit: f32) -> Self::F32 {
        x.map(|x| self.0.at_most(x, limit))
    }

    #[inline(always)]
    fn at_least(&mut self, x: Self::F32, limit: f32) -> Self::F32 {
        x.map(|x| self.0.at_least(x, limit))
    }

    #[inline(always)]
    fn look_up(&mut self, table: &[f64; 8], index: Self::I64) -> Self::F64 {
        index.map(|index| self.0.look_up(table, index))
    }
}

impl<L: Lanes, const VECTORS: usize> Lanes for Several<L, VECTORS> {
    const COUNT: usize = VECTORS * L::COUNT;

    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::F32 {
        from_fn(|i| self.0.load(&from[i * L::COUNT..]))
    }

    #[inline(always)]
    fn store(self, x: Self::F32, to: &mut [f32]) {
        for (i, x) in x.into_iter().enumerate() {
            self.0.store(x, &mut to[i * L::COUNT..]);
        }
    }
}
