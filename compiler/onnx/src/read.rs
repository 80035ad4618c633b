//! Reads models and tensors from files and bytes.

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message as _;

use crate::budget::{self, Message};
use crate::convert;
use crate::files::Files;
use crate::messages::{ModelProto, OptionalProto, SequenceProto, TensorProto};
use crate::tensor::Source;
use crate::{Error, Model, Tensor};

/// The limits on sizes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a model file. Protobuf's own limit is 2 GiB. Larger weights are external data.
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
/// below the folder of the link's target.
///
/// The files are mapped, as [`Model::files`] says. They must not be changed while the model is in use.
pub fn read_model(path: &Path, limits: &Limits) -> Result<Model, Error> {
    let source = Source::new(folders_of(path), limits.tensor);
    decode_model_in(read_file(path, limits.file, Some(&source.files))?, source)
}

/// Reads a file that holds a single tensor, such as the inputs in ONNX's test data.
pub fn read_tensor(path: &Path, limits: &Limits) -> Result<(String, Tensor), Error> {
    let source = Source::new(folders_of(path), limits.tensor);
    decode_tensor_in(read_file(path, limits.file, None)?, &source)
}

/// Reads a file that holds a sequence of tensors.
pub fn read_sequence(path: &Path, limits: &Limits) -> Result<Vec<Tensor>, Error> {
    let source = Source::new(folders_of(path), limits.tensor);
    let proto = SequenceProto::decode(value(path, limits, Message::Sequence)?);
    let proto = proto.map_err(|source| Error::Decode { what: "sequence", source })?;
    sequence(proto, &source)
}

/// Reads a file that holds a tensor or a sequence of tensors, or says that there is none.
pub fn read_optional(path: &Path, limits: &Limits) -> Result<Option<Vec<Tensor>>, Error> {
    let source = Source::new(folders_of(path), limits.tensor);
    let proto = OptionalProto::decode(value(path, limits, Message::Optional)?);
    let proto = proto.map_err(|source| Error::Decode { what: "optional value", source })?;
    match (proto.tensor, proto.sequence) {
        (Some(tensor), _) => Ok(Some(vec![convert::tensor(tensor, "the value", &source)?])),
        (None, Some(proto)) => sequence(proto, &source).map(Some),
        (None, None) => Ok(None),
    }
}

/// The bytes of a file with a value.
fn value(path: &Path, limits: &Limits, message: Message) -> Result<Bytes, Error> {
    let bytes = read_file(path, limits.file, None)?;
    check_fields("value", &bytes, message)?;
    Ok(bytes)
}

fn sequence(proto: SequenceProto, source: &Source) -> Result<Vec<Tensor>, Error> {
    let tensors = proto.tensors.into_iter().enumerate();
    tensors.map(|(index, tensor)| convert::tensor(tensor, &format!("element {index}"), source)).collect()
}

/// Decodes a model whose tensors are all in these bytes.
pub fn decode_model(bytes: &[u8], limits: &Limits) -> Result<Model, Error> {
    let source = Source::new(Vec::new(), limits.tensor);
    decode_model_in(Bytes::copy_from_slice(bytes), source)
}

/// Decodes a single tensor, which must be in these bytes, and its name.
pub fn decode_tensor(bytes: &[u8], limits: &Limits) -> Result<(String, Tensor), Error> {
    let source = Source::new(Vec::new(), limits.tensor);
    decode_tensor_in(Bytes::copy_from_slice(bytes), &source)
}

fn decode_model_in(bytes: Bytes, source: Source) -> Result<Model, Error> {
    check_fields("model", &bytes, Message::Model)?;
    let proto = ModelProto::decode(bytes).map_err(|source| Error::Decode { what: "model", source })?;
    let model = convert::model(proto, &source)?;
    Ok(Model { files: source.files.into_mapped(), ..model })
}

fn decode_tensor_in(bytes: Bytes, source: &Source) -> Result<(String, Tensor), Error> {
    check_fields("tensor", &bytes, Message::Tensor)?;
    let proto = TensorProto::decode(bytes).map_err(|source| Error::Decode { what: "tensor", source })?;
    let name = String::from_utf8_lossy(&proto.name).into_owned();
    let tensor = convert::tensor(proto, &name, source)?;
    Ok((name, tensor))
}

fn check_fields(what: &'static str, bytes: &[u8], message: Message) -> Result<(), Error> {
    if budget::fits(bytes, message) { Ok(()) } else { Err(Error::Fields { what }) }
}

/// The folder of a file and, if the file is a link, that of its target.
fn folders_of(path: &Path) -> Vec<PathBuf> {
    let parent = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let real = path.canonicalize().ok().and_then(|path| Some(path.parent()?.to_owned()));
    [parent.to_owned()].into_iter().chain(real).collect()
}

