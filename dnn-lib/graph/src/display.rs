//! The text of a graph.

use std::fmt;

use dnn_lib::operator::Operator;

use crate::{Graph, Kind, Node, Region, Repeat, TensorId};

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {}", self.name)?;
        for &id in &self.inputs {
            writeln!(f, "  input {}", self.typed(id))?;
        }
        for (id, value) in self.constants() {
            writeln!(f, "  constant {} ({} bytes)", self.typed(id), value.len())?;
        }
        self.nodes(f, &self.nodes, 1)?;
        for (place, &id) in self.outputs.iter().enumerate() {
            let state = self.states.iter().find(|state| state.output == place);
            let state = state.and_then(|state| self.inputs.get(state.input));
            let state = state.map_or_else(String::new, |&id| format!(", the next {}", self.tensor(id).name));
            writeln!(f, "  output {}{state}", self.typed(id))?;
        }
        Ok(())
    }
}

impl Graph {
    fn typed(&self, id: TensorId) -> String {
        format!("{}: {}", self.tensor(id).name, self.tensor(id).ty)
    }

    fn names(&self, ids: &[TensorId]) -> String {
        ids.iter().map(|&id| self.tensor(id).name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn nodes(&self, f: &mut fmt::Formatter<'_>, nodes: &[Node], depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth);
        for node in nodes {
            let typed =
                |output: &Option<TensorId>| output.map_or_else(|| "_".to_owned(), |id| self.typed(id));
            let outputs: Vec<String> = node.outputs.iter().map(typed).collect();
            let (outputs, inputs) = (outputs.join(", "), self.names(&node.inputs));
            match &node.kind {
                Kind::Operator(operator) => {
                    writeln!(f, "{indent}{outputs} = {}({inputs})", attributes(operator))?;
                }
                Kind::If { then, otherwise } => {
                    writeln!(f, "{indent}{outputs} = if {inputs}")?;
                    self.region(f, then, depth + 1)?;
                    writeln!(f, "{indent}else")?;
                    self.region(f, otherwise, depth + 1)?;
                }
                Kind::Repeat(Repeat { times, conditional, body }) => {
                    let condition = if *conditional { ", while true" } else { "" };
                    let given = self.names(&body.inputs);
                    writeln!(
                        f,
                        "{indent}{outputs} = repeat {times} times{condition}: {given} from {inputs}"
                    )?;
                    self.region(f, body, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn region(&self, f: &mut fmt::Formatter<'_>, region: &Region, depth: usize) -> fmt::Result {
        self.nodes(f, &region.nodes, depth)?;
        writeln!(f, "{}give {}", "  ".repeat(depth), self.names(&region.outputs))
    }
}

/// An operator as `Name { attributes }`: the contents of its variant.
fn attributes(operator: &Operator) -> String {
    let text = format!("{operator:?}");
    let inner = text.strip_prefix(operator.name()).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
    inner.map_or_else(|| text.clone(), str::to_owned)
}
