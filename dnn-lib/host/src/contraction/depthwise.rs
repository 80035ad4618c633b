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
        for stretch in &rows {
            for row in stretch.positions.clone() {
                for register in &registers {
                    let to = out.place(filter, row * breadth + register.column);
                    // SAFETY: taps are those of `Geometry::taps`, so for each of them the input's row is in the
                    // image. A lane that is read is over the input, and `Places` says where its element is. The
                    // weights are as many as the kernel has elements. The register's pixels are in the window.
                    unsafe {
                        let mut sum = V::splat(V::Element::ZERO);
                        for tap in stretch.taps.clone() {
                            let from = geometry.place(0, row, tap) * places.pitch + register.column;
                            let from = image.as_ptr().wrapping_add(from);
                            let weights = weights.as_ptr().add(tap * kernel_columns);
                            match &register.masks {
                                None => {
                                    for (tap, &offset) in places.offsets.iter().enumerate() {
                                        let from = from.wrapping_offset(offset);
                                        sum = V::load(from).fused(V::splat(*weights.add(tap)), sum);
                                    }
                                }
                                Some(masks) => {
                                    for (tap, (&offset, &mask)) in
                                        places.offsets.iter().zip(masks).enumerate()
                                    {
                                        let from = V::load_some(from.wrapping_offset(offset), mask);
                                        sum = from.fused_some(V::splat(*weights.add(tap)), sum, mask);
                                    }
                                }
                            }
                        }
                        let sum = sum.canonical();
                        if register.count == V::LANES {
                            sum.store(to);
                        } else {
                            sum.store_first(to, register.count);
                        }
                    }
                }
            }
        }
        epilogue(filter, pixels.start, out.run(filter, pixels.clone()));
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
            for (phase, to) in to.chunks_exact_mut(self.part).enumerate() {
                for (to, &from) in to.iter_mut().zip(from[phase..].iter().step_by(self.phases)) {
                    *to = from;
                }
            }
        }
    }
}
