//! The correct results of exp, tanh and sigmoid in `f32`, shared by a test and the exhaustive check.
#![allow(dead_code)]

use std::collections::HashMap;

use dnn_lib::kernel::Kernel;
use dnn_lib::operator::{Exp, Lowering, Operator, Sigmoid, Tanh};
use dnn_lib::tensor::{DType, TensorType};

/// A function of one `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    Exp,
    Tanh,
    Sigmoid,
}

impl Function {
    pub const ALL: [Function; 3] = [Function::Exp, Function::Tanh, Function::Sigmoid];

    pub fn name(self) -> &'static str {
        match self {
            Function::Exp => "exp",
            Function::Tanh => "tanh",
            Function::Sigmoid => "sigmoid",
        }
    }

    /// The kernel under test, for this many elements.
    pub fn kernel(self, count: u64) -> Kernel {
        let operator: Operator = match self {
            Function::Exp => Exp.into(),
            Function::Tanh => Tanh.into(),
            Function::Sigmoid => Sigmoid.into(),
        };
        match operator.lower(&[TensorType::new(DType::F32, [count])]) {
            Ok(Lowering::Kernels(kernels)) => kernels[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    /// The correct result according to the platform's `f64` functions, if their error cannot matter. From
    /// bits to bits.
    pub fn by_f64(self, bits: u32) -> Option<u32> {
        let x = f64::from(f32::from_bits(bits));
        if x.is_nan() {
            return Some(0x7fc0_0000);
        }
        let y = match self {
            Function::Exp => x.exp(),
            Function::Tanh => x.tanh(),
            Function::Sigmoid if x < 0.0 => x.exp() / (1.0 + x.exp()),
            Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        };
        if y == 0.0 || y.is_infinite() {
            return Some((y as f32).to_bits());
        }
        // The platform's functions are accurate to 2 units in the last place, 2^-51. Division and sum add the
        // same again.
        let error = y.abs() * (-49f64).exp2();
        let (low, high) = ((y - error) as f32, (y + error) as f32);
        (low.to_bits() == high.to_bits()).then_some(low.to_bits())
    }
}

/// The inputs that `f64` can't decide, with results from MPFR (see `tests/hard_cases.py`).
pub struct HardCases(HashMap<(Function, u32), u32>);

impl HardCases {
    pub fn load() -> Self {
        let line = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let function =
                Function::ALL.into_iter().find(|function| function.name() == fields[0]).expect("a function");
            let bits = |field: &str| u32::from_str_radix(field, 16).expect("hexadecimal bits");
            ((function, bits(fields[1])), bits(fields[2]))
        };
        Self(
            include_str!("../hard_cases.txt")
                .lines()
                .filter(|line| !line.starts_with('#'))
                .map(line)
                .collect(),
        )
    }

    pub fn iter(&self) -> impl Iterator<Item = (Function, u32)> {
        self.0.keys().copied()
    }

    /// The correct result, if it is known.
    pub fn right(&self, function: Function, x: u32) -> Option<u32> {
        function.by_f64(x).or_else(|| self.0.get(&(function, x)).copied())
    }
}

/// Runs a kernel on the bits of some `f32`.
pub fn evaluate(kernel: &Kernel, inputs: &[u32]) -> Vec<u32> {
    let mut bytes: Vec<u8> = inputs.iter().flat_map(|x| x.to_le_bytes()).collect();
    bytes.resize(kernel.inputs[0].bytes().expect("a size") as usize, 0);
    let output = kernel.run_ranges(&[&bytes], std::iter::once(0..inputs.len() as u64)).expect("no error");
    let bits = output.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")));
    bits.take(inputs.len()).collect()
}
