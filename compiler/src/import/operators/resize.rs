//! Other sizes of images. Where each element of the output lies in the input is known at compile time, so a
//! node becomes a sum over elements that tables name. The tables are computed in binary64.

use bytes::Bytes;
use dnn_lib::operator as op;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

const WHY: &str = "it decides the shape of the output";

/// The most entries of a table.
const MOST: u64 = 1 << 28;

/// How elements are computed.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest(Rounding),
    Linear,
    /// With this factor.
    Cubic(f64),
}

#[derive(Clone, Copy, PartialEq)]
enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

/// Where an element of the output lies in the input.
#[derive(Clone, Copy, PartialEq)]
enum Transformation {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    CropAndResize,
}

/// What is the same for all axes.
struct Resize {
    mode: Mode,
    transformation: Transformation,
    antialias: bool,
    exclude_outside: bool,
}

/// An axis that is resized.
struct Axis {
    axis: usize,
    input: u64,
    output: u64,
    scale: f64,
    /// Whether the scale is the quotient of the sizes.
    sized: bool,
    /// The part of the input that is taken, from 0 to 1.
    roi: (f64, f64),
}

/// A row for each index of the output: indices of elements, and their weights.
struct Table {
    taps: usize,
    indices: Vec<i64>,
    weights: Vec<f64>,
}

/// Opset 10 has scales only. It and Upsample begin at the first pixel.
pub(super) fn resize(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    if call.opset < 11 {
        return upsample(call);
    }
    let resize = Resize {
        mode: mode(call)?,
        transformation: match call.string("coordinate_transformation_mode")?.as_deref() {
            None | Some("half_pixel") => Transformation::HalfPixel,
            Some("half_pixel_symmetric") => Transformation::HalfPixelSymmetric,
            Some("pytorch_half_pixel") => Transformation::PytorchHalfPixel,
            Some("align_corners") => Transformation::AlignCorners,
            Some("asymmetric") => Transformation::Asymmetric,
            Some("tf_crop_and_resize") => Transformation::CropAndResize,
            Some(found) => {
                let supported = "half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners, \
                                 asymmetric, tf_crop_and_resize";
                return Err(value_error("coordinate_transformation_mode", &found, supported));
            }
        },
        antialias: call.flag("antialias", false)?,
        exclude_outside: call.flag("exclude_outside", false)?,
    };
    let given = |call: &Call<'_>, index: usize| {
        let empty = |id| call.ty(id).shape.contains(&0);
        if call.optional(index).is_none_or(empty) {
            Ok(Vec::new())
        } else {
            call.constant_numbers(index, WHY)
        }
    };
    let (roi, scales, sizes) = (given(call, 1)?, given(call, 2)?, given(call, 3)?);
    let [roi, scales, sizes] = [roi, scales, sizes]
        .map(|numbers| numbers.into_iter().map(|(number, _)| number).collect::<Vec<f64>>());
    let roi = if resize.transformation == Transformation::CropAndResize { roi } else { Vec::new() };
    let axes = axes(call, &roi, &scales, &sizes)?;
    let outside = call.float("extrapolation_value")?.unwrap_or(0.0);
    let outside = (resize.transformation == Transformation::CropAndResize).then_some(outside);
    apply(call, &resize, axes, outside)
}

/// The scales are an attribute or, since opset 9, an input.
pub(super) fn upsample(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let mode = match mode(call)? {
        Mode::Nearest(_) => Mode::Nearest(Rounding::Floor),
        mode => mode,
    };
    let scales: Vec<f64> = match (call.optional(1), call.floats("scales")?) {
        (Some(_), _) => call.constant_numbers(1, WHY)?.into_iter().map(|(scale, _)| scale).collect(),
        (None, Some(scales)) => scales.into_iter().map(f64::from).collect(),
        (None, None) => return Err(NodeError::MissingAttribute { attribute: "scales" }),
    };
    let axes = axes(call, &[], &scales, &[])?;
    let transformation = Transformation::Asymmetric;
    apply(call, &Resize { mode, transformation, antialias: false, exclude_outside: false }, axes, None)
}

