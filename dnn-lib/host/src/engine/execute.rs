//! Runs vector programs.

use std::ops::Range;

use super::axes::within;
use super::program::{
    Chunked, Copy, Fold, Instr, Load, Loop, Place, Program, Reduce, Slot, StageCode, TermWindow, Terms,
    Window,
};
use super::transfer::{self, Read, Run};
use super::translate::DIMS;
use super::vector::{self, LANES, Op, Operands, lane_bytes};
use crate::Isa;
use crate::isa::Level;

/// A block: its lanes run over indices of some axes, in row-major order.
#[derive(Clone, Copy)]
struct Block<'a> {
    dims: &'a [usize],
    /// The number of indices along each of `dims`.
    counts: [usize; DIMS],
    /// The dimensions with more than one index, as bits.
    open: u8,
    /// The lanes that are computed: all, or some of a row along the innermost dimension.
    first: usize,
    end: usize,
}

impl<'a> Block<'a> {
    fn new(dims: &'a [usize], counts: [usize; DIMS]) -> Self {
        let open = |bits, (dim, &count): (usize, &usize)| bits | u8::from(count > 1) << dim;
        let counts_of = &counts[..dims.len()];
        let (open, end) = (counts_of.iter().enumerate().fold(0, open), counts_of.iter().product());
        Self { dims, counts, open, first: 0, end }
    }

    /// The lanes of a row along the innermost dimension.
    fn row(&self) -> usize {
        self.dims.len().checked_sub(1).map_or(1, |inner| self.counts[inner])
    }

    /// The number of rows of the whole block.
    fn rows(&self) -> usize {
        self.counts[..self.dims.len().saturating_sub(1)].iter().product()
    }

    /// How far the first element of a row is from that of the block, with the steps along its dimensions.
    fn row_offset(&self, row: usize, steps: &[i64]) -> i64 {
        let (mut rest, mut offset) = (row, 0i64);
        for dim in (0..self.dims.len().saturating_sub(1)).rev() {
            offset = offset.wrapping_add(steps[dim].wrapping_mul((rest % self.counts[dim]) as i64));
            rest /= self.counts[dim];
        }
        offset
    }

    /// The number of lanes that are computed.
    fn count(&self) -> usize {
        self.end - self.first
    }
}

/// Rows of lanes, one after the other, whose elements are at equal distances.
struct Lanes {
    first: usize,
    run: Run,
    /// The offset of the element of the first lane.
    offset: i64,
}

/// Writes the dimensions of a block with the distances of elements along them, as few as the distances allow.
/// Returns their number.
fn joined(block: &Block<'_>, steps: &[i64], dims: &mut [(usize, i64); DIMS]) -> usize {
    let mut rank = 0usize;
    for (&count, &step) in block.counts.iter().zip(steps) {
        match rank.checked_sub(1).map(|last| &mut dims[last]) {
            Some(outer) if outer.1 == step.wrapping_mul(count as i64) => *outer = (outer.0 * count, step),
            _ => {
                dims[rank] = (count, step);
                rank += 1;
            }
        }
    }
    rank
}

/// Walks the lanes of a block in rows, with the distances of elements along its dimensions.
fn runs(block: &Block<'_>, steps: &[i64], mut each: impl FnMut(&Lanes)) {
    let (row, rows) = (block.row(), block.rows());
    if rows == 1 || block.count() < row * rows {
        let step = steps.last().copied().unwrap_or(0);
        let place = step.wrapping_mul((block.first % row) as i64);
        let offset = block.row_offset(block.first / row, steps).wrapping_add(place);
        return each(&Lanes { first: block.first, run: Run::row(block.count(), step), offset });
    }
    let mut dims = [(1, 0); DIMS];
    let rank = joined(block, steps, &mut dims);
    let Some((&(count, step), outer)) = dims[..rank].split_last() else { return };
    let Some((&(rows, row_step), outer)) = outer.split_last() else {
        let run = Run::row(block.count(), step);
        return each(&Lanes { first: block.first, run, offset: step.wrapping_mul(block.first as i64) });
    };
    let run = Run { count, step, rows, row_step };
    let number: usize = outer.iter().map(|(count, _)| count).product();
    for part in 0..number {
        let (mut rest, mut offset) = (part, 0i64);
        for &(count, step) in outer.iter().rev() {
            offset = offset.wrapping_add(step.wrapping_mul((rest % count) as i64));
            rest /= count;
        }
        each(&Lanes { first: part * rows * count, run, offset });
    }
}

