//! Einsum, CumSum, CumProd, Col2Im, Resample, and all reductions but those of other files.

use dnn_lib::operator::{
    ArgMax, ArgMin, Col2Im, CumProd, CumSum, Einsum, GlobalLpPool, Hardmax, LRN, LogSoftmax, LpPool, MaxPool,
    Operator, Padding, ReduceL1, ReduceL2, ReduceLogSum, ReduceLogSumExp, ReduceMax, ReduceMin, ReduceProd,
    ReduceSum, ReduceSumSquare, Resample, Window,
};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::{Tensor, any_axis, assert_same, indices, run, run_bytes, run_output, shape, tensor};

/// Values in 16 lanes, which are combined by halving.
fn in_lanes(init: f32, values: impl IntoIterator<Item = f32>, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [init; 16];
    for (i, value) in values.into_iter().enumerate() {
        lanes[i % 16] = combine(lanes[i % 16], value);
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] = combine(lanes[i], lanes[i + half]);
        }
    }
    lanes[0]
}

fn max(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() {
        f32::NAN
    } else if a < b {
        b
    } else {
        a
    }
}

fn min(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() {
        f32::NAN
    } else if b < a {
        b
    } else {
        a
    }
}

/// The platform's functions in binary64, rounded. They are right except for a few of the 2^32 inputs.
fn exp(x: f32) -> f32 {
    f64::from(x).exp() as f32
}

fn log(x: f32) -> f32 {
    f64::from(x).ln() as f32
}

fn power(x: f32, exponent: f64) -> f32 {
    f64::from(x).powf(exponent) as f32
}

/// Requires equal shapes, and numbers that are the same or neighbours: a power is not always the nearest float.
fn assert_near(found: &Tensor, right: &Tensor) {
    assert_eq!(found.shape, right.shape);
    for (found, right) in found.data.iter().zip(&right.data) {
        let same = found == right || (found.is_nan() && right.is_nan());
        let near = found.to_bits().abs_diff(right.to_bits()) <= 2;
        assert!(same || near, "{found:?}, not {right:?}");
    }
}

/// A reduction of a row.
type Plain = fn(Vec<f32>) -> f32;

/// Each reduction with its plain form.
fn reductions(axes: Vec<i64>) -> Vec<(Operator, Plain)> {
    let (axes, keep_dims) = (Some(axes), true);
    vec![
        (ReduceSum { axes: axes.clone(), keep_dims }.into(), |v| in_lanes(0.0, v, |a, b| a + b)),
        (ReduceProd { axes: axes.clone(), keep_dims }.into(), |v| in_lanes(1.0, v, |a, b| a * b)),
        (ReduceMax { axes: axes.clone(), keep_dims }.into(), |v| in_lanes(f32::NEG_INFINITY, v, max)),
        (ReduceMin { axes: axes.clone(), keep_dims }.into(), |v| in_lanes(f32::INFINITY, v, min)),
        (ReduceL1 { axes: axes.clone(), keep_dims }.into(), |v| {
            in_lanes(0.0, v.into_iter().map(f32::abs), |a, b| a + b)
        }),
        (ReduceL2 { axes: axes.clone(), keep_dims }.into(), |v| {
            in_lanes(0.0, v.into_iter().map(|x| x * x), |a, b| a + b).sqrt()
        }),
        (ReduceSumSquare { axes: axes.clone(), keep_dims }.into(), |v| {
            in_lanes(0.0, v.into_iter().map(|x| x * x), |a, b| a + b)
        }),
        (ReduceLogSum { axes: axes.clone(), keep_dims }.into(), |v| log(in_lanes(0.0, v, |a, b| a + b))),
        (ReduceLogSumExp { axes, keep_dims }.into(), |v| {
            let m = in_lanes(f32::NEG_INFINITY, v.iter().copied(), max);
            let m = if m.is_infinite() { 0.0 } else { m };
            m + log(in_lanes(0.0, v.into_iter().map(|x| exp(x - m)), |a, b| a + b))
        }),
    ]
}

/// The place of the best value of a row: a NaN is better than all numbers.
fn best(row: &[f32], better: impl Fn(f32, f32) -> bool, last: bool) -> i64 {
    let mut found = 0;
    for (place, &x) in row.iter().enumerate() {
        let own = row[found];
        let wins = (x.is_nan() && !own.is_nan()) || better(x, own);
        let ties = (x.is_nan() || !own.is_nan()) && !better(own, x);
        if if last { ties } else { wins } {
            found = place;
        }
    }
    found as i64
}

