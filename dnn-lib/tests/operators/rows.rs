//! Rows by a number keep every bit, and a number out of range does what it must.

use dnn_lib::operator::{PutRow, TakeRow};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::{run_bytes, shape};

proptest! {
    #[test]
    fn rows_are_taken_and_put(
        shape in shape(1..=3, 4),
        dtype in prop::sample::select(DType::ALL.into_iter().filter(|dtype| !dtype.is_packed()).collect::<Vec<_>>()),
        number in prop_oneof![-2i64..6, Just(i64::MIN), Just(i64::MAX)],
        seed in any::<u8>(),
    ) {
        let (all, row) = (TensorType::new(dtype, shape.clone()), TensorType::new(dtype, &shape[1..]));
        let bytes = |ty: &TensorType, from: u8| -> Vec<u8> {
            (0..ty.bytes().unwrap()).map(|at| (at as u8).wrapping_mul(37).wrapping_add(from)).collect()
        };
        let (old, new) = (bytes(&all, seed), bytes(&row, seed.wrapping_add(101)));
        let at = (TensorType::new(DType::I64, []), number.to_le_bytes());
        let size = new.len();

        let nearest = number.clamp(0, shape[0] as i64 - 1) as usize;
        let (ty, found) = run_bytes(&TakeRow.into(), &[all.clone(), at.0.clone()], &[&old, &at.1]);
        prop_assert_eq!((ty, &found[..]), (row.clone(), &old[nearest * size..][..size]));

        let mut expected = old.clone();
        if (0..shape[0] as i64).contains(&number) {
            expected[number as usize * size..][..size].copy_from_slice(&new);
        }
        let (ty, found) = run_bytes(&PutRow.into(), &[all.clone(), row, at.0], &[&old, &new, &at.1]);
        prop_assert_eq!((ty, found), (all, expected));
    }
}
