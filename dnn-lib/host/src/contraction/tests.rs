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
    cuts: [usize; 2],
}

fn product() -> impl Strategy<Value = Product> {
    let size = || prop_oneof![3 => 0..20usize, 2 => 0..80usize];
    let depth = prop_oneof![6 => 0..40usize, 1 => 500..530usize, 1 => 1020..1040usize];
    (size(), depth, prop_oneof![size(), 120..300usize]).prop_flat_map(|(rows, depth, columns)| {
        let cuts = [0..=rows, 0..=columns];
        (Strided::any([rows, depth]), Strided::any([depth, columns]), cuts)
            .prop_map(|(left, right, cuts)| Product { left, right, cuts })
    })
}

/// Computes a product in four windows, from packed and from unpacked matrices, and has each element seen once.
fn check(product: &Product, expected: &[u32], isa: Isa) {
    let Product { left, right, cuts } = product;
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
                let mut epilogue = |row: usize, column: usize, run: &mut [f32]| {
                    for (i, value) in run.iter_mut().enumerate() {
                        let index = row * columns + column + i;
                        assert_eq!(
                            value.to_bits(),
                            expected[index],
                            "{isa}, row {row}, column {}",
                            column + i
                        );
                        seen[index] += 1;
                        *value = 1.0;
                    }
                };
                let done = if packed {
                    multiply(&left.matrix(), &panels, window, &mut epilogue)
                } else {
                    multiply_unpacked(isa, &left.matrix(), &right.matrix(), window, &mut epilogue)
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
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn products_have_the_bits_of_the_plain_loop(product in product()) {
        let expected = plain(&product.left, &product.right);
        for isa in Isa::available() {
            check(&product, &expected, isa);
        }
    }
}
