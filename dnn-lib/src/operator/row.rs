//! Rows of a tensor by a number that is known only in the run: what repetitions read and write.

use crate::definition::{Builder, Coordinate, Source};
use crate::operator::error::{check_shape, movable, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::Ops;
use crate::tensor::{DType, TensorType};

/// The part of a tensor at an index of its first axis. An index out of range takes the nearest part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakeRow;

/// A tensor with another part at an index of its first axis. An index out of range changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutRow;

/// Checks the tensor of all rows and the number of one, a scalar; the type of a row.
fn row(inputs: &[TensorType], number: usize) -> Result<TensorType, Problem> {
    let dtype = same_dtype(&inputs[..1], &movable())?;
    check_shape(inputs, 0, inputs[0].shape.first().is_some_and(|&rows| rows > 0), || {
        "there must be a first axis, and something along it".to_owned()
    })?;
    if inputs[number].dtype != DType::I64 {
        return Err(Problem::DType {
            input: number,
            found: inputs[number].dtype,
            expected: vec![DType::I64],
        });
    }
    check_shape(inputs, number, inputs[number].shape.is_empty(), || "must be a scalar".to_owned())?;
    Ok(TensorType::new(dtype, &inputs[0].shape[1..]))
}

impl Semantics for TakeRow {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        row(inputs, 1)
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let moved = [inputs[0].as_integers(), inputs[1].clone()];
        let mut b = Builder::new("takerow", &moved, &output.as_integers());
        let number = b.broadcast(1);
        let at = b.indices().into_iter().map(Coordinate::from);
        let value = b.load(Source::Input(0), std::iter::once(Coordinate::from(number)).chain(at));
        Ok(b.finish(value)?.into())
    }
}

impl Semantics for PutRow {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let row = row(inputs, 2)?;
        let fits = inputs[1] == row;
        check_shape(inputs, 1, fits, || format!("must be a row, of type {row}"))?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let moved = [inputs[0].as_integers(), inputs[1].as_integers(), inputs[2].clone()];
        let mut b = Builder::new("putrow", &moved, &output.as_integers());
        let number = b.load(Source::Input(2), <[Coordinate; 0]>::default());
        let here = b.index(b.at(0));
        let hit = b.eq(here, number);
        let at = b.indices();
        let row = b.load(Source::Input(1), at[1..].to_vec());
        let old = b.load(Source::Input(0), at);
        let value = b.select(hit, row, old);
        Ok(b.finish(value)?.into())
    }
}
