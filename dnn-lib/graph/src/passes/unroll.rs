//! Writes repeated regions out, all but the largest one, which becomes the schedule's period.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;
use dnn_lib::tensor::{DType, TensorType};

use crate::{BuildError, Builder, Graph, Kind, Node, Region, Repeat, TensorId};

/// Fewer repetitions than this are written out: then constants depend on their number, and nothing is copied
/// from one to the next.
pub const LEAST_PERIOD: u64 = 16;

/// The most nodes that are written out.
const MOST_NODES: u64 = 1 << 15;

/// Why a graph can't be unrolled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum UnrollError {
    /// A node can't be added again.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// There would be too many nodes.
    #[error(
        "the repetitions of node `{node}` are {found} nodes: one region outside of others may be repeated up to \
         2^40 times, but of all others at most {MOST_NODES} nodes can be written out"
    )]
    TooMany {
        /// The node.
        node: String,
        /// The number of nodes.
        found: u64,
    },
}

/// Writes repetitions out. At most one Repeat is left, which is not inside of another node.
pub fn unroll(graph: Graph, limit: u64) -> Result<Graph, UnrollError> {
    if !graph.nodes.iter().any(repeats) {
        return Ok(graph);
    }
    let long = |node: &&Node| matches!(&node.kind, Kind::Repeat(repeat) if repeat.times >= LEAST_PERIOD);
    let period = graph.nodes.iter().enumerate().filter(|(_, node)| long(node));
    let period = period.max_by_key(|(index, node)| (node.weight(), std::cmp::Reverse(*index)));
    let period = period.map(|(index, _)| index);
    let mut left = MOST_NODES;
    for (index, node) in graph.nodes.iter().enumerate() {
        let inner = node.regions().flat_map(|region| &region.nodes).map(Node::weight);
        let found = if Some(index) == period { inner.fold(1, u64::saturating_add) } else { node.weight() };
        left = match left.checked_sub(if repeats(node) { found } else { 0 }) {
            Some(left) => left,
            None => return Err(UnrollError::TooMany { node: node.name.clone(), found }),
        };
    }
    let Graph { name, tensors, nodes, inputs, outputs, states } = graph;
    let mut builder = Builder::onto(Graph { name, tensors, inputs, states, ..Graph::default() }, limit);
    let names = Names::default();
    for (index, node) in nodes.iter().enumerate() {
        names.node(&mut builder, node, Some(index) == period)?;
    }
    Ok(Graph { outputs: names.all(&outputs), ..builder.finish() })
}

/// Whether there is a Repeat in a node.
fn repeats(node: &Node) -> bool {
    matches!(node.kind, Kind::Repeat(_)) || node.regions().flat_map(|region| &region.nodes).any(repeats)
}

/// What tensors are called now.
#[derive(Default)]
struct Names(RefCell<HashMap<TensorId, TensorId>>);

impl Names {
    fn all(&self, ids: &[TensorId]) -> Vec<TensorId> {
        let names = self.0.borrow();
        ids.iter().map(|id| *names.get(id).unwrap_or(id)).collect()
    }

    /// Adds a node again. A Repeat that is not the period is written out.
    fn node(&self, b: &mut Builder, node: &Node, period: bool) -> Result<(), BuildError> {
        let inputs = self.all(&node.inputs);
        let tensors = &b.graph().tensors;
        let name = |id: &Option<TensorId>| id.map_or_else(String::new, |id| tensors[id.index()].name.clone());
        let names: Vec<String> = node.outputs.iter().map(name).collect();
        let outputs = match &node.kind {
            Kind::Operator(operator) => b.apply(&node.name, operator.clone(), &inputs, &names)?,
            Kind::If { then, otherwise } => {
                let [then, otherwise] =
                    [then, otherwise].map(|region| |b: &mut _| self.region(b, region, &[]));
                b.when(&node.name, inputs[0], then, otherwise, &names)?
            }
            Kind::Repeat(repeat) if period => {
                let body = |b: &mut _, number, carried: &[_]| {
                    self.region(b, &repeat.body, &[&[number], carried].concat())
                };
                b.repeat(&node.name, (repeat.times, repeat.conditional), &inputs, body, &names)?
            }
            Kind::Repeat(repeat) => self.written_out(b, node, repeat, inputs, &names)?,
        };
        let pairs = node.outputs.iter().zip(outputs);
        self.0.borrow_mut().extend(pairs.filter_map(|(old, new)| Some(((*old)?, new))));
        Ok(())
    }

    fn written_out(
        &self,
        b: &mut Builder,
        node: &Node,
        Repeat { times, conditional, body }: &Repeat,
        first: Vec<TensorId>,
        names: &[String],
    ) -> Result<Vec<TensorId>, BuildError> {
        let mut carried = first;
        for number in 0..*times {
            let (name, value) = (format!("{}.{number}", node.name), number.to_le_bytes());
            let number =
                b.tensor(name, TensorType::new(DType::I64, []), Some(Bytes::copy_from_slice(&value)));
            let given = [&[number], &carried[..]].concat();
            let again = |b: &mut Builder| self.region(b, body, &given);
            carried = if *conditional {
                b.when(&node.name, carried[0], again, |_| Ok(carried.clone()), names)?
            } else {
                again(b)?
            };
        }
        Ok(carried)
    }

    /// Adds the nodes of a region that is given these tensors, and returns its results.
    fn region(
        &self,
        b: &mut Builder,
        region: &Region,
        given: &[TensorId],
    ) -> Result<Vec<TensorId>, BuildError> {
        self.0.borrow_mut().extend(region.inputs.iter().copied().zip(given.iter().copied()));
        region.nodes.iter().try_for_each(|node| self.node(b, node, false))?;
        Ok(self.all(&region.outputs))
    }
}
