//! The supported ONNX operators: one entry each, and the translation of every form into the newest one.

mod attention;
mod classical;
mod constant;
mod control;
mod dequantized;
mod determinant;
mod elementwise;
mod image;
mod index;
mod legacy;
mod linear_attention;
mod loss;
mod microsoft;
mod movement;
mod ngrams;
mod normalize;
mod quantization;
mod random;
mod recurrent;
mod reduce;
mod region;
mod resize;
mod sequence;
mod shape;
mod signal;
mod sized;
mod suppression;
mod training;
mod transposed;
mod window;
mod windows;

use std::ops::RangeInclusive;

pub(super) use dequantized::Dequantized;

use dnn_lib::operator as op;
use dnn_lib::tensor::DType;
use graph::TensorId;

pub(super) use classical::shortened;

use super::Import;
use super::call::Call;
use crate::SupportedOperator;
use crate::error::NodeError;

/// A supported operator.
struct OnnxOperator {
    name: &'static str,
    /// The oldest opset with a supported form.
    since: i64,
    inputs: RangeInclusive<usize>,
    /// The attributes of all supported forms.
    attributes: &'static [&'static str],
    import: fn(&mut Call<'_>) -> Result<Vec<TensorId>, NodeError>,
}

/// The attributes of convolutions.
const CONV: &[&str] = &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
const ANY: usize = usize::MAX;
const POOL: &[&str] = &[
    "auto_pad",
    "ceil_mode",
    "count_include_pad",
    "dilations",
    "kernel_shape",
    "pads",
    "storage_order",
    "strides",
];

