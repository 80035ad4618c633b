//! From protobuf messages to the plain types of [`crate::model`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::generated::attribute_proto::AttributeType;
use crate::generated::tensor_proto::DataType;
use crate::generated::tensor_shape_proto::dimension;
use crate::generated::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto};
use crate::model::{Attribute, Dimension, ElementType, Graph, Initializer, Model, Node, Value};
use crate::tensor::{self, Source};
use crate::{Error, Tensor};

pub(crate) fn model(mut proto: ModelProto, source: &Source<'_>) -> Result<Model, Error> {
    let Some(graph) = proto.graph.take() else {
        return Err(missing("model", "the graph"));
    };
    let opset = default_opset(&proto)?;
    Ok(Model { opset, producer: proto.producer_name.unwrap_or_default(), graph: self::graph(graph, source)? })
}

fn default_opset(proto: &ModelProto) -> Result<i64, Error> {
    let mut default =
        proto.opset_import.iter().filter(|set| matches!(set.domain(), "" | "ai.onnx")).map(|set| set.version());
    let opset = default.next().ok_or_else(|| missing("model", "opset_import of domain `ai.onnx`"))?;
    match default.next() {
        None => Ok(opset),
        Some(_) => Err(duplicate("model", "opset_import", "ai.onnx")),
    }
}

fn graph(proto: GraphProto, source: &Source<'_>) -> Result<Graph, Error> {
    if !proto.sparse_initializer.is_empty() {
        return Err(Error::Unsupported {
            place: "graph".to_owned(),
            found: "a sparse initializer".to_owned(),
            supported: "dense initializers",
        });
    }
    let nodes = proto.node.into_iter().enumerate();
    Ok(Graph {
        name: proto.name.unwrap_or_default(),
        nodes: nodes.map(|(i, node)| self::node(node, i, source)).collect::<Result<_, _>>()?,
        initializers: proto
            .initializer
            .into_iter()
            .map(|tensor| initializer(tensor, source))
            .collect::<Result<_, _>>()?,
        inputs: proto.input.into_iter().map(value).collect::<Result<_, _>>()?,
        outputs: proto.output.into_iter().map(value).collect::<Result<_, _>>()?,
    })
}

fn initializer(proto: TensorProto, source: &Source<'_>) -> Result<Initializer, Error> {
    let name = proto.name().to_owned();
    if name.is_empty() {
        return Err(missing("an initializer", "the name"));
    }
    let tensor = tensor(proto, &format!("initializer `{name}`"), source)?;
    Ok(Initializer { name, tensor })
}

pub(crate) fn tensor(proto: TensorProto, place: &str, source: &Source<'_>) -> Result<Tensor, Error> {
    tensor::convert(proto, source).map_err(|error| Error::Tensor { place: place.to_owned(), error })
}

fn node(proto: NodeProto, index: usize, source: &Source<'_>) -> Result<Node, Error> {
    let operator = proto.op_type.unwrap_or_default();
    let name = proto.name.unwrap_or_default();
    let place =
        if name.is_empty() { format!("node {index} ({operator})") } else { format!("node `{name}` ({operator})") };
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
    Ok(Node {
        name,
        operator,
        domain: proto.domain.filter(|domain| domain != "ai.onnx").unwrap_or_default(),
        inputs: proto.input,
        outputs: proto.output,
        attributes,
    })
}

fn attribute(proto: AttributeProto, place: &str, source: &Source<'_>) -> Result<(String, Attribute), Error> {
    use AttributeType as Type;
    let name = proto.name().to_owned();
    let place = format!("{place}, attribute `{name}`");
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .map_err(|_| Error::Invalid { place: place.clone(), what: "the text is not UTF-8".to_owned() })
    };
    let value = match proto.r#type() {
        Type::Float => Attribute::Float(proto.f.unwrap_or_default()),
        Type::Int => Attribute::Int(proto.i.unwrap_or_default()),
        Type::String => Attribute::String(text(proto.s.unwrap_or_default())?),
        Type::Tensor => {
            let proto = proto.t.ok_or_else(|| missing(&place, "the tensor"))?;
            Attribute::Tensor(tensor(proto, &place, source)?)
        }
        Type::Floats => Attribute::Floats(proto.floats),
        Type::Ints => Attribute::Ints(proto.ints),
        Type::Strings => Attribute::Strings(proto.strings.into_iter().map(text).collect::<Result<_, _>>()?),
        other => Attribute::Other(other.as_str_name()),
    };
    Ok((name, value))
}

fn value(proto: ValueInfoProto) -> Result<Value, Error> {
    let name = proto.name.unwrap_or_default();
    if name.is_empty() {
        return Err(missing("a graph input or output", "the name"));
    }
    let place = format!("graph input or output `{name}`");
    let tensor = match proto.r#type.and_then(|ty| ty.value) {
        None => {
            return Ok(Value { name, element: None, shape: None });
        }
        Some(type_proto::Value::TensorType(tensor)) => tensor,
        Some(other) => {
            return Err(Error::Unsupported { place, found: kind(&other).to_owned(), supported: "tensors" });
        }
    };
    let element = match tensor.elem_type() {
        0 => None,
        code => Some(ElementType::from_code(code).ok_or_else(|| Error::Unsupported {
            place: place.clone(),
            found: format!("element type {}", element_name(code)),
            supported: "float, double, float16, bfloat16, bool, (u)int8 to (u)int64",
        })?),
    };
    let shape = tensor
        .shape
        .map(|shape| shape.dim.into_iter().map(|dim| dimension(dim.value, &place)).collect())
        .transpose()?;
    Ok(Value { name, element, shape })
}

fn kind(value: &type_proto::Value) -> &'static str {
    match value {
        type_proto::Value::TensorType(_) => "a tensor",
        type_proto::Value::SequenceType(_) => "a sequence",
        type_proto::Value::MapType(_) => "a map",
        _ => "a value that is no tensor",
    }
}

/// ONNX's name of an element type, or its code if it has none.
pub(crate) fn element_name(code: i32) -> String {
    DataType::try_from(code).map_or_else(|_| format!("code {code}"), |known| known.as_str_name().to_lowercase())
}

fn dimension(value: Option<dimension::Value>, place: &str) -> Result<Dimension, Error> {
    match value {
        Some(dimension::Value::DimValue(size)) => u64::try_from(size)
            .map(Dimension::Fixed)
            .map_err(|_| Error::Invalid { place: place.to_owned(), what: format!("dimension {size} is negative") }),
        Some(dimension::Value::DimParam(name)) if !name.is_empty() => Ok(Dimension::Symbol(name)),
        _ => Ok(Dimension::Unknown),
    }
}

fn missing(place: &str, what: &'static str) -> Error {
    Error::Missing { place: place.to_owned(), what }
}

fn duplicate(place: &str, what: &'static str, name: &str) -> Error {
    Error::Duplicate { place: place.to_owned(), what, name: name.to_owned() }
}
