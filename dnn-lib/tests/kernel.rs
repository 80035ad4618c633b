//! The kernel language: what its operations mean where hosts differ, and what the builder refuses.

use dnn_lib::kernel::{
    BinaryOp, BuildError, Builder, Conversion, EvalError, Memory, Ops, Type, UnaryOp, Value,
};
use dnn_lib::tensor::{DType, TensorType};

/// Evaluates one expression of two values. Returns what is stored.
fn eval(
    dtype: DType,
    operands: [u64; 2],
    result: DType,
    body: impl FnOnce(&mut Builder, [Value; 2]) -> Value,
) -> u64 {
    let inputs = [TensorType::new(dtype, [2])];
    let mut b = Builder::new("test", &inputs, &TensorType::new(result, [1]), &[1]);
    let size = dtype.size();
    let operand = |b: &mut Builder, i: u64| b.load(dtype, b.input(0), (i * size) as i32);
    let values = [operand(&mut b, 0), operand(&mut b, 1)];
    let value = body(&mut b, values);
    b.store(result, b.output(), 0, value);
    let kernel = b.finish().expect("a good kernel");
    let bytes: Vec<u8> =
        operands.iter().flat_map(|x| x.to_le_bytes().into_iter().take(size as usize)).collect();
    let mut output = kernel.run(&[&bytes]).expect("no error");
    output.resize(8, 0);
    u64::from_le_bytes(output.try_into().expect("eight bytes"))
}

#[test]
fn division_is_total() {
    use BinaryOp::{DivS, DivU, RemS, RemU};
    let min = i64::MIN as u64;
    let all = u64::MAX;
    let cases = [
        (DivS, 7, 0, all),
        (RemS, 7, 0, 7),
        (DivU, 7, 0, all),
        (RemU, 7, 0, 7),
        (DivS, min, all, min),
        (RemS, min, all, 0),
        (DivS, (-7i64) as u64, 2, (-3i64) as u64),
        (RemS, (-7i64) as u64, 2, all),
        (DivU, all, 2, all / 2),
    ];
    for (op, a, b, right) in cases {
        assert_eq!(
            eval(DType::I64, [a, b], DType::I64, |k, [a, b]| k.binary(op, a, b)),
            right,
            "{op:?} {a:x} {b:x}"
        );
    }
    // The same in 32 bits, with a different overflow.
    let narrow = |op, a: i32, b: i32| {
        eval(DType::I32, [a as u32 as u64, b as u32 as u64], DType::I32, |k, [a, b]| k.binary(op, a, b))
            as i32
    };
    assert_eq!(narrow(DivS, i32::MIN, -1), i32::MIN);
    assert_eq!(narrow(RemS, i32::MIN, -1), 0);
    assert_eq!(narrow(DivU, -1, 2), i32::MAX);
    assert_eq!(narrow(DivU, 1, 0), -1);
}

#[test]
fn shifts_are_taken_modulo_the_width() {
    let shift = |op, a: i32, by: i32| {
        eval(DType::I32, [a as u32 as u64, by as u32 as u64], DType::I32, |k, [a, b]| k.binary(op, a, b))
            as i32
    };
    assert_eq!(shift(BinaryOp::Shl, 1, 33), 2);
    assert_eq!(shift(BinaryOp::ShrS, -8, 1), -4);
    assert_eq!(shift(BinaryOp::ShrU, -8, 33), 0x7fff_fffc);
}

#[test]
fn there_is_one_nan_and_only_where_it_is_observed() {
    const PAYLOAD: u64 = 0xffc1_2345;
    let canonical = 0x7fc0_0000;
    assert_eq!(eval(DType::F32, [PAYLOAD, 0], DType::F32, |_, [x, _]| x), canonical, "store");
    assert_eq!(eval(DType::F32, [PAYLOAD, 0], DType::I32, |k, [x, _]| k.bitcast(x)), canonical, "bitcast");
    assert_eq!(eval(DType::F32, [PAYLOAD, 0], DType::F32, |k, [x, _]| k.neg(x)), canonical, "neg");
    assert_eq!(
        eval(DType::F32, [PAYLOAD, 0], DType::F64, |k, [x, _]| k.convert(Conversion::Promote, Type::F64, x)),
        0x7ff8 << 48
    );
    assert_eq!(
        eval(DType::F32, [0xbf80_0000, 0], DType::F32, |k, [x, _]| k.unary(UnaryOp::Sqrt, x)),
        canonical,
        "sqrt(-1)"
    );
    assert_eq!(eval(DType::I32, [PAYLOAD, 0], DType::I32, |_, [x, _]| x), PAYLOAD, "moved as an integer");
}

