//! Halves are what NumPy makes of them.

use dnn_lib::definition::{Builder, Definition};
use dnn_lib::tensor::{DType, TensorType};
use host::{Isa, Prepared};

use crate::check::run;

/// Elements of a type as elements of another.
fn stored(from: DType, to: DType, count: u64) -> Definition {
    let (input, output) = (TensorType::new(from, [count]), TensorType::new(to, [count]));
    let mut b = Builder::new("stored", &[input], &output);
    let x = b.broadcast(0);
    b.finish(x).expect("a definition")
}

/// The columns at two places of a file of records of `size` bytes: what is given, and what is right.
fn check(name: &str, (from, own): (DType, usize), (to, right): (DType, usize), size: usize) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/halves/");
    let records = std::fs::read(format!("{folder}{name}")).expect("a fixture");
    let column = |at: usize, dtype: DType| -> Vec<u8> {
        let element = |record: &'_ [u8]| record[at..][..dtype.size() as usize].to_vec();
        records.chunks_exact(size).flat_map(element).collect()
    };
    let (given, right) = (column(own, from), column(right, to));
    let definition = stored(from, to, (records.len() / size) as u64);
    assert!(definition.eval(&[&given]).expect("good inputs") == right, "{from} to {to}: the reference");
    for isa in Isa::available() {
        let prepared = Prepared::new(isa, &definition).expect("it fits");
        let found = run(&prepared, std::slice::from_ref(&given), &[prepared.whole()])
            .expect("nothing else is written");
        assert!(found == right, "{from} to {to}: {isa}");
    }
}

#[test]
fn halves_are_loaded_and_stored() {
    check("wide.bin", (DType::F16, 0), (DType::F32, 2), 6);
    check("narrow.bin", (DType::F32, 0), (DType::F16, 4), 8);
    check("narrow.bin", (DType::F32, 0), (DType::BF16, 6), 8);
}
