//! Products of matrices and of stacks of matrices.

use crate::definition::{Affine, Builder, Over, Source};
use crate::layout::{Dim, broadcast_shape, dims};
use crate::operator::error::{FLOATS, check_shape, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// The product of the last two dimensions, like `numpy.matmul`. The other dimensions are stacks, which are
/// broadcast. A vector is a row on the left and a column on the right; the output then lacks that dimension.
/// Integers wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul;

/// A factor: its stack, the dimension that remains (none in a vector), and the one that is summed.
struct Split<'a> {
    stack: &'a [u64],
    outer: Option<Dim>,
    inner: Dim,
}

fn split(shape: &[u64], left: bool) -> Option<Split<'_>> {
    match *dims(shape).as_slice() {
        [] => None,
        [inner] => Some(Split { stack: &[], outer: None, inner }),
        [.., rows, columns] => {
            let stack = &shape[..shape.len() - 2];
            let (outer, inner) = if left { (rows, columns) } else { (columns, rows) };
            Some(Split { stack, outer: Some(outer), inner })
        }
    }
}

fn factors(inputs: &[TensorType]) -> Result<[Split<'_>; 2], Problem> {
    let factor = |input: usize| {
        split(&inputs[input].shape, input == 0).ok_or_else(|| Problem::Shape {
            input,
            found: vec![],
            expected: "must not be a scalar".to_owned(),
        })
    };
    Ok([factor(0)?, factor(1)?])
}

/// The shape of the product of two tensors.
pub(super) fn shape(inputs: &[TensorType]) -> Result<Vec<u64>, Problem> {
    let [a, b] = factors(inputs)?;
    check_shape(inputs, 1, a.inner.size == b.inner.size, || {
        format!("must have {} rows, as many as the first input has columns", a.inner.size)
    })?;
    let broadcast = || Problem::Broadcast { a: a.stack.to_vec(), b: b.stack.to_vec() };
    let mut shape = broadcast_shape(a.stack, b.stack).ok_or_else(broadcast)?;
    shape.extend([a.outer, b.outer].into_iter().flatten().map(|dim| dim.size));
    Ok(shape)
}

/// A sum over the common dimension, from 0. `next` adds a term: it gets where the two factors are, and the sum
/// so far.
pub(super) fn sum(
    b: &mut Builder,
    inputs: &[TensorType],
    output: &TensorType,
    next: impl FnOnce(&mut Builder, [Vec<Affine>; 2], Value) -> Value,
) -> Result<Value, Problem> {
    let [x, y] = factors(inputs)?;
    let outer = [x.outer, y.outer].map(|outer| outer.is_some());
    let stack = output.shape.len() - outer.iter().filter(|outer| **outer).count();
    // The indices of an input in the stack, aligned at the right, with dimensions of size 1 repeated.
    let stacked = |b: &Builder, own: &[u64]| -> Vec<Affine> {
        let index = |(axis, &size): (usize, &u64)| match size {
            1 => Affine::from(0),
            _ => b.at(axis + stack - own.len()),
        };
        own.iter().enumerate().map(index).collect()
    };
    let zero = b.number(Type::of(output.dtype), 0);
    let sum = b.fold([Over::all(x.inner.size)], &[zero], |b, k, sum| {
        let row = outer[0].then(|| b.at(stack));
        let column = outer[1].then(|| b.at(stack + usize::from(outer[0])));
        let left = stacked(b, x.stack).into_iter().chain(row).chain([k[0].clone()]).collect();
        let right = stacked(b, y.stack).into_iter().chain([k[0].clone()]).chain(column).collect();
        vec![next(b, [left, right], sum[0])]
    });
    Ok(sum[0])
}

impl Semantics for MatMul {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let whole = [DType::I32, DType::I64, DType::U32, DType::U64];
        let dtype = same_dtype(inputs, &[FLOATS, &whole].concat())?;
        Ok(TensorType::new(dtype, shape(inputs)?))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("matmul", inputs, output);
        let sum = sum(&mut b, inputs, output, |b, [left, right], sum| {
            let (x, y) = (b.load(Source::Input(0), left), b.load(Source::Input(1), right));
            if FLOATS.contains(&output.dtype) {
                return b.fma(x, y, sum);
            }
            let product = b.mul(x, y);
            b.add(sum, product)
        })?;
        Ok(b.finish(sum)?.into())
    }
}
