//! Shapes of inputs: what the model declares, with its open dimensions bound by `--shape`.

use std::collections::BTreeMap;

use dnn_lib::tensor::TensorType;
use onnx::{Dimension, Value};

use super::element_type;
use crate::error::ModelError;

/// Every input with its type.
pub(super) fn bind(
    inputs: &[Value],
    given: &BTreeMap<String, Vec<u64>>,
) -> Result<Vec<(String, TensorType)>, ModelError> {
    let is_input = |name: &str| inputs.iter().any(|input| input.name == name);
    if let Some(name) = given.keys().find(|name| !is_input(name)) {
        let inputs = inputs.iter().map(|input| input.name.clone()).collect();
        return Err(ModelError::ShapeOfUnknownInput { name: name.clone(), inputs });
    }
    let symbols = symbols(inputs, given)?;
    inputs.iter().map(|input| Ok((input.name.clone(), ty(input, given, &symbols)?))).collect()
}

/// What the shapes given say about the dimensions' names, so that one shape can bind the others.
fn symbols<'a>(inputs: &'a [Value], given: &BTreeMap<String, Vec<u64>>) -> Result<BTreeMap<&'a str, u64>, ModelError> {
    let mut symbols = BTreeMap::new();
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
    let element = input.element.ok_or_else(|| ModelError::InputWithoutType { name: name() })?;
    let dtype = element_type(element).ok_or_else(|| ModelError::ElementType { name: name(), found: element.name() })?;
    let shape = match (&input.shape, given.get(&input.name)) {
        (None, Some(given)) => given.clone(),
        (None, None) => {
            return Err(ModelError::DynamicShape {
                name: name(),
                shape: "a shape of any rank".to_owned(),
                suggestion: "SIZE,SIZE,... with all its sizes, outermost first".to_owned(),
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
            })?
        }
    };
    Ok(TensorType::new(dtype, shape))
}

fn contradicted(input: &Value, given: &[u64], declared: &[Dimension], symbols: &BTreeMap<&str, u64>) -> ModelError {
    ModelError::ShapeContradicted {
        name: input.name.clone(),
        given: given.iter().map(u64::to_string).collect::<Vec<_>>().join(","),
        declared: display(&resolved(declared, symbols)),
    }
}

/// The shape with every known name replaced by its size.
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

/// The shape with 1 for every open dimension, as the flag takes it.
fn suggestion(shape: &[Dimension]) -> String {
    let size = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => size.to_string(),
        _ => "1".to_owned(),
    };
    shape.iter().map(size).collect::<Vec<_>>().join(",")
}

/// Whether sizes are a case of a declared shape.
pub(super) fn admits(declared: &[Dimension], sizes: &[u64]) -> bool {
    let admits = |(dimension, &size): (&Dimension, &u64)| match dimension {
        Dimension::Fixed(fixed) => *fixed == size,
        _ => true,
    };
    declared.len() == sizes.len() && declared.iter().zip(sizes).all(admits)
}

/// A declared shape, as `[batch, 784]`.
pub(super) fn display(shape: &[Dimension]) -> String {
    let dimensions: Vec<String> = shape.iter().map(Dimension::to_string).collect();
    format!("[{}]", dimensions.join(", "))
}
