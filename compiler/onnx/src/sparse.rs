//! Sparse constants, made dense.

use tensor::DType;

use crate::messages::{SparseTensorProto, TensorProto};
use crate::tensor::{Source, convert, elements_size};
use crate::{Tensor, TensorError};

/// The dense tensor. A small file can ask for a large one, so all of a model together have a limit.
pub(crate) fn dense(proto: SparseTensorProto, source: &Source) -> Result<Tensor, TensorError> {
    let wrong = |what: &'static str| TensorError::Sparse { what };
    let values = convert(proto.values.ok_or(wrong("it has no values"))?, source)?;
    let indices = TensorProto { dims: vec![0], data_type: INT64, ..TensorProto::default() };
    let indices = convert(proto.indices.unwrap_or(indices), source)?;
    if indices.dtype() != DType::I64 {
        return Err(wrong("its indices are not int64"));
    }
    let dims: Option<Vec<u64>> = proto.dims.iter().map(|&dim| u64::try_from(dim).ok()).collect();
    let dims = dims.ok_or(wrong("a dimension is negative"))?;
    let dtype = values.dtype();
    if dtype.bits() % 8 != 0 {
        return Err(wrong("its elements are smaller than a byte"));
    }
    let size = elements_size(&dims, dtype).filter(|&size| source.take_dense(size));
    let size = size.ok_or(TensorError::TooLarge { dims: proto.dims.clone(), limit: source.dense_left() })?;
    let mut bytes = vec![0; size as usize];
    let width = dtype.size() as usize;
    let (numbers, _) = indices.bytes().as_chunks();
    let numbers: Vec<i64> = numbers.iter().map(|&number| i64::from_le_bytes(number)).collect();
    let count = values.bytes().len() / width;
    let per_value = match indices.dims() {
        [places] if *places == count as u64 => 1,
        [places, rank] if *places == count as u64 && *rank == dims.len() as u64 => dims.len(),
        [0] if count == 0 => 1,
        _ => return Err(wrong("there must be one index for each value, or one for each axis of it")),
    };
    for (value, place) in values.bytes().chunks_exact(width).zip(numbers.chunks_exact(per_value.max(1))) {
        let place = position(place, &dims).and_then(|place| usize::try_from(place).ok());
        let place = place.and_then(|place| Some(place..place.checked_add(1)?));
        let place = place.and_then(|place| bytes.get_mut(place.start * width..place.end * width));
        place.ok_or(wrong("an index is outside of its shape"))?.copy_from_slice(value);
    }
    Tensor::new(dtype, dims, bytes).ok_or(wrong("its size is not that of its shape"))
}

/// ONNX's code of int64.
const INT64: i32 = 7;

/// The place of an element in row-major order; `None` if an index is out of range.
fn position(index: &[i64], dims: &[u64]) -> Option<u64> {
    let total = dims.iter().try_fold(1u64, |total, &dim| total.checked_mul(dim))?;
    if let [linear] = index
        && dims.len() != 1
    {
        return u64::try_from(*linear).ok().filter(|&place| place < total);
    }
    index.iter().zip(dims).try_fold(0u64, |place, (&at, &dim)| {
        let at = u64::try_from(at).ok().filter(|&at| at < dim)?;
        place.checked_mul(dim)?.checked_add(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(dims: &[i64], values: &[f32], shape: &[i64], indices: &[i64]) -> SparseTensorProto {
        let values = TensorProto {
            dims: vec![values.len() as i64],
            data_type: 1,
            float_data: values.to_vec(),
            ..TensorProto::default()
        };
        let indices = TensorProto {
            dims: shape.to_vec(),
            data_type: INT64,
            int64_data: indices.to_vec(),
            ..TensorProto::default()
        };
        SparseTensorProto { values: Some(values), indices: Some(indices), dims: dims.to_vec() }
    }

    fn read(proto: SparseTensorProto) -> Result<Vec<f32>, String> {
        let dense = dense(proto, &Source::new(vec![], 1 << 20)).map_err(|error| error.to_string())?;
        Ok(dense.bytes().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
    }

    #[test]
    fn both_kinds_of_indices_name_the_same_places() {
        let expected = Ok(vec![0.0, 1.0, 0.0, 0.0, 2.0, 0.0]);
        assert_eq!(read(sparse(&[3, 2], &[1.0, 2.0], &[2], &[1, 4])), expected);
        assert_eq!(read(sparse(&[3, 2], &[1.0, 2.0], &[2, 2], &[0, 1, 2, 0])), expected);
        assert_eq!(read(sparse(&[2], &[], &[0], &[])), Ok(vec![0.0; 2]));
        assert_eq!(read(sparse(&[], &[3.0], &[1], &[0])), Ok(vec![3.0]));
    }

    #[test]
    fn wrong_ones_are_refused() {
        for (proto, says) in [
            (sparse(&[3, 2], &[1.0], &[1], &[6]), "outside of its shape"),
            (sparse(&[3, 2], &[1.0], &[1], &[-1]), "outside of its shape"),
            (sparse(&[3, 2], &[1.0], &[1, 2], &[0, 2]), "outside of its shape"),
            (sparse(&[3, 2], &[1.0], &[2], &[0, 1]), "one index for each value"),
            (sparse(&[3, 2], &[1.0], &[1, 3], &[0, 1, 1]), "one index for each value"),
            (sparse(&[-3], &[1.0], &[1], &[0]), "negative"),
            (sparse(&[1 << 40], &[1.0], &[1], &[0]), "needs more than"),
            (sparse(&[1 << 40, 1 << 40], &[1.0], &[1], &[0]), "needs more than"),
            (SparseTensorProto::default(), "no values"),
        ] {
            let error = read(proto).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn many_small_files_worth_of_large_constants_have_a_limit_together() {
        let source = Source::new(vec![], 1 << 40);
        let large = || dense(sparse(&[1 << 27], &[1.0], &[1], &[0]), &source);
        assert!(large().is_ok() && large().is_err());
    }
}
