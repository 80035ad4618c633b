//! Regions of images, and images sampled at places that other tensors move.

use crate::definition::{Affine, Builder, Coordinate, Over, Source};
use crate::operator::error::{FLOATS, check_attribute, check_dtype, check_shape};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Conversion, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// Regions of images in a grid of bins, each of which is sampled at regular points; inputs: X [N, C, H, W], the
/// regions `[R, 4]` as x and y of two corners, the image of each region, `[R]`.
///
/// A point's value is the sum of the products of weights and of the four pixels around it, from the top left: the
/// first product is rounded, the others are fused multiply-adds. More than a pixel outside it is 0. A bin is the mean
/// of its points: their sum, row by row, divided by their number. With `largest` it is the largest of all products
/// instead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoiAlign {
    /// The number of bins along height and width.
    pub bins: [u64; 2],
    /// The number of points along each side of a bin.
    pub points: u64,
    /// What coordinates are multiplied by.
    pub scale: f32,
    /// Whether half a pixel is subtracted from coordinates; if not, a region is at least one pixel large.
    pub half_pixel: bool,
    /// Whether the largest product counts, and not the mean.
    pub largest: bool,
}

/// The largest element of each bin of regions; inputs: X [N, C, H, W], the regions [R, 5] as the number of an image
/// and x and y of two corners. Coordinates are multiplied by a scale and rounded, halves away from zero. A bin without
/// elements is 0. Each bin looks at the whole image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxRoiPool {
    /// The number of bins along height and width.
    pub bins: [u64; 2],
    /// What coordinates are multiplied by.
    pub scale: f32,
}

/// The elements that a deformable convolution multiplies, of the form [N, groups of offsets, channels of each, kernel
/// height, kernel width, height, width]; inputs: X [N, C, H, W], offsets [N, groups * kernel * 2, height, width],
/// optionally a factor for each pair of them.
///
/// An element is made of the four pixels around its place, as with [`RoiAlign`]; pixels outside are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeformColumns {
    /// The kernel's height and width.
    pub kernel: [u64; 2],
    /// The distances between windows.
    pub strides: [u64; 2],
    /// The distances between the elements of a window.
    pub dilations: [u64; 2],
    /// The pads above and to the left.
    pub pads: [u64; 2],
    /// The number of groups of channels that have offsets of their own.
    pub groups: u64,
}

/// The types that have the same type of numbers when they are computed with.
fn alike(dtype: DType) -> Vec<DType> {
    FLOATS.iter().copied().filter(|&other| Type::of(other) == Type::of(dtype)).collect()
}

/// Checks the image, which is input 0, and gives its dimensions.
fn image(inputs: &[TensorType]) -> Result<[u64; 4], Problem> {
    check_dtype(inputs, 0, FLOATS)?;
    let image = <[u64; 4]>::try_from(&inputs[0].shape[..]).ok();
    let image = image.filter(|sizes| sizes.iter().all(|size| (1..1 << 24).contains(size)));
    image.ok_or_else(|| Problem::Shape {
        input: 0,
        found: inputs[0].shape.clone(),
        expected: "must have the form [N, C, H, W], without empty or very large dimensions".to_owned(),
    })
}

fn number(b: &mut Builder, x: f64) -> Value {
    match Type::of(b.output_dtype()) {
        Type::F64 => b.f64(x),
        _ => b.f32(x as f32),
    }
}

/// Two pixels around a place along an axis, with their weights.
type Pair = [(Value, Value); 2];

/// The sum of the products of weights and pixels, from the top left; or all products.
fn products(
    b: &mut Builder,
    rows: Pair,
    columns: Pair,
    pixel: impl Fn(&mut Builder, Value, Value) -> Value,
) -> [(Value, Value); 4] {
    let mut all = Vec::new();
    for (row, of_row) in rows {
        for (column, of_column) in columns {
            let weight = b.mul(of_row, of_column);
            all.push((weight, pixel(b, row, column)));
        }
    }
    [all[0], all[1], all[2], all[3]]
}

fn sum(b: &mut Builder, [first, rest @ ..]: [(Value, Value); 4]) -> Value {
    let first = b.mul(first.0, first.1);
    rest.into_iter().fold(first, |sum, (weight, pixel)| b.fma(weight, pixel, sum))
}

