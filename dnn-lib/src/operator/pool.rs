//! Pooling: reductions over a sliding window.

use crate::definition::{Affine, Builder, Over, Source};
use crate::operator::error::{FLOATS, check_shape, numbers, same_dtype};
use crate::operator::window::Axis;
use crate::operator::{Meaning, Problem, Semantics, Window};
use crate::scalar::{Const, Conversion, Expr, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// The maximum over a window. The padding does not count, and a NaN in the window gives a NaN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// The size of the window.
    pub kernel: Vec<u64>,
    /// How it moves.
    pub window: Window,
    /// Whether a last window that is only partly inside the input gives an output.
    pub ceil_mode: bool,
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

    /// A fold over the window.
    fn define(
        &self,
        b: &mut Builder,
        init: Value,
        step: impl FnOnce(&mut Builder, Value, Value) -> Value,
    ) -> Value {
        let o = b.indices();
        let over: Vec<Over> = self.axes.iter().zip(&o[2..]).map(|(axis, o)| axis.over(o.clone())).collect();
        let results = b.fold(over, &[init], |b, k, so_far| {
            let position = |((axis, o), k): ((&Axis, &Affine), &Affine)| axis.position(o.clone(), k.clone());
            let positions = self.axes.iter().zip(&o[2..]).zip(k).map(position);
            let at = [o[0].clone(), o[1].clone()].into_iter().chain(positions);
            let x = b.load(Source::Input(0), at.collect::<Vec<_>>());
            vec![step(b, so_far[0], x)]
        });
        results[0]
    }
}

/// The lowest value of a type.
fn least(b: &mut impl Ops, dtype: DType) -> Value {
    b.define(Expr::Const(match Type::of(dtype) {
        Type::F32 => Const::F32(f32::NEG_INFINITY.to_bits()),
        Type::F64 => Const::F64(f64::NEG_INFINITY.to_bits()),
        Type::I64 => Const::I64(if dtype == DType::I64 { i64::MIN } else { 0 }),
        Type::I32 | Type::Bool => Const::I32(match dtype {
            DType::I8 => i8::MIN.into(),
            DType::I16 => i16::MIN.into(),
            DType::I32 => i32::MIN,
            _ => 0,
        }),
    }))
}

impl MaxPool {
    fn pool(&self, inputs: &[TensorType]) -> Result<Pool, Problem> {
        pool(inputs, &numbers(), &self.kernel, &self.window, self.ceil_mode)
    }
}

impl Semantics for MaxPool {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        Ok(self.pool(inputs)?.output(&inputs[0]))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let pool = self.pool(inputs)?;
        let mut b = Builder::new("maxpool", inputs, output);
        let init = least(&mut b, pool.dtype);
        let max = pool.define(&mut b, init, |b, max, x| match output.dtype {
            DType::U32 | DType::U64 => b.max_u(max, x),
            _ => b.max(max, x),
        });
        Ok(b.finish(max)?.into())
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
        let sum = pool.define(&mut b, zero, |b, sum, x| b.add(sum, x));
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
        let mean = b.div(sum, count);
        Ok(b.finish(mean)?.into())
    }
}
