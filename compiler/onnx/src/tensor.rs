//! Tensors as typed bytes.

use std::cell::Cell;
use std::path::PathBuf;

use bytes::Bytes;
use tensor::DType;

use crate::external;
use crate::files::Files;
use crate::messages::{DataLocation, TensorProto};
use crate::{TensorError, element, element_name};

/// A tensor: little-endian elements in row-major order. The length always matches the type and the shape.
///
/// The bytes are shared: as far as possible they are those of the file, which is mapped.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    dtype: DType,
    dims: Vec<u64>,
    bytes: Bytes,
}

impl Tensor {
    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The shape. Empty for a scalar.
    pub fn dims(&self) -> &[u64] {
        &self.dims
    }

    /// The elements.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The elements, without a copy.
    pub fn shared(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The type, the shape and the bytes, without a copy.
    pub fn into_parts(self) -> (DType, Vec<u64>, Bytes) {
        (self.dtype, self.dims, self.bytes)
    }

    /// A tensor with these bytes; `None` if the type and the shape need a different number of bytes.
    pub fn new(dtype: DType, dims: Vec<u64>, bytes: Vec<u8>) -> Option<Self> {
        let size = elements_size(&dims, dtype)?;
        (size == bytes.len() as u64).then(|| Self { dtype, dims, bytes: bytes.into() })
    }
}

/// Where tensors' data may be.
pub(crate) struct Source {
    /// The folders in which external data is searched. It must not be outside them.
    pub folders: Vec<PathBuf>,
    /// The maximum size of a tensor in bytes.
    pub limit: u64,
    /// The files that are mapped.
    pub files: Files,
    /// The bytes that sparse tensors may still take once they are dense.
    dense: Cell<u64>,
}

/// The most bytes that all sparse tensors of a model take once they are dense.
const MOST_DENSE: u64 = 1 << 29;

impl Source {
    /// Data in these folders.
    pub fn new(folders: Vec<PathBuf>, limit: u64) -> Self {
        Self { folders, limit, files: Files::default(), dense: Cell::new(limit.min(MOST_DENSE)) }
    }

    /// The bytes that are left for sparse tensors.
    pub fn dense_left(&self) -> u64 {
        self.dense.get()
    }

