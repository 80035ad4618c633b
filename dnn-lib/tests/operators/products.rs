//! Gemm, MatMul and Conv.

use dnn_lib::operator::{Conv, Gemm, MatMul, Padding, Window};
use proptest::prelude::*;

use super::{Tensor, assert_same, definition, run, tensor};

#[derive(Clone, Debug)]
struct GemmCase {
    operator: Gemm,
    a: Tensor,
    b: Tensor,
    c: Option<Tensor>,
}

fn gemm_case() -> impl Strategy<Value = GemmCase> {
    let sizes = (1..=9u64, 1..=11u64, 0..=40u64);
    let factors = (prop_oneof![Just(1.0), -2.0..2.0f32], prop_oneof![Just(1.0), -2.0..2.0f32]);
    (sizes, factors, any::<(bool, bool)>(), 0..5usize).prop_flat_map(
        |((m, n, k), (alpha, beta), (trans_a, trans_b), c)| {
            let a = tensor(if trans_a { [k, m] } else { [m, k] });
            let b = tensor(if trans_b { [n, k] } else { [k, n] });
            let c = [None, Some(vec![n]), Some(vec![m, 1]), Some(vec![m, n]), Some(vec![])][c].clone();
            let c = c.map_or(Just(None).boxed(), |shape| tensor(shape).prop_map(Some).boxed());
            let operator = Gemm { alpha, beta, trans_a, trans_b };
            (a, b, c).prop_map(move |(a, b, c)| GemmCase { operator, a, b, c })
        },
    )
}

/// A sum of products in the order that all kernels use.
fn dot(products: impl IntoIterator<Item = (f32, f32)>) -> f32 {
    products.into_iter().fold(0.0, |sum, (a, b)| a.mul_add(b, sum))
}

fn gemm(case: &GemmCase) -> Tensor {
    let GemmCase { operator, a, b, c } = case;
    let (m, k) = if operator.trans_a { (a.shape[1], a.shape[0]) } else { (a.shape[0], a.shape[1]) };
    let n = b.shape[if operator.trans_b { 0 } else { 1 }];
    Tensor::from_fn(&[m, n], |i| {
        let a = |k: u64| a.at(&if operator.trans_a { [k, i[0]] } else { [i[0], k] });
        let b = |k: u64| b.at(&if operator.trans_b { [i[1], k] } else { [k, i[1]] });
        let product = operator.alpha * dot((0..k).map(|k| (a(k), b(k))));
        match c {
            None => product,
            Some(c) if operator.beta == 1.0 => product + c.at_broadcast(i),
            Some(c) => operator.beta.mul_add(c.at_broadcast(i), product),
        }
    })
}

/// Shapes for MatMul, and the indices of the element of both factors for an index of the output and k.
fn matmul_shapes() -> impl Strategy<Value = (Vec<u64>, Vec<u64>)> {
    let stack = prop::sample::select(vec![
        (vec![], vec![]),
        (vec![3], vec![]),
        (vec![], vec![2]),
        (vec![2, 3], vec![3]),
        (vec![2, 1], vec![2, 3]),
        (vec![1], vec![4, 2]),
    ]);
    let sizes = (1..=6u64, 1..=9u64, 1..=6u64);
    (stack, sizes, 0..6usize).prop_map(|((a, b), (m, k, n), kind)| match kind {
        0 => (vec![k], [&b[..], &[k, n]].concat()),
        1 => ([&a[..], &[m, k]].concat(), vec![k]),
        2 => (vec![k], vec![k]),
        _ => ([&a[..], &[m, k]].concat(), [&b[..], &[k, n]].concat()),
    })
}

fn matmul(a: &Tensor, b: &Tensor) -> Tensor {
    // As in numpy, vectors become matrices, and the added dimension is removed afterwards.
    let (row, column) = (a.shape.len() == 1, b.shape.len() == 1);
    let a = if row { Tensor::new([1, a.shape[0]], a.data.clone()) } else { a.clone() };
    let b = if column { Tensor::new([b.shape[0], 1], b.data.clone()) } else { b.clone() };
    let (ra, rb) = (a.shape.len(), b.shape.len());
    let (m, k, n) = (a.shape[ra - 2], a.shape[ra - 1], b.shape[rb - 1]);
    let rank = ra.max(rb);
    let size = |shape: &[u64], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    let mut shape: Vec<u64> = (0..rank - 2).map(|i| size(&a.shape, i).max(size(&b.shape, i))).collect();
    shape.extend([m, n]);
    let product = Tensor::from_fn(&shape, |i| {
        let (stack, at) = i.split_at(rank - 2);
        dot((0..k).map(|k| {
            let (a_at, b_at) = ([stack, &[at[0], k]].concat(), [stack, &[k, at[1]]].concat());
            // Only stacks are broadcast, but a matrix with one row or column has no other index anyway.
            (a.at_broadcast(&a_at), b.at_broadcast(&b_at))
        }))
    });
    let kept = shape.iter().enumerate().filter(|&(i, _)| !(row && i == rank - 2 || column && i == rank - 1));
    Tensor::new(kept.map(|(_, &size)| size).collect::<Vec<_>>(), product.data)
}

#[derive(Clone, Debug)]
struct ConvCase {
    operator: Conv,
    x: Tensor,
    w: Tensor,
    bias: Option<Tensor>,
}

