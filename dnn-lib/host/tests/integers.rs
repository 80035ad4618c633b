//! Sums of products of bytes.

use dnn_lib::definition::{Affine, Builder, Over, Source};
use dnn_lib::scalar::{Conversion, Ops, Type, Value};
use dnn_lib::tensor::{DType, TensorType};

use host::{Isa, Prepared};

use crate::check::{Numbers, check, check_with};

const BYTES: [DType; 2] = [DType::U8, DType::I8];

/// An element of a factor, less its zero point.
fn counted(b: &mut Builder, input: u32, at: Vec<Affine>, zero: Option<Vec<Affine>>) -> Value {
    let x = b.load(Source::Input(input), at);
    let Some(zero) = zero else { return x };
    let zero = b.load(Source::Input(input + 2), zero);
    b.sub(x, zero)
}

/// The sum as it is, or scaled, with a bias along an axis, and saturated.
fn end(b: &mut Builder, sum: Value, output: DType, bias: Affine) -> Value {
    if output == DType::I32 {
        return sum;
    }
    let bias = b.load(Source::Input(4), [bias]);
    let sum = b.add(sum, bias);
    let sum = b.cast(DType::I32, DType::F32, sum);
    let scale = b.load(Source::Input(5), [] as [Affine; 0]);
    let scaled = b.mul(sum, scale);
    if output == DType::F32 {
        return scaled;
    }
    let rounded = b.round(scaled);
    let integer = b.convert(Conversion::FloatToInt, Type::I32, rounded);
    let (least, most) = (b.i32(0), b.i32(255));
    let integer = b.max(integer, least);
    b.min(integer, most)
}

fn is_contraction(definition: &dnn_lib::definition::Definition) -> bool {
    Prepared::new(Isa::available()[0], definition).unwrap().is_contraction()
}

/// Stacks of matrices of bytes: how many of them there are of the right factor, and whether columns of the factors
/// are side by side, or rows are.
struct Matrices {
    stack: u64,
    right_stack: u64,
    sizes: [u64; 3],
    turned: [bool; 2],
    dtypes: [DType; 2],
    /// No zero point, one, or one for each row or column.
    zeros: [Option<bool>; 2],
    output: DType,
}

fn product(case: &Matrices, seed: u64) {
    let [m, k, n] = case.sizes;
    let pair = |turned: bool, a: u64, b: u64| if turned { [b, a] } else { [a, b] };
    let [left, right] = [pair(case.turned[0], m, k), pair(case.turned[1], k, n)];
    let shape = |stack: u64, of: [u64; 2]| [stack, of[0], of[1]];
    let zero = |side: usize, count: u64| if case.zeros[side] == Some(true) { vec![count] } else { vec![1] };
    let inputs = [
        TensorType::new(case.dtypes[0], shape(case.stack, left)),
        TensorType::new(case.dtypes[1], shape(case.right_stack, right)),
        TensorType::new(case.dtypes[0], zero(0, m)),
        TensorType::new(case.dtypes[1], zero(1, n)),
        TensorType::new(DType::I32, [n]),
        TensorType::new(DType::F32, []),
    ];
    let output = TensorType::new(case.output, [case.stack, m, n]);
    let mut b = Builder::new("product", &inputs, &output);
    let o = b.indices();
    let nothing = b.i32(0);
    let sum = b.fold([Over::all(k)], &[nothing], |b, at, sum| {
        let stack = if case.right_stack == 1 { Affine::from(0) } else { o[0].clone() };
        let place = |turned: bool, a: &Affine, b: &Affine| {
            if turned { vec![b.clone(), a.clone()] } else { vec![a.clone(), b.clone()] }
        };
        let left = [vec![o[0].clone()], place(case.turned[0], &o[1], &at[0])].concat();
        let right = [vec![stack], place(case.turned[1], &at[0], &o[2])].concat();
        let zero = |side: usize, along: &Affine| match case.zeros[side] {
            None => None,
            Some(true) => Some(vec![along.clone()]),
            Some(false) => Some(vec![Affine::from(0)]),
        };
        let (x, y) = (counted(b, 0, left, zero(0, &o[1])), counted(b, 1, right, zero(1, &o[2])));
        let product = b.mul(x, y);
        vec![b.add(sum[0], product)]
    });
    let value = end(&mut b, sum[0], case.output, o[2].clone());
    let definition = b.finish(value).unwrap();
    assert!(is_contraction(&definition), "{definition}");
    check_with(&definition, seed);
}

#[test]
fn matrix_products() {
    let mut numbers = Numbers(1);
    for seed in 0..60 {
        let zeros = [None, Some(false), Some(true)];
        let stack = *numbers.pick(&[1, 1, 3]);
        let case = Matrices {
            stack,
            right_stack: *numbers.pick(&[1, stack]),
            sizes: [
                *numbers.pick(&[2, 3, 17, 40]),
                *numbers.pick(&[2, 3, 4, 7, 33, 64, 130]),
                *numbers.pick(&[2, 5, 16, 33, 70]),
            ],
            turned: [numbers.chance(30), numbers.chance(30)],
            dtypes: [*numbers.pick(&BYTES), *numbers.pick(&BYTES)],
            zeros: [*numbers.pick(&zeros), *numbers.pick(&zeros)],
            output: *numbers.pick(&[DType::I32, DType::U8, DType::F32]),
        };
        product(&case, seed);
    }
}

