//! The table of operations: every operation on scalars is declared here, once.
//!
//! `for_each_operation!` hands the table to any macro. The enums, their names, the types that they accept, the
//! evaluator, the methods of [`Ops`](super::Ops), the host's vectors, the reference page and the random tests
//! read it. Only how the machine computes an operation is elsewhere (`compiler/codegen/src/lower.rs`).
//!
//! A row gives: variant, name, and what it computes for each type of operands, which are the types of Rust for
//! it: `i32` and `u32` both are an `I32`, as the operation needs it, and a [`Truth`](super::Truth) is a `Bool`.
//! The result has the same type; of a comparison it is a `bool`, of a conversion a type that is given. Programs
//! number the operations of a section in this order, so a new one is the last.

/// Hands the table of operations to a macro.
macro_rules! for_each_operation {
    ($with:ident) => {
        $with! {
            unary {
                /// The sign changed. Integers wrap.
                Neg = neg { [f32 f64] |a| -a; [i32 i64] |a| a.wrapping_neg() }
                /// The value without its sign. Integers wrap: that of the least one is itself.
                Abs = abs { [f32 f64] |a| a.abs(); [i32 i64] |a| a.wrapping_abs() }
                /// The square root.
                Sqrt = sqrt { [f32 f64] |a| a.sqrt() }
                /// The largest integer that is not larger.
                Floor = floor { [f32 f64] |a| a.floor() }
                /// The smallest integer that is not smaller.
                Ceil = ceil { [f32 f64] |a| a.ceil() }
                /// The integer towards zero.
                Trunc = trunc { [f32 f64] |a| a.trunc() }
                /// The nearest integer, the even one of two.
                Round = round { [f32 f64] |a| a.round_ties_even() }
                /// Every bit changed; the opposite of a truth value.
                Not = not { [i32 i64 Truth] |a| !a }
                /// The number of zeros before the first one of the bits: 0 to 32, or to 64.
                LeadingZeros = leading_zeros { [u32 u64] |a| a.leading_zeros().into() }
                /// The number of bits that are one.
                CountOnes = count_ones { [u32 u64] |a| a.count_ones().into() }
            }
            binary {
                /// Sum. Integers wrap.
                Add = add { [f32 f64] |a, b| a + b; [i32 i64] |a, b| a.wrapping_add(b) }
                /// Difference. Integers wrap.
                Sub = sub { [f32 f64] |a, b| a - b; [i32 i64] |a, b| a.wrapping_sub(b) }
                /// Product; of integers the low half.
                Mul = mul { [f32 f64] |a, b| a * b; [i32 i64] |a, b| a.wrapping_mul(b) }
                /// Quotient of floats.
                Div = div { [f32 f64] |a, b| a / b }
                /// Signed quotient, towards zero. By 0 it is -1; of the least number by -1 it is that number.
                DivS = div_s { [i32 i64] |a, b| if b == 0 { -1 } else { a.wrapping_div(b) } }
                /// Unsigned quotient. By 0 it has all bits set.
                DivU = div_u { [u32 u64] |a, b| a.checked_div(b).unwrap_or(!0) }
                /// Signed remainder, with the sign of the dividend. By 0 it is the dividend.
                RemS = rem_s { [i32 i64] |a, b| if b == 0 { a } else { a.wrapping_rem(b) } }
                /// Unsigned remainder. By 0 it is the dividend.
                RemU = rem_u { [u32 u64] |a, b| a.checked_rem(b).unwrap_or(a) }
                /// Bitwise and.
                And = and { [i32 i64 Truth] |a, b| a & b }
                /// Bitwise or.
                Or = or { [i32 i64 Truth] |a, b| a | b }
                /// Bitwise exclusive or.
                Xor = xor { [i32 i64 Truth] |a, b| a ^ b }
                /// Shift left, by the count modulo the width.
                Shl = shl { [i32 i64] |a, b| a.wrapping_shl(b as u32) }
                /// Arithmetic shift right, by the count modulo the width.
                ShrS = shr_s { [i32 i64] |a, b| a.wrapping_shr(b as u32) }
                /// Logical shift right, by the count modulo the width.
                ShrU = shr_u { [u32 u64] |a, b| a.wrapping_shr(b as u32) }
                /// The second if it is less, else the first. A NaN if one of them is.
                Min = min {
                    [f32 f64] |a, b| minimum(a, b);
                    [i32 i64] |a, b| a.min(b)
                }
                /// The second if it is larger, else the first. A NaN if one of them is.
                Max = max {
                    [f32 f64] |a, b| maximum(a, b);
                    [i32 i64] |a, b| a.max(b)
                }
                /// The smaller of two unsigned integers.
                MinU = min_u { [u32 u64] |a, b| a.min(b) }
                /// The larger of two unsigned integers.
                MaxU = max_u { [u32 u64] |a, b| a.max(b) }
                /// The first with the sign of the second. A NaN has no sign: as the second, it is positive.
                Copysign = copysign { [f32 f64] |a, b| a.copysign(if b.is_nan() { 1.0 } else { b }) }
            }
            comparison {
                /// Equal.
                Eq = eq { [f32 f64 i32 i64] |a, b| a == b }
                /// Not equal: the opposite of `eq`, so true with a NaN.
                Ne = ne { [f32 f64 i32 i64] |a, b| a != b }
                /// Less; integers are signed.
                Lt = lt { [f32 f64 i32 i64] |a, b| a < b }
                /// Less or equal; integers are signed.
                Le = le { [f32 f64 i32 i64] |a, b| a <= b }
                /// Less, of unsigned integers.
                LtU = lt_u { [u32 u64] |a, b| a < b }
                /// Less or equal, of unsigned integers.
                LeU = le_u { [u32 u64] |a, b| a <= b }
            }
            conversion {
                /// 0 or 1.
                FromBool = from_bool { [Truth] => [i32] |a| i32::from(a) }
                /// The same signed integer.
                SignExtend = sign_extend { [i32] => [i64] |a| a.into() }
                /// The same unsigned integer.
                ZeroExtend = zero_extend { [u32] => [u64] |a| a.into() }
                /// The low half.
                Truncate = truncate { [i64] => [i32] |a| a as _ }
                /// The float nearest to a signed integer, the even one of two.
                IntToFloat = int_to_float { [i32 i64] => [f32 f64] |a| a as _ }
                /// The float nearest to an unsigned integer, the even one of two.
                UintToFloat = uint_to_float { [u32 u64] => [f32 f64] |a| a as _ }
                /// The signed integer towards zero, or the nearest that there is. Of a NaN, 0.
                FloatToInt = float_to_int { [f32 f64] => [i32 i64] |a| a as _ }
                /// The unsigned integer towards zero, or the nearest that there is. Of a NaN, 0.
                FloatToUint = float_to_uint { [f32 f64] => [u32 u64] |a| a as _ }
                /// The same number.
                Promote = promote { [f32] => [f64] |a| a.into() }
                /// The nearest float, the even one of two.
                Demote = demote { [f64] => [f32] |a| a as _ }
                /// The bits of a float as an integer of the same size (a NaN gives the canonical one), or back.
                Bitcast = bitcast {
                    [f32] => [u32] |a| canonical32(a.to_bits());
                    [f64] => [u64] |a| canonical64(a.to_bits());
                    [u32] => [f32] |a| f32::from_bits(a);
                    [u64] => [f64] |a| f64::from_bits(a)
                }
            }
        }
    };
}
pub(super) use for_each_operation;
