//! Convolution.

use crate::definition::{self, Affine, Over, Source};
use crate::kernel::{Builder, Ops, Type, Value};
use crate::layout::{coordinates, strides};
use crate::operator::contraction::{Factor, accumulate, by_extent, tile};
use crate::operator::error::{FLOATS, check_attribute, check_shape, same_dtype};
use crate::operator::window::{self, Axis, Stream};
use crate::operator::{Lowering, Meaning, Problem, Semantics, Window};
use crate::tensor::{DType, TensorType};

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
        let mut b = definition::Builder::new("conv", &types, &grouped(output, 1, self.group));
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

    fn lower(&self, inputs: &[TensorType], output: &TensorType) -> Result<Lowering, Problem> {
        let axes = self.axes(inputs)?;
        let channels = tile(inputs[1].shape[0] / self.group, 8);
        let mut shape = vec![1; output.shape.len()];
        shape[1] = channels;
        // A unit must not span two groups.
        if self.group > 1 && !(output.shape[1] / self.group).is_multiple_of(channels) {
            shape[1] = 1;
        }
        let mut b = Builder::new("conv", inputs, output, &shape);
        let conv = Lower { group: self.group, axes: &axes, inputs, output, channels: shape[1] };
        let (lo, hi) = (b.lo(), b.hi());
        b.for_(lo, hi, 1, &[], |b, unit, _| {
            conv.unit(b, unit);
            vec![]
        });
        Ok(Lowering::Kernels(vec![b.finish()?]))
    }
}

struct Lower<'a> {
    group: u64,
    axes: &'a [Axis],
    inputs: &'a [TensorType],
    output: &'a TensorType,
    channels: u64,
}

impl Lower<'_> {
    fn dtype(&self) -> DType {
        self.output.dtype
    }

    /// The strides of a tensor in bytes.
    fn strides(&self, ty: &TensorType) -> Vec<i64> {
        strides(&ty.shape).iter().map(|&stride| (stride * self.dtype().size()) as i64).collect()
    }

    /// Computes some output channels at one position.
    fn unit(&self, b: &mut Builder, unit: Value) {
        let mut grid = self.output.shape.clone();
        grid[1] = grid[1].div_ceil(self.channels);
        let at = coordinates(b, unit, &grid);
        let channel = b.mul_const(at[1], self.channels as i64);
        by_extent(b, channel, self.output.shape[1], self.channels, &mut |b, channels| {
            self.channels_at(b, &at, channel, channels);
        });
    }

    fn channels_at(&self, b: &mut Builder, at: &[Value], channel: Value, channels: u64) {
        let (x, w) = (self.strides(&self.inputs[0]), self.strides(&self.inputs[1]));
        let depth = self.inputs[1].shape[1];
        let image = offset(b, b.input(0), at[0], x[0]);
        let image = match self.group {
            1 => image,
            group => {
                let (which, _) = b.div_rem(channel, self.output.shape[1] / group);
                offset(b, image, which, x[1] * depth as i64)
            }
        };
        let filter = offset(b, b.input(1), channel, w[0]);
        let zero = b.number(crate::kernel::Type::of(self.dtype()), 0);
        let accumulators = vec![zero; channels as usize];
        let input = Stream { base: image, strides: x[2..].to_vec() };
        let kernel = Stream { base: filter, strides: w[2..].to_vec() };
        let mut step = |b: &mut Builder, x_at: Value, w_at: Value, accumulators: &[Value]| {
            let rows = Factor { base: x_at, count: 1, stride: 0, step: x[1] };
            let columns = Factor { base: w_at, count: channels, stride: w[0], step: w[1] };
            accumulate(b, self.dtype(), depth, [rows, columns], accumulators)
        };
        let sums = window::fold(b, self.axes, &at[2..], (&input, Some(&kernel)), &accumulators, &mut step);
        self.store(b, at, channel, &sums);
    }

    /// Adds the bias to the sums of some channels and stores them.
    fn store(&self, b: &mut Builder, at: &[Value], channel: Value, sums: &[Value]) {
        let dtype = self.dtype();
        let y = self.strides(self.output);
        let mut address = offset(b, b.output(), channel, y[1]);
        for axis in (0..at.len()).filter(|&axis| axis != 1) {
            address = offset(b, address, at[axis], y[axis]);
        }
        let bias = self.inputs.get(2).map(|_| b.element(dtype, b.input(2), channel));
        for (i, &sum) in sums.iter().enumerate() {
            let sum = match bias {
                Some(bias) => {
                    let bias = b.load(dtype, bias, (i as u64 * dtype.size()) as i32);
                    b.add(sum, bias)
                }
                None => sum,
            };
            let address = b.add_const(address, i as i64 * y[1]);
            b.store(dtype, address, 0, sum);
        }
    }
}

/// `base + index * stride`.
fn offset(b: &mut Builder, base: Value, index: Value, stride: i64) -> Value {
    let offset = b.mul_const(index, stride);
    b.add(base, offset)
}
