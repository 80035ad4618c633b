//! What a model needs, whether or not it can be compiled.

use std::collections::BTreeMap;

use dnn_lib::tensor::DType;
use onnx::{Attribute, ModelGraph, ModelNode};

use crate::import::supports;

/// What is in a model file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Its operators: those that are missing first, then those with the most nodes.
    pub operators: Vec<OperatorUse>,
    /// The element types of inputs and constants, by ONNX's names, with the number of tensors.
    pub types: BTreeMap<&'static str, u64>,
}

/// An operator of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorUse {
    /// Its name, with its domain if that isn't ONNX's own.
    pub name: String,
    /// The number of nodes, those inside of others and of functions too.
    pub nodes: u64,
    /// Whether the compiler has it, in one form at least, or the model defines it.
    pub supported: bool,
}

/// Looks at all nodes of a model.
pub fn survey(model: &onnx::Model) -> Survey {
    let (mut counts, mut survey) = (BTreeMap::new(), Survey::default());
    let own = |node: &ModelNode| {
        let same =
            |function: &onnx::Function| function.name == node.operator && function.domain == node.domain;
        model.functions.iter().any(same)
    };
    let mut graphs: Vec<&ModelGraph> = vec![&model.graph];
    graphs.extend(model.functions.iter().map(|function| &function.body));
    while let Some(graph) = graphs.pop() {
        let inputs = graph.inputs.iter().filter_map(|input| input.dtype);
        let constants = graph.initializers.iter().map(|initializer| initializer.tensor.dtype());
        inputs.chain(constants).for_each(|dtype| survey.count(dtype));
        for node in &graph.nodes {
            let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
            let entry = counts.entry(format!("{domain}{}", node.operator));
            entry.or_insert_with(|| (0, supports(node) || own(node))).0 += 1;
            for attribute in node.attributes.values() {
                match attribute {
                    Attribute::Tensor(tensor) => survey.count(tensor.dtype()),
                    Attribute::Graph(graph) => graphs.push(graph),
                    _ => {}
                }
            }
        }
    }
    let operators = counts.into_iter();
    survey.operators =
        operators.map(|(name, (nodes, supported))| OperatorUse { name, nodes, supported }).collect();
    survey.operators.sort_by_key(|operator| (operator.supported, std::cmp::Reverse(operator.nodes)));
    survey
}

impl Survey {
    fn count(&mut self, dtype: DType) {
        *self.types.entry(onnx::element_name(dtype)).or_insert(0) += 1;
    }
}