struct Convolved {
    groups: u64,
    channels: u64,
    filters: u64,
    size: [u64; 2],
    kernel: [u64; 2],
    stride: u64,
    dilation: u64,
    pad: u64,
    dtypes: [DType; 2],
    zeros: [Option<bool>; 2],
    output: DType,
}

fn convolution(c: &Convolved, seed: u64) {
    let out = |axis: usize| (c.size[axis] + 2 * c.pad - (c.kernel[axis] - 1) * c.dilation - 1) / c.stride + 1;
    let filters = if c.zeros[1] == Some(true) { [c.groups, c.filters] } else { [1, 1] };
    let inputs = [
        TensorType::new(c.dtypes[0], [2, c.groups, c.channels, c.size[0], c.size[1]]),
        TensorType::new(c.dtypes[1], [c.groups, c.filters, c.channels, c.kernel[0], c.kernel[1]]),
        TensorType::new(c.dtypes[0], []),
        TensorType::new(c.dtypes[1], filters),
        TensorType::new(DType::I32, [c.filters]),
        TensorType::new(DType::F32, []),
    ];
    let output = TensorType::new(c.output, [2, c.groups, c.filters, out(0), out(1)]);
    let mut b = Builder::new("conv", &inputs, &output);
    let nothing = b.i32(0);
    let o = b.indices();
    let start = |axis: usize| o[3 + axis].clone() * c.stride as i64 - c.pad as i64;
    let window = |axis: usize| Over::window(c.kernel[axis], start(axis), c.dilation, c.size[axis]);
    let over = [window(0), window(1), Over::all(c.channels)];
    let sum = b.fold(over, &[nothing], |b, at, sum| {
        let position = |axis: usize| start(axis) + at[axis].clone() * c.dilation as i64;
        let image = vec![o[0].clone(), o[1].clone(), at[2].clone(), position(0), position(1)];
        let weight = vec![o[1].clone(), o[2].clone(), at[2].clone(), at[0].clone(), at[1].clone()];
        let weight_zero = match c.zeros[1] {
            None => None,
            Some(true) => Some(vec![o[1].clone(), o[2].clone()]),
            Some(false) => Some(vec![Affine::from(0); 2]),
        };
        let image = counted(b, 0, image, c.zeros[0].map(|_| Vec::new()));
        let weight = counted(b, 1, weight, weight_zero);
        let product = b.mul(image, weight);
        vec![b.add(sum[0], product)]
    });
    let value = end(&mut b, sum[0], c.output, o[2].clone());
    let definition = b.finish(value).unwrap();
    // Not if a kernel reaches far beyond the image: that would have to be written around it.
    assert_eq!(is_contraction(&definition), c.dilation < 1 << 30, "{definition}");
    check_with(&definition, seed);
}

#[test]
fn kernels_that_reach_far_take_no_memory() {
    for (dilation, pad) in [(1 << 40, 1 << 39), (1 << 31, 1 << 30)] {
        convolution(
            &Convolved {
                groups: 1,
                channels: 4,
                filters: 8,
                size: [5, 5],
                kernel: [2, 2],
                stride: pad,
                dilation,
                pad,
                dtypes: BYTES,
                zeros: [Some(false), None],
                output: DType::U8,
            },
            1,
        );
    }
}

#[test]
fn convolutions() {
    let mut numbers = Numbers(2);
    for seed in 0..60 {
        let zeros = [None, Some(false), Some(true)];
        let (channels, filters) = *numbers.pick(&[(1, 1), (3, 8), (4, 5), (7, 40), (16, 20), (1, 9)]);
        let kernel = [*numbers.pick(&[1, 2, 3]), *numbers.pick(&[1, 3, 5])];
        let case = Convolved {
            groups: *numbers.pick(&[1, 1, 2, 5]),
            channels,
            filters,
            size: *numbers.pick(&[[9, 9], [6, 33], [12, 5]]),
            kernel,
            stride: *numbers.pick(&[1, 1, 2]),
            dilation: 1,
            pad: *numbers.pick(&[0, 1, 2]),
            dtypes: [*numbers.pick(&BYTES), *numbers.pick(&BYTES)],
            zeros: [*numbers.pick(&zeros), *numbers.pick(&zeros)],
            output: *numbers.pick(&[DType::I32, DType::U8, DType::F32]),
        };
        convolution(&case, seed);
    }
}

/// Sums that are as large as they can be, and some that don't fit into 32 bits.
#[test]
fn extremes() {
    for (left, right) in [(0u8, 0x80u8), (255, 0x7f), (255, 0x80)] {
        let k = 70_000u64;
        let inputs = [
            TensorType::new(DType::U8, [2, k]),
            TensorType::new(DType::I8, [k, 3]),
            TensorType::new(DType::U8, []),
            TensorType::new(DType::I8, []),
        ];
        let mut b = Builder::new("product", &inputs, &TensorType::new(DType::I32, [2, 3]));
        let (row, column, nothing) = (b.at(0), b.at(1), b.i32(0));
        let sum = b.fold([Over::all(k)], &[nothing], |b, at, sum| {
            let x = counted(b, 0, vec![row.clone(), at[0].clone()], Some(Vec::new()));
            let y = counted(b, 1, vec![at[0].clone(), column.clone()], Some(Vec::new()));
            let product = b.mul(x, y);
            vec![b.add(sum[0], product)]
        });
        let definition = b.finish(sum[0]).unwrap();
        let inputs =
            [vec![left; 2 * k as usize], vec![right; 3 * k as usize], vec![255 - left], vec![!right]];
        check(&definition, &inputs, &mut Numbers(3)).unwrap();
    }
}
