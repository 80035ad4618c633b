//! Repetitions: the loops of a model, and recurrences.
//!
//! Few repetitions are written out, so that constants depend on their number. Many become a Repeat of the graph,
//! whose nodes are there once.

use dnn_lib::operator as op;
use dnn_lib::tensor::TensorType;
use graph::passes::unroll::LEAST_PERIOD;
use graph::{Region, Repeat, TensorId};

use super::Import;
use crate::error::{ImportErrors, NodeError};

/// The most repetitions that are written out because they can't be a Repeat.
const MOST_WRITTEN_OUT: u64 = 256;

/// What is repeated, and how often.
#[derive(Clone, Copy)]
pub(super) struct Repetition<'a> {
    /// The name of the node.
    pub label: &'a str,
    /// How often; at most so often, if there is a condition.
    pub times: u64,
    /// Whether the loop ends there. If not, its condition must be known, and end it before.
    pub bounded: bool,
    /// Whether the first repetition runs. There is none if all of them do.
    pub condition: Option<TensorId>,
    /// The names of the results: what is carried, then the rows.
    pub names: &'a [String],
    /// For each of the rows, whether anybody reads it.
    pub wanted: &'a [bool],
    /// For each of the rows, whether the first one is the last in the tensor of all.
    pub reversed: &'a [bool],
}

/// The results of one repetition, or of all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pass {
    /// Whether another one follows; always, if there is none.
    pub go_on: Option<TensorId>,
    /// What is carried on.
    pub carried: Vec<TensorId>,
    /// What is collected: a row, or a tensor of all rows.
    pub rows: Vec<TensorId>,
}

/// One repetition: given its number and what is carried.
pub(super) type Body<'a> = dyn FnMut(&mut Import, TensorId, &[TensorId]) -> Result<Pass, NodeError> + 'a;

impl Import {
    /// Repeats a body.
    pub(super) fn repeat(
        &mut self,
        repetition: Repetition<'_>,
        first: &[TensorId],
        body: &mut Body<'_>,
    ) -> Result<Pass, NodeError> {
        let Repetition { times, condition, .. } = repetition;
        if times < LEAST_PERIOD
            || !repetition.bounded
            || condition.and_then(|id| self.truth(id)) == Some(false)
        {
            return self.written_out(repetition, first, body);
        }
        let (errors, warnings) = (self.errors.clone(), self.warnings.len());
        let result = self.period(repetition, first, body);
        // What changes its size, or is a constant for a known number only, can still be written out.
        if result.is_ok() || times > MOST_WRITTEN_OUT {
            return result;
        }
        let of_period = std::mem::replace(&mut self.errors, errors);
        self.warnings.truncate(warnings);
        let known: ImportErrors = self.errors.clone();
        let written = self.written_out(repetition, first, body);
        if written.is_err() {
            // The first attempt's errors are about a loop as it stands in the model.
            self.errors = if matches!(result, Err(NodeError::Inside)) { of_period } else { known };
            return result;
        }
        written
    }

    /// The value of a condition that is known.
    pub(super) fn truth(&self, condition: TensorId) -> Option<bool> {
        self.tensor(condition).value.as_ref().and_then(|value| value.first()).map(|&byte| byte != 0)
    }

    /// Every repetition by itself.
    fn written_out(
        &mut self,
        repetition: Repetition<'_>,
        first: &[TensorId],
        body: &mut Body<'_>,
    ) -> Result<Pass, NodeError> {
        let Repetition { label, times, bounded, mut condition, .. } = repetition;
        let (mut carried, mut rows, mut certain) = (first.to_vec(), Vec::<Vec<TensorId>>::new(), true);
        for number in 0..times {
            let known = condition.map_or(Some(true), |condition| self.truth(condition));
            let number = self.integers(&format!("{label}.number"), &[], &[number.cast_signed()]);
            let pass = match (known, condition) {
                (Some(false), _) => break,
                (None, Some(condition)) if bounded => {
                    self.check_rows(repetition)?;
                    certain = false;
                    self.guarded(repetition, condition, &carried, |import, carried| {
                        body(import, number, carried)
                    })?
                }
                (None, _) => return Err(NodeError::Unbounded),
                (Some(true), _) => body(self, number, &carried)?,
            };
            rows.resize(pass.rows.len(), Vec::new());
            rows.iter_mut().zip(&pass.rows).for_each(|(rows, &row)| rows.push(row));
            (condition, carried) = (pass.go_on, pass.carried);
        }
        if !bounded && condition.and_then(|id| self.truth(id)) != Some(false) {
            return Err(NodeError::Unbounded);
        }
        // If it isn't certain how many rows there are, nobody reads them.
        let rows = match (certain, rows.is_empty() && !repetition.wanted.is_empty()) {
            (false, _) => Vec::new(),
            (true, true) => self.no_rows(label, first, body)?,
            (true, false) => {
                let reversed = repetition.reversed.iter().chain(std::iter::repeat(&false));
                let joined = rows
                    .into_iter()
                    .zip(reversed)
                    .map(|(rows, &reversed)| self.joined(label, rows, reversed));
                joined.collect::<Result<_, _>>()?
            }
        };
        Ok(Pass { go_on: condition, carried, rows })
    }

