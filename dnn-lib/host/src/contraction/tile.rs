//! The micro-kernel: a few rows times a few panels, with the sums in registers.
//!
//! Each sum takes its products in ascending order of k, by one fused multiply-add each. Tiles differ in which
//! outputs they hold, never in how one is computed.

#![expect(unsafe_code, reason = "instructions beyond the baseline, and pointers in the innermost loop")]
#![expect(clippy::needless_range_loop, reason = "indices say which register is meant")]

use crate::contraction::element::Element;
use crate::contraction::finish::Ending;
use crate::contraction::vector::Vector;
use crate::isa::{Isa, Level};

/// Registers that make up a row of a full panel.
pub const WIDTH: usize = 2;
/// Panels that a tile of few rows reads at once, so that there are enough sums to hide the latency of one.
pub const MANY: usize = 4;
/// Rows of the tallest tile of any set.
pub const MOST_ROWS: usize = 14;

/// Products that lie one after another: `length` elements from `left` in each row, and as many rows of the
/// panel from `right`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub left: usize,
    pub right: usize,
    pub length: usize,
}

/// What a tile computes.
pub struct Call<'a, E> {
    /// The left factor's rows; as many as the kernel has are read.
    pub rows: [*const E; MOST_ROWS],
    /// Which products, in their order.
    pub runs: &'a [Run],
    /// The right factor's first panel, from the row that a run's `right` counts from.
    pub panel: *const E,
    /// Elements from a panel to the next one.
    pub panels: usize,
    /// The sums: where a row starts, and elements from a row to the next one.
    pub sums: *mut E,
    pub stride: usize,
    /// Whether the sums start at +0 here, rather than go on from what is stored.
    pub first: bool,
    /// Whether they end here, so that they are finished, and NaNs become canonical.
    pub last: bool,
    /// What finishes them: for the rows and columns of `sums`.
    pub ending: Ending<E>,
}

/// A kernel of some number of rows, panels, and registers across a panel.
///
/// # Safety
///
/// For each of its rows, and each run, `length` elements from `left` can be read; for each of its panels,
/// `length` rows from `right`. For each of its rows, as many elements as its panels are wide can be read and
/// written at `sums`, and as many be read of the ending's addends; nothing else is read or written there
/// meanwhile.
pub type Kernel<E> = unsafe fn(&Call<'_, E>);

/// How wide and tall the tiles of a set are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Elements in a register.
    pub lanes: usize,
    /// Rows of the tallest tile.
    pub rows: usize,
}

