//! A first check of the software floats against the host's hardware. The full oracle, Berkeley SoftFloat, is
//! in `tests/`.

use crate::float::{self, Format};
use crate::native::{Native, U128};

const SPECIAL: [u64; 24] = [
    0,
    1,
    2,
    0x000f_ffff_ffff_ffff,
    0x0010_0000_0000_0000,
    0x0010_0000_0000_0001,
    0x3ff0_0000_0000_0000,
    0x3ff0_0000_0000_0001,
    0x3fef_ffff_ffff_ffff,
    0x4000_0000_0000_0000,
    0x4008_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
    0x7ff0_0000_0000_0000,
    0x7ff0_0000_0000_0001,
    0x7ff8_0000_0000_0000,
    0x4340_0000_0000_0001,
    0x3ca0_0000_0000_0000,
    0x4330_0000_0000_0003,
    0x3fe0_0000_0000_0000,
    0x3fd5_5555_5555_5555,
    0x0020_0000_0000_0000,
    0x7fe0_0000_0000_0000,
    0x41ef_ffff_ffff_ffff,
    0x001f_ffff_ffff_ffff,
];

fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let special = SPECIAL[(state >> 8) as usize % SPECIAL.len()] | (state >> 3 & 1) << 63;
        match state & 3 {
            0 => special,
            1 => special.wrapping_add(state >> 60),
            _ => state.rotate_left(23),
        }
    }
}

fn f64_bits(x: f64) -> u64 {
    if x.is_nan() { 0x7ff8_0000_0000_0000 } else { x.to_bits() }
}
fn f32_bits(x: f32) -> u64 {
    if x.is_nan() { 0x7fc0_0000 } else { u64::from(x.to_bits()) }
}

#[test]
fn agrees_with_the_host() {
    extern crate std;
    let n = |x: u64| U128(u128::from(x));
    let rne = n(0);
    let mut next = numbers(88172645463325252);
    for _ in 0..300_000 {
        let (a, b, c) = (next(), next(), next());
        let (x, y, z) = (f64::from_bits(a), f64::from_bits(b), f64::from_bits(c));
        let check = |name: &str, soft: U128, host: u64| {
            assert_eq!(soft.0, u128::from(host), "{name} {a:#x} {b:#x} {c:#x}: {:#x} {host:#x}", soft.0);
        };
        let f = Format::F64;
        check("add", float::add::<Native>(f, n(a), n(b), rne), f64_bits(x + y));
        check("mul", float::mul::<Native>(f, n(a), n(b), rne), f64_bits(x * y));
        check("fma", float::fma::<Native>(f, n(a), n(b), n(c), rne), f64_bits(x.mul_add(y, z)));
        check("div", float::div::<Native>(f, n(a), n(b), rne), f64_bits(x / y));
        check("sqrt", float::sqrt::<Native>(f, n(a), rne), f64_bits(x.sqrt()));
        check("less", float::less::<Native>(f, n(a), n(b)), u64::from(x < y));
        check("less_equal", float::less_equal::<Native>(f, n(a), n(b)), u64::from(x <= y));
        check("equal", float::equal::<Native>(f, n(a), n(b)), u64::from(x == y));
        check("narrow", float::change_format::<Native>(f, Format::F32, n(a), rne), f32_bits(x as f32));
        check(
            "from",
            float::from_int::<Native>(f, crate::U64(a), rne, true),
            f64_bits(a.cast_signed() as f64),
        );
        let to = |signed| U128(u128::from(float::to_int::<Native>(f, n(a), n(1), 64, signed).0));
        if !x.is_nan() {
            check("to signed", to(true), (x as i64).cast_unsigned());
            check("to unsigned", to(false), x as u64);
        }
        let (a, b, c) = (a >> 32, b >> 32, c >> 32);
        let (x, y, z) = (f32::from_bits(a as u32), f32::from_bits(b as u32), f32::from_bits(c as u32));
        let f = Format::F32;
        let check = |name: &str, soft: U128, host: u64| {
            assert_eq!(soft.0, u128::from(host), "{name}.s {a:#x} {b:#x} {c:#x}: {:#x} {host:#x}", soft.0);
        };
        check("add", float::add::<Native>(f, n(a), n(b), rne), f32_bits(x + y));
        check("mul", float::mul::<Native>(f, n(a), n(b), rne), f32_bits(x * y));
        check("fma", float::fma::<Native>(f, n(a), n(b), n(c), rne), f32_bits(x.mul_add(y, z)));
        check("div", float::div::<Native>(f, n(a), n(b), rne), f32_bits(x / y));
        check("sqrt", float::sqrt::<Native>(f, n(a), rne), f32_bits(x.sqrt()));
        check("widen", float::change_format::<Native>(f, Format::F64, n(a), rne), f64_bits(f64::from(x)));
    }
}
