//! Upper bounds for the iterations of a kernel's loops that hold for any data.
//!
//! A bound follows from the program alone. If the start and the end of a loop differ by a constant and a
//! multiple of `hi - lo`, the count is exact. This covers loops over addresses too, because their common base
//! cancels out. Otherwise the ranges of what the difference depends on decide, or those of the two values. This
//! covers windows that are clipped at the border of an image. A loop for which none of it works has no entry.
//!
//! Integers wrap, and a difference is exact modulo 2^64. It is exact without the modulus if start and end are
//! far away from the limits of `i64`, as indices and addresses are. The analysis of ranges gives up where a
//! value might wrap.

use std::collections::BTreeMap;

use crate::kernel::ir::{Block, Kernel, Statement};
use crate::scalar::{BinaryOp, Const, Conversion, Expr, Type, Value};

/// An upper bound of a loop's iterations each time it is entered: `(fixed + per_unit * units) / step`,
/// rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trips {
    fixed: i64,
    per_unit: u32,
    step: i64,
}

impl Trips {
    /// The bound for this many units. It never decreases with more units.
    pub fn most(&self, units: u64) -> u64 {
        let span = i128::from(self.fixed) + i128::from(self.per_unit) * i128::from(units);
        let trips = (span.max(0) as u128).div_ceil(self.step.max(1) as u128);
        u64::try_from(trips).unwrap_or(u64::MAX)
    }
}

impl Kernel {
    /// Upper bounds for the loops that have one, by the loop's index.
    pub fn trips(&self) -> BTreeMap<Value, Trips> {
        let mut analysis = Analysis {
            kernel: self,
            forms: (0..self.types.len()).map(|index| Form::of(Value(index as u32))).collect(),
            ranges: vec![Range::ALL; self.types.len()],
            trips: BTreeMap::new(),
        };
        let units = Range { min: 0, max: self.units().into() };
        for value in [self.lo(), self.hi()] {
            analysis.set_range(value, units);
        }
        analysis.block(&self.body);
        analysis.trips
    }
}

/// Sums with more terms are not followed.
const MAX_TERMS: usize = 8;

/// A sum of multiples of other values, and a constant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Form {
    terms: BTreeMap<Value, i64>,
    constant: i64,
}

impl Form {
    /// The value itself.
    fn of(value: Value) -> Self {
        Self { terms: BTreeMap::from([(value, 1)]), constant: 0 }
    }

    fn constant(constant: i64) -> Self {
        Self { terms: BTreeMap::new(), constant }
    }

    /// `self + scale * other`.
    fn plus(&self, other: &Self, scale: i64) -> Self {
        let mut sum = self.clone();
        for (&value, &factor) in &other.terms {
            let term = sum.terms.entry(value).or_insert(0);
            *term = term.wrapping_add(factor.wrapping_mul(scale));
        }
        sum.terms.retain(|_, factor| *factor != 0);
        sum.constant = sum.constant.wrapping_add(other.constant.wrapping_mul(scale));
        sum
    }

    fn as_constant(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }
}

/// The signed numbers that a value can be. Wide enough that sums and products of two `i64` do not wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    min: i128,
    max: i128,
}

impl Range {
    const ALL: Self = Self { min: i64::MIN as i128, max: i64::MAX as i128 };

    fn of(x: i64) -> Self {
        Self { min: x.into(), max: x.into() }
    }

    /// The smallest range that contains these numbers. All of `i64` if one of them does not fit.
    fn hull(numbers: &[i128]) -> Self {
        let (min, max) = (numbers.iter().min(), numbers.iter().max());
        match (min, max) {
            (Some(&min), Some(&max)) if min >= Self::ALL.min && max <= Self::ALL.max => Self { min, max },
            _ => Self::ALL,
        }
    }
}

struct Analysis<'a> {
    kernel: &'a Kernel,
    forms: Vec<Form>,
    ranges: Vec<Range>,
    trips: BTreeMap<Value, Trips>,
}

