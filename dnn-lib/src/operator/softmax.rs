//! Softmax and its relatives.

use crate::definition::{Affine, Builder, Source};
use crate::math::Function;
use crate::operator::error::{FLOATS, resolve_axis, same_dtype};
use crate::operator::reduction::{first_of, is_larger};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{BinaryOp, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// The type of the output: that of the input, which has the axis.
fn like_input(inputs: &[TensorType], axis: i64, dtypes: &[DType]) -> Result<TensorType, Problem> {
    same_dtype(inputs, dtypes)?;
    resolve_axis(axis, inputs[0].shape.len())?;
    Ok(inputs[0].clone())
}

/// The input's element with another index along an axis.
fn element(b: &mut Builder, axis: usize, index: &Affine) -> Value {
    let mut at = b.indices();
    at[axis] = index.clone();
    b.load(Source::Input(0), at)
}

/// exp(x - max) / sum of exp(x - max), along an axis. The exponentials are summed in 16 lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
}

impl Semantics for Softmax {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        like_input(inputs, self.axis, FLOATS)
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let axis = resolve_axis(self.axis, output.shape.len())?;
        let (size, ty) = (output.shape[axis], Type::of(output.dtype));
        let mut b = Builder::new("softmax", inputs, output);
        b.rows_along([axis]);
        let lowest = b.real(ty, f64::NEG_INFINITY);
        let max = b.in_lanes(BinaryOp::Max, [size], lowest, |b, k| element(b, axis, &k[0]));
        let max = b.stage(max);
        let (x, max) = (b.broadcast(0), b.of_row(max));
        let x = b.sub(x, max);
        let exponential = b.call(Function::Exp, x);
        let exponential = b.row_stage(exponential);
        let zero = b.real(ty, 0.0);
        let sum = b.in_lanes(BinaryOp::Add, [size], zero, |b, k| b.load(exponential, [k[0].clone()]));
        let sum = b.stage(sum);
        let (e, sum) = (b.load(exponential, [b.at(axis)]), b.of_row(sum));
        let y = b.div(e, sum);
        Ok(b.finish(y)?.into())
    }
}

/// x - max - log(sum of exp(x - max)), along an axis. The sum is in 16 lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSoftmax {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
}

impl Semantics for LogSoftmax {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        like_input(inputs, self.axis, FLOATS)
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let axis = resolve_axis(self.axis, output.shape.len())?;
        let (size, ty) = (output.shape[axis], Type::of(output.dtype));
        let mut b = Builder::new("logsoftmax", inputs, output);
        b.rows_along([axis]);
        let lowest = b.real(ty, f64::NEG_INFINITY);
        let max = b.in_lanes(BinaryOp::Max, [size], lowest, |b, k| element(b, axis, &k[0]));
        let max = b.stage(max);
        let (m, zero) = (b.of_row(max), b.real(ty, 0.0));
        let sum = b.in_lanes(BinaryOp::Add, [size], zero, |b, k| {
            let x = element(b, axis, &k[0]);
            let x = b.sub(x, m);
            b.call(Function::Exp, x)
        });
        let log = b.call(Function::Log, sum);
        let log = b.stage(log);
        let (x, m, log) = (b.broadcast(0), b.of_row(max), b.of_row(log));
        let x = b.sub(x, m);
        let y = b.sub(x, log);
        Ok(b.finish(y)?.into())
    }
}

/// 1 at the first of the largest values along an axis, and 0 elsewhere. A NaN is larger than all numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardmax {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
}

impl Semantics for Hardmax {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        like_input(inputs, self.axis, FLOATS)
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let axis = resolve_axis(self.axis, output.shape.len())?;
        let mut b = Builder::new("hardmax", inputs, output);
        b.rows_along([axis]);
        let first = first_of(&mut b, output.dtype, output.shape[axis], (is_larger, false), |b, k| {
            element(b, axis, k)
        });
        let first = b.stage(first);
        let (first, own) = (b.of_row(first), b.index(b.at(axis)));
        let [zero, one] = [0, 1].map(|x| b.number(Type::of(output.dtype), x));
        let largest = b.eq(first, own);
        let y = b.select(largest, one, zero);
        Ok(b.finish(y)?.into())
    }
}
