//! The schedule: which kernel computes which range of which tensor, in which order. A big step is one such range; the
//! state between big steps is the memory alone.

use std::collections::HashMap;

use dnn_lib::kernel::Kernel;
use dnn_lib::operator::OperatorError;

use crate::graph::{Graph, TensorId};
use crate::plan::Plan;
use crate::work::{self, Work};

/// The big steps of a model, and the kernels that they run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// The kernels; none is there twice.
    pub kernels: Vec<Kernel>,
    /// What to run, in order.
    pub steps: Vec<BigStep>,
}

/// A kernel over a range of its units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BigStep {
    /// The node that it belongs to.
    pub node: String,
    /// The node's operator.
    pub operator: &'static str,
    /// Its place in [`Schedule::kernels`].
    pub kernel: usize,
    /// The tensors that it reads.
    pub inputs: Vec<TensorId>,
    /// The tensor that it writes.
    pub output: TensorId,
    /// The first unit.
    pub lo: u64,
    /// The end of the units, exclusive.
    pub hi: u64,
}

impl BigStep {
    /// What the kernel is called with.
    pub fn arguments(&self, plan: &Plan) -> Vec<u64> {
        let addresses = self.inputs.iter().chain([&self.output]).map(|&id| plan.address(id));
        addresses.chain([self.lo, self.hi]).collect()
    }
}

/// One big step for each node that there is something to do for.
pub(crate) fn schedule(graph: &Graph) -> Result<Schedule, OperatorError> {
    let mut schedule = Schedule::default();
    let mut known: HashMap<Kernel, usize> = HashMap::new();
    for node in &graph.nodes {
        let Work::Kernel(kernel) = work::of(graph, node)? else { continue };
        let (hi, kernel) = (kernel.units(), *kernel);
        let place = *known.entry(kernel.clone()).or_insert(schedule.kernels.len());
        if place == schedule.kernels.len() {
            schedule.kernels.push(kernel);
        }
        schedule.steps.push(BigStep {
            node: node.name.clone(),
            operator: node.operator.name(),
            kernel: place,
            inputs: node.inputs.clone(),
            output: node.output,
            lo: 0,
            hi,
        });
    }
    Ok(schedule)
}
