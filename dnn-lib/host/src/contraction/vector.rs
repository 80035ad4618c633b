//! Registers of elements, one type for each set of vector instructions.

#![expect(unsafe_code, reason = "instructions beyond the baseline")]

use crate::contraction::element::{Element, Quad, sealed::Registers};
use crate::contraction::turn::Place;

#[cfg(target_arch = "x86_64")]
mod x86;

/// Rows and columns of the matrices that are turned at once.
pub const SQUARE: usize = 8;

/// A register of elements.
///
/// # Safety
///
/// Every function needs a processor with the instructions of the type's set. They are inlined into functions
/// that are compiled for it.
pub trait Vector: Copy {
    type Element: Element;
    /// Some of the lanes.
    type Mask: Copy;

    /// Elements in a register.
    const LANES: usize;
    /// Rows of a tile: times [`WIDTH`](super::tile::WIDTH), as many sums as there are registers for.
    const ROWS: usize;

    unsafe fn splat(value: Self::Element) -> Self;
    /// Reads `LANES` elements.
    unsafe fn load(from: *const Self::Element) -> Self;
    /// Writes `LANES` elements.
    unsafe fn store(self, to: *mut Self::Element);
    /// `self * factor + acc`, rounded once.
    unsafe fn fused(self, factor: Self, acc: Self) -> Self;
    unsafe fn added(self, other: Self) -> Self;
    /// What isn't positive becomes +0, except NaNs.
    unsafe fn cut(self) -> Self;
    /// Every NaN becomes the canonical one.
    unsafe fn canonical(self) -> Self;

    /// The lanes whose bits are set.
    unsafe fn mask(lanes: u32) -> Self::Mask;
    /// Reads the elements of the mask's lanes and no others.
    unsafe fn load_some(from: *const Self::Element, mask: Self::Mask) -> Self;
    /// `self * factor + acc` in the mask's lanes, `acc` in the others.
    unsafe fn fused_some(self, factor: Self, acc: Self, mask: Self::Mask) -> Self;
    /// Writes the first `count` elements, which are at most `LANES`.
    unsafe fn store_first(self, to: *mut Self::Element, count: usize);

    /// Of the elements of two registers one after another, every other one from the first on, and the rest.
    unsafe fn unzipped(self, next: Self) -> (Self, Self);

    /// Copies a matrix so that rows become columns; there are at most [`SQUARE`] of each.
    #[inline(always)]
    unsafe fn turn(size: [usize; 2], from: Place<*const Self::Element>, to: Place<*mut Self::Element>) {
        // SAFETY: the caller's.
        unsafe { turn_one_by_one(size, from, to) }
    }
}

/// For sets without instructions for it.
///
/// # Safety
///
/// That of [`Vector::turn`].
#[inline(always)]
unsafe fn turn_one_by_one<E: Copy>([rows, columns]: [usize; 2], from: Place<*const E>, to: Place<*mut E>) {
    for column in 0..columns {
        for row in 0..rows {
            // SAFETY: the caller's.
            unsafe {
                *to.start.add(column * to.stride + row) = *from.start.add(row * from.stride + column);
            }
        }
    }
}

/// For sets that can't write some lanes.
///
/// # Safety
///
/// That of [`Vector`], and `count` elements can be written.
#[inline(always)]
unsafe fn store_by_copy<V: Vector>(vector: V, to: *mut V::Element, count: usize) {
    let mut elements = [V::Element::ZERO; 8];
    assert!(count <= V::LANES && V::LANES <= elements.len());
    // SAFETY: the array has room for the lanes; `to` for `count` elements, says the caller.
    unsafe {
        vector.store(elements.as_mut_ptr());
        to.copy_from_nonoverlapping(elements.as_ptr(), count);
    }
}

/// Elements one after another; the compiler makes of it what every processor of its kind has.
#[derive(Clone, Copy)]
pub struct Scalars<E>([E; 4]);

impl<E: Element> Vector for Scalars<E> {
    type Element = E;
    type Mask = [bool; 4];
    const LANES: usize = 4;
    const ROWS: usize = 6;

    #[inline(always)]
    unsafe fn splat(value: E) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const E) -> Self {
        // SAFETY: the caller vouches for four elements at `from`; an array has the alignment of its elements.
        Self(unsafe { from.cast::<[E; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut E) {
        // SAFETY: as in `load`.
        unsafe { to.cast::<[E; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn fused(self, factor: Self, acc: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].fused(factor.0[lane], acc.0[lane])))
    }

    #[inline(always)]
    unsafe fn added(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].added(other.0[lane])))
    }

    #[inline(always)]
    unsafe fn cut(self) -> Self {
        Self(self.0.map(E::cut))
    }

    #[inline(always)]
    unsafe fn canonical(self) -> Self {
        Self(self.0.map(E::canonical))
    }

    #[inline(always)]
    unsafe fn mask(lanes: u32) -> [bool; 4] {
        std::array::from_fn(|lane| lanes >> lane & 1 == 1)
    }

    #[inline(always)]
    unsafe fn load_some(from: *const E, mask: [bool; 4]) -> Self {
        // SAFETY: the caller vouches for the elements of these lanes.
        Self(std::array::from_fn(|lane| if mask[lane] { unsafe { from.add(lane).read() } } else { E::ZERO }))
    }

    #[inline(always)]
    unsafe fn fused_some(self, factor: Self, acc: Self, mask: [bool; 4]) -> Self {
        Self(std::array::from_fn(|lane| {
            if mask[lane] { self.0[lane].fused(factor.0[lane], acc.0[lane]) } else { acc.0[lane] }
        }))
    }

    #[inline(always)]
    unsafe fn unzipped(self, next: Self) -> (Self, Self) {
        let (a, b) = (self.0, next.0);
        (Self([a[0], a[2], b[0], b[2]]), Self([a[1], a[3], b[1], b[3]]))
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut E, count: usize) {
        // SAFETY: the caller's.
        unsafe { store_by_copy(self, to, count) }
    }
}

impl Registers for f32 {
    type Portable = Scalars<Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = x86::Avx2F32;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = x86::Avx512F32;
    #[cfg(target_arch = "x86_64")]
    type Vnni = x86::Avx512F32;
}

impl Registers for f64 {
    type Portable = Scalars<Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = x86::Avx2F64;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = x86::Avx512F64;
    #[cfg(target_arch = "x86_64")]
    type Vnni = x86::Avx512F64;
}

impl Registers for Quad {
    type Portable = Scalars<Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = x86::Avx2Quads;
    // Without VNNI, wider registers are no faster than what brings bytes into them.
    #[cfg(target_arch = "x86_64")]
    type Avx512 = x86::Avx2Quads;
    #[cfg(target_arch = "x86_64")]
    type Vnni = x86::VnniQuads;
}
