//! Convolutions whose filters see one channel: pixels of a row are in lanes.

#![expect(unsafe_code, reason = "instructions beyond the baseline, and pointers in the innermost loop")]

use crate::contraction::Epilogue;
use crate::contraction::element::Element;
use crate::contraction::geometry::{Geometry, Stretch};
use crate::contraction::matrix::Output;
use crate::contraction::vector::Vector;
use crate::isa::{Isa, Level};
use std::ops::Range;

/// Some pixels of the window's filters: whole rows, or a piece of a row.
pub struct Band<'a, 'o, E> {
    pub geometry: &'a Geometry,
    /// The image: channel, row, column.
    pub input: &'a [E],
    /// Filter, kernel row, kernel column.
    pub weights: &'a [E],
    pub rows: Vec<Stretch>,
    pub columns: Range<usize>,
    pub out: &'a mut Output<'o, E>,
}

/// Computes a band.
pub fn convolve<E: Element>(isa: Isa, band: Band<'_, '_, E>, epilogue: Epilogue<'_, E>) {
    match isa.level() {
        // SAFETY: every processor has this set.
        Level::Portable => unsafe { planes::<E::Portable>(band, epilogue) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the set was found on this processor.
        Level::Avx2 => unsafe { avx2(band, epilogue) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the set was found on this processor.
        Level::Avx512 => unsafe { avx512(band, epilogue) },
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx2 | Level::Avx512 => unreachable!("sets of another processor"),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<E: Element>(band: Band<'_, '_, E>, epilogue: Epilogue<'_, E>) {
    // SAFETY: the processor has the set.
    unsafe { planes::<E::Avx2>(band, epilogue) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn avx512<E: Element>(band: Band<'_, '_, E>, epilogue: Epilogue<'_, E>) {
    // SAFETY: the processor has the set.
    unsafe { planes::<E::Avx512>(band, epilogue) }
}

/// A register of a row's pixels.
struct Register<M> {
    column: usize,
    count: usize,
    /// For each column of the kernel, the lanes in which it is over the input; nothing if it is in all of them
    /// for every column.
    masks: Option<Vec<M>>,
}

/// # Safety
///
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn planes<V: Vector>(band: Band<'_, '_, V::Element>, epilogue: Epilogue<'_, V::Element>) {
    let Band { geometry, input, weights, rows, columns, out } = band;
    let [height, width] = geometry.input;
    let [_, breadth] = geometry.output;
    let [kernel_rows, kernel_columns] = geometry.kernel;
    let places = Places::new(geometry);
    // SAFETY: the processor is the caller's part.
    let registers = unsafe { registers::<V>(geometry, columns.clone()) };
    let (Some(top), Some(bottom)) = (rows.first(), rows.last()) else { return };
    let pixels =
        top.positions.start * breadth + columns.start..(bottom.positions.end - 1) * breadth + columns.end;
    let mut phases = Vec::new();
    for filter in out.rows() {
        let channel = filter / geometry.group_filters();
        let image = &input[channel * height * width..][..height * width];
        let image = if places.phases == 1 {
            image
        } else {
            places.part(image, &mut phases);
            &phases
        };
        let weights = &weights[filter * kernel_rows * kernel_columns..][..kernel_rows * kernel_columns];
        let mut block = Block { geometry, places: &places, image, weights, filter, out: &mut *out };
        for stretch in &rows {
            let mut rows = stretch.positions.clone();
            while !rows.is_empty() {
                let (row, count) = (rows.start, if rows.len() >= ROWS { ROWS } else { 1 });
                for register in &registers {
                    // SAFETY: the processor is the caller's part; these are rows of the stretch.
                    match count {
                        ROWS => unsafe { block.convolve::<V, ROWS>(row, &stretch.taps, register) },
                        _ => unsafe { block.convolve::<V, 1>(row, &stretch.taps, register) },
                    }
                }
                rows.start += count;
            }
        }
        epilogue(filter, pixels.start, out.run(filter, pixels.clone()));
    }
}

/// Rows that are computed at once, to hide the latency of one.
const ROWS: usize = 4;

/// One filter's share of a band.
struct Block<'a, 'o, E> {
    geometry: &'a Geometry,
    places: &'a Places,
    /// The channel's image, in parts if [`Places`] says so.
    image: &'a [E],
    weights: &'a [E],
    filter: usize,
    out: &'a mut Output<'o, E>,
}

impl<E: Element> Block<'_, '_, E> {
    /// Computes a register of each of `R` rows from `row`, whose taps are all `taps`.
    ///
    /// # Safety
    ///
    /// The processor has the instructions of `V`. The taps are those of [`Geometry::taps`] for each of the rows.
    #[inline(always)]
    unsafe fn convolve<V: Vector<Element = E>, const R: usize>(
        &mut self,
        row: usize,
        taps: &Range<usize>,
        register: &Register<V::Mask>,
    ) {
        let Self { geometry, places, .. } = *self;
        let [kernel_rows, kernel_columns] = geometry.kernel;
        assert!(taps.end <= kernel_rows && self.weights.len() == kernel_rows * kernel_columns);
        let step = geometry.strides[0] * places.pitch;
        // SAFETY: for each of the taps, the input's row is in the image. A lane that is read is over the input, and
        // `Places` says where its element is. The weights are as many as the kernel has elements. The register's
        // pixels are in the window.
        unsafe {
            let mut sums = [V::splat(E::ZERO); R];
            for tap in taps.clone() {
                let from = geometry.place(0, row, tap) * places.pitch + register.column;
                let from = self.image.as_ptr().wrapping_add(from);
                let weights = self.weights.as_ptr().add(tap * kernel_columns);
                match &register.masks {
                    None => {
                        for (tap, &offset) in places.offsets.iter().enumerate() {
                            let (from, weight) = (from.wrapping_offset(offset), V::splat(*weights.add(tap)));
                            for i in 0..R {
                                sums[i] = V::load(from.wrapping_add(i * step)).fused(weight, sums[i]);
                            }
                        }
                    }
                    Some(masks) => {
                        for (tap, (&offset, &mask)) in places.offsets.iter().zip(masks).enumerate() {
                            let (from, weight) = (from.wrapping_offset(offset), V::splat(*weights.add(tap)));
                            for i in 0..R {
                                let from = V::load_some(from.wrapping_add(i * step), mask);
                                sums[i] = from.fused_some(weight, sums[i], mask);
                            }
                        }
                    }
                }
            }
            for i in 0..R {
                let to = self.out.place(self.filter, (row + i) * geometry.output[1] + register.column);
                let sum = sums[i].canonical();
                if register.count == V::LANES { sum.store(to) } else { sum.store_first(to, register.count) }
            }
        }
    }
}

/// # Safety
///
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn registers<V: Vector>(geometry: &Geometry, columns: Range<usize>) -> Vec<Register<V::Mask>> {
    let register = |column: usize| {
        let count = V::LANES.min(columns.end - column);
        let lanes = |tap: usize| {
            let over = geometry.positions(1, tap);
            let [start, end] =
                [over.start, over.end].map(|position| position.saturating_sub(column).min(count));
            start.min(end)..end
        };
        let whole = (0..geometry.kernel[1]).all(|tap| lanes(tap) == (0..V::LANES));
        let masks = || {
            let lanes = (0..geometry.kernel[1]).map(lanes);
            // SAFETY: the caller's.
            lanes.map(|lanes| unsafe { V::mask(lanes.start, lanes.end) }).collect()
        };
        Register { column, count, masks: (!whole).then(masks) }
    };
    columns.clone().step_by(V::LANES).map(register).collect()
}

/// Where the elements of a row are that neighbouring outputs read: one after another. If the kernel moves by more
/// than one, a row is parted into that many, each with every so manieth element.
struct Places {
    /// Parts of a row.
    phases: usize,
    /// Elements of a part.
    part: usize,
    /// Elements from a row to the next one.
    pitch: usize,
    /// For each column of the kernel, from an output's column to the element that it reads.
    offsets: Vec<isize>,
    width: usize,
}

impl Places {
    fn new(geometry: &Geometry) -> Self {
        let (phases, width) = (geometry.strides[1], geometry.input[1]);
        // Of a very wide step, only those parts are there that have elements.
        let phases_used = phases.min(width.max(1));
        let part = width.div_ceil(phases);
        let offset = |tap: usize| {
            let from = (tap * geometry.dilations[1]) as isize - geometry.padding[1] as isize;
            let (whole, phase) = (from.div_euclid(phases as isize), from.rem_euclid(phases as isize));
            whole + phase * part as isize
        };
        let offsets = (0..geometry.kernel[1]).map(offset).collect();
        Self { phases, part, pitch: part * phases_used, offsets, width }
    }

    /// Parts the rows of an image.
    #[inline(always)]
    fn part<E: Element>(&self, image: &[E], parted: &mut Vec<E>) {
        parted.resize(image.len() / self.width.max(1) * self.pitch, E::ZERO);
        if image.is_empty() {
            return;
        }
        for (from, to) in image.chunks_exact(self.width).zip(parted.chunks_exact_mut(self.pitch)) {
            if self.phases == 2 {
                // What a compiler does in vectors.
                let (evens, odds) = to.split_at_mut(self.part.min(to.len()));
                for ((pair, even), odd) in from.chunks_exact(2).zip(&mut *evens).zip(odds) {
                    (*even, *odd) = (pair[0], pair[1]);
                }
                if let ([last], Some(even)) = (from.chunks_exact(2).remainder(), evens.last_mut()) {
                    *even = *last;
                }
                continue;
            }
            for (phase, to) in to.chunks_exact_mut(self.part).enumerate() {
                for (to, &from) in to.iter_mut().zip(from[phase..].iter().step_by(self.phases)) {
                    *to = from;
                }
            }
        }
    }
}
