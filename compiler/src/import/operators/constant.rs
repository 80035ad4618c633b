//! Constants in the form of nodes.

use bytes::Bytes;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;
use onnx::Attribute;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// The attributes of which exactly one gives the value.
pub(super) const ATTRIBUTES: &[&str] = &["value", "value_float", "value_floats", "value_int", "value_ints"];

pub(super) fn constant(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let attributes: Vec<(&String, &Attribute)> = call.node.attributes.iter().collect();
    let [(attribute, value)] = attributes[..] else {
        return match attributes[..] {
            [] => Err(NodeError::MissingAttribute { attribute: "value" }),
            _ => Err(value_error("value", &"one of several", "exactly one attribute")),
        };
    };
    let (ty, bytes) = match value {
        Attribute::Tensor(tensor) => {
            let (dtype, dims, bytes) = tensor.clone().into_parts();
            (TensorType::new(dtype, dims), bytes)
        }
        Attribute::Float(value) => (TensorType::new(DType::F32, []), Bytes::from_owner(value.to_le_bytes())),
        Attribute::Int(value) => (TensorType::new(DType::I64, []), Bytes::from_owner(value.to_le_bytes())),
        Attribute::Floats(values) => list(DType::F32, values, |x| x.to_le_bytes()),
        Attribute::Ints(values) => list(DType::I64, values, |x| x.to_le_bytes()),
        other => {
            let (attribute, found) = (attribute.clone(), other.kind());
            return Err(NodeError::AttributeKind {
                attribute,
                found,
                expected: "TENSOR, INT(S) or FLOAT(S)",
            });
        }
    };
    let name = call.node.outputs.first().cloned().unwrap_or_default();
    Ok(vec![call.import.builder.tensor(name, ty, Some(bytes))])
}

fn list<T: Copy, const N: usize>(
    dtype: DType,
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> (TensorType, Bytes) {
    let size = values.len() as u64;
    (TensorType::new(dtype, [size]), values.iter().flat_map(|&value| bytes(value)).collect())
}
