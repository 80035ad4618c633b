//! Tensors as typed bytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use crate::generated::TensorProto;
use crate::generated::tensor_proto::DataLocation;
use crate::{ElementType, TensorError};

/// A tensor: little-endian elements in row-major order. The length always fits the type and the shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    element: ElementType,
    dims: Vec<u64>,
    bytes: Vec<u8>,
}

impl Tensor {
    /// The element type.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// The shape; a scalar has none.
    pub fn dims(&self) -> &[u64] {
        &self.dims
    }

    /// The elements.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Type, shape and bytes, without a copy.
    pub fn into_parts(self) -> (ElementType, Vec<u64>, Vec<u8>) {
        (self.element, self.dims, self.bytes)
    }

    /// A tensor of these bytes; `None` where their number is not what type and shape say.
    pub fn new(element: ElementType, dims: Vec<u64>, bytes: Vec<u8>) -> Option<Self> {
        let size = byte_size(&dims, element)?;
        (size == bytes.len() as u64).then_some(Self { element, dims, bytes })
    }
}

/// Where tensors' data may come from and how much of it.
pub(crate) struct Source<'a> {
    pub folder: Option<&'a Path>,
    pub limit: u64,
}

/// Type, shape and size of a tensor, before its data is looked at.
struct Header {
    element: ElementType,
    dims: Vec<u64>,
    size: u64,
}

pub(crate) fn convert(proto: TensorProto, source: &Source<'_>) -> Result<Tensor, TensorError> {
    if proto.segment.is_some() {
        return Err(TensorError::Segment);
    }
    let header = header(&proto, source.limit)?;
    check_single_field(&proto)?;
    let (field, bytes) = if proto.data_location() == DataLocation::External {
        ("external data", external(&proto, &header, source)?)
    } else if let Some(raw) = proto.raw_data {
        ("raw_data", raw)
    } else {
        typed(&proto, header.element)?
    };
    if bytes.len() as u64 != header.size {
        return Err(header.length_error(field, bytes.len() as u64));
    }
    if header.element == ElementType::Bool {
        check_bools(&bytes)?;
    }
    Ok(Tensor { element: header.element, dims: header.dims, bytes })
}

impl Header {
    fn length_error(&self, field: &'static str, found: u64) -> TensorError {
        TensorError::Length { field, found, element: self.element.name(), dims: self.dims.clone(), expected: self.size }
    }
}

fn header(proto: &TensorProto, limit: u64) -> Result<Header, TensorError> {
    let code = proto.data_type.unwrap_or_default();
    let element = ElementType::from_code(code)
        .ok_or_else(|| TensorError::ElementType { found: crate::convert::element_name(code) })?;
    let dims = proto
        .dims
        .iter()
        .enumerate()
        .map(|(axis, &found)| u64::try_from(found).map_err(|_| TensorError::Dimension { axis, found }))
        .collect::<Result<Vec<_>, _>>()?;
    let size = byte_size(&dims, element)
        .filter(|&size| size <= limit)
        .ok_or_else(|| TensorError::TooLarge { dims: proto.dims.clone(), limit })?;
    Ok(Header { element, dims, size })
}

/// Bytes of a tensor; `None` where 64 bits cannot say it, also when some other dimension is zero.
fn byte_size(dims: &[u64], element: ElementType) -> Option<u64> {
    let mut nonzero = dims.iter().filter(|&&size| size != 0);
    let size = nonzero.try_fold(element.bytes(), |size, &dim| size.checked_mul(dim))?;
    Some(if dims.contains(&0) { 0 } else { size })
}

/// Data in two places would mean whatever a reader looks at first.
fn check_single_field(proto: &TensorProto) -> Result<(), TensorError> {
    let fields = [
        ("raw_data", proto.raw_data.is_some()),
        ("float_data", !proto.float_data.is_empty()),
        ("double_data", !proto.double_data.is_empty()),
        ("int32_data", !proto.int32_data.is_empty()),
        ("int64_data", !proto.int64_data.is_empty()),
        ("uint64_data", !proto.uint64_data.is_empty()),
        ("string_data", !proto.string_data.is_empty()),
        ("external_data", proto.data_location() == DataLocation::External),
    ];
    let mut present = fields.iter().filter(|(_, present)| *present).map(|(name, _)| *name);
    match (present.next(), present.next()) {
        (Some(first), Some(second)) => Err(TensorError::SeveralFields { first, second }),
        _ => Ok(()),
    }
}

