//! Attention as exporters and optimizers of this domain write it: each form in terms of ONNX's.

use dnn_lib::operator as op;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use super::{Outputs, quantized as integers};
use crate::error::NodeError;
use crate::import::call::{Call, value_error};
use crate::import::operators::attention::{Attended, extended, side_by_side, split_heads};

pub(super) const ATTENTION: &[&str] = &[
    "do_rotary",
    "mask_filter_value",
    "num_heads",
    "past_present_share_buffer",
    "qkv_hidden_sizes",
    "rotary_embedding_dim",
    "scale",
    "unidirectional",
];
pub(super) const MULTI_HEAD: &[&str] = &["mask_filter_value", "num_heads", "scale", "unidirectional"];
pub(super) const GROUP_QUERY: &[&str] = &[
    "causal",
    "do_rotary",
    "k_quant_type",
    "kv_cache_bit_width",
    "kv_num_heads",
    "local_window_size",
    "num_heads",
    "qk_norm_epsilon",
    "qk_output",
    "rotary_interleaved",
    "scale",
    "sliding_window_cache",
    "smooth_softmax",
    "softcap",
    "v_quant_type",
];

/// Refuses attributes that ask for another computation.
fn refuse(call: &Call<'_>, flags: &[(&str, i64)]) -> Result<(), NodeError> {
    for &(name, usual) in flags {
        if let Some(found) = call.int(name)?.filter(|&found| found != usual) {
            return Err(value_error(name, &found, &usual.to_string()));
        }
    }
    Ok(())
}

/// Refuses inputs that ask for another computation.
fn refuse_inputs(call: &Call<'_>, inputs: &[(usize, &str)]) -> Result<(), NodeError> {
    match inputs.iter().find(|&&(index, _)| call.optional(index).is_some()) {
        Some((_, name)) => Err(value_error(name, &"given", "none")),
        None => Ok(()),
    }
}

/// Parts of a tensor along its last axis.
fn parts(call: &mut Call<'_>, x: TensorId, sizes: &[u64], axis: i64) -> Result<Vec<TensorId>, NodeError> {
    let names: Vec<String> = (0..sizes.len()).map(|index| format!("{}.part{index}", call.label)).collect();
    let (label, split) = (call.label.clone(), op::Split { axis, sizes: sizes.to_vec() });
    call.import.apply(&label, split, &[x], &names)
}

/// The most keys of a batch.
const MOST_KEYS: u64 = 1 << 24;

/// Numbers 0, 1, ... as a constant of this shape, all of whose other sizes are 1.
fn counted(call: &mut Call<'_>, what: &str, count: u64, shape: &[u64]) -> Result<TensorId, NodeError> {
    if count > MOST_KEYS {
        return Err(value_error("the length of a sequence", &count, &format!("up to {MOST_KEYS}")));
    }
    let bytes = (0..count.cast_signed()).flat_map(i64::to_le_bytes).collect();
    Ok(call.constant(what, TensorType::new(DType::I64, shape.to_vec()), bytes))
}

/// What a mask of keys adds to the scores. It is 0 for hidden keys, or the number of keys that are seen.
fn padding(
    call: &mut Call<'_>,
    mask: TensorId,
    (batch, all): (u64, u64),
    dtype: DType,
) -> Result<TensorId, NodeError> {
    let shape = call.ty(mask).shape.clone();
    let mask = call.step("mask_i64", op::Cast { to: DType::I64 }, &[mask])?;
    let seen = if shape == [batch] {
        let keys = counted(call, "keys", all, &[1, 1, 1, all])?;
        let count = call.reshaped("counts", mask, &[batch, 1, 1, 1])?;
        call.step("seen", op::Less, &[keys, count])?
    } else {
        let wide = match shape[..] {
            [rows, keys] => [rows, 1, 1, keys],
            [rows, queries, keys] => [rows, 1, queries, keys],
            _ => {
                let supported = format!("[{batch}], [{batch}, {all}] or [{batch}, queries, {all}]");
                return Err(value_error("mask", &format!("of shape {shape:?}"), &supported));
            }
        };
        let mask = call.reshaped("mask_4d", mask, &wide)?;
        let zero = call.constant("none", TensorType::new(DType::I64, []), vec![0; 8].into());
        call.step("seen", op::Less, &[zero, mask])?
    };
    let (filter, zero) = (call.float("mask_filter_value")?.unwrap_or(-10000.0), 0.0);
    let (filter, zero) = (call.number("filter", filter, dtype), call.number("zero", zero, dtype));
    call.step("padding", op::Where, &[seen, zero, filter])
}

