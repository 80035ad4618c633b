//! The program itself: plain data that can be built, printed, evaluated and lowered.

use std::ops::Range;

use crate::tensor::{DType, TensorType};

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// The type in which an element is used in computations: narrow integers are widened to `I32`.
    pub const fn of(dtype: DType) -> Type {
        match dtype {
            DType::F32 => Type::F32,
            DType::F64 => Type::F64,
            DType::I64 | DType::U64 => Type::I64,
            DType::I8 | DType::I16 | DType::I32 | DType::U8 | DType::U16 | DType::U32 | DType::Bool => {
                Type::I32
            }
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

/// A value of a kernel: assigned once, then only read. An index into [`Kernel::types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) u32);

impl Value {
    /// Its number in the kernel, counted from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A constant. Floats are given by their bits, so that kernels can be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// Operations on one float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// The sign changed.
    Neg,
    /// The sign cleared.
    Abs,
    /// The square root.
    Sqrt,
}

/// Operations on two values of one type, which is also the type of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// Sum, of integers or floats.
    Add,
    /// Difference, of integers or floats.
    Sub,
    /// Product (of integers the low half), of integers or floats.
    Mul,
    /// Quotient of floats.
    Div,
    /// Signed quotient of integers, towards zero.
    DivS,
    /// Unsigned quotient of integers.
    DivU,
    /// Signed remainder of integers; it has the sign of the dividend.
    RemS,
    /// Unsigned remainder of integers.
    RemU,
    /// Bitwise and, of integers or truth values.
    And,
    /// Bitwise or, of integers or truth values.
    Or,
    /// Bitwise exclusive or, of integers or truth values.
    Xor,
    /// Shift left, of integers.
    Shl,
    /// Arithmetic shift right, of integers.
    ShrS,
    /// Logical shift right, of integers.
    ShrU,
}

/// Comparisons of two values of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Equal, of integers or floats.
    Eq,
    /// Not equal (the opposite of `Eq`, so true with a NaN), of integers or floats.
    Ne,
    /// Less, of signed integers or floats.
    Lt,
    /// Less or equal, of signed integers or floats.
    Le,
    /// Less, of unsigned integers.
    LtU,
    /// Less or equal, of unsigned integers.
    LeU,
}

/// Conversions of a value to another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conversion {
    /// `Bool` to `I32`: 0 or 1.
    FromBool,
    /// `I32` to `I64`, signed.
    SignExtend,
    /// `I32` to `I64`, unsigned.
    ZeroExtend,
    /// `I64` to `I32`: the low half.
    Truncate,
    /// A signed integer to a float, rounded to nearest even.
    IntToFloat,
    /// An unsigned integer to a float, rounded to nearest even.
    UintToFloat,
    /// A float to a signed integer, truncated and saturated; NaN to 0.
    FloatToInt,
    /// A float to an unsigned integer, truncated and saturated; NaN to 0.
    FloatToUint,
    /// `F32` to `F64`, exact.
    Promote,
    /// `F64` to `F32`, rounded to nearest even.
    Demote,
    /// The bits of a float as an integer of the same size (a NaN gives the canonical one), or back.
    Bitcast,
}

/// The right-hand side of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// A constant.
    Const(Const),
    /// An operation on one float.
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
    /// The element at address `base + offset`. Narrow integers are widened to `I32` by their own signedness.
    Load {
        /// The type of the element; the value has [`Type::of`] it.
        dtype: DType,
        /// An address.
        base: Value,
        /// A displacement in bytes.
        offset: i32,
    },
}

impl Expr {
    /// The values it uses.
    pub fn operands(&self) -> Vec<Value> {
        match *self {
            Expr::Const(_) => vec![],
            Expr::Unary(_, a) | Expr::Convert(_, _, a) | Expr::Load { base: a, .. } => vec![a],
            Expr::Binary(_, a, b) | Expr::Compare(_, a, b) => vec![a, b],
            Expr::Fma(a, b, c) => vec![a, b, c],
            Expr::Select { condition, then, otherwise } => vec![condition, then, otherwise],
        }
    }

    /// The type of its value, given the types of all values before it; `None` if the operation is not defined
    /// for them. This function alone defines the types of operations.
    pub fn ty(&self, types: &[Type]) -> Option<Type> {
        let ty = |value: Value| types.get(value.index()).copied();
        let if_ = |condition: bool, ty: Type| condition.then_some(ty);
        match *self {
            Expr::Const(constant) => Some(constant.ty()),
            Expr::Unary(_, a) => if_(ty(a)?.is_float(), ty(a)?),
            Expr::Binary(op, a, b) => if_(ty(a) == ty(b) && op.works_on(ty(a)?), ty(a)?),
            Expr::Compare(op, a, b) => if_(ty(a) == ty(b) && op.works_on(ty(a)?), Type::Bool),
            Expr::Fma(a, b, c) => if_(ty(a) == ty(b) && ty(b) == ty(c) && ty(a)?.is_float(), ty(a)?),
            Expr::Select { condition, then, otherwise } => {
                if_(ty(condition) == Some(Type::Bool) && ty(then) == ty(otherwise), ty(then)?)
            }
            Expr::Convert(conversion, to, a) => if_(conversion.works(ty(a)?, to), to),
            Expr::Load { dtype, base, .. } => if_(ty(base) == Some(Type::I64), Type::of(dtype)),
        }
    }
}

