//! From files and bytes to models and tensors.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use prost::Message as _;

use crate::budget::{self, Message};
use crate::convert;
use crate::generated::{ModelProto, TensorProto};
use crate::tensor::Source;
use crate::{Error, Model, Tensor};

/// The largest things that are read.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a model file. Protobuf itself ends at 2 GiB; larger weights are external data.
    pub file: u64,
    /// Bytes of one tensor.
    pub tensor: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file: 2 << 30, tensor: 64 << 30 }
    }
}

/// Reads a model file, with external data from below the file's folder.
pub fn read_model(path: &Path, limits: &Limits) -> Result<Model, Error> {
    let bytes = read_file(path, limits.file)?;
    decode_model(&bytes, Some(folder_of(path)), limits)
}

/// Reads a file that holds a single tensor, such as the inputs that come with ONNX's test data.
pub fn read_tensor(path: &Path, limits: &Limits) -> Result<(String, Tensor), Error> {
    let bytes = read_file(path, limits.file)?;
    decode_tensor(&bytes, Some(folder_of(path)), limits)
}

/// Decodes a model; without a folder, external data is an error.
pub fn decode_model(bytes: &[u8], folder: Option<&Path>, limits: &Limits) -> Result<Model, Error> {
    check_fields("model", bytes, Message::Model)?;
    let proto = ModelProto::decode(bytes).map_err(|source| Error::Decode { what: "model", source })?;
    convert::model(proto, &Source { folder, limit: limits.tensor })
}

/// Decodes a single tensor and its name; without a folder, external data is an error.
pub fn decode_tensor(bytes: &[u8], folder: Option<&Path>, limits: &Limits) -> Result<(String, Tensor), Error> {
    check_fields("tensor", bytes, Message::Tensor)?;
    let proto = TensorProto::decode(bytes).map_err(|source| Error::Decode { what: "tensor", source })?;
    let name = proto.name().to_owned();
    let tensor = convert::tensor(proto, &name, &Source { folder, limit: limits.tensor })?;
    Ok((name, tensor))
}

fn check_fields(what: &'static str, bytes: &[u8], message: Message) -> Result<(), Error> {
    if budget::fits(bytes, message) { Ok(()) } else { Err(Error::Fields { what }) }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Reads at most `limit` bytes, whatever the file system says about the size beforehand.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let found = file.metadata().map_err(io)?.len();
    let too_large = |found| Error::TooLarge { path: path.to_owned(), found, limit };
    if found > limit {
        return Err(too_large(found));
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}
