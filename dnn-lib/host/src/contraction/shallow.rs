//! Convolutions whose filters see few channels: pixels of a row are in lanes.

#![expect(unsafe_code, reason = "instructions beyond the baseline, and pointers in the innermost loop")]
#![expect(clippy::needless_range_loop, reason = "indices say which register is meant")]

mod parts;
mod walk;

use crate::contraction::Epilogue;
use crate::contraction::element::Element;
use crate::contraction::finish::{Ending, Finish};
use crate::contraction::geometry::Geometry;
use crate::contraction::matrix::Output;
use crate::contraction::tile::{MOST_ROWS, Shape};
use crate::contraction::vector::Vector;
use crate::isa::{Isa, Level};
use parts::Parts;
use std::ops::Range;
use walk::{Overlap, Register, Walk};

/// A convolution's weights, and what else is known before there is an image.
#[derive(Debug)]
pub struct Shallow<E> {
    /// Filters that are computed at once: they share what is read of the image.
    filters: usize,
    /// For each group: blocks of so many filters, which have the elements of the kernel row by row, of each
    /// its channels, of each the filters. Filters that are missing in a group's last block are zeros.
    weights: Vec<E>,
    overlap: Option<Overlap>,
}

/// The most channels and products of a sum for which this is the fastest way, if there is more than one
/// channel.
const CHANNELS: usize = 4;
const DEPTH: usize = 64;

impl<E: Element> Shallow<E> {
    /// Packs weights, which are in the order filter, channel of the group, kernel row, kernel column. `None` if
    /// another way is faster.
    pub fn new(isa: Isa, geometry: &Geometry, weights: &[E]) -> Option<Self> {
        let (channels, filters) = (geometry.group_channels(), geometry.group_filters());
        let shape = Shape::of::<E>(isa);
        let many = if shape.rows == MOST_ROWS { MANY } else { SOME };
        let overlap = Overlap::new(geometry, shape.lanes);
        let together = if filters < many { 1 } else { many };
        let few = channels == 1 && together == 1
            || channels <= CHANNELS && together > 1 && geometry.depth() <= DEPTH && geometry.kernel != [1, 1];
        // Lanes would stay empty in narrow images.
        if !few || channels == 0 || (together > 1 && overlap.is_none() && !fills(geometry, shape.lanes)) {
            return None;
        }
        let taps = geometry.kernel[0] * geometry.kernel[1];
        let block = |first: usize, end: usize| {
            let weight = move |(tap, channel, filter): (usize, usize, usize)| {
                let filter = first + filter;
                if filter < end { weights[(filter * channels + channel) * taps + tap] } else { E::ZERO }
            };
            let of = move |tap, channel| (0..together).map(move |filter| weight((tap, channel, filter)));
            (0..taps).flat_map(move |tap| (0..channels).flat_map(move |channel| of(tap, channel)))
        };
        let group = |group: usize| {
            let (first, end) = (group * filters, (group + 1) * filters);
            (first..end).step_by(together).flat_map(move |first| block(first, end))
        };
        Some(Self { filters: together, weights: (0..geometry.groups).flat_map(group).collect(), overlap })
    }

    /// The first filter of the block that has a filter, and the block's weights.
    fn block(&self, geometry: &Geometry, filter: usize) -> (usize, &[E]) {
        let filters = geometry.group_filters();
        let (group, block) = (filter / filters, filter % filters / self.filters);
        let size = geometry.depth() * self.filters;
        let start = (group * filters.div_ceil(self.filters) + block) * size;
        (group * filters + block * self.filters, &self.weights[start..start + size])
    }

    /// Whether any pixels can be computed at once, not only whole rows or a piece of one.
    pub fn takes_any_pixels(&self) -> bool {
        self.overlap.is_some()
    }
}

/// Whether the rows of a result fill three quarters of their lanes.
fn fills(geometry: &Geometry, lanes: usize) -> bool {
    let width = geometry.output[1];
    width * 4 >= width.next_multiple_of(lanes) * 3
}

/// Some pixels of the window's filters.
pub struct Band<'a, 'o, E> {
    pub geometry: &'a Geometry,
    /// The image: channel, row, column.
    pub input: &'a [E],
    pub weights: &'a Shallow<E>,
    /// Whole rows, or a piece of a row, unless [`Shallow::takes_any_pixels`].
    pub pixels: Range<usize>,
    pub finish: &'a Finish<'a, E>,
    /// For what is read, if it has to be copied.
    pub parted: &'a mut Vec<E>,
    pub out: &'a mut Output<'o, E>,
}

/// Sums of which there are so many are finished at once, while they are in the first cache.
const FINISHED: usize = 2048;

