//! Operators of the domain com.microsoft, which onnxruntime's quantizer and its exporters write: each in a
//! few operators of ours.

mod attention;
mod quantized;

use dnn_lib::operator as op;
use dnn_lib::tensor::TensorType;
use graph::TensorId;

use super::quantization::{self, DEQUANTIZE, QUANTIZE};
use super::{ANY, OnnxOperator, POOL, recurrent, shape, window};
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

type Outputs = Result<Vec<TensorId>, NodeError>;

/// The name of the domain.
pub(super) const DOMAIN: &str = "com.microsoft";

#[rustfmt::skip]
pub(super) const TABLE: &[OnnxOperator] = &[
    OnnxOperator { name: "Attention", since: 1, inputs: 2..=7, attributes: attention::ATTENTION, import: attention::attention },
    OnnxOperator { name: "BiasGelu", since: 1, inputs: 2..=2, attributes: &[], import: |call| biased_gelu(call, false) },
    OnnxOperator { name: "CDist", since: 1, inputs: 2..=2, attributes: &["metric"], import: distances },
    OnnxOperator { name: "DequantizeLinear", since: 1, inputs: 2..=3, attributes: DEQUANTIZE, import: quantization::dequantize_linear },
    OnnxOperator { name: "DynamicQuantizeLSTM", since: 1, inputs: 12..=12, attributes: recurrent::LSTM, import: recurrent::dynamic_quantize_lstm },
    OnnxOperator { name: "DynamicQuantizeMatMul", since: 1, inputs: 3..=5, attributes: &[], import: quantized::dynamic_quantize_matmul },
    OnnxOperator { name: "EmbedLayerNormalization", since: 1, inputs: 7..=9, attributes: &["epsilon", "mask_index_type"], import: embed_layer_normalization },
    OnnxOperator { name: "ExpandDims", since: 1, inputs: 2..=2, attributes: &[], import: shape::unsqueeze },
    OnnxOperator { name: "FastGelu", since: 1, inputs: 1..=2, attributes: &[], import: |call| biased_gelu(call, true) },
    OnnxOperator { name: "FusedConv", since: 1, inputs: 2..=4, attributes: &["activation", "activation_params", "auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"], import: fused_conv },
    OnnxOperator { name: "FusedGemm", since: 1, inputs: 2..=3, attributes: &["activation", "activation_alpha", "activation_beta", "activation_gamma", "alpha", "beta", "transA", "transB"], import: fused_gemm },
    OnnxOperator { name: "FusedMatMul", since: 1, inputs: 2..=2, attributes: &["alpha", "transA", "transB", "transBatchA", "transBatchB"], import: fused_matmul },
    OnnxOperator { name: "GatherND", since: 1, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::GatherND { batch_dims: 0 }) },
    OnnxOperator { name: "Gelu", since: 1, inputs: 1..=1, attributes: &[], import: |call| biased_gelu(call, false) },
    OnnxOperator { name: "GroupQueryAttention", since: 1, inputs: 7..=11, attributes: attention::GROUP_QUERY, import: attention::group_query },
    OnnxOperator { name: "MatMulIntegerToFloat", since: 1, inputs: 4..=7, attributes: &[], import: quantized::matmul_integer_to_float },
    OnnxOperator { name: "MatMulNBits", since: 1, inputs: 3..=6, attributes: &["K", "N", "accuracy_level", "bits", "block_size"], import: quantized::matmul_n_bits },
    OnnxOperator { name: "MultiHeadAttention", since: 1, inputs: 1..=8, attributes: attention::MULTI_HEAD, import: attention::multi_head },
    OnnxOperator { name: "NhwcMaxPool", since: 1, inputs: 1..=1, attributes: POOL, import: nhwc_max_pool },
    OnnxOperator { name: "QAttention", since: 1, inputs: 5..=9, attributes: attention::ATTENTION, import: attention::quantized },
    OnnxOperator { name: "QGemm", since: 1, inputs: 6..=9, attributes: &["alpha", "transA", "transB"], import: quantized::qgemm },
    OnnxOperator { name: "QLinearAdd", since: 1, inputs: 7..=8, attributes: &[], import: |call| quantized::qlinear_of_two(call, op::Add.into()) },
    OnnxOperator { name: "QLinearAveragePool", since: 1, inputs: 4..=5, attributes: &["auto_pad", "ceil_mode", "channels_last", "count_include_pad", "kernel_shape", "pads", "strides"], import: quantized::qlinear_average_pool },
    OnnxOperator { name: "QLinearConcat", since: 1, inputs: 5..=ANY, attributes: &["axis"], import: quantized::qlinear_concat },
    OnnxOperator { name: "QLinearGlobalAveragePool", since: 1, inputs: 5..=5, attributes: &["channels_last"], import: quantized::qlinear_global_average_pool },
    OnnxOperator { name: "QLinearLeakyRelu", since: 1, inputs: 4..=5, attributes: &["alpha"], import: |call| { let alpha = call.float("alpha")?.unwrap_or(0.01); quantized::qlinear_of_one(call, op::LeakyRelu { alpha }.into()) } },
    OnnxOperator { name: "QLinearMul", since: 1, inputs: 7..=8, attributes: &[], import: |call| quantized::qlinear_of_two(call, op::Mul.into()) },
    OnnxOperator { name: "QLinearSigmoid", since: 1, inputs: 4..=5, attributes: &[], import: |call| quantized::qlinear_of_one(call, op::Sigmoid.into()) },
    OnnxOperator { name: "QLinearSoftmax", since: 1, inputs: 4..=5, attributes: &["axis", "opset"], import: quantized::qlinear_softmax },
    OnnxOperator { name: "QLinearWhere", since: 1, inputs: 9..=9, attributes: &[], import: quantized::qlinear_where },
    OnnxOperator { name: "QuantizeLinear", since: 1, inputs: 2..=3, attributes: QUANTIZE, import: quantization::quantize_linear },
    OnnxOperator { name: "QuickGelu", since: 1, inputs: 1..=1, attributes: &["alpha"], import: |call| { let alpha = call.float("alpha")?.unwrap_or(1.702); call.apply(op::Swish { alpha }) } },
    OnnxOperator { name: "RotaryEmbedding", since: 1, inputs: 4..=4, attributes: &["interleaved", "is_packed_batching", "num_heads", "rotary_embedding_dim", "scale"], import: super::attention::microsoft_rotary_embedding },
    OnnxOperator { name: "SkipLayerNormalization", since: 1, inputs: 3..=5, attributes: &["epsilon"], import: skip_layer_normalization },
    OnnxOperator { name: "SkipSimplifiedLayerNormalization", since: 1, inputs: 3..=4, attributes: &["epsilon"], import: skip_simplified_layer_normalization },
    OnnxOperator { name: "TransposeMatMul", since: 1, inputs: 2..=2, attributes: &["alpha", "transA", "transB", "transBatchA", "transBatchB"], import: fused_matmul },
    OnnxOperator { name: "Trilu", since: 1, inputs: 1..=2, attributes: &["upper"], import: |call| { let upper = call.flag("upper", true)?; call.apply(op::Trilu { upper }) } },
];

