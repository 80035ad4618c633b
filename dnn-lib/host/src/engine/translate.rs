//! From definitions to vector programs.

use std::collections::HashMap;
use std::ops::Range;

use dnn_lib::definition::{Affine, Coordinate, Definition, Load, Order, Reduction, Source, Stage, Step};
use dnn_lib::scalar::{BinaryOp, Const, Conversion, Expr, Type, Value};
use dnn_lib::tensor::DType;

use super::axes::{Axes, Linear, offset, strides, tested, within};
use super::program::{
    self, Chunked, Computed, Copy, Fold, Instr, Lanes, Loop, Place, Program, Reduce, Slot, StageCode,
    Stretch, TermRange, TermWindow, Terms, Tested, Window,
};
use super::transfer::{Read, Write};
use super::vector::{LANES, Op, lane_bytes};

/// The most lanes of a block: so many that instructions cost little beside them, and so few that they stay in
/// the first cache.
const BLOCK: u64 = 512;
/// Definitions of at most so many values have blocks of twice the lanes.
const FEW: usize = 24;
/// So many short rows are in a block, even if it is longer then.
const TURNS: u64 = 4;
/// The most bytes of the stages of a block of rows, so that they stay in the second cache.
const STAGES: u64 = 1 << 18;
/// Rows at least this long are taken one at a time.
const LONG_ROW: u64 = 16;
/// The most dimensions of a block.
pub(crate) const DIMS: usize = 4;
/// Slots begin at lines of the cache.
const LINE: usize = 64;

/// Translates a checked definition none of whose output's axes is empty. `None` if it needs more scratch memory
/// than fits.
pub(crate) fn translate(definition: &Definition) -> Option<Program> {
    let axes = Axes::new(definition);
    let rep = |axis: usize| axes.sizes[axis] != 1;
    let output: Vec<usize> =
        definition.output_axes().map(|axis| axis.index()).filter(|&axis| rep(axis)).collect();
    let in_row = |axis: usize| definition.row.iter().any(|own| own.index() == axis);
    let (row, outer): (Vec<usize>, Vec<usize>) = output.iter().partition(|&&axis| in_row(axis));
    let along = row.last().is_some_and(|last| output.last() == Some(last) && axes.sizes[*last] >= LONG_ROW);
    let side_by_side = !along && (!outer.is_empty() || row.is_empty());
    let windows = windows(definition, &axes);
    let row_bytes = stage_elements(definition).fold(1u64, u64::saturating_add).saturating_mul(8);
    let block = if definition.types.len() <= FEW { 2 * BLOCK } else { BLOCK };
    let row_size = row.iter().map(|&axis| axes.sizes[axis]).fold(1, u64::saturating_mul);
    // Each of a row's lanes waits for its last operation, so several rows are reduced in turns.
    let several = several_rows(definition, &windows);
    let block =
        if several && !side_by_side && row_size <= BLOCK { block.max(TURNS * row_size) } else { block };
    let most = match several {
        _ if side_by_side => (STAGES / row_bytes).clamp(LANES as u64, block),
        true => (block / row_size).max(1),
        false => 1,
    };
    let outer = match turned(definition, &axes, &outer).filter(|_| side_by_side && windows.is_empty()) {
        Some(axis) => tiles(&outer, &axes, axis, most),
        None => chunks(&outer, &axes, &windows, most, if side_by_side { DIMS } else { 1 }),
    };
    let longest = axes
        .sizes
        .iter()
        .copied()
        .chain([output.iter().map(|&axis| axes.sizes[axis]).fold(1, u64::saturating_mul)]);
    let lanes = longest.max().unwrap_or(1).clamp(LANES as u64, block) as usize;
    let translator = Translator {
        definition,
        windows,
        side_by_side,
        outer,
        lanes,
        stages: Vec::new(),
        values: vec![None; definition.types.len()],
        uses: all_uses(definition),
        bounds: vec![None; definition.types.len()],
        depths: vec![0; definition.axes.len()],
        constants: HashMap::new(),
        slots: Vec::new(),
        scratch: 0,
        code: Vec::new(),
        dims: Vec::new(),
        spread: None,
        together: false,
        axes,
    };
    translator.program()
}

/// Whether lanes can run along several rows at once: where only values of whole rows have reductions.
fn several_rows(definition: &Definition, windows: &[Cut]) -> bool {
    let reduces = |stage: &Stage| stage.steps.iter().any(|step| matches!(step, Step::Reduce(_)));
    windows.is_empty() && definition.stages.iter().all(|stage| stage.axes.is_empty() || !reduces(stage))
}

