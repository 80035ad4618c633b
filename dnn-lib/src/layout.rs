//! The layout of tensors: from an index to an address.

use crate::kernel::Ops;
use crate::scalar::Value;

/// A dimension of an iteration: its size, and the distance of its elements in a tensor, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dim {
    /// The number of elements.
    pub size: u64,
    /// The distance between neighbours, in elements; 0 to repeat one element.
    pub stride: u64,
}

/// The strides of a tensor of this shape, in elements.
pub fn strides(shape: &[u64]) -> Vec<u64> {
    let mut strides = vec![1u64; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i].saturating_mul(shape[i]);
    }
    strides
}

/// The dimensions of a tensor of this shape in memory.
pub fn dims(shape: &[u64]) -> Vec<Dim> {
    shape.iter().zip(strides(shape)).map(|(&size, stride)| Dim { size, stride }).collect()
}

/// The shape that two shapes broadcast to, aligned at the right.
pub fn broadcast_shape(a: &[u64], b: &[u64]) -> Option<Vec<u64>> {
    let rank = a.len().max(b.len());
    let size =
        |shape: &[u64], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (a, b) if a == b || b == 1 => Some(a),
            (1, b) => Some(b),
            _ => None,
        })
        .collect()
}

/// The coordinates of step `index` of a row-major iteration over a grid. Dimensions of size 1 give a constant
/// 0.
pub fn coordinates(b: &mut impl Ops, index: Value, grid: &[u64]) -> Vec<Value> {
    let zero = b.i64(0);
    let mut coordinates = vec![zero; grid.len()];
    let outermost = grid.iter().position(|&size| size != 1);
    let mut rest = index;
    for axis in (0..grid.len()).rev().filter(|&axis| grid[axis] != 1) {
        if Some(axis) == outermost {
            coordinates[axis] = rest;
        } else {
            (rest, coordinates[axis]) = b.div_rem(rest, grid[axis].max(1));
        }
    }
    coordinates
}
