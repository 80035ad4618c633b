//! Every set of instructions gives the same bits.

use dnn_lib::math::Function;

use super::*;

/// Floats of all kinds, with those at which functions change.
fn arguments() -> Vec<f32> {
    let spread = (0..1u32 << 16).map(|i| i.wrapping_mul(65_537).wrapping_mul(9));
    let edges = (0..=255u32)
        .flat_map(|exponent| (0..5).map(move |i| (exponent << 23).wrapping_add(i).wrapping_sub(2)));
    let nans = [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xff80_1234, 0x7fff_ffff];
    let positive = spread.chain(edges).chain(nans).collect::<Vec<u32>>();
    positive.iter().flat_map(|&bits| [bits, bits ^ 1 << 31]).map(f32::from_bits).collect()
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn all_sets_agree_with_the_scalar_text() {
    let x = arguments();
    for &function in Function::ALL {
        let right: Vec<f32> = x.iter().map(|&x| function.of(x)).collect();
        for isa in Isa::available() {
            let mut y = vec![0.0; x.len()];
            apply(isa, function, &x, &mut y);
            assert_eq!(bits(&y), bits(&right), "{} on {isa}", function.name());
            y.copy_from_slice(&x);
            apply_in_place(isa, function, &mut y);
            assert_eq!(bits(&y), bits(&right), "{} in place on {isa}", function.name());
        }
    }
}

/// The results that are nearest to the midpoint of two floats, with the right answers.
#[test]
fn hard_cases_are_rounded_correctly() {
    let lines = include_str!("../../../tests/hard_cases.txt").lines().filter(|line| !line.starts_with('#'));
    let cases: Vec<Vec<&str>> = lines.map(|line| line.split(' ').collect()).collect();
    let column = |function: Function, index: usize| -> Vec<u32> {
        let cases = cases.iter().filter(|case| case[0] == function.name());
        cases.map(|case| u32::from_str_radix(case[index], 16).unwrap()).collect()
    };
    for &function in Function::ALL {
        let x: Vec<f32> = column(function, 1).into_iter().map(f32::from_bits).collect();
        assert!(x.len() > 5, "{}", function.name());
        for isa in Isa::available() {
            let mut y = vec![0.0; x.len()];
            apply(isa, function, &x, &mut y);
            assert_eq!(bits(&y), column(function, 2), "{} on {isa}", function.name());
        }
    }
}

#[test]
fn every_length_is_possible_and_nothing_else_is_written() {
    let x = arguments();
    for isa in Isa::available() {
        for length in 0..70 {
            let mut y = vec![7.0; 80];
            apply(isa, Function::Exp, &x[..length], &mut y);
            let right: Vec<f32> = x[..length].iter().map(|&x| Function::Exp.of(x)).collect();
            assert_eq!(bits(&y[..length]), bits(&right), "{length} on {isa}");
            assert_eq!(y[length..], vec![7.0; 80 - length], "{length} on {isa}");
        }
    }
}
