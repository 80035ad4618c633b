//! The operators that are a formula, over all element types.

use dnn_lib::math::Function;
use dnn_lib::operator::*;
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::run_bytes;

const INTEGERS: [DType; 8] =
    [DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32, DType::U64];

/// The integer with the low bits of another.
fn wrapped(dtype: DType, x: i128) -> i128 {
    match dtype {
        DType::I8 => (x as i8).into(),
        DType::I16 => (x as i16).into(),
        DType::I32 => (x as i32).into(),
        DType::I64 => (x as i64).into(),
        DType::U8 => (x as u8).into(),
        DType::U16 => (x as u16).into(),
        DType::U32 => (x as u32).into(),
        _ => (x as u64).into(),
    }
}

/// Elements of integers, or truth values.
fn elements(dtype: DType, numbers: &[i128]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()[..dtype.size() as usize].to_vec()).collect()
}

/// Runs an operator on columns, which are inputs.
fn columns<const N: usize>(operator: &Operator, dtypes: [DType; N], bytes: [Vec<u8>; N]) -> (DType, Vec<u8>) {
    let count = bytes[0].len() as u64 / dtypes[0].size();
    let types = dtypes.map(|dtype| TensorType::new(dtype, [count]));
    let (ty, found) = run_bytes(operator, &types, &bytes.each_ref().map(Vec::as_slice));
    (ty.dtype, found)
}

/// Integers of all sizes, and often small ones.
fn integer() -> impl Strategy<Value = i128> {
    prop_oneof![any::<i64>().prop_map(i128::from), -9..70i128, Just(i128::from(i64::MIN)), Just(1 << 31)]
}

type OfIntegers = fn(i128, i128, DType) -> i128;

/// Operators on two integers. Those on one ignore the second.
#[rustfmt::skip]
const OF_INTEGERS: [(fn() -> Operator, OfIntegers); 18] = [
    (|| Add.into(), |x, y, _| x + y),
    (|| Sub.into(), |x, y, _| x - y),
    (|| Mul.into(), |x, y, _| x.wrapping_mul(y)),
    (|| Div.into(), |x, y, _| if y == 0 { -1 } else { x / y }),
    (|| Max.into(), |x, y, _| x.max(y)),
    (|| Min.into(), |x, y, _| x.min(y)),
    (|| Mod { fmod: true }.into(), |x, y, _| if y == 0 { x } else { x % y }),
    (|| Mod { fmod: false }.into(), |x, y, _| if y == 0 { x } else { (x % y + y) % y }),
    (|| BitwiseAnd.into(), |x, y, _| x & y),
    (|| BitwiseOr.into(), |x, y, _| x | y),
    (|| BitwiseXor.into(), |x, y, _| x ^ y),
    (|| BitShift { left: true }.into(), |x, y, ty| if y < 0 || y >= ty.bits().into() { 0 } else { x << y }),
    (|| BitShift { left: false }.into(), |x, y, _| x >> if (0..64).contains(&y) { y } else { 64 }),
    (|| PRelu.into(), |x, y, _| if x < 0 { x.wrapping_mul(y) } else { x }),
    (|| BitwiseNot.into(), |x, _, _| !x),
    (|| Abs.into(), |x, _, _| x.abs()),
    (|| Sign.into(), |x, _, _| x.signum()),
    (|| Shrink { bias: 1.5, lambda: 3.0 }.into(), |x, _, ty| {
        let x = x as f64;
        let y = if x < -3.0 { x + 1.5 } else if x > 3.0 { x - 1.5 } else { 0.0 };
        let (least, most) = match ty {
            DType::U64 => (0, u64::MAX.into()),
            _ if wrapped(ty, -1) > 0 => (0, wrapped(ty, -1)),
            _ => (-1 << (ty.bits() - 1), (1 << (ty.bits() - 1)) - 1),
        };
        (y as i128).clamp(least, most)
    }),
];

type Compares<T> = fn(T, T) -> bool;

/// Comparisons of two numbers.
macro_rules! comparisons {
    ($ty:ty) => {{
        let comparisons: [(Operator, Compares<$ty>); 5] = [
            (Equal.into(), |x, y| x == y),
            (Less.into(), |x, y| x < y),
            (LessOrEqual.into(), |x, y| x <= y),
            (Greater.into(), |x, y| x > y),
            (GreaterOrEqual.into(), |x, y| x >= y),
        ];
        comparisons
    }};
}