/// An attribute that says whether a matrix is given transposed, and the matrix as it is meant.
fn turned(call: &mut Call<'_>, flag: &str, matrix: TensorId) -> Result<TensorId, NodeError> {
    if !call.flag(flag, false)? {
        return Ok(matrix);
    }
    let rank = call.ty(matrix).shape.len();
    let mut perm: Vec<u64> = (0..rank as u64).collect();
    // The transpose of a vector is itself.
    if rank > 1 {
        perm.swap(rank - 2, rank - 1);
    }
    call.step(flag, op::Transpose { perm: Some(perm) }, &[matrix])
}

fn fused_matmul(call: &mut Call<'_>) -> Outputs {
    for flag in ["transBatchA", "transBatchB"] {
        if call.flag(flag, false)? {
            return Err(value_error(flag, &1, "0"));
        }
    }
    let (a, b) = (call.input(0)?, call.input(1)?);
    let (a, b) = (turned(call, "transA", a)?, turned(call, "transB", b)?);
    let alpha = call.float("alpha")?.unwrap_or(1.0);
    if alpha == 1.0 {
        return call.apply_to(op::MatMul, &[a, b]);
    }
    let product = call.step("product", op::MatMul, &[a, b])?;
    let alpha = call.number("alpha", alpha, call.ty(product).dtype);
    call.apply_to(op::Mul, &[product, alpha])
}