impl Analysis<'_> {
    fn block(&mut self, block: &Block) {
        for statement in &block.statements {
            match statement {
                Statement::Let(value, expr) => self.define(*value, *expr),
                Statement::Load { .. } | Statement::Store { .. } => {}
                Statement::For { index, start, end, step, body, .. } => {
                    if let Some(trips) = self.count(*start, *end, *step) {
                        self.trips.insert(*index, trips);
                    }
                    // The body runs only if the start is less than the end.
                    let (start, end) = (self.range(*start), self.range(*end));
                    self.set_range(*index, Range { min: start.min, max: start.min.max(end.max - 1) });
                    self.block(body);
                }
                Statement::If { then, otherwise, .. } => {
                    self.block(then);
                    self.block(otherwise);
                }
            }
        }
    }

    /// The bound of a loop.
    fn count(&self, start: Value, end: Value, step: i64) -> Option<Trips> {
        let span = self.form(end).plus(self.form(start), -1);
        let factor = |value: Value| span.terms.get(&value).copied().unwrap_or(0);
        let (lo, hi) = (factor(self.kernel.lo()), factor(self.kernel.hi()));
        let others = span.terms.keys().any(|&value| value != self.kernel.lo() && value != self.kernel.hi());
        if let (false, 0, Ok(per_unit)) = (others, hi.wrapping_add(lo), u32::try_from(hi)) {
            return Some(Trips { fixed: span.constant, per_unit, step });
        }
        let most = self.most(&span).or_else(|| {
            let (start, end) = (self.range(start), self.range(end));
            (start != Range::ALL && end != Range::ALL).then(|| end.max - start.min)
        });
        let fixed = i64::try_from(most?).ok()?;
        Some(Trips { fixed, per_unit: 0, step })
    }

    /// The largest value of a sum whose terms are all known to lie in ranges.
    fn most(&self, form: &Form) -> Option<i128> {
        let term = |(&value, &factor): (&Value, &i64)| {
            let (range, factor) = (self.range(value), i128::from(factor));
            (range != Range::ALL).then(|| (range.min * factor).max(range.max * factor))
        };
        form.terms.iter().map(term).try_fold(form.constant.into(), |sum: i128, term| Some(sum + term?))
    }

    fn define(&mut self, value: Value, expr: Expr) {
        if self.kernel.types.get(value.index()) != Some(&Type::I64) {
            return;
        }
        if let Some(form) = self.form_of(&expr).filter(|form| form.terms.len() <= MAX_TERMS) {
            self.forms[value.index()] = form;
        }
        let range = self.range_of(&expr);
        self.set_range(value, range);
    }

    fn form(&self, value: Value) -> &Form {
        &self.forms[value.index()]
    }

    fn range(&self, value: Value) -> Range {
        self.ranges[value.index()]
    }

    fn set_range(&mut self, value: Value, range: Range) {
        self.ranges[value.index()] = range;
    }

    fn form_of(&self, expr: &Expr) -> Option<Form> {
        Some(match *expr {
            Expr::Const(Const::I64(x)) => Form::constant(x),
            Expr::Binary(BinaryOp::Add, a, b) => self.form(a).plus(self.form(b), 1),
            Expr::Binary(BinaryOp::Sub, a, b) => self.form(a).plus(self.form(b), -1),
            Expr::Binary(BinaryOp::Mul, a, b) => {
                let (a, b) = (self.form(a), self.form(b));
                let (form, scale) = b.as_constant().map(|b| (a, b)).or(a.as_constant().map(|a| (b, a)))?;
                Form::constant(0).plus(form, scale)
            }
            _ => return None,
        })
    }

    fn range_of(&self, expr: &Expr) -> Range {
        let pair = |a: Value, b: Value| (self.range(a), self.range(b));
        match *expr {
            Expr::Const(Const::I64(x)) => Range::of(x),
            Expr::Binary(BinaryOp::Add, a, b) => {
                let (a, b) = pair(a, b);
                Range::hull(&[a.min + b.min, a.max + b.max])
            }
            Expr::Binary(BinaryOp::Sub, a, b) => {
                let (a, b) = pair(a, b);
                Range::hull(&[a.min - b.max, a.max - b.min])
            }
            Expr::Binary(BinaryOp::Mul, a, b) => {
                let (a, b) = pair(a, b);
                Range::hull(&[a.min * b.min, a.min * b.max, a.max * b.min, a.max * b.max])
            }
            Expr::Binary(BinaryOp::DivU, a, b) if self.range(a).min >= 0 && self.range(b).min > 0 => {
                let (a, b) = pair(a, b);
                Range { min: a.min / b.max, max: a.max / b.min }
            }
            Expr::Binary(BinaryOp::RemU, a, b) if self.range(a).min >= 0 && self.range(b).min > 0 => {
                let (a, b) = pair(a, b);
                Range { min: 0, max: a.max.min(b.max - 1) }
            }
            Expr::Binary(BinaryOp::Min, a, b) => {
                let (a, b) = pair(a, b);
                Range { min: a.min.min(b.min), max: a.max.min(b.max) }
            }
            Expr::Binary(BinaryOp::Max, a, b) => {
                let (a, b) = pair(a, b);
                Range { min: a.min.max(b.min), max: a.max.max(b.max) }
            }
            Expr::Select { then, otherwise, .. } => {
                let (a, b) = pair(then, otherwise);
                Range { min: a.min.min(b.min), max: a.max.max(b.max) }
            }
            Expr::Convert(Conversion::SignExtend, ..) => Range { min: i32::MIN.into(), max: i32::MAX.into() },
            Expr::Convert(Conversion::ZeroExtend, ..) => Range { min: 0, max: u32::MAX.into() },
            _ => Range::ALL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Builder, Ops};
    use crate::tensor::{DType, TensorType};

    /// The bound of the one loop of a kernel over a vector of 100 elements, for this many units.
    fn bound(units: u64, body: impl FnOnce(&mut Builder)) -> Option<u64> {
        let ty = TensorType::new(DType::F32, [100]);
        let mut b = Builder::new("test", std::slice::from_ref(&ty), &ty, &[1]);
        body(&mut b);
        let kernel = b.finish().unwrap();
        let trips: Vec<Trips> = kernel.trips().into_values().collect();
        trips.first().map(|trips| trips.most(units))
    }

    fn empty(b: &mut Builder, start: Value, end: Value, step: i64) {
        b.for_(start, end, step, &[], |_, _, _| vec![]);
    }

    #[test]
    fn loops_over_units_and_over_their_addresses_run_once_a_unit() {
        let over_units = |b: &mut Builder| {
            let (lo, hi) = (b.lo(), b.hi());
            empty(b, lo, hi, 1);
        };
        let over_addresses = |b: &mut Builder| {
            let (base, lo, hi) = (b.input(0), b.lo(), b.hi());
            let [start, end] = [lo, hi].map(|unit| b.element(DType::F32, base, unit));
            empty(b, start, end, 4);
        };
        assert_eq!([bound(7, over_units), bound(7, over_addresses)], [Some(7), Some(7)]);
    }

    #[test]
    fn constant_differences_are_exact_and_rounded_up() {
        let of = |span: i64, step: i64| {
            bound(1, |b| {
                let start = b.input(0);
                let end = b.add_const(start, span);
                empty(b, start, end, step);
            })
        };
        assert_eq!([of(12, 4), of(13, 4), of(0, 4), of(-8, 4)], [Some(3), Some(4), Some(0), Some(0)]);
    }

    #[test]
    fn ranges_that_are_cut_off_have_the_uncut_length() {
        let cut = |b: &mut Builder| {
            let (lo, zero, five) = (b.lo(), b.i64(0), b.i64(5));
            let moved = b.add_const(lo, -3);
            let (start, end) = (b.max(moved, zero), b.min(moved, five));
            empty(b, start, end, 2);
        };
        assert_eq!(bound(1, cut), Some(3));
    }

    #[test]
    fn a_loop_that_depends_on_data_has_no_bound() {
        let data = |b: &mut Builder| {
            let (zero, base) = (b.i64(0), b.input(0));
            let end = b.load(DType::I64, base, 0);
            empty(b, zero, end, 1);
        };
        assert_eq!(bound(1, data), None);
    }

    #[test]
    fn a_multiple_of_an_address_does_not_cancel() {
        let address = |b: &mut Builder| {
            let start = b.input(0);
            let end = b.mul_const(start, 2);
            empty(b, start, end, 1);
        };
        assert_eq!(bound(1, address), None);
    }
}
