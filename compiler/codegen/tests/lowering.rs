//! Every operation of the kernel language becomes code that refers to nothing
//! outside itself.

use codegen::Target;
use dnn_lib::kernel::{BinaryOp, Builder, Comparison, Conversion, Kernel, Ops, Type, UnaryOp, Value};
use dnn_lib::tensor::{DType, TensorType};

fn build(inputs: usize, body: impl FnOnce(&mut Builder)) -> Kernel {
    let tensor = TensorType::new(DType::F32, [4]);
    let mut b = Builder::new("test", &vec![tensor.clone(); inputs], &tensor, &[1]);
    body(&mut b);
    b.finish().expect("the kernel makes sense")
}

/// Combines a value with itself in every way that its type allows, and stores the result to keep it alive.
fn everything(b: &mut Builder, dtype: DType) {
    let (input, output) = (b.input(0), b.output());
    let x = b.load(dtype, input, 8);
    let y = b.load(dtype, input, 16);
    let ty = b.ty(x);
    let keep = |b: &mut Builder, value: Value| match b.ty(value) {
        Type::Bool => {
            let number = b.convert(Conversion::FromBool, Type::I32, value);
            b.store(DType::U8, output, 0, number);
        }
        Type::I32 => b.store(DType::I32, output, 0, value),
        Type::I64 => b.store(DType::I64, output, 0, value),
        Type::F32 => b.store(DType::F32, output, 0, value),
        Type::F64 => b.store(DType::F64, output, 0, value),
    };
    for &op in UnaryOp::ALL.iter().filter(|op| op.types().contains(&ty)) {
        let value = b.unary(op, x);
        keep(b, value);
    }
    for &op in BinaryOp::ALL.iter().filter(|op| op.types().contains(&ty)) {
        let value = b.binary(op, x, y);
        keep(b, value);
        let seven = b.number(ty, 7);
        let value = b.binary(op, x, seven);
        keep(b, value);
    }
    for &op in Comparison::ALL.iter().filter(|op| op.types().contains(&ty)) {
        let truth = b.compare(op, x, y);
        keep(b, truth);
        let value = b.select(truth, y, x);
        keep(b, value);
    }
    if ty.is_float() {
        let value = b.fma(x, y, x);
        keep(b, value);
    }
    for &conversion in Conversion::ALL {
        for to in Type::ALL.into_iter().filter(|&to| conversion.works(ty, to)) {
            let value = b.convert(conversion, to, x);
            keep(b, value);
        }
    }
    b.store(dtype, output, 0, x);
}

fn zoo() -> Vec<Kernel> {
    let loaded = DType::ALL.into_iter().filter(|&dtype| Type::loaded(dtype).is_some());
    loaded.map(|dtype| build(1, |b| everything(b, dtype))).collect()
}

#[test]
fn every_operation_on_every_type_is_compiled() {
    let guest = Target::guest().unwrap();
    for kernel in zoo() {
        let code = guest.compile(&kernel).unwrap_or_else(|error| panic!("{error}\n{kernel}"));
        assert!(code.bytes.len() > 100);
    }
}

fn sum(b: &mut Builder, body: impl FnOnce(&mut Builder, Value) -> Value) {
    let (lo, hi, zero) = (b.lo(), b.hi(), b.f32(0.0));
    let total = b.for_(lo, hi, 1, &[zero], |b, i, carried| {
        let input = b.input(0);
        let address = b.element(DType::F32, input, i);
        let x = b.load(DType::F32, address, 0);
        let x = body(b, x);
        vec![b.add(carried[0], x)]
    });
    let output = b.output();
    b.store(DType::F32, output, 0, total[0]);
}

/// The guest's compiler decodes every word that it emits, so compiling is the test. Literals must also be
/// recognised.
#[test]
fn literals_are_told_from_instructions() {
    let constant = |x: i64| {
        let kernel = build(1, |b| {
            let (output, x) = (b.output(), b.i64(x));
            b.store(DType::I64, output, 0, x);
        });
        Target::guest().unwrap().compile(&kernel).unwrap()
    };
    assert_eq!(constant(1).literals, []);
    let code = constant(0x1234_5678_9abc_def0);
    let [literal] = &code.literals[..] else { panic!("{:?}", code.literals) };
    assert!(code.bytes[literal.clone()].ends_with(&0x1234_5678_9abc_def0_u64.to_le_bytes()));
}

#[test]
fn loops_and_branches_are_compiled() {
    let kernel = build(1, |b| {
        sum(b, |b, x| {
            let zero = b.f32(0.0);
            let positive = b.lt(zero, x);
            b.if_(positive, |b| vec![b.sqrt(x)], |_| vec![zero])[0]
        });
    });
    Target::guest().unwrap().compile(&kernel).unwrap();
}

#[test]
fn the_guests_own_arithmetic_needs_no_care_for_nans_but_a_loaded_one_does() {
    let guest = Target::guest().unwrap();
    let sum = guest.compile(&build(1, |b| sum(b, |_, x| x))).unwrap();
    let copy = guest
        .compile(&build(1, |b| {
            let (input, output) = (b.input(0), b.output());
            let x = b.load(DType::F32, input, 0);
            b.store(DType::F32, output, 0, x);
        }))
        .unwrap();
    let compares = |bytes: &[u8]| {
        let words = bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        words.filter(|word| word & 0xfe00_707f == 0xa000_2053).count()
    };
    assert_eq!(compares(&sum.bytes), 0, "feq.s after a sum");
    assert_ne!(compares(&copy.bytes), 0, "no feq.s after a load");
}

#[test]
fn compiling_twice_gives_the_same_bytes() {
    for kernel in zoo() {
        let compile = || Target::guest().unwrap().compile(&kernel).unwrap();
        assert_eq!(compile(), compile());
    }
}
