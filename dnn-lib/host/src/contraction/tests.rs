//! Every set, shape and split gives the bits of the plain loop.

use super::*;
use crate::isa::Isa;
use proptest::prelude::*;

/// Elements in which every special value turns up.
fn value() -> impl Strategy<Value = f32> {
    let special = [
        0,
        1 << 31,
        0x7f80_0000,
        0xff80_0000,
        0x7fc1_2345,
        0xffa0_0001,
        1,
        0x8000_0003,
        0x0001_0000,
        0x7f7f_ffff,
    ];
    prop_oneof![
        12 => -4.0f32..4.0,
        2 => (-1.0f32..1.0).prop_map(|x| x * 1e-22),
        1 => proptest::sample::select(special.to_vec()).prop_map(f32::from_bits),
    ]
}

fn values(length: usize) -> impl Strategy<Value = Vec<f32>> {
    proptest::collection::vec(value(), length)
}

/// A matrix's elements, with gaps and in either order.
#[derive(Clone, Debug)]
struct Strided {
    elements: Vec<f32>,
    shape: [usize; 2],
    strides: [usize; 2],
}

impl Strided {
    fn any(shape: [usize; 2]) -> impl Strategy<Value = Self> {
        (0..3usize, any::<bool>()).prop_flat_map(move |(gap, by_rows)| {
            let [rows, columns] = shape;
            let strides = if by_rows { [columns + gap, 1] } else { [1, rows + gap] };
            let length = if by_rows { rows * (columns + gap) } else { columns * (rows + gap) };
            values(length).prop_map(move |elements| Self { elements, shape, strides })
        })
    }

    fn matrix(&self) -> Matrix<'_, f32> {
        Matrix::new(&self.elements, self.shape, self.strides).unwrap()
    }

    fn at(&self, row: usize, column: usize) -> f32 {
        self.elements[row * self.strides[0] + column * self.strides[1]]
    }
}

/// What finishes sums.
#[derive(Clone, Debug, Default)]
struct Finishing {
    addends: Vec<Strided>,
    cut: bool,
}

impl Finishing {
    fn any(shape: [usize; 2]) -> impl Strategy<Value = Self> {
        let [rows, columns] = shape;
        let strides = prop_oneof![
            Just([0, 0]),
            (1..3usize).prop_map(|row| [row, 0]),
            Just([0, 1]),
            Just([columns + 2, 1])
        ];
        let addend = strides.prop_flat_map(move |strides| {
            let length = rows * strides[0] + columns * strides[1] + 1;
            values(length).prop_map(move |elements| Strided { elements, shape, strides })
        });
        (proptest::collection::vec(addend, 0..=MOST_ADDENDS), any::<bool>())
            .prop_map(|(addends, cut)| Self { addends, cut })
    }

    fn finish(&self) -> Finish<'_, f32> {
        let addends = std::array::from_fn(|i| self.addends.get(i).map(Strided::matrix));
        Finish::new(addends, self.cut).unwrap()
    }

    /// The definition: the bits of each sum when it is finished.
    fn plain(&self, sums: Vec<u32>, columns: usize) -> Vec<u32> {
        let finished = |(index, sum): (usize, u32)| {
            let (row, column) = (index / columns, index % columns);
            let add = |sum: f32, addend: &Strided| sum + addend.at(row, column);
            let sum = self.addends.iter().fold(f32::from_bits(sum), add);
            let cut = self.cut && sum <= 0.0;
            if cut { 0 } else { sum.canonical().to_bits() }
        };
        sums.into_iter().enumerate().map(finished).collect()
    }
}

/// The definition: the bits of each element of the product.
fn plain(left: &Strided, right: &Strided) -> Vec<u32> {
    let element = |row, column| {
        let sum = (0..left.shape[1]).fold(0.0, |acc, k| left.at(row, k).mul_add(right.at(k, column), acc));
        sum.canonical().to_bits()
    };
    let rows = 0..left.shape[0];
    rows.flat_map(|row| (0..right.shape[1]).map(move |column| element(row, column))).collect()
}

#[derive(Clone, Debug)]
struct Product {
    left: Strided,
    right: Strided,
    finishing: Finishing,
    cuts: [usize; 2],
}

