//! Which products a convolution's outputs have.

use crate::contraction::Error;
use std::ops::Range;

/// A convolution's sizes. Pairs are vertical, horizontal; a convolution in one dimension has height 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Channels of the input.
    pub channels: usize,
    /// Channels of the output.
    pub filters: usize,
    /// Parts that channels and filters are divided into; filters see their own part's channels only.
    pub groups: usize,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// How far the kernel moves from an output to the next one.
    pub strides: [usize; 2],
    /// How far the kernel's elements are apart.
    pub dilations: [usize; 2],
    /// How far above and left of the input the kernel starts.
    pub padding: [usize; 2],
    /// Height and width of the output.
    pub output: [usize; 2],
}

/// Positions along an axis whose outputs have the same part of the kernel over the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub positions: Range<usize>,
    pub taps: Range<usize>,
}

impl Geometry {
    /// Whether the sizes belong together, and nothing is too large to be counted.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let positive = [self.kernel, self.strides, self.dilations].iter().flatten().all(|&size| size > 0);
        let divided = self.groups > 0
            && self.channels.is_multiple_of(self.groups)
            && self.filters.is_multiple_of(self.groups);
        let reach = |axis: usize| {
            let window = (self.kernel[axis] - 1).checked_mul(self.dilations[axis])?;
            let moves = self.output[axis].checked_mul(self.strides[axis])?;
            window.checked_add(moves)?.checked_add(self.padding[axis])?.checked_add(self.input[axis])
        };
        let product =
            |sizes: &[usize]| sizes.iter().try_fold(1usize, |all, &size| all.checked_mul(size.max(1)));
        let counted = || {
            let [input, output] = [product(&self.input)?, product(&self.output)?];
            let depth = product(&self.kernel)?.checked_mul(self.channels.max(1))?;
            // Room for rounding up to panels, and for bytes.
            let sizes = [product(&[input, self.channels])?, product(&[output, self.filters])?, depth]
                .map(|size| size.checked_mul(self.filters.max(1)));
            let all = sizes.into_iter().chain([reach(0), reach(1)]);
            all.into_iter().try_fold((), |(), size| size.filter(|&size| size <= usize::MAX >> 16).map(drop))
        };
        let sound = positive && divided && counted().is_some();
        sound.then_some(()).ok_or_else(|| Error::Geometry(Box::new(self.clone())))
    }

    /// Channels that a filter sees.
    pub(super) fn group_channels(&self) -> usize {
        self.channels / self.groups
    }

    /// Filters of a group.
    pub(super) fn group_filters(&self) -> usize {
        self.filters / self.groups
    }

    /// How many products a sum away from the border has.
    pub(super) fn depth(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.group_channels()
    }

    /// Elements of an input.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.channels * self.input[0] * self.input[1]
    }

    /// Elements of the weights: filter, channel of the group, kernel row, kernel column.
    #[must_use]
    pub fn weights(&self) -> usize {
        self.filters * self.depth()
    }

    /// Outputs of a filter: the columns of the result.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// The part of the kernel that is over the input, for an output's position along an axis.
    pub(super) fn taps(&self, axis: usize, position: usize) -> Range<usize> {
        let (start, dilation) = (position * self.strides[axis], self.dilations[axis]);
        let padding = self.padding[axis];
        let first = padding.saturating_sub(start).div_ceil(dilation);
        let end =
            (self.input[axis] + padding).saturating_sub(start).div_ceil(dilation).min(self.kernel[axis]);
        first.min(end)..end
    }

    /// The outputs' positions along an axis for which a tap is over the input.
    pub(super) fn positions(&self, axis: usize, tap: usize) -> Range<usize> {
        let (start, stride, padding) = (tap * self.dilations[axis], self.strides[axis], self.padding[axis]);
        let first = padding.saturating_sub(start).div_ceil(stride);
        let end = (self.input[axis] + padding).saturating_sub(start).div_ceil(stride).min(self.output[axis]);
        first.min(end)..end
    }

    /// The positions along an axis, by the part of the kernel that is over the input.
    pub(super) fn stretches(&self, axis: usize, positions: Range<usize>) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for position in positions {
            let taps = self.taps(axis, position);
            match stretches.last_mut() {
                Some(last) if last.taps == taps => last.positions.end = position + 1,
                _ => stretches.push(Stretch { positions: position..position + 1, taps }),
            }
        }
        stretches
    }

    /// Where in the input an output's tap is, along an axis. The tap is one of [`Geometry::taps`].
    pub(super) fn place(&self, axis: usize, position: usize, tap: usize) -> usize {
        position * self.strides[axis] + tap * self.dilations[axis] - self.padding[axis]
    }

    /// The rows of the input that some rows of outputs read.
    pub(super) fn read_rows(&self, rows: &[Stretch]) -> Range<usize> {
        let used = || rows.iter().filter(|stretch| !stretch.taps.is_empty());
        let first = used().map(|stretch| self.place(0, stretch.positions.start, stretch.taps.start)).min();
        let last = used().map(|stretch| self.place(0, stretch.positions.end - 1, stretch.taps.end - 1)).max();
        first.zip(last).map_or(0..0, |(first, last)| first..last + 1)
    }

    /// The rows and columns of pixels that are whole rows, or a piece of a row.
    pub(super) fn rectangle(&self, pixels: &Range<usize>) -> (Range<usize>, Range<usize>) {
        let [_, width] = self.output;
        let rows = pixels.start / width..pixels.end.div_ceil(width);
        let first = rows.start * width;
        let columns = if rows.len() == 1 { pixels.start - first..pixels.end - first } else { 0..width };
        (rows, columns)
    }
}
