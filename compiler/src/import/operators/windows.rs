//! Windows of signals, and the weights of mel bands: constants, computed in binary64 with additions,
//! multiplications and divisions only, so that every computer makes the same.

use dnn_lib::operator as op;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use super::signal::circle;
use crate::error::NodeError;
use crate::import::call::Call;

const WHY: &str = "it decides the shape of the output";

pub(super) const ATTRIBUTES: &[&str] = &["output_datatype", "periodic"];

/// The factors of the cosines of 0, 1 and 2 turns that are a window.
pub(super) const BLACKMAN: [f64; 3] = [0.42, -0.5, 0.08];
pub(super) const HAMMING: [f64; 3] = [25.0 / 46.0, -21.0 / 46.0, 0.0];
pub(super) const HANN: [f64; 3] = [0.5, -0.5, 0.0];

/// The most elements.
const MOST: u64 = 1 << 22;

/// A window. A periodic one lacks the last element of a symmetric one; a symmetric one of one element is 1.
pub(super) fn window(call: &mut Call<'_>, factors: [f64; 3]) -> Result<Vec<TensorId>, NodeError> {
    let found = call.constant_int(0, WHY)?;
    let size = u64::try_from(found).ok().filter(|&size| size <= MOST);
    let size = size.ok_or_else(|| call.input_error(0, found, "0 to 2^22"))?;
    let turns = if call.flag("periodic", true)? { size } else { size.saturating_sub(1) };
    let element = |place: u64| match turns {
        0 => 1.0,
        _ => (0..).zip(factors).fold(0.0, |sum, (turn, factor)| sum + factor * circle(turn * place, turns).0),
    };
    let elements: Vec<f64> = (0..size).map(element).collect();
    as_type(call, &elements, &[size])
}

/// A constant of the type that the node names.
fn as_type(call: &mut Call<'_>, elements: &[f64], shape: &[u64]) -> Result<Vec<TensorId>, NodeError> {
    let to = call.element_type("output_datatype")?.unwrap_or(DType::F32);
    let bytes = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
    let wide = call.constant("wide", TensorType::new(DType::F64, shape), bytes);
    call.apply_to(op::Cast { to }, &[wide])
}

/// Inputs: the number of bands, the length of a transform, the samples in a second, the lowest and the highest
/// frequency.
pub(super) fn mel_weights(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let mut sizes = [0; 3];
    for (index, size) in sizes.iter_mut().enumerate() {
        let found = call.constant_int(index, WHY)?;
        *size = u64::try_from(found)
            .ok()
            .filter(|found| (1..=MOST).contains(found))
            .ok_or_else(|| call.input_error(index, found, "1 to 2^22"))?;
    }
    let [bands, length, rate] = sizes;
    let rows = length / 2 + 1;
    if bands.saturating_mul(rows) > MOST {
        return Err(call.input_error(0, bands, "at most 2^22 elements of the output"));
    }
    let mut mels = [0.0; 2];
    for (index, mel) in (3..).zip(&mut mels) {
        let found = call.constant_numbers(index, WHY)?.first().map_or(f64::NAN, |&(number, _)| number);
        if !(0.0..=1e9).contains(&found) {
            return Err(call.input_error(index, found, "0 to 10^9"));
        }
        *mel = 2595.0 * log(1.0 + found / 700.0) / std::f64::consts::LN_10;
    }
    let step = (mels[1] - mels[0]) / (bands + 2) as f64;
    let edge = |band: u64| {
        let mel = band as f64 * step + mels[0];
        let frequency = 700.0 * (exp(mel / 2595.0 * std::f64::consts::LN_10) - 1.0);
        ((length + 1) as f64 * frequency / rate as f64).floor() as u64
    };
    let edges: Vec<u64> = (0..bands + 2).map(edge).collect();
    let highest = edges.iter().copied().max().unwrap_or(0);
    if highest >= rows {
        let found = format!("at place {highest} of the transform");
        return Err(call.input_error(4, found, format!("frequencies below place {rows}")));
    }
    let mut elements = vec![0.0; (rows * bands) as usize];
    for (band, edge) in edges.windows(3).enumerate() {
        let mut set = |row: u64, weight: f64| elements[row as usize * bands as usize + band] = weight;
        let [left, centre, right] = [edge[0], edge[1], edge[2]];
        let part = |over: u64, all: u64| over as f64 / all as f64;
        (left..centre).for_each(|row| set(row, part(row - left, centre - left)));
        (centre..right).for_each(|row| set(row, part(right - row, right - centre)));
        if left <= centre {
            set(centre, 1.0);
        }
    }
    as_type(call, &elements, &[rows, bands])
}

/// The natural logarithm of a number from 1.
fn log(mut x: f64) -> f64 {
    let mut halves = 0;
    while x > 1.5 {
        x /= 2.0;
        halves += 1;
    }
    // The first terms of the series of the inverse hyperbolic tangent, the last one first.
    let t = (x - 1.0) / (x + 1.0);
    let series = (0..20).rev().fold(0.0, |sum, n| sum * t * t + 1.0 / f64::from(2 * n + 1));
    f64::from(halves) * std::f64::consts::LN_2 + 2.0 * t * series
}

/// e to the power of a small number.
fn exp(x: f64) -> f64 {
    let doublings = (x / std::f64::consts::LN_2) as i32;
    let rest = x - f64::from(doublings) * std::f64::consts::LN_2;
    let series = (1..25).rev().fold(1.0, |sum, n| 1.0 + sum * rest / f64::from(n));
    (0..doublings).fold(series, |y, _| 2.0 * y)
}

#[cfg(test)]
mod tests {
    use super::{exp, log};

    #[test]
    fn functions_are_accurate() {
        for n in 0..2000 {
            let x = 1.0 + f64::from(n) * 0.37;
            assert!((log(x) - x.ln()).abs() < 2e-15 * x.ln().max(1.0), "log {x}");
            let y = f64::from(n) * 0.01;
            assert!((exp(y) / y.exp() - 1.0).abs() < 1e-14, "exp {y}");
        }
    }
}
