//! What becomes of scores at the end, and the classes that are chosen by them.

use bytes::Bytes;
use dnn_lib::operator as op;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use super::Outputs;
use super::label::Labels;
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

type Output = Result<TensorId, NodeError>;

/// What becomes of the scores of an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transform {
    None,
    Logistic,
    Softmax,
    /// Softmax of the scores that are not 0, which stay.
    SoftmaxZero,
    Probit,
}

const NAMES: [(&str, Transform); 5] = [
    ("NONE", Transform::None),
    ("SOFTMAX", Transform::Softmax),
    ("LOGISTIC", Transform::Logistic),
    ("SOFTMAX_ZERO", Transform::SoftmaxZero),
    ("PROBIT", Transform::Probit),
];

impl Transform {
    /// That of the attribute `post_transform`.
    pub fn of(call: &Call<'_>) -> Result<Self, NodeError> {
        let Some(name) = call.string("post_transform")? else { return Ok(Self::None) };
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known
            .map(|&(_, transform)| transform)
            .ok_or_else(|| value_error("post_transform", &name, &NAMES.map(|(name, _)| name).join(", ")))
    }

    /// That with a number.
    pub fn numbered(number: i64) -> Result<Self, NodeError> {
        let known = usize::try_from(number).ok().and_then(|number| NAMES.get(number));
        known.map(|&(_, transform)| transform).ok_or_else(|| value_error("post_transform", &number, "0 to 4"))
    }
}

/// The bytes of a number as an `f64`, or as an `f32`.
pub(super) fn float_bytes(dtype: DType, value: f64) -> Vec<u8> {
    match dtype {
        DType::F64 => value.to_le_bytes().to_vec(),
        _ => (value as f32).to_le_bytes().to_vec(),
    }
}

/// Adds constant floats.
pub(super) fn constant(
    call: &mut Call<'_>,
    what: &str,
    values: &[f64],
    shape: &[u64],
    dtype: DType,
) -> TensorId {
    let bytes: Bytes = values.iter().flat_map(|&value| float_bytes(dtype, value)).collect();
    call.constant(what, TensorType::new(dtype, shape), bytes)
}

/// Floats of 32 bits.
pub(super) fn narrowed(call: &mut Call<'_>, x: TensorId) -> Output {
    match call.ty(x).dtype {
        DType::F32 => Ok(x),
        _ => call.step("narrowed", op::Cast { to: DType::F32 }, &[x]),
    }
}

/// Transforms scores `[examples, classes]` of 32 bits. A single score is only changed by PROBIT.
pub(super) fn apply(call: &mut Call<'_>, transform: Transform, z: TensorId) -> Output {
    let single = call.ty(z).shape.last() == Some(&1);
    match transform {
        Transform::Probit => probit(call, z),
        _ if single => Ok(z),
        Transform::None => Ok(z),
        Transform::Logistic => call.step("logistic", op::Sigmoid, &[z]),
        Transform::Softmax => call.step("softmax", op::Softmax { axis: -1 }, &[z]),
        Transform::SoftmaxZero => softmax_zero(call, z),
    }
}

/// Between these, a score counts as 0.
const NOTHING: f64 = 1e-7;

fn softmax_zero(call: &mut Call<'_>, z: TensorId) -> Output {
    let axes = || Some(vec![-1]);
    let max = call.step("max", op::ReduceMax { axes: axes(), keep_dims: true }, &[z])?;
    let distance = call.step("distance", op::Sub, &[z, max])?;
    let powers = call.step("powers", op::Exp, &[distance])?;
    let size = call.step("size", op::Abs, &[z])?;
    let nothing = constant(call, "nothing", &[NOTHING], &[], DType::F32);
    let counts = call.step("counts", op::Greater, &[size, nothing])?;
    let zero = constant(call, "zero", &[0.0], &[], DType::F32);
    let terms = call.step("terms", op::Where, &[counts, powers, zero])?;
    let sum = call.step("sum", op::ReduceSum { axes: axes(), keep_dims: true }, &[terms])?;
    let below = call.step("below", op::Neg, &[max])?;
    let below = call.step("scale", op::Exp, &[below])?;
    let kept = call.step("kept", op::Mul, &[z, below])?;
    let all = call.step("all", op::Where, &[counts, powers, kept])?;
    call.step("softmax", op::Div, &[all, sum])
}

/// sqrt(2) times an approximation of the inverse of erf, at 2 z - 1.
fn probit(call: &mut Call<'_>, z: TensorId) -> Output {
    let number = |call: &mut Call<'_>, x: f32| constant(call, "number", &[x.into()], &[], DType::F32);
    let (one, two, half) = (number(call, 1.0), number(call, 2.0), number(call, 0.5));
    let doubled = call.step("doubled", op::Mul, &[two, z])?;
    let x = call.step("x", op::Sub, &[doubled, one])?;
    let less = call.step("less", op::Sub, &[one, x])?;
    let more = call.step("more", op::Add, &[one, x])?;
    let product = call.step("product", op::Mul, &[less, more])?;
    let log = call.step("log", op::Log, &[product])?;
    let halved = call.step("halved", op::Mul, &[half, log])?;
    #[expect(clippy::approx_constant, reason = "onnxruntime has pi to so many digits")]
    let first = number(call, 2.0 / (3.14159 * 0.147));
    let v = call.step("v", op::Add, &[first, halved])?;
    let inverse = number(call, 1.0 / 0.147);
    let second = call.step("second", op::Mul, &[inverse, log])?;
    let square = call.step("square", op::Mul, &[v, v])?;
    let inside = call.step("inside", op::Sub, &[square, second])?;
    let root = call.step("root", op::Sqrt, &[inside])?;
    let rest = call.step("rest", op::Sub, &[root, v])?;
    let size = call.step("magnitude", op::Sqrt, &[rest])?;
    let zero = number(call, 0.0);
    let negative = call.step("negative", op::Less, &[x, zero])?;
    let opposite = call.step("opposite", op::Neg, &[size])?;
    let erf = call.step("inverse_erf", op::Where, &[negative, opposite, size])?;
    let factor = number(call, std::f32::consts::SQRT_2);
    call.step("probit", op::Mul, &[factor, erf])
}

