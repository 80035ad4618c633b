//! What training needs: losses, optimizers, statistics of batches, and random numbers. Each against a plain
//! reference, whose bits must be the same unless it says otherwise.

use dnn_lib::tensor::DType;
use onnx::{Attribute, Tensor};
use proptest::prelude::*;

use crate::single::{Single, as_floats, floats, integers, lane_sum, single};

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Samples with classes: [N, C, ...], and the attributes of a loss.
#[derive(Clone, Debug)]
struct Samples {
    shape: Vec<u64>,
    logarithms: Vec<f32>,
    classes: Vec<i64>,
    weights: Option<Vec<f32>>,
    ignored: Option<i64>,
    reduction: &'static str,
}

fn samples() -> impl Strategy<Value = Samples> {
    let shape = (1..4u64, 1..5u64, prop::collection::vec(1..4u64, 0..3));
    shape.prop_flat_map(|(n, c, rest)| {
        let shape = [&[n, c], &rest[..]].concat();
        let count = shape.iter().product::<u64>() as usize;
        let values = |count: usize| prop::collection::vec(-4.0..4.0f32, count);
        let ignored = prop::option::of(prop_oneof![0..c as i64, Just(-1), Just(99)]);
        let reduction = prop::sample::select(vec!["none", "sum", "mean"]);
        let classes = prop::collection::vec(0..c as i64, count / c as usize);
        let weights = prop::option::of(values(c as usize));
        (Just(shape), values(count), classes, weights, ignored, reduction).prop_map(
            |(shape, logarithms, mut classes, weights, ignored, reduction)| {
                // Some samples have the class to be ignored.
                let of_ignored = classes.iter_mut().step_by(3).zip(ignored);
                of_ignored.for_each(|(class, ignored)| *class = ignored);
                Samples { shape, logarithms, classes, weights, ignored, reduction }
            },
        )
    })
}

impl Samples {
    fn node(&self, operator: &str) -> Single {
        let mut shape = self.shape.clone();
        let classes = shape.remove(1);
        let node = single(operator).string("reduction", self.reduction);
        let node = node.input(floats(&self.shape, &self.logarithms)).input(integers(&shape, &self.classes));
        let node = self.weights.iter().fold(node, |node, weights| node.input(floats(&[classes], weights)));
        self.ignored.iter().fold(node, |node, &ignored| node.int("ignore_index", ignored))
    }

