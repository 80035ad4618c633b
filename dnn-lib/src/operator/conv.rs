//! Convolution.

use crate::definition::{Affine, Builder, Over, Source};
use crate::operator::error::{FLOATS, check_attribute, check_shape, same_dtype};
use crate::operator::window::Axis;
use crate::operator::{Meaning, Problem, Semantics, Window};
use crate::scalar::{Ops, Type};
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

    fn check(&self, inputs: &[TensorType]) -> Result<(), Problem> {
        same_dtype(inputs, FLOATS)?;
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
        match inputs.get(2) {
            Some(bias) => check_shape(inputs, 2, bias.shape == [w[0]], || {
                format!("must be [{}]: one for each channel", w[0])
            }),
            None => Ok(()),
        }
    }
}

impl Semantics for Conv {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        self.check(inputs)?;
        let mut shape = vec![inputs[0].shape[0], inputs[1].shape[0]];
        shape.extend(self.axes(inputs)?.iter().map(|axis| axis.output));
        Ok(TensorType::new(inputs[0].dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        // Groups are a dimension of their own: the same bytes with another shape.
        let axes = self.axes(inputs)?;
        let grouped = |ty: &TensorType, axis: usize, groups: u64| {
            let mut shape = ty.shape.clone();
            shape.splice(axis..=axis, [groups, ty.shape[axis] / groups]);
            TensorType::new(ty.dtype, shape)
        };
        let mut types = vec![grouped(&inputs[0], 1, self.group), grouped(&inputs[1], 0, self.group)];
        types.extend(inputs.get(2).map(|bias| grouped(bias, 0, self.group)));
        let mut b = Builder::new("conv", &types, &grouped(output, 1, self.group));
        let o = b.indices();
        let depth = inputs[1].shape[1];
        let windows = axes.iter().zip(&o[3..]).map(|(axis, o)| axis.over(o.clone()));
        let over: Vec<Over> = windows.chain([Over::all(depth)]).collect();
        let zero = b.number(Type::of(output.dtype), 0);
        let sum = b.fold(over, &[zero], |b, k, sum| {
            let (channel, k) = (k[axes.len()].clone(), &k[..axes.len()]);
            let position = |((axis, o), k): ((&Axis, &Affine), &Affine)| axis.position(o.clone(), k.clone());
            let positions = axes.iter().zip(&o[3..]).zip(k).map(position);
            let at = [o[0].clone(), o[1].clone(), channel.clone()].into_iter().chain(positions);
            let x = b.load(Source::Input(0), at.collect::<Vec<_>>());
            let at = [o[1].clone(), o[2].clone(), channel].into_iter().chain(k.iter().cloned());
            let w = b.load(Source::Input(1), at.collect::<Vec<_>>());
            vec![b.fma(x, w, sum[0])]
        });
        let mut sum = sum[0];
        if inputs.len() > 2 {
            let bias = b.load(Source::Input(2), [o[1].clone(), o[2].clone()]);
            sum = b.add(sum, bias);
        }
        Ok(b.finish(sum)?.into())
    }
}
