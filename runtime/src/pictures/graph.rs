//! The graph of an image as rows: each node with its inputs, derived from the schedule and its addresses.

use image::{Image, Role, Tensor};
use std::collections::{BTreeMap, BTreeSet};

/// The maximum number of nodes with separate rows.
const ALONE: usize = 160;
/// The maximum number of inputs with separate rows.
const INPUTS: usize = 20;

/// A row: a node, an input, or several nodes with few steps.
#[derive(Debug, Default)]
pub struct Entry {
    /// The operator. Empty for inputs and for several nodes.
    pub operator: String,
    /// The name of the node.
    pub node: String,
    /// The number of nodes in the row.
    pub nodes: u64,
    /// The number of their big steps.
    pub big_steps: u64,
    /// The maximum number of steps that they take.
    pub steps: u64,
    /// The bytes of weights that they read.
    pub weights: u64,
    /// The bytes that they write.
    pub written: u64,
    /// Their output: name, type and shape.
    pub output: String,
    /// Whether it is an output of the model.
    pub is_output: bool,
    /// Their inputs, except weights.
    pub sources: BTreeSet<Source>,
}

/// The source of a node's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A row of the picture.
    Row(usize),
    /// A node, by number, before rows are made.
    Node(usize),
    /// An input of the model.
    Input(usize),
}

/// The rows of an image with a schedule.
pub fn entries(image: &Image) -> Vec<Entry> {
    let nodes = nodes(image);
    let alone = alone(&nodes);
    let mut rows = inputs(image);
    let given = rows.len();
    let mut row_of = Vec::new();
    let mut joined = false;
    for (index, node) in nodes.into_iter().enumerate() {
        if alone[index] || !joined {
            joined = !alone[index];
            rows.push(if joined { Entry::default() } else { node_row(&node) });
        }
        let row = rows.len() - 1;
        row_of.push(row);
        if joined {
            join(&mut rows[row], &node);
        }
        let resolved = node.sources.into_iter().map(|source| match source {
            Source::Node(node) => Source::Row(row_of[node]),
            Source::Input(input) => Source::Row(input.min(given.saturating_sub(1))),
            row @ Source::Row(_) => row,
        });
        let other: Vec<_> = resolved.filter(|source| *source != Source::Row(row)).collect();
        rows[row].sources.extend(other);
    }
    for row in rows.iter_mut().filter(|row| row.nodes > 1) {
        row.node = format!("{} nodes with few steps", row.nodes);
        row.operator = String::new();
    }
    rows
}

/// A row for one node, without its sources.
fn node_row(node: &Entry) -> Entry {
    Entry {
        operator: node.operator.clone(),
        node: node.node.clone(),
        output: node.output.clone(),
        sources: BTreeSet::new(),
        ..*node
    }
}

/// Adds a node to a row of several.
fn join(row: &mut Entry, node: &Entry) {
    (row.operator, row.node) = (node.operator.clone(), node.node.clone());
    row.output.clone_from(&node.output);
    row.nodes += 1;
    row.big_steps += node.big_steps;
    row.steps = row.steps.saturating_add(node.steps);
    row.weights = row.weights.saturating_add(node.weights);
    row.written = row.written.saturating_add(node.written);
    row.is_output |= node.is_output;
}

/// The nodes with separate rows: all, or those with the most steps.
fn alone(nodes: &[Entry]) -> Vec<bool> {
    if nodes.len() <= 2 * ALONE {
        return vec![true; nodes.len()];
    }
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(nodes[index].steps), index));
    let mut alone = vec![false; nodes.len()];
    order.iter().take(ALONE).for_each(|&index| alone[index] = true);
    alone
}

/// A row for each input. The last one stands for all that remain.
fn inputs(image: &Image) -> Vec<Entry> {
    let inputs: Vec<&Tensor> = inputs_of(image).collect();
    let row = |inputs: &[&Tensor]| {
        let (first, rest) = (inputs.first()?, inputs.len() - 1);
        let node = if rest == 0 { format!("input {}", first.name) } else { format!("{} inputs", rest + 1) };
        let written = inputs.iter().map(|tensor| tensor.bytes).fold(0, u64::saturating_add);
        Some(Entry { node, written, output: described(first), ..Entry::default() })
    };
    let split = if inputs.len() > INPUTS { INPUTS - 1 } else { inputs.len() };
    let (alone, rest) = inputs.split_at(split);
    alone.chunks(1).chain([rest]).filter_map(row).collect()
}

fn inputs_of(image: &Image) -> impl Iterator<Item = &Tensor> {
    image.tensors.iter().filter(|tensor| tensor.role == Role::Input)
}

/// "scores: f32 [1, 10]".
fn described(tensor: &Tensor) -> String {
    format!("{}: {} {:?}", tensor.name, tensor.dtype, tensor.shape)
}

/// What is at an address.
#[derive(Clone, Copy)]
enum Holder {
    Node(usize),
    Input(usize),
    Weights(usize),
}

/// The nodes of the schedule. Consecutive big steps of one node are joined.
fn nodes(image: &Image) -> Vec<Entry> {
    // By first address: the end, and the node that wrote there last. Tensors share memory, so each write
    // takes over.
    let mut holders: BTreeMap<u64, (u64, Holder)> = BTreeMap::new();
    let mut place = |tensor: &Tensor, holder| {
        holders.insert(tensor.address, (tensor.address.saturating_add(tensor.bytes), holder));
    };
    let constants = image.tensors.iter().enumerate().filter(|(_, tensor)| tensor.role == Role::Constant);
    constants.for_each(|(index, tensor)| place(tensor, Holder::Weights(index)));
    inputs_of(image).enumerate().for_each(|(index, tensor)| place(tensor, Holder::Input(index)));
    let mut nodes: Vec<Entry> = Vec::new();
    let mut read = BTreeSet::new();
    for (index, step) in image.schedule.iter().enumerate() {
        let same = index > 0 && {
            let last = &image.schedule[index - 1];
            (&last.operator, &last.node, last.output) == (&step.operator, &step.node, step.output)
        };
        if !same {
            read.clear();
            let (operator, node) = (step.operator.clone(), step.node.clone());
            nodes.push(Entry { operator, node, nodes: 1, ..Entry::default() });
        }
        let number = nodes.len() - 1;
        let node = &mut nodes[number];
        // The compiler's last argument is the output. Its memory may have held something else before.
        let output = image.tensors.get(step.output as usize).map(|tensor| tensor.address);
        let read_from = match step.arguments.split_last() {
            Some((last, rest)) if Some(*last) == output => rest,
            _ => &step.arguments,
        };
        for address in read_from {
            let found = holders.range(..=address).next_back().filter(|(_, (end, _))| address < end);
            match found.map(|(_, (_, holder))| *holder) {
                Some(Holder::Node(source)) if source != number => {
                    node.sources.insert(Source::Node(source));
                }
                Some(Holder::Input(input)) => {
                    node.sources.insert(Source::Input(input));
                }
                Some(Holder::Weights(index)) if read.insert(index) => {
                    node.weights += image.tensors[index].bytes;
                }
                _ => {}
            }
        }
        node.big_steps += 1;
        node.steps = node.steps.saturating_add(step.bound);
        if let (false, Some(tensor)) = (same, image.tensors.get(step.output as usize)) {
            (node.output, node.written) = (described(tensor), tensor.bytes);
            node.is_output = tensor.role == Role::Output;
            holders
                .insert(tensor.address, (tensor.address.saturating_add(tensor.bytes), Holder::Node(number)));
        }
    }
    nodes
}
