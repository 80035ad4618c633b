//! Matrices times matrices, and times vectors.

#![expect(unsafe_code, reason = "calls of the micro-kernel")]

use crate::contraction::element::Element;
use crate::contraction::finish::{Ending, Finish};
use crate::contraction::matrix::{Matrix, Output};
use crate::contraction::panels::{Aligned, Panels};
use crate::contraction::tile::{Call, MANY, MOST_ROWS, Run, Shape, WIDTH, kernel};
use crate::contraction::{Epilogue, Error};
use crate::isa::Isa;
use std::ops::Range;

/// Products of a sum that are added before the next tile's turn. A tile's rows then fit into the first cache.
const DEPTH: usize = 512;
/// Sums of which there are about so many are finished at once, while they are in the first cache.
const FINISHED: usize = 4096;
/// Bytes of the right factor that are read again and again: they fit into the second cache.
const BLOCK: usize = 512 << 10;

/// The product of `left` and a right factor that was packed before, in the rows and columns of `out`.
///
/// Sums are finished first; then `epilogue` gets finished elements while they are in the cache, each of them once.
pub fn multiply<E: Element>(
    left: &Matrix<'_, E>,
    right: &Panels<E>,
    mut out: Output<'_, E>,
    finish: &Finish<'_, E>,
    epilogue: Epilogue<'_, E>,
) -> Result<(), Error> {
    finish.fit(&out)?;
    fit(left, [right.depth(), right.columns()], &out)?;
    if out.rows().is_empty() || out.columns().is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(left, right.isa());
    let deepest = deepest(right.depth(), right.shape(), &out);
    for block in blocks::<E>(deepest, right.shape(), out.columns()) {
        for k in depths(right.depth(), deepest) {
            let columns = block.clone();
            let part = Part { panels: right, first_column: 0, skipped: k.start, columns, finish };
            part.multiply(&mut rows, k, right.depth(), &mut out, epilogue);
        }
    }
    Ok(())
}

/// The product of two matrices, of which the right one is packed on the way, block by block.
///
/// The rest is as in [`multiply`].
pub fn multiply_unpacked<E: Element>(
    isa: Isa,
    left: &Matrix<'_, E>,
    right: &Matrix<'_, E>,
    mut out: Output<'_, E>,
    finish: &Finish<'_, E>,
    epilogue: Epilogue<'_, E>,
) -> Result<(), Error> {
    finish.fit(&out)?;
    fit(left, [right.rows(), right.columns()], &out)?;
    if out.rows().is_empty() || out.columns().is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(left, isa);
    let mut panels = Panels::empty(isa);
    let deepest = deepest(right.rows(), panels.shape(), &out);
    for block in blocks::<E>(deepest, panels.shape(), out.columns()) {
        for k in depths(right.rows(), deepest) {
            panels.fill(right, k.clone(), block.clone());
            let columns = block.clone();
            let part = Part { panels: &panels, first_column: block.start, skipped: 0, columns, finish };
            part.multiply(&mut rows, k, right.rows(), &mut out, epilogue);
        }
    }
    Ok(())
}

fn fit<E>(left: &Matrix<'_, E>, [depth, columns]: [usize; 2], out: &Output<'_, E>) -> Result<(), Error> {
    let fits = left.columns() == depth && out.rows().end <= left.rows() && out.columns().end <= columns;
    let error = Error::Mismatch {
        left: [left.rows(), left.columns()],
        right: [depth, columns],
        out: [out.rows().end, out.columns().end],
    };
    fits.then_some(()).ok_or(error)
}

/// How many products are added in one go. A single tile never comes back to what it has read.
fn deepest<E>(depth: usize, shape: Shape, out: &Output<'_, E>) -> usize {
    if out.rows().len() <= shape.rows { depth.max(1) } else { depth.clamp(1, DEPTH) }
}

/// The ranges of products, in their order; an empty one if there are none.
fn depths(depth: usize, deepest: usize) -> impl Iterator<Item = Range<usize>> {
    (0..depth.max(1)).step_by(deepest).map(move |start| start..(start + deepest).min(depth))
}

