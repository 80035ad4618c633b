//! Finds sums of products in definitions: as products of matrices, or as convolutions.

use dnn_lib::definition::{Affine, Axis, Coordinate, Definition, Load, Order, Reduction, Source, Step};
use dnn_lib::scalar::{Const, Expr, Type};
use dnn_lib::tensor::{DType, TensorType};

use super::image::Image;
use super::integers;
use super::matrices::Matrices;
use crate::contraction::Geometry;
use crate::engine::axes::{Axes, Linear, offset, strides};

/// The sum of products of a definition.
pub(super) struct Sum<'a> {
    pub(super) reduction: &'a Reduction,
    pub(super) loads: [&'a Load; 2],
    /// What bytes are counted from.
    pub(super) zeros: [Option<&'a Load>; 2],
    pub(super) element: Type,
}

/// The sum of products of two inputs' elements that a definition has.
pub(super) fn sum(definition: &Definition) -> Option<Sum<'_>> {
    let [stage] = &definition.stages[..] else { return None };
    let mut reductions = stage.steps.iter().filter_map(|step| match step {
        Step::Reduce(reduction) => Some(reduction),
        _ => None,
    });
    let reduction = reductions.next().filter(|_| reductions.next().is_none())?;
    let ([init], [_], [_]) = (&reduction.init[..], &reduction.carried[..], &reduction.yields[..]) else {
        return None;
    };
    let zero = |constant: &Const| matches!(constant, Const::F32(0) | Const::F64(0) | Const::I32(0));
    let starts_at_zero = |step: &Step| matches!(step, Step::Let(value, Expr::Const(constant)) if value == init && zero(constant));
    if !stage.steps.iter().any(starts_at_zero) || reduction.order != Order::Ascending {
        return None;
    }
    let element = definition.ty(*init);
    let [(x, x_zero), (y, y_zero)] = match element {
        Type::I32 => integers::factors(definition, stage, reduction)?,
        _ => floats(definition, reduction)?.map(|load| (load, None)),
    };
    Some(Sum { reduction, loads: [x, y], zeros: [x_zero, y_zero], element })
}

/// The factors of a sum of fused multiply-adds.
fn floats<'a>(definition: &Definition, reduction: &'a Reduction) -> Option<[&'a Load; 2]> {
    let [Step::Load(x, first), Step::Load(y, second), Step::Let(value, Expr::Fma(a, b, c))] =
        &reduction.body[..]
    else {
        return None;
    };
    let (carried, yielded) = (reduction.carried[0], reduction.yields[0]);
    let dtype = if definition.ty(carried) == Type::F64 { DType::F64 } else { DType::F32 };
    let whole = |load: &Load| {
        let affine = load.at.iter().all(|coordinate| matches!(coordinate, Coordinate::Affine(_)));
        let known =
            matches!(load.from, Source::Input(input) if definition.inputs[input as usize].dtype == dtype);
        affine && known && load.otherwise.is_none()
    };
    let factors = [(a, b), (b, a)].contains(&(x, y)) && *c == carried && *value == yielded;
    let right = factors && definition.output.dtype == dtype && whole(first) && whole(second);
    right.then_some([first, second])
}

/// The definition with the sums as one more input; `None` if they are the output.
pub(super) fn epilogue(definition: &Definition, sum: &Sum<'_>) -> Option<Definition> {
    let mut epilogue = definition.clone();
    let stage = &mut epilogue.stages[0];
    let result = sum.reduction.results[0];
    if stage.value == result {
        return None;
    }
    let dtype = if sum.element == Type::I32 { DType::I32 } else { definition.output.dtype };
    let sums = TensorType::new(dtype, definition.output.shape.clone());
    let from = Source::Input(definition.inputs.len() as u32);
    let at = definition.output_axes().map(|axis| Affine::from(axis).into()).collect();
    let load = Step::Load(result, Load { from, at, otherwise: None });
    for step in &mut stage.steps {
        if matches!(step, Step::Reduce(_)) {
            *step = load.clone();
        }
    }
    epilogue.inputs.push(sums);
    Some(epilogue)
}

pub(super) fn input(load: &Load) -> usize {
    match load.from {
        Source::Input(input) => input as usize,
        Source::Stage(_) => 0,
    }
}

/// The offset of an element of the output.
fn output_offset(definition: &Definition) -> Linear {
    let axes = definition.output_axes().map(|axis| axis.index());
    let terms = axes.zip(strides(&definition.output.shape)).filter(|&(axis, _)| definition.axes[axis] != 1);
    Linear { terms: terms.collect(), constant: 0 }
}

