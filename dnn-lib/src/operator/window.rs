//! Sliding windows, in any number of spatial dimensions: shared by convolution and pooling.

use crate::definition::{self, Affine, Over};
use crate::kernel::{BinaryOp, Builder, Const, Ops, Value};
use crate::operator::Problem;
use crate::operator::error::check_attribute;

/// The padding around the input of a window operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// The positions before and after the input in each spatial dimension. Empty for none.
    Explicit(Vec<(u64, u64)>),
    /// Enough to make the output `ceil(input / stride)` long, with the odd position at the end.
    SameUpper,
    /// Enough to make the output `ceil(input / stride)` long, with the odd position at the beginning.
    SameLower,
}

/// How a window moves over its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The step in each spatial dimension. Empty for 1.
    pub strides: Vec<u64>,
    /// The distance between positions of the window in each dimension. Empty for 1.
    pub dilations: Vec<u64>,
    /// The padding.
    pub padding: Padding,
}

impl Default for Window {
    fn default() -> Self {
        Self { strides: Vec::new(), dilations: Vec::new(), padding: Padding::Explicit(Vec::new()) }
    }
}

/// One spatial dimension of a window operator, with all sizes known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) kernel: u64,
    pub(super) stride: u64,
    pub(super) dilation: u64,
    pub(super) pad: (u64, u64),
}

/// The limit on attributes, so that no sum of a few products of sizes overflows.
const MAX: u64 = 1 << 30;

impl Window {
    /// The spatial dimensions of this window with this kernel over this input.
    pub(super) fn axes(&self, input: &[u64], kernel: &[u64], ceil_mode: bool) -> Result<Vec<Axis>, Problem> {
        let rank = input.len();
        let strides = per_axis("strides", &self.strides, rank)?;
        let dilations = per_axis("dilations", &self.dilations, rank)?;
        check_attribute("kernel_shape", kernel, kernel.len() == rank && in_range(kernel), || {
            format!("must have {rank} sizes between 1 and 2^30")
        })?;
        let input_fits = input.iter().all(|&size| size <= MAX);
        check_attribute("input shape", input, input_fits, || {
            "each spatial size must be at most 2^30".to_owned()
        })?;
        let axes = (0..rank).map(|axis| Axis {
            input: input[axis],
            output: 0,
            kernel: kernel[axis],
            stride: strides[axis],
            dilation: dilations[axis],
            pad: (0, 0),
        });
        let pads = self.pads(rank)?;
        axes.enumerate()
            .map(|(index, axis)| axis.place(pads.as_ref().map(|pads| pads[index]), self, ceil_mode))
            .collect()
    }

    /// The explicit padding in each dimension.
    fn pads(&self, rank: usize) -> Result<Option<Vec<(u64, u64)>>, Problem> {
        let Padding::Explicit(pads) = &self.padding else {
            return Ok(None);
        };
        if pads.is_empty() {
            return Ok(Some(vec![(0, 0); rank]));
        }
        let right = pads.len() == rank && pads.iter().all(|&(begin, end)| begin <= MAX && end <= MAX);
        check_attribute("pads", pads, right, || format!("must have {rank} pairs of sizes up to 2^30"))?;
        Ok(Some(pads.clone()))
    }
}

fn in_range(values: &[u64]) -> bool {
    values.iter().all(|value| (1..=MAX).contains(value))
}

fn per_axis(name: &'static str, values: &[u64], rank: usize) -> Result<Vec<u64>, Problem> {
    if values.is_empty() {
        return Ok(vec![1; rank]);
    }
    check_attribute(name, values, values.len() == rank && in_range(values), || {
        format!("must have {rank} values between 1 and 2^30")
    })?;
    Ok(values.to_vec())
}

impl Axis {
    /// Computes the padding and the output size.
    fn place(mut self, pad: Option<(u64, u64)>, window: &Window, ceil_mode: bool) -> Result<Self, Problem> {
        let extent = (self.kernel - 1) * self.dilation + 1;
        let Some(pad) = pad else {
            self.output = self.input.div_ceil(self.stride);
            let total = (self.output.saturating_sub(1) * self.stride + extent).saturating_sub(self.input);
            let (less, more) = (total / 2, total.div_ceil(2));
            self.pad = if window.padding == Padding::SameUpper { (less, more) } else { (more, less) };
            return Ok(self);
        };
        self.pad = pad;
        let padded = self.input + pad.0 + pad.1;
        check_attribute("kernel_shape", self.kernel, extent <= padded, || {
            format!("a window of {extent} positions must fit into the padded input of {padded}")
        })?;
        let span = padded - extent;
        self.output = if ceil_mode { span.div_ceil(self.stride) } else { span / self.stride } + 1;
        if ceil_mode && (self.output - 1) * self.stride >= self.input + pad.0 {
            // The last window would begin in the padding after the input.
            self.output -= 1;
        }
        Ok(self)
    }

