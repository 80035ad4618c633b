//! Labels of classes, and texts, for which numbers stand: there are no strings in the machine.

use std::rc::Rc;

use dnn_lib::operator as op;
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::Call;

type Output = Result<TensorId, NodeError>;

/// What a classifier calls its classes. If these are texts, its output has their numbers.
pub(super) struct Labels {
    numbers: Vec<i64>,
    texts: Option<Rc<[String]>>,
}

impl Labels {
    /// The labels in an attribute of integers, or in one of strings.
    pub fn of(call: &Call<'_>, ints: &'static str, strings: &'static str) -> Result<Self, NodeError> {
        let texts = call.strings(strings)?.filter(|texts| !texts.is_empty());
        if let Some(texts) = texts {
            return Ok(Self { numbers: (0..texts.len() as i64).collect(), texts: Some(texts.into()) });
        }
        match call.ints(ints)?.filter(|numbers| !numbers.is_empty()) {
            Some(numbers) => Ok(Self { numbers, texts: None }),
            None => Err(NodeError::MissingAttribute { attribute: ints }),
        }
    }

    pub fn len(&self) -> u64 {
        self.numbers.len() as u64
    }

    /// Output 0: the label of each example, which has this number.
    pub fn named(&self, call: &mut Call<'_>, number: TensorId) -> Output {
        let plain = self.numbers.iter().zip(0..).all(|(&label, number)| label == number);
        let label = if plain {
            number
        } else {
            let labels = call.constant_list("labels", &self.numbers);
            call.step("label", op::Gather { axis: 0 }, &[labels, number])?
        };
        self.output(call, label)
    }

    fn output(&self, call: &mut Call<'_>, label: TensorId) -> Output {
        let label = call.as_output(0, label)?;
        if let Some(texts) = &self.texts {
            call.import.texts.insert(label, Rc::clone(texts));
        }
        Ok(label)
    }

    /// Output 0: the class with the largest of the scores `[examples, classes]`, the first of several.
    pub fn largest(&self, call: &mut Call<'_>, z: TensorId) -> Output {
        let number = call.step("class", op::ArgMax { axis: 1, keep_dims: false, last: false }, &[z])?;
        self.named(call, number)
    }

    /// Output 0: the second label where a condition `[examples]` holds, else the first.
    pub fn second(&self, call: &mut Call<'_>, condition: TensorId) -> Output {
        let label = |place: usize| self.numbers.get(place).copied().unwrap_or(place as i64);
        let label = choice(call, condition, label(1), label(0))?;
        self.output(call, label)
    }

    /// Output 0: 1 where a condition holds, else 0, whatever the labels are.
    pub fn truth(&self, call: &mut Call<'_>, condition: TensorId) -> Output {
        let label = choice(call, condition, 1, 0)?;
        self.output(call, label)
    }
}

fn choice(call: &mut Call<'_>, condition: TensorId, yes: i64, no: i64) -> Output {
    let [yes, no] = [yes, no].map(|label| call.import.integers("label", &[], &[label]));
    call.step("label", op::Where, &[condition, yes, no])
}