#[rustfmt::skip]
const TABLE: &[OnnxOperator] = &[
    OnnxOperator { name: "Abs", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Abs) },
    OnnxOperator { name: "Acos", since: 7, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Acos) },
    OnnxOperator { name: "Acosh", since: 9, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Acosh) },
    OnnxOperator { name: "Add", since: 1, inputs: 2..=2, attributes: legacy::BROADCAST, import: |call| legacy::broadcast(call, op::Add) },
    OnnxOperator { name: "AffineGrid", since: 20, inputs: 2..=2, attributes: &["align_corners"], import: image::affine_grid },
    OnnxOperator { name: "And", since: 1, inputs: 2..=2, attributes: legacy::BROADCAST, import: |call| legacy::broadcast(call, op::And) },
    OnnxOperator { name: "ArgMax", since: 1, inputs: 1..=1, attributes: &["axis", "keepdims", "select_last_index"], import: |call| reduce::place(call, |axis, keep_dims, last| op::ArgMax { axis, keep_dims, last }.into()) },
    OnnxOperator { name: "ArgMin", since: 1, inputs: 1..=1, attributes: &["axis", "keepdims", "select_last_index"], import: |call| reduce::place(call, |axis, keep_dims, last| op::ArgMin { axis, keep_dims, last }.into()) },
    OnnxOperator { name: "Asin", since: 7, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Asin) },
    OnnxOperator { name: "Asinh", since: 9, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Asinh) },
    OnnxOperator { name: "Atan", since: 7, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Atan) },
    OnnxOperator { name: "Atanh", since: 9, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Atanh) },
    OnnxOperator { name: "Attention", since: 23, inputs: 3..=7, attributes: attention::ATTENTION, import: attention::attention },
    OnnxOperator { name: "AveragePool", since: 1, inputs: 1..=1, attributes: POOL, import: window::average_pool },
    OnnxOperator { name: "BatchNormalization", since: 1, inputs: 5..=5, attributes: &["epsilon", "is_test", "momentum", "spatial", "training_mode"], import: normalize::batch },
    OnnxOperator { name: "Bernoulli", since: 15, inputs: 1..=1, attributes: &["dtype", "seed"], import: random::bernoulli },
    OnnxOperator { name: "BitCast", since: 26, inputs: 1..=1, attributes: &["to"], import: elementwise::bit_cast },
    OnnxOperator { name: "BitShift", since: 11, inputs: 2..=2, attributes: &["direction"], import: elementwise::bit_shift },
    OnnxOperator { name: "BitwiseAnd", since: 18, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::BitwiseAnd) },
    OnnxOperator { name: "BitwiseNot", since: 18, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::BitwiseNot) },
    OnnxOperator { name: "BitwiseOr", since: 18, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::BitwiseOr) },
    OnnxOperator { name: "BitwiseXor", since: 18, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::BitwiseXor) },
    OnnxOperator { name: "BlackmanWindow", since: 17, inputs: 1..=1, attributes: windows::ATTRIBUTES, import: |call| windows::window(call, windows::BLACKMAN) },
    OnnxOperator { name: "Cast", since: 6, inputs: 1..=1, attributes: &["round_mode", "saturate", "to"], import: elementwise::cast },
    OnnxOperator { name: "CastLike", since: 15, inputs: 2..=2, attributes: &["round_mode", "saturate"], import: elementwise::cast_like },
    OnnxOperator { name: "CausalConvWithState", since: 27, inputs: 2..=4, attributes: &["activation"], import: linear_attention::causal_conv },
    OnnxOperator { name: "Ceil", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Ceil) },
    OnnxOperator { name: "Celu", since: 12, inputs: 1..=1, attributes: &["alpha"], import: |call| elementwise::with_alpha(call, 1.0, |alpha| op::Celu { alpha }) },
    OnnxOperator { name: "CenterCropPad", since: 18, inputs: 2..=2, attributes: &["axes"], import: movement::center_crop_pad },
    OnnxOperator { name: "Clip", since: 1, inputs: 1..=3, attributes: &["max", "min"], import: elementwise::clip },
    OnnxOperator { name: "Col2Im", since: 18, inputs: 3..=3, attributes: &["dilations", "pads", "strides"], import: window::col2im },
    OnnxOperator { name: "Compress", since: 9, inputs: 2..=2, attributes: &["axis"], import: index::compress },
    OnnxOperator { name: "Concat", since: 1, inputs: 1..=ANY, attributes: &["axis"], import: concat },
    OnnxOperator { name: "ConcatFromSequence", since: 11, inputs: 1..=1, attributes: &["axis", "new_axis"], import: sequence::concat },
    OnnxOperator { name: "Constant", since: 1, inputs: 0..=0, attributes: constant::ATTRIBUTES, import: constant::constant },
    OnnxOperator { name: "ConstantOfShape", since: 9, inputs: 1..=1, attributes: &["value"], import: movement::constant_of_shape },
    OnnxOperator { name: "Conv", since: 1, inputs: 2..=3, attributes: &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"], import: window::conv },
    OnnxOperator { name: "ConvInteger", since: 10, inputs: 2..=4, attributes: CONV, import: quantization::conv_integer },
    OnnxOperator { name: "ConvTranspose", since: 1, inputs: 2..=3, attributes: &["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"], import: transposed::conv_transpose },
    OnnxOperator { name: "Cos", since: 7, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Cos) },
    OnnxOperator { name: "Cosh", since: 9, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Cosh) },
    OnnxOperator { name: "CumProd", since: 26, inputs: 2..=2, attributes: &["exclusive", "reverse"], import: |call| index::cumulative(call, |axis, exclusive, reverse| op::CumProd { axis, exclusive, reverse }.into()) },
    OnnxOperator { name: "CumSum", since: 11, inputs: 2..=2, attributes: &["exclusive", "reverse"], import: |call| index::cumulative(call, |axis, exclusive, reverse| op::CumSum { axis, exclusive, reverse }.into()) },
    OnnxOperator { name: "DFT", since: 17, inputs: 1..=3, attributes: &["axis", "inverse", "onesided"], import: signal::dft },
    OnnxOperator { name: "DeformConv", since: 19, inputs: 3..=5, attributes: &["dilations", "group", "kernel_shape", "offset_group", "pads", "strides"], import: region::deform_conv },
    OnnxOperator { name: "DepthToSpace", since: 1, inputs: 1..=1, attributes: &["blocksize", "mode"], import: movement::depth_to_space },
    OnnxOperator { name: "DequantizeLinear", since: 10, inputs: 2..=3, attributes: quantization::DEQUANTIZE, import: quantization::dequantize_linear },
    OnnxOperator { name: "Det", since: 11, inputs: 1..=1, attributes: &[], import: determinant::det },
    OnnxOperator { name: "Div", since: 1, inputs: 2..=2, attributes: legacy::BROADCAST, import: |call| legacy::broadcast(call, op::Div) },
    OnnxOperator { name: "Dropout", since: 1, inputs: 1..=3, attributes: &["is_test", "ratio", "seed"], import: dropout },
    OnnxOperator { name: "DynamicQuantizeLinear", since: 11, inputs: 1..=1, attributes: &[], import: quantization::dynamic_quantize_linear },
    OnnxOperator { name: "Einsum", since: 12, inputs: 1..=ANY, attributes: &["equation"], import: index::einsum },
    OnnxOperator { name: "Elu", since: 1, inputs: 1..=1, attributes: &["alpha"], import: |call| elementwise::with_alpha(call, 1.0, |alpha| op::Elu { alpha }) },
    OnnxOperator { name: "Equal", since: 1, inputs: 2..=2, attributes: legacy::BROADCAST, import: |call| legacy::broadcast(call, op::Equal) },
    OnnxOperator { name: "Erf", since: 9, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Erf) },
    OnnxOperator { name: "Exp", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Exp) },
    OnnxOperator { name: "Expand", since: 8, inputs: 2..=2, attributes: &[], import: movement::expand },
    OnnxOperator { name: "EyeLike", since: 9, inputs: 1..=1, attributes: &["dtype", "k"], import: index::eye_like },
    OnnxOperator { name: "Flatten", since: 1, inputs: 1..=1, attributes: &["axis"], import: shape::flatten },
    OnnxOperator { name: "Floor", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Floor) },
    OnnxOperator { name: "GRU", since: 7, inputs: 3..=6, attributes: recurrent::GRU, import: recurrent::gru },
    OnnxOperator { name: "Gather", since: 1, inputs: 2..=2, attributes: &["axis"], import: movement::gather },
    OnnxOperator { name: "GatherElements", since: 11, inputs: 2..=2, attributes: &["axis"], import: |call| { let axis = call.int("axis")?.unwrap_or(0); call.apply(op::GatherElements { axis }) } },
    OnnxOperator { name: "GatherND", since: 11, inputs: 2..=2, attributes: &["batch_dims"], import: |call| { let batch_dims = call.size("batch_dims")?; call.apply(op::GatherND { batch_dims }) } },
    OnnxOperator { name: "Gelu", since: 20, inputs: 1..=1, attributes: &["approximate"], import: elementwise::gelu },
    OnnxOperator { name: "Gemm", since: 1, inputs: 2..=3, attributes: &["alpha", "beta", "broadcast", "transA", "transB"], import: gemm },
    OnnxOperator { name: "GlobalAveragePool", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::GlobalAveragePool) },
    OnnxOperator { name: "GlobalLpPool", since: 2, inputs: 1..=1, attributes: &["p"], import: |call| { let p = call.int("p")?.unwrap_or(2); call.apply(op::GlobalLpPool { p }) } },
    OnnxOperator { name: "GlobalMaxPool", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::GlobalMaxPool) },
    OnnxOperator { name: "Greater", since: 1, inputs: 2..=2, attributes: legacy::BROADCAST, import: |call| legacy::broadcast(call, op::Greater) },
    OnnxOperator { name: "GreaterOrEqual", since: 12, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::GreaterOrEqual) },
    OnnxOperator { name: "GridSample", since: 16, inputs: 2..=2, attributes: &["align_corners", "mode", "padding_mode"], import: image::grid_sample },
    OnnxOperator { name: "GroupNormalization", since: 18, inputs: 3..=3, attributes: &["epsilon", "num_groups", "stash_type"], import: normalize::group },
    OnnxOperator { name: "HammingWindow", since: 17, inputs: 1..=1, attributes: windows::ATTRIBUTES, import: |call| windows::window(call, windows::HAMMING) },
    OnnxOperator { name: "HannWindow", since: 17, inputs: 1..=1, attributes: windows::ATTRIBUTES, import: |call| windows::window(call, windows::HANN) },
    OnnxOperator { name: "HardSigmoid", since: 1, inputs: 1..=1, attributes: &["alpha", "beta"], import: elementwise::hard_sigmoid },
    OnnxOperator { name: "HardSwish", since: 14, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::HardSwish) },
    OnnxOperator { name: "Hardmax", since: 1, inputs: 1..=1, attributes: &["axis"], import: |call| normalize::along_axis(call, |axis| op::Hardmax { axis }.into()) },
    OnnxOperator { name: "Identity", since: 1, inputs: 1..=1, attributes: &[], import: sequence::identity },
    OnnxOperator { name: "If", since: 1, inputs: 1..=1, attributes: &["else_branch", "then_branch"], import: control::branch },
    OnnxOperator { name: "InstanceNormalization", since: 1, inputs: 3..=3, attributes: &["epsilon"], import: normalize::instance },
    OnnxOperator { name: "IsInf", since: 10, inputs: 1..=1, attributes: &["detect_negative", "detect_positive"], import: elementwise::is_inf },
    OnnxOperator { name: "IsNaN", since: 9, inputs: 1..=1, attributes: &[], import: |call| elementwise::of_float(call, op::IsNaN) },
    OnnxOperator { name: "LRN", since: 1, inputs: 1..=1, attributes: &["alpha", "beta", "bias", "size"], import: normalize::lrn },
    OnnxOperator { name: "LSTM", since: 7, inputs: 3..=8, attributes: recurrent::LSTM, import: recurrent::lstm },
    OnnxOperator { name: "LayerNormalization", since: 17, inputs: 2..=3, attributes: &["axis", "epsilon", "stash_type"], import: normalize::layer },
    OnnxOperator { name: "LeakyRelu", since: 1, inputs: 1..=1, attributes: &["alpha"], import: |call| elementwise::with_alpha(call, 0.01, |alpha| op::LeakyRelu { alpha }) },
    OnnxOperator { name: "Less", since: 1, inputs: 2..=2, attributes: legacy::BROADCAST, import: |call| legacy::broadcast(call, op::Less) },
    OnnxOperator { name: "LessOrEqual", since: 12, inputs: 2..=2, attributes: &[], import: |call| call.apply(op::LessOrEqual) },
    OnnxOperator { name: "LinearAttention", since: 27, inputs: 3..=6, attributes: linear_attention::ATTRIBUTES, import: linear_attention::linear_attention },
    OnnxOperator { name: "Log", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Log) },
    OnnxOperator { name: "LogSoftmax", since: 1, inputs: 1..=1, attributes: &["axis"], import: |call| normalize::along_axis(call, |axis| op::LogSoftmax { axis }.into()) },
    OnnxOperator { name: "Loop", since: 1, inputs: 1..=ANY, attributes: &["body"], import: control::repeat },
    OnnxOperator { name: "LpNormalization", since: 1, inputs: 1..=1, attributes: &["axis", "p"], import: normalize::lp },
    OnnxOperator { name: "LpPool", since: 2, inputs: 1..=1, attributes: &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "p", "pads", "strides"], import: window::lp_pool },
    OnnxOperator { name: "MatMul", since: 1, inputs: 2..=2, attributes: &[], import: matmul },
    OnnxOperator { name: "MatMulInteger", since: 10, inputs: 2..=4, attributes: &[], import: quantization::matmul_integer },
    OnnxOperator { name: "Max", since: 1, inputs: 1..=ANY, attributes: &[], import: |call| call.apply(op::Max) },
    OnnxOperator { name: "MaxPool", since: 1, inputs: 1..=1, attributes: POOL, import: window::max_pool },
    OnnxOperator { name: "MaxRoiPool", since: 1, inputs: 2..=2, attributes: &["pooled_shape", "spatial_scale"], import: region::max_roi_pool },
    OnnxOperator { name: "MaxUnpool", since: 9, inputs: 2..=3, attributes: &["kernel_shape", "pads", "strides"], import: window::max_unpool },
    OnnxOperator { name: "Mean", since: 1, inputs: 1..=ANY, attributes: &[], import: |call| call.apply(op::Mean) },
    OnnxOperator { name: "MeanVarianceNormalization", since: 9, inputs: 1..=1, attributes: &["axes"], import: normalize::mean_variance },
    OnnxOperator { name: "MelWeightMatrix", since: 17, inputs: 5..=5, attributes: &["output_datatype"], import: windows::mel_weights },
    OnnxOperator { name: "Min", since: 1, inputs: 1..=ANY, attributes: &[], import: |call| call.apply(op::Min) },
    OnnxOperator { name: "Mish", since: 18, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Mish) },
    OnnxOperator { name: "Mod", since: 10, inputs: 2..=2, attributes: &["fmod"], import: |call| { let fmod = call.flag("fmod", false)?; call.apply(op::Mod { fmod }) } },
    OnnxOperator { name: "Mul", since: 1, inputs: 2..=2, attributes: legacy::BROADCAST, import: |call| legacy::broadcast(call, op::Mul) },
    OnnxOperator { name: "Multinomial", since: 7, inputs: 1..=1, attributes: &["dtype", "sample_size", "seed"], import: random::multinomial },
    OnnxOperator { name: "Neg", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Neg) },
    OnnxOperator { name: "NegativeLogLikelihoodLoss", since: 12, inputs: 2..=3, attributes: loss::ATTRIBUTES, import: loss::negative_log_likelihood },
    OnnxOperator { name: "NonMaxSuppression", since: 10, inputs: 2..=5, attributes: &["center_point_box"], import: suppression::non_max_suppression },
    OnnxOperator { name: "NonZero", since: 9, inputs: 1..=1, attributes: &[], import: index::non_zero },
    OnnxOperator { name: "Not", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Not) },
    OnnxOperator { name: "OneHot", since: 9, inputs: 3..=3, attributes: &["axis"], import: index::one_hot },
    OnnxOperator { name: "Optional", since: 15, inputs: 0..=1, attributes: &["type"], import: sequence::optional },
    OnnxOperator { name: "OptionalGetElement", since: 15, inputs: 1..=1, attributes: &[], import: sequence::get_element },
    OnnxOperator { name: "OptionalHasElement", since: 15, inputs: 0..=1, attributes: &[], import: sequence::has_element },
    OnnxOperator { name: "Or", since: 1, inputs: 2..=2, attributes: legacy::BROADCAST, import: |call| legacy::broadcast(call, op::Or) },
    OnnxOperator { name: "PRelu", since: 1, inputs: 2..=2, attributes: &[], import: legacy::p_relu },
    OnnxOperator { name: "Pad", since: 2, inputs: 1..=4, attributes: &["mode", "pads", "value"], import: movement::pad },
    OnnxOperator { name: "Pow", since: 1, inputs: 2..=2, attributes: legacy::BROADCAST, import: elementwise::pow },
    OnnxOperator { name: "QLinearConv", since: 10, inputs: 8..=9, attributes: CONV, import: quantization::qlinear_conv },
    OnnxOperator { name: "QLinearMatMul", since: 10, inputs: 8..=8, attributes: &[], import: quantization::qlinear_matmul },
    OnnxOperator { name: "QuantizeLinear", since: 10, inputs: 2..=3, attributes: quantization::QUANTIZE, import: quantization::quantize_linear },
    OnnxOperator { name: "RMSNormalization", since: 23, inputs: 2..=2, attributes: &["axis", "epsilon", "stash_type"], import: normalize::rms },
    OnnxOperator { name: "RNN", since: 7, inputs: 3..=6, attributes: recurrent::RNN, import: recurrent::rnn },
    OnnxOperator { name: "RandomNormal", since: 1, inputs: 0..=0, attributes: random::NORMAL, import: random::normal_of },
    OnnxOperator { name: "RandomNormalLike", since: 1, inputs: 1..=1, attributes: &["dtype", "mean", "scale", "seed"], import: random::normal_of },
    OnnxOperator { name: "RandomUniform", since: 1, inputs: 0..=0, attributes: random::UNIFORM, import: random::uniform },
    OnnxOperator { name: "RandomUniformLike", since: 1, inputs: 1..=1, attributes: &["dtype", "high", "low", "seed"], import: random::uniform },
    OnnxOperator { name: "Range", since: 11, inputs: 3..=3, attributes: &[], import: movement::range },
    OnnxOperator { name: "Reciprocal", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Reciprocal) },
    OnnxOperator { name: "ReduceL1", since: 1, inputs: 1..=2, attributes: reduce::ATTRIBUTES, import: reduce::l1 },
    OnnxOperator { name: "ReduceL2", since: 1, inputs: 1..=2, attributes: reduce::ATTRIBUTES, import: reduce::l2 },
    OnnxOperator { name: "ReduceLogSum", since: 1, inputs: 1..=2, attributes: reduce::ATTRIBUTES, import: reduce::log_sum },
    OnnxOperator { name: "ReduceLogSumExp", since: 1, inputs: 1..=2, attributes: reduce::ATTRIBUTES, import: reduce::log_sum_exp },
    OnnxOperator { name: "ReduceMax", since: 1, inputs: 1..=2, attributes: reduce::ATTRIBUTES, import: reduce::max },
    OnnxOperator { name: "ReduceMean", since: 1, inputs: 1..=2, attributes: reduce::ATTRIBUTES, import: reduce::mean },
    OnnxOperator { name: "ReduceMin", since: 1, inputs: 1..=2, attributes: reduce::ATTRIBUTES, import: reduce::min },
    OnnxOperator { name: "ReduceProd", since: 1, inputs: 1..=2, attributes: reduce::ATTRIBUTES, import: reduce::prod },
    OnnxOperator { name: "ReduceSum", since: 1, inputs: 1..=2, attributes: reduce::ATTRIBUTES, import: reduce::sum },
    OnnxOperator { name: "ReduceSumSquare", since: 1, inputs: 1..=2, attributes: reduce::ATTRIBUTES, import: reduce::sum_square },
    OnnxOperator { name: "Relu", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Relu) },
    OnnxOperator { name: "Reshape", since: 5, inputs: 2..=2, attributes: &["allowzero"], import: shape::reshape },
    OnnxOperator { name: "Resize", since: 10, inputs: 1..=4, attributes: &["antialias", "axes", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside", "extrapolation_value", "keep_aspect_ratio_policy", "mode", "nearest_mode"], import: resize::resize },
    OnnxOperator { name: "ReverseSequence", since: 10, inputs: 2..=2, attributes: &["batch_axis", "time_axis"], import: index::reverse_sequence },
    OnnxOperator { name: "RoiAlign", since: 10, inputs: 3..=3, attributes: &["coordinate_transformation_mode", "mode", "output_height", "output_width", "sampling_ratio", "spatial_scale"], import: region::roi_align },
    OnnxOperator { name: "RotaryEmbedding", since: 23, inputs: 3..=4, attributes: &["interleaved", "num_heads", "rotary_embedding_dim"], import: attention::rotary_embedding },
    OnnxOperator { name: "Round", since: 11, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Round) },
    OnnxOperator { name: "STFT", since: 17, inputs: 2..=4, attributes: &["onesided"], import: signal::stft },
    OnnxOperator { name: "Scan", since: 8, inputs: 1..=ANY, attributes: control::SCAN, import: control::scan },
    OnnxOperator { name: "Scatter", since: 9, inputs: 3..=3, attributes: &["axis"], import: index::scatter_elements },
    OnnxOperator { name: "ScatterElements", since: 11, inputs: 3..=3, attributes: &["axis", "reduction"], import: index::scatter_elements },
    OnnxOperator { name: "ScatterND", since: 11, inputs: 3..=3, attributes: &["reduction"], import: |call| { let update = index::update(call)?; call.apply(op::ScatterND { update }) } },
    OnnxOperator { name: "Selu", since: 1, inputs: 1..=1, attributes: &["alpha", "gamma"], import: elementwise::selu },
    OnnxOperator { name: "SequenceAt", since: 11, inputs: 2..=2, attributes: &[], import: sequence::at },
    OnnxOperator { name: "SequenceConstruct", since: 11, inputs: 1..=ANY, attributes: &[], import: sequence::construct },
    OnnxOperator { name: "SequenceEmpty", since: 11, inputs: 0..=0, attributes: &["dtype"], import: sequence::empty },
    OnnxOperator { name: "SequenceErase", since: 11, inputs: 1..=2, attributes: &[], import: sequence::erase },
    OnnxOperator { name: "SequenceInsert", since: 11, inputs: 2..=3, attributes: &[], import: sequence::insert },
    OnnxOperator { name: "SequenceLength", since: 11, inputs: 1..=1, attributes: &[], import: sequence::length },
    OnnxOperator { name: "SequenceMap", since: 17, inputs: 1..=ANY, attributes: &["body"], import: sequence::map },
    OnnxOperator { name: "Shape", since: 1, inputs: 1..=1, attributes: &["end", "start"], import: shape::shape },
    OnnxOperator { name: "Shrink", since: 9, inputs: 1..=1, attributes: &["bias", "lambd"], import: elementwise::shrink },
    OnnxOperator { name: "Sigmoid", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Sigmoid) },
    OnnxOperator { name: "Sign", since: 9, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Sign) },
    OnnxOperator { name: "SimplifiedLayerNormalization", since: 1, inputs: 2..=2, attributes: &["axis", "epsilon", "stash_type"], import: normalize::rms },
    OnnxOperator { name: "Sin", since: 7, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Sin) },
    OnnxOperator { name: "Sinh", since: 9, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Sinh) },
    OnnxOperator { name: "Size", since: 1, inputs: 1..=1, attributes: &[], import: shape::size },
    OnnxOperator { name: "Slice", since: 1, inputs: 1..=5, attributes: &["axes", "ends", "starts"], import: movement::slice },
    OnnxOperator { name: "Softmax", since: 1, inputs: 1..=1, attributes: &["axis"], import: |call| normalize::along_axis(call, |axis| op::Softmax { axis }.into()) },
    OnnxOperator { name: "SoftmaxCrossEntropyLoss", since: 12, inputs: 2..=3, attributes: loss::ATTRIBUTES, import: loss::softmax_cross_entropy },
    OnnxOperator { name: "Softplus", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Softplus) },
    OnnxOperator { name: "Softsign", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Softsign) },
    OnnxOperator { name: "SpaceToDepth", since: 1, inputs: 1..=1, attributes: &["blocksize", "mode"], import: movement::space_to_depth },
    OnnxOperator { name: "Split", since: 2, inputs: 1..=2, attributes: &["axis", "num_outputs", "split"], import: shape::split },
    OnnxOperator { name: "SplitToSequence", since: 11, inputs: 1..=2, attributes: &["axis", "keepdims"], import: sequence::split },
    OnnxOperator { name: "Sqrt", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Sqrt) },
    OnnxOperator { name: "Squeeze", since: 1, inputs: 1..=2, attributes: &["axes"], import: shape::squeeze },
    OnnxOperator { name: "Sub", since: 1, inputs: 2..=2, attributes: legacy::BROADCAST, import: |call| legacy::broadcast(call, op::Sub) },
    OnnxOperator { name: "Sum", since: 1, inputs: 1..=ANY, attributes: &[], import: |call| call.apply(op::Sum) },
    OnnxOperator { name: "SwiGLU", since: 28, inputs: 2..=2, attributes: &["alpha"], import: |call| elementwise::with_alpha(call, 1.0, |alpha| op::SwiGLU { alpha }) },
    OnnxOperator { name: "Swish", since: 24, inputs: 1..=1, attributes: &["alpha"], import: |call| elementwise::with_alpha(call, 1.0, |alpha| op::Swish { alpha }) },
    OnnxOperator { name: "Tan", since: 7, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Tan) },
    OnnxOperator { name: "Tanh", since: 1, inputs: 1..=1, attributes: &[], import: |call| call.apply(op::Tanh) },
    OnnxOperator { name: "TensorScatter", since: 24, inputs: 2..=3, attributes: &["axis", "mode"], import: index::tensor_scatter },
    OnnxOperator { name: "TfIdfVectorizer", since: 9, inputs: 1..=1, attributes: ngrams::ATTRIBUTES, import: ngrams::vectorizer },
    OnnxOperator { name: "ThresholdedRelu", since: 10, inputs: 1..=1, attributes: &["alpha"], import: |call| elementwise::with_alpha(call, 1.0, |alpha| op::ThresholdedRelu { alpha }) },
    OnnxOperator { name: "Tile", since: 6, inputs: 2..=2, attributes: &[], import: movement::tile },
    OnnxOperator { name: "TopK", since: 1, inputs: 1..=2, attributes: &["axis", "k", "largest", "sorted"], import: index::top_k },
    OnnxOperator { name: "Transpose", since: 1, inputs: 1..=1, attributes: &["perm"], import: shape::transpose },
    OnnxOperator { name: "Trilu", since: 14, inputs: 1..=2, attributes: &["upper"], import: |call| { let upper = call.flag("upper", true)?; call.apply(op::Trilu { upper }) } },
    OnnxOperator { name: "Unique", since: 11, inputs: 1..=1, attributes: &["axis", "sorted"], import: index::unique },
    OnnxOperator { name: "Unsqueeze", since: 1, inputs: 1..=2, attributes: &["axes"], import: shape::unsqueeze },
    OnnxOperator { name: "Upsample", since: 7, inputs: 1..=2, attributes: &["mode", "scales"], import: resize::upsample },
    OnnxOperator { name: "Where", since: 9, inputs: 3..=3, attributes: &[], import: |call| call.apply(op::Where) },
    OnnxOperator { name: "Xor", since: 1, inputs: 2..=2, attributes: legacy::BROADCAST, import: |call| legacy::broadcast(call, op::Xor) },
];