    /// The input position at which the window of an output begins. Negative in the padding.
    fn begin(&self, o: Affine) -> Affine {
        o * self.stride as i64 - self.pad.0 as i64
    }

    /// The positions of the window at an output that are in the input.
    pub(super) fn over(&self, o: Affine) -> Over {
        let last = (self.output.max(1) - 1) * self.stride + (self.kernel - 1) * self.dilation;
        if self.pad.0 == 0 && last < self.input {
            return Over::all(self.kernel);
        }
        Over::window(self.kernel, self.begin(o), self.dilation, self.input)
    }

    /// The input position of an index of the window at an output.
    pub(super) fn position(&self, o: Affine, index: Affine) -> Affine {
        self.begin(o) + index * self.dilation as i64
    }

    /// The number of positions of the window at an output that are in the input, optionally with its padding.
    pub(super) fn defined_count(&self, b: &mut definition::Builder, o: Affine, with_padding: bool) -> Value {
        let (begin, size) = match with_padding {
            true => (self.begin(o) + self.pad.0 as i64, self.input + self.pad.0 + self.pad.1),
            false => (self.begin(o), self.input),
        };
        let (zero, kernel) = (b.i64(0), b.i64(self.kernel as i64));
        // ceil(x / dilation) for what is not negative.
        let up_to = |b: &mut definition::Builder, distance: Affine| {
            let distance = b.index(distance + (self.dilation as i64 - 1));
            let distance = b.max(distance, zero);
            let distance = self.in_dilations(b, distance);
            b.min(distance, kernel)
        };
        let first = up_to(b, -begin.clone());
        let end = up_to(b, -begin + size as i64);
        b.sub(end, first)
    }

    /// The first position of the window at output `o` that is in the input, as a position of the kernel. At
    /// least 0.
    fn first(&self, b: &mut Builder, start: Value) -> Value {
        let zero = b.i64(0);
        if self.pad.0 == 0 {
            return zero;
        }
        // ceil(-start / dilation), if start is negative.
        let round = b.i64(self.dilation as i64 - 1);
        let missing = b.sub(round, start);
        let missing = b.max(missing, zero);
        self.in_dilations(b, missing)
    }

    /// The end of the window positions before position `limit` of the input.
    fn end(&self, b: &mut Builder, start: Value, limit: u64) -> Value {
        let kernel = b.i64(self.kernel as i64);
        if (self.output.max(1) - 1) * self.stride + (self.kernel - 1) * self.dilation < limit + self.pad.0 {
            return kernel; // The last window fits, so all do.
        }
        let zero = b.i64(0);
        let round = b.i64((limit + self.dilation - 1) as i64);
        let there = b.sub(round, start);
        let there = b.max(there, zero);
        let there = self.in_dilations(b, there);
        b.min(there, kernel)
    }

    /// Whether a range from [`range`](Self::range) is the whole window at any output.
    fn never_clipped(&self, b: &Builder, first: Value, end: Value) -> bool {
        b.constant(first) == Some(Const::I64(0)) && b.constant(end) == Some(Const::I64(self.kernel as i64))
    }

    fn in_dilations(&self, b: &mut impl Ops, positions: Value) -> Value {
        if self.dilation == 1 {
            return positions;
        }
        let dilation = b.i64(self.dilation as i64);
        b.binary(BinaryOp::DivU, positions, dilation)
    }

    /// The input position at which the window of output `o` begins. Negative in the padding.
    fn start(&self, b: &mut Builder, o: Value) -> Value {
        let start = b.mul_const(o, self.stride as i64);
        b.add_const(start, -(self.pad.0 as i64))
    }

    /// The number of positions of the window at output `o` in the input or in its padding.
    fn padded_count(&self, b: &mut Builder, o: Value) -> Value {
        let start = self.start(b, o);
        self.end(b, start, self.input + self.pad.1)
    }

