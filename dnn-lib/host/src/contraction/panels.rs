//! The right factor, laid out as the micro-kernel reads it.

use crate::contraction::element::Element;
use crate::contraction::matrix::Matrix;
use crate::contraction::tile::{Shape, WIDTH};
use crate::isa::Isa;
use std::ops::Range;

/// A right factor of `depth` rows, laid out for a set of vector instructions: panels of as many columns as
/// `WIDTH` registers hold, each panel row by row. The last panel is one register wide if that is enough;
/// columns that are missing in it are zeros, whose sums nobody reads.
///
/// Pack a weight once, when a model is loaded.
#[derive(Debug)]
pub struct Panels<E> {
    isa: Isa,
    shape: Shape,
    depth: usize,
    columns: usize,
    elements: Aligned<E>,
}

impl<E: Element> Panels<E> {
    /// Packs a matrix of `depth` rows, from any strides.
    #[must_use]
    pub fn pack(isa: Isa, matrix: &Matrix<'_, E>) -> Self {
        let mut panels = Self::empty(isa);
        panels.fill(matrix, 0..matrix.rows(), 0..matrix.columns());
        panels
    }

    /// Packs the elements that a function gives for a row and a column.
    #[must_use]
    pub fn from_fn(isa: Isa, depth: usize, columns: usize, element: impl Fn(usize, usize) -> E) -> Self {
        let mut panels = Self::empty(isa);
        panels.resize(depth, columns);
        for panel in 0..panels.count() {
            let range = panels.range(panel);
            let width = panels.width(panel) * panels.shape.lanes;
            for (k, row) in panels.panel_mut(panel).chunks_exact_mut(width).enumerate() {
                for (to, column) in row.iter_mut().zip(range.clone()) {
                    *to = element(k, column);
                }
            }
        }
        panels
    }

    /// Nothing yet; to be filled again and again.
    pub(super) fn empty(isa: Isa) -> Self {
        Self { isa, shape: Shape::of::<E>(isa), depth: 0, columns: 0, elements: Aligned::new() }
    }

    /// Packs a part of a matrix.
    pub(super) fn fill(&mut self, matrix: &Matrix<'_, E>, rows: Range<usize>, columns: Range<usize>) {
        self.resize(rows.len(), columns.len());
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        let [row_stride, column_stride] = matrix.strides();
        for panel in 0..self.count() {
            let range = self.range(panel);
            let width = self.width(panel) * self.shape.lanes;
            let from = matrix.from(rows.start, columns.start + range.start);
            let to = self.panel_mut(panel);
            if column_stride == 1 {
                for (k, row) in to.chunks_exact_mut(width).enumerate() {
                    row[..range.len()].copy_from_slice(&from[k * row_stride..][..range.len()]);
                }
            } else {
                for lane in 0..range.len() {
                    let from = &from[lane * column_stride..];
                    for (k, row) in to.chunks_exact_mut(width).enumerate() {
                        row[lane] = from[k * row_stride];
                    }
                }
            }
        }
    }

    fn resize(&mut self, depth: usize, columns: usize) {
        let registers = columns.div_ceil(self.shape.lanes);
        self.elements.resize(registers * self.shape.lanes * depth);
        (self.depth, self.columns) = (depth, columns);
        if let Some(last) = self.count().checked_sub(1) {
            // What an earlier filling left there must not stay: it would be read, and could be slow.
            let (range, width) = (self.range(last), self.width(last) * self.shape.lanes);
            if range.len() < width {
                for row in self.panel_mut(last).chunks_exact_mut(width) {
                    row[range.len()..].fill(E::ZERO);
                }
            }
        }
    }

    /// The set of vector instructions that it is laid out for.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Its rows: products of a sum.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// How many columns it has.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// How many panels there are.
    pub(super) fn count(&self) -> usize {
        self.columns.div_ceil(self.shape.panel())
    }

    /// The columns that a panel holds.
    pub(super) fn range(&self, panel: usize) -> Range<usize> {
        let start = panel * self.shape.panel();
        start..(start + self.shape.panel()).min(self.columns)
    }

    /// Registers across a panel.
    pub(super) fn width(&self, panel: usize) -> usize {
        if self.range(panel).len() > self.shape.lanes { WIDTH } else { 1 }
    }

    /// Elements from a full panel to the next one.
    pub(super) fn stride(&self) -> usize {
        self.depth * self.shape.panel()
    }

    /// A panel's elements: `depth` rows of `width` registers.
    pub(super) fn panel(&self, panel: usize) -> &[E] {
        let start = panel * self.stride();
        &self.elements.get()[start..start + self.depth * self.width(panel) * self.shape.lanes]
    }

    fn panel_mut(&mut self, panel: usize) -> &mut [E] {
        let start = panel * self.stride();
        let end = start + self.depth * self.width(panel) * self.shape.lanes;
        &mut self.elements.get_mut()[start..end]
    }
}

/// Elements that start at a line of the cache.
#[derive(Debug)]
pub(super) struct Aligned<E> {
    elements: Vec<E>,
    start: usize,
    length: usize,
}

const LINE: usize = 64;

impl<E: Element> Aligned<E> {
    pub fn new() -> Self {
        Self { elements: Vec::new(), start: 0, length: 0 }
    }

    /// Makes it hold `length` elements; which ones is not said.
    pub fn resize(&mut self, length: usize) {
        let spare = LINE / size_of::<E>();
        if self.elements.len() < length + spare {
            self.elements.clear();
            self.elements.resize(length + spare, E::ZERO);
            // Where no answer is given, it is only slower.
            self.start = self.elements.as_ptr().align_offset(LINE).min(spare);
        }
        self.length = length;
    }

    pub fn get(&self) -> &[E] {
        &self.elements[self.start..self.start + self.length]
    }

    pub fn get_mut(&mut self) -> &mut [E] {
        &mut self.elements[self.start..self.start + self.length]
    }
}
