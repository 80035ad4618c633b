//! Operators with graphs inside: If, Loop and Scan.

use dnn_lib::operator as op;
use dnn_lib::tensor::DType;
use graph::{BuildError, Region, TensorId};
use onnx::ModelGraph;

use crate::error::NodeError;
use crate::import::Import;
use crate::import::call::{Call, value_error};
use crate::import::repeat::{Cut, MOST_KNOWN, Pass, Repetition, Rows};

/// The attributes of Scan.
pub(super) const SCAN: &[&str] = &[
    "body",
    "directions",
    "num_scan_inputs",
    "scan_input_axes",
    "scan_input_directions",
    "scan_output_axes",
    "scan_output_directions",
];

/// The most repetitions of a loop.
const MOST_TIMES: u64 = 1 << 40;

/// A condition that is known takes its branch, and the other one doesn't matter.
pub(super) fn branch(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let condition = condition(call, 0)?;
    let (label, then, otherwise) =
        (call.label.clone(), call.graph("then_branch")?, call.graph("else_branch")?);
    for (attribute, graph) in [("then_branch", then), ("else_branch", otherwise)] {
        count(attribute, "inputs", graph.inputs.len(), 0..=0)?;
        count(attribute, "outputs", graph.outputs.len(), call.node.outputs.len()..=usize::MAX)?;
    }
    let import = &mut *call.import;
    if let Some(known) = import.truth(condition) {
        return import.inside(&label, if known { then } else { otherwise }, &[]);
    }
    let mut region = |graph: &ModelGraph| {
        let (outside, cuts) = (import.builder.open(), import.cuts.len());
        let outputs = import.inside(&label, graph, &[]);
        let (nodes, cuts) = (import.builder.close(outside), import.cuts.split_off(cuts));
        outputs.map(|outputs| (Region { inputs: Vec::new(), nodes, outputs }, cuts))
    };
    // Both are looked at, whatever is wrong with one.
    let (then, otherwise) = (region(then), region(otherwise));
    let ((mut then, cuts), (mut otherwise, other_cuts)) = (then?, otherwise?);
    // What is in a sequence is given one by one.
    let forms = [&mut then, &mut otherwise].map(|region| {
        let (outputs, form) = import.flattened(&region.outputs);
        region.outputs = outputs;
        form
    });
    let [form, other] = &forms;
    if form != other {
        let why = "its branches give sequences of different lengths, or something and nothing";
        return Err(NodeError::NotConstant { index: 0, tensor: import.tensor(condition).name.clone(), why });
    }
    import.unbounded(&then.outputs)?;
    import.unbounded(&otherwise.outputs)?;
    let pairs = then.outputs.iter().zip(&otherwise.outputs);
    let mut types =
        pairs.map(|(&then, &otherwise)| [then, otherwise].map(|id| import.tensor(id).ty.to_string()));
    if let Some(index) = types.position(|[then, otherwise]| then != otherwise) {
        let [then, otherwise] =
            [&then, &otherwise].map(|region| import.tensor(region.outputs[index]).ty.to_string());
        let condition = import.tensor(condition).name.clone();
        return Err(NodeError::Branches { index, then, otherwise, condition });
    }
    // In a branch that doesn't run, no loop is cut.
    let (no, mut names) = (import.boolean(&label, false), import.names_of(&call.node.outputs, form));
    let flags = |cuts: &[Cut]| cuts.iter().map(|cut| cut.flag).collect::<Vec<_>>();
    then.outputs.extend([flags(&cuts), vec![no; other_cuts.len()]].concat());
    otherwise.outputs.extend([vec![no; cuts.len()], flags(&other_cuts)].concat());
    names.resize(then.outputs.len(), String::new());
    let mut outputs = import.builder.add_if(&label, condition, then, otherwise, &names)?;
    let flags = outputs.split_off(outputs.len() - cuts.len() - other_cuts.len());
    let cuts = cuts.into_iter().chain(other_cuts).zip(flags);
    import.cuts.extend(cuts.map(|(cut, flag)| Cut { flag, ..cut }));
    Ok(import.rebuilt(&call.node.outputs, form, outputs))
}