/// The tables of all domains. That of ONNX itself has no name.
const TABLES: &[(&str, &[OnnxOperator])] = &[
    ("", TABLE),
    (attention::PREVIEW, attention::PREVIEW_TABLE),
    (classical::DOMAIN, classical::TABLE),
    (training::DOMAIN, training::TABLE),
    (microsoft::DOMAIN, microsoft::TABLE),
];

/// All operators that are supported.
pub(crate) fn all() -> impl Iterator<Item = SupportedOperator> {
    TABLES.iter().flat_map(|&(domain, table)| {
        table.iter().map(move |entry| SupportedOperator { domain, name: entry.name, since: entry.since })
    })
}

/// Adds a node's meaning to the graph. If something about its inputs is unknown, only its form is checked.
pub(super) fn import(import: &mut Import, node: &onnx::ModelNode, index: usize) -> Result<(), NodeError> {
    let function = import.function(node);
    let entry = if function.is_some() { None } else { Some(entry(node)?) };
    entry.map_or(Ok(()), |entry| check(entry, node, import))?;
    let known = |name: &String| if name.is_empty() { Some(None) } else { import.named(name) };
    let Some(mut inputs) = node.inputs.iter().map(known).collect::<Option<Vec<Option<TensorId>>>>() else {
        return Ok(());
    };
    let least = entry.map_or(0, |entry| *entry.inputs.start());
    while inputs.len() > least && inputs.last() == Some(&None) {
        inputs.pop();
    }
    if entry.is_some_and(|entry| !sequence::TAKE_OTHERS.contains(&entry.name)) {
        let given: Vec<TensorId> = inputs.iter().flatten().copied().collect();
        import.tensors_only(&given)?;
    }
    let (label, opset) = (import.label(node, index), import.opset());
    let outputs = match (function, entry) {
        (Some(function), _) => import.call(&label, node, function, &inputs)?,
        (None, Some(entry)) => {
            let given: Vec<TensorId> = inputs.iter().flatten().copied().collect();
            let mut call = Call { import, node, label, opset, inputs };
            classical::check_texts(&call)?;
            let outputs = (entry.import)(&mut call)?;
            classical::keep_texts(&mut call, &outputs);
            import.check_bounds(entry.name, &given, &outputs)?;
            outputs
        }
        (None, None) => return Ok(()),
    };
    let wanted = |(_, name): &(usize, &String)| !name.is_empty() && import.wants(name);
    if let Some((index, name)) = node.outputs.iter().enumerate().skip(outputs.len()).find(wanted) {
        let supported = match outputs.len() {
            1 => "output 0 is".to_owned(),
            count => format!("outputs 0 to {} are", count - 1),
        };
        return Err(NodeError::Output { index, name: name.clone(), supported });
    }
    let named = node.outputs.iter().zip(outputs).filter(|(name, _)| !name.is_empty());
    named.for_each(|(name, id)| import.define(name.clone(), Some(id)));
    Ok(())
}

