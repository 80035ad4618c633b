//! IEEE-754 binary floating point on natural numbers, with RISC-V's NaN rules ("F" chapter of the
//! unprivileged specification): every NaN result is the canonical one, and there are no flags and no traps.
//!
//! The same functions serve both formats. `man` is the number of stored significand bits and `width` the
//! number of all bits, so (23, 32) is binary32 and (52, 64) is binary64. Addition is `a * 1 + b` and
//! multiplication is `a * b + 0`, so the machine has a single rounding path to audit.
//!
//! A finite number is `(-1)^sign * sig * 2^(exp - BIAS)`. [`BIAS`] is so large that no exponent is ever
//! negative. `sig` is normalised to `man + 1` bits. Zero has `sig = 0` and an exponent below all others
//! ([`ZERO`]).

use crate::def;
use crate::domain::{Bool, Domain, Function, Nat, Word};

/// A binary interchange format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Stored significand bits.
    pub man: u8,
    /// All bits.
    pub width: u8,
}

impl Format {
    /// binary32.
    pub const F32: Self = Self { man: 23, width: 32 };
    /// binary64.
    pub const F64: Self = Self { man: 52, width: 64 };

    /// The parameters `man` and `width` that every function here takes.
    #[inline(always)]
    fn params<D: Domain>(self) -> (D::Nat, D::Nat) {
        (D::nat(u128::from(self.man)), D::nat(u128::from(self.width)))
    }

    /// The bit pattern of 1.0.
    #[inline(always)]
    fn one<D: Domain>(self) -> D::Nat {
        let bias = (1u128 << (self.width - self.man - 2)) - 1;
        D::nat(bias << self.man)
    }

    /// The sign bit.
    #[inline(always)]
    fn sign<D: Domain>(self) -> D::Nat {
        D::nat(1 << (self.width - 1))
    }
}

/// Rounding modes, as in the instruction's `rm` field.
pub mod rounding {
    /// To nearest, ties to even.
    pub const RNE: u8 = 0;
    /// Towards zero.
    pub const RTZ: u8 = 1;
    /// Down.
    pub const RDN: u8 = 2;
    /// Up.
    pub const RUP: u8 = 3;
    /// To nearest, ties away from zero.
    pub const RMM: u8 = 4;
}

/// The bias of the exponent of the least significant bit, which keeps it from being negative.
pub const BIAS: u128 = 8192;
/// The exponent of zero, which is below that of any other number, including products.
pub const ZERO: u128 = 4096;

