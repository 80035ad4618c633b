//! A matrix in memory, and the part of one that is to be computed.

use crate::contraction::Error;
use std::marker::PhantomData;
use std::ops::Range;

/// A matrix that is read: any rows and columns of a slice that are evenly apart.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, E> {
    elements: &'a [E],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, E> Matrix<'a, E> {
    /// Rows that are `strides[0]` apart in `elements`, of elements that are `strides[1]` apart.
    pub fn new(elements: &'a [E], [rows, columns]: [usize; 2], strides: [usize; 2]) -> Result<Self, Error> {
        let [row_stride, column_stride] = strides;
        let fits = rows == 0
            || columns == 0
            || last(rows - 1, row_stride, columns - 1, column_stride)
                .is_some_and(|last| last < elements.len());
        let matrix = Self { elements, rows, columns, row_stride, column_stride };
        fits.then_some(matrix).ok_or(Error::Outside { rows, columns, strides, elements: elements.len() })
    }

    /// Rows one after another, without gaps.
    pub fn contiguous(elements: &'a [E], [rows, columns]: [usize; 2]) -> Result<Self, Error> {
        Self::new(elements, [rows, columns], [columns, 1])
    }

    /// Rows and columns change places.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Some of its rows.
    pub(super) fn part(&self, rows: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        let start = (rows.start * self.row_stride).min(self.elements.len());
        let elements = &self.elements[start..];
        let Self { columns, row_stride, column_stride, .. } = *self;
        Self { elements, rows: rows.len(), columns, row_stride, column_stride }
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns it has.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Elements from a row to the next one, and from a column to the next one.
    pub(super) fn strides(&self) -> [usize; 2] {
        [self.row_stride, self.column_stride]
    }

    /// The elements from one place of the matrix on.
    pub(super) fn from(&self, row: usize, column: usize) -> &'a [E] {
        debug_assert!(row < self.rows && column < self.columns);
        &self.elements[row * self.row_stride + column * self.column_stride..]
    }
}

fn last(row: usize, row_stride: usize, column: usize, column_stride: usize) -> Option<usize> {
    row.checked_mul(row_stride)?.checked_add(column.checked_mul(column_stride)?)
}

/// Rows and columns of a result, to be written by whoever holds it.
///
/// It is a window of a matrix in memory and can be cut in two, so several threads can write one result.
#[derive(Debug)]
pub struct Output<'a, E> {
    /// Where the window's first element is.
    start: *mut E,
    /// Elements from a row to the next one.
    stride: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    owner: PhantomData<&'a mut [E]>,
}

#[expect(unsafe_code, reason = "a pointer into a slice that is borrowed for as long as the window lives")]
// SAFETY: a window is the only way to its elements: `new` borrows the slice, and `split_rows` and
// `split_columns` give two windows without a common element. So it may go where `&mut [E]` may.
unsafe impl<E: Send> Send for Output<'_, E> {}

impl<'a, E> Output<'a, E> {
    /// The whole of a matrix whose rows are `stride` apart in `elements`.
    pub fn new(elements: &'a mut [E], [rows, columns]: [usize; 2], stride: usize) -> Result<Self, Error> {
        let outside = Error::Outside { rows, columns, strides: [stride, 1], elements: elements.len() };
        let fits = rows == 0
            || columns == 0
            || last(rows - 1, stride, columns - 1, 1).is_some_and(|last| last < elements.len());
        if !fits || (rows > 1 && stride < columns) {
            return Err(outside);
        }
        let start = elements.as_mut_ptr();
        Ok(Self { start, stride, rows: 0..rows, columns: 0..columns, owner: PhantomData })
    }

    /// Some rows and columns of a result, the first of them at `start`.
    ///
    /// # Safety
    ///
    /// They are in memory, `stride` elements from row to row, at least as many as there are columns. Nothing else
    /// accesses them for as long as the window lives.
    #[expect(unsafe_code, reason = "other threads have other windows of the same result")]
    pub(crate) unsafe fn from_raw(
        start: *mut E,
        stride: usize,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Self {
        Self { start, stride, rows, columns, owner: PhantomData }
    }

    /// Which rows of the whole result these are.
    #[must_use]
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Which columns of the whole result these are.
    #[must_use]
    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// The rows before row `at` of the whole result, and those from there on. A row outside is moved to the
    /// nearer end.
    #[must_use]
    pub fn split_rows(self, at: usize) -> (Self, Self) {
        let (at, column) = (at.clamp(self.rows.start, self.rows.end), self.columns.start);
        self.split(at, column)
    }

    /// The columns before column `at` of the whole result, and those from there on. A column outside is moved
    /// to the nearer end.
    #[must_use]
    pub fn split_columns(self, at: usize) -> (Self, Self) {
        let (row, at) = (self.rows.start, at.clamp(self.columns.start, self.columns.end));
        self.split(row, at)
    }

    /// Cuts before a row or before a column; the other of the two is the window's first one.
    fn split(self, row: usize, column: usize) -> (Self, Self) {
        let by_rows = column == self.columns.start;
        let past = (row - self.rows.start) * self.stride + (column - self.columns.start);
        let first = Self {
            rows: self.rows.start..if by_rows { row } else { self.rows.end },
            columns: self.columns.start..if by_rows { self.columns.end } else { column },
            ..self
        };
        let second = Self {
            // An empty window may start past the elements.
            start: self.start.wrapping_add(past),
            rows: row..self.rows.end,
            columns: column..self.columns.end,
            ..self
        };
        (first, second)
    }

    /// Where the window's first element is.
    pub(crate) fn start(&mut self) -> *mut E {
        self.start
    }

    /// Elements from a row to the next one.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Where an element of the window is; row and column count in the whole result. It can be written for as
    /// long as the window lives, and so can the rest of the window's row, and what lies below it in the
    /// window.
    pub(super) fn place(&mut self, row: usize, column: usize) -> *mut E {
        debug_assert!(self.rows.contains(&row) && self.columns.contains(&column));
        self.start.wrapping_add((row - self.rows.start) * self.stride + (column - self.columns.start))
    }

    /// A part of the window.
    pub(super) fn part(&mut self, rows: Range<usize>, columns: Range<usize>) -> Output<'_, E> {
        let inside = |inner: &Range<usize>, outer: &Range<usize>| {
            outer.start <= inner.start && inner.start <= inner.end && inner.end <= outer.end
        };
        assert!(inside(&rows, &self.rows), "rows {rows:?} of {:?}", self.rows);
        assert!(inside(&columns, &self.columns), "columns {columns:?} of {:?}", self.columns);
        let past = (rows.start - self.rows.start) * self.stride + (columns.start - self.columns.start);
        Output {
            start: self.start.wrapping_add(past),
            stride: self.stride,
            rows,
            columns,
            owner: PhantomData,
        }
    }

    /// Elements of the window that are one after another in a row. It must have them.
    pub fn run(&mut self, row: usize, columns: Range<usize>) -> &mut [E] {
        assert!(self.rows.contains(&row), "row {row} of {:?}", self.rows);
        assert!(self.columns.start <= columns.start && columns.start <= columns.end);
        assert!(columns.end <= self.columns.end, "columns {columns:?} of {:?}", self.columns);
        let start = self
            .start
            .wrapping_add((row - self.rows.start) * self.stride + (columns.start - self.columns.start));
        #[expect(unsafe_code, reason = "a part of the slice that was borrowed")]
        // SAFETY: they are in the window by the assertions, so in the slice; nothing else reaches them while
        // the window is borrowed.
        unsafe {
            std::slice::from_raw_parts_mut(start, columns.len())
        }
    }
}
