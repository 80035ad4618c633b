//! NonMaxSuppression: a repetition that takes a box of each batch and class, and strikes out what overlaps it.

use dnn_lib::operator as op;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;
use graph::passes::unroll::LEAST_PERIOD;

use super::sized::with;
use crate::error::NodeError;
use crate::import::call::Call;
use crate::import::repeat::{Pass, Repetition};

const MOST: &str = "it decides the largest shape of the output";

/// Boxes are taken by descending score, the first of equal ones first. The output has a row of batch, class and box
/// for each one that is taken, in the order of batches, classes and scores.
pub(super) fn non_max_suppression(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let centered = call.flag("center_point_box", false)?;
    let (boxes, scores) = (call.input(0)?, call.input(1)?);
    let most = if call.optional(2).is_some() { call.constant_int(2, MOST)? } else { 0 };
    let (threshold, label) = (scalar(call, 3)?, call.label.clone());
    let shape = call.ty(scores).shape.clone();
    let &[_, classes, count] = &shape[..] else {
        return Err(NodeError::InputShape {
            index: 1,
            tensor: call.tensor(scores).name.clone(),
            found: format!("{shape:?}"),
            expected: "[batches, classes, boxes]".to_owned(),
        });
    };
    let times = count.min(u64::try_from(most).unwrap_or(0));
    if times == 0 || shape.contains(&0) {
        return Ok(vec![call.import.zeros(&label, TensorType::new(DType::I64, [0, 3]))?]);
    }
    let mut marks = call.import.integers(&label, &[], &[-1]);
    if call.optional(4).is_some() {
        let least = scalar(call, 4)?;
        let (good, out) =
            (call.step("good", op::Greater, &[scores, least])?, call.import.integers(&label, &[], &[-2]));
        marks = call.step("open", op::Where, &[good, marks, out])?;
    }
    marks = call.step("marks", op::Expand { shape: shape.clone() }, &[marks])?;
    let repetition = Repetition {
        label: &label,
        times,
        bounded: true,
        condition: None,
        names: &[format!("{label}.marks")],
        wanted: &[],
        reversed: &[],
    };
    let all = call.import.repeat(repetition, &[marks], &mut |import, number, carried| {
        let taken = import.add(&format!("{label}.best"), op::BestOpen, &[scores, carried[0]])?;
        let given = [carried[0], boxes, taken, number, threshold];
        let next = import.add(&format!("{label}.suppress"), op::Suppress { centered }, &given)?;
        // Few repetitions are written out, where a condition costs more than it saves.
        let go_on = if times < LEAST_PERIOD {
            None
        } else {
            let any = op::ReduceMax { axes: None, keep_dims: false };
            let any = import.add(&format!("{label}.any"), any, &[taken])?;
            let none = import.integers(&label, &[], &[-1]);
            Some(import.add(&format!("{label}.goon"), op::Greater, &[any, none])?)
        };
        Ok(Pass { go_on, carried: vec![next], rows: Vec::new() })
    })?;
    let marks = all.carried[0];
    // For each step the box that was taken, and whether one was.
    let taken = call.step("taken", op::ByRank { axis: 2, count: times }, &[marks])?;
    let steps = op::ReduceMax { axes: Some(vec![2]), keep_dims: true };
    let steps = call.step("steps", steps, &[marks])?;
    let numbers = call.constant_list("numbers", &(0..times.cast_signed()).collect::<Vec<_>>());
    let is_taken = call.step("istaken", op::GreaterOrEqual, &[steps, numbers])?;
    let flat = op::Reshape { shape: vec![-1], allow_zero: false };
    let (is_taken, taken) =
        (call.step("mask", flat.clone(), &[is_taken])?, call.step("boxes", flat, &[taken])?);
    let (places, _) = call.import.places(&format!("{label}.places"), is_taken)?;
    let batch = with(call, "batch", op::Div, places, classes * times)?;
    let class = with(call, "row", op::Div, places, times)?;
    let class = with(call, "class", op::Mod { fmod: false }, class, classes)?;
    let place = call.step("box", op::Gather { axis: 0 }, &[taken, places])?;
    let columns = [batch, class, place].map(|id| call.step("column", op::Unsqueeze { axes: vec![1] }, &[id]));
    let [batch, class, place] = columns;
    call.apply_to(op::Concat { axis: 1 }, &[batch?, class?, place?])
}

/// An optional input that is one number, as a scalar; 0 if there is none.
fn scalar(call: &mut Call<'_>, index: usize) -> Result<TensorId, NodeError> {
    match call.optional(index) {
        None => Ok(call.number("zero", 0.0, DType::F32)),
        Some(id) => call.step("scalar", op::Reshape { shape: Vec::new(), allow_zero: true }, &[id]),
    }
}