/// What is added to the scores: a mask of keys, and what is given as it is.
fn added(
    call: &mut Call<'_>,
    mask: Option<TensorId>,
    bias: Option<TensorId>,
    sizes: (u64, u64),
    dtype: DType,
) -> Result<Vec<TensorId>, NodeError> {
    let mask = mask.map(|mask| padding(call, mask, sizes, dtype)).transpose()?;
    Ok(match (mask, bias) {
        (Some(mask), Some(bias)) => vec![call.step("score_bias", op::Add, &[mask, bias])?],
        (mask, bias) => mask.or(bias).into_iter().collect(),
    })
}

/// Queries, keys and values in heads, after what is in the caches; what hides keys; and outputs: the result,
/// present keys, present values.
fn attend(
    call: &mut Call<'_>,
    [queries, keys, values]: [TensorId; 3],
    past: Option<[TensorId; 2]>,
    (mask, bias): (Option<TensorId>, Option<TensorId>),
) -> Result<(Vec<TensorId>, TensorId), NodeError> {
    let offset = past.map_or(0, |past| call.ty(past[0]).shape.get(2).copied().unwrap_or(0));
    let keys = extended(call, "present_keys", past.map(|past| past[0]), keys)?;
    let values = extended(call, "present_values", past.map(|past| past[1]), values)?;
    let [batch, _, all, _] = call.shape(1, keys)?;
    let dtype = call.ty(queries).dtype;
    let seen = added(call, mask, bias, (batch, all), dtype)?;
    let right = if call.flag("unidirectional", false)? { Some(0) } else { None };
    let sight = op::Sight { offset, left: None, right, mask: !seen.is_empty(), valid: false };
    let attention = Attended { queries, keys, values, sight, seen }.attend(call)?;
    let y = side_by_side(call, attention.results)?[0];
    Ok((vec![y, keys, values], attention.weights))
}

/// Inputs: queries, keys, values, a bias for all three, a mask of keys, what is added to the scores, past
/// keys, past values. Keys and values can be caches in heads. Outputs: the result, present keys, present
/// values, weights.
pub(super) fn multi_head(call: &mut Call<'_>) -> Outputs {
    let queries = call.input(0)?;
    let [_, _, size] = call.shape(0, queries)?;
    let (keys, values) = (call.input(1)?, call.input(2)?);
    let cached = call.ty(keys).shape.len() == 4;
    let mut all = [queries, keys, values];
    if let Some(bias) = call.optional(3) {
        let value_size = call.ty(values).shape.last().copied().unwrap_or(0);
        let sizes = if cached {
            let rest = call.ty(bias).shape.last().copied().unwrap_or(0).saturating_sub(size);
            vec![size, rest]
        } else {
            vec![size, size, value_size]
        };
        let biases = parts(call, bias, &sizes, 0)?;
        for (index, (x, bias)) in all.iter_mut().zip(biases).enumerate().take(if cached { 1 } else { 3 }) {
            *x = call.step(&format!("biased{index}"), op::Add, &[*x, bias])?;
        }
    }
    for (index, x) in all.iter_mut().enumerate().take(if cached { 1 } else { 3 }) {
        *x = split_heads(call, index, *x, "num_heads")?;
    }
    let past = call.optional(6).zip(call.optional(7)).map(|(keys, values)| [keys, values]);
    let (outputs, weights) = attend(call, all, past, (call.optional(4), call.optional(5)))?;
    let mut named = vec![outputs[0]];
    for (index, tensor) in outputs.into_iter().skip(1).chain([weights]).enumerate() {
        named.push(call.as_output(index + 1, tensor)?);
    }
    Ok(named)
}

