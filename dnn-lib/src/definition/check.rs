//! Whether a definition is one: every value is defined before its use and has its type, every reduction makes
//! sense, and every load is in range. A definition that passes can be evaluated and scheduled on any computer.

use super::affine::{Affine, Axis, Coordinate};
use super::nested::MOST_DEPTH;
use super::{Definition, Load, Order, Reduction, Source, Stage, Step, Window};
use crate::layout::strides;
use crate::scalar::{Expr, Type, Value};
use crate::tensor::TensorType;

/// Why a definition is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("definition {name}: {fault}")]
pub struct DefinitionError {
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There are too many of something.
    #[error("{found} {what}; at most {most} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// Their number.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// A tensor is too large, or elements of its type can't be computed with.
    #[error("a tensor of type {0} is too large or of a type that can't be computed with")]
    Tensor(TensorType),
    /// The axes, rows or stages don't fit together.
    #[error("{0}")]
    Form(&'static str),
    /// A value is used where it is not defined, or defined twice.
    #[error("{0} is used where it is not defined, or defined twice")]
    Scope(Value),
    /// An axis is used where it has no index, or used twice.
    #[error("{0} is used where it has no index, or used twice")]
    Axis(Axis),
    /// The types of a step don't fit.
    #[error("{0} has not the type of what defines it, or an operation is not defined for its operands")]
    Type(Value),
    /// A load names a tensor that is not there, or has not as many coordinates as it has dimensions.
    #[error("{0} is loaded from a tensor that is not there, or with too few or too many coordinates")]
    Source(Value),
    /// A coordinate can be out of range.
    #[error("the coordinate {coordinate} of {value} can be out of 0..{size}")]
    Range {
        /// The loaded value.
        value: Value,
        /// The coordinate.
        coordinate: Coordinate,
        /// The size of the dimension.
        size: u64,
    },
}

/// The most bytes of a tensor, and the most indices of an axis.
const MOST_BYTES: u64 = 1 << 44;
/// The most values.
const MOST_VALUES: usize = 1 << 14;
/// The most steps, those of reductions included.
const MOST_STEPS: usize = 1 << 14;
/// The most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 64;
/// The longest name, in bytes.
const MOST_NAME: usize = 256;
/// The most axes.
const MOST_AXES: usize = 64;
/// The most stages.
const MOST_STAGES: usize = 64;
/// The most inputs.
const MOST_INPUTS: usize = 1 << 10;
/// Affine indices stay below this, whatever the indices.
const MOST_INDEX: u128 = 1 << 60;
/// Places in a tensor stay below this, in elements, even those of loads that are out of range.
const MOST_PLACE: u128 = 1 << 56;
/// Every step is taken fewer times than this.
const MOST_TIMES: u128 = 1 << 60;

impl Definition {
    /// Checks everything. What can be built with [`Builder`](super::Builder) or read from a file may be wrong.
    pub fn check(&self) -> Result<(), DefinitionError> {
        let mut check = Check {
            definition: self,
            visible: vec![false; self.types.len()],
            defined: vec![false; self.types.len()],
            indexed: vec![false; self.axes.len()],
            reduced: vec![false; self.axes.len()],
            windows: Vec::new(),
            depth: 0,
            stage: 0,
            steps: 0,
            times: 1,
        };
        check.all().map_err(|fault| DefinitionError { name: self.name.clone(), fault })
    }
}

struct Check<'a> {
    definition: &'a Definition,
    /// The values that can be used here.
    visible: Vec<bool>,
    /// The values that some step defines.
    defined: Vec<bool>,
    /// The axes that have an index here.
    indexed: Vec<bool>,
    /// The axes that some reduction has.
    reduced: Vec<bool>,
    /// The positions that are known to be in `0..size` here.
    windows: Vec<(Affine, u64)>,
    depth: usize,
    /// The stage that is checked.
    stage: usize,
    /// The number of steps so far.
    steps: usize,
    /// How often this place is reached, if axes without an index had one.
    times: u128,
}

fn at_most(what: &'static str, found: usize, most: usize) -> Result<(), Fault> {
    if found <= most {
        return Ok(());
    }
    Err(Fault::TooMany { what, found: found as u64, most: most as u64 })
}

fn form(right: bool, what: &'static str) -> Result<(), Fault> {
    if right { Ok(()) } else { Err(Fault::Form(what)) }
}

