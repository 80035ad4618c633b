//! The domain of expressions. In this domain, an instruction's semantics build the expressions for its
//! results instead of computing values.
//!
//! Values are `Copy` handles into a thread-local arena, which holds the expressions of one instruction at a
//! time ([`session`]). Constant operands are folded at once, in the domain of machine integers.

use isa::domain::{Bool as IsaBool, Domain, Function, Nat as IsaNat, Word as IsaWord};
use isa::{FloatUnit, Format, Size, U64};
use std::cell::RefCell;
use std::ops;

/// The domain of expressions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expressions;

/// An expression of the current session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(u32);

/// A machine word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word(pub Id);
/// A natural number. The JIT uses only those below 2^64.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nat(pub Id);
/// A condition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bool(pub Id);

/// An operator of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Sar,
    DivU,
    RemU,
    DivS,
    RemS,
    Equal,
    LessU,
    LessS,
}

/// An operation on numbers of one format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Float {
    Add,
    Mul,
    Div,
    Min,
    Max,
    Equal,
    Less,
    LessEqual,
}

/// An expression. Words, naturals and conditions share this type: a natural below 2^64 is its word, and a
/// condition is 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Node {
    Constant(u64),
    /// An integer register before the instruction.
    X(u8),
    /// All bits of a float register before the instruction.
    F(u8),
    /// The binary32 in a float register.
    Unboxed(u8),
    /// The loaded value, zero-extended.
    Loaded(Id, Size),
    Binary(Binary, Id, Id),
    /// The full 128-bit product.
    Product(Id, Id),
    /// The upper half of a product.
    High(Id, Id),
    SignExtend(Id, u32),
    Not(Id),
    Select(Id, Id, Id),
    Float(Float, Format, Id, Id),
    Fma(Format, Id, Id, Id),
    Sqrt(Format, Id),
    /// The magnitude of the first number with the sign of the second.
    CopySign(Format, Id, Id),
    /// The number with its sign flipped.
    Negated(Format, Id),
    /// A conversion from a 64-bit integer.
    FromInteger {
        format: Format,
        x: Id,
        signed: bool,
        mode: u8,
    },
    /// A conversion to an integer.
    ToInteger {
        format: Format,
        x: Id,
        bits: u32,
        signed: bool,
        mode: u8,
    },
    /// A conversion to the other format.
    Converted {
        from: Format,
        x: Id,
    },
    /// Only the interpreter can compute this.
    Unsupported,
}

thread_local! {
    static ARENA: RefCell<Vec<Node>> = const { RefCell::new(Vec::new()) };
}

/// Discards the expressions of the last instruction.
pub(crate) fn session() {
    ARENA.with_borrow_mut(Vec::clear);
}

/// Adds an expression.
pub(crate) fn push(node: Node) -> Id {
    ARENA.with_borrow_mut(|arena| {
        arena.push(node);
        Id((arena.len() - 1) as u32)
    })
}

/// The expression of a handle.
pub(crate) fn node(id: Id) -> Node {
    ARENA.with_borrow(|arena| arena.get(id.0 as usize).copied().unwrap_or(Node::Unsupported))
}

/// The value of an expression, if it is constant.
pub(crate) fn constant(id: Id) -> Option<u64> {
    match node(id) {
        Node::Constant(value) => Some(value),
        _ => None,
    }
}

fn number(value: u64) -> Id {
    push(Node::Constant(value))
}

/// A condition.
fn truth(value: bool) -> Id {
    number(value.into())
}

/// An expression with two operands. Folded if both are constant.
fn binary(operator: Binary, a: Id, b: Id) -> Id {
    if let (Some(a), Some(b)) = (constant(a), constant(b)) {
        return number(compute(operator, U64(a), U64(b)));
    }
    match operator {
        Binary::And if [a, b].map(constant).contains(&Some(0)) => number(0),
        Binary::Add if constant(a) == Some(0) => b,
        Binary::Add if constant(b) == Some(0) => a,
        _ => push(Node::Binary(operator, a, b)),
    }
}

fn compute(operator: Binary, a: U64, b: U64) -> u64 {
    match operator {
        Binary::Add => (a + b).0,
        Binary::Sub => (a - b).0,
        Binary::Mul => (a * b).0,
        Binary::And => (a & b).0,
        Binary::Or => (a | b).0,
        Binary::Xor => (a ^ b).0,
        Binary::Shl => a.shl(b).0,
        Binary::Shr => a.shr(b).0,
        Binary::Sar => a.sar(b).0,
        Binary::DivU => a.divu(b).0,
        Binary::RemU => a.remu(b).0,
        Binary::DivS => a.divs(b).0,
        Binary::RemS => a.rems(b).0,
        Binary::Equal => IsaWord::eq(a, b).into(),
        Binary::LessU => a.ltu(b).into(),
        Binary::LessS => a.lts(b).into(),
    }
}

