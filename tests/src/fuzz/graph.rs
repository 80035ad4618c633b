//! Graphs of operators: they mean the same to all that run them.

use crate::backend::{Backend, InterpreterBackend, JitBackend, Job, agree};
use crate::random::Random;
use bytes::Bytes;
use compiler::Options;
use dnn_lib::operator::{self as op, Operator, Padding, Window};
use dnn_lib::tensor::{DType, TensorType};
use graph::{Builder, Graph, TensorId, reference};
use image::{Image, Role};
use interpreter::Arithmetic;
use native::{Native, Run};
use step::Status;

/// The most bytes of a tensor, and of all.
const TENSOR: u64 = 1 << 13;
const MEMORY: u64 = 1 << 18;

/// The most nodes, and the most steps of a run.
const NODES: usize = 12;
const STEPS: u64 = 1 << 22;

/// Any bytes are a graph of well-typed operators. It gives the same bits by the meaning of its operators, as
/// vectors, as translated code and interpreted.
pub fn graph(bytes: &[u8]) {
    let (graph, inputs) = made(&mut Choices(bytes));
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let expected = reference::execute(&graph, &inputs).expect("a meaning");
    let options = Options { max_memory: MEMORY, ..Options::default() };
    // What is too large, or has no output, is refused.
    let Ok(compiled) = compiler::compile_graph(graph, &options) else { return };
    let image = &compiled.image;
    let native = Native::of(image, 1).expect("a model");
    let outputs = Run::new(&native, image, &inputs).and_then(|mut run| run.outputs()).expect("a run");
    assert!(outputs == expected, "native differs: {}", difference(&outputs, &expected));
    machine(image, &inputs, &expected);
}

/// Runs the image in the machine, in both ways.
fn machine(image: &Image, inputs: &[&[u8]], expected: &[Vec<u8>]) {
    let tensors = |role| image.tensors.iter().filter(move |tensor| tensor.role == role);
    let inputs: Vec<(u64, Vec<u8>)> =
        tensors(Role::Input).zip(inputs).map(|(tensor, &bytes)| (tensor.address, bytes.to_vec())).collect();
    let backends: [&dyn Backend; 2] = [&InterpreterBackend(Arithmetic::Host), &JitBackend(0)];
    for (index, (tensor, expected)) in tensors(Role::Output).zip(expected).enumerate() {
        let output = (tensor.address, tensor.bytes);
        let ending = agree(&backends, &Job { inputs: &inputs, output, limit: STEPS, ..Job::whole(image) });
        if ending.state.status == Status::Running {
            return;
        }
        assert_eq!(ending.state.status, Status::Exited);
        assert!(ending.output == *expected, "output {index} of the machine differs");
    }
}

fn difference(found: &[Vec<u8>], expected: &[Vec<u8>]) -> String {
    let pairs = found.iter().zip(expected).enumerate();
    let bytes = pairs.map(|(index, (found, expected))| {
        let at = found.iter().zip(expected).position(|(found, expected)| found != expected);
        format!("output {index} of {} bytes at byte {at:?}", expected.len())
    });
    bytes.collect::<Vec<_>>().join(", ")
}

/// Bytes that decide; zeros when they have come to their end.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn below(&mut self, limit: u64) -> u64 {
        u64::from(self.byte()) % limit
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    /// An axis, of which most are in range.
    fn axis(&mut self) -> i64 {
        i64::from(self.byte() % 7) - 3
    }

    fn axes(&mut self) -> Option<Vec<i64>> {
        match self.below(4) {
            0 => None,
            count => Some((0..count.min(2)).map(|_| self.axis()).collect()),
        }
    }

    fn window(&mut self, axes: u64) -> Window {
        let mut list =
            |limit: u64, least: u64| (0..axes).map(|_| least + self.below(limit)).collect::<Vec<_>>();
        let (strides, dilations, pads) = (list(3, 1), list(2, 1), list(2, 0));
        let pads = pads.into_iter().map(|pad| (pad, pad)).collect();
        Window { strides, dilations, padding: Padding::Explicit(pads) }
    }
}

const DTYPES: &[DType] = &[
    DType::F32,
    DType::F32,
    DType::F32,
    DType::F16,
    DType::F64,
    DType::I64,
    DType::I32,
    DType::I8,
    DType::U8,
    DType::Bool,
];

fn dtype(choices: &mut Choices<'_>) -> DType {
    choices.pick(DTYPES)
}