impl RoiAlign {
    /// The pixels around a coordinate, and whether it is in the image.
    fn around(b: &mut Builder, at: Value, size: u64) -> (Pair, Value) {
        let (zero, one, last) = (number(b, 0.0), number(b, 1.0), number(b, size as f64 - 1.0));
        let (least, most) = (number(b, -1.0), number(b, size as f64));
        let (above, below) = (b.le(least, at), b.le(at, most));
        let inside = b.and(above, below);
        let at = b.max(at, zero);
        let at = b.min(at, last);
        let low = b.floor(at);
        let far = b.sub(at, low);
        let near = b.sub(one, far);
        let index = b.convert(Conversion::FloatToInt, Type::I64, low);
        // The pixel behind the last one is that one, with the weight 0.
        let next = b.add_const(index, 1);
        ([(index, near), (next, far)], inside)
    }

    /// The start of a region along an axis, and the size of a bin.
    fn bin(&self, b: &mut Builder, corner: i64, bins: u64) -> (Value, Value) {
        let own = b.at(0);
        let scale = number(b, self.scale.into());
        let end = |b: &mut Builder, place: i64| {
            let x = b.load(Source::Input(1), [own.clone(), Affine::from(place)]);
            let x = b.mul(x, scale);
            if self.half_pixel {
                let half = number(b, 0.5);
                b.sub(x, half)
            } else {
                x
            }
        };
        let (start, end) = (end(b, corner), end(b, corner + 2));
        let mut size = b.sub(end, start);
        if !self.half_pixel {
            let one = number(b, 1.0);
            size = b.max(size, one);
        }
        let bins = number(b, bins as f64);
        (start, b.div(size, bins))
    }

    /// The coordinate of a point: start + bin * size + (point + 1/2) * size / points.
    fn point(&self, b: &mut Builder, (start, size): (Value, Value), axis: usize, k: &Affine) -> Value {
        let ty = b.ty(size);
        let (bin, point) = (b.index(b.at(axis)), b.index(k.clone()));
        let [bin, point] = [bin, point].map(|index| b.convert(Conversion::IntToFloat, ty, index));
        let (half, points) = (number(b, 0.5), number(b, self.points as f64));
        let first = b.mul(bin, size);
        let first = b.add(start, first);
        let middle = b.add(point, half);
        let middle = b.mul(middle, size);
        let middle = b.div(middle, points);
        b.add(first, middle)
    }
}

impl Semantics for RoiAlign {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let [_, channels, _, _] = image(inputs)?;
        check_dtype(inputs, 1, &alike(inputs[0].dtype))?;
        check_dtype(inputs, 2, &[DType::I64, DType::I32])?;
        let regions = inputs[1].shape.first().copied().unwrap_or(0);
        check_shape(inputs, 1, inputs[1].shape == [regions, 4], || "must have the form [R, 4]".to_owned())?;
        check_shape(inputs, 2, inputs[2].shape == [regions], || format!("must be [{regions}]"))?;
        check_attribute("sampling_ratio", self.points, (1..1 << 16).contains(&self.points), || {
            "must be from 1 to 65535".to_owned()
        })?;
        let small = self.bins.iter().all(|bins| (1..1 << 24).contains(bins));
        check_attribute("output_height", self.bins[0], small, || {
            "must be from 1 to 2^24, as the width".to_owned()
        })?;
        Ok(TensorType::new(inputs[0].dtype, [regions, channels, self.bins[0], self.bins[1]]))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let [_, _, height, width] = image(inputs)?;
        let mut b = Builder::new("roialign", inputs, output);
        let image = b.load(Source::Input(2), [b.at(0)]);
        let image = super::gather::from_the_end(&mut b, image, inputs[0].shape[0]);
        let (rows, columns) = (self.bin(&mut b, 1, self.bins[0]), self.bin(&mut b, 0, self.bins[1]));
        let (zero, none) = (number(&mut b, 0.0), number(&mut b, f64::NEG_INFINITY));
        let points = Over::all(self.points);
        let init = if self.largest { none } else { zero };
        let all = b.fold([points.clone(), points], &[init], |b, k, so_far| {
            let (y, x) = (self.point(b, rows, 2, &k[0]), self.point(b, columns, 3, &k[1]));
            let ((rows, in_rows), (columns, in_columns)) =
                (Self::around(b, y, height), Self::around(b, x, width));
            let inside = b.and(in_rows, in_columns);
            let channel = b.at(1);
            let four = products(b, rows, columns, |b, row, column| {
                let at: [Coordinate; 4] = [image.into(), channel.clone().into(), row.into(), column.into()];
                b.load(Source::Input(0), at)
            });
            if !self.largest {
                let value = sum(b, four);
                let value = b.select(inside, value, zero);
                return vec![b.add(so_far[0], value)];
            }
            let value = four.into_iter().fold(none, |largest, (weight, pixel)| {
                let product = b.mul(weight, pixel);
                b.max(largest, product)
            });
            let value = b.select(inside, value, zero);
            vec![b.max(so_far[0], value)]
        });
        let mut y = all[0];
        if !self.largest {
            let count = number(&mut b, (self.points * self.points) as f64);
            y = b.div(y, count);
        }
        Ok(b.finish(y)?.into())
    }
}

