//! Folds that the elements of a row can share. A definition says of each element what it is, so one that is the
//! sum of all before it, or that looks for the updates which hit it, takes a fold over the whole row. If such a
//! fold has one of two forms, all elements of the row together take one. The bits are the same.

use super::affine::{Affine, Axis, Coordinate};
use super::fuse::keeps_bits;
use super::{Definition, Load, Order, Reduction, Stage, Step, Window};
use crate::scalar::{BinaryOp, Comparison, Expr, Value};
use crate::tensor::TensorType;

/// A fold that all elements of a row share. The row has one axis, and the fold's result is the element.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    definition: &'a Definition,
    /// The axis of the row.
    pub axis: Axis,
    /// The fold. It has one axis and carries one value.
    pub fold: &'a Reduction,
    /// How the row shares it.
    pub form: Form,
}

/// How the elements of a row share a fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Each element is the one before it with one step more, that of the fold's last index.
    Running {
        /// Whether the first element, in this order, is the initial value.
        exclusive: bool,
        /// Whether the order is that of descending indices.
        reverse: bool,
    },
    /// Each index of the fold changes one element at most. All begin as the initial value.
    Scattered {
        /// The index of that element; there is none if it is out of range.
        place: Value,
        /// What the element becomes.
        updated: Value,
    },
}

impl Definition {
    /// The fold that the elements of a row share, if there is one and it is all that they are.
    pub fn shared(&self) -> Option<Shared<'_>> {
        let ([axis], [stage]) = (&self.row[..], &self.stages[..]) else { return None };
        let (Step::Reduce(fold), before) = stage.steps.split_last()? else { return None };
        let flat = |steps: &[Step]| !steps.iter().any(|step| matches!(step, Step::Reduce(_)));
        let fits = flat(before)
            && flat(&fold.body)
            && fold.order == Order::Ascending
            && fold.ranges.len() == 1
            && fold.results == [stage.value];
        let shared = |form| Shared { definition: self, axis: *axis, fold, form };
        let form = || running(self, *axis, before, fold).or_else(|| scattered(self, *axis, before, fold));
        fits.then(form)?.map(shared)
    }
}

/// Every step of the body depends on the element and the index by their position alone, and the last index is
/// at the element or directly before it.
fn running(definition: &Definition, own: Axis, before: &[Step], fold: &Reduction) -> Option<Form> {
    let range = &fold.ranges[0];
    let Window { start, step: 1, size } = range.window.as_ref()? else { return None };
    let [(axis, factor @ (1 | -1))] = start.terms[..] else { return None };
    let count = definition.size(own);
    if axis != own || count == 0 || *size != count || definition.size(range.axis) != count {
        return None;
    }
    let (last, reverse) = (count as i64 - 1, factor < 0);
    let exclusive = match start.constant + if reverse { 0 } else { last } {
        0 => false,
        -1 => true,
        _ => return None,
    };
    let outside = depending(definition, own, before);
    let by_position = |index: &Affine| index.factor(own) == factor * index.factor(range.axis);
    let fits = |step: &Step| {
        indices(step).into_iter().all(by_position)
            && step.operands().iter().all(|operand| !outside[operand.index()])
    };
    let alike = [fold.yields[0], fold.init[0]].iter().all(|value| !outside[value.index()]);
    (alike && fold.body.iter().all(fits)).then_some(Form::Running { exclusive, reverse })
}

/// The body is a selection by whether a value is the element's index, and nothing else in it depends on that.
fn scattered(definition: &Definition, own: Axis, before: &[Step], fold: &Reduction) -> Option<Form> {
    if fold.ranges[0].window.is_some() {
        return None;
    }
    let carried = fold.carried[0];
    let all: Vec<&Step> = before.iter().chain(&fold.body).collect();
    let of = |value: Value| all.iter().find(|step| step.defined().contains(&value));
    let Step::Let(_, Expr::Select { condition, then: updated, otherwise }) = of(fold.yields[0])? else {
        return None;
    };
    let Step::Let(_, Expr::Compare(Comparison::Eq, place, index)) = of(*condition)? else { return None };
    let is_own = matches!(of(*index)?, Step::Index(_, index) if *index == own.into());
    let mut depends = depending(definition, own, before);
    mark(&mut depends, own, &fold.body);
    if *otherwise != carried || !is_own || depends[place.index()] || depends[updated.index()] {
        return None;
    }
    // The element is stored between updates.
    let form = Form::Scattered { place: *place, updated: *updated };
    let shared = Shared { definition, axis: own, fold, form };
    let kept = keeps_bits(definition.output.dtype)
        || match shared.update()? {
            (None, _) => true,
            (Some(_), _) => !definition.ty(carried).is_float(),
        };
    shared.update().filter(|_| kept && !shared.needs(*place, carried)).map(|_| form)
}

/// Which values depend on the index along an axis.
fn depending(definition: &Definition, axis: Axis, steps: &[Step]) -> Vec<bool> {
    let mut depends = vec![false; definition.types.len()];
    mark(&mut depends, axis, steps);
    depends
}

fn mark(depends: &mut [bool], axis: Axis, steps: &[Step]) {
    for step in steps {
        let by_operand = step.operands().iter().any(|operand| depends[operand.index()]);
        if by_operand || indices(step).iter().any(|index| index.factor(axis) != 0) {
            step.defined().iter().for_each(|value| depends[value.index()] = true);
        }
    }
}

