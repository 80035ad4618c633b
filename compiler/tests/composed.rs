//! Operators that the importer makes of others, against plain references.

use onnx::{Attribute, Initializer, ModelGraph, ModelNode, Value};
use proptest::prelude::*;

use crate::single::{Single, as_floats, floats, integers, single};

/// Numbers from -2 to 2 for a shape.
fn values(shape: &[u64]) -> impl Strategy<Value = Vec<f32>> + use<> {
    prop::collection::vec(-2.0..2.0f32, shape.iter().product::<u64>() as usize)
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let near = (f64::from(found) - expected).abs() <= 1e-4 * expected.abs().max(1.0);
        assert!(near, "{what}, element {place}: {found} is not {expected}");
    }
}

/// By the permutations of the columns.
fn determinant(matrix: &[f32], size: usize, row: usize, free: &mut Vec<usize>) -> f64 {
    if row == size {
        return 1.0;
    }
    (0..free.len())
        .map(|place| {
            let column = free.remove(place);
            let part = f64::from(matrix[row * size + column]) * determinant(matrix, size, row + 1, free);
            free.insert(place, column);
            if place % 2 == 0 { part } else { -part }
        })
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn determinants((size, x) in (1..5u64).prop_flat_map(|size| (Just(size), values(&[3, size, size])))) {
        // One matrix has no pivot in its first column, and one has it in the last row.
        let mut x = x;
        let (n, all) = (size as usize, (size * size) as usize);
        (0..n).for_each(|row| x[row * n] = 0.0);
        (0..n - 1).for_each(|row| x[all + row * n] = 0.0);
        let (shape, found) = single("Det").input(floats(&[3, size, size], &x)).floats();
        prop_assert_eq!(shape, [3]);
        let expected: Vec<f64> =
            x.chunks(all).map(|matrix| determinant(matrix, n, 0, &mut (0..n).collect())).collect();
        assert_near(&found, &expected, "determinant");
    }

    #[test]
    fn n_grams_are_weighted(
        x in prop::collection::vec(0..4i64, 14),
        mode in prop::sample::select(vec!["TF", "IDF", "TFIDF"]),
        skips in 0..3i64,
        least in 1..3i64,
    ) {
        // Single elements, then pairs. Two of them are counted together, and nothing is counted as 2.
        let (ones, pairs) = ([1i64, 3], [[0i64, 1], [1, 1], [2, 3]]);
        let (indexes, weights) = ([0, 3, 4, 1, 4], [1.0f32, 2.0, 8.0, 0.5, -1.0]);
        let pool = [&ones[..], pairs.as_flattened()].concat();
        let ints = |values: &[i64]| Attribute::Ints(values.to_vec());
        let node = single("TfIdfVectorizer").string("mode", mode).with("pool_int64s", ints(&pool));
        let node = node.with("ngram_counts", ints(&[0, 2])).with("ngram_indexes", ints(&indexes));
        let node = node.with("weights", Attribute::Floats(weights.to_vec())).int("max_skip_count", skips);
        let node = node.int("min_gram_length", least).int("max_gram_length", 2);
        let (shape, found) = node.input(integers(&[2, 7], &x)).floats();
        prop_assert_eq!(shape, [2, 5]);
        let expected = x.chunks(7).flat_map(|row| {
            let mut counts = [0.0f32; 5];
            for (gram, one) in ones.iter().enumerate().filter(|_| least == 1) {
                counts[indexes[gram] as usize] += row.iter().filter(|x| *x == one).count() as f32;
            }
            for (gram, pair) in pairs.iter().enumerate() {
                for distance in 1..=skips as usize + 1 {
                    let found = (distance..7).filter(|&end| [row[end - distance], row[end]] == *pair);
                    counts[indexes[2 + gram] as usize] += found.count() as f32;
                }
            }
            let weighted = |(count, weight): (f32, f32)| match mode {
                "TF" => count,
                "IDF" => if count > 0.0 { weight } else { 0.0 },
                _ => count * weight,
            };
            counts.into_iter().zip(weights).map(weighted).collect::<Vec<_>>()
        });
        prop_assert_eq!(found, expected.collect::<Vec<_>>());
    }

    #[test]
    fn linear_attention_is_its_recurrence(layer in layer()) {
        let (results, state) = layer.expected();
        let outputs = layer.node().outputs(2).run().unwrap();
        assert_near(&as_floats(&outputs[0]), &results, "results");
        assert_near(&as_floats(&outputs[1]), &state, "state");
    }

    #[test]
    fn a_causal_convolution_goes_on(
        x in values(&[2, 3, 4]),
        weights in values(&[3, 1, 3]),
        bias in values(&[3]),
        past in values(&[2, 3, 2]),
        given: [bool; 2],
        swish: bool,
    ) {
        let node = single("CausalConvWithState").outputs(2);
        let node = node.input(floats(&[2, 3, 4], &x)).input(floats(&[3, 1, 3], &weights));
        let node = if given[0] { node.input(floats(&[3], &bias)) } else { node.omitted() };
        let node = if given[1] { node.input(floats(&[2, 3, 2], &past)) } else { node };
        let node = if swish { node.string("activation", "silu") } else { node };
        let outputs = node.run().unwrap();
        let (mut y, mut state) = (Vec::new(), Vec::<f32>::new());
        for (row, x) in x.chunks(4).enumerate() {
            let before = if given[1] { &past[2 * row..2 * row + 2] } else { &[0.0, 0.0] };
            let all = [before, x].concat();
            for at in 0..4 {
                let taps = (0..3).map(|tap| f64::from(all[at + tap]) * f64::from(weights[row % 3 * 3 + tap]));
                let sum = taps.sum::<f64>() + if given[0] { f64::from(bias[row % 3]) } else { 0.0 };
                y.push(if swish { sum / (1.0 + (-sum).exp()) } else { sum });
            }
            state.extend(&all[4..]);
        }
        assert_near(&as_floats(&outputs[0]), &y, "result");
        prop_assert_eq!(as_floats(&outputs[1]), state);
    }
}