macro_rules! operators {
    ($type:ident: $($trait:ident $method:ident $operator:ident;)*) => {$(
        impl ops::$trait for $type {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                Self(binary(Binary::$operator, self.0, other.0))
            }
        }
    )*};
}

operators! { Word: Add add Add; Sub sub Sub; Mul mul Mul; BitAnd bitand And; BitOr bitor Or; BitXor bitxor Xor; }
operators! { Bool: BitAnd bitand And; BitOr bitor Or; }
operators! { Nat: BitAnd bitand And; }

/// Naturals above 64 bits, and operations that only software arithmetic uses, are not supported.
macro_rules! unsupported {
    ($($trait:ident $method:ident;)*) => {$(
        impl ops::$trait for Nat {
            type Output = Self;
            fn $method(self, _: Self) -> Self {
                Self(push(Node::Unsupported))
            }
        }
    )*};
}

unsupported! { Add add; Sub sub; Div div; Rem rem; Shl shl; }

impl ops::Mul for Nat {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self(push(Node::Product(self.0, other.0)))
    }
}

impl ops::Shr for Nat {
    type Output = Self;
    fn shr(self, other: Self) -> Self {
        Self(push(match (node(self.0), constant(other.0)) {
            (Node::Product(a, b), Some(64)) => Node::High(a, b),
            _ => Node::Unsupported,
        }))
    }
}

/// The format whose sign bit is this mask.
fn format_of_sign(mask: Option<u64>) -> Option<Format> {
    [Format::F32, Format::F64].into_iter().find(|format| mask == Some(1 << (format.width - 1)))
}

impl ops::BitXor for Nat {
    type Output = Self;
    /// With the sign bit: a negation.
    fn bitxor(self, other: Self) -> Self {
        match format_of_sign(constant(other.0)) {
            Some(format) => Self(push(Node::Negated(format, self.0))),
            None => Self(binary(Binary::Xor, self.0, other.0)),
        }
    }
}

impl ops::BitOr for Nat {
    type Output = Self;
    /// With a magnitude and a sign: a copied sign, or the number itself.
    fn bitor(self, other: Self) -> Self {
        if let (Node::Binary(Binary::And, x, magnitude), Node::Binary(Binary::And, sign, bit)) =
            (node(self.0), node(other.0))
            && let Some(format) = format_of_sign(constant(bit))
            && constant(magnitude) == Some((1 << (format.width - 1)) - 1)
        {
            return Self(if node(x) == node(sign) { x } else { push(Node::CopySign(format, x, sign)) });
        }
        Self(binary(Binary::Or, self.0, other.0))
    }
}

impl ops::Not for Bool {
    type Output = Self;
    fn not(self) -> Self {
        Self(match constant(self.0) {
            Some(value) => truth(value == 0),
            None => push(Node::Not(self.0)),
        })
    }
}

impl IsaWord for Word {
    type D = Expressions;
    fn shl(self, n: Self) -> Self {
        Self(binary(Binary::Shl, self.0, n.0))
    }
    fn shr(self, n: Self) -> Self {
        Self(binary(Binary::Shr, self.0, n.0))
    }
    fn sar(self, n: Self) -> Self {
        Self(binary(Binary::Sar, self.0, n.0))
    }
    fn divu(self, divisor: Self) -> Self {
        Self(binary(Binary::DivU, self.0, divisor.0))
    }
    fn remu(self, divisor: Self) -> Self {
        Self(binary(Binary::RemU, self.0, divisor.0))
    }
    fn divs(self, divisor: Self) -> Self {
        Self(binary(Binary::DivS, self.0, divisor.0))
    }
    fn rems(self, divisor: Self) -> Self {
        Self(binary(Binary::RemS, self.0, divisor.0))
    }
    fn eq(self, other: Self) -> Bool {
        Bool(binary(Binary::Equal, self.0, other.0))
    }
    fn ltu(self, other: Self) -> Bool {
        Bool(binary(Binary::LessU, self.0, other.0))
    }
    fn lts(self, other: Self) -> Bool {
        Bool(binary(Binary::LessS, self.0, other.0))
    }
    fn sext(self, bits: u32) -> Self {
        Self(match constant(self.0) {
            Some(value) => number(U64(value).sext(bits).0),
            None => push(Node::SignExtend(self.0, bits)),
        })
    }
    fn zext(self, bits: u32) -> Self {
        Self(binary(Binary::And, self.0, number(u64::MAX >> (64 - bits))))
    }
    fn nat(self) -> Nat {
        Nat(self.0)
    }
    fn named(self, _: &'static str) -> Self {
        self
    }
}

impl IsaNat for Nat {
    type D = Expressions;
    fn eq(self, other: Self) -> Bool {
        Bool(binary(Binary::Equal, self.0, other.0))
    }
    fn lt(self, other: Self) -> Bool {
        Bool(binary(Binary::LessU, self.0, other.0))
    }
    fn bit_length(self) -> Self {
        Self(push(Node::Unsupported))
    }
    fn word(self) -> Word {
        Word(self.0)
    }
    fn named(self, _: &'static str) -> Self {
        self
    }
}