    /// Rows that were never made, as tensors without elements.
    fn no_rows(
        &mut self,
        label: &str,
        first: &[TensorId],
        body: &mut Body<'_>,
    ) -> Result<Vec<TensorId>, NodeError> {
        let number = self.integers(&format!("{label}.number"), &[], &[0]);
        let outside = self.builder.open();
        let pass = body(self, number, first);
        // Only the types count.
        self.builder.close(outside);
        let types: Vec<TensorType> = pass?.rows.iter().map(|&row| self.tensor(row).ty.clone()).collect();
        let empty = |ty: TensorType| TensorType::new(ty.dtype, [&[0], &ty.shape[..]].concat());
        types.into_iter().map(|ty| self.zeros(label, empty(ty))).collect()
    }

    /// Rows, one behind the other.
    fn joined(
        &mut self,
        label: &str,
        mut rows: Vec<TensorId>,
        reversed: bool,
    ) -> Result<TensorId, NodeError> {
        if reversed {
            rows.reverse();
        }
        let unsqueeze = op::Unsqueeze { axes: vec![0] };
        let parts = rows.iter().map(|&row| self.add(label, unsqueeze.clone(), &[row]));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        self.add(label, op::Concat { axis: 0 }, &parts)
    }

    /// One repetition that runs only if a condition holds that isn't known.
    fn guarded(
        &mut self,
        Repetition { label, names, .. }: Repetition<'_>,
        condition: TensorId,
        carried: &[TensorId],
        body: impl FnOnce(&mut Self, &[TensorId]) -> Result<Pass, NodeError>,
    ) -> Result<Pass, NodeError> {
        let outside = self.builder.open();
        let pass = body(self, carried);
        let nodes = self.builder.close(outside);
        let pass = pass?;
        self.check_carried(carried, &pass.carried)?;
        let [yes, no] = [true, false].map(|value| self.boolean(label, value));
        let go_on = pass.go_on.unwrap_or(yes);
        let then = Region { inputs: vec![], nodes, outputs: [&[go_on], &pass.carried[..]].concat() };
        let otherwise = Region { inputs: vec![], nodes: vec![], outputs: [&[no], carried].concat() };
        let names = [&[format!("{label}.condition")], names].concat();
        let outputs = self.builder.add_if(label, condition, then, otherwise, &names)?;
        Ok(Pass { go_on: Some(outputs[0]), carried: outputs[1..].to_vec(), rows: Vec::new() })
    }

    /// A Repeat of the graph.
    fn period(
        &mut self,
        repetition: Repetition<'_>,
        first: &[TensorId],
        body: &mut Body<'_>,
    ) -> Result<Pass, NodeError> {
        let Repetition { label, times, condition, names, .. } = repetition;
        let number = TensorType::new(dnn_lib::tensor::DType::I64, []);
        let number = self.builder.tensor(format!("{label}.number"), number, None);
        let like = |import: &mut Self, id: TensorId| {
            let tensor = import.tensor(id).clone();
            import.builder.tensor(tensor.name, tensor.ty, None)
        };
        let given: Vec<TensorId> = first.iter().map(|&id| like(self, id)).collect();
        let outside = self.builder.open();
        let pass = body(self, number, &given);
        let pass = pass.and_then(|pass| {
            self.check_carried(&given, &pass.carried)?;
            let reversed = repetition.reversed.iter().chain(std::iter::repeat(&false));
            let rows = pass.rows.iter().zip(reversed);
            let collected = rows.map(|(&row, &reversed)| {
                let place = if reversed { self.from_the_end(label, number, times)? } else { number };
                self.collect(label, (place, times), row)
            });
            let collected = collected.collect::<Result<Vec<_>, _>>()?;
            Ok((pass, collected))
        });
        let nodes = self.builder.close(outside);
        let (pass, collected) = pass?;
        let go_on = pass.go_on.filter(|&go_on| self.truth(go_on) != Some(true));
        let conditional = condition.is_some_and(|id| self.truth(id) != Some(true)) || go_on.is_some();
        let (mut starts, mut inputs, mut outputs) = (Vec::new(), vec![number], Vec::new());
        let mut names = names.to_vec();
        if conditional {
            self.check_rows(repetition)?;
            let yes = self.boolean(label, true);
            starts.push(condition.unwrap_or(yes));
            inputs.push(like(self, condition.unwrap_or(yes)));
            outputs.push(go_on.unwrap_or(yes));
            names.insert(0, format!("{label}.condition"));
        }
        starts.extend(first.iter().copied().chain(collected.iter().map(|rows| rows.first)));
        inputs.extend(given.iter().copied().chain(collected.iter().map(|rows| rows.inside)));
        outputs.extend(pass.carried.iter().copied().chain(collected.iter().map(|rows| rows.next)));
        let body = Region { inputs, nodes, outputs };
        let mut results =
            self.builder.add_repeat(label, Repeat { times, conditional, body }, &starts, &names)?;
        let go_on = conditional.then(|| results.remove(0));
        let rows = results.split_off(first.len());
        Ok(Pass { go_on, carried: results, rows })
    }

