//! Attention with a state instead of all keys, and the convolution that models have before it.

use dnn_lib::operator as op;
use dnn_lib::operator::{Conv, Padding, Window};
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use super::attention::signed;
use crate::error::NodeError;
use crate::import::Import;
use crate::import::call::{Call, value_error};
use crate::import::repeat::{Pass, Repetition, Rows};

type Outputs = Result<Vec<TensorId>, NodeError>;

pub(super) const ATTRIBUTES: &[&str] = &["chunk_size", "kv_num_heads", "q_num_heads", "scale", "update_rule"];

/// The sizes of a layer.
#[derive(Clone, Copy)]
struct Sizes {
    batch: u64,
    times: u64,
    /// The heads of keys and values.
    heads: u64,
    /// How many heads of the queries share one of them.
    group: u64,
    key: u64,
    value: u64,
}

impl Sizes {
    fn of(call: &Call<'_>) -> Result<Self, NodeError> {
        let [batch, times, queries] = call.shape(0, call.input(0)?)?;
        let [.., values] = call.shape::<3>(2, call.input(2)?)?;
        let (all, heads) = (call.count("q_num_heads")?, call.count("kv_num_heads")?);
        if !all.is_multiple_of(heads) {
            return Err(value_error("q_num_heads", &all, &format!("a multiple of kv_num_heads, {heads}")));
        }
        let (key, value) = (queries / all, values / heads);
        let product = |a: u64, b: u64| a.saturating_mul(b);
        for (index, size) in [(0, product(all, key)), (1, product(heads, key)), (2, product(heads, value))] {
            expect(call, index, &[batch, times, size])?;
        }
        Ok(Self { batch, times, heads, group: all / heads, key, value })
    }

    /// An input by time, with its last dimension divided.
    fn by_time(self, call: &mut Call<'_>, index: usize, [a, b, c]: [u64; 3]) -> Result<TensorId, NodeError> {
        call.check_float(index)?;
        let single = call.input(index)?;
        let single = call.cast("single", single, DType::F32)?;
        let divided = call.reshaped("divided", single, &[self.batch, self.times, a, b, c])?;
        call.step("by_time", op::Transpose { perm: Some(vec![1, 0, 2, 3, 4]) }, &[divided])
    }

    /// What the state is multiplied by: the exponentials of input 4, one for each element of a key or each head.
    fn decay(self, call: &mut Call<'_>) -> Result<TensorId, NodeError> {
        let [.., last] = call.shape::<3>(4, call.input(4)?)?;
        let key = if last == self.heads { 1 } else { self.key };
        expect(call, 4, &[self.batch, self.times, self.heads * key])?;
        let logarithms = self.by_time(call, 4, [self.heads, key, 1])?;
        call.step("decay", op::Exp, &[logarithms])
    }

    /// The rates of input 5, one for each head or for all.
    fn rates(self, call: &mut Call<'_>) -> Result<TensorId, NodeError> {
        let [.., last] = call.shape::<3>(5, call.input(5)?)?;
        let heads = if last == 1 { 1 } else { self.heads };
        expect(call, 5, &[self.batch, self.times, heads])?;
        self.by_time(call, 5, [heads, 1, 1])
    }
}

/// Requires a shape of an input.
fn expect(call: &Call<'_>, index: usize, shape: &[u64]) -> Result<(), NodeError> {
    if call.ty(call.input(index)?).shape == shape {
        Ok(())
    } else {
        Err(call.shape_error(index, format!("{shape:?}")))
    }
}

/// What changes the state besides the product of key and value: whether it decays, and whether what it has for a key
/// is corrected.
#[derive(Clone, Copy)]
struct Rule {
    decays: bool,
    corrects: bool,
}

impl Rule {
    fn of(call: &Call<'_>) -> Result<Self, NodeError> {
        let (decays, corrects) = match call.string("update_rule")?.as_deref() {
            Some("linear") => (false, false),
            Some("gated") => (true, false),
            Some("delta") => (false, true),
            None | Some("gated_delta") => (true, true),
            Some(found) => {
                return Err(value_error("update_rule", &found, "linear, gated, delta, gated_delta"));
            }
        };
        Ok(Self { decays, corrects })
    }

    /// The state after a token: its query, key, value, decay and rate, of which those that the rule has are given.
    fn next(
        self,
        (import, label): (&mut Import, &str),
        token: &[TensorId],
        mut state: TensorId,
    ) -> Result<TensorId, NodeError> {
        let (key, mut value) = (token[1], token[2]);
        if self.decays {
            state = import.add(label, op::Mul, &[state, token[3]])?;
        }
        if self.corrects {
            let row = import.add(label, op::Transpose { perm: Some(vec![0, 1, 3, 2]) }, &[key])?;
            let known = import.add(label, op::MatMul, &[row, state])?;
            let new = import.add(label, op::Sub, &[value, known])?;
            value = import.add(label, op::Mul, &[token[token.len() - 1], new])?;
        }
        let product = import.add(label, op::Mul, &[key, value])?;
        import.add(label, op::Add, &[state, product])
    }
}

