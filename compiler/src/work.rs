//! What there is to do for a node.

use dnn_lib::kernel::Kernel;
use dnn_lib::operator::{Lowering, OperatorError};

use crate::graph::{Graph, Node};

/// What there is to do for a node.
pub(crate) enum Work {
    /// Nothing: its output is its input with another shape.
    View,
    /// Nothing: its output has no elements.
    Empty,
    /// To run a kernel over all units of the output.
    Kernel(Box<Kernel>),
}

/// What there is to do for a node of the graph.
pub(crate) fn of(graph: &Graph, node: &Node) -> Result<Work, OperatorError> {
    Ok(match node.operator.lower(&graph.types(&node.inputs))? {
        Lowering::View => Work::View,
        Lowering::Kernels(kernels) => {
            kernels.into_iter().next().map_or(Work::Empty, |kernel| Work::Kernel(Box::new(kernel)))
        }
    })
}
