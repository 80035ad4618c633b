//! Reads the formulas of definitions: what a value is made of.

use dnn_lib::definition::{Coordinate, Definition, Load, Quantization, Source, Step};
use dnn_lib::scalar::{Comparison, Const, Expr, Value};

/// The steps of a stage.
#[derive(Clone, Copy)]
pub(crate) struct Formula<'a> {
    pub definition: &'a Definition,
    pub steps: &'a [Step],
}

impl<'a> Formula<'a> {
    pub(crate) fn expr(&self, value: Value) -> Option<&'a Expr> {
        self.steps.iter().find_map(|step| match step {
            Step::Let(own, expr) if *own == value => Some(expr),
            _ => None,
        })
    }

    /// The value that a value is if it is positive or a NaN, where it is 0 otherwise.
    pub(crate) fn uncut(&self, value: Value) -> Option<Value> {
        let is_zero = |value| {
            matches!(self.expr(value), Some(Expr::Const(Const::I32(0) | Const::F32(0) | Const::F64(0))))
        };
        let Expr::Select { condition, then, otherwise } = *self.expr(value)? else { return None };
        let Expr::Compare(Comparison::Le, a, b) = *self.expr(condition)? else { return None };
        (is_zero(then) && is_zero(b) && a == otherwise).then_some(otherwise)
    }

    /// The load of an input's element that a value is, if its coordinates are affine and always in range.
    pub(crate) fn load(&self, value: Value) -> Option<(&'a Load, u32)> {
        let load = self.steps.iter().find_map(|step| match step {
            Step::Load(own, load) if *own == value => Some(load),
            _ => None,
        })?;
        let Source::Input(input) = load.from else { return None };
        let affine = load.at.iter().all(|coordinate| matches!(coordinate, Coordinate::Affine(_)));
        (affine && load.otherwise.is_none()).then_some((load, input))
    }

    /// How a value is quantized.
    pub(crate) fn quantization(&self, value: Value) -> Option<Quantization> {
        let expr = |value| self.expr(value).copied();
        Quantization::of(self.expr(value)?, expr, expr)
    }
}
