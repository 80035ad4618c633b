//! The loops around expressions: over units, and over the blocks of a unit.

use super::access;
use super::code::{Base, Code, Count, Variable};
use super::emit::{Emit, place};
use super::plan::Plan;
use crate::definition::{Affine, Axis, Definition, Form, Shared, Stage};
use crate::kernel::{BuildError, Builder, Kernel};
use crate::layout::coordinates;
use crate::scalar::{Ops, Value};

/// So many blocks, or kinds of units, are compiled separately because of borders.
const MOST_KINDS: usize = 8;

/// The code of an element may be compiled for several kinds of units up to this number of operations.
const KINDS_CODE: u64 = 1 << 10;

/// How many elements of a running fold an iteration computes.
const RUN: u64 = 4;

pub(super) fn kernel(definition: &Definition) -> Result<Kernel, BuildError> {
    let plan = Plan::of(definition);
    let b = Builder::new(&definition.name, &definition.inputs, &definition.output, &plan.unit);
    let nest = Nest {
        definition,
        plan: &plan,
        emit: Emit::new(definition, &plan, Code::new(b)),
        origin: Vec::new(),
    };
    nest.kernel()
}

struct Nest<'a> {
    definition: &'a Definition,
    plan: &'a Plan,
    emit: Emit<'a>,
    /// The first index of the unit along each axis.
    origin: Vec<Affine>,
}

/// Where a unit is along an axis.
struct Along {
    /// The number of the unit.
    number: Value,
    variable: Variable,
    axis: usize,
}

/// A run of blocks along an axis: `count` blocks of `width` indices from `start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    start: u64,
    count: u64,
    width: u64,
}

