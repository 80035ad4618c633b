//! Loops over lanes in memory, so many at a time that a compiler keeps them in registers.

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
pub(super) trait Lanewise {
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
pub(super) unsafe fn each<L: Lanewise>(count: usize, to: *mut u8, lanes: &L) {
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
pub(super) unsafe fn each_one<L: Lanewise>(count: usize, to: *mut u8, lanes: &L) {
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
pub(super) unsafe fn lanes<T: Copy, const COUNT: usize>(from: *const u8, at: usize) -> [T; COUNT] {
    // SAFETY: That of the caller.
    unsafe { from.cast::<T>().add(at).cast::<[T; COUNT]>().read() }
}

/// Types of computations on each lane: a function, and of which operands it takes lanes, in their order. Operand
/// `to` is the target.
macro_rules! lanewise {
    ($($name:ident<$($ty:ident),+>($($operand:tt: $of:ident),+);)+) => {$(
        pub(super) struct $name<F, R, $($ty),+>(
            pub(super) Operands,
            pub(super) F,
            pub(super) std::marker::PhantomData<(R, $($ty),+)>,
        );

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
    pub(super) unsafe fn map<A: Copy, R: Copy + Default>(self, f: impl Fn(A) -> R) {
        // SAFETY: That of the caller.
        unsafe { each(self.count, self.to, &Map1(self, f, std::marker::PhantomData)) }
    }

    /// The function of operands 0 and 1.
    #[inline(always)]
    pub(super) unsafe fn map2<A: Copy, R: Copy + Default>(self, f: impl Fn(A, A) -> R) {
        // SAFETY: That of the caller.
        unsafe { each(self.count, self.to, &Map2(self, f, std::marker::PhantomData)) }
    }

    /// The function of operands 0 to 2.
    #[inline(always)]
    pub(super) unsafe fn map3<A: Copy, T: Copy + Default>(self, f: impl Fn(A, T, T) -> T) {
        // SAFETY: That of the caller.
        unsafe { each(self.count, self.to, &Map3(self, f, std::marker::PhantomData)) }
    }

    /// The function of operands 0 to 3.
    #[inline(always)]
    pub(super) unsafe fn map4<A: Copy, T: Copy + Default>(self, f: impl Fn(A, A, T, T) -> T) {
        // SAFETY: That of the caller.
        unsafe { each(self.count, self.to, &Map4(self, f, std::marker::PhantomData)) }
    }

    /// The function of the target and operand 0.
    #[inline(always)]
    pub(super) unsafe fn update<A: Copy + Default>(self, f: impl Fn(A, A) -> A) {
        // SAFETY: That of the caller.
        unsafe { each(self.count, self.to, &Update1(self, f, std::marker::PhantomData)) }
    }

    /// The function of the target and operands 0 and 1.
    #[inline(always)]
    pub(super) unsafe fn update2<A: Copy + Default>(self, f: impl Fn(A, A, A) -> A) {
        // SAFETY: That of the caller.
        unsafe { each(self.count, self.to, &Update2(self, f, std::marker::PhantomData)) }
    }
}

/// What is done to lanes that are there.
pub(super) struct Given<U>(pub(super) U);

#[expect(unsafe_code, reason = "it is a promise")]
impl<U> Given<U> {
    /// # Safety
    ///
    /// The lanes are what `U` says, of the types of the operation that this is given to, until it returns.
    #[inline(always)]
    pub(super) unsafe fn new(to: U) -> Self {
        Self(to)
    }
}
