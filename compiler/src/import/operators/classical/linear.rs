//! Linear models.

use dnn_lib::operator as op;
use dnn_lib::tensor::DType;
use graph::TensorId;

use super::label::Labels;
use super::transform::{self, Transform};
use super::{Outputs, floats, single_examples};
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// X times the coefficients, which have a row for each target, and what is added: `[examples, targets]`.
fn products(
    call: &mut Call<'_>,
    x: TensorId,
    targets: u64,
    intercepts: Option<Vec<f64>>,
) -> Result<TensorId, NodeError> {
    let coefficients = floats(call, "coefficients")?.unwrap_or_default();
    let features = call.ty(x).shape[1];
    if coefficients.len() as u128 != u128::from(targets) * u128::from(features) {
        let supported = format!("{targets} * {features}, for each target one of each feature");
        return Err(value_error("coefficients", &format!("{} values", coefficients.len()), &supported));
    }
    let weights = transform::constant(call, "coefficients", &coefficients, &[targets, features], DType::F32);
    let mut inputs = vec![x, weights];
    if let Some(intercepts) = intercepts {
        inputs.push(transform::constant(call, "intercepts", &intercepts, &[targets], DType::F32));
    }
    call.step("products", op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true }, &inputs)
}

pub(super) fn regressor(call: &mut Call<'_>) -> Outputs {
    let targets = call.int("targets")?.unwrap_or(1);
    let targets = u64::try_from(targets).map_err(|_| value_error("targets", &targets, "numbers from 1"))?;
    let intercepts = floats(call, "intercepts")?.filter(|intercepts| !intercepts.is_empty());
    if let Some(intercepts) = intercepts.as_ref().filter(|intercepts| intercepts.len() as u64 != targets) {
        let supported = format!("{targets}, one for each target");
        return Err(value_error("intercepts", &format!("{} values", intercepts.len()), &supported));
    }
    let transform = Transform::of(call)?;
    let x = single_examples(call)?;
    let y = products(call, x, targets, intercepts)?;
    let y = transform::apply(call, transform, y)?;
    Ok(vec![call.as_output(0, y)?])
}

/// Outputs: the classes and the scores. There are as many as intercepts; one alone stands for two classes.
pub(super) fn classifier(call: &mut Call<'_>) -> Outputs {
    // Whether the classes were trained against each other; it changes nothing.
    call.int("multi_class")?;
    let transform = Transform::of(call)?;
    let intercepts = floats(call, "intercepts")?.unwrap_or_default();
    let labels = Labels::of(call, "classlabels_ints", "classlabels_strings")?;
    let scores = intercepts.len() as u64;
    if scores == 0 || (scores != labels.len() && scores != 1) || (scores == 1 && labels.len() > 2) {
        let supported = format!("{}, one for each class, or one for two", labels.len());
        return Err(value_error("intercepts", &format!("{scores} values"), &supported));
    }
    let x = single_examples(call)?;
    let z = products(call, x, scores, Some(intercepts))?;
    if scores > 1 {
        let label = labels.largest(call, z)?;
        let z = transform::apply(call, transform, z)?;
        return Ok(vec![label, call.as_output(1, z)?]);
    }
    if labels.len() == 1 {
        return transform::one_class(call, z, &labels, transform);
    }
    transform::refuse_probit(transform)?;
    let second = transform::exceeds(call, z, 0.0)?;
    let label = labels.second(call, second)?;
    let z = transform::with_opposite(call, z, transform, true)?;
    Ok(vec![label, call.as_output(1, z)?])
}
