//! The graph: a typed program over tensors, every shape known.

use std::fmt;

use bytes::Bytes;
use dnn_lib::operator::Operator;
use dnn_lib::tensor::TensorType;

use crate::error::Warning;

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

/// A node of a [`Graph`]: one application of an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphNode {
    /// The node's name in the model, or its number in the file.
    pub name: String,
    /// What it computes.
    pub operator: Operator,
    /// The tensors that it reads.
    pub inputs: Vec<TensorId>,
    /// The tensor that it defines.
    pub output: TensorId,
}

/// A model as a list of nodes, each after its dependencies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The model's name.
    pub name: String,
    /// All tensors, including unused ones.
    pub tensors: Vec<Tensor>,
    /// The nodes in their order of execution.
    pub nodes: Vec<GraphNode>,
    /// The inputs of a run.
    pub inputs: Vec<TensorId>,
    /// The outputs of a run.
    pub outputs: Vec<TensorId>,
    /// Warnings about the model, which was nevertheless accepted.
    pub warnings: Vec<Warning>,
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
        let of_nodes = self.nodes.iter().flat_map(|node| node.inputs.iter().chain([&node.output]));
        for id in self.inputs.iter().chain(&self.outputs).chain(of_nodes) {
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

    fn typed(&self, id: TensorId) -> String {
        format!("{}: {}", self.tensor(id).name, self.tensor(id).ty)
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {}", self.name)?;
        for &id in &self.inputs {
            writeln!(f, "  input {}", self.typed(id))?;
        }
        for (id, value) in self.constants() {
            writeln!(f, "  constant {} ({} bytes)", self.typed(id), value.len())?;
        }
        for node in &self.nodes {
            let inputs: Vec<&str> = node.inputs.iter().map(|&id| self.tensor(id).name.as_str()).collect();
            let operator = attributes(&node.operator);
            writeln!(f, "  {} = {operator}({})", self.typed(node.output), inputs.join(", "))?;
        }
        for &id in &self.outputs {
            writeln!(f, "  output {}", self.typed(id))?;
        }
        Ok(())
    }
}

/// An operator as `Name { attributes }`: the contents of its variant.
fn attributes(operator: &Operator) -> String {
    let text = format!("{operator:?}");
    let inner = text.strip_prefix(operator.name()).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
    inner.map_or_else(|| text.clone(), str::to_owned)
}