/// Rows of queries, keys and values side by side, which heads attend to; caches that lie one behind the
/// other. Outputs: the result, and the caches.
fn packed(
    call: &mut Call<'_>,
    rows: TensorId,
    past: Option<TensorId>,
    (mask, bias): (Option<TensorId>, Option<TensorId>),
) -> Outputs {
    refuse(call, &[("do_rotary", 0), ("past_present_share_buffer", 0)])?;
    let [_, _, size] = call.shape(0, rows)?;
    let sizes = match call.sizes("qkv_hidden_sizes")? {
        sizes if sizes.is_empty() => vec![size / 3; 3],
        sizes if sizes.len() == 3 => sizes,
        sizes => return Err(value_error("qkv_hidden_sizes", &format!("{sizes:?}"), "3 sizes")),
    };
    let parted = parts(call, rows, &sizes, -1)?;
    let mut all = [parted[0], parted[1], parted[2]];
    for (index, x) in all.iter_mut().enumerate() {
        *x = split_heads(call, index, *x, "num_heads")?;
    }
    let past = match past {
        None => None,
        Some(past) => {
            let [_, batch, heads, length, size] = call.shape(4, past)?;
            let halves = parts(call, past, &[1, 1], 0)?;
            let keys = call.reshaped("past_keys", halves[0], &[batch, heads, length, size])?;
            let values = call.reshaped("past_values", halves[1], &[batch, heads, length, size])?;
            Some([keys, values])
        }
    };
    let (outputs, _) = attend(call, all, past, (mask, bias))?;
    if call.node.outputs.get(1).is_none_or(String::is_empty) {
        return Ok(vec![outputs[0]]);
    }
    let front = op::Unsqueeze { axes: vec![0] };
    let keys = call.step("keys_in_front", front.clone(), &[outputs[1]])?;
    let values = call.step("values_in_front", front, &[outputs[2]])?;
    let present = call.step("present", op::Concat { axis: 0 }, &[keys, values])?;
    Ok(vec![outputs[0], call.as_output(1, present)?])
}

/// Inputs: x, weights for queries, keys and values, a bias for them, a mask of keys, the caches, what is
/// added to the scores.
pub(super) fn attention(call: &mut Call<'_>) -> Outputs {
    refuse_inputs(call, &[(6, "past_sequence_length")])?;
    let (x, weights) = (call.input(0)?, call.input(1)?);
    let mut rows = call.step("projected", op::MatMul, &[x, weights])?;
    if let Some(bias) = call.optional(2) {
        rows = call.step("biased", op::Add, &[rows, bias])?;
    }
    packed(call, rows, call.optional(4), (call.optional(3), call.optional(5)))
}

/// Inputs: x, weights, a bias, the scales of x and of the weights, a mask of keys, the zero points of x and
/// of the weights, the caches.
pub(super) fn quantized(call: &mut Call<'_>) -> Outputs {
    let of = [call.input(0)?, call.input(1)?];
    let (scales, zeros) = ([call.input(3)?, call.input(4)?], [call.optional(6), call.optional(7)]);
    let product = integers::product(call, of, scales, zeros)?;
    let rows = call.step("biased", op::Add, &[product, call.input(2)?])?;
    packed(call, rows, call.optional(8), (call.optional(5), None))
}

