//! Every operator against a plain reference, on random shapes, attributes and values.
//!
//! The references follow the operator's definition and the order of its sums in the most direct way, so the
//! bits must be equal. Each kernel is also run range by range.

mod attention;
mod elementwise;
mod errors;
mod formulas;
mod fusion;
mod halves;
mod indexing;
mod movement;
mod normalization;
mod pooling;
mod products;
mod quantization;
mod reductions;
mod regions;
mod rows;
mod sequences;
mod sized;
mod small;
mod sums;
mod trees;
mod views;

use dnn_lib::definition::Definition;
use dnn_lib::operator::{Meaning, Operator};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

/// A tensor of `f32`.
#[derive(Clone, Debug)]
struct Tensor {
    shape: Vec<u64>,
    data: Vec<f32>,
}

impl Tensor {
    fn new(shape: impl Into<Vec<u64>>, data: Vec<f32>) -> Self {
        Self { shape: shape.into(), data }
    }

    /// Computes a tensor element by element, from indices.
    fn from_fn(shape: &[u64], mut element: impl FnMut(&[u64]) -> f32) -> Self {
        let data = indices(shape).map(|index| element(&index)).collect();
        Self::new(shape, data)
    }

    fn ty(&self) -> TensorType {
        TensorType::new(DType::F32, self.shape.clone())
    }

    fn at(&self, index: &[u64]) -> f32 {
        assert_eq!(index.len(), self.shape.len());
        let position = index.iter().zip(&self.shape).fold(0, |position, (&i, &size)| {
            assert!(i < size, "{index:?} is outside of {:?}", self.shape);
            position * size + i
        });
        self.data[position as usize]
    }

    /// The element at an index of a shape to which this tensor is broadcast.
    fn at_broadcast(&self, index: &[u64]) -> f32 {
        let own = &index[index.len() - self.shape.len()..];
        let own: Vec<u64> =
            own.iter().zip(&self.shape).map(|(&i, &size)| if size == 1 { 0 } else { i }).collect();
        self.at(&own)
    }

    fn bytes(&self) -> Vec<u8> {
        self.data.iter().flat_map(|x| x.to_le_bytes()).collect()
    }
}

/// All indices of a shape, in row-major order.
fn indices(shape: &[u64]) -> impl Iterator<Item = Vec<u64>> {
    let shape = shape.to_vec();
    (0..shape.iter().product()).map(move |mut i: u64| {
        let mut index: Vec<u64> = shape.iter().rev().map(|&size| (i % size, i /= size).0).collect();
        index.reverse();
        index
    })
}

/// The definition of an operator that computes something.
fn definition(operator: &Operator, inputs: &[TensorType]) -> Definition {
    match operator.define(inputs, 0) {
        Ok(Some(Meaning::Computed(definition))) => definition,
        other => panic!("{operator:?} on {inputs:?}: {other:?}"),
    }
}

/// An output of an operator. One that is computed is evaluated, and its kernel run as a whole and in ranges,
/// which must agree.
fn run_output(
    operator: &Operator,
    output: usize,
    types: &[TensorType],
    inputs: &[&[u8]],
) -> (TensorType, Vec<u8>) {
    let ty = operator.infer(types).expect("good inputs").remove(output);
    let bytes = ty.bytes().expect("a size") as usize;
    let whole = match operator.define(types, output).expect("good inputs") {
        None => Vec::new(),
        Some(Meaning::View { offset }) => inputs[0][offset as usize..][..bytes].to_vec(),
        Some(Meaning::Joined) => inputs.concat(),
        Some(Meaning::Computed(definition)) => run_definition(&definition, inputs),
    };
    assert_eq!(whole.len(), bytes);
    (ty, whole)
}

fn run_definition(definition: &Definition, inputs: &[&[u8]]) -> Vec<u8> {
    let whole = definition.eval(inputs).expect("good inputs");
    let kernel = dnn_lib::schedule::guest(definition).expect("a kernel");
    assert_eq!(kernel.run(inputs).expect("no error"), whole, "{definition}\n{kernel}");
    let units = kernel.units();
    let cuts = [0, units / 3, units / 2, units.saturating_sub(1), units];
    let ranges = cuts.windows(2).rev().map(|cut| cut[0]..cut[1].max(cut[0]));
    assert_eq!(kernel.run_ranges(inputs, ranges).expect("no error"), whole, "ranges");
    whole
}

/// The first output of an operator.
fn run_bytes(operator: &Operator, types: &[TensorType], inputs: &[&[u8]]) -> (TensorType, Vec<u8>) {
    run_output(operator, 0, types, inputs)
}

/// Runs an operator on `f32` tensors.
fn run(operator: impl Into<Operator>, inputs: &[&Tensor]) -> Tensor {
    let types: Vec<TensorType> = inputs.iter().map(|input| input.ty()).collect();
    let bytes: Vec<Vec<u8>> = inputs.iter().map(|input| input.bytes()).collect();
    let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
    let (ty, output) = run_bytes(&operator.into(), &types, &bytes);
    let data = output.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")));
    Tensor::new(ty.shape, data.collect())
}

/// The bits of an observed float. There is one NaN.
fn observed(x: f32) -> u32 {
    if x.is_nan() { 0x7fc0_0000 } else { x.to_bits() }
}

/// Requires equal shapes and bits.
#[track_caller]
fn assert_same(found: &Tensor, right: &Tensor) {
    assert_eq!(found.shape, right.shape);
    for (index, (found, right)) in indices(&found.shape).zip(found.data.iter().zip(&right.data)) {
        assert_eq!(found.to_bits(), observed(*right), "at {index:?}: {found:?}, not {right:?}");
    }
}

/// A sum in 16 lanes, by halving.
fn lane_sum(values: impl IntoIterator<Item = f32>) -> f32 {
    let mut lanes = [0f32; 16];
    for (i, value) in values.into_iter().enumerate() {
        lanes[i % 16] += value;
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// Mostly ordinary numbers, and occasionally one that fails first.
fn element() -> impl Strategy<Value = f32> {
    let special = prop::sample::select(vec![
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::from_bits(0xffc1_2345), // a NaN that is not canonical
        f32::MIN_POSITIVE / 8.0,
        -f32::from_bits(1),
        f32::MAX,
        f32::MIN,
    ]);
    prop_oneof![30 => -4.0..4.0f32, 1 => special]
}

/// A tensor of this shape, with ordinary numbers or also special ones.
fn tensor(shape: impl Into<Vec<u64>>) -> impl Strategy<Value = Tensor> {
    let shape = shape.into();
    let count = shape.iter().product::<u64>() as usize;
    prop_oneof![prop::collection::vec(-4.0..4.0f32, count), prop::collection::vec(element(), count)]
        .prop_map(move |data| Tensor::new(shape.clone(), data))
}

/// A shape of a given rank, with dimensions up to a limit.
fn shape(rank: impl Into<prop::collection::SizeRange>, most: u64) -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(1..=most, rank)
}

/// A tensor of at most three dimensions, and one of its axes.
fn any_axis(least_rank: usize, most: u64) -> impl Strategy<Value = (Tensor, usize)> {
    shape(least_rank..=3, most).prop_flat_map(|shape| {
        let rank = shape.len();
        (tensor(shape), 0..rank)
    })
}
