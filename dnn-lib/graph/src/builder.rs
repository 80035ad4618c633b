//! Builds graphs node by node. Types are inferred, and what depends on constants alone is computed at once.

use bytes::Bytes;
use dnn_lib::definition::InputError;
use dnn_lib::operator::{Operator, OperatorError};
use dnn_lib::tensor::{DType, TensorType};
use mapped::Mapped;

use crate::passes::fold::fold;
use crate::reference::EvaluationError;
use crate::{Graph, Kind, Node, Region, Repeat, Tensor, TensorId};

/// Why a node can't be added.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BuildError {
    /// The operator refuses its inputs or attributes.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// Its value can't be computed beforehand, which is an error in a definition.
    #[error("constant folding: {0}")]
    Fold(#[from] InputError),
    /// Its value can't be computed beforehand, for another reason.
    #[error("constant folding: {reason}")]
    Engine {
        /// The reason.
        reason: String,
    },
    /// There is no room for its value.
    #[error(
        "constant folding: no room for {bytes} bytes in {folder}: {reason}; TMPDIR names another folder",
        folder = folder.display()
    )]
    Room {
        /// The size of the value.
        bytes: u64,
        /// Where it was to be.
        folder: std::path::PathBuf,
        /// The system's error.
        reason: String,
    },
    /// An output is too large.
    #[error("the output {ty} needs {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// Its type.
        ty: TensorType,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A condition is not one boolean.
    #[error("a condition is one boolean, not {found}")]
    Condition {
        /// The type of the tensor that was given.
        found: TensorType,
    },
    /// A region gives another number of tensors than it should.
    #[error("the region gives {found} tensors; it must give {expected}")]
    Results {
        /// The number that it gives.
        found: usize,
        /// The number that it must give.
        expected: usize,
    },
    /// A region gives a tensor of another type than it should.
    #[error("result {index} of the region is {found}; it must be {expected}")]
    Result {
        /// Its place among the results.
        index: usize,
        /// Its type.
        found: TensorType,
        /// The type that it must have.
        expected: TensorType,
    },
}

impl From<EvaluationError> for BuildError {
    fn from(error: EvaluationError) -> Self {
        match error {
            EvaluationError::Operator(error) => Self::Operator(error),
            EvaluationError::Input(error) => Self::Fold(error),
        }
    }
}

/// A graph that grows. Nodes are added to the innermost region that is open.
#[derive(Debug)]
pub struct Builder {
    graph: Graph,
    /// The files in which constants are.
    files: Vec<Mapped>,
    /// The most bytes of an output.
    limit: u64,
}

/// The nodes outside of a region that is being built.
#[derive(Debug)]
#[must_use]
pub struct Outside(Vec<Node>);

impl Builder {
    /// An empty graph, and the most bytes that an output of a node may have.
    pub fn new(name: impl Into<String>, limit: u64) -> Self {
        Self::onto(Graph { name: name.into(), ..Graph::default() }, limit)
    }

    /// Adds to a graph.
    pub fn onto(graph: Graph, limit: u64) -> Self {
        Self { graph, files: Vec::new(), limit }
    }

    /// Files in which constants of the graph are. Those that are computed from them don't keep them in memory.
    pub fn add_files(&mut self, files: Vec<Mapped>) {
        self.files.extend(files);
    }

    /// These files, and those of large constants that were computed.
    pub fn take_files(&mut self) -> Vec<Mapped> {
        std::mem::take(&mut self.files)
    }

    /// The graph as it is now.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Adds a tensor: a constant, if there is a value. It is no input of the graph yet.
    pub fn tensor(&mut self, name: impl Into<String>, ty: TensorType, value: Option<Bytes>) -> TensorId {
        self.graph.add_tensor(Tensor { name: name.into(), ty, value })
    }

