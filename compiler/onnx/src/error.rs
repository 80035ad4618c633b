//! What can be wrong with a file, and where.

use std::path::PathBuf;

use thiserror::Error;

/// Why a file could not be read.
#[derive(Debug, Error)]
pub enum Error {
    /// The file system refused.
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
    /// The bytes are not protobuf of the expected message.
    #[error("not an ONNX {what} (truncated or damaged): {}", brief(source))]
    Decode {
        /// `model` or `tensor`.
        what: &'static str,
        /// The decoder's reason.
        source: prost::DecodeError,
    },
    /// So many parts that decoding them would take very much memory.
    #[error("the {what} has more than four million fields, which is not supported")]
    Fields {
        /// `model` or `tensor`.
        what: &'static str,
    },
    /// Something every model has is absent.
    #[error("{place}: {what} is missing")]
    Missing {
        /// Where it should be.
        place: String,
        /// What should be there.
        what: &'static str,
    },
    /// A name appears twice where it may appear once.
    #[error("{place}: {what} `{name}` appears twice")]
    Duplicate {
        /// Where.
        place: String,
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A feature of ONNX that this reader does not take.
    #[error("{place}: {found} is not supported; supported: {supported}")]
    Unsupported {
        /// Where.
        place: String,
        /// What was found.
        found: String,
        /// What would be accepted.
        supported: &'static str,
    },
    /// A value that ONNX itself does not allow.
    #[error("{place}: {what}")]
    Invalid {
        /// Where.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// A tensor's contents are wrong.
    #[error("{place}: {error}")]
    Tensor {
        /// Which tensor.
        place: String,
        /// What is wrong with it.
        #[source]
        error: TensorError,
    },
}

/// The decoder names every message that it is in; the innermost reason and the outermost message are enough.
fn brief(source: &prost::DecodeError) -> String {
    let text = source.to_string();
    let mut parts: Vec<&str> = text.rsplitn(3, ": ").collect();
    parts.truncate(2);
    parts.reverse();
    parts.join(": ")
}

/// What can be wrong with one tensor.
#[derive(Debug, Error)]
pub enum TensorError {
    /// An element type that is unknown or not made of whole bytes.
    #[error(
        "element type {found} is not supported; supported: float, double, float16, bfloat16, bool, (u)int8 to (u)int64"
    )]
    ElementType {
        /// ONNX's name, or the code if it has none.
        found: String,
    },
    /// A negative dimension.
    #[error("dimension {axis} is {found}; a tensor's dimensions are 0 or more")]
    Dimension {
        /// Which dimension.
        axis: usize,
        /// Its value.
        found: i64,
    },
    /// The tensor is larger than the limit, or than 64 bits can say.
    #[error("shape {dims:?} needs more than {limit} bytes, the limit for one tensor")]
    TooLarge {
        /// The shape.
        dims: Vec<i64>,
        /// The limit.
        limit: u64,
    },
    /// The data does not have the size that the shape says.
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
    /// Data in more than one field.
    #[error("holds data in both {first} and {second}; expected one of them")]
    SeveralFields {
        /// One field.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
    /// An element that its type cannot hold.
    #[error("element {index} is {found}, which is no {element}")]
    Element {
        /// Which element.
        index: usize,
        /// Its value.
        found: i64,
        /// The element type.
        element: &'static str,
    },
    /// A tensor cut into segments.
    #[error("stored in segments, which is not supported; store it whole")]
    Segment,
    /// An external file outside the model's folder.
    #[error("external data `{location}` lies outside the model's folder; only files below it are read")]
    Escape {
        /// The location as the file says it.
        location: String,
    },
    /// External data without a folder to look in.
    #[error("external data `{location}` is referred to, but the bytes read have no folder")]
    NoFolder {
        /// The location as the file says it.
        location: String,
    },
    /// A wrong entry in the list that describes external data.
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
    #[error("external data `{location}`: bytes {offset}..{end} are wanted, the file has {size}")]
    ExternalRange {
        /// The location as the file says it.
        location: String,
        /// First byte.
        offset: u64,
        /// One after the last byte.
        end: u64,
        /// Size of the file.
        size: u64,
    },
    /// The external file could not be read.
    #[error("external data `{location}`: {source}")]
    ExternalIo {
        /// The location as the file says it.
        location: String,
        /// The system's reason.
        source: std::io::Error,
    },
}
