//! The versions of operator sets, and the operators that a model defines by nodes.

use std::collections::BTreeMap;

use crate::Error;
use crate::convert::{attributes, domain, duplicate, missing, nodes, tensor_name, text};
use crate::messages::{FunctionProto, OperatorSetProto};
use crate::model::{Function, ModelGraph, NEWEST_OPSET, Value};
use crate::tensor::Source;

/// The first version of the file format that names operator sets.
const FIRST_WITH_OPSETS: i64 = 3;

/// The version of the default set, and those of the others. As other readers do, a set that is named twice has
/// the last version, and a model that names other sets alone has the newest default set.
pub(crate) fn opsets(
    sets: &[OperatorSetProto],
    ir_version: i64,
    place: &str,
    notes: &mut Vec<String>,
) -> Result<(i64, BTreeMap<String, i64>), Error> {
    let mut versions = BTreeMap::new();
    for set in sets {
        let name = domain(&set.domain);
        let before = versions.insert(name.clone(), set.version);
        if let Some(before) = before.filter(|&before| before != set.version) {
            let (shown, last) = (if name.is_empty() { "ai.onnx" } else { &name }, set.version);
            notes.push(format!(
                "{place} imports the operators of `{shown}` twice, as version {before} and as version {last}; the last \
                 one counts"
            ));
        }
    }
    let default = match versions.remove("") {
        Some(version) => version,
        None if sets.is_empty() && (1..FIRST_WITH_OPSETS).contains(&ir_version) => 1,
        None if sets.is_empty() => return Err(missing(place, "opset_import of domain `ai.onnx`")),
        None => NEWEST_OPSET,
    };
    Ok((default, versions))
}

pub(crate) fn functions(
    protos: Vec<FunctionProto>,
    source: &Source,
    notes: &mut Vec<String>,
) -> Result<Vec<Function>, Error> {
    protos.into_iter().map(|proto| function(proto, source, notes)).collect()
}

fn function(proto: FunctionProto, source: &Source, notes: &mut Vec<String>) -> Result<Function, Error> {
    let name = text(&proto.name);
    let place = format!("function `{name}`");
    if name.is_empty() {
        return Err(missing("a function", "the name"));
    }
    // Without sets of its own, it has no operators to call but those of the model.
    let (opset, opsets) = match proto.opset_import.is_empty() {
        true => (0, BTreeMap::new()),
        false => self::opsets(&proto.opset_import, FIRST_WITH_OPSETS, &place, notes)?,
    };
    let defaults = attributes(proto.attribute_proto, &place, source)?;
    let mut attributes: BTreeMap<_, _> =
        defaults.into_iter().map(|(name, default)| (name, Some(default))).collect();
    for name in proto.attribute.iter().map(|name| text(name)) {
        if attributes.insert(name.clone(), None).is_some() {
            return Err(duplicate(&place, "attribute", &name));
        }
    }
    let values = |names: Vec<Vec<u8>>| -> Result<Vec<Value>, Error> {
        let value = |name| Ok(Value { name: tensor_name(name, || place.clone())?, ..Value::default() });
        names.into_iter().map(value).collect()
    };
    let (inputs, outputs) = (values(proto.input)?, values(proto.output)?);
    let body = ModelGraph {
        name: name.clone(),
        nodes: nodes(proto.node, source)?,
        inputs,
        outputs,
        ..ModelGraph::default()
    };
    let (domain, overload) = (domain(&proto.domain), text(&proto.overload));
    Ok(Function { domain, name, overload, opset, opsets, attributes, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(domain: &[u8], version: i64) -> OperatorSetProto {
        OperatorSetProto { domain: domain.to_vec(), version }
    }

    #[test]
    fn careless_imports_are_understood() {
        let read = |sets: &[OperatorSetProto], ir| {
            let mut notes = Vec::new();
            let read = opsets(sets, ir, "the model", &mut notes).map_err(|error| error.to_string());
            read.map(|(default, others)| (default, others.len(), notes.len()))
        };
        assert_eq!(read(&[set(b"ai.onnx", 17), set(b"", 17)], 8), Ok((17, 0, 0)));
        assert_eq!(read(&[set(b"ai.onnx", 17), set(b"", 13)], 8), Ok((13, 0, 1)));
        assert_eq!(read(&[set(b"com.microsoft", 1)], 8), Ok((NEWEST_OPSET, 1, 0)));
        assert_eq!(read(&[], 1), Ok((1, 0, 0)));
        assert!(read(&[], 8).unwrap_err().contains("opset_import"));
    }
}