/// The state of a run.
///
/// Its memory is accessed by raw pointers only. These facts make that sound; `Machine::new` is given the first
/// two, and the others follow from how programs are translated from checked definitions:
///
/// 1. The inputs and the output are where the caller says, aligned, and nothing else writes to what is read or
///    accesses what is written.
/// 2. Scratch memory has `Program::scratch` bytes, is initialised, and begins at a line of the cache. Slots,
///    stages and the register are apart in it, and have room for `Program::lanes` lanes.
/// 3. A block has at most `Program::lanes` lanes: chunks are made so.
/// 4. A slot is read by instructions of the type that it is written with. Its pointer is that of its own
///    memory; or of a contiguous run of elements of an input or a stage that are such lanes; or, for the value
///    of a stage, of the elements that it becomes. Only the instruction that defines a slot writes to it. A load
///    writes only after it has set the slot to its own memory; other instructions never set a slot.
/// 5. An element of an input, a stage or the output is accessed only at coordinates in range. An affine one is
///    in range wherever its load is reached, says `Definition::check`: joined axes have the same offsets, and
///    an instruction is never moved out of a loop whose index or window it depends on. A tested one is
///    compared, a computed one is compared or clamped. What is between the elements of a run is in the same
///    tensor; in the place of the output, it is among the sums that are finished, which are side by side.
/// 6. A slot that is still in a block has [`LANES`] lanes, and only operations and functions read it there. The
///    operand of a function is still where its result is, or it is a constant, or all its lanes are there. Slots
///    have room for so many lanes, since `Program::lanes` is at least that. The value of a stage is never still.
pub(crate) struct Machine<'a> {
    program: &'a Program,
    isa: Isa,
    level: Level,
    inputs: Vec<*const u8>,
    output: *mut u8,
    memory: *mut u8,
    slots: Vec<*mut u8>,
    /// The index of each axis; of the first lane, if lanes run over it.
    indices: Vec<i64>,
    /// In a reduction along lanes: the lane of the block outside.
    lane: usize,
    /// The offsets of gathered elements.
    offsets: Vec<i64>,
    /// Of the fold of elements that runs: the indices of its axes, and the offsets at them.
    inside: Vec<Range<i64>>,
    terms: Vec<isize>,
}

impl<'a> Machine<'a> {
    /// Makes a machine.
    ///
    /// # Safety
    ///
    /// While it lives, facts 1 and 2 above hold.
    #[expect(unsafe_code, reason = "it is given raw memory")]
    pub(crate) unsafe fn new(
        program: &'a Program,
        isa: Isa,
        inputs: &[*const u8],
        output: *mut u8,
        memory: *mut u8,
    ) -> Self {
        let slots: Vec<*mut u8> =
            program.slots.iter().map(|&(offset, _)| memory.wrapping_add(offset)).collect();
        for &(slot, bits) in &program.constants {
            // SAFETY: Facts 2 and 4.
            unsafe { fill(slots[slot], program.slots[slot].1, bits, program.lanes) };
        }
        let indices = vec![0; program.axes.sizes.len()];
        Self {
            program,
            isa,
            level: isa.level(),
            inputs: inputs.to_vec(),
            output,
            memory,
            slots,
            indices,
            lane: 0,
            offsets: Vec::new(),
            inside: Vec::new(),
            terms: Vec::new(),
        }
    }

    /// Says where the output is, which is also the last input: sums that are finished in their place. A lane is
    /// computed of the sum in its place, and nothing reads that after it was written.
    pub(crate) fn move_to(&mut self, output: *mut u8) {
        self.output = output;
        if let Some(last) = self.inputs.last_mut() {
            *last = output.cast_const();
        }
    }

    /// Computes a box of the output, given by ranges of the joined axes. Ranges of axes of rows are whole.
    pub(crate) fn run(&mut self, ranges: &[Range<u64>]) {
        let program = self.program;
        let rank = program.outer.iter().filter(|chunked| chunked.chunk > 1).count();
        self.walk(&program.outer, ranges, [1; DIMS], 0, &mut |this, outer| {
            for stage in &program.stages {
                this.walk(&stage.axes, ranges, outer, rank, &mut |this, counts| {
                    let block = Block::new(&stage.dims, counts);
                    let in_place = this.place(stage, block);
                    this.steps(&stage.code, block);
                    if in_place {
                        this.observe(stage, block);
                    } else {
                        this.store(stage, block);
                    }
                });
            }
        });
    }

    /// Walks axes in chunks.
    fn walk(
        &mut self,
        axes: &'a [Chunked],
        ranges: &[Range<u64>],
        counts: [usize; DIMS],
        rank: usize,
        each: &mut dyn FnMut(&mut Self, [usize; DIMS]),
    ) {
        let Some((Chunked { axis, chunk, whole }, rest)) = axes.split_first() else {
            return each(self, counts);
        };
        let Range { mut start, end } = ranges[*axis];
        while start < end {
            let border = [whole.start, whole.end].into_iter().filter(|&border| border > start).min();
            let count = border.unwrap_or(end).min(end).min(start.saturating_add(*chunk)) - start;
            self.indices[*axis] = start as i64;
            let (mut counts, mut rank) = (counts, rank);
            if *chunk > 1 {
                counts[rank] = count as usize;
                rank += 1;
            }
            self.walk(rest, ranges, counts, rank, each);
            start += count;
        }
    }

    /// Where a lane of a slot is.
    fn at(&self, slot: Slot, lane: usize) -> *mut u8 {
        self.slots[slot].wrapping_add(lane * self.program.slots[slot].1)
    }

