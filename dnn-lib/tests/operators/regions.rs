//! Regions of images, and images sampled at places that other tensors move.

use dnn_lib::operator::{DeformColumns, MaxRoiPool, Operator, RoiAlign};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::{Tensor, assert_same, run, run_bytes, tensor};

/// The four pixels around a place with their weights; `None` where there is no pixel.
fn around(image: &Tensor, at: [u64; 2], y: f32, x: f32) -> [(f32, Option<f32>); 4] {
    let (low_y, low_x) = (y.floor(), x.floor());
    let (far_y, far_x) = (y - low_y, x - low_x);
    let pixel = |y: f32, x: f32| {
        let inside = y >= 0.0 && x >= 0.0 && y < image.shape[2] as f32 && x < image.shape[3] as f32;
        inside.then(|| image.at(&[at[0], at[1], y as u64, x as u64]))
    };
    let (near_y, near_x) = (1.0 - far_y, 1.0 - far_x);
    [
        (near_y * near_x, pixel(low_y, low_x)),
        (near_y * far_x, pixel(low_y, low_x + 1.0)),
        (far_y * near_x, pixel(low_y + 1.0, low_x)),
        (far_y * far_x, pixel(low_y + 1.0, low_x + 1.0)),
    ]
}

fn blend(four: [(f32, Option<f32>); 4], outside: f32) -> f32 {
    let [first, rest @ ..] = four.map(|(weight, pixel)| (weight, pixel.unwrap_or(outside)));
    rest.into_iter().fold(first.0 * first.1, |sum, (weight, pixel)| weight.mul_add(pixel, sum))
}

/// The image of each region as bytes, for operators with other inputs than floats.
fn with_images(operator: Operator, x: &Tensor, regions: &Tensor, images: &[i64]) -> Tensor {
    let types = [x.ty(), regions.ty(), TensorType::new(DType::I64, [images.len() as u64])];
    let images: Vec<u8> = images.iter().flat_map(|image| image.to_le_bytes()).collect();
    let (ty, bytes) = run_bytes(&operator, &types, &[&x.bytes(), &regions.bytes(), &images]);
    Tensor::new(ty.shape, bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect())
}

fn image() -> impl Strategy<Value = Tensor> {
    (1..3u64, 1..3u64, 1..6u64, 1..6u64).prop_flat_map(|(n, c, h, w)| tensor([n, c, h, w]))
}

/// Regions whose corners are in and around the image.
fn regions(extra: u64) -> impl Strategy<Value = Vec<[f32; 4]>> {
    prop::collection::vec([-3.0..7.0f32, -3.0..7.0f32, -3.0..7.0f32, -3.0..7.0f32], 1..4 + extra as usize)
}

