//! Parts of a tensor.

use crate::definition::{Builder, Source};
use crate::operator::error::{check_attribute, movable, resolve_axes, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::tensor::TensorType;

/// Elements at regular distances along some axes. A part that lies in one piece of memory costs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The axes; negative ones count from the end. `None` means the first ones.
    pub axes: Option<Vec<i64>>,
    /// For each of these axes the first index. A negative one counts from the end; one out of range is the
    /// nearest that is there.
    pub starts: Vec<i64>,
    /// The index before which it ends, likewise.
    pub ends: Vec<i64>,
    /// The distance between elements; a negative one goes backwards.
    pub steps: Vec<i64>,
}

/// What is taken of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Along {
    pub start: u64,
    pub step: i64,
    pub count: u64,
}

impl Along {
    /// What a slice takes of an axis of this size.
    fn of(size: u64, start: i64, end: i64, step: i64) -> Self {
        let n = size as i64;
        let (least, most) = if step > 0 { (0, n) } else { (-1, n - 1) };
        let place = |index: i64| (if index < 0 { index.saturating_add(n) } else { index }).clamp(least, most);
        let (start, end) = (place(start), place(end));
        let length = if step > 0 { end - start } else { start - end };
        let count = length.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        // The step of a single element may be too large for an index.
        Self { start: start.max(0) as u64, step: if count < 2 { 1 } else { step }, count }
    }
}

/// The meaning of a part of input 0.
pub(super) fn part(
    name: &str,
    inputs: &[TensorType],
    output: &TensorType,
    along: &[Along],
) -> Result<Meaning, Problem> {
    let input = &inputs[0];
    let cut = (0..along.len()).rev().find(|&axis| along[axis].count != input.shape[axis]);
    let apart = along.iter().any(|along| along.step != 1);
    let cut = cut.unwrap_or(0);
    if !apart && along.iter().take(cut).all(|along| along.count == 1) {
        let strides = crate::layout::strides(&input.shape);
        let offset: u64 = along.iter().zip(strides).map(|(along, stride)| along.start * stride).sum();
        return Ok(Meaning::View { offset: offset * input.dtype.size() });
    }
    let mut b = Builder::new(name, &[input.as_integers()], &output.as_integers());
    let at = b.indices().into_iter().zip(along).map(|(i, along)| i * along.step + along.start as i64);
    let value = b.load(Source::Input(0), at.collect::<Vec<_>>());
    Ok(b.finish(value)?.into())
}

impl Slice {
    /// What is taken of each axis.
    fn along(&self, shape: &[u64]) -> Result<Vec<Along>, Problem> {
        let count = self.starts.len();
        let first = (0..count as i64).collect();
        let axes = self.axes.as_ref().unwrap_or(&first);
        for (name, list) in [("axes", axes), ("ends", &self.ends), ("steps", &self.steps)] {
            check_attribute(name, list, list.len() == count, || format!("there are {count} starts"))?;
        }
        check_attribute("steps", &self.steps, !self.steps.contains(&0), || "must not be 0".to_owned())?;
        resolve_axes(axes, shape.len())?;
        let mut along: Vec<Along> =
            shape.iter().map(|&size| Along { start: 0, step: 1, count: size }).collect();
        for (place, &axis) in axes.iter().enumerate() {
            let axis = axis.rem_euclid(shape.len() as i64) as usize;
            along[axis] = Along::of(shape[axis], self.starts[place], self.ends[place], self.steps[place]);
        }
        Ok(along)
    }
}

impl Semantics for Slice {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, &movable())?;
        let along = self.along(&inputs[0].shape)?;
        Ok(TensorType::new(dtype, along.iter().map(|along| along.count).collect::<Vec<_>>()))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        part("slice", inputs, output, &self.along(&inputs[0].shape)?)
    }
}