/// Columns in blocks that stay in the cache while the rows pass by. They are cut where panels are.
fn blocks<E>(deepest: usize, shape: Shape, columns: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let width = (BLOCK / size_of::<E>() / deepest / shape.panel()).max(MANY) * shape.panel();
    let starts = (columns.start / width * width..columns.end).step_by(width);
    starts.map(move |start| start.max(columns.start)..(start + width).min(columns.end))
}

/// The left factor's rows, as tiles want them: elements of a row one after another, and rows not so far apart
/// that they get into each other's way in the cache.
struct Rows<'a, E> {
    matrix: &'a Matrix<'a, E>,
    isa: Isa,
    /// Rows of a tile, copied if they have to be.
    copied: Aligned<E>,
}

impl<'a, E: Element> Rows<'a, E> {
    fn new(matrix: &'a Matrix<'a, E>, isa: Isa) -> Self {
        Self { matrix, isa, copied: Aligned::new() }
    }

    /// Pointers to the products `k` of some rows.
    fn pointers(&mut self, rows: Range<usize>, k: Range<usize>) -> [*const E; MOST_ROWS] {
        let mut pointers = [self.copied.get().as_ptr(); MOST_ROWS];
        if k.is_empty() {
            return pointers;
        }
        let [row_stride, column_stride] = self.matrix.strides();
        let in_place = column_stride == 1 && !(row_stride * size_of::<E>()).is_multiple_of(1024);
        if in_place {
            for (pointer, row) in pointers.iter_mut().zip(rows) {
                // The whole of the row's products is inside the matrix.
                *pointer = self.matrix.from(row, k.start)[..k.len()].as_ptr();
            }
            return pointers;
        }
        let pitch = pitch::<E>(k.len());
        self.copied.resize(pitch * rows.len());
        let from = self.matrix.from(rows.start, k.start);
        let copied = self.copied.get_mut();
        if column_stride == 1 {
            for (row, to) in copied.chunks_exact_mut(pitch).enumerate() {
                to[..k.len()].copy_from_slice(&from[row * row_stride..][..k.len()]);
            }
        } else {
            for product in 0..k.len() {
                let from = &from[product * column_stride..];
                for row in 0..rows.len() {
                    copied[row * pitch + product] = from[row * row_stride];
                }
            }
        }
        for (pointer, row) in pointers.iter_mut().zip(copied.chunks_exact(pitch)) {
            *pointer = row.as_ptr();
        }
        pointers
    }
}

/// Elements from a row to the next one that put rows into different parts of the cache: an odd number of
/// lines.
fn pitch<E>(length: usize) -> usize {
    let line = 64 / size_of::<E>();
    (length.div_ceil(line) | 1) * line
}

/// Some products of some columns.
struct Part<'a, E> {
    panels: &'a Panels<E>,
    /// The column of the result that the panels start with.
    first_column: usize,
    /// Rows of the panels before the first product.
    skipped: usize,
    columns: Range<usize>,
    finish: &'a Finish<'a, E>,
}

