//! Random operators. Their numbers are constants that follow from the node's seed, by a generator that is the same
//! everywhere: numpy's `Philox(key=seed)`. A node has the same numbers each time it runs.

use bytes::Bytes;
use dnn_lib::math::Function;
use dnn_lib::operator as op;
use dnn_lib::scalar::{Type, narrow};
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use crate::error::NodeError;
use crate::import::call::{Call, value_error};

pub(super) const UNIFORM: &[&str] = &["dtype", "high", "low", "seed", "shape"];
pub(super) const NORMAL: &[&str] = &["dtype", "mean", "scale", "seed", "shape"];

/// The most numbers of a node.
const MOST: u64 = 1 << 27;

const NO_SEED: &str = "a number: without it every run would have another result, which nobody could check";

/// Philox 4x64 with ten rounds: four words of a block, by its number.
fn block(number: u64, key: u64) -> [u64; 4] {
    let (mut words, mut keys) = ([number, 0, 0, 0], [key, 0]);
    for _ in 0..10 {
        let product = |factor: u64, word: u64| {
            let product = u128::from(factor) * u128::from(word);
            ((product >> 64) as u64, product as u64)
        };
        let (high, low) = product(0xd2e7_470e_e14c_6c93, words[0]);
        let (other_high, other_low) = product(0xca5a_8263_9512_1157, words[2]);
        words = [other_high ^ words[1] ^ keys[0], other_low, high ^ words[3] ^ keys[1], low];
        keys = [keys[0].wrapping_add(0x9e37_79b9_7f4a_7c15), keys[1].wrapping_add(0xbb67_ae85_84ca_a73b)];
    }
    words
}

/// All words of a key. As in numpy, the first block has number 1.
fn words(key: u64) -> impl Iterator<Item = u64> {
    (1..).flat_map(move |number| block(number, key))
}

/// A number from 0 to 1, which is left out, as numpy makes it.
fn unit(word: u64) -> f64 {
    (word >> 11) as f64 / (1u64 << 53) as f64
}

/// The same with 24 bits, so that it is exact in binary32.
fn short_unit(word: u64) -> f32 {
    (word >> 40) as f32 / (1u32 << 24) as f32
}

/// A number of the standard normal distribution from two words, by the transformation of Box and Muller. The
/// functions are correctly rounded, and so is each operation.
fn normal(first: u64, second: u64) -> f32 {
    let radius = (-2.0 * Function::Log.of(1.0 - short_unit(first))).sqrt();
    radius * Function::Cos.of(std::f32::consts::TAU * short_unit(second))
}

/// The key of a node: the bits of its seed, which is a float or an integer.
fn key(call: &Call<'_>) -> Result<u64, NodeError> {
    match call.node.attributes.get("seed") {
        Some(onnx::Attribute::Int(seed)) => Ok(seed.cast_unsigned()),
        Some(_) => call.float("seed").map(|seed| seed.unwrap_or(0.0).to_bits().into()),
        None => Err(value_error("seed", &"missing", NO_SEED)),
    }
}

/// Checks the number of elements of a shape.
fn count(call: &Call<'_>, shape: &[u64]) -> Result<usize, NodeError> {
    let most = MOST.min(call.import.limit / 8);
    let count = dnn_lib::tensor::elements(shape).filter(|&count| count <= most);
    let supported = || format!("at most {most} elements");
    count.map(|count| count as usize).ok_or_else(|| value_error("shape", &format!("{shape:?}"), &supported()))
}

/// Elements as bytes. A half is rounded from binary32.
fn bytes(dtype: DType, numbers: impl Iterator<Item = f64>) -> Result<Bytes, NodeError> {
    match dtype {
        DType::F64 => Ok(numbers.flat_map(f64::to_le_bytes).collect()),
        DType::F32 => Ok(numbers.flat_map(|x| (x as f32).to_le_bytes()).collect()),
        DType::F16 | DType::BF16 => {
            let half = |x: f64| (narrow(dtype, (x as f32).to_bits().into()) as u16).to_le_bytes();
            Ok(numbers.flat_map(half).collect())
        }
        found => Err(value_error("dtype", &onnx::element_name(found), "float, double, float16, bfloat16")),
    }
}