impl Shape {
    pub fn of<E: Element>(isa: Isa) -> Self {
        fn shape<V: Vector>() -> Shape {
            Shape { lanes: V::LANES, rows: V::ROWS }
        }
        match isa.level() {
            Level::Portable => shape::<E::Portable>(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => shape::<E::Avx2>(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => shape::<E::Avx512>(),
            #[cfg(target_arch = "x86_64")]
            Level::Vnni => shape::<E::Vnni>(),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 | Level::Vnni => unreachable!("sets of another processor"),
        }
    }

    /// Rows up to which a tile may read [`MANY`] panels: it has as many sums as the tallest one.
    pub fn few(self) -> usize {
        self.rows / MANY
    }

    /// Elements in a row of a full panel.
    pub fn panel(self) -> usize {
        WIDTH * self.lanes
    }
}

/// The kernel for `rows` (1 to the shape's) by `panels` (1 or [`MANY`]) of `width` registers (1 or
/// [`WIDTH`]).
pub fn kernel<E: Element>(isa: Isa, rows: usize, panels: usize, width: usize) -> Kernel<E> {
    match (panels, width) {
        (1, 1) => of_rows::<E, 1, 1>(isa, rows),
        (1, _) => of_rows::<E, 1, WIDTH>(isa, rows),
        _ => match rows {
            1 => of_isa::<E, 1, MANY, WIDTH>(isa),
            2 => of_isa::<E, 2, MANY, WIDTH>(isa),
            _ => of_isa::<E, 3, MANY, WIDTH>(isa),
        },
    }
}

fn of_rows<E: Element, const P: usize, const W: usize>(isa: Isa, rows: usize) -> Kernel<E> {
    match rows {
        1 => of_isa::<E, 1, P, W>(isa),
        2 => of_isa::<E, 2, P, W>(isa),
        3 => of_isa::<E, 3, P, W>(isa),
        4 => of_isa::<E, 4, P, W>(isa),
        5 => of_isa::<E, 5, P, W>(isa),
        6 => of_isa::<E, 6, P, W>(isa),
        7 => of_isa::<E, 7, P, W>(isa),
        8 => of_isa::<E, 8, P, W>(isa),
        9 => of_isa::<E, 9, P, W>(isa),
        10 => of_isa::<E, 10, P, W>(isa),
        11 => of_isa::<E, 11, P, W>(isa),
        12 => of_isa::<E, 12, P, W>(isa),
        13 => of_isa::<E, 13, P, W>(isa),
        _ => of_isa::<E, MOST_ROWS, P, W>(isa),
    }
}

fn of_isa<E: Element, const R: usize, const P: usize, const W: usize>(isa: Isa) -> Kernel<E> {
    match isa.level() {
        Level::Portable => portable::<E, R, P, W>,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::<E, R, P, W>,
        #[cfg(target_arch = "x86_64")]
        Level::Vnni if const { E::ARE_BYTES } => vnni::<E, R, P, W>,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Vnni => avx512::<E, R, P, W>,
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx2 | Level::Avx512 | Level::Vnni => unreachable!("sets of another processor"),
    }
}

/// # Safety
///
/// Those of [`Kernel`].
unsafe fn portable<E: Element, const R: usize, const P: usize, const W: usize>(call: &Call<'_, E>) {
    // SAFETY: the caller's; every processor has this set.
    unsafe { tile::<E::Portable, R, P, W>(call) }
}

/// # Safety
///
/// Those of [`Kernel`], and the processor has the instructions: it is reached through an [`Isa`] that says
/// so.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<E: Element, const R: usize, const P: usize, const W: usize>(call: &Call<'_, E>) {
    // SAFETY: the caller's.
    unsafe { tile::<E::Avx2, R, P, W>(call) }
}

/// # Safety
///
/// Those of [`Kernel`], and the processor has the instructions: it is reached through an [`Isa`] that says
/// so.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn avx512<E: Element, const R: usize, const P: usize, const W: usize>(call: &Call<'_, E>) {
    // SAFETY: the caller's.
    unsafe { tile::<E::Avx512, R, P, W>(call) }
}

/// # Safety
///
/// Those of [`Kernel`], and the processor has the instructions: it is reached through an [`Isa`] that says
/// so.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
unsafe fn vnni<E: Element, const R: usize, const P: usize, const W: usize>(call: &Call<'_, E>) {
    // SAFETY: the caller's.
    unsafe { tile::<E::Vnni, R, P, W>(call) }
}

/// The one text of all kernels.
///
/// # Safety
///
/// Those of [`Kernel`], and the processor has the instructions of `V`.
#[inline(always)]
unsafe fn tile<V: Vector, const R: usize, const P: usize, const W: usize>(call: &Call<'_, V::Element>) {
    // Taller tiles are never asked for; this keeps their code from being made.
    assert!(R * P <= V::ROWS);
    // SAFETY: the processor is the caller's part. Pointers stay within what the caller vouches for: row i
    // reads `left + k` for k below `length`, panel p reads W registers at row `right + k`, sums are R rows of
    // P * W registers.
    unsafe {
        let place = |i: usize, p: usize, w: usize| call.sums.add(i * call.stride + (p * W + w) * V::LANES);
        let mut sums = [[[V::splat(V::Element::ZERO); W]; P]; R];
        if !call.first {
            for i in 0..R {
                for p in 0..P {
                    for w in 0..W {
                        sums[i][p][w] = V::load(place(i, p, w));
                    }
                }
            }
        }
        for run in call.runs {
            let mut rows = [call.rows[0]; R];
            for i in 0..R {
                rows[i] = call.rows[i].add(run.left);
            }
            let panel = call.panel.add(run.right * W * V::LANES);
            for k in 0..run.length {
                let mut factors = [[V::splat(V::Element::ZERO); W]; P];
                for p in 0..P {
                    for w in 0..W {
                        factors[p][w] = V::load(panel.add(p * call.panels + (k * W + w) * V::LANES));
                    }
                }
                for i in 0..R {
                    let left = V::splat(*rows[i].add(k));
                    for p in 0..P {
                        for w in 0..W {
                            sums[i][p][w] = left.fused(factors[p][w], sums[i][p][w]);
                        }
                    }
                }
            }
        }
        if call.last {
            call.ending.finish(&mut sums);
        }
        for i in 0..R {
            for p in 0..P {
                for w in 0..W {
                    let sum = if call.last { sums[i][p][w].canonical() } else { sums[i][p][w] };
                    sum.store(place(i, p, w));
                }
            }
        }
    }
}
