//! Which nodes are needed, in an order in which each comes after those that it depends on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::label;
use crate::error::ModelError;

/// What defines a tensor.
enum Definition {
    Input,
    Initializer,
    Node(usize),
}

/// How many nodes a message about a cycle names.
const NAMED: usize = 8;

/// The numbers of the nodes that the outputs need, in order. The whole graph is checked, dead nodes too.
pub(super) fn order(
    nodes: &[onnx::ModelNode],
    initializers: &[onnx::Initializer],
    inputs: &[onnx::Value],
    outputs: &[onnx::Value],
) -> Result<Vec<usize>, ModelError> {
    if outputs.is_empty() {
        return Err(ModelError::NoOutputs);
    }
    let definitions = definitions(nodes, initializers, inputs)?;
    let dependencies = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| dependencies(node, index, &definitions))
        .collect::<Result<Vec<_>, _>>()?;
    let sorted = sort(nodes, &dependencies)?;
    let mut needed = vec![false; nodes.len()];
    let mut named = BTreeSet::new();
    for output in outputs {
        if !named.insert(&output.name) {
            return Err(duplicate(&output.name, "a graph output", "another one"));
        }
        match definitions.get(output.name.as_str()) {
            None => {
                let (name, user) = (output.name.clone(), "the graph's outputs".to_owned());
                return Err(ModelError::Undefined { name, user });
            }
            Some(Definition::Node(index)) => needed[*index] = true,
            Some(_) => {}
        }
    }
    for &index in sorted.iter().rev() {
        if needed[index] {
            dependencies[index].iter().for_each(|&on| needed[on] = true);
        }
    }
    Ok(sorted.into_iter().filter(|&index| needed[index]).collect())
}

fn definitions<'a>(
    nodes: &'a [onnx::ModelNode],
    initializers: &'a [onnx::Initializer],
    inputs: &'a [onnx::Value],
) -> Result<BTreeMap<&'a str, Definition>, ModelError> {
    let mut definitions = BTreeMap::new();
    for input in inputs {
        if definitions.insert(input.name.as_str(), Definition::Input).is_some() {
            return Err(duplicate(&input.name, "an input", "another input"));
        }
    }
    for initializer in initializers {
        // An input may have an initializer: its default.
        if let Some(Definition::Initializer) = definitions.insert(&initializer.name, Definition::Initializer) {
            return Err(duplicate(&initializer.name, "an initializer", "another initializer"));
        }
    }
    for (index, node) in nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|output| !output.is_empty()) {
            let this = describe(node, index);
            match definitions.insert(output, Definition::Node(index)) {
                None => {}
                Some(Definition::Input) => return Err(duplicate(output, "an input", &this)),
                Some(Definition::Initializer) => return Err(duplicate(output, "an initializer", &this)),
                Some(Definition::Node(other)) => {
                    return Err(duplicate(output, &describe(&nodes[other], other), &this));
                }
            }
        }
    }
    Ok(definitions)
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
) -> Result<Vec<usize>, ModelError> {
    let mut dependencies = Vec::new();
    for input in node.inputs.iter().filter(|input| !input.is_empty()) {
        match definitions.get(input.as_str()) {
            Some(Definition::Node(on)) => dependencies.push(*on),
            Some(_) => {}
            None => {
                let user = format!("node `{}` ({})", label(node, index), node.operator);
                return Err(ModelError::Undefined { name: input.clone(), user });
            }
        }
    }
    dependencies.sort_unstable();
    dependencies.dedup();
    Ok(dependencies)
}

/// All nodes in dependency order; of those that are ready, the first of the file comes first.
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

/// The names of the nodes of one cycle: from any node that waits, go on to what it waits for until one comes again.
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
