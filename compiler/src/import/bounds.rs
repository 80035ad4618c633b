//! Tensors whose data decide how large they are.
//!
//! Every shape is fixed, so such a tensor has the largest shape that it can have, and how much of it counts along
//! one axis is a tensor of its own: the *count*. What is behind the count is padding, which must not change
//! anything in front of it. So an operator takes such a tensor only if its definition proves that an element of
//! the output at an index along an axis depends on what is at this index alone; then the output is bounded too.
//! Everything else is refused. A shape that is asked for is the true one, computed in the run.
//!
//! An output of the model that is bounded is followed, after all outputs of the model, by one with its true shape.

use dnn_lib::operator::{self as op, Meaning, Operator};
use dnn_lib::tensor::DType;
use graph::TensorId;

use super::Import;
use crate::error::{ModelError, NodeError, Warning};

/// How much of a tensor counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounded {
    /// The axis.
    pub axis: usize,
    /// The count, a scalar of type i64.
    pub count: TensorId,
}

impl Import {
    pub(super) fn bounded(&self, id: TensorId) -> Option<Bounded> {
        self.bounds.get(&id).copied()
    }

    /// Says that of a tensor only so much counts.
    pub(super) fn bind(&mut self, id: TensorId, bounded: Bounded) {
        self.bounds.insert(id, bounded);
    }

    /// The outputs of an operator, as far as they are bounded because inputs are.
    pub(super) fn follow(
        &self,
        operator: &Operator,
        inputs: &[TensorId],
    ) -> Result<Vec<Option<Bounded>>, NodeError> {
        let first = inputs.iter().enumerate().find_map(|(index, &id)| Some((index, id, self.bounded(id)?)));
        let Some((index, id, bounded)) = first else { return Ok(Vec::new()) };
        let types = self.builder.graph().types(inputs);
        // What is wrong with the operator is told when it is added.
        let Ok(outputs) = operator.infer(&types) else { return Ok(Vec::new()) };
        let axes = (0..outputs.len()).map(|output| {
            let axis = self.output_axis(operator, output, inputs, bounded)?;
            let shape = &outputs[output].shape;
            (shape.get(axis) == types[index].shape.get(bounded.axis)).then_some(Bounded { axis, ..bounded })
        });
        axes.map(|axis| axis.map(Some).ok_or_else(|| self.refusal(index, id))).collect()
    }

    /// The axis of an output along which it depends on inputs at the same index alone, for all inputs that are
    /// bounded by this count. No other input may have such an axis.
    fn output_axis(
        &self,
        operator: &Operator,
        output: usize,
        inputs: &[TensorId],
        bounded: Bounded,
    ) -> Option<usize> {
        let same = |&id: &TensorId| self.bounded(id).map(|other| other.count) == Some(bounded.count);
        let types = self.builder.graph().types(inputs);
        let definition = match (operator, operator.define(&types, output).ok()??) {
            (Operator::Squeeze(op::Squeeze { axes: None }), _) => return None,
            // What a query sees may depend on how many there are.
            (Operator::MaskedScores(_) | Operator::MaskedSoftmax(_), _) => return None,
            (Operator::Concat(op::Concat { axis }), _) => {
                let rank = types[0].shape.len() as i64;
                let joined = usize::try_from(if *axis < 0 { axis + rank } else { *axis }).ok()?;
                let all = inputs.iter().all(|&id| self.bounded(id) == Some(bounded));
                return (all && joined != bounded.axis).then_some(bounded.axis);
            }
            // A size that the model names is not one that the data decide.
            (Operator::Expand(op::Expand { shape }), _) if named(shape, &types[0].shape, bounded.axis) => {
                return None;
            }
            (Operator::Slice(_) | Operator::Split(_), Meaning::View { .. }) => return Some(bounded.axis),
            (_, Meaning::View { .. }) => {
                let outputs = operator.infer(&types).ok()?;
                return viewed(&types[0].shape, bounded.axis, &outputs.get(output)?.shape);
            }
            (_, Meaning::Joined) => return None,
            (_, Meaning::Computed(definition)) => definition,
        };
        let mut found = None;
        for (index, id) in inputs.iter().enumerate() {
            let Some(own) = self.bounded(*id) else { continue };
            // Definitions may see a tensor with another shape.
            if !same(id) || definition.inputs.get(index)?.shape != types[index].shape {
                return None;
            }
            let axis = definition.along(index, own.axis)?;
            if *found.get_or_insert(axis) != axis {
                return None;
            }
        }
        let axis = found?;
        let mut others = (0..inputs.len()).filter(|&index| self.bounded(inputs[index]).is_none());
        let free = others.all(|index| !definition.reads_along(index, axis));
        let whole = operator.infer(&types).ok()?.get(output)?.shape == definition.output.shape;
        (free && whole).then_some(axis.index())
    }

    /// The error for a tensor that is bounded where none may be.
    fn refusal(&self, index: usize, id: TensorId) -> NodeError {
        let (tensor, axis) = (self.tensor(id), self.bounded(id).map_or(0, |bounded| bounded.axis));
        let most = tensor.ty.shape.get(axis).copied().unwrap_or(0);
        NodeError::Bounded { index, tensor: tensor.name.clone(), axis, most }
    }

    /// Refuses tensors that are bounded, for what can't see to it that padding changes nothing.
    pub(super) fn unbounded(&self, ids: &[TensorId]) -> Result<(), NodeError> {
        let first = ids.iter().enumerate().find(|(_, id)| self.bounds.contains_key(id));
        first.map_or(Ok(()), |(index, &id)| Err(self.refusal(index, id)))
    }

