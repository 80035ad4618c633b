//! Sampling of images.

use bytes::Bytes;
use dnn_lib::operator as op;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// Floats as a constant's bytes.
fn floats(dtype: DType, values: impl Iterator<Item = f64>) -> Option<Bytes> {
    match dtype {
        DType::F32 => Some(values.flat_map(|x| (x as f32).to_le_bytes()).collect()),
        DType::F64 => Some(values.flat_map(f64::to_le_bytes).collect()),
        _ => None,
    }
}

/// A product of the points of a constant grid and the transposed matrices.
pub(super) fn affine_grid(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let align = call.flag("align_corners", false)?;
    let theta = call.input(0)?;
    let (dtype, size) = (call.ty(theta).dtype, call.constant_sizes(1, "it is the shape of the output")?);
    let spatial = size.get(2..).unwrap_or_default().to_vec();
    let points = spatial.iter().try_fold(1u64, |all, &size| all.checked_mul(size));
    let points = points.filter(|&points| matches!(spatial.len(), 2 | 3) && points < 1 << 30);
    let points =
        points.ok_or_else(|| value_error("size", &format!("{size:?}"), "[N, C, H, W], [N, C, D, H, W]"))?;
    // From -1 to 1: the centres of pixels, or from the first one to the last.
    let place = |index: u64, size: u64| match (align, size) {
        (true, 1) => 0.0,
        (true, _) => -1.0 + 2.0 * index as f64 / (size - 1) as f64,
        (false, _) => -1.0 + (2 * index + 1) as f64 / size as f64,
    };
    let coordinates = (0..points).flat_map(|point| {
        let mut rest = point;
        // The last dimension is the first coordinate.
        let mut own: Vec<f64> =
            spatial.iter().rev().map(|&size| (place(rest % size, size), rest /= size).0).collect();
        own.push(1.0);
        own
    });
    let bytes = floats(dtype, coordinates).ok_or_else(|| NodeError::ElementType {
        index: 0,
        tensor: call.tensor(theta).name.clone(),
        found: onnx::element_name(dtype),
        expected: "float or double".to_owned(),
    })?;
    let rank = spatial.len() as u64;
    let grid = call.constant("points", TensorType::new(dtype, [points, rank + 1]), bytes);
    let turned = call.step("turned", op::Transpose { perm: Some(vec![0, 2, 1]) }, &[theta])?;
    let all = call.step("all", op::MatMul, &[grid, turned])?;
    let batch = call.ty(theta).shape[0];
    let shape = [batch].into_iter().chain(spatial).chain([rank]).map(u64::cast_signed).collect();
    call.apply_to(op::Reshape { shape, allow_zero: true }, &[all])
}

pub(super) fn grid_sample(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let sampling = match call.string("mode")?.as_deref() {
        None | Some("linear" | "bilinear") => op::Sampling::Linear,
        Some("nearest") => op::Sampling::Nearest,
        Some("cubic" | "bicubic") => op::Sampling::Cubic,
        Some(found) => return Err(value_error("mode", &found, "linear, nearest, cubic")),
    };
    let outside = match call.string("padding_mode")?.as_deref() {
        None | Some("zeros") => op::Outside::Zeros,
        Some("border") => op::Outside::Border,
        Some("reflection") => op::Outside::Reflection,
        Some(found) => return Err(value_error("padding_mode", &found, "zeros, border, reflection")),
    };
    let align_corners = call.flag("align_corners", false)?;
    call.apply(op::GridSample { sampling, outside, align_corners })
}