fn row(x: &Tensor, axis: usize, at: &[u64]) -> Vec<f32> {
    let place = |k: u64| [&at[..axis], &[k], &at[axis + 1..]].concat();
    (0..x.shape[axis]).map(|k| x.at(&place(k))).collect()
}

fn ints(bytes: &[u8]) -> Vec<i64> {
    bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()
}

proptest! {
    #[test]
    fn reductions_are_in_lanes(
        (x, reduced) in prop_oneof![shape(1..=3, 5), shape(1..=2, 40)].prop_flat_map(|shape| {
            let rank = shape.len();
            (tensor(shape), prop::collection::vec(any::<bool>(), rank))
        }),
    ) {
        let pick = |which: bool| -> Vec<u64> {
            x.shape.iter().zip(&reduced).map(|(&size, &own)| if own == which { size } else { 1 }).collect()
        };
        let (kept, along) = (pick(false), pick(true));
        let axes = (0..).zip(&reduced).filter(|(_, reduced)| **reduced).map(|(axis, _)| axis).collect();
        for (operator, plain) in reductions(axes) {
            let right = Tensor::from_fn(&kept, |i| {
                let at = |k: Vec<u64>| -> Vec<u64> { i.iter().zip(&k).map(|(i, k)| i + k).collect() };
                plain(indices(&along).map(|k| x.at(&at(k))).collect())
            });
            assert_same(&run(operator, &[&x]), &right);
        }
    }

    #[test]
    fn places_of_extremes(
        (x, axis) in any_axis(1, 6),
        last in any::<bool>(),
    ) {
        // Few different values, so that there are ties.
        let x = Tensor { data: x.data.iter().map(|x| x.round()).collect(), ..x };
        let mut kept = x.shape.clone();
        kept[axis] = 1;
        let named = axis as i64;
        for (operator, larger) in [
            (Operator::from(ArgMax { axis: named, keep_dims: true, last }), true),
            (ArgMin { axis: named, keep_dims: true, last }.into(), false),
        ] {
            let right: Vec<i64> = indices(&kept)
                .map(|at| best(&row(&x, axis, &at), |a, b| if larger { a > b } else { a < b }, last))
                .collect();
            prop_assert_eq!(ints(&run_bytes(&operator, &[x.ty()], &[&x.bytes()]).1), right);
        }
        let right = Tensor::from_fn(&x.shape, |at| {
            let first = best(&row(&x, axis, at), |a, b| a > b, false);
            f32::from(u8::from(first as u64 == at[axis]))
        });
        assert_same(&run(Hardmax { axis: named }, &[&x]), &right);
    }

    #[test]
    fn logarithms_of_softmax((x, axis) in any_axis(1, 20)) {
        let right = Tensor::from_fn(&x.shape, |at| {
            let row = row(&x, axis, at);
            let m = in_lanes(f32::NEG_INFINITY, row.iter().copied(), max);
            let sum = in_lanes(0.0, row.iter().map(|x| exp(x - m)), |a, b| a + b);
            x.at(at) - m - log(sum)
        });
        assert_same(&run(LogSoftmax { axis: axis as i64 }, &[&x]), &right);
    }

    #[test]
    fn norms_of_windows_and_neighbours(
        x in shape(3..=3, 6).prop_flat_map(tensor),
        p in 1..=3i64,
        size in 1..=4u64,
    ) {
        let term = |x: f32| match p {
            1 => x.abs(),
            2 => x * x,
            _ => power(x.abs(), p as f64),
        };
        let root = |sum: f32| match p {
            1 => sum,
            2 => sum.sqrt(),
            _ => power(sum, 1.0 / p as f64),
        };
        let kernel = size.min(x.shape[2]);
        let right = Tensor::from_fn(&[x.shape[0], x.shape[1], x.shape[2] - kernel + 1], |at| {
            root((0..kernel).fold(0.0, |sum, k| sum + term(x.at(&[at[0], at[1], at[2] + k]))))
        });
        let pool = LpPool { kernel: vec![kernel], window: Window::default(), ceil_mode: false, p };
        let same = if p == 3 { assert_near } else { assert_same };
        same(&run(pool, &[&x]), &right);
        let right = Tensor::from_fn(&[x.shape[0], x.shape[1], 1], |at| {
            root(in_lanes(0.0, (0..x.shape[2]).map(|k| term(x.at(&[at[0], at[1], k]))), |a, b| a + b))
        });
        same(&run(GlobalLpPool { p }, &[&x]), &right);

        let lrn = LRN { size, alpha: 0.5, beta: 0.75, bias: 1.5 };
        let right = Tensor::from_fn(&x.shape, |at| {
            let first = at[1].saturating_sub((size - 1) / 2);
            let end = (at[1] + size - (size - 1) / 2).min(x.shape[1]);
            let squares = (first..end).map(|channel| x.at(&[at[0], channel, at[2]]));
            let sum = squares.fold(0.0, |sum, x| x.mul_add(x, sum));
            x.at(at) / power((lrn.alpha / size as f32).mul_add(sum, lrn.bias), 0.75)
        });
        assert_near(&run(lrn, &[&x]), &right);
    }

    #[test]
    fn running_sums_and_products(
        (x, axis) in any_axis(1, 7),
        exclusive in any::<bool>(),
        reverse in any::<bool>(),
    ) {
        for product in [false, true] {
            let right = Tensor::from_fn(&x.shape, |at| {
                let mut row = row(&x, axis, at);
                let mut own = at[axis] as usize;
                if reverse {
                    row.reverse();
                    own = row.len() - 1 - own;
                }
                let before = row[..own + usize::from(!exclusive)].iter();
                if product { before.fold(1.0, |all, x| all * x) } else { before.fold(0.0, |all, x| all + x) }
            });
            let axis = axis as i64;
            let operator = if product {
                Operator::from(CumProd { axis, exclusive, reverse })
            } else {
                CumSum { axis, exclusive, reverse }.into()
            };
            assert_same(&run(operator, &[&x]), &right);
        }
    }

    #[test]
    fn formulas_are_sums_of_products(
        (a, c) in shape(3..=3, 4).prop_flat_map(|s| (tensor([s[0], s[1]]), tensor([s[1], s[2]]))),
    ) {
        let einsum = |equation: &str| Einsum { equation: equation.to_owned() };
        let right = Tensor::from_fn(&[a.shape[0], c.shape[1]], |at| {
            (0..a.shape[1]).fold(0.0, |sum, k| a.at(&[at[0], k]).mul_add(c.at(&[k, at[1]]), sum))
        });
        assert_same(&run(einsum("ij, jk -> ik"), &[&a, &c]), &right);
        assert_same(&run(einsum("...ij,...jk"), &[&a, &c]), &right);
        let right = Tensor::from_fn(&[a.shape[1], a.shape[0]], |at| 0.0 + a.at(&[at[1], at[0]]));
        assert_same(&run(einsum("ij->ji"), &[&a]), &right);
        let right = Tensor::from_fn(&[], |_| {
            indices(&[a.shape[0], a.shape[1], c.shape[1]]).fold(0.0, |sum, k| {
                (a.at(&k[..2]) * c.at(&k[1..])).mul_add(a.at(&k[..2]), sum)
            })
        });
        assert_same(&run(einsum("ij,jk,ij->"), &[&a, &c, &a]), &right);
        let square = Tensor::new([2, 2], vec![1.0, 2.0, 3.0, 4.0]);
        assert_same(&run(einsum("ii->i"), &[&square]), &Tensor::new([2], vec![1.0, 4.0]));
    }

    #[test]
    fn an_image_is_the_sum_of_its_windows(
        (stride, dilation, kernel) in (1..=3u64, 1..=2u64, 1..=3u64),
        pads in (0..=2u64, 0..=2u64),
        more in 0..=6u64,
    ) {
        let extent = (kernel - 1) * dilation + 1;
        let image = (extent + more).saturating_sub(pads.0 + pads.1).max(1);
        let windows = (image + pads.0 + pads.1 - extent) / stride + 1;
        let x = Tensor::from_fn(&[2, 3 * kernel, windows], |at| {
            0.5 + (at[0] * 37 + at[1] * 11 + at[2] * 5) as f32 / 3.0
        });
        let right = Tensor::from_fn(&[2, 3, image], |at| {
            let mut sum = 0.0;
            for k in 0..kernel {
                for window in 0..windows {
                    if window * stride + k * dilation == at[2] + pads.0 {
                        sum += x.at(&[at[0], at[1] * kernel + k, window]);
                    }
                }
            }
            sum
        });
        let window = Window {
            strides: vec![stride],
            dilations: vec![dilation],
            padding: Padding::Explicit(vec![pads]),
        };
        assert_same(&run(Col2Im { image: vec![image], block: vec![kernel], window }, &[&x]), &right);
    }

    #[test]
    fn sampled_elements_are_sums_of_sums(
        x in shape(3..=3, 5).prop_flat_map(tensor),
        (rows, columns) in (1..=4u64, 1..=4u64),
        seed in any::<u64>(),
    ) {
        let taps = [2, 3];
        let sizes = [rows, columns];
        let mut number = seed;
        let mut next = |below: u64| {
            number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (number >> 33) % below
        };
        // Some indices are out of range, and take the nearest element.
        let places: Vec<Vec<i64>> = (0..2)
            .map(|axis| {
                let size = x.shape[axis + 1];
                (0..sizes[axis] * taps[axis]).map(|_| next(size + 2) as i64 - 1).collect()
            })
            .collect();
        let weights: Vec<Tensor> = (0..2)
            .map(|axis| Tensor::from_fn(&[sizes[axis], taps[axis]], |_| next(64) as f32 / 16.0 - 2.0))
            .collect();
        let place = |axis: usize, index: u64, tap: u64| {
            let place = places[axis][(index * taps[axis] + tap) as usize];
            place.clamp(0, x.shape[axis + 1] as i64 - 1) as u64
        };
        let right = Tensor::from_fn(&[x.shape[0], rows, columns], |at| {
            (0..2).fold(0.0, |sum, i| {
                let inner = (0..3).fold(0.0, |sum, j| {
                    let x = x.at(&[at[0], place(0, at[1], i), place(1, at[2], j)]);
                    weights[1].at(&[at[2], j]).mul_add(x, sum)
                });
                weights[0].at(&[at[1], i]).mul_add(inner, sum)
            })
        });
        let operator = Resample { axes: vec![1, 2], weighted: true, outside: None };
        let mut types = vec![x.ty()];
        let mut bytes = vec![x.bytes()];
        for axis in 0..2 {
            types.extend([TensorType::new(DType::I64, [sizes[axis], taps[axis]]), weights[axis].ty()]);
            let own = places[axis].iter().flat_map(|x| x.to_le_bytes()).collect();
            bytes.extend([own, weights[axis].bytes()]);
        }
        let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        let (ty, found) = run_bytes(&operator.into(), &types, &bytes);
        let found = found.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        assert_same(&Tensor::new(ty.shape, found), &right);
    }

    #[test]
    fn maxima_of_windows_have_places(
        x in shape(4..=4, 5).prop_flat_map(tensor),
        column_major in any::<bool>(),
    ) {
        let x = Tensor { data: x.data.iter().map(|x| x.round()).collect(), ..x };
        let kernel = vec![x.shape[2].min(2), x.shape[3].min(3)];
        let window = Window { strides: vec![2, 1], ..Window::default() };
        let pool = MaxPool { kernel: kernel.clone(), window, ceil_mode: false, column_major };
        let (ty, found) = run_output(&pool.into(), 1, &[x.ty()], &[&x.bytes()]);
        let right: Vec<i64> = indices(&ty.shape).map(|at| {
            let places: Vec<Vec<u64>> = indices(&kernel)
                .map(|k| vec![at[0], at[1], at[2] * 2 + k[0], at[3] + k[1]]).collect();
            let values: Vec<f32> = places.iter().map(|place| x.at(place)).collect();
            let first = best(&values, |a, b| a > b, false);
            let [n, c, h, w] = places[first as usize][..] else { panic!("four") };
            let [_, channels, height, width] = x.shape[..] else { panic!("four") };
            let own = if column_major { h + w * height } else { h * width + w };
            ((n * channels + c) * height * width + own) as i64
        }).collect();
        prop_assert_eq!(ints(&found), right);
    }
}

#[test]
fn nothing_has_the_neutral_value() {
    let empty = TensorType::new(DType::I8, [2, 0]);
    let axes = Some(vec![1]);
    for (operator, right) in [
        (Operator::from(ReduceMax { axes: axes.clone(), keep_dims: false }), i8::MIN),
        (ReduceMin { axes: axes.clone(), keep_dims: false }.into(), i8::MAX),
        (ReduceSum { axes: axes.clone(), keep_dims: false }.into(), 0),
        (ReduceProd { axes, keep_dims: false }.into(), 1),
    ] {
        let (_, found) = run_bytes(&operator, std::slice::from_ref(&empty), &[&[]]);
        assert_eq!(found, [right as u8; 2]);
    }
}
