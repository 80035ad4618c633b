//! What is no tensor: sequences, and what may be missing.
//!
//! How long a sequence is, and whether there is something, is known while the model is imported, so no run knows
//! either. A sequence is a list of tensors, and something that is there is itself. A tensor without elements stands
//! for what is no tensor; only the operators that know about it may see it. The inputs and outputs of a model that
//! are sequences become one for each element: `x[0]`, `x[1]`, ...

use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;
use onnx::{Dimension, Value};

use super::Import;
use crate::Options;
use crate::error::NodeError;

/// Something that is no tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Other {
    /// The tensors of a sequence.
    Sequence(Vec<TensorId>),
    /// The value that is missing.
    Absent,
}

impl Other {
    /// What it is, for messages.
    pub fn description(&self) -> &'static str {
        match self {
            Self::Sequence(_) => "a sequence",
            Self::Absent => "an optional value that is missing",
        }
    }
}

/// How many tensors are in each of some values; `None` for one that is a tensor, or that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Tensor,
    Sequence(usize),
    Absent,
}

/// An input of the model that is no tensor, with the number of its elements. It is missing if there is none.
pub(super) struct Container {
    name: String,
    elements: Option<usize>,
}

impl Container {
    /// The name by which `--shape` says that there is nothing in it.
    pub fn empty_name(&self) -> String {
        empty_name(&self.name)
    }
}

fn empty_name(name: &str) -> String {
    format!("{name}[]")
}

/// The name of an element of a sequence that is an input or an output.
pub(super) fn element_name(name: &str, index: usize) -> String {
    format!("{name}[{index}]")
}

/// Whether a name is that of an element of an input.
pub(super) fn is_element(containers: &[Container], name: &str) -> bool {
    containers.iter().any(|container| {
        (0..container.elements.unwrap_or(0)).any(|index| element_name(&container.name, index) == name)
    })
}

/// The most elements of a sequence that is an input. An image has fewer regions.
const MOST_ELEMENTS: usize = 1 << 12;

/// The inputs of a model with an input for each element of a sequence, as the options say how many there are. What
/// they say nothing about stays as it is.
pub(super) fn elements(inputs: Vec<Value>, options: &Options) -> (Vec<Value>, Vec<Container>) {
    let given = |name: &str| options.shapes.contains_key(name) || options.constants.contains_key(name);
    let (mut all, mut containers) = (Vec::new(), Vec::new());
    for input in inputs {
        let known = input.dtype.is_some() && (input.is_sequence() || input.is_optional());
        // A name of a dimension stands for another size in each element.
        let open = |dimension: &Dimension| match dimension {
            Dimension::Symbol(_) => Dimension::Unknown,
            other => other.clone(),
        };
        let shape = || input.shape.as_ref().map(|shape| shape.iter().map(open).collect());
        let element = |name: String| Value { name, dtype: input.dtype, shape: shape(), other: None };
        let count = (0..MOST_ELEMENTS).take_while(|&index| given(&element_name(&input.name, index))).count();
        if !known {
            all.push(input);
        } else if input.is_sequence() && count > 0 {
            all.extend((0..count).map(|index| element(element_name(&input.name, index))));
            containers.push(Container { name: input.name.clone(), elements: Some(count) });
        } else if !input.is_sequence() && given(&input.name) {
            all.push(element(input.name.clone()));
        } else if given(&empty_name(&input.name)) {
            let elements = (!input.is_optional()).then_some(0);
            containers.push(Container { name: input.name.clone(), elements });
        } else {
            all.push(input);
        }
    }
    (all, containers)
}

impl Import {
    /// What a tensor stands for, if that is no tensor.
    pub(super) fn other(&self, id: TensorId) -> Option<&Other> {
        self.others.get(&id)
    }

    /// A tensor that stands for something else.
    pub(super) fn stand_for(&mut self, name: &str, other: Other) -> TensorId {
        let id = self.builder.tensor(name, TensorType::new(DType::U8, [0]), None);
        self.others.insert(id, other);
        id
    }

    /// Defines an input that is no tensor, if all its elements are known.
    pub(super) fn container(&mut self, Container { name, elements }: Container) {
        let Some(count) = elements else {
            let id = self.stand_for(&name, Other::Absent);
            return self.define(name, Some(id));
        };
        let tensors = (0..count).map(|index| self.named(&element_name(&name, index)).flatten());
        if let Some(tensors) = tensors.collect() {
            let id = self.stand_for(&name, Other::Sequence(tensors));
            self.define(name, Some(id));
        }
    }

    /// Refuses what is no tensor.
    pub(super) fn tensors_only(&self, inputs: &[TensorId]) -> Result<(), NodeError> {
        let first = inputs.iter().enumerate().find_map(|(index, &id)| Some((index, id, self.other(id)?)));
        first.map_or(Ok(()), |(index, id, other)| Err(self.kind(index, id, other.description(), "a tensor")))
    }

    /// The error for an input that is of another kind than it must be.
    pub(super) fn kind(
        &self,
        index: usize,
        id: TensorId,
        found: &'static str,
        expected: &'static str,
    ) -> NodeError {
        NodeError::Kind { index, tensor: self.tensor(id).name.clone(), found, expected }
    }

    /// The tensors of some values, one after the other, and what they were.
    pub(super) fn flattened(&self, values: &[TensorId]) -> (Vec<TensorId>, Vec<Form>) {
        let (mut tensors, mut forms) = (Vec::new(), Vec::new());
        for &id in values {
            forms.push(match self.other(id) {
                None => {
                    tensors.push(id);
                    Form::Tensor
                }
                Some(Other::Sequence(elements)) => {
                    tensors.extend(elements);
                    Form::Sequence(elements.len())
                }
                Some(Other::Absent) => Form::Absent,
            });
        }
        (tensors, forms)
    }

    /// The names of the tensors of some values.
    pub(super) fn names_of(&self, names: &[String], forms: &[Form]) -> Vec<String> {
        let names = names.iter().map(String::as_str).chain(std::iter::repeat(""));
        let of_value = |(form, name): (&Form, &str)| match form {
            Form::Tensor => vec![name.to_owned()],
            Form::Sequence(count) => (0..*count).map(|index| element_name(name, index)).collect(),
            Form::Absent => Vec::new(),
        };
        forms.iter().zip(names).flat_map(of_value).collect()
    }

    /// The values that these tensors are in.
    pub(super) fn rebuilt(
        &mut self,
        names: &[String],
        forms: &[Form],
        tensors: Vec<TensorId>,
    ) -> Vec<TensorId> {
        let names = names.iter().map(String::as_str).chain(std::iter::repeat(""));
        let (mut tensors, mut values) = (tensors.into_iter(), Vec::new());
        for (form, name) in forms.iter().zip(names) {
            values.extend(match form {
                Form::Tensor => tensors.next(),
                Form::Sequence(count) => {
                    let elements = tensors.by_ref().take(*count).collect();
                    Some(self.stand_for(name, Other::Sequence(elements)))
                }
                Form::Absent => Some(self.stand_for(name, Other::Absent)),
            });
        }
        values
    }
}
