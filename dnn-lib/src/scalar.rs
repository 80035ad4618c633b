//! Scalar values and the operations on them: what the kernel language and the definitions of operators share.

mod element;
mod lane;
mod operations;
mod ops;
mod small;
mod table;

use std::fmt;

use crate::tensor::DType;
pub use element::{canonical32, canonical64, maximum, minimum, narrow, widen};
pub use lane::{Lane, Truth};
pub use operations::{BinaryOp, Comparison, Conversion, UnaryOp, UseBinary, UseComparison, UseUnary};
pub use ops::Ops;
pub use small::Rounding;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Type {
    /// A truth value: the result of a comparison.
    Bool,
    /// 32 bits. The operation decides whether they are signed.
    I32,
    /// 64 bits: integers, indices and addresses.
    I64,
    /// IEEE-754 binary32.
    F32,
    /// IEEE-754 binary64.
    F64,
}

impl Type {
    /// Every type.
    pub const ALL: [Type; 5] = [Type::Bool, Type::I32, Type::I64, Type::F32, Type::F64];

    /// The type in which an element is used in computations: narrow integers are widened to `I32`, halves to
    /// `F32`. A small float is its code until it is cast.
    pub const fn of(dtype: DType) -> Type {
        match dtype {
            DType::F32 | DType::F16 | DType::BF16 => Type::F32,
            DType::F64 => Type::F64,
            DType::I64 | DType::U64 => Type::I64,
            _ => Type::I32,
        }
    }

    /// The type in which an element is loaded and stored; `None` for packed integers, which can't be.
    pub const fn loaded(dtype: DType) -> Option<Type> {
        if dtype.is_packed() { None } else { Some(Type::of(dtype)) }
    }

    /// Elements that hold the values of this type.
    pub const fn dtype(self) -> DType {
        match self {
            Type::Bool => DType::Bool,
            Type::I32 => DType::I32,
            Type::I64 => DType::I64,
            Type::F32 => DType::F32,
            Type::F64 => DType::F64,
        }
    }

    /// Whether it is `F32` or `F64`.
    pub const fn is_float(self) -> bool {
        matches!(self, Type::F32 | Type::F64)
    }

    /// Whether it is `I32` or `I64`.
    pub const fn is_int(self) -> bool {
        matches!(self, Type::I32 | Type::I64)
    }
}

/// A value of a kernel or a definition: assigned once, then only read. An index into its list of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Value(pub(crate) u32);

impl Value {
    /// Its number in the kernel, counted from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A constant. Floats are given by their bits, so that kernels can be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Const {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// The bits of an `f32`.
    F32(u32),
    /// The bits of an `f64`.
    F64(u64),
}

impl Const {
    /// Its type.
    pub const fn ty(self) -> Type {
        match self {
            Const::I32(_) => Type::I32,
            Const::I64(_) => Type::I64,
            Const::F32(_) => Type::F32,
            Const::F64(_) => Type::F64,
        }
    }
}

/// The right-hand side of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Expr {
    /// A constant.
    Const(Const),
    /// An operation on one value.
    Unary(UnaryOp, Value),
    /// An operation on two values.
    Binary(BinaryOp, Value, Value),
    /// A comparison, which gives a `Bool`.
    Compare(Comparison, Value, Value),
    /// `a * b + c` of floats, rounded once.
    Fma(Value, Value, Value),
    /// `then` if the condition (a `Bool`) holds, else `otherwise`.
    Select {
        /// The condition.
        condition: Value,
        /// The value if it holds.
        then: Value,
        /// The value if it does not.
        otherwise: Value,
    },
    /// A conversion to the type given.
    Convert(Conversion, Type, Value),
}

impl Expr {
    /// The values it uses.
    pub fn operands(&self) -> Vec<Value> {
        match *self {
            Expr::Const(_) => vec![],
            Expr::Unary(_, a) | Expr::Convert(_, _, a) => vec![a],
            Expr::Binary(_, a, b) | Expr::Compare(_, a, b) => vec![a, b],
            Expr::Fma(a, b, c) => vec![a, b, c],
            Expr::Select { condition, then, otherwise } => vec![condition, then, otherwise],
        }
    }

