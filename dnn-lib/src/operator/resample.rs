//! Elements between elements, by tables of where they are.

use crate::definition::{Affine, Builder, Coordinate, Over, Source};
use crate::operator::error::{check_attribute, check_dtype, check_not_empty, check_shape, comparable};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// A tensor with other sizes along some axes. For each of these axes there are two inputs after the data, or
/// one if elements are only moved: tables with a row for each index of the output. The first has the indices
/// of the elements that belong to it, the second their weights.
///
/// An element is the sum of the products of weights and elements: along the first axis of sums along the
/// second and so on. Each has one accumulator that starts at +0, and one fused multiply-add for each product.
/// Integers of 32 bits and more are computed with in binary64, shorter ones in binary32; the result is
/// rounded to the nearest, the even one of two, and saturated.
#[derive(Clone, Debug, PartialEq)]
pub struct Resample {
    /// The axes.
    pub axes: Vec<u64>,
    /// Whether there are weights.
    pub weighted: bool,
    /// The value of elements one of whose rows begins with a negative index. Without it, an index out of
    /// range takes the nearest element.
    pub outside: Option<f32>,
}

/// The type of the weights for elements of a type.
pub fn weights(dtype: DType) -> DType {
    match dtype {
        DType::F64 | DType::I32 | DType::U32 | DType::I64 | DType::U64 => DType::F64,
        _ => DType::F32,
    }
}

impl Resample {
    /// The input with the table of an axis, by its number in the list.
    fn table(&self, number: usize) -> usize {
        1 + number * if self.weighted { 2 } else { 1 }
    }

    fn check(&self, inputs: &[TensorType]) -> Result<(), Problem> {
        let (shape, axes) = (&inputs[0].shape, &self.axes);
        let ascending = axes.windows(2).all(|pair| pair[0] < pair[1]);
        let right = ascending && axes.iter().all(|&axis| axis < shape.len() as u64) && !axes.is_empty();
        check_attribute("axes", axes, right, || format!("must be ascending axes of {shape:?}"))?;
        let expected = self.table(axes.len());
        if inputs.len() != expected {
            return Err(Problem::Inputs { found: inputs.len(), expected: expected..=expected });
        }
        check_dtype(inputs, 0, &comparable())?;
        for (number, &axis) in axes.iter().enumerate() {
            let table = self.table(number);
            check_dtype(inputs, table, &[DType::I64])?;
            let own = &inputs[table].shape;
            let taps = own.get(1).copied().unwrap_or(0);
            check_shape(inputs, table, own.len() == 2 && taps > 0 && (self.weighted || taps == 1), || {
                "must be a matrix, with one column if there are no weights".to_owned()
            })?;
            check_not_empty(inputs, 0, axis as usize, own[0] > 0)?;
            if self.weighted {
                check_dtype(inputs, table + 1, &[weights(inputs[0].dtype)])?;
                let other = &inputs[table + 1].shape;
                check_shape(inputs, table + 1, other == own, || format!("must be {own:?}"))?;
            }
        }
        Ok(())
    }

    /// The sum along an axis and those after it.
    fn sum(&self, b: &mut Builder, dtype: DType, number: usize, at: &mut Vec<Coordinate>) -> Value {
        let Some(&axis) = self.axes.get(number) else {
            let x = b.load(Source::Input(0), at.clone());
            return if self.weighted { b.cast(dtype, weights(dtype), x) } else { x };
        };
        let (axis, table) = (axis as usize, self.table(number));
        let entry = |b: &mut Builder, table: usize, column: Affine| {
            b.load(Source::Input(table as u32), [b.at(axis), column])
        };
        if !self.weighted {
            at[axis] = entry(b, table, Affine::from(0)).into();
            return self.sum(b, dtype, number + 1, at);
        }
        let (zero, taps) = (b.number(Type::of(weights(dtype)), 0), b.input_shape(table)[1]);
        let sum = b.fold([Over::all(taps)], &[zero], |b, k, sum| {
            at[axis] = entry(b, table, k[0].clone()).into();
            let weight = entry(b, table + 1, k[0].clone());
            let x = self.sum(b, dtype, number + 1, at);
            vec![b.fma(weight, x, sum[0])]
        });
        sum[0]
    }
}

impl Semantics for Resample {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        self.check(inputs)?;
        let mut shape = inputs[0].shape.clone();
        for (number, &axis) in self.axes.iter().enumerate() {
            shape[axis as usize] = inputs[self.table(number)].shape[0];
        }
        Ok(TensorType::new(inputs[0].dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let (dtype, wide) = (output.dtype, weights(output.dtype));
        let moves = !self.weighted && self.outside.is_none();
        let seen = |ty: &TensorType| if moves { ty.as_integers() } else { ty.clone() };
        let types: Vec<TensorType> =
            [seen(&inputs[0])].into_iter().chain(inputs[1..].iter().cloned()).collect();
        let mut b = Builder::new("resample", &types, &seen(output));
        let mut at: Vec<Coordinate> = b.indices().into_iter().map(Into::into).collect();
        let mut value = self.sum(&mut b, dtype, 0, &mut at);
        if self.weighted && !Type::of(dtype).is_float() {
            let rounded = b.round(value);
            value = b.saturate(wide, dtype, rounded);
        }
        if let Some(outside) = self.outside {
            let outside = if wide == DType::F64 { b.f64(outside.into()) } else { b.f32(outside) };
            let outside = if Type::of(dtype).is_float() { outside } else { b.saturate(wide, dtype, outside) };
            let zero = b.i64(0);
            for (number, &axis) in self.axes.iter().enumerate() {
                let at = [b.at(axis as usize), Affine::from(0)];
                let first = b.load(Source::Input(self.table(number) as u32), at);
                let out = b.lt(first, zero);
                value = b.select(out, outside, value);
            }
        }
        Ok(b.finish(value)?.into())
    }
}