fn product() -> impl Strategy<Value = Product> {
    let size = || prop_oneof![3 => 0..20usize, 2 => 0..80usize];
    let depth = prop_oneof![6 => 0..40usize, 1 => 500..530usize, 1 => 1020..1040usize];
    (size(), depth, prop_oneof![size(), 120..300usize]).prop_flat_map(|(rows, depth, columns)| {
        let cuts = [0..=rows, 0..=columns];
        let finishing = Finishing::any([rows, columns]);
        (Strided::any([rows, depth]), Strided::any([depth, columns]), finishing, cuts)
            .prop_map(|(left, right, finishing, cuts)| Product { left, right, finishing, cuts })
    })
}

/// Computes a product in four windows, from packed and from unpacked matrices, and has each element seen
/// once.
fn check(product: &Product, expected: &[u32], isa: Isa) {
    let Product { left, right, finishing, cuts } = product;
    let finish = finishing.finish();
    let [rows, columns] = [left.shape[0], right.shape[1]];
    let panels = Panels::pack(isa, &right.matrix());
    for packed in [true, false] {
        let stride = columns + 3;
        let mut out = vec![7.0; rows * stride];
        let mut seen = vec![0; rows * columns];
        let window = Output::new(&mut out, [rows, columns], stride).unwrap();
        let (top, bottom) = window.split_rows(cuts[0]);
        for half in [top, bottom] {
            let (start, end) = half.split_columns(cuts[1]);
            for window in [start, end] {
                let mut epilogue = |mut part: Output<'_, f32>| {
                    for row in part.rows() {
                        for column in part.columns() {
                            let value = &mut part.run(row, column..column + 1)[0];
                            let index = row * columns + column;
                            assert_eq!(value.to_bits(), expected[index], "{isa}, row {row}, column {column}");
                            seen[index] += 1;
                            *value = 1.0;
                        }
                    }
                };
                let done = if packed {
                    multiply(&left.matrix(), &panels, window, &finish, &mut epilogue)
                } else {
                    multiply_unpacked(isa, &left.matrix(), &right.matrix(), window, &finish, &mut epilogue)
                };
                done.unwrap();
            }
        }
        assert!(seen.iter().all(|&times| times == 1), "{isa} {packed} {seen:?}");
        for row in out.chunks_exact(stride) {
            assert!(row[..columns].iter().all(|&x| x == 1.0) && row[columns..].iter().all(|&x| x == 7.0));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn products_have_the_bits_of_the_plain_loop(product in product()) {
        let sums = plain(&product.left, &product.right);
        let expected = product.finishing.plain(sums, product.right.shape[1]);
        for isa in Isa::available() {
            check(&product, &expected, isa);
        }
    }
}

/// A convolution of small sizes, its operands, and where its result is cut.
#[derive(Clone, Debug)]
struct Convolved {
    geometry: Geometry,
    input: Vec<f32>,
    weights: Vec<f32>,
    finishing: Finishing,
    cuts: [usize; 2],
}

fn convolved() -> impl Strategy<Value = Convolved> {
    let pair = |range: std::ops::Range<usize>| [range.clone(), range];
    let groups = prop_oneof![
        3 => (Just(1usize), 0..20usize, prop_oneof![0..20usize, 30..50usize]),
        1 => (2..4usize, 1..5usize, 1..40usize),
        2 => (1..20usize, Just(1), Just(1)),
        2 => (1..3usize, 1..5usize, 4..20usize),
    ];
    let shape = (groups, pair(0..24), pair(1..4), pair(1..4), pair(1..3), pair(0..4), pair(0..3));
    let shape = prop_oneof![
        2 => shape,
        1 => (Just((1usize, 0usize, 0usize)), pair(0..24)).prop_flat_map(|(_, input)| {
            let one = Just([1, 1]);
            ((1..3usize, 0..20usize, 0..20usize), Just(input), one, one, one, Just([0, 0]), Just([0, 0]))
        }),
    ];
    let geometry = shape.prop_map(|(groups, input, kernel, strides, dilations, padding, more)| {
        let (groups, channels, filters) = groups;
        // As many outputs as the padding on both sides makes, where it is another one below and on the right.
        let output = std::array::from_fn(|axis| {
            let padded = input[axis] + 2 * padding[axis] + more[axis];
            let window = (kernel[axis] - 1) * dilations[axis] + 1;
            if padded < window { 0 } else { (padded - window) / strides[axis] + 1 }
        });
        let (channels, filters) = (groups * channels, groups * filters);
        Geometry { channels, filters, groups, input, kernel, strides, dilations, padding, output }
    });
    geometry.prop_flat_map(|geometry| {
        let cuts = [0..=geometry.filters, 0..=geometry.pixels()];
        let finishing = Finishing::any([geometry.filters, geometry.pixels()]);
        (values(geometry.inputs()), values(geometry.weights()), finishing, cuts).prop_map(
            move |(input, weights, finishing, cuts)| {
                let geometry = geometry.clone();
                Convolved { geometry, input, weights, finishing, cuts }
            },
        )
    })
}

/// The definition: the bits of each element of the result.
fn plain_convolution(Convolved { geometry, input, weights, finishing, .. }: &Convolved) -> Vec<u32> {
    let (channels, filters) = (geometry.group_channels(), geometry.group_filters());
    let [height, width] = geometry.input;
    let inside = |axis: usize, position: usize, tap: usize| {
        let place = position * geometry.strides[axis] + tap * geometry.dilations[axis];
        place.checked_sub(geometry.padding[axis]).filter(|&place| place < geometry.input[axis])
    };
    let mut result = Vec::new();
    for filter in 0..geometry.filters {
        for pixel in 0..geometry.pixels() {
            let [row, column] = [pixel / geometry.output[1], pixel % geometry.output[1]];
            let mut acc = 0.0f32;
            for y in 0..geometry.kernel[0] {
                for x in 0..geometry.kernel[1] {
                    let Some((from_y, from_x)) = inside(0, row, y).zip(inside(1, column, x)) else {
                        continue;
                    };
                    for c in 0..channels {
                        let channel = filter / filters * channels + c;
                        let a = input[(channel * height + from_y) * width + from_x];
                        let b = weights
                            [((filter * channels + c) * geometry.kernel[0] + y) * geometry.kernel[1] + x];
                        acc = a.mul_add(b, acc);
                    }
                }
            }
            result.push(acc.canonical().to_bits());
        }
    }
    finishing.plain(result, geometry.pixels())
}

/// Sizes that random ones don't reach: wide images, many pixels, many channels.
const LARGE: [[usize; 7]; 15] = [
    // Channels, filters, groups, height, width, kernel, stride.
    [3, 3, 3, 40, 83, 3, 1],
    [3, 3, 3, 40, 83, 3, 2],
    [2, 2, 2, 9, 64, 5, 1],
    [2, 4, 2, 30, 100, 3, 3],
    [2, 2, 2, 14, 14, 3, 1],
    [3, 24, 1, 40, 83, 3, 2],
    [4, 20, 2, 33, 50, 3, 1],
    [8, 16, 2, 21, 15, 3, 1],
    [1, 11, 1, 28, 29, 5, 1],
    [2, 33, 1, 50, 60, 3, 1],
    [128, 17, 1, 6, 7, 3, 1],
    [256, 40, 1, 3, 5, 1, 1],
    [7, 50, 1, 8, 9, 1, 1],
    [80, 70, 1, 13, 14, 1, 2],
    [64, 96, 2, 9, 15, 1, 3],
];

/// Elements of which a few are special, the same at every run.
fn some(length: usize) -> Vec<f32> {
    let special = [f32::NAN, f32::INFINITY, -0.0, f32::from_bits(0xffc0_1234), f32::from_bits(1), -1e-30];
    let element = |i: usize| {
        let hash = (i as u32).wrapping_mul(2_654_435_761) >> 8;
        let rare = hash % 4099 < special.len() as u32;
        if rare { special[hash as usize % 4099] } else { hash as f32 / (1 << 23) as f32 - 1.0 }
    };
    (0..length).map(element).collect()
}

#[test]
fn large_convolutions_have_the_bits_of_the_plain_loop() {
    for [channels, filters, groups, height, width, kernel, stride] in LARGE {
        let geometry = Geometry {
            channels,
            filters,
            groups,
            input: [height, width],
            kernel: [kernel; 2],
            strides: [stride; 2],
            dilations: [1; 2],
            padding: [kernel / 2; 2],
            output: [height.div_ceil(stride), width.div_ceil(stride)],
        };
        let (input, weights) = (some(geometry.inputs()), some(geometry.weights()));
        let pixels = geometry.pixels();
        let addend = |strides: [usize; 2]| {
            let elements = some(filters * strides[0] + pixels * strides[1] + 1);
            Strided { elements, shape: [filters, pixels], strides }
        };
        let addends =
            if filters % 2 == 0 { vec![addend([1, 0])] } else { vec![addend([1, 0]), addend([pixels, 1])] };
        let finishing = Finishing { addends, cut: channels > 2 };
        let cuts = [filters / 2, pixels / 3];
        let convolved = Convolved { geometry, input, weights, finishing, cuts };
        let expected = plain_convolution(&convolved);
        for isa in Isa::available() {
            check_convolution(&convolved, &expected, isa);
        }
    }
}

#[test]
fn f64_has_the_bits_of_the_plain_loop() {
    for [rows, depth, columns] in [[1, 700, 70], [3, 5, 130], [29, 530, 37], [6, 0, 3]] {
        let wide = |elements: Vec<f32>| elements.into_iter().map(f64::from).collect::<Vec<_>>();
        let (left, right) = (wide(some(rows * depth)), wide(some(depth * columns)));
        let right_matrix = Matrix::contiguous(&right, [depth, columns]).unwrap();
        for isa in Isa::available() {
            let mut out = vec![1.0; rows * columns];
            let window = Output::new(&mut out, [rows, columns], columns).unwrap();
            let left_matrix = Matrix::contiguous(&left, [rows, depth]).unwrap();
            let panels = Panels::pack(isa, &right_matrix);
            multiply(&left_matrix, &panels, window, &Finish::NONE, &mut |_| ()).unwrap();
            for (index, value) in out.iter().enumerate() {
                let (row, column) = (index / columns, index % columns);
                let product =
                    |acc: f64, k: usize| left[row * depth + k].mul_add(right[k * columns + column], acc);
                let sum = (0..depth).fold(0.0, product).canonical();
                assert_eq!(value.to_bits(), sum.to_bits(), "{isa}, row {row}, column {column}");
            }
        }
    }
}

#[test]
fn a_padded_position_is_left_out() {
    // Its product with an infinite weight would be a NaN, and its sum with -0 would be +0.
    let geometry = Geometry {
        channels: 1,
        filters: 1,
        groups: 1,
        input: [1, 1],
        kernel: [1, 2],
        strides: [1, 1],
        dilations: [1, 1],
        padding: [0, 0],
        output: [1, 1],
    };
    for isa in Isa::available() {
        for (input, weights, expected) in
            [(3.0, [2.0, f32::INFINITY], 6.0f32), (1e-30, [-1e-30, 1.0], -0.0), (3.0, [-0.0, f32::NAN], 0.0)]
        {
            let convolution = Convolution::new(isa, geometry.clone(), &weights).unwrap();
            let mut out = [0.0];
            let window = Output::new(&mut out, [1, 1], 1).unwrap();
            convolution.run(&[input], window, &Finish::NONE, &mut |_| ()).unwrap();
            assert_eq!(out[0].to_bits(), expected.to_bits(), "{isa}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let elements = [0.0f32; 12];
    assert!(Matrix::new(&elements, [3, 4], [4, 1]).is_ok());
    assert!(Matrix::new(&elements, [3, 4], [5, 1]).is_err());
    assert!(Matrix::new(&elements, [2, 2], [usize::MAX, 1]).is_err());
    assert!(Matrix::new(&elements, [0, 4], [usize::MAX, 1]).is_ok());
    let mut out = [0.0f32; 12];
    assert!(Output::new(&mut out, [4, 4], 4).is_err());
    // Rows that overlap aren't rows of a result.
    assert!(Output::new(&mut out, [3, 4], 3).is_err());

    let left = Matrix::contiguous(&elements, [3, 4]).unwrap();
    for isa in Isa::available() {
        let panels = Panels::pack(isa, &Matrix::contiguous(&elements, [4, 3]).unwrap());
        let window = Output::new(&mut out, [3, 4], 4).unwrap();
        let error = multiply(&left, &panels, window, &Finish::NONE, &mut |_| ()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a result of [3, 4] rows and columns can't be part of the product of [3, 4] and [4, 3]"
        );
        let addend = |shape, strides| [Some(Matrix::new(&elements, shape, strides).unwrap()), None];
        let error = Finish::new(addend([3, 3], [1, 4]), false).unwrap_err();
        assert_eq!(error.to_string(), "an addend's columns must be 0 or 1 elements apart, not 4");
        for shape in [[2, 3], [3, 2]] {
            let finish = Finish::new(addend(shape, [0, 1]), false).unwrap();
            let window = Output::new(&mut out, [3, 3], 3).unwrap();
            let error = multiply(&left, &panels, window, &finish, &mut |_| ()).unwrap_err();
            assert_eq!(error, Error::Addend { size: shape, out: [3, 3] }, "{isa}");
        }
        let window = Output::new(&mut out, [3, 3], 3).unwrap();
        assert!(multiply_unpacked(isa, &left, &left, window, &Finish::NONE, &mut |_| ()).is_err());

        let geometry = Geometry {
            channels: 2,
            filters: 2,
            groups: 1,
            input: [2, 2],
            kernel: [1, 1],
            strides: [1, 1],
            dilations: [1, 1],
            padding: [0, 0],
            output: [2, 2],
        };
        let convolution = Convolution::new(isa, geometry.clone(), &elements[..4]).unwrap();
        let window = Output::new(&mut out, [2, 4], 4).unwrap();
        assert!(convolution.run(&elements[..7], window, &Finish::NONE, &mut |_| ()).is_err());
        let window = Output::new(&mut out, [2, 5], 5).unwrap();
        assert!(convolution.run(&elements[..8], window, &Finish::NONE, &mut |_| ()).is_err());
        for wrong in [
            Geometry { groups: 0, ..geometry.clone() },
            Geometry { filters: 3, groups: 2, ..geometry.clone() },
            Geometry { strides: [0, 1], ..geometry.clone() },
            Geometry { dilations: [usize::MAX, 1], kernel: [2, 1], ..geometry.clone() },
            Geometry { output: [usize::MAX, 2], ..geometry.clone() },
        ] {
            assert!(Convolution::new(isa, wrong, &elements[..4]).is_err());
        }
        assert!(Convolution::new(isa, geometry, &elements[..5]).is_err());
    }
}

/// Convolves in four windows, and has each element seen once.
fn check_convolution(convolved: &Convolved, expected: &[u32], isa: Isa) {
    let Convolved { geometry, input, weights, finishing, cuts } = convolved;
    let finish = finishing.finish();
    let convolution = Convolution::new(isa, geometry.clone(), weights).unwrap();
    let pixels = geometry.pixels();
    let mut out = vec![7.0; geometry.filters * pixels];
    let mut seen = vec![0; out.len()];
    let window = Output::new(&mut out, [geometry.filters, pixels], pixels).unwrap();
    let (top, bottom) = window.split_rows(cuts[0]);
    for half in [top, bottom] {
        let (start, end) = half.split_columns(cuts[1]);
        for window in [start, end] {
            let mut epilogue = |mut part: Output<'_, f32>| {
                for filter in part.rows() {
                    for pixel in part.columns() {
                        let value = &mut part.run(filter, pixel..pixel + 1)[0];
                        let index = filter * pixels + pixel;
                        assert_eq!(value.to_bits(), expected[index], "{isa}, filter {filter}, pixel {pixel}");
                        seen[index] += 1;
                        *value = 1.0;
                    }
                }
            };
            convolution.run(input, window, &finish, &mut epilogue).unwrap();
        }
    }
    assert!(seen.iter().all(|&times| times == 1), "{isa} {seen:?}");
    assert!(out.iter().all(|&x| x == 1.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn convolutions_have_the_bits_of_the_plain_loop(convolved in convolved()) {
        let expected = plain_convolution(&convolved);
        for isa in Isa::available() {
            check_convolution(&convolved, &expected, isa);
        }
    }
}
