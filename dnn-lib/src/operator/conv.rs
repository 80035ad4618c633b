//! Convolution.

use crate::definition::{Affine, Builder, Over, Source};
use crate::operator::error::{FLOATS, check_attribute, check_shape, same_dtype};
use crate::operator::window::Axis;
use crate::operator::{Meaning, Problem, Semantics, Window};
use crate::scalar::{Ops, Type, Value};
use crate::tensor::TensorType;

/// `Y[n, m, o...]` is `B[m]` plus the sum over `(k..., c)` of
/// `X[n, c, o * stride + k * dilation - pad...] * W[m, c, k...]`.
///
/// The sum starts at +0. It takes kernel positions in row-major order, and the channels of the group in order
/// within each position, with one fused multiply-add each. Positions in the padding are left out. The bias is
/// added last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    /// How the kernel moves.
    pub window: Window,
    /// The number of groups of channels; at least 1.
    pub group: u64,
}

impl Conv {
    fn axes(&self, inputs: &[TensorType]) -> Result<Vec<Axis>, Problem> {
        self.window.axes(&inputs[0].shape[2..], &inputs[1].shape[2..], false)
    }

    /// The shape of the output. The types of the elements are not checked.
    pub(super) fn shape(&self, inputs: &[TensorType]) -> Result<Vec<u64>, Problem> {
        let (x, w, group) = (&inputs[0].shape, &inputs[1].shape, self.group);
        check_shape(inputs, 0, x.len() >= 3, || "must have the form [N, C, D1, ...]".to_owned())?;
        check_shape(inputs, 1, w.len() == x.len(), || {
            format!(
                "must have the form [M, C / group, K1, ...] with {} dimensions, as the input has",
                x.len()
            )
        })?;
        check_attribute(
            "group",
            group,
            group > 0 && x[1].is_multiple_of(group) && w[0].is_multiple_of(group),
            || format!("must divide both the input's {} channels and the output's {}", x[1], w[0]),
        )?;
        check_shape(inputs, 1, w[1] == x[1] / group, || {
            format!("must have {} channels: the input's {} in {group} groups", x[1] / group, x[1])
        })?;
        let mut shape = vec![x[0], w[0]];
        shape.extend(self.axes(inputs)?.iter().map(|axis| axis.output));
        Ok(shape)
    }

    /// A tensor with groups as a dimension of its own: the same bytes with another shape.
    pub(super) fn grouped(&self, ty: &TensorType, axis: usize) -> TensorType {
        let mut shape = ty.shape.clone();
        shape.splice(axis..=axis, [self.group, ty.shape[axis] / self.group]);
        TensorType::new(ty.dtype, shape)
    }

    /// A sum over the window and the channels of a group, from 0, for an output in groups. `next` adds a term: it
    /// gets where the elements of the input and of the kernel are, both in groups, and the sum so far.
    pub(super) fn sum(
        &self,
        b: &mut Builder,
        inputs: &[TensorType],
        output: &TensorType,
        next: impl FnOnce(&mut Builder, [Vec<Affine>; 2], Value) -> Value,
    ) -> Result<Value, Problem> {
        let axes = self.axes(inputs)?;
        let o = b.indices();
        let windows = axes.iter().zip(&o[3..]).map(|(axis, o)| axis.over(o.clone()));
        let over: Vec<Over> = windows.chain([Over::all(inputs[1].shape[1])]).collect();
        let zero = b.number(Type::of(output.dtype), 0);
        let sum = b.fold(over, &[zero], |b, k, sum| {
            let (channel, k) = (k[axes.len()].clone(), &k[..axes.len()]);
            let position = |((axis, o), k): ((&Axis, &Affine), &Affine)| axis.position(o.clone(), k.clone());
            let positions = axes.iter().zip(&o[3..]).zip(k).map(position);
            let x = [o[0].clone(), o[1].clone(), channel.clone()].into_iter().chain(positions).collect();
            let w = [o[1].clone(), o[2].clone(), channel].into_iter().chain(k.iter().cloned()).collect();
            vec![next(b, [x, w], sum[0])]
        });
        Ok(sum[0])
    }
}

impl Semantics for Conv {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, FLOATS)?;
        let shape = self.shape(inputs)?;
        if let Some(bias) = inputs.get(2) {
            check_shape(inputs, 2, bias.shape == shape[1..2], || {
                format!("must be [{}]: one for each channel", shape[1])
            })?;
        }
        Ok(TensorType::new(dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut types = vec![self.grouped(&inputs[0], 1), self.grouped(&inputs[1], 0)];
        types.extend(inputs.get(2).map(|bias| self.grouped(bias, 0)));
        let mut b = Builder::new("conv", &types, &self.grouped(output, 1));
        let mut sum = self.sum(&mut b, inputs, output, |b, [x, w], sum| {
            let (x, w) = (b.load(Source::Input(0), x), b.load(Source::Input(1), w));
            b.fma(x, w, sum)
        })?;
        if inputs.len() > 2 {
            let bias = b.load(Source::Input(2), [b.at(1), b.at(2)]);
            sum = b.add(sum, bias);
        }
        Ok(b.finish(sum)?.into())
    }
}
