//! Lanes that are folded into one: those of a register, of a row, or elements of memory. Compiled for each set of
//! vector instructions.

use dnn_lib::scalar::{BinaryOp, Lane, Type, UseBinary, maximum, minimum};

use super::lanewise::{Given, Lanewise, each};
use super::transfer::Read;
use super::translate::DIMS;
use super::vector::compiled;
use crate::isa::Level;

/// The number of lanes of a register of a reduction.
pub(crate) const LANES: usize = dnn_lib::definition::LANES;

/// Folds lanes into a register, apart from them; lane i goes to place `start + i` modulo the number of places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fold {
    pub register: *mut u8,
    pub start: usize,
    pub lanes: *const u8,
    pub count: usize,
}

/// Folds a register into its first place.
struct Halve(*mut u8);

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl UseBinary for Given<Fold> {
    type Result = ();

    #[inline(always)]
    fn with<T: Lane>(self, f: impl Fn(T, T) -> T) {
        let Self(fold) = self;
        // SAFETY: That of `new`: the register and the lanes are there, apart from each other.
        let (register, lanes) = unsafe {
            let lanes = std::slice::from_raw_parts(fold.lanes.cast::<T>(), fold.count);
            (&mut *fold.register.cast::<[T; LANES]>(), lanes)
        };
        let start = fold.start % LANES;
        let (head, rest) = lanes.split_at(((LANES - start) % LANES).min(lanes.len()));
        for (place, &lane) in register[start..].iter_mut().zip(head) {
            *place = f(*place, lane);
        }
        let (whole, tail) = rest.as_chunks::<LANES>();
        let mut places = *register;
        for lanes in whole {
            for (place, &lane) in places.iter_mut().zip(lanes) {
                *place = f(*place, lane);
            }
        }
        for (place, &lane) in places.iter_mut().zip(tail) {
            *place = f(*place, lane);
        }
        *register = places;
    }
}

/// Folds places into the first one.
#[inline(always)]
fn halved<T: Copy>(mut places: [T; LANES], f: &impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for place in 0..half {
            places[place] = f(places[place], places[place + half]);
        }
        half /= 2;
    }
    places[0]
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl UseBinary for Given<Halve> {
    type Result = ();

    #[inline(always)]
    fn with<T: Lane>(self, f: impl Fn(T, T) -> T) {
        // SAFETY: That of `new`: the register is there.
        let places = unsafe { &mut *self.0.0.cast::<[T; LANES]>() };
        places[0] = halved(*places, &f);
    }
}

/// So many rows are folded in turns, since each waits for its last operation before the next.
const ROWS: usize = 4;

/// Folds rows of lanes, each into a lane of the target; each place begins with the initial value of its row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub init: *const u8,
    pub lanes: *const u8,
    /// The number of lanes of a row, and from a row to the next one.
    pub count: usize,
    pub stride: isize,
    pub rows: usize,
    pub to: *mut u8,
}

/// Folds so many rows, the first of which is `row`.
///
/// # Safety
///
/// That of [`Rows`].
#[expect(unsafe_code, reason = "lanes are in untyped memory")]
#[inline(always)]
unsafe fn fold_some<T: Copy, const COUNT: usize>(all: Rows, row: usize, f: &impl Fn(T, T) -> T) {
    let (init, to) = (all.init.cast::<T>().wrapping_add(row), all.to.cast::<T>().wrapping_add(row));
    let start = |row: usize| all.lanes.cast::<T>().wrapping_offset(all.stride.wrapping_mul(row as isize));
    let whole = all.count - all.count % LANES;
    // SAFETY: That of the caller: these rows are there, each with `count` lanes.
    unsafe {
        let mut registers = [[init.read(); LANES]; COUNT];
        for (index, places) in registers.iter_mut().enumerate() {
            *places = [init.add(index).read(); LANES];
        }
        for at in (0..whole).step_by(LANES) {
            for (index, places) in registers.iter_mut().enumerate() {
                let lanes = start(row + index).add(at).cast::<[T; LANES]>().read();
                for (place, lane) in places.iter_mut().zip(lanes) {
                    *place = f(*place, lane);
                }
            }
        }
        for (index, places) in registers.iter_mut().enumerate() {
            let rest = std::slice::from_raw_parts(start(row + index).add(whole), all.count - whole);
            for (place, &lane) in places.iter_mut().zip(rest) {
                *place = f(*place, lane);
            }
            to.add(index).write(halved(*places, f));
        }
    }
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl UseBinary for Given<Rows> {
    type Result = ();

    #[inline(always)]
    fn with<T: Lane>(self, f: impl Fn(T, T) -> T) {
        let Self(all) = self;
        let whole = all.rows - all.rows % ROWS;
        // SAFETY: That of `new`.
        unsafe {
            for row in (0..whole).step_by(ROWS) {
                fold_some::<T, ROWS>(all, row, &f);
            }
            for row in whole..all.rows {
                fold_some::<T, 1>(all, row, &f);
            }
        }
    }
}

/// Elements that are folded in ascending order, for each lane of a box.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    /// A lane with the initial value.
    pub init: *const u8,
    /// Where offsets of the first lane's elements are counted from.
    pub from: *const u8,
    /// The offsets of a lane's elements, in their order.
    pub offsets: &'a [isize],
    pub to: *mut u8,
    /// The dimensions of the box, and the distances along them: of elements, and of lanes. Lanes of the last one
    /// are side by side.
    pub counts: [usize; DIMS],
    pub steps: [isize; DIMS],
    pub lanes: [usize; DIMS],
}