    /// Sets a slot to its own memory, and returns where a lane of it is.
    fn own(&mut self, slot: Slot, lane: usize) -> *mut u8 {
        self.slots[slot] = self.memory.wrapping_add(self.program.slots[slot].0);
        self.at(slot, lane)
    }

    /// Whether a slot has one vector, whose lanes are those of the whole block.
    fn is_still(&self, slot: Slot, block: Block<'_>) -> bool {
        self.program.differ[slot].is_some_and(|dims| dims & block.open == 0)
    }

    fn steps(&mut self, code: &'a [Instr], block: Block<'a>) {
        for instr in code {
            match instr {
                Instr::Apply { op, to, from } => self.apply(*op, *to, *from, block),
                Instr::Call { function, to, from } => self.call(*function, *to, *from, block),
                Instr::Index { to, index, steps } => {
                    let base = index.at(&self.indices);
                    runs(&block, steps, |lanes| self.count(*to, base.wrapping_add(lanes.offset), lanes));
                }
                Instr::Load(load) => self.load(load, block),
                Instr::Terms(terms) => self.terms(terms, block),
                Instr::Reduce(reduce) => self.reduce(reduce, block),
            }
        }
    }

    /// Writes indices, the first of them `start`.
    #[expect(unsafe_code, reason = "lanes are in untyped memory")]
    fn count(&self, to: Slot, start: i64, lanes: &Lanes) {
        let Run { count, step, rows, row_step } = lanes.run;
        for row in 0..rows {
            let start = start.wrapping_add(row_step.wrapping_mul(row as i64));
            let to = self.at(to, lanes.first + row * count).cast::<i64>();
            // SAFETY: Facts 3 and 4.
            let to = unsafe { std::slice::from_raw_parts_mut(to, count) };
            for (index, to) in to.iter_mut().enumerate() {
                *to = start.wrapping_add(step.wrapping_mul(index as i64));
            }
        }
    }

    #[expect(unsafe_code, reason = "lanes are in untyped memory")]
    fn apply(&self, op: Op, to: Slot, from: [Slot; 4], block: Block<'_>) {
        let (first, count) = if self.is_still(to, block) { (0, LANES) } else { (block.first, block.count()) };
        let at = |slot| match self.is_still(slot, block) {
            true => (self.at(slot, 0).cast_const(), 0),
            false => (self.at(slot, first).cast_const(), usize::MAX),
        };
        // Not by `map`, whose result would be copied.
        let [(a, of_a), (b, of_b), (c, of_c), (d, of_d)] =
            [at(from[0]), at(from[1]), at(from[2]), at(from[3])];
        let (from, lanes) = ([a, b, c, d], [of_a, of_b, of_c, of_d]);
        let operands = Operands { count, to: self.at(to, first), from, lanes };
        // SAFETY: Facts 3, 4 and 6. The target is no operand: each instruction has a target of its own, and an
        // update is made only where nothing else uses the value that it changes. Only the last instruction of a
        // formula can write where sums are, to the same lanes as it reads.
        unsafe { vector::apply(self.level, op, operands) }
    }

    #[expect(unsafe_code, reason = "lanes are in untyped memory")]
    fn call(&self, function: dnn_lib::math::Function, to: Slot, from: Slot, block: Block<'_>) {
        let (first, count) = if self.is_still(to, block) { (0, LANES) } else { (block.first, block.count()) };
        let (from, to) = (self.at(from, first).cast::<f32>(), self.at(to, first).cast::<f32>());
        // SAFETY: Facts 3, 4 and 6.
        let y = unsafe { std::slice::from_raw_parts_mut(to, count) };
        if from == to {
            // Sums that are finished in their place.
            return crate::lanes::apply_in_place(self.isa, function, y);
        }
        // SAFETY: Facts 3, 4 and 6. They are apart, as in `apply`.
        let x = unsafe { std::slice::from_raw_parts(from.cast_const(), count) };
        crate::lanes::apply(self.isa, function, x, y);
    }

    /// Copies the lanes of a block from slot to slot.
    #[expect(unsafe_code, reason = "lanes are in untyped memory")]
    fn copy(&self, copy: Copy, block: Block<'_>) {
        let (from, to) = (self.at(copy.from, block.first), self.at(copy.to, block.first));
        // SAFETY: Facts 3 and 4. The slots are two.
        unsafe { std::ptr::copy_nonoverlapping(from.cast_const(), to, block.count() * copy.bytes) }
    }

    /// Lets the last instruction of a stage write its elements to where they belong, if they are lanes side by
    /// side there. Returns whether it does.
    fn place(&mut self, stage: &StageCode, block: Block<'_>) -> bool {
        if !stage.computed || !stage.kind.is_same() {
            return false;
        }
        let whole = block.count();
        let mut first = (stage.lanes.side_by_side && whole > 0).then_some(0);
        if !stage.lanes.side_by_side {
            runs(&block, &stage.lanes.steps, |lanes| {
                let side_by_side = lanes.run.count == whole && (lanes.run.step == 1 || whole == 1);
                first = side_by_side.then_some(lanes.offset);
            });
        }
        let Some(first) = first else {
            self.own(stage.value, 0);
            return false;
        };
        let offset =
            stage.offset.at(&self.indices).wrapping_add(first).wrapping_mul(stage.kind.bytes() as i64);
        self.slots[stage.value] = self.target(stage).wrapping_offset(offset as isize);
        true
    }