/// The number of elements of each stage but the last.
fn stage_elements(definition: &Definition) -> impl Iterator<Item = u64> {
    let before = &definition.stages[..definition.stages.len() - 1];
    before
        .iter()
        .map(|stage| stage.axes.iter().map(|&axis| definition.size(axis)).fold(1, u64::saturating_mul))
}

/// Walks axes in blocks of at most `most` indices: whole inner axes and a part of the next one. Only along its
/// innermost dimension can a window cut a block; axes that cut it elsewhere are passed over.
fn chunks(order: &[usize], axes: &Axes, windows: &[Cut], most: u64, most_dims: usize) -> Vec<Chunked> {
    let mut rest = most;
    let mut dims = 0;
    let mut chunks: Vec<Chunked> = Vec::new();
    for &axis in order.iter().rev() {
        let size = axes.sizes[axis];
        let cut = windows.iter().any(|window| window.start.factor(axis) != 0);
        let passed = cut && dims > 0;
        let chunk = if rest <= 1 || dims == most_dims || passed { 1 } else { size.min(rest) };
        dims += usize::from(chunk > 1);
        if !passed {
            rest = if chunk == size { rest / chunk } else { 0 };
        }
        let whole = windows.iter().fold(0..size as i64, |range, window| window.whole(axis, range));
        chunks.insert(0, Chunked { axis, chunk, whole: whole.start as u64..whole.end as u64 });
    }
    chunks
}

/// The axis along which elements of an input are side by side that are apart along the last axis.
fn turned(definition: &Definition, axes: &Axes, order: &[usize]) -> Option<usize> {
    let (&last, before) = order.split_last()?;
    let mut found = None;
    for step in definition.stages.iter().flat_map(|stage| &stage.steps) {
        let Step::Load(_, load) = step else { continue };
        if matches!(load.from, Source::Stage(_)) {
            continue;
        }
        let offset = axes.linear(&offset(definition, load));
        if offset.factor(last).unsigned_abs() > 1 {
            found = found.or_else(|| before.iter().copied().find(|&axis| offset.factor(axis) == 1));
        }
    }
    found
}

/// Walks axes in tiles of the last one and another one.
fn tiles(order: &[usize], axes: &Axes, other: usize, most: u64) -> Vec<Chunked> {
    let last = order.last().copied();
    let chunk = |&axis: &usize| {
        let most = match axis {
            axis if Some(axis) == last => LANES as u64,
            axis if axis == other => most / LANES as u64,
            _ => 1,
        };
        let size = axes.sizes[axis];
        Chunked { axis, chunk: size.min(most.max(1)), whole: 0..size }
    };
    order.iter().map(chunk).collect()
}

fn dims_of(chunks: &[Chunked]) -> Vec<usize> {
    chunks.iter().filter(|chunked| chunked.chunk > 1).map(|chunked| chunked.axis).collect()
}

/// A window, which can cut blocks.
struct Cut {
    /// Its first position.
    start: Linear,
    /// From there to its last one.
    length: i64,
    /// The number of positions that are inside.
    size: i64,
}

impl Cut {
    /// The indices of an axis in a range at which no position is outside. All, if that depends on others too.
    fn whole(&self, axis: usize, range: Range<i64>) -> Range<i64> {
        let &[(own, factor)] = &self.start.terms[..] else { return range };
        if own != axis {
            return range;
        }
        let ends = [self.start.constant, self.start.constant.wrapping_add(self.length)];
        ends.into_iter().fold(range, |range, end| within(end, factor, self.size, range))
    }
}

/// The most elements that are folded for a lane in registers, and the longest axis that their windows move along.
const MOST_TERMS: u64 = 1024;
const LONGEST: u64 = 1 << 16;

/// The operation of a reduction that folds elements of an input in ascending order, from a constant on, and the
/// elements, if each of its windows moves along an axis of its own.
fn term<'a>(
    definition: &Definition,
    axes: &Axes,
    reduction: &'a Reduction,
) -> Option<(BinaryOp, Type, &'a Load)> {
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
    let float =
        (input.dtype == DType::F32 && ty == Type::F32) || (input.dtype == DType::F64 && ty == Type::F64);
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
    (folds && affine && float && few && load.otherwise.is_none()).then_some((*op, ty, load))
}

