//! Constant folding: the reference evaluator computes nodes whose inputs are all constants.

use bytes::Bytes;
use dnn_lib::kernel::{Block, Kernel, Statement};
use dnn_lib::operator::Operator;
use dnn_lib::tensor::TensorType;

use crate::error::NodeError;
use crate::graph::Tensor;
use crate::work::{self, Work};

/// The maximum number of statements that the evaluator executes for one node, about a second's worth. The
/// arithmetic of shapes needs far fewer, and so does moving most weights. Larger nodes are left to the
/// machine.
const MAX_WORK: u64 = 1 << 24;

/// The result of the operator on these tensors, if they are all constants and it can be computed quickly.
pub(crate) fn fold(operator: &Operator, inputs: &[&Tensor]) -> Result<Option<Bytes>, NodeError> {
    let values: Option<Vec<&Bytes>> = inputs.iter().map(|tensor| tensor.value.as_ref()).collect();
    let Some(values) = values else { return Ok(None) };
    let types: Vec<TensorType> = inputs.iter().map(|tensor| tensor.ty.clone()).collect();
    let kernel = match work::of_operator(operator, &types).map_err(NodeError::Operands)? {
        Work::View => return Ok(values.first().map(|&value| value.clone())),
        Work::Empty => return Ok(Some(Bytes::new())),
        Work::Kernel(kernel) => kernel,
    };
    if statements(&kernel) > MAX_WORK {
        return Ok(None);
    }
    let values: Vec<&[u8]> = values.into_iter().map(AsRef::as_ref).collect();
    Ok(Some(kernel.run(&values)?.into()))
}

/// The maximum number of statements that the kernel executes over all its units.
fn statements(kernel: &Kernel) -> u64 {
    // The only loop without a bound is the one over the units.
    block(&kernel.body, kernel.units())
}

fn block(code: &Block, unbounded: u64) -> u64 {
    let statement = |statement: &Statement| match statement {
        Statement::Let(..) | Statement::Store { .. } => 1,
        Statement::For { bound, body, .. } => {
            bound.unwrap_or(unbounded).saturating_mul(block(body, unbounded).saturating_add(1))
        }
        Statement::If { then, otherwise, .. } => {
            block(then, unbounded).saturating_add(block(otherwise, unbounded))
        }
    };
    code.statements.iter().map(statement).fold(0, u64::saturating_add)
}
