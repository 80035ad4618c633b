//! The memory plan: an address in guest memory for every tensor. Memory is kept small, because every doubling
//! adds a level to every proof.
//!
//! The constants start at address 0. They are followed by the inputs and outputs, then intermediate tensors,
//! with the stack at the very top. Each input and output has an aligned power of two of bytes to itself, so
//! that a node of the memory's Merkle tree commits to it. The inputs are in the order of the model, and so
//! are the outputs. Intermediate tensors fill the gaps, and share memory where their lifetimes allow it.

use std::collections::BTreeMap;
use std::ops::Range;

pub use codegen::link::STACK_BYTES;
use graph::lower::{Lowered, Place};
use graph::{Graph, TensorId};
use image::Region;

use crate::error::{CompileError, ModelError};

/// The alignment of every address: a leaf of the memory's Merkle tree.
const LEAF: u64 = 32;

/// All addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The address of each tensor of the graph; 0 for an unused one.
    pub addresses: Vec<u64>,
    /// For each tensor of the graph, the one in whose memory it is: itself, or another that it is a part of.
    pub roots: Vec<TensorId>,
    /// The constants that are stored, by ascending address. Equal ones are stored once.
    pub constants: Vec<TensorId>,
    /// For each input of the graph, the region that contains only this input. They ascend.
    pub inputs: Vec<Region>,
    /// Likewise for the outputs.
    pub outputs: Vec<Region>,
    /// Memory is `2^memory_bits` bytes.
    pub memory_bits: u32,
}

impl Plan {
    /// Bytes of memory.
    pub fn memory_size(&self) -> u64 {
        1 << self.memory_bits
    }

    /// The address of a tensor.
    pub fn address(&self, id: TensorId) -> u64 {
        self.addresses[id.index()]
    }
}

/// A piece of memory to be placed.
struct Request {
    /// The tensor that owns the memory. Views share it.
    root: TensorId,
    size: u64,
    /// The range of nodes during which it is in use.
    life: Range<usize>,
}

/// Plans the memory of a graph, given what is computed.
pub(crate) fn plan(graph: &Graph, lowered: &Lowered, limit: u64) -> Result<Plan, CompileError> {
    let mut space = Space::default();
    let mut addresses = vec![0; graph.tensors.len()];
    let constants = place_constants(graph, lowered, &mut space, &mut addresses);
    let (inputs, outputs) = place_interface(graph, &mut space, &mut addresses);
    for request in requests(graph, lowered) {
        addresses[request.root.index()] = space.place(0, request.size, LEAF, &request.life);
    }
    let places: Vec<Place> = graph.ids().map(|id| lowered.place(id)).collect();
    let address = |place: &Place| addresses[place.root.index()].saturating_add(place.offset);
    let addresses = places.iter().map(address).collect();
    let roots = places.iter().map(|place| place.root).collect();
    let total = space.end().saturating_add(STACK_BYTES);
    let memory = total.checked_next_power_of_two().filter(|&memory| memory <= limit);
    let memory = memory.ok_or_else(|| ModelError::TooLarge {
        what: "the memory of all tensors".to_owned(),
        bytes: total.into(),
        limit,
    })?;
    Ok(Plan { addresses, roots, constants, inputs, outputs, memory_bits: memory.trailing_zeros() })
}

/// Places the constants one after the other, equal ones only once.
fn place_constants(
    graph: &Graph,
    lowered: &Lowered,
    space: &mut Space,
    addresses: &mut [u64],
) -> Vec<TensorId> {
    // Lengths are compared first, so that few bytes are read.
    let mut placed: BTreeMap<(usize, &[u8]), u64> = BTreeMap::new();
    let mut constants = Vec::new();
    for id in lowered.used(graph) {
        let Some(value) = &graph.tensor(id).value else { continue };
        let address = *placed.entry((value.len(), value)).or_insert_with(|| {
            let address = space.place(0, value.len() as u64, LEAF, &(0..usize::MAX));
            constants.push(id);
            address
        });
        addresses[id.index()] = address;
    }
    constants
}

