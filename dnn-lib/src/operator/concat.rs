//! Concatenation.

use crate::definition::{self, Source};
use crate::kernel::{Builder, Ops, Type, Value};
use crate::operator::error::{check_shape, movable, resolve_axis, same_dtype};
use crate::operator::{Lowering, Meaning, Problem, Semantics};
use crate::tensor::{DType, TensorType};

/// Tensors joined along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
}

impl Semantics for Concat {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, &movable())?;
        let mut shape = inputs[0].shape.clone();
        let axis = resolve_axis(self.axis, shape.len())?;
        for (input, other) in inputs.iter().enumerate().skip(1) {
            let fits = other.shape.len() == shape.len()
                && (0..shape.len()).all(|i| i == axis || other.shape[i] == inputs[0].shape[i]);
            check_shape(inputs, input, fits, || {
                format!("must be as {:?}, but for axis {axis}", inputs[0].shape)
            })?;
            shape[axis] = shape[axis].saturating_add(other.shape[axis]);
        }
        Ok(TensorType::new(dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let axis = resolve_axis(self.axis, output.shape.len())?;
        let moved = |ty: &TensorType| TensorType::new(ty.dtype.as_integer(), ty.shape.clone());
        let inputs: Vec<TensorType> = inputs.iter().map(moved).collect();
        let mut b = definition::Builder::new("concat", &inputs, &moved(output));
        let ty = Type::of(output.dtype.as_integer());
        let (mut value, mut end) = (b.number(ty, 0), output.shape[axis]);
        for (index, input) in inputs.iter().enumerate().rev() {
            end -= input.shape[axis];
            let mut at = b.indices();
            at[axis] = at[axis].clone() - end as i64;
            value = b.load_or(Source::Input(index as u32), at, value);
        }
        Ok(b.finish(value)?.into())
    }

    fn lower(&self, inputs: &[TensorType], output: &TensorType) -> Result<Lowering, Problem> {
        let axis = resolve_axis(self.axis, output.shape.len())?;
        let dtype = output.dtype.as_integer();
        let mut b = Builder::new("concat", inputs, output, &vec![1; output.shape.len()]);
        let lengths: Vec<u64> = inputs.iter().map(|input| input.shape[axis..].iter().product()).collect();
        let (lo, hi) = (b.lo(), b.hi());
        b.for_(lo, hi, 1, &[], |b, unit, _| {
            let (row, column) = b.div_rem(unit, lengths.iter().sum());
            let value = pick(b, dtype, row, column, &lengths, 0);
            let address = b.element(dtype, b.output(), unit);
            b.store(dtype, address, 0, value);
            vec![]
        });
        Ok(Lowering::Kernels(vec![b.finish()?]))
    }
}

/// The element at `column` of the joined row, from the inputs that begin with number `input`.
fn pick(b: &mut Builder, dtype: DType, row: Value, column: Value, lengths: &[u64], input: usize) -> Value {
    let length = lengths[0];
    let load = |b: &mut Builder| {
        let start = b.mul_const(row, length as i64);
        let index = b.add(start, column);
        let address = b.element(dtype, b.input(input), index);
        b.load(dtype, address, 0)
    };
    if lengths.len() == 1 {
        return load(b);
    }
    let end = b.i64(length as i64);
    let here = b.lt(column, end);
    let results = b.if_(
        here,
        |b| vec![load(b)],
        |b| {
            let column = b.add_const(column, -(length as i64));
            vec![pick(b, dtype, row, column, &lengths[1..], input + 1)]
        },
    );
    results[0]
}
