//! Finds the floats that may be a NaN with other bits than the canonical ones. Only these need care where a
//! NaN is observed.

use dnn_lib::kernel::{BinaryOp, Block, Const, Conversion, Expr, Kernel, Statement, UnaryOp, Value};

/// For each value of the kernel, whether it may be a NaN that is not the canonical one.
/// The arithmetic of RISC-V gives only that one.
pub(crate) fn foreign(kernel: &Kernel) -> Vec<bool> {
    let mut analysis = Analysis { foreign: vec![false; kernel.types.len()], changed: true };
    // Loops carry values backwards. The set only grows, so this terminates.
    while std::mem::take(&mut analysis.changed) {
        analysis.block(&kernel.body);
    }
    analysis.foreign
}

struct Analysis {
    foreign: Vec<bool>,
    changed: bool,
}

impl Analysis {
    fn is(&self, value: Value) -> bool {
        self.foreign.get(value.index()).copied().unwrap_or(true)
    }

    fn join(&mut self, value: Value, foreign: bool) {
        if let Some(known) = self.foreign.get_mut(value.index())
            && foreign
            && !*known
        {
            *known = true;
            self.changed = true;
        }
    }

    fn join_all(&mut self, to: &[Value], from: &[Value]) {
        for (&to, &from) in to.iter().zip(from) {
            self.join(to, self.is(from));
        }
    }

    fn block(&mut self, block: &Block) {
        for statement in &block.statements {
            match statement {
                Statement::Let(value, expr) => self.join(*value, self.expr(expr)),
                Statement::Load { value, .. } => self.join(*value, true),
                Statement::Store { .. } => {}
                Statement::For { init, carried, body, results, .. } => {
                    self.join_all(carried, init);
                    self.block(body);
                    self.join_all(carried, &body.yields);
                    self.join_all(results, carried);
                }
                Statement::If { then, otherwise, results, .. } => {
                    for branch in [then, otherwise] {
                        self.block(branch);
                        self.join_all(results, &branch.yields);
                    }
                }
            }
        }
    }

    fn expr(&self, expr: &Expr) -> bool {
        match *expr {
            Expr::Const(Const::F32(bits)) => f32::from_bits(bits).is_nan(),
            Expr::Const(Const::F64(bits)) => f64::from_bits(bits).is_nan(),
            Expr::Const(_) | Expr::Compare(..) => false,
            Expr::Unary(UnaryOp::Sqrt, _) => false,
            // The canonical NaN with its sign flipped is a different NaN, and rounding may copy it.
            Expr::Unary(..) => true,
            Expr::Select { then, otherwise, .. } => self.is(then) || self.is(otherwise),
            Expr::Binary(BinaryOp::Min | BinaryOp::Max, a, b) => self.is(a) || self.is(b),
            Expr::Convert(Conversion::Promote | Conversion::Demote, ..)
            | Expr::Fma(..)
            | Expr::Binary(BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div, ..)
            | Expr::Convert(Conversion::IntToFloat | Conversion::UintToFloat, ..) => false,
            Expr::Convert(..) | Expr::Binary(..) => true,
        }
    }
}
