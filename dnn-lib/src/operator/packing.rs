//! Elements that share a byte. Definitions see the bytes.

use crate::definition::{Builder, Coordinate, Source};
use crate::layout::strides;
use crate::operator::{Meaning, Problem};
use crate::scalar::{Conversion, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// A tensor as definitions see it: a list of bytes, if elements share them.
pub(super) fn seen(ty: &TensorType) -> TensorType {
    match ty.bytes() {
        Some(bytes) if ty.dtype.is_packed() => TensorType::new(DType::U8, [bytes]),
        _ => ty.clone(),
    }
}

/// An element of an input, which may share its byte.
pub(super) fn element(b: &mut Builder, ty: &TensorType, input: usize, at: Vec<Coordinate>) -> Value {
    let source = Source::Input(input as u32);
    if !ty.dtype.is_packed() {
        return b.load(source, at);
    }
    let mut place = b.i64(0);
    for (at, stride) in at.into_iter().zip(strides(&ty.shape)) {
        let at = match at {
            Coordinate::Affine(at) => b.index(at),
            Coordinate::Value(at) => at,
        };
        let distance = b.mul_const(at, stride.cast_signed());
        place = b.add(place, distance);
    }
    let bits = ty.dtype.bits() as i32;
    let (byte, part) = b.div_rem(place, 8 / ty.dtype.bits());
    let byte = b.load(source, [Coordinate::Value(byte)]);
    let part = b.convert(Conversion::Truncate, Type::I32, part);
    let (size, top) = (b.i32(bits), b.i32(32 - bits));
    // The bits go to the top, and from there to the bottom.
    let below = b.mul(part, size);
    let above = b.sub(top, below);
    let shifted = b.shl(byte, above);
    let signed = matches!(ty.dtype, DType::I2 | DType::I4);
    if signed { b.shr_s(shifted, top) } else { b.shr_u(shifted, top) }
}

/// Ends the definition of an output, of which each element, given its coordinates, is a value.
pub(super) fn finish(
    mut b: Builder,
    output: &TensorType,
    element: impl Fn(&mut Builder, &[Coordinate]) -> Result<Value, Problem>,
) -> Result<Meaning, Problem> {
    if !output.dtype.is_packed() {
        let at: Vec<Coordinate> = b.indices().into_iter().map(Coordinate::from).collect();
        let y = element(&mut b, &at)?;
        return Ok(b.finish(y)?.into());
    }
    let bits = output.dtype.bits();
    let byte = b.index(b.at(0));
    let first = b.mul_const(byte, 8 / bits as i64);
    let mask = b.i32((1 << bits) - 1);
    let mut all = b.i32(0);
    for part in 0..8 / bits {
        let place = b.add_const(first, part.cast_signed());
        let at = coordinates(&mut b, &output.shape, place);
        let mut own = element(&mut b, &at)?;
        own = b.and(own, mask);
        if part > 0 {
            // The last byte may not be full. What holds no element is 0.
            let (count, nothing) = (b.i64(output.elements().unwrap_or(0).cast_signed()), b.i32(0));
            let is_there = b.lt(place, count);
            own = b.select(is_there, own, nothing);
            let places = b.i32((part * bits) as i32);
            own = b.shl(own, places);
        }
        all = b.or(all, own);
    }
    Ok(b.finish(all)?.into())
}

/// The coordinates of a place in row-major order.
fn coordinates(b: &mut Builder, shape: &[u64], place: Value) -> Vec<Coordinate> {
    let along = |(&size, stride): (&u64, u64)| {
        let (index, _) = b.div_rem(place, stride.max(1));
        Coordinate::Value(b.div_rem(index, size).1)
    };
    shape.iter().zip(strides(shape)).map(along).collect()
}
