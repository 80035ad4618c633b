//! Constant folding: computes nodes whose inputs are all constants. The reference evaluator does it where that is
//! quick, and the host's engine where much is to be computed, with the same bits.

use std::ops::Range;

use bytes::Bytes;
use dnn_lib::definition::Definition;
use dnn_lib::operator::{Meaning, Operator};
use dnn_lib::tensor::TensorType;
use host::{Isa, Prepared, RunError};
use mapped::{Draft, Mapped};

use crate::reference::evaluate;
use crate::{BuildError, Tensor};

/// The maximum number of steps that the evaluator executes for one node, about a second's worth. The arithmetic
/// of shapes needs far fewer.
const FEW: u64 = 1 << 24;

/// The maximum number of steps for which a node is folded at all: minutes for the engine. Moving the largest
/// weights takes fewer. What takes more is not a weight in another form, and the machine may as well compute it.
const MOST: u64 = 1 << 40;

/// The most bytes of a result that is more than twice what it is made of. A larger one, such as a scalar that is
/// repeated, would only make the image larger; the arithmetic of shapes has far smaller ones. Halves become twice
/// as many bytes.
const MOST_MADE: u64 = 1 << 20;

/// The elements that the engine computes at once. What they touch of files stays in memory until they are done.
const AT_ONCE: u64 = 1 << 22;

/// An output of the operator on these tensors, if they are all constants and it is worth it. Whether it is doesn't
/// depend on this computer. A result that takes long may be large: it is in one of the `files`, as the constants of
/// a model are, and none of them stays in memory.
pub(crate) fn fold(
    operator: &Operator,
    output: usize,
    inputs: &[&Tensor],
    files: &mut Vec<Mapped>,
) -> Result<Option<Bytes>, BuildError> {
    let values: Option<Vec<Bytes>> = inputs.iter().map(|tensor| tensor.value.clone()).collect();
    let Some(values) = values else { return Ok(None) };
    let types: Vec<TensorType> = inputs.iter().map(|tensor| tensor.ty.clone()).collect();
    let given = values.iter().fold(0u64, |sum, value| sum.saturating_add(value.len() as u64));
    let definition = match operator.define(&types, output)? {
        Some(Meaning::Computed(definition)) => definition,
        _ => return Ok(Some(evaluate(operator, output, &types, &values)?)),
    };
    if definition.output.bytes().is_none_or(|bytes| bytes > given.saturating_mul(2).max(MOST_MADE))
        || definition.work() > MOST
    {
        return Ok(None);
    }
    if definition.work() <= FEW {
        return Ok(Some(evaluate(operator, output, &types, &values)?));
    }
    let values: Vec<&[u8]> = values.iter().map(AsRef::as_ref).collect();
    compute(&definition, &values, files)
}

/// The result as a mapping of a file without a name. `None` if the engine can't compute it.
fn compute(
    definition: &Definition,
    inputs: &[&[u8]],
    files: &mut Vec<Mapped>,
) -> Result<Option<Bytes>, BuildError> {
    let isa = Isa::chosen().map_err(|error| BuildError::Engine { reason: error.to_string() })?;
    let Ok(prepared) = Prepared::new(isa, definition) else { return Ok(None) };
    let room = |source: std::io::Error| BuildError::Room {
        bytes: definition.output.bytes().unwrap_or(u64::MAX),
        folder: std::env::temp_dir(),
        reason: source.to_string(),
    };
    let copies = inputs.iter().zip(&definition.inputs).map(|(input, ty)| aligned(input, ty));
    let copies: Vec<Option<Mapped>> = copies.collect::<Result<_, _>>().map_err(room)?;
    let inputs: Vec<&[u8]> =
        inputs.iter().zip(&copies).map(|(input, copy)| copy.as_deref().unwrap_or(input)).collect();
    let mut output = Draft::new(definition.output.bytes().unwrap_or(u64::MAX)).map_err(room)?;
    for part in parts(definition) {
        prepared.run(&inputs, &mut output, &part).map_err(|error| match error {
            RunError::Input(error) => BuildError::Fold(error),
            error => BuildError::Engine { reason: error.to_string() },
        })?;
        output.release();
        files.iter().chain(copies.iter().flatten()).for_each(Mapped::release);
    }
    let output = output.finish().map_err(room)?;
    files.push(output.clone());
    Ok(Some(Bytes::from_owner(output)))
}

/// A copy of a tensor in a file, if its elements aren't aligned, as in a model's file they need not be.
fn aligned(bytes: &[u8], ty: &TensorType) -> std::io::Result<Option<Mapped>> {
    if bytes.as_ptr().addr().is_multiple_of(ty.dtype.size() as usize) {
        return Ok(None);
    }
    let mut draft = Draft::new(bytes.len() as u64)?;
    for (to, from) in draft.chunks_mut(AT_ONCE as usize).zip(bytes.chunks(AT_ONCE as usize)) {
        to.copy_from_slice(from);
    }
    draft.finish().map(Some)
}

