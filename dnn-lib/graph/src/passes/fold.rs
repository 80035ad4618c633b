//! Constant folding: the reference evaluator computes nodes whose inputs are all constants.

use bytes::Bytes;
use dnn_lib::operator::Operator;
use dnn_lib::tensor::TensorType;

use crate::Tensor;
use crate::reference::{EvaluationError, evaluate};

/// The maximum number of steps that the evaluator executes for one node, about a second's worth. The
/// arithmetic of shapes needs far fewer, and so does moving most weights. Larger nodes are left to the
/// machine.
const MAX_WORK: u64 = 1 << 24;

/// An output of the operator on these tensors, if they are all constants and it can be computed quickly.
pub(crate) fn fold(
    operator: &Operator,
    output: usize,
    inputs: &[&Tensor],
) -> Result<Option<Bytes>, EvaluationError> {
    let values: Option<Vec<Bytes>> = inputs.iter().map(|tensor| tensor.value.clone()).collect();
    let Some(values) = values else { return Ok(None) };
    let types: Vec<TensorType> = inputs.iter().map(|tensor| tensor.ty.clone()).collect();
    evaluate(operator, output, &types, &values, MAX_WORK)
}