/// Operators on three floats, of which some ignore the last ones, with the same reference for both types.
#[rustfmt::skip]
macro_rules! of_floats {
    ($ty:ty, $bits:ident, $canonical:expr, $x:expr) => {{
        type Of = fn($ty, $ty, $ty) -> $ty;
        let operators: [(Operator, usize, Of); 28] = [
            (Add.into(), 2, |x, y, _| x + y),
            (Sub.into(), 2, |x, y, _| x - y),
            (Mul.into(), 2, |x, y, _| x * y),
            (Div.into(), 2, |x, y, _| x / y),
            (Max.into(), 3, |x, y, z| larger!(larger!(x, y), z)),
            (Min.into(), 3, |x, y, z| smaller!(smaller!(x, y), z)),
            (Sum.into(), 3, |x, y, z| x + y + z),
            (Mean.into(), 3, |x, y, z| (x + y + z) / 3.0),
            (Clip { min: true, max: true }.into(), 3, |x, y, z| smaller!(larger!(x, y), z)),
            (Clip { min: false, max: true }.into(), 2, |x, y, _| smaller!(x, y)),
            (Mod { fmod: true }.into(), 2, |x, y, _| x % y),
            (Mod { fmod: false }.into(), 2, |x, y, _| match x % y {
                rest if rest == 0.0 => (0.0 as $ty).copysign(y),
                rest if (rest < 0.0) != (y < 0.0) => rest + y,
                rest => rest,
            }),
            (PRelu.into(), 2, |x, y, _| if x < 0.0 { y * x } else { x }),
            (Neg.into(), 1, |x, _, _| -x),
            (Abs.into(), 1, |x, _, _| x.abs()),
            (Sqrt.into(), 1, |x, _, _| x.sqrt()),
            (Reciprocal.into(), 1, |x, _, _| 1.0 / x),
            (Floor.into(), 1, |x, _, _| x.floor()),
            (Ceil.into(), 1, |x, _, _| x.ceil()),
            (Round.into(), 1, |x, _, _| x.round_ties_even()),
            (Sign.into(), 1, |x, _, _| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x + 0.0 }),
            (Relu.into(), 1, |x, _, _| if x <= 0.0 { 0.0 } else { x }),
            (LeakyRelu { alpha: 0.25 }.into(), 1, |x, _, _| if x < 0.0 { 0.25 * x } else { x }),
            (ThresholdedRelu { alpha: 0.5 }.into(), 1, |x, _, _| if x > 0.5 { x } else { 0.0 }),
            (Softsign.into(), 1, |x, _, _| x / (1.0 + x.abs())),
            (HardSigmoid { alpha: 0.25, beta: 0.375 }.into(), 1, |x, _, _| {
                larger!(smaller!((0.25 as $ty).mul_add(x, 0.375), 1.0), 0.0)
            }),
            (HardSwish.into(), 1, |x, _, _| {
                x * larger!(smaller!((1.0 as $ty / 6.0).mul_add(x, 0.5), 1.0), 0.0)
            }),
            (Shrink { bias: 1.5, lambda: 0.5 }.into(), 1, |x, _, _| {
                if x < -0.5 { x + 1.5 } else if x > 0.5 { x - 1.5 } else { 0.0 }
            }),
        ];
        let dtype = if size_of::<$ty>() == 4 { DType::F32 } else { DType::F64 };
        let of = |x: $ty| if x.is_nan() { $canonical } else { x.to_bits() };
        let x: &[[$ty; 3]] = $x;
        let column = |i: usize| -> Vec<u8> { x.iter().flat_map(|x| x[i].to_le_bytes()).collect() };
        for (operator, count, function) in operators {
            let types = vec![TensorType::new(dtype, [x.len() as u64]); count];
            let bytes: Vec<Vec<u8>> = (0..count).map(column).collect();
            let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
            let (ty, found) = run_bytes(&operator, &types, &bytes);
            prop_assert_eq!(ty, types[0].clone());
            for (x, found) in x.iter().zip(found.as_chunks().0) {
                let right = of(function(x[0], x[1], x[2]));
                prop_assert_eq!($bits::from_le_bytes(*found), right, "{:?} of {:?}", operator, x);
            }
        }
        for (operator, function) in comparisons!($ty) {
            let right = x.iter().map(|x| function(x[0], x[1]).into()).collect::<Vec<u8>>();
            let found = columns(&operator, [dtype; 2], [column(0), column(1)]);
            prop_assert_eq!(found, (DType::Bool, right), "{:?}", operator);
        }
        let tests: [(Operator, fn(&$ty) -> bool); 4] = [
            (IsNaN.into(), |x| x.is_nan()),
            (IsInf { negative: true, positive: true }.into(), |x| x.is_infinite()),
            (IsInf { negative: true, positive: false }.into(), |&x| x == <$ty>::NEG_INFINITY),
            (IsInf { negative: false, positive: true }.into(), |&x| x == <$ty>::INFINITY),
        ];
        for (operator, function) in tests {
            let right = x.iter().map(|x| function(&x[0]).into()).collect::<Vec<u8>>();
            prop_assert_eq!(columns(&operator, [dtype], [column(0)]), (DType::Bool, right), "{:?}", operator);
        }
    }};
}

