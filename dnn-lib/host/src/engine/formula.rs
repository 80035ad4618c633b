//! Reads the formulas of definitions: what a value is made of.

use dnn_lib::definition::{Coordinate, Definition, Load, Source, Step};
use dnn_lib::scalar::{BinaryOp, Comparison, Const, Conversion, Expr, Type, UnaryOp, Value};

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
        quantization(self.expr(value)?, &|value| self.expr(value).copied(), &|value| {
            self.expr(value).copied()
        })
    }
}

/// A float that is rounded, at least `least - zero` and at most `most - zero`, plus zero.
pub(crate) struct Quantization {
    pub number: Value,
    pub zero: Option<Value>,
    pub least: i32,
    pub most: i32,
    /// The values between the number and the result.
    pub inside: Vec<Value>,
}

/// Such a formula. `expr` is the expression of a value that may be inside, `constant` that of any value.
pub(crate) fn quantization(
    result: &Expr,
    expr: &impl Fn(Value) -> Option<Expr>,
    constant: &impl Fn(Value) -> Option<Expr>,
) -> Option<Quantization> {
    let (limited, zero, mut inside) = match *result {
        Expr::Binary(BinaryOp::Add, limited, zero) => (expr(limited)?, Some(zero), vec![limited]),
        limited => (limited, None, Vec::new()),
    };
    let Expr::Binary(BinaryOp::Min, above, end) = limited else { return None };
    let Expr::Binary(BinaryOp::Max, integer, start) = expr(above)? else { return None };
    let Expr::Convert(Conversion::FloatToInt, Type::I32, rounded) = expr(integer)? else { return None };
    let Expr::Unary(UnaryOp::Round, number) = expr(rounded)? else { return None };
    let number_of = |value: Value| match constant(value)? {
        Expr::Const(Const::I32(number)) => Some(number),
        _ => None,
    };
    let bound = |value: Value| match zero {
        None => number_of(value),
        Some(zero) => match expr(value)? {
            Expr::Binary(BinaryOp::Sub, bound, of) if of == zero => number_of(bound),
            _ => None,
        },
    };
    let (least, most) = (bound(start)?, bound(end)?);
    inside.extend([above, integer, rounded]);
    if zero.is_some() {
        inside.extend([start, end]);
    }
    Some(Quantization { number, zero, least, most, inside })
}
