//! Operations on blocks of lanes, compiled for each set of vector instructions. Lanes are the bits of `i32`,
//! `i64`, `f32` or `f64`; a truth value is an `i32` of 0 or 1. What an operation computes is in its table
//! (`dnn-lib/src/scalar/table.rs`); here is what it is done to.

use dnn_lib::scalar::{
    BinaryOp, Comparison, Conversion, Lane, Truth, Type, UnaryOp, UseBinary, UseComparison, UseUnary,
    maximum, minimum,
};

use super::transfer::Read;
use super::translate::DIMS;
use crate::isa::Level;

/// What is done to each lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Op {
    Unary(UnaryOp, Type),
    Binary(BinaryOp, Type),
    Compare(Comparison, Type),
    Fma(Type),
    /// The second where the first is not 0, else the third.
    Select(Type),
    /// The third where the comparison of the first two is true, else the fourth: lanes of as many bytes as theirs.
    Choose(Comparison, Type),
    /// From a type to another.
    Convert(Conversion, Type, Type),
    /// The difference of two `i32`, as an `f32`, times the third.
    Dequantize,
    /// The quotient or the product of two `f32`, rounded, as an integer of at least and at most so much after the
    /// third, an `i32`, was added.
    Quantize {
        least: i32,
        most: i32,
        divides: bool,
    },
    /// The target and the first operand make the target.
    Update(BinaryOp, Type),
    /// The target plus the product of the operands makes the target.
    UpdateFma(Type),
}

/// The number of lanes of a register of a reduction.
pub(crate) const LANES: usize = dnn_lib::definition::LANES;

/// The bytes of a lane.
pub(crate) fn lane_bytes(ty: Type) -> usize {
    match ty {
        Type::Bool | Type::I32 | Type::F32 => 4,
        Type::I64 | Type::F64 => 8,
    }
}

