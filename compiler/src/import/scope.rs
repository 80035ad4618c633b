//! Graphs inside of nodes, and the functions that a model defines: whose names are seen where, and how deep and
//! how many they may be.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use graph::TensorId;
use onnx::{Attribute, ModelGraph, ModelNode};

use super::{Import, label, order};
use crate::error::{ImportErrors, ModelError, NodeError};

/// How many graphs may be inside of each other.
const DEEPEST: usize = 24;

/// How many nodes the functions of a model, and the loops that are written out while it is imported, may make.
pub(super) const MOST_WRITTEN: usize = 1 << 18;

/// A graph whose nodes are being added.
pub(super) struct Scope {
    /// The known tensors, by their names in the model. An optional input of a function that was left out has no
    /// tensor.
    pub names: BTreeMap<String, Option<TensorId>>,
    /// All names that the graph defines.
    defined: BTreeSet<String>,
    /// The names of all tensors that a needed node reads or that are outputs of the graph.
    used: BTreeSet<String>,
    /// The version of ONNX's operators.
    opset: i64,
    /// The names of the nodes around it, for messages.
    place: String,
    /// If it is a function: its number. What is outside is not seen.
    function: Option<usize>,
}

impl Scope {
    /// The scope of a graph, of whose nodes these are needed.
    pub fn of(graph: &ModelGraph, order: &[usize], opset: i64) -> Self {
        let mut used = BTreeSet::new();
        order.iter().for_each(|&index| graph.nodes[index].reads(&mut used));
        used.extend(graph.outputs.iter().map(|output| output.name.as_str()));
        Self {
            names: BTreeMap::new(),
            defined: graph.defines().filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            used: used.into_iter().map(str::to_owned).collect(),
            opset,
            place: String::new(),
            function: None,
        }
    }
}

impl Import {
    pub(super) fn scope_mut(&mut self) -> &mut Scope {
        // The main graph's scope is always there.
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    fn scope(&self) -> &Scope {
        &self.scopes[self.scopes.len() - 1]
    }

    /// The scopes whose names are seen, the innermost first.
    fn seen(&self) -> impl Iterator<Item = &Scope> {
        let mut ended = false;
        self.scopes.iter().rev().take_while(move |scope| {
            let seen = !ended;
            ended |= scope.function.is_some();
            seen
        })
    }

    /// The tensor with this name, if it is known; if an optional input has it that was left out, none.
    pub(super) fn named(&self, name: &str) -> Option<Option<TensorId>> {
        self.seen().find_map(|scope| scope.names.get(name).copied())
    }

    pub(super) fn define(&mut self, name: String, id: Option<TensorId>) {
        self.scope_mut().names.insert(name, id);
    }

    /// Whether anything reads a tensor of the present graph.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.scope().used.contains(name)
    }

    /// The version of ONNX's operators in the present graph.
    pub(super) fn opset(&self) -> i64 {
        self.scope().opset
    }

    /// The name of a node in messages, with those around it.
    pub(super) fn label(&self, node: &ModelNode, index: usize) -> String {
        format!("{}{}", self.scope().place, label(node, index))
    }

    /// The number of the model's own operator that a node calls.
    pub(super) fn function(&self, node: &ModelNode) -> Option<usize> {
        if self.functions.is_empty() {
            return None;
        }
        self.calls.get(&[&node.domain, &node.operator, &node.overload].map(String::clone)).copied()
    }

    /// Adds the nodes of a graph in an attribute of a node to the region that is open. What its inputs are is
    /// given; the result are its outputs.
    pub(super) fn inside(
        &mut self,
        place: &str,
        graph: &ModelGraph,
        given: &[Option<TensorId>],
    ) -> Result<Vec<TensorId>, NodeError> {
        let opset = self.opset();
        self.enter(place, graph, given, (opset, None))
    }

