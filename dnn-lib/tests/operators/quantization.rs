//! Quantized numbers and products of integers.

use dnn_lib::operator::{
    Blocks, Conv, ConvInteger, DequantizeLinear, DynamicScale, MatMul, MatMulInteger, MatMulNBits, Operator,
    Padding, QuantizeLinear, Requantize, Window,
};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::{element, indices, observed, run_output};

/// Integers of some type, or floats that are integers.
#[derive(Clone, Debug)]
struct Numbers {
    dtype: DType,
    shape: Vec<u64>,
    data: Vec<i64>,
}

impl Numbers {
    fn ty(&self) -> TensorType {
        TensorType::new(self.dtype, self.shape.clone())
    }

    fn bytes(&self) -> Vec<u8> {
        let size = self.dtype.size() as usize;
        if self.dtype.is_packed() {
            let half = |x: i64| (x & 15) as u8;
            return self.data.chunks(2).map(|x| half(x[0]) | half(*x.get(1).unwrap_or(&0)) << 4).collect();
        }
        self.data.iter().flat_map(|x| x.to_le_bytes()[..size].to_vec()).collect()
    }

    /// The element that is broadcast to an index.
    fn at(&self, index: &[u64]) -> i64 {
        self.data[place(&self.shape, index)]
    }
}

/// The place of the element of a shape that is broadcast to an index.
fn place(shape: &[u64], index: &[u64]) -> usize {
    let own = &index[index.len() - shape.len()..];
    shape.iter().zip(own).fold(0, |place, (&size, &at)| place * size + if size == 1 { 0 } else { at })
        as usize
}

fn range(dtype: DType) -> (i64, i64) {
    match dtype {
        DType::I4 => (-8, 7),
        DType::U4 => (0, 15),
        DType::I8 => (-128, 127),
        DType::I16 => (-32768, 32767),
        DType::U16 => (0, 65535),
        DType::I32 => (i32::MIN.into(), i32::MAX.into()),
        DType::U32 => (0, u32::MAX.into()),
        DType::I64 => (i64::MIN, i64::MAX),
        _ => (0, 255),
    }
}

fn numbers(dtype: DType, shape: Vec<u64>) -> impl Strategy<Value = Numbers> {
    let (least, most) = range(dtype);
    let number = prop_oneof![4 => least..=most, 1 => Just(least), 1 => Just(most)];
    let count = shape.iter().product::<u64>() as usize;
    prop::collection::vec(number, count).prop_map(move |data| Numbers { dtype, shape: shape.clone(), data })
}

fn quantized_type() -> impl Strategy<Value = DType> {
    prop::sample::select(vec![DType::U8, DType::I8, DType::U16, DType::I16, DType::U4, DType::I4])
}

fn byte() -> impl Strategy<Value = DType> {
    prop::sample::select(vec![DType::U8, DType::I8])
}

/// A positive number, or occasionally one that is not.
fn scale() -> impl Strategy<Value = f32> {
    prop_oneof![20 => 0.001..2.0f32, 1 => element()]
}

fn scales(shape: Vec<u64>) -> impl Strategy<Value = (Vec<u64>, Vec<f32>)> {
    let count = shape.iter().product::<u64>() as usize;
    prop::collection::vec(scale(), count).prop_map(move |data| (shape.clone(), data))
}

