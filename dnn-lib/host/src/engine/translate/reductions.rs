//! How reductions are folded: in registers, in blocks of lanes, or along rows.

use std::collections::HashMap;
use std::ops::Range;

use dnn_lib::definition::{Coordinate, Definition, Load, Order, Reduction, Source, Step};
use dnn_lib::scalar::{BinaryOp, Expr, Type, Value};
use dnn_lib::tensor::DType;

use super::blocks::dims_of;
use super::{Translator, uses};
use crate::engine::axes::{Axes, offset, within};
use crate::engine::fold::LANES;
use crate::engine::program::{
    Copy, Fold, Instr, Loop, Place, Reduce, Stretch, TermRange, TermWindow, Terms, Window,
};
use crate::engine::transfer::Read;
use crate::engine::vector::{Op, lane_bytes};

/// The most elements that are folded for a lane in registers, and the longest axis that their windows move along.
const MOST_TERMS: u64 = 1024;
const LONGEST: u64 = 1 << 16;

/// The operation of a reduction that folds elements of an input in ascending order, from a constant on, and the
/// elements, if each of its windows moves along an axis of its own.
pub(super) fn term<'a>(
    definition: &Definition,
    axes: &Axes,
    reduction: &'a Reduction,
) -> Option<(BinaryOp, Read, &'a Load)> {
    let ([carried], [yielded], [Step::Load(x, load), Step::Let(value, Expr::Binary(op, a, b))]) =
        (&reduction.carried[..], &reduction.yields[..], &reduction.body[..])
    else {
        return None;
    };
    let ty = definition.ty(*carried);
    let input = match load.from {
        Source::Input(input) => &definition.inputs[input as usize],
        Source::Stage(_) => return None,
    };
    let affine = load.at.iter().all(|coordinate| matches!(coordinate, Coordinate::Affine(_)));
    let kind = match (input.dtype, ty) {
        (DType::F32, Type::F32) | (DType::F64, Type::F64) | (DType::U8 | DType::I8, Type::I32) => {
            Read::of(input.dtype)?
        }
        _ => return None,
    };
    let sizes = reduction.ranges.iter().map(|range| definition.size(range.axis));
    let few = (1..=MOST_TERMS).contains(&sizes.fold(1, u64::saturating_mul));
    let mut moved = Vec::new();
    for range in &reduction.ranges {
        let Some(window) = &range.window else { continue };
        let start = axes.linear(&window.start);
        match start.terms[..] {
            [] => {}
            [(axis, _)]
                if axis < definition.output.shape.len()
                    && axes.sizes[axis] <= LONGEST
                    && !moved.contains(&axis) =>
            {
                moved.push(axis);
            }
            _ => return None,
        }
    }
    let folds = (a, b, yielded) == (carried, x, value) && reduction.order == Order::Ascending;
    let folds = folds && matches!(op, BinaryOp::Add | BinaryOp::Min | BinaryOp::Max);
    let constant =
        |step: &Step| matches!(step, Step::Let(value, Expr::Const(_)) if *value == reduction.init[0]);
    let folds = folds && definition.stages.iter().flat_map(|stage| &stage.steps).any(constant);
    (folds && affine && few && load.otherwise.is_none()).then_some((*op, kind, load))
}