/// The elements from the field that ONNX assigns to the type, as bytes.
fn typed(proto: &TensorProto, element: ElementType) -> Result<(&'static str, Vec<u8>), TensorError> {
    use ElementType as E;
    Ok(match element {
        E::Float32 => ("float_data", bytes_of(&proto.float_data, |x| x.to_le_bytes())),
        E::Float64 => ("double_data", bytes_of(&proto.double_data, |x| x.to_le_bytes())),
        E::Int64 => ("int64_data", bytes_of(&proto.int64_data, |x| x.to_le_bytes())),
        E::UInt64 => ("uint64_data", bytes_of(&proto.uint64_data, |x| x.to_le_bytes())),
        E::UInt32 => ("uint64_data", narrow(&proto.uint64_data, element, u32::to_le_bytes)?),
        E::Int32 => ("int32_data", bytes_of(&proto.int32_data, |x| x.to_le_bytes())),
        E::Int16 => ("int32_data", narrow(&proto.int32_data, element, i16::to_le_bytes)?),
        E::UInt16 | E::Float16 | E::BFloat16 => ("int32_data", narrow(&proto.int32_data, element, u16::to_le_bytes)?),
        E::Int8 => ("int32_data", narrow(&proto.int32_data, element, i8::to_le_bytes)?),
        E::UInt8 | E::Bool => ("int32_data", narrow(&proto.int32_data, element, u8::to_le_bytes)?),
    })
}

fn bytes_of<T: Copy, const N: usize>(data: &[T], to_bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    data.iter().flat_map(|&x| to_bytes(x)).collect()
}

/// The elements of a wide field in their own, narrower type.
fn narrow<Wide, Narrow, const N: usize>(
    data: &[Wide],
    element: ElementType,
    to_bytes: impl Fn(Narrow) -> [u8; N],
) -> Result<Vec<u8>, TensorError>
where
    Wide: Copy,
    Narrow: TryFrom<Wide>,
    i128: From<Wide>,
{
    let mut bytes = Vec::with_capacity(data.len() * N);
    for (index, &wide) in data.iter().enumerate() {
        let narrow = Narrow::try_from(wide).map_err(|_| TensorError::Element {
            index,
            found: i64::try_from(i128::from(wide)).unwrap_or(i64::MAX),
            element: element.name(),
        })?;
        bytes.extend(to_bytes(narrow));
    }
    Ok(bytes)
}

fn check_bools(bytes: &[u8]) -> Result<(), TensorError> {
    match bytes.iter().position(|&byte| byte > 1) {
        None => Ok(()),
        Some(index) => Err(TensorError::Element { index, found: bytes[index].into(), element: "bool" }),
    }
}

/// The bytes of a tensor that is stored in a file of its own.
fn external(proto: &TensorProto, header: &Header, source: &Source<'_>) -> Result<Vec<u8>, TensorError> {
    let entry = |key: &str| proto.external_data.iter().find(|entry| entry.key() == key).map(|entry| entry.value());
    let location = entry("location").unwrap_or_default();
    let offset = number("offset", entry("offset"))?.unwrap_or(0);
    let length = number("length", entry("length"))?.unwrap_or(header.size);
    if length != header.size {
        return Err(header.length_error("external data", length));
    }
    if location.is_empty() {
        return Err(TensorError::ExternalEntry {
            key: "location",
            found: String::new(),
            expected: "the path of a file",
        });
    }
    let path = inside(location, source.folder)?;
    read_range(&path, location, offset, length)
}

fn number(key: &'static str, text: Option<&str>) -> Result<Option<u64>, TensorError> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|_| TensorError::ExternalEntry {
        key,
        found: text.to_owned(),
        expected: "a number of bytes",
    })
}

/// The file that a location names, if it is below the folder, symbolic links followed.
fn inside(location: &str, folder: Option<&Path>) -> Result<PathBuf, TensorError> {
    let escape = || TensorError::Escape { location: location.to_owned() };
    let io = |source| TensorError::ExternalIo { location: location.to_owned(), source };
    let folder = folder.ok_or_else(|| TensorError::NoFolder { location: location.to_owned() })?;
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    let relative = Path::new(location);
    if !relative.components().all(plain) {
        return Err(escape());
    }
    let folder = folder.canonicalize().map_err(io)?;
    let path = folder.join(relative).canonicalize().map_err(io)?;
    if path.starts_with(&folder) { Ok(path) } else { Err(escape()) }
}

