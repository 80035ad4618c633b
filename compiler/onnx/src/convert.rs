//! Converts protobuf messages to the plain types of [`crate::model`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::messages::{
    AttributeKind, AttributeProto, DimensionKind, DimensionProto, ElementsProto, GraphProto, ModelProto,
    NodeProto, SparseTensorProto, TensorProto, TypeKind, ValueProto,
};
use crate::model::{Attribute, Dimension, Initializer, Model, ModelGraph, ModelNode, Texts, Value};
use crate::tensor::{self, Source};
use crate::{Error, Tensor, TensorError, element, functions, sparse};

pub(crate) fn model(mut proto: ModelProto, source: &Source) -> Result<Model, Error> {
    let Some(graph) = proto.graph.take() else {
        return Err(missing("model", "the graph"));
    };
    let mut notes = Vec::new();
    let (opset, opsets) = functions::opsets(&proto.opset_import, proto.ir_version, "the model", &mut notes)?;
    let functions = functions::functions(std::mem::take(&mut proto.functions), source, &mut notes)?;
    Ok(Model { opset, opsets, functions, notes, graph: self::graph(graph, source)?, files: Vec::new() })
}

/// Whether a domain is that of ONNX's own operators.
pub(crate) fn is_default(domain: &[u8]) -> bool {
    matches!(domain, b"" | b"ai.onnx")
}

/// The name of a domain; empty for ONNX's own.
pub(crate) fn domain(bytes: &[u8]) -> String {
    if is_default(bytes) { String::new() } else { text(bytes) }
}

fn graph(proto: GraphProto, source: &Source) -> Result<ModelGraph, Error> {
    let nodes = nodes(proto.node, source)?;
    let outputs = values(proto.output, "graph output")?;
    // A constant of strings is no problem as long as nobody reads it.
    let mut read = BTreeSet::new();
    nodes.iter().for_each(|node| node.reads(&mut read));
    read.extend(outputs.iter().map(|output| output.name.as_str()));
    let is_read = |name: &[u8]| std::str::from_utf8(name).is_ok_and(|name| read.contains(name));
    let is_text = |tensor: &TensorProto| element::from_code(tensor.data_type) == Err("string".to_owned());
    let (strings, dense): (Vec<_>, Vec<_>) = proto.initializer.into_iter().partition(is_text);
    let texts = strings.into_iter().filter(|tensor| is_read(&tensor.name)).map(texts);
    let texts = texts.collect::<Result<_, _>>()?;
    let dense = dense.into_iter();
    let dense = dense.filter(|tensor| element::from_code(tensor.data_type).is_ok() || is_read(&tensor.name));
    let dense = dense.map(|tensor| initializer(tensor, source));
    let sparse = proto.sparse_initializer.into_iter();
    let sparse = sparse.filter(|tensor| is_read(sparse_name(tensor)));
    let sparse = sparse.map(|tensor| sparse_initializer(tensor, source));
    let initializers = dense.chain(sparse).collect::<Result<_, _>>()?;
    let inputs = values(proto.input, "graph input")?;
    Ok(ModelGraph { name: text(&proto.name), nodes, initializers, texts, inputs, outputs })
}

/// A constant of strings.
fn texts(proto: TensorProto) -> Result<Texts, Error> {
    let name = tensor_name(proto.name, || "an initializer".to_owned())?;
    let place = || format!("initializer `{name}`");
    let dims = proto.dims.iter().enumerate().map(|(axis, &found)| {
        u64::try_from(found)
            .map_err(|_| Error::Tensor { place: place(), error: TensorError::Dimension { axis, found } })
    });
    let dims = dims.collect::<Result<Vec<_>, _>>()?;
    let (found, expected) =
        (proto.string_data.len() as u64, dims.iter().copied().fold(1, u64::saturating_mul));
    if found != expected {
        let error = TensorError::Length { field: "string_data", found, element: "string", dims, expected };
        return Err(Error::Tensor { place: place(), error });
    }
    Ok(Texts { dims, texts: proto.string_data.iter().map(|string| text(string)).collect(), name })
}

pub(crate) fn nodes(protos: Vec<NodeProto>, source: &Source) -> Result<Vec<ModelNode>, Error> {
    protos.into_iter().enumerate().map(|(index, proto)| node(proto, index, source)).collect()
}