    /// Where the elements of a stage are.
    fn target(&self, stage: &StageCode) -> *mut u8 {
        stage.at.map_or(self.output, |at| self.memory.wrapping_add(at))
    }

    /// Makes NaNs canonical where the elements of a stage were computed in their place.
    #[expect(unsafe_code, reason = "elements are in untyped memory")]
    fn observe(&self, stage: &StageCode, block: Block<'_>) {
        if stage.canonical {
            return;
        }
        // SAFETY: Facts 1 to 5.
        unsafe { transfer::observe(self.level, stage.kind, block.count(), self.at(stage.value, 0)) }
    }

    #[expect(unsafe_code, reason = "elements are in untyped memory")]
    fn store(&self, stage: &StageCode, block: Block<'_>) {
        let to = self.target(stage);
        let base = stage.offset.at(&self.indices);
        let bytes = stage.kind.bytes() as i64;
        let write = |lanes: &Lanes| {
            let offset = base.wrapping_add(lanes.offset).wrapping_mul(bytes);
            let run = lanes.run;
            let (from, to) = (self.at(stage.value, lanes.first), to.wrapping_offset(offset as isize));
            // SAFETY: Facts 1 to 5.
            unsafe { transfer::write(self.level, stage.kind, run, from.cast_const(), to) }
        };
        if stage.lanes.side_by_side {
            return write(&Lanes { first: 0, run: Run::row(block.count(), 1), offset: 0 });
        }
        runs(&block, &stage.lanes.steps, write);
    }

    fn load(&mut self, load: &Load, block: Block<'_>) {
        let from = match load.from {
            Place::Input(input) => self.inputs[input],
            Place::Scratch(at) => self.memory.wrapping_add(at).cast_const(),
            Place::Lane(at, step) => {
                self.memory.wrapping_add(at + self.lane * step * load.kind.bytes()).cast_const()
            }
        };
        let base = load.offset.at(&self.indices);
        if self.is_still(load.to, block) {
            return self.load_still(load, from, base);
        }
        let apart = load.lanes.side_by_side && load.lanes.steps.iter().any(|&step| step != 0);
        if apart || !load.computed.is_empty() {
            return self.load_some(load, block, from, base);
        }
        match self.inside(load, block) {
            Inside::All => {}
            Inside::None if load.stays => {
                if let Some(otherwise) = load.otherwise {
                    self.slots[load.to] = self.slots[otherwise];
                }
                return;
            }
            Inside::None | Inside::Some => return self.load_some(load, block, from, base),
        }
        let whole = block.count();
        if load.lanes.side_by_side {
            let lanes = Lanes { first: block.first, run: Run::row(whole, 1), offset: block.first as i64 };
            return self.load_run(load, &lanes, from, base, whole);
        }
        runs(&block, &load.lanes.steps, |lanes| self.load_run(load, lanes, from, base, whole));
    }

    /// Loads an element that is the same for all lanes.
    #[expect(unsafe_code, reason = "elements are in untyped memory")]
    fn load_still(&mut self, load: &Load, from: *const u8, offset: i64) {
        let run = Run::row(LANES, 0);
        debug_assert!(in_tensor(load, offset, run), "{load:?}");
        let from = from.wrapping_offset(offset.wrapping_mul(load.kind.bytes() as i64) as isize);
        let to = self.own(load.to, 0);
        // SAFETY: Facts 1, 2, 5 and 6.
        unsafe { transfer::read(self.level, load.kind, run, from, to) }
    }

    /// Which elements of a block are in range.
    fn inside(&self, load: &Load, block: Block<'_>) -> Inside {
        let mut inside = Inside::All;
        for tested in &load.tested {
            let start = tested.index.at(&self.indices);
            let (mut least, mut most) = (start, start);
            for (&step, &count) in tested.steps.iter().zip(&block.counts) {
                let length = step.wrapping_mul(count as i64 - 1);
                if length < 0 { least += length } else { most += length }
            }
            if most < 0 || least >= tested.size {
                return Inside::None;
            }
            if least < 0 || most >= tested.size {
                inside = Inside::Some;
            }
        }
        inside
    }

    /// Folds elements of an input.
    fn terms(&mut self, terms: &Terms, block: Block<'_>) {
        self.own(terms.to, 0);
        self.inside.clear();
        for range in &terms.ranges {
            let inside = match &range.window {
                Some(TermWindow::Still { start, step, size }) => {
                    within(start.at(&self.indices), *step, *size, 0..range.size)
                }
                _ => 0..range.size,
            };
            self.inside.push(inside);
        }
        let mut area = Area { offset: terms.offset.at(&self.indices), lane: 0, counts: [1; DIMS] };
        self.terms_from(terms, block, 0, &mut area);
    }