/// The type of the output: that of the input, unless the attributes say something else.
fn ty(call: &Call<'_>) -> Result<TensorType, NodeError> {
    let like = call.optional(0).map(|input| call.ty(input).clone());
    let shape = match &like {
        Some(like) => like.shape.clone(),
        None if call.node.attributes.contains_key("shape") => call.sizes("shape")?,
        None => return Err(NodeError::MissingAttribute { attribute: "shape" }),
    };
    let dtype = call.element_type("dtype")?.or(like.map(|like| like.dtype)).unwrap_or(DType::F32);
    Ok(TensorType::new(dtype, shape))
}

/// RandomUniform and RandomUniformLike: low + (high - low) u in binary64, rounded to the type of the elements.
pub(super) fn uniform(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (ty, key) = (ty(call)?, key(call)?);
    let [low, high] = [("low", 0.0), ("high", 1.0)]
        .map(|(name, default)| call.float(name).map(|x| f64::from(x.unwrap_or(default))));
    let (low, high) = (low?, high?);
    let numbers = words(key).map(|word| low + (high - low) * unit(word)).take(count(call, &ty.shape)?);
    constant(call, ty, numbers)
}

/// RandomNormal and RandomNormalLike: mean + scale z in binary32.
pub(super) fn normal_of(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    let (ty, key) = (ty(call)?, key(call)?);
    let (mean, scale) = (call.float("mean")?.unwrap_or(0.0), call.float("scale")?.unwrap_or(1.0));
    let mut words = words(key);
    let pairs = std::iter::from_fn(|| words.next().zip(words.next()));
    let numbers = pairs.map(|(first, second)| f64::from(mean + scale * normal(first, second)));
    let numbers = numbers.take(count(call, &ty.shape)?);
    constant(call, ty, numbers)
}

/// The node's output as a constant.
fn constant(
    call: &mut Call<'_>,
    ty: TensorType,
    numbers: impl Iterator<Item = f64>,
) -> Result<Vec<TensorId>, NodeError> {
    let bytes = bytes(ty.dtype, numbers)?;
    let constant = call.constant("numbers", ty, bytes);
    call.apply_to(op::Identity, &[constant])
}

/// Numbers from 0 to 1 in binary32, which is left out.
fn units(call: &mut Call<'_>, shape: &[u64]) -> Result<TensorId, NodeError> {
    let numbers = words(key(call)?).map(|word| short_unit(word).into()).take(count(call, shape)?);
    let bytes = bytes(DType::F32, numbers)?;
    Ok(call.constant("units", TensorType::new(DType::F32, shape), bytes))
}

/// Whether a number is below the probability, rounded to binary32 if it is a double.
pub(super) fn bernoulli(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    call.check_float(0)?;
    let input = call.input(0)?;
    let ty = call.ty(input).clone();
    let to = call.element_type("dtype")?.unwrap_or(ty.dtype);
    let units = units(call, &ty.shape)?;
    let probability = call.cast("probability", input, DType::F32)?;
    let below = call.step("below", op::Less, &[units, probability])?;
    call.apply_to(op::Cast { to }, &[below])
}

/// The first class at which the sum of exponentials is above a number times the sum of all of them. Exponentials are
/// taken of what the largest logarithm exceeds.
pub(super) fn multinomial(call: &mut Call<'_>) -> Result<Vec<TensorId>, NodeError> {
    call.check_float(0)?;
    let input = call.input(0)?;
    let [batch, classes] = call.shape(0, input)?;
    if classes == 0 {
        return Err(call.shape_error(0, "[batch, classes] with at least one class"));
    }
    let samples = call.int("sample_size")?.unwrap_or(1);
    let samples =
        u64::try_from(samples).map_err(|_| value_error("sample_size", &samples, "numbers from 0"))?;
    let to = call.element_type("dtype")?.unwrap_or(DType::I32);
    if !matches!(to, DType::I32 | DType::I64) {
        return Err(value_error("dtype", &onnx::element_name(to), "int32, int64"));
    }
    let logarithms = call.cast("logarithms", input, DType::F32)?;
    let most = op::ReduceMax { axes: Some(vec![1]), keep_dims: true };
    let most = call.step("most", most, &[logarithms])?;
    let less = call.step("less", op::Sub, &[logarithms, most])?;
    let weights = call.step("weights", op::Exp, &[less])?;
    let sums = call.step("sums", op::CumSum { axis: 1, exclusive: false, reverse: false }, &[weights])?;
    let last = op::Slice { axes: Some(vec![1]), starts: vec![-1], ends: vec![i64::MAX], steps: vec![1] };
    let all = call.step("all", last, &[sums])?;
    let units = units(call, &[batch, samples])?;
    let places = call.step("places", op::Mul, &[units, all])?;
    let (sums, places) = (
        call.reshaped("by_class", sums, &[batch, 1, classes])?,
        call.reshaped("by_sample", places, &[batch, samples, 1])?,
    );
    let passed = call.step("passed", op::LessOrEqual, &[sums, places])?;
    let passed = call.cast("ones", passed, DType::I64)?;
    let count = op::ReduceSum { axes: Some(vec![2]), keep_dims: false };
    let class = call.step("class", count, &[passed])?;
    let last = call.constant_list("last", &[classes.cast_signed() - 1]);
    let class = call.step("known", op::Min, &[class, last])?;
    call.apply_to(op::Cast { to }, &[class])
}

