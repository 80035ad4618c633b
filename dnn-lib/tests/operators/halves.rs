//! Operators on halves compute what they compute on the same numbers as `f32`, rounded once at the end.

use dnn_lib::definition::Builder;
use dnn_lib::operator::{
    Add, AveragePool, BatchNormalization, Conv, Div, Erf, Exp, Gemm, GlobalAveragePool, LayerNormalization,
    MatMul, MaxPool, Mul, Operator, ReduceMean, Relu, Sigmoid, Softmax, Sub, Tanh, Window,
};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::run_bytes;

/// Elements of a type as elements of another.
fn stored(from: DType, to: DType, bytes: &[u8]) -> Vec<u8> {
    let ty = |dtype: DType| TensorType::new(dtype, [bytes.len() as u64 / from.size()]);
    let mut b = Builder::new("stored", &[ty(from)], &ty(to));
    let x = b.broadcast(0);
    b.finish(x).expect("a definition").eval(&[bytes]).expect("good inputs")
}

/// Operators that take floats, and shapes that they take.
fn operators() -> Vec<(Operator, Vec<Vec<u64>>)> {
    let (kernel, window) = (vec![2, 2], Window::default());
    let pair = || vec![vec![3, 4], vec![4]];
    let image = || vec![2, 2, 5, 4];
    let channel = || vec![2];
    vec![
        (Add.into(), pair()),
        (Sub.into(), pair()),
        (Mul.into(), pair()),
        (Div.into(), pair()),
        (Relu.into(), vec![vec![7]]),
        (Exp.into(), vec![vec![7]]),
        (Tanh.into(), vec![vec![7]]),
        (Sigmoid.into(), vec![vec![7]]),
        (Erf.into(), vec![vec![7]]),
        (Softmax { axis: -1 }.into(), vec![vec![3, 19]]),
        (MatMul.into(), vec![vec![3, 40], vec![40, 5]]),
        (Gemm { alpha: 0.5, ..Gemm::default() }.into(), vec![vec![3, 9], vec![9, 4], vec![4]]),
        (Conv { window: window.clone(), group: 1 }.into(), vec![image(), vec![3, 2, 2, 2], vec![3]]),
        (ReduceMean { axes: Some(vec![1]), keep_dims: false }.into(), vec![vec![3, 40]]),
        (GlobalAveragePool.into(), vec![image()]),
        (
            AveragePool {
                kernel: kernel.clone(),
                window: window.clone(),
                ceil_mode: false,
                count_include_pad: false,
            }
            .into(),
            vec![image()],
        ),
        (MaxPool { kernel, window, ceil_mode: false, column_major: false }.into(), vec![image()]),
        (
            BatchNormalization { epsilon: 1e-5 }.into(),
            vec![image(), channel(), channel(), channel(), channel()],
        ),
        (LayerNormalization { axis: -1, epsilon: 1e-5 }.into(), vec![vec![3, 20], vec![20], vec![20]]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn operators_round_halves_once(seed: u64) {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 33
        };
        for half in [DType::F16, DType::BF16] {
            for (operator, shapes) in operators() {
                let types = |dtype: DType| shapes.iter().map(|shape| TensorType::new(dtype, shape.clone())).collect();
                let (halves, singles): (Vec<TensorType>, Vec<TensorType>) = (types(half), types(DType::F32));
                let mut element = |_| match (next(), half) {
                    // Mostly numbers from 1/4 to 4, and any others.
                    (x, _) if x % 50 == 0 => (x >> 8) as u16,
                    (x, DType::F16) => (0x3400 + (x >> 4) as u16 % 0x1000) | ((x >> 15) as u16 & 0x8000),
                    (x, _) => (0x3e80 + (x >> 4) as u16 % 0x200) | ((x >> 15) as u16 & 0x8000),
                };
                let elements = halves.iter().map(|ty| ty.elements().unwrap_or(0));
                let inputs: Vec<Vec<u8>> = elements
                    .map(|count| (0..count).map(&mut element).flat_map(u16::to_le_bytes).collect())
                    .collect();
                let wide: Vec<Vec<u8>> = inputs.iter().map(|input| stored(half, DType::F32, input)).collect();
                let run = |types: &[TensorType], inputs: &[Vec<u8>]| {
                    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
                    run_bytes(&operator, types, &inputs)
                };
                let ((ty, found), (_, right)) = (run(&halves, &inputs), run(&singles, &wide));
                prop_assert_eq!(ty.dtype, half);
                prop_assert_eq!(found, stored(DType::F32, half, &right), "{} of {}", operator.name(), half);
            }
        }
    }
}

#[test]
fn functions_take_floats() {
    let infer = |dtype| Operator::from(Exp).infer(&[TensorType::new(dtype, [2])]).is_ok();
    assert_eq!(
        [DType::F32, DType::F16, DType::BF16, DType::F64, DType::I32].map(infer),
        [true, true, true, true, false]
    );
}
