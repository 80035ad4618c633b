//! Guest code, run in the machine, implements the kernel language: every operation on difficult operands,
//! against the reference evaluator, bit for bit.

use codegen::Target;
use dnn_lib::kernel::{BinaryOp, Builder, Comparison, Conversion, Kernel, Memory, Ops, Type, UnaryOp, Value};
use dnn_lib::tensor::{DType, TensorType};
use image::{Contents, Image, Segment};
use interpreter::Interpreter;
use isa::Extensions;
use step::MachineProfile;

/// Memory of the tests: operands from 0, results from here.
const OUTPUT: u64 = 0x8000;
const MEMORY_BITS: u8 = 17;
/// The contents of memory where no result is stored.
const UNTOUCHED: u8 = 0xaa;
const CODE: u64 = 1 << MEMORY_BITS;

/// Bits of numbers that are often handled wrongly.
fn operands(dtype: DType) -> Vec<u64> {
    let ints = [0, 1, 2, 7, 31, 32, 63, 64, 100, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fffe];
    let wide =
        [1 << 32, 1 << 52, i64::MAX as u64, i64::MIN as u64, u64::MAX, u64::MAX - 6, 0x1234_5678_9abc_def0];
    let floats = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        1.5,
        2.5,
        -2.5,
        3.0,
        0.1,
        1e10,
        -1e10,
        2147483648.0,
        -2147483648.0,
        4294967296.0,
        9223372036854775808.0,
        -9223372036854775808.0,
        1.8446744073709552e19,
        1e-40,
        1e-310,
        3.4e38,
        1e300,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    match dtype {
        DType::I64 | DType::U64 => ints.into_iter().chain(wide).collect(),
        DType::Bool => vec![0, 1],
        // Of some exponents, NaNs' included, the ends and the middle of their numbers.
        DType::F16 => {
            let exponents = [0, 1, 14, 15, 30, 31, 32, 48, 62, 63].into_iter();
            exponents.flat_map(|exponent: u64| [0, 1, 512, 1023].map(|x| exponent << 10 | x)).collect()
        }
        // A signalling NaN and a negative one with a payload come last.
        DType::F32 | DType::BF16 => floats
            .map(|x| u64::from((x as f32).to_bits()))
            .into_iter()
            .chain([0x7f80_0001, 0xffc1_2345])
            .map(|bits| if dtype == DType::BF16 { bits >> 16 } else { bits })
            .collect(),
        DType::F64 => {
            let nans = [0x7ff0_0000_0000_0001, 0xfff8_1234_5678_9abc];
            floats.map(f64::to_bits).into_iter().chain(nans).collect()
        }
        // Narrow ones take the low bits.
        _ => ints.into_iter().chain([0x7f, 0x80, 0xff, 0x7fff, 0xffff]).collect(),
    }
}

/// A kernel that applies an operation to pairs of operands.
fn kernel(operands: DType, operation: impl FnOnce(&mut Builder, Value, Value) -> Value) -> Kernel {
    kernel_to(operands, None, operation)
}

/// A kernel that stores its results as elements of a type; without one, as they are.
fn kernel_to(
    operands: DType,
    result: Option<DType>,
    operation: impl FnOnce(&mut Builder, Value, Value) -> Value,
) -> Kernel {
    let any = TensorType::new(DType::U8, [1 << 14]);
    let mut b = Builder::new("test", &[any.clone(), any.clone()], &any, &[1]);
    let (lo, hi) = (b.lo(), b.hi());
    b.for_(lo, hi, 1, &[], |b, i, _| {
        let [x, y] = [0, 1].map(|input| {
            let base = b.input(input);
            let address = b.element(operands, base, i);
            b.load(operands, address, 0)
        });
        let mut value = operation(b, x, y);
        if b.ty(value) == Type::Bool {
            value = b.convert(Conversion::FromBool, Type::I32, value);
        }
        let result = result.unwrap_or(b.ty(value).dtype());
        let base = b.output();
        let address = b.element(result, base, i);
        b.store(result, address, 0, value);
        vec![]
    });
    b.finish().expect("the kernel makes sense")
}

