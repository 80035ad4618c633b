//! The operators: the shapes of their outputs, and what their elements are.
//!
//! Each operator is one entry of [the table](Operator::TABLE) and a struct of its attributes, in a separate
//! file, that implements [`Semantics`]. The operators are those of ONNX in their newest form, with attributes
//! resolved to plain values. The importer translates older forms. Inputs come in order. Optional inputs are
//! the last ones and may be omitted.
//!
//! # Adding an operator
//!
//! 1. Write a file `operator/name.rs` with a struct of its attributes that implements [`Semantics`]: `infer`
//!    checks the inputs and gives the type of the output, `define` says what an element is, with the
//!    definition's [`Builder`](crate::definition::Builder). `transpose.rs` is a short example. One with several
//!    outputs implements [`Outputs`] instead, as `split.rs` does.
//! 2. Add its `mod` and `use` lines and its entry in the table below.
//! 3. Test it in `tests/operators` against a plain reference.
//!
//! A test then asks for its entry in the importer, unless the table calls it internal.

mod activation;
mod arithmetic;
mod attention;
mod concat;
mod conv;
mod error;
mod gemm;
mod integer;
mod matmul;
mod normalization;
mod pool;
mod quantization;
mod reduction;
mod softmax;
mod split;
mod transpose;
mod view;
mod window;

use std::ops::RangeInclusive;

pub use activation::{Erf, Exp, Relu, Sigmoid, Tanh};
pub use arithmetic::{Add, Div, Mul, Sub};
pub use attention::{MaskedScores, MaskedSoftmax, Rotary, Sight};
pub use concat::Concat;
pub use conv::Conv;
pub use error::{OperatorError, Problem};
pub use gemm::Gemm;
pub use integer::{ConvInteger, MatMulInteger};
pub use matmul::MatMul;
pub use normalization::{BatchNormalization, LayerNormalization};
pub use pool::{AveragePool, MaxPool};
pub use quantization::{Blocks, DequantizeLinear, DynamicScale, QuantizeLinear, Requantize};
pub use reduction::{GlobalAveragePool, ReduceMean};
pub use softmax::Softmax;
pub use split::Split;
pub use transpose::Transpose;
pub use view::{Flatten, Identity, Reshape, Squeeze, Unsqueeze};
pub use window::{Padding, Window};

use crate::definition::Definition;
use crate::tensor::TensorType;

/// What an operator is.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// The output is a part of input 0, as it lies in memory: the bytes from this one on.
    View {
        /// The first byte.
        offset: u64,
    },
    /// The output is all inputs, one behind the other.
    Joined,
    /// The output is computed. The definition sees the bytes of each tensor, perhaps with another shape, or as
    /// integers if it only moves them.
    Computed(Definition),
}

/// The meaning of an operator with one output. The number of inputs has been checked against the table.
pub trait Semantics {
    /// The type of the output.
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem>;

    /// What the output is, given its type from [`infer`](Self::infer).
    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem>;
}

/// The meaning of an operator with several outputs. Each of them is computed on its own, if anybody reads it.
pub trait Outputs {
    /// The types of the outputs.
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Problem>;

    /// What one of the outputs is, given the types of all of them.
    fn define(&self, inputs: &[TensorType], outputs: &[TensorType], index: usize)
    -> Result<Meaning, Problem>;
}

impl<T: Semantics> Outputs for T {
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Problem> {
        Ok(vec![Semantics::infer(self, inputs)?])
    }

    fn define(&self, inputs: &[TensorType], outputs: &[TensorType], _: usize) -> Result<Meaning, Problem> {
        Semantics::define(self, inputs, &outputs[0])
    }
}

/// An entry of the operator table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorEntry {
    /// The name, as in ONNX.
    pub name: &'static str,
    /// What it computes, on one line.
    pub doc: &'static str,
    /// The numbers of inputs that it accepts.
    pub inputs: RangeInclusive<usize>,
    /// Whether only the compiler makes it, so that the importer needs no entry: `Name: 1..=1, internal;`.
    pub internal: bool,
}

