//! Formulas of quantized numbers: as one instruction, and looked up.

use dnn_lib::definition::{Builder, Definition, Over, Source};
use dnn_lib::operator::{
    DequantizeLinear, MaxPool, Meaning, Mul, Operator, Padding, QuantizeLinear, Requantize, Sigmoid, Window,
};
use dnn_lib::scalar::{BinaryOp, Ops};
use dnn_lib::tensor::{DType, TensorType};

use crate::check::{Numbers, check, tensor};

/// Floats that are scales, or are quantized: ties, what is around them, the ends of integers, and what is no number.
const FLOATS: [f32; 24] = [
    0.0,
    -0.0,
    0.5,
    1.5,
    2.5,
    -0.5,
    -1.5,
    0.499_999_97,
    0.500_000_06,
    126.5,
    127.5,
    -128.5,
    254.5,
    255.5,
    2_147_483_648.0,
    2_147_483_520.0,
    -2_147_483_648.0,
    -2_147_483_904.0,
    f32::MIN_POSITIVE,
    1e-45,
    f32::MAX,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

/// The definition of an operator.
fn defined(operator: impl Into<Operator>, inputs: &[TensorType]) -> Definition {
    match operator.into().define(inputs, 0) {
        Ok(Some(Meaning::Computed(definition))) => definition,
        other => panic!("it should be computed: {other:?}"),
    }
}

/// Inputs of any bytes, and of floats each of which is one of [`FLOATS`] or, often, a plain number.
fn inputs(definition: &Definition, numbers: &mut Numbers) -> Vec<Vec<u8>> {
    let any = |ty: &TensorType, numbers: &mut Numbers| match ty.dtype {
        DType::F32 => {
            let one = |numbers: &mut Numbers| match numbers.chance(50) {
                true => *numbers.pick(&FLOATS),
                false => (numbers.below(8001) as f32 - 4000.0) / 8.0,
            };
            (0..ty.elements().unwrap()).flat_map(|_| one(numbers).to_le_bytes()).collect()
        }
        DType::U8 | DType::I8 => (0..ty.elements().unwrap()).map(|_| numbers.next() as u8).collect(),
        _ => tensor(ty, numbers),
    };
    definition.inputs.iter().map(|ty| any(ty, numbers)).collect()
}

fn check_all(definition: &Definition, seed: u64) {
    let mut numbers = Numbers(seed);
    for _ in 0..4 {
        let inputs = inputs(definition, &mut numbers);
        check(definition, &inputs, &mut numbers).unwrap();
    }
}

fn ty(dtype: DType, shape: &[u64]) -> TensorType {
    TensorType::new(dtype, shape)
}

const BYTES: [DType; 2] = [DType::U8, DType::I8];
/// More than a block, and a rest.
const SHAPE: [u64; 3] = [3, 5, 97];
/// One for all, one for each part of the middle axis, and one for each element.
const PARAMETERS: [&[u64]; 3] = [&[], &[5, 1], &SHAPE];

#[test]
fn numbers_are_quantized_and_dequantized() {
    for (seed, parameters) in (0..).zip(PARAMETERS) {
        for byte in [DType::U8, DType::I8, DType::U16, DType::I16] {
            let (scale, zero) = (ty(DType::F32, parameters), ty(byte, parameters));
            let quantize = QuantizeLinear { to: byte, blocks: None };
            let floats = [ty(DType::F32, &SHAPE), scale.clone(), zero.clone()];
            check_all(&defined(quantize, &floats), seed);
            check_all(&defined(quantize, &floats[..2]), seed);
            let dequantize = DequantizeLinear { to: DType::F32, blocks: None };
            check_all(&defined(dequantize, &[ty(byte, &SHAPE), scale, zero]), seed);
        }
    }
}

#[test]
fn sums_are_requantized() {
    for (seed, parameters) in (0..).zip(PARAMETERS) {
        for byte in BYTES {
            let scale = || ty(DType::F32, parameters);
            let sum = ty(DType::I32, &SHAPE);
            let definition =
                defined(Requantize { to: byte }, &[sum, scale(), scale(), scale(), ty(byte, parameters)]);
            check_all(&definition, seed);
        }
    }
}

/// A dequantized tensor, what follows it, and that quantized again.
fn between(
    [from, to]: [DType; 2],
    shape: &[u64],
    parameters: &[u64],
    middle: impl Fn(Definition) -> Definition,
) -> Definition {
    let parameter = |dtype| ty(dtype, parameters);
    let dequantize = DequantizeLinear { to: DType::F32, blocks: None };
    let first = defined(dequantize, &[ty(from, shape), parameter(DType::F32), parameter(from)]);
    let quantize = QuantizeLinear { to, blocks: None };
    let last = defined(quantize, &[ty(DType::F32, shape), parameter(DType::F32), parameter(to)]);
    middle(first).then(&last, 0).expect("it is computed element by element")
}

#[test]
fn functions_of_a_byte() {
    // As few elements as are computed one by one, and more.
    for (seed, shape) in (0..).zip([&[8, 127][..], &[8, 128], &[3, 2, 911], &[1, 6, 1, 411]]) {
        for (from, to) in [(DType::U8, DType::U8), (DType::I8, DType::U8), (DType::U8, DType::I8)] {
            let sigmoid = defined(Sigmoid, &[ty(DType::F32, shape)]);
            check_all(&between([from, to], shape, &[], |x| x.then(&sigmoid, 0).unwrap()), seed);
            check_all(&between([from, to], shape, &[], |x| x), seed);
        }
    }
}

#[test]
fn what_looks_like_functions_of_a_byte() {
    let bytes = [DType::U8; 2];
    // Scales that aren't the same for all, and another tensor.
    check_all(&between(bytes, &[2, 5, 211], &[5, 1], |x| x), 1);
    check_all(&between(bytes, &[5, 211, 2], &[2], |x| x), 2);
    let product = defined(Mul, &[ty(DType::F32, &SHAPE), ty(DType::F32, &SHAPE)]);
    check_all(&between(bytes, &SHAPE, &[], |x| x.then(&product, 0).unwrap()), 3);
    // A tensor of bytes that is read elsewhere, too.
    let shape = [8, 128];
    for of in [[true, false], [false, true], [false, false]] {
        let mut b = Builder::new("difference", &[ty(DType::U8, &shape)], &ty(DType::U8, &shape));
        let x = b.broadcast(0);
        let at = [0, 1].map(|axis| if of[axis] { b.at(axis) } else { 1.into() });
        let y = b.load(Source::Input(0), at);
        let y = b.sub(x, y);
        check_all(&b.finish(y).unwrap(), 4);
    }
}

#[test]
fn windows_of_bytes() {
    for (seed, dtype) in (0..).zip(BYTES) {
        for (strides, padding) in [(vec![], 2), (vec![2, 2], 1), (vec![1, 3], 0)] {
            let padding = Padding::Explicit(vec![(padding, padding); 2]);
            let window = Window { strides, padding, ..Window::default() };
            let pool = MaxPool { kernel: vec![5, 5], window, ceil_mode: false, column_major: false };
            check_all(&defined(pool, &[ty(dtype, &[2, 3, 23, 41])]), seed);
        }
        for op in [BinaryOp::Min, BinaryOp::Max] {
            let mut b = Builder::new("least", &[ty(dtype, &[7, 90])], &ty(dtype, &[7]));
            let init = b.i32(3);
            let value = b.fold([Over::all(90)], &[init], |b, k, so_far| {
                let x = b.load(Source::Input(0), [b.at(0), k[0].clone()]);
                vec![b.binary(op, so_far[0], x)]
            })[0];
            check_all(&b.finish(value).unwrap(), seed);
        }
    }
}
