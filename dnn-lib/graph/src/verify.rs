//! Checks that a graph makes sense, whoever made it.

use dnn_lib::operator::OperatorError;
use dnn_lib::tensor::{DType, TensorType};

use crate::builder::is_condition;
use crate::{Graph, Kind, Node, Region, Repeat, State, TensorId};

/// Why a graph makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// There is no such tensor.
    #[error("{who} names tensor {id}, but there are {count}")]
    Unknown {
        /// What names it.
        who: String,
        /// Its number.
        id: usize,
        /// The number of tensors.
        count: usize,
    },
    /// A tensor is read before it is defined, or outside of the region that defines it.
    #[error("{who} reads tensor `{tensor}`, which is not defined there")]
    Undefined {
        /// What reads it.
        who: String,
        /// The tensor.
        tensor: String,
    },
    /// A tensor is defined twice.
    #[error("{who} defines tensor `{tensor}`, which is defined already")]
    Twice {
        /// What defines it again.
        who: String,
        /// The tensor.
        tensor: String,
    },
    /// A constant has another size than its type.
    #[error("constant `{tensor}` of type {ty} has {found} bytes")]
    Constant {
        /// The tensor.
        tensor: String,
        /// Its type.
        ty: TensorType,
        /// Its bytes.
        found: usize,
    },
    /// An operator refuses its inputs.
    #[error("node `{node}`: {error}")]
    Operator {
        /// The node.
        node: String,
        /// Why.
        error: OperatorError,
    },
    /// A tensor has another type than it must have.
    #[error("node `{node}`: tensor `{tensor}` is {found}, but must be {expected}")]
    Type {
        /// The node.
        node: String,
        /// The tensor.
        tensor: String,
        /// Its type.
        found: TensorType,
        /// What it must be.
        expected: String,
    },
    /// A node has another number of something than it must have.
    #[error("node `{node}` has {found} {what}; it must have {expected}")]
    Count {
        /// The node.
        node: String,
        /// Of what.
        what: &'static str,
        /// Their number.
        found: usize,
        /// What it must be.
        expected: usize,
    },
    /// A state is none.
    #[error("state {index}: {what}")]
    State {
        /// Its place.
        index: usize,
        /// What is wrong.
        what: &'static str,
    },
}

impl Graph {
    /// Checks that every tensor is defined once and before it is read, and that types fit.
    pub fn verify(&self) -> Result<(), GraphError> {
        let none = vec![false; self.tensors.len()];
        let mut verifier = Verifier { graph: self, visible: none.clone(), defined: none };
        for (index, tensor) in self.tensors.iter().enumerate() {
            let Some(value) = &tensor.value else { continue };
            (verifier.visible[index], verifier.defined[index]) = (true, true);
            if tensor.ty.bytes() != Some(value.len() as u64) {
                let (tensor, ty, found) = (tensor.name.clone(), tensor.ty.clone(), value.len());
                return Err(GraphError::Constant { tensor, ty, found });
            }
        }
        verifier.define("the graph", &self.inputs)?;
        verifier.nodes(&self.nodes)?;
        verifier.reads("the graph", &self.outputs)?;
        self.states.iter().enumerate().try_for_each(|(index, state)| self.check_state(index, *state))
    }

    fn check_state(&self, index: usize, state: State) -> Result<(), GraphError> {
        let wrong = |what| Err(GraphError::State { index, what });
        let (input, output) = (self.inputs.get(state.input), self.outputs.get(state.output));
        let (Some(&input), Some(&output)) = (input, output) else {
            return wrong("there is no such input or output");
        };
        if self.tensor(input).ty != self.tensor(output).ty {
            return wrong("its old and its new value have different types");
        }
        match index.checked_sub(1).map(|before| self.states[before]) {
            Some(before) if before.input >= state.input || before.output >= state.output => {
                wrong("states have the same order among the inputs and the outputs, and each is there once")
            }
            _ => Ok(()),
        }
    }
}

struct Verifier<'a> {
    graph: &'a Graph,
    /// The tensors that may be read here.
    visible: Vec<bool>,
    /// The tensors that are defined anywhere.
    defined: Vec<bool>,
}