fn ty(choices: &mut Choices<'_>) -> TensorType {
    let rank = choices.pick(&[0, 1, 2, 2, 3, 4, 4]);
    let sizes: Vec<u64> = (0..rank).map(|_| choices.pick(&[1, 2, 3, 4, 4, 5, 7, 16])).collect();
    TensorType::new(dtype(choices), sizes)
}

/// Numbers for a tensor: small ones, special ones, and in one tensor of eight any bits.
fn numbers(ty: &TensorType, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let any = random.below(8) == 0;
    let count = ty.elements().unwrap_or(0);
    let mut number = |_| {
        let small = random.below(33) as i64 - 16;
        let bits = match ty.dtype {
            DType::Bool => random.below(2),
            _ if any => random.bits(),
            DType::F32 => u64::from((small as f32 / 4.0).to_bits()),
            DType::F64 => (small as f64 / 4.0).to_bits(),
            // Halves from 2^-7 to 2^8, of both signs.
            DType::F16 => (0x2000 + random.below(0x3c00)) | (random.below(2) << 15),
            _ => small.cast_unsigned(),
        };
        bits.to_le_bytes()[..ty.dtype.size() as usize].to_vec()
    };
    (0..count).flat_map(&mut number).collect()
}

/// An operator, and how many inputs it is given.
fn operator(choices: &mut Choices<'_>, of: &TensorType) -> (Operator, usize) {
    let alpha = f32::from(choices.byte()) / 64.0;
    match choices.below(46) {
        0 => (op::Add.into(), 2),
        1 => (op::Sub.into(), 2),
        2 => (op::Mul.into(), 2),
        3 => (op::Div.into(), 2),
        4 => (op::Max.into(), 3),
        5 => (op::Min.into(), 2),
        6 => (op::Pow.into(), 2),
        7 => (op::Relu.into(), 1),
        8 => (op::Tanh.into(), 1),
        9 => (op::Sigmoid.into(), 1),
        10 => (op::Exp.into(), 1),
        11 => (op::Sqrt.into(), 1),
        12 => (op::Abs.into(), 1),
        13 => (op::Neg.into(), 1),
        14 => (op::Erf.into(), 1),
        15 => (op::LeakyRelu { alpha }.into(), 1),
        16 => (op::Gelu { tanh: choices.flag() }.into(), 1),
        17 => (op::Softmax { axis: choices.axis() }.into(), 1),
        18 | 19 => (op::MatMul.into(), 2),
        20 => {
            let (trans_a, trans_b) = (choices.flag(), choices.flag());
            (op::Gemm { alpha, beta: 1.0, trans_a, trans_b }.into(), 2)
        }
        21 => {
            // A permutation, by exchanging.
            let mut perm: Vec<u64> = (0..of.shape.len() as u64).collect();
            for last in (1..perm.len()).rev() {
                perm.swap(last, choices.below(last as u64 + 1) as usize);
            }
            (op::Transpose { perm: Some(perm) }.into(), 1)
        }
        22 => (op::Reshape { shape: vec![-1], allow_zero: false }.into(), 1),
        23 => {
            let first = of.shape.first().map_or(1, |&size| size.cast_signed());
            (op::Reshape { shape: vec![first, -1], allow_zero: false }.into(), 1)
        }
        24 => (op::Concat { axis: choices.axis() }.into(), 2),
        25 => {
            let (start, end) = (choices.axis(), choices.axis() + 2);
            let steps = vec![choices.pick(&[1, 1, 2, -1])];
            (
                op::Slice { axes: Some(vec![choices.axis()]), starts: vec![start], ends: vec![end], steps }
                    .into(),
                1,
            )
        }
        26 => (op::ReduceSum { axes: choices.axes(), keep_dims: choices.flag() }.into(), 1),
        27 => (op::ReduceMean { axes: choices.axes(), keep_dims: choices.flag() }.into(), 1),
        28 => (op::ReduceMax { axes: choices.axes(), keep_dims: choices.flag() }.into(), 1),
        29 => {
            let (axis, keep_dims, last) = (choices.axis(), choices.flag(), choices.flag());
            (op::ArgMax { axis, keep_dims, last }.into(), 1)
        }
        30 => (op::Gather { axis: choices.axis() }.into(), 2),
        31 => (op::GatherElements { axis: choices.axis() }.into(), 2),
        32 => (op::Where.into(), 3),
        33 => (op::Equal.into(), 2),
        34 => (op::Less.into(), 2),
        35 => (op::Cast { to: dtype(choices) }.into(), 1),
        36 => (op::Unsqueeze { axes: vec![choices.axis()] }.into(), 1),
        37 => {
            (op::Conv { window: choices.window(of.shape.len().saturating_sub(2) as u64), group: 1 }.into(), 2)
        }
        38 => {
            let axes = of.shape.len().saturating_sub(2) as u64;
            let kernel = (0..axes).map(|_| 1 + choices.below(3)).collect();
            let (window, ceil_mode) = (choices.window(axes), choices.flag());
            (op::MaxPool { kernel, window, ceil_mode, column_major: false }.into(), 1)
        }
        39 => {
            let axes = of.shape.len().saturating_sub(2) as u64;
            let kernel = (0..axes).map(|_| 2 + choices.below(2)).collect();
            let (window, ceil_mode) = (choices.window(axes), choices.flag());
            (op::AveragePool { kernel, window, ceil_mode, count_include_pad: choices.flag() }.into(), 1)
        }
        40 => (op::LayerNormalization { axis: choices.axis(), epsilon: 1e-5 }.into(), 2),
        41 => {
            let mode = choices.pick(&[op::PadMode::Constant, op::PadMode::Reflect, op::PadMode::Edge]);
            let pads =
                of.shape.iter().map(|_| (choices.below(3) as i64, choices.below(4) as i64 - 1)).collect();
            (op::Pad { mode, pads }.into(), 1)
        }
        42 => (op::Tile { repeats: of.shape.iter().map(|_| 1 + choices.below(2)).collect() }.into(), 1),
        43 => {
            let (axis, exclusive, reverse) = (choices.axis(), choices.flag(), choices.flag());
            (op::CumSum { axis, exclusive, reverse }.into(), 1)
        }
        44 => {
            let half = of.shape.first().copied().unwrap_or(0) / 2;
            let rest = of.shape.first().copied().unwrap_or(0) - half;
            (op::Split { axis: 0, sizes: vec![half, rest] }.into(), 1)
        }
        _ => (op::MatMulInteger.into(), 2),
    }
}