/// A column of a matrix, as a matrix.
pub(super) fn column(call: &mut Call<'_>, z: TensorId, column: i64) -> Output {
    let index = call.constant_list("column", &[column]);
    call.step(&format!("column{column}"), op::Gather { axis: 1 }, &[z, index])
}

/// Scores `[examples, 1]` of the first and of the second class side by side.
pub(super) fn beside(call: &mut Call<'_>, scores: [TensorId; 2]) -> Output {
    call.step("both", op::Concat { axis: 1 }, &scores)
}

/// The scores of two classes, given that of the second one: `1 - s` or `-s` for the first.
pub(super) fn with_opposite(
    call: &mut Call<'_>,
    score: TensorId,
    transform: Transform,
    positive: bool,
) -> Output {
    let first = if positive && transform != Transform::Logistic {
        let one = constant(call, "one", &[1.0], &[], DType::F32);
        call.step("opposite", op::Sub, &[one, score])?
    } else {
        call.step("opposite", op::Neg, &[score])?
    };
    let both = beside(call, [first, score])?;
    if transform == Transform::Logistic { call.step("logistic", op::Sigmoid, &[both]) } else { Ok(both) }
}

/// Whether a score `[examples, 1]` is larger than a limit: `[examples]`.
pub(super) fn exceeds(call: &mut Call<'_>, score: TensorId, limit: f64) -> Output {
    let dtype = call.ty(score).dtype;
    let limit = constant(call, "limit", &[limit], &[], dtype);
    let larger = call.step("exceeds", op::Greater, &[score, limit])?;
    call.step("flat", op::Reshape { shape: vec![-1], allow_zero: false }, &[larger])
}

/// What decides between two classes.
pub(super) struct Two {
    /// Which of them has scores.
    pub scored: [bool; 2],
    /// Whether no weight is negative.
    pub positive: bool,
    pub base: Vec<f64>,
}

/// The outputs of a classifier with two classes, of the scores `[examples, 1]` of each, as onnxruntime has them.
pub(super) fn two_classes(
    call: &mut Call<'_>,
    mut scores: [TensorId; 2],
    labels: &Labels,
    transform: Transform,
    two: &Two,
) -> Outputs {
    let dtype = call.ty(scores[0]).dtype;
    let add = |call: &mut Call<'_>, score: TensorId, base: f64| {
        let base = constant(call, "base", &[base], &[], dtype);
        call.step("based", op::Add, &[score, base])
    };
    match two.base[..] {
        // The bases of both are taken for the same, and the second score for the opposite of the first.
        [_, base] if two.scored[1] => {
            scores[1] = add(call, scores[0], base)?;
            if two.scored[0] {
                scores[0] = call.step("opposite", op::Neg, &[scores[1]])?;
            }
        }
        [base] | [base, _] if two.scored[0] => scores[0] = add(call, scores[0], base)?,
        _ => {}
    }
    let score = if two.scored[1] { scores[1] } else { scores[0] };
    let one_scored = two.scored[0] != two.scored[1];
    let second = exceeds(call, score, if one_scored && two.positive { 0.5 } else { 0.0 })?;
    let label = if one_scored { labels.second(call, second)? } else { labels.truth(call, second)? };
    if two.scored[1] || two.base.len() == 2 {
        let both = beside(call, scores)?;
        let both = narrowed(call, both)?;
        let z = apply(call, transform, both)?;
        return Ok(vec![label, call.as_output(1, z)?]);
    }
    refuse_probit(transform)?;
    let score = narrowed(call, score)?;
    let z = with_opposite(call, score, transform, two.positive)?;
    Ok(vec![label, call.as_output(1, z)?])
}

/// Refuses what has no defined result: PROBIT of one score that stands for two classes.
pub(super) fn refuse_probit(transform: Transform) -> Result<(), NodeError> {
    if transform == Transform::Probit {
        return Err(value_error("post_transform", &"PROBIT of one score for two classes", "NONE, LOGISTIC"));
    }
    Ok(())
}

/// The outputs of a classifier with one class: 1 if its score is positive, else 0.
pub(super) fn one_class(call: &mut Call<'_>, z: TensorId, labels: &Labels, transform: Transform) -> Outputs {
    let holds = exceeds(call, z, 0.0)?;
    let label = labels.truth(call, holds)?;
    let z = apply(call, transform, z)?;
    Ok(vec![label, call.as_output(1, z)?])
}