/// A row of such lanes, whose elements are `STEP` apart, or, if that is 0, `step`.
struct TermRow<'a, F, W, E, T, const STEP: usize> {
    f: &'a F,
    widen: &'a W,
    init: T,
    from: *const E,
    offsets: &'a [isize],
    step: isize,
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl<E: Copy, T: Copy + Default, F, W, const STEP: usize> Lanewise for TermRow<'_, F, W, E, T, STEP>
where
    F: Fn(T, T) -> T,
    W: Fn(E) -> T,
{
    type To = T;

    #[inline(always)]
    unsafe fn compute<const COUNT: usize>(&self, at: usize) -> [T; COUNT] {
        let mut results = [self.init; COUNT];
        for &offset in self.offsets {
            let step = if STEP == 0 { self.step } else { STEP as isize };
            let from = self.from.wrapping_offset(offset.wrapping_add(step.wrapping_mul(at as isize)));
            // SAFETY: That of the caller: all these elements are there, and what is between them.
            let term: [E; COUNT] = unsafe {
                match STEP {
                    1 => from.cast::<[E; COUNT]>().read(),
                    2 => evens(from),
                    _ => {
                        let mut term = [from.read(); COUNT];
                        for (lane, term) in term.iter_mut().enumerate() {
                            *term = from.wrapping_offset(step.wrapping_mul(lane as isize)).read();
                        }
                        term
                    }
                }
            };
            for (result, term) in results.iter_mut().zip(term) {
                *result = (self.f)(*result, (self.widen)(term));
            }
        }
        results
    }
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl Terms<'_> {
    /// Folds them by a function, after another has made lanes of elements.
    ///
    /// # Safety
    ///
    /// That of [`fold_terms`].
    #[inline(always)]
    unsafe fn with<E: Copy, T: Copy + Default>(self, widen: impl Fn(E) -> T, f: impl Fn(T, T) -> T) {
        let [planes, matrices, rows, count] = self.counts;
        // SAFETY: That of the caller, of all of these.
        unsafe {
            let init = self.init.cast::<T>().read();
            let (f, widen, offsets, step) = (&f, &widen, self.offsets, self.steps[3]);
            let next = |dim: usize, (from, to): (*const E, *mut T)| {
                (from.wrapping_offset(self.steps[dim]), to.wrapping_add(self.lanes[dim]))
            };
            let mut plane = (self.from.cast::<E>(), self.to.cast::<T>());
            for _ in 0..planes {
                let mut matrix = plane;
                for _ in 0..matrices {
                    let mut row = matrix;
                    for _ in 0..rows {
                        let (from, to) = (row.0, row.1.cast());
                        match step {
                            1 => {
                                each(
                                    count,
                                    to,
                                    &TermRow::<_, _, E, T, 1> { f, widen, init, from, offsets, step },
                                );
                            }
                            2 => {
                                each(
                                    count,
                                    to,
                                    &TermRow::<_, _, E, T, 2> { f, widen, init, from, offsets, step },
                                );
                            }
                            _ => {
                                each(
                                    count,
                                    to,
                                    &TermRow::<_, _, E, T, 0> { f, widen, init, from, offsets, step },
                                );
                            }
                        }
                        row = next(2, row);
                    }
                    matrix = next(1, matrix);
                }
                plane = next(0, plane);
            }
        }
    }
}

