//! Stacks of products of matrices.

use std::ops::Range;

use super::epilogue::Epilogue;
use crate::Isa;
use crate::contraction::{Element, Error, Matrix, Output, Panels, multiply, multiply_unpacked};
use crate::engine::axes::{Axes, Linear};

/// Stacks of matrices.
#[derive(Debug)]
pub(super) struct Matrices {
    pub(super) axes: Axes,
    /// The axes of the stacks.
    pub(super) stack: Vec<usize>,
    /// The axis of rows, and that of columns, if there are several.
    pub(super) row: Option<usize>,
    pub(super) column: Option<usize>,
    /// Rows, products and columns.
    pub(super) sizes: [usize; 3],
    /// The offsets of elements.
    pub(super) left: Linear,
    pub(super) right: Linear,
    pub(super) output: Linear,
    /// From row to row and from product to product.
    pub(super) left_strides: [usize; 2],
    /// From product to product and from column to column.
    pub(super) right_strides: [usize; 2],
    pub(super) row_stride: usize,
}

/// The factors of stacks of matrices.
pub(super) struct Factors<'a, E> {
    pub(super) isa: Isa,
    pub(super) left: *const E,
    pub(super) right: *const E,
    pub(super) packed: Option<&'a [Panels<E>]>,
}

impl Matrices {
    /// The axes of the stack along which there are several matrices on the right.
    fn right_stack(&self) -> impl Iterator<Item = usize> {
        self.stack.iter().copied().filter(|&axis| self.right.factor(axis) != 0)
    }

    /// Which of the matrices on the right belongs to some indices.
    pub(super) fn right_number(&self, indices: &[i64]) -> usize {
        let next =
            |number: usize, axis: usize| number * self.axes.sizes[axis] as usize + indices[axis] as usize;
        self.right_stack().fold(0, next)
    }

    /// Whether the matrices on the right have no more elements than there are of the tensor.
    pub(super) fn copies(&self, elements: usize) -> bool {
        let copies = self.right_stack().map(|axis| self.axes.sizes[axis] as usize);
        let all = copies.fold(self.sizes[1].saturating_mul(self.sizes[2]), usize::saturating_mul);
        all <= elements
    }

    /// The offsets of the matrices on the right.
    pub(super) fn right_places(&self) -> Vec<i64> {
        let mut places = vec![self.right.constant];
        for axis in self.right_stack() {
            let factor = self.right.factor(axis);
            let along =
                |place: i64| (0..self.axes.sizes[axis] as i64).map(move |index| place + factor * index);
            places = places.into_iter().flat_map(along).collect();
        }
        places
    }

    /// Computes a box, by ranges of joined axes.
    ///
    /// # Safety
    ///
    /// The factors and the output are there, and nothing else accesses the box meanwhile.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    pub(super) unsafe fn run<E: Element>(
        &self,
        factors: &Factors<'_, E>,
        epilogue: &mut Epilogue<'_, E>,
        ranges: &[Range<u64>],
    ) -> Result<(), Error> {
        let along = |axis: Option<usize>| {
            axis.map_or(0..1, |axis| ranges[axis].start as usize..ranges[axis].end as usize)
        };
        let (rows, columns) = (along(self.row), along(self.column));
        let [height, depth, width] = self.sizes;
        each_index(&self.stack, ranges, self.axes.sizes.len(), |indices| {
            let at = self.left.at(indices) as usize;
            let length = (height - 1) * self.left_strides[0] + (depth - 1) * self.left_strides[1] + 1;
            // SAFETY: All elements of the matrix are loaded by the definition, so they are in the tensor, and
            // so is what is between them. Nothing writes to it.
            let left = unsafe { std::slice::from_raw_parts(factors.left.add(at), length) };
            let left = Matrix::new(left, [height, depth], self.left_strides)?;
            let mut places = indices.to_vec();
            self.row.into_iter().for_each(|row| places[row] = rows.start as i64);
            self.column.into_iter().for_each(|column| places[column] = columns.start as i64);
            let start = epilogue.sums.wrapping_offset(self.output.at(&places) as isize);
            // SAFETY: Rows and columns are in the box, and nothing else accesses it.
            let out = unsafe { Output::from_raw(start, self.row_stride, rows.clone(), columns.clone()) };
            // SAFETY: That of the caller.
            let finish = unsafe { epilogue.finish(indices, [height, width]) }?;
            let mut then = |sums: Output<'_, E>| epilogue.run(sums);
            if let Some(panels) = factors.packed {
                return multiply(&left, &panels[self.right_number(indices)], out, &finish, &mut then);
            }
            let at = self.right.at(indices) as usize;
            let length = (depth - 1) * self.right_strides[0] + (width - 1) * self.right_strides[1] + 1;
            // SAFETY: As for the left factor.
            let right = unsafe { std::slice::from_raw_parts(factors.right.add(at), length) };
            let right = Matrix::new(right, [depth, width], self.right_strides)?;
            multiply_unpacked(factors.isa, &left, &right, out, &finish, &mut then)
        })
    }
}

/// Calls a function at each index of some axes in their ranges; other axes have index 0.
pub(super) fn each_index<R>(
    axes: &[usize],
    ranges: &[Range<u64>],
    count: usize,
    mut each: impl FnMut(&[i64]) -> Result<(), R>,
) -> Result<(), R> {
    let mut indices = vec![0i64; count];
    axes.iter().for_each(|&axis| indices[axis] = ranges[axis].start as i64);
    loop {
        each(&indices)?;
        let next = axes.iter().rev().find(|&&axis| {
            indices[axis] += 1;
            let inside = (indices[axis] as u64) < ranges[axis].end;
            if !inside {
                indices[axis] = ranges[axis].start as i64;
            }
            inside
        });
        if next.is_none() {
            return Ok(());
        }
    }
}
