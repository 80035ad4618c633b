//! Pooling: reductions over a sliding window.

use crate::definition::{Affine, Builder, Over, Source};
use crate::layout::strides;
use crate::operator::error::{FLOATS, check_shape, numbers, same_dtype};
use crate::operator::norm::{check_norm, root, term};
use crate::operator::reduction::{is_larger, larger, lowest};
use crate::operator::window::Axis;
use crate::operator::{Meaning, Outputs, Problem, Semantics, Window};
use crate::scalar::{Conversion, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// The maximum over a window. The padding does not count, and a NaN in the window gives a NaN. The second
/// output says where it is in the input, as an index into all of its elements: the first of equal ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// The size of the window.
    pub kernel: Vec<u64>,
    /// How it moves.
    pub window: Window,
    /// Whether a last window that is only partly inside the input gives an output.
    pub ceil_mode: bool,
    /// Whether the indices count elements of an image column by column, its first dimension fastest.
    pub column_major: bool,
}

/// The mean over a window: the sum in row-major order with one accumulator from +0, divided by the count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AveragePool {
    /// The size of the window.
    pub kernel: Vec<u64>,
    /// How it moves.
    pub window: Window,
    /// Whether a last window that is only partly inside the input gives an output.
    pub ceil_mode: bool,
    /// Whether positions in the padding count (as 0).
    pub count_include_pad: bool,
}

/// The norm of a window, with one accumulator from +0 in row-major order. The padding does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LpPool {
    /// The size of the window.
    pub kernel: Vec<u64>,
    /// How it moves.
    pub window: Window,
    /// Whether a last window that is only partly inside the input gives an output.
    pub ceil_mode: bool,
    /// The power of which the root is taken in the end.
    pub p: i64,
}

/// A pooling operator with all sizes known.
struct Pool {
    dtype: DType,
    axes: Vec<Axis>,
}

fn pool(
    inputs: &[TensorType],
    accepted: &[DType],
    kernel: &[u64],
    window: &Window,
    ceil_mode: bool,
) -> Result<Pool, Problem> {
    let dtype = same_dtype(inputs, accepted)?;
    let shape = &inputs[0].shape;
    check_shape(inputs, 0, shape.len() >= 3, || "must have the form [N, C, D1, ...]".to_owned())?;
    Ok(Pool { dtype, axes: window.axes(&shape[2..], kernel, ceil_mode)? })
}

impl Pool {
    fn output(&self, input: &TensorType) -> TensorType {
        let mut shape = input.shape[..2].to_vec();
        shape.extend(self.axes.iter().map(|axis| axis.output));
        TensorType::new(self.dtype, shape)
    }

    /// A fold over the window. It is given the position, the values so far, and the element.
    fn define(
        &self,
        b: &mut Builder,
        init: &[Value],
        step: impl FnOnce(&mut Builder, &[Affine], &[Value], Value) -> Vec<Value>,
    ) -> Vec<Value> {
        let o = b.indices();
        let over: Vec<Over> = self.axes.iter().zip(&o[2..]).map(|(axis, o)| axis.over(o.clone())).collect();
        b.fold(over, init, |b, k, so_far| {
            let position = |((axis, o), k): ((&Axis, &Affine), &Affine)| axis.position(o.clone(), k.clone());
            let positions: Vec<Affine> = self.axes.iter().zip(&o[2..]).zip(k).map(position).collect();
            let x = b.load(Source::Input(0), [&o[..2], &positions].concat());
            step(b, &positions, so_far, x)
        })
    }
}

impl MaxPool {
    fn pool(&self, inputs: &[TensorType]) -> Result<Pool, Problem> {
        pool(inputs, &numbers(), &self.kernel, &self.window, self.ceil_mode)
    }
}

impl Outputs for MaxPool {
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Problem> {
        let values = self.pool(inputs)?.output(&inputs[0]);
        let indices = TensorType::new(DType::I64, values.shape.clone());
        Ok(vec![values, indices])
    }

