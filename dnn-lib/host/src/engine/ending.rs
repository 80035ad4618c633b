//! Formulas over sums that are so simple that micro-kernels compute them in registers: inputs are added to a
//! sum, and what isn't positive may become 0 at last.

use dnn_lib::definition::{Definition, Load, Source};
use dnn_lib::scalar::{BinaryOp, Expr, Type, Value};
use dnn_lib::tensor::DType;

use super::axes::Linear;
use super::formula::Formula;
use crate::contraction::{Element, Finish, MOST_ADDENDS, Matrix};

/// Such a formula.
#[derive(Debug)]
pub(crate) struct Ending {
    addends: Vec<Addend>,
    cut: bool,
}

/// A matrix of an input's elements, which belong to those of a matrix of sums.
#[derive(Debug)]
pub(super) struct Addend {
    pub(super) input: usize,
    /// Where it starts, by the indices of the stack.
    pub(super) start: Linear,
    /// From a row to the next one, and from a column to the next one.
    pub(super) strides: [usize; 2],
}

impl Addend {
    /// `None` if elements aren't evenly apart. `start` is the place of an element.
    pub(super) fn new(load: &Load, plane: &Plane<'_>, mut start: Linear) -> Option<Self> {
        let Source::Input(input) = load.from else { return None };
        let strides = [stride(&start, plane.rows)?, stride(&start, plane.columns)?];
        let inside = |axis| plane.rows.iter().chain(plane.columns).any(|&(own, _)| own == axis);
        start.terms.retain(|&(axis, _)| !inside(axis));
        Some(Self { input: input as usize, start, strides })
    }
}

/// Which axes are the rows and the columns of a matrix of sums, outermost first, with their sizes.
pub(crate) struct Plane<'a> {
    pub rows: &'a [(usize, u64)],
    pub columns: &'a [(usize, u64)],
}

impl Ending {
    /// `None` if a definition does anything else with its sum. `addend` is the matrix of a load's elements.
    pub(crate) fn new(
        definition: &Definition,
        sum: Value,
        addend: impl Fn(&Load) -> Option<Addend>,
    ) -> Option<Self> {
        let stage = definition.stages.first()?;
        let formula = Formula { definition, steps: &stage.steps };
        let chain = Chain { formula, sum };
        let (uncut, cut) = match formula.uncut(stage.value) {
            Some(value) => (value, true),
            None => (stage.value, false),
        };
        let addends = chain.loads(uncut)?.into_iter().map(addend);
        let addends: Vec<Addend> = addends.collect::<Option<_>>()?;
        let side_by_side = addends.iter().all(|addend| addend.strides[1] <= 1);
        (side_by_side && addends.len() <= MOST_ADDENDS).then_some(Self { addends, cut })
    }

    /// What finishes the matrix of sums, of these rows and columns, at some indices of the stack.
    ///
    /// # Safety
    ///
    /// The inputs are the definition's, of elements `E`, and nothing writes to them for as long as the result
    /// lives.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    pub(crate) unsafe fn finish<'a, E: Element>(
        &self,
        inputs: &[*const u8],
        indices: &[i64],
        [rows, columns]: [usize; 2],
    ) -> Result<Finish<'a, E>, crate::contraction::Error> {
        let mut addends = [None; MOST_ADDENDS];
        if rows > 0 && columns > 0 {
            for (to, addend) in addends.iter_mut().zip(&self.addends) {
                let from =
                    inputs[addend.input].cast::<E>().wrapping_offset(addend.start.at(indices) as isize);
                let length = (rows - 1) * addend.strides[0] + (columns - 1) * addend.strides[1] + 1;
                // SAFETY: the definition loads the first and the last of these elements for the matrix, so they
                // are in the input, and so is what is between them.
                let elements = unsafe { std::slice::from_raw_parts(from, length) };
                *to = Some(Matrix::new(elements, [rows, columns], addend.strides)?);
            }
        }
        Finish::new(addends, self.cut)
    }
}

/// How far neighbours along some axes, taken as one, are apart; `None` if that isn't the same everywhere.
fn stride(place: &Linear, axes: &[(usize, u64)]) -> Option<usize> {
    let mut several = axes.iter().rev().filter(|&&(_, size)| size > 1);
    let Some(&(axis, size)) = several.next() else { return Some(0) };
    let stride = place.factor(axis);
    let mut inside = size as i64;
    for &(axis, size) in several {
        if place.factor(axis) != stride.checked_mul(inside)? {
            return None;
        }
        inside = inside.checked_mul(size as i64)?;
    }
    usize::try_from(stride).ok()
}

/// The steps from a sum to the output.
struct Chain<'a> {
    formula: Formula<'a>,
    sum: Value,
}

impl<'a> Chain<'a> {
    /// What is added to the sum to get a value, in this order.
    fn loads(&self, value: Value) -> Option<Vec<&'a Load>> {
        if value == self.sum {
            return Some(Vec::new());
        }
        let Expr::Binary(BinaryOp::Add, a, b) = *self.formula.expr(value)? else { return None };
        let (before, load) = match (self.load(a), self.load(b)) {
            (None, Some(load)) => (a, load),
            (Some(load), None) => (b, load),
            _ => return None,
        };
        let mut loads = self.loads(before)?;
        loads.push(load);
        (loads.len() <= MOST_ADDENDS).then_some(loads)
    }

    /// The load of an input's element that a value is, of the type of the sum.
    fn load(&self, value: Value) -> Option<&'a Load> {
        let definition = self.formula.definition;
        let dtype = if definition.ty(self.sum) == Type::F64 { DType::F64 } else { DType::F32 };
        let (load, input) = self.formula.load(value)?;
        (definition.inputs[input as usize].dtype == dtype).then_some(load)
    }
}
