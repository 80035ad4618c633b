//! The work for a node.

use dnn_lib::kernel::Kernel;
use dnn_lib::operator::{Lowering, Operator, OperatorError, Problem};
use dnn_lib::tensor::TensorType;

use crate::graph::{Graph, GraphNode};

/// The work for a node.
#[derive(Debug, PartialEq)]
pub(crate) enum Work {
    /// Nothing: its output is its input with another shape.
    View,
    /// Nothing: its output has no elements.
    Empty,
    /// Run a kernel over all units of the output.
    Kernel(Box<Kernel>),
}

/// The work of a node of the graph.
pub(crate) fn of_node(graph: &Graph, node: &GraphNode) -> Result<Work, OperatorError> {
    of_operator(&node.operator, &graph.types(&node.inputs))
}

/// The work of an operator on inputs of these types.
pub(crate) fn of_operator(operator: &Operator, inputs: &[TensorType]) -> Result<Work, OperatorError> {
    let problem = |problem| OperatorError { operator: operator.name(), problem };
    of_lowering(operator.lower(inputs)?).map_err(problem)
}

/// A node has one output, so an operator may have only one kernel. A second one would be lost.
fn of_lowering(lowering: Lowering) -> Result<Work, Problem> {
    let Lowering::Kernels(kernels) = lowering else { return Ok(Work::View) };
    match <[Kernel; 1]>::try_from(kernels) {
        Ok([kernel]) => Ok(Work::Kernel(Box::new(kernel))),
        Err(none) if none.is_empty() => Ok(Work::Empty),
        Err(several) => Err(Problem::Kernels { found: several.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dnn_lib::operator::Relu;
    use dnn_lib::tensor::DType;

    #[test]
    fn a_second_kernel_is_an_error() {
        let types = [TensorType::new(DType::F32, [2])];
        let Ok(Lowering::Kernels(one)) = Operator::from(Relu).lower(&types) else {
            panic!("Relu has a kernel")
        };
        let two = [one.clone(), one.clone()].concat();
        assert_eq!(of_lowering(Lowering::View), Ok(Work::View));
        assert_eq!(of_lowering(Lowering::Kernels(vec![])), Ok(Work::Empty));
        assert_eq!(of_lowering(Lowering::Kernels(one.clone())), Ok(Work::Kernel(Box::new(one[0].clone()))));
        assert_eq!(of_lowering(Lowering::Kernels(two)), Err(Problem::Kernels { found: 2 }));
    }
}
