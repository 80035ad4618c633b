//! Reductions.

use super::block::{Block, runs};
use super::load::in_tensor;
use super::{Machine, fill};
use crate::engine::axes::within;
use crate::engine::fold::{self, LANES};
use crate::engine::program::{Copy, Fold, Instr, Load, Loop, Place, Reduce, Slot, Window};
use crate::engine::transfer::{self, Read, Run};
use crate::engine::translate::DIMS;
use crate::engine::vector::{Op, lane_bytes};

impl<'a> Machine<'a> {
    pub(super) fn reduce(&mut self, reduce: &'a Reduce, block: Block<'a>) {
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
        let fold = fold::Rows { init, lanes, count, stride: count as isize, rows, to: self.at(*result, 0) };
        // SAFETY: Facts 2 to 4. No other instruction has the result.
        unsafe { fold::fold_rows(self.level, *op, *ty, fold) }
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
                let fold = fold::Rows {
                    init: self.at(*init, lane).cast_const(),
                    lanes: self.inputs[input].wrapping_offset(offset as isize * load.kind.bytes() as isize),
                    count: last.size as usize,
                    stride: step as isize,
                    rows,
                    to: self.at(*result, lane),
                };
                // SAFETY: Facts 1 to 5. No other instruction has the result.
                unsafe { fold::fold_rows(self.level, *op, *ty, fold) }
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
                let fold = fold::Fold { register, start: start_lane, lanes, count };
                // SAFETY: Facts 2 to 4.
                unsafe { fold::fold(self.level, *op, *ty, fold) };
                start += count as i64;
            }
        }
        // SAFETY: Facts 2 to 4.
        unsafe {
            fold::halve(self.level, *op, *ty, register);
            std::ptr::copy_nonoverlapping(register.cast_const(), self.at(*result, lane), bytes);
        }
    }
}