/// All windows, but for those of elements that are folded in registers.
fn windows(definition: &Definition, axes: &Axes) -> Vec<Cut> {
    fn collect(
        definition: &Definition,
        steps: &[Step],
        axes: &Axes,
        outermost: bool,
        windows: &mut Vec<Cut>,
    ) {
        for step in steps {
            let Step::Reduce(reduction) = step else { continue };
            if outermost && term(definition, axes, reduction).is_some() {
                continue;
            }
            for range in &reduction.ranges {
                let Some(window) = &range.window else { continue };
                let last = (definition.size(range.axis) as i64).saturating_sub(1);
                let length = (window.step as i64).wrapping_mul(last);
                windows.push(Cut { start: axes.linear(&window.start), length, size: window.size as i64 });
            }
            collect(definition, &reduction.body, axes, false, windows);
        }
    }
    let mut windows = Vec::new();
    definition.stages.iter().for_each(|stage| collect(definition, &stage.steps, axes, true, &mut windows));
    windows
}

/// What is known of a value.
#[derive(Clone, Copy, Debug)]
struct Known {
    slot: Slot,
    /// In how many reductions it is computed; 0 too for a constant.
    depth: usize,
    constant: bool,
    /// The axes that it depends on, by their bits; all if that isn't known.
    depends: u64,
}

struct Translator<'a> {
    definition: &'a Definition,
    axes: Axes,
    windows: Vec<Cut>,
    side_by_side: bool,
    outer: Vec<Chunked>,
    lanes: usize,
    /// Where the elements of the stages are in scratch memory.
    stages: Vec<usize>,
    values: Vec<Option<Known>>,
    /// How often each value is used.
    uses: Vec<usize>,
    /// The least and the most that an `I64` can be, if known.
    bounds: Vec<Option<[i64; 2]>>,
    /// In how many reductions an axis has its index.
    depths: Vec<usize>,
    /// The slots of constants, by their bits and the bytes of a lane.
    constants: HashMap<(u64, usize), Slot>,
    slots: Vec<(usize, usize)>,
    scratch: usize,
    /// The code of the stage, then of the bodies of the reductions that are being translated.
    code: Vec<Vec<Instr>>,
    /// The dimensions of the block in each of them.
    dims: Vec<Vec<usize>>,
    /// In a reduction along lanes: the values of outside that are spread over the lanes.
    spread: Option<HashMap<Slot, Copy>>,
    /// There: whether lanes run over rows too.
    together: bool,
}