    /// The window at output `o`: `(start, first, end)`. The last two count positions of the kernel.
    fn range(&self, b: &mut Builder, o: Value) -> (Value, Value, Value) {
        let start = self.start(b, o);
        let first = self.first(b, start);
        let end = self.end(b, start, self.input);
        (start, first, end)
    }
}

/// The layout of a window's positions in one tensor: the address of position (0, 0, ...) of the *input* (not
/// of the window) or of the kernel, and the distance between neighbours in bytes for each spatial dimension.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) base: Value,
    pub(super) strides: Vec<i64>,
}

/// The operation at a position. It gets the addresses in the input and in the kernel, and the accumulators.
pub(super) type Step<'a> = &'a mut dyn FnMut(&mut Builder, Value, Value, &[Value]) -> Vec<Value>;

/// Folds over the positions of the window at output `at` that are in the input, in row-major order.
pub(super) fn fold(
    b: &mut Builder,
    axes: &[Axis],
    at: &[Value],
    streams: (&Stream, Option<&Stream>),
    init: &[Value],
    step: Step<'_>,
) -> Vec<Value> {
    let (input, kernel) = streams;
    let Some((axis, inner_axes)) = axes.split_first() else {
        return step(b, input.base, kernel.map_or(input.base, |kernel| kernel.base), init);
    };
    let (start, first, end) = axis.range(b, at[0]);
    if kernel.is_none() && axis.kernel <= UNROLLED && axis.never_clipped(b, first, end) {
        return unrolled(b, axes, at, input, start, init, step);
    }
    let skipped = b.mul_const(first, axis.dilation as i64);
    let position = b.add(start, skipped);
    let strides = [input.strides[0] * axis.dilation as i64, kernel.map_or(0, |kernel| kernel.strides[0])];
    // The addresses are carried, because a machine adds faster than it multiplies.
    let mut carried = vec![at_position(b, input.base, position, input.strides[0])];
    carried.extend(kernel.map(|kernel| at_position(b, kernel.base, first, kernel.strides[0])));
    let streams = carried.len();
    carried.extend(init);
    let results = b.for_bounded(first, end, 1, axis.kernel, &carried, |b, _, carried| {
        let (bases, accumulators) = carried.split_at(streams);
        let inner = Stream { base: bases[0], strides: input.strides[1..].to_vec() };
        let inner_kernel =
            kernel.map(|kernel| Stream { base: bases[1], strides: kernel.strides[1..].to_vec() });
        let accumulators = fold(b, inner_axes, &at[1..], (&inner, inner_kernel.as_ref()), accumulators, step);
        let mut next: Vec<_> =
            bases.iter().zip(strides).map(|(&base, stride)| b.add_const(base, stride)).collect();
        next.extend(accumulators);
        next
    });
    results[streams..].to_vec()
}

/// Pooling windows up to this size in a dimension are unrolled, since a loop would cost more than its body.
const UNROLLED: u64 = 4;

/// [`fold`] without a kernel, unrolled, over a window that is never clipped in the first dimension.
fn unrolled(
    b: &mut Builder,
    axes: &[Axis],
    at: &[Value],
    input: &Stream,
    start: Value,
    init: &[Value],
    step: Step<'_>,
) -> Vec<Value> {
    let first = at_position(b, input.base, start, input.strides[0]);
    let mut accumulators = init.to_vec();
    for k in 0..axes[0].kernel {
        let base = b.add_const(first, (k * axes[0].dilation) as i64 * input.strides[0]);
        let inner = Stream { base, strides: input.strides[1..].to_vec() };
        accumulators = fold(b, &axes[1..], &at[1..], (&inner, None), &accumulators, step);
    }
    accumulators
}

fn at_position(b: &mut Builder, base: Value, position: Value, stride: i64) -> Value {
    let offset = b.mul_const(position, stride);
    b.add(base, offset)
}

/// The number of positions of the window at output `at`: those in the input, optionally with those in its
/// padding.
pub(super) fn count(b: &mut Builder, axes: &[Axis], at: &[Value], with_padding: bool) -> Value {
    let mut product = b.i64(1);
    for (axis, &o) in axes.iter().zip(at) {
        let count = if with_padding {
            axis.padded_count(b, o)
        } else {
            let (_, first, end) = axis.range(b, o);
            let (count, zero) = (b.sub(end, first), b.i64(0));
            b.max(count, zero)
        };
        product = b.mul(product, count);
    }
    product
}
