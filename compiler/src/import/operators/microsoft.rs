//! Operators of the domain com.microsoft, which onnxruntime's quantizer and its exporters write: each in a
//! few operators of ours.

use dnn_lib::operator as op;
use dnn_lib::tensor::DType;
use graph::TensorId;

use super::attention;
use super::quantization::{self, DEQUANTIZE, QUANTIZE};
use super::{ANY, OnnxOperator};
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

type Outputs = Result<Vec<TensorId>, NodeError>;

/// The name of the domain.
pub(super) const DOMAIN: &str = "com.microsoft";

#[rustfmt::skip]
pub(super) const TABLE: &[OnnxOperator] = &[
    OnnxOperator { name: "BiasGelu", since: 1, inputs: 2..=2, attributes: &[], import: |call| biased_gelu(call, false) },
    OnnxOperator { name: "DequantizeLinear", since: 1, inputs: 2..=3, attributes: DEQUANTIZE, import: quantization::dequantize_linear },
    OnnxOperator { name: "DynamicQuantizeMatMul", since: 1, inputs: 3..=5, attributes: &[], import: dynamic_quantize_matmul },
    OnnxOperator { name: "FastGelu", since: 1, inputs: 1..=2, attributes: &[], import: |call| biased_gelu(call, true) },
    OnnxOperator { name: "FusedMatMul", since: 1, inputs: 2..=2, attributes: &["alpha", "transA", "transB", "transBatchA", "transBatchB"], import: fused_matmul },
    OnnxOperator { name: "Gelu", since: 1, inputs: 1..=1, attributes: &[], import: |call| biased_gelu(call, false) },
    OnnxOperator { name: "MatMulIntegerToFloat", since: 1, inputs: 4..=7, attributes: &[], import: matmul_integer_to_float },
    OnnxOperator { name: "MatMulNBits", since: 1, inputs: 3..=6, attributes: &["K", "N", "accuracy_level", "bits", "block_size"], import: matmul_n_bits },
    OnnxOperator { name: "QGemm", since: 1, inputs: 6..=9, attributes: &["alpha", "transA", "transB"], import: qgemm },
    OnnxOperator { name: "QLinearAdd", since: 1, inputs: 7..=8, attributes: &[], import: |call| qlinear_of_two(call, op::Add.into()) },
    OnnxOperator { name: "QLinearConcat", since: 1, inputs: 5..=ANY, attributes: &["axis"], import: qlinear_concat },
    OnnxOperator { name: "QLinearGlobalAveragePool", since: 1, inputs: 5..=5, attributes: &["channels_last"], import: qlinear_global_average_pool },
    OnnxOperator { name: "QLinearLeakyRelu", since: 1, inputs: 4..=5, attributes: &["alpha"], import: |call| { let alpha = call.float("alpha")?.unwrap_or(0.01); qlinear_of_one(call, op::LeakyRelu { alpha }.into()) } },
    OnnxOperator { name: "QLinearMul", since: 1, inputs: 7..=8, attributes: &[], import: |call| qlinear_of_two(call, op::Mul.into()) },
    OnnxOperator { name: "QLinearSigmoid", since: 1, inputs: 4..=5, attributes: &[], import: |call| qlinear_of_one(call, op::Sigmoid.into()) },
    OnnxOperator { name: "QuantizeLinear", since: 1, inputs: 2..=3, attributes: QUANTIZE, import: quantization::quantize_linear },
    OnnxOperator { name: "QuickGelu", since: 1, inputs: 1..=1, attributes: &["alpha"], import: |call| { let alpha = call.float("alpha")?.unwrap_or(1.702); call.apply(op::Swish { alpha }) } },
    OnnxOperator { name: "RotaryEmbedding", since: 1, inputs: 4..=4, attributes: &["interleaved", "is_packed_batching", "num_heads", "rotary_embedding_dim", "scale"], import: attention::microsoft_rotary_embedding },
    OnnxOperator { name: "SkipLayerNormalization", since: 1, inputs: 3..=5, attributes: &["epsilon"], import: skip_layer_normalization },
    OnnxOperator { name: "SkipSimplifiedLayerNormalization", since: 1, inputs: 3..=4, attributes: &["epsilon"], import: skip_simplified_layer_normalization },
];

