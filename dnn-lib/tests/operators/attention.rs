//! Masked softmax and rotation.

use dnn_lib::operator::{MaskedScores, MaskedSoftmax, Operator, Rotary, Sight};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::{Tensor, assert_same, indices, lane_sum, run, run_output, tensor};

/// What a mask says: numbers to add, or what is seen.
#[derive(Clone, Debug)]
struct Mask {
    numbers: Tensor,
    is_bool: bool,
}

#[derive(Clone, Debug)]
struct Case {
    sight: Sight,
    scores: Tensor,
    mask: Option<Mask>,
    valid: Option<Vec<i64>>,
}

fn case() -> impl Strategy<Value = Case> {
    let sizes = (1..=2u64, 1..=3u64, 1..=5u64, 1..=20u64);
    let window = || prop_oneof![Just(None), (0..6u64).prop_map(Some)];
    (sizes, window(), window(), 0..6usize, 0..3u64, any::<(bool, bool)>()).prop_flat_map(
        |((batch, heads, queries, keys), left, right, kind, offset, (is_bool, valid))| {
            let shape = match kind {
                0 => None,
                1 => Some(vec![keys]),
                2 => Some(vec![queries, keys.div_ceil(2)]),
                3 => Some(vec![heads, queries, keys]),
                4 => Some(vec![batch, 1, queries, keys]),
                _ => Some(vec![batch, heads, 1, keys]),
            };
            let mask = match shape {
                None => Just(None).boxed(),
                Some(shape) => {
                    let hidden = prop_oneof![3 => -1.0..1.0f32, 1 => Just(f32::NEG_INFINITY)];
                    let count = shape.iter().product::<u64>() as usize;
                    let numbers = prop::collection::vec(hidden, count);
                    numbers
                        .prop_map(move |data| {
                            Some(Mask { numbers: Tensor::new(shape.clone(), data), is_bool })
                        })
                        .boxed()
                }
            };
            let valid = match valid {
                false => Just(None).boxed(),
                true => prop::collection::vec(0..=keys as i64, batch as usize).prop_map(Some).boxed(),
            };
            (tensor([batch, heads, queries, keys]), mask, valid).prop_map(move |(scores, mask, valid)| {
                let sight = Sight { offset, left, right, mask: mask.is_some(), valid: valid.is_some() };
                Case { sight, scores, mask, valid }
            })
        },
    )
}

/// What is added to the score of a key.
fn bias(case: &Case, index: &[u64]) -> f32 {
    let Case { sight, scores, mask, valid } = case;
    let hidden = |seen: bool| if seen { 0.0 } else { f32::NEG_INFINITY };
    let mut bias = 0.0;
    if let Some(Mask { numbers, is_bool }) = mask {
        let own = &index[4 - numbers.shape.len()..];
        let at: Vec<u64> =
            own.iter().zip(&numbers.shape).map(|(&i, &size)| if size == 1 { 0 } else { i }).collect();
        let inside = index[3] < numbers.shape[numbers.shape.len() - 1];
        bias = match (inside, is_bool) {
            (false, _) => f32::NEG_INFINITY,
            (true, false) => numbers.at(&at),
            (true, true) => hidden(numbers.at(&at) > 0.0),
        };
    }
    let count = valid.as_ref().map(|valid| valid[index[0] as usize]);
    let first = count.map_or(sight.offset as i64, |count| count - scores.shape[2] as i64);
    let (position, key) = (index[2] as i64 + first, index[3] as i64);
    if let Some(right) = sight.right {
        bias += hidden(key <= position + right as i64);
    }
    if let Some(left) = sight.left {
        bias += hidden(key >= position - left as i64);
    }
    bias + count.map_or(0.0, |count| hidden(key < count))
}

