//! Small definitions and programs that would cost a computer much, or lead it astray.

use std::time::{Duration, Instant};

use dnn_lib::definition::{Affine, Builder, Coordinate, Definition, Over, Source};
use dnn_lib::program::{Program, ProgramError};
use dnn_lib::scalar::{BinaryOp, Ops, Value};
use dnn_lib::schedule;
use dnn_lib::tensor::{DType, TensorType};

fn f32s(shape: &[u64]) -> TensorType {
    TensorType::new(DType::F32, shape)
}

/// The error of the schedule for the machine, which must come soon.
fn refused(definition: &Definition) {
    let start = Instant::now();
    let error = schedule::guest(definition).expect_err("too much code").to_string();
    assert!(error.ends_with("a definition would become too much code"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(60), "{:?} for\n{definition}", start.elapsed());
}

#[test]
fn unrolled_reductions_in_each_other_are_refused() {
    fn nested(b: &mut Builder, depth: u64, at: &Affine) -> Value {
        if depth == 0 {
            return b.load(Source::Input(0), [at.clone()]);
        }
        let zero = b.f32(0.0);
        b.in_lanes(BinaryOp::Add, [17], zero, |b, index| {
            let at = at.clone() + index[0].clone();
            nested(b, depth - 1, &at)
        })
    }
    let mut b = Builder::new("nested", &[f32s(&[1000])], &f32s(&[]));
    let sum = nested(&mut b, 8, &Affine::from(0));
    refused(&b.finish(sum).unwrap());
}

/// The same, where each copy loads another element.
#[test]
fn long_straight_code_is_refused() {
    let mut b = Builder::new("long", &[f32s(&[17 * 17 * 17 * 17])], &f32s(&[]));
    let zero = b.f32(0.0);
    let sum = b.in_lanes(BinaryOp::Add, [17], zero, |b, i| {
        b.in_lanes(BinaryOp::Add, [17], zero, |b, j| {
            b.in_lanes(BinaryOp::Add, [17], zero, |b, k| {
                b.in_lanes(BinaryOp::Add, [17], zero, |b, l| {
                    let at = ((i[0].clone() * 17 + j[0].clone()) * 17 + k[0].clone()) * 17 + l[0].clone();
                    b.load(Source::Input(0), [at])
                })
            })
        })
    });
    refused(&b.finish(sum).unwrap());
}

#[test]
fn stages_that_read_others_in_many_places_are_refused() {
    let mut b = Builder::new("stages", &[f32s(&[1 << 20])], &f32s(&[1 << 20]));
    b.rows_along([0]);
    let mut from = Source::Input(0);
    for stage in 0..40 {
        let zero = b.f32(0.0);
        let (here, there) = (b.at(0), b.at(0) + (1i64 << stage));
        let (x, y) = (b.load_or(from, [here], zero), b.load_or(from, [there], zero));
        let sum = b.add(x, y);
        from = b.row_stage(sum);
    }
    let at = b.at(0);
    let last = b.load(from, [at]);
    refused(&b.finish(last).unwrap());
}

#[test]
fn borders_along_many_axes_are_refused() {
    let shape = [9u64; 12];
    let mut b = Builder::new("borders", &[f32s(&shape)], &f32s(&shape));
    let zero = b.f32(0.0);
    let mut at = b.indices();
    let away = |index: &mut Affine| *index = index.clone() - 1;
    at.iter_mut().for_each(away);
    let x = b.load_or(Source::Input(0), at, zero);
    let definition = b.finish(x).unwrap();
    let start = Instant::now();
    let _ = schedule::guest(&definition);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn many_ranges_are_planned_soon() {
    let mut b = Builder::new("ranges", &[f32s(&[1000]), f32s(&[1000])], &f32s(&[7, 5]));
    let zero = b.f32(0.0);
    let ranges = std::iter::repeat_n(2, 50).map(Over::all);
    let rows = [b.at(0), b.at(1)];
    let sum = b.fold(ranges, &[zero], |b, at, so_far| {
        let place = at.iter().fold(Affine::default(), |sum, index| sum + index.clone());
        let x = b.load(Source::Input(0), [place.clone() + rows[0].clone()]);
        let y = b.load(Source::Input(1), [place + rows[1].clone()]);
        vec![b.fma(x, y, so_far[0])]
    });
    let definition = b.finish(sum[0]).unwrap();
    let start = Instant::now();
    let _ = schedule::guest(&definition);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn indices_far_from_zero_are_whole() {
    for constant in [i64::from(i32::MAX), 1 << 31, -(1 << 36), 1 << 50] {
        let mut b = Builder::new("far", &[], &TensorType::new(DType::I64, [3, 2]));
        let index = b.at(0) * 2 - b.at(1) * 3 + constant;
        let far = b.index(index);
        let definition = b.finish(far).unwrap();
        let found = schedule::guest(&definition).unwrap().run(&[]).unwrap();
        assert_eq!(found, definition.eval(&[]).unwrap(), "{constant}");
    }
}

/// What the check says of a definition.
fn fault(build: impl FnOnce(&mut Builder) -> Value, inputs: &[TensorType], output: &TensorType) -> String {
    let mut b = Builder::new("hostile", inputs, output);
    let value = build(&mut b);
    b.finish(value).expect_err("it is refused").to_string()
}

#[test]
fn sizes_that_can_not_be_counted_with_are_refused() {
    let (empty, zero) = (f32s(&[1 << 44, 1 << 44, 0]), f32s(&[]));
    let copied = |b: &mut Builder| b.broadcast(0);
    let expected = "definition hostile: its axes have too many indices";
    assert_eq!(fault(copied, std::slice::from_ref(&empty), &empty), expected);
    let endless = |b: &mut Builder| {
        let x = b.f32(0.0);
        b.in_lanes(BinaryOp::Add, [1 << 32, 1 << 32], x, |_, _| x)
    };
    assert_eq!(fault(endless, &[], &zero), expected);
    let far = |b: &mut Builder| {
        let x = b.f32(0.0);
        let at = [Affine::from(1 << 50), Affine::from(0)];
        b.load_or(Source::Input(0), at, x)
    };
    let expected = "definition hostile: the place of an element can be too far away";
    assert_eq!(fault(far, &[f32s(&[2, 1 << 20])], &zero), expected);
    let long = |b: &mut Builder| {
        let (x, at) = (b.f32(0.0), b.i64(0));
        b.load_or(Source::Input(0), [Coordinate::from(at), Coordinate::from(at)], x)
    };
    assert!(fault(long, &[f32s(&[1 << 63, 0])], &zero).contains("is too large"));
    let steps = |b: &mut Builder| {
        (0..1 << 14).for_each(|_| drop(b.fold([], &[], |_, _, _| Vec::new())));
        b.f32(0.0)
    };
    assert!(fault(steps, &[], &zero).ends_with("steps; at most 16384 are allowed"));
}

/// Reading must not recurse as deep as a stranger likes.
#[test]
fn reductions_in_reductions_without_end_are_refused() {
    let mut b = Builder::new("deep", &[], &f32s(&[]));
    let x = b.f32(0.0);
    b.fold([], &[], |_, _, _| Vec::new());
    let definition = b.finish(x).unwrap();
    let good = Program { definitions: vec![definition], ..Program::default() }.to_bytes().unwrap();
    // A reduction without anything: its number, and lengths of lists.
    let one = [4u8, 0, 0, 0, 0, 0, 0, 0];
    let place = good.windows(one.len()).position(|bytes| bytes == one).expect("the reduction");
    let opening: Vec<u8> = [4, 0, 0, 0, 0, 1].repeat(1 << 20);
    let bytes = [&good[..place], &opening].concat();
    let error = Program::read(&bytes, &[]).expect_err("it is refused");
    assert!(matches!(error, ProgramError::Damaged(_)), "{error}");
    assert!(Program::read(&good, &[]).is_ok());
    let nine = [&good[..place], &[4, 0, 0, 0, 0, 1].repeat(8), &one, &[0, 0].repeat(8), &good[place + 8..]];
    assert!(Program::read(&nine.concat(), &[]).is_err());
}