    /// Folds elements for the lanes of an area, whose dimensions before `dim` are known.
    fn terms_from(&mut self, terms: &Terms, block: Block<'_>, dim: usize, area: &mut Area) {
        let rank = block.dims.len();
        if dim == rank {
            return self.terms_of(terms, block, area);
        }
        let moving = terms.ranges.iter().enumerate().find_map(|(index, range)| match &range.window {
            Some(TermWindow::Moving { dim: own, stretches }) if *own == dim => Some((index, stretches)),
            _ => None,
        });
        let Some((range, stretches)) = moving else {
            area.counts[dim] = block.counts[dim];
            return self.terms_from(terms, block, dim + 1, area);
        };
        let first = self.indices[block.dims[dim]];
        let end = first + block.counts[dim] as i64;
        let lanes: usize = block.counts[dim + 1..rank].iter().product();
        let (offset, lane) = (area.offset, area.lane);
        let before = stretches.partition_point(|stretch| stretch.positions.end <= first);
        for stretch in stretches[before..].iter().take_while(|stretch| stretch.positions.start < end) {
            let (start, end) = (stretch.positions.start.max(first), stretch.positions.end.min(end));
            self.inside[range] = stretch.inside.clone();
            area.offset = offset.wrapping_add(terms.steps[dim].wrapping_mul(start - first));
            area.lane = lane + (start - first) as usize * lanes;
            area.counts[dim] = (end - start) as usize;
            self.terms_from(terms, block, dim + 1, area);
        }
        (area.offset, area.lane) = (offset, lane);
    }

    /// Folds elements for the lanes of an area, all of which have the same indices.
    #[expect(unsafe_code, reason = "lanes are in untyped memory")]
    fn terms_of(&mut self, terms: &Terms, block: Block<'_>, area: &Area) {
        self.terms.clear();
        self.terms.push(0);
        for (range, inside) in terms.ranges.iter().zip(&self.inside) {
            let outer = self.terms.len();
            for index in 0..outer {
                let so_far = self.terms[index];
                let at = |index: i64| so_far.wrapping_add(range.step.wrapping_mul(index) as isize);
                self.terms.extend(inside.clone().map(at));
            }
            self.terms.drain(..outer);
        }
        let rank = block.dims.len();
        let (mut counts, mut steps, mut lanes) = ([1; DIMS], [0; DIMS], [0; DIMS]);
        let mut side_by_side = 1;
        for dim in (0..rank).rev() {
            let to = dim + DIMS - rank;
            (counts[to], steps[to], lanes[to]) = (area.counts[dim], terms.steps[dim] as isize, side_by_side);
            side_by_side *= block.counts[dim];
        }
        debug_assert!(self.terms.iter().all(|&term| {
            let first = area.offset + term as i64;
            let ends = counts.iter().zip(steps).map(|(&count, step)| step as i64 * (count as i64 - 1));
            let (least, most) =
                ends.fold((first, first), |(least, most), end| (least + end.min(0), most + end.max(0)));
            (0..terms.elements).contains(&least) && (0..terms.elements).contains(&most)
        }));
        let bytes = lane_bytes(terms.ty);
        let from = self.inputs[terms.input].wrapping_offset(area.offset as isize * bytes as isize);
        let (init, to) = (self.at(terms.init, 0).cast_const(), self.at(terms.to, area.lane));
        let folded = vector::Terms { init, from, offsets: &self.terms, to, counts, steps, lanes };
        // SAFETY: Facts 1 to 5. Only indices that are inside all windows are folded.
        unsafe { vector::fold_terms(self.level, terms.op, terms.ty, folded) }
    }

    /// Loads rows of a block. If they are all of it, lanes that are elements side by side stay where they are.
    #[expect(unsafe_code, reason = "elements are in untyped memory")]
    fn load_run(&mut self, load: &Load, lanes: &Lanes, from: *const u8, base: i64, whole: usize) {
        let bytes = load.kind.bytes() as i64;
        let (offset, run) = (base.wrapping_add(lanes.offset), lanes.run);
        debug_assert!(run.count == 0 || in_tensor(load, offset, run), "{load:?}");
        let from = from.wrapping_offset(offset.wrapping_mul(bytes) as isize);
        if run.count == whole && load.kind.is_same() && (run.step == 1 || run.count == 1) {
            let before = lanes.first * load.kind.bytes();
            self.slots[load.to] = from.wrapping_sub(before).cast_mut();
            return;
        }
        let to = self.own(load.to, lanes.first);
        // SAFETY: Facts 1 to 5.
        unsafe { transfer::read_rows(self.isa, load.kind, run, from, to) }
    }

    /// Loads elements some of which may be out of range, or whose places are computed.
    fn load_some(&mut self, load: &Load, block: Block<'_>, from: *const u8, base: i64) {
        let count = block.row();
        let step = |steps: &[i64]| steps.last().copied().unwrap_or(0);
        for row in block.first / count..block.end.div_ceil(count) {
            let first = row * count;
            let all = block.first.max(first)..block.end.min(first + count);
            let all = (all.start - first) as i64..(all.end - first) as i64;
            let mut range = all.clone();
            for tested in &load.tested {
                let position = tested.index.at(&self.indices) + block.row_offset(row, &tested.steps);
                range = within(position, step(&tested.steps), tested.size, range);
            }
            let side_by_side = i64::from(load.lanes.side_by_side);
            let offset = base
                .wrapping_add(block.row_offset(row, &load.lanes.steps))
                .wrapping_add(side_by_side * first as i64);
            let step = step(&load.lanes.steps).wrapping_add(side_by_side);
            self.load_lanes(load, Part { first, all, range, offset, step, from });
        }
    }

