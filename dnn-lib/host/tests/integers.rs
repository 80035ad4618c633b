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

/// What comes after a sum: it is the output, or it is scaled, and perhaps quantized.
#[derive(Clone, Copy, Debug)]
struct End {
    output: DType,
    /// Whether there are a bias before and one after a factor, and whether they change along an axis.
    bias: Option<bool>,
    factor: Option<bool>,
    addend: Option<bool>,
    cuts: bool,
    /// Whether it is divided by its scale, or multiplied, or neither.
    divides: Option<bool>,
    /// Whether there is a zero point.
    zero: bool,
    /// Whether the operands of sums and products change places.
    swaps: bool,
}

impl End {
    fn random(numbers: &mut Numbers) -> Self {
        let along = [None, Some(false), Some(true)];
        Self {
            output: *numbers.pick(&[DType::I32, DType::U8, DType::U8, DType::I8, DType::F32]),
            bias: *numbers.pick(&along),
            factor: *numbers.pick(&along),
            addend: *numbers.pick(&along),
            cuts: numbers.chance(30),
            divides: *numbers.pick(&[None, Some(false), Some(true)]),
            zero: numbers.chance(60),
            swaps: numbers.chance(30),
        }
    }

    /// The inputs after the factors and their zero points, for an axis of this size.
    fn inputs(&self, size: u64) -> [TensorType; 5] {
        let output = if self.output == DType::I8 { DType::I8 } else { DType::U8 };
        [
            TensorType::new(DType::I32, [size]),
            TensorType::new(DType::F32, [size]),
            TensorType::new(DType::F32, [size]),
            TensorType::new(DType::F32, []),
            TensorType::new(output, []),
        ]
    }

    /// The result of a sum. Biases and factors change along an axis.
    fn of(&self, b: &mut Builder, sum: Value, axis: &Affine) -> Value {
        if self.output == DType::I32 {
            return sum;
        }
        let number = |b: &mut Builder, input: u32, along: bool| {
            let at = if along { axis.clone() } else { Affine::from(0) };
            b.load(Source::Input(input), [at])
        };
        let swapped = |x: Value, y: Value| if self.swaps { (y, x) } else { (x, y) };
        let mut sum = sum;
        if let Some(along) = self.bias {
            let bias = number(b, 4, along);
            let (x, y) = swapped(sum, bias);
            sum = b.add(x, y);
        }
        let mut x = b.cast(DType::I32, DType::F32, sum);
        if let Some(along) = self.factor {
            let factor = number(b, 5, along);
            // Numbers may be computed themselves.
            let half = b.f32(0.5);
            let factor = b.mul(factor, half);
            let (x_, y) = swapped(x, factor);
            x = b.mul(x_, y);
        }
        if let Some(along) = self.addend {
            let addend = number(b, 6, along);
            let (x_, y) = swapped(x, addend);
            x = b.add(x_, y);
        }
        if self.cuts {
            let zero = b.f32(0.0);
            let less = b.le(x, zero);
            x = b.select(less, zero, x);
        }
        if self.output == DType::F32 {
            return x;
        }
        let scale = b.load(Source::Input(7), [] as [Affine; 0]);
        x = match self.divides {
            None => x,
            Some(true) => b.div(x, scale),
            Some(false) => b.mul(x, scale),
        };
        self.quantized(b, x)
    }

    fn quantized(&self, b: &mut Builder, x: Value) -> Value {
        let rounded = b.round(x);
        let integer = b.convert(Conversion::FloatToInt, Type::I32, rounded);
        let (least, most) = if self.output == DType::I8 { (-128, 127) } else { (0, 255) };
        let (least, most) = (b.i32(least), b.i32(most));
        let zero = self.zero.then(|| b.load(Source::Input(8), [] as [Affine; 0]));
        let (least, most) = match zero {
            Some(zero) => (b.sub(least, zero), b.sub(most, zero)),
            None => (least, most),
        };
        let integer = b.max(integer, least);
        let integer = b.min(integer, most);
        zero.map_or(integer, |zero| b.add(integer, zero))
    }
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
    along_rows: bool,
    /// No zero point, one, or one for each row or column.
    zeros: [Option<bool>; 2],
    end: End,
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
    ];
    // Biases and factors are along the rows, or along the columns.
    let axis = if case.along_rows { 1 } else { 2 };
    let inputs = [&inputs[..], &case.end.inputs([case.stack, m, n][axis])].concat();
    let output = TensorType::new(case.end.output, [case.stack, m, n]);
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
    let value = case.end.of(&mut b, sum[0], &o[axis]);
    let definition = b.finish(value).unwrap();
    assert!(is_contraction(&definition), "{definition}");
    check_with(&definition, seed);
}

