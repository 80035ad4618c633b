//! What a graph computes, by the reference evaluator of definitions. It is slow, and every other way to run a
//! model is compared with it.

use bytes::Bytes;
use dnn_lib::definition::InputError;
use dnn_lib::operator::{Meaning, Operator, OperatorError};
use dnn_lib::tensor::TensorType;
use thiserror::Error;

use crate::{Graph, Kind, Node, Region, Repeat, TensorId};

/// Why a graph could not be executed.
#[derive(Debug, Error)]
pub enum ReferenceError {
    /// The number of inputs is wrong.
    #[error("the graph has {expected} inputs, {found} are given")]
    Inputs {
        /// The number of inputs of the graph.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// A node uses a tensor that was not defined before it. [`Graph::verify`] finds such graphs.
    #[error("`{node}` uses a tensor that is not defined before it")]
    Order {
        /// The node.
        node: String,
    },
    /// A node can't be evaluated.
    #[error(transparent)]
    Node(#[from] EvaluationError),
}

/// Why an operator could not be evaluated.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum EvaluationError {
    /// It does not accept its inputs.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// An input is not what a definition takes.
    #[error(transparent)]
    Input(#[from] InputError),
}

/// Computes the bytes of the outputs from the bytes of the inputs.
pub fn execute(graph: &Graph, inputs: &[&[u8]]) -> Result<Vec<Vec<u8>>, ReferenceError> {
    if inputs.len() != graph.inputs.len() {
        return Err(ReferenceError::Inputs { expected: graph.inputs.len(), found: inputs.len() });
    }
    let values = graph.tensors.iter().map(|tensor| tensor.value.clone()).collect();
    let mut run = Run { graph, values };
    for (id, input) in graph.inputs.iter().zip(inputs) {
        run.values[id.index()] = Some(Bytes::copy_from_slice(input));
    }
    run.nodes(&graph.nodes)?;
    let outputs = run.get(&graph.name, &graph.outputs)?;
    Ok(outputs.into_iter().map(|value| value.to_vec()).collect())
}

/// An output of an operator from the bytes of its inputs.
pub(crate) fn evaluate(
    operator: &Operator,
    output: usize,
    types: &[TensorType],
    values: &[Bytes],
) -> Result<Bytes, EvaluationError> {
    let bytes = operator.infer(types)?.get(output).and_then(TensorType::bytes).unwrap_or(0) as usize;
    Ok(match operator.define(types, output)? {
        None => Bytes::new(),
        Some(Meaning::View { offset }) => {
            let (offset, value) = (offset as usize, values.first().cloned().unwrap_or_default());
            let part = offset..offset.saturating_add(bytes);
            let inside = value.get(part.clone()).is_some();
            if inside { value.slice(part) } else { Bytes::new() }
        }
        Some(Meaning::Joined) => values.concat().into(),
        Some(Meaning::Computed(definition)) => {
            definition.eval(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>())?.into()
        }
    })
}

struct Run<'a> {
    graph: &'a Graph,
    values: Vec<Option<Bytes>>,
}

impl Run<'_> {
    fn get(&self, node: &str, ids: &[TensorId]) -> Result<Vec<Bytes>, ReferenceError> {
        let values: Option<Vec<Bytes>> = ids.iter().map(|id| self.values[id.index()].clone()).collect();
        values.ok_or_else(|| ReferenceError::Order { node: node.to_owned() })
    }

    fn set(&mut self, outputs: &[Option<TensorId>], values: Vec<Bytes>) {
        for (output, value) in outputs.iter().zip(values) {
            if let Some(id) = output {
                self.values[id.index()] = Some(value);
            }
        }
    }

    fn nodes(&mut self, nodes: &[Node]) -> Result<(), ReferenceError> {
        nodes.iter().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &Node) -> Result<(), ReferenceError> {
        let inputs = self.get(&node.name, &node.inputs)?;
        let values = match &node.kind {
            Kind::Operator(operator) => {
                return self.operator(node, operator, &inputs);
            }
            Kind::If { then, otherwise } => {
                let chosen = if is_true(inputs.first()) { then } else { otherwise };
                self.region(node, chosen)?
            }
            Kind::Repeat(repeat) => self.repeat(node, repeat, inputs)?,
        };
        self.set(&node.outputs, values);
        Ok(())
    }

    fn operator(&mut self, node: &Node, operator: &Operator, inputs: &[Bytes]) -> Result<(), ReferenceError> {
        let types = self.graph.types(&node.inputs);
        for (index, output) in node.outputs.iter().enumerate() {
            if let Some(id) = output {
                self.values[id.index()] = Some(evaluate(operator, index, &types, inputs)?);
            }
        }
        Ok(())
    }

    fn region(&mut self, node: &Node, region: &Region) -> Result<Vec<Bytes>, ReferenceError> {
        self.nodes(&region.nodes)?;
        self.get(&node.name, &region.outputs)
    }

    fn repeat(
        &mut self,
        node: &Node,
        repeat: &Repeat,
        first: Vec<Bytes>,
    ) -> Result<Vec<Bytes>, ReferenceError> {
        let mut carried = first;
        for number in 0..repeat.times {
            if repeat.conditional && !is_true(carried.first()) {
                break;
            }
            let number = Bytes::copy_from_slice(&number.to_le_bytes());
            let given = std::iter::once(number).chain(carried);
            let inputs: Vec<Option<TensorId>> = repeat.body.inputs.iter().copied().map(Some).collect();
            self.set(&inputs, given.collect());
            carried = self.region(node, &repeat.body)?;
        }
        Ok(carried)
    }
}

/// Whether a boolean is true.
fn is_true(value: Option<&Bytes>) -> bool {
    value.and_then(|value| value.first()).is_some_and(|&byte| byte != 0)
}
