//! Sliding windows, in any number of spatial dimensions: shared by convolution and pooling.

use crate::definition::{Affine, Builder, Over};
use crate::operator::Problem;
use crate::operator::error::check_attribute;
use crate::scalar::{BinaryOp, Ops, Value};

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
        if self.is_defined(false) {
            return Over::all(self.kernel);
        }
        Over::window(self.kernel, self.begin(o), self.dilation, self.input)
    }

    /// The input position of an index of the window at an output.
    pub(super) fn position(&self, o: Affine, index: Affine) -> Affine {
        self.begin(o) + index * self.dilation as i64
    }

    /// Whether all positions of all windows are in the input, optionally with its padding.
    pub(super) fn is_defined(&self, with_padding: bool) -> bool {
        let last = (self.output.max(1) - 1) * self.stride + (self.kernel - 1) * self.dilation;
        if with_padding {
            last < self.input + self.pad.0 + self.pad.1
        } else {
            self.pad.0 == 0 && last < self.input
        }
    }

    /// The number of positions of the window at an output that are in the input, optionally with its padding.
    pub(super) fn defined_count(&self, b: &mut Builder, o: Affine, with_padding: bool) -> Value {
        let (begin, size) = match with_padding {
            true => (self.begin(o) + self.pad.0 as i64, self.input + self.pad.0 + self.pad.1),
            false => (self.begin(o), self.input),
        };
        let (zero, kernel) = (b.i64(0), b.i64(self.kernel as i64));
        // ceil(x / dilation) for what is not negative.
        let up_to = |b: &mut Builder, distance: Affine| {
            let distance = b.index(distance + (self.dilation as i64 - 1));
            let distance = b.max(distance, zero);
            let distance = self.in_dilations(b, distance);
            b.min(distance, kernel)
        };
        let first = up_to(b, -begin.clone());
        let end = up_to(b, -begin + size as i64);
        b.sub(end, first)
    }

    fn in_dilations(&self, b: &mut impl Ops, positions: Value) -> Value {
        if self.dilation == 1 {
            return positions;
        }
        let dilation = b.i64(self.dilation as i64);
        b.binary(BinaryOp::DivU, positions, dilation)
    }
}
