//! Scalar values and the operations on them: what the kernel language and the definitions of operators share.

use std::fmt;

use crate::tensor::DType;

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
    /// The type in which an element is used in computations: narrow integers are widened to `I32`, halves to
    /// `F32`.
    pub const fn of(dtype: DType) -> Type {
        match dtype {
            DType::F32 | DType::F16 | DType::BF16 => Type::F32,
            DType::F64 => Type::F64,
            DType::I64 | DType::U64 => Type::I64,
            DType::I8 | DType::I16 | DType::I32 | DType::U8 | DType::U16 | DType::U32 | DType::Bool => {
                Type::I32
            }
            DType::I4 | DType::U4 => Type::I32,
        }
    }

    /// The type in which an element is loaded and stored; `None` for halves and packed integers, which can't
    /// be yet.
    pub const fn loaded(dtype: DType) -> Option<Type> {
        match dtype {
            DType::F16 | DType::BF16 | DType::I4 | DType::U4 => None,
            _ => Some(Type::of(dtype)),
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

/// Operations on one float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum UnaryOp {
    /// The sign changed.
    Neg,
    /// The sign cleared.
    Abs,
    /// The square root.
    Sqrt,
    /// The largest integer that is not larger.
    Floor,
    /// The smallest integer that is not smaller.
    Ceil,
    /// The integer towards zero.
    Trunc,
    /// The nearest integer, the even one of two.
    Round,
}

/// Operations on two values of one type, which is also the type of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
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
    /// The second if it is less, else the first; signed integers or floats. A NaN if one of them is.
    Min,
    /// The second if it is larger, else the first; signed integers or floats. A NaN if one of them is.
    Max,
}

/// Comparisons of two values of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
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
        }
    }
}