macro_rules! operators {
    ($($(#[doc = $doc:literal])+ $name:ident: $inputs:expr $(, $internal:ident)?;)+) => {
        /// An operator with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Operator {
            $($(#[doc = $doc])+ $name($name),)+
        }

        impl Operator {
            /// All operators, in alphabetical order.
            pub const TABLE: &[OperatorEntry] = &[$(OperatorEntry {
                name: stringify!($name),
                doc: concat!($($doc),+).trim_ascii(),
                inputs: $inputs,
                internal: operators!(@internal $($internal)?),
            }),+];

            /// The entry of this operator in the table.
            pub fn entry(&self) -> &'static OperatorEntry {
                #[derive(Clone, Copy)]
                enum Index { $($name),+ }
                let index = match self { $(Self::$name(_) => Index::$name),+ };
                &Self::TABLE[index as usize]
            }

            fn semantics(&self) -> &dyn Outputs {
                match self { $(Self::$name(operator) => operator),+ }
            }
        }

        $(impl From<$name> for Operator {
            fn from(operator: $name) -> Self {
                Self::$name(operator)
            }
        })+
    };
    (@internal) => { false };
    (@internal internal) => { true };
}

operators! {
    /// Sum of two tensors, with broadcasting.
    Add: 2..=2;
    /// Mean over a sliding window.
    AveragePool: 1..=1;
    /// Normalization with a given mean and variance per channel; inputs: X, scale, B, mean, variance.
    BatchNormalization: 5..=5;
    /// Tensors joined along an axis.
    Concat: 1..=usize::MAX;
    /// Convolution in any number of spatial dimensions; inputs: X, W, optionally B.
    Conv: 2..=3;
    /// Convolution of bytes less their zero points, with sums of 32 bits; inputs: X, W, optionally both zero points.
    ConvInteger: 2..=4;
    /// Quantized numbers as floats; inputs: X, scale, optionally zero point.
    DequantizeLinear: 2..=3;
    /// Quotient of two tensors, with broadcasting.
    Div: 2..=2;
    /// The scale and the zero point that DynamicQuantizeLinear chooses.
    DynamicScale: 1..=1, internal;
    /// The error function, correctly rounded.
    Erf: 1..=1;
    /// The exponential, correctly rounded.
    Exp: 1..=1;
    /// The same bytes as a matrix.
    Flatten: 1..=1;
    /// alpha * A' * B' + beta * C, where ' is an optional transposition; inputs: A, B, optionally C.
    Gemm: 2..=3;
    /// Mean over all spatial dimensions.
    GlobalAveragePool: 1..=1;
    /// The same tensor.
    Identity: 1..=1;
    /// Normalization with the mean and the variance of trailing dimensions; inputs: X, scale, optionally B.
    LayerNormalization: 2..=3;
    /// Scores of attention with a mask added; inputs: scores, optionally mask, optionally numbers of valid keys.
    MaskedScores: 1..=3, internal;
    /// Softmax of masked scores; inputs: scores, optionally mask, optionally numbers of valid keys.
    MaskedSoftmax: 1..=3, internal;
    /// Product of matrices or of stacks of matrices, like numpy.matmul.
    MatMul: 2..=2;
    /// Product of bytes less their zero points, with sums of 32 bits; inputs: A, B, optionally both zero points.
    MatMulInteger: 2..=4;
    /// Maximum over a sliding window.
    MaxPool: 1..=1;
    /// Product of two tensors, with broadcasting.
    Mul: 2..=2;
    /// Floats as quantized numbers; inputs: X, scale, optionally zero point.
    QuantizeLinear: 2..=3;
    /// Mean over some axes.
    ReduceMean: 1..=1;
    /// x if it is positive, else 0.
    Relu: 1..=1;
    /// An integer sum of products as quantized numbers.
    Requantize: 5..=5, internal;
    /// The same bytes with another shape.
    Reshape: 1..=1;
    /// Pairs of numbers turned by angles; inputs: X, cosines, sines, optionally positions.
    Rotary: 3..=4, internal;
    /// 1 / (1 + exp(-x)), correctly rounded.
    Sigmoid: 1..=1;
    /// Exponentials along an axis, divided by their sum.
    Softmax: 1..=1;
    /// Parts of a tensor along an axis.
    Split: 1..=1;
    /// The same bytes with some dimensions of size 1 removed.
    Squeeze: 1..=1;
    /// Difference of two tensors, with broadcasting.
    Sub: 2..=2;
    /// The hyperbolic tangent, correctly rounded.
    Tanh: 1..=1;
    /// The dimensions in another order.
    Transpose: 1..=1;
    /// The same bytes with dimensions of size 1 added.
    Unsqueeze: 1..=1;
}

impl Operator {
    /// The name, as in ONNX.
    pub fn name(&self) -> &'static str {
        self.entry().name
    }

    /// The types of the outputs.
    pub fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, OperatorError> {
        self.outputs(inputs).map_err(|problem| self.error(problem))
    }

    /// What an output is. `None` if it has no elements, or if there is no such output.
    pub fn define(&self, inputs: &[TensorType], output: usize) -> Result<Option<Meaning>, OperatorError> {
        let meaning = self.outputs(inputs).and_then(|outputs| {
            match outputs.get(output).and_then(TensorType::elements) {
                None | Some(0) => Ok(None),
                _ => self.semantics().define(inputs, &outputs, output).map(Some),
            }
        });
        meaning.map_err(|problem| self.error(problem))
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Problem> {
        let expected = &self.entry().inputs;
        if !expected.contains(&inputs.len()) {
            return Err(Problem::Inputs { found: inputs.len(), expected: expected.clone() });
        }
        inputs.iter().try_for_each(check_size)?;
        let outputs = self.semantics().infer(inputs)?;
        outputs.iter().try_for_each(check_size)?;
        Ok(outputs)
    }

    fn error(&self, problem: Problem) -> OperatorError {
        OperatorError { operator: self.name(), problem }
    }
}

/// The maximum size of a tensor. It keeps offsets far from the end of the address space.
const MAX_BYTES: u64 = 1 << 44;

fn check_size(ty: &TensorType) -> Result<(), Problem> {
    match ty.bytes() {
        Some(bytes) if bytes <= MAX_BYTES => Ok(()),
        _ => Err(Problem::TooLarge { found: ty.clone() }),
    }
}

impl From<Definition> for Meaning {
    fn from(definition: Definition) -> Self {
        Self::Computed(definition)
    }
}
