//! The reference backend: executes a graph with the reference evaluator of definitions. It is slow, and every
//! other backend is compared with it.

use bytes::Bytes;
use dnn_lib::definition::InputError;
use dnn_lib::operator::{Meaning, OperatorError};
use thiserror::Error;

use crate::graph::Graph;

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
    /// A node uses a tensor that was not defined before it. The importer does not make such graphs.
    #[error("node `{node}` uses a tensor that is not defined before it")]
    Order {
        /// The node.
        node: String,
    },
    /// An operator does not accept its inputs.
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
    let mut values: Vec<Option<Bytes>> = graph.tensors.iter().map(|tensor| tensor.value.clone()).collect();
    for (id, input) in graph.inputs.iter().zip(inputs) {
        values[id.index()] = Some(Bytes::copy_from_slice(input));
    }
    for node in &graph.nodes {
        let undefined = || ReferenceError::Order { node: node.name.clone() };
        let inputs: Option<Vec<Bytes>> = node.inputs.iter().map(|id| values[id.index()].clone()).collect();
        let inputs = inputs.ok_or_else(undefined)?;
        let output = match node.operator.define(&graph.types(&node.inputs))? {
            Some(Meaning::View) => inputs.first().cloned().ok_or_else(undefined)?,
            None => Bytes::new(),
            Some(Meaning::Computed(definition)) => {
                definition.eval(&inputs.iter().map(AsRef::as_ref).collect::<Vec<_>>())?.into()
            }
        };
        values[node.output.index()] = Some(output);
    }
    let output = |id: &crate::graph::TensorId| values[id.index()].as_ref().map(|value| value.to_vec());
    graph
        .outputs
        .iter()
        .map(output)
        .collect::<Option<_>>()
        .ok_or(ReferenceError::Order { node: graph.name.clone() })
}