/// A LinearAttention with two heads of keys of size 2 and values of size 3, and four heads of queries.
#[derive(Clone, Debug)]
struct Layer {
    rule: &'static str,
    times: usize,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    past: Option<Vec<f32>>,
    /// One for each head, or for each element of a key.
    decay: Vec<f32>,
    /// One for each head, or for all.
    beta: Vec<f32>,
    scale: f32,
}

fn layer() -> impl Strategy<Value = Layer> {
    let rule = prop::sample::select(vec!["linear", "gated", "delta", "gated_delta"]);
    let sizes = (prop::sample::select(vec![1u64, 3, 19]), prop::sample::select(vec![2u64, 4]), 1..3u64);
    (rule, sizes).prop_flat_map(|(rule, (times, decays, rates))| {
        let of = move |size: u64| values(&[2, times, size]);
        let past = prop::option::of(values(&[2, 2, 2, 3]));
        let all = (of(8), of(4), of(6), past, of(decays), of(rates), prop::sample::select(vec![0.0f32, 0.5]));
        all.prop_map(move |(q, k, v, past, decay, beta, scale)| {
            // The state doesn't grow without end.
            let small = |x: Vec<f32>, by: f32| x.into_iter().map(|x| x * by).collect::<Vec<f32>>();
            let decay = decay.into_iter().map(|x| -x.abs()).collect();
            Layer {
                rule,
                times: times as usize,
                q,
                k: small(k, 0.25),
                v,
                past,
                decay,
                beta: small(beta, 0.25),
                scale,
            }
        })
    })
}

impl Layer {
    fn node(&self) -> Single {
        let tensor = |values: &Vec<f32>| {
            let size = (values.len() / 2 / self.times) as u64;
            floats(&[2, self.times as u64, size], values)
        };
        let node = single("LinearAttention").string("update_rule", self.rule).float("scale", self.scale);
        let node = node.int("q_num_heads", 4).int("kv_num_heads", 2);
        let node = node.input(tensor(&self.q)).input(tensor(&self.k)).input(tensor(&self.v));
        let node = match &self.past {
            Some(past) => node.input(floats(&[2, 2, 2, 3], past)),
            None => node.omitted(),
        };
        let node =
            if self.rule.starts_with("gated") { node.input(tensor(&self.decay)) } else { node.omitted() };
        if self.rule.ends_with("delta") { node.input(tensor(&self.beta)) } else { node }
    }

