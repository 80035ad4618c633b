//! Reading ONNX files. Nothing outside this crate knows protobuf: what leaves it are the plain types of [`model`]
//! and tensors as typed little-endian bytes, every length checked.

#[rustfmt::skip]
#[allow(missing_docs, clippy::all)]
mod generated;

mod budget;
mod convert;
mod error;
pub mod model;
mod read;
mod tensor;

pub use error::{Error, TensorError};
pub use model::{Attribute, Dimension, ElementType, Graph, Initializer, Model, Node, Value};
pub use read::{Limits, decode_model, decode_tensor, read_model, read_tensor};
pub use tensor::Tensor;
