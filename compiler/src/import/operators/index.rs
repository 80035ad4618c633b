//! Operators on indices: what they name, count and sort.

use std::cmp::Ordering;

use bytes::Bytes;
use dnn_lib::operator::{self as op, Operator, Update};
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use super::sized;
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// The axis is an input.
pub(super) fn cumulative(
    call: &mut Call<'_>,
    operator: fn(i64, bool, bool) -> Operator,
) -> Result<Vec<TensorId>, NodeError> {
    let (exclusive, reverse) = (call.flag("exclusive", false)?, call.flag("reverse", false)?);
    let axis = call.constant_int(1, "the axis decides which elements are combined")?;
    let input = call.input(0)?;
    call.apply_to(operator(axis, exclusive, reverse), &[input])
}

pub(super) fn einsum(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let equation = call.string("equation")?;
    let equation = equation.ok_or(NodeError::MissingAttribute { attribute: "equation" })?;
    call.apply(op::Einsum { equation })
}

pub(super) fn one_hot(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let axis = call.int("axis")?.unwrap_or(-1);
    let depth = call.constant_numbers(1, "it decides the shape of the output")?;
    let &[(depth, _)] = &depth[..] else {
        return Err(value_error("depth", &format!("{} numbers", depth.len()), "one"));
    };
    if depth < 0.0 {
        return Err(value_error("depth", &depth, "numbers from 0"));
    }
    let (indices, values) = (call.input(0)?, call.input(2)?);
    call.apply_to(op::OneHot { axis, depth: depth as u64 }, &[indices, values])
}

pub(super) fn reverse_sequence(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let axis = |call: &Call<'_>, name, default| match call.node.attributes.contains_key(name) {
        true => call.size(name),
        false => Ok(default),
    };
    let (batch_axis, time_axis) = (axis(call, "batch_axis", 1)?, axis(call, "time_axis", 0)?);
    call.apply(op::ReverseSequence { batch_axis, time_axis })
}

/// What an update does to an element.
pub(super) fn update(call: &Call<'_>) -> Result<Update, NodeError> {
    match call.string("reduction")?.as_deref() {
        None | Some("none") => Ok(Update::Replace),
        Some("add") => Ok(Update::Add),
        Some("mul") => Ok(Update::Mul),
        Some("max") => Ok(Update::Max),
        Some("min") => Ok(Update::Min),
        Some(found) => Err(value_error("reduction", &found, "none, add, mul, max, min")),
    }
}

pub(super) fn scatter_elements(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (axis, update) = (call.int("axis")?.unwrap_or(0), update(call)?);
    call.apply(op::ScatterElements { axis, update })
}

pub(super) fn tensor_scatter(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let circular = match call.string("mode")?.as_deref() {
        None | Some("linear") => false,
        Some("circular") => true,
        Some(found) => return Err(value_error("mode", &found, "linear, circular")),
    };
    let axis = call.int("axis")?.unwrap_or(-2);
    call.apply(op::TensorScatter { axis, circular })
}

/// Only the shape of the input counts, so it is a constant: a tensor of ones, of which two triangles are
/// left.
pub(super) fn eye_like(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let ty = call.ty(call.input(0)?).clone();
    let dtype = call.element_type("dtype")?.unwrap_or(ty.dtype);
    let k = call.int("k")?.unwrap_or(0);
    let one = one(call, "one", dtype);
    let ones = call.step("ones", op::Expand { shape: ty.shape }, &[one])?;
    let diagonal = call.constant("k", TensorType::new(DType::I64, []), Bytes::from_owner(k.to_le_bytes()));
    let upper = call.step("upper", op::Trilu { upper: true }, &[ones, diagonal])?;
    call.apply_to(op::Trilu { upper: false }, &[upper, diagonal])
}

/// The number 1.
pub(super) fn one(call: &mut Call<'_>, what: &str, dtype: DType) -> TensorId {
    let bits: u64 = match dtype {
        DType::F32 => 1f32.to_bits().into(),
        DType::F64 => 1f64.to_bits(),
        DType::F16 => 0x3c00,
        DType::BF16 => 0x3f80,
        _ => 1,
    };
    let bytes = bits.to_le_bytes()[..dtype.size() as usize].to_vec();
    call.constant(what, TensorType::new(dtype, []), bytes.into())
}

/// The number is an attribute or, since opset 10, an input. Elements are always sorted.
pub(super) fn top_k(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (axis, largest) = (call.int("axis")?.unwrap_or(-1), call.flag("largest", true)?);
    call.flag("sorted", true)?;
    let count = match call.optional(1) {
        Some(_) => call.constant_int(1, "it decides the shape of the output")?,
        None => call.int("k")?.ok_or(NodeError::MissingAttribute { attribute: "k" })?,
    };
    let count = u64::try_from(count).map_err(|_| value_error("k", &count, "numbers from 0"))?;
    let input = call.input(0)?;
    let shape = &call.tensor(input).ty.shape;
    let place = if axis < 0 { axis + shape.len() as i64 } else { axis };
    let size = usize::try_from(place).ok().and_then(|place| shape.get(place).copied()).unwrap_or(0);
    let name = call.node.outputs.get(1).cloned().unwrap_or_default();
    let indices = if size > COMPARED && count <= size && count > 0 {
        let places = sorted(call, axis, largest, size, count)?;
        let first =
            op::Slice { axes: Some(vec![axis]), starts: vec![0], ends: vec![count as i64], steps: vec![1] };
        call.import.apply(&call.label, first, &[places], &[name])?
    } else {
        let ranks = call.step("ranks", op::Rank { axis, largest }, &[input])?;
        call.import.apply(&call.label, op::ByRank { axis, count }, &[ranks], &[name])?
    };
    let values = call.apply_to(op::GatherElements { axis }, &[input, indices[0]])?;
    Ok([values, indices].concat())
}

