//! Definitions like those of operators.

use dnn_lib::definition::{Affine, Builder, Coordinate, Over, Source};
use dnn_lib::math::Function;
use dnn_lib::scalar::{BinaryOp, Conversion, Ops, Type};
use dnn_lib::tensor::{DType, TensorType};

use host::{Isa, Prepared};

use crate::check::check_with;

fn f32s(shape: &[u64]) -> TensorType {
    TensorType::new(DType::F32, shape)
}

fn input(index: u32) -> Source {
    Source::Input(index)
}

#[test]
fn sums_of_broadcast_tensors() {
    for (a, b, to) in [
        (&[700, 3][..], &[700, 3][..], &[700, 3][..]),
        (&[2, 3, 50], &[3, 1], &[2, 3, 50]),
        (&[2, 3, 50], &[50], &[2, 3, 50]),
        (&[4, 1, 7, 1], &[5, 1, 9], &[4, 5, 7, 9]),
        (&[], &[1], &[1]),
        (&[], &[], &[]),
        (&[0, 3], &[3], &[0, 3]),
    ] {
        let mut b_ = Builder::new("add", &[f32s(a), f32s(b)], &f32s(to));
        let (x, y) = (b_.broadcast(0), b_.broadcast(1));
        let sum = b_.add(x, y);
        check_with(&b_.finish(sum).unwrap(), 1);
    }
}

/// What follows a sum of products.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Nothing,
    /// A bias along the last axis, a residual, a maximum with 0.
    Formula,
}

/// Whether the last axis of the output belongs to one factor.
fn names_end(shape: &[u64], left: &str, right: &str) -> bool {
    shape.last().is_none_or(|&size| size == 1 || left.contains('n') != right.contains('n'))
}

/// The product of matrices with these coordinates of factors: `m`, `k`, `n`, and the axes of stacks before.
fn product(dtype: DType, shape: &[u64], k: u64, left: &str, right: &str, end: End) {
    // Not those of which an axis of the output's runs has products of both factors' elements, or of no element's.
    let last = names_end(shape, left, right);
    let known = k > 0 && last;
    let names = "abmn";
    let names = &names[names.len() - shape.len()..];
    let size = |name: char| names.find(name).map_or(k, |axis| shape[axis]);
    let ty = |names: &str| TensorType::new(dtype, names.chars().map(size).collect::<Vec<_>>());
    let output = TensorType::new(dtype, shape);
    let bias = TensorType::new(dtype, [*shape.last().unwrap_or(&1)]);
    let mut b = Builder::new("product", &[ty(left), ty(right), bias, output.clone()], &output);
    let zero = b.number(Type::of(dtype), 0);
    let sum = b.fold([Over::all(k)], &[zero], |b, at, sum| {
        let [x, y] = [left, right].map(|factor| {
            let coordinate = |name| names.find(name).map_or(at[0].clone(), |axis| b.at(axis));
            factor.chars().map(coordinate).collect::<Vec<_>>()
        });
        let (x, y) = (b.load(input(0), x), b.load(input(1), y));
        vec![b.fma(x, y, sum[0])]
    });
    let mut value = sum[0];
    if end == End::Formula {
        let bias = b.broadcast(2);
        value = b.add(value, bias);
        let residual = b.broadcast(3);
        value = b.add(value, residual);
        value = b.max(value, zero);
    }
    let definition = b.finish(value).unwrap();
    let prepared = Prepared::new(Isa::available()[0], &definition).unwrap();
    assert_eq!(prepared.is_contraction(), known, "{definition}");
    check_with(&definition, k);
}

#[test]
fn matrix_products() {
    for (m, k, n) in [(1, 1, 1), (3, 5, 7), (17, 33, 65), (1, 40, 600), (50, 9, 1), (4, 0, 5), (7, 1, 9)] {
        for end in [End::Nothing, End::Formula] {
            product(DType::F32, &[m, n], k, "mk", "kn", end);
            product(DType::F64, &[m, n], k, "km", "nk", end);
            product(DType::F32, &[m, n], k, "nk", "mk", end);
        }
    }
}

#[test]
fn stacks_of_matrix_products() {
    for end in [End::Nothing, End::Formula] {
        product(DType::F32, &[2, 3, 4, 20], 6, "abmk", "abkn", end);
        product(DType::F32, &[2, 3, 4, 20], 6, "abmk", "kn", end);
        product(DType::F32, &[2, 3, 4, 20], 6, "mk", "abkn", end);
        product(DType::F32, &[2, 3, 4, 20], 6, "bmk", "ank", end);
        product(DType::F32, &[2, 3, 4, 20], 6, "ambk", "kbn", end);
        product(DType::F64, &[3, 4, 20], 6, "bk", "bkn", end);
        product(DType::F32, &[9], 6, "k", "kn", end);
        product(DType::F32, &[9], 6, "nk", "k", end);
        product(DType::F32, &[9, 4], 6, "kmn", "nk", end);
        product(DType::F32, &[], 6, "k", "k", end);
    }
}

