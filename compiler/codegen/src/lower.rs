//! Translates the kernel language to Cranelift's language.
//!
//! Both are in SSA form, so almost every operation has a counterpart. Two guarantees of the kernel language
//! that Cranelift does not give are added here: total division, and a single NaN wherever one is observed.

mod bits;
mod halves;

use std::collections::HashMap;

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    self, AbiParam, BlockArg, Function, InstBuilder, MemFlagsData, Signature, SourceLoc, UserFuncName, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use dnn_lib::kernel::{
    BinaryOp, Block, Comparison, Const, Conversion, Expr, Kernel, Statement, Type, UnaryOp, Value,
};
use dnn_lib::tensor::DType;

use crate::{CodegenError, Target, nan};

/// The parameters of a function: the address of a block with the addresses of the tensors, and a range.
const PARAMETERS: usize = 3;

const CANONICAL_F32: u32 = 0x7fc0_0000;
const CANONICAL_F64: u64 = 0x7ff8_0000_0000_0000;

/// The kernel as a Cranelift function with the target's calling convention.
pub(crate) fn lower(kernel: &Kernel, target: &Target) -> Result<Function, CodegenError> {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params = vec![AbiParam::new(types::I64); PARAMETERS];
    let mut function = Function::with_name_signature(UserFuncName::default(), signature);
    // Source locations are kept relative to the first one, and one of -1 would be taken for none.
    function.params.ensure_base_srcloc(SourceLoc::new(0));
    let mut context = FunctionBuilderContext::new();
    let mut lowering = Lowering {
        kernel,
        code: FunctionBuilder::new(&mut function, &mut context),
        values: vec![None; kernel.types.len()],
        constants: vec![None; kernel.types.len()],
        spans: vec![None; kernel.types.len()],
        foreign: nan::foreign(kernel),
        depth: 0,
        nothing: None,
        nan: [None; 2],
        kept: HashMap::new(),
    };
    let result = lowering.function();
    lowering.code.seal_all_blocks();
    if result.is_ok() {
        lowering.code.finalize(target.isa.frontend_config());
    }
    result.map(|()| function)
}

struct Lowering<'a> {
    kernel: &'a Kernel,
    code: FunctionBuilder<'a>,
    values: Vec<Option<ir::Value>>,
    constants: Vec<Option<Const>>,
    /// The value and the positive constant whose sum a value is.
    spans: Vec<Option<(Value, i64)>>,
    /// Values that may be a NaN other than the canonical one.
    foreign: Vec<bool>,
    /// The number of loops around the code.
    depth: usize,
    /// A zero that Cranelift does not know.
    nothing: Option<ir::Value>,
    /// The canonical NaNs, of `F32` and `F64`.
    nan: [Option<ir::Value>; 2],
    /// Constants that stay in registers, by their types and bits.
    kept: HashMap<(ir::Type, i64), ir::Value>,
}

