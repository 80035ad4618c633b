//! Movements of bytes instead of floats.

use dnn_lib::operator::{
    Concat, DequantizeLinear, Expand, Operator, QuantizeLinear, Relu, Reshape, Slice, Split, Transpose,
};
use dnn_lib::tensor::{DType, TensorType};
use graph::passes::{dead, narrow};
use graph::{Builder, Graph, Kind, TensorId};
use proptest::prelude::*;

use crate::random::{check, execute};

/// A graph of quantized tensors.
struct Quantized(Builder);

impl Quantized {
    fn new() -> Self {
        Self(Builder::new("quantized", 1 << 20))
    }

    fn input(&mut self, dtype: DType, shape: &[u64]) -> TensorId {
        self.0.input("x", TensorType::new(dtype, shape.to_vec()))
    }

    /// A scale and a zero point.
    fn numbers(&mut self, dtype: DType, scale: f32, zero: u8) -> [TensorId; 2] {
        let scale = scale.to_le_bytes().to_vec().into();
        [(DType::F32, scale), (dtype, vec![zero].into())]
            .map(|(dtype, value)| self.0.tensor("number", TensorType::new(dtype, []), Some(value)))
    }

    fn apply(&mut self, operator: impl Into<Operator>, inputs: &[TensorId]) -> Vec<TensorId> {
        self.0.apply("node", operator, inputs, &[]).expect("a node")
    }

    fn floats(&mut self, x: TensorId, [scale, zero]: [TensorId; 2]) -> TensorId {
        self.apply(DequantizeLinear { to: DType::F32, blocks: None }, &[x, scale, zero])[0]
    }

    fn bytes(&mut self, to: DType, x: TensorId, [scale, zero]: [TensorId; 2]) -> TensorId {
        self.apply(QuantizeLinear { to, blocks: None }, &[x, scale, zero])[0]
    }

