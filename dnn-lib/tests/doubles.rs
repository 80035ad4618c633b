//! The functions of an `f64` are less than one unit in the last place from the real value. `doubles.py` measures
//! them on more numbers.

use dnn_lib::definition::{Builder, Definition};
use dnn_lib::math::Function;
use dnn_lib::operator::{Elu, LogSoftmax, Meaning, Operator, Pow, ReduceLogSumExp, Softmax};
use dnn_lib::schedule;
use dnn_lib::tensor::{DType, TensorType};

/// A line of `doubles.txt`.
struct Case {
    name: &'static str,
    arguments: Vec<f64>,
    nearest: f64,
    /// What the real value has beyond it, in units in the last place.
    rest: f64,
}

fn cases() -> Vec<Case> {
    let lines = include_str!("doubles.txt").lines().filter(|line| !line.starts_with('#'));
    let case = |line: &'static str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (&rest, fields) = fields.split_last()?;
        let (&name, bits) = fields.split_first()?;
        let bits = bits.iter().map(|bits| u64::from_str_radix(bits, 16).map(f64::from_bits));
        let mut arguments: Vec<f64> = bits.collect::<Result<_, _>>().ok()?;
        Some(Case { name, nearest: arguments.pop()?, arguments, rest: rest.parse().ok()? })
    };
    lines.map(|line| case(line).expect("a line of doubles.py")).collect()
}

/// The unit in the last place.
fn unit(x: f64) -> f64 {
    let exponent = (x.abs().to_bits() >> 52).max(1);
    f64::from_bits(exponent << 52) * f64::EPSILON
}

