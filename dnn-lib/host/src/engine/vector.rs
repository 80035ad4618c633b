//! Operations on blocks of lanes, compiled for each set of vector instructions. Lanes are the bits of `i32`,
//! `i64`, `f32` or `f64`; a truth value is an `i32` of 0 or 1. What an operation computes is in its table
//! (`dnn-lib/src/scalar/table.rs`); here is what it is done to.

use dnn_lib::scalar::{
    BinaryOp, Comparison, Conversion, Lane, Truth, Type, UnaryOp, UseBinary, UseComparison, UseUnary,
};

use super::lanewise::{Given, Map2, Operands, Update1, each_one};

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

/// Maps operands: they and the target are lanes, the target apart from the others.
struct Map(Operands);

/// Maps the target and operand 0, which are lanes apart from each other.
struct Update(Operands);

/// A [`Map`] or an [`Update`] by an operation that is no vector instruction.
struct OneByOne<U>(U);

/// Chooses operand 2 or 3 of each lane, by a comparison of operands 0 and 1, whose lanes are as large.
struct Choice(Operands);

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
pub(super) fn quantize(x: f32, zero: u32, [least, most]: [i32; 2]) -> u32 {
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
