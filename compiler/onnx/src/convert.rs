//! Converts protobuf messages to the plain types of [`crate::model`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::messages::{
    AttributeKind, AttributeProto, DimensionKind, DimensionProto, GraphProto, ModelProto, NodeProto,
    TensorProto, TypeKind, ValueProto,
};
use crate::model::{Attribute, Dimension, Initializer, Model, ModelGraph, ModelNode, Value};
use crate::tensor::{self, Source};
use crate::{Error, Tensor, element};

pub(crate) fn model(mut proto: ModelProto, source: &Source) -> Result<Model, Error> {
    let Some(graph) = proto.graph.take() else {
        return Err(missing("model", "the graph"));
    };
    Ok(Model { opset: default_opset(&proto)?, graph: self::graph(graph, source)?, files: Vec::new() })
}

/// Whether a domain is that of ONNX's own operators.
fn is_default(domain: &[u8]) -> bool {
    matches!(domain, b"" | b"ai.onnx")
}

fn default_opset(proto: &ModelProto) -> Result<i64, Error> {
    let mut default = proto.opset_import.iter().filter(|set| is_default(&set.domain)).map(|set| set.version);
    let opset = default.next().ok_or_else(|| missing("model", "opset_import of domain `ai.onnx`"))?;
    match default.next() {
        None => Ok(opset),
        Some(_) => Err(duplicate("model", "opset_import", "ai.onnx")),
    }
}

fn graph(proto: GraphProto, source: &Source) -> Result<ModelGraph, Error> {
    if !proto.sparse_initializer.is_empty() {
        return Err(Error::Unsupported {
            place: "graph".to_owned(),
            found: "a sparse initializer".to_owned(),
            supported: "dense initializers",
        });
    }
    let nodes = proto.node.into_iter().enumerate();
    let initializers = proto.initializer.into_iter();
    Ok(ModelGraph {
        name: text(&proto.name),
        nodes: nodes.map(|(i, node)| self::node(node, i, source)).collect::<Result<_, _>>()?,
        initializers: initializers.map(|tensor| initializer(tensor, source)).collect::<Result<_, _>>()?,
        inputs: values(proto.input, "graph input")?,
        outputs: values(proto.output, "graph output")?,
    })
}

/// Text that only people read, or that is compared with fixed words. Bytes that are not UTF-8 are replaced.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The name of a tensor. Different names must stay different, so nothing in them is replaced.
fn tensor_name(bytes: Vec<u8>, place: impl Fn() -> String) -> Result<String, Error> {
    String::from_utf8(bytes)
        .map_err(|error| Error::Name { place: place(), name: error.as_bytes().escape_ascii().to_string() })
}

fn initializer(proto: TensorProto, source: &Source) -> Result<Initializer, Error> {
    let name = tensor_name(proto.name.clone(), || "an initializer".to_owned())?;
    if name.is_empty() {
        return Err(missing("an initializer", "the name"));
    }
    let tensor = tensor(proto, &format!("initializer `{name}`"), source)?;
    Ok(Initializer { name, tensor })
}

pub(crate) fn tensor(proto: TensorProto, place: &str, source: &Source) -> Result<Tensor, Error> {
    tensor::convert(proto, source).map_err(|error| Error::Tensor { place: place.to_owned(), error })
}

fn node(proto: NodeProto, index: usize, source: &Source) -> Result<ModelNode, Error> {
    let (name, operator) = (text(&proto.name), text(&proto.op_type));
    let place = if name.is_empty() {
        format!("node {index} ({operator})")
    } else {
        format!("node `{name}` ({operator})")
    };
    if operator.is_empty() {
        return Err(missing(&place, "op_type"));
    }
    let mut attributes = BTreeMap::new();
    for proto in proto.attribute {
        let (name, attribute) = self::attribute(proto, &place, source)?;
        match attributes.entry(name) {
            Entry::Vacant(entry) => entry.insert(attribute),
            Entry::Occupied(entry) => return Err(duplicate(&place, "attribute", entry.key())),
        };
    }
    let names = |names: Vec<Vec<u8>>, kind: &str| -> Result<Vec<String>, Error> {
        let place = |index| format!("{place}, {kind} {index}");
        names.into_iter().enumerate().map(|(index, name)| tensor_name(name, || place(index))).collect()
    };
    Ok(ModelNode {
        name,
        operator,
        domain: if is_default(&proto.domain) { String::new() } else { text(&proto.domain) },
        inputs: names(proto.input, "input")?,
        outputs: names(proto.output, "output")?,
        attributes,
    })
}