impl Translator<'_> {
    fn program(mut self) -> Option<Program> {
        let definition = self.definition;
        let mut stages = Vec::new();
        for (index, stage) in definition.stages.iter().enumerate() {
            stages.push(self.stage(stage, index + 1 == definition.stages.len())?);
        }
        let register = self.reserve(LANES * 8)?;
        let scratch = self.reserve(0)?;
        let constants = self.constants.iter().map(|(&(bits, _), &slot)| (slot, bits)).collect();
        let output = definition.output_axes().map(|axis| (axis.index(), self.axes.sizes[axis.index()]));
        Some(Program {
            output: output.filter(|&(_, size)| size != 1).collect(),
            axes: self.axes,
            outer: self.outer,
            stages,
            lanes: self.lanes,
            slots: self.slots,
            constants,
            register,
            scratch,
        })
    }

    /// Reserves scratch memory. A line more than a power of two keeps slots from falling on the same lines of
    /// the cache.
    fn reserve(&mut self, bytes: usize) -> Option<usize> {
        let at = self.scratch;
        self.scratch = at.checked_add(bytes)?.checked_next_multiple_of(LINE)?;
        (self.scratch <= super::MOST_SCRATCH).then_some(at)
    }

    fn slot(&mut self, bytes: usize) -> Slot {
        // There are at most 2^14 values, so this fits into scratch memory, or `program` finds that it doesn't.
        self.slots.push((self.scratch, bytes));
        self.scratch = (self.scratch + self.lanes * bytes + LINE).next_multiple_of(LINE);
        self.slots.len() - 1
    }

    fn slot_of(&mut self, value: Value) -> Slot {
        self.slot(lane_bytes(self.definition.ty(value)))
    }

    fn stage(&mut self, stage: &Stage, last: bool) -> Option<StageCode> {
        let sizes = &self.axes.sizes;
        let order: Vec<usize> =
            stage.axes.iter().map(|axis| axis.index()).filter(|&axis| sizes[axis] != 1).collect();
        let most = if self.side_by_side { 1 } else { self.lanes as u64 / self.rows() };
        let axes = chunks(&order, &self.axes, &self.windows, most, DIMS - 1);
        let dims = [dims_of(&self.outer), dims_of(&axes)].concat();
        self.code = vec![Vec::new()];
        self.dims = vec![dims.clone()];
        self.steps(&stage.steps);
        let value = self.operand(stage.value, 0);
        let ty = self.definition.ty(stage.value);
        let across = if self.side_by_side { self.lanes as i64 } else { 1 };
        let rows = if self.side_by_side { 1 } else { self.rows() };
        let (kind, at, offset, lanes) = if last {
            let output = &self.definition.output;
            let offset =
                self.row_major(self.definition.output_axes().map(|axis| axis.index()), &output.shape);
            let steps = dims.iter().map(|&axis| offset.factor(axis)).collect();
            (Write::of(output.dtype)?, None, offset, Lanes { steps, side_by_side: false })
        } else {
            let shape: Vec<u64> = stage.axes.iter().map(|&axis| self.definition.size(axis)).collect();
            let elements = shape.iter().try_fold(across as usize * rows as usize, |product, &size| {
                product.checked_mul(usize::try_from(size).ok()?)
            })?;
            let at = self.reserve(elements.checked_mul(lane_bytes(ty))?)?;
            self.stages.push(at);
            let offset = self.row_major(stage.axes.iter().map(|axis| axis.index()), &shape).scaled(across);
            let steps = self.row_steps(&dims, &offset, &shape);
            let lanes = Lanes { steps, side_by_side: self.side_by_side };
            (Write::lanes(ty), Some(at), offset, lanes)
        };
        let code = self.code.pop().unwrap_or_default();
        let computed = code
            .iter()
            .any(|instr| matches!(instr, Instr::Apply { to, .. } | Instr::Call { to, .. } if *to == value));
        let canonical = code.iter().any(|instr| matches!(instr, Instr::Call { to, .. } if *to == value));
        Some(StageCode { axes, dims, code, value, computed, canonical, kind, at, offset, lanes })
    }

    /// The most rows of a block, if lanes run along rows.
    fn rows(&self) -> u64 {
        self.outer.iter().map(|chunked| chunked.chunk).product()
    }

    /// The steps along dimensions of a block in a stage of this shape, whose rows follow each other if lanes run
    /// along several.
    fn row_steps(&self, dims: &[usize], offset: &Linear, shape: &[u64]) -> Vec<i64> {
        let row = shape.iter().map(|&size| size as i64).fold(1, i64::wrapping_mul);
        let between = |axis: usize| !self.side_by_side && self.outer.iter().any(|outer| outer.axis == axis);
        dims.iter()
            .map(|&axis| offset.factor(axis).wrapping_add(if between(axis) { row } else { 0 }))
            .collect()
    }

    /// The offset of the element at the indices of some axes, which are all dimensions of a tensor.
    fn row_major(&self, order: impl Iterator<Item = usize>, shape: &[u64]) -> Linear {
        let terms = order.zip(strides(shape)).filter(|&(axis, _)| self.axes.sizes[axis] != 1);
        Linear { terms: terms.collect(), constant: 0 }
    }

    fn known(&self, value: Value) -> Known {
        // `Definition::check` has seen that values are defined before they are used.
        self.values[value.index()].unwrap_or(Known { slot: 0, depth: 0, constant: true, depends: 0 })
    }

    /// The slot of a value where it is used.
    fn operand(&mut self, value: Value, depth: usize) -> Slot {
        let known = self.known(value);
        let outside = !known.constant && known.depth < depth && depth + 1 == self.code.len();
        if !outside || self.spread.is_none() {
            return known.slot;
        }
        let bytes = self.slots[known.slot].1;
        if let Some(copy) = self.spread.as_ref().and_then(|spread| spread.get(&known.slot)) {
            return copy.to;
        }
        let to = self.slot(bytes);
        if let Some(spread) = &mut self.spread {
            spread.insert(known.slot, Copy { from: known.slot, to, bytes });
        }
        to
    }

    fn define(&mut self, value: Value, slot: Slot, depth: usize, depends: u64) {
        self.values[value.index()] = Some(Known { slot, depth, constant: false, depends });
    }

    fn depth(&self) -> usize {
        self.code.len() - 1
    }

    /// The depth at which an index is known, and the axes that it depends on.
    fn place(&self, index: &Linear) -> (usize, u64) {
        let place = |(depth, depends): (usize, u64), &(axis, _): &(usize, i64)| {
            (depth.max(self.depths[axis]), depends | 1 << axis)
        };
        index.terms.iter().fold((0, 0), place)
    }

    fn steps(&mut self, steps: &[Step]) {
        steps.iter().for_each(|step| self.step(step));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Let(value, Expr::Const(constant)) => self.constant(*value, *constant),
            Step::Let(value, expr) => self.expr(*value, expr),
            Step::Call(value, function, x) => {
                let Known { depth, depends, .. } = self.known(*x);
                let (from, to) = (self.operand(*x, depth), self.slot_of(*value));
                self.code[depth].push(Instr::Call { function: *function, to, from });
                self.define(*value, to, depth, depends);
            }
            Step::Index(value, index) => {
                self.bounds[value.index()] = bounds(self.definition, index);
                if self.known_number(*value) {
                    return;
                }
                let index = self.axes.linear(index);
                let (depth, depends) = self.place(&index);
                let steps = self.dims[depth].iter().map(|&axis| index.factor(axis)).collect();
                let to = self.slot_of(*value);
                self.code[depth].push(Instr::Index { to, index, steps });
                self.define(*value, to, depth, depends);
            }
            Step::Load(value, load) => self.load(*value, load),
            Step::Reduce(reduction) => self.reduction(reduction),
        }
    }

    fn constant(&mut self, value: Value, constant: Const) {
        let bytes = lane_bytes(constant.ty());
        let bits = match constant {
            Const::I32(x) => u64::from(x as u32),
            Const::I64(x) => x as u64,
            Const::F32(bits) => bits.into(),
            Const::F64(bits) => bits,
        };
        if let Const::I64(number) = constant {
            self.bounds[value.index()] = Some([number; 2]);
        }
        let slot = match self.constants.get(&(bits, bytes)) {
            Some(&slot) => slot,
            None => self.slot(bytes),
        };
        self.constants.insert((bits, bytes), slot);
        self.values[value.index()] = Some(Known { slot, depth: 0, constant: true, depends: 0 });
    }

    fn expr(&mut self, value: Value, expr: &Expr) {
        let ty = |value: Value| self.definition.ty(value);
        let op = match *expr {
            Expr::Const(_) => return,
            Expr::Unary(op, a) => Op::Unary(op, ty(a)),
            Expr::Binary(op, a, _) => Op::Binary(op, ty(a)),
            Expr::Compare(op, a, _) => Op::Compare(op, ty(a)),
            Expr::Fma(a, ..) => Op::Fma(ty(a)),
            Expr::Select { then, .. } => Op::Select(ty(then)),
            Expr::Convert(conversion, to, a) => Op::Convert(conversion, ty(a), to),
        };
        self.bounds[value.index()] = self.bounds_of(expr);
        if self.known_number(value) {
            return;
        }
        if let Expr::Convert(Conversion::IntToFloat, Type::F32, a) = *expr
            && let Some([number, end]) = self.bounds[a.index()]
            && number == end
        {
            return self.constant(value, Const::F32((number as f32).to_bits()));
        }
        let operands = expr.operands();
        let to = self.slot_of(value);
        match *expr {
            Expr::Select { condition, then, otherwise } if self.choose(to, condition, then, otherwise) => {}
            _ => self.apply(op, to, &operands),
        }
        let (depth, depends) = self.join(&operands);
        self.define(value, to, depth, depends);
    }

    /// Makes one instruction of a selection and the comparison before it that nothing else uses. Returns whether
    /// it could.
    fn choose(&mut self, to: Slot, condition: Value, then: Value, otherwise: Value) -> bool {
        let (depth, _) = self.join(&[condition, then, otherwise]);
        let known = self.known(condition);
        if known.constant || known.depth != depth || self.uses[condition.index()] != 1 {
            return false;
        }
        let compares = |instr: &Instr| match *instr {
            Instr::Apply { op: Op::Compare(comparison, ty), to, from } if to == known.slot => {
                Some((comparison, ty, from))
            }
            _ => None,
        };
        let found =
            self.code[depth].iter().enumerate().rev().find_map(|(at, instr)| Some((at, compares(instr)?)));
        let Some((at, (comparison, ty, [a, b, ..]))) = found else { return false };
        if lane_bytes(ty) != lane_bytes(self.definition.ty(then)) {
            return false;
        }
        self.code[depth].remove(at);
        let (then, otherwise) = (self.operand(then, depth), self.operand(otherwise, depth));
        self.code[depth].push(Instr::Apply {
            op: Op::Choose(comparison, ty),
            to,
            from: [a, b, then, otherwise],
        });
        true
    }

    /// The bounds of an operation on integers, if they are known.
    fn bounds_of(&self, expr: &Expr) -> Option<[i64; 2]> {
        let Expr::Binary(op, a, b) = *expr else { return None };
        let ([a, c], [b, d]) = (self.bounds[a.index()]?, self.bounds[b.index()]?);
        match op {
            BinaryOp::Add => Some([a.checked_add(b)?, c.checked_add(d)?]),
            BinaryOp::Sub => Some([a.checked_sub(d)?, c.checked_sub(b)?]),
            BinaryOp::Min => Some([a.min(b), c.min(d)]),
            BinaryOp::Max => Some([a.max(b), c.max(d)]),
            BinaryOp::Mul if a >= 0 && b >= 0 => Some([a.checked_mul(b)?, c.checked_mul(d)?]),
            _ => None,
        }
    }

    /// Makes a constant of an integer whose bounds are equal. Returns whether they are.
    fn known_number(&mut self, value: Value) -> bool {
        match self.bounds[value.index()] {
            Some([number, end]) if number == end => {
                self.constant(value, Const::I64(number));
                true
            }
            _ => false,
        }
    }

    /// The depth at which all of some values are known, and the axes that they depend on.
    fn join(&self, values: &[Value]) -> (usize, u64) {
        let join = |(depth, depends): (usize, u64), &value: &Value| {
            let known = self.known(value);
            (depth.max(known.depth), depends | known.depends)
        };
        values.iter().fold((0, 0), join)
    }

    fn apply(&mut self, op: Op, to: Slot, operands: &[Value]) {
        let (depth, _) = self.join(operands);
        self.apply_at(depth, op, to, operands);
    }

    fn apply_at(&mut self, depth: usize, op: Op, to: Slot, operands: &[Value]) {
        let mut from = [to; 4];
        for (slot, &operand) in from.iter_mut().zip(operands) {
            *slot = self.operand(operand, depth);
        }
        self.code[depth].push(Instr::Apply { op, to, from });
    }

    fn load(&mut self, value: Value, load: &Load) {
        let definition = self.definition;
        let shape = definition.shape(load.from);
        let computed: Vec<(Value, i64, i64)> = load
            .at
            .iter()
            .zip(shape.iter().zip(strides(&shape)))
            .filter_map(|(coordinate, (&size, stride))| match coordinate {
                Coordinate::Value(index) => Some((*index, size as i64, stride)),
                Coordinate::Affine(_) => None,
            })
            .collect();
        let mut operands: Vec<Value> = computed.iter().map(|&(index, ..)| index).collect();
        operands.extend(load.otherwise);
        let of_stage = matches!(load.from, Source::Stage(_));
        let scale = if of_stage && self.side_by_side { self.lanes as i64 } else { 1 };
        let offset = self.axes.linear(&offset(definition, load)).scaled(scale);
        let tested: Vec<(Linear, i64)> = tested(definition, load)
            .into_iter()
            .map(|(index, size)| (self.axes.linear(&index), size as i64))
            .collect();
        let (mut depth, mut depends) = self.join(&operands);
        for index in tested.iter().map(|(index, _)| index).chain([&offset]) {
            let place = self.place(index);
            (depth, depends) = (depth.max(place.0), depends | place.1);
        }
        if of_stage && (self.side_by_side || self.rows() > 1) {
            depends = u64::MAX;
        }
        let dims = self.dims[depth].clone();
        let steps = |index: &Linear| dims.iter().map(|&axis| index.factor(axis)).collect::<Vec<_>>();
        let along = self.spread.is_some() && depth + 1 == self.code.len();
        let (from, kind) = match load.from {
            Source::Input(index) => {
                let kind = Read::of(definition.inputs[index as usize].dtype).unwrap_or(Read::U8);
                (Place::Input(index as usize), kind)
            }
            Source::Stage(index) => {
                let at = self.stages[index as usize];
                // The lanes outside are rows only if there are several.
                let row = if self.rows() > 1 { shape.iter().product::<u64>() as usize } else { 0 };
                let place = match along && !self.together {
                    true => Place::Lane(at, if self.side_by_side { 1 } else { row }),
                    false => Place::Scratch(at),
                };
                (place, Read::lanes(definition.ty(definition.stages[index as usize].value)))
            }
        };
        let lanes = Lanes {
            steps: if of_stage { self.row_steps(&dims, &offset, &shape) } else { steps(&offset) },
            side_by_side: of_stage && self.side_by_side && !along,
        };
        let innermost = dims.last().map_or(0, |&axis| 1u64 << axis);
        let computed = computed
            .into_iter()
            .map(|(index, size, stride)| {
                let known = self.known(index);
                let outside = along && known.depth < depth;
                let uniform = known.constant || outside || known.depends & innermost == 0;
                let from = self.operand(index, depth);
                Computed { from, size, stride: stride.wrapping_mul(scale), uniform }
            })
            .collect();
        let tested =
            tested.into_iter().map(|(index, size)| Tested { steps: steps(&index), index, size }).collect();
        let otherwise = load.otherwise.map(|otherwise| self.operand(otherwise, depth));
        let to = self.slot_of(value);
        let stays = depth == 0;
        let elements = shape.iter().map(|&size| size as i64).fold(scale, i64::wrapping_mul);
        let elements = if of_stage && !self.side_by_side { elements * self.rows() as i64 } else { elements };
        let load =
            program::Load { to, from, kind, offset, lanes, computed, tested, otherwise, stays, elements };
        self.code[depth].push(Instr::Load(load));
        self.define(value, to, depth, depends);
    }

    fn reduction(&mut self, reduction: &Reduction) {
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
        let Some((op, ty, load)) = term(self.definition, &self.axes, reduction) else { return false };
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
        let to = self.slot(lane_bytes(ty));
        self.define(reduction.results[0], to, 0, u64::MAX);
        let (init, input) = (init.slot, input as usize);
        let terms = Terms { op, ty, init, to, input, offset, steps, ranges, elements };
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

/// The least and the most of an index.
fn bounds(definition: &Definition, index: &Affine) -> Option<[i64; 2]> {
    let mut bounds = [index.constant; 2];
    for &(axis, factor) in &index.terms {
        let length = i64::try_from(definition.size(axis)).ok()?.checked_sub(1)?.checked_mul(factor)?;
        let end = usize::from(length >= 0);
        bounds[end] = bounds[end].checked_add(length)?;
    }
    Some(bounds)
}

/// How often each value is used.
fn all_uses(definition: &Definition) -> Vec<usize> {
    fn count(steps: &[Step], uses: &mut [usize]) {
        for step in steps {
            let mut add = |value: Value| uses[value.index()] += 1;
            match step {
                Step::Let(_, expr) => expr.operands().into_iter().for_each(add),
                Step::Call(_, _, x) => add(*x),
                Step::Index(..) => {}
                Step::Load(_, load) => {
                    let computed = load.at.iter().filter_map(|coordinate| match coordinate {
                        Coordinate::Value(index) => Some(*index),
                        Coordinate::Affine(_) => None,
                    });
                    computed.chain(load.otherwise).for_each(add);
                }
                Step::Reduce(reduction) => {
                    reduction.init.iter().chain(&reduction.yields).copied().for_each(add);
                    count(&reduction.body, uses);
                }
            }
        }
    }
    let mut uses = vec![0; definition.types.len()];
    for stage in &definition.stages {
        count(&stage.steps, &mut uses);
        uses[stage.value.index()] += 1;
    }
    uses
}

/// How many steps use a value.
fn uses(step: &Step, value: Value) -> usize {
    let uses_it = match step {
        Step::Let(_, expr) => expr.operands().contains(&value),
        Step::Call(_, _, x) => *x == value,
        Step::Index(..) => false,
        Step::Load(_, load) => load.otherwise == Some(value) || load.at.contains(&Coordinate::Value(value)),
        Step::Reduce(reduction) => {
            let inside: usize = reduction.body.iter().map(|step| uses(step, value)).sum();
            let at_ends =
                reduction.init.iter().chain(&reduction.yields).filter(|&&used| used == value).count();
            return inside + at_ends;
        }
    };
    usize::from(uses_it)
}
