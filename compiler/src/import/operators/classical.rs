//! Operators of the domain ai.onnx.ml, which the converters of scikit-learn, LightGBM and XGBoost write: each in a
//! few operators of ours.
//!
//! Where the specification leaves a result open, it is that of onnxruntime.

mod encode;
mod feature;
mod forest;
mod label;
mod linear;
mod support;
mod transform;
mod tree;

use dnn_lib::operator as op;
use dnn_lib::tensor::DType;
use graph::TensorId;

use super::{ANY, OnnxOperator};
use crate::error::NodeError;
use crate::import::call::Call;

type Outputs = Result<Vec<TensorId>, NodeError>;

/// The name of the domain.
pub(super) const DOMAIN: &str = "ai.onnx.ml";

#[rustfmt::skip]
pub(super) const TABLE: &[OnnxOperator] = &[
    OnnxOperator { name: "ArrayFeatureExtractor", since: 1, inputs: 2..=2, attributes: &[], import: feature::extractor },
    OnnxOperator { name: "Binarizer", since: 1, inputs: 1..=1, attributes: &["threshold"], import: feature::binarizer },
    OnnxOperator { name: "CastMap", since: 1, inputs: 1..=1, attributes: &["cast_to", "map_form", "max_map"], import: no_maps },
    OnnxOperator { name: "CategoryMapper", since: 1, inputs: 1..=1, attributes: &["cats_int64s", "cats_strings", "default_int64", "default_string"], import: encode::category_mapper },
    OnnxOperator { name: "DictVectorizer", since: 1, inputs: 1..=1, attributes: &["int64_vocabulary", "string_vocabulary"], import: no_maps },
    OnnxOperator { name: "FeatureVectorizer", since: 1, inputs: 1..=ANY, attributes: &["inputdimensions"], import: feature::vectorizer },
    OnnxOperator { name: "Imputer", since: 1, inputs: 1..=1, attributes: &["imputed_value_floats", "imputed_value_int64s", "replaced_value_float", "replaced_value_int64"], import: feature::imputer },
    OnnxOperator { name: "LabelEncoder", since: 1, inputs: 1..=1, attributes: &["classes_strings", "default_float", "default_int64", "default_string", "default_tensor", "keys_floats", "keys_int64s", "keys_strings", "keys_tensor", "values_floats", "values_int64s", "values_strings", "values_tensor"], import: encode::label_encoder },
    OnnxOperator { name: "LinearClassifier", since: 1, inputs: 1..=1, attributes: &["classlabels_ints", "classlabels_strings", "coefficients", "intercepts", "multi_class", "post_transform"], import: linear::classifier },
    OnnxOperator { name: "LinearRegressor", since: 1, inputs: 1..=1, attributes: &["coefficients", "intercepts", "post_transform", "targets"], import: linear::regressor },
    OnnxOperator { name: "Normalizer", since: 1, inputs: 1..=1, attributes: &["norm"], import: feature::normalizer },
    OnnxOperator { name: "OneHotEncoder", since: 1, inputs: 1..=1, attributes: &["cats_int64s", "cats_strings", "zeros"], import: encode::one_hot },
    OnnxOperator { name: "SVMClassifier", since: 1, inputs: 1..=1, attributes: &["classlabels_ints", "classlabels_strings", "coefficients", "kernel_params", "kernel_type", "post_transform", "prob_a", "prob_b", "rho", "support_vectors", "vectors_per_class"], import: support::classifier },
    OnnxOperator { name: "SVMRegressor", since: 1, inputs: 1..=1, attributes: &["coefficients", "kernel_params", "kernel_type", "n_supports", "one_class", "post_transform", "rho", "support_vectors"], import: support::regressor },
    OnnxOperator { name: "Scaler", since: 1, inputs: 1..=1, attributes: &["offset", "scale"], import: feature::scaler },
    OnnxOperator { name: "TreeEnsemble", since: 1, inputs: 1..=1, attributes: tree::ENSEMBLE, import: tree::ensemble },
    OnnxOperator { name: "TreeEnsembleClassifier", since: 1, inputs: 1..=1, attributes: tree::CLASSIFIER, import: tree::classifier },
    OnnxOperator { name: "TreeEnsembleRegressor", since: 1, inputs: 1..=1, attributes: tree::REGRESSOR, import: tree::regressor },
    OnnxOperator { name: "ZipMap", since: 1, inputs: 1..=1, attributes: &["classlabels_int64s", "classlabels_strings"], import: encode::zip_map },
];