/// The bytes of a file of at most `limit` bytes, regardless of the size that the file system reports. They
/// are mapped if there is a place for the mapping and the file has a length; others are read.
fn read_file(path: &Path, limit: u64, files: Option<&Files>) -> Result<Bytes, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = mapped::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    let too_large = |found| Error::TooLarge { path: path.to_owned(), found, limit };
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    // Files that the system makes up, such as those below /proc, have no length.
    let files = files.filter(|_| metadata.len() > 0);
    if let Some(bytes) = files.and_then(|files| files.add(path, &file, metadata.len()).ok()) {
        return Ok(bytes);
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{GraphProto, NodeProto, OperatorSetProto, ValueProto};

    /// "Größe" in Latin-1.
    const LATIN: &[u8] = b"Gr\xf6\xdfe";

    fn model(input: &[u8]) -> ModelProto {
        let node = NodeProto {
            name: LATIN.to_vec(),
            op_type: b"Relu".to_vec(),
            input: vec![input.to_vec()],
            output: vec![b"y".to_vec()],
            ..NodeProto::default()
        };
        let value = |name: &[u8]| ValueProto { name: name.to_vec(), ty: None };
        let graph = GraphProto {
            name: LATIN.to_vec(),
            node: vec![node],
            input: vec![value(input)],
            output: vec![value(b"y")],
            ..GraphProto::default()
        };
        let opset = OperatorSetProto { domain: vec![], version: 17 };
        ModelProto { graph: Some(graph), opset_import: vec![opset], ..ModelProto::default() }
    }

    /// A field that the importer does not read.
    fn unread(number: u8) -> Vec<u8> {
        [&[number << 3 | 2, LATIN.len() as u8], LATIN].concat()
    }

    #[test]
    fn text_that_decides_nothing_may_be_in_any_encoding() {
        // The producer, its version, the domain, the doc string and the metadata of the model.
        let unread = [2, 3, 4, 6, 14].map(unread).concat();
        let bytes = [unread, model(b"x").encode_to_vec()].concat();
        let model = decode_model(&bytes, &Limits::default()).unwrap();
        assert_eq!((model.opset, model.graph.inputs[0].name.as_str()), (17, "x"));
        assert_eq!(model.graph.nodes[0].name, "Gr\u{fffd}\u{fffd}e");
    }

    #[test]
    fn the_name_of_a_tensor_must_be_utf8() {
        let bytes = model(LATIN).encode_to_vec();
        let error = decode_model(&bytes, &Limits::default()).unwrap_err().to_string();
        let place = "node `Gr\u{fffd}\u{fffd}e` (Relu), input 0";
        assert_eq!(error, format!(r"{place}: the name `Gr\xf6\xdfe` is not UTF-8; rename the tensor"));
    }

    #[test]
    fn tensors_are_parts_of_the_files_and_not_copies() {
        use crate::messages::{DataLocation, EntryProto};
        let folder = tempfile::tempdir().unwrap();
        let inner = TensorProto {
            name: b"inner".to_vec(),
            data_type: 1,
            dims: vec![100],
            raw_data: Some(vec![7; 400].into()),
            ..TensorProto::default()
        };
        let outer = TensorProto {
            name: b"outer".to_vec(),
            raw_data: None,
            data_location: DataLocation::External.into(),
            external_data: vec![EntryProto { key: b"location".to_vec(), value: b"weights".to_vec() }],
            ..inner.clone()
        };
        let again = TensorProto { name: b"again".to_vec(), ..outer.clone() };
        let mut proto = model(b"x");
        proto.graph.as_mut().unwrap().initializer.extend([inner, outer, again]);
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, proto.encode_to_vec()).unwrap();
        std::fs::write(folder.path().join("weights"), [8; 400]).unwrap();
        let read = read_model(&path, &Limits::default()).unwrap();
        assert_eq!(read.files.len(), 2);
        for (index, byte) in [7, 8, 8].into_iter().enumerate() {
            let bytes = read.graph.initializers[index].tensor.bytes();
            assert_eq!(bytes, [byte; 400]);
            assert!(read.files.iter().any(|file| file.as_ptr_range().contains(&bytes.as_ptr())));
        }
        read.files.iter().for_each(|file| file.release());
        assert_eq!(read.graph.initializers[0].tensor.bytes(), [7; 400]);
    }

    /// What the system makes up has no length and can't be mapped.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_without_a_length_is_read() {
        let error = read_model(Path::new("/proc/self/status"), &Limits::default()).unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{error}");
        let limits = Limits { file: 3, ..Limits::default() };
        let error = read_model(Path::new("/proc/self/status"), &limits).unwrap_err();
        assert!(matches!(error, Error::TooLarge { found: 4, .. }), "{error}");
    }

    /// Model and weights are links into a folder of blobs, as in the cache of Hugging Face.
    #[cfg(unix)]
    #[test]
    fn a_model_and_its_data_may_be_links_into_one_folder() {
        use crate::messages::{DataLocation, EntryProto};
        use std::os::unix::fs::symlink;
        let cache = tempfile::tempdir().unwrap();
        let (blobs, snapshot) = (cache.path().join("blobs"), cache.path().join("snapshots/main/onnx"));
        std::fs::create_dir(&blobs).unwrap();
        std::fs::create_dir_all(&snapshot).unwrap();
        let mut proto = model(b"x");
        proto.graph.as_mut().unwrap().initializer.push(TensorProto {
            name: b"w".to_vec(),
            data_type: 1,
            dims: vec![2],
            data_location: DataLocation::External.into(),
            external_data: vec![EntryProto { key: b"location".to_vec(), value: b"model.onnx_data".to_vec() }],
            ..TensorProto::default()
        });
        std::fs::write(blobs.join("aaaa"), proto.encode_to_vec()).unwrap();
        std::fs::write(blobs.join("bbbb"), [1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        symlink("../../../blobs/aaaa", snapshot.join("model.onnx")).unwrap();
        symlink("../../../blobs/bbbb", snapshot.join("model.onnx_data")).unwrap();
        let read = || read_model(&snapshot.join("model.onnx"), &Limits::default());
        assert_eq!(read().unwrap().graph.initializers[0].tensor.bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);

        std::fs::write(cache.path().join("secret"), [0; 8]).unwrap();
        std::fs::remove_file(snapshot.join("model.onnx_data")).unwrap();
        symlink("../../../secret", snapshot.join("model.onnx_data")).unwrap();
        let error = read().unwrap_err().to_string();
        assert!(error.contains("outside the model's folder; copy the file there"), "{error}");
    }
}
