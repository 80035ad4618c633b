//! Recurrent layers: RNN, GRU and LSTM, made of other operators and repeated over the sequence.
//!
//! What doesn't depend on the state is computed for all elements of the sequence at once. Both directions are
//! in one repetition, each with its own time. Where a sequence has ended, the state stays as it is.

use dnn_lib::operator as op;
use dnn_lib::operator::Operator;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use crate::error::NodeError;
use crate::import::Import;
use crate::import::call::{Call, value_error};
use crate::import::repeat::{Pass, Repetition, Rows};

/// The attributes that all of them have.
macro_rules! attributes {
    ($($more:literal),*) => {
        &["activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "layout", $($more),*]
    };
}

pub(super) const RNN: &[&str] = attributes!();
pub(super) const GRU: &[&str] = attributes!("linear_before_reset");
pub(super) const LSTM: &[&str] = attributes!("input_forget");

/// One step of one direction: the next state from the input's part of the gates and the state.
type Step = fn(&mut Cell<'_>, &Direction, TensorId, &[TensorId]) -> Result<Vec<TensorId>, NodeError>;

/// A kind of layer.
struct Kind {
    /// The number of matrices of weights.
    gates: u64,
    /// The activations of a direction, if the model names none.
    activations: &'static [&'static str],
    /// The number of tensors of the state: the hidden one, and the cell.
    states: usize,
    step: Step,
    /// Whether the weights are bytes, with scales and zero points, and lie as the products need them.
    quantized: bool,
}

pub(super) fn rnn(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    layer(call, &Kind { gates: 1, activations: &["Tanh"], states: 1, step: rnn_step, quantized: false })
}

pub(super) fn gru(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let late = call.int("linear_before_reset")?.unwrap_or(0) != 0;
    let step = if late { late_gru_step } else { gru_step };
    layer(call, &Kind { gates: 3, activations: &["Sigmoid", "Tanh"], states: 1, step, quantized: false })
}

pub(super) fn lstm(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let coupled = call.flag("input_forget", false)?;
    let step = if coupled { coupled_lstm_step } else { lstm_step };
    layer(call, &lstm_of(step, false))
}

/// An LSTM of com.microsoft. What its weights are multiplied by is quantized first: all elements of the
/// sequence together, and each state.
pub(super) fn dynamic_quantize_lstm(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let step = if call.flag("input_forget", false)? { coupled_lstm_step } else { lstm_step };
    layer(call, &lstm_of(step, true))
}

fn lstm_of(step: Step, quantized: bool) -> Kind {
    Kind { gates: 4, activations: &["Sigmoid", "Tanh", "Tanh"], states: 2, step, quantized }
}

/// Where the steps of a layer are added.
struct Cell<'a> {
    import: &'a mut Import,
    label: &'a str,
    hidden: u64,
    /// The limit of what the gates' activations are given.
    clip: Option<f32>,
}

/// A matrix that vectors are multiplied by, [size, gates * hidden].
#[derive(Clone, Copy)]
struct Weights {
    matrix: TensorId,
    /// Its scale and its zero point, if it is one of bytes.
    quantized: Option<[TensorId; 2]>,
}

/// The constants of a direction.
struct Direction {
    /// The weights of the state.
    recurrent: Weights,
    /// The biases of the state's part, if they can't be added to the input's.
    bias: Option<TensorId>,
    /// The weights from the cell to the gates i, o, f.
    peepholes: Option<Vec<TensorId>>,
    activations: Vec<Activation>,
    backwards: bool,
}

