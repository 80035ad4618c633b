//! A model in ONNX's own concepts, without its encoding, for the rest of the compiler.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mapped::Mapped;
use tensor::DType;

use crate::Tensor;

/// A model: its operator sets, its graph and its own operators.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Version of the default operator set (domain `ai.onnx`). A model that names other sets alone gets the
    /// [newest](NEWEST_OPSET).
    pub opset: i64,
    /// The versions of the other operator sets, by domain.
    pub opsets: BTreeMap<String, i64>,
    /// The model's own operators.
    pub functions: Vec<Function>,
    /// What is odd about the file, though it can be read.
    pub notes: Vec<String>,
    /// The main graph.
    pub graph: ModelGraph,
    /// The files that hold its tensors' bytes, as far as they are mapped. They can be
    /// [released](Mapped::release) when the tensors aren't read for a while.
    pub files: Vec<Mapped>,
}

/// The newest version of the default operator set that is known.
pub const NEWEST_OPSET: i64 = 28;

/// An operator that the model defines by nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Function {
    /// Its domain; empty for ONNX's own.
    pub domain: String,
    /// Its name, which is that of the nodes that call it.
    pub name: String,
    /// Tells functions of one name apart; mostly empty.
    pub overload: String,
    /// Version of the default operator set in its nodes.
    pub opset: i64,
    /// The versions of the other operator sets, by domain.
    pub opsets: BTreeMap<String, i64>,
    /// The attributes that it takes, with their defaults.
    pub attributes: BTreeMap<String, Option<Attribute>>,
    /// Its nodes. Its inputs have neither types nor shapes.
    pub body: ModelGraph,
}

/// A graph as in the file: nodes in the order of the file, with references to tensors by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelGraph {
    /// The graph's name, for messages only.
    pub name: String,
    /// The nodes.
    pub nodes: Vec<ModelNode>,
    /// Constant tensors, typically weights.
    pub initializers: Vec<Initializer>,
    /// Constant tensors of strings that something reads.
    pub texts: Vec<Texts>,
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

/// A named constant of strings. Bytes that are not UTF-8 are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// The tensor's name in the graph.
    pub name: String,
    /// Its shape.
    pub dims: Vec<u64>,
    /// The elements, as many as the shape has.
    pub texts: Vec<String>,
}

/// A node as in the file: one application of an operator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelNode {
    /// The node's name, for messages only. May be empty.
    pub name: String,
    /// The operator, such as `Conv`.
    pub operator: String,
    /// The operator's domain; empty for ONNX's own.
    pub domain: String,
    /// Which of the model's operators of this name it is; mostly empty.
    pub overload: String,
    /// Input names; an empty name is an omitted optional input.
    pub inputs: Vec<String>,
    /// Output names; an empty name is an output that is not used.
    pub outputs: Vec<String>,
    /// The attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
}

impl ModelNode {
    /// The graphs in its attributes.
    pub fn graphs(&self) -> impl Iterator<Item = &ModelGraph> {
        self.attributes.values().filter_map(|attribute| match attribute {
            Attribute::Graph(graph) => Some(&**graph),
            _ => None,
        })
    }

    /// Adds the names of the tensors that it reads: its inputs, and what graphs in it read from outside.
    pub fn reads<'a>(&'a self, names: &mut BTreeSet<&'a str>) {
        names.extend(self.inputs.iter().filter(|name| !name.is_empty()).map(String::as_str));
        for graph in self.graphs() {
            let mut inside = BTreeSet::new();
            graph.nodes.iter().for_each(|node| node.reads(&mut inside));
            inside.extend(graph.outputs.iter().map(|output| output.name.as_str()));
            graph.defines().for_each(|name| _ = inside.remove(name));
            names.extend(inside);
        }
    }
}

impl ModelGraph {
    /// The names that it defines.
    pub fn defines(&self) -> impl Iterator<Item = &str> {
        let values = self.inputs.iter().map(|input| &input.name);
        let values = values.chain(self.initializers.iter().map(|initializer| &initializer.name));
        let values = values.chain(self.texts.iter().map(|texts| &texts.name));
        values.chain(self.nodes.iter().flat_map(|node| &node.outputs)).map(String::as_str)
    }
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
    /// `GRAPH`
    Graph(Box<ModelGraph>),
    /// The value of an attribute of the function around the node.
    Reference(String),
    /// The name of a kind that no supported operator takes, such as `TENSORS`.
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
            Self::Graph(_) => "GRAPH",
            Self::Reference(_) => "a reference to a function's attribute",
            Self::Other(kind) => kind,
        }
    }
}

/// A declared graph input or output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// The tensor's name.
    pub name: String,
    /// The element type, if the file declares one.
    pub dtype: Option<DType>,
    /// The dimensions, if the file declares a shape.
    pub shape: Option<Vec<Dimension>>,
    /// What it is if it is no tensor, or one of elements that we don't have: `a map`. If tensors are in it, as in a
    /// sequence, their type and shape are given.
    pub other: Option<String>,
}

impl Value {
    /// What a sequence of tensors is called.
    pub const SEQUENCE: &str = "a sequence";
    /// What a tensor is called that may be missing.
    pub const OPTIONAL: &str = "an optional value";
    /// What a sequence is called that may be missing.
    pub const OPTIONAL_SEQUENCE: &str = "an optional sequence";

    /// Whether it is a sequence, which may be missing.
    pub fn is_sequence(&self) -> bool {
        matches!(self.other.as_deref(), Some(Self::SEQUENCE | Self::OPTIONAL_SEQUENCE))
    }

    /// Whether it may be missing.
    pub fn is_optional(&self) -> bool {
        matches!(self.other.as_deref(), Some(Self::OPTIONAL | Self::OPTIONAL_SEQUENCE))
    }
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