    #[expect(unsafe_code, reason = "elements are in untyped memory")]
    fn load_lanes(&mut self, load: &Load, part: Part) {
        let Part { first, all, mut range, mut offset, step, from } = part;
        for computed in load.computed.iter().filter(|computed| computed.uniform && !all.is_empty()) {
            let lane = first + all.start as usize;
            // SAFETY: Facts 3 and 4.
            let index = unsafe { self.at(computed.from, lane).cast::<i64>().read() };
            if load.otherwise.is_some() && !(0..computed.size).contains(&index) {
                range = all.start..all.start;
            }
            let index = index.clamp(0, (computed.size - 1).max(0));
            offset = offset.wrapping_add(index.wrapping_mul(computed.stride));
        }
        self.own(load.to, 0);
        if let Some(otherwise) = load.otherwise {
            let bytes = load.kind.lane_bytes();
            for lanes in [all.start..range.start, range.end..all.end] {
                let lane = first + lanes.start as usize;
                let (from, to) = (self.at(otherwise, lane).cast_const(), self.at(load.to, lane));
                let count = (lanes.end - lanes.start) as usize;
                // SAFETY: Facts 3 and 4. The slots are two.
                unsafe { std::ptr::copy_nonoverlapping(from, to, count * bytes) }
            }
        }
        if range.is_empty() {
            return;
        }
        let lane = first + range.start as usize;
        let start = offset.wrapping_add(step.wrapping_mul(range.start));
        let count = (range.end - range.start) as usize;
        if load.computed.iter().all(|computed| computed.uniform) {
            debug_assert!(in_tensor(load, start, Run::row(count, step)), "{load:?}");
            let from = from.wrapping_offset(start.wrapping_mul(load.kind.bytes() as i64) as isize);
            // SAFETY: Facts 1 to 5.
            return unsafe {
                transfer::read(self.level, load.kind, Run::row(count, step), from, self.at(load.to, lane))
            };
        }
        let mut offsets = std::mem::take(&mut self.offsets);
        offsets.clear();
        offsets.extend((0..count as i64).map(|index| start.wrapping_add(step.wrapping_mul(index))));
        let mut inside = vec![true; if load.otherwise.is_some() { count } else { 0 }];
        for computed in load.computed.iter().filter(|computed| !computed.uniform) {
            // SAFETY: Facts 3 and 4.
            let indices =
                unsafe { std::slice::from_raw_parts(self.at(computed.from, lane).cast::<i64>(), count) };
            let last = (computed.size - 1).max(0);
            for (offset, &index) in offsets.iter_mut().zip(indices) {
                *offset = offset.wrapping_add(index.clamp(0, last).wrapping_mul(computed.stride));
            }
            for (inside, index) in inside.iter_mut().zip(indices) {
                *inside &= (0..computed.size).contains(index);
            }
        }
        let bytes = load.kind.lane_bytes();
        for (index, &offset) in offsets.iter().enumerate() {
            let to = self.at(load.to, lane + index);
            match load.otherwise {
                // SAFETY: Facts 3 and 4. The slots are two.
                Some(otherwise) if !inside[index] => unsafe {
                    std::ptr::copy_nonoverlapping(self.at(otherwise, lane + index).cast_const(), to, bytes);
                },
                _ => {
                    debug_assert!(in_tensor(load, offset, Run::row(1, 0)), "{load:?}");
                    let from = from.wrapping_offset(offset.wrapping_mul(load.kind.bytes() as i64) as isize);
                    // SAFETY: Facts 1 to 5.
                    unsafe { transfer::read_one(load.kind, from, to) }
                }
            }
        }
        self.offsets = offsets;
    }

    fn reduce(&mut self, reduce: &'a Reduce, block: Block<'a>) {
        match &reduce.fold {
            Fold::Ascending { before, .. } => {
                before.iter().for_each(|&copy| self.copy(copy, block));
                self.each(reduce, &reduce.ranges, block, &mut 0);
            }
            &Fold::Blocks { op, ty, init, registers, .. } => {
                for register in registers..registers + LANES {
                    self.copy(Copy { from: init, to: register, bytes: lane_bytes(ty) }, block);
                }
                self.each(reduce, &reduce.ranges, block, &mut 0);
                let mut half = LANES / 2;
                while half > 0 {
                    for to in registers..registers + half {
                        self.apply(Op::Update(op, ty), to, [to + half; 4], block);
                    }
                    half /= 2;
                }
            }
            Fold::Along { together: true, .. } => self.together(reduce, block),
            Fold::Along { .. } => self.along(reduce, block),
        }
    }

