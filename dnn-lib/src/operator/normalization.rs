//! Normalization with given statistics, or with those of the row.

use crate::definition::{Affine, Builder, Over, Source};
use crate::layout::broadcast_shape;
use crate::operator::error::{
    FLOATS, SINGLES, check_attribute, check_dtype, check_shape, resolve_axes, resolve_axis, same_dtype,
};
use crate::operator::norm::{power, root, term};
use crate::operator::{Meaning, Outputs, Problem, Semantics};
use crate::scalar::{BinaryOp, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// Y = (X - mean) * (scale / sqrt(variance + epsilon)) + B, for each channel (dimension 1). The last product
/// and sum are one fused multiply-add.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormalization {
    /// The constant added to the variance.
    pub epsilon: f32,
}

impl Semantics for BatchNormalization {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_dtype(inputs, 0, FLOATS)?;
        let shape = &inputs[0].shape;
        check_shape(inputs, 0, shape.len() >= 2, || "must have the form [N, C, ...]".to_owned())?;
        let others = if inputs[0].dtype == DType::F64 { &[DType::F64] } else { SINGLES };
        for input in 1..inputs.len() {
            check_dtype(inputs, input, others)?;
            check_shape(inputs, input, inputs[input].shape == [shape[1]], || {
                format!("must be [{}]: one for each channel", shape[1])
            })?;
        }
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("batchnormalization", inputs, output);
        b.rows_along(2..output.shape.len());
        let [scale, variance] = [1, 4].map(|input| b.load(Source::Input(input), [b.at(1)]));
        let deviation = deviation(&mut b, output.dtype, variance, self.epsilon);
        let factor = b.div(scale, deviation);
        let factor = b.stage(factor);
        let (bias, mean) = (b.load(Source::Input(2), [b.at(1)]), b.load(Source::Input(3), [b.at(1)]));
        let (x, factor) = (b.broadcast(0), b.of_row(factor));
        let centred = b.sub(x, mean);
        let y = b.fma(centred, factor, bias);
        Ok(b.finish(y)?.into())
    }
}

/// (X - mean) / sqrt(variance + epsilon) * scale + B, with the mean and the variance over the dimensions from
/// an axis on; inputs: X, scale, optionally B, which are broadcast to X. Further outputs: the means, and the
/// reciprocals of the deviations.
///
/// Both sums are in 16 lanes. The variance is the mean of the squares of X - mean. X - mean is multiplied by
/// the reciprocal of the deviation; the product with the scale and the sum with B are one fused multiply-add.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNormalization {
    /// The first normalized dimension; a negative one counts from the end.
    pub axis: i64,
    /// The constant added to the variance.
    pub epsilon: f32,
}

/// As [`LayerNormalization`], over each group of channels (dimension 1) with all that follows; inputs: X,
/// scale and B, with one element for each channel or for each group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNormalization {
    /// The number of groups.
    pub groups: u64,
    /// The constant added to the variance.
    pub epsilon: f32,
}

/// A [`GroupNormalization`] in which every channel is a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceNormalization {
    /// The constant added to the variance.
    pub epsilon: f32,
}

/// X / sqrt(mean of X * X + epsilon) * scale, with the mean over the dimensions from an axis on; inputs: X,
/// scale, which is broadcast to X. The sum is in 16 lanes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RMSNormalization {
    /// The first normalized dimension; a negative one counts from the end.
    pub axis: i64,
    /// The constant added to the mean.
    pub epsilon: f32,
}

/// (X - mean) / (sqrt(mean of X * X - mean * mean) + 1e-9), with means over some axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeanVarianceNormalization {
    /// The axes; negative ones count from the end.
    pub axes: Vec<i64>,
}

/// X divided by the norm along an axis: the sum of magnitudes, or the root of the sum of squares, in 16
/// lanes. 0 where the norm is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LpNormalization {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
    /// The norm: 1 or 2.
    pub p: i64,
}

