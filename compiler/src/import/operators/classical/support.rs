//! Support vector machines.

use dnn_lib::operator as op;
use dnn_lib::tensor::DType;
use graph::TensorId;

use super::label::Labels;
use super::transform::{self, Transform};
use super::{Outputs, floats, single_examples};
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

type Output = Result<TensorId, NodeError>;

/// How an example is compared with a support vector.
enum Kernel {
    Linear,
    /// (gamma x v + coef0) to the power of the degree.
    Poly {
        gamma: f64,
        coef0: f64,
        degree: f64,
    },
    /// exp(-gamma |x - v|^2).
    Rbf {
        gamma: f64,
    },
    /// tanh(gamma x v + coef0).
    Sigmoid {
        gamma: f64,
        coef0: f64,
    },
}

impl Kernel {
    fn of(call: &Call<'_>) -> Result<Self, NodeError> {
        let parameters = floats(call, "kernel_params")?.unwrap_or_default();
        let [gamma, coef0, degree] = match parameters[..] {
            [] => [0.0; 3],
            [gamma, coef0, degree] => [gamma, coef0, degree],
            _ => {
                let found = format!("{} values", parameters.len());
                return Err(value_error("kernel_params", &found, "3: gamma, coef0, degree"));
            }
        };
        match call.string("kernel_type")?.as_deref() {
            None | Some("LINEAR") => Ok(Self::Linear),
            Some("POLY") => Ok(Self::Poly { gamma, coef0, degree }),
            Some("RBF") => Ok(Self::Rbf { gamma }),
            Some("SIGMOID") => Ok(Self::Sigmoid { gamma, coef0 }),
            Some(other) => Err(value_error("kernel_type", &other, "LINEAR, POLY, RBF, SIGMOID")),
        }
    }

    /// The kernel of each example and each vector: `[examples, vectors]`.
    fn apply(&self, call: &mut Call<'_>, x: TensorId, vectors: &[f64], count: u64) -> Output {
        let features = call.ty(x).shape[1];
        if vectors.len() as u128 != u128::from(count) * u128::from(features) {
            let supported = format!("{count} * {features}, for each vector one of each feature");
            return Err(value_error("support_vectors", &format!("{} values", vectors.len()), &supported));
        }
        let products = |call: &mut Call<'_>, alpha: f64, add: f64| {
            let vectors = transform::constant(call, "vectors", vectors, &[count, features], DType::F32);
            let mut inputs = vec![x, vectors];
            if add != 0.0 {
                inputs.push(transform::constant(call, "coef0", &[add], &[], DType::F32));
            }
            let product = op::Gemm { alpha: alpha as f32, beta: 1.0, trans_a: false, trans_b: true };
            call.step("products", product, &inputs)
        };
        match *self {
            Self::Linear => products(call, 1.0, 0.0),
            Self::Poly { gamma, coef0, degree } => {
                let product = products(call, gamma, coef0)?;
                power(call, product, degree)
            }
            Self::Sigmoid { gamma, coef0 } => {
                let product = products(call, gamma, coef0)?;
                call.step("kernel", op::Tanh, &[product])
            }
            Self::Rbf { gamma } => {
                let rows = call.ty(x).shape[0];
                let shape = vec![rows as i64, 1, features as i64];
                let x = call.step("rows", op::Reshape { shape, allow_zero: true }, &[x])?;
                let vectors =
                    transform::constant(call, "vectors", vectors, &[1, count, features], DType::F32);
                let apart = call.step("apart", op::Sub, &[x, vectors])?;
                let squares = op::ReduceSumSquare { axes: Some(vec![2]), keep_dims: false };
                let distance = call.step("distance", squares, &[apart])?;
                let gamma = transform::constant(call, "gamma", &[-gamma], &[], DType::F32);
                let scaled = call.step("scaled", op::Mul, &[gamma, distance])?;
                call.step("kernel", op::Exp, &[scaled])
            }
        }
    }
}

/// A power, by products if the exponent is 2 or 3.
fn power(call: &mut Call<'_>, x: TensorId, exponent: f64) -> Output {
    if exponent == 2.0 || exponent == 3.0 {
        let square = call.step("square", op::Mul, &[x, x])?;
        return if exponent == 2.0 { Ok(square) } else { call.step("cube", op::Mul, &[square, x]) };
    }
    let exponent = transform::constant(call, "degree", &[exponent], &[], DType::F32);
    call.step("power", op::Pow, &[x, exponent])
}