fn floats(data: &[f32]) -> Vec<u8> {
    data.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The integers in memory. Of an odd number of packed ones, the last is followed by a 0.
fn integers(dtype: DType, bytes: &[u8]) -> Vec<i64> {
    let sign = |x: u8| if dtype == DType::I4 && x > 7 { i64::from(x) - 16 } else { i64::from(x) };
    if dtype.is_packed() {
        return bytes.iter().flat_map(|&byte| [sign(byte & 15), sign(byte >> 4)]).collect();
    }
    let size = dtype.size() as usize;
    let extend = |bytes: &[u8]| {
        let mut wide = if range(dtype).0 < 0 && bytes[size - 1] >> 7 == 1 { [0xff; 8] } else { [0; 8] };
        wide[..size].copy_from_slice(bytes);
        i64::from_le_bytes(wide)
    };
    bytes.chunks(size).map(extend).collect()
}

/// Rounded to even, counted from the zero point, and saturated.
fn quantize(x: f32, zero: i64, to: DType) -> i64 {
    let (least, most) = range(to);
    // A NaN becomes 0.
    (i64::from(x.round_ties_even() as i32) + zero).clamp(least, most)
}

fn execute(operator: impl Into<Operator>, output: usize, inputs: &[(TensorType, Vec<u8>)]) -> Vec<u8> {
    let types: Vec<TensorType> = inputs.iter().map(|input| input.0.clone()).collect();
    let bytes: Vec<&[u8]> = inputs.iter().map(|input| &input.1[..]).collect();
    run_output(&operator.into(), output, &types, &bytes).1
}

/// A shape, one that is broadcast to it or has its blocks, and the blocks.
fn with_scales() -> impl Strategy<Value = (Vec<u64>, Vec<u64>, Option<Blocks>)> {
    (prop::collection::vec(1..=5u64, 1..=3), 0..5usize, 1..=4u64, any::<bool>()).prop_map(
        |(shape, kind, size, from_end)| {
            let mut own = shape.clone();
            let axis = kind % shape.len();
            match kind {
                0 => (shape, vec![], None),
                1 => (shape.clone(), vec![shape[shape.len() - 1]], None),
                2 => (shape, own, None),
                _ => {
                    own[axis] = own[axis].div_ceil(size);
                    let end = if from_end { shape.len() as i64 } else { 0 };
                    (shape, own, Some(Blocks { axis: axis as i64 - end, size }))
                }
            }
        },
    )
}

/// The index of an element's scale.
fn scale_index(index: &[u64], blocks: Option<Blocks>) -> Vec<u64> {
    let mut index = index.to_vec();
    if let Some(Blocks { axis, size }) = blocks {
        let axis = if axis < 0 { axis + index.len() as i64 } else { axis } as usize;
        index[axis] /= size;
    }
    index
}

proptest! {
    #[test]
    fn floats_are_quantized(
        (shape, x, (scale_shape, scale), blocks, zero) in
            (with_scales(), quantized_type()).prop_flat_map(|((shape, own, blocks), to)| {
                let count = shape.iter().product::<u64>() as usize;
                let x = prop::collection::vec(prop_oneof![element(), -1e6..1e6f32], count);
                (Just(shape), x, scales(own.clone()), Just(blocks), numbers(to, own))
            }),
        with_zero: bool,
    ) {
        let to = zero.dtype;
        let mut inputs = vec![
            (TensorType::new(DType::F32, shape.clone()), floats(&x)),
            (TensorType::new(DType::F32, scale_shape.clone()), floats(&scale)),
        ];
        if with_zero {
            inputs.push((zero.ty(), zero.bytes()));
        }
        let y = integers(to, &execute(QuantizeLinear { to, blocks }, 0, &inputs));
        prop_assert!(y[x.len()..].iter().all(|&rest| rest == 0));
        for (at, (index, y)) in indices(&shape).zip(y).enumerate() {
            let own = scale_index(&index, blocks);
            let zero = if with_zero { zero.at(&own) } else { 0 };
            let right = quantize(x[at] / scale[place(&scale_shape, &own)], zero, to);
            prop_assert_eq!(y, right, "at {:?}", index);
        }
    }

    #[test]
    fn quantized_numbers_are_floats_again(
        (x, (scale_shape, scale), blocks, zero) in
            (with_scales(), prop_oneof![quantized_type(), Just(DType::I32)]).prop_flat_map(
                |((shape, own, blocks), from)| {
                    (numbers(from, shape), scales(own.clone()), Just(blocks), numbers(from, own))
                },
            ),
    ) {
        let inputs = [
            (x.ty(), x.bytes()),
            (TensorType::new(DType::F32, scale_shape.clone()), floats(&scale)),
            (zero.ty(), zero.bytes()),
        ];
        let y = execute(DequantizeLinear { to: DType::F32, blocks }, 0, &inputs);
        for (index, y) in indices(&x.shape).zip(y.chunks_exact(4)) {
            let own = scale_index(&index, blocks);
            let distance = (x.at(&index) as i32).wrapping_sub(zero.at(&own) as i32);
            let right = distance as f32 * scale[place(&scale_shape, &own)];
            prop_assert_eq!(u32::from_le_bytes(y.try_into().unwrap()), observed(right), "at {:?}", index);
        }
    }

    #[test]
    fn products_of_bytes_are_exact(
        (a, b, a_zero, b_zero) in (1..=4u64, 0..=40u64, 1..=20u64, byte(), byte(), 0..4usize).prop_flat_map(
            |(m, k, n, left, right, kind)| {
                let (a, b) = ([vec![2, m, k], vec![m, k]][kind % 2].clone(), vec![k, n]);
                let zero_shapes = [(vec![], vec![]), (vec![m, 1], vec![n]), (vec![1], vec![1, n]), (vec![], vec![n])];
                let (a_zero, b_zero) = zero_shapes[kind].clone();
                (numbers(left, a), numbers(right, b), numbers(left, a_zero), numbers(right, b_zero))
            },
        ),
        zeros in 0..=2usize,
    ) {
        let all = [&a, &b, &a_zero, &b_zero];
        let inputs: Vec<_> = all[..2 + zeros].iter().map(|x| (x.ty(), x.bytes())).collect();
        let y = integers(DType::I32, &execute(MatMulInteger, 0, &inputs));
        let (k, rank) = (a.shape[a.shape.len() - 1], a.shape.len());
        let shape = [&a.shape[..rank - 1], &b.shape[1..]].concat();
        for (index, y) in indices(&shape).zip(y) {
            let right: i64 = (0..k).map(|k| {
                let (left, right) = ([&index[..rank - 1], &[k]].concat(), [k, index[rank - 1]]);
                let a_zero = if zeros > 0 { a_zero.at(&left) } else { 0 };
                let b_zero = if zeros > 1 { b_zero.at(&right) } else { 0 };
                (a.at(&left) - a_zero) * (b.at(&right) - b_zero)
            }).sum();
            prop_assert_eq!(y, right, "at {:?}", index);
        }
    }

    #[test]
    fn products_of_integers_wrap(
        (a, b) in (prop::sample::select(vec![DType::I32, DType::I64, DType::U32]), 1..=4u64, 0..=9u64, 1..=5u64)
            .prop_flat_map(|(dtype, m, k, n)| (numbers(dtype, vec![m, k]), numbers(dtype, vec![k, n]))),
    ) {
        let inputs = [(a.ty(), a.bytes()), (b.ty(), b.bytes())];
        let y = integers(a.dtype, &execute(MatMul, 0, &inputs));
        for (index, y) in indices(&[a.shape[0], b.shape[1]]).zip(y) {
            let term = |k: u64| a.at(&[index[0], k]).wrapping_mul(b.at(&[k, index[1]]));
            let sum = (0..a.shape[1]).map(term).fold(0i64, i64::wrapping_add);
            let right = match a.dtype {
                DType::I32 => i64::from(sum as i32),
                DType::U32 => i64::from(sum as u32),
                _ => sum,
            };
            prop_assert_eq!(y, right, "at {:?}", index);
        }
    }

    #[test]
    fn convolutions_of_bytes_are_exact(
        (x, w, x_zero, w_zero, group) in (1..=2u64, 1..=3u64, 1..=9u64, byte(), byte(), any::<bool>()).prop_flat_map(
            |(group, depth, per_group, left, right, per_channel)| {
                let channels = group * per_group;
                let w_zero = if per_channel { vec![channels] } else { vec![] };
                (
                    numbers(left, vec![2, group * depth, 5, 4]),
                    numbers(right, vec![channels, depth, 3, 2]),
                    numbers(left, vec![]),
                    numbers(right, w_zero),
                    Just(group),
                )
            },
        ),
    ) {
        let padding = Padding::Explicit(vec![(1, 1), (1, 0)]);
        let window = Window { strides: vec![2, 1], padding, ..Window::default() };
        let inputs: Vec<_> = [&x, &w, &x_zero, &w_zero].iter().map(|x| (x.ty(), x.bytes())).collect();
        let y = integers(DType::I32, &execute(ConvInteger(Conv { window, group }), 0, &inputs));
        let (channels, depth) = (w.shape[0], w.shape[1]);
        for (index, y) in indices(&[2, channels, 3, 4]).zip(y) {
            let mut sum = 0;
            for k in indices(&[depth, 3, 2]) {
                let (Some(row), Some(column)) = ((index[2] * 2 + k[1]).checked_sub(1), (index[3] + k[2]).checked_sub(1))
                else {
                    continue;
                };
                if row < 5 && column < 4 {
                    let channel = index[1] / (channels / group) * depth + k[0];
                    let w_zero = w_zero.at(if w_zero.shape.is_empty() { &[] } else { &index[1..2] });
                    sum += (x.at(&[index[0], channel, row, column]) - x_zero.data[0])
                        * (w.at(&[index[1], k[0], k[1], k[2]]) - w_zero);
                }
            }
            prop_assert_eq!(y, sum, "at {:?}", index);
        }
    }

    #[test]
    fn sums_are_quantized(
        (sum, scales, zero) in (1..=4u64, 1..=20u64, byte()).prop_flat_map(|(m, n, to)| {
            (numbers(DType::I32, vec![m, n]), [scales(vec![]), scales(vec![n]), scales(vec![])], numbers(to, vec![]))
        }),
    ) {
        let mut inputs = vec![(sum.ty(), sum.bytes())];
        inputs.extend(scales.iter().map(|(shape, x)| (TensorType::new(DType::F32, shape.clone()), floats(x))));
        inputs.push((zero.ty(), zero.bytes()));
        let to = zero.dtype;
        let y = integers(to, &execute(Requantize { to }, 0, &inputs));
        for (index, y) in indices(&sum.shape).zip(y) {
            let factor = scales[0].1[0] * scales[1].1[index[1] as usize] / scales[2].1[0];
            let right = quantize(sum.at(&index) as i32 as f32 * factor, zero.data[0], to);
            prop_assert_eq!(y, right, "at {:?}", index);
        }
    }

    #[test]
    fn packed_weights_are_multiplied(
        (a, weights, scales, zeros, operator) in (1..=3u64, 1..=30u64, 1..=4u64, 1..=3u64, any::<bool>()).prop_flat_map(
            |(rows, depth, columns, block, half)| {
                let (bits, block) = (if half { 4 } else { 8 }, block * 4);
                let blocks = depth.div_ceil(block);
                let bytes = |count: u64| count.div_ceil(8 / bits);
                (
                    scales(vec![rows, depth]),
                    numbers(DType::U8, vec![columns, blocks, bytes(block)]),
                    scales(vec![columns, blocks]),
                    numbers(DType::U8, vec![columns, bytes(blocks)]),
                    Just(MatMulNBits { depth, columns, block, bits }),
                )
            },
        ),
        with_zeros: bool,
    ) {
        let MatMulNBits { depth, columns, block, bits } = operator;
        let float = |(shape, data): &(Vec<u64>, Vec<f32>)| (TensorType::new(DType::F32, shape.clone()), floats(data));
        let mut inputs = vec![float(&a), (weights.ty(), weights.bytes()), float(&scales)];
        if with_zeros {
            inputs.push((zeros.ty(), zeros.bytes()));
        }
        let y = execute(operator, 0, &inputs);
        let unpacked = |bytes: &[i64], place: u64| match bits {
            8 => bytes[place as usize],
            _ => bytes[place as usize / 2] >> (4 * (place % 2)) & 15,
        };
        let of = |all: &Numbers, column: u64| {
            let size = all.data.len() / columns as usize;
            all.data[size * column as usize..][..size].to_vec()
        };
        for (index, y) in indices(&[a.0[0], columns]).zip(y.chunks_exact(4)) {
            let (own, zeros) = (of(&weights, index[1]), of(&zeros, index[1]));
            let mut sum = 0f32;
            // What lies beyond the end is a term of 0, which matters only if its weight is no number.
            for k in 0..depth.div_ceil(block) * block {
                let zero = if with_zeros { unpacked(&zeros, k / block) } else { 1 << (bits - 1) };
                let scale = scales.1[(index[1] * depth.div_ceil(block) + k / block) as usize];
                let weight = (unpacked(&own, k) - zero) as f32 * scale;
                let x = if k < depth { a.1[(index[0] * depth + k) as usize] } else { 0.0 };
                sum = x.mul_add(weight, sum);
            }
            prop_assert_eq!(u32::from_le_bytes(y.try_into().unwrap()), observed(sum), "at {:?}", index);
        }
    }

    #[test]
    fn a_dynamic_scale_covers_all_elements_and_zero(x in prop::collection::vec(-3.0..3.0f32, 1..50), sign in -1..=1i8) {
        let x: Vec<f32> = x.iter().map(|x| match sign {
            0 => *x,
            sign => x.abs() * f32::from(sign),
        }).collect();
        let inputs = [(TensorType::new(DType::F32, [x.len() as u64]), floats(&x))];
        let scale = f32::from_le_bytes(execute(DynamicScale, 0, &inputs).try_into().unwrap());
        let zero = execute(DynamicScale, 1, &inputs)[0];
        let (least, most) = x.iter().fold((0f32, 0f32), |(least, most), &x| (least.min(x), most.max(x)));
        prop_assert_eq!(scale, (most - least) / 255.0);
        prop_assert_eq!(i64::from(zero), quantize(-least / scale, 0, DType::U8));
    }
}

#[test]
fn a_tensor_of_zeros_has_a_scale() {
    let inputs = [(TensorType::new(DType::F32, [3]), floats(&[0.0; 3]))];
    assert_eq!(execute(DynamicScale, 0, &inputs), (1f32 / 255.0).to_le_bytes());
    assert_eq!(execute(DynamicScale, 1, &inputs), [0]);
}
