//! Regions of images, and deformable convolutions.

use dnn_lib::operator as op;
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// Since opset 16, coordinates are those of the centres of pixels, unless the node says otherwise.
pub(super) fn roi_align(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let largest = match call.string("mode")?.as_deref() {
        None | Some("avg") => false,
        Some("max") => true,
        Some(found) => return Err(value_error("mode", &found, "avg, max")),
    };
    let half_pixel = match call.string("coordinate_transformation_mode")?.as_deref() {
        None => call.opset >= 16,
        Some("half_pixel") => true,
        Some("output_half_pixel") => false,
        Some(found) => {
            return Err(value_error(
                "coordinate_transformation_mode",
                &found,
                "half_pixel, output_half_pixel",
            ));
        }
    };
    let size = |call: &Call<'_>, name| {
        if call.node.attributes.contains_key(name) { call.size(name) } else { Ok(1) }
    };
    let bins = [size(call, "output_height")?, size(call, "output_width")?];
    let points = call.size("sampling_ratio")?;
    if points == 0 {
        let supported = "1 and more; 0 means that each region's size decides how many points there are, and every \
                         loop has a bound that is known at compile time";
        return Err(value_error("sampling_ratio", &0, supported));
    }
    let scale = call.float("spatial_scale")?.unwrap_or(1.0);
    call.apply(op::RoiAlign { bins, points, scale, half_pixel, largest })
}

pub(super) fn max_roi_pool(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let shape = call.sizes("pooled_shape")?;
    let bins = <[u64; 2]>::try_from(&shape[..]);
    let bins = bins.map_err(|_| value_error("pooled_shape", &format!("{shape:?}"), "height and width"))?;
    let scale = call.float("spatial_scale")?.unwrap_or(1.0);
    call.apply(op::MaxRoiPool { bins, scale })
}

/// A product of the weights and of what the offsets name.
pub(super) fn deform_conv(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (x, w, offsets) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (image, weights) = (call.ty(x).shape.clone(), call.ty(w).shape.clone());
    let group = if call.node.attributes.contains_key("group") { call.size("group")? } else { 1 };
    let groups =
        if call.node.attributes.contains_key("offset_group") { call.size("offset_group")? } else { 1 };
    let (&[batches, channels, height, width], &[maps, own, rows, columns]) = (&image[..], &weights[..])
    else {
        let found = format!("of rank {} and {}", image.len(), weights.len());
        return Err(value_error("X and W", &found, "images [N, C, H, W] and kernels of two dimensions"));
    };
    let fits = group > 0 && own.checked_mul(group) == Some(channels) && maps % group == 0;
    if !fits {
        let supported =
            format!("numbers that divide {maps} maps, with {own} channels of {channels} in each group");
        return Err(value_error("group", &group, &supported));
    }
    let pair = |call: &Call<'_>, name: &str, default: u64| -> Result<[u64; 2], NodeError> {
        let values = call.sizes(name)?;
        let right = <[u64; 2]>::try_from(&values[..]).ok();
        match right.or(values.is_empty().then_some([default; 2])) {
            Some(pair) if pair.iter().all(|&size| (1..1 << 20).contains(&size)) => Ok(pair),
            _ => Err(value_error(name, &format!("{values:?}"), "two numbers from 1 to 2^20")),
        }
    };
    let (strides, dilations) = (pair(call, "strides", 1)?, pair(call, "dilations", 1)?);
    let kernel = call.sizes("kernel_shape")?;
    if !(kernel.is_empty() || kernel == [rows, columns]) {
        let supported = format!("[{rows}, {columns}], as the weights");
        return Err(value_error("kernel_shape", &format!("{kernel:?}"), &supported));
    }
    let pads = call.sizes("pads")?;
    let pads = if pads.is_empty() { vec![0; 4] } else { pads };
    let &[top, left, bottom, right] = &pads[..] else {
        return Err(value_error("pads", &format!("{pads:?}"), "four numbers"));
    };
    // The offsets have the shape of the output, which must be the one that the window gives.
    let sides = [(height, rows, top, bottom), (width, columns, left, right)];
    let small = |size: u64| size < 1 << 24;
    let expected: Vec<Option<u64>> = (sides.iter().zip(strides).zip(dilations))
        .map(|((&(size, kernel, before, after), stride), dilation)| {
            let all = [size, kernel, before, after].into_iter().all(small);
            let extent = all.then(|| dilation * kernel.saturating_sub(1) + 1)?;
            Some((size + before + after).checked_sub(extent)? / stride + 1)
        })
        .collect();
    let found = call.ty(offsets).shape.get(2..).unwrap_or_default().to_vec();
    if found.iter().copied().map(Some).collect::<Vec<_>>() != expected {
        let expected: Vec<u64> = expected.into_iter().map(|size| size.unwrap_or(0)).collect();
        return Err(NodeError::InputShape {
            index: 2,
            tensor: call.tensor(offsets).name.clone(),
            found: format!("{:?}", call.ty(offsets).shape),
            expected: format!("the height and width {expected:?} of the output"),
        });
    }
    let mut inputs = vec![x, offsets];
    inputs.extend(call.optional(4));
    let operator =
        op::DeformColumns { kernel: [rows, columns], strides, dilations, pads: [top, left], groups };
    let all = call.step("columns", operator, &inputs)?;
    let (terms, places) = (own * rows * columns, found.iter().product::<u64>());
    let view = |shape: &[u64]| op::Reshape {
        shape: shape.iter().map(|size| size.cast_signed()).collect(),
        allow_zero: true,
    };
    let all = call.step("matrices", view(&[batches, group, terms, places]), &[all])?;
    let kernels = call.step("kernels", view(&[group, maps / group, terms]), &[w])?;
    let product = call.step("product", op::MatMul, &[kernels, all])?;
    let shape = view(&[batches, maps, found[0], found[1]]);
    let Some(bias) = call.optional(3) else { return call.apply_to(shape, &[product]) };
    let (product, bias) =
        (call.step("maps", shape, &[product])?, call.step("bias", view(&[maps, 1, 1]), &[bias])?);
    call.apply_to(op::Add, &[product, bias])
}