    fn expected(&self) -> (Vec<f64>, Vec<f64>) {
        let mut results = vec![0.0; 2 * self.times * 12];
        let past = self.past.clone().unwrap_or_else(|| vec![0.0; 24]);
        let mut states: Vec<f64> = past.into_iter().map(f64::from).collect();
        let scale = if self.scale == 0.0 { 0.5f64.sqrt() } else { self.scale.into() };
        for batch in 0..2 {
            for time in 0..self.times {
                let row = batch * self.times + time;
                let of = |values: &[f32], size: usize, at: usize| f64::from(values[row * size + at]);
                for head in 0..2 {
                    let state = &mut states[(batch * 2 + head) * 6..][..6];
                    let each = self.decay.len() / 2 / self.times / 2;
                    for (at, s) in state.iter_mut().enumerate().filter(|_| self.rule.starts_with("gated")) {
                        *s *= of(&self.decay, 2 * each, head * each + at / 3 * (each - 1)).exp();
                    }
                    let k = |at: usize| of(&self.k, 4, head * 2 + at);
                    let mut v: Vec<f64> = (0..3).map(|at| of(&self.v, 6, head * 3 + at)).collect();
                    if self.rule.ends_with("delta") {
                        let rates = self.beta.len() / 2 / self.times;
                        let rate = of(&self.beta, rates, head * (rates - 1));
                        for (at, v) in v.iter_mut().enumerate() {
                            *v = rate * (*v - (0..2).map(|i| state[i * 3 + at] * k(i)).sum::<f64>());
                        }
                    }
                    (0..6).for_each(|at| state[at] += k(at / 3) * v[at % 3]);
                    for query in 2 * head..2 * head + 2 {
                        for at in 0..3 {
                            let sum = (0..2).map(|i| of(&self.q, 8, query * 2 + i) * state[i * 3 + at]);
                            results[row * 12 + query * 3 + at] = scale * sum.sum::<f64>();
                        }
                    }
                }
            }
        }
        (results, states)
    }
}

#[test]
fn wrong_layers_are_refused() {
    let (q, k) = (floats(&[1, 2, 8], &[0.0; 16]), floats(&[1, 2, 4], &[0.0; 8]));
    let node = |rule: &str| {
        let node = single("LinearAttention").string("update_rule", rule).int("kv_num_heads", 2);
        node.input(q.clone()).input(k.clone()).input(k.clone())
    };
    let heads = |rule: &str, heads: i64| node(rule).int("q_num_heads", heads);
    for (error, says) in [
        (node("linear").error(), "attribute `q_num_heads` is missing"),
        (heads("linear", 3).error(), "`q_num_heads` is 3; supported: a multiple of kv_num_heads, 2"),
        (heads("linear", 2).error(), "input 1 (`x1`) has shape [1, 2, 4]; expected [1, 2, 8]"),
        (heads("square", 4).error(), "is square; supported: linear, gated, delta, gated_delta"),
        (heads("gated", 4).error(), "input 4 is left out, but required"),
    ] {
        assert!(error.contains(says), "`{error}` should say `{says}`");
    }
}

#[test]
fn windows_are_sums_of_cosines() {
    for (operator, factors) in [
        ("HannWindow", [0.5, -0.5, 0.0]),
        ("HammingWindow", [25.0 / 46.0, -21.0 / 46.0, 0.0]),
        ("BlackmanWindow", [0.42, -0.5, 0.08]),
    ] {
        for size in [2, 7, 16] {
            for periodic in [0, 1] {
                let (_, found) =
                    single(operator).int("periodic", periodic).constant(integers(&[], &[size])).floats();
                let turn = std::f64::consts::TAU / (size - 1 + periodic) as f64;
                let element =
                    |i: i64| (0..3).map(|n| factors[n] * (n as f64 * turn * i as f64).cos()).sum::<f64>();
                assert_near(&found, &(0..size).map(element).collect::<Vec<_>>(), operator);
            }
        }
        assert_eq!(single(operator).int("periodic", 0).constant(integers(&[], &[1])).floats().1, [1.0]);
    }
    let error = single("HannWindow").input(integers(&[], &[4])).error();
    assert!(error.contains("input 0 (`x0`) must be a constant: it decides the shape"), "{error}");
}

