//! The schedule: which kernel computes which range of which tensor, and in which order. Each such range is a
//! big step. Between big steps, the state consists of memory alone.

use std::collections::HashMap;

use codegen::link::{self, Entry, Node, Part, Period};
use dnn_lib::definition::Definition;
use graph::TensorId;
use graph::lower::{Computed, Guard, Lowered};

use crate::error::{ScheduleError, Warning};
use crate::plan::Plan;

/// The big steps of a model, and the kernels that they run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// The definitions, without duplicates.
    pub definitions: Vec<Definition>,
    /// The big steps in order. Those of a node are consecutive, and their ranges cover its units.
    pub steps: Vec<BigStep>,
    /// Those that are repeated.
    pub period: Option<Period>,
}

/// A kernel over a range of its units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BigStep {
    /// The name of its node, or the names of those that became one: `conv1+relu1`.
    pub node: String,
    /// The number of what it is a part of; big steps of one node have one number.
    pub place: usize,
    /// The node's operator, or likewise: `Conv+Relu`.
    pub operator: String,
    /// The index of the definition in [`Schedule::definitions`].
    pub definition: usize,
    /// The tensors that it reads.
    pub inputs: Vec<TensorId>,
    /// The tensor that it writes.
    pub output: TensorId,
    /// When it is computed: only if all of them say so.
    pub guards: Vec<Guard>,
    /// The first unit.
    pub lo: u64,
    /// The end of the units, exclusive.
    pub hi: u64,
}

impl BigStep {
    /// The kernel's first arguments: the addresses of its inputs and its output. The range follows.
    pub fn addresses(&self, plan: &Plan) -> Vec<u64> {
        self.inputs.iter().chain([&self.output]).map(|&id| plan.address(id)).collect()
    }
}

/// The maximum number of big steps. A game over more of them would not be shorter than one over fewer, longer
/// ones.
const MAX_STEPS: usize = 1 << 20;

/// One big step for each node.
pub(crate) fn schedule(lowered: Lowered) -> Schedule {
    let period = Some(lowered.period()).filter(|nodes| !nodes.is_empty());
    let period = period.map(|nodes| Period { start: nodes.start, count: nodes.len(), times: lowered.times });
    let mut schedule = Schedule { period, ..Schedule::default() };
    let mut known: HashMap<Definition, usize> = HashMap::new();
    for (place, node) in lowered.nodes.into_iter().enumerate() {
        let Computed { name, operator, definition, inputs, output, guards, .. } = node;
        let hi = dnn_lib::schedule::units(&definition);
        let number = *known.entry(definition.clone()).or_insert(schedule.definitions.len());
        if number == schedule.definitions.len() {
            schedule.definitions.push(definition);
        }
        schedule.steps.push(BigStep {
            node: name,
            place,
            operator,
            definition: number,
            inputs,
            output,
            guards,
            lo: 0,
            hi,
        });
    }
    schedule
}

impl Schedule {
    /// The same work in big steps of at most `budget` steps, or of one unit if that takes more. `bound` gives
    /// the bound of a big step with another number of units. It never decreases with more units.
    pub(crate) fn split(
        self,
        budget: u64,
        bound: impl Fn(&BigStep, u64) -> u64,
    ) -> Result<Self, ScheduleError> {
        let mut steps = Vec::new();
        // Where each big step begins after the cut.
        let mut begins = Vec::with_capacity(self.steps.len() + 1);
        for step in self.steps {
            begins.push(steps.len());
            let units = step.hi - step.lo;
            let parts = units.div_ceil(most_units(units, |units| bound(&step, units) <= budget));
            if parts > (MAX_STEPS - steps.len()) as u64 {
                return Err(ScheduleError::Steps { budget, limit: MAX_STEPS });
            }
            let border =
                |part: u64| step.lo + (u128::from(units) * u128::from(part) / u128::from(parts)) as u64;
            steps.extend((0..parts).map(|part| BigStep {
                lo: border(part),
                hi: border(part + 1),
                ..step.clone()
            }));
        }
        begins.push(steps.len());
        let moved = |Period { start, count, times }: Period| {
            let [start, end] = [start, start + count].map(|step| begins[step.min(begins.len() - 1)]);
            Period { start, count: end - start, times }
        };
        Ok(Self { definitions: self.definitions, steps, period: self.period.map(moved) })
    }

