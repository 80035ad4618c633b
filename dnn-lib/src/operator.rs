//! The operators: what shape they give, and which kernels compute them.
//!
//! Each operator is one entry of [the table](Operator::TABLE) and a struct with its attributes in a file that
//! implements [`Semantics`]. Operators are those of ONNX in their newest form, with attributes resolved to plain values;
//! what older forms mean is for the importer to say. Inputs are given in order; optional ones are the last and are left
//! out by giving fewer.
//!
//! # Adding an operator
//!
//! 1. A file `operator/name.rs` with a struct of its attributes that implements [`Semantics`]: `infer` checks the inputs
//!    and gives the output's type, `lower` builds the kernel with [`Builder`](crate::kernel::Builder). `transpose.rs` is a
//!    short one. Products, windows, broadcasting, sums and elementary functions have helpers.
//! 2. Its `mod` and `use` lines and its entry in the table, below.
//! 3. A test in `tests/operators` against a plain reference.
//!
//! The compiler then names what else must know of it: the importer of models.

mod activation;
mod arithmetic;
mod concat;
mod contraction;
mod conv;
mod error;
mod gemm;
mod matmul;
mod normalization;
mod pool;
mod reduction;
mod softmax;
mod transpose;
mod view;
mod window;

use std::ops::RangeInclusive;

pub use activation::{Exp, Relu, Sigmoid, Tanh};
pub use arithmetic::{Add, Div, Mul, Sub};
pub use concat::Concat;
pub use conv::Conv;
pub use error::{OperatorError, Problem};
pub use gemm::Gemm;
pub use matmul::MatMul;
pub use normalization::BatchNormalization;
pub use pool::{AveragePool, MaxPool};
pub use reduction::{GlobalAveragePool, ReduceMean};
pub use softmax::Softmax;
pub use transpose::Transpose;
pub use view::{Flatten, Identity, Reshape, Squeeze, Unsqueeze};
pub use window::{Padding, Window};

use crate::kernel::Kernel;
use crate::tensor::TensorType;

/// How an operator is computed.
#[derive(Clone, Debug, PartialEq)]
pub enum Lowering {
    /// The output has the bytes of input 0.
    View,
    /// Kernels, one for each output, each with all inputs in order; none where there is nothing to compute.
    Kernels(Vec<Kernel>),
}

/// What an operator is, given its attributes. The number of inputs has been checked against the table.
pub trait Semantics {
    /// The type of the output.
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem>;

    /// How the output is computed; `output` is what [`infer`](Self::infer) gave.
    fn lower(&self, inputs: &[TensorType], output: &TensorType) -> Result<Lowering, Problem>;
}

/// An entry of the operator table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, as ONNX has it.
    pub name: &'static str,
    /// What it computes, in a line.
    pub doc: &'static str,
    /// How many inputs it takes.
    pub inputs: RangeInclusive<usize>,
}

macro_rules! operators {
    ($($(#[doc = $doc:literal])+ $name:ident: $inputs:expr;)+) => {
        /// An operator with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Operator {
            $($(#[doc = $doc])+ $name($name),)+
        }

        impl Operator {
            /// All operators, in alphabetical order.
            pub const TABLE: &[Entry] = &[$(Entry {
                name: stringify!($name),
                doc: concat!($($doc),+).trim_ascii(),
                inputs: $inputs,
            }),+];

            /// The entry of this operator in the table.
            pub fn entry(&self) -> &'static Entry {
                #[derive(Clone, Copy)]
                enum Index { $($name),+ }
                let index = match self { $(Self::$name(_) => Index::$name),+ };
                &Self::TABLE[index as usize]
            }

            fn semantics(&self) -> &dyn Semantics {
                match self { $(Self::$name(operator) => operator),+ }
            }
        }

        $(impl From<$name> for Operator {
            fn from(operator: $name) -> Self {
                Self::$name(operator)
            }
        })+
    };
}

operators! {
    /// Sum of two tensors, with broadcasting.
    Add: 2..=2;
    /// Mean over a sliding window.
    AveragePool: 1..=1;
    /// Normalisation with given mean and variance per channel; inputs: X, scale, B, mean, variance.
    BatchNormalization: 5..=5;
    /// Tensors one after the other along an axis.
    Concat: 1..=usize::MAX;
    /// Convolution in any number of spatial dimensions; inputs: X, W, optionally B.
    Conv: 2..=3;
    /// Quotient of two tensors, with broadcasting.
    Div: 2..=2;
    /// The exponential, correctly rounded.
    Exp: 1..=1;
    /// The same bytes as a matrix.
    Flatten: 1..=1;
    /// alpha * A' * B' + beta * C, where ' transposes on demand; inputs: A, B, optionally C.
    Gemm: 2..=3;
    /// Mean over all spatial dimensions.
    GlobalAveragePool: 1..=1;
    /// The same tensor.
    Identity: 1..=1;
    /// Matrix product of stacks of matrices, as numpy.matmul.
    MatMul: 2..=2;
    /// Maximum over a sliding window.
    MaxPool: 1..=1;
    /// Product of two tensors, with broadcasting.
    Mul: 2..=2;
    /// Mean over some axes.
    ReduceMean: 1..=1;
    /// x where it is positive, else 0.
    Relu: 1..=1;
    /// The same bytes with another shape.
    Reshape: 1..=1;
    /// 1 / (1 + exp(-x)), correctly rounded.
    Sigmoid: 1..=1;
    /// Exponentials along an axis, divided by their sum.
    Softmax: 1..=1;
    /// The same bytes without some dimensions of size 1.
    Squeeze: 1..=1;
    /// Difference of two tensors, with broadcasting.
    Sub: 2..=2;
    /// The hyperbolic tangent, correctly rounded.
    Tanh: 1..=1;
    /// The dimensions in another order.
    Transpose: 1..=1;
    /// The same bytes with more dimensions of size 1.
    Unsqueeze: 1..=1;
}

impl Operator {
    /// The name, as ONNX has it.
    pub fn name(&self) -> &'static str {
        self.entry().name
    }

    /// The types of the outputs.
    pub fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, OperatorError> {
        Ok(vec![self.output(inputs).map_err(|problem| self.error(problem))?])
    }

    /// How the outputs are computed.
    pub fn lower(&self, inputs: &[TensorType]) -> Result<Lowering, OperatorError> {
        let lowering = self.output(inputs).and_then(|output| match output.elements() {
            Some(0) => Ok(Lowering::Kernels(Vec::new())),
            _ => self.semantics().lower(inputs, &output),
        });
        lowering.map_err(|problem| self.error(problem))
    }

    fn output(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let expected = &self.entry().inputs;
        if !expected.contains(&inputs.len()) {
            return Err(Problem::Inputs { found: inputs.len(), expected: expected.clone() });
        }
        inputs.iter().try_for_each(check_size)?;
        let output = self.semantics().infer(inputs)?;
        check_size(&output)?;
        Ok(output)
    }

    fn error(&self, problem: Problem) -> OperatorError {
        OperatorError { operator: self.name(), problem }
    }
}

/// No tensor is larger than this, so that offsets never come near the end of the address space.
const MAX_BYTES: u64 = 1 << 44;

fn check_size(ty: &TensorType) -> Result<(), Problem> {
    match ty.bytes() {
        Some(bytes) if bytes <= MAX_BYTES => Ok(()),
        _ => Err(Problem::TooLarge { found: ty.clone() }),
    }
}