/// Inputs are `[examples, features]`; without support vectors, the coefficients are those of the features.
pub(super) fn regressor(call: &mut Call<'_>) -> Outputs {
    // There is one score, which no transformation changes.
    Transform::of(call)?;
    let one_class = call.int("one_class")?.unwrap_or(0) != 0;
    let count = call.size("n_supports")?;
    let coefficients = floats(call, "coefficients")?.unwrap_or_default();
    let rho = floats(call, "rho")?.unwrap_or_default();
    let &[rho] = &rho[..] else {
        return Err(value_error("rho", &format!("{} values", rho.len()), "one"));
    };
    let x = single_examples(call)?;
    let (kernels, weights) = if count > 0 {
        let vectors = floats(call, "support_vectors")?.unwrap_or_default();
        (Kernel::of(call)?.apply(call, x, &vectors, count)?, count)
    } else {
        (x, call.ty(x).shape[1])
    };
    if coefficients.len() as u64 != weights {
        let found = format!("{} values", coefficients.len());
        return Err(value_error("coefficients", &found, &weights.to_string()));
    }
    let coefficients = transform::constant(call, "coefficients", &coefficients, &[weights, 1], DType::F32);
    let rho = transform::constant(call, "rho", &[rho], &[1], DType::F32);
    let sum = op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
    let mut y = call.step("sum", sum, &[kernels, coefficients, rho])?;
    if one_class {
        let zero = transform::constant(call, "zero", &[0.0], &[], DType::F32);
        let inside = call.step("inside", op::Greater, &[y, zero])?;
        let [yes, no] = [1.0, -1.0].map(|side| transform::constant(call, "side", &[side], &[], DType::F32));
        y = call.step("side", op::Where, &[inside, yes, no])?;
    }
    Ok(vec![call.as_output(0, y)?])
}

/// The sizes of a classifier that compares pairs of classes.
struct Pairs {
    classes: usize,
    /// Where the vectors of each class begin, and where the last ones end.
    starts: Vec<u64>,
}

impl Pairs {
    /// All pairs, in order.
    fn all(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let classes = self.classes;
        (0..classes).flat_map(move |i| (i + 1..classes).map(move |j| (i, j)))
    }

    fn count(&self) -> u64 {
        (self.classes as u64 * (self.classes as u64).saturating_sub(1)) / 2
    }

    /// The coefficient of each vector in each comparison: `[vectors, pairs]`. They are given as
    /// `[classes - 1, vectors]`: the vectors of a class have one for each other class.
    fn weights(&self, coefficients: &[f64]) -> Vec<f64> {
        let vectors = self.starts[self.classes] as usize;
        let pairs = self.count() as usize;
        let mut weights = vec![0.0; vectors * pairs];
        for (pair, (i, j)) in self.all().enumerate() {
            for (of, row) in [(i, j - 1), (j, i)] {
                for vector in self.starts[of] as usize..self.starts[of + 1] as usize {
                    weights[vector * pairs + pair] = coefficients[row * vectors + vector];
                }
            }
        }
        weights
    }
}

/// Outputs: the classes and the scores, of the classes or, if there are neither probabilities nor two classes, of
/// the pairs of classes.
pub(super) fn classifier(call: &mut Call<'_>) -> Outputs {
    let labels = Labels::of(call, "classlabels_ints", "classlabels_strings")?;
    let transform = Transform::of(call)?;
    let coefficients = floats(call, "coefficients")?.unwrap_or_default();
    let rho = floats(call, "rho")?.unwrap_or_default();
    let per_class = call.sizes("vectors_per_class")?;
    let x = single_examples(call)?;
    if per_class.iter().all(|&count| count == 0) {
        return linear_classifier(call, x, &labels, transform, (&coefficients, &rho));
    }
    let classes = labels.len() as usize;
    if per_class.len() != classes {
        let supported = format!("{classes}, one for each class");
        return Err(value_error("vectors_per_class", &format!("{} values", per_class.len()), &supported));
    }
    let vectors = floats(call, "support_vectors")?.unwrap_or_default();
    let starts = per_class.iter().scan(0u64, |end, &count| {
        *end = end.saturating_add(count);
        Some(*end)
    });
    let pairs = Pairs { classes, starts: std::iter::once(0).chain(starts).collect() };
    let count = pairs.starts[classes];
    if coefficients.len() as u128 != u128::from(count) * (classes as u128).saturating_sub(1) {
        let supported = format!("{count} * {}, for each vector one of each other class", classes - 1);
        return Err(value_error("coefficients", &format!("{} values", coefficients.len()), &supported));
    }
    if classes < 2 || rho.len() as u64 != pairs.count() {
        let supported = format!("{}, one for each pair of classes", pairs.count());
        return Err(value_error("rho", &format!("{} values", rho.len()), &supported));
    }
    let kernels = Kernel::of(call)?.apply(call, x, &vectors, count)?;
    let weights = pairs.weights(&coefficients);
    let weights = transform::constant(call, "coefficients", &weights, &[count, pairs.count()], DType::F32);
    let rho = transform::constant(call, "rho", &rho, &[pairs.count()], DType::F32);
    let sum = op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
    let scores = call.step("pairs", sum, &[kernels, weights, rho])?;
    let label = voted(call, scores, &pairs, &labels)?;
    let (a, b) = (floats(call, "prob_a")?.unwrap_or_default(), floats(call, "prob_b")?.unwrap_or_default());
    for (name, list) in [("prob_a", &a), ("prob_b", &b)] {
        if !(a.is_empty() && b.is_empty()) && list.len() as u64 != pairs.count() {
            let supported = format!("{}, one for each pair of classes", pairs.count());
            return Err(value_error(name, &format!("{} values", list.len()), &supported));
        }
    }
    let z = if !a.is_empty() {
        let z = probabilities(call, scores, &pairs, [&a, &b])?;
        transform::apply(call, transform, z)?
    } else if classes == 2 {
        transform::refuse_probit(transform)?;
        transform::with_opposite(call, scores, transform, transform != Transform::None)?
    } else {
        transform::apply(call, transform, scores)?
    };
    Ok(vec![label, call.as_output(1, z)?])
}