macro_rules! larger {
    ($x:expr, $y:expr) => {{
        let (x, y) = ($x, $y);
        if x.is_nan() || y > x || y.is_nan() { if x.is_nan() { x } else { y } } else { x }
    }};
}

macro_rules! smaller {
    ($x:expr, $y:expr) => {{
        let (x, y) = ($x, $y);
        if x.is_nan() || y < x || y.is_nan() { if x.is_nan() { x } else { y } } else { x }
    }};
}

/// Floats of all sizes, mostly ordinary ones, some of them halves of integers.
fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -4.0..4.0f64,
        2 => (-9..9i32).prop_map(|x| f64::from(x) / 2.0),
        2 => any::<f64>(),
        1 => any::<f32>().prop_map(f64::from),
        1 => prop::sample::select(vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn of_integers(pairs in prop::collection::vec((integer(), integer()), 1..9)) {
        for dtype in INTEGERS {
            let pairs: Vec<(i128, i128)> =
                pairs.iter().map(|&(x, y)| (wrapped(dtype, x), wrapped(dtype, y))).collect();
            let (x, y): (Vec<i128>, Vec<i128>) = pairs.iter().copied().unzip();
            let (x, y) = (elements(dtype, &x), elements(dtype, &y));
            for (operator, function) in OF_INTEGERS {
                let operator = operator();
                let entry = operator.entry();
                let (ty, found) = match entry.inputs.start() {
                    1 if *entry.inputs.end() == 1 => columns(&operator, [dtype], [x.clone()]),
                    _ => columns(&operator, [dtype; 2], [x.clone(), y.clone()]),
                };
                prop_assert_eq!(ty, dtype);
                let right: Vec<i128> = pairs.iter().map(|&(x, y)| function(x, y, dtype)).collect();
                prop_assert_eq!(found, elements(dtype, &right), "{:?} of {} {:?}", operator, dtype, pairs);
            }
            for (operator, function) in comparisons!(i128) {
                let right: Vec<u8> = pairs.iter().map(|&(x, y)| function(x, y).into()).collect();
                let found = columns(&operator, [dtype; 2], [x.clone(), y.clone()]);
                prop_assert_eq!(found, (DType::Bool, right), "{:?} of {} {:?}", operator, dtype, pairs);
            }
        }
    }

    #[test]
    fn of_doubles(x in prop::collection::vec([float(), float(), float()], 1..9)) {
        of_floats!(f64, u64, 0x7ff8_0000_0000_0000, &x);
    }

    #[test]
    fn of_singles(x in prop::collection::vec([float(), float(), float()], 1..9)) {
        let x: Vec<[f32; 3]> = x.iter().map(|x| x.map(|x| x as f32)).collect();
        of_floats!(f32, u32, 0x7fc0_0000, &x);
    }

    /// Every type becomes every other one.
    #[test]
    fn casts(numbers in prop::collection::vec((integer(), float()), 1..9)) {
        let types = [&INTEGERS[..], &[DType::F32, DType::F64, DType::Bool]].concat();
        for &from in &types {
            let given: Vec<(i128, f64)> = numbers.iter().map(|&(integer, float)| match from {
                DType::F32 => (0, f64::from(float as f32)),
                DType::F64 => (0, float),
                DType::Bool => (integer & 1, 0.0),
                _ => (wrapped(from, integer), 0.0),
            }).collect();
            let float = matches!(from, DType::F32 | DType::F64);
            let bytes = given.iter().flat_map(|&(integer, float)| match from {
                DType::F32 => (float as f32).to_le_bytes().to_vec(),
                DType::F64 => float.to_le_bytes().to_vec(),
                _ => elements(from, &[integer]),
            }).collect::<Vec<u8>>();
            for &to in &types {
                let saturated = |x: f64| match to {
                    DType::U64 => (x as u64).into(),
                    DType::I64 => (x as i64).into(),
                    _ if wrapped(to, -1) > 0 => i128::from(x as u64).min(wrapped(to, -1)),
                    _ => i128::from(x as i64).clamp(-1 << (to.bits() - 1), (1 << (to.bits() - 1)) - 1),
                };
                let right = given.iter().flat_map(|&(x, y)| match (to, float) {
                    (DType::F32, true) => single(y as f32),
                    (DType::F32, false) => single(x as f32),
                    (DType::F64, true) => double(y),
                    (DType::F64, false) => double(x as f64),
                    (DType::Bool, true) => vec![(y != 0.0).into()],
                    (DType::Bool, false) => vec![(x != 0).into()],
                    (_, true) => elements(to, &[saturated(y)]),
                    (_, false) => elements(to, &[x]),
                }).collect::<Vec<u8>>();
                let found = columns(&Cast { to }.into(), [from], [bytes.clone()]);
                prop_assert_eq!(found, (to, right), "{} to {}: {:?}", from, to, given);
            }
        }
    }
}