fn mode(call: &Call<'_>) -> Result<Mode, NodeError> {
    match call.string("mode")?.as_deref() {
        None | Some("nearest") => Ok(Mode::Nearest(match call.string("nearest_mode")?.as_deref() {
            None | Some("round_prefer_floor") => Rounding::PreferFloor,
            Some("round_prefer_ceil") => Rounding::PreferCeil,
            Some("floor") => Rounding::Floor,
            Some("ceil") => Rounding::Ceil,
            Some(found) => {
                let supported = "round_prefer_floor, round_prefer_ceil, floor, ceil";
                return Err(value_error("nearest_mode", &found, supported));
            }
        })),
        Some("linear" | "bilinear") => Ok(Mode::Linear),
        Some("cubic") => Ok(Mode::Cubic(call.float("cubic_coeff_a")?.unwrap_or(-0.75).into())),
        Some(found) => Err(value_error("mode", &found, "nearest, linear, cubic")),
    }
}

/// All axes, with their scales.
fn axes(call: &Call<'_>, roi: &[f64], scales: &[f64], sizes: &[f64]) -> Result<Vec<Axis>, NodeError> {
    let shape = call.ty(call.input(0)?).shape.clone();
    let rank = shape.len() as i64;
    let named = call.ints("axes")?.unwrap_or_else(|| (0..rank).collect());
    let mut unique: Vec<i64> = named.iter().map(|&axis| if axis < 0 { axis + rank } else { axis }).collect();
    unique.sort_unstable();
    unique.dedup();
    let good = unique.len() == named.len() && unique.iter().all(|axis| (0..rank).contains(axis));
    let count = named.len();
    if !good {
        return Err(value_error("axes", &format!("{named:?}"), &format!("axes of a tensor of rank {rank}")));
    }
    let given = if scales.is_empty() { sizes } else { scales };
    if given.len() != count || !(roi.is_empty() || roi.len() == 2 * count) {
        let found = format!("{} scales, {} sizes, {} bounds", scales.len(), sizes.len(), roi.len());
        return Err(value_error("scales or sizes", &found, &format!("{count} of one of them")));
    }
    let ratio = |place: usize| {
        let axis = named[place].rem_euclid(rank) as usize;
        if scales.is_empty() { sizes[place] / shape[axis] as f64 } else { scales[place] }
    };
    let ratios: Vec<f64> = (0..count).map(ratio).collect();
    // One scale for all axes, if the shape of what is seen must stay.
    let common = match call.string("keep_aspect_ratio_policy")?.as_deref() {
        _ if !scales.is_empty() => None,
        None | Some("stretch") => None,
        Some("not_larger") => ratios.iter().copied().reduce(f64::min),
        Some("not_smaller") => ratios.iter().copied().reduce(f64::max),
        Some(found) => {
            return Err(value_error("keep_aspect_ratio_policy", &found, "stretch, not_larger, not_smaller"));
        }
    };
    let mut axes = Vec::new();
    for place in 0..count {
        let axis = named[place].rem_euclid(rank) as usize;
        let (input, scale) = (shape[axis], common.unwrap_or(ratios[place]));
        let output = match common {
            Some(scale) => (scale * input as f64 + 0.5).floor(),
            None if scales.is_empty() => sizes[place],
            None => (scale * input as f64).floor(),
        };
        // A NaN is refused too.
        if !(scale > 0.0 && output >= 0.0 && output < MOST as f64) {
            return Err(value_error(
                "scales or sizes",
                &scale,
                "positive numbers that give sizes below 2^28",
            ));
        }
        let roi = if roi.is_empty() { (0.0, 1.0) } else { (roi[place], roi[count + place]) };
        axes.push(Axis {
            axis,
            input,
            output: output as u64,
            scale,
            sized: scales.is_empty() && common.is_none(),
            roi,
        });
    }
    axes.sort_unstable_by_key(|axis| axis.axis);
    Ok(axes)
}

