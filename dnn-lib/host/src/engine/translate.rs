//! From definitions to vector programs.

mod blocks;
mod quantized;
mod reductions;
mod still;

use std::collections::HashMap;

use dnn_lib::definition::{Affine, Coordinate, Definition, Load, Source, Stage, Step};
use dnn_lib::scalar::{BinaryOp, Const, Conversion, Expr, Type, Value};

use blocks::{Cut, chunks, dims_of, several_rows, stage_elements, tiles, turned, windows};

use super::axes::{Axes, Linear, offset, strides, tested};
use super::fold::LANES;
use super::program::{self, Chunked, Computed, Copy, Instr, Lanes, Place, Program, Slot, StageCode, Tested};
use super::transfer::{Read, Write};
use super::vector::{Op, lane_bytes};

/// The most lanes of a block: so many that instructions cost little beside them, and so few that they stay in
/// the first cache.
const BLOCK: u64 = 512;
/// Definitions of at most so many values have blocks of twice the lanes.
const FEW: usize = 48;
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
        exprs: all_exprs(definition),
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
    /// The expressions that values are.
    exprs: Vec<Option<&'a Expr>>,
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
        let constants: Vec<_> = self.constants.iter().map(|(&(bits, _), &slot)| (slot, bits)).collect();
        let output = definition.output_axes().map(|axis| (axis.index(), self.axes.sizes[axis.index()]));
        let differ = still::still(&stages, &constants, self.slots.len());
        let once = still::once(&mut stages, &constants, &differ);
        Some(Program {
            output: output.filter(|&(_, size)| size != 1).collect(),
            axes: self.axes,
            outer: self.outer,
            differ,
            once,
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
            _ if self.quantized(to, expr) => {}
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

/// The expression of each value that is one.
fn all_exprs(definition: &Definition) -> Vec<Option<&Expr>> {
    fn collect<'a>(steps: &'a [Step], exprs: &mut [Option<&'a Expr>]) {
        for step in steps {
            match step {
                Step::Let(value, expr) => exprs[value.index()] = Some(expr),
                Step::Reduce(reduction) => collect(&reduction.body, exprs),
                _ => {}
            }
        }
    }
    let mut exprs = vec![None; definition.types.len()];
    definition.stages.iter().for_each(|stage| collect(&stage.steps, &mut exprs));
    exprs
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
