//! Operations on the bits of integers.

use super::elementwise;
use crate::operator::error::integers;
use crate::scalar::Ops;

elementwise! {
    /// Shift by a number of bits. By as many as there are, or more, everything is shifted out: to the right,
    /// copies of the sign remain.
    BitShift { /// Whether to the left.
               left: bool } of integers(); |e, x, count| {
        let (ty, bits) = (e.ty(x), e.dtype().bits() as i64);
        // A shift by less than the width, without its sign.
        let (last, width) = (e.number(ty, bits - 1), e.number(ty, bits));
        let (possible, most) = (e.lt_u(count, width), e.min_u(count, last));
        match (left, e.unsigned()) {
            (false, false) => e.shr_s(x, most),
            _ => {
                let shifted = if left { e.shl(x, most) } else { e.shr_u(x, most) };
                let zero = e.number(ty, 0);
                e.select(possible, shifted, zero)
            }
        }
    };
    /// Bitwise and.
    BitwiseAnd of integers(); |e, x, y| e.and(x, y);
    /// Every bit changed.
    BitwiseNot of integers(); |e, x| e.not(x);
    /// Bitwise or.
    BitwiseOr of integers(); |e, x, y| e.or(x, y);
    /// Bitwise exclusive or.
    BitwiseXor of integers(); |e, x, y| e.xor(x, y);
}