/// Where the new keys lie in the caches.
struct Cache {
    /// The length of what is given and of what is left behind.
    past: u64,
    present: u64,
    /// How many keys there are before the new ones, for each batch.
    before: TensorId,
    /// How many there are with them.
    valid: TensorId,
    /// Whether there were none.
    first: bool,
}

impl Cache {
    fn of(call: &mut Call<'_>, [batch, new]: [u64; 2]) -> Result<Self, NodeError> {
        let past = match call.optional(3) {
            Some(past) => call.shape::<4>(3, past)?[2],
            None => 0,
        };
        let last = call.step("last", op::Cast { to: DType::I64 }, &[call.input(5)?])?;
        let last = call.reshaped("last_of_batch", last, &[batch])?;
        let one = call.constant_list("one", &[1]);
        let valid = call.step("valid", op::Add, &[last, one])?;
        let total = call.input(6).map(|total| call.tensor(total).value.is_some())?;
        let total = if total { Some(call.constant_int(6, "")?) } else { None };
        let total = total.map(|total| {
            u64::try_from(total)
                .ok()
                .filter(|&total| total >= new && total <= MOST_KEYS)
                .ok_or_else(|| value_error("total_sequence_length", &total, &format!("{new} to {MOST_KEYS}")))
        });
        let total = total.transpose()?;
        let first = past == 0 || total == Some(new);
        if total.is_none() && new > 1 && !first {
            let supported = "a constant, unless there is one query";
            return Err(value_error("total_sequence_length", &"not a constant", supported));
        }
        let before = if first {
            call.import.zeros("before", TensorType::new(DType::I64, [batch]))?
        } else {
            let count = call.constant_list("count", &[new.cast_signed()]);
            call.step("before", op::Sub, &[valid, count])?
        };
        let present = total.unwrap_or(if past == 0 { new } else { past }).max(past);
        Ok(Self { past, present, before, valid, first })
    }

    /// The cache with the new rows in their places.
    fn with(
        &self,
        call: &mut Call<'_>,
        what: &str,
        index: usize,
        new: TensorId,
    ) -> Result<TensorId, NodeError> {
        let Some(past) = call.optional(index).filter(|_| self.past > 0) else {
            return if call.shape::<4>(1, new)?[2] == self.present {
                Ok(new)
            } else {
                self.longer(call, what, new)
            };
        };
        let past = self.longer(call, &format!("{what}.past"), past)?;
        let [batch, heads, count, size] = call.shape(1, new)?;
        let places = counted(call, &format!("{what}.places"), self.present, &[1, 1, self.present, 1])?;
        let before = call.reshaped(&format!("{what}.before"), self.before, &[batch, 1, 1, 1])?;
        if count == 1 {
            let here = call.step(&format!("{what}.here"), op::Equal, &[places, before])?;
            return call.step(what, op::Where, &[here, new, past]);
        }
        // The row of the old and the new ones, one behind the other, that each place has.
        let (none, ends) =
            (call.constant_list("none", &[0]), call.constant_list("ends", &[count.cast_signed() - 1]));
        let since = call.step(&format!("{what}.since"), op::Sub, &[places, before])?;
        let within =
            call.step(&format!("{what}.within"), op::Clip { min: true, max: true }, &[since, none, ends])?;
        let start = call.constant_list("start", &[self.present.cast_signed()]);
        let own = call.step(&format!("{what}.own"), op::Add, &[within, start])?;
        let after = call.constant_list("after", &[count.cast_signed()]);
        let end = call.step(&format!("{what}.end"), op::Add, &[before, after])?;
        let from_new = [
            call.step(&format!("{what}.not_old"), op::LessOrEqual, &[before, places])?,
            call.step(&format!("{what}.not_behind"), op::Less, &[places, end])?,
        ];
        let from_new = call.step(&format!("{what}.is_new"), op::And, &from_new)?;
        let rows = call.step(&format!("{what}.rows"), op::Where, &[from_new, own, places])?;
        let rows = call.step(
            &format!("{what}.all_rows"),
            op::Expand { shape: vec![batch, heads, self.present, size] },
            &[rows],
        )?;
        let joined = call.step(&format!("{what}.joined"), op::Concat { axis: 2 }, &[past, new])?;
        call.step(what, op::GatherElements { axis: 2 }, &[joined, rows])
    }