/// Dropout during training: an element is kept if its number is not below the ratio, and multiplied by 1 / (1 -
/// ratio). The second output says which were kept.
pub(super) fn dropout(call: &mut Call<'_>, ratio: Option<TensorId>) -> Result<Vec<TensorId>, NodeError> {
    call.check_float(0)?;
    let input = call.input(0)?;
    let ty = call.ty(input).clone();
    let computed = Type::of(ty.dtype).dtype();
    let ratio = match ratio {
        Some(ratio) => ratio,
        None => {
            let ratio = call.float("ratio")?.unwrap_or(0.5);
            call.number("ratio", ratio, computed)
        }
    };
    let units = units(call, &ty.shape)?;
    let limit = call.cast("limit", ratio, DType::F32)?;
    let kept = call.step("kept", op::GreaterOrEqual, &[units, limit])?;
    let [zero, one] = [("zero", 0.0), ("one", 1.0)].map(|(name, x)| call.number(name, x, computed));
    let ratio = call.cast("wide_ratio", ratio, computed)?;
    let rest = call.step("rest", op::Sub, &[one, ratio])?;
    let factor = call.step("factor", op::Div, &[one, rest])?;
    let wide = call.cast("wide", input, computed)?;
    let scaled = call.step("scaled", op::Mul, &[wide, factor])?;
    let result = call.step("result", op::Where, &[kept, scaled, zero])?;
    let result = call.cast("stored", result, ty.dtype)?;
    Ok(vec![call.as_output(0, result)?, call.as_output(1, kept)?])
}

#[cfg(test)]
mod tests {
    use super::{normal, unit, words};

    /// The bits of the binary32 number 3.5, as of an attribute.
    const KEY: u64 = 0x4060_0000;

    #[test]
    fn words_are_those_of_numpy() {
        // numpy.random.Philox(key=key).random_raw(6)
        let expected: [(u64, [u64; 6]); 2] = [
            (
                0,
                [
                    0x02f4_ba64_08e4_d89b,
                    0x3dd6_2b0b_9ca8_c5b2,
                    0x1c86_67a5_5d90_2e79,
                    0x907d_7a05_2fd5_b4dc,
                    0x809b_f322_8839_87c3,
                    0x4711_28b9_e807_f7dd,
                ],
            ),
            (
                KEY,
                [
                    0x11f8_a859_b420_ef52,
                    0x14aa_bb7a_1867_078c,
                    0x1f73_6796_78aa_039b,
                    0x7083_34ef_e146_7ffb,
                    0x9d14_099f_cb31_6e30,
                    0x9d55_9f95_a5aa_d226,
                ],
            ),
        ];
        for (key, expected) in expected {
            assert_eq!(words(key).take(6).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn uniform_numbers_are_those_of_numpy() {
        // numpy.random.Generator(numpy.random.Philox(key=key)).uniform(low, high, 5).astype(numpy.float32)
        let (low, high) = (f64::from(-0.7f32), f64::from(2.3f32));
        let found = words(KEY).map(|word| ((low + (high - low) * unit(word)) as f32).to_bits());
        let expected = [3_204_092_532, 3_203_032_577, 3_198_792_185, 1_058_952_811, 1_066_534_005];
        assert_eq!(found.take(5).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn normal_numbers_are_what_the_formula_says() {
        // By mpmath with 200 bits, rounded at each step.
        let words: Vec<u64> = words(KEY).take(8).collect();
        let found: Vec<u32> = words.chunks(2).map(|pair| normal(pair[0], pair[1]).to_bits()).collect();
        assert_eq!(found, [0x3eaa_c061, 0xbef3_7128, 0xbf84_b51d, 0xbe79_3bea]);
    }
}
