//! Transpose, Concat and Split keep every bit, including those of NaNs.

use dnn_lib::operator::{Concat, Split, Transpose};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::{indices, run_bytes, run_output, shape};

/// A tensor whose elements are `size` bytes long, all different.
fn numbered(shape: &[u64], size: u64, from: u64) -> Vec<u8> {
    let count: u64 = shape.iter().product();
    (0..count)
        .flat_map(|i| {
            (from + i).wrapping_mul(0x0101_0101_0101_0101).to_le_bytes().into_iter().take(size as usize)
        })
        .collect()
}

fn element<'a>(bytes: &'a [u8], shape: &[u64], index: &[u64], size: u64) -> &'a [u8] {
    let position = index.iter().zip(shape).fold(0, |position, (&i, &size)| position * size + i);
    &bytes[(position * size) as usize..][..size as usize]
}

fn dtype() -> impl Strategy<Value = DType> {
    prop::sample::select(DType::ALL.into_iter().filter(|dtype| !dtype.is_packed()).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn transpose_permutes(
        (shape, perm) in shape(1..=4, 4).prop_flat_map(|shape| {
            let axes: Vec<u64> = (0..shape.len() as u64).collect();
            (Just(shape), prop::option::of(Just(axes).prop_shuffle()))
        }),
        dtype in dtype(),
    ) {
        let size = dtype.size();
        let bytes = numbered(&shape, size, 1);
        let (ty, found) = run_bytes(&Transpose { perm: perm.clone() }.into(), &[TensorType::new(dtype, shape.clone())], &[&bytes]);
        let perm = perm.unwrap_or_else(|| (0..shape.len() as u64).rev().collect());
        for index in indices(&ty.shape) {
            let mut from = vec![0; shape.len()];
            for (&axis, &i) in perm.iter().zip(&index) {
                from[axis as usize] = i;
            }
            prop_assert_eq!(element(&found, &ty.shape, &index, size), element(&bytes, &shape, &from, size));
        }
    }

    #[test]
    fn concat_joins(
        (shape, axis, lengths) in shape(1..=3, 4).prop_flat_map(|shape| {
            let rank = shape.len();
            (Just(shape), 0..rank, prop::collection::vec(0..=3u64, 1..=4))
        }),
        dtype in dtype(),
    ) {
        prop_assume!(lengths.iter().sum::<u64>() > 0);
        let size = dtype.size();
        let shapes: Vec<Vec<u64>> = lengths.iter().map(|&length| {
            let mut shape = shape.clone();
            shape[axis] = length;
            shape
        }).collect();
        let inputs: Vec<Vec<u8>> = (0..).zip(&shapes).map(|(i, shape)| numbered(shape, size, 64 * i)).collect();
        let types: Vec<TensorType> = shapes.iter().map(|shape| TensorType::new(dtype, shape.clone())).collect();
        let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let (ty, found) = run_bytes(&Concat { axis: axis as i64 }.into(), &types, &slices);
        for index in indices(&ty.shape) {
            let (mut input, mut from) = (0, index.clone());
            while from[axis] >= lengths[input] {
                from[axis] -= lengths[input];
                input += 1;
            }
            prop_assert_eq!(element(&found, &ty.shape, &index, size), element(&inputs[input], &shapes[input], &from, size));
        }
    }

    #[test]
    fn split_takes_apart_what_concat_joins(
        (shape, axis, sizes) in shape(1..=3, 4).prop_flat_map(|shape| {
            let rank = shape.len();
            (Just(shape), 0..rank, prop::collection::vec(0..=3u64, 1..=4))
        }),
        dtype in dtype(),
    ) {
        prop_assume!(sizes.iter().sum::<u64>() > 0);
        let mut shape = shape;
        shape[axis] = sizes.iter().sum();
        let whole = numbered(&shape, dtype.size(), 1);
        let (split, axis) = (Split { axis: axis as i64, sizes: sizes.clone() }, axis as i64);
        let types = [TensorType::new(dtype, shape)];
        let parts = (0..sizes.len()).map(|output| run_output(&split.clone().into(), output, &types, &[&whole]));
        let (types, parts): (Vec<TensorType>, Vec<Vec<u8>>) = parts.unzip();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(run_bytes(&Concat { axis }.into(), &types, &parts).1, whole);
    }
}