/// Declares functions over naturals. Printed code keeps them as functions, with their names and doc comments.
macro_rules! functions {
    ($(
        $(#[doc = $doc:literal])*
        fn $name:ident($($param:ident),*) -> $result:tt $body:block
    )*) => {$(functions! { @one [$($doc),*] $name [$($param),*] $result $body })*};
    (@one [$($doc:literal),*] $name:ident [$($param:ident),*] [$($result:ident),*] $body:block) => {
        $(#[doc = $doc])*
        #[inline(always)]
        pub fn $name<D: Domain>($($param: D::Nat),*) -> [D::Nat; [$(stringify!($result)),*].len()] {
            const FUNCTION: Function = Function {
                name: stringify!($name),
                doc: concat!($($doc, "\n"),*),
                params: &[$(stringify!($param)),*],
                results: &[$(stringify!($result)),*],
            };
            D::call(&FUNCTION, [$($param),*], |[$($param),*]| $body)
        }
    };
    (@one [$($doc:literal),*] $name:ident [$($param:ident),*] $result:ident $body:block) => {
        $(#[doc = $doc])*
        #[inline(always)]
        pub fn $name<D: Domain>($($param: D::Nat),*) -> D::Nat {
            const FUNCTION: Function = Function {
                name: stringify!($name),
                doc: concat!($($doc, "\n"),*),
                params: &[$(stringify!($param)),*],
                results: &[stringify!($result)],
            };
            let [$result] = D::call(&FUNCTION, [$($param),*], |[$($param),*]| [$body]);
            $result
        }
    };
}

/// A small constant.
#[inline(always)]
fn n<D: Domain>(value: u128) -> D::Nat {
    D::nat(value)
}

/// The smaller of a number and a constant.
#[inline(always)]
fn at_most<D: Domain>(x: D::Nat, limit: u128) -> D::Nat {
    x.lt(n::<D>(limit)).select(x, n::<D>(limit))
}

/// Whether `rm` is this rounding mode.
#[inline(always)]
fn is<D: Domain>(rm: D::Nat, mode: u8) -> D::Bool {
    rm.eq(n::<D>(u128::from(mode)))
}

functions! {
    /// The binary32 in a float register: the low half if the upper half is all ones, the canonical NaN
    /// otherwise.
    fn unbox(boxed) -> x {
        def!(valid = (boxed >> n::<D>(32)).eq(n::<D>(0xffff_ffff)));
        valid.select(boxed & n::<D>(0xffff_ffff), n::<D>(0x7fc0_0000))
    }

    /// The bit pattern of positive infinity.
    fn infinity(man, width) -> pattern {
        (n::<D>(1) << (width - n::<D>(1))) - (n::<D>(1) << man)
    }

    /// The bit pattern of the canonical NaN: positive and quiet, without payload.
    fn canonical_nan(man, width) -> pattern {
        (n::<D>(1) << (width - n::<D>(1))) - (n::<D>(1) << (man - n::<D>(1)))
    }

    /// The bit pattern without its sign.
    fn magnitude(x, width) -> mag {
        x & ((n::<D>(1) << (width - n::<D>(1))) - n::<D>(1))
    }

    /// Unpacks a finite number. `sig` is normalised to `man + 1` bits unless it is zero.
    fn unpack(x, man, width) -> [sign, exp, sig] {
        def!(fraction = x & ((n::<D>(1) << man) - n::<D>(1)));
        def!(mag = magnitude::<D>(x, width));
        def!(field = mag >> man);
        // The exponent of a subnormal's least significant bit. Exponent field 1 has the same.
        def!(least = n::<D>(BIAS + 2) - (n::<D>(1) << (width - man - n::<D>(2))) - man);
        let [exp, sig] = D::branch(
            field.eq(n::<D>(0)),
            ["exp", "sig"],
            || {
                def!(up = man + n::<D>(1) - fraction.bit_length());
                let zero = fraction.eq(n::<D>(0));
                [zero.select(n::<D>(ZERO), least - up), fraction << up]
            },
            || [least + field - n::<D>(1), fraction | (n::<D>(1) << man)],
        );
        [x >> (width - n::<D>(1)), exp, sig]
    }

    /// `x >> count`, with the lowest bit set if any bit was lost ("jamming"). The result rounds like `x`, as
    /// long as the rounding point is at least two bits higher.
    fn shift_right_jam(x, count) -> jammed {
        def!(down = at_most::<D>(count, 127));
        def!(kept = x >> down);
        def!(lost = !(kept << down).eq(x));
        kept | lost.nat()
    }

    /// Rounds `sig / 2^count` to an integer in mode `rm`; `sig` < 2^126.
    fn round_shift(sign, sig, count, rm) -> rounded {
        def!(down = at_most::<D>(count, 127));
        def!(floor = sig >> down);
        def!(rest = sig - (floor << down));
        // Compare twice the discarded part with one unit of the result.
        def!(twice = rest << n::<D>(1));
        def!(unit = n::<D>(1) << down);
        let above = unit.lt(twice);
        let tie = twice.eq(unit);
        let odd = (floor & n::<D>(1)).eq(n::<D>(1));
        let inexact = !rest.eq(n::<D>(0));
        let negative = sign.eq(n::<D>(1));
        def!(up = (is::<D>(rm, rounding::RNE) & (above | (tie & odd)))
            | (is::<D>(rm, rounding::RMM) & (above | tie))
            | (is::<D>(rm, rounding::RDN) & negative & inexact)
            | (is::<D>(rm, rounding::RUP) & !negative & inexact));
        floor + up.nat()
    }

    /// Rounds `(-1)^sign * sig * 2^(exp - BIAS)` to the format; `sig` < 2^126.
    fn round_pack(sign, exp, sig, rm, man, width) -> packed {
        def!(least = n::<D>(BIAS + 2) - (n::<D>(1) << (width - man - n::<D>(2))) - man);
        // The exponent of the result's least significant bit. It leaves room for man + 1 bits, but isn't
        // below that of a subnormal.
        def!(fit = exp + sig.bit_length() - man - n::<D>(1));
        def!(lsb = fit.lt(least).select(least, fit));
        let rounded = D::either(
            exp.lt(lsb),
            "rounded",
            || round_shift::<D>(sign, sig, lsb - exp, rm),
            || sig << (exp - lsb),
        );
        def!(inf = infinity::<D>(man, width));
        let negative = sign.eq(n::<D>(1));
        // The hidden bit adds one to the exponent field, and so does a carry out of the significand.
        let bits = D::either(
            rounded.eq(n::<D>(0)),
            "bits",
            || n::<D>(0),
            || rounded + ((lsb - least) << man),
        );
        let finite = D::either(
            bits.lt(inf),
            "finite",
            || bits,
            || {
                def!(stay = is::<D>(rm, rounding::RTZ)
                    | (is::<D>(rm, rounding::RDN) & !negative)
                    | (is::<D>(rm, rounding::RUP) & negative));
                inf - stay.nat()
            },
        );
        finite | (sign << (width - n::<D>(1)))
    }

    /// The sum of two signed magnitudes. If they cancel, it is -0 when rounding down and +0 otherwise.
    fn add_signed(rm, sign_a, a, sign_b, b) -> [sign, sum] {
        D::branch(
            sign_a.eq(sign_b),
            ["sign", "sum"],
            || [sign_a, a + b],
            || {
                D::branch(
                    a.eq(b),
                    ["sign", "sum"],
                    || [is::<D>(rm, rounding::RDN).nat(), n::<D>(0)],
                    || {
                        let less = a.lt(b);
                        D::branch(less, ["sign", "sum"], || [sign_b, b - a], || [sign_a, a - b])
                    },
                )
            },
        )
    }

    /// `a * b + c` where at least one operand is infinite or NaN.
    fn fma_special(a, b, c, man, width) -> result {
        def!(inf = infinity::<D>(man, width));
        def!(mag_a = magnitude::<D>(a, width));
        def!(mag_b = magnitude::<D>(b, width));
        def!(mag_c = magnitude::<D>(c, width));
        def!(product_sign = (a ^ b) >> (width - n::<D>(1)));
        def!(product_infinite = mag_a.eq(inf) | mag_b.eq(inf));
        let zero = n::<D>(0);
        let invalid = inf.lt(mag_a)
            | inf.lt(mag_b)
            | inf.lt(mag_c)
            | (product_infinite & (mag_a.eq(zero) | mag_b.eq(zero)))
            | (product_infinite & mag_c.eq(inf) & !product_sign.eq(c >> (width - n::<D>(1))));
        D::either(
            invalid,
            "result",
            || canonical_nan::<D>(man, width),
            || product_infinite.select(inf | (product_sign << (width - n::<D>(1))), c),
        )
    }

    /// The exponent, sign and exact product of two finite numbers.
    fn multiply(a, b, man, width) -> [sign, exp, product] {
        def!([sign_a, exp_a, sig_a] = unpack::<D>(a, man, width));
        def!([sign_b, exp_b, sig_b] = unpack::<D>(b, man, width));
        [sign_a ^ sign_b, exp_a + exp_b - n::<D>(BIAS), sig_a * sig_b]
    }

    /// Aligns a product (below 2^106) and an addend (below 2^53) to one exponent. The one with the larger
    /// exponent moves left as far as there is room, and only then the other one moves right. What is jammed
    /// therefore lies far below the rounding point.
    fn align(exp_p, product, exp_c, addend) -> [exp, p, c] {
        D::branch(
            exp_p.lt(exp_c),
            ["exp", "p", "c"],
            || {
                def!(gap = exp_c - exp_p);
                def!(up = at_most::<D>(gap, 72));
                def!(low = shift_right_jam::<D>(product, gap - up));
                [exp_c - up, low, addend << up]
            },
            || {
                def!(gap = exp_p - exp_c);
                def!(up = at_most::<D>(gap, 19));
                def!(low = shift_right_jam::<D>(addend, gap - up));
                [exp_p - up, product << up, low]
            },
        )
    }

    /// A product plus an addend, exact except for jamming.
    fn add_product(rm, sign_p, exp_p, product, sign_c, exp_c, addend) -> [sign, exp, sum] {
        def!([exp, high, low] = align::<D>(exp_p, product, exp_c, addend));
        def!([sign, sum] = add_signed::<D>(rm, sign_p, high, sign_c, low));
        [sign, exp, sum]
    }

    /// `a * b + c` before rounding. All three must be finite.
    fn fused(a, b, c, rm, man, width) -> [sign, exp, sum] {
        def!([sign_p, exp_p, product] = multiply::<D>(a, b, man, width));
        def!([sign_c, exp_c, addend] = unpack::<D>(c, man, width));
        def!([sign, exp, sum] = add_product::<D>(rm, sign_p, exp_p, product, sign_c, exp_c, addend));
        [sign, exp, sum]
    }

    /// `a * b + c`, rounded once. All three must be finite.
    fn fma_finite(a, b, c, rm, man, width) -> result {
        def!([sign, exp, sum] = fused::<D>(a, b, c, rm, man, width));
        round_pack::<D>(sign, exp, sum, rm, man, width)
    }

    /// `a * b + c`, rounded once.
    fn multiply_add(a, b, c, rm, man, width) -> result {
        def!(inf = infinity::<D>(man, width));
        def!(mag_a = magnitude::<D>(a, width));
        def!(mag_b = magnitude::<D>(b, width));
        def!(mag_c = magnitude::<D>(c, width));
        D::either(
            mag_a.lt(inf) & mag_b.lt(inf) & mag_c.lt(inf),
            "result",
            || fma_finite::<D>(a, b, c, rm, man, width),
            || fma_special::<D>(a, b, c, man, width),
        )
    }

    /// The jammed quotient of two significands. The dividend is extended by `man + 4` bits, so the quotient
    /// has at least `man + 4` bits.
    fn divide_jam(sig_a, sig_b, man) -> jammed {
        def!(dividend = sig_a << (man + n::<D>(4)));
        def!(quotient = dividend / sig_b);
        def!(exact = (quotient * sig_b).eq(dividend));
        quotient | (!exact).nat()
    }

    /// `a / b`. Both must be finite, and `b` nonzero.
    fn divide_finite(a, b, rm, man, width) -> result {
        def!([sign_a, exp_a, sig_a] = unpack::<D>(a, man, width));
        def!([sign_b, exp_b, sig_b] = unpack::<D>(b, man, width));
        def!(quotient = divide_jam::<D>(sig_a, sig_b, man));
        round_pack::<D>(sign_a ^ sign_b, exp_a + n::<D>(BIAS) - exp_b - man - n::<D>(4), quotient, rm, man, width)
    }

    /// `a / b` where an operand is zero, infinite or NaN.
    fn divide_special(a, b, man, width) -> result {
        def!(inf = infinity::<D>(man, width));
        def!(mag_a = magnitude::<D>(a, width));
        def!(mag_b = magnitude::<D>(b, width));
        let zero = n::<D>(0);
        let invalid = inf.lt(mag_a)
            | inf.lt(mag_b)
            | (mag_a.eq(inf) & mag_b.eq(inf))
            | (mag_a.eq(zero) & mag_b.eq(zero));
        D::either(
            invalid,
            "result",
            || canonical_nan::<D>(man, width),
            || {
                def!(sign = (a ^ b) >> (width - n::<D>(1)));
                let large = mag_a.eq(inf) | mag_b.eq(zero);
                large.select(inf, zero) | (sign << (width - n::<D>(1)))
            },
        )
    }

    /// `a / b`, rounded once.
    fn divide(a, b, rm, man, width) -> result {
        def!(inf = infinity::<D>(man, width));
        def!(mag_a = magnitude::<D>(a, width));
        def!(mag_b = magnitude::<D>(b, width));
        let zero = n::<D>(0);
        D::either(
            mag_a.lt(inf) & mag_b.lt(inf) & !mag_a.eq(zero) & !mag_b.eq(zero),
            "result",
            || divide_finite::<D>(a, b, rm, man, width),
            || divide_special::<D>(a, b, man, width),
        )
    }

    /// One step of Newton's method for the square root of `x`.
    fn newton(x, estimate) -> next {
        (estimate + x / estimate) >> n::<D>(1)
    }

    /// The integer part of the square root of `x`, 2^108 <= x < 2^110. Newton's method starts at 2^55, above
    /// the root. After seven steps the estimate is at most one too high.
    fn integer_sqrt(x) -> root {
        def!(estimate = (0..7).fold(n::<D>(1 << 55), |estimate, _| newton::<D>(x, estimate)));
        estimate - x.lt(estimate * estimate).nat()
    }

    /// The square root of a positive finite number.
    fn square_root_finite(a, rm, man, width) -> result {
        def!([_sign, exp, sig] = unpack::<D>(a, man, width));
        // The exponent of the radicand must be even. In every format, the radicand has 109 or 110 bits.
        def!(up = n::<D>(108) - man + ((exp + man) & n::<D>(1)));
        def!(radicand = sig << up);
        def!(root = integer_sqrt::<D>(radicand));
        def!(jammed = root | (!(root * root).eq(radicand)).nat());
        round_pack::<D>(n::<D>(0), (exp + n::<D>(BIAS) - up) >> n::<D>(1), jammed, rm, man, width)
    }

    /// The square root of `a`, rounded once. The square root of -0 is -0.
    fn square_root(a, rm, man, width) -> result {
        def!(inf = infinity::<D>(man, width));
        def!(mag = magnitude::<D>(a, width));
        let zero = mag.eq(n::<D>(0));
        D::either(
            zero | a.eq(inf),
            "result",
            || a,
            || {
                D::either(
                    a.lt(inf),
                    "result",
                    || square_root_finite::<D>(a, rm, man, width),
                    || canonical_nan::<D>(man, width),
                )
            },
        )
    }

    /// 1 if `x` is a NaN.
    fn is_nan(x, man, width) -> nan {
        def!(inf = infinity::<D>(man, width));
        def!(mag = magnitude::<D>(x, width));
        inf.lt(mag).nat()
    }

    /// A rank that orders numbers, with -0 just below +0.
    fn order(x, width) -> rank {
        def!(sign_bit = n::<D>(1) << (width - n::<D>(1)));
        x.lt(sign_bit).select(x + sign_bit, sign_bit + sign_bit - n::<D>(1) - x)
    }

    /// 1 if neither is a NaN and `a < b`. If `or_equal` is 1, also if they are equal. Zeros are equal.
    fn compare_less(a, b, or_equal, man, width) -> holds {
        def!(nan_a = is_nan::<D>(a, man, width));
        def!(nan_b = is_nan::<D>(b, man, width));
        def!(equal = compare_equal::<D>(a, b, man, width));
        def!(rank_a = order::<D>(a, width));
        def!(rank_b = order::<D>(b, width));
        let one = n::<D>(1);
        let ordered = (nan_a | nan_b).eq(n::<D>(0));
        let less = rank_a.lt(rank_b);
        (ordered & equal.eq(one).select(or_equal, less.nat()).eq(one)).nat()
    }

    /// 1 if neither is a NaN and they are equal. Zeros are equal.
    fn compare_equal(a, b, man, width) -> holds {
        def!(nan = is_nan::<D>(a, man, width));
        def!(zeros = magnitude::<D>(a | b, width));
        ((a.eq(b) & nan.eq(n::<D>(0))) | zeros.eq(n::<D>(0))).nat()
    }

    /// The smaller number, or the larger one if `larger` is 1. -0 is below +0, and a number wins over a NaN.
    fn min_max(a, b, larger, man, width) -> result {
        def!(nan_a = is_nan::<D>(a, man, width));
        def!(nan_b = is_nan::<D>(b, man, width));
        let one = n::<D>(1);
        D::either(
            (nan_a & nan_b).eq(one),
            "result",
            || canonical_nan::<D>(man, width),
            || {
                def!(rank_a = order::<D>(a, width));
                def!(rank_b = order::<D>(b, width));
                def!(first = rank_a.lt(rank_b).select(one - larger, larger));
                let take_a = nan_b.eq(one) | (nan_a.eq(n::<D>(0)) & first.eq(one));
                take_a.select(a, b)
            },
        )
    }

    /// The class of `x` as a one-hot mask: -inf, -normal, -subnormal, -0, +0, +subnormal, +normal, +inf,
    /// signalling NaN, quiet NaN.
    fn classify(x, man, width) -> mask {
        def!(inf = infinity::<D>(man, width));
        def!(mag = magnitude::<D>(x, width));
        let positive = x.eq(mag);
        D::either(
            inf.lt(mag),
            "mask",
            || n::<D>(256) << ((mag >> (man - n::<D>(1))) & n::<D>(1)),
            || {
                // The magnitude: 0 zero, 1 subnormal, 2 normal, 3 infinite.
                def!(distance = (!mag.eq(n::<D>(0))).nat()
                    + (!mag.lt(n::<D>(1) << man)).nat()
                    + mag.eq(inf).nat());
                n::<D>(1) << positive.select(n::<D>(4) + distance, n::<D>(3) - distance)
            },
        )
    }

    /// Rounds a number to an integer of `bits` bits, signed if `signed` is 1. The result saturates, and a NaN
    /// counts as positive infinity. It is returned modulo 2^64.
    fn to_integer(x, rm, bits, signed, man, width) -> integer {
        def!(nan = is_nan::<D>(x, man, width));
        def!([sign_x, exp, sig] = unpack::<D>(x, man, width));
        def!(sign = sign_x & (n::<D>(1) - nan));
        let whole = D::either(
            exp.lt(n::<D>(BIAS)),
            "whole",
            || round_shift::<D>(sign, sig, n::<D>(BIAS) - exp, rm),
            || sig << at_most::<D>(exp - n::<D>(BIAS), 66),
        );
        def!(limit = integer_limit::<D>(sign, bits, signed));
        def!(saturated = whole.lt(limit).select(whole, limit));
        let negate = sign.eq(n::<D>(1)) & !saturated.eq(n::<D>(0));
        negate.select(n::<D>(1 << 64) - saturated, saturated)
    }

    /// The largest magnitude of an integer with `bits` bits and this sign.
    fn integer_limit(sign, bits, signed) -> limit {
        def!(range = n::<D>(1) << (bits - signed));
        let negative = sign.eq(n::<D>(1));
        let lowest = signed.eq(n::<D>(1)).select(range, n::<D>(0));
        negative.select(lowest, range - n::<D>(1))
    }

    /// Rounds the 64-bit integer `x` to the format; two's complement if `signed` is 1.
    fn from_integer(x, rm, signed, man, width) -> result {
        def!(sign = (x >> n::<D>(63)) & signed);
        def!(sig = sign.eq(n::<D>(1)).select(n::<D>(1 << 64) - x, x));
        round_pack::<D>(sign, n::<D>(BIAS), sig, rm, man, width)
    }

    /// Rounds `x` from one format to the format of `to_man` and `to_width`.
    fn convert(x, rm, man, width, to_man, to_width) -> result {
        def!(inf = infinity::<D>(man, width));
        def!(mag = magnitude::<D>(x, width));
        D::either(
            mag.lt(inf),
            "result",
            || {
                def!([sign, exp, sig] = unpack::<D>(x, man, width));
                round_pack::<D>(sign, exp, sig, rm, to_man, to_width)
            },
            || {
                D::either(
                    mag.eq(inf),
                    "result",
                    || {
                        def!(to_inf = infinity::<D>(to_man, to_width));
                        to_inf | ((x >> (width - n::<D>(1))) << (to_width - n::<D>(1)))
                    },
                    || canonical_nan::<D>(to_man, to_width),
                )
            },
        )
    }
}

/// `a + b`: the multiply-add with 1.
#[inline(always)]
pub fn add<D: Domain>(format: Format, a: D::Nat, b: D::Nat, rm: D::Nat) -> D::Nat {
    fma::<D>(format, a, format.one::<D>(), b, rm)
}

/// `a * b`: the multiply-add with a zero of the product's sign. That zero changes neither the sign of a zero
/// result nor the rounding.
#[inline(always)]
pub fn mul<D: Domain>(format: Format, a: D::Nat, b: D::Nat, rm: D::Nat) -> D::Nat {
    fma::<D>(format, a, b, (a ^ b) & format.sign::<D>(), rm)
}

/// `a * b + c`, rounded once.
#[inline(always)]
pub fn fma<D: Domain>(format: Format, a: D::Nat, b: D::Nat, c: D::Nat, rm: D::Nat) -> D::Nat {
    let (man, width) = format.params::<D>();
    def!(result = multiply_add::<D>(a, b, c, rm, man, width));
    result
}

/// `a / b`.
#[inline(always)]
pub fn div<D: Domain>(format: Format, a: D::Nat, b: D::Nat, rm: D::Nat) -> D::Nat {
    let (man, width) = format.params::<D>();
    def!(result = divide::<D>(a, b, rm, man, width));
    result
}

/// The square root of `a`.
#[inline(always)]
pub fn sqrt<D: Domain>(format: Format, a: D::Nat, rm: D::Nat) -> D::Nat {
    let (man, width) = format.params::<D>();
    def!(result = square_root::<D>(a, rm, man, width));
    result
}

/// `-x`, also for NaNs.
#[inline(always)]
pub fn negate<D: Domain>(format: Format, x: D::Nat) -> D::Nat {
    x ^ format.sign::<D>()
}

/// `x` with the sign bit of `sign`.
#[inline(always)]
pub fn copy_sign<D: Domain>(format: Format, x: D::Nat, sign: D::Nat) -> D::Nat {
    let bit = format.sign::<D>();
    (x & D::nat((1 << (format.width - 1)) - 1)) | (sign & bit)
}

/// Whether `a < b`.
#[inline(always)]
pub fn less<D: Domain>(format: Format, a: D::Nat, b: D::Nat) -> D::Nat {
    let (man, width) = format.params::<D>();
    def!(holds = compare_less::<D>(a, b, n::<D>(0), man, width));
    holds
}

/// Whether `a <= b`.
#[inline(always)]
pub fn less_equal<D: Domain>(format: Format, a: D::Nat, b: D::Nat) -> D::Nat {
    let (man, width) = format.params::<D>();
    def!(holds = compare_less::<D>(a, b, n::<D>(1), man, width));
    holds
}

/// Whether `a = b`.
#[inline(always)]
pub fn equal<D: Domain>(format: Format, a: D::Nat, b: D::Nat) -> D::Nat {
    let (man, width) = format.params::<D>();
    def!(holds = compare_equal::<D>(a, b, man, width));
    holds
}

/// The smaller of two numbers.
#[inline(always)]
pub fn min<D: Domain>(format: Format, a: D::Nat, b: D::Nat) -> D::Nat {
    let (man, width) = format.params::<D>();
    def!(result = min_max::<D>(a, b, n::<D>(0), man, width));
    result
}

/// The larger of two numbers.
#[inline(always)]
pub fn max<D: Domain>(format: Format, a: D::Nat, b: D::Nat) -> D::Nat {
    let (man, width) = format.params::<D>();
    def!(result = min_max::<D>(a, b, n::<D>(1), man, width));
    result
}

/// The class mask of `fclass`.
#[inline(always)]
pub fn class<D: Domain>(format: Format, x: D::Nat) -> D::Nat {
    let (man, width) = format.params::<D>();
    def!(mask = classify::<D>(x, man, width));
    mask
}

/// The number as an integer of `bits` bits, saturating. A 32-bit result is sign-extended, even if it is
/// unsigned.
#[inline(always)]
pub fn to_int<D: Domain>(format: Format, x: D::Nat, rm: D::Nat, bits: u32, signed: bool) -> D::Word {
    let (man, width) = format.params::<D>();
    def!(integer = to_integer::<D>(x, rm, n::<D>(u128::from(bits)), n::<D>(u128::from(signed)), man, width));
    if bits == 32 { integer.word().sext(32) } else { integer.word() }
}

/// The integer as a number. The word is already extended from its source width.
#[inline(always)]
pub fn from_int<D: Domain>(format: Format, x: D::Word, rm: D::Nat, signed: bool) -> D::Nat {
    let (man, width) = format.params::<D>();
    def!(result = from_integer::<D>(x.nat(), rm, n::<D>(u128::from(signed)), man, width));
    result
}

/// `x` of format `from` in format `to`.
#[inline(always)]
pub fn change_format<D: Domain>(from: Format, to: Format, x: D::Nat, rm: D::Nat) -> D::Nat {
    let (man, width) = from.params::<D>();
    let (to_man, to_width) = to.params::<D>();
    def!(result = convert::<D>(x, rm, man, width, to_man, to_width));
    result
}
