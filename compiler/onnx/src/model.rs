//! A model in ONNX's own concepts, without its encoding, for the rest of the compiler.

use std::collections::BTreeMap;
use std::fmt;

use mapped::Mapped;
use tensor::DType;

use crate::Tensor;

/// A model: its operator set and its graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Version of the default operator set (domain `ai.onnx`).
    pub opset: i64,
    /// The main graph.
    pub graph: ModelGraph,
    /// The files that hold its tensors' bytes, as far as they are mapped. They can be
    /// [released](Mapped::release) when the tensors aren't read for a while.
    pub files: Vec<Mapped>,
}

/// A graph as in the file: nodes in the order of the file, with references to tensors by name.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelGraph {
    /// The graph's name, for messages only.
    pub name: String,
    /// The nodes.
    pub nodes: Vec<ModelNode>,
    /// Constant tensors, typically weights.
    pub initializers: Vec<Initializer>,
    /// Declared inputs. Before IR version 4 every initializer is listed here as well.
    pub inputs: Vec<Value>,
    /// Declared outputs.
    pub outputs: Vec<Value>,
}

/// A named constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Initializer {
    /// The tensor's name in the graph.
    pub name: String,
    /// Its value.
    pub tensor: Tensor,
}

/// A node as in the file: one application of an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelNode {
    /// The node's name, for messages only. May be empty.
    pub name: String,
    /// The operator, such as `Conv`.
    pub operator: String,
    /// The operator's domain; empty for ONNX's own.
    pub domain: String,
    /// Input names; an empty name is an omitted optional input.
    pub inputs: Vec<String>,
    /// Output names; an empty name is an output that is not used.
    pub outputs: Vec<String>,
    /// The attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// `FLOAT`
    Float(f32),
    /// `INT`
    Int(i64),
    /// `STRING`; bytes that are not UTF-8 are replaced.
    String(String),
    /// `TENSOR`
    Tensor(Tensor),
    /// `FLOATS`
    Floats(Vec<f32>),
    /// `INTS`
    Ints(Vec<i64>),
    /// `STRINGS`
    Strings(Vec<String>),
    /// The name of a kind that no supported operator takes, such as `GRAPH`.
    Other(&'static str),
}

impl Attribute {
    /// ONNX's name of the attribute's kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Float(_) => "FLOAT",
            Self::Int(_) => "INT",
            Self::String(_) => "STRING",
            Self::Tensor(_) => "TENSOR",
            Self::Floats(_) => "FLOATS",
            Self::Ints(_) => "INTS",
            Self::Strings(_) => "STRINGS",
            Self::Other(kind) => kind,
        }
    }
}

/// A declared graph input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The tensor's name.
    pub name: String,
    /// The element type, if the file declares one.
    pub dtype: Option<DType>,
    /// The dimensions, if the file declares a shape.
    pub shape: Option<Vec<Dimension>>,
}

/// One dimension of a declared shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// A known size.
    Fixed(u64),
    /// An open dimension with a name, such as `batch`.
    Symbol(String),
    /// An open dimension without a name.
    Unknown,
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Symbol(name) => write!(f, "{name}"),
            Self::Unknown => write!(f, "?"),
        }
    }
}
