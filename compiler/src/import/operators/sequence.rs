//! Operators on sequences and optional values, which are resolved while the model is imported.

use dnn_lib::operator as op;
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};
use crate::import::others::Other;

/// The operators that take what is no tensor.
pub(super) const TAKE_OTHERS: &[&str] = &[
    "ConcatFromSequence",
    "Identity",
    "Loop",
    "Optional",
    "OptionalGetElement",
    "OptionalHasElement",
    "SequenceAt",
    "SequenceErase",
    "SequenceInsert",
    "SequenceLength",
    "SequenceMap",
];

/// Why a place must be known.
const PLACE: &str = "how long a sequence is, and what is where in it, is decided at compile time";

/// The tensors of the sequence that is an input.
fn tensors(call: &Call<'_>, index: usize) -> Result<Vec<TensorId>, NodeError> {
    let id = call.input(index)?;
    match call.import.other(id) {
        Some(Other::Sequence(tensors)) => Ok(tensors.clone()),
        other => {
            let found = other.map_or("a tensor", Other::description);
            Err(call.import.kind(index, id, found, "a sequence"))
        }
    }
}

/// A sequence as output 0.
fn sequence(call: &mut Call<'_>, tensors: Vec<TensorId>) -> Vec<TensorId> {
    let name = call.node.outputs.first().cloned().unwrap_or_default();
    vec![call.import.stand_for(&name, Other::Sequence(tensors))]
}

/// The place that an input names among so many; a negative one counts from the end.
fn place(call: &Call<'_>, index: usize, count: usize) -> Result<usize, NodeError> {
    if count == 0 {
        return Err(call.input_error(0, "empty", "sequences with elements"));
    }
    let number = call.constant_int(index, PLACE)?;
    let found = if number < 0 { number.saturating_add(count as i64) } else { number };
    let found = usize::try_from(found).ok().filter(|&found| found < count);
    found.ok_or_else(|| {
        let length = count as i64;
        call.input_error(index, number, format!("{} to {}", -length, length - 1))
    })
}

pub(super) fn identity(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let id = call.input(0)?;
    if call.import.other(id).is_some() { Ok(vec![id]) } else { call.apply(op::Identity) }
}

/// What is there is itself.
pub(super) fn optional(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    if call.optional(0).is_some() {
        return identity(call);
    }
    let name = call.node.outputs.first().cloned().unwrap_or_default();
    Ok(vec![call.import.stand_for(&name, Other::Absent)])
}

pub(super) fn get_element(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let id = call.input(0)?;
    match call.import.other(id) {
        Some(absent @ Other::Absent) => {
            Err(call.import.kind(0, id, absent.description(), "something that is there"))
        }
        _ => identity(call),
    }
}

pub(super) fn has_element(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let has = call.optional(0).is_some_and(|id| call.import.other(id) != Some(&Other::Absent));
    let name = call.node.outputs.first().cloned().unwrap_or_default();
    Ok(vec![call.import.boolean(&name, has)])
}

pub(super) fn construct(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let all = call.all()?;
    Ok(sequence(call, all))
}

pub(super) fn empty(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    Ok(sequence(call, Vec::new()))
}

/// A place that isn't known takes its tensor in the run, if all have the same type. One out of range takes the
/// nearest.
pub(super) fn at(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (all, number) = (tensors(call, 0)?, call.input(1)?);
    call.import.tensors_only(&[number])?;
    let alike = all.windows(2).all(|pair| call.ty(pair[0]) == call.ty(pair[1]));
    if call.tensor(number).value.is_none() && alike && !all.is_empty() {
        let label = call.label.clone();
        let rows = call.import.joined(&label, all, false)?;
        let scalar = op::Reshape { shape: Vec::new(), allow_zero: true };
        let number = call.step("position", scalar, &[number])?;
        return call.apply_to(op::Gather { axis: 0 }, &[rows, number]);
    }
    let place = place(call, 1, all.len())?;
    Ok(vec![all[place]])
}

pub(super) fn erase(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let mut all = tensors(call, 0)?;
    let place = match call.optional(1) {
        Some(_) => place(call, 1, all.len())?,
        None => {
            all.len().checked_sub(1).ok_or_else(|| call.input_error(0, "empty", "sequences with elements"))?
        }
    };
    all.remove(place);
    Ok(sequence(call, all))
}