    fn define(
        &self,
        inputs: &[TensorType],
        outputs: &[TensorType],
        index: usize,
    ) -> Result<Meaning, Problem> {
        let pool = self.pool(inputs)?;
        let mut b = Builder::new("maxpool", inputs, &outputs[index]);
        if index == 1 {
            let place = self.places(&pool, &mut b, &inputs[0]);
            return Ok(b.finish(place)?.into());
        }
        let init = lowest(&mut b, pool.dtype);
        let op = larger(pool.dtype);
        let max = pool.define(&mut b, &[init], |b, _, max, x| vec![b.binary(op, max[0], x)]);
        Ok(b.finish(max[0])?.into())
    }
}

impl MaxPool {
    /// Where the first of the largest elements of the window is in the input. A NaN is larger than all
    /// numbers. A window that is entirely in the padding gives 0.
    fn places(&self, pool: &Pool, b: &mut Builder, input: &TensorType) -> Value {
        let spatial = &input.shape[2..];
        let own = if self.column_major {
            let mut strides = vec![1u64; spatial.len()];
            (1..spatial.len()).for_each(|axis| strides[axis] = strides[axis - 1] * spatial[axis - 1]);
            strides
        } else {
            strides(spatial)
        };
        let image: u64 = spatial.iter().product();
        let before = (b.at(0) * input.shape[1] as i64 + b.at(1)) * image as i64;
        let (init, none) = (lowest(b, pool.dtype), b.i64(0));
        let place = b.i64(-1);
        let found = pool.define(b, &[init, place], |b, at, so_far, x| {
            let terms = at.iter().zip(&own).map(|(index, &stride)| index.clone() * stride as i64);
            let place = terms.fold(before.clone(), |sum, term| sum + term);
            let place = b.index(place);
            // The first element counts even if it is the lowest of all numbers.
            let (larger, zero) = (is_larger(b, pool.dtype, x, so_far[0]), b.i64(0));
            let first = b.lt(so_far[1], zero);
            let better = b.or(first, larger);
            vec![b.select(better, x, so_far[0]), b.select(better, place, so_far[1])]
        });
        b.max(found[1], none)
    }
}

impl AveragePool {
    fn pool(&self, inputs: &[TensorType]) -> Result<Pool, Problem> {
        pool(inputs, FLOATS, &self.kernel, &self.window, self.ceil_mode)
    }
}

impl Semantics for AveragePool {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        Ok(self.pool(inputs)?.output(&inputs[0]))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let pool = self.pool(inputs)?;
        let ty = Type::of(pool.dtype);
        let mut b = Builder::new("averagepool", inputs, output);
        let zero = b.number(ty, 0);
        let sum = pool.define(&mut b, &[zero], |b, _, sum, x| vec![b.add(sum[0], x)]);
        let count = if pool.axes.iter().all(|axis| axis.is_defined(self.count_include_pad)) {
            let count = pool.axes.iter().fold(1i64, |count, axis| count.wrapping_mul(axis.kernel as i64));
            b.number(ty, count)
        } else {
            let mut count = b.i64(1);
            for (axis, o) in pool.axes.iter().zip(b.indices().into_iter().skip(2)) {
                let along = axis.defined_count(&mut b, o, self.count_include_pad);
                count = b.mul(count, along);
            }
            b.convert(Conversion::IntToFloat, ty, count)
        };
        let mean = b.div(sum[0], count);
        Ok(b.finish(mean)?.into())
    }
}

impl LpPool {
    fn pool(&self, inputs: &[TensorType]) -> Result<Pool, Problem> {
        check_norm(self.p)?;
        pool(inputs, FLOATS, &self.kernel, &self.window, self.ceil_mode)
    }
}

impl Semantics for LpPool {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        Ok(self.pool(inputs)?.output(&inputs[0]))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let pool = self.pool(inputs)?;
        let mut b = Builder::new("lppool", inputs, output);
        let zero = b.number(Type::of(pool.dtype), 0);
        let sum = pool.define(&mut b, &[zero], |b, _, sum, x| {
            let x = term(b, x, self.p);
            vec![b.add(sum[0], x)]
        });
        let norm = root(&mut b, sum[0], self.p);
        Ok(b.finish(norm)?.into())
    }
}