/// X / (bias + alpha / size * sum)^beta, with the sum of the squares of the channels (dimension 1) around
/// each one: as many before it as after it, or one more after it. The sum has one accumulator from +0 and
/// takes the channels in order, with fused multiply-adds. The power is that of Pow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LRN {
    /// The number of channels of a sum.
    pub size: u64,
    /// The factor of the sum.
    pub alpha: f32,
    /// The exponent.
    pub beta: f32,
    /// What is added to the sum.
    pub bias: f32,
}

impl Semantics for LRN {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        same_dtype(inputs, FLOATS)?;
        check_shape(inputs, 0, inputs[0].shape.len() >= 2, || "must have the form [N, C, ...]".to_owned())?;
        check_attribute("size", self.size, (1..1 << 30).contains(&self.size), || {
            "must be 1 to 2^30".to_owned()
        })?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("lrn", inputs, output);
        let (zero, start) = (float(&mut b, output.dtype, 0.0), b.at(1) - ((self.size - 1) / 2) as i64);
        let channels = Over::window(self.size, start.clone(), 1, output.shape[1]);
        let sum = b.fold([channels], &[zero], |b, k, sum| {
            let mut at = b.indices();
            at[1] = start.clone() + k[0].clone();
            let x = b.load(Source::Input(0), at);
            vec![b.fma(x, x, sum[0])]
        });
        let (alpha, ty) = (self.alpha / self.size as f32, output.dtype);
        let (factor, bias) = (float(&mut b, ty, alpha), float(&mut b, ty, self.bias));
        let sum = b.fma(factor, sum[0], bias);
        let power = power(&mut b, sum, self.beta.into());
        let x = b.broadcast(0);
        let y = b.div(x, power);
        Ok(b.finish(y)?.into())
    }
}

/// Checks X, and that the other inputs are broadcast to it.
fn broadcast_to_first(inputs: &[TensorType], axis: i64) -> Result<(), Problem> {
    same_dtype(inputs, FLOATS)?;
    let shape = &inputs[0].shape;
    resolve_axis(axis, shape.len())?;
    for input in 1..inputs.len() {
        let own = &inputs[input].shape;
        let fits = broadcast_shape(own, shape).as_ref() == Some(shape);
        check_shape(inputs, input, fits, || format!("must be broadcast to {shape:?}"))?;
    }
    Ok(())
}

/// Loads an element of the row of X, by its index in the row.
type Element<'a> = &'a dyn Fn(&mut Builder, &[Affine]) -> Value;

/// The element of X whose indices along the row, which are trailing ones, are given.
fn trailing(axis: usize) -> impl Fn(&mut Builder, &[Affine]) -> Value {
    move |b, k| {
        let at = [&b.indices()[..axis], k].concat();
        b.load(Source::Input(0), at)
    }
}

/// The mean of something of the elements of a row.
fn mean(
    b: &mut Builder,
    ty: Type,
    sizes: &[u64],
    value: impl FnOnce(&mut Builder, &[Affine]) -> Value,
) -> Value {
    let (zero, n) = (b.number(ty, 0), b.number(ty, sizes.iter().product::<u64>() as i64));
    let sum = b.in_lanes(BinaryOp::Add, sizes.iter().copied(), zero, value);
    b.div(sum, n)
}

/// The stages of a row with its mean and the reciprocal of its deviation.
fn moments(b: &mut Builder, dtype: DType, sizes: &[u64], x: Element<'_>, epsilon: f32) -> [Source; 2] {
    let ty = Type::of(dtype);
    let first = mean(b, ty, sizes, |b, k| x(b, k));
    let first = b.stage(first);
    let m = b.of_row(first);
    let variance = mean(b, ty, sizes, |b, k| {
        let x = x(b, k);
        let centred = b.sub(x, m);
        b.mul(centred, centred)
    });
    let one = b.number(ty, 1);
    let deviation = deviation(b, dtype, variance, epsilon);
    let factor = b.div(one, deviation);
    [first, b.stage(factor)]
}

/// (x - mean) * factor.
fn normal(b: &mut Builder, x: Value, [mean, factor]: [Source; 2]) -> Value {
    let (mean, factor) = (b.of_row(mean), b.of_row(factor));
    let centred = b.sub(x, mean);
    b.mul(centred, factor)
}

