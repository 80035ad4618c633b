//! Steps of optimizers, of the domain ai.onnx.preview.training. Each formula is computed in the order in which the
//! specification writes it, in the type of the tensors; every operation rounds once.

use dnn_lib::operator as op;
use dnn_lib::operator::Operator;
use dnn_lib::tensor::DType;
use graph::TensorId;

use super::{ANY, OnnxOperator};
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// The name of the domain.
pub(super) const DOMAIN: &str = "ai.onnx.preview.training";

/// What to do about a Gradient.
pub(super) const INSTEAD_OF_GRADIENT: &str = "; write the gradient as nodes of the model: export the graph of the backward \
     pass too, as onnxruntime's training artifacts do";

#[rustfmt::skip]
pub(super) const TABLE: &[OnnxOperator] = &[
    OnnxOperator { name: "Adagrad", since: 1, inputs: 5..=ANY, attributes: &["decay_factor", "epsilon", "norm_coefficient"], import: adagrad },
    OnnxOperator { name: "Adam", since: 1, inputs: 6..=ANY, attributes: &["alpha", "beta", "epsilon", "norm_coefficient", "norm_coefficient_post"], import: adam },
    OnnxOperator { name: "Momentum", since: 1, inputs: 5..=ANY, attributes: &["alpha", "beta", "mode", "norm_coefficient"], import: momentum },
];

/// One tensor that is optimized, and what belongs to it.
struct Step<'a, 'b> {
    call: &'a mut Call<'b>,
    dtype: DType,
    /// The tensor, its gradient, and what is kept of gradients.
    tensors: Vec<TensorId>,
    /// The learning rate and the number of updates, as numbers of its type.
    rate: TensorId,
    updates: TensorId,
}

impl Step<'_, '_> {
    fn add(&mut self, operator: impl Into<Operator>, inputs: &[TensorId]) -> Result<TensorId, NodeError> {
        self.call.step("step", operator, inputs)
    }

    fn number(&mut self, value: f32) -> TensorId {
        self.call.number("number", value, self.dtype)
    }

    fn scaled(&mut self, factor: f32, x: TensorId) -> Result<TensorId, NodeError> {
        let factor = self.number(factor);
        self.add(op::Mul, &[factor, x])
    }

    /// norm_coefficient * X + G.
    fn gradient(&mut self) -> Result<TensorId, NodeError> {
        let norm = self.call.float("norm_coefficient")?.unwrap_or(0.0);
        let regularized = self.scaled(norm, self.tensors[0])?;
        self.add(op::Add, &[regularized, self.tensors[1]])
    }

    /// One thing if there was an update before, and another if not.
    fn if_updated(&mut self, then: TensorId, otherwise: TensorId) -> Result<TensorId, NodeError> {
        let zero = self.number(0.0);
        let updated = self.add(op::Greater, &[self.updates, zero])?;
        self.add(op::Where, &[updated, then, otherwise])
    }

    /// sqrt(x) + epsilon.
    fn root(&mut self, x: TensorId) -> Result<TensorId, NodeError> {
        let epsilon = self.call.float("epsilon")?.unwrap_or(1e-6);
        let (root, epsilon) = (self.add(op::Sqrt, &[x])?, self.number(epsilon));
        self.add(op::Add, &[root, epsilon])
    }
}

/// Applies a step to each tensor; inputs: the rate, the number of updates, and for each of `kinds` kinds of tensors
/// all of the kind. The results of a step are the new tensors of all kinds but the gradients.
fn optimized(
    call: &mut Call<'_>,
    kinds: usize,
    step: fn(&mut Step<'_, '_>) -> Result<Vec<TensorId>, NodeError>,
) -> Result<Vec<TensorId>, NodeError> {
    let all = call.all()?;
    let (count, rest) = ((all.len() - 2) / kinds, (all.len() - 2) % kinds);
    if rest != 0 {
        let expected = format!("2 and {kinds} for each tensor that is optimized");
        return Err(NodeError::InputCount { found: all.len(), expected });
    }
    let mut outputs = vec![Vec::new(); kinds - 1];
    for number in 0..count {
        call.check_float(2 + number)?;
        let tensors: Vec<TensorId> = (0..kinds).map(|kind| all[2 + kind * count + number]).collect();
        let ty = call.ty(tensors[0]).clone();
        if let Some(kind) = tensors.iter().position(|&tensor| call.ty(tensor).shape != ty.shape) {
            let expected = format!("{:?}, as the tensor that is optimized", ty.shape);
            return Err(call.shape_error(2 + kind * count + number, expected));
        }
        let mut scalar = |name: &str, index: usize| {
            if call.ty(all[index]).elements() != Some(1) {
                return Err(call.shape_error(index, "one number"));
            }
            let one = call.reshaped(name, all[index], &[])?;
            call.cast(name, one, ty.dtype)
        };
        let (rate, updates) = (scalar("rate", 0)?, scalar("updates", 1)?);
        let mut one = Step { call: &mut *call, dtype: ty.dtype, tensors, rate, updates };
        outputs.iter_mut().zip(step(&mut one)?).for_each(|(outputs, new)| outputs.push(new));
    }
    let outputs = outputs.concat().into_iter().enumerate();
    outputs.map(|(index, new)| call.as_output(index, new)).collect()
}

