//! Formulas of quantized numbers, each of which is one instruction: between its operations, lanes stay in registers.

use dnn_lib::definition::Quantization;
use dnn_lib::scalar::{BinaryOp, Conversion, Expr, Type, Value};

use super::Translator;
use crate::engine::program::{Instr, Slot};
use crate::engine::vector::Op;

/// What one instruction computes.
struct Formula {
    op: Op,
    operands: [Value; 3],
    /// Its values that nothing else uses.
    inside: Vec<Value>,
}

impl Translator<'_> {
    /// Makes one instruction of an operation and those before it, if they are such a formula. Returns whether they are.
    pub(super) fn quantized(&mut self, to: Slot, expr: &Expr) -> bool {
        let Some(Formula { op, operands, inside }) =
            self.dequantization(expr).or_else(|| self.quantization(expr))
        else {
            return false;
        };
        if self.depth() > 0 || inside.iter().chain(&operands).any(|&value| self.known(value).depth > 0) {
            return false;
        }
        let slots: Vec<Slot> = inside.iter().map(|&value| self.known(value).slot).collect();
        self.code[0].retain(|instr| !matches!(instr, Instr::Apply { to, .. } if slots.contains(to)));
        self.apply_at(0, op, to, &operands);
        true
    }

    /// (x - zero) * scale, of an integer x.
    fn dequantization(&self, expr: &Expr) -> Option<Formula> {
        let &Expr::Binary(BinaryOp::Mul, float, scale) = expr else { return None };
        let Expr::Convert(Conversion::IntToFloat, Type::F32, difference) = self.alone(float)? else {
            return None;
        };
        let Expr::Binary(BinaryOp::Sub, x, zero) = self.alone(difference)? else { return None };
        (self.definition.ty(x) == Type::I32).then(|| Formula {
            op: Op::Dequantize,
            operands: [x, zero, scale],
            inside: vec![float, difference],
        })
    }

    /// A quotient or a product that is quantized with a zero point.
    fn quantization(&self, expr: &Expr) -> Option<Formula> {
        let known = |value: Value| self.exprs[value.index()].copied();
        let found = Quantization::of(expr, |value| self.alone(value), known)?;
        let (zero, number) = (found.zero?, found.number);
        let (divides, x, y) = match self.alone(number)? {
            Expr::Binary(BinaryOp::Div, x, y) => (true, x, y),
            Expr::Binary(BinaryOp::Mul, x, y) => (false, x, y),
            _ => return None,
        };
        let mut inside = found.inside;
        inside.push(number);
        (self.definition.ty(x) == Type::F32).then_some(Formula {
            op: Op::Quantize { least: found.least, most: found.most, divides },
            operands: [x, y, zero],
            inside,
        })
    }

    /// The expression of a value that is used once, and that an instruction computes.
    fn alone(&self, value: Value) -> Option<Expr> {
        let alone = self.uses[value.index()] == 1 && !self.known(value).constant;
        self.exprs[value.index()].copied().filter(|_| alone)
    }
}