    fn loss(&self, logarithms: &[f32]) -> Vec<f32> {
        let inner = self.shape[2..].iter().product::<u64>() as usize;
        let count = self.shape[1] as usize;
        let (mut losses, mut weights) = (Vec::new(), Vec::new());
        for (sample, &class) in self.classes.iter().enumerate() {
            if self.ignored == Some(class) {
                losses.push(0.0);
                weights.push(0.0);
                continue;
            }
            let place = (sample / inner * count + class as usize) * inner + sample % inner;
            let weight = self.weights.as_ref().map_or(1.0, |weights| weights[class as usize]);
            losses.push(-logarithms[place] * weight);
            weights.push(weight);
        }
        match self.reduction {
            "none" => losses,
            "sum" => vec![lane_sum(losses)],
            _ => vec![lane_sum(losses) / lane_sum(weights)],
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_loss_is_that_of_the_classes(samples in samples()) {
        let (shape, found) = samples.node("NegativeLogLikelihoodLoss").floats();
        let expected = samples.loss(&samples.logarithms);
        prop_assert_eq!(shape.len(), if samples.reduction == "none" { samples.shape.len() - 1 } else { 0 });
        prop_assert!(bits(&found) == bits(&expected) || found[0].is_nan() && expected[0].is_nan(), "{:?}", found);
    }

    #[test]
    fn a_cross_entropy_is_the_loss_of_its_second_output(samples in samples()) {
        let outputs = samples.node("SoftmaxCrossEntropyLoss").outputs(2).run().unwrap();
        let logarithms = as_floats(&outputs[1]);
        let (found, expected) = (as_floats(&outputs[0]), samples.loss(&logarithms));
        prop_assert!(bits(&found) == bits(&expected) || found[0].is_nan() && expected[0].is_nan(), "{:?}", found);
        let x = single("LogSoftmax").int("axis", 1).input(floats(&samples.shape, &samples.logarithms));
        prop_assert_eq!(bits(&x.floats().1), bits(&logarithms));
    }
}

#[test]
fn classes_of_32_bits_and_ones_that_are_out_of_range() {
    let classes =
        Tensor::new(DType::I32, vec![2], [1i32, 7].into_iter().flat_map(i32::to_le_bytes).collect());
    let node = single("NegativeLogLikelihoodLoss").string("reduction", "sum");
    let node = node.input(floats(&[2, 2], &[-1.0, -2.0, f32::NAN, -4.0])).input(classes.unwrap());
    assert_eq!(node.clone().int("ignore_index", 7).floats().1, [2.0]);
    // The nearest class.
    assert_eq!(node.int("ignore_index", i64::MAX).floats().1, [6.0]);
}

#[test]
fn wrong_losses_are_refused() {
    let node = |shape: &[u64], classes: &[u64]| {
        let count = |shape: &[u64]| shape.iter().product::<u64>() as usize;
        let node = single("NegativeLogLikelihoodLoss").input(floats(shape, &vec![0.0; count(shape)]));
        node.input(integers(classes, &vec![0; count(classes)]))
    };
    for (error, says) in [
        (node(&[2], &[2]).error(), "input 0 (`x0`) has shape [2]"),
        (node(&[2, 3, 4], &[2, 3]).error(), "input 1 (`x1`) has shape [2, 3]"),
        (node(&[2, 3], &[2]).input(floats(&[2], &[1.0, 1.0])).error(), "[3], one for each class"),
        (node(&[2, 3], &[2]).string("reduction", "max").error(), "is max; supported: none, sum, mean"),
    ] {
        assert!(error.contains(says), "`{error}` should say `{says}`");
    }
}

/// A step of an optimizer on two tensors: each kind of tensors, the first ones first.
fn optimizer(operator: &str, kinds: &[[Vec<f32>; 2]], (rate, updates): (f32, i64)) -> Single {
    let node = single(&format!("ai.onnx.preview.training:{operator}"));
    let node = node.input(floats(&[], &[rate])).input(integers(&[], &[updates]));
    let node = node.outputs(2 * (kinds.len() - 1));
    kinds.iter().flatten().fold(node, |node, values| node.input(floats(&[values.len() as u64], values)))
}

/// The numbers of two tensors for some kinds: squares are not negative.
fn kinds(count: usize) -> impl Strategy<Value = Vec<[Vec<f32>; 2]>> {
    let values = |count| prop::collection::vec(0.0..2.0f32, count);
    prop::collection::vec([values(3), values(5)], count)
}

/// Compares the outputs with what a formula gives for each element.
fn assert_step(
    node: &Single,
    kinds: &[[Vec<f32>; 2]],
    formula: impl Fn(&[f32]) -> Vec<f32>,
) -> Result<(), TestCaseError> {
    let found: Vec<Vec<f32>> = node.run().unwrap().iter().map(as_floats).collect();
    for number in 0..2 {
        for element in 0..kinds[0][number].len() {
            let given: Vec<f32> = kinds.iter().map(|kind| kind[number][element]).collect();
            for (kind, expected) in formula(&given).into_iter().enumerate() {
                let found = found[2 * kind + number][element];
                let near = (found - expected).abs() <= 1e-6 * expected.abs();
                prop_assert!(near, "tensor {}, element {}: {} is not {}", number, element, found, expected);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn adagrad(kinds in kinds(3), rate in 0.1..1.0f32, updates in 0..4i64) {
        let node = optimizer("Adagrad", &kinds, (rate, updates)).float("norm_coefficient", 0.25);
        let node = node.float("decay_factor", 0.5).float("epsilon", 0.125);
        assert_step(&node, &kinds, |given| {
            let r = rate / (1.0 + updates as f32 * 0.5);
            let g = 0.25 * given[0] + given[1];
            let h = given[2] + g * g;
            vec![given[0] - r * g / (h.sqrt() + 0.125), h]
        })?;
    }

    #[test]
    fn adam(kinds in kinds(4), rate in 0.1..1.0f32, updates in 0..4i64, post in prop::sample::select(vec![0.0f32, 0.5])) {
        let node = optimizer("Adam", &kinds, (rate, updates)).float("norm_coefficient", 0.25);
        let node = node.float("alpha", 0.75).float("beta", 0.5).float("epsilon", 0.125);
        assert_step(&node.float("norm_coefficient_post", post), &kinds, |given| {
            let g = 0.25 * given[0] + given[1];
            let v = 0.75 * given[2] + 0.25 * g;
            let h = 0.5 * given[3] + 0.5 * g * g;
            let unknown = |base: f32| 1.0 - base.powi(updates as i32);
            let r = if updates > 0 { rate * unknown(0.5).sqrt() / unknown(0.75) } else { rate };
            vec![(1.0 - post) * (given[0] - r * v / (h.sqrt() + 0.125)), v, h]
        })?;
    }

    #[test]
    fn momentum(kinds in kinds(3), rate in 0.1..1.0f32, updates in 0..3i64, nesterov: bool) {
        let node = optimizer("Momentum", &kinds, (rate, updates)).float("norm_coefficient", 0.25);
        let node = node.float("alpha", 0.75).float("beta", 0.5);
        let node = node.string("mode", if nesterov { "nesterov" } else { "standard" });
        assert_step(&node, &kinds, |given| {
            let g = 0.25 * given[0] + given[1];
            let v = 0.75 * given[2] + if updates > 0 { 0.5 } else { 1.0 } * g;
            vec![given[0] - rate * if nesterov { g + 0.75 * v } else { v }, v]
        })?;
    }
}

#[test]
fn wrong_optimizers_and_gradients_are_refused() {
    let adam = |count: usize| {
        let kinds = vec![[vec![1.0], vec![1.0]]; count];
        optimizer("Adam", &kinds, (0.1, 0))
    };
    assert!(
        adam(3).error().contains("has 8 inputs; expected 2 and 4 for each tensor"),
        "{}",
        adam(3).error()
    );
    let error = single("ai.onnx.preview.training:Gradient").input(floats(&[1], &[1.0])).error();
    assert!(
        error.contains("Gradient is not supported (node `node`); write the gradient as nodes"),
        "{error}"
    );
}

/// A BatchNormalization of [2, 2, 3] with running statistics.
fn batch_normalization(opset: i64) -> Single {
    let x: Vec<f32> = (0..12).map(|i| ((i * 7) % 12) as f32 / 2.0).collect();
    let node = single("BatchNormalization").opset(opset).input(floats(&[2, 2, 3], &x));
    let node = node.input(floats(&[2], &[1.0, 2.0])).input(floats(&[2], &[0.5, -0.5]));
    node.input(floats(&[2], &[1.0, 2.0])).input(floats(&[2], &[3.0, 4.0])).float("momentum", 0.75)
}

#[test]
fn a_batch_has_statistics_of_its_own() {
    let outputs = batch_normalization(15).int("training_mode", 1).outputs(3).run().unwrap();
    let found: Vec<Vec<f32>> = outputs.iter().map(as_floats).collect();
    let x: Vec<f32> = (0..12).map(|i| ((i * 7) % 12) as f32 / 2.0).collect();
    for channel in 0..2 {
        let places: Vec<usize> = (0..12).filter(|place| place / 3 % 2 == channel).collect();
        let mean = places.iter().map(|&place| x[place]).sum::<f32>() / 6.0;
        let variance = places.iter().map(|&place| (x[place] - mean).powi(2)).sum::<f32>() / 6.0;
        let (scale, bias) = ([1.0, 2.0][channel], [0.5, -0.5][channel]);
        let near = |found: f32, right: f32| assert!((found - right).abs() < 1e-5, "{found} is not {right}");
        for place in places {
            near(found[0][place], (x[place] - mean) / (variance + 1e-5).sqrt() * scale + bias);
        }
        near(found[1][channel], [1.0, 2.0][channel] * 0.75 + mean * 0.25);
        near(found[2][channel], [3.0, 4.0][channel] * 0.75 + variance * 0.25);
    }
    // Older forms say by their outputs, or by an attribute, that they train, and also give the batch's own.
    let old = batch_normalization(9).outputs(5).run().unwrap();
    assert_eq!(old[..3], outputs);
    let older = batch_normalization(6).outputs(5).run().unwrap();
    assert_eq!(older, old);
    let test = batch_normalization(6).int("is_test", 1).run().unwrap();
    assert_eq!(test, batch_normalization(15).run().unwrap());
    assert_ne!(test[..1], old[..1]);
}

#[test]
fn numbers_follow_from_the_seed() {
    let node = |operator: &str| single(operator).float("seed", 3.5);
    let shape = |node: Single| node.with("shape", Attribute::Ints(vec![2, 3]));
    let uniform = shape(node("RandomUniform")).float("low", -0.7).float("high", 2.3).floats();
    assert_eq!(uniform.0, [2, 3]);
    let numpy = [3_204_092_532, 3_203_032_577, 3_198_792_185, 1_058_952_811, 1_066_534_005];
    assert_eq!(bits(&uniform.1)[..5], numpy);
    let like =
        node("RandomUniformLike").float("low", -0.7).float("high", 2.3).input(floats(&[2, 3], &[0.0; 6]));
    assert_eq!(like.floats(), uniform);
    let normal = shape(node("RandomNormal")).floats().1;
    assert_eq!(bits(&normal)[..4], [0x3eaa_c061, 0xbef3_7128, 0xbf84_b51d, 0xbe79_3bea]);
    let moved = shape(node("RandomNormal")).float("mean", 2.0).float("scale", 0.5).floats().1;
    assert_eq!(moved, normal.iter().map(|z| 2.0 + 0.5 * z).collect::<Vec<_>>());
    let large = node("RandomUniform").with("shape", Attribute::Ints(vec![1 << 40, 1 << 40])).error();
    assert!(large.contains("`shape` is [1099511627776, 1099511627776]; supported: at most"), "{large}");
    for operator in ["RandomUniform", "RandomNormal"] {
        let error = shape(single(operator)).error();
        assert!(error.contains("attribute `seed` is missing; supported: a number: without it"), "{error}");
    }
}

/// The first numbers from 0 to 1 of the seed 3.5, with 24 bits.
const UNITS: [f32; 6] = [0.070_200_44, 0.080_730_14, 0.122_854_65, 0.439_502, 0.613_586_96, 0.614_587_7];

#[test]
fn draws_are_what_the_numbers_say() {
    let chances = [0.07, 0.0702, 0.0703, 1.0, 0.0, f32::NAN];
    let drawn = single("Bernoulli").float("seed", 3.5).input(floats(&[6], &chances)).floats().1;
    let expected: Vec<f32> = UNITS.iter().zip(chances).map(|(&u, p)| f32::from(u8::from(u < p))).collect();
    assert_eq!(drawn, expected);
    assert_eq!(drawn, [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);

    // Classes with 1, 2 and 5 parts of 8.
    let logarithms = [1f32, 2.0, 5.0].map(|part| part.ln() + 3.0);
    let node = single("Multinomial").float("seed", 3.5).int("sample_size", 6);
    let drawn = node.input(floats(&[1, 3], &logarithms)).run().unwrap().remove(0);
    assert_eq!((drawn.dtype(), drawn.dims()), (DType::I32, &[1, 6][..]));
    let expected: Vec<u8> = UNITS
        .iter()
        .flat_map(|&u| {
            let class: i32 = if u < 0.125 {
                0
            } else if u < 0.375 {
                1
            } else {
                2
            };
            class.to_le_bytes()
        })
        .collect();
    assert_eq!(drawn.bytes(), expected);
}

#[test]
fn dropout_keeps_what_its_numbers_say() {
    let yes = Tensor::new(DType::Bool, vec![], vec![1]).unwrap();
    let x = [1.0, -2.0, 3.0, -4.0, 5.0, -6.0];
    let node = single("Dropout").input(floats(&[6], &x)).constant(floats(&[], &[0.4])).constant(yes);
    assert!(node.error().contains("attribute `seed` is missing"), "{}", node.error());
    let outputs = node.int("seed", 0x4060_0000).outputs(2).run().unwrap();
    let factor = 1.0 / (1.0 - 0.4f32);
    let kept = UNITS.map(|u| u >= 0.4);
    assert_eq!(kept, [false, false, false, true, true, true]);
    let expected: Vec<f32> =
        x.iter().zip(kept).map(|(x, kept)| if kept { x * factor } else { 0.0 }).collect();
    assert_eq!(as_floats(&outputs[0]), expected);
    assert_eq!(outputs[1].bytes(), kept.map(u8::from));
}
