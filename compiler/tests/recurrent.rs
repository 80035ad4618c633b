//! RNN, GRU and LSTM against a plain reference, with all of their attributes.

use compiler::Options;
use dnn_lib::tensor::DType;
use graph::{Kind, reference};
use onnx::{Attribute, Dimension, Initializer, Model, ModelGraph, ModelNode, Tensor, Value};

/// A layer and what it is given.
#[derive(Clone, Debug)]
struct Layer {
    operator: &'static str,
    times: usize,
    direction: &'static str,
    batch_first: bool,
    /// Whether B, the lengths of the sequences, the first states and P are given.
    bias: bool,
    lengths: Option<Vec<i32>>,
    starts: bool,
    peepholes: bool,
    clip: Option<f32>,
    coupled: bool,
    late: bool,
    activations: Option<Vec<&'static str>>,
}

const BATCH: usize = 2;
const INPUT: usize = 3;
const HIDDEN: usize = 2;

impl Layer {
    fn new(operator: &'static str) -> Self {
        Self {
            operator,
            times: 4,
            direction: "forward",
            batch_first: false,
            bias: true,
            lengths: None,
            starts: false,
            peepholes: false,
            clip: None,
            coupled: false,
            late: false,
            activations: None,
        }
    }

    fn gates(&self) -> usize {
        match self.operator {
            "RNN" => 1,
            "GRU" => 3,
            _ => 4,
        }
    }

    fn directions(&self) -> usize {
        if self.direction == "bidirectional" { 2 } else { 1 }
    }

    fn backwards(&self, direction: usize) -> bool {
        self.direction == "reverse" || direction == 1
    }
}

/// Numbers that look random, from -1 to 1.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(DType::F32, shape.iter().map(|&size| size as u64).collect(), bytes).unwrap()
}

/// The constant inputs of the layer, by name.
struct Weights {
    w: Vec<f32>,
    r: Vec<f32>,
    b: Vec<f32>,
    h: Vec<f32>,
    c: Vec<f32>,
    p: Vec<f32>,
}

fn weights(layer: &Layer) -> Weights {
    let (gates, directions) = (layer.gates(), layer.directions());
    let given = |given: bool, count: usize, seed| if given { numbers(count, seed) } else { vec![0.0; count] };
    Weights {
        w: numbers(directions * gates * HIDDEN * INPUT, 1),
        r: numbers(directions * gates * HIDDEN * HIDDEN, 2),
        b: given(layer.bias, directions * 2 * gates * HIDDEN, 3),
        h: given(layer.starts, directions * BATCH * HIDDEN, 4),
        c: given(layer.starts, directions * BATCH * HIDDEN, 5),
        p: given(layer.peepholes, directions * 3 * HIDDEN, 6),
    }
}

fn activation(name: &str, x: f64) -> f64 {
    match name {
        "Relu" => x.max(0.0),
        "Sigmoid" => 1.0 / (1.0 + (-x).exp()),
        "HardSigmoid" => (0.25 * x + 0.5).clamp(0.0, 1.0),
        "ScaledTanh" => 1.5 * (0.5 * x).tanh(),
        "Softplus" => x.exp().ln_1p(),
        "Elu" => {
            if x < 0.0 {
                0.5 * x.exp_m1()
            } else {
                x
            }
        }
        "Softsign" => x / (1.0 + x.abs()),
        _ => x.tanh(),
    }
}