impl Cell<'_> {
    fn add(&mut self, operator: impl Into<Operator>, inputs: &[TensorId]) -> Result<TensorId, NodeError> {
        self.import.add(self.label, operator, inputs)
    }

    /// The product of rows and weights. Rows are quantized first if the weights are.
    fn product(&mut self, rows: TensorId, weights: Weights) -> Result<TensorId, NodeError> {
        let Some([scale, zero]) = weights.quantized else {
            return self.add(op::MatMul, &[rows, weights.matrix]);
        };
        let names = vec![self.label.to_owned(); 2];
        let own = self.import.apply(self.label, op::DynamicScale, &[rows], &names)?;
        let bytes = self.add(op::QuantizeLinear { to: DType::U8, blocks: None }, &[rows, own[0], own[1]])?;
        let sum = self.add(op::MatMulInteger, &[bytes, weights.matrix, own[1], zero])?;
        let scale = self.add(op::Mul, &[own[0], scale])?;
        let to = self.import.tensor(rows).ty.dtype;
        self.add(op::DequantizeLinear { to, blocks: None }, &[sum, scale])
    }

    /// A number of the type of a tensor.
    fn number(&mut self, like: TensorId, value: f32) -> Result<TensorId, NodeError> {
        let to = self.import.tensor(like).ty.dtype;
        let value = bytes::Bytes::copy_from_slice(&value.to_le_bytes());
        let single = self.import.builder.tensor(self.label, TensorType::new(DType::F32, []), Some(value));
        self.add(op::Cast { to }, &[single])
    }

    /// The gates, side by side in the last axis.
    fn gates(&mut self, all: TensorId) -> Result<Vec<TensorId>, NodeError> {
        let last = self.import.tensor(all).ty.shape.last().copied().unwrap_or(0);
        let count = last.checked_div(self.hidden).unwrap_or(0) as usize;
        if count == 1 {
            return Ok(vec![all]);
        }
        let split = op::Split { axis: -1, sizes: vec![self.hidden; count] };
        let names = vec![self.label.to_owned(); count];
        self.import.apply(self.label, split, &[all], &names)
    }

    /// A gate that the cell looks at.
    fn peep(
        &mut self,
        gate: TensorId,
        weights: Option<&TensorId>,
        cell: TensorId,
    ) -> Result<TensorId, NodeError> {
        let Some(&weights) = weights else { return Ok(gate) };
        let part = self.add(op::Mul, &[weights, cell])?;
        self.add(op::Add, &[gate, part])
    }

    fn activate(&mut self, activation: &Activation, x: TensorId) -> Result<TensorId, NodeError> {
        let x = match self.clip {
            None => x,
            Some(clip) => {
                let (least, most) = (self.number(x, -clip)?, self.number(x, clip)?);
                self.add(op::Clip { min: true, max: true }, &[x, least, most])?
            }
        };
        let Activation { function, alpha, beta } = *activation;
        match function {
            "Affine" => self.line(x, alpha, beta),
            "ScaledTanh" => {
                let scale = self.number(x, beta)?;
                let scaled = self.add(op::Mul, &[scale, x])?;
                let y = self.add(op::Tanh, &[scaled])?;
                self.line(y, alpha, 0.0)
            }
            "Elu" => self.add(op::Elu { alpha }, &[x]),
            "HardSigmoid" => self.add(op::HardSigmoid { alpha, beta }, &[x]),
            "LeakyRelu" => self.add(op::LeakyRelu { alpha }, &[x]),
            "Relu" => self.add(op::Relu, &[x]),
            "Sigmoid" => self.add(op::Sigmoid, &[x]),
            "Softplus" => self.add(op::Softplus, &[x]),
            "Softsign" => self.add(op::Softsign, &[x]),
            "ThresholdedRelu" => self.add(op::ThresholdedRelu { alpha }, &[x]),
            _ => self.add(op::Tanh, &[x]),
        }
    }

    /// alpha x + beta.
    fn line(&mut self, x: TensorId, alpha: f32, beta: f32) -> Result<TensorId, NodeError> {
        let alpha = self.number(x, alpha)?;
        let scaled = self.add(op::Mul, &[alpha, x])?;
        if beta == 0.0 {
            return Ok(scaled);
        }
        let beta = self.number(x, beta)?;
        self.add(op::Add, &[scaled, beta])
    }

    /// 1 - x
    fn complement(&mut self, x: TensorId) -> Result<TensorId, NodeError> {
        let one = self.number(x, 1.0)?;
        self.add(op::Sub, &[one, x])
    }
}

/// H = f(x W + b + H R)
fn rnn_step(
    cell: &mut Cell<'_>,
    direction: &Direction,
    input: TensorId,
    state: &[TensorId],
) -> Result<Vec<TensorId>, NodeError> {
    let recurrent = cell.product(state[0], direction.recurrent)?;
    let sum = cell.add(op::Add, &[input, recurrent])?;
    Ok(vec![cell.activate(&direction.activations[0], sum)?])
}