impl MaxRoiPool {
    /// The first element of a bin and the one behind the last, as far as they are in the image.
    fn bin(&self, b: &mut Builder, corner: i64, axis: usize, size: u64) -> (Value, Value) {
        let ty = Type::of(b.output_dtype());
        let own = b.at(0);
        let (zero, one, half, scale) =
            (number(b, 0.0), number(b, 1.0), number(b, 0.5), number(b, self.scale.into()));
        let [start, end] = [corner, corner + 2].map(|place| {
            let x = b.load(Source::Input(1), [own.clone(), Affine::from(place)]);
            let x = b.mul(x, scale);
            // Halves go away from zero.
            let whole = b.trunc(x);
            let rest = b.sub(x, whole);
            let rest = b.abs(rest);
            let up = b.le(half, rest);
            let away = b.copysign(one, x);
            let step = b.select(up, away, zero);
            b.add(whole, step)
        });
        let length = b.sub(end, start);
        let length = b.add(length, one);
        let length = b.max(length, one);
        let (bins, last) = (number(b, self.bins[axis - 2] as f64), number(b, size as f64));
        let step = b.div(length, bins);
        let index = b.index(b.at(axis));
        let index = b.convert(Conversion::IntToFloat, ty, index);
        let next = b.add(index, one);
        let (from, to) = (b.mul(index, step), b.mul(next, step));
        let (from, to) = (b.floor(from), b.ceil(to));
        let [from, to] = [from, to].map(|x| {
            let x = b.add(x, start);
            let x = b.max(x, zero);
            let x = b.min(x, last);
            b.convert(Conversion::FloatToInt, Type::I64, x)
        });
        (from, to)
    }
}

impl Semantics for MaxRoiPool {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let [_, channels, _, _] = image(inputs)?;
        check_dtype(inputs, 1, &alike(inputs[0].dtype))?;
        let regions = inputs[1].shape.first().copied().unwrap_or(0);
        check_shape(inputs, 1, inputs[1].shape == [regions, 5], || "must have the form [R, 5]".to_owned())?;
        let small = self.bins.iter().all(|bins| (1..1 << 24).contains(bins));
        check_attribute("pooled_shape", self.bins[0], small, || "must have sizes from 1 to 2^24".to_owned())?;
        Ok(TensorType::new(inputs[0].dtype, [regions, channels, self.bins[0], self.bins[1]]))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let [_, _, height, width] = image(inputs)?;
        let mut b = Builder::new("maxroipool", inputs, output);
        let image = b.load(Source::Input(1), [b.at(0), Affine::from(0)]);
        let image = b.convert(Conversion::FloatToInt, Type::I64, image);
        let (rows, columns) = (self.bin(&mut b, 2, 2, height), self.bin(&mut b, 1, 3, width));
        let (none, zero) = (number(&mut b, f64::NEG_INFINITY), number(&mut b, 0.0));
        let channel = b.at(1);
        let most = b.fold([Over::all(height), Over::all(width)], &[none], |b, k, so_far| {
            let at: [Coordinate; 4] =
                [image.into(), channel.into(), k[0].clone().into(), k[1].clone().into()];
            let x = b.load(Source::Input(0), at);
            let larger = b.max(so_far[0], x);
            let mut inside = None;
            for (k, (from, to)) in k.iter().zip([rows, columns]) {
                let place = b.index(k.clone());
                let (behind, before) = (b.le(from, place), b.lt(place, to));
                let own = b.and(behind, before);
                inside = Some(inside.map_or(own, |other| b.and(other, own)));
            }
            vec![inside.map_or(larger, |inside| b.select(inside, larger, so_far[0]))]
        });
        // A bin of elements that are all minus infinity has no other value either way.
        let (rows_left, columns_left) = (b.lt(rows.0, rows.1), b.lt(columns.0, columns.1));
        let any = b.and(rows_left, columns_left);
        let y = b.select(any, most[0], zero);
        Ok(b.finish(y)?.into())
    }
}