/// The values at some numbers, by the reference evaluator and by the kernel, which must agree.
fn evaluate(definition: &Definition, inputs: &[&[u8]]) -> Vec<f64> {
    let bytes = definition.eval(inputs).expect("good inputs");
    let kernel = schedule::guest(definition).expect("a kernel");
    assert_eq!(kernel.run(inputs).expect("no error"), bytes, "{}", definition.name);
    bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

fn bytes(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn values(function: Function, x: &[f64]) -> Vec<f64> {
    let ty = TensorType::new(DType::F64, [x.len() as u64]);
    let mut b = Builder::new(function.name(), std::slice::from_ref(&ty), &ty);
    let element = b.broadcast(0);
    let y = b.call(function, element);
    evaluate(&b.finish(y).expect("a definition"), &[&bytes(x)])
}

fn powers(x: &[f64], y: &[f64]) -> Vec<f64> {
    let ty = TensorType::new(DType::F64, [x.len() as u64]);
    match Operator::from(Pow).define(&[ty.clone(), ty], 0) {
        Ok(Some(Meaning::Computed(definition))) => evaluate(&definition, &[&bytes(x), &bytes(y)]),
        other => panic!("{other:?}"),
    }
}

/// What is further away than a limit. Most values are rounded correctly, so the limit is not 1.
fn wrong(cases: &[Case], found: &[f64], limit: f64) -> Vec<String> {
    assert!(cases.len() > 50 && cases.len() == found.len());
    let error = |case: &Case, found: f64| ((found - case.nearest) / unit(case.nearest) - case.rest).abs();
    let wrong = cases
        .iter()
        .zip(found)
        .filter(|(case, found)| error(case, **found).partial_cmp(&limit).is_none_or(|o| o.is_gt()));
    wrong
        .map(|(case, y)| format!("{}({:?}) is {y:?}, not {:?}", case.name, case.arguments, case.nearest))
        .collect()
}

#[test]
fn doubles_are_near_the_real_values() {
    let mut cases = cases();
    for &function in Function::ALL {
        let (own, others): (Vec<Case>, Vec<Case>) =
            cases.into_iter().partition(|case| case.name == function.name());
        let x: Vec<f64> = own.iter().map(|case| case.arguments[0]).collect();
        assert_eq!(wrong(&own, &values(function, &x), 0.8), [""; 0]);
        cases = others;
    }
    let [x, y] = [0, 1].map(|i| cases.iter().map(|case| case.arguments[i]).collect::<Vec<f64>>());
    assert_eq!(wrong(&cases, &powers(&x, &y), 0.8), [""; 0]);
}

/// Single floats, the evaluator and kernels have the same bits.
#[test]
fn texts_of_doubles_agree() {
    let spread = (0..1u64 << 11).map(|i| f64::from_bits(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN, f64::MAX, f64::MIN];
    let x: Vec<f64> = spread.chain(special).chain((-100..100).map(|i| f64::from(i) / 8.0)).collect();
    for &function in Function::ALL {
        let right: Vec<u64> = x.iter().map(|&x| function.of_double(x).to_bits()).collect();
        let found: Vec<u64> = values(function, &x).iter().map(|y| y.to_bits()).collect();
        assert_eq!(found, right, "{}", function.name());
    }
}

/// At zeros, at the end of the range, and where there is no value.
#[test]
fn special_doubles() {
    use std::f64::consts::{FRAC_PI_2, LN_2, PI};
    const INFINITY: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;
    // At 0, -0, infinity, minus infinity, NaN, 1, and two further places.
    type Row = (Function, [f64; 6], [(f64, f64); 2]);
    let rows: [Row; 21] = [
        (
            Function::Exp,
            [1.0, 1.0, INFINITY, 0.0, NAN, std::f64::consts::E],
            [(710.0, INFINITY), (-746.0, 0.0)],
        ),
        (
            Function::Expm1,
            [0.0, -0.0, INFINITY, -1.0, NAN, 1.718_281_828_459_045_3],
            [(1e-200, 1e-200), (-99.0, -1.0)],
        ),
        (
            Function::Tanh,
            [0.0, -0.0, 1.0, -1.0, NAN, 0.761_594_155_955_764_9],
            [(1e-300, 1e-300), (-50.0, -1.0)],
        ),
        (
            Function::Sigmoid,
            [0.5, 0.5, 1.0, 0.0, NAN, 0.731_058_578_630_004_9],
            [(1e-300, 0.5), (-800.0, 0.0)],
        ),
        (Function::Erf, [0.0, -0.0, 1.0, -1.0, NAN, 0.842_700_792_949_714_9], [(7.0, 1.0), (-6.0, -1.0)]),
        (Function::Log, [-INFINITY, -INFINITY, INFINITY, NAN, NAN, 0.0], [(-1.0, NAN), (2.0, LN_2)]),
        (
            Function::Softplus,
            [LN_2, LN_2, INFINITY, 0.0, NAN, 1.313_261_687_518_222_8],
            [(1e300, 1e300), (-1e9, 0.0)],
        ),
        (
            Function::Mish,
            [0.0, -0.0, INFINITY, -0.0, NAN, 0.865_098_388_267_310_3],
            [(1e300, 1e300), (-1e9, -0.0)],
        ),
        (
            Function::Gelu,
            [0.0, -0.0, INFINITY, -0.0, NAN, 0.841_344_746_068_542_9],
            [(1e300, 1e300), (-99.0, -0.0)],
        ),
        (
            Function::GeluTanh,
            [0.0, -0.0, INFINITY, -0.0, NAN, 0.841_191_990_608_276_7],
            [(1e300, 1e300), (-99.0, -0.0)],
        ),
        (
            Function::Sin,
            [0.0, -0.0, NAN, NAN, NAN, 0.841_470_984_807_896_5],
            [(PI, 1.224_646_799_147_353_2e-16), (1e-9, 1e-9)],
        ),
        (
            Function::Cos,
            [1.0, 1.0, NAN, NAN, NAN, 0.540_302_305_868_139_8],
            [(PI, -1.0), (FRAC_PI_2, 6.123_233_995_736_766e-17)],
        ),
        (
            Function::Tan,
            [0.0, -0.0, NAN, NAN, NAN, 1.557_407_724_654_902_3],
            [(FRAC_PI_2, 16_331_239_353_195_370.0), (1e-9, 1e-9)],
        ),
        (
            Function::Sinh,
            [0.0, -0.0, INFINITY, -INFINITY, NAN, 1.175_201_193_643_801_4],
            [(711.0, INFINITY), (1e-300, 1e-300)],
        ),
        (
            Function::Cosh,
            [1.0, 1.0, INFINITY, INFINITY, NAN, 1.543_080_634_815_243_7],
            [(-711.0, INFINITY), (1e-9, 1.0)],
        ),
        (
            Function::Asin,
            [0.0, -0.0, NAN, NAN, NAN, FRAC_PI_2],
            [(-1.0, -FRAC_PI_2), (1.0 + f64::EPSILON, NAN)],
        ),
        (
            Function::Acos,
            [FRAC_PI_2, FRAC_PI_2, NAN, NAN, NAN, 0.0],
            [(-1.0, PI), (-1.0 - f64::EPSILON, NAN)],
        ),
        (
            Function::Atan,
            [0.0, -0.0, FRAC_PI_2, -FRAC_PI_2, NAN, FRAC_PI_2 / 2.0],
            [(1e300, FRAC_PI_2), (5e-324, 5e-324)],
        ),
        (
            Function::Asinh,
            [0.0, -0.0, INFINITY, -INFINITY, NAN, 0.881_373_587_019_543],
            [(5e-324, 5e-324), (-1e-9, -1e-9)],
        ),
        (Function::Acosh, [NAN, NAN, INFINITY, NAN, NAN, 0.0], [(0.999, NAN), (-1.0, NAN)]),
        (Function::Atanh, [0.0, -0.0, NAN, NAN, NAN, INFINITY], [(-1.0, -INFINITY), (2.0, NAN)]),
    ];
    for (function, right, further) in rows {
        let at = [0.0, -0.0, INFINITY, -INFINITY, NAN, 1.0];
        for (x, right) in at.into_iter().zip(right).chain(further) {
            let found = function.of_double(x);
            assert_eq!(
                found.to_bits(),
                right.to_bits(),
                "{}({x:?}) is {found:?}, not {right:?}",
                function.name()
            );
        }
    }
}

/// The special cases of IEEE-754, and powers that are exact.
#[test]
fn special_powers_of_doubles() {
    const INFINITY: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;
    let rows = [
        (0.0, 0.0, 1.0),
        (NAN, 0.0, 1.0),
        (1.0, NAN, 1.0),
        (1.0, INFINITY, 1.0),
        (-1.0, INFINITY, 1.0),
        (-1.0, -INFINITY, 1.0),
        (0.0, 3.0, 0.0),
        (-0.0, 3.0, -0.0),
        (-0.0, 2.0, 0.0),
        (0.0, -1.0, INFINITY),
        (-0.0, -1.0, -INFINITY),
        (-0.0, -2.0, INFINITY),
        (INFINITY, 0.5, INFINITY),
        (INFINITY, -0.5, 0.0),
        (-INFINITY, 3.0, -INFINITY),
        (-INFINITY, -3.0, -0.0),
        (-2.0, 3.0, -8.0),
        (-2.0, 0.5, NAN),
        (2.0, INFINITY, INFINITY),
        (2.0, -INFINITY, 0.0),
        (0.5, INFINITY, 0.0),
        (0.5, -INFINITY, INFINITY),
        (NAN, 1.0, NAN),
        (2.0, NAN, NAN),
        (10.0, 22.0, 1e22),
        (3.0, 30.0, 205_891_132_094_649.0),
        (2.0, -1074.0, 5e-324),
        (2.0, 1024.0, INFINITY),
        (5e-324, 1.0, 5e-324),
        (f64::MAX, 1.0, f64::MAX),
        (4.0, 0.5, 2.0),
        (-3.0, 1e300, INFINITY),
        (1.0 + f64::EPSILON, 1e300, INFINITY),
    ];
    let (x, y) = (rows.map(|row| row.0), rows.map(|row| row.1));
    for ((x, y, right), found) in rows.into_iter().zip(powers(&x, &y)) {
        assert_eq!(
            found.to_bits(),
            right.to_bits(),
            "{x:?} to the power of {y:?} is {found:?}, not {right:?}"
        );
    }
}

/// Operators that call them: sums are in 16 lanes, as those of `f32`.
#[test]
fn softmax_and_logarithms_of_sums_of_doubles() {
    let x: Vec<f64> = (0..35).map(|i| f64::from(i * 7919 % 101) / 7.0 - 5.0).collect();
    let ty = TensorType::new(DType::F64, [x.len() as u64]);
    let run = |operator: Operator| match operator.define(std::slice::from_ref(&ty), 0) {
        Ok(Some(Meaning::Computed(definition))) => evaluate(&definition, &[&bytes(&x)]),
        other => panic!("{other:?}"),
    };
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = x.iter().map(|x| Function::Exp.of_double(x - most)).collect();
    let mut lanes = [0.0; 16];
    exponentials.iter().enumerate().for_each(|(i, e)| lanes[i % 16] += e);
    for half in [8, 4, 2, 1] {
        (0..half).for_each(|i| lanes[i] += lanes[i + half]);
    }
    let log = Function::Log.of_double(lanes[0]);
    assert_eq!(
        run(Softmax { axis: 0 }.into()),
        exponentials.iter().map(|e| e / lanes[0]).collect::<Vec<_>>()
    );
    assert_eq!(run(LogSoftmax { axis: 0 }.into()), x.iter().map(|x| x - most - log).collect::<Vec<_>>());
    assert_eq!(run(ReduceLogSumExp { axes: None, keep_dims: false }.into()), [most + log]);
    let alpha = f64::from(0.3f32);
    let elu = |x: f64| if x < 0.0 { alpha * Function::Expm1.of_double(x) } else { x };
    assert_eq!(run(Elu { alpha: 0.3 }.into()), x.iter().map(|&x| elu(x)).collect::<Vec<_>>());
}

/// Neighbours have values in order.
#[test]
fn monotone_pieces_of_doubles() {
    let pieces = [
        (Function::Exp, -745.0, 709.0),
        (Function::Expm1, -40.0, 700.0),
        (Function::Tanh, -20.0, 20.0),
        (Function::Sigmoid, -700.0, 40.0),
        (Function::Erf, -6.0, 6.0),
        (Function::Log, 0.0, 1e9),
        (Function::Softplus, -700.0, 1e3),
        (Function::Sin, -1.57, 1.57),
        (Function::Tan, -1.57, 1.57),
        (Function::Sinh, -700.0, 700.0),
        (Function::Cosh, 0.0, 700.0),
        (Function::Asin, -1.0, 1.0),
        (Function::Atan, -1e3, 1e3),
        (Function::Asinh, -1e3, 1e3),
        (Function::Acosh, 1.0, 1e3),
        (Function::Atanh, -1.0, 1.0),
    ];
    for (function, low, high) in pieces {
        for i in 1..20_000 {
            let x = low + (high - low) * f64::from(i) / 20_000.0;
            let [y, next] = [x, x.next_up()].map(|x| function.of_double(x));
            assert!(y <= next, "{} at {x:?}: {y:?}, then {next:?}", function.name());
        }
    }
}
