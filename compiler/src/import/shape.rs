//! The shapes of inputs: those declared by the model, with `--shape` and `--dim` for open dimensions.
//!
//! Some old exporters declare an open dimension as 0, so `--shape` may replace that too.

use std::collections::{BTreeMap, BTreeSet};

use dnn_lib::tensor::TensorType;
use onnx::{Dimension, Value};

use crate::error::{ImportErrors, ModelError, Warning};

/// The type of each input, or why it is not known. There are none if the options contradict each other.
pub(super) fn bind(
    inputs: &[Value],
    given: &BTreeMap<String, Vec<u64>>,
    dims: &BTreeMap<String, u64>,
    errors: &mut ImportErrors,
) -> Vec<Result<TensorType, ModelError>> {
    for name in given.keys().filter(|&name| inputs.iter().all(|input| input.name != *name)) {
        let inputs = inputs.iter().map(|input| input.name.clone()).collect();
        errors.model(ModelError::ShapeOfUnknownInput { name: name.clone(), inputs });
    }
    let named: BTreeSet<&str> = inputs.iter().flat_map(names).collect();
    for name in dims.keys().filter(|name| !named.contains(name.as_str())) {
        let names = named.iter().map(|&name| name.to_owned()).collect();
        errors.model(ModelError::UnknownDim { name: name.clone(), names });
    }
    let symbols = match symbols(inputs, given, dims) {
        Ok(symbols) => symbols,
        Err(error) => {
            errors.model(error);
            return Vec::new();
        }
    };
    inputs.iter().map(|input| ty(input, given, &symbols)).collect()
}

/// The names of an input's open dimensions.
fn names(input: &Value) -> impl Iterator<Item = &str> {
    input.shape.iter().flatten().filter_map(|dimension| match dimension {
        Dimension::Symbol(name) => Some(name.as_str()),
        _ => None,
    })
}

/// The sizes that are given to names of dimensions, directly or by shapes. A shape can thereby determine those
/// of other inputs.
fn symbols<'a>(
    inputs: &'a [Value],
    given: &BTreeMap<String, Vec<u64>>,
    dims: &'a BTreeMap<String, u64>,
) -> Result<BTreeMap<&'a str, u64>, ModelError> {
    let mut symbols: BTreeMap<&str, u64> = dims.iter().map(|(name, &size)| (name.as_str(), size)).collect();
    for input in inputs {
        let (Some(shape), Some(given)) = (&input.shape, given.get(&input.name)) else { continue };
        for (dimension, &size) in shape.iter().zip(given) {
            if let Dimension::Symbol(symbol) = dimension
                && *symbols.entry(symbol.as_str()).or_insert(size) != size
            {
                return Err(contradicted(input, given, shape, &symbols));
            }
        }
    }
    Ok(symbols)
}

fn ty(
    input: &Value,
    given: &BTreeMap<String, Vec<u64>>,
    symbols: &BTreeMap<&str, u64>,
) -> Result<TensorType, ModelError> {
    let name = || input.name.clone();
    if let Some(found) = input.other.clone() {
        return Err(ModelError::InputType { name: name(), found });
    }
    let dtype = input.dtype.ok_or_else(|| ModelError::InputWithoutType { name: name() })?;
    let shape = match (&input.shape, given.get(&input.name)) {
        (None, Some(given)) => given.clone(),
        (None, None) => {
            return Err(ModelError::DynamicShape {
                name: name(),
                shape: "a shape of any rank".to_owned(),
                suggestion: "SIZE,SIZE,... with all its sizes, outermost first".to_owned(),
                symbols: Vec::new(),
            });
        }
        (Some(declared), Some(given)) => {
            if !admits(&resolved(declared, symbols), given) {
                return Err(contradicted(input, given, declared, symbols));
            }
            given.clone()
        }
        (Some(declared), None) => {
            let resolved = resolved(declared, symbols);
            fixed(&resolved).ok_or_else(|| ModelError::DynamicShape {
                name: name(),
                shape: format!("shape {}", display(declared)),
                suggestion: suggestion(&resolved),
                symbols: open_names(&resolved),
            })?
        }
    };
    Ok(TensorType::new(dtype, shape))
}

/// A warning for an input that is empty because of a declared 0.
pub(super) fn empty_input(input: &Value, given: &BTreeMap<String, Vec<u64>>) -> Option<Warning> {
    let declared = input.shape.as_ref().filter(|shape| shape.contains(&Dimension::Fixed(0)))?;
    (!given.contains_key(&input.name)).then(|| Warning::EmptyInput {
        name: input.name.clone(),
        declared: display(declared),
        suggestion: suggestion(declared),
    })
}

/// What an input without a fixed type is, for people.
pub(super) fn description(input: &Value) -> String {
    match (&input.other, &input.shape) {
        (Some(other), _) => other.clone(),
        (None, Some(shape)) => format!("of shape {}", display(shape)),
        (None, None) => "of any shape".to_owned(),
    }
}

/// The names that no size was given for.
fn open_names(shape: &[Dimension]) -> Vec<String> {
    let names = shape.iter().filter_map(|dimension| match dimension {
        Dimension::Symbol(name) => Some(name.clone()),
        _ => None,
    });
    let names: BTreeSet<String> = names.collect();
    names.into_iter().collect()
}

fn contradicted(
    input: &Value,
    given: &[u64],
    declared: &[Dimension],
    symbols: &BTreeMap<&str, u64>,
) -> ModelError {
    ModelError::ShapeContradicted {
        name: input.name.clone(),
        given: given.iter().map(u64::to_string).collect::<Vec<_>>().join(","),
        declared: display(&resolved(declared, symbols)),
    }
}

/// The shape with names replaced by their sizes, where these are known.
fn resolved(shape: &[Dimension], symbols: &BTreeMap<&str, u64>) -> Vec<Dimension> {
    let resolve = |dimension: &Dimension| match dimension {
        Dimension::Symbol(name) => symbols.get(name.as_str()).map(|&size| Dimension::Fixed(size)),
        _ => None,
    };
    shape.iter().map(|dimension| resolve(dimension).unwrap_or_else(|| dimension.clone())).collect()
}

fn fixed(shape: &[Dimension]) -> Option<Vec<u64>> {
    let size = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => Some(*size),
        _ => None,
    };
    shape.iter().map(size).collect()
}

/// The shape with 1 for every dimension that may be open, in the form of the flag.
fn suggestion(shape: &[Dimension]) -> String {
    let size = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size @ 1..) => size.to_string(),
        _ => "1".to_owned(),
    };
    shape.iter().map(size).collect::<Vec<_>>().join(",")
}

/// Whether a declared shape allows these sizes.
pub(super) fn admits(declared: &[Dimension], sizes: &[u64]) -> bool {
    let admits = |(dimension, &size): (&Dimension, &u64)| match dimension {
        Dimension::Fixed(fixed @ 1..) => *fixed == size,
        _ => true,
    };
    declared.len() == sizes.len() && declared.iter().zip(sizes).all(admits)
}

/// A declared shape, as `[batch, 784]`.
pub(super) fn display(shape: &[Dimension]) -> String {
    let dimensions: Vec<String> = shape.iter().map(Dimension::to_string).collect();
    format!("[{}]", dimensions.join(", "))
}