/// z, r = f(..), h = g(x Wh + b + (r H) Rh), H = (1 - z) h + z H
fn gru_step(
    cell: &mut Cell<'_>,
    direction: &Direction,
    input: TensorId,
    state: &[TensorId],
) -> Result<Vec<TensorId>, NodeError> {
    let (hidden, before) = (cell.hidden, state[0]);
    let halves = |cell: &mut Cell<'_>, all, sizes: [u64; 2]| {
        let names = vec![cell.label.to_owned(); 2];
        let (label, split) = (cell.label, op::Split { axis: -1, sizes: sizes.to_vec() });
        cell.import.apply(label, split, &[all], &names)
    };
    let weights = halves(cell, direction.recurrent.matrix, [2 * hidden, hidden])?;
    let inputs = halves(cell, input, [2 * hidden, hidden])?;
    let recurrent = cell.add(op::MatMul, &[before, weights[0]])?;
    let gates = cell.add(op::Add, &[inputs[0], recurrent])?;
    let gates = cell.activate(&direction.activations[0], gates)?;
    let gates = cell.gates(gates)?;
    let reset = cell.add(op::Mul, &[gates[1], before])?;
    let recurrent = cell.add(op::MatMul, &[reset, weights[1]])?;
    let sum = cell.add(op::Add, &[inputs[1], recurrent])?;
    gru_state(cell, direction, (gates[0], sum), before)
}

/// Likewise, with h = g(x Wh + b + r (H Rh + c)).
fn late_gru_step(
    cell: &mut Cell<'_>,
    direction: &Direction,
    input: TensorId,
    state: &[TensorId],
) -> Result<Vec<TensorId>, NodeError> {
    let before = state[0];
    let recurrent = cell.product(before, direction.recurrent)?;
    let recurrent = match direction.bias {
        Some(bias) => cell.add(op::Add, &[recurrent, bias])?,
        None => recurrent,
    };
    let (inputs, parts) = (cell.gates(input)?, cell.gates(recurrent)?);
    let mut gates = Vec::new();
    for gate in 0..2 {
        let sum = cell.add(op::Add, &[inputs[gate], parts[gate]])?;
        gates.push(cell.activate(&direction.activations[0], sum)?);
    }
    let reset = cell.add(op::Mul, &[gates[1], parts[2]])?;
    let sum = cell.add(op::Add, &[inputs[2], reset])?;
    gru_state(cell, direction, (gates[0], sum), before)
}

fn gru_state(
    cell: &mut Cell<'_>,
    direction: &Direction,
    (update, sum): (TensorId, TensorId),
    before: TensorId,
) -> Result<Vec<TensorId>, NodeError> {
    let new = cell.activate(&direction.activations[1], sum)?;
    let rest = cell.complement(update)?;
    let (new, old) = (cell.add(op::Mul, &[rest, new])?, cell.add(op::Mul, &[update, before])?);
    Ok(vec![cell.add(op::Add, &[new, old])?])
}

fn lstm_step(
    cell: &mut Cell<'_>,
    direction: &Direction,
    input: TensorId,
    state: &[TensorId],
) -> Result<Vec<TensorId>, NodeError> {
    lstm_state(cell, direction, (input, false), state)
}

fn coupled_lstm_step(
    cell: &mut Cell<'_>,
    direction: &Direction,
    input: TensorId,
    state: &[TensorId],
) -> Result<Vec<TensorId>, NodeError> {
    lstm_state(cell, direction, (input, true), state)
}

/// i, f = f(.. + p C), C = f C + i g(..), o = f(.. + p C), H = o h(C). Coupled gates are i and 1 - i.
fn lstm_state(
    cell: &mut Cell<'_>,
    direction: &Direction,
    (input, coupled): (TensorId, bool),
    state: &[TensorId],
) -> Result<Vec<TensorId>, NodeError> {
    let [f, g, h] = [0, 1, 2].map(|index| &direction.activations[index]);
    let peephole = |index: usize| direction.peepholes.as_ref().map(|weights| &weights[index]);
    let before = state[1];
    let recurrent = cell.product(state[0], direction.recurrent)?;
    let sum = cell.add(op::Add, &[input, recurrent])?;
    let gates = cell.gates(sum)?;
    let enter = cell.peep(gates[0], peephole(0), before)?;
    let enter = cell.activate(f, enter)?;
    let forget = if coupled {
        cell.complement(enter)?
    } else {
        let forget = cell.peep(gates[2], peephole(2), before)?;
        cell.activate(f, forget)?
    };
    let new = cell.activate(g, gates[3])?;
    let (kept, new) = (cell.add(op::Mul, &[forget, before])?, cell.add(op::Mul, &[enter, new])?);
    let after = cell.add(op::Add, &[kept, new])?;
    let leave = cell.peep(gates[1], peephole(1), after)?;
    let leave = cell.activate(f, leave)?;
    // As others do, the cell itself isn't clipped.
    let clip = cell.clip.take();
    let shown = cell.activate(h, after)?;
    cell.clip = clip;
    Ok(vec![cell.add(op::Mul, &[leave, shown])?, after])
}

