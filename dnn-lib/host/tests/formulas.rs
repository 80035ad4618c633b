//! Operators whose formulas use what others don't: truth values, integers of all widths, remainders.

use dnn_lib::operator::{
    BitShift, Cast, Clip, Equal, HardSigmoid, IsInf, Max, Meaning, Mod, Not, Operator, Shrink, Where, Xor,
};
use dnn_lib::tensor::{DType, TensorType};

use crate::check::check_with;

/// Checks an operator on inputs that are broadcast, if it takes these types.
fn check(operator: impl Into<Operator>, dtypes: &[DType]) {
    let shapes = [&[5, 67][..], &[67], &[5, 1]];
    let types: Vec<TensorType> =
        dtypes.iter().zip(shapes).map(|(&dtype, shape)| TensorType::new(dtype, shape)).collect();
    match operator.into().define(&types, 0) {
        Ok(Some(Meaning::Computed(definition))) => check_with(&definition, 1),
        Ok(other) => panic!("{other:?}"),
        Err(_) => {}
    }
}

#[test]
fn formulas_have_the_bits_of_the_reference() {
    let movable = || DType::ALL.into_iter().filter(|dtype| !dtype.is_packed());
    for dtype in movable() {
        let ([one, two, three], limits) = ([&[dtype][..], &[dtype; 2], &[dtype; 3]], [true, false]);
        movable().for_each(|to| check(Cast { to }, one));
        limits.into_iter().for_each(|fmod| check(Mod { fmod }, two));
        limits.into_iter().for_each(|left| check(BitShift { left }, two));
        check(Clip { min: true, max: true }, three);
        check(Equal, two);
        check(HardSigmoid { alpha: 0.2, beta: 0.5 }, one);
        check(IsInf { negative: true, positive: true }, one);
        check(Max, three);
        check(Not, one);
        check(Shrink { bias: 0.5, lambda: 1.5 }, one);
        check(Where, &[DType::Bool, dtype, dtype]);
        check(Xor, two);
    }
}
