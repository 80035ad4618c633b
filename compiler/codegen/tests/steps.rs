//! The bound of a kernel's steps holds, and is exact if there are no branches.

use codegen::Target;
use dnn_lib::kernel::{Builder, Kernel, Ops, Value};
use dnn_lib::math::Function;
use dnn_lib::tensor::{DType, TensorType};
use image::{Contents, Image, Segment};
use interpreter::Interpreter;
use isa::Extensions;
use step::MachineProfile;

const UNITS: u64 = 64;
const CODE: u64 = 0x1_0000;

fn build(body: impl FnOnce(&mut Builder)) -> Kernel {
    let ty = TensorType::new(DType::I64, [UNITS]);
    let mut b = Builder::new("test", std::slice::from_ref(&ty), &ty, &[1]);
    body(&mut b);
    b.finish().expect("the kernel makes sense")
}

/// The number of steps of a call for some units. The input is at 0x1000, the output at 0x2000.
fn steps(kernel: &Kernel, lo: u64, hi: u64) -> u64 {
    let mut code = Target::guest().unwrap().compile(kernel).unwrap().bytes;
    code.resize(code.len().next_multiple_of(32), 0);
    let block = CODE + code.len() as u64;
    code.extend([0x1000u64, 0x2000, 0, 0].iter().flat_map(|word| word.to_le_bytes()));
    let contents = Contents {
        profile: MachineProfile::new(Extensions::IMFD, 16, CODE, code.len() as u64).unwrap(),
        entry: CODE,
        sp: CODE,
        code: code.into(),
        segments: vec![Segment { address: 0x1000, bytes: (0..UNITS).flat_map(u64::to_le_bytes).collect() }],
        tensors: vec![],
        symbols: vec![],
        schedule: vec![],
        period: None,
        interface: None,
        sections: Vec::new(),
    };
    let mut machine = Interpreter::new(&Image::new(contents).unwrap()).unwrap();
    for (register, argument) in (10..).zip([block, lo, hi]) {
        machine.set_x(register, argument);
    }
    // The return address is 0, where there is no code, so the machine traps there with one more step.
    let outcome = machine.run(1 << 24);
    assert_eq!(machine.pc(), 0, "the kernel does not return: {outcome:?}");
    outcome.steps - 1
}

fn bound(kernel: &Kernel, units: u64) -> Option<u64> {
    Target::guest().unwrap().compile(kernel).unwrap().steps.map(|steps| steps.most(units))
}

/// Adds the numbers of a loop over 0 to `end`, and applies another operation to each.
fn sum(
    b: &mut Builder,
    end: i64,
    init: Value,
    step: impl FnOnce(&mut Builder, Value, Value) -> Value,
) -> Value {
    let (zero, end) = (b.i64(0), b.i64(end));
    b.for_(zero, end, 1, &[init], |b, i, carried| vec![step(b, i, carried[0])])[0]
}

fn each_unit(b: &mut Builder, body: impl FnOnce(&mut Builder, Value) -> Value) {
    let (lo, hi) = (b.lo(), b.hi());
    b.for_(lo, hi, 1, &[], |b, unit, _| {
        let value = body(b, unit);
        let address = b.element(DType::I64, b.output(), unit);
        b.store(DType::I64, address, 0, value);
        vec![]
    });
}

/// A number that the compiler cannot know.
fn load(b: &mut Builder, unit: Value) -> Value {
    let address = b.element(DType::I64, b.input(0), unit);
    b.load(DType::I64, address, 0)
}

#[test]
fn loops_without_choices_are_exact() {
    let flat = build(|b| each_unit(b, load));
    let nested = build(|b| {
        each_unit(b, |b, unit| {
            let x = load(b, unit);
            sum(b, 7, x, |b, i, total| {
                let product = b.mul(i, total);
                let inner =
                    sum(b, 3, product, |b, j, total| b.binary(dnn_lib::kernel::BinaryOp::Xor, j, total));
                b.add(inner, i)
            })
        });
    });
    // There is no code between the loops, so they may share a header.
    let tight = build(|b| {
        each_unit(b, |b, unit| {
            let x = load(b, unit);
            sum(b, 5, x, |b, _, total| sum(b, 4, total, |b, _, total| b.mul(total, total)))
        });
    });
    for (name, kernel) in [("flat", flat), ("nested", nested), ("tight", tight)] {
        for (lo, hi) in [(0, 1), (0, UNITS), (5, 23)] {
            assert_eq!(bound(&kernel, hi - lo), Some(steps(&kernel, lo, hi)), "{name} from {lo} to {hi}");
        }
    }
}

