//! Dimensions in another order.

use crate::definition::{self, Source};
use crate::kernel::Builder;
use crate::layout::{Dim, dims, position};
use crate::operator::error::{check_attribute, movable, same_dtype};
use crate::operator::{Lowering, Meaning, Problem, Semantics};
use crate::tensor::TensorType;

/// The dimensions in another order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transpose {
    /// For each dimension of the output, the dimension of the input; `None` reverses them.
    pub perm: Option<Vec<u64>>,
}

impl Transpose {
    /// For each dimension of the output, that of the input.
    fn order(&self, input: &TensorType) -> Result<Vec<usize>, Problem> {
        let rank = input.shape.len() as u64;
        let reversed = (0..rank).rev().collect();
        let perm = self.perm.as_ref().unwrap_or(&reversed);
        let permutation = perm.len() as u64 == rank && (0..rank).all(|axis| perm.contains(&axis));
        check_attribute("perm", perm, permutation, || {
            format!("must name each of the {rank} dimensions once")
        })?;
        Ok(perm.iter().map(|&axis| axis as usize).collect())
    }

    /// The input's dimensions in the order of the output.
    fn permuted(&self, input: &TensorType) -> Result<Vec<Dim>, Problem> {
        let dims = dims(&input.shape);
        Ok(self.order(input)?.into_iter().map(|axis| dims[axis]).collect())
    }
}

impl Semantics for Transpose {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, &movable())?;
        let shape: Vec<u64> = self.permuted(&inputs[0])?.iter().map(|dim| dim.size).collect();
        Ok(TensorType::new(dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let perm = self.order(&inputs[0])?;
        let moved = |ty: &TensorType| TensorType::new(ty.dtype.as_integer(), ty.shape.clone());
        let mut b = definition::Builder::new("transpose", &[moved(&inputs[0])], &moved(output));
        let mut at = b.indices();
        perm.iter().enumerate().for_each(|(axis, &from)| at[from] = b.at(axis));
        let value = b.load(Source::Input(0), at);
        Ok(b.finish(value)?.into())
    }

    fn lower(&self, inputs: &[TensorType], output: &TensorType) -> Result<Lowering, Problem> {
        let dims = self.permuted(&inputs[0])?;
        let dtype = output.dtype.as_integer();
        let mut b = Builder::new("transpose", inputs, output, &vec![1; output.shape.len()]);
        let (lo, hi) = (b.lo(), b.hi());
        b.for_(lo, hi, 1, &[], |b, unit, _| {
            let index = position(b, unit, &dims);
            let from = b.element(dtype, b.input(0), index);
            let value = b.load(dtype, from, 0);
            let to = b.element(dtype, b.output(), unit);
            b.store(dtype, to, 0, value);
            vec![]
        });
        Ok(Lowering::Kernels(vec![b.finish()?]))
    }
}
