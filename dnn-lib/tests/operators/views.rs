//! Operators that give the same bytes another shape.

use dnn_lib::operator::{BitCast, Flatten, Identity, Meaning, Operator, Reshape, Squeeze, Unsqueeze};
use dnn_lib::tensor::{DType, TensorType};

#[test]
fn views_change_the_shape_only() {
    let reshape = |shape: &[i64], allow_zero| Operator::from(Reshape { shape: shape.to_vec(), allow_zero });
    let squeeze = |axes: Option<&[i64]>| Operator::from(Squeeze { axes: axes.map(<[i64]>::to_vec) });
    let cases: Vec<(Operator, &[u64], &[u64])> = vec![
        (Identity.into(), &[2, 3], &[2, 3]),
        (Flatten { axis: 1 }.into(), &[2, 3, 4], &[2, 12]),
        (Flatten { axis: 0 }.into(), &[2, 3, 4], &[1, 24]),
        (Flatten { axis: -1 }.into(), &[2, 3, 4], &[6, 4]),
        (Flatten { axis: 3 }.into(), &[2, 3, 4], &[24, 1]),
        (reshape(&[4, -1], false), &[2, 3, 4], &[4, 6]),
        (reshape(&[0, -1], false), &[2, 3, 4], &[2, 12]),
        (reshape(&[0, 3], true), &[2, 0], &[0, 3]),
        (reshape(&[], false), &[1, 1], &[]),
        (squeeze(None), &[1, 3, 1], &[3]),
        (squeeze(Some(&[-1])), &[1, 3, 1], &[1, 3]),
        (Unsqueeze { axes: vec![-1, 0] }.into(), &[3], &[1, 3, 1]),
    ];
    for (operator, from, to) in cases {
        let inputs = [TensorType::new(DType::I64, from)];
        assert_eq!(operator.infer(&inputs), Ok(vec![TensorType::new(DType::I64, to)]), "{operator:?}");
        let meaning = (!from.contains(&0)).then_some(Meaning::View { offset: 0 });
        assert_eq!(operator.define(&inputs, 0), Ok(meaning), "{operator:?}");
    }
}

#[test]
fn bits_have_another_type_of_the_same_size() {
    let cast = |from: DType, to: DType| {
        let operator = Operator::from(BitCast { to });
        operator.infer(&[TensorType::new(from, [3])]).map_err(|error| error.to_string())
    };
    assert_eq!(cast(DType::F32, DType::U32), Ok(vec![TensorType::new(DType::U32, [3])]));
    assert_eq!(cast(DType::F8E5M2, DType::I8), Ok(vec![TensorType::new(DType::I8, [3])]));
    let wrong = "BitCast: attribute to is I16, but f32 has 32 bits";
    assert_eq!(cast(DType::F32, DType::I16), Err(wrong.to_owned()));
}