impl Lowering<'_> {
    fn function(&mut self) -> Result<(), CodegenError> {
        let entry = self.code.create_block();
        self.code.append_block_params_for_function_params(entry);
        self.code.switch_to_block(entry);
        let params = self.code.block_params(entry).to_vec();
        let [block, lo, hi] = params[..] else { return Err(self.types_error("the parameters".to_owned())) };
        let tensors = (0..self.kernel.inputs.len()).map(|index| self.kernel.input(index));
        for (place, address) in (0..).zip(tensors.chain([self.kernel.output_address()])) {
            let flags = MemFlagsData::trusted();
            let loaded = self.code.ins().load(types::I64, flags, block, place * 8);
            self.define(address, loaded)?;
        }
        self.define(self.kernel.lo(), lo)?;
        self.define(self.kernel.hi(), hi)?;
        self.nothing = Some(self.code.ins().ushr_imm_u(lo, 63));
        self.nan = [Const::F32(CANONICAL_F32), Const::F64(CANONICAL_F64)].map(|nan| Some(self.constant(nan)));
        self.block(&self.kernel.body)?;
        self.code.ins().return_(&[]);
        Ok(())
    }

    fn block(&mut self, block: &Block) -> Result<(), CodegenError> {
        block.statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), CodegenError> {
        match statement {
            Statement::Let(value, expr) => {
                if expr.ty(&self.kernel.types) != self.ty(*value) {
                    return Err(self.types_error(format!("{expr:?}")));
                }
                let lowered = self.expr(expr)?;
                match *expr {
                    Expr::Const(constant) => self.constants[value.index()] = Some(constant),
                    Expr::Binary(BinaryOp::Add, start, span) => {
                        if let Some(Const::I64(span @ 1..)) = self.constants[span.index()] {
                            self.spans[value.index()] = Some((start, span));
                        }
                    }
                    _ => {}
                }
                self.define(*value, lowered)
            }
            Statement::Load { value, dtype, base, offset } => {
                if self.ty(*base) != Some(Type::I64) || self.ty(*value) != Type::loaded(*dtype) {
                    return Err(self.types_error(format!("a load of {dtype}")));
                }
                let lowered = self.load(*dtype, *base, *offset)?;
                self.define(*value, lowered)
            }
            Statement::Store { dtype, base, offset, value } => self.store(*dtype, *base, *offset, *value),
            Statement::For { .. } => self.for_(statement),
            Statement::If { condition, then, otherwise, results } => {
                self.if_(*condition, then, otherwise, results)
            }
        }
    }

    fn ty(&self, value: Value) -> Option<Type> {
        self.kernel.types.get(value.index()).copied()
    }

    fn types_error(&self, what: String) -> CodegenError {
        CodegenError::Types { kernel: self.kernel.name.clone(), what }
    }

    fn undefined(&self, value: Value) -> CodegenError {
        CodegenError::Undefined { kernel: self.kernel.name.clone(), value: value.index() }
    }

    fn define(&mut self, value: Value, lowered: ir::Value) -> Result<(), CodegenError> {
        match self.values.get_mut(value.index()) {
            Some(slot) => *slot = Some(lowered),
            None => return Err(self.undefined(value)),
        }
        Ok(())
    }

    fn value(&self, value: Value) -> Result<ir::Value, CodegenError> {
        let known = self.values.get(value.index()).copied().flatten();
        known.ok_or_else(|| self.undefined(value))
    }

    fn arguments(&self, values: &[Value]) -> Result<Vec<BlockArg>, CodegenError> {
        values.iter().map(|&value| Ok(BlockArg::Value(self.value(value)?))).collect()
    }

    /// A new block with these values of the kernel as parameters.
    fn block_with(&mut self, params: &[Value]) -> Result<ir::Block, CodegenError> {
        let block = self.code.create_block();
        for &param in params {
            let ty = self.ty(param).ok_or_else(|| self.undefined(param))?;
            let lowered = self.code.append_block_param(block, clif_type(ty));
            self.define(param, lowered)?;
        }
        Ok(block)
    }

    fn expect_same_types(&self, what: &str, a: &[Value], b: &[Value]) -> Result<(), CodegenError> {
        let types = |values: &[Value]| values.iter().map(|&v| self.ty(v)).collect::<Vec<_>>();
        if types(a) == types(b) { Ok(()) } else { Err(self.types_error(what.to_owned())) }
    }

    /// The condition is tested once before the loop and then at its end, which costs one branch per
    /// iteration.
    fn for_(&mut self, statement: &Statement) -> Result<(), CodegenError> {
        let Statement::For { index, start, end, step, bound: _, init, carried, body, results } = statement
        else {
            return Ok(());
        };
        self.expect_same_types("what a loop carries", init, carried)?;
        self.expect_same_types("what a loop yields", &body.yields, carried)?;
        self.expect_same_types("what a loop gives", results, carried)?;
        if [*index, *start, *end].iter().any(|&value| self.ty(value) != Some(Type::I64)) {
            return Err(self.types_error("a loop's range".to_owned()));
        }

        let params: Vec<Value> = std::iter::once(*index).chain(carried.iter().copied()).collect();
        let inside = self.block_with(&params)?;
        let (first, last) = (self.value(*start)?, self.loop_end(*end)?);
        let leave = self.arguments(init)?;
        let mut enter = vec![BlockArg::Value(first)];
        enter.extend(leave.iter().copied());
        let after = self.block_with(results)?;
        if self.runs_at_least_once(*start, *end) {
            self.code.ins().jump(inside, &enter);
        } else {
            let more = self.code.ins().icmp(IntCC::SignedLessThan, first, last);
            self.code.ins().brif(more, inside, &enter, after, &leave);
        }

        self.code.switch_to_block(inside);
        self.depth += 1;
        self.block(body)?;
        self.depth -= 1;
        let current = self.value(*index)?;
        let next = self.code.ins().iadd_imm_s(current, *step);
        let more = self.code.ins().icmp(IntCC::SignedLessThan, next, last);
        let leave = self.arguments(&body.yields)?;
        let mut again = vec![BlockArg::Value(next)];
        again.extend(leave.iter().copied());
        // The mark by which `steps` finds the loop in the code.
        self.code.set_srcloc(SourceLoc::new(index.index() as u32));
        self.code.ins().brif(more, inside, &again, after, &leave);
        self.code.set_srcloc(SourceLoc::default());
        self.code.switch_to_block(after);
        Ok(())
    }

    fn runs_at_least_once(&self, start: Value, end: Value) -> bool {
        let constant = |value: Value| self.constants[value.index()];
        match (constant(start), constant(end)) {
            (Some(Const::I64(start)), Some(Const::I64(end))) => start < end,
            _ => self.spans[end.index()].is_some_and(|(from, _)| from == start),
        }
    }

    /// The end of a loop. Cranelift computes sums with a constant anew where they are used: a step in each
    /// iteration. So it must not see that the end is one.
    fn loop_end(&mut self, end: Value) -> Result<ir::Value, CodegenError> {
        let last = self.value(end)?;
        Ok(match self.nothing {
            Some(nothing) if self.spans[end.index()].is_some() => self.code.ins().ishl(last, nothing),
            _ => last,
        })
    }

    fn if_(
        &mut self,
        condition: Value,
        then: &Block,
        otherwise: &Block,
        results: &[Value],
    ) -> Result<(), CodegenError> {
        if self.ty(condition) != Some(Type::Bool) {
            return Err(self.types_error("a branch's condition".to_owned()));
        }
        let after = self.block_with(results)?;
        let (yes, no) = (self.code.create_block(), self.code.create_block());
        let condition = self.value(condition)?;
        self.code.ins().brif(condition, yes, &[], no, &[]);
        for (entry, branch) in [(yes, then), (no, otherwise)] {
            self.expect_same_types("a branch's results", &branch.yields, results)?;
            self.code.switch_to_block(entry);
            self.block(branch)?;
            let arguments = self.arguments(&branch.yields)?;
            self.code.ins().jump(after, &arguments);
        }
        self.code.switch_to_block(after);
        Ok(())
    }

    fn expr(&mut self, expr: &Expr) -> Result<ir::Value, CodegenError> {
        Ok(match *expr {
            Expr::Const(constant) => self.constant(constant),
            Expr::Unary(op, a) => self.unary(op, a)?,
            Expr::Binary(op, a, b) => self.binary(op, a, b)?,
            Expr::Compare(op, a, b) => self.compare(op, a, b)?,
            Expr::Fma(a, b, c) => {
                let (a, b, c) = (self.value(a)?, self.value(b)?, self.value(c)?);
                self.code.ins().fma(a, b, c)
            }
            Expr::Select { condition, then, otherwise } => {
                let condition = self.value(condition)?;
                let (then, otherwise) = (self.value(then)?, self.value(otherwise)?);
                self.code.ins().select(condition, then, otherwise)
            }
            Expr::Convert(conversion, to, a) => self.convert(conversion, to, a)?,
        })
    }

    /// A float is made of its bits: Cranelift makes a float constant again in every block that uses it, but moves
    /// this out of loops, into a register.
    fn constant(&mut self, constant: Const) -> ir::Value {
        if let (Some(nothing), 0) = (self.nothing, self.depth) {
            // Cranelift makes a constant anew in each block that uses it, which takes several steps for most
            // floats. One that it can't see stays in a register.
            let (ty, bits) = match constant {
                Const::F32(bits) => (types::F32, self.code.ins().iconst(types::I32, i64::from(bits))),
                Const::F64(bits) => (types::F64, self.code.ins().iconst(types::I64, bits.cast_signed())),
                // It would be computed anew, too, or become a displacement that is too long.
                Const::I64(x) if !(-2048..2048).contains(&x) => {
                    let x = self.code.ins().iconst(types::I64, x);
                    return self.code.ins().ishl(x, nothing);
                }
                _ => return self.plain_constant(constant),
            };
            let bits = self.code.ins().ishl(bits, nothing);
            return self.code.ins().bitcast(ty, MemFlagsData::new(), bits);
        }
        self.plain_constant(constant)
    }

    fn plain_constant(&mut self, constant: Const) -> ir::Value {
        let (ty, bits) = match constant {
            Const::I32(x) => (types::I32, i64::from(x)),
            Const::I64(x) => (types::I64, x),
            Const::F32(bits) => (types::F32, i64::from(bits)),
            Const::F64(bits) => (types::F64, bits.cast_signed()),
        };
        let integer = self.code.ins().iconst(ty.as_int(), bits);
        if ty.is_int() { integer } else { self.code.ins().bitcast(ty, MemFlagsData::new(), integer) }
    }

    /// A constant that stays in a register, though it is first needed inside of a loop.
    fn kept(&mut self, ty: ir::Type, bits: i64) -> ir::Value {
        if let Some(&known) = self.kept.get(&(ty, bits)) {
            return known;
        }
        let defined =
            self.nothing.and_then(|nothing| Some((nothing, self.code.func.dfg.value_def(nothing).inst()?)));
        let value = match defined {
            Some((nothing, inst)) => {
                let mut entry = FuncCursor::new(self.code.func).after_inst(inst);
                let integer = entry.ins().iconst(ty.as_int(), bits);
                let integer = entry.ins().ishl(integer, nothing);
                if ty.is_int() { integer } else { entry.ins().bitcast(ty, MemFlagsData::new(), integer) }
            }
            None => return self.code.ins().iconst(ty, bits),
        };
        self.kept.insert((ty, bits), value);
        value
    }

    fn unary(&mut self, op: UnaryOp, a: Value) -> Result<ir::Value, CodegenError> {
        let (x, ty) = (self.value(a)?, self.ty(a));
        let float = ty.is_some_and(Type::is_float);
        Ok(match op {
            UnaryOp::Neg if float => self.code.ins().fneg(x),
            UnaryOp::Neg => self.code.ins().ineg(x),
            UnaryOp::Abs if float => self.code.ins().fabs(x),
            UnaryOp::Abs => self.magnitude(x),
            UnaryOp::Sqrt => self.code.ins().sqrt(x),
            UnaryOp::Floor => self.code.ins().floor(x),
            UnaryOp::Ceil => self.code.ins().ceil(x),
            UnaryOp::Trunc => self.code.ins().trunc(x),
            UnaryOp::Round => self.code.ins().nearest(x),
            UnaryOp::Not if ty == Some(Type::Bool) => self.code.ins().bxor_imm_u(x, 1),
            UnaryOp::Not => self.code.ins().bnot(x),
            UnaryOp::LeadingZeros => self.leading_zeros(x),
            UnaryOp::CountOnes => self.count_ones(x),
        })
    }

    fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Result<ir::Value, CodegenError> {
        let float = self.ty(a).is_some_and(Type::is_float);
        let (x, y) = (self.value(a)?, self.value(b)?);
        let ins = self.code.ins();
        Ok(match op {
            BinaryOp::Add if float => ins.fadd(x, y),
            BinaryOp::Sub if float => ins.fsub(x, y),
            BinaryOp::Mul if float => ins.fmul(x, y),
            BinaryOp::Add => ins.iadd(x, y),
            BinaryOp::Sub => ins.isub(x, y),
            BinaryOp::Mul => ins.imul(x, y),
            BinaryOp::Div => ins.fdiv(x, y),
            BinaryOp::And => ins.band(x, y),
            BinaryOp::Or => ins.bor(x, y),
            BinaryOp::Xor => ins.bxor(x, y),
            BinaryOp::Shl => ins.ishl(x, y),
            BinaryOp::ShrS => ins.sshr(x, y),
            BinaryOp::ShrU => ins.ushr(x, y),
            BinaryOp::DivS | BinaryOp::DivU | BinaryOp::RemS | BinaryOp::RemU => {
                self.divide(op, x, y, self.constants[b.index()])
            }
            BinaryOp::Min if float => self.float_extreme(FloatCC::LessThan, x, y),
            BinaryOp::Max if float => self.float_extreme(FloatCC::GreaterThan, x, y),
            BinaryOp::Min => self.extreme(IntCC::SignedLessThan, x, y),
            BinaryOp::Max => self.extreme(IntCC::SignedGreaterThan, x, y),
            BinaryOp::MinU => self.extreme(IntCC::UnsignedLessThan, x, y),
            BinaryOp::MaxU => self.extreme(IntCC::UnsignedGreaterThan, x, y),
            BinaryOp::Copysign => {
                let y = self.observed(b)?;
                self.code.ins().fcopysign(x, y)
            }
        })
    }

    /// `y` if it is less or greater, else `x`.
    fn extreme(&mut self, condition: IntCC, x: ir::Value, y: ir::Value) -> ir::Value {
        let take = self.code.ins().icmp(condition, y, x);
        self.code.ins().select(take, y, x)
    }

    /// `y` if it is less or greater, or a NaN, else `x`.
    fn float_extreme(&mut self, condition: FloatCC, x: ir::Value, y: ir::Value) -> ir::Value {
        let take = self.code.ins().fcmp(condition, y, x);
        let extreme = self.code.ins().select(take, y, x);
        let number = self.code.ins().fcmp(FloatCC::Equal, y, y);
        self.code.ins().select(number, extreme, y)
    }

    /// Division as RISC-V defines it. Cranelift's division traps where RISC-V gives a value, so a divisor
    /// that would trap is first replaced by 1. For `MIN / -1` that already gives the right result. For 0 the
    /// result is selected afterwards.
    fn divide(&mut self, op: BinaryOp, x: ir::Value, y: ir::Value, divisor: Option<Const>) -> ir::Value {
        let signed = matches!(op, BinaryOp::DivS | BinaryOp::RemS);
        let harmless = match divisor {
            Some(Const::I32(d)) => d != 0 && !(signed && d == -1),
            Some(Const::I64(d)) => d != 0 && !(signed && d == -1),
            _ => false,
        };
        if harmless {
            return self.plain_divide(op, x, y);
        }
        let ty = self.code.func.dfg.value_type(x);
        let (zero, one) = (self.code.ins().iconst(ty, 0), self.code.ins().iconst(ty, 1));
        let by_zero = self.code.ins().icmp(IntCC::Equal, y, zero);
        let mut traps = by_zero;
        if signed {
            let minus_one = self.code.ins().bnot(zero);
            let min =
                self.code.ins().iconst(ty, if ty == types::I32 { i64::from(i32::MIN) } else { i64::MIN });
            let by_minus_one = self.code.ins().icmp(IntCC::Equal, y, minus_one);
            let of_min = self.code.ins().icmp(IntCC::Equal, x, min);
            let overflows = self.code.ins().band(by_minus_one, of_min);
            traps = self.code.ins().bor(by_zero, overflows);
        }
        let divisor = self.code.ins().select(traps, one, y);
        let result = self.plain_divide(op, x, divisor);
        let of_zero = match op {
            BinaryOp::RemS | BinaryOp::RemU => x,
            _ => self.code.ins().bnot(zero),
        };
        self.code.ins().select(by_zero, of_zero, result)
    }

    fn plain_divide(&mut self, op: BinaryOp, x: ir::Value, y: ir::Value) -> ir::Value {
        let ins = self.code.ins();
        match op {
            BinaryOp::DivS => ins.sdiv(x, y),
            BinaryOp::RemS => ins.srem(x, y),
            BinaryOp::RemU => ins.urem(x, y),
            _ => ins.udiv(x, y),
        }
    }

    fn compare(&mut self, op: Comparison, a: Value, b: Value) -> Result<ir::Value, CodegenError> {
        let float = self.ty(a).is_some_and(Type::is_float);
        let (x, y) = (self.value(a)?, self.value(b)?);
        let ins = self.code.ins();
        Ok(if float {
            let condition = match op {
                Comparison::Eq => FloatCC::Equal,
                Comparison::Ne => FloatCC::NotEqual,
                Comparison::Lt | Comparison::LtU => FloatCC::LessThan,
                Comparison::Le | Comparison::LeU => FloatCC::LessThanOrEqual,
            };
            ins.fcmp(condition, x, y)
        } else {
            let condition = match op {
                Comparison::Eq => IntCC::Equal,
                Comparison::Ne => IntCC::NotEqual,
                Comparison::Lt => IntCC::SignedLessThan,
                Comparison::Le => IntCC::SignedLessThanOrEqual,
                Comparison::LtU => IntCC::UnsignedLessThan,
                Comparison::LeU => IntCC::UnsignedLessThanOrEqual,
            };
            ins.icmp(condition, x, y)
        })
    }

    fn convert(&mut self, conversion: Conversion, to: Type, a: Value) -> Result<ir::Value, CodegenError> {
        let x = match conversion {
            Conversion::Bitcast => self.observed(a)?,
            _ => self.value(a)?,
        };
        let to = clif_type(to);
        let ins = self.code.ins();
        Ok(match conversion {
            Conversion::FromBool | Conversion::ZeroExtend => ins.uextend(to, x),
            Conversion::SignExtend => ins.sextend(to, x),
            Conversion::Truncate => ins.ireduce(to, x),
            Conversion::IntToFloat => ins.fcvt_from_sint(to, x),
            Conversion::UintToFloat => ins.fcvt_from_uint(to, x),
            Conversion::FloatToInt => ins.fcvt_to_sint_sat(to, x),
            Conversion::FloatToUint => ins.fcvt_to_uint_sat(to, x),
            Conversion::Promote => ins.fpromote(to, x),
            Conversion::Demote => ins.fdemote(to, x),
            Conversion::Bitcast => ins.bitcast(to, MemFlagsData::new(), x),
        })
    }

    /// The value, with a NaN made canonical.
    fn observed(&mut self, value: Value) -> Result<ir::Value, CodegenError> {
        let x = self.value(value)?;
        let nan = match self.ty(value) {
            Some(Type::F32) => self.nan[0],
            Some(Type::F64) => self.nan[1],
            _ => None,
        };
        let Some(nan) = nan.filter(|_| self.foreign[value.index()]) else { return Ok(x) };
        let number = self.code.ins().fcmp(FloatCC::Equal, x, x);
        Ok(self.code.ins().select(number, x, nan))
    }

    fn load(&mut self, dtype: DType, base: Value, offset: i32) -> Result<ir::Value, CodegenError> {
        let base = self.value(base)?;
        let flags = MemFlagsData::trusted();
        let ins = self.code.ins();
        Ok(match dtype {
            DType::F16 => {
                let half = ins.sload16(types::I32, flags, base, offset);
                self.widened_f16(half)
            }
            DType::BF16 => {
                let half = ins.uload16(types::I32, flags, base, offset);
                self.widened_bf16(half)
            }
            DType::I8 => ins.sload8(types::I32, flags, base, offset),
            DType::U8 | DType::Bool => ins.uload8(types::I32, flags, base, offset),
            DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ | DType::F8E8M0 => {
                ins.uload8(types::I32, flags, base, offset)
            }
            DType::I16 => ins.sload16(types::I32, flags, base, offset),
            DType::U16 => ins.uload16(types::I32, flags, base, offset),
            DType::I32 | DType::U32 => ins.load(types::I32, flags, base, offset),
            DType::I64 | DType::U64 => ins.load(types::I64, flags, base, offset),
            DType::F32 => ins.load(types::F32, flags, base, offset),
            DType::F64 => ins.load(types::F64, flags, base, offset),
            DType::I4 | DType::U4 | DType::F4E2M1 | DType::I2 | DType::U2 => {
                return Err(self.types_error(format!("a load of {dtype}")));
            }
        })
    }

    fn store(&mut self, dtype: DType, base: Value, offset: i32, value: Value) -> Result<(), CodegenError> {
        if self.ty(base) != Some(Type::I64) || self.ty(value) != Type::loaded(dtype) {
            return Err(self.types_error(format!("a store of {dtype}")));
        }
        let base = self.value(base)?;
        let value = match dtype {
            DType::F16 => self.narrowed_f16(value)?,
            DType::BF16 => self.narrowed_bf16(value)?,
            _ => self.observed(value)?,
        };
        let flags = MemFlagsData::trusted();
        let ins = self.code.ins();
        match dtype.size() {
            1 => ins.istore8(flags, value, base, offset),
            2 => ins.istore16(flags, value, base, offset),
            _ => ins.store(flags, value, base, offset),
        };
        Ok(())
    }
}

fn clif_type(ty: Type) -> ir::Type {
    match ty {
        Type::Bool => types::I8,
        Type::I32 => types::I32,
        Type::I64 => types::I64,
        Type::F32 => types::F32,
        Type::F64 => types::F64,
    }
}
