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
fn operands(ty: Type) -> Vec<u64> {
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
    match ty {
        Type::I64 => ints.into_iter().chain(wide).collect(),
        Type::I32 | Type::Bool => ints.to_vec(),
        // A signalling NaN and a negative one with a payload come last.
        Type::F32 => floats
            .map(|x| u64::from((x as f32).to_bits()))
            .into_iter()
            .chain([0x7f80_0001, 0xffc1_2345])
            .collect(),
        Type::F64 => {
            let nans = [0x7ff0_0000_0000_0001, 0xfff8_1234_5678_9abc];
            floats.map(f64::to_bits).into_iter().chain(nans).collect()
        }
    }
}

fn dtype(ty: Type) -> DType {
    match ty {
        Type::Bool => DType::Bool,
        Type::I32 => DType::I32,
        Type::I64 => DType::I64,
        Type::F32 => DType::F32,
        Type::F64 => DType::F64,
    }
}

/// A kernel that applies an operation to pairs of operands.
fn kernel(ty: Type, operation: impl FnOnce(&mut Builder, Value, Value) -> Value) -> Kernel {
    let (operands, any) = (dtype(ty), TensorType::new(DType::U8, [1 << 14]));
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
        let result = dtype(b.ty(value));
        let base = b.output();
        let address = b.element(result, base, i);
        b.store(result, address, 0, value);
        vec![]
    });
    b.finish().expect("the kernel makes sense")
}

/// All pairs of operands in two arrays, and their number.
fn pairs(ty: Type) -> (Vec<u8>, Vec<u8>, u64) {
    let (operands, size) = (operands(ty), dtype(ty).size() as usize);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for a in &operands {
        for b in &operands {
            left.extend_from_slice(&a.to_le_bytes()[..size]);
            right.extend_from_slice(&b.to_le_bytes()[..size]);
        }
    }
    (left, right, (operands.len() * operands.len()) as u64)
}

/// The results of the machine and of the reference.
fn results(kernel: &Kernel, ty: Type) -> (Vec<u8>, Vec<u8>) {
    let (left, right, count) = pairs(ty);
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
    let kernel = kernel(ty, operation);
    let (found, expected) = results(&kernel, ty);
    assert!(expected.iter().any(|&byte| byte != UNTOUCHED), "{what} of {ty:?}: nothing is computed");
    let place = found.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!(place, None, "{what} of {ty:?}: the first byte that differs\n{kernel}");
}

const INTS: [Type; 2] = [Type::I32, Type::I64];
const FLOATS: [Type; 2] = [Type::F32, Type::F64];

#[test]
fn integer_operations() {
    use BinaryOp::*;
    for ty in INTS {
        for op in [Add, Sub, Mul, DivS, DivU, RemS, RemU, And, Or, Xor, Shl, ShrS, ShrU, Min, Max] {
            check(&format!("{op:?}"), ty, |b, x, y| b.binary(op, x, y));
        }
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
    use BinaryOp::*;
    for ty in FLOATS {
        for op in [Add, Sub, Mul, Div, Min, Max] {
            check(&format!("{op:?}"), ty, |b, x, y| b.binary(op, x, y));
        }
        use UnaryOp::{Abs, Ceil, Floor, Neg, Round, Sqrt, Trunc};
        for op in [Neg, Abs, Sqrt, Floor, Ceil, Trunc, Round] {
            check(&format!("{op:?}"), ty, |b, x, _| b.unary(op, x));
        }
        check("fma", ty, |b, x, y| b.fma(x, y, x));
        check("a NaN with its sign changed", ty, |b, x, y| {
            let sum = b.add(x, y);
            b.neg(sum)
        });
    }
}

#[test]
fn comparisons_and_choices() {
    use Comparison::*;
    for ty in INTS.into_iter().chain(FLOATS) {
        for op in [Eq, Ne, Lt, Le, LtU, LeU] {
            if ty.is_float() && matches!(op, LtU | LeU) {
                continue;
            }
            check(&format!("{op:?}"), ty, |b, x, y| b.compare(op, x, y));
            check(&format!("choice by {op:?}"), ty, |b, x, y| {
                let condition = b.compare(op, x, y);
                b.select(condition, x, y)
            });
            check(&format!("branch by {op:?}"), ty, |b, x, y| {
                let condition = b.compare(op, x, y);
                b.if_(condition, |b| vec![b.add(x, y)], |_| vec![y])[0]
            });
        }
    }
}

#[test]
fn conversions() {
    use Conversion::*;
    let table = [
        (SignExtend, Type::I32, Type::I64),
        (ZeroExtend, Type::I32, Type::I64),
        (Truncate, Type::I64, Type::I32),
        (Promote, Type::F32, Type::F64),
        (Demote, Type::F64, Type::F32),
        (Bitcast, Type::F32, Type::I32),
        (Bitcast, Type::I32, Type::F32),
        (Bitcast, Type::F64, Type::I64),
        (Bitcast, Type::I64, Type::F64),
    ];
    for (conversion, from, to) in table {
        check(&format!("{conversion:?}"), from, |b, x, _| b.convert(conversion, to, x));
    }
    for (int, float) in INTS.into_iter().flat_map(|int| FLOATS.map(|float| (int, float))) {
        for conversion in [IntToFloat, UintToFloat] {
            check(&format!("{conversion:?} {float:?}"), int, |b, x, _| b.convert(conversion, float, x));
        }
        for conversion in [FloatToInt, FloatToUint] {
            check(&format!("{conversion:?} {int:?}"), float, |b, x, _| b.convert(conversion, int, x));
        }
    }
}