    /// Checks that a node that was given bounded tensors gives bounded ones: it must not have taken anything but their
    /// elements from them.
    pub(super) fn check_bounds(
        &self,
        operator: &str,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<(), NodeError> {
        // The true shape is asked for, or a size that is named.
        let (asks, names) = (["Shape", "Size"], ["CenterCropPad", "Resize", "Upsample"]);
        if asks.contains(&operator) || inputs.iter().all(|&id| self.bounded(id).is_none()) {
            return Ok(());
        }
        let all = outputs.iter().all(|&id| self.bounded(id).is_some());
        if all && !names.contains(&operator) { Ok(()) } else { self.unbounded(inputs) }
    }

    /// The true shape of a bounded tensor, as a list of i64.
    pub(super) fn true_shape(
        &mut self,
        label: &str,
        id: TensorId,
        bounded: Bounded,
    ) -> Result<TensorId, NodeError> {
        let shape: Vec<i64> = self.tensor(id).ty.shape.iter().map(|&size| size.cast_signed()).collect();
        let mut parts = Vec::new();
        for (axis, &size) in shape.iter().enumerate() {
            parts.push(if axis == bounded.axis {
                self.add(label, op::Reshape { shape: vec![1], allow_zero: true }, &[bounded.count])?
            } else {
                self.integers(label, &[1], &[size])
            });
        }
        self.add(label, op::Concat { axis: 0 }, &parts)
    }

    /// Adds the true shape of an output that is bounded, after all others.
    pub(super) fn true_shape_of_output(&mut self, name: &str) {
        let Some(Some(id)) = self.named(name) else { return };
        let Some(bounded) = self.bounded(id) else { return };
        let size = image::true_shape(name);
        if self.named(&size).is_some() {
            self.errors.model(ModelError::Reserved { name: size, output: name.to_owned() });
            return;
        }
        let most = format!("{:?}", self.tensor(id).ty.shape);
        match self.true_shape(&size, id, bounded) {
            Ok(id) => {
                self.builder.output(id);
                let warning = Warning::Bounded { name: name.to_owned(), most, axis: bounded.axis, size };
                self.warnings.push(warning);
            }
            Err(error) => self.errors.node(name.to_owned(), "Shape".to_owned(), error),
        }
    }

    /// A state keeps its size.
    pub(super) fn states(&mut self, states: &[(String, String)]) {
        for (input, output) in states {
            if self.named(output).flatten().is_some_and(|id| self.bounded(id).is_some()) {
                let (input, output) = (input.clone(), output.clone());
                self.errors.model(ModelError::BoundedState { input, output });
            }
        }
    }

    /// Where a list of booleans is true, as a bounded list of places. What is behind the count is 0.
    pub(super) fn places(&mut self, name: &str, mask: TensorId) -> Result<(TensorId, Bounded), NodeError> {
        let length = self.tensor(mask).ty.shape.first().copied().unwrap_or(0);
        // A size of 1 would be taken for one that is broadcast.
        let most = length.max(2);
        if length == 0 {
            let (places, count) = (self.integers(name, &[2], &[0, 0]), self.integers(name, &[], &[0]));
            return Ok((places, self.bound_to(places, 0, count)));
        }
        let counts = self.add(&format!("{name}.true"), op::Cast { to: DType::I64 }, &[mask])?;
        let counts = self.running(name, counts)?;
        let last = self.last(name, counts)?;
        let places = self.add(name, op::FirstAbove { count: most }, &[counts])?;
        Ok((places, self.bound_to(places, 0, last)))
    }

    /// The sums of all numbers of a list up to each.
    pub(super) fn running(&mut self, name: &str, list: TensorId) -> Result<TensorId, NodeError> {
        let length = self.tensor(list).ty.shape.first().copied().unwrap_or(0);
        let (mut counts, mut distance) = (list, 1);
        while distance < length {
            counts = self.add(&format!("{name}.sum{distance}"), op::AddEarlier { distance }, &[counts])?;
            distance *= 2;
        }
        Ok(counts)
    }

    /// The last number of a list, as a scalar.
    fn last(&mut self, name: &str, list: TensorId) -> Result<TensorId, NodeError> {
        let slice = op::Slice { axes: Some(vec![0]), starts: vec![-1], ends: vec![i64::MAX], steps: vec![1] };
        let last = self.add(&format!("{name}.last"), slice, &[list])?;
        self.add(&format!("{name}.count"), op::Reshape { shape: Vec::new(), allow_zero: true }, &[last])
    }

    fn bound_to(&mut self, id: TensorId, axis: usize, count: TensorId) -> Bounded {
        let bounded = Bounded { axis, count };
        self.bind(id, bounded);
        bounded
    }
}

/// Whether a shape that is aligned with another one at the right names a size for an axis of that.
fn named(shape: &[u64], other: &[u64], axis: usize) -> bool {
    let own = (axis + shape.len()).checked_sub(other.len());
    own.is_some_and(|own| shape[own] != 1)
}

/// Where an axis is after the same elements have got another shape: as many elements are before it.
fn viewed(shape: &[u64], axis: usize, output: &[u64]) -> Option<usize> {
    let product = |sizes: &[u64]| sizes.iter().product::<u64>();
    let same = product(shape) == product(output);
    let axes = (0..output.len()).filter(|&own| output[own] == shape[axis]);
    let mut axes = axes.filter(|&own| product(&output[..own]) == product(&shape[..axis]));
    axes.next().filter(|_| same)
}
