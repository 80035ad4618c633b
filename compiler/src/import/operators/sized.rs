//! Operators whose data decide how large the output is: it is as large as it can be, with a count.

use dnn_lib::operator::{self as op, Operator, Update};
use dnn_lib::tensor::DType;
use graph::TensorId;

use crate::error::NodeError;
use crate::import::bounds::Bounded;
use crate::import::call::{Call, value_error};

/// A tensor as a list of its elements.
fn flat(call: &mut Call<'_>, input: TensorId) -> Result<TensorId, NodeError> {
    call.step("flat", op::Reshape { shape: vec![-1], allow_zero: false }, &[input])
}

/// Where a list of booleans is true.
fn places(call: &mut Call<'_>, mask: TensorId) -> Result<(TensorId, Bounded), NodeError> {
    let label = call.label.clone();
    call.import.places(&format!("{label}.places"), mask)
}

/// A step with a number.
pub(super) fn with(
    call: &mut Call<'_>,
    what: &str,
    operator: impl Into<Operator>,
    x: TensorId,
    number: u64,
) -> Result<TensorId, NodeError> {
    let number = call.import.integers(&format!("{}.{what}", call.label), &[], &[number.cast_signed()]);
    call.step(what, operator, &[x, number])
}

/// The places are cut into an index for each axis.
pub(super) fn non_zero(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let input = call.input(0)?;
    let shape = call.ty(input).shape.clone();
    if shape.is_empty() {
        return Err(NodeError::InputShape {
            index: 0,
            tensor: call.tensor(input).name.clone(),
            found: "[]".to_owned(),
            expected: "at least one axis, since a scalar has no indices".to_owned(),
        });
    }
    let mask = call.step("mask", op::Cast { to: DType::Bool }, &[input])?;
    let mask = flat(call, mask)?;
    let (places, _) = places(call, mask)?;
    let mut rows = Vec::new();
    for (axis, &size) in shape.iter().enumerate() {
        let inner: u64 = shape[axis + 1..].iter().product();
        let mut index = places;
        if inner > 1 {
            index = with(call, "quotient", op::Div, index, inner)?;
        }
        if axis > 0 && size > 0 {
            index = with(call, "index", op::Mod { fmod: false }, index, size)?;
        }
        rows.push(call.step("row", op::Unsqueeze { axes: vec![0] }, &[index])?);
    }
    call.apply_to(op::Concat { axis: 0 }, &rows)
}

pub(super) fn compress(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (mut input, mut mask, axis) = (call.input(0)?, call.input(1)?, call.int("axis")?);
    if call.ty(mask).dtype != DType::Bool || call.ty(mask).shape.len() != 1 {
        return Err(call.input_error(1, format!("of type {}", call.ty(mask)), "a list of booleans"));
    }
    if axis.is_none() {
        input = flat(call, input)?;
    }
    let (rank, axis) = (call.ty(input).shape.len() as i64, axis.unwrap_or(0));
    let place = usize::try_from(if axis < 0 { axis.saturating_add(rank) } else { axis }).ok();
    let size = place.and_then(|place| call.ty(input).shape.get(place).copied());
    let size = size.ok_or_else(|| value_error("axis", &axis, &format!("{} to {}", -rank, rank - 1)))?;
    // What the condition says beyond the end is about nothing.
    if call.ty(mask).shape[0] > size {
        let ends = vec![size.cast_signed()];
        let slice = op::Slice { axes: Some(vec![0]), starts: vec![0], ends, steps: vec![1] };
        mask = call.step("mask", slice, &[mask])?;
    }
    let (places, _) = places(call, mask)?;
    call.apply_to(op::Gather { axis }, &[input, places])
}

/// Every element, or slice along the axis, is compared with every other one.
pub(super) fn unique(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (sorted, axis, mut input) = (call.flag("sorted", true)?, call.int("axis")?, call.input(0)?);
    if axis.is_none() {
        input = flat(call, input)?;
    }
    let (shape, axis) = (call.ty(input).shape.clone(), axis.unwrap_or(0));
    let rank = shape.len() as i64;
    if !(-rank..rank).contains(&axis) {
        return Err(value_error("axis", &axis, &format!("axes of a tensor of rank {rank}")));
    }
    if shape.contains(&0) {
        return Err(call.input_error(0, format!("of shape {shape:?}"), "tensors with elements"));
    }
    let place = axis.rem_euclid(rank) as usize;
    let count = shape[place];
    // A matrix with a row for each slice.
    let mut perm: Vec<u64> = (0..rank as u64).filter(|&other| other != place as u64).collect();
    perm.insert(0, place as u64);
    let turned = call.step("turned", op::Transpose { perm: Some(perm) }, &[input])?;
    let matrix = op::Reshape { shape: vec![count.cast_signed(), -1], allow_zero: false };
    let rows = call.step("rows", matrix, &[turned])?;
    let first = call.step("first", op::FirstEqual, &[rows])?;
    let own: Vec<i64> = (0..count.cast_signed()).collect();
    let own = call.constant_list("own", &own);
    let is_first = call.step("isfirst", op::Equal, &[first, own])?;
    let (in_order, bounded) = places(call, is_first)?;
    // The number of each slice's group: by size, or by where it is first.
    let inverse = if sorted {
        call.step("number", op::DifferentBefore, &[rows, first])?
    } else {
        let ones = call.step("ones", op::Cast { to: DType::I64 }, &[is_first])?;
        let label = call.label.clone();
        let running = call.import.running(&label, ones)?;
        let own = call.step("running", op::GatherElements { axis: 0 }, &[running, first])?;
        with(call, "number", op::Sub, own, 1)?
    };
    let most = call.ty(in_order).shape[0];
    // A group's number is that of its first slice; groups that there are not have none.
    let none = call.import.integers("none", &[], &[-1]);
    let numbers = call.step("numbers", op::Where, &[is_first, inverse, none])?;
    let indices = if sorted {
        let found = call.step("found", op::ByRank { axis: 0, count }, &[numbers])?;
        let places = call.constant_list("all", &(0..most.cast_signed()).collect::<Vec<_>>());
        call.step("indices", op::GatherElements { axis: 0 }, &[found, places])?
    } else {
        in_order
    };
    call.import.bind(indices, bounded);
    let zeros = call.constant_list("zeros", &vec![0; most as usize]);
    let ones = call.constant_list("one", &vec![1; count as usize]);
    let scatter = op::ScatterElements { axis: 0, update: Update::Add };
    let counts = call.step("counts", scatter, &[zeros, inverse, ones])?;
    call.import.bind(counts, bounded);
    let values = call.apply_to(op::Gather { axis }, &[input, indices])?;
    Ok([values, vec![indices, inverse, counts]].concat())
}
