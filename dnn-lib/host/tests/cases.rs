//! Definitions like those of operators.

use dnn_lib::definition::{Affine, Builder, Coordinate, Over, Source};
use dnn_lib::math::Function;
use dnn_lib::scalar::{BinaryOp, Conversion, Ops, Type};
use dnn_lib::tensor::{DType, TensorType};

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

#[test]
fn matrix_products() {
    for (m, k, n) in [(1, 1, 1), (3, 5, 7), (17, 33, 65), (1, 40, 600), (50, 9, 1), (4, 0, 5)] {
        let mut b = Builder::new("matmul", &[f32s(&[m, k]), f32s(&[k, n])], &f32s(&[m, n]));
        let zero = b.f32(0.0);
        let (row, column) = (b.at(0), b.at(1));
        let sum = b.fold([Over::all(k)], &[zero], |b, at, sum| {
            let x = b.load(input(0), [row.clone(), at[0].clone()]);
            let y = b.load(input(1), [at[0].clone(), column.clone()]);
            vec![b.fma(x, y, sum[0])]
        });
        check_with(&b.finish(sum[0]).unwrap(), m + k + n);
    }
}

#[test]
fn convolutions_with_windows() {
    for (stride, pad, size) in [(1, 1, 9), (2, 0, 20), (3, 2, 5)] {
        let out = (size + 2 * pad - 3) / stride + 1;
        let inputs = [f32s(&[2, 4, size, size]), f32s(&[6, 2, 3, 3]), f32s(&[6])];
        let mut b = Builder::new("conv", &inputs, &f32s(&[2, 6, out, out]));
        let zero = b.f32(0.0);
        let (n, o, y, x) = (b.at(0), b.at(1), b.at(2), b.at(3));
        let start = |at: &Affine| at.clone() * stride as i64 - pad as i64;
        let over = [Over::window(3, start(&y), 1, size), Over::window(3, start(&x), 1, size), Over::all(2)];
        let sum = b.fold(over, &[zero], |b, at, sum| {
            let (row, column) = (start(&y) + at[0].clone(), start(&x) + at[1].clone());
            let image = b.load(input(0), [n.clone(), at[2].clone(), row, column]);
            let weight = b.load(input(1), [o.clone(), at[2].clone(), at[0].clone(), at[1].clone()]);
            vec![b.fma(image, weight, sum[0])]
        });
        let bias = b.load(input(2), [o.clone()]);
        let sum = b.add(sum[0], bias);
        let zero = b.f32(0.0);
        let relu = b.max(sum, zero);
        check_with(&b.finish(relu).unwrap(), stride);
    }
}

#[test]
fn softmax_along_each_axis() {
    for shape in [&[3, 5, 700][..], &[20, 4, 6], &[2, 30, 9]] {
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
    for shape in [&[3, 5, 40][..], &[600, 2, 3], &[1, 1, 33]] {
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
