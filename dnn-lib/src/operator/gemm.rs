//! General matrix product.

use crate::definition::{Affine, Builder, Over, Source};
use crate::layout::{Dim, dims};
use crate::operator::error::{FLOATS, check_shape, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// Y = alpha * A' * B' + beta * C.
///
/// Each sum of products is complete before it is multiplied by alpha. Then beta * C is added by a fused
/// multiply-add (by a plain addition if beta is 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gemm {
    /// The factor of the product.
    pub alpha: f32,
    /// The factor of C.
    pub beta: f32,
    /// Whether A is given transposed.
    pub trans_a: bool,
    /// Whether B is given transposed.
    pub trans_b: bool,
}

impl Default for Gemm {
    fn default() -> Self {
        Self { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false }
    }
}

/// The dimensions of a matrix: rows and columns, exchanged if it is given transposed.
fn matrix(shape: &[u64], transposed: bool) -> Option<[Dim; 2]> {
    let [rows, columns] = dims(shape)[..] else { return None };
    Some(if transposed { [columns, rows] } else { [rows, columns] })
}

impl Gemm {
    fn matrices(&self, inputs: &[TensorType]) -> Result<[[Dim; 2]; 2], Problem> {
        let operand = |input: usize, transposed: bool| {
            matrix(&inputs[input].shape, transposed).ok_or_else(|| Problem::Shape {
                input,
                found: inputs[input].shape.clone(),
                expected: "must be a matrix".to_owned(),
            })
        };
        Ok([operand(0, self.trans_a)?, operand(1, self.trans_b)?])
    }
}

impl Semantics for Gemm {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, FLOATS)?;
        let [[rows, depth], [b_depth, columns]] = self.matrices(inputs)?;
        check_shape(inputs, 1, depth.size == b_depth.size, || {
            format!(
                "must have {} rows{}, as many as A' has columns",
                depth.size,
                if self.trans_b { " (its columns: transB)" } else { "" }
            )
        })?;
        let shape = vec![rows.size, columns.size];
        if let Some(c) = inputs.get(2) {
            let fits = c.shape.len() <= 2
                && crate::layout::broadcast_shape(&c.shape, &shape).as_ref() == Some(&shape);
            check_shape(inputs, 2, fits, || format!("must be broadcast to {shape:?}"))?;
        }
        Ok(TensorType::new(dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let (dtype, depth) = (output.dtype, self.matrices(inputs)?[0][1].size);
        let mut b = Builder::new("gemm", inputs, output);
        let zero = b.number(Type::of(dtype), 0);
        let sum = b.fold([Over::all(depth)], &[zero], |b, k, sum| {
            let order = |row: Affine, column: Affine, exchanged| {
                if exchanged { [column, row] } else { [row, column] }
            };
            let x = b.load(Source::Input(0), order(b.at(0), k[0].clone(), self.trans_a));
            let y = b.load(Source::Input(1), order(k[0].clone(), b.at(1), self.trans_b));
            vec![b.fma(x, y, sum[0])]
        });
        let mut result = sum[0];
        if self.alpha != 1.0 {
            let alpha = float(&mut b, dtype, self.alpha);
            result = b.mul(alpha, result);
        }
        if inputs.len() > 2 {
            let c = b.broadcast(2);
            result = if self.beta == 1.0 {
                b.add(result, c)
            } else {
                let beta = float(&mut b, dtype, self.beta);
                b.fma(beta, c, result)
            };
        }
        Ok(b.finish(result)?.into())
    }
}

fn float(b: &mut impl Ops, dtype: DType, x: f32) -> Value {
    if dtype == DType::F64 { b.f64(x.into()) } else { b.f32(x) }
}