/// A loop with a number of repetitions, a condition, or both. In the body, the condition holds.
pub(super) fn repeat(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let body = call.graph("body")?;
    let first = (2..call.inputs.len()).map(|index| call.input(index)).collect::<Result<Vec<_>, _>>()?;
    count("body", "inputs", body.inputs.len(), first.len() + 2..=first.len() + 2)?;
    count("body", "outputs", body.outputs.len(), first.len() + 1..=usize::MAX)?;
    let most = call.import.loop_bound;
    let count = trip_count(call)?;
    let times = match (&count, most) {
        (Count::Known(times), _) if *times <= MOST_TIMES => Some(*times),
        (&Count::Open(end), None) => return Err(call.import.unbounded_loop(Some(end))),
        (_, most) => most,
    };
    let mut start = if call.optional(1).is_some() { Some(condition(call, 1)?) } else { None };
    if let Count::Open(end) = count {
        let zero = call.import.integers(&call.label, &[], &[0]);
        start = Some(before_end(call.import, &call.label, (zero, end), start)?);
    }
    let (label, rows) = (call.label.clone(), body.outputs.len() - 1 - first.len());
    let wanted = wanted(call, first.len(), rows);
    let repetition = Repetition {
        label: &label,
        times: times.unwrap_or(MOST_KNOWN),
        bounded: times.is_some(),
        condition: start,
        names: &call.node.outputs,
        wanted: &wanted,
        reversed: &[],
    };
    let yes = call.import.boolean(&label, true);
    let (number_rank, condition_rank) = (rank(body, 0), rank(body, 1));
    let all = call.import.repeat(repetition, &first, &mut |import, scalar, carried| {
        let number = one(import, &label, scalar, number_rank)?;
        let holds = one(import, &label, yes, condition_rank)?;
        let given: Vec<Option<TensorId>> =
            [&[number, holds], carried].concat().into_iter().map(Some).collect();
        let mut outputs = import.inside(&label, body, &given)?;
        let rows = outputs.split_off(1 + carried.len());
        let mut go_on = one(import, &label, outputs.remove(0), 0)?;
        check_condition(import, go_on)?;
        if let Count::Open(end) = count {
            let one = import.integers(&label, &[], &[1]);
            let next = import.add(&label, op::Add, &[scalar, one])?;
            go_on = before_end(import, &label, (next, end), Some(go_on))?;
        }
        Ok(Pass { go_on: Some(go_on), carried: outputs, rows })
    })?;
    let is_known = matches!(count, Count::Known(times) if times <= MOST_TIMES);
    if times.is_some() && !is_known {
        call.import.may_be_cut(&label, all.go_on);
    }
    Ok([all.carried, all.rows].concat())
}

/// States go through the elements of sequences. In opset 8, each element of a batch by itself.
pub(super) fn scan(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let batches = call.opset < 9;
    if batches && call.optional(0).is_some() {
        return Err(value_error("input 0", &"the lengths of sequences", "none, if all are of one length"));
    }
    let body = call.graph("body")?;
    let inputs: Vec<TensorId> =
        (usize::from(batches)..call.inputs.len()).map(|index| call.input(index)).collect::<Result<_, _>>()?;
    let given =
        call.int("num_scan_inputs")?.ok_or(NodeError::MissingAttribute { attribute: "num_scan_inputs" })?;
    let states = usize::try_from(given).ok().filter(|&count| count > 0);
    let states = states.and_then(|count| inputs.len().checked_sub(count));
    let states =
        states.ok_or_else(|| value_error("num_scan_inputs", &given, &format!("1 to {}", inputs.len())))?;
    count("body", "inputs", body.inputs.len(), inputs.len()..=inputs.len())?;
    count("body", "outputs", body.outputs.len(), states..=usize::MAX)?;
    let (sequences, rows) = (inputs.len() - states, body.outputs.len() - states);
    let backwards = if batches { "directions" } else { "scan_input_directions" };
    let form = Form {
        states,
        input_axes: list(call, "scan_input_axes", sequences)?,
        output_axes: list(call, "scan_output_axes", rows)?,
        backwards: directions(call, backwards, sequences)?,
        reversed: directions(call, "scan_output_directions", rows)?,
    };
    if !batches {
        return one_scan(call, body, &form, &inputs);
    }
    let label = call.label.clone();
    let sizes = inputs.iter().map(|&id| call.ty(id).shape.first().copied().unwrap_or(0));
    let size = sizes.min().unwrap_or(0);
    let mut taken: Vec<Rows> = inputs.iter().map(|&id| Rows::of(id)).collect();
    let mut results = Vec::new();
    for element in 0..size {
        let number = call.import.integers(&label, &[], &[element.cast_signed()]);
        let parts = taken.iter_mut().map(|rows| rows.take(call.import, &label, number));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let outputs = one_scan(call, body, &form, &parts)?;
        results.resize(outputs.len(), Vec::new());
        results.iter_mut().zip(outputs).for_each(|(results, output)| results.push(output));
    }
    results.into_iter().map(|parts| call.import.joined(&label, parts, false)).collect()
}