/// All pairs of operands in two arrays, and their number.
fn pairs(dtype: DType) -> (Vec<u8>, Vec<u8>, u64) {
    let (operands, size) = (operands(dtype), dtype.size() as usize);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for a in &operands {
        for b in &operands {
            left.extend_from_slice(&a.to_le_bytes()[..size]);
            right.extend_from_slice(&b.to_le_bytes()[..size]);
        }
    }
    (left, right, (operands.len() * operands.len()) as u64)
}

/// The results of the machine and of the reference, on so many pairs.
fn results(kernel: &Kernel, (left, right, count): (Vec<u8>, Vec<u8>, u64)) -> (Vec<u8>, Vec<u8>) {
    let start = (left.len() as u64).next_multiple_of(64);
    let arguments = [0, start, OUTPUT, 0, count];
    let mut memory = vec![0; 1 << MEMORY_BITS];
    memory[..left.len()].copy_from_slice(&left);
    memory[start as usize..][..right.len()].copy_from_slice(&right);
    memory[OUTPUT as usize..].fill(UNTOUCHED);

    let mut code = Target::guest().unwrap().compile(kernel).unwrap().bytes;
    code.resize(code.len().next_multiple_of(32), 0);
    let block = CODE + code.len() as u64;
    code.extend(arguments[..3].iter().flat_map(|argument| argument.to_le_bytes()));
    code.resize(code.len().next_multiple_of(32), 0);
    let profile = MachineProfile::new(Extensions::IMFD, MEMORY_BITS, CODE, code.len() as u64).unwrap();
    let image = Image::new(Contents {
        profile,
        entry: CODE,
        sp: CODE,
        code: code.into(),
        segments: vec![Segment { address: 0, bytes: memory.clone().into() }],
        tensors: vec![],
        symbols: vec![],
        schedule: vec![],
        period: None,
        interface: None,
        sections: Vec::new(),
    });
    let mut machine = Interpreter::new(&image.unwrap()).unwrap();
    for (register, argument) in (10..).zip([block, 0, count]) {
        machine.set_x(register, argument);
    }
    // The return address is 0, where there is no code, so the machine stops there.
    let outcome = machine.run(1 << 24);
    assert_eq!(machine.pc(), 0, "the kernel does not return: {outcome:?}\n{kernel}");

    kernel.eval(&mut Memory(&mut memory), &arguments).unwrap();
    let found = machine.memory().read(OUTPUT, (CODE - OUTPUT) as usize - 4096).unwrap().to_vec();
    let expected = memory[OUTPUT as usize..(CODE as usize - 4096)].to_vec();
    (found, expected)
}

fn check(what: &str, ty: Type, operation: impl FnOnce(&mut Builder, Value, Value) -> Value) {
    let elements = ty.dtype();
    let operation = |b: &mut Builder, x: Value, y: Value| {
        // A truth value is stored as a number.
        let [x, y] = [x, y].map(|value| match ty {
            Type::Bool => {
                let zero = b.i32(0);
                b.ne(value, zero)
            }
            _ => value,
        });
        operation(b, x, y)
    };
    check_elements(what, elements, operation);
}

fn check_elements(what: &str, from: DType, operation: impl FnOnce(&mut Builder, Value, Value) -> Value) {
    let kernel = kernel(from, operation);
    let (found, expected) = results(&kernel, pairs(from));
    assert!(expected.iter().any(|&byte| byte != UNTOUCHED), "{what} of {from}: nothing is computed");
    let place = found.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!(place, None, "{what} of {from}: the first byte that differs\n{kernel}");
}

const INTS: [Type; 2] = [Type::I32, Type::I64];
const FLOATS: [Type; 2] = [Type::F32, Type::F64];

#[test]
fn unary_operations() {
    for &op in UnaryOp::ALL {
        for &ty in op.types() {
            check(op.name(), ty, |b, x, _| b.unary(op, x));
        }
    }
}

#[test]
fn binary_operations() {
    for &op in BinaryOp::ALL {
        for &ty in op.types() {
            check(op.name(), ty, |b, x, y| b.binary(op, x, y));
        }
    }
}

#[test]
fn divisions_by_constants() {
    use BinaryOp::*;
    for ty in INTS {
        for divisor in [-1, 1, 3, 7, 8, 10, 641] {
            for op in [DivS, DivU, RemS, RemU] {
                check(&format!("{op:?} by {divisor}"), ty, |b, x, _| {
                    let divisor = b.number(ty, divisor);
                    b.binary(op, x, divisor)
                });
            }
        }
    }
}