impl BinaryOp {
    fn works_on(self, ty: Type) -> bool {
        use BinaryOp::*;
        match self {
            Add | Sub | Mul | Min | Max => ty != Type::Bool,
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

/// The bits of a float, canonical for a NaN. Computed on integers, because a compiler may drop float code
/// that only changes one NaN into another.
pub(crate) fn observe(ty: Type, bits: u64) -> u64 {
    const INF32: u64 = 0x7f80_0000;
    const INF64: u64 = 0x7ff0_0000_0000_0000;
    match ty {
        Type::F32 if bits & 0x7fff_ffff > INF32 => 0x7fc0_0000,
        Type::F64 if bits & !(1 << 63) > INF64 => 0x7ff8_0000_0000_0000,
        _ => bits,
    }
}

/// A function of floats, in the width of `ty`, from bits to bits.
macro_rules! float {
    ($ty:expr, |$($x:ident),+| $body:expr) => {
        if $ty == Type::F32 {
            $(let $x = f32::from_bits($x as u32);)+
            u64::from(f32::to_bits($body))
        } else {
            $(let $x = f64::from_bits($x);)+
            f64::to_bits($body)
        }
    };
}

/// An integer in `ty`, sign-extended. The evaluator represents all integers this way.
fn wrap(ty: Type, x: i64) -> u64 {
    match ty {
        Type::I32 => x as i32 as i64 as u64,
        _ => x as u64,
    }
}

fn unsigned(ty: Type, x: u64) -> u64 {
    if ty == Type::I32 { u64::from(x as u32) } else { x }
}

fn unary(op: UnaryOp, ty: Type, a: u64) -> u64 {
    match op {
        UnaryOp::Neg => float!(ty, |a| -a),
        UnaryOp::Abs => float!(ty, |a| a.abs()),
        UnaryOp::Sqrt => float!(ty, |a| a.sqrt()),
        UnaryOp::Floor => float!(ty, |a| a.floor()),
        UnaryOp::Ceil => float!(ty, |a| a.ceil()),
        UnaryOp::Trunc => float!(ty, |a| a.trunc()),
        UnaryOp::Round => float!(ty, |a| a.round_ties_even()),
    }
}

pub(crate) fn binary(op: BinaryOp, ty: Type, a: u64, b: u64) -> u64 {
    use BinaryOp::*;
    if ty.is_float() {
        return match op {
            Add => float!(ty, |a, b| a + b),
            Sub => float!(ty, |a, b| a - b),
            Mul => float!(ty, |a, b| a * b),
            Min => float!(ty, |a, b| if b < a || b.is_nan() { b } else { a }),
            Max => float!(ty, |a, b| if b > a || b.is_nan() { b } else { a }),
            _ => float!(ty, |a, b| a / b),
        };
    }
    let (sa, sb) = (a as i64, b as i64);
    let (ua, ub) = (unsigned(ty, a), unsigned(ty, b));
    let shift = (b % if ty == Type::I32 { 32 } else { 64 }) as u32;
    let result = match op {
        Add => sa.wrapping_add(sb),
        Sub => sa.wrapping_sub(sb),
        Mul => sa.wrapping_mul(sb),
        Div | DivS => {
            if sb == 0 {
                -1
            } else {
                sa.wrapping_div(sb)
            }
        }
        RemS => {
            if sb == 0 {
                sa
            } else {
                sa.wrapping_rem(sb)
            }
        }
        DivU => ua.checked_div(ub).map_or(-1, |q| q as i64),
        RemU => ua.checked_rem(ub).unwrap_or(ua) as i64,
        And => sa & sb,
        Or => sa | sb,
        Xor => sa ^ sb,
        Shl => sa << shift,
        ShrS => sa >> shift,
        ShrU => (ua >> shift) as i64,
        Min => sa.min(sb),
        Max => sa.max(sb),
    };
    wrap(ty, result)
}

fn compare(op: Comparison, ty: Type, a: u64, b: u64) -> bool {
    use Comparison::*;
    let ordering = match ty {
        Type::F32 => f32::from_bits(a as u32).partial_cmp(&f32::from_bits(b as u32)),
        Type::F64 => f64::from_bits(a).partial_cmp(&f64::from_bits(b)),
        _ if matches!(op, LtU | LeU) => Some(unsigned(ty, a).cmp(&unsigned(ty, b))),
        _ => Some((a as i64).cmp(&(b as i64))),
    };
    match op {
        Eq => ordering.is_some_and(|o| o.is_eq()),
        Ne => !ordering.is_some_and(|o| o.is_eq()),
        Lt | LtU => ordering.is_some_and(|o| o.is_lt()),
        Le | LeU => ordering.is_some_and(|o| o.is_le()),
    }
}

fn convert(conversion: Conversion, from: Type, to: Type, a: u64) -> u64 {
    use Conversion::*;
    let from_float = |x: f64| match (conversion, to) {
        (FloatToInt, Type::I32) => i64::from(x as i32) as u64,
        (FloatToInt, _) => x as i64 as u64,
        (_, Type::I32) => wrap(to, i64::from(x as u32)),
        _ => x as u64,
    };
    match conversion {
        FromBool | SignExtend => a,
        ZeroExtend => unsigned(from, a),
        Truncate => wrap(Type::I32, a as i64),
        IntToFloat if to == Type::F32 => u64::from((a as i64 as f32).to_bits()),
        IntToFloat => (a as i64 as f64).to_bits(),
        UintToFloat if to == Type::F32 => u64::from((unsigned(from, a) as f32).to_bits()),
        UintToFloat => (unsigned(from, a) as f64).to_bits(),
        FloatToInt | FloatToUint if from == Type::F32 => from_float(f64::from(f32::from_bits(a as u32))),
        FloatToInt | FloatToUint => from_float(f64::from_bits(a)),
        Promote => f64::from(f32::from_bits(a as u32)).to_bits(),
        Demote => u64::from((f64::from_bits(a) as f32).to_bits()),
        Bitcast => match to {
            Type::I32 => wrap(to, observe(from, a) as i64),
            Type::F32 => u64::from(a as u32),
            _ => observe(from, a),
        },
    }
}

/// A loaded element, in the type of its value.
pub(crate) fn widen(dtype: DType, bits: u64) -> u64 {
    match dtype {
        DType::I8 => bits as i8 as i64 as u64,
        DType::I16 => bits as i16 as i64 as u64,
        DType::I32 | DType::U32 => bits as i32 as i64 as u64,
        DType::F16 => u64::from(from_f16(bits as u16).to_bits()),
        DType::BF16 => bits << 16,
        _ => bits,
    }
}

/// The bits of a value as an element: a NaN is the canonical one, a half is rounded to nearest even.
pub(crate) fn narrow(dtype: DType, bits: u64) -> u64 {
    let bits = observe(Type::of(dtype), bits);
    match dtype {
        DType::F16 => to_f16(bits as u32).into(),
        DType::BF16 => (bits + 0x7fff + (bits >> 16 & 1)) >> 16,
        _ => bits,
    }
}

/// The `f32` of a binary16.
fn from_f16(bits: u16) -> f32 {
    let (sign, magnitude) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff));
    // As if it were an f32 with a smaller exponent, which a product with a power of two corrects exactly.
    let scaled = f32::from_bits(magnitude << 13) * 112f32.exp2();
    let right = if magnitude < 0x7c00 { scaled.to_bits() } else { 0x7f80_0000 | magnitude << 13 };
    f32::from_bits(sign | right)
}

/// The binary16 nearest to an `f32`, by their bits. The only NaN is the canonical one.
fn to_f16(bits: u32) -> u16 {
    let (sign, magnitude) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
    sign | match magnitude {
        0x7fc0_0000 => 0x7e00,
        // From 65520 on, the nearest is infinity.
        0x477f_f000.. => 0x7c00,
        // Below 2^-14, the sum with 1/2 has the element's bits at its end.
        ..0x3880_0000 => ((f32::from_bits(magnitude) + 0.5).to_bits() - 0.5f32.to_bits()) as u16,
        _ => ((magnitude - (112 << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13) as u16,
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
            Expr::Unary(op, a) => unary(op, ty(a), get(a)),
            Expr::Binary(op, a, b) => binary(op, ty(a), get(a), get(b)),
            Expr::Compare(op, a, b) => u64::from(compare(op, ty(a), get(a), get(b))),
            Expr::Fma(a, b, c) => fma(ty(a), get(a), get(b), get(c)),
            Expr::Select { condition, then, otherwise } => {
                get(if get(condition) != 0 { then } else { otherwise })
            }
            Expr::Convert(conversion, to, a) => convert(conversion, ty(a), to, get(a)),
        }
    }
}

fn fma(ty: Type, a: u64, b: u64, c: u64) -> u64 {
    float!(ty, |a, b, c| a.mul_add(b, c))
}

/// A program that operations are added to: one method for each.
pub trait Ops {
    /// Adds an operation.
    fn define(&mut self, expr: Expr) -> Value;

    /// The type of a value.
    fn ty(&self, value: Value) -> Type;

    /// The value of a constant; `None` for other values.
    fn constant(&self, value: Value) -> Option<Const>;

    /// The constant `x`, of type `I32`.
    fn i32(&mut self, x: i32) -> Value {
        self.define(Expr::Const(Const::I32(x)))
    }

    /// The constant `x`, of type `I64`.
    fn i64(&mut self, x: i64) -> Value {
        self.define(Expr::Const(Const::I64(x)))
    }

    /// The constant `x`, of type `F32`.
    fn f32(&mut self, x: f32) -> Value {
        self.define(Expr::Const(Const::F32(x.to_bits())))
    }

    /// The constant `x`, of type `F64`.
    fn f64(&mut self, x: f64) -> Value {
        self.define(Expr::Const(Const::F64(x.to_bits())))
    }

    /// The integer `x` in any numeric type, rounded if it must be.
    fn number(&mut self, ty: Type, x: i64) -> Value {
        match ty {
            Type::Bool | Type::I64 => self.i64(x),
            Type::I32 => self.i32(x as i32),
            Type::F32 => self.f32(x as f32),
            Type::F64 => self.f64(x as f64),
        }
    }

    /// Adds a unary operation.
    fn unary(&mut self, op: UnaryOp, a: Value) -> Value {
        self.define(Expr::Unary(op, a))
    }

    /// Adds a binary operation.
    fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Value {
        self.define(Expr::Binary(op, a, b))
    }

    /// Adds a comparison.
    fn compare(&mut self, op: Comparison, a: Value, b: Value) -> Value {
        self.define(Expr::Compare(op, a, b))
    }

    /// `-a`, of a float.
    fn neg(&mut self, a: Value) -> Value {
        self.unary(UnaryOp::Neg, a)
    }

    /// `|a|`, of a float.
    fn abs(&mut self, a: Value) -> Value {
        self.unary(UnaryOp::Abs, a)
    }

    /// The square root of a float.
    fn sqrt(&mut self, a: Value) -> Value {
        self.unary(UnaryOp::Sqrt, a)
    }

    /// `a + b`.
    fn add(&mut self, a: Value, b: Value) -> Value {
        self.binary(BinaryOp::Add, a, b)
    }

    /// `a - b`.
    fn sub(&mut self, a: Value, b: Value) -> Value {
        self.binary(BinaryOp::Sub, a, b)
    }

    /// `a * b`.
    fn mul(&mut self, a: Value, b: Value) -> Value {
        self.binary(BinaryOp::Mul, a, b)
    }

    /// `a / b`, of floats.
    fn div(&mut self, a: Value, b: Value) -> Value {
        self.binary(BinaryOp::Div, a, b)
    }

    /// `a + constant`, of `I64`. Adds nothing for 0.
    fn add_const(&mut self, a: Value, constant: i64) -> Value {
        if constant == 0 {
            return a;
        }
        let constant = self.i64(constant);
        self.add(a, constant)
    }

    /// `a * constant`, of `I64`. Multiplies nothing by 1.
    fn mul_const(&mut self, a: Value, constant: i64) -> Value {
        if constant == 1 {
            return a;
        }
        let constant = self.i64(constant);
        self.mul(a, constant)
    }

    /// The quotient and the remainder of an index `a >= 0` by a positive constant.
    fn div_rem(&mut self, a: Value, divisor: u64) -> (Value, Value) {
        let divisor = self.i64(divisor as i64);
        (self.binary(BinaryOp::DivU, a, divisor), self.binary(BinaryOp::RemU, a, divisor))
    }

    /// `a * b + c` of floats, rounded once.
    fn fma(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.define(Expr::Fma(a, b, c))
    }

    /// `a == b`.
    fn eq(&mut self, a: Value, b: Value) -> Value {
        self.compare(Comparison::Eq, a, b)
    }

    /// `a != b`.
    fn ne(&mut self, a: Value, b: Value) -> Value {
        self.compare(Comparison::Ne, a, b)
    }

    /// `a < b`, of signed integers or floats.
    fn lt(&mut self, a: Value, b: Value) -> Value {
        self.compare(Comparison::Lt, a, b)
    }

    /// `a <= b`, of signed integers or floats.
    fn le(&mut self, a: Value, b: Value) -> Value {
        self.compare(Comparison::Le, a, b)
    }

    /// `then` if the condition holds, else `otherwise`; both are evaluated.
    fn select(&mut self, condition: Value, then: Value, otherwise: Value) -> Value {
        self.define(Expr::Select { condition, then, otherwise })
    }

    /// The smaller of two numbers.
    fn min(&mut self, a: Value, b: Value) -> Value {
        self.binary(BinaryOp::Min, a, b)
    }

    /// The larger of two numbers.
    fn max(&mut self, a: Value, b: Value) -> Value {
        self.binary(BinaryOp::Max, a, b)
    }

    /// `value` converted to `ty`.
    fn convert(&mut self, conversion: Conversion, ty: Type, value: Value) -> Value {
        self.define(Expr::Convert(conversion, ty, value))
    }

    /// The bits of a float as an integer of the same size, or back.
    fn bitcast(&mut self, value: Value) -> Value {
        let ty = match self.ty(value) {
            Type::F32 => Type::I32,
            Type::F64 => Type::I64,
            Type::I32 => Type::F32,
            Type::I64 | Type::Bool => Type::F64,
        };
        self.convert(Conversion::Bitcast, ty, value)
    }
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

impl UnaryOp {
    fn name(self) -> &'static str {
        match self {
            UnaryOp::Neg => "neg",
            UnaryOp::Abs => "abs",
            UnaryOp::Sqrt => "sqrt",
            UnaryOp::Floor => "floor",
            UnaryOp::Ceil => "ceil",
            UnaryOp::Trunc => "trunc",
            UnaryOp::Round => "round",
        }
    }
}

impl BinaryOp {
    fn name(self) -> &'static str {
        match self {
            BinaryOp::Add => "add",
            BinaryOp::Sub => "sub",
            BinaryOp::Mul => "mul",
            BinaryOp::Div => "div",
            BinaryOp::DivS => "div_s",
            BinaryOp::DivU => "div_u",
            BinaryOp::RemS => "rem_s",
            BinaryOp::RemU => "rem_u",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Xor => "xor",
            BinaryOp::Shl => "shl",
            BinaryOp::ShrS => "shr_s",
            BinaryOp::ShrU => "shr_u",
            BinaryOp::Min => "min",
            BinaryOp::Max => "max",
        }
    }
}

impl Comparison {
    fn name(self) -> &'static str {
        match self {
            Comparison::Eq => "eq",
            Comparison::Ne => "ne",
            Comparison::Lt => "lt",
            Comparison::Le => "le",
            Comparison::LtU => "lt_u",
            Comparison::LeU => "le_u",
        }
    }
}

