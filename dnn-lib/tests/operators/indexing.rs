//! Operators that take, move, surround and replace elements, on integers that are all different.

use dnn_lib::operator::{
    ByRank, Expand, Gather, GatherElements, GatherND, Merge, OneHot, Operator, Pad, PadMode, Rank,
    ReverseSequence, ScatterElements, ScatterND, Slice, Tile, Trilu, Update,
};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::{indices, run_bytes, shape};

/// A tensor of `i64`.
#[derive(Clone, Debug, PartialEq)]
struct Ints {
    shape: Vec<u64>,
    data: Vec<i64>,
}

impl Ints {
    /// 1, 2, 3, ...
    fn numbered(shape: &[u64]) -> Self {
        Self { shape: shape.to_vec(), data: (1..=shape.iter().product::<u64>() as i64).collect() }
    }

    fn from_fn(shape: &[u64], element: impl FnMut(Vec<u64>) -> i64) -> Self {
        Self { shape: shape.to_vec(), data: indices(shape).map(element).collect() }
    }

    fn at(&self, index: &[u64]) -> i64 {
        assert_eq!(index.len(), self.shape.len());
        let place = index.iter().zip(&self.shape).fold(0, |place, (&i, &size)| {
            assert!(i < size, "{index:?} of {:?}", self.shape);
            place * size + i
        });
        self.data[place as usize]
    }
}

