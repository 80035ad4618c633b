//! Convolutions in two dimensions.

#![expect(unsafe_code, reason = "calls of the micro-kernel")]

use crate::contraction::element::Element;
use crate::contraction::finish::{Ending, Finish, MOST_ADDENDS};
use crate::contraction::geometry::{Geometry, Stretch};
use crate::contraction::matmul::{MOST_LANES, multiply_unpacked, tiles};
use crate::contraction::matrix::{Matrix, Output};
use crate::contraction::panels::{Aligned, Panels};
use crate::contraction::shallow::{self, Shallow};
use crate::contraction::tile::{Call, MOST_ROWS, Run, Shape, WIDTH, kernel};
use crate::contraction::turn::{Place, turn};
use crate::contraction::{Epilogue, Error};
use crate::isa::Isa;
use std::ops::Range;

/// A convolution whose weights are packed. Make it once, when a model is loaded.
#[derive(Debug)]
pub struct Convolution<E> {
    isa: Isa,
    /// What is computed.
    geometry: Geometry,
    /// If that is of the pixels only that the kernel stops at: what was asked for.
    sampled: Option<Geometry>,
    weights: Weights<E>,
}

/// Weights in the layout of one of the ways to compute a convolution.
#[derive(Debug)]
enum Weights<E> {
    /// Filters are in lanes, pixels are rows: panels of each group.
    Filters(Vec<Panels<E>>),
    /// A kernel of one element, moved by one: a matrix of filters by channels times the input, pixels in
    /// lanes.
    Matrix(Vec<E>),
    /// Filters that see few channels: pixels of a row are in lanes.
    Shallow(Shallow<E>),
}

impl<E: Element> Convolution<E> {
    /// Packs weights, which are in the order filter, channel of the group, kernel row, kernel column.
    pub fn new(isa: Isa, geometry: Geometry, weights: &[E]) -> Result<Self, Error> {
        geometry.check()?;
        length(geometry.weights(), weights)?;
        let (geometry, sampled) = match sampled(&geometry) {
            Some(pixels) => (pixels, Some(geometry)),
            None => (geometry, None),
        };
        let weights = if let Some(shallow) = Shallow::new(isa, &geometry, weights) {
            Weights::Shallow(shallow)
        } else if !E::ARE_BYTES && Self::is_matrix(isa, &geometry) {
            Weights::Matrix(weights.to_vec())
        } else {
            let (channels, filters) = (geometry.group_channels(), geometry.group_filters());
            let taps = geometry.kernel[0] * geometry.kernel[1];
            let pack = |group: usize| {
                // The order of products is kernel row, kernel column, channel.
                Panels::from_fn(isa, geometry.depth(), filters, |k, filter| {
                    let (tap, channel) = (k / channels, k % channels);
                    weights[((group * filters + filter) * channels + channel) * taps + tap]
                })
            };
            Weights::Filters((0..geometry.groups).map(pack).collect())
        };
        Ok(Self { isa, geometry, sampled, weights })
    }

    /// Whether a convolution is best computed as one product of matrices for each group: weights times pixels,
    /// which are in lanes.
    #[must_use]
    pub fn is_matrix(isa: Isa, geometry: &Geometry) -> bool {
        is_product(geometry) && pixels_in_lanes::<E>(isa, geometry)
    }

