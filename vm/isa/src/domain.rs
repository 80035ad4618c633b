//! Domains: the arithmetic in which instruction functions are written, and in which they can run.
//!
//! There are three sorts. A [`Word`] is a machine register: 64 bits, arithmetic modulo 2^64. A [`Nat`] is a
//! natural number below 2^128 that *never* overflows and never goes below zero. Any integer type of at least
//! 128 bits, including the EVM's 256, therefore gives the same results without masking. A [`Bool`] is a
//! condition. Every operation is total.

use core::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Not, Rem, Shl, Shr, Sub};

/// A 64-bit machine word.
pub trait Word:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
{
    /// The domain this word belongs to.
    type D: Domain<Word = Self>;
    /// Shifts left by `n` < 64.
    fn shl(self, n: Self) -> Self;
    /// Shifts right by `n` < 64, filling with zeros.
    fn shr(self, n: Self) -> Self;
    /// Shifts right by `n` < 64, filling with the sign.
    fn sar(self, n: Self) -> Self;
    /// Unsigned quotient; `x / 0 = 0`.
    fn divu(self, divisor: Self) -> Self;
    /// Unsigned remainder; `x % 0 = 0`.
    fn remu(self, divisor: Self) -> Self;
    /// Signed quotient rounded towards zero; `x / 0 = 0` and `MIN / -1 = MIN`.
    fn divs(self, divisor: Self) -> Self;
    /// Signed remainder with the sign of the dividend; `x % 0 = 0` and `MIN % -1 = 0`.
    fn rems(self, divisor: Self) -> Self;
    /// Whether both words are equal.
    fn eq(self, other: Self) -> <Self::D as Domain>::Bool;
    /// Unsigned less-than.
    fn ltu(self, other: Self) -> <Self::D as Domain>::Bool;
    /// Signed less-than.
    fn lts(self, other: Self) -> <Self::D as Domain>::Bool;
    /// Sign-extends the low `bits` bits.
    fn sext(self, bits: u32) -> Self;
    /// Keeps the low `bits` bits.
    fn zext(self, bits: u32) -> Self;
    /// The word as a natural number.
    fn nat(self) -> <Self::D as Domain>::Nat;
    /// Names the value; printed code keeps the name.
    fn named(self, name: &'static str) -> Self;
}

/// A natural number below 2^128. Sums, products and left shifts must stay below 2^128, differences at or
/// above zero, divisors must not be zero and shift amounts must be below 128: debug builds assert it.
pub trait Nat:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Rem<Output = Self>
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Shl<Output = Self>
    + Shr<Output = Self>
{
    /// The domain this number belongs to.
    type D: Domain<Nat = Self>;
    /// Whether both numbers are equal.
    fn eq(self, other: Self) -> <Self::D as Domain>::Bool;
    /// Less-than.
    fn lt(self, other: Self) -> <Self::D as Domain>::Bool;
    /// The length in bits: 0 for 0, 1 + floor(log2) otherwise.
    fn bit_length(self) -> Self;
    /// The number modulo 2^64, as a machine word.
    fn word(self) -> <Self::D as Domain>::Word;
    /// Names the value; printed code keeps the name.
    fn named(self, name: &'static str) -> Self;
}

/// A condition.
pub trait Bool: Copy + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self> {
    /// The domain this condition belongs to.
    type D: Domain<Bool = Self>;
    /// `a` if the condition holds, `b` otherwise; both are evaluated.
    fn select(self, a: <Self::D as Domain>::Nat, b: <Self::D as Domain>::Nat) -> <Self::D as Domain>::Nat;
    /// The same for words.
    fn select_word(
        self,
        a: <Self::D as Domain>::Word,
        b: <Self::D as Domain>::Word,
    ) -> <Self::D as Domain>::Word;
    /// 1 if the condition holds, 0 otherwise.
    fn nat(self) -> <Self::D as Domain>::Nat;
    /// Names the value; printed code keeps the name.
    fn named(self, name: &'static str) -> Self;
}

/// The name and the doc comment of a printed function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// The name, in snake case.
    pub name: &'static str,
    /// The doc comment.
    pub doc: &'static str,
    /// The parameters' names.
    pub params: &'static [&'static str],
    /// The results' names.
    pub results: &'static [&'static str],
}

/// A domain of computation: machine integers, Solidity expressions, or a compiler's values.
pub trait Domain: Copy + Sized + 'static {
    /// Machine words.
    type Word: Word<D = Self>;
    /// Natural numbers.
    type Nat: Nat<D = Self>;
    /// Conditions.
    type Bool: Bool<D = Self>;

    /// A word constant.
    fn word(value: u64) -> Self::Word;
    /// A natural constant.
    fn nat(value: u128) -> Self::Nat;
    /// Evaluates one of two alternatives; `names` are what printed code calls the results.
    fn branch<const K: usize>(
        condition: Self::Bool,
        names: [&'static str; K],
        then: impl FnOnce() -> [Self::Nat; K],
        otherwise: impl FnOnce() -> [Self::Nat; K],
    ) -> [Self::Nat; K];
    /// [`Domain::branch`] with one result.
    #[inline(always)]
    fn either(
        condition: Self::Bool,
        name: &'static str,
        then: impl FnOnce() -> Self::Nat,
        otherwise: impl FnOnce() -> Self::Nat,
    ) -> Self::Nat {
        let [result] = Self::branch(condition, [name], || [then()], || [otherwise()]);
        result
    }
    /// Calls a function that printed code keeps as a function.
    fn call<const A: usize, const R: usize>(
        function: &'static Function,
        args: [Self::Nat; A],
        body: impl FnOnce([Self::Nat; A]) -> [Self::Nat; R],
    ) -> [Self::Nat; R];
}

/// `def!(sum = a + b)` is `let sum = a + b`, and printed code keeps the name.
#[macro_export]
macro_rules! def {
    ([$($name:ident),*] = $value:expr) => {
        let [$($name),*] = $value;
        $(let $name = $name.named(stringify!($name));)*
    };
    ($name:ident = $value:expr) => {
        let $name = ($value).named(stringify!($name));
    };
}