impl IsaBool for Bool {
    type D = Expressions;
    fn select(self, a: Nat, b: Nat) -> Nat {
        Nat(push(Node::Select(self.0, a.0, b.0)))
    }
    fn select_word(self, a: Word, b: Word) -> Word {
        Word(push(Node::Select(self.0, a.0, b.0)))
    }
    fn nat(self) -> Nat {
        Nat(self.0)
    }
    fn named(self, _: &'static str) -> Self {
        self
    }
}

impl Domain for Expressions {
    type Word = Word;
    type Nat = Nat;
    type Bool = Bool;

    fn word(value: u64) -> Word {
        Word(number(value))
    }
    fn nat(value: u128) -> Nat {
        Nat(u64::try_from(value).map_or_else(|_| push(Node::Unsupported), number))
    }
    fn branch<const K: usize>(
        _: Bool,
        _: [&'static str; K],
        _: impl FnOnce() -> [Nat; K],
        _: impl FnOnce() -> [Nat; K],
    ) -> [Nat; K] {
        std::array::from_fn(|_| Nat(push(Node::Unsupported)))
    }
    /// Software arithmetic is not translated. [`Hardware`] overrides what the host has in hardware.
    fn call<const A: usize, const R: usize>(
        _: &'static Function,
        _: [Nat; A],
        _: impl FnOnce([Nat; A]) -> [Nat; R],
    ) -> [Nat; R] {
        std::array::from_fn(|_| Nat(push(Node::Unsupported)))
    }
}

/// The host's float unit: one expression for each operation that the host has in hardware. Everything else is
/// software, and left to the interpreter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hardware;

/// An operation in the mode round-to-nearest. Other modes are unsupported.
fn nearest(rm: Nat, node: Node) -> Nat {
    Nat(push(if constant(rm.0) == Some(0) { node } else { Node::Unsupported }))
}

/// An operation in the given rounding mode.
fn rounded(rm: Nat, node: impl FnOnce(u8) -> Node) -> Nat {
    let mode = constant(rm.0).and_then(|mode| u8::try_from(mode).ok());
    Nat(push(mode.map_or(Node::Unsupported, node)))
}

/// An operation that needs no rounding.
fn exact(operation: Float, format: Format, a: Nat, b: Nat) -> Nat {
    Nat(push(Node::Float(operation, format, a.0, b.0)))
}

impl FloatUnit<Expressions> for Hardware {
    fn add(format: Format, a: Nat, b: Nat, rm: Nat) -> Nat {
        nearest(rm, Node::Float(Float::Add, format, a.0, b.0))
    }
    fn mul(format: Format, a: Nat, b: Nat, rm: Nat) -> Nat {
        nearest(rm, Node::Float(Float::Mul, format, a.0, b.0))
    }
    fn fma(format: Format, a: Nat, b: Nat, c: Nat, rm: Nat) -> Nat {
        nearest(rm, Node::Fma(format, a.0, b.0, c.0))
    }
    fn div(format: Format, a: Nat, b: Nat, rm: Nat) -> Nat {
        nearest(rm, Node::Float(Float::Div, format, a.0, b.0))
    }
    fn sqrt(format: Format, a: Nat, rm: Nat) -> Nat {
        nearest(rm, Node::Sqrt(format, a.0))
    }
    fn unbox(register: Nat) -> Nat {
        Nat(push(match node(register.0) {
            Node::F(register) => Node::Unboxed(register),
            _ => Node::Unsupported,
        }))
    }
    fn less(format: Format, a: Nat, b: Nat) -> Nat {
        exact(Float::Less, format, a, b)
    }
    fn less_equal(format: Format, a: Nat, b: Nat) -> Nat {
        exact(Float::LessEqual, format, a, b)
    }
    fn equal(format: Format, a: Nat, b: Nat) -> Nat {
        exact(Float::Equal, format, a, b)
    }
    fn min(format: Format, a: Nat, b: Nat) -> Nat {
        exact(Float::Min, format, a, b)
    }
    fn max(format: Format, a: Nat, b: Nat) -> Nat {
        exact(Float::Max, format, a, b)
    }
    fn to_int(format: Format, x: Nat, rm: Nat, bits: u32, signed: bool) -> Word {
        let integer = rounded(rm, |mode| Node::ToInteger { format, x: x.0, bits, signed, mode }).word();
        if bits == 32 { integer.sext(32) } else { integer }
    }
    fn from_int(format: Format, x: Word, rm: Nat, signed: bool) -> Nat {
        rounded(rm, |mode| Node::FromInteger { format, x: x.0, signed, mode })
    }
    /// Rounds to nearest only. A conversion to the larger format is exact in any mode.
    fn change_format(from: Format, _: Format, x: Nat, rm: Nat) -> Nat {
        rounded(rm, |mode| match mode == 0 || from == Format::F32 {
            true => Node::Converted { from, x: x.0 },
            false => Node::Unsupported,
        })
    }
}
