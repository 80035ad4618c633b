//! How elements are quantized: the one formula for it, which is found again in definitions.

use crate::scalar::{BinaryOp, Const, Conversion, Expr, Type, UnaryOp, Value};

/// A float that is rounded, at least `least - zero` and at most `most - zero`, plus zero.
#[derive(Clone, Debug)]
pub struct Quantization {
    /// The float.
    pub number: Value,
    /// The zero point, if there is one.
    pub zero: Option<Value>,
    /// The least result.
    pub least: i32,
    /// The largest result.
    pub most: i32,
    /// The values between the number and the result.
    pub inside: Vec<Value>,
}

impl Quantization {
    /// What a result is, if it is such a formula. `expr` is the expression of a value that may be inside, `constant`
    /// that of any value.
    pub fn of(
        result: &Expr,
        expr: impl Fn(Value) -> Option<Expr>,
        constant: impl Fn(Value) -> Option<Expr>,
    ) -> Option<Self> {
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
        Some(Self { number, zero, least, most, inside })
    }
}