/// Every other element.
///
/// # Safety
///
/// From the first to the last of them, all elements can be read.
#[expect(unsafe_code, reason = "lanes are in untyped memory")]
#[inline(always)]
unsafe fn evens<T: Copy, const COUNT: usize>(from: *const T) -> [T; COUNT] {
    // SAFETY: That of the caller: two vectors that overlap in one element.
    let (first, second) =
        unsafe { (from.cast::<[T; COUNT]>().read(), from.add(COUNT - 1).cast::<[T; COUNT]>().read()) };
    let mut evens = first;
    let mut lane = 0;
    while lane < COUNT {
        let place = 2 * lane;
        evens[lane] = if place < COUNT { first[place] } else { second[place + 1 - COUNT] };
        lane += 1;
    }
    evens
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
#[inline(always)]
unsafe fn fold_lanes(op: BinaryOp, ty: Type, fold: Fold) {
    // SAFETY: That of the caller.
    op.with(ty, unsafe { Given::new(fold) });
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
#[inline(always)]
unsafe fn fold_each_row(op: BinaryOp, ty: Type, rows: Rows) {
    // SAFETY: That of the caller.
    op.with(ty, unsafe { Given::new(rows) });
}

compiled! {
    /// Folds lanes into a register.
    ///
    /// # Safety
    ///
    /// The register is [`LANES`] initialised and aligned values of this type, and there are `count` such
    /// lanes, apart from it. Nothing else accesses them meanwhile.
    pub(crate) unsafe fn fold(op: BinaryOp, ty: Type, fold: Fold) = fold_lanes;
}

compiled! {
    /// Folds rows of lanes.
    ///
    /// # Safety
    ///
    /// There are `rows` initialised and aligned values of this type at `init` and at `to`, and as many rows of
    /// `count`, the first of them at `lanes`. Nothing else accesses the target or writes to the others meanwhile;
    /// the target is apart from them.
    pub(crate) unsafe fn fold_rows(op: BinaryOp, ty: Type, rows: Rows) = fold_each_row;
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
#[inline(always)]
unsafe fn fold_all_terms(op: BinaryOp, kind: Read, terms: Terms<'_>) {
    // SAFETY: That of the caller.
    unsafe {
        // With the table's own functions, one by one: its whole list would be compiled for terms.
        match (op, kind) {
            (BinaryOp::Min, Read::U8) => terms.with::<u8, i32>(i32::from, i32::min),
            (BinaryOp::Min, Read::I8) => terms.with::<i8, i32>(i32::from, i32::min),
            (BinaryOp::Max, Read::U8) => terms.with::<u8, i32>(i32::from, i32::max),
            (BinaryOp::Max, Read::I8) => terms.with::<i8, i32>(i32::from, i32::max),
            (_, Read::U8) => terms.with::<u8, i32>(i32::from, i32::wrapping_add),
            (_, Read::I8) => terms.with::<i8, i32>(i32::from, i32::wrapping_add),
            (BinaryOp::Min, Read::Eight) => terms.with(same, minimum::<f64>),
            (BinaryOp::Max, Read::Eight) => terms.with(same, maximum::<f64>),
            (_, Read::Eight) => terms.with(same, |a: f64, b| a + b),
            (BinaryOp::Min, _) => terms.with(same, minimum::<f32>),
            (BinaryOp::Max, _) => terms.with(same, maximum::<f32>),
            // There are no others: see `translate::term`.
            _ => terms.with(same, |a: f32, b| a + b),
        }
    }
}

#[inline(always)]
fn same<T>(element: T) -> T {
    element
}

compiled! {
    /// Folds elements, floats or bytes, by a sum, a minimum or a maximum.
    ///
    /// # Safety
    ///
    /// There is an initialised and aligned lane of such elements at `init`. At the distances of its place, each lane of
    /// the box has an element at each of the offsets, and a place for its result; all that is between the elements of
    /// a row can be read too. Nothing else accesses the results or writes to the others meanwhile; they are apart.
    pub(crate) unsafe fn fold_terms(op: BinaryOp, kind: Read, terms: Terms<'_>) = fold_all_terms;
}

/// Combines the places of a register: the first half with the second, until one is left.
///
/// # Safety
///
/// The register is [`LANES`] initialised and aligned values of this type. Nothing else accesses it meanwhile.
#[expect(unsafe_code, reason = "lanes are in untyped memory")]
pub(crate) unsafe fn halve(_: Level, op: BinaryOp, ty: Type, register: *mut u8) {
    // SAFETY: That of the caller.
    op.with(ty, unsafe { Given::new(Halve(register)) });
}
