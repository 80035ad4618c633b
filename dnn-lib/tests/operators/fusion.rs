//! Two definitions as one give the bits of the two in turn.

use dnn_lib::definition::{Affine, Builder, Coordinate, Definition, Source};
use dnn_lib::operator::{
    Add, Conv, Div, Exp, LayerNormalization, MatMul, MaxPool, Mul, Operator, Padding, Relu, Sigmoid, Softmax,
    Sub, Tanh, Transpose, Window,
};
use dnn_lib::scalar::{Ops, Value};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::{Tensor, definition, shape, tensor};

fn window() -> Window {
    Window { padding: Padding::SameUpper, ..Window::default() }
}

/// What comes first: an operator and its inputs.
fn first() -> impl Strategy<Value = (Operator, Vec<Tensor>)> {
    let sizes = (1..=2u64, 1..=3u64, 1..=3u64, 1..=5u64, 1..=5u64);
    (0..6, sizes).prop_flat_map(|(kind, (n, groups, m, h, w))| {
        let image = vec![n, groups * 2, h, w];
        let (operator, shapes): (Operator, Vec<Vec<u64>>) = match kind {
            0 => {
                let conv = Conv { window: window(), group: groups };
                (conv.into(), vec![image, vec![groups * m, 2, 3, 2], vec![groups * m]])
            }
            1 => (MatMul.into(), vec![vec![n, m, h], vec![h, w]]),
            2 => (Softmax { axis: -1 }.into(), vec![image]),
            3 => {
                let norm = LayerNormalization { axis: 2, epsilon: 1e-5 };
                (norm.into(), vec![image, vec![h, w], vec![w]])
            }
            4 => (
                MaxPool { kernel: vec![2, 2], window: window(), ceil_mode: false, column_major: false }
                    .into(),
                vec![image],
            ),
            _ => (Add.into(), vec![image, vec![h, 1]]),
        };
        let inputs: Vec<_> = shapes.into_iter().map(tensor).collect();
        (Just(operator), inputs)
    })
}

/// What follows: an operator, where its input is, and its other input as bits that choose axes to broadcast.
type Follower = (usize, bool, u8, Vec<f32>);

fn chain() -> impl Strategy<Value = ((Operator, Vec<Tensor>), Vec<Follower>)> {
    let data = prop::collection::vec(super::element(), 360);
    (first(), prop::collection::vec((0..8usize, any::<bool>(), any::<u8>(), data), 1..5))
}

fn follower(of: &[u64], (kind, swapped, mask, data): &Follower) -> (Operator, usize, Option<Tensor>) {
    let binary: [Operator; 4] = [Add.into(), Sub.into(), Mul.into(), Div.into()];
    let unary: [Operator; 4] = [Relu.into(), Exp.into(), Tanh.into(), Sigmoid.into()];
    if *kind < 4 {
        return (unary[*kind].clone(), 0, None);
    }
    let shape: Vec<u64> =
        of.iter().enumerate().map(|(axis, &size)| if mask >> axis & 1 == 0 { size } else { 1 }).collect();
    // Axes of size 1 may be left out.
    let left_out = if mask & 128 == 0 { shape.iter().take_while(|&&size| size == 1).count() } else { 0 };
    let shape = shape[left_out..].to_vec();
    let count = shape.iter().product::<u64>() as usize;
    let data = data.iter().copied().cycle().take(count).collect();
    (binary[kind - 4].clone(), usize::from(*swapped), Some(Tensor::new(shape, data)))
}

/// Evaluates a definition, and the kernel that is made of it.
fn eval(definition: &Definition, inputs: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let bytes = definition.eval(&inputs).expect("good inputs");
    let kernel = dnn_lib::schedule::guest(definition).expect("a kernel");
    assert_eq!(kernel.run(&inputs).expect("no error"), bytes, "{definition}\n{kernel}");
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_chain_as_one_definition_has_the_bits_of_its_parts(((operator, inputs), followers) in chain()) {
        let types: Vec<TensorType> = inputs.iter().map(Tensor::ty).collect();
        let mut ty = operator.infer(&types).expect("good inputs").remove(0);
        let mut fused = definition(&operator, &types);
        let mut all: Vec<Vec<u8>> = inputs.iter().map(Tensor::bytes).collect();
        let mut bytes = eval(&fused, &all);
        for next in &followers {
            let (operator, place, other) = follower(&ty.shape, next);
            let (mut types, mut inputs) = (vec![ty.clone()], vec![bytes]);
            if let Some(other) = other {
                types.insert(1 - place, other.ty());
                inputs.insert(1 - place, other.bytes());
                all.push(other.bytes());
            }
            let consumer = definition(&operator, &types);
            fused = fused.then(&consumer, place).unwrap_or_else(|| panic!("{fused}\n{consumer}"));
            ty = operator.infer(&types).expect("good inputs").remove(0);
            bytes = eval(&consumer, &inputs);
            prop_assert_eq!(&eval(&fused, &all), &bytes, "{}", fused);
        }
    }

    #[test]
    fn a_finer_shape_is_found_or_refused(sizes in shape(0..6, 4), cuts in any::<u8>(), ones in any::<u8>()) {
        // The same bytes with neighbouring axes joined, and axes of size 1 between them.
        let mut coarse: Vec<u64> = Vec::new();
        for (axis, &size) in sizes.iter().enumerate() {
            match coarse.last_mut() {
                Some(last) if cuts >> axis & 1 == 0 => *last *= size,
                _ => coarse.push(size),
            }
            if ones >> axis & 1 == 1 {
                coarse.push(1);
            }
        }
        let ty = |shape: &[u64]| TensorType::new(DType::F32, shape.to_vec());
        let [fine, coarse] = [sizes, coarse].map(|shape| definition(&Relu.into(), &[ty(&shape)]));
        let fused = fine.then(&coarse, 0).expect("one definition");
        prop_assert_eq!(&fused.output, &fine.output);
        let long = |definition: &Definition| -> Vec<u64> {
            definition.output.shape.iter().copied().filter(|&size| size != 1).collect()
        };
        prop_assert_eq!(coarse.then(&fine, 0).is_some(), long(&fine) == long(&coarse));
    }
}