/// A layer: X, W, R and optionally B, sequence_lens, initial_h, initial_c and P give Y, Y_h and Y_c.
fn layer(call: &mut Call<'_>, kind: &Kind) -> Result<Vec<TensorId>, NodeError> {
    let batch_first = call.flag("layout", false)?;
    let backwards: &[bool] = match call.string("direction")?.as_deref() {
        None | Some("forward") => &[false],
        Some("reverse") => &[true],
        Some("bidirectional") => &[false, true],
        Some(found) => return Err(value_error("direction", &found, "forward, reverse, bidirectional")),
    };
    let label = call.label.clone();
    let mut x = call.input(0)?;
    rank(call, 0, 3)?;
    if batch_first {
        x = call.import.add(&label, op::Transpose { perm: Some(vec![1, 0, 2]) }, &[x])?;
    }
    let sizes = call.ty(x).clone();
    let (times, batch) = (sizes.shape[0], sizes.shape[1]);
    let recurrent = &call.ty(call.input(2)?).shape;
    let hidden = if kind.quantized { recurrent.get(1) } else { recurrent.last() };
    let hidden = hidden.copied().unwrap_or(0);
    let weights = [backwards.len() as u64, kind.gates.saturating_mul(hidden)];
    for (index, size) in [(1, sizes.shape[2]), (2, hidden)] {
        let lies = if kind.quantized { [size, weights[1]] } else { [weights[1], size] };
        shape(call, index, &[weights[0], lies[0], lies[1]])?;
    }
    if let Some(size) = call.int("hidden_size")?.filter(|&size| size != hidden.cast_signed()) {
        return Err(value_error("hidden_size", &size, &format!("{hidden}, as the weights have it")));
    }
    let mut activations = activations(call, kind, backwards.len())?.into_iter();
    let late = kind.gates == 3 && call.int("linear_before_reset")?.unwrap_or(0) != 0;
    let (mut directions, mut inputs) = (Vec::new(), Vec::new());
    for (index, &backwards) in backwards.iter().enumerate() {
        let part = |call: &mut Call<'_>, input: usize| -> Result<Option<TensorId>, NodeError> {
            let Some(all) = call.optional(input) else { return Ok(None) };
            let number = call.import.integers(&label, &[], &[index as i64]);
            Rows::of(all).take(call.import, &label, number).map(Some)
        };
        let turned = op::Transpose { perm: Some(vec![1, 0]) };
        let (w, r) = (part(call, 1)?, part(call, 2)?);
        let [Some(w), Some(recurrent)] = [w, r] else { return Err(NodeError::MissingInput { index: 1 }) };
        let weights_of = |call: &mut Call<'_>, matrix, scale| {
            if !kind.quantized {
                let matrix = call.import.add(&label, turned.clone(), &[matrix])?;
                return Ok(Weights { matrix, quantized: None });
            }
            let quantized = [part(call, scale)?, part(call, scale + 1)?];
            let [Some(scale), Some(zero)] = quantized else {
                return Err(NodeError::MissingInput { index: scale });
            };
            Ok(Weights { matrix, quantized: Some([scale, zero]) })
        };
        let (w, recurrent) = (weights_of(call, w, 8)?, weights_of(call, recurrent, 10)?);
        let mut cell = Cell { import: call.import, label: &label, hidden, clip: None };
        let mut input = cell.product(x, w)?;
        let mut bias = None;
        if call.optional(3).is_some() {
            shape(call, 3, &[weights[0], 2 * weights[1]])?;
        }
        if let Some(both) = part(call, 3)? {
            let split = op::Split { axis: 0, sizes: vec![weights[1]; 2] };
            let parts = call.import.apply(&label, split, &[both], &[label.clone(), label.clone()])?;
            let mut of_input = parts[0];
            if late {
                bias = Some(parts[1]);
            } else {
                of_input = call.import.add(&label, op::Add, &parts)?;
            }
            input = call.import.add(&label, op::Add, &[input, of_input])?;
        }
        if call.optional(7).is_some() {
            shape(call, 7, &[weights[0], 3 * hidden])?;
        }
        let peepholes = match part(call, 7)? {
            Some(all) => Some(Cell { import: call.import, label: &label, hidden, clip: None }.gates(all)?),
            None => None,
        };
        let activations = activations.by_ref().take(kind.activations.len()).collect();
        directions.push(Direction { recurrent, bias, peepholes, activations, backwards });
        inputs.push(Rows::of(input));
    }
    let lengths = lengths(call, (times, batch))?;
    let mut first = Vec::new();
    for index in 0..directions.len() {
        for state in 0..kind.states {
            first.push(start(
                call,
                5 + state,
                (index, weights[0], batch_first),
                &TensorType::new(sizes.dtype, [batch, hidden]),
            )?);
        }
    }
    let clip = call.float("clip")?;
    let collects = call.node.outputs.first().is_some_and(|name| !name.is_empty() && call.import.wants(name));
    let reversed: Vec<bool> = directions.iter().map(|direction| direction.backwards && collects).collect();
    let names = vec![label.clone(); first.len() + directions.len()];
    let wanted = vec![true; if collects { directions.len() } else { 0 }];
    let repetition = Repetition {
        label: &label,
        times,
        bounded: true,
        condition: None,
        names: &names,
        wanted: &wanted,
        reversed: &reversed,
    };
    let zero = call.import.zeros(&label, TensorType::new(sizes.dtype, []))?;
    let all = call.import.repeat(repetition, &first, &mut |import, number, carried| {
        let mut pass = Pass::default();
        let states = carried.chunks(kind.states);
        for ((direction, input), state) in directions.iter().zip(&mut inputs).zip(states) {
            let time = if direction.backwards {
                import.counted_from_the_end(&label, number, times)?
            } else {
                number
            };
            let input = input.take(import, &label, time)?;
            let mut cell = Cell { import, label: &label, hidden, clip };
            let mut next = (kind.step)(&mut cell, direction, input, state)?;
            let mut row = next[0];
            if let Some(lengths) = lengths {
                let runs = cell.add(op::Less, &[time, lengths])?;
                row = cell.add(op::Where, &[runs, row, zero])?;
                for (next, &before) in next.iter_mut().zip(state) {
                    *next = cell.add(op::Where, &[runs, *next, before])?;
                }
            }
            pass.carried.extend(next);
            pass.rows.extend(collects.then_some(row));
        }
        Ok(pass)
    })?;
    let mut outputs = Vec::new();
    for state in 0..kind.states {
        let parts: Vec<TensorId> = all.carried.iter().copied().skip(state).step_by(kind.states).collect();
        let joined = stacked(call, &label, &parts, 0)?;
        outputs.push(if batch_first { turn(call, &label, joined, &[1, 0, 2])? } else { joined });
    }
    // Nobody reads Y if it isn't collected.
    let y = if collects { stacked(call, &label, &all.rows, 1)? } else { outputs[0] };
    let y = if batch_first && collects { turn(call, &label, y, &[2, 0, 1, 3])? } else { y };
    outputs.insert(0, y);
    Ok(outputs)
}