/// Calls a function that is compiled for a set of vector instructions.
macro_rules! compiled {
    ($(#[$attribute:meta])* $visible:vis unsafe fn $name:ident($($argument:ident: $ty:ty),+) = $body:path;) => {
        $(#[$attribute])*
        #[expect(unsafe_code, reason = "functions compiled for more than the baseline")]
        $visible unsafe fn $name(level: $crate::isa::Level, $($argument: $ty),+) {
            // SAFETY, of all these calls: that of the caller, who also has the instructions, since a `Level`
            // is made only where they are.
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2($($argument: $ty),+) {
                unsafe { $body($($argument),+) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            unsafe fn avx512($($argument: $ty),+) {
                unsafe { $body($($argument),+) }
            }
            match level {
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Level::Avx2 => unsafe { avx2($($argument),+) },
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Level::Avx512 | $crate::isa::Level::Vnni => unsafe { avx512($($argument),+) },
                _ => unsafe { $body($($argument),+) },
            }
        }
    };
}
pub(crate) use compiled;

/// Where operands are and where the result goes: lanes of the operation's types.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operands {
    /// The number of lanes.
    pub count: usize,
    pub to: *mut u8,
    pub from: [*const u8; 4],
    /// Which bits of a lane's number say where it is in an operand: all, or none for one whose lanes are equal
    /// and which has one vector of them.
    pub lanes: [usize; 4],
}

/// What is computed for each lane, so many lanes at a time that a compiler keeps them in registers.
#[expect(unsafe_code, reason = "lanes are in untyped memory")]
trait Lanewise {
    /// The lanes of the result.
    type To: Copy;

    /// The results of lanes from `at` on.
    ///
    /// # Safety
    ///
    /// What [`each`] promises.
    unsafe fn compute<const COUNT: usize>(&self, at: usize) -> [Self::To; COUNT];
}

/// The same number, but a compiler doesn't know that. From a loop over vectors that it understands, it makes one
/// over vectors of vectors, which gathers.
#[expect(unsafe_code, reason = "inline assembly")]
#[inline(always)]
fn opaque(mut number: usize) -> usize {
    // SAFETY: There is no instruction.
    unsafe { std::arch::asm!("/* {0} */", inout(reg) number, options(nomem, nostack, preserves_flags)) };
    number
}

/// Computes lanes and writes them to a target. What doesn't fill the last vector is computed in one that
/// overlaps it.
///
/// # Safety
///
/// The target has `count` lanes, which nothing else accesses meanwhile, and `lanes` can compute as many. They may
/// read the target: they see what was there before.
#[expect(unsafe_code, reason = "lanes are in untyped memory")]
#[inline(always)]
unsafe fn each<L: Lanewise>(count: usize, to: *mut u8, lanes: &L) {
    let to = to.cast::<L::To>();
    // SAFETY: That of the caller: all vectors are in the first `count` lanes, and the last one is computed
    // before others that it overlaps are written.
    unsafe {
        macro_rules! two {
            ($lanes:literal) => {{
                let last = count - $lanes;
                let (first, second) = (lanes.compute::<$lanes>(0), lanes.compute::<$lanes>(last));
                to.cast::<[L::To; $lanes]>().write(first);
                to.add(last).cast::<[L::To; $lanes]>().write(second);
            }};
        }
        match count {
            16.. => {
                let last = count - 16;
                let end = lanes.compute::<16>(last);
                let mut at = 0;
                while at < last {
                    let vector = lanes.compute::<16>(at);
                    to.add(at).cast::<[L::To; 16]>().write(vector);
                    at = opaque(at + 16);
                }
                to.add(last).cast::<[L::To; 16]>().write(end);
            }
            8.. => two!(8),
            4.. => two!(4),
            _ => (0..count).for_each(|at| to.add(at).write(lanes.compute::<1>(at)[0])),
        }
    }
}

/// Computes lanes one after the other.
///
/// # Safety
///
/// That of [`each`].
#[expect(unsafe_code, reason = "lanes are in untyped memory")]
#[inline(always)]
unsafe fn each_one<L: Lanewise>(count: usize, to: *mut u8, lanes: &L) {
    for at in 0..count {
        // SAFETY: That of the caller.
        unsafe { to.cast::<L::To>().add(at).write(lanes.compute::<1>(at)[0]) };
    }
}

/// Lanes of an array, from `at` on.
///
/// # Safety
///
/// There are so many there, initialised and aligned, and nothing writes to them meanwhile.
#[expect(unsafe_code, reason = "lanes are in untyped memory")]
#[inline(always)]
unsafe fn lanes<T: Copy, const COUNT: usize>(from: *const u8, at: usize) -> [T; COUNT] {
    // SAFETY: That of the caller.
    unsafe { from.cast::<T>().add(at).cast::<[T; COUNT]>().read() }
}

/// Types of computations on each lane: a function, and of which operands it takes lanes, in their order. Operand
/// `to` is the target.
macro_rules! lanewise {
    ($($name:ident<$($ty:ident),+>($($operand:tt: $of:ident),+);)+) => {$(
        struct $name<F, R, $($ty),+>(Operands, F, std::marker::PhantomData<(R, $($ty),+)>);

        #[expect(unsafe_code, reason = "lanes are in untyped memory")]
        impl<R: Copy + Default, $($ty: Copy,)+ F: Fn($($of),+) -> R> Lanewise for $name<F, R, $($ty),+> {
            type To = R;

            #[inline(always)]
            unsafe fn compute<const COUNT: usize>(&self, at: usize) -> [R; COUNT] {
                // SAFETY: That of the caller.
                let operands = unsafe { ($(lanes::<$of, COUNT>(lanewise!(self.0, $operand), lanewise!(at self.0, at, $operand)),)+) };
                // Not `array::from_fn`, which isn't always compiled for the set of vector instructions.
                let mut results = [R::default(); COUNT];
                for (lane, result) in results.iter_mut().enumerate() {
                    *result = lanewise!(call self.1, operands, lane, $($operand)+);
                }
                results
            }
        }
    )+};
    (at $operands:expr, $at:ident, to) => { $at };
    (at $operands:expr, $at:ident, $index:tt) => { $at & $operands.lanes[$index] };
    ($operands:expr, to) => { $operands.to.cast_const() };
    ($operands:expr, $index:tt) => { $operands.from[$index] };
    (call $f:expr, $operands:ident, $lane:ident, $a:tt) => { ($f)($operands.0[$lane]) };
    (call $f:expr, $operands:ident, $lane:ident, $a:tt $b:tt) => {
        ($f)($operands.0[$lane], $operands.1[$lane])
    };
    (call $f:expr, $operands:ident, $lane:ident, $a:tt $b:tt $c:tt) => {
        ($f)($operands.0[$lane], $operands.1[$lane], $operands.2[$lane])
    };
    (call $f:expr, $operands:ident, $lane:ident, $a:tt $b:tt $c:tt $d:tt) => {
        ($f)($operands.0[$lane], $operands.1[$lane], $operands.2[$lane], $operands.3[$lane])
    };
}
lanewise! {
    Map1<A>(0: A);
    Map2<A>(0: A, 1: A);
    Map3<A, T>(0: A, 1: T, 2: T);
    Map4<A, T>(0: A, 1: A, 2: T, 3: T);
    Update1<A>(to: A, 0: A);
    Update2<A>(to: A, 0: A, 1: A);
}

/// # Safety
///
/// Of all methods: the target and the operands that the function takes are `count` initialised lanes of its types;
/// those whose `lanes` is 0 are 16 lanes.
/// Nothing else accesses the target or writes to the others meanwhile. The target is an operand, or apart from it.
#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl Operands {
    /// The function of operand 0.
    #[inline(always)]
    unsafe fn map<A: Copy, R: Copy + Default>(self, f: impl Fn(A) -> R) {
        // SAFETY: That of the caller.
        unsafe { each(self.count, self.to, &Map1(self, f, std::marker::PhantomData)) }
    }

    /// The function of operands 0 and 1.
    #[inline(always)]
    unsafe fn map2<A: Copy, R: Copy + Default>(self, f: impl Fn(A, A) -> R) {
        // SAFETY: That of the caller.
        unsafe { each(self.count, self.to, &Map2(self, f, std::marker::PhantomData)) }
    }

    /// The function of operands 0 to 2.
    #[inline(always)]
    unsafe fn map3<A: Copy, T: Copy + Default>(self, f: impl Fn(A, T, T) -> T) {
        // SAFETY: That of the caller.
        unsafe { each(self.count, self.to, &Map3(self, f, std::marker::PhantomData)) }
    }

    /// The function of operands 0 to 3.
    #[inline(always)]
    unsafe fn map4<A: Copy, T: Copy + Default>(self, f: impl Fn(A, A, T, T) -> T) {
        // SAFETY: That of the caller.
        unsafe { each(self.count, self.to, &Map4(self, f, std::marker::PhantomData)) }
    }

    /// The function of the target and operand 0.
    #[inline(always)]
    unsafe fn update<A: Copy + Default>(self, f: impl Fn(A, A) -> A) {
        // SAFETY: That of the caller.
        unsafe { each(self.count, self.to, &Update1(self, f, std::marker::PhantomData)) }
    }

    /// The function of the target and operands 0 and 1.
    #[inline(always)]
    unsafe fn update2<A: Copy + Default>(self, f: impl Fn(A, A, A) -> A) {
        // SAFETY: That of the caller.
        unsafe { each(self.count, self.to, &Update2(self, f, std::marker::PhantomData)) }
    }
}

/// What is done to lanes that are there.
struct Given<U>(U);

#[expect(unsafe_code, reason = "it is a promise")]
impl<U> Given<U> {
    /// # Safety
    ///
    /// The lanes are what `U` says, of the types of the operation that this is given to, until it returns.
    #[inline(always)]
    unsafe fn new(to: U) -> Self {
        Self(to)
    }
}

/// Maps operands: they and the target are lanes, the target apart from the others.
struct Map(Operands);

/// Maps the target and operand 0, which are lanes apart from each other.
struct Update(Operands);

/// A [`Map`] or an [`Update`] by an operation that is no vector instruction.
struct OneByOne<U>(U);

/// Chooses operand 2 or 3 of each lane, by a comparison of operands 0 and 1, whose lanes are as large.
struct Choice(Operands);

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
impl UseBinary for Given<Map> {
    type Result = ();

    #[inline(always)]
    fn with<T: Lane>(self, f: impl Fn(T, T) -> T) {
        // SAFETY: That of `new`.
        unsafe { self.0.0.map2::<T, T>(f) }
    }
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl UseBinary for Given<Update> {
    type Result = ();

    #[inline(always)]
    fn with<T: Lane>(self, f: impl Fn(T, T) -> T) {
        // SAFETY: That of `new`.
        unsafe { self.0.0.update(f) }
    }
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl UseBinary for Given<OneByOne<Map>> {
    type Result = ();

    #[inline(always)]
    fn with<T: Lane>(self, f: impl Fn(T, T) -> T) {
        let Self(OneByOne(Map(o))) = self;
        // SAFETY: That of `new`.
        unsafe { each_one(o.count, o.to, &Map2(o, f, std::marker::PhantomData)) }
    }
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl UseBinary for Given<OneByOne<Update>> {
    type Result = ();

    #[inline(always)]
    fn with<T: Lane>(self, f: impl Fn(T, T) -> T) {
        let Self(OneByOne(Update(o))) = self;
        // SAFETY: That of `new`.
        unsafe { each_one(o.count, o.to, &Update1(o, f, std::marker::PhantomData)) }
    }
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl UseComparison for Given<Choice> {
    type Result = ();

    #[inline(always)]
    fn with<T: Lane>(self, f: impl Fn(T, T) -> bool) {
        let Self(Choice(o)) = self;
        // SAFETY: That of `new`.
        unsafe {
            match size_of::<T>() {
                8 => o.map4(|a: T, b, c: u64, d| if f(a, b) { c } else { d }),
                _ => o.map4(|a: T, b, c: u32, d| if f(a, b) { c } else { d }),
            }
        }
    }
}

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

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl UseUnary for Given<Map> {
    type Result = ();

    #[inline(always)]
    fn with<A: Lane, R: Lane>(self, f: impl Fn(A) -> R) {
        // SAFETY: That of `new`.
        unsafe { self.0.0.map(f) }
    }
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl UseComparison for Given<Map> {
    type Result = ();

    #[inline(always)]
    fn with<T: Lane>(self, f: impl Fn(T, T) -> bool) {
        // SAFETY: That of `new`.
        unsafe { self.0.0.map2(|a: T, b| Truth::from(f(a, b))) }
    }
}

/// The integer of the table, `x as i32`, which compilers make of one lane after another.
#[expect(unsafe_code, reason = "there is a vector instruction for numbers in range only")]
#[inline(always)]
fn to_i32(x: f32) -> i32 {
    const END: f32 = 2_147_483_648.0;
    let inside = if x.abs() < END { x } else { 0.0 };
    // SAFETY: it is no NaN, and nearer to 0 than 2^31.
    let whole = unsafe { inside.to_int_unchecked::<i32>() };
    let whole = if x >= END { i32::MAX } else { whole };
    if x <= -END { i32::MIN } else { whole }
}

/// The bits of a number that was quantized.
#[inline(always)]
fn dequantize(x: i32, zero: u32, scale: u32) -> u32 {
    (x.wrapping_sub(zero.cast_signed()) as f32 * f32::from_bits(scale)).to_bits()
}

/// The bits of a quantized number that was divided by its scale.
#[inline(always)]
fn quantize(x: f32, zero: u32, [least, most]: [i32; 2]) -> u32 {
    let zero = zero.cast_signed();
    let x = to_i32(x.round_ties_even());
    let x = x.max(least.wrapping_sub(zero)).min(most.wrapping_sub(zero));
    x.wrapping_add(zero).cast_unsigned()
}

/// Whether there can be vector instructions for an operation.
fn is_vector(op: BinaryOp) -> bool {
    !matches!(op, BinaryOp::DivS | BinaryOp::DivU | BinaryOp::RemS | BinaryOp::RemU)
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
#[inline(always)]
unsafe fn each_lane(op: Op, o: Operands) {
    // SAFETY: That of the caller.
    unsafe {
        // What an operation isn't defined for, which `Definition::check` has ruled out, would do nothing.
        match op {
            Op::Unary(op, ty) => op.with(ty, Given::new(Map(o))).unwrap_or_default(),
            Op::Binary(op, ty) if !is_vector(op) => {
                op.with(ty, Given::new(OneByOne(Map(o)))).unwrap_or_default()
            }
            Op::Binary(op, ty) => op.with(ty, Given::new(Map(o))).unwrap_or_default(),
            Op::Update(op, ty) if !is_vector(op) => {
                op.with(ty, Given::new(OneByOne(Update(o)))).unwrap_or_default()
            }
            Op::Update(op, ty) => op.with(ty, Given::new(Update(o))).unwrap_or_default(),
            Op::Choose(op, ty) => op.with(ty, Given::new(Choice(o))).unwrap_or_default(),
            Op::Compare(op, ty) => op.with(ty, Given::new(Map(o))).unwrap_or_default(),
            Op::Convert(Conversion::FloatToInt, Type::F32, Type::I32) => o.map(to_i32),
            Op::Convert(conversion, from, to) => {
                conversion.with(from, to, Given::new(Map(o))).unwrap_or_default()
            }
            Op::Dequantize => o.map3(dequantize),
            Op::Quantize { least, most, divides: true } => {
                o.map3(|x: f32, scale, zero| quantize(x / f32::from_bits(scale), zero, [least, most]));
            }
            Op::Quantize { least, most, divides: false } => {
                o.map3(|x: f32, factor, zero| quantize(x * f32::from_bits(factor), zero, [least, most]));
            }
            Op::Fma(Type::F64) => o.map3(f64::mul_add),
            Op::Fma(_) => o.map3(f32::mul_add),
            Op::UpdateFma(Type::F64) => o.update2(|sum: f64, a, b| a.mul_add(b, sum)),
            Op::UpdateFma(_) => o.update2(|sum: f32, a, b| a.mul_add(b, sum)),
            Op::Select(ty) if lane_bytes(ty) == 8 => o.map3(|a: i32, b: u64, c| if a != 0 { b } else { c }),
            Op::Select(_) => o.map3(|a: i32, b: u32, c| if a != 0 { b } else { c }),
        }
    }
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
    /// Does an operation on lanes.
    ///
    /// # Safety
    ///
    /// The operands that the operation has are `count` initialised and aligned lanes of its types, or 16 where
    /// `lanes` is 0, and so is the target, with `count`. Nothing else accesses the target or writes to the operands meanwhile. The target is an operand,
    /// or does not overlap it.
    pub(crate) unsafe fn apply(op: Op, operands: Operands) = each_lane;
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
