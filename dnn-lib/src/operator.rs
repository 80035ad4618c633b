//! The operators: the shapes of their outputs, and what their elements are.
//!
//! Each operator is one entry of [the table](Operator::TABLE) and a struct of its attributes, in a separate
//! file, that implements [`Semantics`]. The operators are those of ONNX in their newest form, with attributes
//! resolved to plain values. The importer translates older forms. Inputs come in order. Optional inputs are
//! the last ones and may be omitted.
//!
//! # Adding an operator
//!
//! If an element of the output is a formula of the elements at its place in the inputs, it is a row of a
//! table in `operator/elementwise` and an entry in the table below. Otherwise:
//!
//! 1. Write a file `operator/name.rs` with a struct of its attributes that implements [`Semantics`]: `infer`
//!    checks the inputs and gives the type of the output, `define` says what an element is, with the
//!    definition's [`Builder`](crate::definition::Builder). `transpose.rs` is a short example. One with several
//!    outputs implements [`Outputs`] instead, as `split.rs` does.
//! 2. Add its `mod` and `use` lines and its entry in the table below.
//! 3. Test it in `tests/operators` against a plain reference.
//!
//! A test then asks for its entry in the importer, unless the table calls it internal.

mod attention;
mod col2im;
mod compaction;
mod concat;
mod conv;
mod couple;
mod cumulative;
mod einsum;
mod elementwise;
mod error;
mod gather;
mod gemm;
mod grid_sample;
mod integer;
mod matmul;
mod ngrams;
mod norm;
mod normalization;
mod one_hot;
mod packed;
mod packing;
mod pad;
mod pool;
mod quantization;
mod range;
mod rank;
mod reduction;
mod region;
mod repeat;
mod resample;
mod reverse_sequence;
mod row;
mod scatter;
mod slice;
mod softmax;
mod split;
mod suppression;
mod tensor_scatter;
mod transpose;
mod tree;
mod trilu;
mod view;
mod window;

use std::ops::RangeInclusive;