/// Whether there is an operator for a node, in one form at least.
pub(crate) fn supports(node: &onnx::ModelNode) -> bool {
    entry(node).is_ok()
}

fn entry(node: &onnx::ModelNode) -> Result<&'static OnnxOperator, NodeError> {
    let tables = TABLES.iter().filter(|(domain, _)| *domain == node.domain);
    let entry = tables.flat_map(|(_, table)| *table).find(|entry| entry.name == node.operator);
    let gradient = node.domain == training::DOMAIN && node.operator == "Gradient";
    let instead = if gradient { training::INSTEAD_OF_GRADIENT } else { "" };
    entry.ok_or_else(|| NodeError::Unsupported { near: near(node), instead })
}

/// The supported operators whose names are nearly this one. Many short names of other operators are so too.
fn near(node: &onnx::ModelNode) -> Vec<&'static str> {
    let name = &node.operator;
    let most = if name.len() < 6 || !node.domain.is_empty() { 0 } else { 2 };
    let near = TABLE.iter().map(|entry| (distance(name, entry.name), entry.name));
    let mut near: Vec<(usize, &str)> = near.filter(|&(far, _)| far <= most).collect();
    near.sort_unstable();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

/// How many letters must be added, removed or replaced to make one name of the other, whatever their case.
/// Names of very different lengths are far apart.
fn distance(one: &str, other: &str) -> usize {
    if one.len().abs_diff(other.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[other.len()]
}

/// Checks the form of a node: opset, attributes, and the number of inputs.
fn check(entry: &OnnxOperator, node: &onnx::ModelNode, import: &Import) -> Result<(), NodeError> {
    if import.opset() < entry.since {
        return Err(NodeError::Opset { found: import.opset(), since: entry.since });
    }
    // Before opset 6, many operators had an attribute about memory.
    let ignored = |name: &str| name == "consumed_inputs" && import.opset() < 6;
    let known = |name: &str| entry.attributes.contains(&name) || ignored(name);
    if let Some(attribute) = node.attributes.keys().find(|name| !known(name)) {
        let known = if entry.attributes.is_empty() { "none".to_owned() } else { entry.attributes.join(", ") };
        return Err(NodeError::UnknownAttribute { attribute: attribute.clone(), known });
    }
    if !entry.inputs.contains(&node.inputs.len()) {
        let expected = match (*entry.inputs.start(), *entry.inputs.end()) {
            (start, end) if start == end => start.to_string(),
            (start, ANY) => format!("at least {start}"),
            (start, end) => format!("{start} to {end}"),
        };
        return Err(NodeError::InputCount { found: node.inputs.len(), expected });
    }
    Ok(())
}

fn matmul(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    match dequantized::matmul(call)? {
        Some(outputs) => Ok(outputs),
        None => call.apply(op::MatMul),
    }
}

fn gemm(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let operator = gemm_of(call)?;
    let outputs = match dequantized::gemm(call, &operator)? {
        Some(outputs) => outputs,
        None => call.apply(operator)?,
    };
    legacy::check_addend(call, outputs[0])?;
    Ok(outputs)
}

/// The attributes of a Gemm.
fn gemm_of(call: &Call<'_>) -> Result<op::Gemm, NodeError> {
    Ok(op::Gemm {
        alpha: call.float("alpha")?.unwrap_or(1.0),
        beta: call.float("beta")?.unwrap_or(1.0),
        trans_a: call.flag("transA", false)?,
        trans_b: call.flag("transB", false)?,
    })
}

/// Dropout does nothing during inference, and keeps all elements if its ratio is 0.
fn dropout(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    if legacy::is_training(call)? {
        return random::dropout(call, None);
    }
    let ratio = call.optional(1);
    let keeps_all = ratio.is_some_and(|ratio| call.is_zero(ratio) == Some(true));
    if let Some(training) = call.optional(2).filter(|_| !keeps_all) {
        match call.is_zero(training) {
            Some(true) => {}
            Some(false) => return random::dropout(call, ratio),
            None => {
                return Err(call.input_error(2, "not a constant", "true or false"));
            }
        }
    }
    let input = call.input(0)?;
    let mut outputs = call.apply_to(op::Identity, &[input])?;
    if let Some(name) = call.node.outputs.get(1).filter(|name| !name.is_empty()) {
        // The mask says which elements were kept. Before opset 10 it has their type.
        let ty = call.ty(input).clone();
        let one = index::one(call, "one", if call.opset < 10 { ty.dtype } else { DType::Bool });
        let mask = op::Expand { shape: ty.shape };
        outputs.extend(call.import.apply(&call.label, mask, &[one], std::slice::from_ref(name))?);
    }
    Ok(outputs)
}

fn concat(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let default = if call.opset < 4 { Some(1) } else { None };
    let axis = call.int("axis")?.or(default).ok_or(NodeError::MissingAttribute { attribute: "axis" })?;
    let parts = call.all()?;
    call.apply_to(op::Concat { axis }, &parts)
}

#[cfg(test)]
mod tests {
    use super::TABLES;
    use dnn_lib::operator::Operator;

    #[test]
    fn every_operator_is_imported_unless_it_is_internal() {
        for entry in Operator::TABLE {
            let imported = TABLES.iter().any(|(_, table)| table.iter().any(|onnx| onnx.name == entry.name));
            assert_eq!(imported, !entry.internal, "{} of dnn-lib", entry.name);
        }
    }

    #[test]
    fn the_tables_are_in_order() {
        for (domain, table) in TABLES {
            assert!(table.is_sorted_by_key(|entry| entry.name), "{domain}");
        }
    }
}