    /// Adds the nodes of a function to the region that is open.
    pub(super) fn call(
        &mut self,
        place: &str,
        node: &ModelNode,
        number: usize,
        given: &[Option<TensorId>],
    ) -> Result<Vec<TensorId>, NodeError> {
        let functions = Rc::clone(&self.functions);
        let function = &functions[number];
        if self.scopes.iter().any(|scope| scope.function == Some(number)) {
            return Err(NodeError::Recursive { function: function.name.clone() });
        }
        if given.len() > function.body.inputs.len() {
            let expected = format!("at most {}", function.body.inputs.len());
            return Err(NodeError::InputCount { found: given.len(), expected });
        }
        let unknown = node.attributes.keys().find(|&name| !function.attributes.contains_key(name));
        if let Some(attribute) = unknown.cloned() {
            let known: Vec<&str> = function.attributes.keys().map(String::as_str).collect();
            return Err(NodeError::UnknownAttribute { attribute, known: known.join(", ") });
        }
        let mut values = BTreeMap::new();
        for (name, default) in &function.attributes {
            let value = node.attributes.get(name).or(default.as_ref());
            values.extend(value.map(|value| (name.as_str(), value)));
        }
        let mut body = function.body.clone();
        refer(&mut body, &values);
        self.enter(place, &body, given, (function.opset, Some(number)))
    }

    fn enter(
        &mut self,
        place: &str,
        graph: &ModelGraph,
        given: &[Option<TensorId>],
        (opset, function): (i64, Option<usize>),
    ) -> Result<Vec<TensorId>, NodeError> {
        if self.scopes.len() > DEEPEST {
            return Err(NodeError::Nested { limit: DEEPEST });
        }
        self.left = self.left.saturating_sub(weight(graph));
        if self.left == 0 {
            return Err(NodeError::Written { limit: MOST_WRITTEN });
        }
        let mut errors = ImportErrors::default();
        let outside =
            |name: &str| function.is_none() && self.seen().any(|scope| scope.defined.contains(name));
        let order = order::order(graph, &outside, &mut errors);
        if !errors.is_empty() {
            self.errors.extend(errors);
            return Err(NodeError::Inside);
        }
        let place = format!("{place}/");
        self.scopes.push(Scope { place, function, ..Scope::of(graph, &order, opset) });
        let left_out = std::iter::repeat(&None);
        for (input, id) in graph.inputs.iter().zip(given.iter().chain(left_out)) {
            self.define(input.name.clone(), *id);
        }
        self.initializers(graph);
        self.nodes(graph, &order);
        let outputs: Result<Vec<TensorId>, NodeError> =
            graph.outputs.iter().map(|output| self.result(output)).collect();
        self.scopes.pop();
        outputs
    }

    /// An output of the present graph.
    fn result(&mut self, output: &onnx::Value) -> Result<TensorId, NodeError> {
        match self.named(&output.name) {
            Some(Some(id)) => Ok(id),
            None => Err(NodeError::Inside),
            Some(None) => {
                let (name, user) = (output.name.clone(), format!("the outputs of {}", self.scope().place));
                self.errors.model(ModelError::Undefined { name, user });
                Err(NodeError::Inside)
            }
        }
    }
}

/// About how many nodes' work a graph is, before anything is known about it.
fn weight(graph: &ModelGraph) -> usize {
    let of_node = |node: &ModelNode| {
        let attributes = node.attributes.values().map(|attribute| match attribute {
            Attribute::Floats(values) => values.len(),
            Attribute::Ints(values) => values.len(),
            Attribute::Strings(values) => values.len(),
            Attribute::String(value) => value.len(),
            _ => 0,
        });
        let small = node.inputs.len() + node.outputs.len() + attributes.sum::<usize>();
        1 + small / 64 + node.graphs().map(weight).sum::<usize>()
    };
    let values = graph.inputs.len() + graph.outputs.len() + graph.initializers.len();
    1 + values / 16 + graph.nodes.iter().map(of_node).sum::<usize>()
}

/// Replaces references to a function's attributes by their values. One without a value is left out.
fn refer(graph: &mut ModelGraph, values: &BTreeMap<&str, &Attribute>) {
    for node in &mut graph.nodes {
        node.attributes.retain(|_, attribute| match attribute {
            Attribute::Reference(name) => match values.get(name.as_str()) {
                Some(&value) => {
                    *attribute = value.clone();
                    true
                }
                None => false,
            },
            Attribute::Graph(graph) => {
                refer(graph, values);
                true
            }
            _ => true,
        });
    }
}
