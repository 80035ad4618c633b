//! How lanes are loaded, and how elements are folded that are loaded one after the other.

use std::ops::Range;

use super::Machine;
use super::block::{Block, Lanes, runs};
use crate::engine::axes::within;
use crate::engine::fold::{self, LANES};
use crate::engine::program::{Load, Place, TermWindow, Terms};
use crate::engine::transfer::{self, Run};
use crate::engine::translate::DIMS;

impl<'a> Machine<'a> {
    pub(super) fn load(&mut self, load: &Load, block: Block<'_>) {
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
    pub(super) fn terms(&mut self, terms: &Terms, block: Block<'_>) {
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
        let bytes = terms.kind.bytes();
        let from = self.inputs[terms.input].wrapping_offset(area.offset as isize * bytes as isize);
        let (init, to) = (self.at(terms.init, 0).cast_const(), self.at(terms.to, area.lane));
        let folded = fold::Terms { init, from, offsets: &self.terms, to, counts, steps, lanes };
        // SAFETY: Facts 1 to 5. Only indices that are inside all windows are folded.
        unsafe { fold::fold_terms(self.level, terms.op, terms.kind, folded) }
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
pub(super) fn in_tensor(load: &Load, offset: i64, run: Run) -> bool {
    let rows = [0, run.row_step * (run.rows as i64 - 1)];
    let inside = |row: i64| {
        let ends = [offset + row, offset + row + run.step * (run.count as i64 - 1)];
        ends.iter().all(|end| (0..load.elements).contains(end))
    };
    rows.into_iter().all(inside)
}
