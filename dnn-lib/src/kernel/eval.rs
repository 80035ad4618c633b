//! The reference evaluator: the meaning of a kernel in safe Rust over a byte slice. Slow and exact.

use std::ops::Range;

use crate::kernel::ir::{
    BinaryOp, Block, Comparison, Const, Conversion, Expr, Kernel, Statement, Type, UnaryOp, Value,
};
use crate::tensor::{DType, TensorType};

/// Why a kernel could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// An access is outside memory, or not aligned to its size.
    #[error(
        "kernel {kernel}: access of {size} bytes at address {address:#x} is misaligned or outside of the memory"
    )]
    Access {
        /// The kernel's name.
        kernel: String,
        /// The address.
        address: u64,
        /// The size of the access in bytes.
        size: u64,
    },
    /// A loop ran longer than its bound.
    #[error("kernel {kernel}: the loop over {index} ran longer than its bound of {bound} iterations")]
    Bound {
        /// The kernel's name.
        kernel: String,
        /// The loop's index.
        index: Value,
        /// The bound.
        bound: u64,
    },
    /// The number of arguments is wrong.
    #[error("kernel {kernel} takes {expected} arguments, not {found}")]
    Arguments {
        /// The kernel's name.
        kernel: String,
        /// The number of parameters.
        expected: usize,
        /// The number of arguments.
        found: usize,
    },
    /// A tensor has the wrong size.
    #[error("kernel {kernel}: input {index} is {ty}, which does not have {found} bytes")]
    Size {
        /// The kernel's name.
        kernel: String,
        /// The index of the input.
        index: usize,
        /// Its type.
        ty: TensorType,
        /// The size given.
        found: usize,
    },
    /// The output is too large for this machine.
    #[error("kernel {kernel}: an output of type {ty} does not fit")]
    Output {
        /// The kernel's name.
        kernel: String,
        /// Its type.
        ty: TensorType,
    },
}

/// The memory of a kernel: bytes from address 0.
#[derive(Debug)]
pub struct Memory<'a>(pub &'a mut [u8]);

impl Memory<'_> {
    fn range(&self, address: u64, size: u64) -> Option<Range<usize>> {
        let start = usize::try_from(address).ok()?;
        let end = start.checked_add(size as usize)?;
        (address.is_multiple_of(size) && end <= self.0.len()).then_some(start..end)
    }

    fn read(&self, address: u64, size: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        bytes[..size as usize].copy_from_slice(&self.0[self.range(address, size)?]);
        Some(u64::from_le_bytes(bytes))
    }

    fn write(&mut self, address: u64, size: u64, value: u64) -> Option<()> {
        let range = self.range(address, size)?;
        self.0[range].copy_from_slice(&value.to_le_bytes()[..size as usize]);
        Some(())
    }
}

impl Kernel {
    /// Evaluates the kernel over memory. The arguments are those of [`Kernel`]: input addresses, output
    /// address, lo, hi.
    pub fn eval(&self, memory: &mut Memory<'_>, arguments: &[u64]) -> Result<(), EvalError> {
        if arguments.len() != self.params() {
            let (expected, found) = (self.params(), arguments.len());
            return Err(EvalError::Arguments { kernel: self.name.clone(), expected, found });
        }
        let mut values = vec![0; self.types.len()];
        values[..arguments.len()].copy_from_slice(arguments);
        Evaluator { kernel: self, memory, values }.block(&self.body)
    }

    /// Evaluates all units on the bytes of the inputs, and returns the bytes of the output.
    pub fn run(&self, inputs: &[&[u8]]) -> Result<Vec<u8>, EvalError> {
        self.run_ranges(inputs, std::iter::once(0..self.units()))
    }

    /// Like [`Kernel::run`], range by range. Units that no range covers stay 0.
    pub fn run_ranges(
        &self,
        inputs: &[&[u8]],
        ranges: impl IntoIterator<Item = Range<u64>>,
    ) -> Result<Vec<u8>, EvalError> {
        if inputs.len() != self.inputs.len() {
            let (expected, found) = (self.inputs.len(), inputs.len());
            return Err(EvalError::Arguments { kernel: self.name.clone(), expected, found });
        }
        let mut bytes = Vec::new();
        let mut arguments = Vec::new();
        for (index, (&input, ty)) in inputs.iter().zip(&self.inputs).enumerate() {
            if ty.bytes() != Some(input.len() as u64) {
                let (ty, found) = (ty.clone(), input.len());
                return Err(EvalError::Size { kernel: self.name.clone(), index, ty, found });
            }
            arguments.push(bytes.len() as u64);
            bytes.extend_from_slice(input);
            bytes.resize(bytes.len().next_multiple_of(16), 0);
        }
        let start = bytes.len();
        let size =
            self.output.bytes().and_then(|size| usize::try_from(size).ok()).filter(|&size| size <= 1 << 40);
        let Some(size) = size else {
            return Err(EvalError::Output { kernel: self.name.clone(), ty: self.output.clone() });
        };
        bytes.resize(start + size, 0);
        for range in ranges {
            let mut all = arguments.clone();
            all.extend([start as u64, range.start, range.end]);
            self.eval(&mut Memory(&mut bytes), &all)?;
        }
        Ok(bytes.split_off(start))
    }
}