impl Check<'_> {
    fn all(&mut self) -> Result<(), Fault> {
        let definition = self.definition;
        at_most("values", definition.types.len(), MOST_VALUES)?;
        at_most("axes", definition.axes.len(), MOST_AXES)?;
        at_most("stages", definition.stages.len(), MOST_STAGES)?;
        at_most("inputs", definition.inputs.len(), MOST_INPUTS)?;
        at_most("bytes of a name", definition.name.len(), MOST_NAME)?;
        definition.inputs.iter().chain([&definition.output]).try_for_each(tensor)?;
        let rank = definition.output.shape.len();
        form(
            definition.axes.get(..rank) == Some(&definition.output.shape[..]),
            "the first axes are the output's",
        )?;
        form(definition.axes.iter().all(|&size| size <= MOST_BYTES), "an axis is too long")?;
        self.reach(definition.output_axes())?;
        form(
            ascending(&definition.row) && self.of_output(&definition.row),
            "a row runs along axes of the output",
        )?;
        let Some((last, before)) = definition.stages.split_last() else {
            return Err(Fault::Form("there is no stage"));
        };
        form(last.axes == definition.row, "the last stage has the axes of the row")?;
        let within = |stage: &Stage| {
            ascending(&stage.axes) && stage.axes.iter().all(|axis| definition.row.contains(axis))
        };
        form(before.iter().all(within), "a stage has axes of the row")?;
        for (index, stage) in definition.stages.iter().enumerate() {
            self.stage = index;
            self.stage(stage)?;
        }
        let element = definition.types.get(last.value.index()).copied();
        let right = element.is_some() && element == Type::loaded(definition.output.dtype);
        form(right, "the last stage is not of the output's type")
    }

    /// Counts how often a place inside of some axes is reached.
    fn reach(&mut self, axes: impl Iterator<Item = Axis>) -> Result<(), Fault> {
        let size = |axis: Axis| u128::from(self.definition.size(axis).max(1));
        self.times = axes.map(size).fold(self.times, u128::saturating_mul);
        form(self.times < MOST_TIMES, "its axes have too many indices")
    }

    fn of_output(&self, axes: &[Axis]) -> bool {
        axes.iter().all(|axis| axis.index() < self.definition.output.shape.len())
    }

    fn stage(&mut self, stage: &Stage) -> Result<(), Fault> {
        let definition = self.definition;
        for axis in definition.output_axes() {
            self.indexed[axis.index()] = !definition.row.contains(&axis) || stage.axes.contains(&axis);
        }
        self.visible.fill(false);
        self.steps(&stage.steps)?;
        self.usable(stage.value)
    }

    fn steps(&mut self, steps: &[Step]) -> Result<(), Fault> {
        self.steps += steps.len();
        at_most("steps", self.steps, MOST_STEPS)?;
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<(), Fault> {
        let types = &self.definition.types;
        match step {
            Step::Let(value, expr) => {
                expr.operands().into_iter().try_for_each(|operand| self.usable(operand))?;
                let ty = expr.ty(types);
                self.define(*value, ty)
            }
            Step::Call(value, _, x) => {
                self.usable(*x)?;
                let ty = types.get(x.index()).copied().filter(|&ty| ty == Type::F32);
                self.define(*value, ty)
            }
            Step::Index(value, index) => {
                self.affine(index)?;
                self.define(*value, Some(Type::I64))
            }
            Step::Load(value, load) => {
                let ty = self.load(*value, load)?;
                self.define(*value, Some(ty))
            }
            Step::Reduce(reduction) => self.reduction(reduction),
        }
    }

    fn usable(&self, value: Value) -> Result<(), Fault> {
        if self.visible.get(value.index()) == Some(&true) { Ok(()) } else { Err(Fault::Scope(value)) }
    }

    fn define(&mut self, value: Value, ty: Option<Type>) -> Result<(), Fault> {
        let Some(defined) = self.defined.get_mut(value.index()) else { return Err(Fault::Scope(value)) };
        if std::mem::replace(defined, true) {
            return Err(Fault::Scope(value));
        }
        if ty.is_none() || ty != self.definition.types.get(value.index()).copied() {
            return Err(Fault::Type(value));
        }
        self.visible[value.index()] = true;
        Ok(())
    }

    /// Checks an affine index: its axes have an index, and it can't overflow.
    fn affine(&self, affine: &Affine) -> Result<(), Fault> {
        let ordered = affine.terms.windows(2).all(|pair| pair[0].0 < pair[1].0);
        form(
            ordered && affine.terms.iter().all(|&(_, factor)| factor != 0),
            "an index is not in its normal form",
        )?;
        let missing = affine.axes().find(|axis| self.indexed.get(axis.index()) != Some(&true));
        if let Some(axis) = missing {
            return Err(Fault::Axis(axis));
        }
        form(self.largest(affine) < MOST_INDEX, "an index can be too large")
    }

    /// At least as much as the absolute value of an index, and of any part of it, can be.
    fn largest(&self, affine: &Affine) -> u128 {
        let size = |axis: Axis| u128::from(self.definition.axes[axis.index()].max(1));
        let terms = affine.terms.iter().map(|&(axis, factor)| size(axis) * u128::from(factor.unsigned_abs()));
        terms.fold(affine.constant.unsigned_abs().into(), u128::saturating_add)
    }

    /// Checks that the place of an element can be computed, even if coordinates are out of range.
    fn place(&self, at: &[Coordinate], shape: &[u64]) -> Result<(), Fault> {
        let term = |(coordinate, stride): (&Coordinate, u64)| match coordinate {
            Coordinate::Affine(affine) => self.largest(affine).saturating_mul(stride.into()),
            Coordinate::Value(_) => 0,
        };
        let largest = at.iter().zip(strides(shape)).map(term).fold(0, u128::saturating_add);
        form(largest < MOST_PLACE, "the place of an element can be too far away")
    }

    fn load(&self, value: Value, load: &Load) -> Result<Type, Fault> {
        let definition = self.definition;
        let ty = match load.from {
            Source::Input(index) => {
                definition.inputs.get(index as usize).and_then(|input| Type::loaded(input.dtype))
            }
            Source::Stage(index) => definition
                .stages
                .get(index as usize)
                .filter(|_| (index as usize) < self.stage)
                .and_then(|stage| definition.types.get(stage.value.index()).copied()),
        };
        let ty = ty.ok_or(Fault::Source(value))?;
        let shape = definition.shape(load.from);
        if shape.len() != load.at.len() {
            return Err(Fault::Source(value));
        }
        for (coordinate, &size) in load.at.iter().zip(&shape) {
            self.coordinate(coordinate, size, load.otherwise.is_some()).map_err(|fault| {
                fault.unwrap_or_else(|| Fault::Range { value, coordinate: coordinate.clone(), size })
            })?;
        }
        self.place(&load.at, &shape)?;
        if let Some(otherwise) = load.otherwise {
            self.usable(otherwise)?;
            if definition.types.get(otherwise.index()) != Some(&ty) {
                return Err(Fault::Type(value));
            }
        }
        Ok(ty)
    }

    /// Checks a coordinate; `None` if it can be out of range.
    fn coordinate(&self, coordinate: &Coordinate, size: u64, free: bool) -> Result<(), Option<Fault>> {
        match coordinate {
            Coordinate::Value(value) => {
                self.usable(*value)?;
                if self.definition.types.get(value.index()) != Some(&Type::I64) {
                    return Err(Some(Fault::Type(*value)));
                }
                // It takes the nearest element, so there must be one.
                if free || size > 0 { Ok(()) } else { Err(None) }
            }
            Coordinate::Affine(affine) => {
                self.affine(affine)?;
                if free || self.in_range(affine, size) { Ok(()) } else { Err(None) }
            }
        }
    }

    /// Whether an index is in `0..size` whenever this place is reached.
    fn in_range(&self, affine: &Affine, size: u64) -> bool {
        if self.windows.iter().any(|(known, end)| known == affine && *end <= size) {
            return true;
        }
        let (mut least, mut most) = (i128::from(affine.constant), i128::from(affine.constant));
        for &(axis, factor) in &affine.terms {
            let Some(last) = self.definition.axes[axis.index()].checked_sub(1) else {
                return true; // There is no index, so this place is never reached.
            };
            let end = i128::from(last) * i128::from(factor);
            if factor < 0 { least += end } else { most += end }
        }
        least >= 0 && most < i128::from(size)
    }

    fn reduction(&mut self, reduction: &Reduction) -> Result<(), Fault> {
        at_most("nested reductions", self.depth + 1, MOST_DEPTH)?;
        let (windows, visible, times) = (self.windows.len(), self.visible.clone(), self.times);
        reduction.init.iter().try_for_each(|&value| self.usable(value))?;
        for range in &reduction.ranges {
            self.axis(range.axis)?;
            let Some(Window { start, step, size }) = &range.window else {
                self.indexed[range.axis.index()] = true;
                continue;
            };
            form(reduction.order == Order::Ascending, "a reduction in lanes has a window")?;
            form(
                (1..=MOST_BYTES).contains(step) && *size <= MOST_BYTES,
                "a window is too large or has no step",
            )?;
            self.affine(start)?;
            self.indexed[range.axis.index()] = true;
            let position = start.clone() + Affine::from(range.axis) * *step as i64;
            self.affine(&position)?;
            self.windows.push((position, *size));
        }
        self.reach(reduction.ranges.iter().map(|range| range.axis))?;
        let types: Vec<Type> = reduction.init.iter().map(|&value| self.definition.ty(value)).collect();
        form(reduction.carried.len() == types.len(), "a reduction carries other values than it begins with")?;
        form(reduction.yields.len() == types.len(), "a reduction yields other values than it begins with")?;
        form(reduction.results.len() == types.len(), "a reduction gives other values than it begins with")?;
        for (&carried, &ty) in reduction.carried.iter().zip(&types) {
            self.define(carried, Some(ty))?;
        }
        self.depth += 1;
        self.steps(&reduction.body)?;
        self.depth -= 1;
        for (&value, &ty) in reduction.yields.iter().zip(&types) {
            self.usable(value)?;
            if self.definition.ty(value) != ty {
                return Err(Fault::Type(value));
            }
        }
        if reduction.order == Order::Lanes {
            form(reduction.combination().is_some(), "a reduction in lanes does not end with one operation")?;
        }
        (self.visible, self.times) = (visible, times);
        self.windows.truncate(windows);
        for range in &reduction.ranges {
            self.indexed[range.axis.index()] = false;
        }
        for (&result, &ty) in reduction.results.iter().zip(&types) {
            self.define(result, Some(ty))?;
        }
        Ok(())
    }

    /// Checks that a reduction can have an axis: no other has it.
    fn axis(&mut self, axis: Axis) -> Result<(), Fault> {
        let known =
            axis.index() < self.definition.axes.len() && axis.index() >= self.definition.output.shape.len();
        if !known || std::mem::replace(&mut self.reduced[axis.index()], true) {
            return Err(Fault::Axis(axis));
        }
        Ok(())
    }
}

