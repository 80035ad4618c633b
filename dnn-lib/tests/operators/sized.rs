//! What operators are made of whose data decide how much there is: places, different rows, boxes that overlap.

use dnn_lib::operator::{AddEarlier, BestOpen, DifferentBefore, FirstAbove, FirstEqual, Operator, Suppress};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::{element, run_bytes};

fn bytes(numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Runs an operator whose result are numbers.
fn run(operator: impl Into<Operator>, inputs: &[(TensorType, Vec<u8>)]) -> Vec<i64> {
    let types: Vec<TensorType> = inputs.iter().map(|(ty, _)| ty.clone()).collect();
    let bytes: Vec<&[u8]> = inputs.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let (_, output) = run_bytes(&operator.into(), &types, &bytes);
    output.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()
}

fn list(numbers: &[i64]) -> (TensorType, Vec<u8>) {
    (TensorType::new(DType::I64, [numbers.len() as u64]), bytes(numbers))
}

/// A number by its place in the order, with all NaNs behind the others and both zeros the same.
fn key(x: f32) -> (bool, f32) {
    (x.is_nan(), if x.is_nan() { 0.0 } else { x + 0.0 })
}

fn row_key(row: &[f32]) -> Vec<(bool, f32)> {
    row.iter().map(|&x| key(x)).collect()
}

/// Whether two boxes overlap more than the threshold says, from their corners.
fn overlap(one: [f32; 4], other: [f32; 4], threshold: f32) -> bool {
    let area = |b: [f32; 4]| (b[2] - b[0]) * (b[3] - b[1]);
    let side = |k: usize| one[k + 2].min(other[k + 2]) - one[k].max(other[k]);
    let (height, width) = (side(0), side(1));
    let common = height * width;
    let union = area(one) + area(other) - common;
    height > 0.0
        && width > 0.0
        && area(one) > 0.0
        && area(other) > 0.0
        && union > 0.0
        && common / union > threshold
}

fn corners(b: [f32; 4], centered: bool) -> [f32; 4] {
    if centered {
        [b[0] - b[2] * 0.5, b[1] - b[3] * 0.5, b[0] + b[2] * 0.5, b[1] + b[3] * 0.5]
    } else {
        [b[0].min(b[2]), b[1].min(b[3]), b[0].max(b[2]), b[1].max(b[3])]
    }
}

proptest! {
    #[test]
    fn places_are_those_of_what_is_true(mask in prop::collection::vec(any::<bool>(), 1..70)) {
        let ones: Vec<i64> = mask.iter().map(|&x| i64::from(x)).collect();
        let (mut counts, mut distance) = (ones.clone(), 1);
        while distance < mask.len() as u64 {
            counts = run(AddEarlier { distance }, &[list(&counts)]);
            distance *= 2;
        }
        let sums: Vec<i64> = (1..=ones.len()).map(|end| ones[..end].iter().sum()).collect();
        prop_assert_eq!(&counts, &sums);
        let mut right: Vec<i64> = (0..mask.len() as i64).filter(|&place| mask[place as usize]).collect();
        right.resize(mask.len() + 1, 0);
        let places = run(FirstAbove { count: mask.len() as u64 + 1 }, &[list(&counts)]);
        prop_assert_eq!(places, right);
    }

    #[test]
    fn rows_are_told_apart(
        rows in (1..9usize, 1..4usize).prop_flat_map(|(count, columns)| {
            let number = prop_oneof![6 => (0..2i8).prop_map(f32::from), 1 => element()];
            prop::collection::vec(prop::collection::vec(number, columns), count)
        }),
    ) {
        let ty = TensorType::new(DType::F32, [rows.len() as u64, rows[0].len() as u64]);
        let matrix = (ty, floats(&rows.concat()));
        let same = |a: &[f32], b: &[f32]| row_key(a) == row_key(b);
        let first: Vec<i64> = rows.iter()
            .map(|row| rows.iter().position(|other| same(row, other)).unwrap() as i64).collect();
        prop_assert_eq!(&run(FirstEqual, std::slice::from_ref(&matrix)), &first);
        let smaller = |row: &Vec<f32>| {
            let firsts = (0..rows.len()).filter(|&other| first[other] == other as i64);
            firsts.filter(|&other| row_key(&rows[other]) < row_key(row)).count() as i64
        };
        let right: Vec<i64> = rows.iter().map(smaller).collect();
        prop_assert_eq!(run(DifferentBefore, &[matrix, list(&first)]), right);
    }

    #[test]
    fn the_best_open_box_is_taken_and_suppresses_others(
        (scores, marks, boxes) in (1..3usize, 1..3usize, 1..8usize).prop_flat_map(|(batches, classes, count)| {
            let all = batches * classes * count;
            let score = prop_oneof![(0..4i8).prop_map(f32::from), -1.0..1.0f32, Just(f32::NEG_INFINITY)];
            (
                prop::collection::vec(prop::collection::vec(prop::collection::vec(score, count), classes), batches),
                prop::collection::vec(prop_oneof![3 => Just(-1i64), 1 => Just(-2), 1 => 0..3i64], all),
                prop::collection::vec(prop::collection::vec([-2.0..2.0f32, -2.0..2.0f32, -2.0..2.0f32, -2.0..2.0f32], count), batches),
            )
        }),
        threshold in prop::sample::select(vec![0.0f32, 0.2, 0.5]),
        centered in any::<bool>(),
    ) {
        let (batches, classes, count) = (scores.len(), scores[0].len(), scores[0][0].len());
        let shape = [batches as u64, classes as u64, count as u64];
        let all = TensorType::new(DType::F32, shape);
        let own = (TensorType::new(DType::I64, shape), bytes(&marks));
        let taken = run(BestOpen, &[(all, floats(&scores.concat().concat())), own.clone()]);
        let mut next = marks.clone();
        for (group, &found) in taken.iter().enumerate() {
            let (scores, marks) = (&scores.concat()[group], &marks[group * count..][..count]);
            let open = || (0..count).filter(|&place| marks[place] == -1);
            let best = open().fold(None, |best: Option<usize>, place| match best {
                Some(best) if scores[best] >= scores[place] => Some(best),
                _ => Some(place),
            });
            prop_assert_eq!(found, best.map_or(-1, |best| best as i64));
            let Some(best) = best else { continue };
            let boxes = &boxes[group / classes];
            for place in open() {
                let corners = |place: usize| corners(boxes[place], centered);
                next[group * count + place] = match () {
                    () if place == best => 7,
                    () if overlap(corners(place), corners(best), threshold) => -2,
                    () => -1,
                };
            }
        }
        let boxes_ty = TensorType::new(DType::F32, [batches as u64, count as u64, 4]);
        let found = run(Suppress { centered }, &[
            own,
            (boxes_ty, floats(boxes.concat().as_flattened())),
            (TensorType::new(DType::I64, [batches as u64, classes as u64]), bytes(&taken)),
            (TensorType::new(DType::I64, []), bytes(&[7])),
            (TensorType::new(DType::F32, []), floats(&[threshold])),
        ]);
        prop_assert_eq!(found, next);
    }
}