#[test]
fn conversions_to_integers_saturate() {
    let to_i32 = |x: f32, conversion| {
        eval(DType::F32, [x.to_bits().into(), 0], DType::I32, |k, [x, _]| k.convert(conversion, Type::I32, x))
            as u32
    };
    assert_eq!(to_i32(-1.9, Conversion::FloatToInt), -1i32 as u32);
    assert_eq!(to_i32(f32::INFINITY, Conversion::FloatToInt), i32::MAX as u32);
    assert_eq!(to_i32(f32::NAN, Conversion::FloatToInt), 0);
    assert_eq!(to_i32(-5.0, Conversion::FloatToUint), 0);
    assert_eq!(to_i32(4e9, Conversion::FloatToUint), 4_000_000_000);
    let unsigned = |conversion| {
        eval(DType::U32, [0xffff_ffff, 0], DType::F32, |k, [x, _]| k.convert(conversion, Type::F32, x)) as u32
    };
    assert_eq!(unsigned(Conversion::UintToFloat), 4294967296f32.to_bits());
    assert_eq!(unsigned(Conversion::IntToFloat), (-1f32).to_bits());
}

/// The integer types of Rust, by ours: the number that bits are, the bits of a number, and the nearest number to one.
macro_rules! integers {
    ($($dtype:ident $int:ty),+) => {
        fn number(dtype: DType, bits: u64) -> i128 {
            match dtype { $(DType::$dtype => (bits as $int).into(),)+ _ => unreachable!() }
        }

        fn wrapped(dtype: DType, x: i128) -> u64 {
            match dtype { $(DType::$dtype => x as $int as i64 as u64,)+ _ => unreachable!() }
        }

        fn nearest(dtype: DType, x: i128) -> u64 {
            match dtype {
                $(DType::$dtype => x.clamp(<$int>::MIN.into(), <$int>::MAX.into()) as $int as i64 as u64,)+
                _ => unreachable!(),
            }
        }

        fn towards_zero(dtype: DType, x: f64) -> u64 {
            match dtype { $(DType::$dtype => x as $int as i64 as u64,)+ _ => unreachable!() }
        }

        const INTEGERS: &[DType] = &[$(DType::$dtype),+];
    };
}
integers!(I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64);

/// The bits of an element, of which there are so many.
fn low(dtype: DType, bits: u64) -> u64 {
    bits & (u64::MAX >> (64 - dtype.bits()))
}

#[test]
fn integers_are_cast_and_saturated_as_in_rust() {
    let ends = [7, 8, 15, 16, 31, 32, 63].map(|bits| 1u64 << bits);
    let numbers = ends.iter().flat_map(|&end| [end - 1, end, end + 1, end.wrapping_neg(), !end]);
    let numbers: Vec<u64> = numbers.chain([0, 1, u64::MAX]).collect();
    for &from in INTEGERS {
        for &to in INTEGERS {
            for &bits in &numbers {
                let x = number(from, bits);
                let cast = eval(from, [bits, 0], to, |k, [x, _]| k.cast(from, to, x));
                assert_eq!(cast, low(to, wrapped(to, x)), "{x} from {from} to {to}");
                // A value is what would be loaded, not only what is stored.
                let again = eval(from, [bits, 0], DType::I64, |k, [x, _]| {
                    let x = k.cast(from, to, x);
                    k.cast(to, DType::I64, x)
                });
                assert_eq!(again, number(to, wrapped(to, x)) as u64, "{x} from {from} to {to} to i64");
                let saturated = eval(from, [bits, 0], to, |k, [x, _]| k.saturate(from, to, x));
                assert_eq!(saturated, low(to, nearest(to, x)), "the {to} nearest to {x}, of {from}");
            }
            let truth = eval(from, [256, 0], DType::Bool, |k, [x, _]| k.cast(from, DType::Bool, x));
            assert_eq!(truth, u64::from(number(from, 256) != 0), "{from} as a truth value");
        }
    }
}