/// A convolution like that of an operator.
#[derive(Clone)]
struct Convolution {
    batch: u64,
    groups: u64,
    channels: u64,
    filters: u64,
    size: Vec<u64>,
    kernel: Vec<u64>,
    stride: u64,
    dilation: u64,
    pad: u64,
    dtype: DType,
}

fn convolution(c: &Convolution, windows: bool, end: End) {
    let out = |axis: usize| (c.size[axis] + 2 * c.pad - (c.kernel[axis] - 1) * c.dilation - 1) / c.stride + 1;
    let rank = c.size.len();
    let ty = |shape: &[u64], rest: &[u64]| TensorType::new(c.dtype, [shape, rest].concat());
    let output = ty(&[c.batch, c.groups, c.filters], &(0..rank).map(out).collect::<Vec<_>>());
    let inputs = [
        ty(&[c.batch, c.groups, c.channels], &c.size),
        ty(&[c.groups, c.filters, c.channels], &c.kernel),
        ty(&[c.groups, c.filters], &[]),
        output.clone(),
    ];
    let mut b = Builder::new("conv", &inputs, &output);
    let zero = b.number(Type::of(c.dtype), 0);
    let o = b.indices();
    let start = |axis: usize| o[3 + axis].clone() * c.stride as i64 - c.pad as i64;
    let window = |axis: usize| match windows {
        true => Over::window(c.kernel[axis], start(axis), c.dilation, c.size[axis]),
        false => Over::all(c.kernel[axis]),
    };
    let over = (0..rank).map(window).chain([Over::all(c.channels)]);
    let sum = b.fold(over, &[zero], |b, at, sum| {
        let channel = at[rank].clone();
        let position = |axis: usize| start(axis) + at[axis].clone() * c.dilation as i64;
        let image = [o[0].clone(), o[1].clone(), channel.clone()].into_iter().chain((0..rank).map(position));
        let image = b.load(input(0), image.collect::<Vec<_>>());
        let weight = [o[1].clone(), o[2].clone(), channel].into_iter().chain(at[..rank].iter().cloned());
        let weight = b.load(input(1), weight.collect::<Vec<_>>());
        vec![b.fma(image, weight, sum[0])]
    });
    let mut value = sum[0];
    if end == End::Formula {
        let bias = b.load(input(2), [o[1].clone(), o[2].clone()]);
        value = b.add(value, bias);
        let residual = b.broadcast(3);
        value = b.add(value, residual);
        value = b.max(value, zero);
    }
    let definition = b.finish(value).unwrap();
    let prepared = Prepared::new(Isa::available()[0], &definition).unwrap();
    assert_eq!(prepared.is_contraction(), rank <= 2, "{definition}");
    check_with(&definition, c.stride);
}

#[test]
fn convolutions() {
    let plain = Convolution {
        batch: 2,
        groups: 1,
        channels: 4,
        filters: 6,
        size: vec![9, 9],
        kernel: vec![3, 3],
        stride: 1,
        dilation: 1,
        pad: 1,
        dtype: DType::F32,
    };
    for end in [End::Nothing, End::Formula] {
        convolution(&plain, true, end);
        convolution(&Convolution { groups: 3, ..plain.clone() }, true, end);
        convolution(&Convolution { groups: 5, channels: 1, filters: 1, ..plain.clone() }, true, end);
        convolution(
            &Convolution { groups: 3, channels: 1, filters: 2, stride: 2, ..plain.clone() },
            true,
            end,
        );
        convolution(
            &Convolution { stride: 2, dilation: 2, pad: 3, dtype: DType::F64, ..plain.clone() },
            true,
            end,
        );
        convolution(&Convolution { kernel: vec![1, 1], pad: 0, ..plain.clone() }, false, end);
        convolution(
            &Convolution { kernel: vec![1, 1], pad: 0, groups: 2, stride: 2, ..plain.clone() },
            false,
            end,
        );
        convolution(&Convolution { kernel: vec![9, 9], pad: 0, ..plain.clone() }, false, end);
        convolution(&Convolution { size: vec![40], kernel: vec![5], ..plain.clone() }, true, end);
        convolution(&Convolution { size: vec![4, 5, 6], kernel: vec![3, 2, 3], ..plain.clone() }, true, end);
        convolution(&Convolution { batch: 1, filters: 1, channels: 1, ..plain.clone() }, true, end);
    }
}

