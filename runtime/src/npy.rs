//! NumPy's .npy files: one array, as typed bytes (NEP 1, "A simple file format for NumPy arrays").
//!
//! opml has its own reader because the existing crates overflow their stack or their integers on hostile
//! headers. It reads only what a model can use: versions 1 to 3, little-endian numbers and booleans, C order.

use onnx::Tensor;
use std::path::Path;
use tensor::DType;
use thiserror::Error;

/// The bytes that every file begins with.
const MAGIC: &[u8] = b"\x93NUMPY";
/// More than any header that NumPy writes.
const MAX_HEADER: usize = 4096;

/// Why a file is not a usable .npy file.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum NpyError {
    /// It is not an .npy file.
    #[error("not an .npy file: it does not begin with \\x93NUMPY and a version from 1 to 3")]
    Magic,
    /// The header is cut off or too long.
    #[error("the header is cut off or longer than 4096 bytes")]
    HeaderLength,
    /// The header is not the expected dictionary.
    #[error(
        "the header should be {{'descr': '<f4', 'fortran_order': False, 'shape': (1, 28), }}, but is: {0}"
    )]
    Header(String),
    /// Tensors have no such element type.
    #[error(
        "elements of type '{0}' are not supported; supported are numbers and booleans, for example '<f4'"
    )]
    Element(String),
    /// The most significant byte comes first.
    #[error("the array is big-endian ('{0}'); only little-endian arrays are read")]
    BigEndian(String),
    /// Fortran order.
    #[error("the array is in Fortran order (columns first); only C order (rows first) is read")]
    FortranOrder,
    /// The data does not match the header.
    #[error("{found} bytes follow the header; shape {shape:?} of {dtype} needs {expected}")]
    Length { shape: Vec<u64>, dtype: DType, expected: u128, found: usize },
    /// An array can't be written.
    #[error("NumPy has no elements of type {0}, so an .npy file can't hold them")]
    NoDescriptor(DType),
}

impl NpyError {
    /// How to fix it in Python, if there is a known way.
    pub fn hint(&self, file: &Path) -> Option<String> {
        let file = file.display();
        Some(match self {
            Self::FortranOrder => format!("np.save('{file}', np.ascontiguousarray(np.load('{file}')))"),
            Self::BigEndian(element) => {
                let little = element.replacen('>', "<", 1);
                format!("np.save('{file}', np.load('{file}').astype('{little}'))")
            }
            Self::Element(element) if element.contains('O') => {
                format!("it holds Python objects: np.save('{file}', np.array(VALUES, dtype=np.float32))")
            }
            Self::Element(_) => format!("np.save('{file}', np.load('{file}').astype(np.float32))"),
            _ => return None,
        })
    }
}

/// Reads an array.
pub fn decode(bytes: &[u8]) -> Result<Tensor, NpyError> {
    let (header, data) = split(bytes)?;
    let broken = || NpyError::Header(header.chars().take(80).collect());
    let element = text_after(header, "descr").ok_or_else(broken)?;
    let dtype = described(element).ok_or_else(|| unsupported(element))?;
    let order = value_after(header, "fortran_order").ok_or_else(broken)?;
    if order.starts_with("True") {
        return Err(NpyError::FortranOrder);
    }
    let shape = value_after(header, "shape").and_then(dimensions).ok_or_else(broken)?;
    if !order.starts_with("False") {
        return Err(broken());
    }
    let elements = shape.iter().fold(1u128, |product, &dim| product.saturating_mul(dim.into()));
    Tensor::new(dtype, shape.clone(), data.to_vec()).ok_or(NpyError::Length {
        shape,
        dtype,
        expected: elements.saturating_mul(dtype.size().into()),
        found: data.len(),
    })
}

/// The elements as which those of a type are stored: floats of 8 bits as their codes.
pub fn stored(dtype: DType) -> DType {
    if dtype.is_small_float() { dtype.as_integer() } else { dtype }
}

/// The element type with a descriptor.
fn described(descr: &str) -> Option<DType> {
    DType::ALL.into_iter().find(|dtype| dtype.numpy().is_some_and(|numpy| numpy.descr == descr))
}

/// The error for elements of a type that we don't have.
fn unsupported(element: &str) -> NpyError {
    if described(&element.replacen('>', "<", 1)).is_some() {
        NpyError::BigEndian(element.to_owned())
    } else {
        NpyError::Element(element.to_owned())
    }
}

/// Writes an array as NumPy would. The data starts at a multiple of 64.
pub fn encode(tensor: &Tensor) -> Result<Vec<u8>, NpyError> {
    let descr = stored(tensor.dtype()).numpy().ok_or(NpyError::NoDescriptor(tensor.dtype()))?.descr;
    let dims: Vec<String> = tensor.dims().iter().map(u64::to_string).collect();
    let comma = if dims.len() == 1 { "," } else { "" };
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}", dims.join(", "));
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(tensor.bytes());
    Ok(bytes)
}