/// Text that only people read, or that is compared with fixed words. Bytes that are not UTF-8 are replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The name of a tensor. Different names must stay different, so nothing in them is replaced.
pub(crate) fn tensor_name(bytes: Vec<u8>, place: impl Fn() -> String) -> Result<String, Error> {
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

fn sparse_name(proto: &SparseTensorProto) -> &[u8] {
    proto.values.as_ref().map_or(&[], |values| &values.name)
}

fn sparse_initializer(proto: SparseTensorProto, source: &Source) -> Result<Initializer, Error> {
    let name = tensor_name(sparse_name(&proto).to_vec(), || "a sparse initializer".to_owned())?;
    let place = || format!("sparse initializer `{name}`");
    let tensor = sparse::dense(proto, source).map_err(|error| Error::Tensor { place: place(), error })?;
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
    let attributes = attributes(proto.attribute, &place, source)?;
    let names = |names: Vec<Vec<u8>>, kind: &str| -> Result<Vec<String>, Error> {
        let place = |index| format!("{place}, {kind} {index}");
        names.into_iter().enumerate().map(|(index, name)| tensor_name(name, || place(index))).collect()
    };
    Ok(ModelNode {
        name,
        operator,
        domain: domain(&proto.domain),
        overload: text(&proto.overload),
        inputs: names(proto.input, "input")?,
        outputs: names(proto.output, "output")?,
        attributes,
    })
}

pub(crate) fn attributes(
    protos: Vec<AttributeProto>,
    place: &str,
    source: &Source,
) -> Result<BTreeMap<String, Attribute>, Error> {
    let mut attributes = BTreeMap::new();
    for proto in protos {
        let (name, attribute) = attribute(proto, place, source)?;
        match attributes.entry(name) {
            Entry::Vacant(entry) => entry.insert(attribute),
            Entry::Occupied(entry) => return Err(duplicate(place, "attribute", entry.key())),
        };
    }
    Ok(attributes)
}

fn attribute(proto: AttributeProto, place: &str, source: &Source) -> Result<(String, Attribute), Error> {
    use AttributeKind as Kind;
    let name = text(&proto.name);
    let place = format!("{place}, attribute `{name}`");
    if !proto.reference.is_empty() {
        return Ok((name, Attribute::Reference(text(&proto.reference))));
    }
    let value = match proto.kind() {
        Kind::Float => Attribute::Float(proto.float),
        Kind::Int => Attribute::Int(proto.int),
        Kind::String => Attribute::String(text(&proto.string)),
        Kind::Tensor => {
            let proto = proto.tensor.ok_or_else(|| missing(&place, "the tensor"))?;
            match element::from_code(proto.data_type) {
                Err(other) if other == "string" => {
                    Attribute::Strings(proto.string_data.iter().map(|string| text(string)).collect())
                }
                _ => Attribute::Tensor(tensor(proto, &place, source)?),
            }
        }
        Kind::Floats => Attribute::Floats(proto.floats),
        Kind::Ints => Attribute::Ints(proto.ints),
        Kind::Strings => Attribute::Strings(proto.strings.iter().map(|string| text(string)).collect()),
        Kind::Graph => {
            let graph = proto.graph.ok_or_else(|| missing(&place, "the graph"))?;
            Attribute::Graph(Box::new(self::graph(*graph, source)?))
        }
        Kind::Graphs => Attribute::Other("GRAPHS"),
        Kind::Tensors => Attribute::Other("TENSORS"),
        Kind::SparseTensor => {
            let proto = proto.sparse_tensor.ok_or_else(|| missing(&place, "the tensor"))?;
            let dense = sparse::dense(proto, source);
            Attribute::Tensor(dense.map_err(|error| Error::Tensor { place, error })?)
        }
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
    let other = |found: &str| Value { name: name.clone(), other: Some(found.to_owned()), ..Value::default() };
    let tensor = match proto.ty.and_then(|ty| ty.kind) {
        None => return Ok(Value { name, ..Value::default() }),
        Some(TypeKind::Tensor(tensor)) => tensor,
        Some(TypeKind::Sequence(of)) => return Ok(container(name, Value::SEQUENCE, *of)),
        Some(TypeKind::Map(_)) => return Ok(other("a map")),
        Some(TypeKind::SparseTensor(_)) => return Ok(other("a sparse tensor")),
        Some(TypeKind::Optional(of)) => {
            let inner = of.elements.as_ref().and_then(|ty| ty.kind.clone());
            return Ok(match inner {
                Some(TypeKind::Sequence(of)) => container(name, Value::OPTIONAL_SEQUENCE, *of),
                _ => container(name, Value::OPTIONAL, *of),
            });
        }
        Some(TypeKind::Opaque(_)) => return Ok(other("an opaque value")),
    };
    let dtype = match tensor.elem_type {
        0 => None,
        code => match element::from_code(code) {
            Ok(dtype) => Some(dtype),
            Err(found) => return Ok(other(&format!("a tensor of {found}"))),
        },
    };
    let shape = tensor.shape.map(|shape| shape.dim.into_iter().map(dimension).collect());
    Ok(Value { name, dtype, shape, other: None })
}

/// Something that tensors are in, with their type as far as we have it.
fn container(name: String, what: &str, of: ElementsProto) -> Value {
    let mut value = Value { name, other: Some(what.to_owned()), ..Value::default() };
    if let Some(TypeKind::Tensor(tensor)) = of.elements.and_then(|ty| ty.kind) {
        match element::from_code(tensor.elem_type) {
            Ok(dtype) => value.dtype = Some(dtype),
            Err(found) => value.other = Some(format!("{what} of tensors of {found}")),
        }
        value.shape = tensor.shape.map(|shape| shape.dim.into_iter().map(dimension).collect());
    }
    value
}

/// Some exporters write -1 or "?" for an open dimension without a name.
fn dimension(proto: DimensionProto) -> Dimension {
    match proto.kind {
        Some(DimensionKind::Size(size)) => u64::try_from(size).map_or(Dimension::Unknown, Dimension::Fixed),
        Some(DimensionKind::Name(name)) => match String::from_utf8(name) {
            Ok(name) if !name.is_empty() && name != "?" => Dimension::Symbol(name),
            _ => Dimension::Unknown,
        },
        None => Dimension::Unknown,
    }
}

pub(crate) fn missing(place: &str, what: &'static str) -> Error {
    Error::Missing { place: place.to_owned(), what }
}

pub(crate) fn duplicate(place: &str, what: &'static str, name: &str) -> Error {
    Error::Duplicate { place: place.to_owned(), what, name: name.to_owned() }
}