impl Outputs for LayerNormalization {
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Problem> {
        broadcast_to_first(inputs, self.axis)?;
        let x = &inputs[0];
        let axis = resolve_axis(self.axis, x.shape.len())?;
        let sizes = x.shape.iter().enumerate().map(|(place, &size)| if place < axis { size } else { 1 });
        // Statistics are not rounded to halves.
        let statistics = TensorType::new(Type::of(x.dtype).dtype(), sizes.collect::<Vec<_>>());
        Ok(vec![x.clone(), statistics.clone(), statistics])
    }

    fn define(
        &self,
        inputs: &[TensorType],
        outputs: &[TensorType],
        index: usize,
    ) -> Result<Meaning, Problem> {
        let (x, output) = (&inputs[0], &outputs[index]);
        let axis = resolve_axis(self.axis, x.shape.len())?;
        let mut b = Builder::new("layernormalization", inputs, output);
        b.rows_along(axis..x.shape.len());
        let stages = moments(&mut b, x.dtype, &x.shape[axis..], &trailing(axis), self.epsilon);
        if let 1 | 2 = index {
            let statistic = b.of_row(stages[index - 1]);
            return Ok(b.finish(statistic)?.into());
        }
        let (x, scale) = (b.broadcast(0), b.broadcast(1));
        let normal = normal(&mut b, x, stages);
        let y = match inputs.len() {
            2 => b.mul(normal, scale),
            _ => {
                let bias = b.broadcast(2);
                b.fma(normal, scale, bias)
            }
        };
        Ok(b.finish(y)?.into())
    }
}

impl GroupNormalization {
    fn check(&self, inputs: &[TensorType]) -> Result<(), Problem> {
        same_dtype(inputs, FLOATS)?;
        let (shape, groups) = (&inputs[0].shape, self.groups);
        check_shape(inputs, 0, shape.len() >= 2, || "must have the form [N, C, ...]".to_owned())?;
        let channels = shape[1];
        check_attribute("num_groups", groups, groups > 0 && channels.is_multiple_of(groups), || {
            format!("must divide the {channels} channels")
        })?;
        for input in 1..inputs.len() {
            let own = &inputs[input].shape;
            check_shape(inputs, input, *own == [channels] || *own == [groups], || {
                format!("must be [{channels}], one for each channel, or [{groups}], one for each group")
            })?;
        }
        Ok(())
    }
}

impl Semantics for GroupNormalization {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        self.check(inputs)?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        // The same bytes, with groups as a dimension of their own.
        let (shape, groups) = (&output.shape, self.groups);
        let seen = |shape: &[u64]| TensorType::new(output.dtype, shape);
        let own = [shape[0], groups, shape[1] / groups, shape[2..].iter().product()];
        let x = seen(&own);
        let channels = |ty: &TensorType| seen(&[groups, ty.shape[0] / groups]);
        let types = [x.clone(), channels(&inputs[1]), channels(&inputs[2])];
        let mut b = Builder::new("groupnormalization", &types, &x);
        b.rows_along([2, 3]);
        let stages = moments(&mut b, output.dtype, &own[2..], &trailing(2), self.epsilon);
        let at = [1, 2].map(|input| {
            let channel = if types[input].shape[1] == 1 { Affine::from(0) } else { b.at(2) };
            [b.at(1), channel]
        });
        let (x, [scale, bias]) = (b.broadcast(0), at);
        let (scale, bias) = (b.load(Source::Input(1), scale), b.load(Source::Input(2), bias));
        let normal = normal(&mut b, x, stages);
        let y = b.fma(normal, scale, bias);
        Ok(b.finish(y)?.into())
    }
}

impl InstanceNormalization {
    fn grouped(&self, inputs: &[TensorType]) -> GroupNormalization {
        let groups = inputs[0].shape.get(1).copied().unwrap_or(0).max(1);
        GroupNormalization { groups, epsilon: self.epsilon }
    }
}

impl Semantics for InstanceNormalization {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        Semantics::infer(&self.grouped(inputs), inputs)
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        Semantics::define(&self.grouped(inputs), inputs, output)
    }
}

