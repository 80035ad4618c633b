//! Attention and rotary embeddings, in a few operators each.

use dnn_lib::operator as op;
use dnn_lib::tensor::DType;
use graph::TensorId;

use super::OnnxOperator;
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

type Outputs = Result<Vec<TensorId>, NodeError>;

/// The domain of what may still change.
pub(super) const PREVIEW: &str = "ai.onnx.preview";

#[rustfmt::skip]
pub(super) const PREVIEW_TABLE: &[OnnxOperator] = &[
    OnnxOperator { name: "FlexAttention", since: 1, inputs: 3..=3, attributes: &["prob_mod", "scale", "score_mod", "softmax_precision"], import: flex_attention },
];

pub(super) const ATTENTION: &[&str] = &[
    "is_causal",
    "kv_num_heads",
    "left_window_size",
    "q_num_heads",
    "qk_matmul_output_mode",
    "right_window_size",
    "scale",
    "softcap",
    "softmax_precision",
];

pub(super) fn signed(shape: &[u64]) -> Vec<i64> {
    shape.iter().map(|&size| size.cast_signed()).collect()
}

impl Call<'_> {
    pub(super) fn reshaped(&mut self, what: &str, x: TensorId, shape: &[u64]) -> Result<TensorId, NodeError> {
        self.step(what, op::Reshape { shape: signed(shape), allow_zero: true }, &[x])
    }

    pub(super) fn transposed(
        &mut self,
        what: &str,
        x: TensorId,
        perm: [u64; 4],
    ) -> Result<TensorId, NodeError> {
        self.step(what, op::Transpose { perm: Some(perm.to_vec()) }, &[x])
    }

    /// The shape of a tensor with this many dimensions, 4 for most.
    pub(super) fn shape<const N: usize>(&self, index: usize, x: TensorId) -> Result<[u64; N], NodeError> {
        let shape = &self.ty(x).shape;
        shape.as_slice().try_into().map_err(|_| NodeError::InputShape {
            index,
            tensor: self.tensor(x).name.clone(),
            found: format!("{shape:?}"),
            expected: format!("{N} dimensions"),
        })
    }

    /// A count that an attribute gives; at least 1.
    pub(super) fn count(&self, name: &'static str) -> Result<u64, NodeError> {
        let count = self.int(name)?.ok_or(NodeError::MissingAttribute { attribute: name })?;
        u64::try_from(count)
            .ok()
            .filter(|&count| count > 0)
            .ok_or_else(|| value_error(name, &count, "numbers from 1"))
    }

    /// A window's size; -1 stands for no limit.
    fn window_size(&self, name: &str) -> Result<Option<u64>, NodeError> {
        match self.int(name)? {
            None | Some(-1) => Ok(None),
            Some(size) => {
                u64::try_from(size).map(Some).map_err(|_| value_error(name, &size, "numbers from -1"))
            }
        }
    }
}

/// Queries, keys or values as [batch, heads, length, size]. Those of three dimensions have their heads in the
/// last.
fn in_heads(call: &mut Call<'_>, index: usize, heads: &'static str) -> Result<TensorId, NodeError> {
    let x = call.input(index)?;
    if call.ty(x).shape.len() != 3 {
        call.shape::<4>(index, x)?;
        return Ok(x);
    }
    split_heads(call, index, x, heads)
}

/// Queries (0), keys (1) or values (2) of three dimensions, with their heads as a dimension of their own.
pub(super) fn split_heads(
    call: &mut Call<'_>,
    index: usize,
    x: TensorId,
    heads: &'static str,
) -> Result<TensorId, NodeError> {
    let [batch, length, size] = call.shape(index, x)?;
    let count = call.count(heads)?;
    if !size.is_multiple_of(count) {
        return Err(value_error(heads, &count, &format!("what divides the size of input {index}, {size}")));
    }
    let name = ["q", "k", "v"][index];
    let split = call.reshaped(&format!("{name}_split"), x, &[batch, length, count, size / count])?;
    call.transposed(&format!("{name}_heads"), split, [0, 2, 1, 3])
}

