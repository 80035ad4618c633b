//! Losses, in the steps of their functions in ONNX's specification.

use dnn_lib::operator as op;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

pub(super) const ATTRIBUTES: &[&str] = &["ignore_index", "reduction"];

/// Inputs: the logarithms of probabilities, the classes, optionally the weights of classes.
pub(super) fn negative_log_likelihood(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let logarithms = call.input(0)?;
    loss(call, logarithms)
}

/// The same for the logarithms of a softmax, which are the second output.
pub(super) fn softmax_cross_entropy(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let scores = call.input(0)?;
    let logarithms = call.step("log_prob", op::LogSoftmax { axis: 1 }, &[scores])?;
    let loss = loss(call, logarithms)?;
    Ok(vec![loss[0], call.as_output(1, logarithms)?])
}

/// Minus the logarithm at each class, times the weight of the class, and 0 where the class is to be ignored; then
/// reduced.
fn loss(call: &mut Call<'_>, logarithms: TensorId) -> Result<Vec<TensorId>, NodeError> {
    let (ty, classes) = (call.ty(logarithms).clone(), call.input(1)?);
    check(call, &ty)?;
    let column = call.step("column", op::Unsqueeze { axes: vec![1] }, &[classes])?;
    let picked = call.step("picked", op::GatherElements { axis: 1 }, &[logarithms, column])?;
    let picked = call.step("sample", op::Squeeze { axes: Some(vec![1]) }, &[picked])?;
    let mut loss = call.step("negative", op::Neg, &[picked])?;
    let mut weights = None;
    if let Some(of_classes) = call.optional(2) {
        let of_samples = call.step("weights", op::Gather { axis: 0 }, &[of_classes, classes])?;
        loss = call.step("weighted", op::Mul, &[loss, of_samples])?;
        weights = Some(of_samples);
    }
    if let Some(ignored) = ignored(call, classes)? {
        let [zero, one] = [("zero", 0.0), ("one", 1.0)].map(|(name, x)| call.number(name, x, ty.dtype));
        loss = call.step("counted", op::Where, &[ignored, zero, loss])?;
        let counted = [ignored, zero, weights.unwrap_or(one)];
        weights = Some(call.step("counted_weights", op::Where, &counted)?);
    }
    let sum = op::ReduceSum { axes: None, keep_dims: false };
    match (call.string("reduction")?.as_deref(), weights) {
        (Some("none"), _) => call.apply_to(op::Identity, &[loss]),
        (Some("sum"), _) => call.apply_to(sum, &[loss]),
        (None | Some("mean"), None) => {
            call.apply_to(op::ReduceMean { axes: None, keep_dims: false }, &[loss])
        }
        (None | Some("mean"), Some(weights)) => {
            let of_losses = call.step("sum", sum.clone(), &[loss])?;
            let of_weights = call.step("sum_of_weights", sum, &[weights])?;
            call.apply_to(op::Div, &[of_losses, of_weights])
        }
        (Some(found), _) => Err(value_error("reduction", &found, "none, sum, mean")),
    }
}

/// Checks the shapes of the classes and the weights.
fn check(call: &Call<'_>, logarithms: &TensorType) -> Result<(), NodeError> {
    let shape = |index: usize, right: &dyn Fn(&[u64]) -> bool, expected: String| {
        let Some(id) = call.optional(index) else { return Ok(()) };
        if right(&call.ty(id).shape) { Ok(()) } else { Err(call.shape_error(index, expected)) }
    };
    call.check_float(0)?;
    shape(0, &|shape| shape.len() >= 2, "[N, C, ...]".to_owned())?;
    let mut samples = logarithms.shape.clone();
    let classes = samples.remove(1);
    shape(1, &|shape| shape == samples, format!("{samples:?}, as input 0 without its classes"))?;
    shape(2, &|shape| shape == [classes], format!("[{classes}], one for each class"))
}

/// Which samples have the class to be ignored, if there is one.
fn ignored(call: &mut Call<'_>, classes: TensorId) -> Result<Option<TensorId>, NodeError> {
    let Some(index) = call.int("ignore_index")? else { return Ok(None) };
    let bytes: Vec<u8> = match (call.ty(classes).dtype, i32::try_from(index)) {
        (DType::I32, Ok(index)) => index.to_le_bytes().into(),
        // No sample has a class that its type can't hold. Other types are refused as indices.
        (DType::I32, Err(_)) => return Ok(None),
        _ => index.to_le_bytes().into(),
    };
    let ty = TensorType::new(call.ty(classes).dtype, []);
    let index = call.constant("ignore_index", ty, bytes.into());
    call.step("ignored", op::Equal, &[classes, index]).map(Some)
}
