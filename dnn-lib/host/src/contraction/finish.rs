//! What is done to finished sums before anything else: additions and a cut at 0, as long as they are in
//! registers where that is possible.

#![expect(unsafe_code, reason = "instructions beyond the baseline, and pointers in the innermost loop")]

use crate::contraction::Error;
use crate::contraction::element::Element;
use crate::contraction::matrix::{Matrix, Output};
use crate::contraction::vector::Vector;
use crate::isa::{Isa, Level};
use std::ops::Range;

/// How many additions there can be: a bias, and what a network adds to its own result.
pub const MOST_ADDENDS: usize = 2;

/// Additions, in their order, and then perhaps a cut: what isn't positive becomes +0, except NaNs.
///
/// An addend is a matrix like the whole result: rows and columns count there. It may be the same in all rows
/// or in all columns, by a stride of 0; the stride of its columns is 0 or 1.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a, E> {
    addends: [Option<Matrix<'a, E>>; MOST_ADDENDS],
    cut: bool,
}

impl<'a, E: Element> Finish<'a, E> {
    /// Nothing is done.
    pub const NONE: Self = Self { addends: [None; MOST_ADDENDS], cut: false };

    /// Adds these matrices, whose columns are 0 or 1 elements apart; cuts afterwards, or doesn't.
    pub fn new(addends: [Option<Matrix<'a, E>>; MOST_ADDENDS], cut: bool) -> Result<Self, Error> {
        for matrix in addends.iter().flatten() {
            let strides = matrix.strides();
            if strides[1] > 1 {
                return Err(Error::Spread { strides });
            }
        }
        Ok(Self { addends, cut })
    }

    /// Whether the addends have all rows and columns of a result.
    pub(super) fn fit(&self, out: &Output<'_, E>) -> Result<(), Error> {
        let small =
            |matrix: &&Matrix<'_, E>| matrix.rows() < out.rows().end || matrix.columns() < out.columns().end;
        match self.addends.iter().flatten().find(small) {
            None => Ok(()),
            Some(matrix) => Err(Error::Addend {
                size: [matrix.rows(), matrix.columns()],
                out: [out.rows().end, out.columns().end],
            }),
        }
    }

    fn is_none(&self) -> bool {
        !self.cut && self.addends.iter().all(Option::is_none)
    }

    /// Some rows from a column on, as a kernel wants them.
    pub(super) fn at(&self, rows: Range<usize>, column: usize) -> Ending<E> {
        let addend = |matrix: Matrix<'a, E>| {
            let [row, across] = matrix.strides();
            Addend { from: matrix.from(rows.start, column).as_ptr(), row, across: across == 1 }
        };
        Ending { addends: self.addends.map(|matrix| matrix.map(addend)), cut: self.cut }
    }

    /// The same with rows and columns changed, where every addend is the same in all columns: the numbers of
    /// these rows, and then zeros, are written to `across`. `None` if an addend isn't so.
    pub(super) fn turned<const N: usize>(
        &self,
        rows: Range<usize>,
        across: &mut [[E; N]; MOST_ADDENDS],
    ) -> Option<Ending<E>> {
        let mut ending = Ending { addends: [None; MOST_ADDENDS], cut: self.cut };
        for ((matrix, across), addend) in self.addends.iter().zip(across).zip(&mut ending.addends) {
            let Some(matrix) = matrix else { continue };
            if matrix.strides()[1] != 0 {
                return None;
            }
            across.fill(E::ZERO);
            for (to, row) in across.iter_mut().zip(rows.clone()) {
                *to = matrix.from(row, 0)[0];
            }
            *addend = Some(Addend { from: across.as_ptr(), row: 0, across: true });
        }
        Some(ending)
    }