/// A graph with its inputs. What isn't well-typed is left out.
fn made(choices: &mut Choices<'_>) -> (Graph, Vec<Vec<u8>>) {
    let mut builder = Builder::new("fuzz", TENSOR);
    let (mut known, mut inputs): (Vec<TensorId>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    for index in 0..2 + choices.below(3) {
        // Tensors of the same kind can be computed with.
        let ty = match known.last() {
            Some(&last) if choices.below(3) > 0 => builder.graph().tensor(last).ty.clone(),
            _ => ty(choices),
        };
        let value = numbers(&ty, u64::from(choices.byte()));
        if index > 0 && choices.below(3) == 0 {
            known.push(builder.tensor(format!("c{index}"), ty, Some(Bytes::from(value))));
        } else {
            known.push(builder.input(format!("x{index}"), ty));
            inputs.push(value);
        }
    }
    let mut made = Vec::new();
    for number in 0..4 * NODES {
        if made.len() >= NODES || choices.0.is_empty() {
            break;
        }
        let first = recent(choices, &known);
        let of = builder.graph().tensor(first).ty.clone();
        let (operator, count) = operator(choices, &of);
        let mut given = vec![first];
        given.extend((1..count).map(|_| recent(choices, &known)));
        if matches!(operator, Operator::Where(_)) {
            given.rotate_right(1);
        }
        let outputs = builder.apply(&format!("n{number}"), operator, &given, &[format!("y{number}")]);
        let outputs = outputs.unwrap_or_default();
        known.extend(&outputs);
        made.extend(outputs);
    }
    // What is computed last, and one more.
    let computed = |&id: &TensorId| builder.graph().tensor(id).value.is_none();
    let mut outputs: Vec<TensorId> = made.iter().copied().filter(computed).rev().take(2).collect();
    outputs.extend(made.iter().copied().find(computed).filter(|first| !outputs.contains(first)));
    outputs.into_iter().for_each(|id| builder.output(id));
    (builder.finish(), inputs)
}

/// One of the tensors, mostly a late one.
fn recent(choices: &mut Choices<'_>, known: &[TensorId]) -> TensorId {
    let late = &known[known.len().saturating_sub(4)..];
    if choices.below(4) == 0 { choices.pick(known) } else { choices.pick(late) }
}

/// Random choices.
pub(super) fn choices() -> Vec<Vec<u8>> {
    let mut random = Random::new(16);
    let mut bytes = |_| (0..160).map(|_| random.bits() as u8).collect();
    (0..24).map(&mut bytes).collect()
}