impl Conversion {
    fn name(self) -> &'static str {
        match self {
            Conversion::FromBool => "from_bool",
            Conversion::SignExtend => "sign_extend",
            Conversion::ZeroExtend => "zero_extend",
            Conversion::Truncate => "truncate",
            Conversion::IntToFloat => "int_to_float",
            Conversion::UintToFloat => "uint_to_float",
            Conversion::FloatToInt => "float_to_int",
            Conversion::FloatToUint => "float_to_uint",
            Conversion::Promote => "promote",
            Conversion::Demote => "demote",
            Conversion::Bitcast => "bitcast",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_keeps_its_bits_and_others_are_rounded_to_the_nearest() {
        let f16 = |bits: u64| f32::from_bits(widen(DType::F16, bits) as u32);
        for half in 0..=u64::from(u16::MAX) {
            for dtype in [DType::F16, DType::BF16] {
                let wide = widen(dtype, half);
                let nan = f32::from_bits(wide as u32).is_nan();
                let right = if dtype == DType::F16 { 0x7e00 } else { 0x7fc0 };
                assert_eq!(narrow(dtype, wide), if nan { right } else { half }, "{dtype} {half:#x}");
            }
        }
        assert_eq!([f16(0x3c00), f16(1), f16(0x7bff), f16(0xc000)], [1.0, (-24f32).exp2(), 65504.0, -2.0]);
        // Between two neighbours, the middle goes to the even one, and what is beyond the middle to the next.
        for half in 0..0x7bff {
            let (low, high) = (f16(half), f16(half + 1));
            let middle = (low + high) / 2.0;
            let rounded = |x: f32| narrow(DType::F16, x.to_bits().into());
            assert_eq!(rounded(middle), half + (half & 1), "{half:#x}");
            assert_eq!(
                [rounded(middle.next_down()), rounded(middle.next_up())],
                [half, half + 1],
                "{half:#x}"
            );
        }
    }
}