#[test]
fn matrix_products() {
    let mut numbers = Numbers(1);
    for seed in 0..150 {
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
            along_rows: numbers.chance(40),
            zeros: [*numbers.pick(&zeros), *numbers.pick(&zeros)],
            end: End::random(&mut numbers),
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
    end: End,
}

fn convolution(c: &Convolved, seed: u64) {
    let out = |axis: usize| (c.size[axis] + 2 * c.pad - (c.kernel[axis] - 1) * c.dilation - 1) / c.stride + 1;
    let filters = if c.zeros[1] == Some(true) { [c.groups, c.filters] } else { [1, 1] };
    let inputs = [
        TensorType::new(c.dtypes[0], [2, c.groups, c.channels, c.size[0], c.size[1]]),
        TensorType::new(c.dtypes[1], [c.groups, c.filters, c.channels, c.kernel[0], c.kernel[1]]),
        TensorType::new(c.dtypes[0], []),
        TensorType::new(c.dtypes[1], filters),
    ];
    let inputs = [&inputs[..], &c.end.inputs(c.filters)].concat();
    let output = TensorType::new(c.end.output, [2, c.groups, c.filters, out(0), out(1)]);
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
    let value = c.end.of(&mut b, sum[0], &o[2]);
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
                end: End::random(&mut Numbers(1)),
            },
            1,
        );
    }
}

#[test]
fn convolutions() {
    let mut numbers = Numbers(2);
    for seed in 0..150 {
        let zeros = [None, Some(false), Some(true)];
        let (channels, filters) = *numbers.pick(&[(1, 1), (3, 8), (4, 5), (7, 40), (16, 20), (1, 9)]);
        let kernel = [*numbers.pick(&[1, 2, 3]), *numbers.pick(&[1, 3, 5])];
        let case = Convolved {
            groups: *numbers.pick(&[1, 1, 2, 5]),
            channels,
            filters,
            size: *numbers.pick(&[[9, 9], [6, 33], [12, 5], [3, 5]]),
            kernel,
            stride: *numbers.pick(&[1, 1, 2]),
            dilation: 1,
            pad: *numbers.pick(&[0, 1, 2]),
            dtypes: [*numbers.pick(&BYTES), *numbers.pick(&BYTES)],
            zeros: [*numbers.pick(&zeros), *numbers.pick(&zeros)],
            end: End::random(&mut numbers),
        };
        convolution(&case, seed);
    }
}

/// Of one pixel, the results of filters are side by side.
#[test]
fn convolutions_of_one_pixel() {
    let mut numbers = Numbers(4);
    for seed in 0..40 {
        let case = Convolved {
            groups: *numbers.pick(&[1, 1, 2]),
            channels: *numbers.pick(&[4, 7]),
            filters: *numbers.pick(&[9, 40, 70]),
            size: [3, 5],
            kernel: [3, 5],
            stride: 1,
            dilation: 1,
            pad: 0,
            dtypes: [*numbers.pick(&BYTES), *numbers.pick(&BYTES)],
            zeros: [*numbers.pick(&[None, Some(false)]), *numbers.pick(&[None, Some(true)])],
            end: End::random(&mut numbers),
        };
        convolution(&case, seed);
    }
}

/// A zero point may be of another type than what is counted from it: then it is no byte of that.
#[test]
fn zero_points_of_another_type() {
    for (dtypes, zeros) in [(BYTES, [BYTES[1], BYTES[0]]), ([BYTES[1]; 2], [BYTES[0]; 2])] {
        let inputs = [
            TensorType::new(dtypes[0], [1, 4, 6, 6]),
            TensorType::new(dtypes[1], [5, 4, 3, 3]),
            TensorType::new(zeros[0], []),
            TensorType::new(zeros[1], []),
        ];
        let mut b = Builder::new("conv", &inputs, &TensorType::new(DType::I32, [1, 5, 6, 6]));
        let (o, nothing) = (b.indices(), b.i32(0));
        let window = |axis: usize| Over::window(3, o[2 + axis].clone() - 1, 1, 6);
        let sum = b.fold([window(0), window(1), Over::all(4)], &[nothing], |b, at, sum| {
            let position = |axis: usize| o[2 + axis].clone() - 1 + at[axis].clone();
            let image = vec![o[0].clone(), at[2].clone(), position(0), position(1)];
            let weight = vec![o[1].clone(), at[2].clone(), at[0].clone(), at[1].clone()];
            let (x, y) = (counted(b, 0, image, Some(Vec::new())), counted(b, 1, weight, Some(Vec::new())));
            let product = b.mul(x, y);
            vec![b.add(sum[0], product)]
        });
        let definition = b.finish(sum[0]).unwrap();
        let numbers = &mut Numbers(5);
        let mut bytes = |index: usize| crate::check::tensor(&inputs[index], numbers);
        let inputs = [bytes(0), bytes(1), vec![0xfb], vec![0x85]];
        check(&definition, &inputs, &mut Numbers(6)).unwrap();
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