    /// Adds an input.
    pub fn input(&mut self, name: impl Into<String>, ty: TensorType) -> TensorId {
        let id = self.tensor(name, ty, None);
        self.graph.inputs.push(id);
        id
    }

    /// Makes a tensor the next output.
    pub fn output(&mut self, id: TensorId) {
        self.graph.outputs.push(id);
    }

    /// Applies an operator. Its outputs get these names, and none if there are fewer.
    pub fn apply(
        &mut self,
        node: &str,
        operator: impl Into<Operator>,
        inputs: &[TensorId],
        names: &[String],
    ) -> Result<Vec<TensorId>, BuildError> {
        let operator = operator.into();
        let types = operator.infer(&self.graph.types(inputs))?;
        types.iter().try_for_each(|ty| self.check_size(ty))?;
        let tensors: Vec<&Tensor> = inputs.iter().map(|&id| self.graph.tensor(id)).collect();
        let values = (0..types.len()).map(|index| fold(&operator, index, &tensors, &mut self.files));
        let values: Vec<Option<Bytes>> = values.collect::<Result<_, _>>()?;
        let mut outputs = Vec::new();
        for (index, (ty, value)) in types.into_iter().zip(values).enumerate() {
            outputs.push(self.tensor(names.get(index).cloned().unwrap_or_default(), ty, value));
        }
        // A node computes what could not be computed beforehand.
        let open = |&id: &TensorId| self.graph.tensor(id).value.is_none().then_some(id);
        let computed: Vec<Option<TensorId>> = outputs.iter().map(open).collect();
        if computed.iter().any(Option::is_some) {
            let (name, kind, inputs) = (node.to_owned(), Kind::Operator(operator), inputs.to_vec());
            self.graph.nodes.push(Node { name, kind, inputs, outputs: computed });
        }
        Ok(outputs)
    }

    /// Runs one region or the other. Both give tensors of the same types, which get these names. A condition
    /// that is known chooses now.
    pub fn when<E: From<BuildError>>(
        &mut self,
        node: &str,
        condition: TensorId,
        then: impl FnOnce(&mut Self) -> Result<Vec<TensorId>, E>,
        otherwise: impl FnOnce(&mut Self) -> Result<Vec<TensorId>, E>,
        names: &[String],
    ) -> Result<Vec<TensorId>, E> {
        self.check_condition(condition)?;
        if let Some(value) = &self.graph.tensor(condition).value {
            return if value.first() == Some(&0) { otherwise(self) } else { then(self) };
        }
        let then = self.region(Vec::new(), then)?;
        let otherwise = self.region(Vec::new(), otherwise)?;
        Ok(self.add_if(node, condition, then, otherwise, names)?)
    }

    /// Begins a region: nodes are added to it until it is closed.
    pub fn open(&mut self) -> Outside {
        Outside(std::mem::take(&mut self.graph.nodes))
    }

    /// Ends a region and gives its nodes.
    pub fn close(&mut self, outside: Outside) -> Vec<Node> {
        std::mem::replace(&mut self.graph.nodes, outside.0)
    }

    /// Adds a node of two regions, whose results have the same types.
    pub fn add_if(
        &mut self,
        node: &str,
        condition: TensorId,
        then: Region,
        otherwise: Region,
        names: &[String],
    ) -> Result<Vec<TensorId>, BuildError> {
        self.check_condition(condition)?;
        let types = self.graph.types(&then.outputs);
        self.check_results(&otherwise, &types)?;
        Ok(self.add(node, Kind::If { then, otherwise }, vec![condition], types, names))
    }

    /// Adds a node that repeats a region. The types of what is carried stay.
    pub fn add_repeat(
        &mut self,
        node: &str,
        repeat: Repeat,
        first: &[TensorId],
        names: &[String],
    ) -> Result<Vec<TensorId>, BuildError> {
        if repeat.conditional {
            let &condition = first.first().ok_or(BuildError::Results { found: 0, expected: 1 })?;
            self.check_condition(condition)?;
        }
        let types = self.graph.types(first);
        self.check_results(&repeat.body, &types)?;
        Ok(self.add(node, Kind::Repeat(repeat), first.to_vec(), types, names))
    }

