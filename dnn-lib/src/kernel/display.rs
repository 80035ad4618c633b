//! Kernels as text, for people and for golden tests. There is no parser.

use std::fmt;

use crate::kernel::ir::{Block, Kernel, Statement};
use crate::scalar::Value;

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
        Statement::Load { value, dtype, base, offset } => {
            writeln!(f, "{value} = load {dtype} [{base}{offset:+}]")
        }
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
