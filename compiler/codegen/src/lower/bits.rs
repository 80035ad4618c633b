//! Operations on the bits of integers. Without the extension Zbb, Cranelift counts bits in loops of 64.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};

use super::Lowering;

impl Lowering<'_> {
    fn width(&self, x: Value) -> i64 {
        self.code.func.dfg.value_type(x).bits().into()
    }

    /// `|x|`: all bits are changed and 1 is added if it is negative.
    pub(super) fn magnitude(&mut self, x: Value) -> Value {
        let width = self.width(x);
        let sign = self.code.ins().sshr_imm_u(x, width - 1);
        let changed = self.code.ins().bxor(x, sign);
        self.code.ins().isub(changed, sign)
    }

    /// The number of zeros before the first one: the exponent of a float tells it.
    pub(super) fn leading_zeros(&mut self, x: Value) -> Value {
        if self.width(x) == 32 {
            // 2 * x + 1 is exact as a float, and not 0.
            let wide = self.code.ins().uextend(types::I64, x);
            let twice = self.code.ins().ishl_imm_u(wide, 1);
            let odd = self.code.ins().bor_imm_u(twice, 1);
            let float = self.code.ins().fcvt_from_sint(types::F64, odd);
            let zeros = self.exponent_below(float, 1023 + 32);
            return self.code.ins().ireduce(types::I32, zeros);
        }
        // Ones after ones are cleared, so that no rounding changes the exponent.
        let half = self.code.ins().ushr_imm_u(x, 1);
        let others = self.code.ins().bnot(half);
        let sparse = self.code.ins().band(x, others);
        let odd = self.code.ins().bor_imm_u(sparse, 1);
        let float = self.code.ins().fcvt_from_uint(types::F64, odd);
        let zeros = self.exponent_below(float, 1023 + 63);
        // Of 0, that is the result for 1.
        let none = self.code.ins().icmp_imm_u(IntCC::Equal, x, 0);
        let none = self.code.ins().uextend(types::I64, none);
        self.code.ins().iadd(zeros, none)
    }

    /// How far the exponent's bits of a positive float are below a number.
    fn exponent_below(&mut self, float: Value, most: i64) -> Value {
        let bits = self.code.ins().bitcast(types::I64, MemFlagsData::new(), float);
        let exponent = self.code.ins().ushr_imm_u(bits, 52);
        let most = self.code.ins().iconst(types::I64, most);
        self.code.ins().isub(most, exponent)
    }

    /// The number of ones: those of pairs of bits, of fours, of bytes, and their sum in the highest byte.
    pub(super) fn count_ones(&mut self, x: Value) -> Value {
        let (ty, width) = (self.code.func.dfg.value_type(x), self.width(x));
        let [odd, pairs, fours, bytes] = [0x55, 0x33, 0x0f, 0x01].map(|byte| {
            let bits = i64::from_ne_bytes([byte; 8]);
            self.kept(ty, if width == 32 { bits & 0xffff_ffff } else { bits })
        });
        let upper = self.code.ins().ushr_imm_u(x, 1);
        let upper = self.code.ins().band(upper, odd);
        let twos = self.code.ins().isub(x, upper);
        let lower = self.code.ins().band(twos, pairs);
        let upper = self.code.ins().ushr_imm_u(twos, 2);
        let upper = self.code.ins().band(upper, pairs);
        let by_four = self.code.ins().iadd(lower, upper);
        let upper = self.code.ins().ushr_imm_u(by_four, 4);
        let by_byte = self.code.ins().iadd(by_four, upper);
        let by_byte = self.code.ins().band(by_byte, fours);
        let sums = self.code.ins().imul(by_byte, bytes);
        self.code.ins().ushr_imm_u(sums, width - 8)
    }
}