    /// The operators that are left, each with the type of what it reads.
    fn narrowed(self, output: TensorId) -> (Graph, Vec<(&'static str, DType)>) {
        let Self(mut builder) = self;
        builder.output(output);
        let graph = builder.finish();
        let inputs: Vec<Vec<u8>> = graph.inputs.iter().map(|&id| every_byte(&graph, id)).collect();
        check(&graph, &inputs, &execute(&graph, &inputs)).expect("the same");
        let mut narrowed = graph.clone();
        narrow::narrow(&mut narrowed);
        dead::remove(&mut narrowed);
        let operators = narrowed.nodes.iter().map(|node| match &node.kind {
            Kind::Operator(operator) => (operator.name(), narrowed.tensor(node.inputs[0]).ty.dtype),
            _ => panic!("a region"),
        });
        (graph, operators.collect())
    }
}

fn every_byte(graph: &Graph, id: TensorId) -> Vec<u8> {
    (0..graph.tensor(id).ty.bytes().expect("a size")).map(|at| at as u8).collect()
}

fn parts() -> Split {
    Split { axis: 1, sizes: vec![1, 2] }
}

#[test]
fn bytes_are_moved_instead_of_floats() {
    let mut q = Quantized::new();
    let x = q.input(DType::U8, &[2, 3, 64]);
    let (own, other) = (q.numbers(DType::U8, 0.037, 131), q.numbers(DType::I8, 0.05, 3));
    let x = q.floats(x, own);
    let x = q.apply(Transpose { perm: Some(vec![0, 2, 1]) }, &[x])[0];
    let x = q.apply(Reshape { shape: vec![2, 3, 64], allow_zero: false }, &[x])[0];
    let x = q.apply(parts(), &[x])[1];
    // What repeats elements comes last.
    let x = q.apply(Expand { shape: vec![3, 2, 2, 64] }, &[x])[0];
    let x = q.apply(Reshape { shape: vec![6, 128], allow_zero: false }, &[x])[0];
    let x = q.bytes(DType::I8, x, other);
    let (_, operators) = q.narrowed(x);
    let moves = ["Transpose", "Reshape", "Split"].map(|name| (name, DType::U8));
    let quantizes = [("DequantizeLinear", DType::U8), ("QuantizeLinear", DType::F32)];
    let last = ["Expand", "Reshape"].map(|name| (name, DType::I8));
    assert_eq!(operators, [&moves[..], &quantizes, &last].concat());
}

/// Floats that somebody needs are repeated as floats, since else more would be dequantized.
#[test]
fn floats_are_repeated() {
    let mut q = Quantized::new();
    let x = q.input(DType::U8, &[1, 256]);
    let own = q.numbers(DType::U8, 0.037, 131);
    let x = q.floats(x, own);
    let x = q.apply(Expand { shape: vec![3, 256] }, &[x])[0];
    let x = q.apply(Relu, &[x])[0];
    let (_, operators) = q.narrowed(x);
    assert_eq!(operators[..2], [("DequantizeLinear", DType::U8), ("Expand", DType::F32)]);
}

/// However long a chain of movements is.
#[test]
fn long_chains_are_narrowed_too() {
    let mut q = Quantized::new();
    let (x, y) = (q.input(DType::F32, &[64]), q.input(DType::F32, &[64]));
    let mut joined = q.apply(Concat { axis: 0 }, &[x, y])[0];
    for place in 0..2_000 {
        let shape = if place % 2 == 0 { vec![2, 64] } else { vec![128] };
        joined = q.apply(Reshape { shape, allow_zero: false }, &[joined])[0];
    }
    let own = q.numbers(DType::U8, 0.037, 131);
    let bytes = q.bytes(DType::U8, joined, own);
    let (_, operators) = q.narrowed(bytes);
    assert_eq!(operators.iter().filter(|(_, dtype)| *dtype == DType::U8).count(), 8);
}

#[test]
fn what_is_joined_is_quantized_before() {
    let mut q = Quantized::new();
    let (x, y) = (q.input(DType::U8, &[1, 256]), q.input(DType::U8, &[2, 256]));
    let (own, other) = (q.numbers(DType::U8, 0.037, 131), q.numbers(DType::U8, 0.05, 3));
    let parts = [q.floats(x, own), q.floats(y, other)];
    let joined = q.apply(Concat { axis: 0 }, &parts)[0];
    let joined = q.bytes(DType::U8, joined, other);
    let (_, operators) = q.narrowed(joined);
    // The second is what it was.
    let first = [("DequantizeLinear", DType::U8), ("QuantizeLinear", DType::F32)];
    let rest = [("Identity", DType::U8), ("Concat", DType::U8)];
    assert_eq!(operators, [first, rest].concat());
}

#[test]
fn what_others_read_is_joined_once() {
    let mut q = Quantized::new();
    let x = q.input(DType::U8, &[1, 256]);
    let (own, other) = (q.numbers(DType::U8, 0.037, 131), q.numbers(DType::U8, 0.05, 3));
    let floats = q.floats(x, own);
    let joined = q.apply(Concat { axis: 0 }, &[floats, floats])[0];
    let bytes = q.bytes(DType::U8, joined, other);
    let relu = q.apply(Relu, &[joined])[0];
    q.0.output(relu);
    let (_, operators) = q.narrowed(bytes);
    let concats: Vec<_> = operators.iter().filter(|(name, _)| *name == "Concat").collect();
    assert_eq!(concats, [&("Concat", DType::F32)]);
}

#[test]
fn slices_of_a_scale_for_each_row_stay() {
    let mut q = Quantized::new();
    let x = q.input(DType::U8, &[2, 64]);
    let scale = [0.5f32, 0.25].map(f32::to_le_bytes).concat().into();
    let scale = q.0.tensor("scale", TensorType::new(DType::F32, [2, 1]), Some(scale));
    let floats = q.apply(DequantizeLinear { to: DType::F32, blocks: None }, &[x, scale])[0];
    let slice = Slice { starts: vec![1], ends: vec![2], axes: Some(vec![0]), steps: vec![1] };
    let row = q.apply(slice, &[floats])[0];
    let (_, operators) = q.narrowed(row);
    assert_eq!(operators, [("DequantizeLinear", DType::U8), ("Slice", DType::F32)]);
}

/// A scale and zero point, a tensor with them, and again: whether it is taken for the same.
fn again(from: DType, to: DType, scale: f32, zero: u8) -> bool {
    let mut q = Quantized::new();
    let x = q.input(from, &[256]);
    let [own, other] = [from, to].map(|dtype| q.numbers(dtype, scale, zero));
    let floats = q.floats(x, own);
    let bytes = q.bytes(to, floats, other);
    let (_, operators) = q.narrowed(bytes);
    operators == [("Identity", from)]
}

#[test]
fn only_ordinary_scales_come_back() {
    assert!(again(DType::U8, DType::U8, 0.037, 131) && again(DType::I8, DType::I8, -3e15, 0x80));
    assert!(!again(DType::U8, DType::I8, 0.037, 3), "another type");
    for scale in [0.0, 1e-40, 1e-30, 1e38, f32::INFINITY, f32::NAN] {
        assert!(!again(DType::U8, DType::U8, scale, 131), "{scale}");
    }
}

proptest! {
    /// The bits of both are compared by `check`.
    #[test]
    fn any_scale_gives_the_same_bytes(bits in any::<u32>(), zero in any::<u8>(), signed in any::<bool>()) {
        let dtype = if signed { DType::I8 } else { DType::U8 };
        again(dtype, dtype, f32::from_bits(bits), zero);
    }
}
