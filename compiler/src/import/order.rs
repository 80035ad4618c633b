//! The needed nodes, each after its dependencies.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::label;
use crate::error::{ImportErrors, ModelError};

/// The definition of a tensor.
enum Definition {
    Input,
    Initializer,
    Node(usize),
}

/// The maximum number of nodes named in a message about a cycle.
const NAMED: usize = 8;

/// The indices of the nodes that the outputs need, in order. The structure of the whole graph is checked,
/// including dead nodes.
///
/// A graph inside of a node may read what is defined outside, and its nodes must not define it again.
pub(super) fn order(
    graph: &onnx::ModelGraph,
    outside: &dyn Fn(&str) -> bool,
    errors: &mut ImportErrors,
) -> Vec<usize> {
    let nodes = &graph.nodes;
    let definitions = definitions(graph, outside, errors);
    let mut dependencies = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        dependencies.push(self::dependencies(node, index, &definitions, outside, errors));
    }
    let sorted = sort(nodes, &dependencies).unwrap_or_else(|cycle| {
        errors.model(cycle);
        (0..nodes.len()).collect()
    });
    let mut needed = vec![false; nodes.len()];
    let mut open = outputs(graph, &definitions, outside, errors);
    while let Some(index) = open.pop() {
        if !std::mem::replace(&mut needed[index], true) {
            open.extend(&dependencies[index]);
        }
    }
    sorted.into_iter().filter(|&index| needed[index]).collect()
}

/// The nodes that compute the graph's outputs.
fn outputs(
    graph: &onnx::ModelGraph,
    definitions: &BTreeMap<&str, Definition>,
    outside: &dyn Fn(&str) -> bool,
    errors: &mut ImportErrors,
) -> Vec<usize> {
    if graph.outputs.is_empty() {
        errors.model(ModelError::NoOutputs);
    }
    let (mut nodes, mut named) = (Vec::new(), BTreeSet::new());
    for output in &graph.outputs {
        if !named.insert(&output.name) {
            errors.model(duplicate(&output.name, "a graph output", "another one"));
        }
        match definitions.get(output.name.as_str()) {
            None if outside(&output.name) => {}
            None => {
                let (name, user) = (output.name.clone(), "the graph's outputs".to_owned());
                errors.model(ModelError::Undefined { name, user });
            }
            Some(Definition::Node(index)) => nodes.push(*index),
            Some(_) => {}
        }
    }
    nodes
}

fn definitions<'a>(
    graph: &'a onnx::ModelGraph,
    outside: &dyn Fn(&str) -> bool,
    errors: &mut ImportErrors,
) -> BTreeMap<&'a str, Definition> {
    let mut definitions = BTreeMap::new();
    for input in &graph.inputs {
        if definitions.insert(input.name.as_str(), Definition::Input).is_some() {
            errors.model(duplicate(&input.name, "an input", "another input"));
        }
    }
    for initializer in &graph.initializers {
        // An input may have an initializer: its default.
        if let Some(Definition::Initializer) = definitions.insert(&initializer.name, Definition::Initializer)
        {
            errors.model(duplicate(&initializer.name, "an initializer", "another initializer"));
        }
    }
    let nodes = &graph.nodes;
    for (index, node) in nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|output| !output.is_empty()) {
            let this = describe(node, index);
            match definitions.insert(output, Definition::Node(index)) {
                None => {}
                Some(Definition::Input) => errors.model(duplicate(output, "an input", &this)),
                Some(Definition::Initializer) => errors.model(duplicate(output, "an initializer", &this)),
                Some(Definition::Node(other)) => {
                    errors.model(duplicate(output, &describe(&nodes[other], other), &this));
                }
            }
        }
    }
    // What is given to a body may have any name, and many have that of what is outside; nothing else may.
    let defined = definitions.iter().filter(|(_, definition)| !matches!(definition, Definition::Input));
    for (&name, _) in defined.filter(|(name, _)| outside(name)) {
        errors.model(duplicate(name, "a tensor outside of a graph in an attribute", "one inside of it"));
    }
    definitions
}

fn describe(node: &onnx::ModelNode, index: usize) -> String {
    format!("an output of node `{}` ({})", label(node, index), node.operator)
}

fn duplicate(name: &str, first: &str, second: &str) -> ModelError {
    ModelError::Duplicate { name: name.to_owned(), first: first.to_owned(), second: second.to_owned() }
}

/// The nodes whose outputs a node reads.
fn dependencies(
    node: &onnx::ModelNode,
    index: usize,
    definitions: &BTreeMap<&str, Definition>,
    outside: &dyn Fn(&str) -> bool,
    errors: &mut ImportErrors,
) -> Vec<usize> {
    let (mut dependencies, mut reads) = (Vec::new(), BTreeSet::new());
    node.reads(&mut reads);
    for name in reads {
        match definitions.get(name) {
            Some(Definition::Node(on)) => dependencies.push(*on),
            Some(_) => {}
            None if outside(name) => {}
            None => {
                let user = format!("node `{}` ({})", label(node, index), node.operator);
                errors.model(ModelError::Undefined { name: name.to_owned(), user });
            }
        }
    }
    dependencies.sort_unstable();
    dependencies.dedup();
    dependencies
}

/// All nodes in dependency order. Among those that are ready, the first in the file comes first.
fn sort(nodes: &[onnx::ModelNode], dependencies: &[Vec<usize>]) -> Result<Vec<usize>, ModelError> {
    let mut waiting: Vec<usize> = dependencies.iter().map(Vec::len).collect();
    let mut users = vec![Vec::new(); nodes.len()];
    for (index, on) in dependencies.iter().enumerate() {
        on.iter().for_each(|&on| users[on].push(index));
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..nodes.len()).filter(|&index| waiting[index] == 0).map(Reverse).collect();
    let mut sorted = Vec::with_capacity(nodes.len());
    while let Some(Reverse(index)) = ready.pop() {
        sorted.push(index);
        for &user in &users[index] {
            waiting[user] -= 1;
            if waiting[user] == 0 {
                ready.push(Reverse(user));
            }
        }
    }
    if sorted.len() == nodes.len() {
        return Ok(sorted);
    }
    Err(ModelError::Cycle { nodes: cycle(nodes, dependencies, &waiting) })
}

/// The names of the nodes in one cycle. Starts at any waiting node and follows dependencies until one
/// repeats.
fn cycle(nodes: &[onnx::ModelNode], dependencies: &[Vec<usize>], waiting: &[usize]) -> Vec<String> {
    let mut path: Vec<usize> = Vec::new();
    let mut seen = vec![false; nodes.len()];
    let mut next = waiting.iter().position(|&count| count > 0);
    while let Some(index) = next {
        if seen[index] {
            let start = path.iter().position(|&other| other == index).unwrap_or(0);
            path.drain(..start);
            break;
        }
        seen[index] = true;
        path.push(index);
        next = dependencies[index].iter().copied().find(|&on| waiting[on] > 0);
    }
    path.iter()
        .take(NAMED)
        .map(|&index| format!("`{}` ({})", label(&nodes[index], index), nodes[index].operator))
        .collect()
}
