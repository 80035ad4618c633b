//! Kernels as text, for people and for golden tests. There is no parser.

use std::fmt;

use crate::kernel::ir::{
    BinaryOp, Block, Comparison, Const, Conversion, Expr, Kernel, Statement, Type, UnaryOp, Value,
};

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Bool => "bool",
            Type::I32 => "i32",
            Type::I64 => "i64",
            Type::F32 => "f32",
            Type::F64 => "f64",
        })
    }
}

impl fmt::Display for Const {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Const::I32(x) => write!(f, "{x}i32"),
            Const::I64(x) => write!(f, "{x}"),
            Const::F32(bits) => write!(f, "{:?}f32", f32::from_bits(bits)),
            Const::F64(bits) => write!(f, "{:?}f64", f64::from_bits(bits)),
        }
    }
}

impl UnaryOp {
    fn name(self) -> &'static str {
        match self {
            UnaryOp::Neg => "neg",
            UnaryOp::Abs => "abs",
            UnaryOp::Sqrt => "sqrt",
        }
    }
}

impl BinaryOp {
    fn name(self) -> &'static str {
        match self {
            BinaryOp::Add => "add",
            BinaryOp::Sub => "sub",
            BinaryOp::Mul => "mul",
            BinaryOp::Div => "div",
            BinaryOp::DivS => "div_s",
            BinaryOp::DivU => "div_u",
            BinaryOp::RemS => "rem_s",
            BinaryOp::RemU => "rem_u",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Xor => "xor",
            BinaryOp::Shl => "shl",
            BinaryOp::ShrS => "shr_s",
            BinaryOp::ShrU => "shr_u",
        }
    }
}

impl Comparison {
    fn name(self) -> &'static str {
        match self {
            Comparison::Eq => "eq",
            Comparison::Ne => "ne",
            Comparison::Lt => "lt",
            Comparison::Le => "le",
            Comparison::LtU => "lt_u",
            Comparison::LeU => "le_u",
        }
    }
}

impl Conversion {
    fn name(self) -> &'static str {
        match self {
            Conversion::FromBool => "from_bool",
            Conversion::SignExtend => "sign_extend",
            Conversion::ZeroExtend => "zero_extend",
            Conversion::Truncate => "truncate",
            Conversion::IntToFloat => "int_to_float",
            Conversion::UintToFloat => "uint_to_float",
            Conversion::FloatToInt => "float_to_int",
            Conversion::FloatToUint => "float_to_uint",
            Conversion::Promote => "promote",
            Conversion::Demote => "demote",
            Conversion::Bitcast => "bitcast",
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Expr::Const(constant) => write!(f, "{constant}"),
            Expr::Unary(op, a) => write!(f, "{} {a}", op.name()),
            Expr::Binary(op, a, b) => write!(f, "{} {a}, {b}", op.name()),
            Expr::Compare(op, a, b) => write!(f, "{} {a}, {b}", op.name()),
            Expr::Fma(a, b, c) => write!(f, "fma {a}, {b}, {c}"),
            Expr::Select { condition, then, otherwise } => {
                write!(f, "select {condition}, {then}, {otherwise}")
            }
            Expr::Convert(conversion, ty, a) => write!(f, "{} {ty}, {a}", conversion.name()),
            Expr::Load { dtype, base, offset } => write!(f, "load {dtype} [{base}{offset:+}]"),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: impl IntoIterator<Item = String>) -> fmt::Result {
    let items: Vec<_> = items.into_iter().collect();
    f.write_str(&items.join(", "))
}

/// Writes the results of a statement, `v1, v2 = `, if it has any.
fn results(f: &mut fmt::Formatter<'_>, values: &[Value]) -> fmt::Result {
    if !values.is_empty() {
        list(f, values.iter().map(Value::to_string))?;
        f.write_str(" = ")?;
    }
    Ok(())
}

fn block(f: &mut fmt::Formatter<'_>, block: &Block, depth: usize) -> fmt::Result {
    for one in &block.statements {
        write!(f, "{:1$}", "", depth * 2)?;
        statement(f, one, depth)?;
    }
    if !block.yields.is_empty() {
        write!(f, "{:1$}yield ", "", depth * 2)?;
        list(f, block.yields.iter().map(Value::to_string))?;
        writeln!(f)?;
    }
    Ok(())
}

fn statement(f: &mut fmt::Formatter<'_>, statement: &Statement, depth: usize) -> fmt::Result {
    match statement {
        Statement::Let(value, expr) => writeln!(f, "{value} = {expr}"),
        Statement::Store { dtype, base, offset, value } => {
            writeln!(f, "store {dtype} [{base}{offset:+}], {value}")
        }
        Statement::For { index, start, end, step, bound, init, carried, body, results: done } => {
            results(f, done)?;
            write!(f, "for {index} in {start}..{end}")?;
            if *step != 1 {
                write!(f, " step {step}")?;
            }
            if let Some(bound) = bound {
                write!(f, " at most {bound}")?;
            }
            if !carried.is_empty() {
                f.write_str(" with ")?;
                list(f, carried.iter().zip(init).map(|(carried, init)| format!("{carried} = {init}")))?;
            }
            writeln!(f, " {{")?;
            block(f, body, depth + 1)?;
            writeln!(f, "{:1$}}}", "", depth * 2)
        }
        Statement::If { condition, then, otherwise, results: done } => {
            results(f, done)?;
            writeln!(f, "if {condition} {{")?;
            block(f, then, depth + 1)?;
            if *otherwise != Block::default() {
                writeln!(f, "{:1$}}} else {{", "", depth * 2)?;
                block(f, otherwise, depth + 1)?;
            }
            writeln!(f, "{:1$}}}", "", depth * 2)
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel {}(", self.name)?;
        for (i, input) in self.inputs.iter().enumerate() {
            write!(f, "{}: {input}, ", self.input(i))?;
        }
        writeln!(f, "{}: out {}, {}..{})", self.output_address(), self.output, self.lo(), self.hi())?;
        writeln!(f, "tile {:?}, {} units {{", self.tile, self.units())?;
        block(f, &self.body, 1)?;
        writeln!(f, "}}")
    }
}
