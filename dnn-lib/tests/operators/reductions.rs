//! Softmax, ReduceMean, GlobalAveragePool and LayerNormalization.

use dnn_lib::operator::{GlobalAveragePool, LayerNormalization, ReduceMean, Softmax};
use proptest::prelude::*;

use super::{Tensor, assert_same, indices, lane_sum, run, shape, tensor};

fn softmax(x: &Tensor, axis: usize) -> Tensor {
    let along = |i: &[u64]| -> Vec<f32> {
        let at = |k: u64| [&i[..axis], &[k], &i[axis + 1..]].concat();
        (0..x.shape[axis]).map(|k| x.at(&at(k))).collect()
    };
    Tensor::from_fn(&x.shape, |i| {
        let row = along(i);
        let max = row.iter().fold(f32::NEG_INFINITY, |max, &x| if max < x { x } else { max });
        // The platform's f64 exponential, rounded. It is right except for a few of the 2^32 inputs.
        let exp = |x: f32| f64::from(x - max).exp() as f32;
        exp(row[i[axis] as usize]) / lane_sum(row.iter().map(|&x| exp(x)))
    })
}

fn mean(x: &Tensor, reduced: &[bool], keep_dims: bool) -> Tensor {
    let pick = |shape: &[u64], which: bool| -> Vec<u64> {
        shape.iter().zip(reduced).map(|(&size, &reduced)| if reduced == which { size } else { 1 }).collect()
    };
    let (kept, summed) = (pick(&x.shape, false), pick(&x.shape, true));
    let count: u64 = summed.iter().product();
    let all = Tensor::from_fn(&kept, |i| {
        let at = |k: &[u64]| -> Vec<u64> { i.iter().zip(k).map(|(i, k)| i + k).collect() };
        lane_sum(indices(&summed).map(|k| x.at(&at(&k)))) / count as f32
    });
    let shape =
        kept.iter().zip(reduced).filter(|&(_, &reduced)| keep_dims || !reduced).map(|(&size, _)| size);
    Tensor::new(shape.collect::<Vec<_>>(), all.data)
}

fn layer_normalization(
    x: &Tensor,
    axis: usize,
    epsilon: f32,
    scale: &Tensor,
    bias: Option<&Tensor>,
) -> Tensor {
    let inner = &x.shape[axis..];
    let count = inner.iter().product::<u64>() as f32;
    Tensor::from_fn(&x.shape, |i| {
        let row: Vec<f32> = indices(inner).map(|k| x.at(&[&i[..axis], &k].concat())).collect();
        let mean = lane_sum(row.iter().copied()) / count;
        let variance = lane_sum(row.iter().map(|x| (x - mean) * (x - mean))) / count;
        let normal = (x.at(i) - mean) * (1.0 / (variance + epsilon).sqrt());
        match bias {
            Some(bias) => normal.mul_add(scale.at_broadcast(i), bias.at_broadcast(i)),
            None => normal * scale.at_broadcast(i),
        }
    })
}

proptest! {
    #[test]
    fn layer_normalization_over_trailing_dimensions(
        (x, axis, scale, bias) in prop_oneof![shape(1..=3, 6), shape(1..=2, 40)].prop_flat_map(|shape| {
            let axis = 0..shape.len();
            (tensor(shape.clone()), axis, Just(shape)).prop_flat_map(|(x, axis, shape)| {
                let inner = shape[axis..].to_vec();
                (Just(x), Just(axis), tensor(inner.clone()), prop::option::of(tensor(inner)))
            })
        }),
        epsilon in prop_oneof![Just(1e-5f32), Just(0.0)],
    ) {
        let named = LayerNormalization { axis: axis as i64, epsilon };
        let inputs: Vec<&Tensor> = [&x, &scale].into_iter().chain(&bias).collect();
        assert_same(&run(named, &inputs), &layer_normalization(&x, axis, epsilon, &scale, bias.as_ref()));
    }

    #[test]
    fn softmax_along_any_axis(
        (x, axis) in prop_oneof![shape(1..=3, 6), shape(1..=2, 40)]
            .prop_flat_map(|shape| { let rank = shape.len(); (tensor(shape), 0..rank) }),
        from_the_end in any::<bool>(),
    ) {
        let named = axis as i64 - if from_the_end { x.shape.len() as i64 } else { 0 };
        assert_same(&run(Softmax { axis: named }, &[&x]), &softmax(&x, axis));
    }

    #[test]
    fn mean_over_any_axes(
        (x, reduced) in prop_oneof![shape(1..=4, 5), shape(1..=2, 50)]
            .prop_flat_map(|shape| { let rank = shape.len(); (tensor(shape), prop::collection::vec(any::<bool>(), rank)) }),
        keep_dims in any::<bool>(),
    ) {
        let axes = (0..reduced.len()).rev().filter(|&axis| reduced[axis]).map(|axis| axis as i64).collect();
        assert_same(&run(ReduceMean { axes: Some(axes), keep_dims }, &[&x]), &mean(&x, &reduced, keep_dims));
        let all = vec![true; reduced.len()];
        assert_same(&run(ReduceMean { axes: None, keep_dims }, &[&x]), &mean(&x, &all, keep_dims));
    }

    #[test]
    fn global_average_pool_is_a_mean(x in shape(3..=4, 7).prop_flat_map(tensor)) {
        let reduced: Vec<bool> = (0..x.shape.len()).map(|axis| axis >= 2).collect();
        assert_same(&run(GlobalAveragePool, &[&x]), &mean(&x, &reduced, true));
    }
}