/// Up to this size, comparing each element of an axis with all is quicker than sorting.
const COMPARED: u64 = 256;

/// The places of the first `count` elements in order along an axis, and perhaps of some more: blocks of places
/// are merged, from one place on, and no block keeps more than can be asked for.
fn sorted(
    call: &mut Call<'_>,
    axis: i64,
    largest: bool,
    size: u64,
    count: u64,
) -> Result<TensorId, NodeError> {
    let (mut inputs, mut width, mut left) = (vec![call.input(0)?], 1, size);
    let most = count.next_power_of_two();
    for number in 0.. {
        let merge = op::Merge { axis, largest, width, kept: most.min(2 * width) };
        let places = call.step(&format!("merged{number}"), merge, &inputs)?;
        inputs.truncate(1);
        inputs.push(places);
        (width, left) = (merge.kept, merge.left(left));
        if left <= width {
            break;
        }
    }
    Ok(inputs[1])
}

/// The slices that a condition names. If that isn't known, their number is a count.
pub(super) fn compress(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    if call.tensor(call.input(1)?).value.is_none() {
        return sized::compress(call);
    }
    let chosen = call.constant_bools(1, "it decides the shape of the output")?;
    let places = (0i64..).zip(&chosen).filter(|(_, chosen)| **chosen).map(|(place, _)| place);
    let places: Vec<i64> = places.collect();
    let indices = call.constant_list("places", &places);
    let mut input = call.input(0)?;
    let axis = call.int("axis")?;
    if axis.is_none() {
        let flat = op::Reshape { shape: vec![-1], allow_zero: false };
        input = call.step("flat", flat, &[input])?;
    }
    call.apply_to(op::Gather { axis: axis.unwrap_or(0) }, &[input, indices])
}

/// The places of the elements that are not 0. If they aren't known, their number is a count.
pub(super) fn non_zero(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    if call.tensor(call.input(0)?).value.is_none() {
        return sized::non_zero(call);
    }
    let chosen = call.constant_bools(0, "its elements decide the shape of the output")?;
    let shape = call.ty(call.input(0)?).shape.clone();
    let mut places = vec![Vec::new(); shape.len()];
    for (number, _) in (0u64..).zip(&chosen).filter(|(_, chosen)| **chosen) {
        let mut rest = number;
        for (axis, &size) in shape.iter().enumerate().rev() {
            places[axis].push((rest % size).cast_signed());
            rest /= size;
        }
    }
    let count = places.first().map_or(0, Vec::len) as u64;
    let bytes: Bytes = places.concat().iter().flat_map(|place| place.to_le_bytes()).collect();
    let ty = TensorType::new(DType::I64, [shape.len() as u64, count]);
    Ok(vec![call.constant("places", ty, bytes)])
}

/// The different elements or slices, with where they are and how often. If they aren't known, their number is a
/// count.
pub(super) fn unique(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    if call.tensor(call.input(0)?).value.is_none() {
        return sized::unique(call);
    }
    let numbers = call.constant_numbers(0, "its elements decide the shape of the output")?;
    let (sorted, axis, input) = (call.flag("sorted", true)?, call.int("axis")?, call.input(0)?);
    let shape = call.ty(input).shape.clone();
    let rank = shape.len() as i64;
    let place = axis.map(|axis| if axis < 0 { axis + rank } else { axis });
    if place.is_some_and(|place| !(0..rank).contains(&place)) {
        return Err(value_error("axis", &axis.unwrap_or(0), &format!("axes of a tensor of rank {rank}")));
    }
    // What is between neighbours along the axis, and how many of them there are.
    let place = place.map(|place| place as usize);
    let count = place.map_or(numbers.len(), |place| shape[place] as usize);
    let inner = place.map_or(1, |place| shape[place + 1..].iter().product::<u64>() as usize);
    let mut slices = vec![Vec::new(); count];
    for (place, number) in numbers.into_iter().enumerate() {
        slices[place / inner % count].push(number);
    }
    let compare = |a: usize, b: usize| {
        let order = |(x, y): (&Number, &Number)| match (x.1, y.1) {
            (Some(x), Some(y)) => x.cmp(&y),
            // All NaNs are the same, and go last.
            _ => x.0.partial_cmp(&y.0).unwrap_or_else(|| x.0.is_nan().cmp(&y.0.is_nan())),
        };
        slices[a].iter().zip(&slices[b]).map(order).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| compare(a, b).then(a.cmp(&b)));
    // Each group of equal ones, in ascending order.
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for index in order {
        match groups.last_mut() {
            Some(group) if compare(group[0], index).is_eq() => group.push(index),
            _ => groups.push(vec![index]),
        }
    }
    if !sorted {
        groups.sort_by_key(|group| group[0]);
    }
    let mut inverse = vec![0; count];
    for (number, group) in (0i64..).zip(&groups) {
        group.iter().for_each(|&index| inverse[index] = number);
    }
    let first: Vec<i64> = groups.iter().map(|group| group[0] as i64).collect();
    let counts: Vec<i64> = groups.iter().map(|group| group.len() as i64).collect();
    let indices = call.constant_list("indices", &first);
    let lists = [indices, call.constant_list("inverse", &inverse), call.constant_list("counts", &counts)];
    let mut whole = input;
    if axis.is_none() {
        whole = call.step("flat", op::Reshape { shape: vec![-1], allow_zero: false }, &[input])?;
    }
    let values = call.apply_to(op::Gather { axis: axis.unwrap_or(0) }, &[whole, indices])?;
    Ok([values, lists.to_vec()].concat())
}

/// A number, and what it is exactly if it is an integer.
type Number = (f64, Option<i128>);