fn adagrad(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    optimized(call, 3, |step| {
        let decay = step.call.float("decay_factor")?.unwrap_or(0.0);
        let (one, decay) = (step.number(1.0), step.scaled(decay, step.updates)?);
        let divisor = step.add(op::Add, &[one, decay])?;
        let rate = step.add(op::Div, &[step.rate, divisor])?;
        let gradient = step.gradient()?;
        let square = step.add(op::Mul, &[gradient, gradient])?;
        let squares = step.add(op::Add, &[step.tensors[2], square])?;
        let root = step.root(squares)?;
        let change = step.add(op::Mul, &[rate, gradient])?;
        let change = step.add(op::Div, &[change, root])?;
        Ok(vec![step.add(op::Sub, &[step.tensors[0], change])?, squares])
    })
}

/// alpha^T and beta^T are those of Pow in binary32, of T rounded to it.
fn adam(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    optimized(call, 4, |step| {
        let alpha = step.call.float("alpha")?.unwrap_or(0.9);
        let beta = step.call.float("beta")?.unwrap_or(0.999);
        let gradient = step.gradient()?;
        let (old, new) = (step.scaled(alpha, step.tensors[2])?, step.scaled(1.0 - alpha, gradient)?);
        let mean = step.add(op::Add, &[old, new])?;
        let (old, new) = (step.scaled(beta, step.tensors[3])?, step.scaled(1.0 - beta, gradient)?);
        let new = step.add(op::Mul, &[new, gradient])?;
        let squares = step.add(op::Add, &[old, new])?;
        let root = step.root(squares)?;

        let (one, exponent) = (step.number(1.0), step.call.cast("exponent", step.updates, DType::F32)?);
        let mut unknown = |base: f32| {
            let base = step.call.number("base", base, DType::F32);
            let power = step.add(op::Pow, &[base, exponent])?;
            let power = step.call.cast("power", power, step.dtype)?;
            step.add(op::Sub, &[one, power])
        };
        let (of_squares, of_mean) = (unknown(beta)?, unknown(alpha)?);
        let factor = step.add(op::Sqrt, &[of_squares])?;
        let adjusted = step.add(op::Mul, &[step.rate, factor])?;
        let adjusted = step.add(op::Div, &[adjusted, of_mean])?;
        let adjusted = step.if_updated(adjusted, step.rate)?;

        let change = step.add(op::Mul, &[adjusted, mean])?;
        let change = step.add(op::Div, &[change, root])?;
        let mut x = step.add(op::Sub, &[step.tensors[0], change])?;
        let post = step.call.float("norm_coefficient_post")?.unwrap_or(0.0);
        if post != 0.0 {
            x = step.scaled(1.0 - post, x)?;
        }
        Ok(vec![x, mean, squares])
    })
}

fn momentum(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    optimized(call, 3, |step| {
        let required = |name: &'static str| {
            step.call.float(name)?.ok_or(NodeError::MissingAttribute { attribute: name })
        };
        let (alpha, beta) = (required("alpha")?, required("beta")?);
        required("norm_coefficient")?;
        let nesterov = match step.call.string("mode")?.as_deref() {
            Some("nesterov") => true,
            Some("standard") => false,
            Some(found) => return Err(value_error("mode", &found, "nesterov, standard")),
            None => return Err(NodeError::MissingAttribute { attribute: "mode" }),
        };
        let gradient = step.gradient()?;
        let (beta, one) = (step.number(beta), step.number(1.0));
        let beta = step.if_updated(beta, one)?;
        let (old, new) = (step.scaled(alpha, step.tensors[2])?, step.add(op::Mul, &[beta, gradient])?);
        let momentum = step.add(op::Add, &[old, new])?;
        let mut direction = momentum;
        if nesterov {
            let ahead = step.scaled(alpha, momentum)?;
            direction = step.add(op::Add, &[gradient, ahead])?;
        }
        let change = step.add(op::Mul, &[step.rate, direction])?;
        Ok(vec![step.add(op::Sub, &[step.tensors[0], change])?, momentum])
    })
}
