//! One node of the model during import: access to its inputs and attributes, with errors that name them.

use bytes::Bytes;
use dnn_lib::operator::Operator;
use dnn_lib::scalar::{Type, narrow, widen};
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

impl<'a> Call<'a> {
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

    /// An attribute that is an element type. 0 stands for none.
    pub fn element_type(&self, name: &str) -> Result<Option<DType>, NodeError> {
        match self.int(name)? {
            None | Some(0) => Ok(None),
            Some(code) => onnx::element_type(code)
                .map(Some)
                .map_err(|found| value_error(name, &found, onnx::ELEMENT_TYPES)),
        }
    }

    /// Checks that the elements of an input are floats.
    pub fn check_float(&self, index: usize) -> Result<(), NodeError> {
        let tensor = self.tensor(self.input(index)?);
        if Type::of(tensor.ty.dtype).is_float() {
            return Ok(());
        }
        Err(NodeError::ElementType {
            index,
            tensor: tensor.name.clone(),
            found: element_name(tensor.ty.dtype),
            expected: "float, double, float16 or bfloat16".to_owned(),
        })
    }

    /// The error for an input with a wrong shape.
    pub fn shape_error(&self, index: usize, expected: impl Into<String>) -> NodeError {
        let tensor = self.optional(index).map(|id| self.tensor(id));
        NodeError::InputShape {
            index,
            tensor: tensor.map(|tensor| tensor.name.clone()).unwrap_or_default(),
            found: tensor.map(|tensor| format!("{:?}", tensor.ty.shape)).unwrap_or_default(),
            expected: expected.into(),
        }
    }

    /// An input's value is not supported.
    pub fn input_error(
        &self,
        index: usize,
        found: impl std::fmt::Display,
        supported: impl Into<String>,
    ) -> NodeError {
        let tensor = self.optional(index).map(|id| self.tensor(id).name.clone()).unwrap_or_default();
        NodeError::InputValue { index, tensor, found: found.to_string(), supported: supported.into() }
    }

    /// A tensor with elements of another type, if it has others.
    pub fn cast(&mut self, what: &str, x: TensorId, to: DType) -> Result<TensorId, NodeError> {
        if self.ty(x).dtype == to { Ok(x) } else { self.step(what, dnn_lib::operator::Cast { to }, &[x]) }
    }

    /// A tensor as an output of the node, with that output's name if it has one.
    pub fn as_output(&mut self, index: usize, tensor: TensorId) -> Result<TensorId, NodeError> {
        let Some(name) = self.node.outputs.get(index).filter(|name| !name.is_empty()) else {
            return Ok(tensor);
        };
        let (label, names) = (self.label.clone(), [name.clone()]);
        Ok(self.import.apply(&label, dnn_lib::operator::Identity, &[tensor], &names)?[0])
    }