    /// Its sizes.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        self.sampled.as_ref().unwrap_or(&self.geometry)
    }

    /// Convolves one image, for the filters and pixels of `out`, whose rows are filters, and whose columns
    /// are pixels, row by row. `input` is in the order channel, row, column.
    ///
    /// Sums are finished first; then `epilogue` gets pixels of filters while they are in the cache, each of
    /// them once.
    pub fn run(
        &self,
        input: &[E],
        out: Output<'_, E>,
        finish: &Finish<'_, E>,
        epilogue: Epilogue<'_, E>,
    ) -> Result<(), Error> {
        finish.fit(&out)?;
        length(self.geometry().inputs(), input)?;
        let pixels = self.sampled.as_ref().map(|geometry| sample(geometry, input));
        let input = pixels.as_deref().unwrap_or(input);
        let geometry = &self.geometry;
        if out.rows().end > geometry.filters || out.columns().end > geometry.pixels() {
            return Err(Error::Mismatch {
                left: [geometry.filters, geometry.depth()],
                right: [geometry.depth(), geometry.pixels()],
                out: [out.rows().end, out.columns().end],
            });
        }
        match &self.weights {
            Weights::Filters(panels) => self.filters(panels, input, out, finish, epilogue),
            Weights::Shallow(weights) => self.shallow(weights, input, out, finish, epilogue),
            Weights::Matrix(weights) => return self.matrix(weights, input, out, finish, epilogue),
        }
        Ok(())
    }

    /// A matrix of weights times the input, group by group.
    fn matrix(
        &self,
        weights: &[E],
        input: &[E],
        mut out: Output<'_, E>,
        finish: &Finish<'_, E>,
        epilogue: Epilogue<'_, E>,
    ) -> Result<(), Error> {
        let geometry = &self.geometry;
        let (channels, filters, pixels) =
            (geometry.group_channels(), geometry.group_filters(), geometry.pixels());
        let right = Matrix::contiguous(input, [geometry.channels, pixels])?;
        let left = Matrix::contiguous(weights, [geometry.filters, channels])?;
        for group in 0..geometry.groups {
            let (part, rest) = out.split_rows((group + 1) * filters);
            let right = right.part(group * channels..(group + 1) * channels);
            multiply_unpacked(self.isa, &left, &right, part, finish, epilogue)?;
            out = rest;
        }
        Ok(())
    }

    /// Pixels of a row in lanes.
    fn shallow(
        &self,
        weights: &Shallow<E>,
        input: &[E],
        mut out: Output<'_, E>,
        finish: &Finish<'_, E>,
        epilogue: Epilogue<'_, E>,
    ) {
        let geometry = &self.geometry;
        let bands = if weights.takes_any_pixels() {
            Vec::from_iter((!out.columns().is_empty()).then(|| out.columns()))
        } else {
            self.bands(SHALLOW_BAND / size_of::<E>(), out.columns()).collect()
        };
        let mut parted = Vec::new();
        for pixels in bands {
            let (parted, out) = (&mut parted, &mut out);
            let band = shallow::Band { geometry, input, weights, pixels, finish, parted, out };
            shallow::convolve(self.isa, band, epilogue);
        }
    }

    /// Filters in lanes.
    fn filters(
        &self,
        panels: &[Panels<E>],
        input: &[E],
        mut out: Output<'_, E>,
        finish: &Finish<'_, E>,
        epilogue: Epilogue<'_, E>,
    ) {
        let mut band = Band::new(self.isa, &self.geometry, finish);
        let filters = self.geometry.group_filters();
        for (group, panels) in panels.iter().enumerate() {
            let wanted = intersection(&out.rows(), &(group * filters..(group + 1) * filters));
            if wanted.is_empty() {
                continue;
            }
            for pixels in self.bands(BAND / size_of::<E>(), out.columns()) {
                band.load(input, group, pixels);
                for panel in 0..panels.count() {
                    let range = panels.range(panel);
                    let whole = group * filters + range.start..group * filters + range.end;
                    let wanted = intersection(&wanted, &whole);
                    if !wanted.is_empty() {
                        band.convolve(panels, panel, whole.start, wanted, &mut out, epilogue);
                    }
                }
            }
        }
    }

    /// Pixels in parts of whole rows, or of a piece of a row. What a part reads of the input stays in the
    /// cache.
    fn bands(&self, inputs: usize, pixels: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<E> {
        let [_, width] = self.geometry.output;
        let row = self.geometry.strides[0] * self.geometry.input[1] * self.geometry.group_channels();
        let rows = (inputs / row.max(1)).min(PIXELS / width.max(1)).max(1);
        let mut start = pixels.start;
        std::iter::from_fn(move || {
            if start >= pixels.end {
                return None;
            }
            let (row, piece) = (start / width, !start.is_multiple_of(width));
            let end = if piece || pixels.end < (row + 1) * width {
                (row + 1) * width
            } else {
                // As many whole rows as there are.
                (row + rows).min(pixels.end / width) * width
            };
            let band = start..end.min(pixels.end);
            start = band.end;
            Some(band)
        })
    }
}

