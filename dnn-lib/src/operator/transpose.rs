//! Dimensions in another order.

use crate::definition::{Builder, Source};
use crate::operator::error::{check_attribute, movable, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
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
}

impl Semantics for Transpose {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, &movable())?;
        let order = self.order(&inputs[0])?;
        let shape: Vec<u64> = order.into_iter().map(|axis| inputs[0].shape[axis]).collect();
        Ok(TensorType::new(dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let order = self.order(&inputs[0])?;
        let mut b = Builder::new("transpose", &[inputs[0].as_integers()], &output.as_integers());
        let mut at = b.indices();
        order.iter().enumerate().for_each(|(axis, &from)| at[from] = b.at(axis));
        let value = b.load(Source::Input(0), at);
        Ok(b.finish(value)?.into())
    }
}
