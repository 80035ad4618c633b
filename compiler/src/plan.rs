//! The memory plan: an address for every tensor in one guest memory, as small as it can easily be, because every
//! doubling of the memory is another level of every proof.
//!
//! From address 0: constants, then inputs and outputs, each an aligned power of two so that a node of the memory's
//! Merkle tree is its commitment, then what is computed on the way, which shares memory where lifetimes allow it, and the
//! stack at the very top.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{CompileError, ModelError};
use crate::graph::{Graph, TensorId};
use crate::passes::view;

/// Bytes of scratch memory for the kernels' stack frames.
pub const STACK_BYTES: u64 = 4096;

/// Every address is a multiple of this: a leaf of the memory's Merkle tree.
const LEAF: u64 = 32;

/// Where everything lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The address of each tensor of the graph; of one that is not in use, 0.
    pub addresses: Vec<u64>,
    /// Constants with their addresses, in ascending order, none twice.
    pub constants: Vec<(u64, Arc<Vec<u8>>)>,
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

/// A piece of memory that is wanted.
struct Request {
    /// The tensor whose memory it is; views share it.
    root: TensorId,
    size: u64,
    align: u64,
    /// The nodes, by number, during which it is in use.
    life: Range<usize>,
}

/// Plans the memory of a graph.
pub(crate) fn plan(graph: &Graph, limit: u64) -> Result<Plan, CompileError> {
    let roots = view::roots(graph)?;
    let mut space = Space::default();
    let mut addresses = vec![0; graph.tensors.len()];
    let constants = place_constants(graph, &mut space, &mut addresses);
    for request in requests(graph, &roots) {
        addresses[request.root.index()] = space.place(&request);
    }
    for id in graph.ids() {
        addresses[id.index()] = addresses[roots[id.index()].index()];
    }
    let total = space.end().saturating_add(STACK_BYTES);
    let memory = total.checked_next_power_of_two().filter(|&memory| memory <= limit);
    let memory = memory.ok_or_else(|| ModelError::TooLarge {
        what: "the memory of all tensors".to_owned(),
        bytes: total.into(),
        limit,
    })?;
    Ok(Plan { addresses, constants, memory_bits: memory.trailing_zeros() })
}

/// Constants one after the other; equal ones only once.
fn place_constants(graph: &Graph, space: &mut Space, addresses: &mut [u64]) -> Vec<(u64, Arc<Vec<u8>>)> {
    let mut placed: BTreeMap<&[u8], u64> = BTreeMap::new();
    let mut constants = Vec::new();
    for (id, value) in graph.constants() {
        let address = *placed.entry(value.as_slice()).or_insert_with(|| {
            let (size, life) = (value.len() as u64, 0..usize::MAX);
            let address = space.place(&Request { root: id, size, align: LEAF, life });
            constants.push((address, Arc::clone(value)));
            address
        });
        addresses[id.index()] = address;
    }
    constants
}

/// All other memory that is wanted, in the order in which it is placed.
fn requests(graph: &Graph, roots: &[TensorId]) -> Vec<Request> {
    let bytes = |id: TensorId| graph.tensor(id).ty.bytes().unwrap_or(u64::MAX);
    let mut requests: Vec<Request> = Vec::new();
    let mut fixed = vec![false; graph.tensors.len()];
    for id in graph.inputs.iter().chain(&graph.outputs) {
        let root = roots[id.index()];
        if std::mem::replace(&mut fixed[root.index()], true) {
            continue;
        }
        let size = bytes(root).max(LEAF).checked_next_power_of_two().unwrap_or(u64::MAX);
        requests.push(Request { root, size, align: size, life: 0..usize::MAX });
    }
    let mut inner = lifetimes(graph, roots);
    inner.retain(|&root, _| !fixed[root.index()] && graph.tensor(root).value.is_none());
    let mut inner: Vec<Request> =
        inner.into_iter().map(|(root, life)| Request { root, size: bytes(root), align: LEAF, life }).collect();
    // Large ones first: the small ones then fill the gaps.
    requests.sort_by_key(|request| std::cmp::Reverse(request.size));
    inner.sort_by_key(|request| std::cmp::Reverse(request.size));
    requests.extend(inner);
    requests
}

/// From which node to after which node each computed tensor is in use.
fn lifetimes(graph: &Graph, roots: &[TensorId]) -> BTreeMap<TensorId, Range<usize>> {
    let mut lives: BTreeMap<TensorId, Range<usize>> = BTreeMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for id in node.inputs.iter().chain([&node.output]) {
            let life = lives.entry(roots[id.index()]).or_insert(index..index);
            life.end = index + 1;
        }
    }
    lives
}

/// What lies where, and when.
#[derive(Default)]
struct Space {
    /// In ascending order of address.
    taken: Vec<(Range<u64>, Range<usize>)>,
}

impl Space {
    /// Takes the lowest address at which nothing else lies at the same time.
    fn place(&mut self, request: &Request) -> u64 {
        let mut start = 0u64;
        for (taken, life) in &self.taken {
            let disjoint = life.end <= request.life.start || request.life.end <= life.start;
            if disjoint || taken.end <= start {
                continue;
            }
            if start.saturating_add(request.size) <= taken.start {
                break;
            }
            start = aligned(taken.end, request.align);
        }
        let range = start..start.saturating_add(request.size.max(1));
        let place = self.taken.partition_point(|(taken, _)| taken.start <= start);
        self.taken.insert(place, (range, request.life.clone()));
        start
    }

    fn end(&self) -> u64 {
        self.taken.iter().map(|(taken, _)| taken.end).max().unwrap_or(0)
    }
}

fn aligned(address: u64, align: u64) -> u64 {
    address.checked_next_multiple_of(align).unwrap_or(u64::MAX)
}