    /// The same operation on other values.
    pub fn map(&self, mut by: impl FnMut(Value) -> Value) -> Self {
        match *self {
            Expr::Const(constant) => Expr::Const(constant),
            Expr::Unary(op, a) => Expr::Unary(op, by(a)),
            Expr::Binary(op, a, b) => Expr::Binary(op, by(a), by(b)),
            Expr::Compare(op, a, b) => Expr::Compare(op, by(a), by(b)),
            Expr::Fma(a, b, c) => Expr::Fma(by(a), by(b), by(c)),
            Expr::Select { condition, then, otherwise } => {
                Expr::Select { condition: by(condition), then: by(then), otherwise: by(otherwise) }
            }
            Expr::Convert(conversion, to, a) => Expr::Convert(conversion, to, by(a)),
        }
    }

    /// The type of its value, given the types of all values before it; `None` if the operation is not defined
    /// for them.
    pub fn ty(&self, types: &[Type]) -> Option<Type> {
        let ty = |value: Value| types.get(value.index()).copied();
        let if_ = |condition: bool, ty: Type| condition.then_some(ty);
        match *self {
            Expr::Const(constant) => Some(constant.ty()),
            Expr::Unary(op, a) => if_(op.types().contains(&ty(a)?), ty(a)?),
            Expr::Binary(op, a, b) => if_(ty(a) == ty(b) && op.types().contains(&ty(a)?), ty(a)?),
            Expr::Compare(op, a, b) => if_(ty(a) == ty(b) && op.types().contains(&ty(a)?), Type::Bool),
            Expr::Fma(a, b, c) => if_(ty(a) == ty(b) && ty(b) == ty(c) && ty(a)?.is_float(), ty(a)?),
            Expr::Select { condition, then, otherwise } => {
                if_(ty(condition) == Some(Type::Bool) && ty(then) == ty(otherwise), ty(then)?)
            }
            Expr::Convert(conversion, to, a) => if_(conversion.works(ty(a)?, to), to),
        }
    }
}

impl Const {
    /// Its bits, as values are kept by the evaluators: floats as they are, integers sign-extended.
    pub(crate) fn bits(self) -> u64 {
        match self {
            Const::I32(x) => i64::from(x) as u64,
            Const::I64(x) => x as u64,
            Const::F32(bits) => bits.into(),
            Const::F64(bits) => bits,
        }
    }
}

impl Expr {
    /// Its value, given the types and the bits of all values before it.
    pub(crate) fn eval(&self, types: &[Type], values: &[u64]) -> u64 {
        let ty = |value: Value| types[value.index()];
        let get = |value: Value| values[value.index()];
        match *self {
            Expr::Const(constant) => constant.bits(),
            Expr::Unary(op, a) => op.eval(ty(a), get(a)),
            Expr::Binary(op, a, b) => op.eval(ty(a), get(a), get(b)),
            Expr::Compare(op, a, b) => op.eval(ty(a), get(a), get(b)),
            Expr::Fma(a, b, c) => match [a, b, c].map(get) {
                x if ty(a) == Type::F32 => fma(x.map(f32::from_kept), f32::mul_add),
                x => fma(x.map(f64::from_kept), f64::mul_add),
            },
            Expr::Select { condition, then, otherwise } => {
                get(if get(condition) != 0 { then } else { otherwise })
            }
            Expr::Convert(conversion, to, a) => conversion.eval(ty(a), to, get(a)),
        }
    }
}

fn fma<T: Lane>([a, b, c]: [T; 3], mul_add: fn(T, T, T) -> T) -> u64 {
    mul_add(a, b, c).kept()
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Bool => "bool",
            Type::I32 => "i32",
            Type::I64 => "i64",
            Type::F32 => "f32",
            Type::F64 => "f64",
        })
    }
}

impl fmt::Display for Const {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Const::I32(x) => write!(f, "{x}i32"),
            Const::I64(x) => write!(f, "{x}"),
            Const::F32(bits) => write!(f, "{:?}f32", f32::from_bits(bits)),
            Const::F64(bits) => write!(f, "{:?}f64", f64::from_bits(bits)),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Expr::Const(constant) => write!(f, "{constant}"),
            Expr::Unary(op, a) => write!(f, "{} {a}", op.name()),
            Expr::Binary(op, a, b) => write!(f, "{} {a}, {b}", op.name()),
            Expr::Compare(op, a, b) => write!(f, "{} {a}, {b}", op.name()),
            Expr::Fma(a, b, c) => write!(f, "fma {a}, {b}, {c}"),
            Expr::Select { condition, then, otherwise } => {
                write!(f, "select {condition}, {then}, {otherwise}")
            }
            Expr::Convert(conversion, ty, a) => write!(f, "{} {ty}, {a}", conversion.name()),
        }
    }
}