#[test]
fn floats_become_the_nearest_integer_towards_zero() {
    let special = [0.0, -0.0, 0.9, -0.9, 1.9, -1.9, 1e30, -1e30, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let ends = [7, 8, 15, 16, 31, 32, 63, 64].map(|bits| 2f64.powi(bits));
    let near =
        ends.iter().flat_map(|&end| [end - 1.0, end - 0.5, end, end + 0.5, -end, -end - 1.0, -end + 0.5]);
    let numbers: Vec<f64> = near.chain(special).collect();
    for &to in INTEGERS {
        for &x in &numbers {
            let found = eval(DType::F64, [x.to_bits(), 0], to, |k, [x, _]| k.saturate(DType::F64, to, x));
            assert_eq!(found, low(to, towards_zero(to, x)), "{x} as {to}");
            let x = x as f32;
            let found = eval(DType::F32, [x.to_bits().into(), 0], to, |k, [x, _]| k.cast(DType::F32, to, x));
            assert_eq!(found, low(to, towards_zero(to, x.into())), "{x}f32 as {to}");
        }
    }
}

#[test]
fn bits_are_counted() {
    let both = |x: u32| {
        let of = |op: UnaryOp| eval(DType::U32, [x.into(), 0], DType::U32, |k, [x, _]| k.unary(op, x)) as u32;
        (of(UnaryOp::LeadingZeros), of(UnaryOp::CountOnes))
    };
    assert_eq!([0, 1, 0x8000_0000, u32::MAX].map(both), [(32, 0), (31, 1), (0, 1), (0, 32)]);
    let wide = eval(DType::U64, [1 << 40, 0], DType::U64, |k, [x, _]| k.leading_zeros(x));
    assert_eq!(wide, 23);
}

#[test]
fn a_nan_has_no_sign_to_copy() {
    let nan = u64::from((-f32::NAN).to_bits());
    let copied = |sign: u64| eval(DType::F32, [0xc000_0000, sign], DType::F32, |k, [x, y]| k.copysign(x, y));
    assert_eq!([copied(nan), copied(0x8000_0000), copied(0)], [0x4000_0000, 0xc000_0000, 0x4000_0000]);
}

#[test]
fn fma_rounds_once() {
    let x = 1.0 + f32::EPSILON;
    let minus_square = -(x * x);
    let operands = [x.to_bits().into(), minus_square.to_bits().into()];
    let fused = eval(DType::F32, operands, DType::F32, |k, [x, c]| k.fma(x, x, c));
    assert_eq!(f32::from_bits(fused as u32), f32::EPSILON * f32::EPSILON, "what rounding the product loses");
}

fn builder() -> Builder {
    let ty = TensorType::new(DType::F32, [4]);
    Builder::new("test", std::slice::from_ref(&ty), &ty, &[1])
}

#[test]
fn the_builder_refuses_what_makes_no_sense() {
    let mut b = builder();
    let (one, x) = (b.i64(1), b.f32(1.0));
    b.add(one, x);
    assert!(matches!(b.finish(), Err(BuildError::Types { .. })));

    let mut b = builder();
    let (lo, hi) = (b.lo(), b.hi());
    let mut escaped = lo;
    b.for_(lo, hi, 1, &[], |_, index, _| {
        escaped = index;
        vec![]
    });
    b.add(escaped, lo);
    assert!(matches!(b.finish(), Err(BuildError::Scope { .. })));

    let mut b = builder();
    let (lo, hi) = (b.lo(), b.hi());
    b.for_(lo, hi, 0, &[], |_, _, _| vec![]);
    assert!(matches!(b.finish(), Err(BuildError::Form { .. })));

    let mut b = builder();
    let (lo, hi) = (b.lo(), b.hi());
    let condition = b.lt(lo, hi);
    b.if_(condition, |b| vec![b.i32(1)], |b| vec![b.i64(1)]);
    assert!(matches!(b.finish(), Err(BuildError::Types { .. })));
}

#[test]
fn packed_elements_are_neither_loaded_nor_stored() {
    for dtype in [DType::I4, DType::U4] {
        let mut b = builder();
        b.load(dtype, b.input(0), 0);
        assert!(matches!(b.finish(), Err(BuildError::Form { .. })), "a load of {dtype}");
        let mut b = builder();
        let value = b.number(Type::of(dtype), 0);
        b.store(dtype, b.output(), 0, value);
        assert!(matches!(b.finish(), Err(BuildError::Form { .. })), "a store of {dtype}");
    }
}

#[test]
fn the_evaluator_refuses_to_leave_its_memory_or_a_loops_bound() {
    let mut b = builder();
    let x = b.load(DType::F32, b.input(0), 0);
    b.store(DType::F32, b.output(), 0, x);
    let kernel = b.finish().expect("a good kernel");
    let mut bytes = [0; 32];
    let mut at = |input: u64, output: u64| kernel.eval(&mut Memory(&mut bytes), &[input, output, 0, 4]);
    assert_eq!(at(0, 16), Ok(()));
    assert!(matches!(at(2, 16), Err(EvalError::Access { address: 2, .. })), "misaligned");
    assert!(matches!(at(0, 32), Err(EvalError::Access { address: 32, .. })), "outside");
    assert!(matches!(at(u64::MAX - 3, 0), Err(EvalError::Access { .. })), "at the end of the address space");
    assert!(matches!(
        kernel.eval(&mut Memory(&mut []), &[]),
        Err(EvalError::Arguments { expected: 4, found: 0, .. })
    ));

    let mut b = builder();
    let (lo, hi) = (b.lo(), b.hi());
    b.for_bounded(lo, hi, 1, 3, &[], |_, _, _| vec![]);
    let kernel = b.finish().expect("a good kernel");
    assert!(matches!(kernel.run(&[&[0; 16]]), Err(EvalError::Bound { bound: 3, .. })));
}

#[test]
fn units_cover_the_output_once() {
    let output = TensorType::new(DType::F32, [2, 5, 3]);
    let kernel = Builder::new("test", &[], &output, &[1, 2, 3]).finish().expect("a good kernel");
    assert_eq!(kernel.units(), 6);
    assert_eq!(kernel.unit(2), [0..1, 4..5, 0..3]);
    assert_eq!(kernel.unit(4), [1..2, 2..4, 0..3]);
    let elements: u64 = (0..kernel.units())
        .map(|unit| kernel.unit(unit).iter().map(|r| r.end - r.start).product::<u64>())
        .sum();
    assert_eq!(elements, 30);
}
