//! Programs: a model as definitions over tensors, in the order in which they are computed.
//!
//! A program lies in the image beside the code that was made of it. It says nothing that the code doesn't do,
//! but in a form that other computers than the machine can run: the host runs it, and tools explain it. It can
//! come from a stranger, so [`Program::read`] checks it.

use serde::{Deserialize, Serialize};

use crate::definition::{Definition, DefinitionError};
use crate::tensor::{DType, TensorType};

/// What a model computes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The definitions, each once.
    pub definitions: Vec<Definition>,
    /// The nodes, each after those whose outputs it reads.
    pub nodes: Vec<Node>,
    /// For each big step, its node. Those of a node follow each other.
    pub steps: Vec<u32>,
}

/// A definition over tensors, which are numbered by the image's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The definition, as an index into [`Program::definitions`].
    pub definition: u32,
    /// The tensors that it reads.
    pub inputs: Vec<u32>,
    /// The tensor that it writes.
    pub output: u32,
    /// When it is computed: only if all of them say so.
    pub guards: Vec<Guard>,
}

/// A condition on a tensor, which is a single boolean, at the time when a node is about to be computed.
/// Otherwise the node is skipped, and its output stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Guard {
    /// The tensor.
    pub tensor: u32,
    /// What it must be.
    pub when: bool,
}

/// Why bytes are not a program.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// The bytes make no sense.
    #[error("the program is damaged: {0}")]
    Damaged(String),
    /// A definition is not one.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// There are too many of something.
    #[error("the program has {found} {what}; at most {most} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// Their number.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// Something names a thing that is not there.
    #[error("{who} names {what} {found}, but there are {count}")]
    Reference {
        /// What names it.
        who: String,
        /// The kind of thing.
        what: &'static str,
        /// Its number.
        found: u32,
        /// The number of such things.
        count: usize,
    },
    /// A node's tensors are not those of its definition.
    #[error("node {node}: {what}")]
    Tensors {
        /// The node.
        node: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Big steps don't go through the nodes in order.
    #[error(
        "big step {step} is of node {found}: every node has big steps, which follow those of the node before"
    )]
    Order {
        /// The big step.
        step: usize,
        /// Its node.
        found: u32,
    },
}

/// The most bytes of a program.
const MOST_BYTES: usize = 1 << 23;
/// The most definitions.
const MOST_DEFINITIONS: usize = 1 << 12;
/// The most nodes, and the most inputs of all nodes.
const MOST_NODES: usize = 1 << 15;
const MOST_INPUTS: usize = 1 << 17;
/// The most guards of a node.
pub const MOST_GUARDS: usize = 8;

fn at_most(what: &'static str, found: usize, most: usize) -> Result<(), ProgramError> {
    if found <= most { Ok(()) } else { Err(ProgramError::TooMany { what, found, most }) }
}

impl Program {
    /// The bytes of the program.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProgramError> {
        postcard::to_stdvec(self).map_err(|error| ProgramError::Damaged(error.to_string()))
    }

    /// Reads a program over tensors of these types. Definitions see the same bytes as the tensors, perhaps
    /// with other shapes and types.
    pub fn read(bytes: &[u8], tensors: &[TensorType]) -> Result<Self, ProgramError> {
        let damaged = |error: postcard::Error| ProgramError::Damaged(error.to_string());
        at_most("bytes", bytes.len(), MOST_BYTES)?;
        let (program, rest) = postcard::take_from_bytes::<Self>(bytes).map_err(damaged)?;
        if !rest.is_empty() {
            return Err(ProgramError::Damaged(format!("{} bytes follow it", rest.len())));
        }
        program.check(tensors)?;
        Ok(program)
    }

    /// Checks the program over tensors of these types.
    pub fn check(&self, tensors: &[TensorType]) -> Result<(), ProgramError> {
        at_most("definitions", self.definitions.len(), MOST_DEFINITIONS)?;
        at_most("nodes", self.nodes.len(), MOST_NODES)?;
        at_most("inputs of nodes", self.nodes.iter().map(|node| node.inputs.len()).sum(), MOST_INPUTS)?;
        self.definitions.iter().try_for_each(Definition::check)?;
        for (index, node) in self.nodes.iter().enumerate() {
            self.check_node(index, node, tensors)?;
        }
        self.check_steps()
    }

    fn check_node(&self, index: usize, node: &Node, tensors: &[TensorType]) -> Result<(), ProgramError> {
        let reference = |what, found, count| {
            let who = format!("node {index}");
            ProgramError::Reference { who, what, found, count }
        };
        let count = self.definitions.len();
        let definition = self.definitions.get(node.definition as usize);
        let definition = definition.ok_or_else(|| reference("definition", node.definition, count))?;
        let same = |number: u32, ty: &TensorType| match tensors.get(number as usize) {
            None => Err(reference("tensor", number, tensors.len())),
            Some(tensor) => Ok(tensor.bytes() == ty.bytes()),
        };
        let wrong = |what| Err(ProgramError::Tensors { node: index, what });
        if node.inputs.len() != definition.inputs.len() {
            return wrong("its definition has another number of inputs");
        }
        for (&number, ty) in node.inputs.iter().zip(&definition.inputs) {
            if !same(number, ty)? {
                return wrong("an input has another size in its definition");
            }
        }
        if !same(node.output, &definition.output)? {
            return wrong("the output has another size in its definition");
        }
        if definition.output.elements() == Some(0) {
            return wrong("its output has no elements");
        }
        at_most("guards of a node", node.guards.len(), MOST_GUARDS)?;
        for guard in &node.guards {
            let ty = tensors.get(guard.tensor as usize);
            let ty = ty.ok_or_else(|| reference("tensor", guard.tensor, tensors.len()))?;
            if ty.dtype != DType::Bool || ty.elements() != Some(1) {
                return wrong("a guard is not a single boolean");
            }
            // One big step of it would decide about the next.
            if guard.tensor == node.output {
                return wrong("it writes its own guard");
            }
        }
        Ok(())
    }

    fn check_steps(&self) -> Result<(), ProgramError> {
        let mut next = 0;
        for (step, &node) in self.steps.iter().enumerate() {
            if node as usize == next && next < self.nodes.len() {
                next += 1;
            } else if node as usize + 1 != next {
                return Err(ProgramError::Order { step, found: node });
            }
        }
        let (who, count) = ("the last big step".to_owned(), self.steps.len());
        match u32::try_from(next) {
            Ok(found) if next < self.nodes.len() => {
                Err(ProgramError::Reference { who, what: "none after node", found, count })
            }
            _ => Ok(()),
        }
    }

    /// The node of a big step.
    pub fn node(&self, step: usize) -> Option<(usize, &Node)> {
        let number = *self.steps.get(step)? as usize;
        Some((number, self.nodes.get(number)?))
    }

    /// The definition of a node.
    pub fn definition(&self, node: &Node) -> &Definition {
        &self.definitions[node.definition as usize]
    }
}