/// Inputs: x, optionally a bias.
fn biased_gelu(call: &mut Call<'_>, tanh: bool) -> Outputs {
    let mut x = call.input(0)?;
    if let Some(bias) = call.optional(1) {
        x = call.step("biased", op::Add, &[x, bias])?;
    }
    call.apply_to(op::Gelu { tanh }, &[x])
}

/// The sum of input, skip and bias. It is output 3 too.
fn skipped(call: &mut Call<'_>, bias: Option<TensorId>) -> Result<TensorId, NodeError> {
    let (input, skip) = (call.input(0)?, call.input(1)?);
    let sum = call.step("skipped", op::Add, &[input, skip])?;
    bias.map_or(Ok(sum), |bias| call.step("biased", op::Add, &[sum, bias]))
}

/// Inputs: input, skip, scale, what is added, bias. Outputs: the result, the means, the reciprocals of the
/// deviations, the sum that is normalized.
fn skip_layer_normalization(call: &mut Call<'_>) -> Outputs {
    let sum = skipped(call, call.optional(4))?;
    let operator = op::LayerNormalization { axis: -1, epsilon: call.float("epsilon")?.unwrap_or(1e-12) };
    let inputs: Vec<TensorId> = [sum, call.input(2)?].into_iter().chain(call.optional(3)).collect();
    let mut outputs = call.apply_to(operator, &inputs)?;
    outputs.push(call.as_output(3, sum)?);
    Ok(outputs)
}

/// Inputs: input, skip, scale, bias. Outputs: the result and, as output 3, the sum that is normalized.
fn skip_simplified_layer_normalization(call: &mut Call<'_>) -> Outputs {
    let sum = skipped(call, call.optional(3))?;
    let operator = op::RMSNormalization { axis: -1, epsilon: call.float("epsilon")?.unwrap_or(1e-12) };
    let (scale, outputs) = (call.input(2)?, call.node.outputs.clone());
    let y = call.apply_to(operator, &[sum, scale])?[0];
    let statistics = || outputs.iter().enumerate().take(3).skip(1);
    if let Some((index, name)) = statistics().find(|(_, name)| !name.is_empty()) {
        return Err(NodeError::Output {
            index,
            name: name.clone(),
            supported: "outputs 0 and 3 are".to_owned(),
        });
    }
    let sum = call.as_output(3, sum)?;
    Ok(vec![y, sum, sum, sum])
}

/// An image with its channels last as one with its channels first.
fn channels_first(call: &mut Call<'_>, x: TensorId) -> Result<TensorId, NodeError> {
    let rank = call.ty(x).shape.len() as u64;
    let perm = (0..rank.min(1)).chain(rank.checked_sub(1)).chain(1..rank.saturating_sub(1)).collect();
    call.step("channels_first", op::Transpose { perm: Some(perm) }, &[x])
}

/// The permutation from channels first to channels last.
fn last(rank: usize) -> op::Transpose {
    let rank = rank as u64;
    op::Transpose { perm: Some((0..rank.min(1)).chain(2..rank).chain(1..rank.min(2)).collect()) }
}

fn channels_last(call: &mut Call<'_>, x: TensorId) -> Result<TensorId, NodeError> {
    let rank = call.ty(x).shape.len();
    call.step("channels_last", last(rank), &[x])
}

fn nhwc_max_pool(call: &mut Call<'_>) -> Outputs {
    let operator = window::max(call)?;
    let x = call.input(0)?;
    let x = channels_first(call, x)?;
    let y = call.step("pooled", operator, &[x])?;
    let rank = call.ty(y).shape.len();
    call.apply_to(last(rank), &[y])
}

/// What a fused operator does last: a function by its name and its numbers.
fn activated(call: &mut Call<'_>, x: TensorId, numbers: &[f32]) -> Outputs {
    let number = |index: usize, default: f32| numbers.get(index).copied().unwrap_or(default);
    let name = call.string("activation")?.unwrap_or_default();
    let operator: op::Operator = match name.as_str() {
        "" => op::Identity.into(),
        "Relu" => op::Relu.into(),
        "Tanh" => op::Tanh.into(),
        "Sigmoid" => op::Sigmoid.into(),
        "LeakyRelu" => op::LeakyRelu { alpha: number(0, 0.01) }.into(),
        "HardSigmoid" => op::HardSigmoid { alpha: number(0, 0.2), beta: number(1, 0.5) }.into(),
        "Clip" => {
            let dtype = call.ty(x).dtype;
            let least = call.number("least", number(0, f32::NEG_INFINITY), dtype);
            let most = call.number("most", number(1, f32::INFINITY), dtype);
            return call.apply_to(op::Clip { min: true, max: true }, &[x, least, most]);
        }
        _ => {
            let names = "Relu, Tanh, Sigmoid, LeakyRelu, HardSigmoid, Clip";
            return Err(value_error("activation", &name, names));
        }
    };
    call.apply_to(operator, &[x])
}