fn execute(case: &Case, operator: impl Into<Operator>) -> Tensor {
    let mut inputs = vec![(case.scores.ty(), case.scores.bytes())];
    if let Some(Mask { numbers, is_bool }) = &case.mask {
        inputs.push(match is_bool {
            false => (numbers.ty(), numbers.bytes()),
            true => {
                let seen = numbers.data.iter().map(|&x| u8::from(x > 0.0)).collect();
                (TensorType::new(DType::Bool, numbers.shape.clone()), seen)
            }
        });
    }
    if let Some(valid) = &case.valid {
        let bytes = valid.iter().flat_map(|x| x.to_le_bytes()).collect();
        inputs.push((TensorType::new(DType::I64, [valid.len() as u64]), bytes));
    }
    let types: Vec<TensorType> = inputs.iter().map(|input| input.0.clone()).collect();
    let bytes: Vec<&[u8]> = inputs.iter().map(|input| &input.1[..]).collect();
    let (ty, output) = run_output(&operator.into(), 0, &types, &bytes);
    let data = output.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect();
    Tensor::new(ty.shape, data)
}

proptest! {
    #[test]
    fn scores_are_masked(case in case()) {
        let right = Tensor::from_fn(&case.scores.shape, |index| case.scores.at(index) + bias(&case, index));
        assert_same(&execute(&case, MaskedScores(case.sight)), &right);
    }

    #[test]
    fn a_masked_softmax_is_a_softmax_of_what_is_seen(case in case()) {
        let found = execute(&case, MaskedSoftmax(case.sight));
        let [batch, heads, queries, keys] = case.scores.shape[..] else { panic!("four dimensions") };
        for row in indices(&[batch, heads, queries]) {
            let index = |key: u64| [&row[..], &[key]].concat();
            let biases: Vec<f32> = (0..keys).map(|key| bias(&case, &index(key))).collect();
            let scores: Vec<f32> = (0..keys).map(|key| case.scores.at(&index(key)) + biases[key as usize]).collect();
            let max = scores.iter().fold(f32::NEG_INFINITY, |a, &b| dnn_lib::scalar::maximum(a, b));
            let max = if max == f32::NEG_INFINITY { 0.0 } else { max };
            // Correctly rounded: of the exponential, binary64 has enough digits for all but one in a billion.
            let exponentials: Vec<f32> = scores.iter().map(|x| f64::from(x - max).exp() as f32).collect();
            let sum = lane_sum(exponentials.iter().copied());
            let blind = biases.iter().all(|&bias| bias == f32::NEG_INFINITY);
            for key in 0..keys {
                let right = match sum {
                    _ if blind => 0.0,
                    0.0 => exponentials[key as usize],
                    sum => exponentials[key as usize] / sum,
                };
                assert_same(&Tensor::new([], vec![found.at(&index(key))]), &Tensor::new([], vec![right]));
            }
        }
    }

    #[test]
    fn pairs_are_turned(
        (x, cos, sin) in (1..=2u64, 1..=3u64, 1..=3u64, 1..=4u64).prop_flat_map(|(batch, heads, length, half)| {
            (tensor([batch, heads, length, 2 * half]), tensor([batch, length, half]), tensor([batch, length, half]))
        }),
        interleaved: bool,
    ) {
        let found = run(Rotary { interleaved, heads_first: true }, &[&x, &cos, &sin]);
        let half = cos.shape[2];
        let right = Tensor::from_fn(&x.shape, |i| {
            let (pair, second) = if interleaved { (i[3] / 2, i[3] % 2 == 1) } else { (i[3] % half, i[3] >= half) };
            let places = if interleaved { [2 * pair, 2 * pair + 1] } else { [pair, pair + half] };
            let [a, b] = places.map(|place| x.at(&[i[0], i[1], i[2], place]));
            let [cos, sin] = [&cos, &sin].map(|table| table.at(&[i[0], i[2], pair]));
            if second { a * sin + b * cos } else { a * cos - b * sin }
        });
        assert_same(&found, &right);
    }
}
