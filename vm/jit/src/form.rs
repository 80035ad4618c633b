//! The form of a float register in host code: a number in a host register, or 64 bits.
//!
//! The machine boxes every binary32 and has one canonical NaN per format. Host code does neither until it
//! makes a difference, and a form says what a register holds meanwhile. All forms are determined before code
//! is generated.

use crate::domain::{Binary, Float, Id, Node, constant, node};
use isa::{Format, Size};
use serde::{Deserialize, Serialize};

/// The upper half of a register that holds a binary32.
pub(crate) const BOX: u64 = 0xffff_ffff_0000_0000;

/// The form of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum Form {
    /// A binary32, exact to the bit.
    Exact32,
    /// A binary32. Any NaN stands for the canonical one.
    Arith32,
    /// 64 bits.
    #[default]
    Exact64,
    /// A binary64. Any NaN stands for the canonical one.
    Arith64,
}

/// The forms of all registers.
pub(crate) type Forms = [Form; 32];

impl Form {
    /// Whether it is a binary32.
    pub fn is_single(self) -> bool {
        matches!(self, Self::Exact32 | Self::Arith32)
    }

    /// Whether any NaN stands for the canonical one.
    pub fn is_arithmetic(self) -> bool {
        matches!(self, Self::Arith32 | Self::Arith64)
    }

    /// A form to which both can be converted.
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (a, b) if a.is_single() && b.is_single() => Self::Exact32,
            _ => Self::Exact64,
        }
    }

    /// The best form for a register at a place that can be reached with either. Like [`join`](Self::join),
    /// but if one of two binary32 forms is arithmetic, so is the result: the register stays cheap in a loop,
    /// and an exact one is checked on its way in.
    pub fn meet(self, other: Self) -> Self {
        match self.join(other) {
            Self::Exact32 if self != other => Self::Arith32,
            form => form,
        }
    }

    /// The best form that fits these bits.
    pub fn of_bits(bits: u64) -> Self {
        [Self::Arith32, Self::Exact32, Self::Arith64]
            .into_iter()
            .find(|form| form.fits(bits))
            .unwrap_or(Self::Exact64)
    }

    /// Whether a register with these bits has this form.
    pub fn fits(self, bits: u64) -> bool {
        let low = bits as u32;
        let boxed = bits >> 32 == BOX >> 32;
        match self {
            Self::Exact32 => boxed,
            Self::Arith32 => boxed && (low & (u32::MAX >> 1) <= INFINITY_32 || low == NAN_32),
            Self::Arith64 => bits & (u64::MAX >> 1) <= INFINITY_64 || bits == NAN_64,
            Self::Exact64 => true,
        }
    }
}

/// The bits of a register after host code: boxed if it is `single`, its NaN canonical if it is `arithmetic`.
pub(crate) fn settled(bits: u64, single: bool, arithmetic: bool) -> u64 {
    if single {
        let low = bits as u32;
        let nan = arithmetic && low & (u32::MAX >> 1) > INFINITY_32;
        return BOX | u64::from(if nan { NAN_32 } else { low });
    }
    if arithmetic && bits & (u64::MAX >> 1) > INFINITY_64 { NAN_64 } else { bits }
}

/// Infinity in binary32.
const INFINITY_32: u32 = 0x7f80_0000;
/// The canonical NaN in binary32.
pub(crate) const NAN_32: u32 = 0x7fc0_0000;
/// Infinity in binary64.
const INFINITY_64: u64 = 0x7ff0 << 48;
/// The canonical NaN in binary64.
pub(crate) const NAN_64: u64 = 0x7ff8 << 48;

/// The binary32 in an expression that boxes one.
pub(crate) fn boxed(id: Id) -> Option<Id> {
    match node(id) {
        Node::Binary(Binary::Or, value, mask) if constant(mask) == Some(BOX) => Some(value),
        _ => None,
    }
}

/// The form in which a float register receives an expression.
pub(crate) fn form_of(id: Id, forms: &Forms) -> Form {
    let of = |register: u8| forms[usize::from(register % 32)];
    if let Some(value) = boxed(id) {
        return match node(value) {
            Node::Unboxed(register) if of(register).is_single() => of(register),
            value if is_arithmetic(value) => Form::Arith32,
            _ => Form::Exact32,
        };
    }
    match node(id) {
        Node::F(register) => of(register),
        Node::Constant(bits) => Form::of_bits(bits),
        value if is_arithmetic(value) => Form::Arith64,
        _ => Form::Exact64,
    }
}

/// Whether the hardware computes the expression, with its own NaNs.
pub(crate) fn is_arithmetic(node: Node) -> bool {
    match node {
        Node::Float(operation, ..) => matches!(operation, Float::Add | Float::Mul | Float::Div),
        Node::Fma(..) | Node::Sqrt(..) | Node::Converted { .. } | Node::FromInteger { .. } => true,
        _ => false,
    }
}

/// The format of an expression, if it is a number.
pub(crate) fn format_of(node: Node) -> Option<Format> {
    match node {
        Node::Unboxed(_) => Some(Format::F32),
        Node::F(_) | Node::Loaded(_, Size::Double) => Some(Format::F64),
        Node::Float(Float::Equal | Float::Less | Float::LessEqual, ..) => None,
        Node::Float(_, format, ..)
        | Node::Fma(format, ..)
        | Node::Sqrt(format, _)
        | Node::CopySign(format, ..)
        | Node::Negated(format, _)
        | Node::FromInteger { format, .. } => Some(format),
        Node::Converted { from: Format::F32, .. } => Some(Format::F64),
        Node::Converted { .. } => Some(Format::F32),
        _ => None,
    }
}
