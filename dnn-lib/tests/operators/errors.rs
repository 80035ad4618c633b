//! The messages for bad inputs and attributes.

use dnn_lib::operator::{
    Add, Concat, Conv, Gemm, MatMul, MaxPool, Operator, Padding, Relu, Reshape, Softmax, Transpose, Window,
};
use dnn_lib::tensor::{DType, TensorType};

#[test]
fn errors_say_what_was_found_and_what_is_right() {
    let f32s = |shapes: &[&[u64]]| -> Vec<TensorType> {
        shapes.iter().map(|&shape| TensorType::new(DType::F32, shape)).collect()
    };
    let conv = |group| Operator::from(Conv { window: Window::default(), group });
    let pool = |padding| {
        Operator::from(MaxPool {
            kernel: vec![3],
            window: Window { padding, ..Window::default() },
            ceil_mode: false,
            column_major: false,
        })
    };
    let mixed = vec![TensorType::new(DType::F32, [2]), TensorType::new(DType::I64, [2])];
    let cases: Vec<(Operator, Vec<TensorType>)> = vec![
        (Add.into(), f32s(&[&[2]])),
        (Add.into(), f32s(&[&[2], &[3]])),
        (Add.into(), mixed),
        (Relu.into(), vec![TensorType::new(DType::Bool, [1])]),
        (Relu.into(), f32s(&[&[1 << 40, 1 << 40]])),
        (Gemm { trans_b: true, ..Gemm::default() }.into(), f32s(&[&[2, 3], &[3, 4]])),
        (Gemm::default().into(), f32s(&[&[2, 3], &[3, 4], &[3]])),
        (MatMul.into(), f32s(&[&[2, 3], &[4]])),
        (conv(2), f32s(&[&[1, 3, 5], &[2, 1, 3]])),
        (conv(1), f32s(&[&[1, 3, 5], &[2, 3, 6]])),
        (conv(1), f32s(&[&[1, 3, 5], &[2, 3, 3], &[3]])),
        (pool(Padding::Explicit(vec![(0, 0), (1, 1)])), f32s(&[&[1, 1, 4]])),
        (pool(Padding::Explicit(vec![])), f32s(&[&[1, 1, 2]])),
        (Concat { axis: 1 }.into(), f32s(&[&[2, 3], &[3, 3]])),
        (Softmax { axis: 2 }.into(), f32s(&[&[2, 3]])),
        (Transpose { perm: Some(vec![0, 0]) }.into(), f32s(&[&[2, 3]])),
        (Reshape { shape: vec![4, -1], allow_zero: false }.into(), f32s(&[&[2, 3]])),
    ];
    let lines = cases.iter().map(|(operator, inputs)| match operator.infer(inputs) {
        Err(error) => format!("{error}\n"),
        Ok(types) => panic!("{operator:?} of {inputs:?} gives {types:?}"),
    });
    insta::assert_snapshot!(lines.collect::<String>());
}

#[test]
fn the_table_is_in_order_and_complete() {
    let names: Vec<&str> = Operator::TABLE.iter().map(|entry| entry.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert!(Operator::TABLE.iter().all(|entry| entry.doc.ends_with('.')));
    assert_eq!(Operator::from(Transpose { perm: None }).name(), "Transpose");
}
