//! Values of the functions of an `f64`, for `tests/doubles.py`: `doubles NAME`, with arguments in the standard
//! input and results in the standard output, eight bytes each. `pow` has two arguments.

use std::error::Error;
use std::io::{Read, Write};

use dnn_lib::math::Function;
use dnn_lib::operator::{Meaning, Operator, Pow};
use dnn_lib::tensor::{DType, TensorType};

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let results = match Function::named(&name) {
        Some(function) => {
            let numbers = bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
            numbers.flat_map(|x| function.of_double(x).to_le_bytes()).collect()
        }
        None if name == "pow" => powers(&bytes)?,
        None => return Err(format!("there is no function {name}").into()),
    };
    Ok(std::io::stdout().write_all(&results)?)
}

/// The powers, by the reference evaluator.
fn powers(arguments: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let ty = TensorType::new(DType::F64, [arguments.len() as u64 / 16]);
    let meaning = Operator::from(Pow).define(&[ty.clone(), ty], 0)?;
    let Some(Meaning::Computed(definition)) = meaning else { return Ok(Vec::new()) };
    let pairs = arguments.as_chunks::<16>().0;
    let column =
        |start: usize| -> Vec<u8> { pairs.iter().flat_map(|pair| pair[start..][..8].to_vec()).collect() };
    Ok(definition.eval(&[&column(0), &column(8)])?)
}
