//! Arithmetic with broadcasting, activations, batch normalisation.

use dnn_lib::operator::*;
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::{Tensor, assert_same, element, run, run_bytes, shape, tensor};

/// Two shapes that broadcast to the third.
fn broadcastable() -> impl Strategy<Value = (Vec<u64>, Vec<u64>, Vec<u64>)> {
    shape(0..=4, 4).prop_flat_map(|whole| {
        let rank = whole.len();
        let part = (0..=rank, prop::collection::vec(any::<bool>(), rank));
        (part.clone(), part, Just(whole)).prop_map(move |(a, b, whole)| {
            let cut = |(skip, ones): (usize, Vec<bool>)| -> Vec<u64> {
                let sizes = whole.iter().zip(ones).map(|(&size, one)| if one { 1 } else { size });
                sizes.skip(skip).collect()
            };
            let (a, b) = (cut(a), cut(b));
            let size = |shape: &[u64], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
            let both = (0..rank).map(|i| size(&a, i).max(size(&b, i))).collect::<Vec<_>>();
            let skip = rank - a.len().max(b.len());
            (a, b, both[skip..].to_vec())
        })
    })
}

type Function1 = fn(f64) -> f64;

type Function2 = fn(f32, f32) -> f32;

type IntegerFunction = fn(i64, i64) -> i64;

proptest! {
    #[test]
    fn arithmetic_broadcasts((a, b, whole) in broadcastable().prop_flat_map(|(a, b, whole)| (tensor(a), tensor(b), Just(whole)))) {
        let operators: [(Operator, Function2); 4] = [
            (Add.into(), |a, b| a + b),
            (Sub.into(), |a, b| a - b),
            (Mul.into(), |a, b| a * b),
            (Div.into(), |a, b| a / b),
        ];
        for (operator, function) in operators {
            let right = Tensor::from_fn(&whole, |i| function(a.at_broadcast(i), b.at_broadcast(i)));
            assert_same(&run(operator, &[&a, &b]), &right);
        }
    }

    #[test]
    fn integers_wrap_and_divide_as_riscv_does(pairs in prop::collection::vec((any::<i64>(), prop_oneof![any::<i64>(), -2..3i64]), 1..9)) {
        let ty = TensorType::new(DType::I64, [pairs.len() as u64]);
        let bytes = |of: fn(&(i64, i64)) -> i64| -> Vec<u8> { pairs.iter().flat_map(|pair| of(pair).to_le_bytes()).collect() };
        let operators: [(Operator, IntegerFunction); 4] = [
            (Add.into(), i64::wrapping_add),
            (Sub.into(), i64::wrapping_sub),
            (Mul.into(), i64::wrapping_mul),
            (Div.into(), |a, b| if b == 0 { -1 } else { a.wrapping_div(b) }),
        ];
        for (operator, function) in operators {
            let found = run_bytes(&operator, &[ty.clone(), ty.clone()], &[&bytes(|pair| pair.0), &bytes(|pair| pair.1)]).1;
            let right: Vec<u8> = pairs.iter().flat_map(|&(a, b)| function(a, b).to_le_bytes()).collect();
            prop_assert_eq!(found, right);
        }
    }

    #[test]
    fn narrow_integers_wrap_in_their_own_width(pairs in prop::collection::vec((any::<u8>(), any::<u8>()), 1..9)) {
        let (a, b): (Vec<u8>, Vec<u8>) = pairs.iter().copied().unzip();
        let both = |dtype: DType| [TensorType::new(dtype, [a.len() as u64]), TensorType::new(dtype, [a.len() as u64])];
        let unsigned = run_bytes(&Div.into(), &both(DType::U8), &[&a, &b]).1;
        let signed = run_bytes(&Div.into(), &both(DType::I8), &[&a, &b]).1;
        let sums = run_bytes(&Add.into(), &both(DType::I8), &[&a, &b]).1;
        for (i, &(a, b)) in pairs.iter().enumerate() {
            prop_assert_eq!(unsigned[i], a.checked_div(b).unwrap_or(255));
            prop_assert_eq!(signed[i] as i8, if b == 0 { -1 } else { (a as i8).wrapping_div(b as i8) });
            prop_assert_eq!(sums[i], a.wrapping_add(b));
        }
    }

    #[test]
    fn functions_are_those_of_f64_rounded(data in prop::collection::vec(prop_oneof![element(), -20.0..20.0f32], 1..20)) {
        let x = Tensor::new([data.len() as u64], data);
        let operators: [(Operator, Function1); 19] = [
            (Acos.into(), f64::acos),
            (Acosh.into(), f64::acosh),
            (Asin.into(), f64::asin),
            (Asinh.into(), f64::asinh),
            (Atan.into(), f64::atan),
            (Atanh.into(), f64::atanh),
            (Cos.into(), f64::cos),
            (Cosh.into(), f64::cosh),
            (Exp.into(), f64::exp),
            (Log.into(), f64::ln),
            (Sigmoid.into(), |x| 1.0 / (1.0 + (-x).exp())),
            (Sin.into(), f64::sin),
            (Sinh.into(), f64::sinh),
            (Tan.into(), f64::tan),
            (Tanh.into(), f64::tanh),
            (Softplus.into(), |x| if x.is_nan() { x } else { x.max(0.0) + (-x.abs()).exp().ln_1p() }),
            (Mish.into(), |x| if x < -200.0 { -0.0 } else { x * x.exp().ln_1p().tanh() }),
            (Gelu { tanh: true }.into(), |x| {
                if x < -40.0 { return -0.0; }
                x / (1.0 + (-1.595_769_121_605_730_8 * (x + 0.044715 * x * x * x)).exp())
            }),
            // The alpha of an Elu is a factor of a function that is rounded.
            (Elu { alpha: 0.75 }.into(), |x| if x < 0.0 { f64::from(0.75 * x.exp_m1() as f32) } else { x }),
        ];
        for (operator, function) in operators {
            let right = Tensor::from_fn(&x.shape, |i| function(x.at(i).into()) as f32);
            assert_same(&run(operator, &[&x]), &right);
        }
    }

    #[test]
    fn batch_normalization_by_channel(
        (x, channels) in shape(2..=4, 4).prop_flat_map(|shape| {
            let channels = prop::collection::vec(tensor([shape[1]]), 4);
            (tensor(shape), channels)
        }),
        epsilon in 1e-6..1e-1f32,
    ) {
        let [scale, bias, mean, variance] = [0, 1, 2, 3].map(|i: usize| &channels[i]);
        let right = Tensor::from_fn(&x.shape, |i| {
            let c = &i[1..2];
            let factor = scale.at(c) / (variance.at(c) + epsilon).sqrt();
            (x.at(i) - mean.at(c)).mul_add(factor, bias.at(c))
        });
        assert_same(&run(BatchNormalization { epsilon }, &[&x, scale, bias, mean, variance]), &right);
    }
}
