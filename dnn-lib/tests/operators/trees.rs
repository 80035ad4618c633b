//! Decision trees, and probabilities of pairs.

use dnn_lib::operator::{Aggregate, CouplePairs, Operator, TreeLeaves, TreeScores};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use super::{Tensor, assert_same, run, run_bytes};

/// Numbers among which many are equal, and some are special.
fn few() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => (-3..4).prop_map(|x| x as f32),
        1 => Just(f32::NAN),
        1 => prop_oneof![Just(f32::INFINITY), Just(f32::NEG_INFINITY), Just(-0.0)],
    ]
}

/// Feature, threshold, next row, leaf.
type Rows = Vec<(u32, f32, u32, u32)>;

/// Examples, and a table of nodes. The numbers are anything, as those of a file
/// could be.
fn walks() -> impl Strategy<Value = (Vec<Vec<f32>>, Rows, u64, u64)> {
    (1usize..4, 1usize..5, 0u32..6).prop_flat_map(|(examples, features, rows)| {
        let rows = 1usize << rows;
        let node = (0..features as u32 + 1, few(), 0..2 * rows as u32, any::<u32>());
        (
            proptest::collection::vec(proptest::collection::vec(few(), features), examples),
            proptest::collection::vec(node, rows),
            1..=rows as u64,
            0..=(rows as u64).min(9),
        )
    })
}

/// Where a walk ends, step by step.
fn walk(x: &[f32], nodes: &[(u32, f32, u32, u32)], root: usize, depth: u64) -> u32 {
    let mut at = root;
    for _ in 0..depth {
        let (feature, threshold, next, _) = nodes[at];
        let x = x[(feature as usize).min(x.len() - 1)];
        at = (next as usize + usize::from(x <= threshold)) % nodes.len();
    }
    nodes[at].3
}

proptest! {
    #[test]
    fn leaves((x, nodes, trees, depth) in walks(), wide in any::<bool>()) {
        let right: Vec<u8> = x
            .iter()
            .flat_map(|x| (0..trees as usize).map(|root| walk(x, &nodes, root, depth)))
            .flat_map(u32::to_le_bytes)
            .collect();
        let (float, word) = if wide { (DType::F64, DType::U64) } else { (DType::F32, DType::U32) };
        let types = [
            TensorType::new(float, [x.len() as u64, x[0].len() as u64]),
            TensorType::new(word, [nodes.len() as u64, TreeLeaves::COLUMNS]),
        ];
        let floats = |x: f32| if wide { f64::from(x).to_le_bytes().to_vec() } else { x.to_le_bytes().to_vec() };
        let words = |&(feature, threshold, next, leaf): &(u32, f32, u32, u32)| {
            let integer = |x: u32| if wide { u64::from(x).to_le_bytes().to_vec() } else { x.to_le_bytes().to_vec() };
            [integer(feature), floats(threshold), integer(next), integer(leaf)].concat()
        };
        let x: Vec<u8> = x.iter().flatten().flat_map(|&x| floats(x)).collect();
        let table: Vec<u8> = nodes.iter().flat_map(words).collect();
        let operator = Operator::from(TreeLeaves { trees, depth });
        prop_assert_eq!(run_bytes(&operator, &types, &[&x, &table]).1, right);
    }

    #[test]
    fn scores(
        (leaves, weights) in (1usize..7, 1usize..4).prop_flat_map(|(leaves, targets)| (
            proptest::collection::vec(0..leaves as i32, 12),
            proptest::collection::vec(proptest::collection::vec(few(), targets), leaves),
        )),
        groups in prop_oneof![Just(1u64), Just(2), Just(3), Just(6)],
        aggregate in prop_oneof![Just(Aggregate::Sum), Just(Aggregate::Min), Just(Aggregate::Max)],
    ) {
        let (examples, targets) = (2, weights[0].len() as u64);
        let trees = leaves.len() as u64 / examples;
        let right = Tensor::from_fn(&[examples, groups, targets], |at| {
            let each = trees / groups;
            let first = (at[0] * trees + at[1] * each) as usize;
            let weights = leaves[first..first + each as usize].iter().map(|&leaf| weights[leaf as usize][at[2] as usize]);
            let nan = |a: f32, b: f32| a.is_nan() || b.is_nan();
            match aggregate {
                Aggregate::Sum => weights.fold(0.0, |sum, weight| sum + weight),
                Aggregate::Min => weights.fold(f32::INFINITY, |a, b| if nan(a, b) { f32::NAN } else if b < a { b } else { a }),
                Aggregate::Max => weights.fold(f32::NEG_INFINITY, |a, b| if nan(a, b) { f32::NAN } else if b > a { b } else { a }),
            }
        });
        let types = [
            TensorType::new(DType::I32, [examples, trees]),
            TensorType::new(DType::F32, [weights.len() as u64, targets]),
        ];
        let leaves: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.to_le_bytes()).collect();
        let weights: Vec<u8> = weights.iter().flatten().flat_map(|weight| weight.to_le_bytes()).collect();
        let operator = Operator::from(TreeScores { groups, aggregate });
        let found = run_bytes(&operator, &types, &[&leaves, &weights]).1;
        let found = found.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")));
        assert_same(&Tensor::new([examples, groups, targets], found.collect()), &right);
    }

    #[test]
    fn coupled_pairs((classes, pairs) in (2usize..6).prop_flat_map(|classes| {
        let pairs = classes * (classes - 1) / 2;
        (Just(classes), proptest::collection::vec(0.001f32..0.999, 2 * pairs))
    })) {
        let count = pairs.len() / 2;
        let right: Vec<f32> = pairs.chunks_exact(count).flat_map(|pairs| coupled(classes, pairs)).collect();
        let found = run(
            CouplePairs { classes: classes as u64 },
            &[&Tensor::new([2, count as u64], pairs.clone())],
        );
        assert_same(&found, &Tensor::new([2, classes as u64], right));
    }
}