/// Without a place, it goes to the end, which can be named too.
pub(super) fn insert(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (mut all, tensor) = (tensors(call, 0)?, call.input(1)?);
    call.import.tensors_only(&[tensor])?;
    let length = all.len() as i64;
    let number = if call.optional(2).is_some() { call.constant_int(2, PLACE)? } else { length };
    let place = if number < 0 { number.saturating_add(length) } else { number };
    let place = usize::try_from(place).ok().filter(|&place| place <= all.len());
    let place = place.ok_or_else(|| call.input_error(2, number, format!("{} to {length}", -length)))?;
    all.insert(place, tensor);
    Ok(sequence(call, all))
}

pub(super) fn length(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let length = tensors(call, 0)?.len() as i64;
    let name = call.node.outputs.first().cloned().unwrap_or_default();
    Ok(vec![call.import.integers(&name, &[], &[length])])
}

pub(super) fn concat(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let axis = call.int("axis")?.ok_or(NodeError::MissingAttribute { attribute: "axis" })?;
    let mut all = tensors(call, 0)?;
    if all.is_empty() {
        return Err(call.input_error(0, "empty", "sequences with elements"));
    }
    if call.flag("new_axis", false)? {
        let rows = all.iter().map(|&id| call.step("row", op::Unsqueeze { axes: vec![axis] }, &[id]));
        all = rows.collect::<Result<_, _>>()?;
    }
    call.apply_to(op::Concat { axis }, &all)
}

/// Into parts of one element, of so many, or of given sizes.
pub(super) fn split(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (input, axis, keep) = (call.input(0)?, call.int("axis")?.unwrap_or(0), call.flag("keepdims", true)?);
    let shape = call.ty(input).shape.clone();
    let rank = shape.len() as i64;
    let place = usize::try_from(if axis < 0 { axis.saturating_add(rank) } else { axis }).ok();
    let size = place.and_then(|place| shape.get(place).copied());
    let size = size.ok_or_else(|| value_error("axis", &axis, &format!("{} to {}", -rank, rank - 1)))?;
    let given = call.optional(1);
    let sizes = match given {
        None => vec![1; usize::try_from(size).unwrap_or(usize::MAX).min(MOST_PARTS)],
        Some(id) => {
            let sizes = call.constant_sizes(1, PLACE)?;
            match (&sizes[..], call.ty(id).shape.is_empty()) {
                (&[part], true) if part > 0 && size / part < MOST_PARTS as u64 => {
                    let whole = vec![part; (size / part) as usize];
                    whole.into_iter().chain([size % part].into_iter().filter(|&rest| rest > 0)).collect()
                }
                (_, true) => return Err(call.input_error(1, format!("{sizes:?}"), "numbers from 1")),
                (_, false) => sizes,
            }
        }
    };
    if sizes.len() >= MOST_PARTS {
        return Err(call.input_error(
            0,
            format!("split into {size} parts"),
            format!("less than {MOST_PARTS}"),
        ));
    }
    let name = call.node.outputs.first().cloned().unwrap_or_default();
    let names: Vec<String> =
        (0..sizes.len()).map(|index| crate::import::others::element_name(&name, index)).collect();
    let label = call.label.clone();
    let mut parts = call.import.apply(&label, op::Split { axis, sizes }, &[input], &names)?;
    if given.is_none() && !keep {
        let squeezed =
            parts.iter().map(|&id| call.step("part", op::Squeeze { axes: Some(vec![axis]) }, &[id]));
        parts = squeezed.collect::<Result<_, _>>()?;
    }
    Ok(sequence(call, parts))
}

/// The most parts of a sequence that a tensor is split into.
const MOST_PARTS: usize = 1 << 16;

/// The body once for each element; what is no sequence is given to all.
pub(super) fn map(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (body, label) = (call.graph("body")?, call.label.clone());
    let first = tensors(call, 0)?;
    let inputs = call.all()?;
    let mut results = vec![Vec::new(); body.outputs.len()];
    for place in 0..first.len() {
        let element = |&id: &TensorId| match call.import.other(id) {
            Some(Other::Sequence(tensors)) => tensors.get(place).copied(),
            _ => Some(id),
        };
        let given: Option<Vec<TensorId>> = inputs.iter().map(element).collect();
        let given = given.ok_or_else(|| {
            let supported = format!("sequences of {} elements, as the first one", first.len());
            value_error("inputs", &"of different lengths", &supported)
        })?;
        let given: Vec<Option<TensorId>> = given.into_iter().map(Some).collect();
        let outputs = call.import.inside(&label, body, &given)?;
        call.import.tensors_only(&outputs)?;
        results.iter_mut().zip(outputs).for_each(|(results, output)| results.push(output));
    }
    let names = call.node.outputs.iter().map(String::as_str).chain(std::iter::repeat(""));
    let named = results.into_iter().zip(names);
    Ok(named.map(|(tensors, name)| call.import.stand_for(name, Other::Sequence(tensors))).collect())
}
