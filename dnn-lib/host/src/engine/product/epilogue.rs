//! What finishes sums that aren't finished in registers.

use std::ops::Range;

use crate::contraction::{Element, Error, Finish, Output};
use crate::engine::ending::Ending;
use crate::engine::execute::Machine;
use crate::engine::program::Program;

/// What finishes sums: one of the two, or nothing.
pub(super) struct Epilogue<'a, E> {
    pub(super) ending: Option<&'a Ending>,
    pub(super) inputs: &'a [*const u8],
    pub(super) machine: Option<(&'a Program, Machine<'a>)>,
    /// Where the sums are: floats in the output's place.
    pub(super) sums: *mut E,
    /// Of the program's axes; those of size 1 keep theirs.
    pub(super) ranges: Vec<Range<u64>>,
}

impl<'a, E: Element> Epilogue<'a, E> {
    /// What micro-kernels do to the matrix of sums, of these rows and columns, at some indices of the stack.
    ///
    /// # Safety
    ///
    /// Nothing writes to the inputs for as long as the result lives.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    pub(super) unsafe fn finish(&self, indices: &[i64], size: [usize; 2]) -> Result<Finish<'a, E>, Error> {
        let Some(ending) = self.ending else { return Ok(Finish::NONE) };
        // SAFETY: That of the caller.
        unsafe { ending.finish(self.inputs, indices, size) }
    }

    /// How many elements the first one of some sums is from the first one of all.
    pub(super) fn place(&self, sums: &mut Output<'_, E>) -> usize {
        (sums.start().addr() - self.sums.addr()) / size_of::<E>()
    }

    /// Finishes some sums.
    pub(super) fn run(&mut self, mut sums: Output<'_, E>) {
        let first = self.place(&mut sums);
        let Some((program, machine)) = &mut self.machine else { return };
        let (mut rows, stride, mut columns) = (sums.rows().len(), sums.stride(), sums.columns().len());
        if rows == 0 || columns == 0 {
            return;
        }
        if columns == stride {
            (rows, columns) = (1, rows * columns);
        }
        if !E::ARE_BYTES {
            // The output begins so far before these sums.
            machine.move_to(sums.start().wrapping_sub(first).cast());
        }
        let mut row = 0;
        while row < rows {
            let (mut column, mut height) = (0, 1);
            while column < columns {
                let (offset, count) = (first + row * stride + column, columns - column);
                let width = leading_box(&program.output, offset, count, &mut self.ranges);
                if width == columns {
                    height = extend(&program.output, stride, rows - row, &mut self.ranges);
                }
                machine.run(&self.ranges);
                column += width;
            }
            row += height;
        }
    }
}

/// Sets the ranges of axes to the largest box that is the first of `count` adjacent elements. Returns how many
/// they are. The axes are outermost first.
fn leading_box(axes: &[(usize, u64)], offset: usize, count: usize, ranges: &mut [Range<u64>]) -> usize {
    let (mut rest, mut inside, mut open) = (offset as u64, 1, true);
    for &(axis, size) in axes.iter().rev() {
        let (place, most) = (rest % size, count as u64 / inside);
        rest /= size;
        let taken = if open { most.min(size - place) } else { 1 };
        ranges[axis] = place..place + taken;
        // Only whole axes can be followed by more than one index of the next.
        open &= taken == size;
        inside *= taken;
    }
    inside as usize
}

/// Extends a box along the axis whose neighbours are `stride` elements apart, of which it has one index, to at
/// most `most`. Returns how many there are then.
fn extend(axes: &[(usize, u64)], stride: usize, most: usize, ranges: &mut [Range<u64>]) -> usize {
    let mut inside = 1;
    for &(axis, size) in axes.iter().rev() {
        let range = &mut ranges[axis];
        if inside == stride as u64 && range.end == range.start + 1 {
            range.end = range.start + (most as u64).min(size - range.start);
            return (range.end - range.start) as usize;
        }
        inside *= size;
    }
    1
}
