//! Runs vector programs.

mod block;
mod load;
mod reduce;

use std::ops::Range;

use super::fold::LANES;
use super::lanewise::Operands;
use super::program::{Chunked, Copy, Instr, Program, Slot, StageCode};
use super::transfer::{self, Run};
use super::translate::DIMS;
use super::vector::{self, Op};
use crate::Isa;
use crate::isa::Level;
use block::{Block, Lanes, runs};

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
        self.steps(&program.once, Block::new(&[], [1; DIMS]));
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
