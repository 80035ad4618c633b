//! All errors in a model, in one message.

use std::collections::BTreeMap;
use std::fmt;

use super::{ModelError, NodeError, nearest};

/// The errors in a model: all that the importer could find in one pass. There is at least one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportErrors {
    /// The problems in the order in which they were found.
    pub problems: Vec<ImportProblem>,
    /// The indices of the nodes' problems in the list, by operator and text.
    known: BTreeMap<(String, String), usize>,
}

/// One problem of a model.
#[derive(Clone, Debug, PartialEq)]
pub enum ImportProblem {
    /// A problem of the graph.
    Model(ModelError),
    /// A problem that one or more nodes of an operator have.
    Nodes {
        /// The names of the nodes, or their numbers in the file.
        nodes: Vec<String>,
        /// Their operator, with its domain if that isn't ONNX's own.
        operator: String,
        /// What is wrong.
        error: Box<NodeError>,
    },
}

/// The maximum number of problems that a message lists.
const LISTED: usize = 40;

/// The maximum number of nodes that a problem names.
const NAMED: usize = 5;

/// Where all operators are listed, and how to see at once what a model needs.
const WHERE: &str =
    "docs/operators.md lists what is supported; `opml check MODEL` shows it for all operators of a model";

impl ImportErrors {
    /// Whether there are no problems.
    pub(crate) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn model(&mut self, error: ModelError) {
        self.problems.push(ImportProblem::Model(error));
    }

    /// Adds a problem of a node, merged with the same problem of other nodes.
    pub(crate) fn node(&mut self, node: String, operator: String, error: NodeError) {
        let place = *self.known.entry((operator.clone(), error.to_string())).or_insert(self.problems.len());
        match self.problems.get_mut(place) {
            Some(ImportProblem::Nodes { nodes, .. }) => nodes.push(node),
            _ => self.problems.push(ImportProblem::Nodes {
                nodes: vec![node],
                operator,
                error: Box::new(error),
            }),
        }
    }

    /// Adds the problems of something that was looked at on its own.
    pub(crate) fn extend(&mut self, others: Self) {
        for problem in others.problems {
            match problem {
                ImportProblem::Model(error) => self.model(error),
                ImportProblem::Nodes { nodes, operator, error } => {
                    nodes.into_iter().for_each(|node| self.node(node, operator.clone(), (*error).clone()));
                }
            }
        }
    }

    /// Whether an operator of the model is not supported.
    fn misses_operators(&self) -> bool {
        let missing = |problem: &ImportProblem| match problem {
            ImportProblem::Nodes { error, .. } => matches!(**error, NodeError::Unsupported { .. }),
            ImportProblem::Model(_) => false,
        };
        self.problems.iter().any(missing)
    }
}

impl From<ModelError> for ImportErrors {
    fn from(error: ModelError) -> Self {
        Self { problems: vec![ImportProblem::Model(error)], ..Self::default() }
    }
}

impl std::error::Error for ImportErrors {}

impl fmt::Display for ImportErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problems[..] {
            [problem] => write!(f, "{problem}")?,
            problems => {
                write!(f, "{} problems:", problems.len())?;
                for problem in problems.iter().take(LISTED) {
                    write!(f, "\n  {problem}")?;
                }
                if let Some(more @ 1..) = problems.len().checked_sub(LISTED) {
                    write!(f, "\n  and {more} more")?;
                }
            }
        }
        if self.misses_operators() {
            write!(f, "\n{WHERE}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ImportProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => write!(f, "{error}"),
            Self::Nodes { nodes, operator, error } => match &**error {
                NodeError::Unsupported { near, instead } => {
                    let near = nearest(near);
                    write!(f, "operator {operator} is not supported ({}){near}{instead}", names(nodes))
                }
                error => write!(f, "{} ({operator}): {error}", names(nodes)),
            },
        }
    }
}

/// The nodes by name, and their number if there are several.
fn names(nodes: &[String]) -> String {
    let quoted: Vec<String> = nodes.iter().take(NAMED).map(|node| format!("`{node}`")).collect();
    let more = if nodes.len() > NAMED { ", ..." } else { "" };
    match nodes.len() {
        1 => format!("node {}", quoted[0]),
        count => format!("{count} nodes: {}{more}", quoted.join(", ")),
    }
}