/// Y, Y_h and Y_c of the layer, step by step, with batch and direction as ONNX has them in layout 0.
fn expected(layer: &Layer, x: &[f32]) -> Vec<Vec<f64>> {
    let (gates, times) = (layer.gates(), layer.times);
    let Weights { w, r, b, h, c, p } = weights(layer);
    let defaults: Vec<&str> = match layer.operator {
        "RNN" => vec!["Tanh"],
        "GRU" => vec!["Sigmoid", "Tanh"],
        _ => vec!["Sigmoid", "Tanh", "Tanh"],
    };
    let names = layer.activations.clone().unwrap_or_else(|| defaults.repeat(layer.directions()));
    let per = defaults.len();
    let directions = layer.directions();
    let mut y = vec![0.0; times * directions * BATCH * HIDDEN];
    let (mut last_h, mut last_c) = (Vec::new(), Vec::new());
    for d in 0..directions {
        let act = |index: usize, x: f64| {
            let x = layer.clip.map_or(x, |clip| x.clamp(-f64::from(clip), f64::from(clip)));
            activation(names[d * per + index], x)
        };
        for batch in 0..BATCH {
            let state = |from: &[f32], at: usize| {
                let place = if layer.batch_first { batch * directions + d } else { d * BATCH + batch };
                f64::from(from[place * HIDDEN + at])
            };
            let mut hidden: Vec<f64> = (0..HIDDEN).map(|at| state(&h, at)).collect();
            let mut cell: Vec<f64> = (0..HIDDEN).map(|at| state(&c, at)).collect();
            let length = layer.lengths.as_ref().map_or(times, |lengths| lengths[batch] as usize);
            let order: Vec<usize> =
                if layer.backwards(d) { (0..length).rev().collect() } else { (0..length).collect() };
            for t in order {
                let element = |at: usize| {
                    let place = if layer.batch_first { batch * times + t } else { t * BATCH + batch };
                    f64::from(x[place * INPUT + at])
                };
                let of_x = |gate: usize, at: usize| -> f64 {
                    let row = (d * gates + gate) * HIDDEN + at;
                    (0..INPUT).map(|i| f64::from(w[row * INPUT + i]) * element(i)).sum()
                };
                let of_h = |gate: usize, at: usize, hidden: &[f64]| -> f64 {
                    let row = (d * gates + gate) * HIDDEN + at;
                    (0..HIDDEN).map(|i| f64::from(r[row * HIDDEN + i]) * hidden[i]).sum()
                };
                let bias = |half: usize, gate: usize, at: usize| {
                    f64::from(b[((d * 2 + half) * gates + gate) * HIDDEN + at])
                };
                let both = |gate, at| bias(0, gate, at) + bias(1, gate, at);
                let peep = |gate: usize, at: usize| f64::from(p[(d * 3 + gate) * HIDDEN + at]);
                let sum = |gate, at, hidden: &[f64]| of_x(gate, at) + of_h(gate, at, hidden) + both(gate, at);
                let before = hidden.clone();
                match layer.operator {
                    "RNN" => (0..HIDDEN).for_each(|at| hidden[at] = act(0, sum(0, at, &before))),
                    "GRU" => {
                        let reset: Vec<f64> = (0..HIDDEN).map(|at| act(0, sum(1, at, &before))).collect();
                        let gated: Vec<f64> = (0..HIDDEN).map(|at| reset[at] * before[at]).collect();
                        for at in 0..HIDDEN {
                            let update = act(0, sum(0, at, &before));
                            let inner = if layer.late {
                                of_x(2, at)
                                    + bias(0, 2, at)
                                    + reset[at] * (of_h(2, at, &before) + bias(1, 2, at))
                            } else {
                                sum(2, at, &gated)
                            };
                            hidden[at] = (1.0 - update) * act(1, inner) + update * before[at];
                        }
                    }
                    _ => {
                        for at in 0..HIDDEN {
                            let enter = act(0, sum(0, at, &before) + peep(0, at) * cell[at]);
                            let forget = if layer.coupled {
                                1.0 - enter
                            } else {
                                act(0, sum(2, at, &before) + peep(2, at) * cell[at])
                            };
                            let next = forget * cell[at] + enter * act(1, sum(3, at, &before));
                            let leave = act(0, sum(1, at, &before) + peep(1, at) * next);
                            // The cell isn't clipped.
                            (cell[at], hidden[at]) = (next, leave * activation(names[d * per + 2], next));
                        }
                    }
                }
                for (at, &value) in hidden.iter().enumerate() {
                    let place = match layer.batch_first {
                        true => (batch * times + t) * directions + d,
                        false => (t * directions + d) * BATCH + batch,
                    };
                    y[place * HIDDEN + at] = value;
                }
            }
            last_h.push((d, batch, hidden));
            last_c.push((d, batch, cell));
        }
    }
    let ordered = |mut last: Vec<(usize, usize, Vec<f64>)>| -> Vec<f64> {
        if layer.batch_first {
            last.sort_by_key(|&(d, batch, _)| (batch, d));
        }
        last.into_iter().flat_map(|(.., values)| values).collect()
    };
    let mut results = vec![y, ordered(last_h)];
    if layer.operator == "LSTM" {
        results.push(ordered(last_c));
    }
    results
}