fn turn(call: &mut Call<'_>, label: &str, id: TensorId, perm: &[u64]) -> Result<TensorId, NodeError> {
    call.import.add(label, op::Transpose { perm: Some(perm.to_vec()) }, &[id])
}

/// Tensors beside each other along a new axis.
fn stacked(call: &mut Call<'_>, label: &str, parts: &[TensorId], axis: i64) -> Result<TensorId, NodeError> {
    let mut added = Vec::new();
    for &part in parts {
        added.push(call.import.add(label, op::Unsqueeze { axes: vec![axis] }, &[part])?);
    }
    if added.len() == 1 { Ok(added[0]) } else { call.import.add(label, op::Concat { axis }, &added) }
}

fn rank(call: &Call<'_>, index: usize, rank: usize) -> Result<(), NodeError> {
    let found = &call.ty(call.input(index)?).shape;
    if found.len() == rank { Ok(()) } else { Err(shape_error(call, index, &format!("of rank {rank}"))) }
}

fn shape(call: &Call<'_>, index: usize, expected: &[u64]) -> Result<(), NodeError> {
    let found = &call.ty(call.input(index)?).shape;
    if found == expected { Ok(()) } else { Err(shape_error(call, index, &format!("of shape {expected:?}"))) }
}

fn shape_error(call: &Call<'_>, index: usize, expected: &str) -> NodeError {
    let found = call.inputs[index].map(|id| call.ty(id).to_string()).unwrap_or_default();
    value_error(&format!("input {index}"), &found, expected)
}

