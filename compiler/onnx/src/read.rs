//! From files and bytes to models and tensors.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use prost::Message as _;

use crate::budget::{self, Message};
use crate::convert;
use crate::messages::{ModelProto, TensorProto};
use crate::tensor::Source;
use crate::{Error, Model, Tensor};

/// The largest sizes that are accepted.
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

/// Reads a model file. External data must be below the file's folder or, if the file is a symbolic link,
/// below the folder of the file that it leads to.
pub fn read_model(path: &Path, limits: &Limits) -> Result<Model, Error> {
    decode_model_in(&read_file(path, limits.file)?, folders_of(path), limits)
}

/// Reads a file that holds a single tensor, such as the inputs in ONNX's test data.
pub fn read_tensor(path: &Path, limits: &Limits) -> Result<(String, Tensor), Error> {
    decode_tensor_in(&read_file(path, limits.file)?, folders_of(path), limits)
}

/// Decodes a model whose tensors are all in these bytes.
pub fn decode_model(bytes: &[u8], limits: &Limits) -> Result<Model, Error> {
    decode_model_in(bytes, Vec::new(), limits)
}

/// Decodes a single tensor, which must be in these bytes, and its name.
pub fn decode_tensor(bytes: &[u8], limits: &Limits) -> Result<(String, Tensor), Error> {
    decode_tensor_in(bytes, Vec::new(), limits)
}

fn decode_model_in(bytes: &[u8], folders: Vec<PathBuf>, limits: &Limits) -> Result<Model, Error> {
    check_fields("model", bytes, Message::Model)?;
    let proto = ModelProto::decode(bytes).map_err(|source| Error::Decode { what: "model", source })?;
    convert::model(proto, &Source { folders, limit: limits.tensor })
}

fn decode_tensor_in(bytes: &[u8], folders: Vec<PathBuf>, limits: &Limits) -> Result<(String, Tensor), Error> {
    check_fields("tensor", bytes, Message::Tensor)?;
    let proto = TensorProto::decode(bytes).map_err(|source| Error::Decode { what: "tensor", source })?;
    let name = String::from_utf8_lossy(&proto.name).into_owned();
    let tensor = convert::tensor(proto, &name, &Source { folders, limit: limits.tensor })?;
    Ok((name, tensor))
}

fn check_fields(what: &'static str, bytes: &[u8], message: Message) -> Result<(), Error> {
    if budget::fits(bytes, message) { Ok(()) } else { Err(Error::Fields { what }) }
}

/// The folder of a file and, if the file is a link, that of the file that it leads to.
fn folders_of(path: &Path) -> Vec<PathBuf> {
    let parent = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let real = path.canonicalize().ok().and_then(|path| Some(path.parent()?.to_owned()));
    [parent.to_owned()].into_iter().chain(real).collect()
}

/// Reads a file of at most `limit` bytes, whatever size the file system reports beforehand.
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