proptest! {
    #[test]
    fn regions_are_sampled(
        x in image(),
        corners in regions(0),
        (bins, points) in ([1..4u64, 1..4u64], 1..4u64),
        scale in prop::sample::select(vec![1.0f32, 0.5, 0.25]),
        (half_pixel, largest) in (any::<bool>(), any::<bool>()),
    ) {
        let rois = Tensor::new([corners.len() as u64, 4], corners.as_flattened().to_vec());
        let images: Vec<i64> = (0..corners.len() as i64).map(|index| index % x.shape[0] as i64).collect();
        let side = |from: f32, to: f32, bins: u64| {
            let offset = if half_pixel { 0.5 } else { 0.0 };
            let (start, end) = (from * scale - offset, to * scale - offset);
            let size = if half_pixel { end - start } else { (end - start).max(1.0) };
            (start, size / bins as f32)
        };
        let place = |(start, size): (f32, f32), bin: u64, point: u64| {
            (start + bin as f32 * size) + (point as f32 + 0.5) * size / points as f32
        };
        let right = Tensor::from_fn(&[corners.len() as u64, x.shape[1], bins[0], bins[1]], |at| {
            let c = corners[at[0] as usize];
            let (rows, columns) = (side(c[1], c[3], bins[0]), side(c[0], c[2], bins[1]));
            let mut all = if largest { f32::NEG_INFINITY } else { 0.0 };
            for iy in 0..points {
                for ix in 0..points {
                    let (y, x_at) = (place(rows, at[2], iy), place(columns, at[3], ix));
                    let (h, w) = (x.shape[2] as f32, x.shape[3] as f32);
                    let inside = y >= -1.0 && y <= h && x_at >= -1.0 && x_at <= w;
                    let (y, x_at) = (y.max(0.0).min(h - 1.0), x_at.max(0.0).min(w - 1.0));
                    let image = [images[at[0] as usize] as u64, at[1]];
                    let mut four = around(&x, image, y, x_at);
                    // Behind the last pixel is that one, with the weight 0.
                    let last = |place: f32, size: f32| (place.floor() + 1.0).min(size - 1.0) as u64;
                    let pixel = |y: u64, x_at: u64| Some(x.at(&[image[0], image[1], y, x_at]));
                    four[1].1 = pixel(y as u64, last(x_at, w));
                    four[2].1 = pixel(last(y, h), x_at as u64);
                    four[3].1 = pixel(last(y, h), last(x_at, w));
                    let products = four.map(|(weight, pixel)| weight * pixel.unwrap());
                    let most = products.into_iter().fold(f32::NEG_INFINITY, larger);
                    let value = if largest { most } else { blend(four, 0.0) };
                    let value = if inside { value } else { 0.0 };
                    all = if largest { larger(all, value) } else { all + value };
                }
            }
            if largest { all } else { all / (points * points) as f32 }
        });
        let align = RoiAlign { bins, points, scale, half_pixel, largest };
        assert_same(&with_images(align.into(), &x, &rois, &images), &right);
    }

    #[test]
    fn bins_of_regions_have_maxima(
        x in image(),
        corners in regions(1),
        bins in [1..4u64, 1..4u64],
        scale in prop::sample::select(vec![1.0f32, 0.5]),
    ) {
        let images = |index: usize| index as u64 % x.shape[0];
        let rois = Tensor::from_fn(&[corners.len() as u64, 5], |at| match at[1] {
            0 => images(at[0] as usize) as f32,
            part => corners[at[0] as usize][part as usize - 1],
        });
        let range = |from: f32, to: f32, bin: u64, bins: u64, size: u64| {
            let (start, end) = ((from * scale).round(), (to * scale).round());
            let step = (end - start + 1.0).max(1.0) / bins as f32;
            let cut = |x: f32| (x + start).max(0.0).min(size as f32) as u64;
            cut((bin as f32 * step).floor())..cut(((bin + 1) as f32 * step).ceil())
        };
        let right = Tensor::from_fn(&[corners.len() as u64, x.shape[1], bins[0], bins[1]], |at| {
            let c = corners[at[0] as usize];
            let rows = range(c[1], c[3], at[2], bins[0], x.shape[2]);
            let columns = range(c[0], c[2], at[3], bins[1], x.shape[3]);
            if rows.is_empty() || columns.is_empty() {
                return 0.0;
            }
            let pixels = rows.flat_map(|row| columns.clone().map(move |column| (row, column)));
            let values = pixels.map(|(row, column)| x.at(&[images(at[0] as usize), at[1], row, column]));
            values.fold(f32::NEG_INFINITY, larger)
        });
        assert_same(&run(MaxRoiPool { bins, scale }, &[&x, &rois]), &right);
    }

    #[test]
    fn columns_of_a_deformable_convolution(
        (x, groups, masked) in (1..3u64, 1..3u64, 1..3u64, 2..6u64, 2..6u64).prop_flat_map(|(n, g, c, h, w)| {
            (tensor([n, g * c, h, w]), Just(g), any::<bool>())
        }),
        (kernel, strides, dilations, pads) in ([1..3u64, 1..3u64], [1..3u64, 1..3u64], [1..3u64, 1..3u64], [0..2u64, 0..2u64]),
        size in [1..4u64, 1..4u64],
        seed in prop::collection::vec(-3.0..3.0f32, 40),
    ) {
        let taps = groups * kernel[0] * kernel[1];
        let offsets = Tensor::from_fn(&[x.shape[0], 2 * taps, size[0], size[1]], |at| {
            seed[(at[0] * 31 + at[1] * 7 + at[2] * 3 + at[3]) as usize % 40]
        });
        let factors = Tensor::from_fn(&[x.shape[0], taps, size[0], size[1]], |at| {
            seed[(at[0] * 3 + at[1] * 11 + at[2] * 5 + at[3]) as usize % 40]
        });
        let channels = x.shape[1] / groups;
        let shape = [x.shape[0], groups, channels, kernel[0], kernel[1], size[0], size[1]];
        let right = Tensor::from_fn(&shape, |at| {
            let tap = (at[1] * kernel[0] + at[3]) * kernel[1] + at[4];
            let place = |side: usize| {
                let whole = at[5 + side] * strides[side] + at[3 + side] * dilations[side];
                let moved = offsets.at(&[at[0], 2 * tap + side as u64, at[5], at[6]]);
                (whole as f32 - pads[side] as f32) + moved
            };
            let y = blend(around(&x, [at[0], at[1] * channels + at[2]], place(0), place(1)), 0.0);
            if masked { factors.at(&[at[0], tap, at[5], at[6]]) * y } else { y }
        });
        let operator = DeformColumns { kernel, strides, dilations, pads, groups };
        let inputs: &[&Tensor] = if masked { &[&x, &offsets, &factors] } else { &[&x, &offsets] };
        assert_same(&run(operator, inputs), &right);
    }
}

/// The larger number, or a NaN if one is.
fn larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() { f32::NAN } else { a.max(b) }
}