/// The class with the most votes. A score above 0 is a vote for the first of a pair, any other for the second.
fn voted(call: &mut Call<'_>, scores: TensorId, pairs: &Pairs, labels: &Labels) -> Output {
    let zero = transform::constant(call, "zero", &[0.0], &[], DType::F32);
    let first = call.step("first", op::Greater, &[scores, zero])?;
    let first = call.step("first_votes", op::Cast { to: DType::F32 }, &[first])?;
    // A class has the votes for it as the first, and as the second all pairs less those for the other.
    let mut signs = vec![0.0; (pairs.count() as usize) * pairs.classes];
    for (pair, (i, j)) in pairs.all().enumerate() {
        signs[pair * pairs.classes + i] = 1.0;
        signs[pair * pairs.classes + j] = -1.0;
    }
    let as_second: Vec<f64> = (0..pairs.classes).map(|class| class as f64).collect();
    let classes = pairs.classes as u64;
    let signs = transform::constant(call, "signs", &signs, &[pairs.count(), classes], DType::F32);
    let as_second = transform::constant(call, "as_second", &as_second, &[classes], DType::F32);
    let sum = op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
    let votes = call.step("votes", sum, &[first, signs, as_second])?;
    labels.largest(call, votes)
}

/// The probabilities of classes, coupled of those of the pairs: `1 - sigmoid(a s + b)` is that of the first.
fn probabilities(call: &mut Call<'_>, scores: TensorId, pairs: &Pairs, [a, b]: [&[f64]; 2]) -> Output {
    let [a, b] = [a, b].map(|list| transform::constant(call, "fit", list, &[pairs.count()], DType::F32));
    let scaled = call.step("scaled", op::Mul, &[scores, a])?;
    let shifted = call.step("shifted", op::Add, &[scaled, b])?;
    let opposite = call.step("second", op::Sigmoid, &[shifted])?;
    let one = transform::constant(call, "one", &[1.0], &[], DType::F32);
    let first = call.step("odds", op::Sub, &[one, opposite])?;
    let least = 1e-7_f32;
    let limits = [least, 1.0 - least];
    let [least, most] =
        limits.map(|limit| transform::constant(call, "limit", &[limit.into()], &[], DType::F32));
    let first = call.step("limited", op::Clip { min: true, max: true }, &[first, least, most])?;
    call.step("coupled", op::CouplePairs { classes: pairs.classes as u64 }, &[first])
}

/// Without support vectors: a score for each class, of the features.
fn linear_classifier(
    call: &mut Call<'_>,
    x: TensorId,
    labels: &Labels,
    transform: Transform,
    (coefficients, rho): (&[f64], &[f64]),
) -> Outputs {
    let (classes, features) = (labels.len(), call.ty(x).shape[1]);
    if coefficients.len() as u128 != u128::from(classes) * u128::from(features) {
        let supported = format!("{classes} * {features}, for each class one of each feature");
        return Err(value_error("coefficients", &format!("{} values", coefficients.len()), &supported));
    }
    let &[rho, ..] = rho else { return Err(NodeError::MissingAttribute { attribute: "rho" }) };
    let weights = transform::constant(call, "coefficients", coefficients, &[classes, features], DType::F32);
    let rho = transform::constant(call, "rho", &[rho], &[], DType::F32);
    let product = op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
    let z = call.step("products", product, &[x, weights, rho])?;
    let label = if classes == 2 {
        // The second class wins if any score is large enough, else the larger one.
        let largest = op::ReduceMax { axes: Some(vec![1]), keep_dims: true };
        let most = call.step("most", largest, &[z])?;
        let positive = coefficients.iter().all(|&coefficient| coefficient >= 0.0);
        // 0.5 counts too; what exceeds the float before it is 0.5 at least.
        let limit = if positive { f64::from(0.5_f32.next_down()) } else { 0.0 };
        let above = transform::exceeds(call, most, limit)?;
        let [first, second] = [transform::column(call, z, 0)?, transform::column(call, z, 1)?];
        let larger = call.step("larger", op::Greater, &[second, first])?;
        let larger =
            call.step("larger_flat", op::Reshape { shape: vec![-1], allow_zero: false }, &[larger])?;
        let second = call.step("second", op::Or, &[above, larger])?;
        labels.second(call, second)?
    } else {
        labels.largest(call, z)?
    };
    let z = transform::apply(call, transform, z)?;
    Ok(vec![label, call.as_output(1, z)?])
}