    /// The number of a repetition, counted from the last one.
    pub(super) fn from_the_end(
        &mut self,
        label: &str,
        number: TensorId,
        times: u64,
    ) -> Result<TensorId, NodeError> {
        let last = self.integers(label, &[], &[times.cast_signed() - 1]);
        self.add(label, op::Sub, &[last, number])
    }

    /// Collects a row of each repetition in a tensor that is carried.
    fn collect(
        &mut self,
        label: &str,
        (number, times): (TensorId, u64),
        row: TensorId,
    ) -> Result<Collected, NodeError> {
        let ty = self.tensor(row).ty.clone();
        let all = TensorType::new(ty.dtype, [&[times], &ty.shape[..]].concat());
        let first = self.zeros(&format!("{label}.rows"), all.clone())?;
        let inside = self.builder.tensor(format!("{label}.rows"), all, None);
        let next = self.add(&format!("{label}.put"), op::PutRow, &[inside, row, number])?;
        Ok(Collected { first, inside, next })
    }

    /// What is carried must keep its type.
    fn check_carried(&self, before: &[TensorId], after: &[TensorId]) -> Result<(), NodeError> {
        let changed = before
            .iter()
            .zip(after)
            .find(|&(&before, &after)| self.tensor(before).ty != self.tensor(after).ty);
        changed.map_or(Ok(()), |(&before, &after)| {
            let tensor = self.tensor(after).name.clone();
            let [before, after] = [before, after].map(|id| self.tensor(id).ty.to_string());
            Err(NodeError::Carried { tensor, before, after })
        })
    }

    /// If the number of repetitions isn't known, nobody may read the rows.
    fn check_rows(&self, Repetition { names, wanted, .. }: Repetition<'_>) -> Result<(), NodeError> {
        let Some(row) = wanted.iter().position(|&wanted| wanted) else { return Ok(()) };
        let index = names.len() - wanted.len() + row;
        Err(NodeError::Rows { index, name: names[index].clone() })
    }
}

/// A tensor of rows in the course of a Repeat.
struct Collected {
    first: TensorId,
    inside: TensorId,
    next: TensorId,
}

/// The rows of a tensor, to be taken one by one.
pub(super) struct Rows {
    tensor: TensorId,
    /// All rows, once one of a known number was taken.
    parts: Option<Vec<TensorId>>,
}

impl Rows {
    pub fn of(tensor: TensorId) -> Self {
        Self { tensor, parts: None }
    }

    /// The row of a number.
    pub fn take(
        &mut self,
        import: &mut Import,
        label: &str,
        number: TensorId,
    ) -> Result<TensorId, NodeError> {
        let known = import.tensor(number).value.as_ref().and_then(|value| value.first_chunk());
        let known = known.map(|&bytes| u64::from_le_bytes(bytes) as usize);
        let Some(known) = known else { return import.add(label, op::TakeRow, &[self.tensor, number]) };
        let count = import.tensor(self.tensor).ty.shape.first().copied().unwrap_or(0);
        let parts = match &self.parts {
            Some(parts) => parts,
            None => {
                let names = vec![label.to_owned(); count as usize];
                let split = op::Split { axis: 0, sizes: vec![1; count as usize] };
                let parts = import.apply(label, split, &[self.tensor], &names)?;
                self.parts.insert(parts)
            }
        };
        // Numbers come from the number of repetitions, which is that of the rows.
        let part = parts.get(known).copied().unwrap_or(self.tensor);
        import.add(label, op::Squeeze { axes: Some(vec![0]) }, &[part])
    }
}
