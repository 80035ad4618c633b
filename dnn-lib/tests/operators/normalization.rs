//! Normalizations with the statistics of groups, of chosen dimensions and of rows, and points of images.

use dnn_lib::operator::{
    GridSample, GroupNormalization, InstanceNormalization, LayerNormalization, LpNormalization,
    MeanVarianceNormalization, Operator, Outside, RMSNormalization, Sampling,
};
use proptest::prelude::*;

use super::{Tensor, any_axis, assert_same, indices, lane_sum, run, run_output, shape, tensor};

/// The mean of a row and the reciprocal of its deviation.
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = lane_sum(row.iter().copied()) / count;
    let variance = lane_sum(row.iter().map(|x| (x - mean) * (x - mean))) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

proptest! {
    #[test]
    fn groups_of_channels(
        (x, groups, scale, bias) in (1..=2u64, 1..=3u64, 1..=3u64, shape(0..=2, 4)).prop_flat_map(
            |(batch, groups, channels, image)| {
                let all = groups * channels;
                (tensor([vec![batch, all], image].concat()), Just(groups), tensor([all]), tensor([all]))
            }
        ),
    ) {
        let (epsilon, channels) = (1e-3, x.shape[1]);
        let per = channels / groups;
        let normal = |per: u64, scale: &Tensor, bias: &Tensor| Tensor::from_fn(&x.shape, |at| {
            let group = at[1] / per;
            let own = [&[per], &x.shape[2..]].concat();
            let row: Vec<f32> = indices(&own)
                .map(|k| x.at(&[&[at[0], group * per + k[0]], &k[1..]].concat()))
                .collect();
            let (mean, factor) = moments(&row, epsilon);
            let part = |list: &Tensor| list.at(&[at[1] * list.shape[0] / channels]);
            ((x.at(at) - mean) * factor).mul_add(part(scale), part(bias))
        });
        let inputs = [&x, &scale, &bias];
        assert_same(&run(GroupNormalization { groups, epsilon }, &inputs), &normal(per, &scale, &bias));
        assert_same(&run(InstanceNormalization { epsilon }, &inputs), &normal(1, &scale, &bias));
        // One scale for each group.
        let few = Tensor::new([groups], scale.data[..groups as usize].to_vec());
        let found = run(GroupNormalization { groups, epsilon }, &[&x, &few, &few]);
        assert_same(&found, &normal(per, &few, &few));
    }

    #[test]
    fn rows_and_chosen_dimensions(
        (x, axis) in any_axis(2, 6),
        scale in tensor([1]),
    ) {
        let trailing = |at: &[u64]| -> Vec<f32> {
            indices(&x.shape[axis..]).map(|k| x.at(&[&at[..axis], &k].concat())).collect()
        };
        let epsilon = 1e-5;
        let right = Tensor::from_fn(&x.shape, |at| {
            let row = trailing(at);
            let square = lane_sum(row.iter().map(|x| x * x)) / row.len() as f32;
            x.at(at) / (square + epsilon).sqrt() * scale.data[0]
        });
        let named = axis as i64;
        assert_same(&run(RMSNormalization { axis: named, epsilon }, &[&x, &scale]), &right);

        let layer = Operator::from(LayerNormalization { axis: named, epsilon });
        let kept: Vec<u64> = (0..x.shape.len()).map(|i| if i < axis { x.shape[i] } else { 1 }).collect();
        for (output, which) in [(1, 0), (2, 1)] {
            let right = Tensor::from_fn(&kept, |at| {
                let (mean, factor) = moments(&trailing(at), epsilon);
                [mean, factor][which]
            });
            let types = [x.ty(), scale.ty()];
            let (ty, found) = run_output(&layer, output, &types, &[&x.bytes(), &scale.bytes()]);
            let found = found.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            assert_same(&Tensor::new(ty.shape, found), &right);
        }

        let along = |at: &[u64]| -> Vec<f32> {
            (0..x.shape[axis]).map(|k| x.at(&[&at[..axis], &[k], &at[axis + 1..]].concat())).collect()
        };
        let right = Tensor::from_fn(&x.shape, |at| {
            let row = along(at);
            let count = row.len() as f32;
            let mean = lane_sum(row.iter().copied()) / count;
            let square = lane_sum(row.iter().map(|x| x * x)) / count;
            (x.at(at) - mean) / ((square - mean * mean).sqrt() + 1e-9)
        });
        assert_same(&run(MeanVarianceNormalization { axes: vec![named] }, &[&x]), &right);
        for p in [1, 2] {
            let right = Tensor::from_fn(&x.shape, |at| {
                let row = along(at);
                let norm = match p {
                    1 => lane_sum(row.iter().map(|x| x.abs())),
                    _ => lane_sum(row.iter().map(|x| x * x)).sqrt(),
                };
                if norm == 0.0 { 0.0 } else { x.at(at) / norm }
            });
            assert_same(&run(LpNormalization { axis: named, p }, &[&x]), &right);
        }
    }

    #[test]
    fn points_between_pixels(
        x in tensor([1, 2, 3, 4]),
        points in prop::collection::vec(
            prop_oneof![9 => -1.6..1.6f32, 1 => Just(f32::NAN), 1 => Just(1e30)],
            12,
        ),
    ) {
        // Linear, with zeros around, and the corners at the corners.
        let grid = Tensor::new([1, 2, 3, 2], points);
        let weights = |point: f32, size: u64| -> Vec<(i64, f32)> {
            let place = (point + 1.0) * 0.5 * (size as f32 - 1.0);
            let before = place.floor();
            let index = before as i64;
            vec![(index, 1.0 - (place - before)), (index.wrapping_add(1), place - before)]
        };
        let pixel = |channel: u64, i: i64, j: i64| {
            let inside = (0..3).contains(&i) && (0..4).contains(&j);
            if inside { x.at(&[0, channel, i as u64, j as u64]) } else { 0.0 }
        };
        let right = Tensor::from_fn(&[1, 2, 2, 3], |at| {
            let point = |part| grid.at(&[0, at[2], at[3], part]);
            let (rows, columns) = (weights(point(1), 3), weights(point(0), 4));
            let along = |i: i64| {
                let [(j, first), (k, second)] = columns[..] else { panic!("two") };
                second.mul_add(pixel(at[1], i, k), first * pixel(at[1], i, j))
            };
            let [(i, first), (k, second)] = rows[..] else { panic!("two") };
            second.mul_add(along(k), first * along(i))
        });
        let linear =
            GridSample { sampling: Sampling::Linear, outside: Outside::Zeros, align_corners: true };
        assert_same(&run(linear, &[&x, &grid]), &right);
    }
}