impl Verifier<'_> {
    fn name(&self, id: TensorId) -> String {
        self.graph.tensor(id).name.clone()
    }

    fn known(&self, who: &str, id: TensorId) -> Result<(), GraphError> {
        let count = self.graph.tensors.len();
        if id.index() < count {
            return Ok(());
        }
        Err(GraphError::Unknown { who: who.to_owned(), id: id.index(), count })
    }

    fn reads(&self, who: &str, ids: &[TensorId]) -> Result<(), GraphError> {
        ids.iter().try_for_each(|&id| {
            self.known(who, id)?;
            if self.visible[id.index()] {
                return Ok(());
            }
            Err(GraphError::Undefined { who: who.to_owned(), tensor: self.name(id) })
        })
    }

    fn define(&mut self, who: &str, ids: &[TensorId]) -> Result<(), GraphError> {
        ids.iter().try_for_each(|&id| {
            self.known(who, id)?;
            self.visible[id.index()] = true;
            if !std::mem::replace(&mut self.defined[id.index()], true) {
                return Ok(());
            }
            Err(GraphError::Twice { who: who.to_owned(), tensor: self.name(id) })
        })
    }

    fn nodes(&mut self, nodes: &[Node]) -> Result<(), GraphError> {
        nodes.iter().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &Node) -> Result<(), GraphError> {
        let who = format!("node `{}`", node.name);
        self.reads(&who, &node.inputs)?;
        let outputs: Vec<TensorId> = node.outputs.iter().flatten().copied().collect();
        let types = match &node.kind {
            Kind::Operator(operator) => operator
                .infer(&self.graph.types(&node.inputs))
                .map_err(|error| GraphError::Operator { node: node.name.clone(), error })?,
            Kind::If { then, otherwise } => self.branches(node, then, otherwise)?,
            Kind::Repeat(repeat) => self.repeat(node, repeat)?,
        };
        self.count(node, "outputs", node.outputs.len(), types.len())?;
        self.define(&who, &outputs)?;
        let pairs = node.outputs.iter().zip(&types);
        pairs.filter_map(|(id, ty)| Some(((*id)?, ty))).try_for_each(|(id, ty)| self.ty(node, id, ty))
    }

    fn branches(
        &mut self,
        node: &Node,
        then: &Region,
        otherwise: &Region,
    ) -> Result<Vec<TensorType>, GraphError> {
        self.count(node, "inputs", node.inputs.len(), 1)?;
        self.condition(node, node.inputs[0])?;
        for region in [then, otherwise] {
            self.count(node, "inputs of a region", region.inputs.len(), 0)?;
            self.region(node, region)?;
        }
        let types = self.graph.types(&then.outputs);
        self.results(node, otherwise, &types)?;
        Ok(types)
    }

    fn repeat(&mut self, node: &Node, repeat: &Repeat) -> Result<Vec<TensorType>, GraphError> {
        let types = self.graph.types(&node.inputs);
        if repeat.conditional {
            self.count(node, "first things carried", node.inputs.len().min(1), 1)?;
            self.condition(node, node.inputs[0])?;
        }
        let inputs = &repeat.body.inputs;
        self.count(node, "inputs of a region", inputs.len(), types.len() + 1)?;
        inputs.iter().try_for_each(|&id| self.known("a region", id))?;
        self.ty(node, inputs[0], &TensorType::new(DType::I64, []))?;
        inputs[1..].iter().zip(&types).try_for_each(|(&id, ty)| self.ty(node, id, ty))?;
        self.region(node, &repeat.body)?;
        self.results(node, &repeat.body, &types)?;
        Ok(types)
    }

    /// What a region defines is not known outside.
    fn region(&mut self, node: &Node, region: &Region) -> Result<(), GraphError> {
        let (who, outside) = (format!("a region of node `{}`", node.name), self.visible.clone());
        self.define(&who, &region.inputs)?;
        self.nodes(&region.nodes)?;
        self.reads(&who, &region.outputs)?;
        self.visible = outside;
        Ok(())
    }

    fn results(&self, node: &Node, region: &Region, types: &[TensorType]) -> Result<(), GraphError> {
        self.count(node, "results of a region", region.outputs.len(), types.len())?;
        region.outputs.iter().zip(types).try_for_each(|(&id, ty)| self.ty(node, id, ty))
    }

    fn count(
        &self,
        node: &Node,
        what: &'static str,
        found: usize,
        expected: usize,
    ) -> Result<(), GraphError> {
        if found == expected {
            return Ok(());
        }
        Err(GraphError::Count { node: node.name.clone(), what, found, expected })
    }

    fn ty(&self, node: &Node, id: TensorId, expected: &TensorType) -> Result<(), GraphError> {
        let found = &self.graph.tensor(id).ty;
        if found == expected { Ok(()) } else { Err(self.type_error(node, id, &expected.to_string())) }
    }

    fn condition(&self, node: &Node, id: TensorId) -> Result<(), GraphError> {
        if is_condition(&self.graph.tensor(id).ty) {
            return Ok(());
        }
        Err(self.type_error(node, id, "one boolean"))
    }

    fn type_error(&self, node: &Node, id: TensorId, expected: &str) -> GraphError {
        let (node, tensor, found) = (node.name.clone(), self.name(id), self.graph.tensor(id).ty.clone());
        GraphError::Type { node, tensor, found, expected: expected.to_owned() }
    }
}
