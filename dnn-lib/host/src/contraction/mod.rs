//! Sums of products: matrices, convolutions.
//!
//! Every output element starts at +0 and takes its products in ascending order of k (a convolution's are
//! ordered by kernel row, kernel column, channel), by one fused multiply-add each. Sums that are interrupted
//! are stored and go on later; they are never added together. Lanes, tiles, blocks and windows run over
//! outputs. So the bits are those of the plain loop, whatever the set of vector instructions and however
//! outputs are split. NaNs are canonical when they are stored. Products of bytes are added four at a time, modulo
//! 2^32, where any order is the same.
//!
//! The micro-kernel is in `tile`: one text for all sets. What is around it is plain code that brings
//! factors into the layout that it reads.

mod convolution;
mod element;
mod finish;
mod geometry;
mod matmul;
mod matrix;
mod panels;
mod shallow;
#[cfg(test)]
mod tests;
mod tile;
mod turn;
mod vector;

pub use convolution::Convolution;
pub use element::{Element, Quad};
pub use finish::{Finish, MOST_ADDENDS};
pub use geometry::Geometry;
pub use matmul::{multiply, multiply_unpacked};
pub use matrix::{Matrix, Output};
pub use panels::Panels;
pub(crate) use turn::{Place, turn};

/// What is done to finished elements while they are in the cache: it gets them as a window of the result.
pub type Epilogue<'a, E> = &'a mut dyn FnMut(Output<'_, E>);

/// Why a contraction isn't computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A matrix isn't inside its elements.
    #[error("{rows} rows and {columns} columns with strides {strides:?} don't fit into {elements} elements")]
    Outside {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
        /// Elements from a row to the next one, and from a column to the next one.
        strides: [usize; 2],
        /// How many elements there are.
        elements: usize,
    },
    /// The factors and the result don't belong together.
    #[error("a result of {out:?} rows and columns can't be part of the product of {left:?} and {right:?}")]
    Mismatch {
        /// Rows and columns of the left factor.
        left: [usize; 2],
        /// Rows and columns of the right factor.
        right: [usize; 2],
        /// Where the rows and columns to be computed end.
        out: [usize; 2],
    },
    /// An addend's columns are further apart than one element.
    #[error("an addend's columns must be 0 or 1 elements apart, not {}", strides[1])]
    Spread {
        /// Elements from a row to the next one, and from a column to the next one.
        strides: [usize; 2],
    },
    /// An addend doesn't cover the result.
    #[error("an addend of {size:?} rows and columns can't be added to a result that ends at {out:?}")]
    Addend {
        /// Its rows and columns.
        size: [usize; 2],
        /// Where the rows and columns to be computed end.
        out: [usize; 2],
    },
    /// A convolution's sizes don't belong together, or are too large.
    #[error("a convolution can't have these sizes: {0:?}")]
    Geometry(Box<Geometry>),
    /// A tensor has another size.
    #[error("{expected} elements are expected, not {elements}")]
    Length {
        /// How many are expected.
        expected: usize,
        /// How many there are.
        elements: usize,
    },
}