fn conv_case() -> impl Strategy<Value = ConvCase> {
    let axis = (1..=4u64, 1..=3u64, 1..=2u64, (0..=2u64, 0..=2u64), 0..=5u64);
    let channels = (1..=2u64, 1..=3u64, 1..=3u64, 1..=11u64);
    (prop::collection::vec(axis, 1..=2), channels, any::<bool>()).prop_flat_map(
        |(axes, (batch, group, depth, per_group), bias)| {
            let per_group = if group == 1 { per_group } else { per_group.min(9) };
            let mut x = vec![batch, group * depth];
            let mut w = vec![group * per_group, depth];
            for &(kernel, _, dilation, pad, extra) in &axes {
                let extent = (kernel - 1) * dilation + 1;
                x.push((extent + extra).saturating_sub(pad.0 + pad.1).max(1));
                w.push(kernel);
            }
            let window = Window {
                strides: axes.iter().map(|axis| axis.1).collect(),
                dilations: axes.iter().map(|axis| axis.2).collect(),
                padding: Padding::Explicit(axes.iter().map(|axis| axis.3).collect()),
            };
            let bias = if bias { tensor([w[0]]).prop_map(Some).boxed() } else { Just(None).boxed() };
            (tensor(x), tensor(w), bias).prop_map(move |(x, w, bias)| ConvCase {
                operator: Conv { window: window.clone(), group },
                x,
                w,
                bias,
            })
        },
    )
}

/// The position k of the window at output o, unless it is in the padding.
fn position(window: &Window, axis: usize, size: u64, o: u64, k: u64) -> Option<u64> {
    let Padding::Explicit(pads) = &window.padding else { panic!("explicit padding") };
    let at = (o * window.strides[axis] + k * window.dilations[axis]).checked_sub(pads[axis].0)?;
    (at < size).then_some(at)
}

fn conv(case: &ConvCase) -> Tensor {
    let ConvCase { operator: Conv { window, group }, x, w, bias } = case;
    let Padding::Explicit(pads) = &window.padding else { panic!("explicit padding") };
    let mut shape = vec![x.shape[0], w.shape[0]];
    for (axis, pad) in pads.iter().enumerate() {
        let extent = (w.shape[axis + 2] - 1) * window.dilations[axis] + 1;
        let padded = x.shape[axis + 2] + pad.0 + pad.1;
        shape.push((padded - extent) / window.strides[axis] + 1);
    }
    let (depth, per_group) = (w.shape[1], w.shape[0] / group);
    Tensor::from_fn(&shape, |i| {
        let mut sum = 0f32;
        for k in super::indices(&w.shape[2..]) {
            let at = (0..k.len()).map(|axis| position(window, axis, x.shape[axis + 2], i[axis + 2], k[axis]));
            let Some(at) = at.collect::<Option<Vec<u64>>>() else { continue };
            for c in 0..depth {
                let x_at = [&[i[0], i[1] / per_group * depth + c], &at[..]].concat();
                let w_at = [&[i[1], c], &k[..]].concat();
                sum = x.at(&x_at).mul_add(w.at(&w_at), sum);
            }
        }
        sum + bias.as_ref().map_or(-0.0, |bias| bias.at(&i[1..2]))
    })
}

proptest! {
    #[test]
    fn gemm_is_exact(case in gemm_case()) {
        let mut inputs = vec![&case.a, &case.b];
        inputs.extend(&case.c);
        assert_same(&run(case.operator, &inputs), &gemm(&case));
    }

    #[test]
    fn matmul_is_exact((a, b) in matmul_shapes().prop_flat_map(|(a, b)| (tensor(a), tensor(b)))) {
        assert_same(&run(MatMul, &[&a, &b]), &matmul(&a, &b));
    }

    #[test]
    fn conv_is_exact(case in conv_case()) {
        let right = conv(&case);
        let mut inputs = vec![&case.x, &case.w];
        inputs.extend(&case.bias);
        assert_same(&run(case.operator.clone(), &inputs), &right);
    }
}

/// SAME padding makes the output `ceil(input / stride)` long. The odd position is at the end or at the
/// beginning.
#[test]
fn same_padding_is_explicit_padding() {
    let x = Tensor::from_fn(&[1, 1, 5], |i| (i[2] + 1) as f32);
    let w = Tensor::new([1, 1, 2], vec![1.0, 10.0]);
    let same = |padding| Conv { window: Window { padding, ..Window::default() }, group: 1 };
    assert_eq!(run(same(Padding::SameUpper), &[&x, &w]).data, [21.0, 32.0, 43.0, 54.0, 5.0]);
    assert_eq!(run(same(Padding::SameLower), &[&x, &w]).data, [10.0, 21.0, 32.0, 43.0, 54.0]);
}

/// Positions in the padding are left out: a kernel's infinity must not be multiplied by a 0 there.
#[test]
fn padding_is_skipped_and_not_multiplied_by_zero() {
    let x = Tensor::new([1, 1, 2], vec![1.0, 2.0]);
    let w = Tensor::new([1, 1, 3], vec![f32::INFINITY, 1.0, f32::NAN]);
    let window = Window { padding: Padding::Explicit(vec![(1, 1)]), ..Window::default() };
    let y = run(Conv { window, group: 1 }, &[&x, &w]);
    assert!(y.data[0].is_nan() && y.data[1] == f32::INFINITY, "{y:?}");
}

#[test]
fn a_small_conv_as_text() {
    let window = Window { padding: Padding::Explicit(vec![(1, 1), (0, 0)]), ..Window::default() };
    let types = [[1, 2, 4, 4], [3, 2, 3, 2]].map(|shape| Tensor::from_fn(&shape, |_| 0.0).ty());
    insta::assert_snapshot!(definition(&Conv { window, group: 1 }.into(), &types));
}