impl BinaryOp {
    fn works_on(self, ty: Type) -> bool {
        use BinaryOp::*;
        match self {
            Add | Sub | Mul => ty != Type::Bool,
            Div => ty.is_float(),
            And | Or | Xor => !ty.is_float(),
            DivS | DivU | RemS | RemU | Shl | ShrS | ShrU => ty.is_int(),
        }
    }
}

impl Comparison {
    fn works_on(self, ty: Type) -> bool {
        use Comparison::*;
        match self {
            Eq | Ne | Lt | Le => ty != Type::Bool,
            LtU | LeU => ty.is_int(),
        }
    }
}

impl Conversion {
    fn works(self, from: Type, to: Type) -> bool {
        use Conversion::*;
        match self {
            FromBool => (from, to) == (Type::Bool, Type::I32),
            SignExtend | ZeroExtend => (from, to) == (Type::I32, Type::I64),
            Truncate => (from, to) == (Type::I64, Type::I32),
            IntToFloat | UintToFloat => from.is_int() && to.is_float(),
            FloatToInt | FloatToUint => from.is_float() && to.is_int(),
            Promote => (from, to) == (Type::F32, Type::F64),
            Demote => (from, to) == (Type::F64, Type::F32),
            Bitcast => matches!(
                (from, to),
                (Type::F32, Type::I32)
                    | (Type::I32, Type::F32)
                    | (Type::F64, Type::I64)
                    | (Type::I64, Type::F64)
            ),
        }
    }
}

/// Statements in their order of execution, and the values that the block passes to the statement that
/// contains it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Block {
    /// The statements.
    pub statements: Vec<Statement>,
    /// The results: of an `If`, its results; of a loop body, the carried values of the next iteration.
    pub yields: Vec<Value>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Statement {
    /// Defines a value.
    Let(Value, Expr),
    /// Writes an element at address `base + offset`; narrow integers keep their low bits, a NaN is the
    /// canonical one.
    Store {
        /// The type of the element; the value has [`Type::of`] it.
        dtype: DType,
        /// An address.
        base: Value,
        /// A displacement in bytes.
        offset: i32,
        /// The stored value.
        value: Value,
    },
    /// A counted loop: `for index = start; index < end; index += step`, signed `I64`.
    For {
        /// The counter, defined in the body.
        index: Value,
        /// The first index.
        start: Value,
        /// The end of the index, exclusive.
        end: Value,
        /// The increment, which is positive.
        step: i64,
        /// An upper bound for the number of iterations, if one is known without the kernel's arguments.
        bound: Option<u64>,
        /// The initial carried values.
        init: Vec<Value>,
        /// The carried values, defined in the body.
        carried: Vec<Value>,
        /// The body. It yields the next carried values.
        body: Block,
        /// The carried values after the last iteration, defined after the loop.
        results: Vec<Value>,
    },
    /// A branch.
    If {
        /// The condition, a `Bool`.
        condition: Value,
        /// Executed if it holds.
        then: Block,
        /// Executed if it does not.
        otherwise: Block,
        /// The values that the executed block yields, defined after the branch.
        results: Vec<Value>,
    },
}

/// A program that computes a range of units of one output tensor.
///
/// Its parameters are all of type `I64` and are the first values of the kernel, in this order: the address of
/// each input, the address of the output, `lo` and `hi`, where `0 <= lo <= hi <= units`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// What it computes, for people: the operator's name in lower case. Not unique.
    pub name: String,
    /// The tensors it reads.
    pub inputs: Vec<TensorType>,
    /// The tensor it writes.
    pub output: TensorType,
    /// The shape of a unit: the output is cut into boxes of this shape (smaller at the far ends), numbered in
    /// row-major order. It has the rank of the output and no zeros.
    pub tile: Vec<u64>,
    /// The type of every value.
    pub types: Vec<Type>,
    /// The code. The block yields nothing.
    pub body: Block,
}

impl Kernel {
    /// The number of units, which can be computed independently.
    pub fn units(&self) -> u64 {
        self.grid().iter().product()
    }

    /// The number of units along each dimension of the output.
    pub fn grid(&self) -> Vec<u64> {
        self.output.shape.iter().zip(&self.tile).map(|(&size, &tile)| size.div_ceil(tile)).collect()
    }

    /// The box of the output that a unit computes: the range of indices in each dimension.
    pub fn unit(&self, unit: u64) -> Vec<Range<u64>> {
        let mut rest = unit;
        let mut ranges = Vec::with_capacity(self.tile.len());
        for (&size, &tile) in self.output.shape.iter().zip(&self.tile).rev() {
            let count = size.div_ceil(tile).max(1);
            let start = rest % count * tile;
            rest /= count;
            ranges.push(start..(start + tile).min(size));
        }
        ranges.reverse();
        ranges
    }

    /// The type of a value of this kernel.
    pub fn ty(&self, value: Value) -> Type {
        self.types[value.index()]
    }

    /// The number of parameters: the inputs, the output, `lo` and `hi`.
    pub fn params(&self) -> usize {
        self.inputs.len() + 3
    }

    /// The address of an input.
    pub fn input(&self, index: usize) -> Value {
        Value(index as u32)
    }

    /// The address of the output.
    pub fn output_address(&self) -> Value {
        Value(self.inputs.len() as u32)
    }

    /// The first unit to compute.
    pub fn lo(&self) -> Value {
        Value(self.inputs.len() as u32 + 1)
    }

    /// The end of the units to compute, exclusive.
    pub fn hi(&self) -> Value {
        Value(self.inputs.len() as u32 + 2)
    }
}