    /// Finishes sums in memory.
    pub(super) fn apply(&self, isa: Isa, sums: Output<'_, E>) {
        if self.is_none() {
            return;
        }
        match isa.level() {
            // SAFETY: every processor has this set.
            Level::Portable => unsafe { self.rows::<E::Portable>(sums) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the set was found on this processor.
            Level::Avx2 => unsafe { self.avx2(sums) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the set was found on this processor.
            Level::Avx512 | Level::Vnni => unsafe { self.avx512(sums) },
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 | Level::Vnni => unreachable!("sets of another processor"),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(&self, sums: Output<'_, E>) {
        // SAFETY: the processor has the set.
        unsafe { self.rows::<E::Avx2>(sums) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    fn avx512(&self, sums: Output<'_, E>) {
        // SAFETY: the processor has the set.
        unsafe { self.rows::<E::Avx512>(sums) }
    }

    /// # Safety
    ///
    /// The processor has the instructions of `V`.
    #[inline(always)]
    unsafe fn rows<V: Vector<Element = E>>(&self, mut sums: Output<'_, E>) {
        let columns = sums.columns();
        if columns.is_empty() {
            return;
        }
        for row in sums.rows() {
            let ending = self.at(row..row + 1, columns.start);
            let run = sums.run(row, columns.clone());
            for start in (0..run.len()).step_by(V::LANES) {
                let count = V::LANES.min(run.len() - start);
                // SAFETY: the processor is the caller's part. What is read and written are elements of the
                // run and of the addends, which have as many columns: `fit` has been asked.
                unsafe {
                    let to = run.as_mut_ptr().add(start);
                    if count == V::LANES {
                        let sum = ending.finished(V::load(to), 0, start, |from| V::load(from));
                        sum.canonical().store(to);
                    } else {
                        let mask = V::mask((1 << count) - 1);
                        let load = |from| V::load_some(from, mask);
                        let sum = ending.finished(load(to.cast_const()), 0, start, load);
                        sum.canonical().store_first(to, count);
                    }
                }
            }
        }
    }
}

/// A part of [`Finish`] for the innermost loop.
#[derive(Clone, Copy, Debug)]
pub struct Ending<E> {
    addends: [Option<Addend<E>>; MOST_ADDENDS],
    cut: bool,
}

#[derive(Clone, Copy, Debug)]
struct Addend<E> {
    /// That of the first row and column.
    from: *const E,
    /// Elements from a row to the next one.
    row: usize,
    /// Whether there is one for each column, one after another; else one is for all.
    across: bool,
}

impl<E: Element> Ending<E> {
    /// Nothing is done.
    pub const NONE: Self = Self { addends: [None; MOST_ADDENDS], cut: false };

    /// Finishes `R` rows of `P` times `W` registers.
    ///
    /// # Safety
    ///
    /// The processor has the instructions of `V`. Every addend has these rows and columns.
    #[inline(always)]
    pub unsafe fn finish<V: Vector<Element = E>, const R: usize, const P: usize, const W: usize>(
        &self,
        sums: &mut [[[V; W]; P]; R],
    ) {
        for addend in self.addends.iter().flatten() {
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's.
                unsafe {
                    let from = addend.from.add(row * addend.row);
                    if addend.across {
                        for (register, sum) in sums.as_flattened_mut().iter_mut().enumerate() {
                            *sum = sum.added(V::load(from.add(register * V::LANES)));
                        }
                    } else {
                        let all = V::splat(*from);
                        for sum in sums.as_flattened_mut() {
                            *sum = sum.added(all);
                        }
                    }
                }
            }
        }
        if self.cut {
            for sum in sums.as_flattened_mut().as_flattened_mut() {
                // SAFETY: the caller's.
                *sum = unsafe { sum.cut() };
            }
        }
    }

    /// Finishes the sums of a row from a column on; `load` reads the addends of the lanes that matter.
    ///
    /// # Safety
    ///
    /// The processor has the instructions of `V`. Every addend has the row, and the columns that are read.
    #[inline(always)]
    pub unsafe fn finished<V: Vector<Element = E>>(
        &self,
        mut sum: V,
        row: usize,
        column: usize,
        load: impl Fn(*const E) -> V,
    ) -> V {
        for addend in self.addends.iter().flatten() {
            // SAFETY: the caller's.
            unsafe {
                let from = addend.from.add(row * addend.row);
                sum = sum.added(if addend.across { load(from.add(column)) } else { V::splat(*from) });
            }
        }
        // SAFETY: the caller's.
        if self.cut { unsafe { sum.cut() } } else { sum }
    }
}
