//! One node of the model during import: access to its inputs and attributes, with errors that name them.

use dnn_lib::operator::Operator;
use dnn_lib::scalar::narrow;
use dnn_lib::tensor::{DType, TensorType};
use graph::{Tensor, TensorId};
use onnx::{Attribute, element_name};

use super::Import;
use crate::error::NodeError;

/// A node with its inputs resolved.
pub(super) struct Call<'a> {
    pub import: &'a mut Import,
    pub node: &'a onnx::ModelNode,
    pub label: String,
    pub opset: i64,
    /// The inputs; `None` stands for an omitted one. Omitted inputs at the end are not in the list.
    pub inputs: Vec<Option<TensorId>>,
}

impl Call<'_> {
    /// A required input.
    pub fn input(&self, index: usize) -> Result<TensorId, NodeError> {
        self.optional(index).ok_or(NodeError::MissingInput { index })
    }

    /// An optional input.
    pub fn optional(&self, index: usize) -> Option<TensorId> {
        self.inputs.get(index).copied().flatten()
    }

    /// All inputs, none of which may be omitted.
    pub fn all(&self) -> Result<Vec<TensorId>, NodeError> {
        (0..self.inputs.len()).map(|index| self.input(index)).collect()
    }

    pub fn tensor(&self, id: TensorId) -> &Tensor {
        self.import.tensor(id)
    }

    pub fn ty(&self, id: TensorId) -> &TensorType {
        &self.tensor(id).ty
    }

    /// Translates the node to an operator on its inputs.
    pub fn apply(&mut self, operator: impl Into<Operator>) -> Result<Vec<TensorId>, NodeError> {
        let inputs = self.all()?;
        self.apply_to(operator, &inputs)
    }

    /// Translates the node to an operator on these tensors.
    pub fn apply_to(
        &mut self,
        operator: impl Into<Operator>,
        inputs: &[TensorId],
    ) -> Result<Vec<TensorId>, NodeError> {
        self.import.apply(&self.label, operator, inputs, &self.node.outputs)
    }

    /// Adds an intermediate operator. The name of its output is derived from the node's output and `what`.
    pub fn step(
        &mut self,
        what: &str,
        operator: impl Into<Operator>,
        inputs: &[TensorId],
    ) -> Result<TensorId, NodeError> {
        let output = self.node.outputs.first().map(String::as_str).unwrap_or_default();
        let outputs = self.import.apply(&self.label, operator, inputs, &[format!("{output}.{what}")])?;
        // Every operator has an output.
        Ok(outputs[0])
    }

    /// A constant number of a floating type.
    pub fn number(&mut self, name: &str, value: f32, dtype: DType) -> TensorId {
        let ty = TensorType::new(dtype, []);
        let bits = match dtype {
            DType::F64 => f64::from(value).to_bits(),
            _ => narrow(dtype, value.to_bits().into()),
        };
        let bytes = bits.to_le_bytes()[..dtype.size() as usize].to_vec();
        self.import.builder.tensor(name, ty, Some(bytes.into()))
    }

    /// An attribute that is a number.
    pub fn int(&self, name: &str) -> Result<Option<i64>, NodeError> {
        self.attribute(name, "INT", |attribute| match attribute {
            Attribute::Int(value) => Some(*value),
            _ => None,
        })
    }

    /// An attribute that is 0 or 1.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, NodeError> {
        match self.int(name)? {
            None => Ok(default),
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(found) => Err(value_error(name, &found, "0, 1")),
        }
    }

    pub fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, NodeError> {
        self.attribute(name, "INTS", |attribute| match attribute {
            Attribute::Ints(values) => Some(values.clone()),
            _ => None,
        })
    }

    /// An attribute that is a list of sizes. Empty if it is omitted.
    pub fn sizes(&self, name: &str) -> Result<Vec<u64>, NodeError> {
        let values = self.ints(name)?.unwrap_or_default();
        let sizes: Option<Vec<u64>> = values.iter().map(|&value| u64::try_from(value).ok()).collect();
        sizes.ok_or_else(|| value_error(name, &format!("{values:?}"), "numbers from 0"))
    }

    pub fn float(&self, name: &str) -> Result<Option<f32>, NodeError> {
        self.attribute(name, "FLOAT", |attribute| match attribute {
            Attribute::Float(value) => Some(*value),
            _ => None,
        })
    }

    pub fn string(&self, name: &str) -> Result<Option<String>, NodeError> {
        self.attribute(name, "STRING", |attribute| match attribute {
            Attribute::String(value) => Some(value.clone()),
            _ => None,
        })
    }

    fn attribute<T>(
        &self,
        name: &str,
        expected: &'static str,
        get: impl Fn(&Attribute) -> Option<T>,
    ) -> Result<Option<T>, NodeError> {
        let Some(attribute) = self.node.attributes.get(name) else { return Ok(None) };
        get(attribute).map(Some).ok_or_else(|| NodeError::AttributeKind {
            attribute: name.to_owned(),
            found: attribute.kind(),
            expected,
        })
    }

    /// The value of an input that must be a constant list of `int64`.
    pub fn constant_ints(&self, index: usize, why: &'static str) -> Result<Vec<i64>, NodeError> {
        let tensor = self.tensor(self.input(index)?);
        let value = tensor.value.as_ref().ok_or_else(|| NodeError::NotConstant {
            index,
            tensor: tensor.name.clone(),
            why,
        })?;
        if tensor.ty.dtype != DType::I64 {
            return Err(NodeError::ElementType {
                index,
                tensor: tensor.name.clone(),
                found: element_name(tensor.ty.dtype),
                expected: element_name(DType::I64).to_owned(),
            });
        }
        let (numbers, _) = value.as_chunks();
        Ok(numbers.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect())
    }
}

/// The error for an attribute with an unsupported value.
pub(super) fn value_error(attribute: &str, found: &dyn std::fmt::Display, supported: &str) -> NodeError {
    NodeError::AttributeValue {
        attribute: attribute.to_owned(),
        found: found.to_string(),
        supported: supported.to_owned(),
    }
}
