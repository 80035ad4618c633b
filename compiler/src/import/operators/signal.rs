//! Fourier transforms, by their definition: as products with constant matrices of cosines and sines.

use bytes::Bytes;
use dnn_lib::operator::{self as op, Conv, Padding, Window};
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

const WHY: &str = "it decides the shape of the output";
const LENGTHS: &str = "lengths from 1 whose transforms are matrices of at most 2^23 numbers";

/// The most elements of a matrix.
const MOST: u64 = 1 << 25;

/// The cosine and the sine of `turn / turns` of a circle. With additions and multiplications only, so that
/// every computer makes the same tables.
pub(super) fn circle(turn: u64, turns: u64) -> (f64, f64) {
    // Counted in eighths, an angle is a part of an eighth, forwards or backwards.
    let place = u128::from(turn % turns) * 8;
    let (eighth, rest) = ((place / u128::from(turns)) as u64, (place % u128::from(turns)) as f64);
    let part = rest / turns as f64;
    let angle = (if eighth % 2 == 0 { part } else { 1.0 - part }) * std::f64::consts::FRAC_PI_4;
    let square = angle * angle;
    // The first twelve terms of the series, the last one first.
    let series = |first: f64| {
        (0..12)
            .rev()
            .map(|n| first + 2.0 * f64::from(n))
            .fold(1.0, |sum, n| 1.0 - square / ((n + 1.0) * (n + 2.0)) * sum)
    };
    let (cosine, sine) = (series(0.0), angle * series(1.0));
    match eighth {
        0 => (cosine, sine),
        1 => (sine, cosine),
        2 => (-sine, cosine),
        3 => (-cosine, sine),
        4 => (-cosine, -sine),
        5 => (-sine, -cosine),
        6 => (sine, -cosine),
        _ => (cosine, -sine),
    }
}

/// A transform of signals of a length.
struct Transform {
    length: u64,
    /// How many elements of a signal there are; those that are missing are 0.
    given: u64,
    /// Whether signals are complex.
    complex: bool,
    inverse: bool,
    /// Whether what follows from symmetry is left out: of the result, or of the signal of an inverse
    /// transform.
    onesided: bool,
}

impl Transform {
    /// The number of elements of the result, and whether they are complex.
    fn result(&self) -> (u64, bool) {
        match (self.onesided, self.inverse) {
            (true, false) => (self.length / 2 + 1, true),
            (true, true) => (self.length, false),
            (false, _) => (self.length, true),
        }
    }

    /// Whether the matrix is not too large.
    fn fits(&self) -> bool {
        let size = self.given.checked_mul(self.result().0);
        self.length > 0 && self.given > 0 && size.is_some_and(|size| size <= MOST / 4)
    }

    /// The matrix, by rows for the parts of the elements of a signal and columns for those of the result.
    fn matrix(&self) -> Vec<f64> {
        let turns: Vec<(f64, f64)> = (0..self.length).map(|turn| circle(turn, self.length)).collect();
        let (count, complex) = self.result();
        let mut matrix = Vec::new();
        for row in 0..self.given {
            // An element of a one-sided signal stands for two of the whole, but for the first and the middle
            // one.
            let alone = row == 0 || 2 * row == self.length;
            let whole = if self.onesided && self.inverse && !alone { 2.0 } else { 1.0 };
            let known = row < self.length && !(self.onesided && self.inverse && row > self.length / 2);
            let scale = whole / if self.inverse { self.length as f64 } else { 1.0 };
            for imaginary in [false, true].into_iter().take(1 + usize::from(self.complex)) {
                for column in 0..count {
                    let turn = (u128::from(row) * u128::from(column) % u128::from(self.length)) as usize;
                    let (cosine, sine) = turns[turn];
                    let sine = if self.inverse { sine } else { -sine };
                    let (real, other) = if imaginary { (-sine, cosine) } else { (cosine, sine) };
                    let parts = [real, other].into_iter().take(1 + usize::from(complex));
                    matrix.extend(parts.map(|part| if known { part * scale } else { 0.0 }));
                }
            }
        }
        matrix
    }
}

fn floats(call: &Call<'_>, index: usize, values: &[f64]) -> Result<(DType, Bytes), NodeError> {
    let tensor = call.tensor(call.input(index)?);
    match tensor.ty.dtype {
        DType::F32 => Ok((DType::F32, values.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect())),
        DType::F64 => Ok((DType::F64, values.iter().flat_map(|x| x.to_le_bytes()).collect())),
        found => Err(NodeError::ElementType {
            index,
            tensor: tensor.name.clone(),
            found: onnx::element_name(found),
            expected: "float or double".to_owned(),
        }),
    }
}

