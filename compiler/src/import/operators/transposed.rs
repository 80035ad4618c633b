//! Transposed convolution, made of a convolution.
//!
//! An element of the output at `stride * q + r` is a sum over those positions of the kernel that are `r` modulo
//! the stride. So there is a convolution for each `r`, of the same input by a part of the kernel. All of them are
//! one convolution, whose filters are the parts, and whose pixels are then put side by side.

use dnn_lib::operator::{self as op, Conv, Padding, Window};
use graph::TensorId;

use super::window::padding;
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// The most of any size or attribute.
const MOST: u64 = 1 << 20;

/// A dimension of a transposed convolution.
struct Axis {
    input: i64,
    kernel: i64,
    stride: i64,
    dilation: i64,
    output: i64,
    /// The elements that are left out before the output.
    before: i64,
}

impl Axis {
    /// Whether the kernel gets zeros between its elements. Without strides, the convolution is dilated instead.
    fn spreads(&self) -> bool {
        self.stride > 1 && self.dilation > 1
    }

    /// The size of the kernel with its zeros.
    fn spread(&self) -> i64 {
        if self.spreads() { (self.kernel - 1) * self.dilation + 1 } else { self.kernel }
    }

    /// The size of the parts of the kernel.
    fn part(&self) -> i64 {
        (self.spread() - 1) / self.stride + 1
    }

    /// The distance between elements of a part.
    fn apart(&self) -> i64 {
        if self.spreads() { 1 } else { self.dilation }
    }

    /// How many pixels of the convolution are left out before the output.
    fn skipped(&self) -> i64 {
        (self.before / self.stride).min((self.part() - 1) * self.apart())
    }

    /// The pads of the convolution, which reaches at least to the end of the output.
    fn pads(&self) -> (i64, i64) {
        let extent = (self.part() - 1) * self.apart();
        let before = extent - self.skipped();
        let wanted = (self.before + self.output - 1).max(0) / self.stride + 1 - self.skipped();
        (before, (wanted + extent - before - self.input).max(0))
    }
}

/// The dimensions of a transposed convolution. What is not padded explicitly is padded at both ends.
fn axes(call: &Call<'_>, input: &[u64], kernel: &[u64]) -> Result<Vec<Axis>, NodeError> {
    let rank = kernel.len();
    let list = |name: &str, default: u64| {
        let values = call.sizes(name)?;
        let least = u64::from(default == 1);
        let fits = values.iter().all(|value| (least..=MOST).contains(value));
        match values.len() {
            0 => Ok(vec![default; rank]),
            length if length == rank && fits => Ok(values),
            _ => {
                let supported = format!("{rank} numbers from {least} to 2^20");
                Err(value_error(name, &format!("{values:?}"), &supported))
            }
        }
    };
    let (strides, dilations) = (list("strides", 1)?, list("dilations", 1)?);
    let (more, wanted) = (list("output_padding", 0)?, call.sizes("output_shape")?);
    let padding = padding(call)?;
    // Some name the whole shape.
    let wanted = wanted.get(wanted.len().saturating_sub(rank)..).unwrap_or_default();
    if !wanted.is_empty() && wanted.len() != rank {
        return Err(value_error("output_shape", &format!("{wanted:?}"), &format!("{rank} sizes")));
    }
    for (name, sizes) in [("input shape", input), ("kernel_shape", kernel), ("output_shape", wanted)] {
        if sizes.iter().any(|&size| size > MOST) {
            return Err(value_error(name, &format!("{sizes:?}"), "sizes up to 2^20"));
        }
    }
    let signed = u64::cast_signed;
    (0..rank)
        .map(|axis| {
            let own = [input[axis], kernel[axis], strides[axis], dilations[axis], more[axis]];
            let [input, kernel, stride, dilation, more] = own.map(signed);
            let whole = stride * (input - 1) + (kernel - 1) * dilation + 1 + more;
            let same = (!matches!(padding, Padding::Explicit(_))).then_some(input * stride);
            let wanted = wanted.get(axis).copied().map(signed).or(same);
            let (output, before) = match (wanted, &padding) {
                (None, Padding::Explicit(pads)) => {
                    let (before, after) = pads.get(axis).copied().unwrap_or_default();
                    if before.max(after) > MOST {
                        return Err(value_error("pads", &before.max(after), "up to 2^20"));
                    }
                    (whole - signed(before) - signed(after), signed(before))
                }
                (wanted, padding) => {
                    let output = wanted.unwrap_or(whole);
                    let total = (whole - output).max(0);
                    (output, if *padding == Padding::SameUpper { total / 2 } else { total - total / 2 })
                }
            };
            if output < 0 {
                return Err(value_error("pads", &before, &format!("at most {whole} positions in all")));
            }
            Ok(Axis { input, kernel, stride, dilation, output, before })
        })
        .collect()
}