fn read_range(path: &Path, location: &str, offset: u64, length: u64) -> Result<Vec<u8>, TensorError> {
    let io = |source| TensorError::ExternalIo { location: location.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    let end = offset.saturating_add(length);
    if end > size {
        return Err(TensorError::ExternalRange { location: location.to_owned(), offset, end, size });
    }
    file.seek(SeekFrom::Start(offset)).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::StringStringEntryProto;

    const FLOAT: i32 = 1;

    fn proto(data_type: i32, dims: &[i64]) -> TensorProto {
        TensorProto { data_type: Some(data_type), dims: dims.to_vec(), ..TensorProto::default() }
    }

    fn stored_outside(entries: &[(&str, &str)]) -> TensorProto {
        let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        };
        TensorProto {
            data_location: Some(DataLocation::External.into()),
            external_data: entries.iter().map(entry).collect(),
            ..proto(FLOAT, &[2])
        }
    }

    fn read(proto: TensorProto, folder: Option<&Path>) -> Result<Tensor, String> {
        convert(proto, &Source { folder, limit: 1 << 20 }).map_err(|error| error.to_string())
    }

    #[test]
    fn typed_fields_and_raw_data_give_the_same_bytes() {
        let typed = TensorProto { float_data: vec![1.0, -2.0], ..proto(FLOAT, &[2]) };
        let raw = [1.0f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
        let raw = TensorProto { raw_data: Some(raw), ..proto(FLOAT, &[2]) };
        let tensor = read(typed, None).unwrap();
        assert_eq!(tensor, read(raw, None).unwrap());
        assert_eq!(tensor.bytes(), [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
    }

    #[test]
    fn narrow_types_are_taken_from_the_wide_field() {
        let int8 = TensorProto { int32_data: vec![-1, 127], ..proto(3, &[2]) };
        assert_eq!(read(int8, None).unwrap().bytes(), [0xff, 0x7f]);
        let uint32 = TensorProto { uint64_data: vec![1 << 31], ..proto(12, &[]) };
        assert_eq!(read(uint32, None).unwrap().bytes(), [0, 0, 0, 0x80]);
    }

    #[test]
    fn wrong_tensors_are_refused_with_what_was_found() {
        let huge = 1 << 62;
        for (proto, expected) in [
            (proto(FLOAT, &[2]), "float_data holds 0 bytes, but float of shape [2] needs 8"),
            (
                TensorProto { raw_data: Some(vec![0; 7]), ..proto(FLOAT, &[2]) },
                "raw_data holds 7 bytes, but float of shape [2] needs 8",
            ),
            (
                TensorProto { raw_data: Some(vec![0; 8]), float_data: vec![0.0; 2], ..proto(FLOAT, &[2]) },
                "both raw_data and float_data",
            ),
            (proto(FLOAT, &[-1]), "dimension 0 is -1;"),
            (proto(FLOAT, &[huge, huge]), "needs more than 1048576 bytes"),
            (proto(FLOAT, &[huge, huge, 0]), "needs more than 1048576 bytes"),
            (proto(8, &[1]), "element type string is not supported"),
            (proto(99, &[1]), "element type code 99 is not supported"),
            (TensorProto { int32_data: vec![300], ..proto(3, &[1]) }, "element 0 is 300, which is no int8"),
            (TensorProto { raw_data: Some(vec![1, 2]), ..proto(9, &[2]) }, "element 1 is 2, which is no bool"),
        ] {
            let error = read(proto, None).unwrap_err();
            assert!(error.contains(expected), "`{error}` should say `{expected}`");
        }
    }

    #[test]
    fn external_data_stays_in_the_folder_and_in_the_file() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(outer.path().join("secret"), [0; 8]).unwrap();
        std::fs::write(folder.join("weights"), [9, 9, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        let good = stored_outside(&[("location", "weights"), ("offset", "2"), ("length", "8")]);
        assert_eq!(read(good, Some(&folder)).unwrap().bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);

        for (entries, expected) in [
            (&[("location", "../secret")][..], "outside the model's folder"),
            (&[("location", "/etc/hostname")], "outside the model's folder"),
            (&[], "location is ``; expected the path"),
            (&[("location", "none")], "external data `none`: "),
            (&[("location", "weights"), ("offset", "3")], "bytes 3..11 are wanted, the file has 10"),
            (&[("location", "weights"), ("offset", "18446744073709551615")], "the file has 10"),
            (&[("location", "weights"), ("offset", "-1")], "offset is `-1`; expected a number"),
            (
                &[("location", "weights"), ("length", "4")],
                "external data holds 4 bytes, but float of shape [2] needs 8",
            ),
        ] {
            let error = read(stored_outside(entries), Some(&folder)).unwrap_err();
            assert!(error.contains(expected), "`{error}` should say `{expected}`");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_does_not_lead_out_of_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(outer.path().join("secret"), [0; 8]).unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret"), folder.join("link")).unwrap();
        let error = read(stored_outside(&[("location", "link")]), Some(&folder)).unwrap_err();
        assert!(error.contains("outside the model's folder"), "{error}");
    }
}
