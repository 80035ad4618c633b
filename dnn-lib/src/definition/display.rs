//! Definitions as text, for people and for golden tests. There is no parser.

use std::fmt;

use super::{Definition, Load, Order, Reduction, Source, Stage, Step};
use crate::scalar::Value;

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "define {}(", self.name)?;
        for (index, input) in self.inputs.iter().enumerate() {
            write!(f, "{}in{index}: {input}", if index == 0 { "" } else { ", " })?;
        }
        writeln!(f, ") -> {} {{", self.output)?;
        let last = self.stages.len() - 1;
        for (index, stage) in self.stages.iter().enumerate() {
            self.stage(f, stage, (index < last).then_some(index))?;
        }
        writeln!(f, "}}")
    }
}

impl Definition {
    fn stage(&self, f: &mut fmt::Formatter<'_>, stage: &Stage, number: Option<usize>) -> fmt::Result {
        let (name, axes) = match number {
            Some(number) => (format!("stage{number}"), stage.axes.clone()),
            None => ("out".to_owned(), self.output_axes().collect()),
        };
        let axes: Vec<String> = axes.iter().map(|&axis| format!("{axis} < {}", self.size(axis))).collect();
        writeln!(f, "  {name}[{}]:", axes.join(", "))?;
        self.steps(f, &stage.steps, 2)?;
        writeln!(f, "    = {}", stage.value)
    }

    fn steps(&self, f: &mut fmt::Formatter<'_>, steps: &[Step], depth: usize) -> fmt::Result {
        let indent = depth * 2;
        for step in steps {
            match step {
                Step::Let(value, expr) => writeln!(f, "{:indent$}{value} = {expr}", "")?,
                Step::Call(value, function, x) => {
                    writeln!(f, "{:indent$}{value} = {} {x}", "", function.name())?;
                }
                Step::Index(value, index) => writeln!(f, "{:indent$}{value} = index {index}", "")?,
                Step::Load(value, load) => writeln!(f, "{:indent$}{value} = {load}", "")?,
                Step::Reduce(reduction) => self.reduction(f, reduction, depth)?,
            }
        }
        Ok(())
    }

    fn reduction(&self, f: &mut fmt::Formatter<'_>, reduction: &Reduction, depth: usize) -> fmt::Result {
        let list = |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        let order = match reduction.order {
            Order::Ascending => "fold",
            Order::Lanes => "lanes",
        };
        write!(f, "{:1$}{2} = {order}", "", depth * 2, list(&reduction.results))?;
        for range in &reduction.ranges {
            write!(f, " {} < {}", range.axis, self.size(range.axis))?;
            if let Some(window) = &range.window {
                write!(f, " if 0 <= {} < {}", window.position(range.axis), window.size)?;
            }
        }
        writeln!(f, " from {} = {} {{", list(&reduction.carried), list(&reduction.init))?;
        self.steps(f, &reduction.body, depth + 1)?;
        writeln!(f, "{:1$}}} {2}", "", depth * 2, list(&reduction.yields))
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            Source::Input(index) => write!(f, "in{index}[")?,
            Source::Stage(index) => write!(f, "stage{index}[")?,
        }
        for (index, coordinate) in self.at.iter().enumerate() {
            write!(f, "{}{coordinate}", if index == 0 { "" } else { ", " })?;
        }
        f.write_str("]")?;
        self.otherwise.map_or(Ok(()), |otherwise| write!(f, " or {otherwise}"))
    }
}
