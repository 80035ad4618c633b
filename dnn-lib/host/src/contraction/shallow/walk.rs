//! How pixels and the elements of a kernel are walked through.

#![expect(unsafe_code, reason = "instructions beyond the baseline")]

use std::ops::Range;

use super::fills;
use super::parts::Parts;
use crate::contraction::geometry::{Geometry, Stretch};
use crate::contraction::vector::Vector;

/// For each element of the kernel, the pixels for which it is over the image, as bits.
#[derive(Debug)]
pub struct Overlap(Vec<Vec<u64>>);

impl Overlap {
    /// For a convolution whose pixels are computed as if they were one row: neighbours read neighbours,
    /// across the ends of rows too. That is worth while where a row would leave more than a quarter of its
    /// lanes empty.
    pub fn new(geometry: &Geometry, lanes: usize) -> Option<Self> {
        let width = geometry.output[1];
        if geometry.strides != [1, 1] || geometry.input[1] != width || fills(geometry, lanes) {
            return None;
        }
        let [kernel_rows, kernel_columns] = geometry.kernel;
        let bits = |tap: usize| {
            // One more word, so that a register's bits are always in two of them.
            let mut bits = vec![0u64; geometry.pixels() / 64 + 2];
            for row in geometry.positions(0, tap / kernel_columns) {
                for column in geometry.positions(1, tap % kernel_columns) {
                    let pixel = row * width + column;
                    bits[pixel / 64] |= 1 << (pixel % 64);
                }
            }
            bits
        };
        Some(Self((0..kernel_rows * kernel_columns).map(bits).collect()))
    }

    /// The bits of an element, from a pixel on.
    fn from(&self, tap: usize, pixel: usize) -> u32 {
        let bits = &self.0[tap][pixel / 64..][..2];
        let bits = u128::from(bits[0]) | u128::from(bits[1]) << 64;
        (bits >> (pixel % 64)) as u32
    }
}

/// A register of pixels that are one after another.
pub struct Register<M> {
    pub column: usize,
    pub count: usize,
    /// For each element of a row of the kernel, the lanes in which it is over the image, `Walk::masks` for
    /// each row of pixels; nothing if it is in all of them for every element.
    pub masks: Option<Vec<M>>,
}

/// How pixels and the kernel are walked through: row by row, or as if the kernel had one row, and a register
/// were a row of pixels.
pub struct Walk<M> {
    pub rows: Vec<Stretch>,
    /// Rows of the kernel, and elements of each.
    pub kernel: [usize; 2],
    /// From what a row of pixels reads to what the next one does, and from a row of the kernel to the next
    /// one.
    pub steps: [usize; 2],
    /// From the start of the image to what the first row of the kernel reads for the first row of pixels.
    pub start: isize,
    /// For each element of a row of the kernel, from what `steps` say to what it reads.
    pub offsets: Vec<isize>,
    /// Pixels from a row to the next one, and to the end of the last one.
    pub breadth: usize,
    pub end: usize,
    /// Masks from a row of pixels to the next one.
    pub masks: usize,
    pub registers: Vec<Register<M>>,
}

impl<M: Copy> Walk<M> {
    /// # Safety
    ///
    /// The processor has the instructions of `V`.
    #[inline(always)]
    pub unsafe fn by_rows<V: Vector<Mask = M>>(
        geometry: &Geometry,
        parts: &Parts,
        rows: Vec<Stretch>,
        first: usize,
        columns: Range<usize>,
    ) -> Self {
        let over: Vec<_> = (0..geometry.kernel[1]).map(|tap| geometry.positions(1, tap)).collect();
        let inside = |column: usize, tap: usize| over[tap].contains(&column);
        Self {
            rows,
            kernel: geometry.kernel,
            steps: [geometry.strides[0], geometry.dilations[0]].map(|rows| rows * parts.pitch),
            start: -((geometry.padding[0] + first) as isize) * parts.pitch as isize,
            offsets: parts.offsets(geometry),
            breadth: geometry.output[1],
            end: usize::MAX,
            masks: 0,
            // SAFETY: the caller's.
            registers: unsafe { registers::<V>(columns, geometry.kernel[1], inside) },
        }
    }

    /// # Safety
    ///
    /// The processor has the instructions of `V`.
    #[inline(always)]
    pub unsafe fn one_row<V: Vector<Mask = M>>(
        geometry: &Geometry,
        overlap: &Overlap,
        pixels: Range<usize>,
    ) -> Self {
        let ([kernel_rows, kernel_columns], width) = (geometry.kernel, geometry.output[1]);
        let taps = kernel_rows * kernel_columns;
        let offset = |tap: usize| {
            let row = tap / kernel_columns * geometry.dilations[0];
            let column = tap % kernel_columns * geometry.dilations[1];
            (row * width + column) as isize - (geometry.padding[0] * width + geometry.padding[1]) as isize
        };
        let registers = pixels.len().div_ceil(V::LANES);
        let mask = |i: usize| {
            let bits = overlap.from(i % taps, pixels.start + i / taps * V::LANES);
            // SAFETY: the caller's.
            unsafe { V::mask(bits & ((1 << V::LANES) - 1)) }
        };
        let masks = Some((0..registers * taps).map(mask).collect());
        Self {
            rows: vec![Stretch { positions: 0..registers, taps: 0..1 }],
            kernel: [1, taps],
            steps: [V::LANES, 0],
            start: 0,
            offsets: (0..taps).map(offset).collect(),
            breadth: V::LANES,
            end: pixels.len(),
            masks: taps,
            registers: vec![Register { column: pixels.start, count: V::LANES, masks }],
        }
    }
}

/// Registers for columns; `inside` says for a column and an element of a row of the kernel whether it is over
/// the image there.
///
/// # Safety
///
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn registers<V: Vector>(
    columns: Range<usize>,
    taps: usize,
    inside: impl Fn(usize, usize) -> bool,
) -> Vec<Register<V::Mask>> {
    let register = |column: usize| {
        let count = V::LANES.min(columns.end - column);
        let lanes = |tap| {
            let lane = |lane| u32::from(inside(column + lane, tap)) << lane;
            (0..count).map(lane).sum::<u32>()
        };
        let whole = (0..taps).all(|tap| lanes(tap) == (1 << V::LANES) - 1);
        // SAFETY: the caller's.
        let masks = || (0..taps).map(|tap| unsafe { V::mask(lanes(tap)) }).collect();
        Register { column, count, masks: (!whole).then(masks) }
    };
    columns.clone().step_by(V::LANES).map(register).collect()
}