#[test]
fn mel_weights_are_triangles() {
    let node = |rate: i64| {
        let node = single("MelWeightMatrix").constant(integers(&[], &[4])).constant(integers(&[], &[32]));
        let node = node.constant(integers(&[], &[rate])).constant(floats(&[], &[0.0]));
        node.constant(floats(&[], &[8192.0 / 2.0]))
    };
    let (shape, found) = node(8192).floats();
    assert_eq!(shape, [17, 4]);
    // The edges of the bands are at 0, 1, 2, 4, 7 and 11.
    let mut expected = [0.0f32; 68];
    for (band, [left, centre, right]) in [[0, 1, 2], [1, 2, 4], [2, 4, 7], [4, 7, 11]].into_iter().enumerate()
    {
        for row in left..right {
            let (over, all) =
                if row <= centre { (row - left, centre - left) } else { (right - row, right - centre) };
            expected[row * 4 + band] = over as f32 / all as f32;
        }
    }
    assert_eq!(found, expected);
    assert!(node(100).error().contains("supported: frequencies below place 17"), "{}", node(100).error());
}

#[test]
fn graphs_change_scores_and_weights() {
    let graph = |operator: &str, factor: f32| {
        let value = |name: &str| Value { name: name.to_owned(), ..Value::default() };
        let node = ModelNode {
            operator: operator.to_owned(),
            inputs: vec!["s".to_owned(), "factor".to_owned()],
            outputs: vec!["t".to_owned()],
            ..ModelNode::default()
        };
        let initializer = Initializer { name: "factor".to_owned(), tensor: floats(&[], &[factor]) };
        let (inputs, outputs) = (vec![value("s")], vec![value("t")]);
        let initializers = vec![initializer];
        let graph = ModelGraph { nodes: vec![node], initializers, inputs, outputs, ..ModelGraph::default() };
        Attribute::Graph(Box::new(graph))
    };
    let (q, k, v) = ([1.0f32, 2.0, -1.0, 0.5], [0.5f32, 1.0, 2.0, -1.0, 0.25, 0.75], [1.0f32, -2.0, 3.0]);
    let plain = single("ai.onnx.preview:FlexAttention").float("scale", 0.25);
    let plain = plain
        .input(floats(&[1, 2, 1, 2], &q))
        .input(floats(&[1, 1, 3, 2], &k))
        .input(floats(&[1, 1, 3, 1], &v));
    let node = plain.clone().with("score_mod", graph("Add", 0.5)).with("prob_mod", graph("Mul", 2.0));
    let expected = |factor: f64| -> Vec<f64> {
        q.chunks(2)
            .map(|q| {
                let score = |k: &[f32]| (f64::from(q[0] * k[0] + q[1] * k[1]) * 0.25).exp();
                let weights: Vec<f64> = k.chunks(2).map(score).collect();
                let sum: f64 = weights.iter().sum();
                factor * weights.iter().zip(v).map(|(weight, v)| weight / sum * f64::from(v)).sum::<f64>()
            })
            .collect()
    };
    assert_near(&plain.floats().1, &expected(1.0), "plain");
    // What is added to all scores changes nothing.
    assert_near(&node.floats().1, &expected(2.0), "changed");
    let error = plain.with("score_mod", graph("Equal", 0.0)).error();
    assert!(error.contains("`score_mod` is a graph that gives bool"), "{error}");
}

