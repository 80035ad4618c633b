//! The program itself: plain data that can be built, printed, evaluated and lowered.

use std::ops::Range;

use crate::scalar::{Expr, Type, Value};
use crate::tensor::{DType, TensorType};

/// Statements in their order of execution, and the values that the block passes to the statement that
/// contains it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Block {
    /// The statements.
    pub statements: Vec<Statement>,
    /// The results: of an `If`, its results; of a loop body, the carried values of the next iteration.
    pub yields: Vec<Value>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Statement {
    /// Defines a value.
    Let(Value, Expr),
    /// Reads the element at address `base + offset`; narrow integers are widened to `I32` by their own
    /// signedness, halves to `F32`.
    Load {
        /// The value.
        value: Value,
        /// The type of the element; the value has [`Type::of`] it.
        dtype: DType,
        /// An address.
        base: Value,
        /// A displacement in bytes.
        offset: i32,
    },
    /// Writes an element at address `base + offset`; narrow integers keep their low bits, halves are rounded to
    /// nearest even, a NaN is the canonical one.
    Store {
        /// The type of the element; the value has [`Type::of`] it.
        dtype: DType,
        /// An address.
        base: Value,
        /// A displacement in bytes.
        offset: i32,
        /// The stored value.
        value: Value,
    },
    /// A counted loop: `for index = start; index < end; index += step`, signed `I64`.
    For {
        /// The counter, defined in the body.
        index: Value,
        /// The first index.
        start: Value,
        /// The end of the index, exclusive.
        end: Value,
        /// The increment, which is positive.
        step: i64,
        /// An upper bound for the number of iterations, if one is known without the kernel's arguments.
        bound: Option<u64>,
        /// The initial carried values.
        init: Vec<Value>,
        /// The carried values, defined in the body.
        carried: Vec<Value>,
        /// The body. It yields the next carried values.
        body: Block,
        /// The carried values after the last iteration, defined after the loop.
        results: Vec<Value>,
    },
    /// A branch.
    If {
        /// The condition, a `Bool`.
        condition: Value,
        /// Executed if it holds.
        then: Block,
        /// Executed if it does not.
        otherwise: Block,
        /// The values that the executed block yields, defined after the branch.
        results: Vec<Value>,
    },
}

/// A program that computes a range of units of one output tensor.
///
/// Its parameters are all of type `I64` and are the first values of the kernel, in this order: the address of
/// each input, the address of the output, `lo` and `hi`, where `0 <= lo <= hi <= units`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// What it computes, for people: the operator's name in lower case. Not unique.
    pub name: String,
    /// The tensors it reads.
    pub inputs: Vec<TensorType>,
    /// The tensor it writes.
    pub output: TensorType,
    /// The shape of a unit: the output is cut into boxes of this shape (smaller at the far ends), numbered in
    /// row-major order. It has the rank of the output and no zeros.
    pub tile: Vec<u64>,
    /// The type of every value.
    pub types: Vec<Type>,
    /// The code. The block yields nothing.
    pub body: Block,
}

impl Kernel {
    /// The number of units, which can be computed independently.
    pub fn units(&self) -> u64 {
        self.grid().iter().product()
    }

    /// The number of units along each dimension of the output.
    pub fn grid(&self) -> Vec<u64> {
        self.output.shape.iter().zip(&self.tile).map(|(&size, &tile)| size.div_ceil(tile)).collect()
    }

    /// The box of the output that a unit computes: the range of indices in each dimension.
    pub fn unit(&self, unit: u64) -> Vec<Range<u64>> {
        let mut rest = unit;
        let mut ranges = Vec::with_capacity(self.tile.len());
        for (&size, &tile) in self.output.shape.iter().zip(&self.tile).rev() {
            let count = size.div_ceil(tile).max(1);
            let start = rest % count * tile;
            rest /= count;
            ranges.push(start..(start + tile).min(size));
        }
        ranges.reverse();
        ranges
    }

    /// The type of a value of this kernel.
    pub fn ty(&self, value: Value) -> Type {
        self.types[value.index()]
    }

    /// The number of parameters: the inputs, the output, `lo` and `hi`.
    pub fn params(&self) -> usize {
        self.inputs.len() + 3
    }

    /// The address of an input.
    pub fn input(&self, index: usize) -> Value {
        Value(index as u32)
    }

    /// The address of the output.
    pub fn output_address(&self) -> Value {
        Value(self.inputs.len() as u32)
    }

    /// The first unit to compute.
    pub fn lo(&self) -> Value {
        Value(self.inputs.len() as u32 + 1)
    }

    /// The end of the units to compute, exclusive.
    pub fn hi(&self) -> Value {
        Value(self.inputs.len() as u32 + 2)
    }
}
