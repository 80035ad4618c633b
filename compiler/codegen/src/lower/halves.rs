//! Halves, which are stored as such and computed with as `f32`.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, types};
use dnn_lib::kernel::Value;

use super::Lowering;
use crate::CodegenError;

/// The bits of an exponent in an `f32`.
const EXPONENT: i64 = 0x7f80_0000;

impl Lowering<'_> {
    /// An `I32` that stays in a register.
    fn word(&mut self, bits: i64) -> ir::Value {
        self.kept(types::I32, bits)
    }

    fn as_float(&mut self, bits: ir::Value) -> ir::Value {
        self.code.ins().bitcast(types::F32, MemFlagsData::new(), bits)
    }

    fn as_bits(&mut self, float: ir::Value) -> ir::Value {
        self.code.ins().bitcast(types::I32, MemFlagsData::new(), float)
    }

    /// The number that is a bfloat16, given its bits.
    pub(super) fn widened_bf16(&mut self, half: ir::Value) -> ir::Value {
        let bits = self.code.ins().ishl_imm_u(half, 16);
        self.as_float(bits)
    }

    /// The number that is a binary16, given its bits, sign-extended. In their places in an `f32` they mean a number
    /// that is 2^112 times smaller, but for an infinity or a NaN.
    pub(super) fn widened_f16(&mut self, half: ir::Value) -> ir::Value {
        let [mask, own_exponent, exponent] = [0x8fff_e000, 0x1f << 23, EXPONENT].map(|bits| self.word(bits));
        let moved = self.code.ins().ishl_imm_u(half, 13);
        let moved = self.code.ins().band(moved, mask);
        // 2^112.
        let scale = self.kept(types::F32, 0x7780_0000);
        let small = self.as_float(moved);
        let finite = self.code.ins().fmul(small, scale);
        let special = self.code.ins().bor(moved, exponent);
        let special = self.as_float(special);
        let own = self.code.ins().band(moved, own_exponent);
        let is_special = self.code.ins().icmp(IntCC::Equal, own, own_exponent);
        self.code.ins().select(is_special, special, finite)
    }

    /// The bits of the bfloat16 nearest to a value.
    pub(super) fn narrowed_bf16(&mut self, value: Value) -> Result<ir::Value, CodegenError> {
        let value = self.observed(value)?;
        let bits = self.as_bits(value);
        // To the even one: half of the last bit, and a little less than that if the bit is 0.
        let last = self.code.ins().ushr_imm_u(bits, 16);
        let last = self.code.ins().band_imm_u(last, 1);
        let almost = self.word(0x7fff);
        let bits = self.code.ins().iadd(bits, almost);
        let bits = self.code.ins().iadd(bits, last);
        Ok(self.code.ins().ushr_imm_u(bits, 16))
    }

    /// The bits of the binary16 nearest to a value.
    ///
    /// The sum of a number and 2^13 times the power of two below it ends with the number as a multiple of the last
    /// place of a half, rounded to nearest even. That is 2^-24 at least, so the power is 2^-14 at least.
    pub(super) fn narrowed_f16(&mut self, value: Value) -> Result<ir::Value, CodegenError> {
        let value = self.value(value)?;
        let [all, exponent, minus, nan] = [0x7fff_ffff, EXPONENT, 0x8000, 0x7e00].map(|bits| self.word(bits));
        // 2^16 and 2^-14; a factor of 2^13, and how far exponents are apart when it is in.
        let [infinity, least] = [0x4780_0000, 0x3880_0000].map(|bits| self.word(bits));
        let [up, down] = [13 << 23, -(126 << 10)].map(|bits| self.word(bits));
        let bits = self.as_bits(value);
        let magnitude = self.code.ins().band(bits, all);
        let is_nan = self.code.ins().icmp(IntCC::UnsignedGreaterThan, magnitude, exponent);
        // From 65520 on, the nearest is infinity, as if it were the next number.
        let magnitude = self.extreme(IntCC::SignedLessThan, infinity, magnitude);
        let power = self.code.ins().band(magnitude, exponent);
        let power = self.extreme(IntCC::SignedGreaterThan, least, power);
        let added = self.code.ins().iadd(power, up);
        let (number, large) = (self.as_float(magnitude), self.as_float(added));
        let sum = self.code.ins().fadd(number, large);
        let sum = self.as_bits(sum);
        // The multiple has the leading bit of a normal number, or none; the exponent before is one too low for it.
        let multiple = self.code.ins().isub(sum, added);
        let before = self.code.ins().ushr_imm_u(added, 13);
        let before = self.code.ins().iadd(before, down);
        let half = self.code.ins().iadd(multiple, before);
        let sign = self.code.ins().ushr_imm_u(bits, 16);
        let sign = self.code.ins().band(sign, minus);
        let half = self.code.ins().bor(half, sign);
        Ok(self.code.ins().select(is_nan, nan, half))
    }
}