/// The value of a function, and what activations make of it.
#[test]
fn activations_round_as_they_say() {
    let x: Vec<f32> = vec![-300.0, -2.5, -0.75, -1e-8, -0.0, 0.0, 1e-8, 0.75, 2.5, 300.0, f32::NAN];
    let function = |function: Function, x: f32| function.of(x);
    let (expm1, sigmoid) = (|x| function(Function::Expm1, x), |x| function(Function::Sigmoid, x));
    let operators: [(Operator, &dyn Fn(f32) -> f32); 4] = [
        (Celu { alpha: 0.3 }.into(), &|x| if x > 0.0 { x } else { 0.3 * expm1(x / 0.3) }),
        (Selu { alpha: 1.6, gamma: 1.1 }.into(), &|x| 1.1 * if x > 0.0 { x } else { 1.6 * expm1(x) }),
        (Swish { alpha: 1.7 }.into(), &|x| x * sigmoid(1.7 * x)),
        (SwiGLU { alpha: 1.7 }.into(), &|x| x * sigmoid(1.7 * x) * x),
    ];
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
    for (operator, function) in operators {
        let right: Vec<u8> =
            x.iter().flat_map(|&x| single(if x.is_nan() { x } else { function(x) })).collect();
        let found = match operator.entry().inputs.start() {
            1 => columns(&operator, [DType::F32], [bytes.clone()]),
            _ => columns(&operator, [DType::F32; 2], [bytes.clone(), bytes.clone()]),
        };
        assert_eq!(found, (DType::F32, right), "{operator:?}");
    }
}

