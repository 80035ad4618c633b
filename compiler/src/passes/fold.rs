//! Nodes whose inputs are all known are computed by the compiler, with the reference evaluator.

use std::sync::Arc;

use dnn_lib::operator::{Lowering, Operator};
use dnn_lib::tensor::TensorType;

use crate::error::NodeError;
use crate::graph::Tensor;

/// The most elements that go into or come out of a node that is folded. The evaluator is slow: what shapes are made of
/// is small, and computing with whole weights is left to the machine.
const MAX_ELEMENTS: u64 = 1 << 16;

/// The value of the operator on these tensors, if they are all constants and it is worth knowing.
pub(crate) fn fold(
    operator: &Operator,
    inputs: &[&Tensor],
    output: &TensorType,
) -> Result<Option<Arc<Vec<u8>>>, NodeError> {
    let values: Option<Vec<&Arc<Vec<u8>>>> = inputs.iter().map(|tensor| tensor.value.as_ref()).collect();
    let Some(values) = values else { return Ok(None) };
    let types: Vec<TensorType> = inputs.iter().map(|tensor| tensor.ty.clone()).collect();
    let kernels = match operator.lower(&types).map_err(NodeError::Operands)? {
        Lowering::View => return Ok(values.first().map(|&value| Arc::clone(value))),
        Lowering::Kernels(kernels) => kernels,
    };
    let small = |ty: &TensorType| ty.elements().is_some_and(|elements| elements <= MAX_ELEMENTS);
    if !types.iter().chain([output]).all(small) {
        return Ok(None);
    }
    let Some(kernel) = kernels.first() else { return Ok(Some(Arc::default())) };
    let values: Vec<&[u8]> = values.iter().map(|value| value.as_slice()).collect();
    Ok(Some(Arc::new(kernel.run(&values)?)))
}