    /// An attribute that is a graph, and must be there.
    pub fn graph(&self, name: &'static str) -> Result<&'a onnx::ModelGraph, NodeError> {
        match self.node.attributes.get(name) {
            None => Err(NodeError::MissingAttribute { attribute: name }),
            Some(Attribute::Graph(graph)) => Ok(graph),
            Some(other) => Err(NodeError::AttributeKind {
                attribute: name.to_owned(),
                found: other.kind(),
                expected: "GRAPH",
            }),
        }
    }

    /// A constant number of a floating type.
    pub fn number(&mut self, name: &str, value: impl Into<f64>, dtype: DType) -> TensorId {
        let (ty, value) = (TensorType::new(dtype, []), value.into());
        let bits = match dtype {
            DType::F64 => value.to_bits(),
            _ => narrow(dtype, (value as f32).to_bits().into()),
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

    pub fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, NodeError> {
        self.attribute(name, "FLOATS", |attribute| match attribute {
            Attribute::Floats(values) => Some(values.clone()),
            _ => None,
        })
    }

    pub fn string(&self, name: &str) -> Result<Option<String>, NodeError> {
        self.attribute(name, "STRING", |attribute| match attribute {
            Attribute::String(value) => Some(value.clone()),
            _ => None,
        })
    }

    pub fn strings(&self, name: &str) -> Result<Option<Vec<String>>, NodeError> {
        self.attribute(name, "STRINGS", |attribute| match attribute {
            Attribute::Strings(values) => Some(values.clone()),
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

    /// An attribute that is a size; 0 if it is omitted.
    pub fn size(&self, name: &str) -> Result<u64, NodeError> {
        let value = self.int(name)?.unwrap_or(0);
        u64::try_from(value).map_err(|_| value_error(name, &value, "numbers from 0"))
    }

    /// Adds a constant. Its name is derived from the node's output and `what`.
    pub fn constant(&mut self, what: &str, ty: TensorType, bytes: Bytes) -> TensorId {
        let output = self.node.outputs.first().map(String::as_str).unwrap_or_default();
        self.import.builder.tensor(format!("{output}.{what}"), ty, Some(bytes))
    }

    /// The value of an input that must be a constant.
    fn constant_input(&self, index: usize, why: &'static str) -> Result<(&Tensor, &Bytes), NodeError> {
        let tensor = self.tensor(self.input(index)?);
        let not_constant = || NodeError::NotConstant { index, tensor: tensor.name.clone(), why };
        Ok((tensor, tensor.value.as_ref().ok_or_else(not_constant)?))
    }

    /// The value of an input that must be a constant list of integers.
    pub fn constant_ints(&self, index: usize, why: &'static str) -> Result<Vec<i64>, NodeError> {
        let (tensor, value) = self.constant_input(index, why)?;
        match tensor.ty.dtype {
            DType::I64 => Ok(value.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()),
            DType::I32 => {
                Ok(value.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes).into()).collect())
            }
            found => Err(NodeError::ElementType {
                index,
                tensor: tensor.name.clone(),
                found: element_name(found),
                expected: element_name(DType::I64).to_owned(),
            }),
        }
    }

    /// The value of an input that must be a constant integer.
    pub fn constant_int(&self, index: usize, why: &'static str) -> Result<i64, NodeError> {
        let values = self.constant_ints(index, why)?;
        let [value] = values[..] else {
            return Err(self.input_error(index, format!("{values:?}"), "one number"));
        };
        Ok(value)
    }

    /// Whether the elements of an input that must be a constant are not 0.
    pub fn constant_bools(&self, index: usize, why: &'static str) -> Result<Vec<bool>, NodeError> {
        let (tensor, value) = self.constant_input(index, why)?;
        let sign = match tensor.ty.dtype {
            DType::F32 | DType::F64 | DType::F16 | DType::BF16 => 0x7f,
            _ => 0xff,
        };
        let is_zero = |element: &[u8]| {
            let (last, first) = element.split_last().unwrap_or((&0, &[]));
            last & sign == 0 && first.iter().all(|&byte| byte == 0)
        };
        Ok(value.chunks_exact(tensor.ty.dtype.size() as usize).map(|element| !is_zero(element)).collect())
    }

    /// Whether all elements of a tensor are 0, if that is known.
    pub fn is_zero(&self, id: TensorId) -> Option<bool> {
        self.tensor(id).value.as_ref().map(|value| value.iter().all(|&byte| byte == 0))
    }

    /// Adds a constant list of integers.
    pub fn constant_list(&mut self, what: &str, values: &[i64]) -> TensorId {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(what, TensorType::new(DType::I64, [values.len() as u64]), bytes)
    }

    /// The value of an input that must be a constant list of sizes.
    pub fn constant_sizes(&self, index: usize, why: &'static str) -> Result<Vec<u64>, NodeError> {
        let values = self.constant_ints(index, why)?;
        let sizes: Option<Vec<u64>> = values.iter().map(|&value| u64::try_from(value).ok()).collect();
        sizes.ok_or_else(|| self.input_error(index, format!("{values:?}"), "numbers from 0"))
    }

    /// The numbers of an input that must be a constant, and what they are exactly if they are integers.
    pub fn constant_numbers(
        &self,
        index: usize,
        why: &'static str,
    ) -> Result<Vec<(f64, Option<i128>)>, NodeError> {
        let (tensor, value) = self.constant_input(index, why)?;
        numbers(tensor.ty.dtype, value).ok_or_else(|| NodeError::ElementType {
            index,
            tensor: tensor.name.clone(),
            found: element_name(tensor.ty.dtype),
            expected: "float, double or an integer".to_owned(),
        })
    }

    /// The numbers of an attribute that is a tensor.
    pub fn tensor_numbers(&self, name: &str) -> Result<Option<Vec<f64>>, NodeError> {
        let tensor = self.attribute(name, "TENSOR", |attribute| match attribute {
            Attribute::Tensor(tensor) => Some(tensor.clone()),
            _ => None,
        })?;
        let Some(tensor) = tensor else { return Ok(None) };
        let numbers = numbers(tensor.dtype(), tensor.bytes());
        let numbers = numbers.ok_or_else(|| value_error(name, &element_name(tensor.dtype()), "numbers"))?;
        Ok(Some(numbers.into_iter().map(|(number, _)| number).collect()))
    }

    /// A list of integers that is an attribute in old forms and a constant input in new ones.
    pub fn ints_or_input(
        &self,
        name: &str,
        index: usize,
        why: &'static str,
    ) -> Result<Option<Vec<i64>>, NodeError> {
        match self.optional(index) {
            Some(_) => self.constant_ints(index, why).map(Some),
            None => self.ints(name),
        }
    }
}

/// Elements as numbers, and what they are exactly if they are integers; `None` if they are no numbers.
fn numbers(dtype: DType, bytes: &[u8]) -> Option<Vec<(f64, Option<i128>)>> {
    let size = dtype.size() as usize;
    let number = |bytes: &[u8]| {
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(bytes);
        let bits = u64::from_le_bytes(wide);
        let signed = i128::from(bits.cast_signed() << (64 - 8 * size) >> (64 - 8 * size));
        let float = |x: f64| (x, None);
        Some(match dtype {
            DType::F32 => float(f32::from_bits(bits as u32).into()),
            DType::F64 => float(f64::from_bits(bits)),
            half @ (DType::F16 | DType::BF16) => float(f32::from_bits(widen(half, bits) as u32).into()),
            DType::I8 | DType::I16 | DType::I32 | DType::I64 => (signed as f64, Some(signed)),
            DType::U8 | DType::U16 | DType::U32 | DType::U64 => (bits as f64, Some(bits.into())),
            _ => return None,
        })
    };
    bytes.chunks_exact(size).map(number).collect()
}

/// The error for an attribute with an unsupported value.
pub(super) fn value_error(attribute: &str, found: &dyn std::fmt::Display, supported: &str) -> NodeError {
    NodeError::AttributeValue {
        attribute: attribute.to_owned(),
        found: found.to_string(),
        supported: supported.to_owned(),
    }
}