/// The floats that quantized numbers stand for. `what` makes the name.
fn dequantized(
    call: &mut Call<'_>,
    what: &str,
    x: TensorId,
    scale: TensorId,
    zero: Option<TensorId>,
) -> Result<TensorId, NodeError> {
    let operator = op::DequantizeLinear { to: call.ty(scale).dtype, blocks: None };
    let inputs: Vec<TensorId> = [x, scale].into_iter().chain(zero).collect();
    call.step(what, operator, &inputs)
}

/// The output: floats as quantized numbers of a type, or of that of the zero point.
fn quantized(
    call: &mut Call<'_>,
    x: TensorId,
    scale: TensorId,
    zero: Option<TensorId>,
    to: DType,
) -> Outputs {
    let to = zero.map_or(to, |zero| call.ty(zero).dtype);
    let inputs: Vec<TensorId> = [x, scale].into_iter().chain(zero).collect();
    call.apply_to(op::QuantizeLinear { to, blocks: None }, &inputs)
}

/// Inputs: x, its scale, its zero point, the scale and the zero point of y.
fn qlinear_of_one(call: &mut Call<'_>, operator: op::Operator) -> Outputs {
    let (given, zero) = (call.input(0)?, call.optional(2));
    let x = dequantized(call, "x", given, call.input(1)?, zero)?;
    let y = call.step("y", operator, &[x])?;
    let to = call.ty(given).dtype;
    quantized(call, y, call.input(3)?, call.optional(4), to)
}

/// Inputs: a, its scale, its zero point, b, its scale, its zero point, the scale and the zero point of c.
fn qlinear_of_two(call: &mut Call<'_>, operator: op::Operator) -> Outputs {
    let given = call.input(0)?;
    let a = dequantized(call, "a", given, call.input(1)?, call.optional(2))?;
    let b = dequantized(call, "b", call.input(3)?, call.input(4)?, call.optional(5))?;
    let c = call.step("c", operator, &[a, b])?;
    let to = call.ty(given).dtype;
    quantized(call, c, call.input(6)?, call.optional(7), to)
}

fn qlinear_global_average_pool(call: &mut Call<'_>) -> Outputs {
    if !call.flag("channels_last", false)? {
        return qlinear_of_one(call, op::GlobalAveragePool.into());
    }
    let given = call.input(0)?;
    let rank = call.ty(given).shape.len();
    let axes: Vec<i64> = (1..rank.saturating_sub(1) as i64).collect();
    qlinear_of_one(call, op::ReduceMean { axes: Some(axes), keep_dims: true }.into())
}

/// Inputs: the scale and the zero point of y, then a tensor, its scale and its zero point, again and again.
fn qlinear_concat(call: &mut Call<'_>) -> Outputs {
    let axis = call.int("axis")?.ok_or(NodeError::MissingAttribute { attribute: "axis" })?;
    let given = call.all()?;
    let (groups, rest) = given[2..].as_chunks::<3>();
    if !rest.is_empty() {
        let expected = "2, and 3 for each tensor".to_owned();
        return Err(NodeError::InputCount { found: given.len(), expected });
    }
    let part = |(index, &[x, scale, zero]): (usize, &[TensorId; 3])| {
        dequantized(call, &format!("x{index}"), x, scale, Some(zero))
    };
    let parts = groups.iter().enumerate().map(part).collect::<Result<Vec<_>, _>>()?;
    let joined = call.step("joined", op::Concat { axis }, &parts)?;
    quantized(call, joined, given[0], Some(given[1]), DType::U8)
}

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