fn attribute(proto: AttributeProto, place: &str, source: &Source) -> Result<(String, Attribute), Error> {
    use AttributeKind as Kind;
    let name = text(&proto.name);
    let place = format!("{place}, attribute `{name}`");
    let value = match proto.kind() {
        Kind::Float => Attribute::Float(proto.float),
        Kind::Int => Attribute::Int(proto.int),
        Kind::String => Attribute::String(text(&proto.string)),
        Kind::Tensor => {
            let proto = proto.tensor.ok_or_else(|| missing(&place, "the tensor"))?;
            Attribute::Tensor(tensor(proto, &place, source)?)
        }
        Kind::Floats => Attribute::Floats(proto.floats),
        Kind::Ints => Attribute::Ints(proto.ints),
        Kind::Strings => Attribute::Strings(proto.strings.iter().map(|string| text(string)).collect()),
        Kind::Graph => Attribute::Other("GRAPH"),
        Kind::Graphs => Attribute::Other("GRAPHS"),
        Kind::Tensors => Attribute::Other("TENSORS"),
        Kind::SparseTensor => Attribute::Other("SPARSE_TENSOR"),
        Kind::SparseTensors => Attribute::Other("SPARSE_TENSORS"),
        Kind::TypeProto => Attribute::Other("TYPE_PROTO"),
        Kind::TypeProtos => Attribute::Other("TYPE_PROTOS"),
        Kind::Undefined => Attribute::Other("UNDEFINED"),
    };
    Ok((name, value))
}

fn values(protos: Vec<ValueProto>, kind: &str) -> Result<Vec<Value>, Error> {
    protos.into_iter().enumerate().map(|(index, proto)| value(proto, &format!("{kind} {index}"))).collect()
}

fn value(proto: ValueProto, place: &str) -> Result<Value, Error> {
    let name = tensor_name(proto.name, || place.to_owned())?;
    if name.is_empty() {
        return Err(missing(place, "the name"));
    }
    let place = format!("{place} (`{name}`)");
    let unsupported = |found: &str| Error::Unsupported {
        place: place.clone(),
        found: found.to_owned(),
        supported: "tensors",
    };
    let tensor = match proto.ty.and_then(|ty| ty.kind) {
        None => return Ok(Value { name, dtype: None, shape: None }),
        Some(TypeKind::Tensor(tensor)) => tensor,
        Some(TypeKind::Sequence(_)) => return Err(unsupported("a sequence")),
        Some(TypeKind::Map(_)) => return Err(unsupported("a map")),
        Some(TypeKind::SparseTensor(_)) => return Err(unsupported("a sparse tensor")),
        Some(TypeKind::Optional(_)) => return Err(unsupported("an optional value")),
        Some(TypeKind::Opaque(_)) => return Err(unsupported("an opaque value")),
    };
    let dtype = match tensor.elem_type {
        0 => None,
        code => Some(element::from_code(code).map_err(|found| Error::Unsupported {
            place: place.clone(),
            found: format!("element type {found}"),
            supported: element::SUPPORTED,
        })?),
    };
    Ok(Value { name, dtype, shape: tensor.shape.map(|shape| shape.dim.into_iter().map(dimension).collect()) })
}

/// Old exporters write -1 for an open dimension.
fn dimension(proto: DimensionProto) -> Dimension {
    match proto.kind {
        Some(DimensionKind::Size(size)) => u64::try_from(size).map_or(Dimension::Unknown, Dimension::Fixed),
        Some(DimensionKind::Name(name)) => match String::from_utf8(name) {
            Ok(name) if !name.is_empty() => Dimension::Symbol(name),
            _ => Dimension::Unknown,
        },
        None => Dimension::Unknown,
    }
}

fn missing(place: &str, what: &'static str) -> Error {
    Error::Missing { place: place.to_owned(), what }
}

fn duplicate(place: &str, what: &'static str, name: &str) -> Error {
    Error::Duplicate { place: place.to_owned(), what, name: name.to_owned() }
}