    /// Folds at each index of some axes.
    fn each(&mut self, reduce: &'a Reduce, ranges: &'a [Loop], block: Block<'a>, number: &mut usize) {
        let Some((Loop { axis, size, window }, rest)) = ranges.split_first() else {
            return self.iteration(reduce, block, number);
        };
        let mut indices = 0..*size;
        let mut moving = None;
        if let Some(Window { start, step, size, lane_step }) = window {
            let position = start.at(&self.indices);
            if *lane_step == 0 {
                indices = within(position, *step, *size, indices);
            } else {
                moving = Some((position, *step, *lane_step, *size));
            }
        }
        for index in indices {
            self.indices[*axis] = index;
            let Some((position, step, lane_step, size)) = moving else {
                self.each(reduce, rest, block, number);
                continue;
            };
            let inside = |range| within(position + step * index, lane_step, size, range);
            let row = block.row() as i64;
            if inside(0..row) == (0..row) {
                self.each(reduce, rest, block, number);
                continue;
            }
            let (first, end) = (block.first as i64, block.end as i64);
            for start in (first / row * row..end).step_by(row as usize) {
                let lanes = inside(first.max(start) - start..end.min(start + row) - start);
                let (first, end) = ((start + lanes.start) as usize, (start + lanes.end) as usize);
                if first < end {
                    self.each(reduce, rest, Block { first, end, ..block }, number);
                }
            }
        }
    }

    fn iteration(&mut self, reduce: &'a Reduce, block: Block<'a>, number: &mut usize) {
        self.steps(&reduce.body, block);
        match &reduce.fold {
            Fold::Ascending { after, .. } => after.iter().for_each(|&copy| self.copy(copy, block)),
            &Fold::Blocks { op, ty, registers, value, .. } => {
                let register = registers + *number % LANES;
                self.apply(Op::Update(op, ty), register, [value; 4], block);
                *number += 1;
            }
            Fold::Along { .. } => {}
        }
    }

    /// A reduction along the lanes of whole rows, one for each lane of a block.
    #[expect(unsafe_code, reason = "lanes are in untyped memory")]
    fn together(&mut self, reduce: &'a Reduce, block: Block<'a>) {
        let Fold::Along { op, ty, init, result, value, spread, dims, .. } = &reduce.fold else { return };
        let Some(last) = reduce.ranges.last() else { return };
        let (rows, count) = (block.count(), last.size as usize);
        for copy in spread {
            let run = Run { count, step: 0, rows, row_step: 1 };
            let kind = if copy.bytes == 8 { Read::Eight } else { Read::Four };
            let from = self.at(copy.from, 0).cast_const();
            // SAFETY: Facts 2 to 4. The slots are two.
            unsafe { transfer::read(self.level, kind, run, from, self.own(copy.to, 0)) }
        }
        let mut counts = block.counts;
        counts[dims.len() - 1] = count;
        self.indices[last.axis] = 0;
        self.steps(&reduce.body, Block::new(dims, counts));
        let [init, lanes] = [init, value].map(|&slot| self.at(slot, 0).cast_const());
        let fold = vector::Rows { init, lanes, count, stride: count as isize, rows, to: self.at(*result, 0) };
        // SAFETY: Facts 2 to 4. No other instruction has the result.
        unsafe { vector::fold_rows(self.level, *op, *ty, fold) }
    }

    /// A reduction along lanes, for each lane of a block.
    fn along(&mut self, reduce: &'a Reduce, block: Block<'a>) {
        let Fold::Along { spread, rows, .. } = &reduce.fold else { return };
        if let (Some(steps), [Instr::Load(load)]) = (rows, &reduce.body[..]) {
            return self.rows(reduce, load, steps, block);
        }
        let mut starts = [0i64; DIMS];
        starts.iter_mut().zip(block.dims).for_each(|(start, &axis)| *start = self.indices[axis]);
        let outside = self.lane;
        let most = reduce.ranges.last().map_or(0, |last| last.size as usize).min(self.program.lanes);
        for lane in block.first..block.end {
            self.lane = lane;
            let mut rest = lane;
            for dim in (0..block.dims.len()).rev() {
                self.indices[block.dims[dim]] = starts[dim] + (rest % block.counts[dim]) as i64;
                rest /= block.counts[dim];
            }
            for copy in spread {
                let bits = self.bits(copy.from, lane);
                #[expect(unsafe_code, reason = "lanes are in untyped memory")]
                // SAFETY: Facts 2 and 4.
                unsafe {
                    fill(self.own(copy.to, 0), copy.bytes, bits, most);
                }
            }
            self.fold(reduce, lane);
        }
        block.dims.iter().zip(starts).for_each(|(&axis, start)| self.indices[axis] = start);
        self.lane = outside;
    }