/// Places the inputs and the outputs, each of them in the order of the model. A state is both, so what is
/// before it is placed before it, and what is after it after it.
fn place_interface(graph: &Graph, space: &mut Space, addresses: &mut [u64]) -> (Vec<Region>, Vec<Region>) {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    let (mut first, mut end) = ((0, 0), 0);
    for state in graph.states.iter().map(Some).chain([None]) {
        let last =
            state.map_or((graph.inputs.len(), graph.outputs.len()), |state| (state.input, state.output));
        let given = Group::of(graph, &graph.inputs[first.0..last.0]);
        let made = Group::of(graph, &graph.outputs[first.1..last.1]);
        // The larger ones come first, and the others fill gaps between them.
        let mut place = |group: Group| group.place(end, space, addresses);
        let (given, made) = if given.size() >= made.size() {
            let given = place(given);
            (given, place(made))
        } else {
            let made = place(made);
            (place(given), made)
        };
        end = given.iter().chain(&made).map(|region| region.address + (1 << region.bits)).fold(end, u64::max);
        inputs.extend(given);
        outputs.extend(made);
        if state.is_some() {
            let state = Group::of(graph, &graph.inputs[last.0..=last.0]).place(end, space, addresses);
            end = state.iter().map(|region| region.address + (1 << region.bits)).fold(end, u64::max);
            inputs.extend(&state);
            outputs.extend(&state);
            first = (last.0 + 1, last.1 + 1);
        }
    }
    (inputs, outputs)
}

/// Inputs or outputs, each with the size of its region.
struct Group(Vec<(TensorId, u64)>);

impl Group {
    fn of(graph: &Graph, ids: &[TensorId]) -> Self {
        let size = |id: TensorId| power_of_two(graph.tensor(id).ty.bytes().unwrap_or(u64::MAX));
        Self(ids.iter().map(|&id| (id, size(id))).collect())
    }

    fn size(&self) -> u64 {
        self.0.iter().fold(0, |sum, &(_, size)| sum.saturating_add(size))
    }

    /// Places the tensors in their order, from an address on.
    fn place(&self, from: u64, space: &mut Space, addresses: &mut [u64]) -> Vec<Region> {
        let mut end = from;
        let place = |&(id, size): &(TensorId, u64)| {
            let address = space.place(end, size, size, &(0..usize::MAX));
            end = address.saturating_add(size);
            addresses[id.index()] = address;
            Region { address, bits: size.trailing_zeros() as u8 }
        };
        self.0.iter().map(place).collect()
    }
}

/// The size of the smallest subtree with room for this many bytes. Sizes beyond all memory stay too large.
fn power_of_two(bytes: u64) -> u64 {
    bytes.max(LEAF).checked_next_power_of_two().unwrap_or(1 << 63)
}

/// All other memory, in the order of placement.
fn requests(graph: &Graph, lowered: &Lowered) -> Vec<Request> {
    let mut fixed = vec![false; graph.tensors.len()];
    graph.inputs.iter().chain(&graph.outputs).for_each(|id| fixed[id.index()] = true);
    let wanted = |root: &TensorId| !fixed[root.index()] && graph.tensor(*root).value.is_none();
    let lives = lifetimes(lowered).into_iter().filter(|(root, _)| wanted(root));
    let size = |root: TensorId| graph.tensor(root).ty.bytes().unwrap_or(u64::MAX);
    let mut requests: Vec<Request> =
        lives.map(|(root, life)| Request { root, size: size(root), life }).collect();
    // Large ones first, so that small ones fill the gaps.
    requests.sort_by_key(|request| std::cmp::Reverse(request.size));
    requests
}

/// The range of nodes during which the memory of each tensor is in use.
fn lifetimes(lowered: &Lowered) -> BTreeMap<TensorId, Range<usize>> {
    let mut lives: BTreeMap<TensorId, Range<usize>> = BTreeMap::new();
    for (index, node) in lowered.nodes.iter().enumerate() {
        for id in node.tensors() {
            let life = lives.entry(lowered.place(id).root).or_insert(index..index);
            life.end = index + 1;
        }
    }
    // What the period finds must last until its last repetition.
    let period = lowered.period();
    for life in lives.values_mut().filter(|life| life.start < period.start && life.end > period.start) {
        life.end = life.end.max(period.end);
    }
    lives
}

/// The memory that is taken, and during which nodes.
#[derive(Default)]
struct Space {
    /// In ascending order of address.
    taken: Vec<(Range<u64>, Range<usize>)>,
}

impl Space {
    /// Takes the lowest address at or after `from` that is free during its lifetime.
    fn place(&mut self, from: u64, size: u64, align: u64, life: &Range<usize>) -> u64 {
        let mut start = aligned(from, align);
        for (taken, other) in &self.taken {
            let disjoint = other.end <= life.start || life.end <= other.start;
            if disjoint || taken.end <= start {
                continue;
            }
            if start.saturating_add(size) <= taken.start {
                break;
            }
            start = aligned(taken.end, align);
        }
        let range = start..start.saturating_add(size.max(1));
        let place = self.taken.partition_point(|(taken, _)| taken.start <= start);
        self.taken.insert(place, (range, life.clone()));
        start
    }

    fn end(&self) -> u64 {
        self.taken.iter().map(|(taken, _)| taken.end).max().unwrap_or(0)
    }
}

fn aligned(address: u64, align: u64) -> u64 {
    address.checked_next_multiple_of(align).unwrap_or(u64::MAX)
}