/// The lengths of the sequences as a column of i64, unless all of them are as long as the input.
fn lengths(call: &mut Call<'_>, (times, batch): (u64, u64)) -> Result<Option<TensorId>, NodeError> {
    let Some(lengths) = call.optional(4) else { return Ok(None) };
    shape(call, 4, &[batch])?;
    let label = call.label.clone();
    let cast = call.import.add(&label, op::Cast { to: DType::I64 }, &[lengths])?;
    let whole = call.tensor(cast).value.as_ref().is_some_and(|value| {
        let (numbers, _) = value.as_chunks();
        numbers.iter().all(|&number| i64::from_le_bytes(number) >= times.cast_signed())
    });
    if whole {
        return Ok(None);
    }
    call.import.add(&label, op::Unsqueeze { axes: vec![1] }, &[cast]).map(Some)
}

/// The first state of a direction.
fn start(
    call: &mut Call<'_>,
    input: usize,
    (direction, directions, batch_first): (usize, u64, bool),
    ty: &TensorType,
) -> Result<TensorId, NodeError> {
    let label = call.label.clone();
    let Some(all) = call.optional(input) else { return call.import.zeros(&label, ty.clone()) };
    let [batch, hidden] = [0, 1].map(|axis| ty.shape.get(axis).copied().unwrap_or(0));
    let expected = if batch_first { [batch, directions, hidden] } else { [directions, batch, hidden] };
    shape(call, input, &expected)?;
    let all = if batch_first { turn(call, &label, all, &[1, 0, 2])? } else { all };
    let number = call.import.integers(&label, &[], &[direction as i64]);
    Rows::of(all).take(call.import, &label, number)
}

/// An activation with its numbers.
#[derive(Clone, Copy)]
struct Activation {
    function: &'static str,
    alpha: f32,
    beta: f32,
}

/// The activations: their names, and the defaults of alpha and beta, if they take them.
const ACTIVATIONS: &[(&str, Option<f32>, Option<f32>)] = &[
    ("Affine", Some(1.0), Some(0.0)),
    ("Elu", Some(1.0), None),
    ("HardSigmoid", Some(0.2), Some(0.5)),
    ("LeakyRelu", Some(0.01), None),
    ("Relu", None, None),
    ("ScaledTanh", Some(1.0), Some(1.0)),
    ("Sigmoid", None, None),
    ("Softplus", None, None),
    ("Softsign", None, None),
    ("Tanh", None, None),
    ("ThresholdedRelu", Some(1.0), None),
];

/// The activations of all directions. Each takes the next alpha and the next beta if it has one.
fn activations(call: &Call<'_>, kind: &Kind, directions: usize) -> Result<Vec<Activation>, NodeError> {
    let count = directions * kind.activations.len();
    let names = match call.strings("activations")? {
        Some(names) if names.len() == count => names,
        Some(names) => {
            return Err(value_error("activations", &format!("{names:?}"), &format!("{count} names")));
        }
        None => kind.activations.iter().cycle().take(count).map(|&name| name.to_owned()).collect(),
    };
    let mut alphas = call.floats("activation_alpha")?.unwrap_or_default().into_iter();
    let mut betas = call.floats("activation_beta")?.unwrap_or_default().into_iter();
    let activation = |name: &String| {
        let known = ACTIVATIONS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
        let names = || ACTIVATIONS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
        let &(function, alpha, beta) = known.ok_or_else(|| value_error("activations", name, &names()))?;
        let alpha = alpha.map_or(0.0, |default| alphas.next().unwrap_or(default));
        let beta = beta.map_or(0.0, |default| betas.next().unwrap_or(default));
        Ok(Activation { function, alpha, beta })
    };
    names.iter().map(activation).collect()
}
