//! Products of dequantized tensors. Their sums are those of the integers times the product of the scales, so they
//! are computed in integers: exactly, and faster.

use dnn_lib::operator as op;
use dnn_lib::tensor::DType;
use graph::TensorId;

use super::window;
use crate::error::NodeError;
use crate::import::call::Call;

/// What a tensor of floats was made from: bytes, each less its zero point and times its scale.
#[derive(Clone, Copy, Debug)]
pub(in crate::import) struct Dequantized {
    pub bytes: TensorId,
    /// One, or a vector along an axis.
    pub scale: TensorId,
    pub zero: Option<TensorId>,
    pub axis: usize,
}

impl Call<'_> {
    /// What two inputs were made from, if both were.
    fn both_dequantized(&self) -> Option<[Dequantized; 2]> {
        let [a, b] = [self.optional(0)?, self.optional(1)?];
        let known = &self.import.dequantized;
        Some([*known.get(&a)?, *known.get(&b)?])
    }

    /// Whether scales and zero points are one, or run along this axis.
    fn runs_along(&self, of: &Dequantized, axis: Option<usize>) -> bool {
        let is_one = |id: TensorId| self.ty(id).elements() == Some(1);
        let one = is_one(of.scale) && of.zero.is_none_or(is_one);
        one || Some(of.axis) == axis
    }

    /// A sum of products of bytes as the sum of products of floats.
    fn scaled(&mut self, sum: TensorId, scales: [TensorId; 2]) -> Result<TensorId, NodeError> {
        let sum = self.step("float", op::Cast { to: DType::F32 }, &[sum])?;
        let scale = self.step("scale", op::Mul, &scales)?;
        self.step("scaled", op::Mul, &[sum, scale])
    }

    /// The node's only output: the sum with a bias, if there is one.
    fn biased(&mut self, sum: TensorId, bias: Option<TensorId>) -> Result<Vec<TensorId>, NodeError> {
        match bias {
            Some(bias) => self.apply_to(op::Add, &[sum, bias]),
            None => self.apply_to(op::Identity, &[sum]),
        }
    }
}

/// MatMul, if rows of the left factor share a scale, or each has its own, and so do columns of the right one.
pub(super) fn matmul(call: &mut Call<'_>) -> Result<Option<Vec<TensorId>>, NodeError> {
    let Some([a, b]) = call.both_dequantized() else { return Ok(None) };
    let rank = |of: &Dequantized| call.ty(of.bytes).shape.len();
    let (row, column) = (rank(&a).checked_sub(2), rank(&b).checked_sub(1));
    if rank(&a) < 2 || rank(&b) < 2 || !call.runs_along(&a, row) || !call.runs_along(&b, column) {
        return Ok(None);
    }
    let sum = product(call, a, b)?;
    call.biased(sum, None).map(Some)
}

fn product(call: &mut Call<'_>, a: Dequantized, b: Dequantized) -> Result<TensorId, NodeError> {
    let inputs = super::quantization::factors(call, [a.bytes, b.bytes], [a.zero, b.zero])?;
    let sum = call.step("sum", op::MatMulInteger, &inputs)?;
    let rank = call.ty(a.bytes).shape.len();
    let scale = call.along("a_scale", a.scale, rank, rank - 2)?;
    call.scaled(sum, [scale, b.scale])
}

/// Gemm without factors, and with a left factor that isn't transposed.
pub(super) fn gemm(call: &mut Call<'_>, gemm: &op::Gemm) -> Result<Option<Vec<TensorId>>, NodeError> {
    let Some([a, mut b]) = call.both_dequantized() else { return Ok(None) };
    let plain = gemm.alpha == 1.0 && !gemm.trans_a && (gemm.beta == 1.0 || call.optional(2).is_none());
    let is_matrix = |of: &Dequantized| call.ty(of.bytes).shape.len() == 2;
    let column = usize::from(!gemm.trans_b);
    if !plain
        || ![a, b].iter().all(is_matrix)
        || !call.runs_along(&a, Some(0))
        || !call.runs_along(&b, Some(column))
    {
        return Ok(None);
    }
    if gemm.trans_b {
        b.bytes = call.step("turned", op::Transpose { perm: None }, &[b.bytes])?;
    }
    let sum = product(call, a, b)?;
    call.biased(sum, call.optional(2)).map(Some)
}

/// Conv, if images share a scale, and filters do or each has its own.
pub(super) fn conv(call: &mut Call<'_>) -> Result<Option<Vec<TensorId>>, NodeError> {
    let Some([x, w]) = call.both_dequantized() else { return Ok(None) };
    if !call.runs_along(&x, None) || !call.runs_along(&w, Some(0)) {
        return Ok(None);
    }
    let conv = window::convolution(call, 1)?;
    let rank = call.ty(x.bytes).shape.len();
    let zeros = call.zero_points([x.zero, w.zero], [x.bytes, w.bytes]);
    let sum = call.step("sum", op::ConvInteger(conv), &[&[x.bytes, w.bytes], &zeros[..]].concat())?;
    let scale = call.along("w_scale", w.scale, rank, 1)?;
    let sum = call.scaled(sum, [x.scale, scale])?;
    let bias = call.optional(2).map(|bias| call.along("bias", bias, rank, 1)).transpose()?;
    call.biased(sum, bias).map(Some)
}