    /// Takes some of them, if there are enough.
    pub fn take_dense(&self, size: u64) -> bool {
        let left = self.dense.get().checked_sub(size);
        self.dense.set(left.unwrap_or(self.dense.get()));
        left.is_some()
    }
}

/// The type, the shape and the size of a tensor, which are known before its data is read.
pub(crate) struct Header {
    pub dtype: DType,
    pub dims: Vec<u64>,
    /// In bytes.
    pub size: u64,
}

pub(crate) fn convert(proto: TensorProto, source: &Source) -> Result<Tensor, TensorError> {
    if proto.segment.is_some() {
        return Err(TensorError::Segment);
    }
    let header = header(&proto, source.limit)?;
    check_single_field(&proto)?;
    let (field, bytes) = if proto.data_location() == DataLocation::External {
        ("external data", external::read(&proto.external_data, &header, source)?)
    } else if let Some(raw) = proto.raw_data {
        ("raw_data", raw)
    } else {
        let (field, bytes) = typed(&proto, header.dtype)?;
        (field, bytes.into())
    };
    if bytes.len() as u64 != header.size {
        return Err(header.length_error(field, bytes.len() as u64));
    }
    match header.dtype {
        DType::Bool => check_bools(&bytes)?,
        dtype if dtype.is_packed() => check_padding(&header.dims, dtype, &bytes)?,
        _ => {}
    }
    Ok(Tensor { dtype: header.dtype, dims: header.dims, bytes })
}

impl Header {
    pub fn length_error(&self, field: &'static str, found: u64) -> TensorError {
        TensorError::Length {
            field,
            found,
            element: element_name(self.dtype),
            dims: self.dims.clone(),
            expected: self.size,
        }
    }
}

fn header(proto: &TensorProto, limit: u64) -> Result<Header, TensorError> {
    let dtype = element::from_code(proto.data_type).map_err(|found| TensorError::ElementType { found })?;
    let dims = proto
        .dims
        .iter()
        .enumerate()
        .map(|(axis, &found)| u64::try_from(found).map_err(|_| TensorError::Dimension { axis, found }))
        .collect::<Result<Vec<_>, _>>()?;
    let size = elements_size(&dims, dtype)
        .filter(|&size| size <= limit)
        .ok_or_else(|| TensorError::TooLarge { dims: proto.dims.clone(), limit })?;
    Ok(Header { dtype, dims, size })
}

/// The size of a tensor in bytes; `None` if it exceeds 64 bits, even if a dimension is zero.
pub(crate) fn elements_size(dims: &[u64], dtype: DType) -> Option<u64> {
    let mut nonzero = dims.iter().filter(|&&size| size != 0);
    let size = dtype.bytes(nonzero.try_fold(1u64, |count, &dim| count.checked_mul(dim))?)?;
    Some(if dims.contains(&0) { 0 } else { size })
}

/// Data in two fields is refused, since readers would disagree about which one counts.
fn check_single_field(proto: &TensorProto) -> Result<(), TensorError> {
    let fields = [
        ("raw_data", proto.raw_data.is_some()),
        ("float_data", !proto.float_data.is_empty()),
        ("double_data", !proto.double_data.is_empty()),
        ("int32_data", !proto.int32_data.is_empty()),
        ("int64_data", !proto.int64_data.is_empty()),
        ("uint64_data", !proto.uint64_data.is_empty()),
        ("external_data", proto.data_location() == DataLocation::External),
    ];
    let mut present = fields.iter().filter(|(_, present)| *present).map(|(name, _)| *name);
    match (present.next(), present.next()) {
        (Some(first), Some(second)) => Err(TensorError::SeveralFields { first, second }),
        _ => Ok(()),
    }
}

/// The elements, as bytes, from the field in which ONNX stores the type.
fn typed(proto: &TensorProto, dtype: DType) -> Result<(&'static str, Vec<u8>), TensorError> {
    use DType as D;
    Ok(match dtype {
        D::F32 => ("float_data", bytes_of(&proto.float_data, |x| x.to_le_bytes())),
        D::F64 => ("double_data", bytes_of(&proto.double_data, |x| x.to_le_bytes())),
        D::I64 => ("int64_data", bytes_of(&proto.int64_data, |x| x.to_le_bytes())),
        D::U64 => ("uint64_data", bytes_of(&proto.uint64_data, |x| x.to_le_bytes())),
        D::U32 => ("uint64_data", narrow(&proto.uint64_data, dtype, u32::to_le_bytes)?),
        D::I32 => ("int32_data", bytes_of(&proto.int32_data, |x| x.to_le_bytes())),
        D::I16 => ("int32_data", narrow(&proto.int32_data, dtype, i16::to_le_bytes)?),
        D::U16 | D::F16 | D::BF16 => ("int32_data", narrow(&proto.int32_data, dtype, u16::to_le_bytes)?),
        D::I8 => ("int32_data", narrow(&proto.int32_data, dtype, i8::to_le_bytes)?),
        // So are small floats, by their codes. Packed elements that share a byte are one number of the field.
        _ => ("int32_data", narrow(&proto.int32_data, dtype, u8::to_le_bytes)?),
    })
}

fn bytes_of<T: Copy, const N: usize>(data: &[T], to_bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    data.iter().flat_map(|&x| to_bytes(x)).collect()
}

/// Narrows the elements of a field of wide numbers to bytes of their type.
fn narrow<Wide, Narrow, const N: usize>(
    data: &[Wide],
    dtype: DType,
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
            element: element_name(dtype),
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

/// The same elements have the same bytes, also if they don't fill the last one.
fn check_padding(dims: &[u64], dtype: DType, bytes: &[u8]) -> Result<(), TensorError> {
    let elements = dims.iter().fold(1u64, |product, &dim| product.wrapping_mul(dim));
    let used = elements % (8 / dtype.bits()) * dtype.bits();
    match bytes.last() {
        Some(&found) if used > 0 && found >> used != 0 => Err(TensorError::Padding { found }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOAT: i32 = 1;

    fn proto(data_type: i32, dims: &[i64]) -> TensorProto {
        TensorProto { data_type, dims: dims.to_vec(), ..TensorProto::default() }
    }

    fn read(proto: TensorProto) -> Result<Tensor, String> {
        convert(proto, &Source::new(vec![], 1 << 20)).map_err(|error| error.to_string())
    }

    #[test]
    fn typed_fields_and_raw_data_give_the_same_bytes() {
        let typed = TensorProto { float_data: vec![1.0, -2.0], ..proto(FLOAT, &[2]) };
        let raw = [1.0f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
        let raw = TensorProto { raw_data: Some(raw.into()), ..proto(FLOAT, &[2]) };
        let tensor = read(typed).unwrap();
        assert_eq!(tensor, read(raw).unwrap());
        assert_eq!(tensor.bytes(), [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
    }

    #[test]
    fn narrow_types_are_taken_from_the_wide_field() {
        let int8 = TensorProto { int32_data: vec![-1, 127], ..proto(3, &[2]) };
        assert_eq!(read(int8).unwrap().bytes(), [0xff, 0x7f]);
        let uint32 = TensorProto { uint64_data: vec![1 << 31], ..proto(12, &[]) };
        assert_eq!(read(uint32).unwrap().bytes(), [0, 0, 0, 0x80]);
        let half = TensorProto { int32_data: vec![0x3c00, 0xfc00], ..proto(10, &[2]) };
        assert_eq!(read(half).unwrap().bytes(), [0, 0x3c, 0, 0xfc]);
    }

    #[test]
    fn two_elements_of_four_bits_share_a_byte() {
        let int4 = TensorProto { int32_data: vec![0x7f, 0x08], ..proto(22, &[3]) };
        let raw = TensorProto { raw_data: Some(vec![0x7f, 0x08].into()), ..proto(22, &[3]) };
        let tensor = read(int4).unwrap();
        assert_eq!(tensor, read(raw).unwrap());
        assert_eq!((tensor.dtype(), tensor.bytes()), (DType::I4, &[0x7f, 0x08][..]));
    }

    #[test]
    fn wrong_tensors_are_refused_with_what_was_found() {
        let huge = 1 << 62;
        for (proto, expected) in [
            (proto(FLOAT, &[2]), "float_data holds 0 bytes, but float of shape [2] needs 8"),
            (
                TensorProto { raw_data: Some(vec![0; 7].into()), ..proto(FLOAT, &[2]) },
                "raw_data holds 7 bytes, but float of shape [2] needs 8",
            ),
            (
                TensorProto {
                    raw_data: Some(vec![0; 8].into()),
                    float_data: vec![0.0; 2],
                    ..proto(FLOAT, &[2])
                },
                "both raw_data and float_data",
            ),
            (proto(FLOAT, &[-1]), "dimension 0 is -1;"),
            (proto(FLOAT, &[huge, huge]), "needs more than 1048576 bytes"),
            (proto(FLOAT, &[huge, huge, 0]), "needs more than 1048576 bytes"),
            (proto(8, &[1]), "element type string is not supported"),
            (proto(99, &[1]), "element type code 99 is not supported"),
            (
                TensorProto { int32_data: vec![300], ..proto(3, &[1]) },
                "element 0 is 300, which is not a valid int8",
            ),
            (
                TensorProto { raw_data: Some(vec![1, 2].into()), ..proto(9, &[2]) },
                "element 1 is 2, which is not a valid bool",
            ),
            (
                TensorProto { raw_data: Some(vec![0; 3].into()), ..proto(21, &[3]) },
                "raw_data holds 3 bytes, but uint4 of shape [3] needs 2",
            ),
            (
                TensorProto { raw_data: Some(vec![0, 0x10].into()), ..proto(21, &[3, 1]) },
                "the last byte is 0x10; its upper bits hold no element",
            ),
            (
                TensorProto { raw_data: Some(vec![0x1b, 0x24].into()), ..proto(26, &[6]) },
                "the last byte is 0x24; its upper bits hold no element",
            ),
        ] {
            let error = read(proto).unwrap_err();
            assert!(error.contains(expected), "`{error}` should say `{expected}`");
        }
    }
}
