//! The determinant, by elimination.

use dnn_lib::operator as op;
use dnn_lib::scalar::Type;
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::Call;

/// The largest matrix. Each row is some nodes.
const MOST: u64 = 128;

/// Rows are eliminated from the first column on, each time with the first of the rows with the largest magnitude
/// there. That row changes places with the first. The result is the product of all pivots.
pub(super) fn det(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    call.check_float(0)?;
    let x = call.input(0)?;
    let ty = call.ty(x).clone();
    let [outer @ .., rows, columns] = &ty.shape[..] else {
        return Err(call.shape_error(0, "[..., M, M]"));
    };
    if rows != columns || *rows > MOST {
        return Err(call.shape_error(0, format!("[..., M, M] with M to {MOST}")));
    }
    // Halves are computed with as binary32, and rounded at the end.
    let computed = Type::of(ty.dtype).dtype();
    let single = call.cast("single", x, computed)?;
    let shape: Vec<i64> = outer.iter().map(|size| size.cast_signed()).collect();
    let batch = outer.iter().fold(1, |product: u64, &size| product.saturating_mul(size));
    let mut matrix = call.reshaped("matrices", single, &[batch, *rows, *rows])?;
    let mut product = call.number("one", 1.0, computed);
    for size in (1..=rows.cast_signed()).rev() {
        let (pivot, rest) = eliminated(call, matrix, size)?;
        product = call.step("product", op::Mul, &[product, pivot])?;
        matrix = rest;
    }
    if *rows == 0 {
        product = call.step("product", op::Expand { shape: vec![batch, 1, 1] }, &[product])?;
    }
    let stored = call.cast("stored", product, ty.dtype)?;
    call.apply_to(op::Reshape { shape, allow_zero: true }, &[stored])
}

/// The first pivot of matrices, with its sign, and what is left of them.
fn eliminated(call: &mut Call<'_>, matrix: TensorId, size: i64) -> Result<(TensorId, TensorId), NodeError> {
    let part = |axis, start, end| op::Slice {
        axes: Some(vec![axis]),
        starts: vec![start],
        ends: vec![end],
        steps: vec![1],
    };
    let column = call.step("column", part(2, 0, 1), &[matrix])?;
    if size == 1 {
        return Ok((column, matrix));
    }
    let magnitudes = call.step("magnitudes", op::Abs, &[column])?;
    let largest = op::ArgMax { axis: 1, keep_dims: true, last: false };
    let place = call.step("place", largest, &[magnitudes])?;
    let batch = call.ty(matrix).shape[0];
    let along = op::Expand { shape: vec![batch, 1, size.cast_unsigned()] };
    let along = call.step("along", along, &[place])?;
    let row = call.step("row", op::GatherElements { axis: 1 }, &[matrix, along])?;
    let pivot = call.step("pivot", part(2, 0, 1), &[row])?;

    let (first, others) =
        (call.step("first", part(1, 0, 1), &[matrix])?, call.step("others", part(1, 1, size), &[matrix])?);
    let numbers: Vec<i64> = (1..size).collect();
    let numbers = call.constant_list("numbers", &numbers);
    let numbers = call.reshaped("rows", numbers, &[1, size.cast_unsigned() - 1, 1])?;
    let moved = call.step("moved", op::Equal, &[numbers, place])?;
    let others = call.step("exchanged", op::Where, &[moved, first, others])?;

    let computed = call.ty(matrix).dtype;
    let zero = call.number("zero", 0.0, computed);
    let none = call.step("none", op::Equal, &[pivot, zero])?;
    let heads = call.step("heads", part(2, 0, 1), &[others])?;
    let factors = call.step("factors", op::Div, &[heads, pivot])?;
    let factors = call.step("finite", op::Where, &[none, zero, factors])?;
    let (row, others) =
        (call.step("tail", part(2, 1, size), &[row])?, call.step("tails", part(2, 1, size), &[others])?);
    let taken = call.step("taken", op::Mul, &[factors, row])?;
    let rest = call.step("rest", op::Sub, &[others, taken])?;

    let start = call.constant_list("start", &[0]);
    let stays = call.step("stays", op::Equal, &[place, start])?;
    let negative = call.step("negative", op::Neg, &[pivot])?;
    Ok((call.step("signed", op::Where, &[stays, pivot, negative])?, rest))
}