/// Which keys a query sees, and the inputs that say so.
fn sight(call: &mut Call<'_>, past: Option<TensorId>) -> Result<(op::Sight, Vec<TensorId>), NodeError> {
    let (mask, valid) = (call.optional(3), call.optional(6));
    let right = if call.flag("is_causal", false)? { Some(0) } else { None };
    let window = call.window_size("right_window_size")?;
    let sight = op::Sight {
        offset: past.map_or(0, |past| call.ty(past).shape.get(2).copied().unwrap_or(0)),
        left: call.window_size("left_window_size")?,
        right: right.into_iter().chain(window).min(),
        mask: mask.is_some(),
        valid: valid.is_some(),
    };
    Ok((sight, mask.into_iter().chain(valid).collect()))
}

/// The cache and what is new, joined.
pub(super) fn extended(
    call: &mut Call<'_>,
    what: &str,
    past: Option<TensorId>,
    new: TensorId,
) -> Result<TensorId, NodeError> {
    past.map_or(Ok(new), |past| call.step(what, op::Concat { axis: 2 }, &[past, new]))
}

/// The scores of queries and keys: products, of both scaled by the root of the scale. Queries of several
/// heads that share a head of the keys are rows of one matrix.
fn scores(call: &mut Call<'_>, queries: TensorId, keys: TensorId) -> Result<TensorId, NodeError> {
    let [batch, heads, length, size] = call.shape(0, queries)?;
    let [_, key_heads, all, _] = call.shape(1, keys)?;
    if key_heads == 0 || !heads.is_multiple_of(key_heads) {
        let supported = format!("a multiple of the {key_heads} heads of the keys");
        return Err(value_error("q_num_heads", &heads, &supported));
    }
    let given = call.float("scale")?.filter(|&scale| scale != 0.0 || call.node.domain.is_empty());
    let scale = given.map_or(1.0 / (size as f64).sqrt(), f64::from);
    let root = call.number("root_of_scale", scale.sqrt(), call.ty(queries).dtype);
    let queries = call.step("q_scaled", op::Mul, &[queries, root])?;
    let rows = call.reshaped(
        "q_rows",
        queries,
        &[batch, key_heads, (heads / key_heads).saturating_mul(length), size],
    )?;
    let keys = call.step("k_scaled", op::Mul, &[keys, root])?;
    let columns = call.transposed("k_columns", keys, [0, 1, 3, 2])?;
    let scores = call.step("products", op::MatMul, &[rows, columns])?;
    call.reshaped("scores", scores, &[batch, heads, length, all])
}

/// Queries, keys and values in heads, and what is seen of them.
pub(super) struct Attended {
    pub queries: TensorId,
    pub keys: TensorId,
    pub values: TensorId,
    pub sight: op::Sight,
    /// The mask and the numbers of valid keys, as the sight has them.
    pub seen: Vec<TensorId>,
}

/// The stages of the scores, and the results in heads: [batch, heads, length, size].
pub(super) struct Attention {
    pub raw: TensorId,
    pub capped: TensorId,
    pub weights: TensorId,
    pub results: TensorId,
}

impl Attended {
    fn all_are_seen(&self) -> bool {
        self.seen.is_empty() && self.sight.left.or(self.sight.right).is_none()
    }

    /// Scores with what hides keys added.
    fn masked(&self, call: &mut Call<'_>, scores: TensorId) -> Result<TensorId, NodeError> {
        let inputs = [&[scores], &self.seen[..]].concat();
        if self.all_are_seen() {
            Ok(scores)
        } else {
            call.step("masked", op::MaskedScores(self.sight), &inputs)
        }
    }

    /// The softmax of scores, in doubles if the node says so.
    fn weights(&self, call: &mut Call<'_>, scores: TensorId) -> Result<TensorId, NodeError> {
        let given = call.ty(scores).dtype;
        let precision = if call.int("softmax_precision")? == Some(11) { DType::F64 } else { given };
        let scores = call.cast("precise_scores", scores, precision)?;
        let weights = if self.all_are_seen() {
            call.step("precise_weights", op::Softmax { axis: 3 }, &[scores])?
        } else {
            let mut inputs = vec![scores];
            for &seen in &self.seen {
                // A mask that is added to scores has their type.
                let is_added = call.ty(seen).dtype == given;
                inputs.push(if is_added { call.cast("precise_mask", seen, precision)? } else { seen });
            }
            call.step("precise_weights", op::MaskedSoftmax(self.sight), &inputs)?
        };
        call.cast("weights", weights, given)
    }