    /// A warning for each node with a big step whose bound exceeds the budget.
    pub(crate) fn beyond<'a>(
        &'a self,
        budget: u64,
        entries: &'a [Entry],
    ) -> impl Iterator<Item = Warning> + 'a {
        let mut last = None;
        let bounds = self.steps.iter().zip(entries.iter().map(|entry| entry.bound));
        bounds.filter(move |(_, bound)| *bound > budget).filter_map(move |(step, bound)| {
            let first = last.replace(step.place) != Some(step.place);
            let (node, operator) = (step.node.clone(), step.operator.clone());
            first.then_some(Warning::Budget { node, operator, bound, budget })
        })
    }

    /// The nodes and the big steps for the linker.
    pub(crate) fn parts(&self, plan: &Plan) -> (Vec<Node>, Vec<Part>) {
        let (mut nodes, mut parts) = (Vec::new(), Vec::new());
        let mut last = None;
        for step in &self.steps {
            if last.replace(step.place) != Some(step.place) {
                let guard =
                    |guard: &Guard| link::Guard { address: plan.address(guard.tensor), when: guard.when };
                nodes.push(Node {
                    addresses: step.addresses(plan),
                    kernel: step.definition,
                    guards: step.guards.iter().map(guard).collect(),
                });
            }
            parts.push(Part { node: nodes.len() - 1, lo: step.lo, hi: step.hi });
        }
        (nodes, parts)
    }
}

/// The largest number from 1 to `units` that fits; 1 if none does. If a number fits, all smaller ones must
/// too.
fn most_units(units: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let (mut least, mut end) = (1, units.saturating_add(1));
    while end - least > 1 {
        let middle = least + (end - least) / 2;
        if fits(middle) { least = middle } else { end = middle }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;
    use dnn_lib::tensor::{DType, TensorType};
    use graph::{Graph, Tensor};

    #[test]
    fn a_period_keeps_its_nodes_when_they_are_cut() {
        let ty = TensorType::new(DType::F32, []);
        let output = Graph::default().add_tensor(Tensor { name: String::new(), ty, value: None });
        let step = |place: usize, hi| BigStep {
            node: String::new(),
            place,
            operator: String::new(),
            definition: 0,
            inputs: Vec::new(),
            output,
            guards: Vec::new(),
            lo: 0,
            hi,
        };
        // Cut into 2, 1, 4 and 3.
        let steps: Vec<BigStep> = [20, 10, 35, 30].iter().enumerate().map(|(at, &hi)| step(at, hi)).collect();
        for (start, count, moved) in [(0, 1, (0, 2)), (1, 2, (2, 5)), (2, 2, (3, 7)), (0, 4, (0, 10))] {
            let period = Some(Period { start, count, times: 9 });
            let schedule = Schedule { definitions: Vec::new(), steps: steps.clone(), period };
            let split = schedule.split(10, |_, units| units).unwrap();
            assert_eq!(split.steps.len(), 10);
            assert_eq!(split.period, Some(Period { start: moved.0, count: moved.1, times: 9 }));
        }
    }

    #[test]
    fn the_most_units_that_fit_are_found() {
        for units in [1, 2, 3, 10, 1000] {
            for limit in [0, 1, 2, 9, 10, 999, 1000, 5000] {
                assert_eq!(most_units(units, |n| n <= limit), limit.clamp(1, units), "{limit} of {units}");
            }
        }
    }
}
