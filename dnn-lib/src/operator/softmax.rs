//! Softmax.

use crate::definition::{self, Affine, Source};
use crate::kernel::{BinaryOp, Builder, Ops, Value};
use crate::layout::dims;
use crate::math::Function;
use crate::operator::error::{resolve_axis, same_dtype};
use crate::operator::{Lowering, Meaning, Problem, Semantics};
use crate::reduction::sum;
use crate::tensor::{DType, TensorType};

/// exp(x - max) / sum of exp(x - max), along an axis. The exponentials are correctly rounded and summed in 16
/// lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
}

/// The operation at an address, with the carried values.
type Body<'a> = &'a mut dyn FnMut(&mut Builder, Value, &[Value]) -> Vec<Value>;

/// A row along the axis, in the input and in the output: the address of its first element, and the distance
/// between elements.
#[derive(Clone, Copy)]
struct Row {
    from: Value,
    to: Value,
    count: u64,
    stride: u64,
}

impl Semantics for Softmax {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        same_dtype(inputs, &[DType::F32])?;
        resolve_axis(self.axis, inputs[0].shape.len())?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let axis = resolve_axis(self.axis, output.shape.len())?;
        let size = output.shape[axis];
        let mut b = definition::Builder::new("softmax", inputs, output);
        b.rows_along([axis]);
        let along = |b: &definition::Builder, index: &Affine| {
            let mut at = b.indices();
            at[axis] = index.clone();
            at
        };
        let lowest = b.f32(f32::NEG_INFINITY);
        let max = b.in_lanes(BinaryOp::Max, [size], lowest, |b, k| b.load(Source::Input(0), along(b, &k[0])));
        let max = b.stage(max);
        let (x, max) = (b.broadcast(0), b.of_row(max));
        let x = b.sub(x, max);
        let exponential = b.call(Function::Exp, x);
        let exponential = b.row_stage(exponential);
        let zero = b.f32(0.0);
        let sum = b.in_lanes(BinaryOp::Add, [size], zero, |b, k| b.load(exponential, [k[0].clone()]));
        let sum = b.stage(sum);
        let (e, sum) = (b.load(exponential, [b.at(axis)]), b.of_row(sum));
        let y = b.div(e, sum);
        Ok(b.finish(y)?.into())
    }

    fn lower(&self, inputs: &[TensorType], output: &TensorType) -> Result<Lowering, Problem> {
        let axis = resolve_axis(self.axis, output.shape.len())?;
        let dim = dims(&output.shape)[axis];
        let mut tile = vec![1; output.shape.len()];
        tile[axis] = dim.size;
        let mut b = Builder::new("softmax", inputs, output, &tile);
        let (lo, hi) = (b.lo(), b.hi());
        b.for_(lo, hi, 1, &[], |b, unit, _| {
            // Units are numbered without the axis, so the strides of the dimensions before it grow by its
            // size.
            let (outer, inner) = b.div_rem(unit, dim.stride);
            let outer = b.mul_const(outer, (dim.size * dim.stride) as i64);
            let first = b.add(outer, inner);
            let from = b.element(DType::F32, b.input(0), first);
            let to = b.element(DType::F32, b.output(), first);
            row(b, Row { from, to, count: dim.size, stride: dim.stride * DType::F32.size() });
            vec![]
        });
        Ok(Lowering::Kernels(vec![b.finish()?]))
    }
}

fn row(b: &mut Builder, row: Row) {
    let lowest = b.f32(f32::NEG_INFINITY);
    let max = row.each(b, row.from, &[lowest], &mut |b, address, carried| {
        let x = b.load(DType::F32, address, 0);
        let more = b.lt(carried[0], x);
        vec![b.select(more, x, carried[0])]
    })[0];
    let distance = b.sub(row.to, row.from);
    row.each(b, row.from, &[], &mut |b, address, _| {
        let x = b.load(DType::F32, address, 0);
        let x = b.sub(x, max);
        let e = Function::Exp.apply(b, x);
        let address = b.add(address, distance);
        b.store(DType::F32, address, 0, e);
        vec![]
    });
    let total = sum(b, crate::kernel::Type::F32, row.count, &mut |b, base, i| {
        let offset = b.mul_const(base, row.stride as i64);
        let address = b.add(row.to, offset);
        let address = b.add_const(address, (i * row.stride) as i64);
        b.load(DType::F32, address, 0)
    });
    row.each(b, row.to, &[], &mut |b, address, _| {
        let e = b.load(DType::F32, address, 0);
        let y = b.div(e, total);
        b.store(DType::F32, address, 0, y);
        vec![]
    });
}

impl Row {
    /// Iterates over the addresses of a row.
    fn each(&self, b: &mut Builder, start: Value, init: &[Value], body: Body<'_>) -> Vec<Value> {
        let end = b.add_const(start, (self.count * self.stride) as i64);
        b.for_bounded(start, end, self.stride as i64, self.count, init, body)
    }
}