/// Input 0 as a matrix of examples, one in a row: `f64` if it is that, else `f32`.
fn examples(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
    let mut x = call.input(0)?;
    if !matches!(call.ty(x).dtype, DType::F32 | DType::F64) {
        x = call.step("floats", op::Cast { to: DType::F32 }, &[x])?;
    }
    let shape = &call.ty(x).shape;
    match shape[..] {
        [_, _] => Ok(x),
        [features] => {
            let shape = vec![1, features as i64];
            call.step("example", op::Reshape { shape, allow_zero: true }, &[x])
        }
        _ => Err(NodeError::InputShape {
            index: 0,
            tensor: call.tensor(x).name.clone(),
            found: format!("{shape:?}"),
            expected: "[examples, features]".to_owned(),
        }),
    }
}

/// Input 0 as a matrix of examples of 32 bits.
fn single_examples(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
    let x = examples(call)?;
    transform::narrowed(call, x)
}

/// An attribute that is a list of floats, or the tensor that stands for it.
fn floats(call: &Call<'_>, name: &str) -> Result<Option<Vec<f64>>, NodeError> {
    if let Some(numbers) = call.tensor_numbers(&format!("{name}_as_tensor"))? {
        return Ok(Some(numbers));
    }
    Ok(call.floats(name)?.map(|floats| floats.into_iter().map(f64::from).collect()))
}

/// Input 0 as it is, with floats of 32 bits.
fn float_input(call: &mut Call<'_>) -> Result<TensorId, NodeError> {
    let x = call.input(0)?;
    match call.ty(x).dtype {
        DType::F32 => Ok(x),
        _ => call.step("floats", op::Cast { to: DType::F32 }, &[x]),
    }
}

/// The machine has no maps.
fn no_maps(_: &mut Call<'_>) -> Outputs {
    Err(NodeError::Map)
}

/// The operators that only move elements of input 0, so that texts stay texts.
const MOVERS: &[&str] = &[
    "ArrayFeatureExtractor",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// The operators that know what to do with texts.
const READERS: &[&str] = &["Cast", "CategoryMapper", "LabelEncoder", "OneHotEncoder", "Shape", "Size"];

/// Refuses to compute with the numbers of texts.
pub(super) fn check_texts(call: &Call<'_>) -> Result<(), NodeError> {
    let text = |id: &Option<TensorId>| id.is_some_and(|id| call.import.texts.contains_key(&id));
    let known = |name: &&&str| **name == call.node.operator;
    let reads = MOVERS.iter().chain(READERS).find(known).is_some();
    match call.inputs.iter().position(text) {
        Some(index) if index > 0 || !reads => {
            let tensor = call.inputs[index].map(|id| call.tensor(id).name.clone()).unwrap_or_default();
            Err(NodeError::Text { index, tensor, supported: [MOVERS, READERS].concat().join(", ") })
        }
        _ => Ok(()),
    }
}

/// The numbers that strings stand for, or the strings as they are.
pub(super) fn cast_texts(call: &mut Call<'_>, texts: &[String]) -> Outputs {
    encode::cast(call, texts)
}

/// Tells that what an operator only moves are still texts.
pub(super) fn keep_texts(call: &mut Call<'_>, outputs: &[TensorId]) {
    let texts = call.optional(0).and_then(|x| call.import.texts.get(&x).cloned());
    if let (Some(texts), Some(&output)) = (texts, outputs.first())
        && MOVERS.contains(&call.node.operator.as_str())
    {
        call.import.texts.insert(output, texts);
    }
}

impl Call<'_> {
    /// An operator that only moves elements, which may be texts.
    fn keeping_texts(
        &mut self,
        what: &str,
        operator: impl Into<op::Operator>,
        x: TensorId,
    ) -> Result<TensorId, NodeError> {
        let moved = self.step(what, operator, &[x])?;
        if let Some(texts) = self.import.texts.get(&x).cloned() {
            self.import.texts.insert(moved, texts);
        }
        Ok(moved)
    }
}

/// Classes with their numbers, for a message.
pub(crate) fn shortened(classes: &[String]) -> String {
    const MOST: usize = 20;
    let shown = classes.iter().enumerate().take(MOST).map(|(number, class)| format!("{number}: `{class}`"));
    let rest = classes.len().saturating_sub(MOST);
    let rest = (rest > 0).then(|| format!("and {rest} more"));
    shown.chain(rest).collect::<Vec<_>>().join(", ")
}