/// Inputs: a, its scale, its zero point, b, its scale, its zero point, c, the scale and the zero point of y.
/// c counts in units of the sum. Without a scale of y, it is a float.
fn qgemm(call: &mut Call<'_>) -> Outputs {
    let given: Vec<TensorId> = (0..6).map(|index| call.input(index)).collect::<Result<_, _>>()?;
    let (a, b) = (turned(call, "transA", given[0])?, turned(call, "transB", given[3])?);
    let mut sum = call.step("sum", op::MatMulInteger, &[a, b, given[2], given[5]])?;
    if let Some(c) = call.optional(6) {
        sum = call.step("biased", op::Add, &[sum, c])?;
    }
    let mut left = given[1];
    let alpha = call.float("alpha")?.unwrap_or(1.0);
    if alpha != 1.0 {
        let alpha = call.number("alpha", alpha, call.ty(left).dtype);
        left = call.step("scaled", op::Mul, &[alpha, left])?;
    }
    let Some(scale) = call.optional(7) else {
        return integers_as_floats(call, sum, [left, given[4]], None);
    };
    let zero = call.input(8)?;
    let to = call.ty(zero).dtype;
    call.apply_to(op::Requantize { to }, &[sum, left, given[4], scale, zero])
}

/// A sum of products of quantized numbers as floats, and a bias added.
fn integers_as_floats(
    call: &mut Call<'_>,
    sum: TensorId,
    scales: [TensorId; 2],
    bias: Option<TensorId>,
) -> Outputs {
    let scale = call.step("scale", op::Mul, &scales)?;
    let operator = op::DequantizeLinear { to: call.ty(scale).dtype, blocks: None };
    let Some(bias) = bias else { return call.apply_to(operator, &[sum, scale]) };
    let product = call.step("product", operator, &[sum, scale])?;
    call.apply_to(op::Add, &[product, bias])
}

/// Inputs: a, b, the scale and the zero point of b, a bias. a is quantized first.
fn dynamic_quantize_matmul(call: &mut Call<'_>) -> Outputs {
    let (x, b, b_scale) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (scale, zero) = quantization::dynamic_scale(call, x)?;
    let a = call.step("a", op::QuantizeLinear { to: DType::U8, blocks: None }, &[x, scale, zero])?;
    let inputs = quantization::factors(call, [a, b], [Some(zero), call.optional(3)])?;
    let sum = call.step("sum", op::MatMulInteger, &inputs)?;
    integers_as_floats(call, sum, [scale, b_scale], call.optional(4))
}

/// Inputs: a, b, their scales, their zero points, a bias.
fn matmul_integer_to_float(call: &mut Call<'_>) -> Outputs {
    let of = [call.input(0)?, call.input(1)?];
    let inputs = quantization::factors(call, of, [call.optional(4), call.optional(5)])?;
    let sum = call.step("sum", op::MatMulInteger, &inputs)?;
    let rank = call.ty(of[0]).shape.len();
    let left = call.along("a_scale", call.input(2)?, rank, rank.saturating_sub(2))?;
    integers_as_floats(call, sum, [left, call.input(3)?], call.optional(6))
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

/// Inputs: a, the packed columns of b, their scales, their zero points, the blocks of the rows of b, a bias.
fn matmul_n_bits(call: &mut Call<'_>) -> Outputs {
    if call.optional(4).is_some() {
        return Err(value_error("g_idx", &"given", "none"));
    }
    let size = |name: &'static str| {
        let value = call.int(name)?.ok_or(NodeError::MissingAttribute { attribute: name })?;
        u64::try_from(value).map_err(|_| value_error(name, &value, "numbers from 0"))
    };
    let (depth, columns, block) = (size("K")?, size("N")?, size("block_size")?);
    let bits = call.int("bits")?.unwrap_or(4);
    let operator = match bits {
        4 | 8 => op::MatMulNBits { depth, columns, block, bits: bits.unsigned_abs() },
        _ => return Err(value_error("bits", &bits, "4, 8")),
    };
    let given = [call.input(0)?, call.input(1)?, call.input(2)?];
    let inputs: Vec<TensorId> = given.into_iter().chain(call.optional(3)).collect();
    let Some(bias) = call.optional(5) else { return call.apply_to(operator, &inputs) };
    let product = call.step("product", operator, &inputs)?;
    call.apply_to(op::Add, &[product, bias])
}
