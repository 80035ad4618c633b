//! Images whose pixels are not neighbours of what their neighbours read: rows are parted.

#![expect(unsafe_code, reason = "instructions beyond the baseline, and pointers")]

use std::ops::Range;

use crate::contraction::element::Element;
use crate::contraction::geometry::Geometry;
use crate::contraction::vector::Vector;

/// How the elements that neighbouring pixels read come to be one after another: if the kernel moves by more
/// than one, a row is parted into that many, each with every so manieth element.
pub struct Parts {
    count: usize,
    /// Elements of a part.
    length: usize,
    /// Elements from a row to the next one.
    pub pitch: usize,
    width: usize,
}

impl Parts {
    pub fn new(geometry: &Geometry) -> Self {
        let (count, width) = (geometry.strides[1], geometry.input[1]);
        let length = width.div_ceil(count);
        // Of a very wide step, only those parts are there that have elements.
        Self { count, length, pitch: length * count.min(width), width }
    }

    /// For each column of the kernel, from a pixel's column to what it reads.
    pub fn offsets(&self, geometry: &Geometry) -> Vec<isize> {
        let offset = |tap: usize| {
            let from = (tap * geometry.dilations[1]) as isize - geometry.padding[1] as isize;
            let count = self.count as isize;
            from.div_euclid(count) + from.rem_euclid(count) * self.length as isize
        };
        (0..geometry.kernel[1]).map(offset).collect()
    }

    /// Parts the rows of an image's channels that are read. With what is between channels then.
    ///
    /// # Safety
    ///
    /// The processor has the instructions of `V`.
    #[inline(always)]
    pub unsafe fn part<'a, V: Vector>(
        &self,
        image: &'a [V::Element],
        channels: usize,
        read: &Range<usize>,
        parted: &'a mut Vec<V::Element>,
    ) -> (&'a [V::Element], usize) {
        let size = image.len() / channels;
        if self.count == 1 || image.is_empty() {
            return (&image[read.start * self.width..], size);
        }
        let plane = read.len() * self.pitch;
        parted.resize(channels * plane, V::Element::ZERO);
        if plane > 0 {
            for (image, parted) in image.chunks_exact(size).zip(parted.chunks_exact_mut(plane)) {
                // SAFETY: the caller's.
                unsafe {
                    self.part_rows::<V>(&image[read.start * self.width..read.end * self.width], parted)
                };
            }
        }
        (parted, plane)
    }

    /// Parts rows.
    ///
    /// # Safety
    ///
    /// The processor has the instructions of `V`.
    #[inline(always)]
    unsafe fn part_rows<V: Vector>(&self, image: &[V::Element], parted: &mut [V::Element]) {
        for (from, to) in image.chunks_exact(self.width).zip(parted.chunks_exact_mut(self.pitch)) {
            if self.count == 2 && self.width > 1 {
                let (evens, odds) = to.split_at_mut(self.length);
                let parts = evens.chunks_mut(V::LANES).zip(odds.chunks_mut(V::LANES));
                for (from, (evens, odds)) in from.chunks(2 * V::LANES).zip(parts) {
                    // SAFETY: the processor is the caller's part.
                    unsafe { unzip::<V>(from, evens, odds) };
                }
                continue;
            }
            for (part, to) in to.chunks_exact_mut(self.length).enumerate() {
                for (to, &from) in to.iter_mut().zip(from[part..].iter().step_by(self.count)) {
                    *to = from;
                }
            }
        }
    }
}

/// Parts at most two registers of elements. There may be one more odd element than there are to be had.
///
/// # Safety
///
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn unzip<V: Vector>(from: &[V::Element], evens: &mut [V::Element], odds: &mut [V::Element]) {
    let length = from.len();
    assert!(length <= 2 * V::LANES && evens.len() == length.div_ceil(2) && odds.len() == evens.len());
    let start = from.as_ptr();
    // SAFETY: the processor is the caller's part. What is read is in `from`: two registers, or the first
    // elements of each. The parts have as many elements as are written.
    unsafe {
        if length == 2 * V::LANES {
            let (even, odd) = V::load(start).unzipped(V::load(start.add(V::LANES)));
            even.store(evens.as_mut_ptr());
            odd.store(odds.as_mut_ptr());
        } else {
            let first = |count: usize| V::mask((1 << count) - 1);
            let one = V::load_some(start, first(length.min(V::LANES)));
            let two = V::load_some(start.wrapping_add(V::LANES), first(length.saturating_sub(V::LANES)));
            let (even, odd) = one.unzipped(two);
            even.store_first(evens.as_mut_ptr(), evens.len());
            odd.store_first(odds.as_mut_ptr(), odds.len());
        }
    }
}
