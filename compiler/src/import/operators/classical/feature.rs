//! What prepares features: scaling, filling up, selecting, and one column for each category.

use dnn_lib::operator as op;
use dnn_lib::tensor::DType;
use graph::TensorId;

use super::transform;
use super::{Outputs, float_input, floats};
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// A list with a number for each feature, or one for all.
fn of_features(call: &mut Call<'_>, name: &'static str, default: f64) -> Result<TensorId, NodeError> {
    let values = floats(call, name)?.filter(|values| !values.is_empty()).unwrap_or_else(|| vec![default]);
    let features = call.ty(call.input(0)?).shape.last().copied().unwrap_or(1);
    if values.len() != 1 && values.len() as u64 != features {
        let supported = format!("{features}, one for each feature, or one");
        return Err(value_error(name, &format!("{} values", values.len()), &supported));
    }
    Ok(transform::constant(call, name, &values, &[values.len() as u64], DType::F32))
}

/// (x - offset) * scale.
pub(super) fn scaler(call: &mut Call<'_>) -> Outputs {
    let (offset, scale) = (of_features(call, "offset", 0.0)?, of_features(call, "scale", 1.0)?);
    let x = float_input(call)?;
    let centred = call.step("centred", op::Sub, &[x, offset])?;
    call.apply_to(op::Mul, &[centred, scale])
}

/// x divided by its largest value, its sum of magnitudes or the root of its sum of squares. If that is 0, x stays.
pub(super) fn normalizer(call: &mut Call<'_>) -> Outputs {
    let x = float_input(call)?;
    let axes = Some(vec![-1]);
    let norm = match call.string("norm")?.as_deref() {
        None | Some("MAX") => call.step("norm", op::ReduceMax { axes, keep_dims: true }, &[x])?,
        Some("L1") => call.step("norm", op::ReduceL1 { axes, keep_dims: true }, &[x])?,
        Some("L2") => call.step("norm", op::ReduceL2 { axes, keep_dims: true }, &[x])?,
        Some(other) => return Err(value_error("norm", &other, "MAX, L1, L2")),
    };
    let [zero, one] = [0.0, 1.0].map(|x| transform::constant(call, "number", &[x], &[], DType::F32));
    let none = call.step("none", op::Equal, &[norm, zero])?;
    let divisor = call.step("divisor", op::Where, &[none, one, norm])?;
    call.apply_to(op::Div, &[x, divisor])
}

/// 1 where x is larger than the threshold, else 0.
pub(super) fn binarizer(call: &mut Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let to = call.ty(x).dtype;
    let threshold = call.float("threshold")?.unwrap_or(0.0);
    let floats = float_input(call)?;
    let threshold = transform::constant(call, "threshold", &[threshold.into()], &[], DType::F32);
    let larger = call.step("larger", op::Greater, &[floats, threshold])?;
    call.apply_to(op::Cast { to }, &[larger])
}

/// x with other numbers instead of a certain one, or of NaNs.
pub(super) fn imputer(call: &mut Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let dtype = call.ty(x).dtype;
    let features = call.ty(x).shape.last().copied().unwrap_or(1);
    let integers = call.ints("imputed_value_int64s")?.filter(|values| !values.is_empty());
    let count = |name: &str, found: usize| {
        if found == 1 || found as u64 == features {
            return Ok(());
        }
        let supported = format!("{features}, one for each feature, or one");
        Err(value_error(name, &format!("{found} values"), &supported))
    };
    if let Some(values) = integers {
        count("imputed_value_int64s", values.len())?;
        let replaced = call.int("replaced_value_int64")?.unwrap_or(0);
        let replaced = call.import.integers("replaced", &[], &[replaced]);
        let values = call.constant_list("imputed", &values);
        let missing = call.step("missing", op::Equal, &[x, replaced])?;
        return call.apply_to(op::Where, &[missing, values, x]);
    }
    let values = floats(call, "imputed_value_floats")?.unwrap_or_default();
    count("imputed_value_floats", values.len())?;
    let replaced = call.float("replaced_value_float")?.unwrap_or(0.0);
    let imputed = transform::constant(call, "imputed", &values, &[values.len() as u64], dtype);
    let missing = if replaced.is_nan() {
        call.step("missing", op::IsNaN, &[x])?
    } else {
        let replaced = transform::constant(call, "replaced", &[replaced.into()], &[], dtype);
        call.step("missing", op::Equal, &[x, replaced])?
    };
    call.apply_to(op::Where, &[missing, imputed, x])
}

/// Inputs side by side, each cut off or filled up with zeros to its number of columns.
pub(super) fn vectorizer(call: &mut Call<'_>) -> Outputs {
    let inputs = call.all()?;
    let widths = call.sizes("inputdimensions")?;
    if !widths.is_empty() && widths.len() != inputs.len() {
        let supported = format!("{}, one for each input", inputs.len());
        return Err(value_error("inputdimensions", &format!("{} values", widths.len()), &supported));
    }
    let mut parts = Vec::new();
    for (index, mut x) in inputs.into_iter().enumerate() {
        if call.ty(x).dtype != DType::F32 {
            x = call.step("floats", op::Cast { to: DType::F32 }, &[x])?;
        }
        let shape = call.ty(x).shape.clone();
        let columns: u64 = shape.iter().skip(1).product();
        if shape.len() != 2 {
            let rows = if shape.len() == 1 { 1 } else { shape.first().copied().unwrap_or(1) };
            let columns = if shape.len() == 1 { shape[0] } else { columns };
            let shape = vec![rows as i64, columns as i64];
            x = call.step("matrix", op::Reshape { shape, allow_zero: true }, &[x])?;
        }
        let columns = call.ty(x).shape[1];
        let width = widths.get(index).copied().unwrap_or(columns);
        if width != columns {
            let after = i64::try_from(width).unwrap_or(i64::MAX).saturating_sub(columns as i64);
            let pads = vec![(0, 0), (0, after)];
            x = call.step("filled", op::Pad { mode: op::PadMode::Constant, pads }, &[x])?;
        }
        parts.push(x);
    }
    call.apply_to(op::Concat { axis: 1 }, &parts)
}

/// Elements along the last axis, by their numbers.
pub(super) fn extractor(call: &mut Call<'_>) -> Outputs {
    let (mut x, mut numbers) = (call.input(0)?, call.input(1)?);
    if call.ty(x).shape.len() == 1 {
        let shape = vec![1, -1];
        x = call.keeping_texts("row", op::Reshape { shape, allow_zero: false }, x)?;
    }
    if call.ty(numbers).shape.len() != 1 {
        numbers = call.step("numbers", op::Reshape { shape: vec![-1], allow_zero: false }, &[numbers])?;
    }
    let texts = call.import.texts.get(&x).cloned();
    let outputs = call.apply_to(op::Gather { axis: -1 }, &[x, numbers])?;
    call.import.texts.extend(texts.map(|texts| (outputs[0], texts)));
    Ok(outputs)
}
