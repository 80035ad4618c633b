//! The functions are correctly rounded. `examples/exhaustive.rs` of opml-host tries all inputs; this test tries
//! those that matter most.

use dnn_lib::kernel::Builder;
use dnn_lib::math::Function;
use dnn_lib::tensor::{DType, TensorType};

use crate::oracle::HardCases;

/// What is wrong with the values at some inputs.
fn wrong(function: Function, hard: &HardCases, inputs: &[u32]) -> Vec<String> {
    let found =
        inputs.iter().map(|&x| (x, function.of(f32::from_bits(x)).to_bits(), hard.right(function, x)));
    let wrong = found.filter(|&(_, found, right)| right != Some(found));
    wrong
        .map(|(x, found, right)| format!("{}({x:08x}) is {right:08x?}, not {found:08x}", function.name()))
        .collect()
}

#[test]
fn hard_cases() {
    let hard = HardCases::load();
    for &function in Function::ALL {
        let inputs = hard.inputs(function);
        assert!(inputs.len() > 5, "{function:?}");
        assert_eq!(wrong(function, &hard, &inputs), [""; 0]);
    }
}

/// The kernel that a builder makes of the text has the same bits.
#[test]
fn kernels_agree() {
    let hard = HardCases::load();
    for &function in Function::ALL {
        let mut inputs = hard.inputs(function);
        inputs.extend((0..1u32 << 12).map(|i| i * 1_048_573));
        inputs.extend([0, 0x8000_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xffc0_0001, 0x7f80_0001]);
        let ty = TensorType::new(DType::F32, [inputs.len() as u64]);
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
        let bytes: Vec<u8> = inputs.iter().flat_map(|x| x.to_le_bytes()).collect();
        let found = b.finish().unwrap().run(&[&bytes]).unwrap();
        let right = inputs.iter().flat_map(|&x| function.of(f32::from_bits(x)).to_bits().to_le_bytes());
        assert_eq!(found, right.collect::<Vec<u8>>(), "{}", function.name());
    }
}

/// A million inputs spread over all floats, with those around powers of two and the ends of the range.
#[test]
fn all_over_the_range() {
    let hard = HardCases::load();
    let spread = (0..1u64 << 20).map(|i| (i * 4099) as u32);
    let edges = (0..256u32)
        .flat_map(|exponent| (0..16).map(move |i| (exponent << 24).wrapping_add(i).wrapping_sub(8)));
    let ends = [88.0f32, 89.0, -103.0, -104.0, 9.0, 17.0].map(f32::to_bits);
    let ends = ends.into_iter().flat_map(|end| (0..1000).map(move |i| end + i * 997));
    let inputs: Vec<u32> = spread.chain(edges).chain(ends).collect();
    for &function in Function::ALL {
        assert_eq!(wrong(function, &hard, &inputs), [""; 0]);
    }
}