#[test]
fn integers_are_no_floats() {
    let x = integers(&[1, 1], &[1]);
    let two = |operator: &str| single(operator).input(x.clone()).input(x.clone());
    let optimizer =
        two("ai.onnx.preview.training:Momentum").input(x.clone()).input(x.clone()).input(x.clone());
    for node in [
        single("Det").input(x.clone()),
        two("NegativeLogLikelihoodLoss"),
        two("BatchNormalization").input(x.clone()).input(x.clone()).input(x.clone()).int("training_mode", 1),
        single("Bernoulli").float("seed", 1.0).input(x.clone()),
        single("Multinomial").float("seed", 1.0).input(x.clone()),
    ] {
        let error = node.error();
        assert!(error.contains("input 0 (`x0`) is int64; expected float"), "{error}");
    }
    let error = optimizer.error();
    assert!(error.contains("input 2 (`x2`) is int64; expected float"), "{error}");
}

/// A node of opset 6 on a tensor [2, 3, 4] and another.
fn old(operator: &str, shape: &[u64]) -> Single {
    let numbers = |count: u64| (1..=count).map(|x| x as f32).collect::<Vec<_>>();
    let count = shape.iter().product();
    single(operator).opset(6).input(floats(&[2, 3, 4], &numbers(24))).input(floats(shape, &numbers(count)))
}

#[test]
fn tensors_were_broadcast_on_demand() {
    let wide = old("Sub", &[3]).int("broadcast", 1);
    for axis in [1, -2] {
        let (shape, found) = wide.clone().int("axis", axis).floats();
        let expected: Vec<f32> = (0..24).map(|i| (i + 1) as f32 - (i / 4 % 3 + 1) as f32).collect();
        assert_eq!((shape, found), (vec![2, 3, 4], expected), "axis {axis}");
    }
    let (_, last) = old("Sub", &[4]).int("broadcast", 1).floats();
    assert_eq!(last, (0..24).map(|i| (i / 4 * 4) as f32).collect::<Vec<_>>());
    let (_, same) = old("Sub", &[2, 3, 4]).floats();
    assert_eq!(same, [0.0; 24]);
    let (_, slopes) = old("PRelu", &[3]).floats();
    assert_eq!(slopes, (1..=24).map(|x| x as f32).collect::<Vec<_>>());
    for (error, says) in [
        (wide.error(), "input 1 (`x1`) has shape [3]; expected dimensions of [2, 3, 4]"),
        (wide.clone().int("axis", 3).error(), "`axis` is 3; supported: where 1 of 3 dimensions can begin"),
        (old("Pow", &[4]).error(), "expected [2, 3, 4], unless attribute `broadcast` is 1"),
        (
            old("Mul", &[4]).opset(7).int("broadcast", 1).error(),
            "`broadcast` is unknown; supported: none since opset 7",
        ),
    ] {
        assert!(error.contains(says), "`{error}` should say `{says}`");
    }
    // An attribute about memory, which means nothing.
    let consumed = Attribute::Ints(vec![0, 0]);
    let relu = |opset| {
        single("Relu").opset(opset).with("consumed_inputs", consumed.clone()).input(floats(&[1], &[-1.0]))
    };
    assert_eq!(relu(5).floats().1, [0.0]);
    assert!(relu(6).error().contains("`consumed_inputs` is unknown"), "{}", relu(6).error());
}

#[test]
fn a_product_with_a_row_was_broadcast_on_demand() {
    let node = |shape: &[u64]| {
        let node = single("Gemm").opset(6).input(floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]));
        let c: Vec<f32> = vec![10.0; shape.iter().product::<u64>() as usize];
        node.input(floats(&[2, 2], &[1.0, 0.0, 0.0, 1.0])).input(floats(shape, &c))
    };
    assert_eq!(node(&[2, 2]).floats().1, [11.0, 12.0, 13.0, 14.0]);
    assert_eq!(node(&[2]).int("broadcast", 1).floats().1, [11.0, 12.0, 13.0, 14.0]);
    assert!(
        node(&[2]).error().contains("input 2 (`x2`) has shape [2]; expected [2, 2], unless"),
        "{}",
        node(&[2]).error()
    );
}