#[test]
fn pools_whose_windows_are_cut() {
    // The size of planes, and the size, step, dilation and padding of windows along both axes.
    for (size, kernel, step, dilation, pad) in [
        ([9, 30], 3, 2, 1, 1),
        ([12, 12], 5, 1, 2, 4),
        ([8, 7], 7, 1, 1, 3),
        ([5, 40], 4, 3, 3, 6),
        ([3, 2000], 2, 1, 5, 3),
        ([15, 14], 3, 2, 1, 1),
        ([14, 140], 2, 2, 1, 0),
    ] {
        let [height, width] = size.map(|size: u64| (size + 2 * pad - dilation * (kernel - 1) - 1) / step + 1);
        for op in [BinaryOp::Max, BinaryOp::Add] {
            let planes = [2, 33];
            let [from, to] = [size, [height, width]].map(|size| f32s(&[planes, size].concat()));
            let mut b = Builder::new("pool", &[from], &to);
            let first = b.f32(if op == BinaryOp::Max { f32::NEG_INFINITY } else { 0.0 });
            let (n, c) = (b.at(0), b.at(1));
            let starts = [2, 3].map(|axis| b.at(axis) * step as i64 - pad as i64);
            let over: Vec<Over> =
                (0..2).map(|axis| Over::window(kernel, starts[axis].clone(), dilation, size[axis])).collect();
            let pooled = b.fold(over, &[first], |b, at, pooled| {
                let [y, x] = [0, 1].map(|axis| starts[axis].clone() + at[axis].clone() * dilation as i64);
                let element = b.load(input(0), [n.clone(), c.clone(), y, x]);
                vec![if op == BinaryOp::Max { b.max(pooled[0], element) } else { b.add(pooled[0], element) }]
            });
            check_with(&b.finish(pooled[0]).unwrap(), kernel);
        }
    }
}

#[test]
fn softmax_along_each_axis() {
    for shape in [&[3, 5, 700][..], &[20, 4, 6], &[2, 30, 9], &[5, 9, 20], &[1, 70, 33], &[23, 1, 35]] {
        for axis in 0..3 {
            let ty = f32s(shape);
            let mut b = Builder::new("softmax", std::slice::from_ref(&ty), &ty);
            b.rows_along([axis]);
            let indices = b.indices();
            let with = |at: &Affine| {
                let mut indices = indices.clone();
                indices[axis] = at.clone();
                indices
            };
            let least = b.f32(f32::NEG_INFINITY);
            let most =
                b.in_lanes(BinaryOp::Max, [shape[axis]], least, |b, at| b.load(input(0), with(&at[0])));
            let most = b.stage(most);
            let (x, top) = (b.load(input(0), indices.clone()), b.of_row(most));
            let x = b.sub(x, top);
            let power = b.call(Function::Exp, x);
            let powers = b.row_stage(power);
            let zero = b.f32(0.0);
            let sum = b.in_lanes(BinaryOp::Add, [shape[axis]], zero, |b, at| b.load(powers, at.to_vec()));
            let sum = b.stage(sum);
            let (power, sum) = (b.load(powers, [indices[axis].clone()]), b.of_row(sum));
            let quotient = b.div(power, sum);
            check_with(&b.finish(quotient).unwrap(), axis as u64);
        }
    }
}

#[test]
fn means_of_rows_of_two_axes() {
    for shape in [&[3, 5, 40][..], &[600, 2, 3], &[1, 1, 33], &[50, 3, 17]] {
        let ty = f32s(shape);
        let mut b = Builder::new("center", std::slice::from_ref(&ty), &ty);
        b.rows_along([1, 2]);
        let n = b.at(0);
        let zero = b.f32(0.0);
        let sum = b.in_lanes(BinaryOp::Add, [shape[1], shape[2]], zero, |b, at| {
            b.load(input(0), [n.clone(), at[0].clone(), at[1].clone()])
        });
        let count = b.f32((shape[1] * shape[2]) as f32);
        let mean = b.div(sum, count);
        let mean = b.stage(mean);
        let (x, mean) = (b.broadcast(0), b.of_row(mean));
        let x = b.sub(x, mean);
        check_with(&b.finish(x).unwrap(), shape[0]);
    }
}