/// A sum as a product of matrices, with the loads of what is on the left and on the right.
pub(super) fn matrices(definition: &Definition, sum: &Sum<'_>) -> Option<(Matrices, [usize; 2])> {
    let axes = Axes::new(definition);
    let rank = definition.output.shape.len();
    let ranges = &sum.reduction.ranges;
    if ranges.iter().any(|range| range.window.is_some() || definition.size(range.axis) == 0) {
        return None;
    }
    let mut summed = ranges.iter().map(|range| range.axis.index()).filter(|&axis| axes.sizes[axis] != 1);
    let (product, more) = (summed.next(), summed.next());
    let output: Vec<usize> = (0..rank).filter(|&axis| axes.sizes[axis] != 1).collect();
    let [x, y] = sum.loads.map(|load| axes.linear(&offset(definition, load)));
    let column = output.last().copied();
    let in_both = column.map(|axis| (x.factor(axis) != 0, y.factor(axis) != 0));
    let (left, right, order) = match in_both {
        Some((false, true)) | None => (x, y, [0, 1]),
        Some((true, false)) => (y, x, [1, 0]),
        _ => return None,
    };
    let others = || output.iter().copied().filter(|&axis| Some(axis) != column);
    let row = others()
        .filter(|&axis| left.factor(axis) != 0 && right.factor(axis) == 0)
        .max_by_key(|&axis| axes.sizes[axis]);
    let stack = others().filter(|&axis| Some(axis) != row).collect();
    let stride = |linear: &Linear, axis: Option<usize>| {
        usize::try_from(axis.map_or(0, |axis| linear.factor(axis))).ok()
    };
    let size = |axis: Option<usize>| axis.map_or(1, |axis| axes.sizes[axis] as usize);
    // The axes that were joined are apart in the output, so it is made of the members' strides.
    let offsets = output_offset(definition);
    let terms = offsets.terms.into_iter().filter(|&(axis, _)| axes.sizes[axis] != 1).collect();
    let result = Linear { terms, constant: 0 };
    let matrices = Matrices {
        sizes: [size(row), size(product), size(column)],
        left_strides: [stride(&left, row)?, stride(&left, product)?],
        right_strides: [stride(&right, product)?, stride(&right, column)?],
        row_stride: match row {
            Some(_) => stride(&result, row)?,
            None => size(column),
        },
        stack,
        row,
        column,
        left,
        right,
        output: result,
        axes,
    };
    more.is_none().then_some((matrices, order))
}

/// A sum as a convolution of one or two dimensions, with the loads of the image and of the weights.
pub(super) fn image(definition: &Definition, sum: &Sum<'_>) -> Option<(Image, [usize; 2])> {
    [[0, 1], [1, 0]].into_iter().find_map(|order| {
        let [image, weights] = order.map(|load| sum.loads[load]);
        Some((image_of(definition, sum, image, weights)?, order))
    })
}

/// A product of sizes, if none is 0 and it is not too large to be counted with.
fn product(sizes: &[usize]) -> Option<usize> {
    let product = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    product.filter(|&product| (1..1 << 48).contains(&product))
}

/// One spatial dimension.
struct Spatial {
    output: usize,
    size: u64,
    kernel: u64,
    stride: i64,
    dilation: i64,
    padding: i64,
}