impl Translator<'_> {
    pub(super) fn reduction(&mut self, reduction: &Reduction) {
        if reduction.ranges.iter().any(|range| self.definition.size(range.axis) == 0) {
            return self.empty(reduction);
        }
        match (reduction.order, reduction.combination()) {
            (Order::Lanes, Some((op, second))) => {
                if self.runs_along(reduction) {
                    self.along(reduction, op, second);
                } else {
                    self.in_blocks(reduction, op, second);
                }
            }
            _ => self.ascending(reduction),
        }
    }

    /// A reduction over no indices. Its body is nowhere, since its loads may not be in range.
    fn empty(&mut self, reduction: &Reduction) {
        if let (Order::Lanes, Some((op, _))) = (reduction.order, reduction.combination()) {
            // Lanes are combined even if they have the initial value.
            let never = Loop { axis: 0, size: 0, window: None };
            return self.blocks(reduction, op, vec![never], |_| (Vec::new(), reduction.init[0]));
        }
        for (&result, &init) in reduction.results.iter().zip(&reduction.init) {
            self.values[result.index()] = Some(self.known(init));
        }
    }

    fn loops(&mut self, reduction: &Reduction) -> Vec<Loop> {
        let depth = self.code.len();
        let innermost = self.dims[depth - 1].last().copied();
        let mut loops = Vec::new();
        for range in &reduction.ranges {
            let axis = range.axis.index();
            self.depths[axis] = depth;
            let window = range.window.as_ref().map(|window| {
                let start = self.axes.linear(&window.start);
                let lane_step = innermost.map_or(0, |axis| start.factor(axis));
                Window { start, step: window.step as i64, size: window.size as i64, lane_step }
            });
            if !self.axes.is_single(axis) {
                loops.push(Loop { axis, size: self.axes.sizes[axis] as i64, window });
            }
        }
        loops
    }

    /// Makes one instruction of a fold of elements. Returns whether it could.
    fn terms(&mut self, reduction: &Reduction) -> bool {
        let Some((op, kind, load)) = term(self.definition, &self.axes, reduction) else { return false };
        let Source::Input(input) = load.from else { return false };
        if self.depth() != 0 {
            return false;
        }
        let init = self.known(reduction.init[0]);
        let dims = self.dims[0].clone();
        let mut offset = self.axes.linear(&offset(self.definition, load));
        let steps = dims.iter().map(|&axis| offset.factor(axis)).collect();
        let mut ranges = Vec::new();
        for range in &reduction.ranges {
            let axis = range.axis.index();
            if self.axes.is_single(axis) {
                continue;
            }
            let size = self.axes.sizes[axis] as i64;
            let window = range.window.as_ref().map(|window| {
                let start = self.axes.linear(&window.start);
                let (step, inside) = (window.step as i64, window.size as i64);
                let moving = start.terms.first().and_then(|&(axis, factor)| {
                    let dim = dims.iter().position(|&own| own == axis)?;
                    let taps = |index| within(start.constant + factor * index, step, inside, 0..size);
                    Some(TermWindow::Moving { dim, stretches: stretches(self.axes.sizes[axis] as i64, taps) })
                });
                moving.unwrap_or(TermWindow::Still { start, step, size: inside })
            });
            ranges.push(TermRange { size, step: offset.factor(axis), window });
        }
        let reduced = |axis: usize| reduction.ranges.iter().any(|range| range.axis.index() == axis);
        offset.terms.retain(|&(axis, _)| !reduced(axis));
        let shape = self.definition.shape(load.from);
        let elements = shape.iter().map(|&size| size as i64).fold(1, i64::wrapping_mul);
        let to = self.slot_of(reduction.results[0]);
        self.define(reduction.results[0], to, 0, u64::MAX);
        let (init, input) = (init.slot, input as usize);
        let terms = Terms { op, kind, init, to, input, offset, steps, ranges, elements };
        self.code[0].push(Instr::Terms(terms));
        true
    }

    fn ascending(&mut self, reduction: &Reduction) {
        if self.terms(reduction) {
            return;
        }
        let depth = self.depth();
        let mut before = Vec::new();
        for (&init, &carried) in reduction.init.iter().zip(&reduction.carried) {
            let (from, to) = (self.operand(init, depth), self.slot_of(carried));
            before.push(Copy { from, to, bytes: lane_bytes(self.definition.ty(init)) });
            self.define(carried, to, depth + 1, u64::MAX);
        }
        let ranges = self.loops(reduction);
        self.code.push(Vec::new());
        self.dims.push(self.dims[depth].clone());
        let mut updated = vec![false; reduction.carried.len()];
        for step in &reduction.body {
            match updates(reduction, step) {
                Some(index) => {
                    updated[index] = true;
                    self.update(reduction, index, step);
                }
                None => self.step(step),
            }
        }
        let mut after = Vec::new();
        for (index, (&yielded, copy)) in reduction.yields.iter().zip(&before).enumerate() {
            let from = self.operand(yielded, depth + 1);
            if !updated[index] && from != copy.to {
                after.push(Copy { from, ..*copy });
            }
        }
        // Values that change places are copied away first.
        if after.iter().any(|copy| before.iter().any(|carried| carried.to == copy.from)) {
            let away: Vec<Copy> =
                after.iter().map(|copy| Copy { to: self.slot(copy.bytes), ..*copy }).collect();
            let back = away.iter().zip(&after).map(|(away, copy)| Copy { from: away.to, ..*copy });
            after = away.iter().copied().chain(back).collect();
        }
        self.dims.pop();
        let body = self.code.pop().unwrap_or_default();
        for (&result, copy) in reduction.results.iter().zip(&before) {
            self.define(result, copy.to, depth, u64::MAX);
        }
        let fold = Fold::Ascending { before, after };
        self.code[depth].push(Instr::Reduce(Reduce { ranges, body, fold }));
    }

    /// Translates the step that makes the next value of a carried one, in its slot.
    fn update(&mut self, reduction: &Reduction, index: usize, step: &Step) {
        let carried = self.known(reduction.carried[index]);
        let ty = self.definition.ty(reduction.carried[index]);
        let Step::Let(value, expr) = step else { return };
        match *expr {
            Expr::Binary(op, _, b) => self.apply_at(carried.depth, Op::Update(op, ty), carried.slot, &[b]),
            Expr::Fma(a, b, _) => self.apply_at(carried.depth, Op::UpdateFma(ty), carried.slot, &[a, b]),
            _ => return,
        }
        self.values[value.index()] = Some(carried);
    }

    /// Whether lanes of a reduction should run along its last axis rather than over outputs: where its loads
    /// are contiguous, or where there is only one output.
    fn runs_along(&self, reduction: &Reduction) -> bool {
        let depth = self.depth();
        let sizes = &self.axes.sizes;
        let ranges =
            || reduction.ranges.iter().map(|range| range.axis.index()).filter(|&axis| sizes[axis] != 1);
        let Some(last) = ranges().next_back() else { return false };
        let nested = reduction.body.iter().any(|step| matches!(step, Step::Reduce(_)));
        if nested || self.spread.is_some() {
            return false;
        }
        let Some(&inner) = self.dims[depth].last() else { return true };
        let mut contiguous = (0, 0);
        for step in &reduction.body {
            let Step::Load(_, load) = step else { continue };
            if self.side_by_side && matches!(load.from, Source::Stage(_)) {
                continue;
            }
            let offset = self.axes.linear(&offset(self.definition, load));
            contiguous.0 += usize::from(offset.factor(last) == 1);
            contiguous.1 += usize::from(offset.factor(inner) == 1);
        }
        contiguous.0 > contiguous.1 && sizes[last] >= LANES as u64
    }

    fn in_blocks(&mut self, reduction: &Reduction, op: BinaryOp, second: Value) {
        let depth = self.depth();
        let ranges = self.loops(reduction);
        self.blocks(reduction, op, ranges, |this| {
            this.code.push(Vec::new());
            this.dims.push(this.dims[depth].clone());
            this.steps(&reduction.body[..reduction.body.len() - 1]);
            this.dims.pop();
            (this.code.pop().unwrap_or_default(), second)
        });
    }

    /// A reduction in registers of lanes of blocks: `body` makes its code, and the value that they take.
    fn blocks(
        &mut self,
        reduction: &Reduction,
        op: BinaryOp,
        ranges: Vec<Loop>,
        body: impl FnOnce(&mut Self) -> (Vec<Instr>, Value),
    ) {
        let depth = self.depth();
        let ty = self.definition.ty(reduction.carried[0]);
        let init = self.operand(reduction.init[0], depth);
        let registers = self.slot(lane_bytes(ty));
        for _ in 1..LANES {
            self.slot(lane_bytes(ty));
        }
        let (body, value) = body(self);
        let value = self.known(value).slot;
        self.define(reduction.results[0], registers, depth, u64::MAX);
        let fold = Fold::Blocks { op, ty, init, registers, value };
        self.code[depth].push(Instr::Reduce(Reduce { ranges, body, fold }));
    }

    fn along(&mut self, reduction: &Reduction, op: BinaryOp, second: Value) {
        let depth = self.depth();
        let ty = self.definition.ty(reduction.carried[0]);
        let init = self.operand(reduction.init[0], depth);
        let ranges = self.loops(reduction);
        let mut dims: Vec<usize> = ranges.last().map(|range| range.axis).into_iter().collect();
        let lanes = ranges.iter().map(|range| range.size as u64).fold(self.rows(), u64::saturating_mul);
        let rows = dims_of(&self.outer);
        let together = !self.side_by_side
            && self.dims[depth] == rows
            && ranges.len() == 1
            && (self.rows() + 1..=self.lanes as u64).contains(&lanes);
        if together {
            dims = [rows, dims].concat();
        }
        self.together = together;
        self.code.push(Vec::new());
        self.dims.push(dims.clone());
        self.spread = Some(HashMap::new());
        self.steps(&reduction.body[..reduction.body.len() - 1]);
        let value = self.operand(second, depth + 1);
        let mut spread: Vec<Copy> = self.spread.take().unwrap_or_default().into_values().collect();
        spread.sort_by_key(|copy| copy.to);
        self.dims.pop();
        let body = self.code.pop().unwrap_or_default();
        let result = self.slot(lane_bytes(ty));
        self.define(reduction.results[0], result, depth, u64::MAX);
        let rows = match &body[..] {
            [Instr::Load(load)]
                if load.to == value
                    && !together
                    && ranges.len() == 1
                    && load.lanes.steps == [1]
                    && load.kind.is_same()
                    && load.computed.is_empty()
                    && load.tested.is_empty()
                    && matches!(load.from, Place::Input(_)) =>
            {
                Some(self.dims[depth].iter().map(|&axis| load.offset.factor(axis)).collect())
            }
            _ => None,
        };
        let fold = Fold::Along { op, ty, init, result, value, spread, dims, rows, together };
        self.code[depth].push(Instr::Reduce(Reduce { ranges, body, fold }));
    }
}

/// The stretches of an axis of some size, by the indices that are inside at each of its own.
fn stretches(size: i64, inside: impl Fn(i64) -> Range<i64>) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for position in 0..size {
        let inside = inside(position);
        match stretches.last_mut() {
            Some(last) if last.inside == inside => last.positions.end = position + 1,
            _ => stretches.push(Stretch { positions: position..position + 1, inside }),
        }
    }
    stretches
}

/// The index of the carried value whose next one a step makes in place: by one operation on it, which nothing
/// else uses.
fn updates(reduction: &Reduction, step: &Step) -> Option<usize> {
    let Step::Let(value, expr) = step else { return None };
    let carried = match *expr {
        Expr::Binary(_, a, b) if a != b => a,
        Expr::Fma(a, b, c) if a != c && b != c => c,
        _ => return None,
    };
    let index = reduction.carried.iter().position(|&own| own == carried)?;
    let once = reduction.yields.iter().filter(|&yielded| yielded == value).count() == 1;
    let kept = reduction.yields.contains(&carried);
    let uses = |value: Value| reduction.body.iter().map(|step| uses(step, value)).sum::<usize>();
    (reduction.yields[index] == *value && once && !kept && uses(carried) == 1 && uses(*value) == 0)
        .then_some(index)
}
