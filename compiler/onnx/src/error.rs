//! The errors in a file, and where they are.

use std::path::PathBuf;

use thiserror::Error;

use crate::element;

/// Why a file could not be read.
#[derive(Debug, Error)]
pub enum Error {
    /// The file system reported an error.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is larger than the limit.
    #[error("{} has {found} bytes, the limit is {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The largest size accepted.
        limit: u64,
    },
    /// The bytes are not a protobuf message of the expected type.
    #[error("not an ONNX {what} (truncated or damaged): {}", brief(source))]
    Decode {
        /// `model` or `tensor`.
        what: &'static str,
        /// The decoder's reason.
        source: prost::DecodeError,
    },
    /// It has so many parts that decoding them would take a lot of memory.
    #[error("the {what} has more than four million fields, which is not supported")]
    Fields {
        /// `model` or `tensor`.
        what: &'static str,
    },
    /// Something that every model has is missing.
    #[error("{place}: {what} is missing")]
    Missing {
        /// Where it should be.
        place: String,
        /// What should be there.
        what: &'static str,
    },
    /// A name that must be unique appears twice.
    #[error("{place}: {what} `{name}` appears twice")]
    Duplicate {
        /// Where.
        place: String,
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The name of a tensor has an unknown encoding.
    #[error("{place}: the name `{name}` is not UTF-8; rename the tensor")]
    Name {
        /// Where.
        place: String,
        /// The name, with escapes.
        name: String,
    },
    /// This reader does not support a feature of ONNX.
    #[error("{place}: {found} is not supported; supported: {supported}")]
    Unsupported {
        /// Where.
        place: String,
        /// What was found.
        found: String,
        /// What would be accepted.
        supported: &'static str,
    },
    /// A tensor's contents are wrong.
    #[error("{place}: {error}")]
    Tensor {
        /// The tensor.
        place: String,
        /// What is wrong with it.
        #[source]
        error: TensorError,
    },
}

/// The decoder names every enclosing message. The innermost reason and the outermost message are enough.
fn brief(source: &prost::DecodeError) -> String {
    let text = source.to_string();
    let mut parts: Vec<&str> = text.rsplitn(3, ": ").collect();
    parts.truncate(2);
    parts.reverse();
    parts.join(": ")
}

/// What is wrong with a tensor.
#[derive(Debug, Error)]
pub enum TensorError {
    /// Its element type is unknown, or one that we don't have.
    #[error("element type {found} is not supported; supported: {}", element::SUPPORTED)]
    ElementType {
        /// ONNX's name, or the code if it has none.
        found: String,
    },
    /// A dimension is negative.
    #[error("dimension {axis} is {found}; a tensor's dimensions are 0 or more")]
    Dimension {
        /// The index of the dimension.
        axis: usize,
        /// Its value.
        found: i64,
    },
    /// The tensor is larger than the limit, or than 64 bits can express.
    #[error("shape {dims:?} needs more than {limit} bytes, the limit for one tensor")]
    TooLarge {
        /// The shape.
        dims: Vec<i64>,
        /// The limit.
        limit: u64,
    },
    /// The data does not have the size that the shape requires.
    #[error("{field} holds {found} bytes, but {element} of shape {dims:?} needs {expected}")]
    Length {
        /// The field of the message.
        field: &'static str,
        /// Bytes found.
        found: u64,
        /// The element type.
        element: &'static str,
        /// The shape.
        dims: Vec<u64>,
        /// Bytes needed.
        expected: u64,
    },
    /// There is data in more than one field.
    #[error("holds data in both {first} and {second}; expected one of them")]
    SeveralFields {
        /// One field.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
    /// An element is out of range for its type.
    #[error("element {index} is {found}, which is not a valid {element}")]
    Element {
        /// The index of the element.
        index: usize,
        /// Its value.
        found: i64,
        /// The element type.
        element: &'static str,
    },
    /// Elements that share a byte don't fill the last one, and the rest of it is not zero.
    #[error("the last byte is {found:#04x}; its upper bits hold no element and must be zero")]
    Padding {
        /// The byte.
        found: u8,
    },
    /// It is sparse, and wrong.
    #[error("a sparse tensor: {what}")]
    Sparse {
        /// What is wrong.
        what: &'static str,
    },
    /// The tensor is cut into segments.
    #[error("stored in segments, which is not supported; store it whole")]
    Segment,
    /// A location does not lead to a file below the model's folder.
    #[error(
        "external data `{location}` lies outside the model's folder; only files below it are read, so save the model \
         with its data beside it"
    )]
    Escape {
        /// The location in the file.
        location: String,
    },
    /// A symbolic link leads out of the model's folder.
    #[error(
        "external data `{location}` is a link to {}, outside the model's folder; copy the file there",
        target.display()
    )]
    LinkEscape {
        /// The location in the file.
        location: String,
        /// Where the link leads.
        target: PathBuf,
    },
    /// The model has external data but was not read from a file.
    #[error("the data is in another file, `{location}`, but the model was not read from a file")]
    NoFolder {
        /// The location in the file.
        location: String,
    },
    /// An entry in the description of external data is wrong.
    #[error("external data: {key} is `{found}`; expected {expected}")]
    ExternalEntry {
        /// The key.
        key: &'static str,
        /// What was found.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The range of external data is not in its file.
    #[error("external data `{location}`: the tensor is bytes {offset}..{end}, but the file has {size} bytes")]
    ExternalRange {
        /// The location in the file.
        location: String,
        /// First byte.
        offset: u64,
        /// One after the last byte.
        end: u64,
        /// Size of the file.
        size: u64,
    },
    /// The external file could not be read.
    #[error("cannot read external data `{location}`: {source}")]
    ExternalIo {
        /// The location in the file.
        location: String,
        /// The system's reason.
        source: std::io::Error,
    },
}
