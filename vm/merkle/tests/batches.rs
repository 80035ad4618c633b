//! All hashers compute what sha3 computes for single nodes.

use merkle::{Hasher, Root, Tree, keccak, node, parents};
use proptest::prelude::*;

/// The parent of two nodes, by definition.
fn expected(left: Root, right: Root) -> Root {
    if left.is_zero() && right.is_zero() { Root::ZERO } else { keccak(&[left.0, right.0].concat()) }
}

/// Compares all hashers on some children. The last child may lack its neighbour.
fn check(children: &[Root]) {
    let expected: Vec<Root> = children
        .chunks(2)
        .map(|pair| expected(pair[0], pair.get(1).copied().unwrap_or(Root::ZERO)))
        .collect();
    for hasher in Hasher::all() {
        // Filled, so that a missing write shows.
        let mut out = vec![Root([7; 32]); expected.len()];
        hasher.parents(children, &mut out);
        assert_eq!(out, expected, "{}", hasher.name());
    }
    let mut out = vec![Root([7; 32]); expected.len()];
    parents(children, &mut out);
    assert_eq!(out, expected);
}

fn root() -> impl Strategy<Value = Root> {
    prop_oneof![
        1 => Just(Root::ZERO),
        1 => Just(Root([255; 32])),
        1 => (0..32usize, 0..8u32).prop_map(|(at, bit)| {
            let mut root = Root::ZERO;
            root.0[at] = 1 << bit;
            root
        }),
        3 => any::<[u8; 32]>().prop_map(Root),
    ]
}

proptest! {
    #[test]
    fn batches_are_nodes_one_by_one(children in prop::collection::vec(root(), 0..50)) {
        check(&children);
    }
}

#[test]
fn batches_of_every_length_and_with_zeros_anywhere() {
    for length in 0..=40u8 {
        let full: Vec<Root> = (0..length).map(|i| Root([i + 1; 32])).collect();
        check(&full);
        check(&vec![Root::ZERO; length.into()]);
        for zero in 0..full.len() / 2 {
            let mut children = full.clone();
            children[2 * zero..2 * zero + 2].fill(Root::ZERO);
            check(&children);
            children[2 * zero] = Root([9; 32]);
            check(&children);
        }
    }
}

#[test]
fn a_node_is_that_of_the_definition() {
    let (a, b) = (Root([1; 32]), Root([2; 32]));
    for (left, right) in [(a, b), (b, a), (a, Root::ZERO), (Root::ZERO, a), (Root::ZERO, Root::ZERO)] {
        assert_eq!(node(left, right), expected(left, right));
    }
}

#[test]
fn children_that_are_missing_are_zero() {
    for hasher in Hasher::all() {
        let mut out = [Root([7; 32]); 3];
        hasher.parents(&[Root([1; 32])], &mut out);
        assert_eq!(out, [node(Root([1; 32]), Root::ZERO), Root::ZERO, Root::ZERO]);
    }
}

#[test]
fn a_tree_is_its_nodes_one_by_one() {
    let bytes: Vec<u8> = (0..5000u32).map(|i| ((i * i) >> 7) as u8).collect();
    let mut level: Vec<Root> = bytes
        .chunks(32)
        .map(|chunk| {
            let mut leaf = [0; 32];
            leaf[..chunk.len()].copy_from_slice(chunk);
            Root::leaf(leaf)
        })
        .collect();
    for _ in 0..9 {
        level = level
            .chunks(2)
            .map(|pair| expected(pair[0], pair.get(1).copied().unwrap_or(Root::ZERO)))
            .collect();
    }
    assert_eq!(Tree::of_bytes(&bytes, 9).root(), level[0]);
}