/// The special cases are those of `pow` in C; other powers are less than a unit in the last place off.
#[test]
fn powers_of_floats() {
    let special = [0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let ordinary =
        [0.5, 2.0, 3.0, -2.0, -3.0, 0.1, -0.1, 1e-30, 1e30, -7.5, 1.000_001, 0.999_999, 4096.25, 1e-40];
    let numbers: Vec<f32> = special.iter().chain(&ordinary).map(|&x| x as f32).collect();
    let pairs: Vec<(f32, f32)> = numbers.iter().flat_map(|&x| numbers.iter().map(move |&y| (x, y))).collect();
    let bytes = |of: fn(&(f32, f32)) -> f32| pairs.iter().flat_map(|pair| of(pair).to_le_bytes()).collect();
    let (_, found) = columns(&Pow.into(), [DType::F32; 2], [bytes(|pair| pair.0), bytes(|pair| pair.1)]);
    for (&(x, y), found) in pairs.iter().zip(found.as_chunks().0) {
        let (found, right) = (f32::from_le_bytes(*found), f64::from(x).powf(y.into()));
        let near = [right as f32, (right * (1.0 - 1e-13)) as f32, (right * (1.0 + 1e-13)) as f32];
        let same = |near: &f32| near.to_bits() == found.to_bits() || (near.is_nan() && found.is_nan());
        assert!(near.iter().any(same), "{x:?}^{y:?} is {found:?}, not {right:?}");
    }
}

#[test]
fn powers_of_integers_and_by_integers() {
    let (x, y): (Vec<i128>, Vec<i128>) = [
        (3, 4),
        (-3, 3),
        (7, 30),
        (0, 0),
        (0, 2),
        (0, -1),
        (1, -5),
        (-1, -5),
        (-1, -4),
        (2, -1),
        (2, 31),
        (5, 127),
    ]
    .into_iter()
    .unzip();
    for dtype in [DType::I32, DType::I64] {
        let right = |x: i128, y: i128| match (x, y) {
            (_, 0..) => (0..y).fold(1, |power, _| wrapped(dtype, power * x)),
            (0, _) => -1,
            (1, _) => 1,
            (-1, _) => {
                if y % 2 == 0 {
                    1
                } else {
                    -1
                }
            }
            _ => 0,
        };
        let right: Vec<i128> = x.iter().zip(&y).map(|(&x, &y)| right(x, y)).collect();
        for exponent in [DType::I8, DType::I32, DType::I64] {
            let found =
                columns(&Pow.into(), [dtype, exponent], [elements(dtype, &x), elements(exponent, &y)]);
            assert_eq!(found, (dtype, elements(dtype, &right)), "{dtype} {exponent}");
        }
    }
    let floats: Vec<u8> = [2.0f32, -0.5, 10.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let exponents = elements(DType::U64, &[10, 3, 38]);
    let (_, found) = columns(&Pow.into(), [DType::F32, DType::U64], [floats.clone(), exponents]);
    assert_eq!(found, [1024.0f32, -0.125, 1e38].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
    let bases = elements(DType::I64, &[10, 4, 3]);
    let (_, found) = columns(&Pow.into(), [DType::I64, DType::F32], [bases, floats]);
    assert_eq!(found, elements(DType::I64, &[100, 0, 59049]));
}

fn single(x: f32) -> Vec<u8> {
    if x.is_nan() { 0x7fc0_0000u32.to_le_bytes().to_vec() } else { x.to_le_bytes().to_vec() }
}

fn double(x: f64) -> Vec<u8> {
    if x.is_nan() { 0x7ff8_0000_0000_0000u64.to_le_bytes().to_vec() } else { x.to_le_bytes().to_vec() }
}

/// Any byte but 0 is true.
#[test]
fn of_truth_values() {
    let (x, y) = (vec![0, 0, 1, 1, 2, 255], vec![0, 1, 0, 1, 1, 0]);
    let operators: [(Operator, [u8; 6]); 4] = [
        (And.into(), [0, 0, 0, 1, 1, 0]),
        (Or.into(), [0, 1, 1, 1, 1, 1]),
        (Xor.into(), [0, 1, 1, 0, 0, 1]),
        (Equal.into(), [1, 0, 0, 1, 1, 0]),
    ];
    for (operator, right) in operators {
        let found = columns(&operator, [DType::Bool; 2], [x.clone(), y.clone()]);
        assert_eq!(found, (DType::Bool, right.to_vec()), "{operator:?}");
    }
    let opposite = columns(&Not.into(), [DType::Bool], [x.clone()]);
    assert_eq!(opposite, (DType::Bool, vec![1, 1, 0, 0, 0, 0]));
    for dtype in DType::ALL.into_iter().filter(|dtype| !dtype.is_packed()) {
        let size = dtype.size() as usize;
        let (then, otherwise) = (vec![1; 6 * size], vec![0; 6 * size]);
        let found = columns(&Where.into(), [DType::Bool, dtype, dtype], [x.clone(), then, otherwise]);
        let right = x.iter().flat_map(|&x| vec![u8::from(x != 0); size]).collect();
        assert_eq!(found, (dtype, right));
    }
}

/// The shape of any input may be the smaller one.
#[test]
fn three_inputs_are_broadcast() {
    let ty = |dtype: DType, shape: &[u64]| TensorType::new(dtype, shape);
    let types = [ty(DType::Bool, &[2, 1, 1]), ty(DType::U8, &[3, 1]), ty(DType::U8, &[4])];
    let (ty, found) = run_bytes(&Where.into(), &types, &[&[1, 0], &[10, 20, 30], &[1, 2, 3, 4]]);
    assert_eq!(ty.shape, [2, 3, 4]);
    let right = [10, 10, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4];
    assert_eq!(found, right);
    let wrong =
        Operator::from(Where).infer(&types.map(|ty| TensorType::new(ty.dtype, [ty.elements().unwrap()])));
    assert!(wrong.unwrap_err().to_string().contains("cannot be broadcast"));
}