/// What the attributes of a Scan say.
struct Form {
    states: usize,
    input_axes: Vec<i64>,
    output_axes: Vec<i64>,
    backwards: Vec<bool>,
    reversed: Vec<bool>,
}

fn one_scan(
    call: &mut Call<'_>,
    body: &ModelGraph,
    form: &Form,
    inputs: &[TensorId],
) -> Result<Vec<TensorId>, NodeError> {
    let (first, sequences) = inputs.split_at(form.states);
    let (label, mut times, mut taken) = (call.label.clone(), None, Vec::new());
    for (&sequence, &axis) in sequences.iter().zip(&form.input_axes) {
        let rows = turned(call.import, &label, sequence, (axis, 0))?;
        let length = call.ty(rows).shape[0];
        if *times.get_or_insert(length) != length {
            let supported = format!("sequences of one length, as that of {}", times.unwrap_or(0));
            return Err(value_error("scan_input_axes", &format!("along {length} elements"), &supported));
        }
        taken.push(Rows::of(rows));
    }
    let times = times.unwrap_or(0);
    let wanted = wanted(call, form.states, form.output_axes.len());
    let repetition = Repetition {
        label: &label,
        times,
        bounded: true,
        condition: None,
        names: &call.node.outputs,
        wanted: &wanted,
        reversed: &form.reversed,
    };
    let all = call.import.repeat(repetition, first, &mut |import, number, carried| {
        let mut given: Vec<Option<TensorId>> = carried.iter().copied().map(Some).collect();
        for (rows, &backwards) in taken.iter_mut().zip(&form.backwards) {
            let place = if backwards { import.counted_from_the_end(&label, number, times)? } else { number };
            given.push(Some(rows.take(import, &label, place)?));
        }
        let mut outputs = import.inside(&label, body, &given)?;
        let rows = outputs.split_off(carried.len());
        Ok(Pass { go_on: None, carried: outputs, rows })
    })?;
    let mut outputs = all.carried;
    for ((&rows, &axis), &wanted) in all.rows.iter().zip(&form.output_axes).zip(&wanted) {
        outputs.push(if wanted { turned(call.import, &label, rows, (0, axis))? } else { rows });
    }
    Ok(outputs)
}

/// An input that is one boolean, as a scalar.
fn condition(call: &mut Call<'_>, index: usize) -> Result<TensorId, NodeError> {
    let (label, id) = (call.label.clone(), call.input(index)?);
    check_condition(call.import, id)?;
    one(call.import, &label, id, 0)
}

fn check_condition(import: &Import, id: TensorId) -> Result<(), NodeError> {
    let found = &import.tensor(id).ty;
    match found.dtype == DType::Bool && found.elements() == Some(1) {
        true => Ok(()),
        false => Err(BuildError::Condition { found: found.clone() }.into()),
    }
}

/// How often a loop runs, if its condition holds.
enum Count {
    Known(u64),
    /// As long as the number of a repetition is less than this.
    Open(TensorId),
    /// The condition alone ends it.
    None,
}