/// Inputs: x, weights, optionally a bias and what is added before the activation.
fn fused_conv(call: &mut Call<'_>) -> Outputs {
    let conv = window::convolution(call, 1)?;
    let inputs: Vec<TensorId> =
        [call.input(0)?, call.input(1)?].into_iter().chain(call.optional(2)).collect();
    let mut y = call.step("conv", conv, &inputs)?;
    if let Some(added) = call.optional(3) {
        y = call.step("added", op::Add, &[y, added])?;
    }
    let numbers = call.floats("activation_params")?.unwrap_or_default();
    activated(call, y, &numbers)
}

fn fused_gemm(call: &mut Call<'_>) -> Outputs {
    let gemm = super::gemm_of(call)?;
    let inputs = call.all()?;
    let y = call.step("gemm", gemm, &inputs)?;
    let mut numbers = Vec::new();
    for name in ["activation_alpha", "activation_beta", "activation_gamma"] {
        numbers.extend(call.float(name)?);
    }
    activated(call, y, &numbers)
}

/// The distances of the rows of two matrices.
fn distances(call: &mut Call<'_>) -> Outputs {
    let root = match call.string("metric")?.as_deref() {
        None | Some("sqeuclidean") => false,
        Some("euclidean") => true,
        Some(found) => return Err(value_error("metric", &found, "sqeuclidean, euclidean")),
    };
    let (a, b) = (call.input(0)?, call.input(1)?);
    let (rows, columns) = (op::Unsqueeze { axes: vec![1] }, op::Unsqueeze { axes: vec![0] });
    let (a, b) = (call.step("rows", rows, &[a])?, call.step("columns", columns, &[b])?);
    let apart = call.step("apart", op::Sub, &[a, b])?;
    let squares = call.step("squares", op::Mul, &[apart, apart])?;
    let sum = op::ReduceSum { axes: Some(vec![2]), keep_dims: false };
    if !root {
        return call.apply_to(sum, &[squares]);
    }
    let sum = call.step("sum", sum, &[squares])?;
    call.apply_to(op::Sqrt, &[sum])
}

/// Inputs: words, optionally segments, their tables for words, positions and segments, the scale, what is
/// added, optionally a mask and positions. Outputs: the result, the number of words that the mask shows, the
/// sum that is normalized.
fn embed_layer_normalization(call: &mut Call<'_>) -> Outputs {
    let words = call.input(0)?;
    let [batch, length] = call.shape(0, words)?;
    let rows = op::Gather { axis: 0 };
    let mut sum = call.step("words", rows, &[call.input(2)?, words])?;
    let places = match call.optional(8) {
        Some(places) => call.step("places", rows, &[call.input(3)?, places])?,
        None => {
            let first = op::Slice {
                starts: vec![0],
                ends: vec![length.cast_signed()],
                axes: Some(vec![0]),
                steps: vec![1],
            };
            call.step("places", first, &[call.input(3)?])?
        }
    };
    sum = call.step("placed", op::Add, &[sum, places])?;
    if let Some(segments) = call.optional(1) {
        let segments = call.step("segments", rows, &[call.input(4)?, segments])?;
        sum = call.step("sum", op::Add, &[sum, segments])?;
    }
    let operator = op::LayerNormalization { axis: -1, epsilon: call.float("epsilon")?.unwrap_or(1e-12) };
    let y = call.apply_to(operator, &[sum, call.input(5)?, call.input(6)?])?[0];
    let shown = match call.optional(7) {
        Some(mask) => {
            let counted = op::ReduceSum { axes: Some(vec![1]), keep_dims: false };
            call.step("counted", counted, &[mask])?
        }
        None => {
            let ty = TensorType::new(call.ty(words).dtype, [batch]);
            call.import.zeros("mask_index", ty)?
        }
    };
    let shown = call.as_output(1, shown)?;
    let sum = call.as_output(2, sum)?;
    Ok(vec![y, shown, sum])
}