    /// A cache with zeros behind it, up to the length of what is left behind.
    fn longer(&self, call: &mut Call<'_>, what: &str, x: TensorId) -> Result<TensorId, NodeError> {
        let [_, _, length, _] = call.shape(3, x)?;
        if length >= self.present {
            return Ok(x);
        }
        let pads = vec![(0, 0), (0, 0), (0, self.present.cast_signed() - length.cast_signed()), (0, 0)];
        call.step(&format!("{what}.longer"), op::Pad { mode: op::PadMode::Constant, pads }, &[x])
    }
}

/// Inputs: queries, keys and values, or all in the first; past keys, past values; the place of the last key
/// of each batch; the most keys of a batch; cosines, sines, positions; what is added to the scores.
pub(super) fn group_query(call: &mut Call<'_>) -> Outputs {
    refuse(call, &[("causal", 1), ("qk_output", 0), ("sliding_window_cache", 0)])?;
    if let Some(found @ 1..) = call.int("smooth_softmax")? {
        return Err(value_error("smooth_softmax", &found, "0"));
    }
    for name in ["k_quant_type", "v_quant_type"] {
        if let Some(found) = call.string(name)?.filter(|found| found != "NONE") {
            return Err(value_error(name, &found, "NONE"));
        }
    }
    let rows = call.input(0)?;
    let [batch, length, size] = call.shape(0, rows)?;
    let mut all = match (call.optional(1), call.optional(2)) {
        (Some(keys), Some(values)) => [rows, keys, values],
        _ => {
            let (heads, own) = (call.count("num_heads")?, call.count("kv_num_heads")?);
            let size = size / heads.saturating_add(own.saturating_mul(2));
            let sizes = [heads, own, own].map(|heads| heads.saturating_mul(size));
            let parted = parts(call, rows, &sizes, -1)?;
            [parted[0], parted[1], parted[2]]
        }
    };
    for (index, x) in all.iter_mut().enumerate() {
        *x = split_heads(call, index, *x, if index == 0 { "num_heads" } else { "kv_num_heads" })?;
    }
    let cache = Cache::of(call, [batch, length])?;
    if call.flag("do_rotary", false)? {
        let positions = match call.optional(9) {
            Some(positions) => positions,
            None => {
                let own = counted(call, "queries", length, &[1, length])?;
                let before = call.reshaped("before_queries", cache.before, &[batch, 1])?;
                call.step("positions", op::Add, &[own, before])?
            }
        };
        let operator = op::Rotary { interleaved: call.flag("rotary_interleaved", false)?, heads_first: true };
        for (index, x) in all.iter_mut().enumerate().take(2) {
            let inputs = [*x, call.input(7)?, call.input(8)?, positions];
            *x = call.step(&format!("turned{index}"), operator, &inputs)?;
        }
    }
    let keys = cache.with(call, "present_keys", 3, all[1])?;
    let values = cache.with(call, "present_values", 4, all[2])?;
    let mut seen: Vec<TensorId> = call.optional(10).into_iter().collect();
    let left = call.int("local_window_size")?.filter(|&size| size > 0);
    let left = left.map(|size| size.cast_unsigned() - 1);
    let sight = op::Sight { offset: 0, left, right: Some(0), mask: !seen.is_empty(), valid: !cache.first };
    seen.extend((!cache.first).then_some(cache.valid));
    let attention = Attended { queries: all[0], keys, values, sight, seen }.attend(call)?;
    let y = side_by_side(call, attention.results)?[0];
    Ok(vec![y, call.as_output(1, keys)?, call.as_output(2, values)?])
}