/// Bytes of the input that are read again and again: they fit into the second cache, beside the weights.
const BAND: usize = 384 << 10;

/// Pixels whose sums are put in their places at once. In one place after another, few filters' rows would be
/// written at a time; and if they are a power of two apart, that is slow.
const BATCH: usize = 128;

/// The same where few channels are read: they fit into the first cache.
const SHALLOW_BAND: usize = 16 << 10;

/// Outputs of a filter that are computed before the next filters' turn: their tiles' places stay in the
/// cache.
const PIXELS: usize = 2048;

fn length<E>(expected: usize, elements: &[E]) -> Result<(), Error> {
    let error = Error::Length { expected, elements: elements.len() };
    (elements.len() == expected).then_some(()).ok_or(error)
}

fn intersection(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

/// The convolution of the pixels that a kernel of one element stops at, if it leaves out others.
fn sampled(geometry: &Geometry) -> Option<Geometry> {
    let inside = |axis: usize| {
        let last = (geometry.output[axis].max(1) - 1) * geometry.strides[axis];
        last < geometry.input[axis]
    };
    let skips = geometry.kernel == [1, 1]
        && geometry.padding == [0, 0]
        && geometry.strides != [1, 1]
        && inside(0)
        && inside(1);
    skips.then(|| Geometry { input: geometry.output, strides: [1, 1], ..geometry.clone() })
}

/// These pixels of an image.
fn sample<E: Copy>(geometry: &Geometry, input: &[E]) -> Vec<E> {
    let ([height, width], [rows, columns]) = (geometry.input, geometry.output);
    let mut pixels = Vec::with_capacity(geometry.channels * rows * columns);
    for channel in input.chunks_exact((height * width).max(1)) {
        for row in channel.chunks_exact(width.max(1)).step_by(geometry.strides[0]).take(rows) {
            pixels.extend(row.iter().step_by(geometry.strides[1]).take(columns));
        }
    }
    pixels
}

/// Whether each output is a product of one pixel's channels.
fn is_product(geometry: &Geometry) -> bool {
    geometry.kernel == [1, 1]
        && geometry.strides == [1, 1]
        && geometry.padding == [0, 0]
        && geometry.input == geometry.output
}

/// Whether a product is sooner done with pixels in lanes than with filters in lanes.
///
/// The former fills its lanes less well where an image is small; the latter has to turn input and output
/// around, which is not little where sums are short.
fn pixels_in_lanes<E: Element>(isa: Isa, geometry: &Geometry) -> bool {
    const TURN: usize = 16;
    let lanes = Shape::of::<E>(isa).lanes;
    let (channels, filters, pixels) =
        (geometry.group_channels(), geometry.group_filters(), geometry.pixels());
    let in_lanes = filters * pixels.next_multiple_of(lanes) * channels;
    let in_rows = pixels * filters.next_multiple_of(lanes) * channels + TURN * pixels * (channels + filters);
    in_lanes <= in_rows
}

/// Some rows of outputs, or a piece of a row, and what they read.
struct Band<'a, E> {
    isa: Isa,
    geometry: &'a Geometry,
    finish: &'a Finish<'a, E>,
    /// Elements from a pixel of `input` to the next one.
    pitch: usize,
    /// The input's rows that are read: row, column, channel of the group.
    input: Aligned<E>,
    pixels: Range<usize>,
    tiles: Vec<Tile>,
    /// Where each pixel's first product is in `input`.
    from: Vec<usize>,
    /// Which pixel of the result each one is.
    to: Vec<usize>,
    /// The products of all tiles; a tile has a range of them.
    runs: Vec<Run>,
}