fn model(layer: &Layer, outputs: &[&str]) -> Model {
    let (gates, directions) = (layer.gates(), layer.directions());
    let Weights { w, r, b, h, c, p } = weights(layer);
    let states = if layer.batch_first { [BATCH, directions, HIDDEN] } else { [directions, BATCH, HIDDEN] };
    let mut constants = vec![
        ("w", tensor(&[directions, gates * HIDDEN, INPUT], &w)),
        ("r", tensor(&[directions, gates * HIDDEN, HIDDEN], &r)),
        ("b", tensor(&[directions, 2 * gates * HIDDEN], &b)),
        ("h", tensor(&states, &h)),
        ("c", tensor(&states, &c)),
        ("p", tensor(&[directions, 3 * HIDDEN], &p)),
    ];
    if let Some(lengths) = &layer.lengths {
        let bytes = lengths.iter().flat_map(|length| length.to_le_bytes()).collect();
        constants.push(("lengths", Tensor::new(DType::I32, vec![BATCH as u64], bytes).unwrap()));
    }
    let given = |given: bool, name: &str| if given { name.to_owned() } else { String::new() };
    let mut inputs = vec![
        "x".to_owned(),
        "w".to_owned(),
        "r".to_owned(),
        given(layer.bias, "b"),
        given(layer.lengths.is_some(), "lengths"),
        given(layer.starts, "h"),
    ];
    let mut attributes = vec![
        ("direction", Attribute::String(layer.direction.to_owned())),
        ("hidden_size", Attribute::Int(HIDDEN as i64)),
        ("layout", Attribute::Int(layer.batch_first.into())),
    ];
    match layer.operator {
        "LSTM" => {
            inputs.extend([given(layer.starts, "c"), given(layer.peepholes, "p")]);
            attributes.push(("input_forget", Attribute::Int(layer.coupled.into())));
        }
        "GRU" => attributes.push(("linear_before_reset", Attribute::Int(layer.late.into()))),
        _ => {}
    }
    attributes.extend(layer.clip.map(|clip| ("clip", Attribute::Float(clip))));
    if let Some(names) = &layer.activations {
        attributes
            .push(("activations", Attribute::Strings(names.iter().map(|&name| name.to_owned()).collect())));
        // They are for HardSigmoid and ScaledTanh, in the order of the activations.
        let alpha = |name: &&str| match *name {
            "HardSigmoid" => Some((0.25, 0.5)),
            "ScaledTanh" => Some((1.5, 0.5)),
            // It takes no beta, and nothing after it does.
            "Elu" => Some((0.5, 0.0)),
            _ => None,
        };
        let (alphas, betas): (Vec<f32>, Vec<f32>) = names.iter().filter_map(alpha).unzip();
        attributes.extend([
            ("activation_alpha", Attribute::Floats(alphas)),
            ("activation_beta", Attribute::Floats(betas)),
        ]);
    }
    let all = if layer.operator == "LSTM" { &["y", "y_h", "y_c"][..] } else { &["y", "y_h"] };
    let node = ModelNode {
        name: "layer".to_owned(),
        operator: layer.operator.to_owned(),
        inputs,
        outputs: all.iter().map(|&name| name.to_owned()).collect(),
        attributes: attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..ModelNode::default()
    };
    let shape = if layer.batch_first { [BATCH, layer.times, INPUT] } else { [layer.times, BATCH, INPUT] };
    let shape = shape.map(|size| Dimension::Fixed(size as u64)).to_vec();
    let value = |name: &str| Value { name: name.to_owned(), ..Value::default() };
    let graph = ModelGraph {
        nodes: vec![node],
        initializers: constants
            .into_iter()
            .map(|(name, tensor)| Initializer { name: name.to_owned(), tensor })
            .collect(),
        inputs: vec![Value { dtype: Some(DType::F32), shape: Some(shape), ..value("x") }],
        outputs: outputs.iter().map(|&name| value(name)).collect(),
        ..ModelGraph::default()
    };
    Model { opset: 14, graph, ..Model::default() }
}

/// Compares all outputs with the reference's.
fn check(layer: &Layer) {
    let outputs = if layer.operator == "LSTM" { &["y", "y_h", "y_c"][..] } else { &["y", "y_h"] };
    let graph = compiler::import_model(model(layer, outputs), &Options::default());
    let graph = graph.unwrap_or_else(|error| panic!("{layer:?}: {error}")).graph;
    graph.verify().unwrap();
    let x = numbers(layer.times * BATCH * INPUT, 7);
    let bytes: Vec<u8> = x.iter().flat_map(|value| value.to_le_bytes()).collect();
    let found = reference::execute(&graph, &[&bytes]).unwrap();
    for ((found, expected), name) in found.iter().zip(expected(layer, &x)).zip(outputs) {
        let found: Vec<f32> = found.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
        assert_eq!(found.len(), expected.len());
        for (at, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
            assert!(
                (f64::from(found) - expected).abs() < 1e-5,
                "{layer:?}: {name}[{at}] is {found}, not {expected}"
            );
        }
    }
    compiler::compile_graph(graph, &Options::default()).unwrap();
}

#[test]
fn every_direction_and_layout_gives_what_the_formulas_say() {
    for operator in ["RNN", "GRU", "LSTM"] {
        for direction in ["forward", "reverse", "bidirectional"] {
            for batch_first in [false, true] {
                for times in [1, 4, 18] {
                    check(&Layer { direction, batch_first, times, ..Layer::new(operator) });
                }
            }
        }
    }
}

