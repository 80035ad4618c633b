//! The errors in an operator's inputs and attributes, and small checks that many operators share.

use std::ops::RangeInclusive;

use crate::definition::DefinitionError;
use crate::tensor::{DType, TensorType};

/// Why an operator cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operator}: {problem}")]
pub struct OperatorError {
    /// The operator's name.
    pub operator: &'static str,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with an operator, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The number of inputs is wrong.
    #[error("has {found} inputs, but takes {}", counts(.expected))]
    Inputs {
        /// The number of inputs.
        found: usize,
        /// The numbers that are accepted.
        expected: RangeInclusive<usize>,
    },
    /// The element type of an input is wrong.
    #[error("input {input} is of type {found}, but must be {}", names(.expected))]
    DType {
        /// The index of the input.
        input: usize,
        /// Its element type.
        found: DType,
        /// The allowed types.
        expected: Vec<DType>,
    },
    /// The shape of an input is wrong.
    #[error("input {input} has shape {found:?}, but {expected}")]
    Shape {
        /// The index of the input.
        input: usize,
        /// Its shape.
        found: Vec<u64>,
        /// What would be right, as a clause.
        expected: String,
    },
    /// An attribute is wrong.
    #[error("attribute {name} is {found}, but {expected}")]
    Attribute {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: String,
        /// What would be right, as a clause.
        expected: String,
    },
    /// Two shapes cannot be broadcast together.
    #[error("shapes {a:?} and {b:?} cannot be broadcast: aligned at the right, sizes must be equal or 1")]
    Broadcast {
        /// One shape.
        a: Vec<u64>,
        /// The other.
        b: Vec<u64>,
    },
    /// A tensor is too large.
    #[error("a tensor of type {found} is too large: at most 2^44 bytes are supported")]
    TooLarge {
        /// Its type.
        found: TensorType,
    },
    /// A definition is not valid, which is an error in this library.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
}

fn counts(range: &RangeInclusive<usize>) -> String {
    match (*range.start(), *range.end()) {
        (start, end) if start == end => start.to_string(),
        (start, usize::MAX) => format!("at least {start}"),
        (start, end) => format!("{start} to {end}"),
    }
}

fn names(dtypes: &[DType]) -> String {
    dtypes.iter().map(|dtype| dtype.name()).collect::<Vec<_>>().join(" or ")
}

// Which element types operators accept is decided here, for all of them.

/// The types whose elements are floats. Halves are: they are computed with as `f32`, and rounded
/// where they are stored.
pub(super) const FLOATS: &[DType] = &[DType::F32, DType::F64, DType::F16, DType::BF16];

/// The floats that elementary functions take: those that are computed with as `f32`.
pub(super) const SINGLES: &[DType] = &[DType::F32, DType::F16, DType::BF16];

/// Numbers with a sign.
pub(super) fn signed() -> Vec<DType> {
    [FLOATS, &[DType::I8, DType::I16, DType::I32, DType::I64]].concat()
}

/// Integers.
pub(super) fn integers() -> Vec<DType> {
    numbers().into_iter().filter(|dtype| !FLOATS.contains(dtype)).collect()
}

/// All numbers.
pub(super) fn numbers() -> Vec<DType> {
    comparable().into_iter().filter(|&dtype| dtype != DType::Bool).collect()
}

/// Numbers and truth values. Small floats are computed with after a cast only.
pub(super) fn comparable() -> Vec<DType> {
    movable().into_iter().filter(|dtype| !dtype.is_small_float()).collect()
}

/// The types whose elements kernels can move: those that don't share a byte.
pub(super) fn movable() -> Vec<DType> {
    DType::ALL.into_iter().filter(|dtype| !dtype.is_packed()).collect()
}

/// The types of indices.
pub(super) const INDICES: &[DType] = &[DType::I64, DType::I32];

/// Checks the element type of an input.
pub(super) fn check_dtype(inputs: &[TensorType], input: usize, accepted: &[DType]) -> Result<(), Problem> {
    let found = inputs[input].dtype;
    if accepted.contains(&found) {
        return Ok(());
    }
    Err(Problem::DType { input, found, expected: accepted.to_vec() })
}

/// Checks that a dimension has an element, if one is needed.
pub(super) fn check_not_empty(
    inputs: &[TensorType],
    input: usize,
    axis: usize,
    needed: bool,
) -> Result<(), Problem> {
    check_shape(inputs, input, !needed || inputs[input].shape[axis] > 0, || {
        format!("dimension {axis} must not be empty")
    })
}

/// Checks that all inputs have the same element type, one of those given.
pub(super) fn same_dtype(inputs: &[TensorType], accepted: &[DType]) -> Result<DType, Problem> {
    let dtype = inputs[0].dtype;
    for (input, ty) in inputs.iter().enumerate() {
        let expected = if input == 0 { accepted.to_vec() } else { vec![dtype] };
        if !expected.contains(&ty.dtype) {
            return Err(Problem::DType { input, found: ty.dtype, expected });
        }
    }
    Ok(dtype)
}

/// Checks a property of an input's shape; `expected` is a clause that describes it.
pub(super) fn check_shape(
    inputs: &[TensorType],
    input: usize,
    right: bool,
    expected: impl FnOnce() -> String,
) -> Result<(), Problem> {
    if right {
        return Ok(());
    }
    Err(Problem::Shape { input, found: inputs[input].shape.clone(), expected: expected() })
}

/// Checks a property of an attribute; `expected` is a clause that describes it.
pub(super) fn check_attribute(
    name: &'static str,
    found: impl std::fmt::Debug,
    right: bool,
    expected: impl FnOnce() -> String,
) -> Result<(), Problem> {
    if right {
        return Ok(());
    }
    Err(Problem::Attribute { name, found: format!("{found:?}"), expected: expected() })
}

/// An axis counted from 0. The given one may count from the end.
pub(super) fn resolve_axis(axis: i64, rank: usize) -> Result<usize, Problem> {
    let rank = rank as i64;
    check_attribute("axis", axis, (-rank..rank).contains(&axis), || {
        format!("must be in {}..{rank} for a tensor of rank {rank}", -rank)
    })?;
    Ok(if axis < 0 { axis + rank } else { axis } as usize)
}

/// Axes counted from 0, in ascending order and without duplicates.
pub(super) fn resolve_axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, Problem> {
    let mut resolved = axes.iter().map(|&axis| resolve_axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    resolved.sort_unstable();
    let unique = resolved.windows(2).all(|pair| pair[0] != pair[1]);
    check_attribute("axes", axes, unique, || "no axis may be named twice".to_owned())?;
    Ok(resolved)
}
