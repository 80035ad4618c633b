//! Operations on blocks of lanes, compiled for each set of vector instructions. Lanes are the bits of `i32`,
//! `i64`, `f32` or `f64`; a truth value is an `i32` of 0 or 1. What an operation computes is in its table
//! (`dnn-lib/src/scalar/table.rs`); here is what it is done to.

use dnn_lib::scalar::{
    BinaryOp, Comparison, Conversion, Lane, Truth, Type, UnaryOp, UseBinary, UseComparison, UseUnary,
};

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
    /// From a type to another.
    Convert(Conversion, Type, Type),
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
                $crate::isa::Level::Avx512 => unsafe { avx512($($argument),+) },
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
    pub from: [*const u8; 3],
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl Operands {
    /// # Safety
    ///
    /// Operand `index` has `count` initialised lanes of `T`, which nothing writes meanwhile.
    #[inline(always)]
    unsafe fn lanes<'a, T>(self, index: usize) -> &'a [T] {
        // SAFETY: That of the caller.
        unsafe { std::slice::from_raw_parts(self.from[index].cast(), self.count) }
    }

    /// # Safety
    ///
    /// The target has `count` initialised lanes of `T`, which nothing else accesses meanwhile.
    #[inline(always)]
    unsafe fn target<'a, T>(self) -> &'a mut [T] {
        // SAFETY: That of the caller.
        unsafe { std::slice::from_raw_parts_mut(self.to.cast(), self.count) }
    }

    /// # Safety
    ///
    /// The target and operand 0 have lanes of these types, apart from each other.
    #[inline(always)]
    unsafe fn map<A: Copy, R>(self, f: impl Fn(A) -> R) {
        // SAFETY: That of the caller.
        let (to, a) = unsafe { (self.target::<R>(), self.lanes::<A>(0)) };
        for (to, &a) in to.iter_mut().zip(a) {
            *to = f(a);
        }
    }

    /// # Safety
    ///
    /// The target and operands 0 and 1 have lanes of these types, the target apart from the others.
    #[inline(always)]
    unsafe fn map2<A: Copy, R>(self, f: impl Fn(A, A) -> R) {
        // SAFETY: That of the caller.
        let (to, a, b) = unsafe { (self.target::<R>(), self.lanes::<A>(0), self.lanes::<A>(1)) };
        for ((to, &a), &b) in to.iter_mut().zip(a).zip(b) {
            *to = f(a, b);
        }
    }

    /// # Safety
    ///
    /// The target and all operands have lanes of these types, the target apart from the others.
    #[inline(always)]
    unsafe fn map3<A: Copy, T: Copy>(self, f: impl Fn(A, T, T) -> T) {
        // SAFETY: That of the caller.
        let (to, a) = unsafe { (self.target::<T>(), self.lanes::<A>(0)) };
        // SAFETY: The same.
        let (b, c) = unsafe { (self.lanes::<T>(1), self.lanes::<T>(2)) };
        for (((to, &a), &b), &c) in to.iter_mut().zip(a).zip(b).zip(c) {
            *to = f(a, b, c);
        }
    }

    /// # Safety
    ///
    /// The target and operands 0 and 1 have lanes of this type, the target apart from the others.
    #[inline(always)]
    unsafe fn update<T: Copy>(self, f: impl Fn(T, T, T) -> T) {
        // SAFETY: That of the caller.
        let (to, a, b) = unsafe { (self.target::<T>(), self.lanes::<T>(0), self.lanes::<T>(1)) };
        for ((to, &a), &b) in to.iter_mut().zip(a).zip(b) {
            *to = f(a, b, *to);
        }
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
        let (to, a) = unsafe { (self.0.0.target::<T>(), self.0.0.lanes::<T>(0)) };
        for (to, &a) in to.iter_mut().zip(a) {
            *to = f(*to, a);
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

/// So many rows are folded in turns, since each waits for its last operation before the next.
const ROWS: usize = 8;

/// Folds rows of lanes, each into a lane of the target; each place begins with the initial value of its row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub init: *const u8,
    pub lanes: *const u8,
    /// The number of lanes of a row.
    pub count: usize,
    pub rows: usize,
    pub to: *mut u8,
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl UseBinary for Given<Rows> {
    type Result = ();

    #[inline(always)]
    fn with<T: Lane>(self, f: impl Fn(T, T) -> T) {
        let Self(Rows { init, lanes, count, rows, to }) = self;
        // SAFETY: That of `new`: all are there, the target apart from the others.
        let (init, lanes, to) = unsafe {
            (
                std::slice::from_raw_parts(init.cast::<T>(), rows),
                std::slice::from_raw_parts(lanes.cast::<T>(), rows * count),
                std::slice::from_raw_parts_mut(to.cast::<T>(), rows),
            )
        };
        let Some(&any) = init.first() else { return };
        let mut registers = [[any; LANES]; ROWS];
        let whole = count - count % LANES;
        let rows = lanes.chunks(count * ROWS);
        for ((to, init), rows) in to.chunks_mut(ROWS).zip(init.chunks(ROWS)).zip(rows) {
            for (places, &init) in registers.iter_mut().zip(init) {
                *places = [init; LANES];
            }
            let rows = || rows.chunks_exact(count);
            for start in (0..whole).step_by(LANES) {
                for (places, row) in registers.iter_mut().zip(rows()) {
                    let Some(lanes) = row[start..].first_chunk::<LANES>() else { continue };
                    // On a copy, a compiler sees vectors.
                    let mut own = *places;
                    for (place, &lane) in own.iter_mut().zip(lanes) {
                        *place = f(*place, lane);
                    }
                    *places = own;
                }
            }
            for ((to, places), row) in to.iter_mut().zip(&mut registers).zip(rows()) {
                for (place, &lane) in places.iter_mut().zip(&row[whole..]) {
                    *place = f(*place, lane);
                }
                *to = halved(*places, &f);
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

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
#[inline(always)]
unsafe fn each_lane(op: Op, o: Operands) {
    // SAFETY: That of the caller.
    unsafe {
        // What an operation isn't defined for, which `Definition::check` has ruled out, would do nothing.
        match op {
            Op::Unary(op, ty) => op.with(ty, Given::new(Map(o))),
            Op::Binary(op, ty) => op.with(ty, Given::new(Map(o))),
            Op::Update(op, ty) => op.with(ty, Given::new(Update(o))),
            Op::Compare(op, ty) => op.with(ty, Given::new(Map(o))),
            Op::Convert(conversion, from, to) => conversion.with(from, to, Given::new(Map(o))),
            Op::Fma(Type::F64) => Some(o.map3(f64::mul_add)),
            Op::Fma(_) => Some(o.map3(f32::mul_add)),
            Op::UpdateFma(Type::F64) => Some(o.update(f64::mul_add)),
            Op::UpdateFma(_) => Some(o.update(f32::mul_add)),
            Op::Select(ty) if lane_bytes(ty) == 8 => {
                Some(o.map3(|a: i32, b: u64, c| if a != 0 { b } else { c }))
            }
            Op::Select(_) => Some(o.map3(|a: i32, b: u32, c| if a != 0 { b } else { c })),
        };
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
    /// The operands that the operation has are `count` initialised and aligned lanes of its types, and so is
    /// the target. Nothing else accesses the target or writes to the operands meanwhile; the target does not
    /// overlap the operands.
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
    /// There are `rows` initialised and aligned values of this type at `init` and at `to`, and `rows * count` at
    /// `lanes`, and `count` is not 0. Nothing else accesses the target or writes to the others meanwhile; the
    /// target is apart from them.
    pub(crate) unsafe fn fold_rows(op: BinaryOp, ty: Type, rows: Rows) = fold_each_row;
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
