//! Rows become columns.

#![expect(unsafe_code, reason = "instructions beyond the baseline, and pointers")]

use crate::contraction::element::Element;
use crate::contraction::vector::{SQUARE, Vector};
use crate::isa::{Isa, Level};

/// A matrix in memory: where it starts, and elements from a row to the next one.
#[derive(Clone, Copy)]
pub struct Place<P> {
    pub start: P,
    pub stride: usize,
}

/// Copies a matrix of `rows` by `columns` so that rows become columns.
///
/// # Safety
///
/// The elements of both matrices can be read, and written, at their places, which have nothing in common.
pub unsafe fn turn<E: Element>(
    isa: Isa,
    [rows, columns]: [usize; 2],
    from: Place<*const E>,
    to: Place<*mut E>,
) {
    match isa.level() {
        // SAFETY: the caller's; every processor has this set.
        Level::Portable => unsafe { squares::<E::Portable>([rows, columns], from, to) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's; the set was found on this processor.
        Level::Avx2 => unsafe { avx2([rows, columns], from, to) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's; the set was found on this processor.
        Level::Avx512 | Level::Vnni => unsafe { avx512([rows, columns], from, to) },
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx2 | Level::Avx512 | Level::Vnni => unreachable!("sets of another processor"),
    }
}

/// # Safety
///
/// That of [`turn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<E: Element>(size: [usize; 2], from: Place<*const E>, to: Place<*mut E>) {
    // SAFETY: the caller's; the processor has the set.
    unsafe { squares::<E::Avx2>(size, from, to) }
}

/// # Safety
///
/// That of [`turn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn avx512<E: Element>(size: [usize; 2], from: Place<*const E>, to: Place<*mut E>) {
    // SAFETY: the caller's; the processor has the set.
    unsafe { squares::<E::Avx512>(size, from, to) }
}

/// # Safety
///
/// That of [`turn`], and the processor has the instructions of `V`.
#[inline(always)]
unsafe fn squares<V: Vector>(
    [rows, columns]: [usize; 2],
    from: Place<*const V::Element>,
    to: Place<*mut V::Element>,
) {
    // The rows of one of them are further apart. They are walked along, few at a time: a processor foresees it.
    let along_rows = from.stride > to.stride;
    let [outer, inner] = if along_rows { [rows, columns] } else { [columns, rows] };
    for outer in (0..outer).step_by(SQUARE) {
        for inner in (0..inner).step_by(SQUARE) {
            let [row, column] = if along_rows { [outer, inner] } else { [inner, outer] };
            let size = [SQUARE.min(rows - row), SQUARE.min(columns - column)];
            // SAFETY: a part of the matrices.
            unsafe {
                let from = Place { start: from.start.add(row * from.stride + column), ..from };
                let to = Place { start: to.start.add(column * to.stride + row), ..to };
                V::turn(size, from, to);
            }
        }
    }
}
