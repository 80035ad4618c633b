//! TensorScatter and NGrams, on integers.

use dnn_lib::operator::{NGrams, Operator, TensorScatter};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::{indices, run_bytes};

fn bytes(numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn ty(shape: &[u64]) -> TensorType {
    TensorType::new(DType::I64, shape)
}

/// The place of an index.
fn place(shape: &[u64], at: &[u64]) -> usize {
    at.iter().zip(shape).fold(0, |place, (&i, &size)| place * size + i) as usize
}

/// A shape, an axis of it that is not the first, the size of the update there, and where it begins.
fn update() -> impl Strategy<Value = (Vec<u64>, usize, u64, Option<Vec<i64>>)> {
    let index = prop_oneof![8 => -9..9i64, 1 => prop::sample::select(vec![i64::MIN, i64::MAX])];
    (super::shape(2..=4, 4), any::<prop::sample::Index>()).prop_flat_map(move |(shape, axis)| {
        let axis = 1 + axis.index(shape.len() - 1);
        let starts = prop::option::of(prop::collection::vec(index.clone(), shape[0] as usize));
        (Just(shape.clone()), Just(axis), 0..=shape[axis], starts)
    })
}

proptest! {
    #[test]
    fn an_update_is_written_where_it_begins((shape, axis, size, starts) in update(), circular: bool) {
        let mut new = shape.clone();
        new[axis] = size;
        let count = |shape: &[u64]| shape.iter().product::<u64>() as i64;
        let past: Vec<i64> = (0..count(&shape)).collect();
        let update: Vec<i64> = (0..count(&new)).map(|x| -1 - x).collect();
        let mut right = past.clone();
        for at in indices(&new) {
            let start = starts.as_ref().map_or(0, |starts| i128::from(starts[at[0] as usize]));
            let (index, most) = (start + i128::from(at[axis]), i128::from(shape[axis]));
            let index = if circular { index.rem_euclid(most) } else { index };
            if (0..most).contains(&index) {
                let mut to = at.clone();
                to[axis] = index as u64;
                right[place(&shape, &to)] = update[place(&new, &at)];
            }
        }
        let mut types = vec![ty(&shape), ty(&new)];
        let mut inputs = vec![bytes(&past), bytes(&update)];
        if let Some(starts) = &starts {
            types.push(ty(&shape[..1]));
            inputs.push(bytes(starts));
        }
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let axis = axis as i64 - if circular { shape.len() as i64 } else { 0 };
        let operator = Operator::from(TensorScatter { axis, circular });
        prop_assert_eq!(run_bytes(&operator, &types, &inputs), (ty(&shape), bytes(&right)));
    }

    #[test]
    fn n_grams_are_counted(
        sequences in prop::collection::vec(prop::collection::vec(0..3i64, 7), 1..3),
        length in 0..7usize,
        n in 1..4usize,
        grams in prop::collection::vec(prop::collection::vec(0..3i64, 3), 0..5),
        skips in 0..4usize,
    ) {
        let sequences: Vec<&[i64]> = sequences.iter().map(|sequence| &sequence[..length]).collect();
        let grams: Vec<&[i64]> = grams.iter().map(|gram| &gram[..n]).collect();
        let distances = if n == 1 { 1..=1 } else { 1..=skips + 1 };
        let counts = sequences.iter().flat_map(|sequence| {
            grams.iter().map(|gram| {
                let found = |distance: usize, start: usize| {
                    (0..n).all(|i| sequence.get(start + i * distance) == Some(&gram[i]))
                };
                let places = distances.clone().flat_map(|d| (0..length).map(move |start| (d, start)));
                places.filter(|&(distance, start)| found(distance, start)).count() as f32
            })
        });
        let right: Vec<u8> = counts.flat_map(f32::to_le_bytes).collect();
        let types = [ty(&[sequences.len() as u64, length as u64]), ty(&[grams.len() as u64, n as u64])];
        let operator = Operator::from(NGrams { skips: skips as u64 });
        let (found, counts) = run_bytes(&operator, &types, &[&bytes(&sequences.concat()), &bytes(&grams.concat())]);
        prop_assert_eq!(found, TensorType::new(DType::F32, [sequences.len() as u64, grams.len() as u64]));
        prop_assert_eq!(counts, right);
    }
}

#[test]
fn wrong_shapes_are_refused() {
    let error = |operator: Operator, types: &[TensorType]| operator.infer(types).unwrap_err().to_string();
    let scatter = |axis| TensorScatter { axis, circular: false }.into();
    for (found, says) in [
        (error(scatter(0), &[ty(&[2, 3]), ty(&[2, 1])]), "axis is 0, but must not be that of the batch"),
        (
            error(scatter(1), &[ty(&[2, 3]), ty(&[2, 4])]),
            "input 1 has shape [2, 4], but must be [2, 3], or less in",
        ),
        (error(scatter(1), &[ty(&[2, 3]), ty(&[2, 3]), ty(&[3])]), "input 2 has shape [3], but must be [2]"),
        (error(NGrams { skips: 0 }.into(), &[ty(&[2, 3]), ty(&[2, 0])]), "must be [count, n]"),
        (error(NGrams { skips: u64::MAX }.into(), &[ty(&[2, 999]), ty(&[2, 2])]), "in at most 128 ways"),
    ] {
        assert!(found.contains(says), "`{found}` should say `{says}`");
    }
}