impl Axis {
    fn stays(&self) -> bool {
        (self.scale - 1.0).abs() < 1e-9 && self.input == self.output && self.roi == (0.0, 1.0)
    }

    /// Where an index of the output lies in the input. `None` if what is there is outside of it.
    fn place(&self, transformation: Transformation, index: u64) -> Option<f64> {
        let (x, input, output) = (index as f64, self.input as f64, self.output as f64);
        // If sizes are given, products and quotients of integers are more precise than those of a scale.
        let scaled = |x: f64| if self.sized { x * input / output } else { x / self.scale };
        let half_pixel = scaled(x + 0.5) - 0.5;
        let whole = self.scale * input;
        Some(match transformation {
            Transformation::HalfPixel => half_pixel,
            Transformation::PytorchHalfPixel if self.output > 1 => half_pixel,
            Transformation::PytorchHalfPixel => 0.0,
            Transformation::HalfPixelSymmetric => input / 2.0 * (1.0 - output / whole) + half_pixel,
            Transformation::AlignCorners if whole == 1.0 => 0.0,
            Transformation::AlignCorners => x * (input - 1.0) / (whole - 1.0),
            Transformation::Asymmetric => scaled(x),
            Transformation::CropAndResize => {
                let (start, end) = self.roi;
                let place = if self.output == 1 {
                    (end - start) * (input - 1.0) / 2.0
                } else {
                    x * (end - start) * (input - 1.0) / (output - 1.0)
                };
                let place = place + start * (input - 1.0);
                return (0.0..=input - 1.0).contains(&place).then_some(place);
            }
        })
    }
}

impl Rounding {
    fn of(self, x: f64) -> f64 {
        match self {
            Self::PreferFloor => (x - 0.5).ceil(),
            Self::PreferCeil => (x + 0.5).floor(),
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
        }
    }
}

impl Resize {
    /// How many elements belong to one of the output, along an axis.
    fn taps(&self, scale: f64) -> u64 {
        let scale = if self.antialias { scale.min(1.0) } else { 1.0 };
        match self.mode {
            Mode::Nearest(_) => 1,
            Mode::Linear => ((1.0 / scale).ceil() as u64).saturating_mul(2),
            Mode::Cubic(_) => ((2.0 / scale).ceil() as u64).saturating_mul(2),
        }
    }

    /// The weight of an element at a distance.
    fn weight(&self, distance: f64) -> f64 {
        let x = distance.abs();
        match self.mode {
            Mode::Nearest(_) => 1.0,
            Mode::Linear => (1.0 - x).max(0.0),
            Mode::Cubic(a) if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
            Mode::Cubic(a) if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
            Mode::Cubic(_) => 0.0,
        }
    }

    fn table(&self, axis: &Axis) -> Table {
        let taps = self.taps(axis.scale) as usize;
        let mut table = Table { taps, indices: Vec::new(), weights: Vec::new() };
        for index in 0..axis.output {
            match axis.place(self.transformation, index) {
                Some(place) => self.row(axis, place, &mut table),
                None => {
                    table.indices.extend(vec![-1; taps]);
                    table.weights.extend(vec![0.0; taps]);
                }
            }
        }
        table
    }

    fn row(&self, axis: &Axis, place: f64, table: &mut Table) {
        let last = (axis.input.max(1) - 1).cast_signed();
        if let Mode::Nearest(rounding) = self.mode {
            table.indices.push((rounding.of(place) as i64).clamp(0, last));
            table.weights.push(1.0);
            return;
        }
        let narrow = if self.antialias { axis.scale.min(1.0) } else { 1.0 };
        let floor = place.floor();
        let first = floor as i64 - table.taps as i64 / 2 + 1;
        let indices = (0..table.taps as i64).map(|tap| first + tap);
        let weight = |index: i64| {
            let out = self.exclude_outside && !(0..=last).contains(&index);
            let distance = (index - floor as i64) as f64 - (place - floor);
            if out { 0.0 } else { self.weight(distance * narrow) }
        };
        let weights: Vec<f64> = indices.clone().map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let sum = if (self.antialias || self.exclude_outside) && sum != 0.0 { sum } else { 1.0 };
        table.weights.extend(weights.iter().map(|weight| weight / sum));
        table.indices.extend(indices.map(|index| index.clamp(0, last)));
    }
}

