//! Products of 8-bit integers: exact sums in 32 bits. An element counts from its zero point.

use super::conv::Conv;
use super::matmul;
use crate::definition::{Affine, Builder, Source};
use crate::layout::broadcast_shape;
use crate::operator::error::check_shape;
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Value};
use crate::tensor::{DType, TensorType};

/// The product of two tensors like that of [`MatMul`](super::MatMul), of elements less their zero points. A
/// zero point is broadcast to its factor. Sums wrap at 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMulInteger;

/// A convolution like [`Conv`], of elements less their zero points: one for the input, and one for the kernel
/// or for each channel of the output. Sums wrap at 32 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvInteger(pub Conv);

/// Both factors are bytes, and a zero point has the type of its factor.
fn check_types(inputs: &[TensorType]) -> Result<(), Problem> {
    for (input, ty) in inputs.iter().enumerate() {
        let expected = if input < 2 { vec![DType::U8, DType::I8] } else { vec![inputs[input - 2].dtype] };
        if !expected.contains(&ty.dtype) {
            return Err(Problem::DType { input, found: ty.dtype, expected });
        }
    }
    Ok(())
}

/// An element of input 0 or 1, less its zero point, which is input 2 or 3.
fn counted(b: &mut Builder, input: usize, at: Vec<Affine>, zero: Option<Vec<Affine>>) -> Value {
    let x = b.load(Source::Input(input as u32), at);
    let Some(zero) = zero else { return x };
    let zero = b.load(Source::Input(input as u32 + 2), zero);
    b.sub(x, zero)
}

/// The element that is broadcast to an index: aligned at the right, with dimensions of size 1 repeated.
fn aligned(shape: &[u64], at: &[Affine]) -> Vec<Affine> {
    let own = &at[at.len() - shape.len()..];
    shape.iter().zip(own).map(|(&size, at)| if size == 1 { Affine::from(0) } else { at.clone() }).collect()
}

impl Semantics for MatMulInteger {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_types(inputs)?;
        let shape = matmul::shape(inputs)?;
        for (input, zero) in inputs.iter().enumerate().skip(2) {
            let of = &inputs[input - 2].shape;
            let fits = broadcast_shape(&zero.shape, of).as_ref() == Some(of);
            check_shape(inputs, input, fits, || format!("must be broadcast to {of:?}"))?;
        }
        Ok(TensorType::new(DType::I32, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("matmulinteger", inputs, output);
        let sum = matmul::sum(&mut b, inputs, output, |b, [left, right], sum| {
            let zero = |input: usize, at| inputs.get(input).map(|zero| aligned(&zero.shape, at));
            let zeros = [zero(2, &left), zero(3, &right)];
            let [x_zero, y_zero] = zeros;
            let (x, y) = (counted(b, 0, left, x_zero), counted(b, 1, right, y_zero));
            let product = b.mul(x, y);
            b.add(sum, product)
        })?;
        Ok(b.finish(sum)?.into())
    }
}

impl Semantics for ConvInteger {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_types(inputs)?;
        let shape = self.0.shape(inputs)?;
        if let Some(zero) = inputs.get(2) {
            check_shape(inputs, 2, zero.elements() == Some(1), || "must be one number".to_owned())?;
        }
        if let Some(zero) = inputs.get(3) {
            let fits = zero.elements() == Some(1) || zero.shape == shape[1..2];
            check_shape(inputs, 3, fits, || format!("must be one number, or [{}]", shape[1]))?;
        }
        Ok(TensorType::new(DType::I32, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let one = |ty: &TensorType| TensorType::new(ty.dtype, []);
        let is_one = |ty: &TensorType| ty.elements() == Some(1);
        let mut types = vec![self.0.grouped(&inputs[0], 1), self.0.grouped(&inputs[1], 0)];
        types.extend(inputs.get(2).map(one));
        types
            .extend(inputs.get(3).map(|zero| if is_one(zero) { one(zero) } else { self.0.grouped(zero, 0) }));
        let mut b = Builder::new("convinteger", &types, &self.0.grouped(output, 1));
        let zeros = [
            inputs.get(2).map(|_| Vec::new()),
            inputs.get(3).map(|zero| if is_one(zero) { Vec::new() } else { vec![b.at(1), b.at(2)] }),
        ];
        let sum = self.0.sum(&mut b, inputs, output, |b, [x, w], sum| {
            let [x_zero, w_zero] = zeros;
            let (x, w) = (counted(b, 0, x, x_zero), counted(b, 1, w, w_zero));
            let product = b.mul(x, w);
            b.add(sum, product)
        })?;
        Ok(b.finish(sum)?.into())
    }
}