#[test]
fn a_sequence_may_end_before_the_others() {
    for operator in ["RNN", "GRU", "LSTM"] {
        for direction in ["forward", "bidirectional"] {
            for (times, lengths) in
                [(4, vec![4, 2]), (17, vec![1, 16]), (40, vec![37, 3]), (4, vec![4, 4]), (4, vec![0, 3])]
            {
                let lengths = Some(lengths);
                check(&Layer { direction, times, lengths, starts: true, ..Layer::new(operator) });
            }
        }
    }
}

#[test]
fn the_attributes_of_each_kind_do_what_they_should() {
    let lstm = || Layer { starts: true, peepholes: true, ..Layer::new("LSTM") };
    check(&lstm());
    check(&Layer { coupled: true, ..lstm() });
    check(&Layer { clip: Some(0.3), ..lstm() });
    check(&Layer { direction: "bidirectional", batch_first: true, ..lstm() });
    let mixed = vec!["HardSigmoid", "Relu", "ScaledTanh", "sigmoid", "Softsign", "TANH"];
    // The reference has the names as ONNX writes them.
    let named = vec!["HardSigmoid", "Relu", "ScaledTanh", "Sigmoid", "Softsign", "Tanh"];
    check(&Layer { direction: "bidirectional", activations: Some(named), ..lstm() });
    check(&Layer { activations: Some(vec!["Elu", "Softplus"]), ..Layer::new("GRU") });
    let mixed = Layer { direction: "bidirectional", activations: Some(mixed), ..lstm() };
    compiler::import_model(model(&mixed, &["y"]), &Options::default()).unwrap();
    for starts in [false, true] {
        check(&Layer { late: true, starts, ..Layer::new("GRU") });
        check(&Layer { late: true, bias: false, starts, ..Layer::new("GRU") });
        check(&Layer { clip: Some(0.2), starts, ..Layer::new("GRU") });
        check(&Layer { bias: false, starts, ..Layer::new("RNN") });
    }
}

#[test]
fn a_long_sequence_is_a_period_and_rows_that_nobody_reads_are_not_kept() {
    let layer = Layer { times: 50, direction: "bidirectional", ..Layer::new("LSTM") };
    let carried = |outputs: &[&str]| {
        let graph = compiler::import_model(model(&layer, outputs), &Options::default()).unwrap().graph;
        let repeats = graph.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Repeat(repeat) => Some((repeat.times, node.inputs.len())),
            _ => None,
        });
        repeats.collect::<Vec<_>>()
    };
    // Three steps are one repetition, and two are left.
    assert_eq!(carried(&["y", "y_h"]), [(16, 6)]);
    assert_eq!(carried(&["y_h"]), [(50, 4)]);
}

#[test]
fn wrong_layers_are_refused() {
    let change = |change: &dyn Fn(&mut ModelNode)| {
        let mut model = model(&Layer::new("LSTM"), &["y"]);
        change(&mut model.graph.nodes[0]);
        compiler::import_model(model, &Options::default()).unwrap_err().to_string()
    };
    let set = |name: &'static str, value: Attribute| {
        change(&|node| _ = node.attributes.insert(name.to_owned(), value.clone()))
    };
    for (error, says) in [
        (
            set("direction", Attribute::String("up".to_owned())),
            "direction` is up; supported: forward, reverse",
        ),
        (set("hidden_size", Attribute::Int(3)), "hidden_size` is 3; supported: 2, as the weights have it"),
        (set("activations", Attribute::Strings(vec!["Tanh".to_owned()])), "supported: 3 names"),
        (
            set("activations", Attribute::Strings(vec!["Log".to_owned(); 3])),
            "`activations` is Log; supported: Affine",
        ),
        (
            change(&|node| node.inputs[1] = "r".to_owned()),
            "input 1` is f32[1,8,2]; supported: of shape [1, 8, 3]",
        ),
        (
            change(&|node| node.inputs[3] = "w".to_owned()),
            "input 3` is f32[1,8,3]; supported: of shape [1, 16]",
        ),
        (change(&|node| node.inputs[0] = "b".to_owned()), "input 0` is f32[1,16]; supported: of rank 3"),
        (
            change(&|node| node.inputs[5] = "w".to_owned()),
            "input 5` is f32[1,8,3]; supported: of shape [1, 2, 2]",
        ),
        (change(&|node| node.inputs[2] = String::new()), "input 2 is left out, but required"),
    ] {
        assert!(error.contains(says), "`{error}` should say `{says}`");
    }
}
