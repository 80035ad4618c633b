//! Floating point in the host's hardware, where its results equal the machine's in every bit.
//!
//! Hardware adds, multiplies, divides, takes roots and fuses exactly as IEEE 754 defines, in round-to-nearest
//! mode. Its NaNs differ, so results are made canonical. This is done on integers, since a compiler may
//! assume that a float's NaN bits don't matter. All other rounding modes use software, and so do hosts
//! without known properties.

use isa::{FloatUnit, Format, Native, SoftFloat, U128};

/// To nearest, ties to even: the default mode of hosts.
const NEAREST: U128 = U128(0);

/// The host's float unit. `FMA` tells whether the compilation target fuses in hardware.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host<const FMA: bool>;

/// Whether the host is known to follow IEEE 754 without excess precision.
const TRUSTED: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// Declares the operations: name, parameters, what `f32` and `f64` compute, and the condition for using them.
macro_rules! operations {
    ($($name:ident, $soft:ident ($($a:ident),*) = $host:expr, if $trusted:expr;)*) => {
        impl<const FMA: bool> FloatUnit<Native> for Host<FMA> {$(
            #[inline(always)]
            fn $name(format: Format, $($a: U128,)* rm: U128) -> U128 {
                if !$trusted || rm != NEAREST {
                    return $soft(format, $($a,)* rm);
                }
                if format == Format::F32 {
                    $(let $a = f32::from_bits($a.0 as u32);)*
                    canonical_f32($host)
                } else {
                    $(let $a = f64::from_bits($a.0 as u64);)*
                    canonical_f64($host)
                }
            }
        )*}
        $(
            #[cold]
            #[inline(never)]
            fn $soft(format: Format, $($a: U128,)* rm: U128) -> U128 {
                <SoftFloat as FloatUnit<Native>>::$name(format, $($a,)* rm)
            }
        )*
    };
}

operations! {
    add, soft_add(a, b) = a + b, if TRUSTED;
    mul, soft_mul(a, b) = a * b, if TRUSTED;
    div, soft_div(a, b) = a / b, if TRUSTED;
    sqrt, soft_sqrt(a) = a.sqrt(), if TRUSTED;
    fma, soft_fma(a, b, c) = a.mul_add(b, c), if TRUSTED && FMA;
}

/// The bits of a binary32 result, with NaNs made canonical.
#[inline(always)]
fn canonical_f32(value: f32) -> U128 {
    let bits = value.to_bits();
    U128(if bits & 0x7fff_ffff > 0x7f80_0000 { 0x7fc0_0000 } else { bits }.into())
}

/// The same for binary64.
#[inline(always)]
fn canonical_f64(value: f64) -> U128 {
    let bits = value.to_bits();
    U128(if bits & (u64::MAX >> 1) > 0x7ff0 << 48 { 0x7ff8 << 48 } else { bits }.into())
}