/// A convolution for each place between strides, of the input by a part of the kernel.
pub(super) fn conv_transpose(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let group = call.int("group")?.unwrap_or(1);
    let (x, w) = (call.input(0)?, call.input(1)?);
    let (image, weights) = (call.ty(x).shape.clone(), call.ty(w).shape.clone());
    let channels = image.get(1).copied().unwrap_or(0).cast_signed();
    let right = image.len() >= 3
        && weights.len() == image.len()
        && group > 0
        && channels % group == 0
        && weights[0].cast_signed() == channels
        && image[0] <= MOST
        && weights[..2].iter().all(|&size| size <= MOST);
    if !right {
        let found = format!("{weights:?} in {group} groups");
        let supported = format!("weights of {channels} channels in groups, for {image:?}");
        return Err(value_error("group", &found, &supported));
    }
    let kernel = call.sizes("kernel_shape")?;
    if !kernel.is_empty() && weights[2..] != kernel[..] {
        let supported = format!("what input 1 says: {weights:?}");
        return Err(value_error("kernel_shape", &format!("{kernel:?}"), &supported));
    }
    let axes = axes(call, &image[2..], &weights[2..])?;
    let outer = weights[1].cast_signed();
    let filters = filters(call, w, &axes, [group, channels / group, outer])?;
    let copies: i64 = axes.iter().map(|axis| axis.stride).product();
    let mut inputs = vec![x, filters];
    if let Some(bias) = call.optional(2) {
        // One for each part of a filter.
        let column = call.step("column", reshape(vec![group * outer, 1]), &[bias])?;
        let shape = [group * outer, copies].map(i64::cast_unsigned).to_vec();
        let biases = call.step("biases", op::Expand { shape }, &[column])?;
        inputs.push(call.step("bias", reshape(vec![group * outer * copies]), &[biases])?);
    }
    let pads =
        axes.iter().map(Axis::pads).map(|(before, after)| (before.cast_unsigned(), after.cast_unsigned()));
    let dilations = axes.iter().map(|axis| axis.apart().cast_unsigned()).collect();
    let window = Window { strides: Vec::new(), dilations, padding: Padding::Explicit(pads.collect()) };
    let mut y = call.step("parts", Conv { window, group: group.cast_unsigned() }, &inputs)?;
    y = interleaved(call, y, &axes)?;
    let rank = axes.len() as i64;
    let starts: Vec<i64> = axes.iter().map(|axis| axis.before - axis.skipped() * axis.stride).collect();
    let ends = axes.iter().zip(&starts).map(|(axis, start)| start + axis.output).collect();
    let whole = op::Slice { axes: Some((2..2 + rank).collect()), starts, ends, steps: vec![1; axes.len()] };
    call.apply_to(whole, &[y])
}

fn reshape(shape: Vec<i64>) -> op::Reshape {
    op::Reshape { shape, allow_zero: true }
}

/// The parts of the kernel as filters, backwards, from weights of groups, channels and outputs of a group.
fn filters(
    call: &mut Call<'_>,
    weights: TensorId,
    axes: &[Axis],
    [group, inner, outer]: [i64; 3],
) -> Result<TensorId, NodeError> {
    let pad = |pads: Vec<(i64, i64)>| op::Pad { mode: op::PadMode::Constant, pads };
    let rank = axes.len();
    let mut weights = weights;
    if axes.iter().any(Axis::spreads) {
        let zeros = |axis: &Axis| if axis.spreads() { axis.dilation - 1 } else { 0 };
        let apart = [group * inner, outer].into_iter().chain(axes.iter().flat_map(|axis| [axis.kernel, 1]));
        weights = call.step("apart", reshape(apart.collect()), &[weights])?;
        let pads = axes.iter().flat_map(|axis| [(0, 0), (0, zeros(axis))]);
        weights = call.step("zeros", pad([(0, 0); 2].into_iter().chain(pads).collect()), &[weights])?;
        let joined = axes.iter().map(|axis| axis.kernel * (zeros(axis) + 1));
        let joined = [group * inner, outer].into_iter().chain(joined);
        weights = call.step("spread", reshape(joined.collect()), &[weights])?;
    }
    let whole = axes.iter().map(|axis| {
        let size = if axis.spreads() { axis.kernel * axis.dilation } else { axis.kernel };
        (0, axis.part() * axis.stride - size)
    });
    let pads: Vec<(i64, i64)> = [(0, 0); 2].into_iter().chain(whole).collect();
    weights = call.step("whole", pad(pads), &[weights])?;
    let split = axes.iter().flat_map(|axis| [axis.part(), axis.stride]);
    let split = [group, inner, outer].into_iter().chain(split).collect();
    weights = call.step("split", reshape(split), &[weights])?;
    let places = |first: u64| (0..rank as u64).map(move |axis| first + 2 * axis);
    let perm = [0, 2].into_iter().chain(places(4)).chain([1]).chain(places(3)).collect();
    weights = call.step("turned", op::Transpose { perm: Some(perm) }, &[weights])?;
    let count: i64 = axes.iter().map(|axis| axis.stride).product();
    let parts = axes.iter().map(Axis::part);
    let parts = [group * outer * count, inner].into_iter().chain(parts).collect();
    weights = call.step("filters", reshape(parts), &[weights])?;
    let backwards = op::Slice {
        axes: Some((2..2 + rank as i64).collect()),
        starts: vec![-1; rank],
        ends: vec![i64::MIN; rank],
        steps: vec![-1; rank],
    };
    call.step("backwards", backwards, &[weights])
}

/// The pixels of all parts side by side.
fn interleaved(call: &mut Call<'_>, parts: TensorId, axes: &[Axis]) -> Result<TensorId, NodeError> {
    if axes.iter().all(|axis| axis.stride == 1) {
        return Ok(parts);
    }
    let shape: Vec<i64> = call.ty(parts).shape.iter().map(|&size| size.cast_signed()).collect();
    let strides: Vec<i64> = axes.iter().map(|axis| axis.stride).collect();
    let (rank, count) = (axes.len() as u64, strides.iter().product::<i64>());
    let outer = [shape[0], shape[1] / count];
    let split = [&outer[..], &strides, &shape[2..]].concat();
    let split = call.step("numbered", reshape(split), &[parts])?;
    let perm = [0, 1].into_iter().chain((0..rank).flat_map(|axis| [2 + rank + axis, 2 + axis])).collect();
    let turned = call.step("interleaved", op::Transpose { perm: Some(perm) }, &[split])?;
    let joined = shape[2..].iter().zip(&strides).map(|(size, stride)| size * stride);
    call.step("pixels", reshape(outer.into_iter().chain(joined).collect()), &[turned])
}