impl DeformColumns {
    /// The two pixels around the place of an element of the kernel along an axis of the image.
    fn around(&self, b: &mut Builder, side: usize) -> Pair {
        let ty = Type::of(b.output_dtype());
        // [N, groups, channels, kernel height, kernel width, height, width]
        let (window, element) =
            (b.at(5 + side) * self.strides[side] as i64, b.at(3 + side) * self.dilations[side] as i64);
        let place = b.index(window + element - self.pads[side] as i64);
        let place = b.convert(Conversion::IntToFloat, ty, place);
        let [_, width] = self.kernel.map(|size| size as i64);
        let tap = (b.at(1) * self.kernel[0] as i64 + b.at(3)) * width + b.at(4);
        let channel = tap * 2 + side as i64;
        let offset = b.load(Source::Input(1), [b.at(0), channel, b.at(5), b.at(6)]);
        let at = b.add(place, offset);
        let low = b.floor(at);
        let far = b.sub(at, low);
        let one = number(b, 1.0);
        let near = b.sub(one, far);
        let index = b.convert(Conversion::FloatToInt, Type::I64, low);
        let next = b.add_const(index, 1);
        [(index, near), (next, far)]
    }
}

impl Semantics for DeformColumns {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let [batches, channels, _, _] = image(inputs)?;
        let accepted = alike(inputs[0].dtype);
        (1..inputs.len()).try_for_each(|input| check_dtype(inputs, input, &accepted))?;
        let small = |sizes: &[u64]| sizes.iter().all(|&size| size < 1 << 20);
        let sizes = [self.kernel, self.strides, self.dilations, self.pads];
        let positive = sizes[..3].as_flattened().iter().all(|&size| size > 0);
        check_attribute("kernel_shape", self.kernel[0], small(sizes.as_flattened()) && positive, || {
            "must be, as strides, dilations and pads, a size from 1 to 2^20".to_owned()
        })?;
        let divides = self.groups > 0 && channels.is_multiple_of(self.groups);
        check_attribute("offset_group", self.groups, divides, || format!("must divide {channels} channels"))?;
        let taps = self.kernel[0] * self.kernel[1];
        let [height, width] = [2, 3].map(|axis| inputs[1].shape.get(axis).copied().unwrap_or(0));
        for (input, each) in (1..inputs.len()).zip([2, 1]) {
            let expected = [batches, self.groups * taps * each, height, width];
            let right = inputs[input].shape == expected && small(&expected[2..]) && !expected.contains(&0);
            check_shape(inputs, input, right, || format!("must be {expected:?}"))?;
        }
        let own =
            [batches, self.groups, channels / self.groups, self.kernel[0], self.kernel[1], height, width];
        Ok(TensorType::new(inputs[0].dtype, own))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("deformcolumns", inputs, output);
        let (rows, columns) = (self.around(&mut b, 0), self.around(&mut b, 1));
        let zero = number(&mut b, 0.0);
        let (image, channel) = (b.at(0), b.at(1) * output.shape[2] as i64 + b.at(2));
        let four = products(&mut b, rows, columns, |b, row, column| {
            let at: [Coordinate; 4] =
                [image.clone().into(), channel.clone().into(), row.into(), column.into()];
            b.load_or(Source::Input(0), at, zero)
        });
        let mut y = sum(&mut b, four);
        if inputs.len() > 2 {
            let tap = (b.at(1) * self.kernel[0] as i64 + b.at(3)) * self.kernel[1] as i64 + b.at(4);
            let factor = b.load(Source::Input(2), [b.at(0), tap, b.at(5), b.at(6)]);
            y = b.mul(factor, y);
        }
        Ok(b.finish(y)?.into())
    }
}