impl<E: Element> Part<'_, E> {
    /// Adds the products `k` of `depth` to the columns' sums.
    fn multiply(
        &self,
        rows: &mut Rows<'_, E>,
        k: Range<usize>,
        depth: usize,
        out: &mut Output<'_, E>,
        epilogue: Epilogue<'_, E>,
    ) {
        let (first, last) = (k.start == 0, k.end == depth);
        for tile in tiles(out.rows(), self.panels.shape().rows) {
            let pointers = rows.pointers(tile.clone(), k.clone());
            let panel = self.panels.shape().panel() * MANY;
            let width = if last { (FINISHED / tile.len() / panel).max(1) * panel } else { usize::MAX };
            for columns in cut(self.columns.clone(), self.first_column, width) {
                let part = [tile.clone(), columns.clone()];
                self.tile(pointers, part, k.len(), [first, last], rows.isa, out);
                if last {
                    epilogue(out.part(tile.clone(), columns));
                }
            }
        }
    }

    /// One tile's rows, panel by panel.
    fn tile(
        &self,
        pointers: [*const E; MOST_ROWS],
        [rows, columns]: [Range<usize>; 2],
        length: usize,
        [first, last]: [bool; 2],
        isa: Isa,
        out: &mut Output<'_, E>,
    ) {
        let shape = self.panels.shape();
        let runs = [Run { left: 0, right: 0, length }];
        let wide = |panel: usize| self.panels.range(panel).len() == shape.panel();
        let mut column = columns.start;
        while column < columns.end {
            let panel = (column - self.first_column) / shape.panel();
            let range = self.panels.range(panel);
            let (start, end) = (range.start + self.first_column, range.end + self.first_column);
            let width = self.panels.width(panel);
            let lanes = width * shape.lanes;
            let left = columns.end - column;
            let many = if rows.len() <= shape.few()
                && column == start
                && left >= MANY * shape.panel()
                && wide(panel + MANY - 1)
            {
                MANY
            } else {
                1
            };
            // The products' rows of every panel that the kernel reads.
            let elements = &self.panels.panel(panel + many - 1)[self.skipped * lanes..][..length * lanes];
            debug_assert_eq!(elements.len(), length * lanes);
            let elements = &self.panels.panel(panel)[self.skipped * lanes..];
            let mut call = Call {
                rows: pointers,
                runs: &runs,
                panel: elements.as_ptr(),
                panels: self.panels.stride(),
                sums: std::ptr::null_mut(),
                stride: 0,
                first,
                last,
                ending: Ending::NONE,
            };
            let kernel = kernel::<E>(isa, rows.len(), many, width);
            if column == start && left >= many * lanes && range.len() == lanes {
                call.sums = out.place(rows.start, column);
                call.stride = out.stride();
                if last {
                    call.ending = self.finish.at(rows.clone(), column);
                }
                // SAFETY: the set was found on this processor. Row pointers are good for `length` products,
                // as the panels are by the slices above; the sums are in the window: `many` panels of columns
                // from here are, and so are the rows. The addends have all that the window has.
                unsafe { kernel(&call) };
                column += many * lanes;
                continue;
            }
            // Only some of the panel's columns are wanted: the sums are elsewhere meanwhile.
            let wanted = column..end.min(columns.end);
            let mut sums = [E::ZERO; MOST_ROWS * WIDTH * MOST_LANES];
            if !first {
                for (row, sums) in rows.clone().zip(sums.chunks_exact_mut(lanes)) {
                    sums[column - start..][..wanted.len()].copy_from_slice(out.run(row, wanted.clone()));
                }
            }
            call.sums = sums.as_mut_ptr();
            call.stride = lanes;
            // SAFETY: as above; the sums are an array with room for the tallest and widest tile.
            unsafe { kernel(&call) };
            for (row, sums) in rows.clone().zip(sums.chunks_exact(lanes)) {
                out.run(row, wanted.clone()).copy_from_slice(&sums[column - start..][..wanted.len()]);
            }
            if last {
                self.finish.apply(isa, out.part(rows.clone(), wanted.clone()));
            }
            column = wanted.end;
        }
    }
}

/// Columns in parts that are cut every `width` columns after `first`.
fn cut(columns: Range<usize>, first: usize, width: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = columns.start;
    std::iter::from_fn(move || {
        let part =
            start..columns.end.min(first.saturating_add(((start - first) / width + 1).saturating_mul(width)));
        start = part.end;
        (!part.is_empty()).then_some(part)
    })
}

/// Elements in the widest register of any set.
pub(super) const MOST_LANES: usize = 16;

/// Rows in tiles of at most `most`, as even as they can be.
pub(super) fn tiles(rows: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.len().div_ceil(most);
    (0..count).map(move |i| rows.start + rows.len() * i / count..rows.start + rows.len() * (i + 1) / count)
}