impl Semantics for RMSNormalization {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        broadcast_to_first(inputs, self.axis)?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let (shape, ty) = (&output.shape, Type::of(output.dtype));
        let axis = resolve_axis(self.axis, shape.len())?;
        let mut b = Builder::new("rmsnormalization", inputs, output);
        b.rows_along(axis..shape.len());
        let square = mean(&mut b, ty, &shape[axis..], |b, k| {
            let x = trailing(axis)(b, k);
            b.mul(x, x)
        });
        let root = deviation(&mut b, output.dtype, square, self.epsilon);
        let root = b.stage(root);
        let (x, root, scale) = (b.broadcast(0), b.of_row(root), b.broadcast(1));
        let normal = b.div(x, root);
        let y = b.mul(normal, scale);
        Ok(b.finish(y)?.into())
    }
}

/// The element of X at these indices along some axes, and at the row's along the others.
fn along(axes: &[usize]) -> impl Fn(&mut Builder, &[Affine]) -> Value {
    move |b, k| {
        let mut at = b.indices();
        axes.iter().zip(k).for_each(|(&axis, index)| at[axis] = index.clone());
        b.load(Source::Input(0), at)
    }
}

impl Semantics for MeanVarianceNormalization {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        same_dtype(inputs, FLOATS)?;
        resolve_axes(&self.axes, inputs[0].shape.len())?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let (shape, ty) = (&output.shape, Type::of(output.dtype));
        let axes = resolve_axes(&self.axes, shape.len())?;
        let sizes: Vec<u64> = axes.iter().map(|&axis| shape[axis]).collect();
        let mut b = Builder::new("meanvariancenormalization", inputs, output);
        b.rows_along(axes.iter().copied());
        let first = mean(&mut b, ty, &sizes, |b, k| along(&axes)(b, k));
        let first = b.stage(first);
        let square = mean(&mut b, ty, &sizes, |b, k| {
            let x = along(&axes)(b, k);
            b.mul(x, x)
        });
        let m = b.of_row(first);
        let mm = b.mul(m, m);
        let variance = b.sub(square, mm);
        let deviation = b.sqrt(variance);
        let epsilon = float(&mut b, output.dtype, 1e-9);
        let deviation = b.add(deviation, epsilon);
        let deviation = b.stage(deviation);
        let (x, m, deviation) = (b.broadcast(0), b.of_row(first), b.of_row(deviation));
        let centred = b.sub(x, m);
        let y = b.div(centred, deviation);
        Ok(b.finish(y)?.into())
    }
}

impl Semantics for LpNormalization {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        same_dtype(inputs, FLOATS)?;
        resolve_axis(self.axis, inputs[0].shape.len())?;
        check_attribute("p", self.p, matches!(self.p, 1 | 2), || "must be 1 or 2".to_owned())?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let (shape, ty) = (&output.shape, Type::of(output.dtype));
        let axis = resolve_axis(self.axis, shape.len())?;
        let mut b = Builder::new("lpnormalization", inputs, output);
        b.rows_along([axis]);
        let zero = b.number(ty, 0);
        let sum = b.in_lanes(BinaryOp::Add, [shape[axis]], zero, |b, k| {
            let x = along(&[axis])(b, k);
            term(b, x, self.p)
        });
        let norm = root(&mut b, sum, self.p);
        let norm = b.stage(norm);
        let (x, norm, zero) = (b.broadcast(0), b.of_row(norm), b.number(ty, 0));
        let (quotient, none) = (b.div(x, norm), b.eq(norm, zero));
        let y = b.select(none, zero, quotient);
        Ok(b.finish(y)?.into())
    }
}

/// A float in the type in which elements are computed.
fn float(b: &mut Builder, dtype: DType, x: f32) -> Value {
    if dtype == DType::F64 { b.f64(x.into()) } else { b.f32(x) }
}

/// sqrt(variance + epsilon).
fn deviation(b: &mut Builder, dtype: DType, variance: Value, epsilon: f32) -> Value {
    let epsilon = float(b, dtype, epsilon);
    let variance = b.add(variance, epsilon);
    b.sqrt(variance)
}
