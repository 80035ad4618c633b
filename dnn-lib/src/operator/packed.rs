//! Products with packed weights.

use crate::definition::{Affine, Builder, Coordinate, Over, Source};
use crate::operator::error::{SINGLES, check_attribute, check_shape};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Conversion, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// The product of A [..., depth] and a matrix of packed integers, less zero points, times scales. Inputs: A,
/// the integers [columns, blocks, bytes], the scales, optionally the zero points, which are packed likewise.
/// A column has blocks of integers with one scale and one zero point each; without zero points, it is half of
/// the range.
///
/// A weight is rounded once, and the sum takes one fused multiply-add each, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMulNBits {
    /// The rows of the matrix.
    pub depth: u64,
    /// The columns of the matrix.
    pub columns: u64,
    /// The number of integers in a block.
    pub block: u64,
    /// The size of an integer: 4 or 8.
    pub bits: u64,
}

impl MatMulNBits {
    /// The number of blocks in a column, the bytes of a block, and the bytes of a column's zero points.
    fn sizes(&self) -> Result<[u64; 3], Problem> {
        let Self { depth, block, bits, .. } = *self;
        check_attribute("bits", bits, matches!(bits, 4 | 8), || "must be 4 or 8".to_owned())?;
        let even = block > 0 && block.is_multiple_of(8 / bits) && block <= 1 << 16;
        check_attribute("block_size", block, even, || "must be a number of whole bytes".to_owned())?;
        let blocks = depth.div_ceil(block);
        Ok([blocks, block / (8 / bits), blocks.div_ceil(8 / bits)])
    }

    /// One of the integers in a byte.
    fn unpacked(&self, b: &mut Builder, byte: Value, place: Value) -> Value {
        if self.bits == 8 {
            return byte;
        }
        let count = b.mul_const(place, 4);
        let count = b.convert(Conversion::Truncate, Type::I32, count);
        let (shifted, mask) = (b.shr_u(byte, count), b.i32(15));
        b.and(shifted, mask)
    }
}

impl Semantics for MatMulNBits {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = inputs[0].dtype;
        for (input, ty) in inputs.iter().enumerate() {
            let expected = match input {
                0 => SINGLES.to_vec(),
                2 => vec![dtype],
                _ => vec![DType::U8],
            };
            if !expected.contains(&ty.dtype) {
                return Err(Problem::DType { input, found: ty.dtype, expected });
            }
        }
        let [blocks, bytes, zeros] = self.sizes()?;
        let right = inputs[0].shape.last() == Some(&self.depth);
        check_shape(inputs, 0, right, || format!("must have {} columns", self.depth))?;
        for (input, size) in [(1, blocks * bytes), (2, blocks), (3, zeros)] {
            let size = self.columns.checked_mul(size);
            let right = inputs.get(input).is_none_or(|ty| ty.elements() == size);
            check_shape(inputs, input, right, || {
                format!("must have {} columns of {blocks} blocks, of {bytes} bytes each", self.columns)
            })?;
        }
        let mut shape = inputs[0].shape.clone();
        shape.pop();
        shape.push(self.columns);
        Ok(TensorType::new(dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let [blocks, bytes, zeros] = self.sizes()?;
        let Self { depth, columns, block, bits } = *self;
        let rows = output.shape[..output.shape.len() - 1].iter().product();
        let in_byte = 8 / bits;
        let shapes =
            [vec![rows, depth], vec![columns, blocks, bytes], vec![columns, blocks], vec![columns, zeros]];
        let seen = inputs.iter().zip(shapes).map(|(ty, shape)| TensorType::new(ty.dtype, shape));
        let seen: Vec<TensorType> = seen.collect();
        let mut b = Builder::new("matmulnbits", &seen, &TensorType::new(output.dtype, [rows, columns]));
        let (row, column, start) = (b.at(0), b.at(1), b.f32(0.0));
        let over = [blocks, bytes, in_byte].map(Over::all);
        let sum = b.fold(over, &[start], |b, at, sum| {
            let [group, byte, part] = [0, 1, 2].map(|axis| at[axis].clone());
            let packed = b.load(Source::Input(1), [column.clone(), group.clone(), byte.clone()]);
            let place = b.index(part.clone());
            let q = self.unpacked(b, packed, place);
            let zero = if inputs.len() > 3 {
                let index = b.index(group.clone());
                let (byte, place) = b.div_rem(index, in_byte);
                let packed = b.load(Source::Input(3), [column.clone().into(), Coordinate::Value(byte)]);
                self.unpacked(b, packed, place)
            } else {
                b.i32(1 << (bits - 1))
            };
            let distance = b.sub(q, zero);
            let distance = b.cast(DType::I32, DType::F32, distance);
            let scale = b.load(Source::Input(2), [column.clone(), group.clone()]);
            let weight = b.mul(distance, scale);
            // The last block can be longer than the column.
            let k: Affine = group * block as i64 + byte * in_byte as i64 + part;
            let x = if depth.is_multiple_of(block) {
                b.load(Source::Input(0), [row.clone(), k])
            } else {
                let nothing = b.f32(0.0);
                b.load_or(Source::Input(0), [row.clone(), k], nothing)
            };
            vec![b.fma(x, weight, sum[0])]
        });
        Ok(b.finish(sum[0])?.into())
    }
}