/// Cuts the output into boxes of about the same length along each axis, so that a box of a transposed matrix
/// touches few pages of the matrix. Rows stay whole.
fn parts(definition: &Definition) -> Vec<Vec<Range<u64>>> {
    let shape = &definition.output.shape;
    let mut tile = shape.clone();
    let in_row = |axis: usize| definition.row.iter().any(|row| row.index() == axis);
    while tile.iter().fold(1, |count: u64, &size| count.saturating_mul(size)) > AT_ONCE {
        let longest = (0..tile.len()).filter(|&axis| !in_row(axis) && tile[axis] > 1);
        let Some(longest) = longest.max_by_key(|&axis| tile[axis]) else { break };
        tile[longest] = tile[longest].div_ceil(2);
    }
    let mut parts = vec![Vec::new()];
    for (&size, &tile) in shape.iter().zip(&tile) {
        let ranges = (0..size).step_by(tile.max(1) as usize).map(|start| start..(start + tile).min(size));
        let ranges: Vec<Range<u64>> = ranges.collect();
        let extended = |part: &Vec<Range<u64>>| -> Vec<Vec<Range<u64>>> {
            ranges.iter().map(|range| [&part[..], std::slice::from_ref(range)].concat()).collect()
        };
        parts = parts.iter().flat_map(extended).collect();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use dnn_lib::operator::{MatMul, Transpose};
    use dnn_lib::tensor::DType;

    fn constant(dtype: DType, shape: &[u64], value: Bytes) -> Tensor {
        Tensor { name: "w".to_owned(), ty: TensorType::new(dtype, shape.to_vec()), value: Some(value) }
    }

    fn numbers(count: u64) -> Vec<u8> {
        (0..count as u32).flat_map(|index| (index.wrapping_mul(0x9e37_79b9) >> 9).to_le_bytes()).collect()
    }

    #[test]
    fn a_large_transposed_matrix_is_computed_and_is_in_a_file() {
        let (rows, columns) = (2500u64, 3500u64);
        let bytes = numbers(rows * columns);
        // In a model's file, elements may be anywhere.
        for offset in [0, 1] {
            let value = Bytes::from([vec![0; offset], bytes.clone()].concat()).slice(offset..);
            let w = constant(DType::F32, &[rows, columns], value);
            let mut files = Vec::new();
            let transpose = Transpose { perm: Some(vec![1, 0]) }.into();
            let folded = fold(&transpose, 0, &[&w], &mut files).unwrap().unwrap();
            assert_eq!(files.len(), 1);
            assert_eq!(files[0].as_ptr(), folded.as_ptr());
            let (from, _) = bytes.as_chunks::<4>();
            let (to, _) = folded.as_chunks::<4>();
            let right = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
            assert!(to.iter().eq(right.map(|index| &from[index as usize])), "{offset}");
        }
    }

    #[test]
    fn the_engine_computes_what_the_evaluator_does() {
        let (side, mut files) = (200, Vec::new());
        let w = constant(DType::F32, &[side, side], numbers(side * side).into());
        let folded = fold(&MatMul.into(), 0, &[&w, &w], &mut files).unwrap().unwrap();
        assert_eq!(files.len(), 1, "it was for the evaluator");
        let Some(Meaning::Computed(definition)) =
            Operator::from(MatMul).define(&[w.ty.clone(), w.ty.clone()], 0).unwrap()
        else {
            panic!("a product is computed")
        };
        let bytes = w.value.unwrap();
        assert_eq!(folded, definition.eval(&[&bytes, &bytes]).unwrap());
    }

    #[test]
    fn a_large_result_made_of_little_is_left_to_the_machine() {
        let column = constant(DType::F32, &[3000, 1], numbers(3000).into());
        let row = constant(DType::F32, &[1, 3000], numbers(3000).into());
        let product = |left, right| fold(&MatMul.into(), 0, &[left, right], &mut Vec::new()).unwrap();
        assert_eq!(product(&column, &row), None);
        assert!(product(&row, &column).is_some());
    }

    #[test]
    fn parts_cover_the_output_once() {
        let softmax = dnn_lib::operator::Softmax { axis: 1 };
        let transpose = Transpose { perm: Some(vec![2, 0, 1]) };
        let cases: [(Operator, &[u64], usize); 3] = [
            (transpose.into(), &[2999, 1, 5001], 4),
            (softmax.into(), &[3, 1 << 21, 2], 4),
            (MatMul.into(), &[7, 7], 1),
        ];
        for (operator, shape, count) in cases {
            let ty = TensorType::new(DType::F32, shape.to_vec());
            let inputs = if operator.name() == "MatMul" { vec![ty.clone(), ty] } else { vec![ty] };
            let Some(Meaning::Computed(definition)) = operator.define(&inputs, 0).unwrap() else {
                panic!("{} is computed", operator.name())
            };
            let parts = parts(&definition);
            assert_eq!(parts.len(), count, "{}", operator.name());
            let size =
                |part: &Vec<Range<u64>>| part.iter().map(|range| range.end - range.start).product::<u64>();
            assert_eq!(Some(parts.iter().map(size).sum()), definition.output.elements());
            let apart = |first: &Vec<Range<u64>>, second: &Vec<Range<u64>>| {
                first.iter().zip(second).any(|(a, b)| a.end <= b.start || b.end <= a.start)
            };
            let mut pairs = (0..count).flat_map(|first| (0..first).map(move |second| (first, second)));
            assert!(pairs.all(|(first, second)| apart(&parts[first], &parts[second])));
        }
    }
}
