//! Neural networks as graphs of operators.
//!
//! A [`Graph`] is made by a [`Builder`], checked by [`Graph::verify`], transformed by [`passes`] and
//! [`lower`]ed to definitions over tensors, from which memory and schedule are planned. [`reference`](mod@reference) says what it
//! computes. Its text is that of [`Display`](std::fmt::Display).

mod builder;
mod display;
pub mod lower;
pub mod passes;
pub mod reference;
mod verify;

use bytes::Bytes;
use dnn_lib::operator::Operator;
use dnn_lib::tensor::TensorType;

pub use builder::{BuildError, Builder, Outside};
pub use verify::GraphError;

/// The number of a tensor of a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorId(u32);

impl TensorId {
    /// Its index in [`Graph::tensors`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A tensor: its name, its type and, for a constant, its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The name, taken from the model if it has one there. Not unique.
    pub name: String,
    /// Element type and shape.
    pub ty: TensorType,
    /// The bytes of a constant, which are shared and never copied: they are those of the model's file, or of
    /// a result that was folded, and of the image once there is one.
    pub value: Option<Bytes>,
}

/// A node of a [`Graph`]: something that computes tensors from tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The node's name in the model, or its number in the file.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// The tensors that it reads.
    pub inputs: Vec<TensorId>,
    /// The tensors that it defines; `None` for one that nobody reads.
    pub outputs: Vec<Option<TensorId>>,
}

/// What a node does.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// It applies an operator.
    Operator(Operator),
    /// It runs one of two regions, and its outputs are those of that region. Its input is the condition, a
    /// tensor of one boolean. The regions have no inputs.
    If {
        /// What runs if the condition is true.
        then: Region,
        /// What runs if it is false.
        otherwise: Region,
    },
    /// It runs a region several times. Its inputs are the first values of what is carried from one time to
    /// the next, its outputs the last ones.
    Repeat(Repeat),
}

/// A region that runs several times.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    /// How often; with a condition, at most so often.
    pub times: u64,
    /// Whether the first thing carried is the condition, one boolean: as soon as it is false, nothing runs
    /// any more.
    pub conditional: bool,
    /// The inputs are the number of times it ran before, a scalar of type i64, and then what is carried. The
    /// outputs are what is carried on.
    pub body: Region,
}

/// Nodes inside of a node. They may read every tensor that is defined before that node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Region {
    /// The tensors that are given to the region.
    pub inputs: Vec<TensorId>,
    /// The nodes, each after those whose outputs it reads.
    pub nodes: Vec<Node>,
    /// The region's results.
    pub outputs: Vec<TensorId>,
}

/// A tensor that keeps its value from one run of the model to the next: an output that is an input's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The place of the old value among the graph's inputs.
    pub input: usize,
    /// The place of the new value among the graph's outputs.
    pub output: usize,
}

/// A model as nodes over tensors whose shapes are all known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The model's name.
    pub name: String,
    /// All tensors, including unused ones.
    pub tensors: Vec<Tensor>,
    /// The nodes in their order of execution.
    pub nodes: Vec<Node>,
    /// The inputs of a run.
    pub inputs: Vec<TensorId>,
    /// The outputs of a run.
    pub outputs: Vec<TensorId>,
    /// What changes in place. They have the same order among the inputs and among the outputs.
    pub states: Vec<State>,
}

impl Node {
    /// The regions in it.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        let (first, second) = match &self.kind {
            Kind::Operator(_) => (None, None),
            Kind::If { then, otherwise } => (Some(then), Some(otherwise)),
            Kind::Repeat(repeat) => (Some(&repeat.body), None),
        };
        first.into_iter().chain(second)
    }

    /// All tensors that it names, those in its regions too.
    pub fn tensors(&self) -> Vec<TensorId> {
        let mut tensors: Vec<TensorId> =
            self.inputs.iter().chain(self.outputs.iter().flatten()).copied().collect();
        for region in self.regions() {
            tensors.extend(region.inputs.iter().chain(&region.outputs));
            tensors.extend(region.nodes.iter().flat_map(Node::tensors));
        }
        tensors
    }

    /// The number of nodes that it stands for, if every repetition were written down.
    pub fn weight(&self) -> u64 {
        let inner = self.regions().flat_map(|region| &region.nodes).map(Self::weight);
        let inner = inner.fold(1u64, u64::saturating_add);
        match &self.kind {
            Kind::Repeat(repeat) => inner.saturating_mul(repeat.times),
            _ => inner,
        }
    }
}

impl Graph {
    /// Adds a tensor.
    pub fn add_tensor(&mut self, tensor: Tensor) -> TensorId {
        let id = TensorId(u32::try_from(self.tensors.len()).unwrap_or(u32::MAX));
        self.tensors.push(tensor);
        id
    }

    /// A tensor by its id, which must belong to this graph.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.index()]
    }

    /// The ids of all tensors.
    pub fn ids(&self) -> impl Iterator<Item = TensorId> + use<> {
        (0..self.tensors.len()).map(|index| TensorId(index as u32))
    }

    /// The types of some tensors.
    pub fn types(&self, ids: &[TensorId]) -> Vec<TensorType> {
        ids.iter().map(|&id| self.tensor(id).ty.clone()).collect()
    }

    /// For each tensor, whether it is an input or output, or belongs to a node.
    pub fn used(&self) -> Vec<bool> {
        let mut used = vec![false; self.tensors.len()];
        let of_nodes = self.nodes.iter().flat_map(Node::tensors);
        for id in self.inputs.iter().chain(&self.outputs).copied().chain(of_nodes) {
            used[id.index()] = true;
        }
        used
    }

    /// The constants in use, in the order of their definition.
    pub fn constants(&self) -> impl Iterator<Item = (TensorId, &Bytes)> {
        let used = self.used();
        self.tensors
            .iter()
            .enumerate()
            .filter(move |(index, _)| used[*index])
            .filter_map(|(index, tensor)| tensor.value.as_ref().map(|value| (TensorId(index as u32), value)))
    }
}