    pub fn attend(&self, call: &mut Call<'_>) -> Result<Attention, NodeError> {
        let raw = scores(call, self.queries, self.keys)?;
        let mut capped = raw;
        let cap = call.float("softcap")?.unwrap_or(0.0);
        if cap != 0.0 {
            let cap = call.number("softcap", cap, call.ty(raw).dtype);
            let part = call.step("part_of_cap", op::Div, &[raw, cap])?;
            let bent = call.step("bent", op::Tanh, &[part])?;
            capped = call.step("capped", op::Mul, &[bent, cap])?;
        }
        let weights = self.weights(call, capped)?;
        let [batch, heads, length, all] = call.shape(0, weights)?;
        let [_, key_heads, _, size] = call.shape(2, self.values)?;
        let rows = call.reshaped(
            "weight_rows",
            weights,
            &[batch, key_heads, (heads / key_heads.max(1)).saturating_mul(length), all],
        )?;
        let results = call.step("results", op::MatMul, &[rows, self.values])?;
        let results = call.reshaped("by_head", results, &[batch, heads, length, size])?;
        Ok(Attention { raw, capped, weights, results })
    }
}

/// The node's first output: results with the heads side by side in the last of three dimensions.
pub(super) fn side_by_side(call: &mut Call<'_>, results: TensorId) -> Outputs {
    let [batch, heads, length, size] = call.shape(0, results)?;
    let together = call.transposed("together", results, [0, 2, 1, 3])?;
    let shape = signed(&[batch, length, heads.saturating_mul(size)]);
    call.apply_to(op::Reshape { shape, allow_zero: true }, &[together])
}

/// Inputs: queries, keys, values, optionally mask, past keys, past values, numbers of valid keys. Outputs:
/// the result, present keys, present values, scores.
pub(super) fn attention(call: &mut Call<'_>) -> Outputs {
    let queries = in_heads(call, 0, "q_num_heads")?;
    let new = [in_heads(call, 1, "kv_num_heads")?, in_heads(call, 2, "kv_num_heads")?];
    let past = [call.optional(4), call.optional(5)];
    let keys = extended(call, "present_key", past[0], new[0])?;
    let values = extended(call, "present_value", past[1], new[1])?;
    let (sight, seen) = sight(call, past[0])?;
    let attended = Attended { queries, keys, values, sight, seen };
    let attention = attended.attend(call)?;
    let shown = match call.int("qk_matmul_output_mode")?.unwrap_or(0) {
        _ if call.node.outputs.get(3).is_none_or(String::is_empty) => None,
        0 => Some(attention.raw),
        1 => Some(attention.capped),
        2 => Some(attended.masked(call, attention.capped)?),
        3 => Some(attention.weights),
        mode => return Err(value_error("qk_matmul_output_mode", &mode, "0 to 3")),
    };
    let mut outputs = if call.ty(call.input(0)?).shape.len() == 3 {
        side_by_side(call, attention.results)?
    } else {
        call.apply_to(op::Identity, &[attention.results])?
    };
    for (index, tensor) in [keys, values].into_iter().chain(shown).enumerate() {
        outputs.push(call.as_output(index + 1, tensor)?);
    }
    Ok(outputs)
}

/// Inputs: queries, keys, values. Graphs of the node change the scores and the weights.
pub(super) fn flex_attention(call: &mut Call<'_>) -> Outputs {
    call.check_float(0)?;
    let (queries, keys, values) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let given = call.ty(queries).dtype;
    let precision = call.element_type("softmax_precision")?;
    let precision = precision.unwrap_or(if given == DType::F64 { DType::F64 } else { DType::F32 });
    let scores = scores(call, queries, keys)?;
    let scores = call.cast("precise_scores", scores, precision)?;
    let scores = modified(call, "score_mod", scores)?;
    let weights = call.step("weights", op::Softmax { axis: 3 }, &[scores])?;
    let weights = modified(call, "prob_mod", weights)?;
    let weights = call.cast("weights_as_values", weights, given)?;

    let [batch, heads, length, all] = call.shape(0, weights)?;
    let [_, key_heads, _, size] = call.shape(2, values)?;
    let rows = (heads / key_heads.max(1)).saturating_mul(length);
    let rows = call.reshaped("weight_rows", weights, &[batch, key_heads, rows, all])?;
    let result = call.step("results", op::MatMul, &[rows, values])?;
    let shape = signed(&[batch, heads, length, size]);
    call.apply_to(op::Reshape { shape, allow_zero: true }, &[result])
}