fn image_of(definition: &Definition, sum: &Sum<'_>, image: &Load, weights: &Load) -> Option<Image> {
    let (channel, windows) = sum.reduction.ranges.split_last()?;
    if channel.window.is_some() || definition.size(channel.axis) == 0 || !(1..=2).contains(&windows.len()) {
        return None;
    }
    let rank = definition.output.shape.len();
    let spatial = rank.checked_sub(windows.len())?;
    let shape = definition.shape(image.from);
    let before = shape.len().checked_sub(windows.len())?;
    let mut dims = Vec::new();
    for (index, range) in windows.iter().enumerate() {
        let Coordinate::Affine(position) = &image.at[before + index] else { return None };
        let (output, size) = (spatial + index, shape[before + index]);
        if let Some(window) = &range.window
            && (window.position(range.axis) != *position || window.size != size)
        {
            return None;
        }
        let of_output = |axis: &Axis| axis.index() == output;
        if position.axes().any(|axis| axis != range.axis && !of_output(&axis)) {
            return None;
        }
        // An output with one position doesn't move.
        let still = i64::from(definition.axes[output] == 1);
        let stride =
            position.terms.iter().find(|(axis, _)| of_output(axis)).map_or(still, |&(_, factor)| factor);
        let (dilation, padding) = (position.factor(range.axis), -position.constant);
        let kernel = definition.size(range.axis);
        if stride < 1 || dilation < 1 || padding < 0 || kernel == 0 {
            return None;
        }
        let elsewhere = image.at[..before].iter().any(|coordinate| match coordinate {
            Coordinate::Affine(index) => index.axes().any(|axis| axis == range.axis || of_output(&axis)),
            Coordinate::Value(_) => true,
        });
        if elsewhere {
            return None;
        }
        dims.push(Spatial { output, size, kernel, stride, dilation, padding });
    }
    // An image of one dimension has one row.
    let pair = |of: &dyn Fn(&Spatial) -> u64, one: u64| -> [usize; 2] {
        match &dims[..] {
            [rows, columns] => [of(rows) as usize, of(columns) as usize],
            [columns] => [one as usize, of(columns) as usize],
            _ => [0, 0],
        }
    };
    let kernel = pair(&|dim| dim.kernel, 1);
    let pixels = pair(&|dim| definition.axes[dim.output], 1);
    let size = pair(&|dim| dim.size, 1);
    let area_out = (pixels[0] * pixels[1]) as i64;
    let channels = definition.size(channel.axis) as i64;
    let [taps, area] = [kernel, size].map(|size| product(&[size[0], size[1]]));
    let (taps, area) = (taps? as i64, area? as i64);
    let (x, w) = (offset(definition, image), offset(definition, weights));
    let output = output_offset(definition);
    let several = |axis: usize| definition.axes[axis] != 1;
    let factor = |index: &Affine, axis: usize| {
        index.terms.iter().find(|(own, _)| own.index() == axis).map_or(0, |&(_, factor)| factor)
    };
    // The weights are filter, channel, row, column, and the image is channel, row, column.
    let mut place = 1;
    for range in windows.iter().rev() {
        let axis = range.axis.index();
        if several(axis) && factor(&w, axis) != place {
            return None;
        }
        place *= definition.axes[axis] as i64;
    }
    let channel = channel.axis.index();
    if several(channel) && (factor(&w, channel) != taps || factor(&x, channel) != area) {
        return None;
    }
    if dims.iter().any(|dim| several(dim.output) && factor(&w, dim.output) != 0) || w.constant != 0 {
        return None;
    }
    // From the inside: filters of a group, groups, and stacks of images.
    let (mut filters, mut groups, mut stack) = (1u64, 1u64, Vec::new());
    let mut members = Vec::new();
    for axis in (0..spatial).rev().filter(|&axis| several(axis)) {
        let count = definition.axes[axis];
        let (of_x, of_w) = (factor(&x, axis), factor(&w, axis));
        let inside = (filters * groups) as usize;
        let next = output.factor(axis) == product(&[inside, area_out as usize])? as i64
            && of_w == product(&[inside, channels as usize, taps as usize])? as i64;
        if stack.is_empty() && next && of_x == 0 && groups == 1 {
            filters *= count;
            members.insert(0, (axis, count));
        } else if stack.is_empty()
            && next
            && of_x == product(&[groups as usize, channels as usize, area as usize])? as i64
        {
            groups *= count;
            members.insert(0, (axis, count));
        } else if of_w == 0 {
            stack.insert(0, axis);
        } else {
            return None;
        }
    }
    let inputs = product(&[groups as usize, channels as usize, area as usize])?;
    let factors = product(&[(filters * groups) as usize, channels as usize, taps as usize])?;
    let geometry = Geometry {
        channels: groups as usize * channels as usize,
        filters: (filters * groups) as usize,
        groups: groups as usize,
        input: size,
        kernel,
        strides: pair(&|dim| dim.stride as u64, 1),
        dilations: pair(&|dim| dim.dilation as u64, 1),
        padding: pair(&|dim| dim.padding as u64, 0),
        output: pixels,
    };
    let elements = |load: &Load| dnn_lib::tensor::elements(&definition.shape(load.from)).unwrap_or(0);
    // Where the first element of the image is: its spatial coordinates and its channel are 0.
    let strides = strides(&shape);
    let corner = image.at.iter().zip(&strides).take(before);
    let corner = corner.fold(Affine::default(), |sum, (coordinate, &stride)| match coordinate {
        Coordinate::Affine(index) => sum + index.clone() * stride,
        Coordinate::Value(_) => sum,
    });
    let mut terms = Vec::new();
    for &axis in &stack {
        terms.push((axis, factor(&corner, axis)));
    }
    let corner = Linear { terms, constant: corner.constant };
    let last = |axis: &usize| (definition.axes[*axis] as i64 - 1) * corner.factor(*axis).max(0);
    let end = corner.constant + stack.iter().map(last).sum::<i64>() + inputs as i64;
    let fits = corner.constant >= 0
        && corner.terms.iter().all(|&(_, factor)| factor >= 0)
        && end as u64 <= elements(image)
        && factors as u64 == elements(weights);
    let pixels = dims.iter().map(|dim| (dim.output, definition.axes[dim.output])).collect();
    let image_ = Image { geometry, stack, filters: members, pixels, input: corner, output };
    fits.then_some(image_)
}