/// Inputs: queries, keys, values, optionally the state, decays and rates. Outputs: the results, and the state after
/// them. Everything is computed in binary32.
pub(super) fn linear_attention(call: &mut Call<'_>) -> Outputs {
    let (sizes, rule) = (Sizes::of(call)?, Rule::of(call)?);
    let Sizes { batch, times, heads, group, key, value } = sizes;
    call.int("chunk_size")?;
    let scale = match call.float("scale")?.unwrap_or(0.0) {
        0.0 => (1.0 / (key as f64).sqrt()) as f32,
        scale => scale,
    };
    // Each has the shape that it needs beside the state, [batch, heads, key, value].
    let mut token = vec![
        sizes.by_time(call, 0, [heads, group, key])?,
        sizes.by_time(call, 1, [heads, key, 1])?,
        sizes.by_time(call, 2, [heads, 1, value])?,
    ];
    if rule.decays {
        token.push(sizes.decay(call)?);
    }
    if rule.corrects {
        token.push(sizes.rates(call)?);
    }
    let mut token: Vec<Rows> = token.into_iter().map(Rows::of).collect();

    let (label, dtype) = (call.label.clone(), call.ty(call.input(0)?).dtype);
    let state = TensorType::new(DType::F32, [batch, heads, key, value]);
    let (first, stored) = match call.optional(3) {
        Some(past) => {
            expect(call, 3, &state.shape)?;
            (call.cast("past", past, DType::F32)?, call.ty(past).dtype)
        }
        None => (call.import.zeros(&label, state)?, dtype),
    };
    let factor = call.number("scale", scale, DType::F32);
    let names = [label.clone(), label.clone()];
    let repetition = Repetition {
        label: &label,
        times,
        bounded: true,
        condition: None,
        names: &names,
        wanted: &[true],
        reversed: &[false],
    };
    let all = call.import.repeat(repetition, &[first], &mut |import, number, carried| {
        let parts = token.iter_mut().map(|rows| rows.take(import, &label, number));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let state = rule.next((import, &label), &parts, carried[0])?;
        let result = import.add(&label, op::MatMul, &[parts[0], state])?;
        let result = import.add(&label, op::Mul, &[factor, result])?;
        Ok(Pass { go_on: None, carried: vec![state], rows: vec![result] })
    })?;
    let turned = call.step("turned", op::Transpose { perm: Some(vec![1, 0, 2, 3, 4]) }, &[all.rows[0]])?;
    let rounded = call.cast("rounded", turned, dtype)?;
    let shape = signed(&[batch, times, (heads * group).saturating_mul(value)]);
    let y = call.apply_to(op::Reshape { shape, allow_zero: true }, &[rounded])?;
    let state = call.cast("state", all.carried[0], stored)?;
    Ok(vec![y[0], call.as_output(1, state)?])
}

/// Inputs: X, weights, optionally biases and what was before X. Outputs: the convolution of each channel with what
/// is before it, and what the next X follows.
pub(super) fn causal_conv(call: &mut Call<'_>) -> Outputs {
    let (x, weights) = (call.input(0)?, call.input(1)?);
    let [batch, channels, length] = call.shape(0, x)?;
    let [.., size] = call.shape::<3>(1, weights)?;
    if size == 0 {
        return Err(call.shape_error(1, format!("[{channels}, 1, k] with k from 1")));
    }
    expect(call, 1, &[channels, 1, size])?;
    let swish = match call.string("activation")?.as_deref() {
        None | Some("none") => false,
        Some("silu" | "swish") => true,
        Some(found) => return Err(value_error("activation", &found, "none, silu, swish")),
    };
    let before = [batch, channels, size - 1];
    let past = match call.optional(3) {
        Some(past) => {
            expect(call, 3, &before)?;
            past
        }
        None => {
            let zeros = TensorType::new(call.ty(x).dtype, before);
            call.import.zeros(&call.label, zeros)?
        }
    };
    let all = call.step("all", op::Concat { axis: 2 }, &[past, x])?;
    let window =
        Window { strides: Vec::new(), dilations: Vec::new(), padding: Padding::Explicit(Vec::new()) };
    let inputs: Vec<TensorId> = [all, weights].into_iter().chain(call.optional(2)).collect();
    let mut y = call.step("convolved", Conv { window, group: channels }, &inputs)?;
    if swish {
        y = call.step("swish", op::Swish { alpha: 1.0 }, &[y])?;
    }
    let last = op::Slice {
        axes: Some(vec![2]),
        starts: vec![length.cast_signed()],
        ends: vec![i64::MAX],
        steps: vec![1],
    };
    let state = call.step("state", last, &[all])?;
    Ok(vec![call.as_output(0, y)?, call.as_output(1, state)?])
}
