//! Floats of 8 and fewer bits, and elements that share a byte.

use dnn_lib::operator::{Cast, CastSmall, Operator};
use dnn_lib::scalar::Rounding;
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::run_bytes;

const SIGNED: [DType; 5] =
    [DType::F8E4M3FN, DType::F8E4M3FNUZ, DType::F8E5M2, DType::F8E5M2FNUZ, DType::F4E2M1];
const PACKED: [DType; 5] = [DType::I2, DType::U2, DType::I4, DType::U4, DType::F4E2M1];

/// A file that `fixtures/small-floats/make.py` makes.
fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/small-floats/");
    std::fs::read(folder.to_owned() + name).expect("a fixture")
}

fn converted(operator: impl Into<Operator>, from: DType, count: usize, bytes: &[u8]) -> Vec<u8> {
    run_bytes(&operator.into(), &[TensorType::new(from, [count as u64])], &[bytes]).1
}

/// Elements of fewer than eight bits, each in a byte, as they are in memory.
fn packed(dtype: DType, codes: &[u8]) -> Vec<u8> {
    let bits = dtype.bits() as usize;
    let mask = u8::MAX >> (8 - bits);
    let byte = |codes: &[u8]| {
        codes.iter().rev().fold(0u8, |byte, code| byte.unbounded_shl(bits as u32) | code & mask)
    };
    codes.chunks(8 / bits).map(byte).collect()
}

fn unpacked(dtype: DType, bytes: &[u8]) -> Vec<u8> {
    let bits = dtype.bits() as u32;
    let codes = |&byte: &u8| (0..8 / bits).map(move |part| byte >> (part * bits) & (u8::MAX >> (8 - bits)));
    bytes.iter().flat_map(codes).collect()
}

#[test]
fn every_code_is_its_number() {
    let numbers = fixture("decoded.bin");
    let formats = [&SIGNED[..4], &[DType::F8E8M0], &SIGNED[4..]].concat();
    let mut rest = &numbers[..];
    for dtype in formats {
        let codes: Vec<u8> = (0..=u8::MAX).take(1 << dtype.bits()).collect();
        let (own, others) = rest.split_at(4 * codes.len());
        let found = converted(Cast { to: DType::F32 }, dtype, codes.len(), &packed(dtype, &codes));
        let words = |bytes: &[u8]| -> Vec<u32> {
            let floats = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
            floats.map(super::observed).collect()
        };
        assert_eq!(words(&found), words(own), "{dtype}");
        rest = others;
    }
    assert!(rest.is_empty());
}

#[test]
fn numbers_have_the_nearest_codes() {
    let records = fixture("encoded.bin");
    let records = records.as_chunks::<19>().0;
    assert!(records.len() > 3000);
    let floats: Vec<u8> = records.iter().flat_map(|record| record[..4].to_vec()).collect();
    let check = |operator: CastSmall, column: usize, counts: &dyn Fn(f32) -> bool| {
        let bytes = converted(operator, DType::F32, records.len(), &floats);
        let found = unpacked(operator.to, &bytes);
        for (record, found) in records.iter().zip(found) {
            let x = f32::from_le_bytes([record[0], record[1], record[2], record[3]]);
            assert!(
                !counts(x) || found == record[4 + column],
                "{operator:?}: {x:e} has {found:#x}, not {:#x}",
                record[4 + column]
            );
        }
    };
    for (column, to) in SIGNED.into_iter().enumerate() {
        check(CastSmall { to, saturate: false, rounding: Rounding::Nearest }, column, &|_| true);
    }
    for (column, to) in SIGNED.into_iter().enumerate().take(4) {
        check(CastSmall { to, saturate: true, rounding: Rounding::Nearest }, 5 + column, &|_| true);
    }
    let mut column = 9;
    for saturate in [true, false] {
        for rounding in [Rounding::Up, Rounding::Down, Rounding::Nearest] {
            let counts = |x: f32| x.is_finite() && x >= f32::MIN_POSITIVE;
            check(CastSmall { to: DType::F8E8M0, saturate, rounding }, column, &counts);
            column += 1;
        }
    }
}

/// What the reference has no power of two for, or a wrong one.
#[test]
fn powers_of_two_at_the_ends() {
    let least = f32::from_bits(1 << 22);
    let cases = [
        (0.0, true, Rounding::Up, 0),
        (0.0, false, Rounding::Nearest, 255),
        (f32::NAN, true, Rounding::Up, 255),
        (f32::INFINITY, true, Rounding::Up, 254),
        (f32::INFINITY, false, Rounding::Nearest, 255),
        (f32::MAX, true, Rounding::Up, 254),
        (f32::MAX, false, Rounding::Up, 255),
        (least, true, Rounding::Up, 0),
        (least.next_up(), true, Rounding::Up, 1),
        (least.next_up(), true, Rounding::Down, 0),
        (least * 1.5, true, Rounding::Nearest, 1),
        ((least * 1.5).next_down(), true, Rounding::Nearest, 0),
        (least / 2.0, true, Rounding::Down, 0),
        (least / 2.0, false, Rounding::Down, 255),
        (-3.0, true, Rounding::Up, 129),
    ];
    for (x, saturate, rounding, code) in cases {
        let operator = CastSmall { to: DType::F8E8M0, saturate, rounding };
        assert_eq!(
            converted(operator, DType::F32, 1, &x.to_le_bytes()),
            [code],
            "{x:e} {saturate} {rounding:?}"
        );
    }
}

/// As ONNX's own cases have it.
#[test]
fn floats_become_the_low_bits_of_packed_integers() {
    let x = [-9.7f32, 8.0, 1e10, f32::NAN];
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
    for (to, right) in [(DType::I4, vec![0x87, 0x0f]), (DType::U4, vec![0x87, 0x0f]), (DType::U2, vec![0x33])]
    {
        assert_eq!(converted(Cast { to }, DType::F32, x.len(), &bytes), right, "{to}");
    }
}

proptest! {
    /// All numbers of a type that shares bytes, in any number, become others and come back.
    #[test]
    fn elements_that_share_bytes_survive(
        dtype in prop::sample::select(PACKED.to_vec()),
        codes in prop::collection::vec(any::<u8>(), 1..20),
        between in prop::sample::select(vec![DType::F32, DType::F16, DType::F64, DType::I8, DType::F8E4M3FN]),
    ) {
        let mask = u8::MAX >> (8 - dtype.bits());
        let codes: Vec<u8> = codes.into_iter().map(|code| code & mask).collect();
        let fits = between != DType::I8 || dtype != DType::F4E2M1;
        prop_assume!(fits);
        let bytes = packed(dtype, &codes);
        let wide = converted(Cast { to: between }, dtype, codes.len(), &bytes);
        prop_assert_eq!(converted(Cast { to: dtype }, between, codes.len(), &wide), bytes);
    }

    #[test]
    fn integers_that_share_bytes_are_numbers(
        codes in prop::collection::vec(0..4u8, 1..20),
    ) {
        let signed: Vec<u8> = codes.iter().map(|&code| if code > 1 { code.wrapping_sub(4) } else { code }).collect();
        let found = converted(Cast { to: DType::I8 }, DType::I2, codes.len(), &packed(DType::I2, &codes));
        prop_assert_eq!(found, signed);
        let found = converted(Cast { to: DType::U8 }, DType::U2, codes.len(), &packed(DType::U2, &codes));
        prop_assert_eq!(found, codes);
    }
}