#[test]
fn elements_of_a_row_reduce_an_earlier_stage() {
    for (rows, size) in [(3, 40), (9, 20), (2, 600)] {
        let ty = f32s(&[rows, size]);
        let mut b = Builder::new("mix", std::slice::from_ref(&ty), &ty);
        b.rows_along([1]);
        let (row, column) = (b.at(0), b.at(1));
        let x = b.broadcast(0);
        let double = b.add(x, x);
        let doubles = b.row_stage(double);
        let zero = b.f32(0.0);
        let sum = b.in_lanes(BinaryOp::Add, [size], zero, |b, at| {
            let x = b.load(input(0), [row.clone(), at[0].clone()]);
            let double = b.load(doubles, at.to_vec());
            b.mul(x, double)
        });
        let own = b.load(doubles, [column]);
        let value = b.add(sum, own);
        check_with(&b.finish(value).unwrap(), size);
    }
}

#[test]
fn rows_are_gathered_by_index() {
    for (dtype, index) in [(DType::F32, DType::I64), (DType::I8, DType::U8), (DType::F64, DType::I64)] {
        let inputs = [TensorType::new(dtype, [9, 30]), TensorType::new(index, [2, 5])];
        let mut b = Builder::new("gather", &inputs, &TensorType::new(dtype, [2, 5, 30]));
        let (i, j, k) = (b.at(0), b.at(1), b.at(2));
        let mut row = b.load(input(1), [i, j]);
        if b.ty(row) == Type::I32 {
            row = b.convert(Conversion::SignExtend, Type::I64, row);
        }
        let element = b.load(input(0), [Coordinate::from(row), Coordinate::from(k)]);
        check_with(&b.finish(element).unwrap(), 3);
    }
}

#[test]
fn borders_have_another_value() {
    for (shape, before, after) in
        [([5, 6], [2, 0], [0, 3]), ([40, 1], [0, 4], [1, 1]), ([3, 700], [1, 9], [1, 9])]
    {
        let to = [shape[0] + before[0] + after[0], shape[1] + before[1] + after[1]];
        let mut b = Builder::new("pad", &[f32s(&shape), f32s(&[])], &f32s(&to));
        let value = b.load(input(1), <[Affine; 0]>::default());
        let at = [b.at(0) - before[0] as i64, b.at(1) - before[1] as i64];
        let element = b.load_or(input(0), at, value);
        check_with(&b.finish(element).unwrap(), 5);
    }
}

#[test]
fn parts_are_joined() {
    for (shape, axis, sizes) in
        [([90, 3, 50], 0, &[1, 40, 2, 47][..]), ([2, 60, 700], 1, &[9, 51]), ([5, 4, 33], 2, &[16, 1, 16])]
    {
        for dtype in [DType::I32, DType::F32, DType::I64, DType::U8] {
            let part = |&size: &u64| {
                let mut shape = shape;
                shape[axis] = size;
                TensorType::new(dtype, shape)
            };
            let parts: Vec<TensorType> = sizes.iter().map(part).collect();
            let mut b = Builder::new("concat", &parts, &TensorType::new(dtype, shape));
            let (mut value, mut start) = (b.number(Type::of(dtype), 0), 0);
            for (index, size) in sizes.iter().enumerate() {
                let mut at = b.indices();
                at[axis] = at[axis].clone() - start;
                value = b.load_or(input(index as u32), at, value);
                start += *size as i64;
            }
            check_with(&b.finish(value).unwrap(), 7);
        }
    }
}

#[test]
fn a_value_before_that_of_the_border_is_folded() {
    let mut b = Builder::new("last", &[f32s(&[40, 30])], &f32s(&[30]));
    let (zero, column) = (b.f32(0.0), b.at(0));
    let last = b.fold([Over::all(60)], &[zero, zero], |b, at, so_far| {
        let at = [at[0].clone() - 10, column.clone()];
        let next = b.load_or(input(0), at, so_far[0]);
        vec![so_far[1], next]
    });
    let sum = b.sub(last[0], last[1]);
    check_with(&b.finish(sum).unwrap(), 3);
}

