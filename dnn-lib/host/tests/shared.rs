//! Operators whose elements share a fold along a row.

use dnn_lib::definition::Definition;
use dnn_lib::operator::{
    ByRank, Concat, CumProd, CumSum, Meaning, Operator, ScatterElements, ScatterND, Update,
};
use dnn_lib::tensor::{DType, TensorType};

use crate::check::check_with;

fn definition(operator: impl Into<Operator>, inputs: &[TensorType]) -> Definition {
    match operator.into().define(inputs, 0) {
        Ok(Some(Meaning::Computed(definition))) => definition,
        other => panic!("{other:?}"),
    }
}

fn ty(dtype: DType, shape: &[u64]) -> TensorType {
    TensorType::new(dtype, shape)
}

const DTYPES: [DType; 7] =
    [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I8, DType::U32, DType::I64];
const SHAPES: [(&[u64], i64); 7] = [
    (&[9], 0),
    (&[1], 0),
    (&[3, 4, 5], 1),
    (&[70, 40], 1),
    (&[5, 300], 0),
    (&[2, 6, 1, 3], 3),
    (&[2, 3, 700], 2),
];

#[test]
fn running_sums_and_products() {
    for (shape, axis) in SHAPES {
        for dtype in DTYPES {
            for (exclusive, reverse) in [(false, false), (true, false), (false, true), (true, true)] {
                let inputs = [ty(dtype, shape)];
                let sum = definition(CumSum { axis, exclusive, reverse }, &inputs);
                let product = definition(CumProd { axis, exclusive, reverse }, &inputs);
                for (definition, seed) in [(sum, 1), (product, 2)] {
                    assert!(definition.shared().is_some(), "{definition}");
                    check_with(&definition, seed);
                }
            }
        }
    }
}

#[test]
fn scattered_elements() {
    for (shape, axis) in SHAPES {
        for dtype in DTYPES {
            for update in [Update::Replace, Update::Add, Update::Mul, Update::Max, Update::Min] {
                let whole = [&shape[..axis as usize], &[40], &shape[axis as usize + 1..]].concat();
                let some: Vec<u64> = shape.iter().map(|&size| size.div_ceil(2)).collect();
                for (indices, named) in [(whole, DType::I64), (some, DType::I32)] {
                    let inputs = [ty(dtype, shape), ty(named, &indices), ty(dtype, &indices)];
                    let definition = definition(ScatterElements { axis, update }, &inputs);
                    // A half is rounded after all updates.
                    let apart = update != Update::Replace && matches!(dtype, DType::F16 | DType::BF16);
                    assert_eq!(definition.shared().is_none(), apart, "{definition}");
                    check_with(&definition, 3);
                }
            }
        }
    }
}

#[test]
fn scattered_slices() {
    for (shape, tuples) in [
        (&[7][..], &[30, 1][..]),
        (&[5, 6], &[3, 4, 2]),
        (&[4, 3, 70], &[20, 2]),
        (&[4, 3, 70], &[9, 1]),
        (&[40, 30], &[9, 1]),
    ] {
        for dtype in DTYPES {
            for update in [Update::Replace, Update::Add, Update::Max] {
                let tuple = *tuples.last().unwrap() as usize;
                let updates = [&tuples[..tuples.len() - 1], &shape[tuple..]].concat();
                let inputs = [ty(dtype, shape), ty(DType::I64, tuples), ty(dtype, &updates)];
                check_with(&definition(ScatterND { update }, &inputs), 4);
            }
        }
    }
}

#[test]
fn places_of_ranks() {
    for (shape, axis) in SHAPES {
        let count = shape[axis as usize].div_ceil(2);
        let definition = definition(ByRank { axis, count }, &[ty(DType::I64, shape)]);
        assert!(definition.shared().is_some(), "{definition}");
        check_with(&definition, 5);
    }
}

#[test]
fn joined_tensors() {
    for (shapes, axis) in [
        (&[&[3, 4, 1][..], &[3, 4, 1], &[3, 4, 2]][..], 2),
        (&[&[3, 5, 7], &[3, 1, 7]], 1),
        (&[&[6, 2, 2, 3], &[6, 2, 4, 3], &[6, 2, 1, 3]], 2),
        (&[&[500, 3], &[500, 40]], 1),
    ] {
        for dtype in [DType::F32, DType::I64, DType::F16, DType::U8, DType::Bool] {
            let inputs: Vec<TensorType> = shapes.iter().map(|shape| ty(dtype, shape)).collect();
            check_with(&definition(Concat { axis }, &inputs), 6);
        }
    }
}