/// The axis is an attribute or, since opset 20, an input.
pub(super) fn dft(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let input = call.input(0)?;
    let shape = call.ty(input).shape.clone();
    let rank = shape.len() as i64;
    let axis = match call.optional(2) {
        Some(_) => call.constant_int(2, WHY)?,
        None => call.int("axis")?.unwrap_or(if call.opset < 20 { 1 } else { -2 }),
    };
    let parts = shape.last().copied().unwrap_or(0);
    let place = if axis < 0 { axis + rank } else { axis };
    if rank < 2 || !matches!(parts, 1 | 2) || !(0..rank - 1).contains(&place) {
        let found = format!("{axis} of {shape:?}");
        return Err(value_error("axis", &found, "an axis before the last one, whose size is 1 or 2"));
    }
    let place = place as usize;
    let (inverse, onesided) = (call.flag("inverse", false)?, call.flag("onesided", false)?);
    let given = shape[place];
    let length = match call.optional(1) {
        Some(_) => call.constant_int(1, WHY)?.max(0).cast_unsigned(),
        None if inverse && onesided => 2 * (given.max(1) - 1),
        None => given,
    };
    let transform = Transform { length, given, complex: parts == 2, inverse, onesided };
    let (count, complex) = transform.result();
    if !transform.fits() {
        return Err(value_error("dft_length", &length, LENGTHS));
    }
    let (dtype, bytes) = floats(call, 0, &transform.matrix())?;
    let results = 1 + u64::from(complex);
    let matrix = TensorType::new(dtype, [given * parts, count * results]);
    let matrix = call.constant("matrix", matrix, bytes);
    // The axis goes before the parts, and both are one.
    let last = rank as usize - 1;
    let mut order: Vec<u64> = (0..rank as u64).collect();
    order.remove(place);
    order.insert(last - 1, place as u64);
    let mut outer: Vec<i64> = shape.iter().map(|&size| size.cast_signed()).collect();
    outer.truncate(last);
    outer.remove(place);
    let rows = [&outer[..], &[(given * parts).cast_signed()]].concat();
    let turned = call.step("turned", op::Transpose { perm: Some(order.clone()) }, &[input])?;
    let rows = call.step("rows", op::Reshape { shape: rows, allow_zero: true }, &[turned])?;
    let product = call.step("product", op::MatMul, &[rows, matrix])?;
    let split = [&outer[..], &[count.cast_signed(), results.cast_signed()]].concat();
    let split = call.step("split", op::Reshape { shape: split, allow_zero: true }, &[product])?;
    let mut back: Vec<u64> = (0..rank as u64).collect();
    let moved = back.remove(last - 1);
    back.insert(place, moved);
    call.apply_to(op::Transpose { perm: Some(back) }, &[split])
}

/// Transforms of windows of a signal: a convolution.
pub(super) fn stft(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let signal = call.input(0)?;
    let shape = call.ty(signal).shape.clone();
    let (batch, samples, parts) = match shape[..] {
        [batch, samples] => (batch, samples, 1),
        [batch, samples, parts @ (1 | 2)] => (batch, samples, parts),
        _ => {
            let supported = "[batch, length, 1] or [batch, length, 2]";
            return Err(call.input_error(0, format!("of shape {shape:?}"), supported));
        }
    };
    let step = call.constant_int(1, WHY)?;
    let window = call.optional(2);
    let length = match (call.optional(3), window) {
        (Some(_), _) => call.constant_int(3, WHY)?,
        (None, Some(window)) => call.ty(window).shape.first().copied().unwrap_or(0).cast_signed(),
        (None, None) => samples.cast_signed(),
    };
    let complex = parts == 2;
    let onesided = call.flag("onesided", true)? && !complex;
    let length = u64::try_from(length).unwrap_or(0);
    let step = u64::try_from(step).unwrap_or(0);
    let transform = Transform { length, given: length, complex, inverse: false, onesided };
    if !transform.fits() {
        return Err(value_error("frame_length", &length, LENGTHS));
    }
    let (count, _) = transform.result();
    let (dtype, bytes) = floats(call, 0, &transform.matrix())?;
    let mut matrix = call.constant("matrix", TensorType::new(dtype, [length, parts, 2 * count]), bytes);
    if let Some(window) = window {
        let column = op::Reshape { shape: vec![length.cast_signed(), 1, 1], allow_zero: true };
        let column = call.step("window", column, &[window])?;
        matrix = call.step("weighted", op::Mul, &[matrix, column])?;
    }
    let filters = call.step("filters", op::Transpose { perm: Some(vec![2, 1, 0]) }, &[matrix])?;
    let whole = [batch, samples, parts].map(u64::cast_signed).to_vec();
    let whole = call.step("whole", op::Reshape { shape: whole, allow_zero: true }, &[signal])?;
    let channels = call.step("channels", op::Transpose { perm: Some(vec![0, 2, 1]) }, &[whole])?;
    let padding = Padding::Explicit(Vec::new());
    let window = Window { strides: vec![step], dilations: Vec::new(), padding };
    let frames = call.step("frames", Conv { window, group: 1 }, &[channels, filters])?;
    let turned = call.step("turned", op::Transpose { perm: Some(vec![0, 2, 1]) }, &[frames])?;
    let frames = call.ty(turned).shape[1];
    let shape = [batch, frames, count, 2].map(u64::cast_signed).to_vec();
    call.apply_to(op::Reshape { shape, allow_zero: true }, &[turned])
}

#[cfg(test)]
mod tests {
    use super::circle;

    #[test]
    fn a_circle_is_round() {
        for turns in [1, 2, 3, 7, 8, 360, 512, 1000] {
            for turn in 0..2 * turns {
                let angle = std::f64::consts::TAU * (turn % turns) as f64 / turns as f64;
                let (cosine, sine) = circle(turn, turns);
                assert!((cosine - angle.cos()).abs() < 1e-15, "cosine of {turn}/{turns}");
                assert!((sine - angle.sin()).abs() < 1e-15, "sine of {turn}/{turns}");
            }
        }
    }
}