/// The probabilities of classes by those of pairs, as libsvm computes them.
fn coupled(classes: usize, pairs: &[f32]) -> Vec<f32> {
    let mut r = vec![vec![0.0f32; classes]; classes];
    let places = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
    for (&first, (i, j)) in pairs.iter().zip(places) {
        r[i][j] = first;
        r[j][i] = 1.0 - first;
    }
    let mut q = vec![vec![0.0f32; classes]; classes];
    for i in 0..classes {
        for j in (0..classes).filter(|&j| j != i) {
            q[i][i] += r[j][i] * r[j][i];
            q[i][j] = if j > i { -(r[j][i] * r[i][j]) } else { q[j][i] };
        }
    }
    let mut p = vec![1.0 / classes as f32; classes];
    for _ in 0..100 {
        let mut qp: Vec<f32> =
            q.iter().map(|row| row.iter().zip(&p).fold(0.0, |sum, (&q, &p)| sum + q * p)).collect();
        let mut total = p.iter().zip(&qp).fold(0.0, |sum, (&p, &qp)| sum + p * qp);
        if qp.iter().fold(0.0f32, |worst, &qp| worst.max((qp - total).abs())) < 0.005 / classes as f32 {
            break;
        }
        for i in 0..classes {
            let diff = (total - qp[i]) / q[i][i];
            p[i] += diff;
            total = (total + diff * (diff * q[i][i] + 2.0 * qp[i])) / (1.0 + diff) / (1.0 + diff);
            for j in 0..classes {
                qp[j] = (qp[j] + diff * q[i][j]) / (1.0 + diff);
                p[j] /= 1.0 + diff;
            }
        }
    }
    p
}

#[test]
fn more_trees_than_nodes_are_refused() {
    let types = [TensorType::new(DType::F32, [1, 2]), TensorType::new(DType::U32, [4, TreeLeaves::COLUMNS])];
    let found =
        Operator::from(TreeLeaves { trees: 5, depth: 1 }).infer(&types).expect_err("five roots").to_string();
    assert_eq!(found, "TreeLeaves: attribute trees is 5, but there are only 4 nodes");
}