#[test]
fn a_residual_block_is_one_definition() {
    let ty = |shape: &[u64]| TensorType::new(DType::F32, shape.to_vec());
    let y = ty(&[2, 3]);
    let product = definition(&MatMul.into(), &[ty(&[2, 4]), ty(&[4, 3])]);
    let biased = definition(&Add.into(), &[ty(&[3]), y.clone()]);
    let relu = definition(&Relu.into(), std::slice::from_ref(&y));
    let residual = definition(&Add.into(), &[y.clone(), y.clone()]);
    let fused = product.then(&biased, 1).and_then(|d| d.then(&relu, 0)).and_then(|d| d.then(&residual, 0));
    let fused = fused.expect("one definition");
    assert_eq!(fused.inputs, [ty(&[2, 4]), ty(&[4, 3]), ty(&[3]), y]);
    insta::assert_snapshot!(fused);
}

#[test]
fn what_would_change_bits_or_be_computed_twice_is_refused() {
    let of = |dtype: DType, shape: &[u64]| TensorType::new(dtype, shape.to_vec());
    let ty = |shape: &[u64]| of(DType::F32, shape);
    let relu = |ty: TensorType| definition(&Relu.into(), &[ty]);
    let add = |a: &[u64], b: &[u64]| definition(&Add.into(), &[ty(a), ty(b)]);
    let producer = relu(ty(&[4, 6]));
    let softmax = definition(&Softmax { axis: 1 }.into(), &[ty(&[4, 6])]);
    let product = definition(&MatMul.into(), &[ty(&[4, 6]), ty(&[6, 2])]);
    let turned = definition(&Transpose { perm: None }.into(), &[ty(&[6, 4])]);
    let square = add(&[4, 4], &[4, 4]);
    // One load of the input, as `at` says.
    let loading = |load: &dyn Fn(&mut Builder) -> Value| {
        let mut b = Builder::new("loading", &[ty(&[4, 4])], &ty(&[4, 4]));
        let value = load(&mut b);
        b.finish(value).expect("a definition")
    };
    let exchanged = loading(&|b| b.load(Source::Input(0), [b.at(1), b.at(0)]));
    let first_row = loading(&|b| b.load(Source::Input(0), [Affine::from(0), b.at(1)]));
    let shifted = loading(&|b| {
        let zero = b.f32(0.0);
        b.load_or(Source::Input(0), [b.at(0), b.at(1) - 1], zero)
    });
    let looked_up = loading(&|b| {
        let row = b.index(b.at(0));
        b.load(Source::Input(0), [Coordinate::from(row), b.at(1).into()])
    });
    let refused = [
        ("there is no such input", &producer, &producer, 1),
        ("the consumer has rows", &producer, &softmax, 0),
        ("it has a reduction", &producer, &product, 0),
        ("it has another shape", &producer, &relu(ty(&[4, 5])), 0),
        ("it has a shape that is not coarser", &producer, &relu(ty(&[3, 8])), 0),
        ("it has a finer shape", &producer, &relu(ty(&[4, 2, 3])), 0),
        ("it reads elements several times", &producer, &add(&[5, 4, 6], &[4, 6]), 1),
        ("it reads elements in other places", &square, &exchanged, 0),
        ("it reads the first row only", &square, &first_row, 0),
        ("it reads elements that are not there", &square, &shifted, 0),
        ("it looks elements up", &square, &looked_up, 0),
        ("the bytes are seen as other types", &turned, &producer, 0),
        ("a sum is rounded when it is stored", &relu(of(DType::I8, &[4])), &relu(of(DType::I8, &[4])), 0),
    ];
    for (why, first, second, input) in refused {
        assert_eq!(first.then(second, input), None, "{why}");
    }
    // The opposite of some, so that these are not refused for other reasons.
    assert!(square.then(&loading(&|b| b.load(Source::Input(0), b.indices())), 0).is_some());
    assert!(softmax.then(&producer, 0).is_some());
    assert!(producer.then(&relu(ty(&[24])), 0).is_some());
    assert!(producer.then(&add(&[1, 4, 6], &[4, 6]), 1).is_some());
    assert!(relu(of(DType::I64, &[4])).then(&relu(of(DType::I64, &[4])), 0).is_some());
}

#[test]
fn sums_are_followed_only_by_what_leaves_them_their_blocks() {
    let ty = |shape: &[u64]| TensorType::new(DType::F32, shape.to_vec());
    let product = definition(&MatMul.into(), &[ty(&[8, 8]), ty(&[8, 8])]);
    let keeps = |operator: Operator| {
        let consumer = definition(&operator, &[ty(&[8, 8])]);
        dnn_lib::schedule::keeps_pace(&product, &product.then(&consumer, 0).expect("one definition"))
    };
    assert!(keeps(Relu.into()));
    assert!(!keeps(Tanh.into()), "a function of 20 sums needs too many registers");
}
