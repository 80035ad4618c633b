//! Constant folding: the reference evaluator computes nodes whose inputs are all constants.

use bytes::Bytes;
use dnn_lib::operator::{Meaning, Operator};
use dnn_lib::tensor::TensorType;

use crate::error::NodeError;
use crate::graph::Tensor;

/// The maximum number of steps that the evaluator executes for one node, about a second's worth. The
/// arithmetic of shapes needs far fewer, and so does moving most weights. Larger nodes are left to the
/// machine.
const MAX_WORK: u64 = 1 << 24;

/// The result of the operator on these tensors, if they are all constants and it can be computed quickly.
pub(crate) fn fold(operator: &Operator, inputs: &[&Tensor]) -> Result<Option<Bytes>, NodeError> {
    let values: Option<Vec<&Bytes>> = inputs.iter().map(|tensor| tensor.value.as_ref()).collect();
    let Some(values) = values else { return Ok(None) };
    let types: Vec<TensorType> = inputs.iter().map(|tensor| tensor.ty.clone()).collect();
    let definition = match operator.define(&types).map_err(NodeError::Operands)? {
        Some(Meaning::View) => return Ok(values.first().map(|&value| value.clone())),
        None => return Ok(Some(Bytes::new())),
        Some(Meaning::Computed(definition)) => definition,
    };
    if definition.work() > MAX_WORK {
        return Ok(None);
    }
    let values: Vec<&[u8]> = values.into_iter().map(AsRef::as_ref).collect();
    Ok(Some(definition.eval(&values)?.into()))
}
