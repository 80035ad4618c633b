//! Blocks of lanes, and how their elements follow each other.

use crate::engine::transfer::Run;
use crate::engine::translate::DIMS;

/// A block: its lanes run over indices of some axes, in row-major order.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) dims: &'a [usize],
    /// The number of indices along each of `dims`.
    pub(super) counts: [usize; DIMS],
    /// The dimensions with more than one index, as bits.
    pub(super) open: u8,
    /// The lanes that are computed: all, or some of a row along the innermost dimension.
    pub(super) first: usize,
    pub(super) end: usize,
}

impl<'a> Block<'a> {
    pub(super) fn new(dims: &'a [usize], counts: [usize; DIMS]) -> Self {
        let open = |bits, (dim, &count): (usize, &usize)| bits | u8::from(count > 1) << dim;
        let counts_of = &counts[..dims.len()];
        let (open, end) = (counts_of.iter().enumerate().fold(0, open), counts_of.iter().product());
        Self { dims, counts, open, first: 0, end }
    }

    /// The lanes of a row along the innermost dimension.
    pub(super) fn row(&self) -> usize {
        self.dims.len().checked_sub(1).map_or(1, |inner| self.counts[inner])
    }

    /// The number of rows of the whole block.
    pub(super) fn rows(&self) -> usize {
        self.counts[..self.dims.len().saturating_sub(1)].iter().product()
    }

    /// How far the first element of a row is from that of the block, with the steps along its dimensions.
    pub(super) fn row_offset(&self, row: usize, steps: &[i64]) -> i64 {
        let (mut rest, mut offset) = (row, 0i64);
        for dim in (0..self.dims.len().saturating_sub(1)).rev() {
            offset = offset.wrapping_add(steps[dim].wrapping_mul((rest % self.counts[dim]) as i64));
            rest /= self.counts[dim];
        }
        offset
    }

    /// The number of lanes that are computed.
    pub(super) fn count(&self) -> usize {
        self.end - self.first
    }
}

/// Rows of lanes, one after the other, whose elements are at equal distances.
pub(super) struct Lanes {
    pub(super) first: usize,
    pub(super) run: Run,
    /// The offset of the element of the first lane.
    pub(super) offset: i64,
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
pub(super) fn runs(block: &Block<'_>, steps: &[i64], mut each: impl FnMut(&Lanes)) {
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
