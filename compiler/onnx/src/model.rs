//! A model in ONNX's own concepts, without its encoding, for the rest of the compiler.

use std::collections::BTreeMap;
use std::fmt;

use mapped::Mapped;

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
    pub element: Option<ElementType>,
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

/// Declares every element type once: variant, code in the file, bytes, name.
macro_rules! element_types {
    ($($variant:ident = $code:literal, $bytes:literal, $name:literal;)*) => {
        /// The element types whose elements are whole bytes. A tensor of any other type is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ElementType { $(#[doc = concat!("`", $name, "`")] $variant,)* }

        impl ElementType {
            /// The type with ONNX's code, if supported.
            pub fn from_code(code: i32) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
            /// Size of one element in bytes.
            pub const fn bytes(self) -> u64 {
                match self { $(Self::$variant => $bytes,)* }
            }
            /// The name, as ONNX's documentation writes it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

element_types! {
    Float32 = 1, 4, "float";
    UInt8 = 2, 1, "uint8";
    Int8 = 3, 1, "int8";
    UInt16 = 4, 2, "uint16";
    Int16 = 5, 2, "int16";
    Int32 = 6, 4, "int32";
    Int64 = 7, 8, "int64";
    Bool = 9, 1, "bool";
    Float16 = 10, 2, "float16";
    Float64 = 11, 8, "double";
    UInt32 = 12, 4, "uint32";
    UInt64 = 13, 8, "uint64";
    BFloat16 = 16, 2, "bfloat16";
}

impl ElementType {
    /// The supported types, as messages list them.
    pub(crate) const SUPPORTED: &str = "float, double, float16, bfloat16, bool, (u)int8 to (u)int64";

    /// ONNX's name of any element type, or its code if it has none.
    pub(crate) fn describe(code: i32) -> String {
        let name = match code {
            0 => "undefined",
            8 => "string",
            14 => "complex64",
            15 => "complex128",
            17 => "float8e4m3fn",
            18 => "float8e4m3fnuz",
            19 => "float8e5m2",
            20 => "float8e5m2fnuz",
            21 => "uint4",
            22 => "int4",
            23 => "float4e2m1",
            24 => "float8e8m0",
            25 => "uint2",
            26 => "int2",
            27 => "float6e2m3",
            28 => "float6e3m2",
            code => {
                return Self::from_code(code)
                    .map_or_else(|| format!("code {code}"), |ty| ty.name().to_owned());
            }
        };
        name.to_owned()
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