#[test]
fn means_of_windows_and_what_they_count() {
    for (pad, with_padding) in [(0, false), (1, false), (1, true)] {
        let mut b = Builder::new("mean", &[f32s(&[40, 20])], &f32s(&[40, 18 + 2 * pad]));
        let (zero, channel) = (b.f32(0.0), b.at(0));
        let start = b.at(1) - pad as i64;
        let over = Over::window(3, start.clone(), 1, 20);
        let sum = b.fold([over], &[zero], |b, at, sum| {
            let x = b.load(input(0), [channel.clone(), start.clone() + at[0].clone()]);
            vec![b.add(sum[0], x)]
        });
        let counted = if with_padding { (start + 1, 22) } else { (start, 20) };
        let (none, all) = (b.i64(0), b.i64(3));
        let [before, end] = [-counted.0.clone(), -counted.0 + counted.1].map(|distance| {
            let distance = b.index(distance);
            let distance = b.max(distance, none);
            b.min(distance, all)
        });
        let count = b.sub(end, before);
        let count = b.convert(Conversion::IntToFloat, Type::F32, count);
        let mean = b.div(sum[0], count);
        check_with(&b.finish(mean).unwrap(), pad);
    }
}

#[test]
fn selections_by_comparisons() {
    for (compared, chosen) in [
        (DType::F32, DType::F32),
        (DType::F64, DType::I64),
        (DType::I32, DType::F32),
        (DType::I64, DType::I64),
        (DType::F32, DType::F64),
    ] {
        for (size, twice) in [(1000, false), (13, true)] {
            let ty = |dtype| TensorType::new(dtype, [size]);
            let inputs = [ty(compared), ty(compared), ty(chosen), ty(chosen)];
            let mut b = Builder::new("select", &inputs, &ty(chosen));
            let [x, y, then, otherwise] = [0, 1, 2, 3].map(|input| b.broadcast(input));
            let less = b.lt(x, y);
            let mut value = b.select(less, then, otherwise);
            if twice {
                value = b.select(less, value, then);
            }
            check_with(&b.finish(value).unwrap(), size);
        }
    }
}

#[test]
fn sums_are_finished_by_a_function() {
    for [m, k, n] in [[3, 5, 7], [20, 3, 2000], [1, 4, 700]] {
        let mut b = Builder::new("sigmoid", &[f32s(&[m, k]), f32s(&[k, n])], &f32s(&[m, n]));
        let (zero, row, column) = (b.f32(0.0), b.at(0), b.at(1));
        let sum = b.fold([Over::all(k)], &[zero], |b, at, sum| {
            let x = b.load(input(0), [row.clone(), at[0].clone()]);
            let y = b.load(input(1), [at[0].clone(), column.clone()]);
            vec![b.fma(x, y, sum[0])]
        });
        let direct = b.call(Function::Sigmoid, sum[0]);
        check_with(&b.finish(direct).unwrap(), k);
    }
}

#[test]
fn axes_change_places() {
    for shape in [[3, 5, 7], [40, 50, 2], [1, 33, 70]] {
        for order in [[2, 1, 0], [0, 2, 1], [1, 0, 2], [2, 0, 1]] {
            let to: Vec<u64> = order.iter().map(|&axis: &usize| shape[axis]).collect();
            let mut b = Builder::new("transpose", &[f32s(&shape)], &f32s(&to));
            let mut at = vec![Affine::default(); 3];
            for (place, &axis) in order.iter().enumerate() {
                at[axis] = b.at(place);
            }
            let element = b.load(input(0), at);
            check_with(&b.finish(element).unwrap(), 5);
        }
    }
}

#[test]
fn a_value_and_its_index_change_in_a_fold() {
    for (rows, columns) in [(5, 9), (300, 20), (1, 1)] {
        let mut b = Builder::new("argmax", &[f32s(&[rows, columns])], &TensorType::new(DType::I64, [rows]));
        let row = b.at(0);
        let (least, none) = (b.f32(f32::NEG_INFINITY), b.i64(0));
        let best = b.fold([Over::all(columns)], &[least, none], |b, at, best| {
            let x = b.load(input(0), [row.clone(), at[0].clone()]);
            let index = b.index(at[0].clone());
            let better = b.lt(best[0], x);
            vec![b.select(better, x, best[0]), b.select(better, index, best[1])]
        });
        check_with(&b.finish(best[1]).unwrap(), rows);
    }
}

#[test]
fn two_values_change_places_in_a_fold() {
    let mut b = Builder::new("fibonacci", &[], &TensorType::new(DType::U64, [3]));
    let (zero, one) = (b.i64(0), b.i64(1));
    let last = b.fold([Over::all(10)], &[zero, one], |b, _, pair| {
        let sum = b.add(pair[0], pair[1]);
        vec![pair[1], sum]
    });
    let swapped = b.fold([Over::all(3)], &last, |_, _, pair| vec![pair[1], pair[0]]);
    let sum = b.sub(swapped[0], swapped[1]);
    check_with(&b.finish(sum).unwrap(), 0);
}