    fn add(
        &mut self,
        node: &str,
        kind: Kind,
        inputs: Vec<TensorId>,
        types: Vec<TensorType>,
        names: &[String],
    ) -> Vec<TensorId> {
        let outputs = self.results(types, names);
        let computed = outputs.iter().copied().map(Some).collect();
        self.graph.nodes.push(Node { name: node.to_owned(), kind, inputs, outputs: computed });
        outputs
    }

    /// Runs a region several times. It is given the number of times it ran before and what is carried, and
    /// gives what is carried on; the last of these are the outputs. If it is conditional, the first thing
    /// carried is whether to go on.
    pub fn repeat<E: From<BuildError>>(
        &mut self,
        node: &str,
        (times, conditional): (u64, bool),
        first: &[TensorId],
        body: impl FnOnce(&mut Self, TensorId, &[TensorId]) -> Result<Vec<TensorId>, E>,
        names: &[String],
    ) -> Result<Vec<TensorId>, E> {
        let types = self.graph.types(first);
        let number = self.tensor(format!("{node}.number"), TensorType::new(DType::I64, []), None);
        let carried: Vec<TensorId> = (first.iter().zip(&types))
            .map(|(&id, ty)| self.tensor(format!("{node}.{}", self.graph.tensor(id).name), ty.clone(), None))
            .collect();
        let inputs = [&[number], &carried[..]].concat();
        let body = self.region(inputs, |b| body(b, number, &carried))?;
        Ok(self.add_repeat(node, Repeat { times, conditional, body }, first, names)?)
    }

    /// The finished graph.
    pub fn finish(self) -> Graph {
        self.graph
    }

    /// The nodes that a closure adds, as a region.
    fn region<E>(
        &mut self,
        inputs: Vec<TensorId>,
        body: impl FnOnce(&mut Self) -> Result<Vec<TensorId>, E>,
    ) -> Result<Region, E> {
        let outside = self.open();
        let outputs = body(self);
        let nodes = self.close(outside);
        Ok(Region { inputs, nodes, outputs: outputs? })
    }

    fn results(&mut self, types: Vec<TensorType>, names: &[String]) -> Vec<TensorId> {
        let name = |index| names.get(index).cloned().unwrap_or_default();
        types.into_iter().enumerate().map(|(index, ty)| self.tensor(name(index), ty, None)).collect()
    }

    fn check_size(&self, ty: &TensorType) -> Result<(), BuildError> {
        let (bytes, limit) = (ty.bytes().unwrap_or(u64::MAX), self.limit);
        if bytes <= limit { Ok(()) } else { Err(BuildError::TooLarge { ty: ty.clone(), bytes, limit }) }
    }

    fn check_condition(&self, id: TensorId) -> Result<(), BuildError> {
        let found = &self.graph.tensor(id).ty;
        if is_condition(found) { Ok(()) } else { Err(BuildError::Condition { found: found.clone() }) }
    }

    fn check_results(&self, region: &Region, expected: &[TensorType]) -> Result<(), BuildError> {
        let found = self.graph.types(&region.outputs);
        if found.len() != expected.len() {
            return Err(BuildError::Results { found: found.len(), expected: expected.len() });
        }
        match found.iter().zip(expected).position(|(found, expected)| found != expected) {
            Some(index) => {
                let [found, expected] = [&found, expected].map(|types| types[index].clone());
                Err(BuildError::Result { index, found, expected })
            }
            None => Ok(()),
        }
    }
}

/// Whether a tensor of this type can be a condition.
pub(crate) fn is_condition(ty: &TensorType) -> bool {
    ty.dtype == DType::Bool && ty.elements() == Some(1)
}