#[test]
fn float_operations() {
    for ty in FLOATS {
        check("fma", ty, |b, x, y| b.fma(x, y, x));
        check("a NaN with its sign changed", ty, |b, x, y| {
            let sum = b.add(x, y);
            b.neg(sum)
        });
        check("the sign of a NaN with its sign changed", ty, |b, x, y| {
            let sum = b.add(x, y);
            let negative = b.neg(sum);
            b.copysign(x, negative)
        });
    }
}

#[test]
fn comparisons_and_choices() {
    for &op in Comparison::ALL {
        for &ty in op.types() {
            check(op.name(), ty, |b, x, y| b.compare(op, x, y));
            check(&format!("choice by {}", op.name()), ty, |b, x, y| {
                let condition = b.compare(op, x, y);
                b.select(condition, x, y)
            });
            check(&format!("branch by {}", op.name()), ty, |b, x, y| {
                let condition = b.compare(op, x, y);
                b.if_(condition, |b| vec![b.add(x, y)], |_| vec![y])[0]
            });
        }
    }
}

#[test]
fn conversions() {
    for &conversion in Conversion::ALL {
        for from in Type::ALL {
            for to in Type::ALL.into_iter().filter(|&to| conversion.works(from, to)) {
                check(&format!("{} to {to}", conversion.name()), from, |b, x, _| {
                    b.convert(conversion, to, x)
                });
            }
        }
    }
}

/// Casts between all elements, and saturating conversions to all integers.
#[test]
fn casts() {
    let elements = || DType::ALL.into_iter().filter(|&dtype| Type::loaded(dtype).is_some());
    for from in elements() {
        for to in elements() {
            check_elements(&format!("cast to {to}"), from, |b, x, _| b.cast(from, to, x));
            if !Type::of(to).is_float() {
                check_elements(&format!("saturate to {to}"), from, |b, x, _| b.saturate(from, to, x));
            }
        }
    }
}

/// Halves become what NumPy makes of them, and numbers the halves that NumPy makes of them.
#[test]
fn halves_are_loaded_and_stored() {
    let fixture = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/halves/");
        std::fs::read(format!("{folder}{name}")).expect("a fixture")
    };
    let check = |from: DType, to: DType, records: &[u8], [own, right, size]: [usize; 3]| {
        // As many as there is room for.
        for records in records.chunks(4000 * size) {
            let column = |at: usize, dtype: DType| -> Vec<u8> {
                records
                    .chunks_exact(size)
                    .flat_map(|record| &record[at..][..dtype.size() as usize])
                    .copied()
                    .collect()
            };
            let (operands, expected) = (column(own, from), column(right, to));
            let count = (records.len() / size) as u64;
            let kernel = kernel_to(from, Some(to), |_, x, _| x);
            let (machine, reference) = results(&kernel, (operands, vec![0; 64], count));
            for (who, found) in [("the machine", machine), ("the reference", reference)] {
                let place = expected.iter().zip(&found).position(|(a, b)| a != b);
                assert_eq!(place, None, "{from} to {to}: {who}");
            }
        }
    };
    check(DType::F16, DType::F32, &fixture("wide.bin"), [0, 2, 6]);
    check(DType::F32, DType::F16, &fixture("narrow.bin"), [0, 4, 8]);
    check(DType::F32, DType::BF16, &fixture("narrow.bin"), [0, 6, 8]);
}

/// Also where the halves are NaNs, or what is stored is.
#[test]
fn halves_have_one_nan() {
    for half in [DType::F16, DType::BF16] {
        for from in [half, DType::F32] {
            for to in [half, DType::F32] {
                let kernel = kernel_to(from, Some(to), |b, x, y| b.copysign(x, y));
                let (found, expected) = results(&kernel, pairs(from));
                assert_eq!(found.iter().zip(&expected).position(|(a, b)| a != b), None, "{from} to {to}");
                let kernel = kernel_to(from, Some(to), |b, x, _| b.neg(x));
                let (found, expected) = results(&kernel, pairs(from));
                assert_eq!(found.iter().zip(&expected).position(|(a, b)| a != b), None, "-{from} to {to}");
            }
        }
    }
}