/// Header text and data.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), NpyError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::Magic)?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (u32::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]), rest),
        _ => return Err(NpyError::Magic),
    };
    let length = length as usize;
    if length > MAX_HEADER || length > rest.len() {
        return Err(NpyError::HeaderLength);
    }
    let (header, data) = rest.split_at(length);
    let header = std::str::from_utf8(header).map_err(|_| NpyError::Header("not text".to_owned()))?;
    Ok((header, data))
}

/// The text after a key of the header's dictionary.
fn value_after<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let quoted = [format!("'{key}'"), format!("\"{key}\"")];
    let (_, rest) = quoted.iter().find_map(|key| header.split_once(key.as_str()))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

/// The quoted string after a key.
fn text_after<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let value = value_after(header, key)?;
    let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    value[1..].split_once(quote).map(|(text, _)| text)
}

/// A tuple of dimensions.
fn dimensions(value: &str) -> Option<Vec<u64>> {
    let (inside, _) = value.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim().trim_end_matches(',');
    if inside.is_empty() {
        return Some(Vec::new());
    }
    inside.split(',').map(|dim| dim.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_survive() {
        let dims = [vec![], vec![3], vec![0, 2], vec![2, 1, 3]];
        for (dtype, dims) in DType::ALL.into_iter().flat_map(|dtype| dims.clone().map(|dims| (dtype, dims))) {
            let size = dtype.bytes(dims.iter().product()).expect("it is small");
            let tensor = Tensor::new(dtype, dims, (0..size).map(|i| i as u8).collect());
            let tensor = tensor.expect("the size fits");
            let encoded = encode(&tensor);
            if stored(dtype).numpy().is_none() {
                assert_eq!(encoded, Err(NpyError::NoDescriptor(dtype)));
                continue;
            }
            let bytes = encoded.expect("NumPy has the type");
            assert_eq!(bytes.len() as u64 % 64, size % 64, "data is aligned");
            let codes = Tensor::new(stored(dtype), tensor.dims().to_vec(), tensor.bytes().to_vec());
            assert_eq!(decode(&bytes).ok(), codes);
        }
    }

    #[test]
    fn bad_files_are_refused() {
        let file = |header: &str, data: &[u8]| {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            bytes.extend(data);
            bytes
        };
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
        assert!(decode(&file(good, &[0; 8])).is_ok());
        for (header, data, expected) in [
            (good, 7, NpyError::Length { shape: vec![2], dtype: DType::F32, expected: 8, found: 7 }),
            (&good.replace("<f4", ">f4"), 8, NpyError::BigEndian(">f4".to_owned())),
            (&good.replace("<f4", ">c8"), 8, NpyError::Element(">c8".to_owned())),
            (&good.replace("<f4", "<U7"), 8, NpyError::Element("<U7".to_owned())),
            (&good.replace("False", "True"), 8, NpyError::FortranOrder),
        ] {
            assert_eq!(decode(&file(header, &vec![0; data])), Err(expected));
        }
        for header in [
            "",
            "{}",
            &good.replace("False", "Maybe"),
            &good.replace("(2,)", "(-2,)"),
            &good.replace("(2,)", "(((("),
        ] {
            assert!(matches!(decode(&file(header, &[0; 8])), Err(NpyError::Header(_))), "{header}");
        }
        let huge = good.replace("(2,)", "(18446744073709551615, 18446744073709551615)");
        assert!(matches!(decode(&file(&huge, &[0; 8])), Err(NpyError::Length { .. })));
        assert_eq!(decode(b"\x93NUMPY\x04\x00"), Err(NpyError::Magic));
        assert_eq!(decode(b"\x93NUMPY\x02\x00\xff\xff\xff\xff"), Err(NpyError::HeaderLength));
        assert_eq!(decode(b""), Err(NpyError::Magic));
    }

    /// All damage leads to an error or another array. It never causes a panic, and never needs more memory
    /// than the file.
    #[test]
    fn damaged_files() {
        let tensor = Tensor::new(DType::F32, vec![2, 3], (0..24).collect()).expect("the size fits");
        let good = encode(&tensor).expect("NumPy has the type");
        for length in 0..good.len() {
            assert!(decode(&good[..length]).is_err(), "{length} bytes");
        }
        let mut state = 1u64;
        for _ in 0..200_000 {
            let mut bad = good.clone();
            for _ in 0..=state >> 62 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = (state >> 33) as usize % bad.len();
                bad[at] = if state & 1 == 0 {
                    (state >> 24) as u8
                } else {
                    b"()',:{} 09"[(state >> 24) as usize % 10]
                };
            }
            if let Ok(tensor) = decode(&bad) {
                assert!(tensor.bytes().len() <= bad.len());
            }
        }
    }
}