fn apply(
    call: &mut Call<'_>,
    resize: &Resize,
    axes: Vec<Axis>,
    outside: Option<f32>,
) -> Result<Vec<TensorId>, NodeError> {
    let input = call.input(0)?;
    let axes: Vec<Axis> = axes.into_iter().filter(|axis| !axis.stays()).collect();
    if axes.is_empty() {
        return call.apply_to(op::Identity, &[input]);
    }
    if let Some(axis) = axes.iter().find(|axis| resize.taps(axis.scale).saturating_mul(axis.output) > MOST) {
        return Err(value_error("scales", &axis.scale, "scales with tables below 2^28 entries"));
    }
    let tables: Vec<Table> = axes.iter().map(|axis| resize.table(axis)).collect();
    let weighted = !matches!(resize.mode, Mode::Nearest(_));
    if !weighted && let Some(factors) = factors(&axes, &tables) {
        return enlarge(call, input, &factors);
    }
    let dtype = op::weights(call.ty(input).dtype);
    let mut inputs = vec![input];
    for (axis, Table { taps, indices, weights }) in axes.iter().zip(tables) {
        let shape = [axis.output, taps as u64];
        let bytes = indices.iter().flat_map(|index| index.to_le_bytes()).collect();
        let name = format!("places{}", axis.axis);
        inputs.push(call.constant(&name, TensorType::new(DType::I64, shape), bytes));
        if weighted {
            let bytes: Bytes = match dtype {
                DType::F64 => weights.iter().flat_map(|weight| weight.to_le_bytes()).collect(),
                _ => weights.iter().flat_map(|&weight| (weight as f32).to_le_bytes()).collect(),
            };
            inputs.push(call.constant(
                &format!("weights{}", axis.axis),
                TensorType::new(dtype, shape),
                bytes,
            ));
        }
    }
    let axes = axes.iter().map(|axis| axis.axis as u64).collect();
    call.apply_to(op::Resample { axes, weighted, outside }, &inputs)
}

/// How often each element is repeated along each axis, if that is all.
fn factors(axes: &[Axis], tables: &[Table]) -> Option<Vec<(usize, u64)>> {
    let factor = |(axis, table): (&Axis, &Table)| {
        let factor = axis.output.checked_div(axis.input)?;
        let repeats =
            (0..).zip(&table.indices).all(|(at, &index)| at / factor.max(1) == index.cast_unsigned());
        (factor > 0 && factor * axis.input == axis.output && repeats).then_some((axis.axis, factor))
    };
    axes.iter().zip(tables).map(factor).collect()
}

/// Repeats elements, which costs less than to look up where they are.
fn enlarge(
    call: &mut Call<'_>,
    input: TensorId,
    factors: &[(usize, u64)],
) -> Result<Vec<TensorId>, NodeError> {
    let (mut apart, mut repeated, mut joined) = (Vec::new(), Vec::new(), Vec::new());
    for (axis, &size) in call.ty(input).shape.iter().enumerate() {
        let factor = factors.iter().find(|(own, _)| *own == axis).map_or(1, |&(_, factor)| factor);
        apart.push(size.cast_signed());
        repeated.push(size);
        joined.push((size * factor).cast_signed());
        if factor > 1 {
            apart.push(1);
            repeated.push(factor);
        }
    }
    let apart = call.step("apart", op::Reshape { shape: apart, allow_zero: true }, &[input])?;
    let repeated = call.step("repeated", op::Expand { shape: repeated }, &[apart])?;
    call.apply_to(op::Reshape { shape: joined, allow_zero: true }, &[repeated])
}