/// A negative number is 0.
fn trip_count(call: &mut Call<'_>) -> Result<Count, NodeError> {
    let Some(count) = call.optional(0) else { return Ok(Count::None) };
    let ty = call.ty(count);
    if call.tensor(count).value.is_none() && ty.dtype == DType::I64 && ty.elements() == Some(1) {
        let label = call.label.clone();
        return one(call.import, &label, count, 0).map(Count::Open);
    }
    let numbers = call.constant_ints(0, "it says how often the loop runs")?;
    match numbers[..] {
        [times] => Ok(Count::Known(u64::try_from(times).unwrap_or(0))),
        _ => Err(value_error("input 0", &format!("{} numbers", numbers.len()), "one number")),
    }
}

/// Whether a repetition with this number runs: it comes before the end, and the condition holds.
fn before_end(
    import: &mut Import,
    label: &str,
    (number, end): (TensorId, TensorId),
    condition: Option<TensorId>,
) -> Result<TensorId, NodeError> {
    let runs = import.add(label, op::Less, &[number, end])?;
    condition.map_or(Ok(runs), |condition| import.add(label, op::And, &[runs, condition]))
}

/// A tensor of one element with the shape `[]`, or `[1]` if its rank is 1.
fn one(import: &mut Import, label: &str, id: TensorId, rank: usize) -> Result<TensorId, NodeError> {
    if import.tensor(id).ty.shape.len() == rank || import.tensor(id).ty.elements() != Some(1) {
        return Ok(id);
    }
    import.add(label, op::Reshape { shape: vec![1; rank], allow_zero: true }, &[id])
}

/// The rank that a graph declares for an input that is one number: 0 or 1.
fn rank(graph: &ModelGraph, input: usize) -> usize {
    let shape = graph.inputs.get(input).and_then(|input| input.shape.as_ref());
    shape.map_or(0, |shape| shape.len().min(1))
}

/// For each output from this one on, whether anybody reads it.
fn wanted(call: &Call<'_>, from: usize, count: usize) -> Vec<bool> {
    let outputs = call.node.outputs.iter().skip(from).take(count);
    outputs.map(|name| !name.is_empty() && call.import.wants(name)).collect()
}

/// A tensor with an axis in another place.
fn turned(
    import: &mut Import,
    label: &str,
    id: TensorId,
    (from, to): (i64, i64),
) -> Result<TensorId, NodeError> {
    let rank = import.tensor(id).ty.shape.len() as i64;
    let place = |axis: i64| {
        let place = if axis < 0 { axis.saturating_add(rank) } else { axis };
        let supported = || value_error("axis", &axis, &format!("{} to {}", -rank, rank - 1));
        usize::try_from(place).ok().filter(|_| place < rank).ok_or_else(supported)
    };
    let (from, to) = (place(from)?, place(to)?);
    if from == to {
        return Ok(id);
    }
    let mut perm: Vec<u64> = (0..rank as u64).collect();
    let axis = perm.remove(from);
    perm.insert(to, axis);
    import.add(label, op::Transpose { perm: Some(perm) }, &[id])
}

/// An attribute that is a list of as many numbers, which are 0 if it is omitted.
fn list(call: &Call<'_>, name: &str, count: usize) -> Result<Vec<i64>, NodeError> {
    let values = call.ints(name)?.unwrap_or_else(|| vec![0; count]);
    if values.len() != count {
        return Err(value_error(name, &format!("{values:?}"), &format!("{count} numbers")));
    }
    Ok(values)
}

fn directions(call: &Call<'_>, name: &str, count: usize) -> Result<Vec<bool>, NodeError> {
    let values = list(call, name, count)?;
    match values.iter().find(|value| !(0..=1).contains(*value)) {
        Some(found) => Err(value_error(name, found, "0 (forward), 1 (backward)")),
        None => Ok(values.iter().map(|&value| value == 1).collect()),
    }
}

fn count(
    attribute: &'static str,
    what: &'static str,
    found: usize,
    expected: std::ops::RangeInclusive<usize>,
) -> Result<(), NodeError> {
    if expected.contains(&found) {
        return Ok(());
    }
    let (least, most) = expected.into_inner();
    let expected = if most == usize::MAX { format!("at least {least}") } else { least.to_string() };
    Err(NodeError::GraphCount { attribute, what, found, expected })
}
