//! TfIdfVectorizer over integers: counts of n-grams.

use dnn_lib::operator as op;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

pub(super) const ATTRIBUTES: &[&str] = &[
    "max_gram_length",
    "max_skip_count",
    "min_gram_length",
    "mode",
    "ngram_counts",
    "ngram_indexes",
    "pool_int64s",
    "pool_strings",
    "weights",
];

/// The most n-grams that one element of the output counts.
const MOST_TOGETHER: usize = 16;

/// The most elements of a row of the output.
const MOST: i64 = 1 << 22;

fn required<T>(value: Option<T>, attribute: &'static str) -> Result<T, NodeError> {
    value.ok_or(NodeError::MissingAttribute { attribute })
}

pub(super) fn vectorizer(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    if call.strings("pool_strings")?.is_some_and(|strings| !strings.is_empty()) {
        return Err(value_error("pool_strings", &"given", "pool_int64s"));
    }
    let mode = required(call.string("mode")?, "mode")?;
    if !matches!(&*mode, "TF" | "IDF" | "TFIDF") {
        return Err(value_error("mode", &mode, "TF, IDF, TFIDF"));
    }
    let x = call.input(0)?;
    let shape = call.ty(x).shape.clone();
    let (rows, length) = match shape[..] {
        [] => (1, 1),
        [length] => (1, length),
        [rows, length] => (rows, length),
        _ => return Err(call.shape_error(0, "[C] or [N, C]")),
    };
    let sequences = call.reshaped("sequences", x, &[rows, length])?;
    let sequences = call.cast("integers", sequences, DType::I64)?;
    let indexes = required(call.ints("ngram_indexes")?, "ngram_indexes")?;
    let (counts, columns) = counts(call, sequences, &indexes)?;
    let count = gathered(call, counts, &columns)?;
    let weighted = weighted(call, count, &mode, columns.len())?;
    let size = columns.len() as i64;
    let shape = if let [rows, _] = shape[..] { vec![rows.cast_signed(), size] } else { vec![size] };
    call.apply_to(op::Reshape { shape, allow_zero: true }, &[weighted])
}

/// The counts of all n-grams of the lengths asked for, beside each other, and a column of zeros; and for each
/// element of the output, the columns that it is the sum of.
fn counts(
    call: &mut Call<'_>,
    sequences: TensorId,
    indexes: &[i64],
) -> Result<(TensorId, Vec<Vec<i64>>), NodeError> {
    let most = indexes.iter().copied().max().unwrap_or(-1);
    if most >= MOST || indexes.iter().any(|&index| index < 0) {
        return Err(value_error("ngram_indexes", &format!("{indexes:?}"), "numbers from 0 to 2^22 - 1"));
    }
    let pool = required(call.ints("pool_int64s")?, "pool_int64s")?;
    let starts = required(call.ints("ngram_counts")?, "ngram_counts")?;
    let [least, longest] = ["min_gram_length", "max_gram_length"].map(|name| call.int(name));
    let lengths = required(least?, "min_gram_length")?..=required(longest?, "max_gram_length")?;
    if *lengths.start() < 1 {
        return Err(value_error("min_gram_length", lengths.start(), "numbers from 1"));
    }
    let skips = call.size("max_skip_count")?;
    let mut columns = vec![Vec::new(); (most + 1) as usize];
    let (mut parts, mut gram, mut column) = (Vec::new(), 0, 0);
    for (n, &start) in (1..).zip(&starts) {
        let end = starts.get(n as usize).copied().unwrap_or(pool.len() as i64);
        let grams = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let grams = grams.and_then(|(start, end)| pool.get(start..end)).ok_or_else(|| {
            value_error("ngram_counts", &format!("{starts:?}"), "ascending places in the pool")
        })?;
        let count = grams.len() / n as usize;
        if lengths.contains(&n) && count > 0 {
            let grams = &grams[..count * n as usize];
            let bytes = grams.iter().flat_map(|number| number.to_le_bytes()).collect();
            let ty = TensorType::new(DType::I64, [count as u64, n.cast_unsigned()]);
            let grams = call.constant(&format!("grams_{n}"), ty, bytes);
            parts.push(call.step("counts", op::NGrams { skips }, &[sequences, grams])?);
            for number in 0..count {
                let index = indexes.get(gram + number).and_then(|&index| columns.get_mut(index as usize));
                index.into_iter().for_each(|columns| columns.push(column + number as i64));
            }
            column += count as i64;
        }
        gram += count;
    }
    let rows = call.ty(sequences).shape[0];
    parts.push(call.import.zeros(&call.label, TensorType::new(DType::F32, [rows, 1]))?);
    // Where there is no n-gram, the count is 0.
    columns.iter_mut().filter(|columns| columns.is_empty()).for_each(|columns| columns.push(column));
    Ok((call.step("all", op::Concat { axis: 1 }, &parts)?, columns))
}

/// The sums of columns.
fn gathered(call: &mut Call<'_>, counts: TensorId, columns: &[Vec<i64>]) -> Result<TensorId, NodeError> {
    let most = columns.iter().map(Vec::len).max().unwrap_or(1);
    if most > MOST_TOGETHER {
        let found = format!("a list that names an index {most} times");
        return Err(value_error(
            "ngram_indexes",
            &found,
            &format!("lists that name it {MOST_TOGETHER} times"),
        ));
    }
    let zeros = call.ty(counts).shape[1].cast_signed() - 1;
    let mut parts = Vec::new();
    for part in 0..most {
        let places: Vec<i64> =
            columns.iter().map(|columns| columns.get(part).copied().unwrap_or(zeros)).collect();
        let places = call.constant_list("places", &places);
        parts.push(call.step("part", op::Gather { axis: 1 }, &[counts, places])?);
    }
    if parts.len() == 1 { Ok(parts[0]) } else { call.step("sum", op::Sum, &parts) }
}

/// Counts with the weights of the elements of a row.
fn weighted(call: &mut Call<'_>, counts: TensorId, mode: &str, size: usize) -> Result<TensorId, NodeError> {
    if mode == "TF" {
        return Ok(counts);
    }
    let mut weights = call.floats("weights")?.unwrap_or_else(|| vec![1.0; size]);
    if weights.len() < size {
        return Err(value_error("weights", &format!("{} numbers", weights.len()), &format!("{size}")));
    }
    weights.truncate(size);
    let bytes = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let weights = call.constant("weights", TensorType::new(DType::F32, [size as u64]), bytes);
    if mode == "TFIDF" {
        return call.step("weighted", op::Mul, &[counts, weights]);
    }
    let zero = call.number("zero", 0.0, DType::F32);
    let found = call.step("found", op::Greater, &[counts, zero])?;
    call.step("weighted", op::Where, &[found, weights, zero])
}
