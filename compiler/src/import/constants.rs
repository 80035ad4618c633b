//! The inputs that are bound to constants.

use std::collections::BTreeMap;

use dnn_lib::tensor::TensorType;
use onnx::{Tensor, Value, element_name};

use super::shape;
use crate::error::{ImportErrors, ModelError};

/// The constants by the names of their inputs, which must have their types.
pub(super) fn of(
    inputs: &[Value],
    given: &BTreeMap<String, Tensor>,
    errors: &mut ImportErrors,
) -> BTreeMap<String, Tensor> {
    let mut constants = BTreeMap::new();
    for (name, tensor) in given {
        match inputs.iter().find(|input| input.name == *name) {
            None => {
                let inputs = inputs.iter().map(|input| input.name.clone()).collect();
                errors.model(ModelError::ConstantOfUnknownInput { name: name.clone(), inputs });
            }
            Some(input) if !accepts(input, tensor) => {
                let found = TensorType::new(tensor.dtype(), tensor.dims()).to_string();
                let declared = declaration(input);
                errors.model(ModelError::ConstantType { name: name.clone(), found, declared });
            }
            Some(_) => {
                constants.insert(name.clone(), tensor.clone());
            }
        }
    }
    constants
}

fn accepts(input: &Value, tensor: &Tensor) -> bool {
    input.dtype.is_none_or(|dtype| dtype == tensor.dtype())
        && input.shape.as_ref().is_none_or(|shape| shape::admits(shape, tensor.dims()))
}

/// The type that a model declares for an input.
fn declaration(input: &Value) -> String {
    let dtype = input.dtype.map_or("a tensor", element_name);
    let shape = input.shape.as_ref().map_or_else(|| "of any shape".to_owned(), |shape| shape::display(shape));
    format!("{dtype} {shape}")
}
