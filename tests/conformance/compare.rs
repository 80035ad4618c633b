//! The comparison with stored outputs, as ONNX's runner makes it.

use dnn_lib::tensor::{DType, TensorType};
use onnx::Tensor;

use crate::case::Case;

/// What is wrong with an output.
pub fn compare(case: &Case, ty: &TensorType, found: &[u8], expected: &Tensor) -> Result<(), String> {
    let stored = TensorType::new(expected.dtype(), expected.dims());
    if *ty != stored {
        return Err(format!("is {ty}, expected {stored}"));
    }
    let Some(numbers) = floats(ty.dtype, found).zip(floats(ty.dtype, expected.bytes())) else {
        return if found == expected.bytes() { Ok(()) } else { Err(first_difference(ty, found, expected)) };
    };
    // Two units of a half's last place.
    let relative = match ty.dtype {
        DType::BF16 => case.relative.max(1.0 / 64.0),
        DType::F16 => case.relative.max(1.0 / 512.0),
        _ => case.relative,
    };
    for (place, (&found, &expected)) in numbers.0.iter().zip(&numbers.1).enumerate() {
        let close = (found - expected).abs() <= case.absolute + relative * expected.abs();
        if !(close || found == expected || (found.is_nan() && expected.is_nan())) {
            return Err(format!("element {place} is {found:e}, expected {expected:e}"));
        }
    }
    Ok(())
}

/// The first element of integers or booleans that differs.
fn first_difference(ty: &TensorType, found: &[u8], expected: &Tensor) -> String {
    let size = ty.dtype.size() as usize;
    let pairs = found.chunks(size).zip(expected.bytes().chunks(size));
    let place = pairs.clone().position(|(found, expected)| found != expected).unwrap_or(0);
    let (found, expected) = pairs.clone().nth(place).unwrap_or_default();
    format!("element {place} has bytes {found:x?}, expected {expected:x?}")
}

/// Floats as numbers; `None` for other types.
fn floats(dtype: DType, bytes: &[u8]) -> Option<Vec<f64>> {
    let single = |bits: u32| f64::from(f32::from_bits(bits));
    Some(match dtype {
        DType::F32 => bytes.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x).into()).collect(),
        DType::F64 => bytes.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x)).collect(),
        DType::F16 => bytes.as_chunks().0.iter().map(|&x| half(u16::from_le_bytes(x))).collect(),
        DType::BF16 => {
            bytes.as_chunks().0.iter().map(|&x| single(u32::from(u16::from_le_bytes(x)) << 16)).collect()
        }
        _ => return None,
    })
}

/// The number that a binary16 stands for.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[test]
fn halves_are_read() {
    for (bits, number) in
        [(0x3c00, 1.0), (0xc500, -5.0), (1, 2f64.powi(-24)), (0x7bff, 65504.0), (0xfc00, f64::NEG_INFINITY)]
    {
        assert_eq!(half(bits), number);
    }
    assert!(half(0x7e00).is_nan());
}