/// The bits of a float, canonical for a NaN. Computed on integers, because a compiler may drop float code
/// that only changes one NaN into another.
fn observe(ty: Type, bits: u64) -> u64 {
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
    }
}

fn binary(op: BinaryOp, ty: Type, a: u64, b: u64) -> u64 {
    use BinaryOp::*;
    if ty.is_float() {
        return match op {
            Add => float!(ty, |a, b| a + b),
            Sub => float!(ty, |a, b| a - b),
            Mul => float!(ty, |a, b| a * b),
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
fn widen(dtype: DType, bits: u64) -> u64 {
    match dtype {
        DType::I8 => bits as i8 as i64 as u64,
        DType::I16 => bits as i16 as i64 as u64,
        DType::I32 | DType::U32 => bits as i32 as i64 as u64,
        _ => bits,
    }
}

struct Evaluator<'a, 'm> {
    kernel: &'a Kernel,
    memory: &'a mut Memory<'m>,
    values: Vec<u64>,
}

impl Evaluator<'_, '_> {
    fn get(&self, value: Value) -> u64 {
        self.values[value.index()]
    }

    fn set(&mut self, value: Value, bits: u64) {
        self.values[value.index()] = bits;
    }

    fn assign(&mut self, to: &[Value], from: &[Value]) {
        let bits: Vec<_> = from.iter().map(|&value| self.get(value)).collect();
        for (&to, bits) in to.iter().zip(bits) {
            self.set(to, bits);
        }
    }

    fn address(&self, base: Value, offset: i32) -> u64 {
        self.get(base).wrapping_add_signed(offset.into())
    }

    fn bad_access(&self, address: u64, size: u64) -> EvalError {
        EvalError::Access { kernel: self.kernel.name.clone(), address, size }
    }

    fn block(&mut self, block: &Block) -> Result<(), EvalError> {
        block.statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), EvalError> {
        match statement {
            Statement::Let(value, expr) => {
                let bits = self.expr(expr)?;
                self.set(*value, bits);
            }
            Statement::Store { dtype, base, offset, value } => {
                let address = self.address(*base, *offset);
                let bits = observe(self.kernel.ty(*value), self.get(*value));
                let written = self.memory.write(address, dtype.size(), bits);
                written.ok_or_else(|| self.bad_access(address, dtype.size()))?;
            }
            Statement::For { index, start, end, step, bound, init, carried, body, results } => {
                self.assign(carried, init);
                let (mut i, end) = (self.get(*start) as i64, self.get(*end) as i64);
                let mut left = bound.unwrap_or(u64::MAX);
                while i < end {
                    let Some(rest) = left.checked_sub(1) else {
                        let (index, bound) = (*index, bound.unwrap_or(u64::MAX));
                        return Err(EvalError::Bound { kernel: self.kernel.name.clone(), index, bound });
                    };
                    left = rest;
                    self.set(*index, i as u64);
                    self.block(body)?;
                    self.assign(carried, &body.yields);
                    i = i.wrapping_add(*step);
                }
                self.assign(results, carried);
            }
            Statement::If { condition, then, otherwise, results } => {
                let block = if self.get(*condition) != 0 { then } else { otherwise };
                self.block(block)?;
                self.assign(results, &block.yields);
            }
        }
        Ok(())
    }

    fn expr(&mut self, expr: &Expr) -> Result<u64, EvalError> {
        Ok(match *expr {
            Expr::Const(Const::I32(x)) => i64::from(x) as u64,
            Expr::Const(Const::I64(x)) => x as u64,
            Expr::Const(Const::F32(bits)) => bits.into(),
            Expr::Const(Const::F64(bits)) => bits,
            Expr::Unary(op, a) => unary(op, self.kernel.ty(a), self.get(a)),
            Expr::Binary(op, a, b) => binary(op, self.kernel.ty(a), self.get(a), self.get(b)),
            Expr::Compare(op, a, b) => u64::from(compare(op, self.kernel.ty(a), self.get(a), self.get(b))),
            Expr::Fma(a, b, c) => {
                let ty = self.kernel.ty(a);
                let (a, b, c) = (self.get(a), self.get(b), self.get(c));
                float!(ty, |a, b, c| a.mul_add(b, c))
            }
            Expr::Select { condition, then, otherwise } => {
                self.get(if self.get(condition) != 0 { then } else { otherwise })
            }
            Expr::Convert(conversion, to, a) => convert(conversion, self.kernel.ty(a), to, self.get(a)),
            Expr::Load { dtype, base, offset } => {
                let address = self.address(base, offset);
                let bits = self.memory.read(address, dtype.size());
                widen(dtype, bits.ok_or_else(|| self.bad_access(address, dtype.size()))?)
            }
        })
    }
}