    /// A reduction along rows of elements, one for each lane of a block.
    #[expect(unsafe_code, reason = "elements are in untyped memory")]
    fn rows(&mut self, reduce: &'a Reduce, load: &Load, steps: &[i64], block: Block<'a>) {
        let Fold::Along { op, ty, init, result, .. } = &reduce.fold else { return };
        let (Some(last), Place::Input(input)) = (reduce.ranges.last(), load.from) else { return };
        self.indices[last.axis] = 0;
        let base = load.offset.at(&self.indices);
        runs(&block, steps, |lanes| {
            let Run { count: rows, step, rows: groups, row_step } = lanes.run;
            for group in 0..groups {
                let offset =
                    base.wrapping_add(lanes.offset).wrapping_add(row_step.wrapping_mul(group as i64));
                let run = Run { count: last.size as usize, step: 1, rows, row_step: step };
                debug_assert!(in_tensor(load, offset, run), "{load:?}");
                let lane = lanes.first + group * rows;
                let fold = vector::Rows {
                    init: self.at(*init, lane).cast_const(),
                    lanes: self.inputs[input].wrapping_offset(offset as isize * load.kind.bytes() as isize),
                    count: last.size as usize,
                    stride: step as isize,
                    rows,
                    to: self.at(*result, lane),
                };
                // SAFETY: Facts 1 to 5. No other instruction has the result.
                unsafe { vector::fold_rows(self.level, *op, *ty, fold) }
            }
        });
    }

    /// The bits of a lane.
    #[expect(unsafe_code, reason = "lanes are in untyped memory")]
    fn bits(&self, slot: Slot, lane: usize) -> u64 {
        let place = self.at(slot, lane);
        // SAFETY: Facts 3 and 4.
        unsafe {
            if self.program.slots[slot].1 == 8 {
                place.cast::<u64>().read()
            } else {
                place.cast::<u32>().read().into()
            }
        }
    }

    /// Folds along lanes into lane `lane` of the result.
    #[expect(unsafe_code, reason = "lanes are in untyped memory")]
    fn fold(&mut self, reduce: &'a Reduce, lane: usize) {
        let Fold::Along { op, ty, init, result, value, dims, .. } = &reduce.fold else { return };
        let Some((last, outer)) = reduce.ranges.split_last() else { return };
        let register = self.memory.wrapping_add(self.program.register);
        let bytes = lane_bytes(*ty);
        // SAFETY: Fact 2.
        unsafe { fill(register, bytes, self.bits(*init, lane), LANES) };
        let number: i64 = outer.iter().map(|range| range.size).product();
        let chunk = self.program.lanes as i64;
        for outer_number in 0..number {
            let mut rest = outer_number;
            for range in outer.iter().rev() {
                self.indices[range.axis] = rest % range.size;
                rest /= range.size;
            }
            let mut start = 0;
            while start < last.size {
                let count = chunk.min(last.size - start) as usize;
                self.indices[last.axis] = start;
                let mut counts = [1; DIMS];
                counts[0] = count;
                self.steps(&reduce.body, Block::new(dims, counts));
                let start_lane = (outer_number.wrapping_mul(last.size).wrapping_add(start)) as usize;
                let lanes = self.at(*value, 0).cast_const();
                let fold = vector::Fold { register, start: start_lane, lanes, count };
                // SAFETY: Facts 2 to 4.
                unsafe { vector::fold(self.level, *op, *ty, fold) };
                start += count as i64;
            }
        }
        // SAFETY: Facts 2 to 4.
        unsafe {
            vector::halve(self.level, *op, *ty, register);
            std::ptr::copy_nonoverlapping(register.cast_const(), self.at(*result, lane), bytes);
        }
    }
}

/// Which elements of a block are in range.
enum Inside {
    All,
    None,
    Some,
}

/// A part of a block that is one too.
struct Area {
    /// The offset of the element of its first lane.
    offset: i64,
    /// Its first lane.
    lane: usize,
    counts: [usize; DIMS],
}

/// A part of a block, along its innermost dimension.
struct Part {
    /// The first lane of the innermost dimension.
    first: usize,
    /// The lanes that are computed, counted from there.
    all: Range<i64>,
    /// Those that are in range, as far as it is known.
    range: Range<i64>,
    /// The offset of the element of the first lane.
    offset: i64,
    step: i64,
    from: *const u8,
}

/// Whether rows of elements are in their tensor.
fn in_tensor(load: &Load, offset: i64, run: Run) -> bool {
    let rows = [0, run.row_step * (run.rows as i64 - 1)];
    let inside = |row: i64| {
        let ends = [offset + row, offset + row + run.step * (run.count as i64 - 1)];
        ends.iter().all(|end| (0..load.elements).contains(end))
    };
    rows.into_iter().all(inside)
}

/// Sets lanes.
///
/// # Safety
///
/// There are `count` aligned lanes of so many bytes there, which nothing else accesses meanwhile.
#[expect(unsafe_code, reason = "lanes are in untyped memory")]
unsafe fn fill(to: *mut u8, bytes: usize, bits: u64, count: usize) {
    // SAFETY: That of the caller.
    unsafe {
        if bytes == 8 {
            std::slice::from_raw_parts_mut(to.cast::<u64>(), count).fill(bits);
        } else {
            std::slice::from_raw_parts_mut(to.cast::<u32>(), count).fill(bits as u32);
        }
    }
}