/// Computes a band.
pub fn convolve<E: Element>(isa: Isa, band: Band<'_, '_, E>, epilogue: Epilogue<'_, E>) {
    let finish = *band.finish;
    // Those of one filter are finished in registers.
    let alone = band.weights.filters == 1;
    let epilogue: Epilogue<'_, E> = &mut |mut sums| {
        if !alone {
            let (rows, columns) = (sums.rows(), sums.columns());
            finish.apply(isa, sums.part(rows, columns));
        }
        epilogue(sums);
    };
    match isa.level() {
        // SAFETY: every processor has this set.
        Level::Portable => unsafe { planes::<E::Portable>(band, epilogue) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the set was found on this processor.
        Level::Avx2 => unsafe { avx2(band, epilogue) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the set was found on this processor.
        Level::Vnni if const { E::ARE_BYTES } => unsafe { vnni(band, epilogue) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the set was found on this processor.
        Level::Avx512 | Level::Vnni => unsafe { avx512(band, epilogue) },
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx2 | Level::Avx512 | Level::Vnni => unreachable!("sets of another processor"),
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

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn vnni<E: Element>(band: Band<'_, '_, E>, epilogue: Epilogue<'_, E>) {
    // SAFETY: the processor has the set.
    unsafe { planes::<E::Vnni>(band, epilogue) }
}

/// # Safety
///
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn planes<V: Vector>(band: Band<'_, '_, V::Element>, epilogue: Epilogue<'_, V::Element>) {
    let Band { geometry, input, weights, pixels, finish, parted, out } = band;
    let parts = Parts::new(geometry);
    let (rows, columns) = geometry.rectangle(&pixels);
    let rows = geometry.stretches(0, rows);
    let [height, width] = geometry.input;
    let read = if weights.overlap.is_some() { 0..height } else { geometry.read_rows(&rows) };
    // SAFETY: the processor is the caller's part.
    let walk = unsafe {
        match &weights.overlap {
            Some(overlap) => Walk::one_row::<V>(geometry, overlap, pixels.clone()),
            None => Walk::by_rows::<V>(geometry, &parts, rows, read.start, columns),
        }
    };
    let (channels, filters) = (geometry.group_channels(), geometry.group_filters());
    let window = out.rows();
    if window.is_empty() {
        return;
    }
    // Filters whose pixels are finished together.
    let together = (FINISHED / pixels.len().max(1)).max(1);
    let mut unfinished = window.start;
    for group in window.start / filters..=(window.end - 1) / filters {
        let image = &input[group * channels * height * width..][..channels * height * width];
        // SAFETY: the processor is the caller's part.
        let (image, plane) = unsafe { parts.part::<V>(image, channels, &read, &mut *parted) };
        let end = ((group + 1) * filters).min(window.end);
        let mut filter = window.start.max(group * filters);
        while filter < end {
            let (start, own) = weights.block(geometry, filter);
            let wanted = filter - start..(end - start).min(weights.filters);
            let ending = if weights.filters == 1 { finish.at(start..start + 1, 0) } else { Ending::NONE };
            filter = start + wanted.end;
            let (walk, out) = (&walk, &mut *out);
            let mut block = Block { walk, image, plane, channels, weights: own, start, wanted, ending, out };
            // SAFETY: the processor is the caller's part.
            unsafe {
                match weights.filters {
                    MANY => block.convolve::<V, MANY>(),
                    SOME => block.convolve::<V, SOME>(),
                    _ => block.convolve::<V, 1>(),
                }
            }
            if filter - unfinished >= together || filter == window.end {
                epilogue(out.part(unfinished..filter, pixels.clone()));
                unfinished = filter;
            }
        }
    }
}

/// Rows that are computed at once, to hide the latency of one.
const ROWS: usize = 4;
/// Filters that are computed at once, for three rows: as many as there are registers for.
const MANY: usize = 8;
const SOME: usize = 4;

/// Some filters' share of a band.
struct Block<'a, 'o, M, E> {
    walk: &'a Walk<M>,
    /// What is read of the channels, in parts if [`Parts`] says so.
    image: &'a [E],
    /// Elements from a channel to the next one.
    plane: usize,
    channels: usize,
    weights: &'a [E],
    /// The first filter, and which ones from there on are in the window.
    start: usize,
    wanted: Range<usize>,
    /// What finishes the sums, if there is one filter.
    ending: Ending<E>,
    out: &'a mut Output<'o, E>,
}

impl<M: Copy, E: Element> Block<'_, '_, M, E> {
    /// # Safety
    ///
    /// The processor has the instructions of `V`.
    #[inline(always)]
    unsafe fn convolve<V: Vector<Element = E, Mask = M>, const F: usize>(&mut self) {
        let walk = self.walk;
        let [kernel_rows, kernel_columns] = walk.kernel;
        assert!(self.weights.len() == kernel_rows * kernel_columns * self.channels * F);
        assert!(walk.offsets.len() == kernel_columns && self.wanted.end <= F);
        // As many sums as there are registers for, or fewer.
        let most = if F == 1 { ROWS } else { 3 };
        for stretch in &walk.rows {
            assert!(stretch.taps.end <= kernel_rows);
            // Where the kernel moves as far as its rows are apart, rows of pixels read the same.
            let shared = self.weights.len() == 9
                && walk.kernel == [3, 3]
                && walk.masks == 0
                && stretch.taps == (0..3)
                && walk.steps[0] == walk.steps[1];
            let mut rows = stretch.positions.clone();
            while !rows.is_empty() {
                let (row, count) = (rows.start, rows.len().min(most));
                let mut registers = walk.registers.as_slice();
                // SAFETY: the processor is the caller's part; these are rows of the stretch, the lengths are
                // right by the assertions.
                unsafe {
                    while let [register, rest @ ..] = registers {
                        registers = rest;
                        match (count, shared) {
                            (ROWS, true) => match (&register.masks, rest) {
                                (None, [next, rest @ ..]) if next.masks.is_none() => {
                                    self.threes::<V, 2>(
                                        row,
                                        [register, next],
                                        |_, from| V::load(from),
                                        |_, a, b, c| a.fused(b, c),
                                    );
                                    registers = rest;
                                }
                                (None, _) => {
                                    self.threes::<V, 1>(
                                        row,
                                        [register],
                                        |_, from| V::load(from),
                                        |_, a, b, c| a.fused(b, c),
                                    );
                                }
                                (Some(masks), _) => {
                                    let masks = [masks[0], masks[1], masks[2]];
                                    self.threes::<V, 1>(
                                        row,
                                        [register],
                                        |column, from| V::load_some(from, masks[column]),
                                        |column, a, b, c| a.fused_some(b, c, masks[column]),
                                    );
                                }
                            },
                            (ROWS, false) => self.any::<V, ROWS, F>(row, &stretch.taps, register),
                            (3, _) => self.any::<V, 3, F>(row, &stretch.taps, register),
                            (2, _) => self.any::<V, 2, F>(row, &stretch.taps, register),
                            _ => self.any::<V, 1, F>(row, &stretch.taps, register),
                        }
                    }
                }
                rows.start += count;
            }
        }
    }

    /// Computes a register of each of `R` rows from `row` for each of `F` filters. The rows `taps` of the kernel
    /// are over the image.
    ///
    /// # Safety
    ///
    /// The processor has the instructions of `V`; these are rows of one stretch, and the register is the
    /// walk's.
    #[inline(always)]
    unsafe fn any<V: Vector<Element = E, Mask = M>, const R: usize, const F: usize>(
        &mut self,
        row: usize,
        taps: &Range<usize>,
        register: &Register<M>,
    ) {
        let walk = self.walk;
        // SAFETY: an element that is read is in the image: a whole register's are for every offset, and
        // others are read by masks. There are as many weights as the kernel has elements, for each channel and
        // filter. What is written are whole registers of rows that are in the window.
        unsafe {
            let mut sums = [[V::splat(E::ZERO); R]; F];
            let step = self.channels * F;
            for tap in taps.clone() {
                let from = self.reads(row, tap, register);
                let mut weights = self.weights.as_ptr().add(tap * walk.kernel[1] * step);
                for (tap, &offset) in walk.offsets.iter().enumerate() {
                    let mut from = from.wrapping_offset(offset);
                    let end = weights.add(step);
                    match &register.masks {
                        None => {
                            while weights < end {
                                let read = |i: usize| V::load(from.wrapping_add(i * walk.steps[0]));
                                let elements: [V; R] = std::array::from_fn(read);
                                for f in 0..F {
                                    let weight = V::splat(*weights.add(f));
                                    for i in 0..R {
                                        sums[f][i] = elements[i].fused(weight, sums[f][i]);
                                    }
                                }
                                weights = weights.add(F);
                                from = from.wrapping_add(self.plane);
                            }
                        }
                        Some(masks) => {
                            let mask = |i: usize| masks[(row + i) * walk.masks + tap];
                            let masks: [M; R] = std::array::from_fn(mask);
                            while weights < end {
                                let read =
                                    |i: usize| V::load_some(from.wrapping_add(i * walk.steps[0]), masks[i]);
                                let elements: [V; R] = std::array::from_fn(read);
                                for f in 0..F {
                                    let weight = V::splat(*weights.add(f));
                                    for i in 0..R {
                                        sums[f][i] = elements[i].fused_some(weight, sums[f][i], masks[i]);
                                    }
                                }
                                weights = weights.add(F);
                                from = from.wrapping_add(self.plane);
                            }
                        }
                    }
                }
            }
            let first = row * walk.breadth;
            if self.wanted.len() == F && register.count == V::LANES && walk.end >= first + R * walk.breadth {
                let (column, stride) = (first + register.column, self.out.stride());
                let to = self.out.place(self.start, column);
                for f in 0..F {
                    for i in 0..R {
                        let (mut sum, at) = (sums[f][i], i * walk.breadth);
                        if F == 1 {
                            sum = self.ending.finished(sum, 0, column + at, |from| V::load(from));
                        }
                        sum.canonical().store(to.add(f * stride + at));
                    }
                }
                return;
            }
            // Sums are copied before they are counted through: an index that is a variable would keep them in
            // memory all the time.
            let mut held = [[V::splat(E::ZERO); R]; F];
            for f in 0..F {
                for i in 0..R {
                    std::ptr::from_mut(&mut held[f][i]).write_volatile(sums[f][i]);
                }
            }
            for f in self.wanted.clone() {
                self.store::<V, R>(row, held[f], register, self.start + f);
            }
        }
    }

    /// The same for [`ROWS`] rows of `C` registers beside each other and a kernel of three by three, all over
    /// the image, where what a row reads is read for the rows above it, too. Elements are read by `load`, and
    /// added by `fused`, which get the column of the kernel.
    ///
    /// # Safety
    ///
    /// That of `any`.
    #[inline(always)]
    unsafe fn threes<V: Vector<Element = E, Mask = M>, const C: usize>(
        &mut self,
        row: usize,
        registers: [&Register<M>; C],
        load: impl Fn(usize, *const E) -> V,
        fused: impl Fn(usize, V, V, V) -> V,
    ) {
        let offsets = [self.walk.offsets[0], self.walk.offsets[1], self.walk.offsets[2]];
        // SAFETY: as in `any`.
        unsafe {
            let mut weights = [V::splat(E::ZERO); 9];
            for i in 0..9 {
                weights[i] = V::splat(self.weights[i]);
            }
            let mut sums = [[V::splat(E::ZERO); ROWS]; C];
            for read in 0..ROWS + 2 {
                // Rows of pixels take the rows of the kernel in ascending order, since they are read so.
                for column in 0..3 {
                    for (register, sums) in registers.iter().zip(&mut sums) {
                        let from = self.reads(row, read, register).wrapping_offset(offsets[column]);
                        let element = load(column, from);
                        for tap in 0..3 {
                            if tap <= read && read - tap < ROWS {
                                let sum = &mut sums[read - tap];
                                *sum = fused(column, element, weights[tap * 3 + column], *sum);
                            }
                        }
                    }
                }
            }
            for (register, sums) in registers.into_iter().zip(sums) {
                self.store::<V, ROWS>(row, sums, register, self.start);
            }
        }
    }

    /// What a register reads for an offset of 0. It may be before the image, if no lane is over it there.
    #[inline(always)]
    fn reads(&self, row: usize, tap: usize, register: &Register<M>) -> *const E {
        let from = row * self.walk.steps[0] + tap * self.walk.steps[1] + register.column;
        self.image.as_ptr().wrapping_offset(self.walk.start).wrapping_add(from)
    }

    /// # Safety
    ///
    /// The processor has the instructions of `V`.
    #[inline(always)]
    unsafe fn store<V: Vector<Element = E, Mask = M>, const R: usize>(
        &mut self,
        row: usize,
        sums: [V; R],
        register: &Register<M>,
        filter: usize,
    ) {
        for (i, sum) in sums.into_iter().enumerate() {
            let start = (row + i) * self.walk.breadth;
            let count = register.count.min(self.walk.end - start);
            let column = start + register.column;
            let (row, to) = (filter - self.start, self.out.place(filter, column));
            // SAFETY: the register's pixels are in the window, whose addends there are.
            unsafe {
                if count == V::LANES {
                    let sum = self.ending.finished(sum, row, column, |from| V::load(from));
                    sum.canonical().store(to);
                } else {
                    let mask = V::mask((1 << count) - 1);
                    let sum = self.ending.finished(sum, row, column, |from| V::load_some(from, mask));
                    sum.canonical().store_first(to, count);
                }
            }
        }
    }
}
