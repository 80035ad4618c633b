//! Every operation of the table, on lanes and as what combines them.

use dnn_lib::definition::{Builder, Source};
use dnn_lib::scalar::{BinaryOp, Comparison, Conversion, Ops, Type, UnaryOp, Value};
use dnn_lib::tensor::TensorType;

use crate::check::check_with;

/// Rows and columns of the operands: more than some vectors, and a rest.
const SHAPE: [u64; 2] = [5, 67];

/// Checks what is made of two operands of a type.
fn check(from: Type, to: Type, operation: impl Fn(&mut Builder, Value, Value) -> Value) {
    let input = TensorType::new(from.dtype(), SHAPE);
    let mut b = Builder::new("operation", &[input.clone(), input], &TensorType::new(to.dtype(), SHAPE));
    let [x, y] = [0, 1].map(|input| {
        let value = b.broadcast(input);
        truth(&mut b, from, value)
    });
    let value = operation(&mut b, x, y);
    let value = number(&mut b, to, value);
    check_with(&b.finish(value).expect("a definition"), 1);
}

/// An element as a value of a type.
fn truth(b: &mut Builder, ty: Type, value: Value) -> Value {
    if ty != Type::Bool {
        return value;
    }
    let zero = b.i32(0);
    b.ne(value, zero)
}

/// A value as it is stored.
fn number(b: &mut Builder, ty: Type, value: Value) -> Value {
    if ty == Type::Bool { b.convert(Conversion::FromBool, Type::I32, value) } else { value }
}

#[test]
fn every_operation_has_the_bits_of_the_reference() {
    for &op in UnaryOp::ALL {
        op.types().iter().for_each(|&ty| check(ty, ty, |b, x, _| b.unary(op, x)));
    }
    for &op in BinaryOp::ALL {
        op.types().iter().for_each(|&ty| check(ty, ty, |b, x, y| b.binary(op, x, y)));
    }
    for &op in Comparison::ALL {
        op.types().iter().for_each(|&ty| check(ty, Type::Bool, |b, x, y| b.compare(op, x, y)));
    }
    for (from, to) in Type::ALL.into_iter().flat_map(|from| Type::ALL.map(|to| (from, to))) {
        for &op in Conversion::ALL.iter().filter(|op| op.works(from, to)) {
            check(from, to, |b, x, _| b.convert(op, to, x));
        }
    }
}

#[test]
fn every_operation_combines_lanes_and_updates_sums() {
    for &op in BinaryOp::ALL {
        for &ty in op.types() {
            let input = TensorType::new(ty.dtype(), SHAPE);
            for in_lanes in [false, true] {
                let output = TensorType::new(ty.dtype(), [SHAPE[0]]);
                let mut b = Builder::new("reduction", std::slice::from_ref(&input), &output);
                let init = b.i32(1);
                let init = match ty {
                    Type::Bool => truth(&mut b, ty, init),
                    _ => b.number(ty, 1),
                };
                let load = |b: &mut Builder, k: &dnn_lib::definition::Affine| {
                    let value = b.load(Source::Input(0), [b.at(0), k.clone()]);
                    truth(b, ty, value)
                };
                let value = if in_lanes {
                    b.in_lanes(op, [SHAPE[1]], init, |b, k| load(b, &k[0]))
                } else {
                    let over = dnn_lib::definition::Over::all(SHAPE[1]);
                    b.fold([over], &[init], |b, k, so_far| {
                        let value = load(b, &k[0]);
                        vec![b.binary(op, so_far[0], value)]
                    })[0]
                };
                let value = number(&mut b, ty, value);
                check_with(&b.finish(value).expect("a definition"), 2);
            }
        }
    }
}
