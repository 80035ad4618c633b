//! How often sequences contain others.

use crate::definition::{Affine, Builder, Over, Source};
use crate::operator::error::{INDICES, check_attribute, check_shape, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Conversion, Ops, Type};
use crate::tensor::{DType, TensorType};

/// How often each sequence contains each n-gram; inputs: sequences [N, length], n-grams [count, n]. The elements
/// of an n-gram are found beside each other, or with the same number of others between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NGrams {
    /// The most elements between two of an n-gram.
    pub skips: u64,
}

/// The most comparisons at a place.
const MOST: u64 = 256;

impl NGrams {
    /// The distances of neighbours that are possible. One element has no neighbours.
    fn distances(self, length: u64, n: u64) -> impl Iterator<Item = u64> {
        let most = if n == 1 { 1 } else { self.skips.saturating_add(1) };
        (1..=most).take_while(move |&distance| (n - 1).saturating_mul(distance) < length)
    }
}

impl Semantics for NGrams {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        same_dtype(inputs, INDICES)?;
        check_shape(inputs, 0, inputs[0].shape.len() == 2, || "must be [N, length]".to_owned())?;
        let right = matches!(inputs[1].shape[..], [_, n] if n > 0);
        check_shape(inputs, 1, right, || "must be [count, n]".to_owned())?;
        let (count, n) = (inputs[1].shape[0], inputs[1].shape[1]);
        let length = inputs[0].shape[1];
        let work = self.distances(length, n).take(MOST as usize + 1).count() as u64;
        check_attribute("skips", self.skips, work.saturating_mul(n) <= MOST, || {
            format!("must be less: an n-gram of {n} is found in at most {} ways", MOST / n)
        })?;
        Ok(TensorType::new(DType::F32, [inputs[0].shape[0], count]))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let (length, n) = (inputs[0].shape[1], inputs[1].shape[1]);
        let mut b = Builder::new("ngrams", inputs, output);
        let mut count = b.i64(0);
        for distance in self.distances(length, n) {
            let places = Over::all(length - (n - 1) * distance);
            let counted = b.fold([places], &[count], |b, k, so_far| {
                let mut found = None;
                for element in 0..n as i64 {
                    let place = k[0].clone() + Affine::from(element * distance as i64);
                    let own = b.load(Source::Input(0), [b.at(0), place]);
                    let wanted = b.load(Source::Input(1), [b.at(1), Affine::from(element)]);
                    let same = b.eq(own, wanted);
                    found = Some(found.map_or(same, |found| b.and(found, same)));
                }
                let more = b.add_const(so_far[0], 1);
                vec![found.map_or(more, |found| b.select(found, more, so_far[0]))]
            });
            count = counted[0];
        }
        let y = b.convert(Conversion::IntToFloat, Type::F32, count);
        Ok(b.finish(y)?.into())
    }
}