/// The affine indices of a step that is no reduction.
fn indices(step: &Step) -> Vec<&Affine> {
    match step {
        Step::Index(_, index) => vec![index],
        Step::Load(_, load) => {
            let affine = load.at.iter().filter_map(|coordinate| match coordinate {
                Coordinate::Affine(index) => Some(index),
                Coordinate::Value(_) => None,
            });
            affine.collect()
        }
        _ => vec![],
    }
}

impl Shared<'_> {
    /// The steps before the fold.
    pub fn before(&self) -> &[Step] {
        let steps = &self.definition.last().steps;
        &steps[..steps.len() - 1]
    }

    /// The number of indices of the fold.
    pub fn count(&self) -> u64 {
        self.definition.size(self.fold.ranges[0].axis)
    }

    /// What a step of the fold does to the value so far, and with which other value; without an operation, that
    /// replaces it. `None` if it does anything else.
    pub fn update(&self) -> Option<(Option<BinaryOp>, Value)> {
        let carried = self.fold.carried[0];
        let (next, may_replace) = match self.form {
            Form::Running { .. } => (self.fold.yields[0], false),
            Form::Scattered { updated, .. } => (updated, true),
        };
        let is_next = |step: &&Step| step.defined().contains(&next);
        let (op, other) = match self.fold.body.iter().find(is_next) {
            Some(Step::Let(_, Expr::Binary(op, first, other))) if *first == carried => (Some(*op), *other),
            _ if may_replace => (None, next),
            _ => return None,
        };
        (!self.needs(other, carried)).then_some((op, other))
    }

    /// Whether a value is computed from another one.
    fn needs(&self, value: Value, other: Value) -> bool {
        value == other || self.steps_of(value).iter().any(|step| step.operands().contains(&other))
    }

    /// The steps that compute a value.
    fn steps_of(&self, value: Value) -> Vec<Step> {
        let mut needed = vec![false; self.definition.types.len()];
        needed[value.index()] = true;
        let mut steps = Vec::new();
        for step in self.before().iter().chain(&self.fold.body).rev() {
            if step.defined().iter().any(|value| needed[value.index()]) {
                step.operands().iter().for_each(|operand| needed[operand.index()] = true);
                steps.push(step.clone());
            }
        }
        steps.reverse();
        steps
    }

    /// The initial values as a definition of their own, as elements of the row if these begin so. Axes on which
    /// a value that is not an element doesn't depend have size 1.
    pub fn initial(&self) -> Option<Definition> {
        let (value, output) = (self.fold.init[0], &self.definition.output);
        match self.form {
            Form::Running { .. } => self.of_each(value),
            Form::Scattered { .. } => self.alone(value, output, &Affine::default(), &self.axis.into()),
        }
    }

    /// A value of each step of the fold as a definition of its own, whose output has the fold's axis in the place
    /// of the row's. Axes on which it doesn't depend have size 1.
    pub fn of_each(&self, value: Value) -> Option<Definition> {
        let mut shape = self.definition.output.shape.clone();
        let (axis, last) = (Affine::from(self.axis), self.count() as i64 - 1);
        let (count, index, own) = match self.form {
            // What the last index adds to each element, but to the first one if that is the initial value.
            Form::Running { exclusive, reverse } => {
                let skipped = i64::from(exclusive);
                let own = axis + if reverse { 0 } else { skipped };
                (self.count() - skipped as u64, last.into(), own)
            }
            Form::Scattered { .. } => (self.count(), axis, Affine::default()),
        };
        shape[self.axis.index()] = count;
        let steps = self.steps_of(value);
        let indices: Vec<Affine> =
            steps.iter().flat_map(indices).map(|at| self.replaced(at, &index, &own)).collect();
        for axis in self.definition.output_axes() {
            if indices.iter().all(|index| index.factor(axis) == 0) {
                shape[axis.index()] = 1;
            }
        }
        let output = TensorType::new(self.definition.ty(value).dtype(), shape);
        self.alone(value, &output, &index, &own)
    }

    /// An index, given the fold's and that along the row.
    fn replaced(&self, at: &Affine, index: &Affine, own: &Affine) -> Affine {
        let fold = self.fold.ranges[0].axis;
        at.replace(|axis| match axis {
            axis if axis == fold => index.clone(),
            axis if axis == self.axis => own.clone(),
            axis => axis.into(),
        })
    }

    /// A value as a definition, given the fold's index and that along the row.
    fn alone(&self, value: Value, output: &TensorType, index: &Affine, own: &Affine) -> Option<Definition> {
        let by = |at: &Affine| self.replaced(at, index, own);
        let coordinate = |coordinate: &Coordinate| match coordinate {
            Coordinate::Affine(index) => by(index).into(),
            Coordinate::Value(value) => (*value).into(),
        };
        let step = |step: Step| match step {
            Step::Index(value, index) => Step::Index(value, by(&index)),
            Step::Load(value, load) => {
                let at = load.at.iter().map(coordinate).collect();
                Step::Load(value, Load { at, ..load })
            }
            step => step,
        };
        let steps = self.steps_of(value).into_iter().map(step).collect();
        let alone = Definition {
            name: self.definition.name.clone(),
            inputs: self.definition.inputs.clone(),
            axes: output.shape.clone(),
            output: output.clone(),
            row: Vec::new(),
            types: self.definition.types.clone(),
            stages: vec![Stage { axes: Vec::new(), steps, value }],
        };
        alone.check().ok()?;
        Some(alone)
    }
}