impl Nest<'_> {
    fn code(&mut self) -> &mut Code {
        &mut self.emit.code
    }

    fn kernel(mut self) -> Result<Kernel, BuildError> {
        let (lo, hi) = (self.code().lo(), self.code().hi());
        let units: u64 = self.grid().iter().product();
        if units > 0 {
            let first = self.code().variable_of(lo, 0, units as i64 - 1);
            let count = self.code().sub(hi, lo);
            let (unit, _) = self.code().begin_loop(first.into(), 1, Count::UpTo(count, units), &[]);
            self.code().narrow(unit, 0, units as i64 - 1);
            self.unit(unit);
            self.code().end_loop(&[]);
        }
        self.emit.code.finish()
    }

    fn grid(&self) -> Vec<u64> {
        let sizes = self.definition.output.shape.iter().zip(&self.plan.unit);
        sizes.map(|(&size, &unit)| size.div_ceil(unit)).collect()
    }

    /// A unit.
    fn unit(&mut self, unit: Variable) {
        let grid = self.grid();
        self.origin = vec![Affine::default(); grid.len()];
        // Axes that are cut into units; those that can be iterated as one are one.
        let mut cut: Vec<(usize, u64)> = Vec::new();
        for axis in (0..grid.len()).filter(|&axis| grid[axis] > 1) {
            match cut.last_mut() {
                Some(last) if self.one_grid(last.0, axis) => *last = (axis, last.1 * grid[axis]),
                _ => cut.push((axis, grid[axis])),
            }
        }
        let sizes: Vec<u64> = cut.iter().map(|&(_, count)| count).collect();
        let mut along = Vec::new();
        if let [(axis, _)] = cut[..] {
            self.origin[axis] = Affine::from(unit) * self.plan.unit[axis] as i64;
            let number = self.code().index(&unit.into());
            along.push(Along { number, variable: unit, axis });
        } else if cut.len() > 1 {
            let number = self.code().index(&unit.into());
            let numbers = coordinates(self.code(), number, &sizes);
            for (&(axis, count), number) in cut.iter().zip(numbers) {
                let variable = self.code().variable_of(number, 0, count as i64 - 1);
                self.origin[axis] = Affine::from(variable) * self.plan.unit[axis] as i64;
                along.push(Along { number, variable, axis });
            }
        }
        self.kinds(&along, self.plan.unit.clone());
    }

    /// Whether the units along two axes, the second directly inside of the first, can be numbered as one.
    fn one_grid(&self, outer: usize, inner: usize) -> bool {
        let (shape, unit) = (&self.definition.output.shape, &self.plan.unit);
        unit[outer] == 1 && shape[inner].is_multiple_of(unit[inner]) && self.one(outer, inner)
    }

    /// Whether two axes of the output can be iterated as one.
    fn one(&self, outer: usize, inner: usize) -> bool {
        let between = &self.definition.output.shape[outer + 1..inner];
        between.iter().all(|&size| size == 1)
            && self.plan.uses.joined(self.definition, Axis(outer as u32), Axis(inner as u32))
    }

    /// Compiles the kinds of units that differ at borders, for the axes along which units are numbered.
    fn kinds(&mut self, along: &[Along], extent: Vec<u64>) {
        if self.code().is_full() {
            return;
        }
        let Some((first, others)) = along.split_first() else { return self.stages(&extent) };
        let (axis, size, tile) =
            (first.axis, self.definition.output.shape[first.axis], self.plan.unit[first.axis]);
        let rest = size % tile;
        let mut ends: Vec<u64> = self
            .unit_cuts(axis)
            .into_iter()
            .flat_map(|cut| {
                let unit = cut as u64 / tile;
                // A unit with a cut in it is a kind of its own.
                if (cut as u64).is_multiple_of(tile) { vec![unit] } else { vec![unit, unit + 1] }
            })
            .collect();
        ends.extend((rest > 0).then_some(size / tile));
        let count = size.div_ceil(tile);
        ends.retain(|&end| 0 < end && end < count);
        ends.sort_unstable();
        ends.dedup();
        if ends.is_empty() {
            // The axis may be numbered together with others.
            return self.kinds(others, extent);
        }
        ends.push(count);
        self.kind(first, others, extent, 0, &ends);
    }

    fn kind(&mut self, along: &Along, others: &[Along], extent: Vec<u64>, start: u64, ends: &[u64]) {
        let (size, tile) = (self.definition.output.shape[along.axis], self.plan.unit[along.axis]);
        let end = ends[0];
        let mut own = extent.clone();
        if end * tile > size && start + 1 == end {
            own[along.axis] = size % tile;
        }
        let mut compile = |nest: &mut Self| {
            let before = nest.code().narrow(along.variable, start as i64, end as i64 - 1);
            nest.kinds(others, own.clone());
            nest.code().narrow(along.variable, before.0, before.1);
            vec![]
        };
        if ends.len() == 1 {
            compile(self);
            return;
        }
        let limit = self.code().i64(end as i64);
        let here = self.code().lt(along.number, limit);
        Code::branch(
            self,
            |nest| &mut nest.emit.code,
            here,
            [&mut compile, &mut |nest| {
                nest.kind(along, others, extent.clone(), end, &ends[1..]);
                vec![]
            }],
        );
    }

    /// The cuts of an axis at which units are distinguished.
    fn unit_cuts(&self, axis: usize) -> Vec<i64> {
        let cuts = access::cuts(self.definition, Axis(axis as u32));
        let sites: u64 = self.plan.block.iter().product();
        let stages = self.definition.stages.iter();
        let code =
            stages.map(|stage| access::code(self.definition, &stage.steps)).fold(0, u64::saturating_add);
        let code = code.saturating_mul(sites).saturating_mul(cuts.len() as u64 + 1);
        // Where several elements along the axis are computed together, borders cost more.
        let most = if self.plan.block[axis] > 1 { 8 * KINDS_CODE } else { KINDS_CODE };
        if cuts.len() > MOST_KINDS || code > most { vec![] } else { cuts }
    }

    /// The rows of a unit.
    fn stages(&mut self, extent: &[u64]) {
        let rows: Vec<(usize, u64)> = self.joined(extent, |nest, axis| !nest.in_row(axis));
        if self.definition.row.is_empty() {
            let bound = self.origin.clone();
            let axes = self.joined(extent, |_, _| true);
            return self.blocks(self.definition.last(), &axes, bound, vec![1; extent.len()]);
        }
        self.rows(&rows, self.origin.clone());
    }

    fn in_row(&self, axis: usize) -> bool {
        self.definition.row.contains(&Axis(axis as u32))
    }

    /// Axes of the unit with their extents, those that are one joined.
    fn joined(&self, extent: &[u64], of: impl Fn(&Self, usize) -> bool) -> Vec<(usize, u64)> {
        let mut joined: Vec<(usize, u64)> = Vec::new();
        for axis in (0..extent.len()).filter(|&axis| extent[axis] > 1 && of(self, axis)) {
            let whole = extent[axis] == self.definition.output.shape[axis];
            match joined.last_mut() {
                Some(last) if whole && self.plan.block[last.0] == 1 && self.one(last.0, axis) => {
                    *last = (axis, last.1 * extent[axis]);
                }
                _ => joined.push((axis, extent[axis])),
            }
        }
        joined
    }

    /// Rows, for all indices of some axes.
    fn rows(&mut self, axes: &[(usize, u64)], bound: Vec<Affine>) {
        if let Some((&(axis, extent), inner)) = axes.split_first() {
            let (variable, _) = self.code().begin_loop(Affine::default(), 1, Count::Fixed(extent), &[]);
            let mut bound = bound;
            bound[axis] = bound[axis].clone() + Affine::from(variable);
            self.rows(inner, bound);
            self.code().end_loop(&[]);
            return;
        }
        if let Some(shared) = self.definition.shared() {
            return self.shared(&shared, bound);
        }
        self.emit.rows.fill(None);
        let last = self.definition.stages.len() - 1;
        let shape = self.definition.output.shape.clone();
        let along = self.joined(&shape, |nest, axis| nest.in_row(axis));
        for (index, stage) in self.definition.stages.iter().enumerate() {
            if stage.axes.is_empty() && index < last {
                let mut site = bound.clone();
                site.resize(self.definition.axes.len(), Affine::default());
                self.emit.begin(vec![site]);
                let value = self.emit.values(&stage.steps, stage.value)[0];
                self.emit.rows[index] = Some(value);
            } else if index == last || self.plan.kept[index] {
                self.blocks(stage, &along, bound.clone(), vec![1; shape.len()]);
            }
        }
    }

    /// A row whose elements share a fold.
    fn shared(&mut self, shared: &Shared<'_>, bound: Vec<Affine>) {
        match shared.form {
            Form::Running { exclusive, reverse } => self.running(shared, exclusive, reverse, bound),
            Form::Scattered { place, updated } => self.scattered(shared, place, updated, bound),
        }
    }

    /// Every element is the one before it with one step of the fold more.
    fn running(&mut self, shared: &Shared<'_>, exclusive: bool, reverse: bool, bound: Vec<Affine>) {
        let count = shared.count();
        let mut site = bound;
        site.resize(self.definition.axes.len(), Affine::default());
        site[shared.fold.ranges[0].axis.index()] = Affine::from(count as i64 - 1);
        let at = |number: Affine| {
            let mut site = site.clone();
            site[shared.axis.index()] = if reverse { -number + (count as i64 - 1) } else { number };
            site
        };
        self.emit.begin(vec![at(Affine::default())]);
        let mut element = self.emit.value(shared.fold.init[0], 0);
        if exclusive {
            self.store(&at(Affine::default()), element);
        }
        let next = |nest: &mut Self, number: Affine, element: Value| {
            let site = at(number);
            nest.emit.begin(vec![site.clone()]);
            let next = nest.emit.body(shared.fold, &[0], vec![vec![element]])[0][0];
            nest.store(&site, next);
            next
        };
        let first = u64::from(exclusive);
        let rounds = (count - first) / RUN;
        if rounds > 0 {
            let start = Affine::from(first as i64);
            let fixed = Count::Fixed(rounds);
            let (variable, carried) = self.code().begin_loop(start, RUN as i64, fixed, &[element]);
            let round = (0..RUN as i64)
                .fold(carried[0], |element, number| next(self, Affine::from(variable) + number, element));
            element = self.code().end_loop(&[round])[0];
        }
        for number in first + rounds * RUN..count {
            element = next(self, Affine::from(number as i64), element);
        }
    }

    /// Every index of the fold changes one element of the row, or none.
    fn scattered(&mut self, shared: &Shared<'_>, index: Value, updated: Value, bound: Vec<Affine>) {
        let initial =
            Stage { axes: vec![shared.axis], steps: shared.before().to_vec(), value: shared.fold.init[0] };
        let size = self.definition.size(shared.axis);
        self.blocks(&initial, &[(shared.axis.index(), size)], bound.clone(), vec![1; bound.len()]);
        if shared.count() == 0 {
            return;
        }
        let (variable, _) = self.code().begin_loop(Affine::default(), 1, Count::Fixed(shared.count()), &[]);
        let mut site = bound;
        site.resize(self.definition.axes.len(), Affine::default());
        site[shared.fold.ranges[0].axis.index()] = variable.into();
        self.emit.begin(vec![site.clone()]);
        let index = self.emit.value(index, 0);
        let hits = self.code().inside(index, size);
        Code::branch(
            self,
            |nest| &mut nest.emit.code,
            hits,
            [
                &mut |nest| {
                    let here = nest.code().variable_of(index, 0, size as i64 - 1);
                    site[shared.axis.index()] = here.into();
                    nest.update(shared, &site, updated);
                    vec![]
                },
                &mut |_| vec![],
            ],
        );
        self.code().end_loop(&[]);
    }

    /// Changes the element at a site, in memory.
    fn update(&mut self, shared: &Shared<'_>, site: &[Affine], updated: Value) {
        let (shape, dtype) = (&self.definition.output.shape, self.definition.output.dtype);
        if !matches!(shared.update(), Some((None, _))) {
            let place = place(shape, &site[..shape.len()]);
            let element = self.code().load(dtype, Base::Output, &place);
            self.emit.known.insert((shared.fold.carried[0], 0), element);
        }
        let updated = self.emit.value(updated, 0);
        self.store(site, updated);
    }

    /// Stores the element at a site.
    fn store(&mut self, site: &[Affine], value: Value) {
        let (shape, dtype) = (&self.definition.output.shape, self.definition.output.dtype);
        let place = place(shape, &site[..shape.len()]);
        self.code().store(dtype, &place, value);
    }

    /// Blocks, for all indices of some axes.
    fn blocks(&mut self, stage: &Stage, axes: &[(usize, u64)], bound: Vec<Affine>, widths: Vec<u64>) {
        let Some((&(axis, extent), inner)) = axes.split_first() else {
            return self.block(stage, &bound, &widths);
        };
        for run in self.runs(axis, extent, &bound[axis]) {
            if self.code().is_full() {
                return;
            }
            let mut widths = widths.clone();
            widths[axis] = run.width;
            let mut bound = bound.clone();
            if run.count == 1 {
                bound[axis] = bound[axis].clone() + run.start as i64;
                self.blocks(stage, inner, bound, widths);
                continue;
            }
            let start = Affine::from(run.start as i64);
            let (variable, _) = self.code().begin_loop(start, run.width as i64, Count::Fixed(run.count), &[]);
            bound[axis] = bound[axis].clone() + Affine::from(variable);
            self.blocks(stage, inner, bound, widths);
            self.code().end_loop(&[]);
        }
    }

    /// The blocks along an axis of a unit. One with a border in it stands alone.
    fn runs(&self, axis: usize, extent: u64, origin: &Affine) -> Vec<Run> {
        let width = self.plan.block[axis].min(extent);
        let (blocks, rest) = (extent / width, extent % width);
        let mut ends = vec![blocks];
        if origin.terms.is_empty() && extent == self.definition.output.shape[axis] {
            let cuts = access::cuts(self.definition, Axis(axis as u32));
            if cuts.len() <= MOST_KINDS * width as usize {
                let alone = cuts.into_iter().flat_map(|cut| {
                    let block = cut as u64 / width;
                    if (cut as u64).is_multiple_of(width) { vec![block] } else { vec![block, block + 1] }
                });
                ends.extend(alone.filter(|&end| 0 < end && end < blocks));
                ends.sort_unstable();
                ends.dedup();
            }
        }
        let mut runs = Vec::new();
        let mut start = 0;
        for end in ends {
            runs.push(Run { start: start * width, count: end - start, width });
            start = end;
        }
        if rest > 0 {
            runs.push(Run { start: blocks * width, count: 1, width: rest });
        }
        runs
    }

    /// Computes the elements of a block and stores them.
    fn block(&mut self, stage: &Stage, bound: &[Affine], widths: &[u64]) {
        let mut sites = vec![bound.to_vec()];
        for (axis, &width) in widths.iter().enumerate() {
            let along = |site: Vec<Affine>| {
                (0..width).map(move |offset| {
                    let mut site = site.clone();
                    site[axis] = site[axis].clone() + offset as i64;
                    site
                })
            };
            sites = sites.into_iter().flat_map(along).collect();
        }
        let places: Vec<Affine> =
            sites.iter().map(|site| place(&self.definition.output.shape, site)).collect();
        sites.iter_mut().for_each(|site| site.resize(self.definition.axes.len(), Affine::default()));
        self.emit.begin(sites);
        let values = self.emit.values(&stage.steps, stage.value);
        let dtype = self.definition.output.dtype;
        for (place, value) in places.iter().zip(values) {
            self.code().store(dtype, place, value);
        }
    }
}