fn run(operator: impl Into<Operator>, inputs: &[&Ints]) -> Ints {
    let types: Vec<TensorType> =
        inputs.iter().map(|input| TensorType::new(DType::I64, input.shape.clone())).collect();
    let bytes: Vec<Vec<u8>> =
        inputs.iter().map(|input| input.data.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
    let (ty, output) = run_bytes(&operator.into(), &types, &bytes);
    let data = output.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect();
    Ints { shape: ty.shape, data }
}

/// Indices of a dimension: most of them good, some from the end, a few far away.
fn index(size: u64) -> impl Strategy<Value = i64> {
    let n = size as i64;
    prop_oneof![10 => -n..n, 1 => -n - 2..n + 2, 1 => prop::sample::select(vec![i64::MIN, i64::MAX])]
}

fn list(shape: Vec<u64>, size: u64) -> impl Strategy<Value = Ints> {
    let count = shape.iter().product::<u64>() as usize;
    prop::collection::vec(index(size), count).prop_map(move |data| Ints { shape: shape.clone(), data })
}

/// The element that an index names: counted from the end if it is negative, and the nearest if there is none.
fn nearest(index: i64, size: u64) -> u64 {
    let (index, size) = (i128::from(index), i128::from(size));
    (if index < 0 { index + size } else { index }).clamp(0, size - 1) as u64
}

/// The element that an update hits.
fn hit(index: i64, size: u64) -> Option<u64> {
    let (index, size) = (i128::from(index), i128::from(size));
    let place = if index < 0 { index + size } else { index };
    (0..size).contains(&place).then_some(place as u64)
}

fn with(at: &[u64], axis: usize, index: u64) -> Vec<u64> {
    let mut at = at.to_vec();
    at[axis] = index;
    at
}

/// A shape, and one of its axes.
fn axis_of(most_rank: usize) -> impl Strategy<Value = (Vec<u64>, usize)> {
    shape(1..=most_rank, 5).prop_flat_map(|shape| {
        let rank = shape.len();
        (Just(shape), 0..rank)
    })
}

const UPDATES: [Update; 5] = [Update::Replace, Update::Add, Update::Mul, Update::Max, Update::Min];

fn updated(update: Update, old: i64, new: i64) -> i64 {
    match update {
        Update::Replace => new,
        Update::Add => old.wrapping_add(new),
        Update::Mul => old.wrapping_mul(new),
        Update::Max => old.max(new),
        Update::Min => old.min(new),
    }
}

/// The part of `0..size` that Python's slices take.
fn python(size: u64, start: i64, end: i64, step: i64) -> Vec<u64> {
    let (n, step) = (i128::from(size), i128::from(step));
    let (least, most) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let bound = |x: i64| (if x < 0 { i128::from(x) + n } else { x.into() }).clamp(least, most);
    let (mut at, end, mut taken) = (bound(start), bound(end), Vec::new());
    while (step > 0 && at < end) || (step < 0 && at > end) {
        taken.push(at as u64);
        at += step;
    }
    taken
}

proptest! {
    #[test]
    fn slices_are_those_of_python(
        ((shape, axis), start, end, step) in (
            axis_of(3),
            prop_oneof![-7..7i64, Just(i64::MIN), Just(i64::MAX)],
            prop_oneof![-7..7i64, Just(i64::MIN), Just(i64::MAX)],
            prop_oneof![prop::sample::select(vec![-3i64, -2, -1, 1, 2, 3]), Just(i64::MIN), Just(i64::MAX)],
        ),
    ) {
        let x = Ints::numbered(&shape);
        let taken = python(shape[axis], start, end, step);
        let right = Ints::from_fn(&with(&shape, axis, taken.len() as u64), |at| {
            x.at(&with(&at, axis, taken[at[axis] as usize]))
        });
        let slice = Slice {
            axes: Some(vec![axis as i64 - shape.len() as i64]),
            starts: vec![start],
            ends: vec![end],
            steps: vec![step],
        };
        prop_assert_eq!(run(slice, &[&x]), right);
    }

    #[test]
    fn gather_takes_slices(
        (shape, axis, named) in axis_of(3).prop_flat_map(|(shape, axis)| {
            let size = shape[axis];
            (Just(shape), Just(axis), super::shape(0..=2, 3).prop_flat_map(move |own| list(own, size)))
        }),
    ) {
        let x = Ints::numbered(&shape);
        let rank = named.shape.len();
        let right = [&shape[..axis], &named.shape, &shape[axis + 1..]].concat();
        let right = Ints::from_fn(&right, |at| {
            let index = nearest(named.at(&at[axis..axis + rank]), shape[axis]);
            x.at(&[&at[..axis], &[index], &at[axis + rank..]].concat())
        });
        prop_assert_eq!(run(Gather { axis: axis as i64 }, &[&x, &named]), right);
    }

    #[test]
    fn elements_are_gathered_and_scattered(
        (shape, axis, named) in axis_of(3).prop_flat_map(|(shape, axis)| {
            let own: Vec<_> = shape.iter().enumerate()
                .map(|(other, &size)| if other == axis { 1..=4 } else { 1..=size }).collect();
            let size = shape[axis];
            (Just(shape), Just(axis), own.prop_flat_map(move |own| list(own, size)))
        }),
    ) {
        let x = Ints::numbered(&shape);
        let size = shape[axis];
        let gathered = Ints::from_fn(&named.shape, |at| x.at(&with(&at, axis, nearest(named.at(&at), size))));
        prop_assert_eq!(run(GatherElements { axis: axis as i64 }, &[&x, &named]), gathered);
        let updates = Ints::from_fn(&named.shape, |at| 100 + 7 * at.iter().sum::<u64>() as i64);
        for update in UPDATES {
            let mut right = x.clone();
            for at in indices(&named.shape) {
                let Some(place) = hit(named.at(&at), size) else { continue };
                let place = with(&at, axis, place);
                let number = indices(&shape).position(|at| at == place).unwrap();
                right.data[number] = updated(update, right.data[number], updates.at(&at));
            }
            let scatter = ScatterElements { axis: axis as i64, update };
            prop_assert_eq!(run(scatter, &[&x, &named, &updates]), right, "{:?}", update);
        }
    }

    #[test]
    fn tuples_are_gathered_and_scattered(
        (shape, tuple, named) in shape(1..=3, 4).prop_flat_map(|shape| {
            let (rank, most) = (shape.len() as u64, *shape.iter().max().unwrap());
            (Just(shape), 1..=rank, super::shape(0..=2, 3)).prop_flat_map(move |(shape, tuple, outer)| {
                (Just(shape), Just(tuple as usize), list([outer, vec![tuple]].concat(), most))
            })
        }),
    ) {
        let x = Ints::numbered(&shape);
        let outer = &named.shape[..named.shape.len() - 1];
        let whole = [outer, &shape[tuple..]].concat();
        let indices_of = |at: &[u64]| -> Vec<i64> {
            (0..tuple as u64).map(|part| named.at(&[&at[..outer.len()], &[part]].concat())).collect()
        };
        let gathered = Ints::from_fn(&whole, |at| {
            let place = indices_of(&at).into_iter().zip(&shape).map(|(index, &size)| nearest(index, size));
            x.at(&place.chain(at[outer.len()..].iter().copied()).collect::<Vec<_>>())
        });
        prop_assert_eq!(run(GatherND { batch_dims: 0 }, &[&x, &named]), gathered);
        let updates = Ints::numbered(&whole);
        for update in UPDATES {
            let mut right = x.clone();
            for at in indices(&whole) {
                let place = indices_of(&at).into_iter().zip(&shape).map(|(index, &size)| hit(index, size));
                let Some(place) = place.collect::<Option<Vec<u64>>>() else { continue };
                let place = [&place, &at[outer.len()..]].concat();
                let number = indices(&shape).position(|at| at == place).unwrap();
                right.data[number] = updated(update, right.data[number], updates.at(&at));
            }
            prop_assert_eq!(run(ScatterND { update }, &[&x, &named, &updates]), right, "{:?}", update);
        }
    }

    #[test]
    fn what_is_removed_goes_before_what_is_added(
        (shape, pads) in shape(1..=3, 4).prop_flat_map(|shape| {
            let pads: Vec<_> = shape.iter().map(|&size| {
                let n = size as i64;
                (-(n / 2)..=9, -((n - 1) / 2)..=9)
            }).collect();
            (Just(shape), pads)
        }),
        mode in prop::sample::select(vec![PadMode::Constant, PadMode::Reflect, PadMode::Edge, PadMode::Wrap]),
    ) {
        let (x, value) = (Ints::numbered(&shape), Ints { shape: vec![], data: vec![-5] });
        // Each index of the output, as one of the input.
        let along: Vec<Vec<Option<u64>>> = shape.iter().zip(&pads).map(|(&size, &(before, after))| {
            let kept: Vec<u64> = (-before.min(0) as u64..size - -after.min(0) as u64).collect();
            let n = kept.len() as i64;
            (-before.max(0)..n + after.max(0)).map(|place| {
                let period: Vec<u64> = match mode {
                    PadMode::Reflect => {
                        let back = kept.iter().rev().skip(1).take(kept.len().saturating_sub(2));
                        kept.iter().chain(back).copied().collect()
                    }
                    _ => kept.clone(),
                };
                match mode {
                    PadMode::Constant => {
                        usize::try_from(place).ok().and_then(|place| kept.get(place).copied())
                    }
                    PadMode::Edge => Some(kept[place.clamp(0, n - 1) as usize]),
                    _ => Some(period[place.rem_euclid(period.len() as i64) as usize]),
                }
            }).collect()
        }).collect();
        let sizes: Vec<u64> = along.iter().map(|along| along.len() as u64).collect();
        let right = Ints::from_fn(&sizes, |at| {
            let from = at.iter().zip(&along).map(|(&i, along)| along[i as usize]);
            let from = from.collect::<Option<Vec<u64>>>();
            from.map_or(-5, |from| x.at(&from))
        });
        prop_assert_eq!(run(Pad { mode, pads }, &[&x, &value]), right);
    }

    #[test]
    fn tiles_and_broadcasts_repeat(
        (shape, repeats) in shape(1..=3, 3).prop_flat_map(|shape| {
            let rank = shape.len();
            (Just(shape), prop::collection::vec(0..=3u64, rank))
        }),
    ) {
        let x = Ints::numbered(&shape);
        let sizes: Vec<u64> = shape.iter().zip(&repeats).map(|(size, count)| size * count).collect();
        let right = Ints::from_fn(&sizes, |at| {
            x.at(&at.iter().zip(&shape).map(|(i, size)| i % size).collect::<Vec<_>>())
        });
        prop_assert_eq!(run(Tile { repeats: repeats.clone() }, &[&x]), right);
        let ones = Ints::numbered(&vec![1; shape.len()]);
        let right = Ints::from_fn(&shape, |_| 1);
        prop_assert_eq!(run(Expand { shape }, &[&ones]), right);
    }

    #[test]
    fn triangles_one_hot_vectors_and_reversed_sequences(
        (shape, lengths) in shape(2..=3, 5).prop_flat_map(|shape| {
            let batch = shape[0];
            (Just(shape), prop::collection::vec(-1..8i64, batch as usize))
        }),
        k in prop_oneof![-6..6i64, Just(i64::MIN), Just(i64::MAX)],
        upper in any::<bool>(),
    ) {
        let x = Ints::numbered(&shape);
        let rank = shape.len();
        let right = Ints::from_fn(&shape, |at| {
            let diagonal = at[rank - 1] as i64 - at[rank - 2] as i64;
            let inside = if upper { diagonal >= k } else { diagonal <= k };
            if inside { x.at(&at) } else { 0 }
        });
        prop_assert_eq!(run(Trilu { upper }, &[&x, &Ints { shape: vec![], data: vec![k] }]), right);

        let lengths = Ints { shape: vec![shape[0]], data: lengths };
        let right = Ints::from_fn(&shape, |at| {
            let length = lengths.at(&at[..1]).min(shape[1] as i64);
            let time = at[1] as i64;
            x.at(&with(&at, 1, if time < length { length - 1 - time } else { time } as u64))
        });
        prop_assert_eq!(run(ReverseSequence { batch_axis: 0, time_axis: 1 }, &[&x, &lengths]), right);

        let right = Ints::from_fn(&[shape[0], 4], |at| {
            let index = lengths.at(&at[..1]);
            if hit(index, 4) == Some(at[1]) { 9 } else { 3 }
        });
        let values = Ints { shape: vec![2], data: vec![3, 9] };
        prop_assert_eq!(run(OneHot { axis: -1, depth: 4 }, &[&lengths, &values]), right);
    }

    #[test]
    fn ranks_are_places_in_order(
        (shape, axis, data) in axis_of(3).prop_flat_map(|(shape, axis)| {
            let count = shape.iter().product::<u64>() as usize;
            (Just(shape), Just(axis), prop::collection::vec(-3..3i64, count))
        }),
        largest in any::<bool>(),
    ) {
        let x = Ints { shape: shape.clone(), data };
        let order = |at: &[u64]| -> Vec<u64> {
            let mut order: Vec<u64> = (0..shape[axis]).collect();
            let value = |place: u64| x.at(&with(at, axis, place)) * if largest { -1 } else { 1 };
            order.sort_by_key(|&place| value(place));
            order
        };
        let right = Ints::from_fn(&shape, |at| {
            order(&at).iter().position(|&place| place == at[axis]).unwrap() as i64
        });
        let ranks = run(Rank { axis: axis as i64, largest }, &[&x]);
        prop_assert_eq!(&ranks, &right);
        let count = shape[axis].div_ceil(2);
        let right = Ints::from_fn(&with(&shape, axis, count), |at| order(&at)[at[axis] as usize] as i64);
        prop_assert_eq!(run(ByRank { axis: axis as i64, count }, &[&ranks]), right);
    }

    #[test]
    fn blocks_are_merged_in_order(
        (shape, axis, data) in (shape(1..=2, 3), 0..2usize, 1..40u64).prop_flat_map(|(mut shape, axis, size)| {
            let axis = axis.min(shape.len() - 1);
            shape[axis] = size;
            let count = shape.iter().product::<u64>() as usize;
            (Just(shape), Just(axis), prop::collection::vec(-5..5i64, count))
        }),
        largest in any::<bool>(),
        most in prop::sample::select(vec![1, 4, 64]),
    ) {
        let x = Ints { shape: shape.clone(), data };
        let (mut places, mut width, mut left) = (None, 1, shape[axis]);
        while places.is_none() || left > width {
            let merge = Merge { axis: axis as i64, largest, width, kept: most.min(2 * width) };
            places = Some(match &places {
                None => run(merge, &[&x]),
                Some(places) => run(merge, &[&x, places]),
            });
            (width, left) = (merge.kept, merge.left(left));
        }
        let right = Ints::from_fn(&with(&shape, axis, left), |at| {
            let mut order: Vec<u64> = (0..shape[axis]).collect();
            let value = |place: u64| x.at(&with(&at, axis, place)) * if largest { -1 } else { 1 };
            order.sort_by_key(|&place| value(place));
            order[at[axis] as usize] as i64
        });
        prop_assert_eq!(left, shape[axis].min(most));
        prop_assert_eq!(places, Some(right));
    }
}