impl Reduction {
    /// The operation that combines lanes, and the value that the body combines with the one so far: for a body
    /// that ends with one operation on it, and uses it nowhere else.
    pub fn combination(&self) -> Option<(crate::scalar::BinaryOp, Value)> {
        let ([carried], [yielded]) = (&self.carried[..], &self.yields[..]) else { return None };
        let (Step::Let(value, Expr::Binary(op, first, second)), before) = self.body.split_last()? else {
            return None;
        };
        let elsewhere = before.iter().any(|step| uses(step, *carried));
        (value == yielded && first == carried && second != carried && !elsewhere).then_some((*op, *second))
    }
}

/// Whether a step uses a value.
pub(crate) fn uses(step: &Step, value: Value) -> bool {
    match step {
        Step::Let(_, expr) => expr.operands().contains(&value),
        Step::Call(_, _, x) => *x == value,
        Step::Index(..) => false,
        Step::Load(_, load) => load.otherwise == Some(value) || load.at.contains(&Coordinate::Value(value)),
        Step::Reduce(reduction) => {
            let used = reduction.init.iter().chain(&reduction.yields).any(|&used| used == value);
            used || reduction.body.iter().any(|step| uses(step, value))
        }
    }
}

fn ascending(axes: &[Axis]) -> bool {
    axes.windows(2).all(|pair| pair[0] < pair[1])
}

fn tensor(ty: &TensorType) -> Result<(), Fault> {
    at_most("dimensions", ty.shape.len(), MOST_DIMENSIONS)?;
    let short = ty.shape.iter().all(|&size| size <= MOST_BYTES);
    match ty.bytes() {
        Some(bytes) if bytes <= MOST_BYTES && short && !ty.dtype.is_packed() => Ok(()),
        _ => Err(Fault::Tensor(ty.clone())),
    }
}