/// A few pixels with the same part of the kernel over the input.
struct Tile {
    /// Which of the band's `from` and `to` are theirs.
    pixels: Range<usize>,
    /// Their products.
    runs: Range<usize>,
}

impl<'a, E: Element> Band<'a, E> {
    fn new(isa: Isa, geometry: &'a Geometry, finish: &'a Finish<'a, E>) -> Self {
        let (line, channels) = (64 / size_of::<E>(), geometry.group_channels());
        // Pixels that are a power of two apart get into each other's way in the cache.
        let pitch = if channels.is_multiple_of(8 * line) { channels + line } else { channels };
        Self {
            isa,
            geometry,
            finish,
            pitch,
            input: Aligned::new(),
            pixels: 0..0,
            tiles: Vec::new(),
            from: Vec::new(),
            to: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Takes what some pixels need: their part of a group's channels, and which products they have.
    fn load(&mut self, input: &[E], group: usize, pixels: Range<usize>) {
        let geometry = self.geometry;
        let (rows, columns) = geometry.rectangle(&pixels);
        let vertical = geometry.stretches(0, rows);
        let horizontal = geometry.stretches(1, columns);
        let read = geometry.read_rows(&vertical);
        self.turn(input, group, read.clone());
        self.pixels = pixels;
        self.tiles.clear();
        self.from.clear();
        self.to.clear();
        self.runs.clear();
        for vertical in &vertical {
            for horizontal in &horizontal {
                self.cover(vertical, horizontal, read.start);
            }
        }
    }

    /// Copies rows of a group's channels to the order row, column, channel.
    fn turn(&mut self, input: &[E], group: usize, rows: Range<usize>) {
        let [height, width] = self.geometry.input;
        let channels = self.geometry.group_channels();
        self.input.resize(rows.len() * width * self.pitch);
        if channels == 0 || width == 0 {
            return;
        }
        let turned = self.input.get_mut().chunks_exact_mut(width * self.pitch);
        for (to, row) in turned.zip(rows) {
            let from = &input[(group * channels * height + row) * width..];
            assert!((channels - 1) * height * width + width <= from.len());
            let from = Place { start: from.as_ptr(), stride: height * width };
            let to = Place { start: to.as_mut_ptr(), stride: self.pitch };
            // SAFETY: each channel has its row where it was, by the assertion. There is room for a row of
            // pixels that are `pitch` apart, which is at least as many elements as there are channels.
            unsafe { turn(self.isa, [channels, width], from, to) };
        }
    }

    /// Covers the outputs of two stretches with tiles.
    fn cover(&mut self, vertical: &Stretch, horizontal: &Stretch, first_row: usize) {
        let geometry = self.geometry;
        let [_, width] = geometry.output;
        let runs = self.products(&vertical.taps, &horizontal.taps);
        let (height, breadth) = (vertical.positions.len(), horizontal.positions.len());
        // Without a product, it doesn't matter where the first one is.
        let some = !runs.is_empty();
        let (mut row, mut column) = (vertical.positions.start, horizontal.positions.start);
        for range in tiles(0..height * breadth, Shape::of::<E>(self.isa).rows) {
            let first = self.to.len();
            for _ in range {
                self.to.push(row * width + column);
                self.from.push(if some {
                    let row = geometry.place(0, row, vertical.taps.start) - first_row;
                    let column = geometry.place(1, column, horizontal.taps.start);
                    (row * geometry.input[1] + column) * self.pitch
                } else {
                    0
                });
                column += 1;
                if column == horizontal.positions.end {
                    (row, column) = (row + 1, horizontal.positions.start);
                }
            }
            self.tiles.push(Tile { pixels: first..self.to.len(), runs: runs.clone() });
        }
    }

    /// The products of a part of the kernel, in their order. Places are relative to the first one.
    fn products(&mut self, rows: &Range<usize>, columns: &Range<usize>) -> Range<usize> {
        let geometry = self.geometry;
        let channels = geometry.group_channels();
        let start = self.runs.len();
        for row in rows.clone() {
            for column in columns.clone() {
                let vertical = (row - rows.start) * geometry.dilations[0] * geometry.input[1];
                let horizontal = (column - columns.start) * geometry.dilations[1];
                let run = Run {
                    left: (vertical + horizontal) * self.pitch,
                    right: (row * geometry.kernel[1] + column) * channels,
                    length: channels,
                };
                let mine = self.runs.len() > start;
                match self.runs.last_mut() {
                    Some(last)
                        if mine
                            && last.left + last.length == run.left
                            && last.right + last.length == run.right =>
                    {
                        last.length += channels;
                    }
                    _ => self.runs.push(run),
                }
            }
        }
        start..self.runs.len()
    }

    /// Computes the band's pixels for a panel of filters, of which some are wanted.
    fn convolve(
        &self,
        panels: &Panels<E>,
        panel: usize,
        first: usize,
        wanted: Range<usize>,
        out: &mut Output<'_, E>,
        epilogue: Epilogue<'_, E>,
    ) {
        let shape = panels.shape();
        let width = panels.width(panel);
        let lanes = width * shape.lanes;
        let weights = panels.panel(panel);
        let input = self.input.get();
        let mut sums = [E::ZERO; BATCH * WIDTH * MOST_LANES];
        let mut addends = [[E::ZERO; WIDTH * MOST_LANES]; MOST_ADDENDS];
        let range = panels.range(panel);
        let ending = self.finish.turned(first..first + range.len(), &mut addends);
        // Pixels whose sums are held there.
        let mut held = 0..0;
        for tile in &self.tiles {
            if tile.pixels.end - held.start > BATCH {
                self.place(&sums, held, lanes, first, &wanted, out);
                held = tile.pixels.start..tile.pixels.start;
            }
            let runs = &self.runs[tile.runs.clone()];
            let mut rows = [input.as_ptr(); MOST_ROWS];
            if let Some(last) = runs.last() {
                // The last product of the last run is the furthest one.
                let reach = last.left + last.length;
                for (row, &from) in rows.iter_mut().zip(&self.from[tile.pixels.clone()]) {
                    *row = input[from..from + reach].as_ptr();
                }
                assert!((last.right + last.length) * lanes <= weights.len());
            }
            let count = tile.pixels.len();
            let call = Call {
                rows,
                runs,
                panel: weights.as_ptr(),
                panels: 0,
                sums: sums[held.len() * lanes..][..count * lanes].as_mut_ptr(),
                stride: lanes,
                first: true,
                last: true,
                ending: ending.unwrap_or(Ending::NONE),
            };
            // SAFETY: the set was found on this processor. Runs are in ascending order, so by the checks
            // above all products of the rows are in the input, and those of the panel in the weights. There
            // is room for the sums, and each addend is a row of a full panel.
            unsafe { kernel::<E>(self.isa, count, 1, width)(&call) };
            held.end = tile.pixels.end;
        }
        self.place(&sums, held, lanes, first, &wanted, out);
        if ending.is_none() {
            self.finish.apply(self.isa, out.part(wanted.clone(), self.pixels.clone()));
        }
        epilogue(out.part(wanted, self.pixels.clone()));
    }

    /// Puts the sums of some pixels in their places.
    fn place(
        &self,
        sums: &[E],
        pixels: Range<usize>,
        lanes: usize,
        first: usize,
        wanted: &Range<usize>,
        out: &mut Output<'_, E>,
    ) {
        let mut done = 0;
        for run in self.to[pixels].chunk_by(|a, b| a + 1 == *b) {
            let sums = &sums[done * lanes..(done + run.len()) * lanes];
            let from = Place { start: sums[wanted.start - first..].as_ptr(), stride: lanes };
            let to = Place { start: out.place(wanted.start, run[0]), stride: out.stride() };
            // SAFETY: a pixel's sums are as many as there are lanes, of which the wanted ones are some. The
            // run's pixels are one after another, they are in the window, and so are the wanted filters.
            unsafe { turn(self.isa, [run.len(), wanted.len()], from, to) };
            done += run.len();
        }
    }
}
