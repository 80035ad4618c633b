//! Reads ONNX files.
//!
//! Only this crate knows protobuf. Its results are the plain types of [`model`], and tensors as typed
//! little-endian bytes whose length has been checked. A model's files are mapped, and tensors share their
//! bytes.

mod budget;
mod convert;
mod element;
mod error;
mod external;
mod files;
mod functions;
mod messages;
pub mod model;
mod read;
mod sparse;
mod tensor;

pub use self::tensor::Tensor;
pub use element::{SUPPORTED as ELEMENT_TYPES, element_name, element_type};
pub use error::{Error, TensorError};
pub use model::{
    Attribute, Dimension, Function, Initializer, Model, ModelGraph, ModelNode, NEWEST_OPSET, Texts, Value,
};
pub use read::{Limits, decode_model, decode_tensor, read_model, read_optional, read_sequence, read_tensor};