#[test]
fn the_longer_side_of_a_branch_counts() {
    let kernel = build(|b| {
        each_unit(b, |b, unit| {
            let (x, limit) = (load(b, unit), b.i64(32));
            let less = b.lt(x, limit);
            let long = |b: &mut Builder| {
                let results = sum(b, 20, x, |b, i, total| {
                    let product = b.mul(total, i);
                    b.add(product, x)
                });
                vec![results]
            };
            b.if_(less, long, |_| vec![x])[0]
        });
    });
    let [long, short] = [(0, 32), (32, 64)].map(|(lo, hi)| steps(&kernel, lo, hi));
    let most = bound(&kernel, 32).unwrap();
    assert!(short < long && long <= most && most < long + 100, "{short}, {long} of {most}");
}

#[test]
fn an_empty_range_has_a_bound_and_more_units_never_a_smaller_one() {
    let kernel = build(|b| each_unit(b, load));
    let bounds: Vec<u64> = (0..=UNITS).map(|units| bound(&kernel, units).unwrap()).collect();
    assert!(steps(&kernel, 3, 3) <= bounds[0]);
    assert!(bounds.is_sorted());
}

#[test]
fn a_loop_whose_length_is_data_has_no_bound() {
    let kernel = build(|b| {
        each_unit(b, |b, unit| {
            let (zero, end) = (b.i64(0), load(b, unit));
            b.for_(zero, end, 1, &[zero], |b, i, carried| vec![b.add(carried[0], i)])[0]
        });
    });
    assert_eq!(bound(&kernel, 1), None);
}

/// What one more element of an elementary function costs at most.
#[test]
fn elementary_functions_take_few_steps() {
    let ty = TensorType::new(DType::F32, [UNITS]);
    let mut dear = Vec::new();
    for &function in Function::ALL {
        let mut b = Builder::new(function.name(), std::slice::from_ref(&ty), &ty, &[1]);
        let (lo, hi) = (b.lo(), b.hi());
        b.for_(lo, hi, 1, &[], |b, unit, _| {
            let address = b.element(DType::F32, b.input(0), unit);
            let x = b.load(DType::F32, address, 0);
            let y = function.apply(b, x);
            let address = b.element(DType::F32, b.output(), unit);
            b.store(DType::F32, address, 0, y);
            vec![]
        });
        let kernel = b.finish().unwrap();
        let each = bound(&kernel, 2).unwrap() - bound(&kernel, 1).unwrap();
        let most = match function {
            Function::Exp | Function::Expm1 | Function::Tanh | Function::Sigmoid => 40,
            Function::Erf | Function::Mish => 40,
            Function::Sinh | Function::Cosh | Function::Softplus | Function::GeluTanh => 56,
            Function::Log | Function::Asin | Function::Atan => 70,
            Function::Acosh | Function::Atanh => 76,
            Function::Acos | Function::Asinh => 88,
            Function::Gelu => 110,
            Function::Sin | Function::Cos | Function::Tan => 210,
        };
        if each > most {
            dear.push((function.name(), each));
        }
    }
    assert!(dear.is_empty(), "{dear:?}");
}

/// A branch reaches 4096 bytes; further jumps go through a register, in another block of code.
#[test]
fn loops_longer_than_a_branch_reaches_have_bounds_that_hold() {
    let kernel = build(|b| {
        each_unit(b, |b, unit| {
            let x = load(b, unit);
            sum(b, 3, x, |b, i, total| {
                (0..700).fold(total, |total, _| {
                    let product = b.mul(total, total);
                    b.binary(dnn_lib::kernel::BinaryOp::Xor, product, i)
                })
            })
        });
    });
    for (lo, hi) in [(0, 1), (0, UNITS)] {
        let (steps, bound) = (steps(&kernel, lo, hi), bound(&kernel, hi - lo).unwrap());
        assert!(steps <= bound && bound < steps + 100, "{steps} of {bound}");
    }
}