/// A tensor as a graph of the node changes it, if there is one. Its type stays.
fn modified(call: &mut Call<'_>, name: &'static str, x: TensorId) -> Result<TensorId, NodeError> {
    if !call.node.attributes.contains_key(name) {
        return Ok(x);
    }
    let graph = call.graph(name)?;
    if [graph.inputs.len(), graph.outputs.len()] != [1, 1] {
        let found = format!("a graph with {} inputs and {} outputs", graph.inputs.len(), graph.outputs.len());
        return Err(value_error(name, &found, "one of each"));
    }
    let label = call.label.clone();
    let changed = call.import.inside(&label, graph, &[Some(x)])?[0];
    if call.ty(changed) != call.ty(x) {
        let found = format!("a graph that gives {}", call.ty(changed));
        return Err(value_error(name, &found, &call.ty(x).to_string()));
    }
    Ok(changed)
}

/// Inputs: x, cosines, sines, optionally positions.
pub(super) fn rotary_embedding(call: &mut Call<'_>) -> Outputs {
    let inputs: Vec<TensorId> =
        [call.input(1)?, call.input(2)?].into_iter().chain(call.optional(3)).collect();
    let heads = call.int("num_heads")?.filter(|&heads| heads != 0);
    let heads = heads.map(|_| call.count("num_heads")).transpose()?;
    rotated(call, &inputs, heads)
}

/// The same of com.microsoft, which has positions first and needs no number of heads. Inputs: x, positions,
/// cosines, sines.
pub(super) fn microsoft_rotary_embedding(call: &mut Call<'_>) -> Outputs {
    if let Some(scale) = call.float("scale")?.filter(|&scale| scale != 1.0) {
        return Err(value_error("scale", &scale, "1"));
    }
    if call.flag("is_packed_batching", false)? {
        return Err(value_error("is_packed_batching", &1, "0"));
    }
    let (x, positions, cos) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let inputs = [cos, call.input(3)?, positions];
    let heads = match call.int("num_heads")?.unwrap_or(0) {
        0 => {
            let size = call.ty(cos).shape.last().copied().unwrap_or(0).saturating_mul(2);
            call.ty(x).shape.last().and_then(|&all| all.checked_div(size))
        }
        _ => Some(call.count("num_heads")?),
    };
    rotated(call, &inputs, heads)
}

/// Input 0, the first numbers of each head turned by cosines and sines.
fn rotated(call: &mut Call<'_>, tables: &[TensorId], heads: Option<u64>) -> Outputs {
    let given = call.input(0)?;
    let shape = call.ty(given).shape.clone();
    let mut x = given;
    if let [batch, length, all] = shape[..] {
        let heads = heads.ok_or(NodeError::MissingAttribute { attribute: "num_heads" })?;
        if heads == 0 || !all.is_multiple_of(heads) {
            return Err(value_error("num_heads", &heads, &format!("what divides {all}")));
        }
        x = call.reshaped("heads", given, &[batch, length, heads, all / heads])?;
    }
    let [.., size] = call.shape::<4>(0, x)?;
    let operator =
        op::Rotary { interleaved: call.flag("interleaved", false)?, heads_first: shape.len() == 4 };
    let of = |x: TensorId| [&[x], tables].concat();
    let turned = match call.int("rotary_embedding_dim")?.unwrap_or(0) {
        0 => call.step("turned", operator, &of(x))?,
        part => {
            let part = u64::try_from(part).ok().filter(|&part| part <= size);
            let part = part.ok_or_else(|| {
                value_error("rotary_embedding_dim", &"out of range", &format!("0 to {size}"))
            })?;
            let names = ["first", "rest"].map(|name| format!("{}.{name}", call.label));
            let (label, split) = (call.label.clone(), op::Split { axis: 3, sizes: vec![part, size - part] });
            let parts = call.import.apply(&label, split, &[x], &names)?;
            let turned = call.step("part_turned", operator, &of(parts[0]))?;
            call.step("turned", op::Concat { axis: 3 }, &[turned, parts[1]])?
        }
    };
    call.apply_to(op::Reshape { shape: signed(&shape), allow_zero: true }, &[turned])
}