pub use attention::{MaskedScores, MaskedSoftmax, Rotary, Sight};
pub use col2im::Col2Im;
pub use compaction::{AddEarlier, DifferentBefore, FirstAbove, FirstEqual};
pub use concat::Concat;
pub use conv::Conv;
pub use couple::CouplePairs;
pub use cumulative::{CumProd, CumSum};
pub use einsum::Einsum;
pub use elementwise::*;
pub use error::{OperatorError, Problem};
pub use gather::{Gather, GatherElements, GatherND};
pub use gemm::Gemm;
pub use grid_sample::{GridSample, Outside, Sampling};
pub use integer::{ConvInteger, MatMulInteger};
pub use matmul::MatMul;
pub use ngrams::NGrams;
pub use normalization::{
    BatchNormalization, GroupNormalization, InstanceNormalization, LRN, LayerNormalization, LpNormalization,
    MeanVarianceNormalization, RMSNormalization,
};
pub use one_hot::OneHot;
pub use packed::MatMulNBits;
pub use pad::{Pad, PadMode};
pub use pool::{AveragePool, LpPool, MaxPool};
pub use quantization::{Blocks, DequantizeLinear, DynamicScale, QuantizeLinear, Requantize};
pub use range::Range;
pub use rank::{ByRank, Merge, Rank};
pub use reduction::{
    ArgMax, ArgMin, GlobalAveragePool, GlobalLpPool, GlobalMaxPool, ReduceL1, ReduceL2, ReduceLogSum,
    ReduceLogSumExp, ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum, ReduceSumSquare,
};
pub use region::{DeformColumns, MaxRoiPool, RoiAlign};
pub use repeat::{Expand, Tile};
pub use resample::{Resample, weights};
pub use reverse_sequence::ReverseSequence;
pub use row::{PutRow, TakeRow};
pub use scatter::{ScatterElements, ScatterND, Update};
pub use slice::Slice;
pub use softmax::{Hardmax, LogSoftmax, Softmax};
pub use split::Split;
pub use suppression::{BestOpen, Suppress};
pub use tensor_scatter::TensorScatter;
pub use transpose::Transpose;
pub use tree::{Aggregate, TreeLeaves, TreeScores};
pub use trilu::Trilu;
pub use view::{BitCast, Flatten, Identity, Reshape, Squeeze, Unsqueeze};
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
    /// The output is computed. The definition sees the bytes of each tensor, perhaps with another shape, or
    /// as integers if it only moves them.
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
                #[expect(clippy::upper_case_acronyms, reason = "the names are those of ONNX")]
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
    /// The number without its sign.
    Abs: 1..=1;
    /// The inverse of the cosine.
    Acos: 1..=1;
    /// The inverse of the hyperbolic cosine.
    Acosh: 1..=1;
    /// Sum of two tensors, with broadcasting.
    Add: 2..=2;
    /// Each number of a list with the one at a distance before it added.
    AddEarlier: 1..=1, internal;
    /// Whether both are true, with broadcasting.
    And: 2..=2;
    /// Where the largest value is along an axis.
    ArgMax: 1..=1;
    /// Where the smallest value is along an axis.
    ArgMin: 1..=1;
    /// The inverse of the sine.
    Asin: 1..=1;
    /// The inverse of the hyperbolic sine.
    Asinh: 1..=1;
    /// The inverse of the tangent.
    Atan: 1..=1;
    /// The inverse of the hyperbolic tangent.
    Atanh: 1..=1;
    /// Mean over a sliding window.
    AveragePool: 1..=1;
    /// Normalization with a given mean and variance per channel; inputs: X, scale, B, mean, variance.
    BatchNormalization: 5..=5;
    /// The box with the highest score of those that are open; inputs: scores, marks.
    BestOpen: 2..=2, internal;
    /// The same bits as elements of another type of the same size.
    BitCast: 1..=1;
    /// Shift by a number of bits, with broadcasting.
    BitShift: 2..=2;
    /// Bitwise and, with broadcasting.
    BitwiseAnd: 2..=2;
    /// Every bit changed.
    BitwiseNot: 1..=1;
    /// Bitwise or, with broadcasting.
    BitwiseOr: 2..=2;
    /// Bitwise exclusive or, with broadcasting.
    BitwiseXor: 2..=2;
    /// Where the elements with the first ranks are along an axis; input: the ranks.
    ByRank: 1..=1, internal;
    /// The same numbers as elements of another type.
    Cast: 1..=1;
    /// The same numbers as floats of 8 or fewer bits.
    CastSmall: 1..=1, internal;
    /// The smallest integer that is not smaller.
    Ceil: 1..=1;
    /// max(0, x) + min(0, alpha (exp(x / alpha) - 1)).
    Celu: 1..=1;
    /// The number, or the limit that it exceeds; inputs: X, the limits that there are.
    Clip: 1..=3;
    /// An image made of its windows.
    Col2Im: 1..=1;
    /// Tensors joined along an axis.
    Concat: 1..=usize::MAX;
    /// Convolution in any number of spatial dimensions; inputs: X, W, optionally B.
    Conv: 2..=3;
    /// Convolution of bytes less their zero points, with sums of 32 bits; inputs: X, W, optionally both zero
    /// points.
    ConvInteger: 2..=4;
    /// The cosine.
    Cos: 1..=1;
    /// The hyperbolic cosine.
    Cosh: 1..=1;
    /// Probabilities of classes, of those of pairs of classes.
    CouplePairs: 1..=1, internal;
    /// Product of all elements up to each along an axis.
    CumProd: 1..=1;
    /// Sum of all elements up to each along an axis.
    CumSum: 1..=1;
    /// What a deformable convolution multiplies; inputs: X, offsets, optionally factors.
    DeformColumns: 2..=3, internal;
    /// Quantized numbers as floats; inputs: X, scale, optionally zero point.
    DequantizeLinear: 2..=3;
    /// How many different rows of a matrix go before each; inputs: the matrix, the first equal rows.
    DifferentBefore: 2..=2, internal;
    /// Quotient of two tensors, with broadcasting.
    Div: 2..=2;
    /// The scale and the zero point that DynamicQuantizeLinear chooses.
    DynamicScale: 1..=1, internal;
    /// Sums of products, by a formula.
    Einsum: 1..=usize::MAX;
    /// x if it is not negative, else alpha (exp(x) - 1).
    Elu: 1..=1;
    /// Whether both are the same, with broadcasting.
    Equal: 2..=2;
    /// The error function.
    Erf: 1..=1;
    /// The exponential.
    Exp: 1..=1;
    /// A tensor broadcast with a shape.
    Expand: 1..=1;
    /// Where a list of ascending numbers is first larger than 0, 1, 2, ...
    FirstAbove: 1..=1, internal;
    /// The first row of a matrix that is equal to each.
    FirstEqual: 1..=1, internal;
    /// The same bytes as a matrix.
    Flatten: 1..=1;
    /// The largest integer that is not larger.
    Floor: 1..=1;
    /// Slices of a tensor along an axis, by indices; inputs: data, indices.
    Gather: 2..=2;
    /// Elements of a tensor along an axis, by indices; inputs: data, indices.
    GatherElements: 2..=2;
    /// Slices of a tensor, by tuples of indices; inputs: data, indices.
    GatherND: 2..=2;
    /// x times the area under the bell curve below it.
    Gelu: 1..=1;
    /// alpha * A' * B' + beta * C, where ' is an optional transposition; inputs: A, B, optionally C.
    Gemm: 2..=3;
    /// Mean over all spatial dimensions.
    GlobalAveragePool: 1..=1;
    /// Norm over all spatial dimensions.
    GlobalLpPool: 1..=1;
    /// Maximum over all spatial dimensions.
    GlobalMaxPool: 1..=1;
    /// Whether the first number is larger, with broadcasting.
    Greater: 2..=2;
    /// Whether the first number is not smaller, with broadcasting.
    GreaterOrEqual: 2..=2;
    /// An image sampled at given points; inputs: X, points.
    GridSample: 2..=2;
    /// Normalization with the mean and the variance of groups of channels; inputs: X, scale, B.
    GroupNormalization: 3..=3;
    /// alpha x + beta, from 0 to 1.
    HardSigmoid: 1..=1;
    /// x times x / 6 + 1/2, from 0 to 1.
    HardSwish: 1..=1;
    /// 1 at the first maximum along an axis, 0 elsewhere.
    Hardmax: 1..=1;
    /// The same tensor.
    Identity: 1..=1;
    /// Normalization with the mean and the variance of each channel; inputs: X, scale, B.
    InstanceNormalization: 3..=3;
    /// Whether it is infinite.
    IsInf: 1..=1;
    /// Whether it is a NaN.
    IsNaN: 1..=1;
    /// Normalization with the squares of neighbouring channels.
    LRN: 1..=1;
    /// Normalization with the mean and the variance of trailing dimensions; inputs: X, scale, optionally B.
    LayerNormalization: 2..=3;
    /// x if it is not negative, else a multiple of it.
    LeakyRelu: 1..=1;
    /// Whether the first number is smaller, with broadcasting.
    Less: 2..=2;
    /// Whether the first number is not larger, with broadcasting.
    LessOrEqual: 2..=2;
    /// The natural logarithm.
    Log: 1..=1;
    /// The logarithm of Softmax.
    LogSoftmax: 1..=1;
    /// A tensor divided by its norm along an axis.
    LpNormalization: 1..=1;
    /// Norm over a sliding window.
    LpPool: 1..=1;
    /// Scores of attention with a mask added; inputs: scores, optionally mask, optionally numbers of valid
    /// keys.
    MaskedScores: 1..=3, internal;
    /// Softmax of masked scores; inputs: scores, optionally mask, optionally numbers of valid keys.
    MaskedSoftmax: 1..=3, internal;
    /// Product of matrices or of stacks of matrices, like numpy.matmul.
    MatMul: 2..=2;
    /// Product of bytes less their zero points, with sums of 32 bits; inputs: A, B, optionally both zero
    /// points.
    MatMulInteger: 2..=4;
    /// Product with a matrix of packed integers; inputs: A, integers, scales, optionally zero points.
    MatMulNBits: 3..=4;
    /// The largest number, with broadcasting.
    Max: 1..=usize::MAX;
    /// Maximum over a sliding window.
    MaxPool: 1..=1;
    /// Maximum over bins of regions; inputs: X, regions.
    MaxRoiPool: 2..=2;
    /// The mean of tensors, with broadcasting.
    Mean: 1..=usize::MAX;
    /// Normalization with the mean and the variance over some axes.
    MeanVarianceNormalization: 1..=1;
    /// Neighbouring blocks of sorted places made one; inputs: the elements, the places.
    Merge: 1..=2, internal;
    /// The smallest number, with broadcasting.
    Min: 1..=usize::MAX;
    /// x tanh(log(1 + exp(x))).
    Mish: 1..=1;
    /// Remainder, with broadcasting.
    Mod: 2..=2;
    /// Product of two tensors, with broadcasting.
    Mul: 2..=2;
    /// How often sequences contain n-grams; inputs: sequences, n-grams.
    NGrams: 2..=2, internal;
    /// The sign changed.
    Neg: 1..=1;
    /// The opposite truth value.
    Not: 1..=1;
    /// Indices as vectors; inputs: indices, the values elsewhere and at the index.
    OneHot: 2..=2;
    /// Whether one of both is true, with broadcasting.
    Or: 2..=2;
    /// x if it is not negative, else slope x; inputs: X, slope, which is broadcast.
    PRelu: 2..=2;
    /// A tensor with elements added around it or removed; inputs: data, optionally the value around it.
    Pad: 1..=2;
    /// x to the power of y, with broadcasting.
    Pow: 2..=2;
    /// A tensor with another part at an index of its first axis; inputs: all, the part, the index.
    PutRow: 3..=3, internal;
    /// Floats as quantized numbers; inputs: X, scale, optionally zero point.
    QuantizeLinear: 2..=3;
    /// Division by the root of the mean square of trailing dimensions; inputs: X, scale.
    RMSNormalization: 2..=2;
    /// Numbers at regular distances; inputs: start, delta.
    Range: 2..=2;
    /// How many elements along an axis go before each one, in order of size.
    Rank: 1..=1, internal;
    /// 1 / x.
    Reciprocal: 1..=1;
    /// Sum of magnitudes over some axes.
    ReduceL1: 1..=1;
    /// Root of the sum of squares over some axes.
    ReduceL2: 1..=1;
    /// Logarithm of the sum over some axes.
    ReduceLogSum: 1..=1;
    /// Logarithm of the sum of exponentials over some axes.
    ReduceLogSumExp: 1..=1;
    /// Maximum over some axes.
    ReduceMax: 1..=1;
    /// Mean over some axes.
    ReduceMean: 1..=1;
    /// Minimum over some axes.
    ReduceMin: 1..=1;
    /// Product over some axes.
    ReduceProd: 1..=1;
    /// Sum over some axes.
    ReduceSum: 1..=1;
    /// Sum of squares over some axes.
    ReduceSumSquare: 1..=1;
    /// x if it is positive, else 0.
    Relu: 1..=1;
    /// An integer sum of products as quantized numbers.
    Requantize: 5..=5, internal;
    /// Other sizes along some axes; inputs: X, tables of indices and weights.
    Resample: 2..=usize::MAX, internal;
    /// The same bytes with another shape.
    Reshape: 1..=1;
    /// Sequences backwards; inputs: data, lengths.
    ReverseSequence: 2..=2;
    /// Regions of images, sampled at regular points; inputs: X, regions, their images.
    RoiAlign: 3..=3;
    /// Pairs of numbers turned by angles; inputs: X, cosines, sines, optionally positions.
    Rotary: 3..=4, internal;
    /// The nearest integer, the even one of two.
    Round: 1..=1;
    /// Elements replaced along an axis, by indices; inputs: data, indices, updates.
    ScatterElements: 3..=3;
    /// Slices replaced, by tuples of indices; inputs: data, indices, updates.
    ScatterND: 3..=3;
    /// gamma x if x is positive, else gamma (alpha (exp(x) - 1)).
    Selu: 1..=1;
    /// The number nearer to 0 by a bias, or 0 between two limits.
    Shrink: 1..=1;
    /// 1 / (1 + exp(-x)).
    Sigmoid: 1..=1;
    /// 1, 0 or -1.
    Sign: 1..=1;
    /// The sine.
    Sin: 1..=1;
    /// The hyperbolic sine.
    Sinh: 1..=1;
    /// Elements at regular distances along some axes.
    Slice: 1..=1;
    /// Exponentials along an axis, divided by their sum.
    Softmax: 1..=1;
    /// log(1 + exp(x)).
    Softplus: 1..=1;
    /// x / (1 + |x|).
    Softsign: 1..=1;
    /// Parts of a tensor along an axis.
    Split: 1..=1;
    /// The square root.
    Sqrt: 1..=1;
    /// The same bytes with some dimensions of size 1 removed.
    Squeeze: 1..=1;
    /// Difference of two tensors, with broadcasting.
    Sub: 2..=2;
    /// The sum of tensors, with broadcasting.
    Sum: 1..=usize::MAX;
    /// The marks of boxes after one was taken; inputs: marks, boxes, the box, the step, the threshold.
    Suppress: 5..=5, internal;
    /// x times the sigmoid of a multiple of it, times y.
    SwiGLU: 2..=2;
    /// x times the sigmoid of a multiple of it.
    Swish: 1..=1;
    /// The part of a tensor at an index of its first axis; inputs: all, the index.
    TakeRow: 2..=2, internal;
    /// The tangent.
    Tan: 1..=1;
    /// The hyperbolic tangent.
    Tanh: 1..=1;
    /// A tensor with an update written into it; inputs: the tensor, the update, optionally where it begins.
    TensorScatter: 2..=3;
    /// x if it is larger than a limit, else 0.
    ThresholdedRelu: 1..=1;
    /// Copies of a tensor side by side.
    Tile: 1..=1;
    /// The dimensions in another order.
    Transpose: 1..=1;
    /// The leaves that examples come to in decision trees; inputs: examples, nodes.
    TreeLeaves: 2..=2, internal;
    /// What the leaves of decision trees say together; inputs: leaves, their weights.
    TreeScores: 2..=2, internal;
    /// A triangle of matrices; inputs: data, optionally the number of the diagonal.
    Trilu: 1..=2;
    /// The same bytes with dimensions of size 1 added.
    Unsqueeze: 1..=1;
    /// The second input where the first is true, else the third, with broadcasting.
    Where: 3..=3;
    /// Whether only one of both is true, with broadcasting.
    Xor: 2..=2;
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
