//! Checks the bytes of `docs/formats.md` against numbers that were written by hand or come from other
//! sources.

use isa::{Extensions, Trap};
use proptest::prelude::*;
use step::merkle::node;
use step::{
    Floats, MachineProfile, ProfileError, Proof, Root, State, Status, Tree, WitnessError, keccak, verify,
};

#[test]
fn keccak_is_the_one_of_the_evm() {
    // The hash of the empty string, from the yellow paper.
    let expected = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
    assert_eq!(keccak(b"").to_string(), expected);
}

#[test]
fn nodes_are_zero_over_zeros_only() {
    let one = Root::leaf([1; 32]);
    assert_eq!(node(Root::ZERO, Root::ZERO), Root::ZERO);
    assert_eq!(node(one, Root::ZERO), keccak(&[[1; 32], [0; 32]].concat()));
    assert_eq!(node(Root::ZERO, one), keccak(&[[0; 32], [1; 32]].concat()));
}

#[test]
fn a_leaf_is_a_little_endian_number() {
    let mut memory = [0; 32];
    memory[..4].copy_from_slice(&0x1234_5678u32.to_le_bytes());
    assert_eq!(Root::leaf(memory).to_string(), format!("0x{:064x}", 0x1234_5678));
    assert_eq!(Root::leaf(memory).memory(), memory);
}

#[test]
fn fields_are_where_they_should_be() {
    let mut x = [0; 32];
    (x[1], x[2], x[8], x[31]) = (7, 0x0102_0304_0506_0708, 256, u64::MAX);
    let state = State {
        code_root: Root([1; 32]),
        memory_root: Root([2; 32]),
        float_hash: Root([3; 32]),
        pc: 0x0002_0304,
        status: Status::Trapped(Trap::LoadFault),
        x,
    };
    let bytes = state.to_bytes();
    assert_eq!(bytes[..32], [1; 32]);
    assert_eq!(bytes[32..64], [2; 32]);
    assert_eq!(bytes[64..96], [3; 32]);
    assert_eq!(bytes[96], 21);
    assert_eq!(bytes[97..113], [0x18, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x83]);
    let numbers = [&[7, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0][..], &[0xff; 8], &[2, 3, 4]].concat();
    assert_eq!(bytes[113..], numbers);
    assert_eq!(State::from_bytes(&bytes), Ok(state));
    assert_eq!(state.root(), keccak(&bytes));
    assert_eq!(State::reset(Root::ZERO, Root::ZERO, 0, 0).to_bytes().len(), State::HEAD + 16);
    let most = State { pc: u64::MAX, x: std::array::from_fn(|i| if i == 0 { 0 } else { u64::MAX }), ..state };
    assert_eq!(most.to_bytes().len(), State::MOST_BYTES);
}

#[test]
fn bytes_that_are_no_state() {
    let state = State::reset(Root([1; 32]), Root([2; 32]), 0x1000, 64);
    let bytes = state.to_bytes();
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        State::from_bytes(&bytes).expect_err("no state")
    };
    assert_eq!(error(&|b| b.push(0)), WitnessError::TooLong { count: 1 });
    assert!(matches!(error(&|b| b.truncate(115)), WitnessError::TooShort { expected: 2, found: 1, .. }));
    assert!(matches!(error(&|b| b[100] = 0x09), WitnessError::Length { found: 9, .. }));
    // A number with a zero in front, which no machine writes.
    assert!(matches!(
        error(&|b| {
            b[97] = 0x11;
            b.insert(113, 0);
        }),
        WitnessError::State { .. }
    ));
}

#[test]
fn status_bytes() {
    let legal: Vec<u8> = (0..=255).filter(|&byte| Status::from_byte(byte).is_some()).collect();
    assert_eq!(legal, [0, 1, 16, 17, 18, 19, 20, 21, 22, 23, 24]);
    for byte in legal {
        assert_eq!(Status::from_byte(byte).map(Status::byte), Some(byte));
    }
}

#[test]
fn the_float_hash_leaves_out_what_is_set_at_reset() {
    assert_eq!(Floats::RESET.hash(), keccak(&[0; 16]));
    let mut floats = Floats::RESET;
    (floats.0[0], floats.0[31]) = (0xffff_ffff_3f80_0000, 1);
    let lengths = [&[0x40][..], &[0; 14], &[8]].concat();
    let numbers = [0x3f, 0x80, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1];
    assert_eq!(floats.hash(), keccak(&[&lengths[..], &numbers].concat()));
}

#[test]
fn profiles_that_cannot_be() {
    let profile = |bits, base, size| MachineProfile::new(Extensions::IM, bits, base, size);
    assert_eq!(profile(11, 0, 32), Err(ProfileError::Memory { found: 11 }));
    assert_eq!(profile(46, 0, 32), Err(ProfileError::Memory { found: 46 }));
    assert_eq!(profile(12, 16, 32), Err(ProfileError::CodeLeaves { base: 16, size: 32 }));
    assert_eq!(profile(12, 0, 33), Err(ProfileError::CodeLeaves { base: 0, size: 33 }));
    assert_eq!(profile(12, 0, 0), Err(ProfileError::CodeLeaves { base: 0, size: 0 }));
    let (base, size) = (u64::MAX - 31, 32);
    assert_eq!(profile(12, base, size), Err(ProfileError::CodeRange { base, size }));
}

#[test]
fn depths() {
    for (size, depth) in [(32, 0), (64, 1), (96, 2), (128, 2), (160, 3), (4096, 7), (4128, 8)] {
        assert_eq!(
            MachineProfile::new(Extensions::IM, 20, 0, size).map(|p| p.code_depth()),
            Ok(depth),
            "{size}"
        );
    }
    assert_eq!(MachineProfile::new(Extensions::IM, 20, 0, 32).map(|p| p.memory_depth()), Ok(15));
}

#[test]
fn code_hides_memory() {
    let profile = MachineProfile::new(Extensions::IM, 12, 0xfe0, 64).expect("a machine");
    let access =
        |address| (profile.is_code(address), profile.is_readable(address), profile.is_writable(address));
    assert_eq!(access(0xfdf), (false, true, true));
    assert_eq!(access(0xfe0), (true, true, false));
    assert_eq!(access(0x101f), (true, true, false));
    assert_eq!(access(0x1020), (false, false, false));
    assert_eq!(access(u64::MAX), (false, false, false));
}

/// The root of 2^depth leaves, straight from the definition.
fn naive(leaves: &[Root], depth: u32) -> Root {
    if depth == 0 {
        return leaves.first().copied().unwrap_or(Root::ZERO);
    }
    let half = leaves.len().min(1 << (depth - 1));
    node(naive(&leaves[..half], depth - 1), naive(&leaves[half..], depth - 1))
}

proptest! {
    #[test]
    fn trees_and_proofs(leaves in prop::collection::vec(0..3u8, 0..40), depth in 6..9u32) {
        let leaves: Vec<Root> = leaves.into_iter().map(|byte| Root([byte; 32])).collect();
        let tree = Tree::of_leaves(leaves.clone(), depth);
        prop_assert_eq!(tree.root(), naive(&leaves, depth));
        for index in 0..1 << depth {
            let proof = tree.proof(index);
            prop_assert_eq!(proof.leaf, leaves.get(index as usize).copied().unwrap_or(Root::ZERO));
            prop_assert_eq!(proof.root(proof.leaf, index), tree.root());
        }
    }

    /// The author of a witness can also choose the root, so any bytes must lead to a step or an error.
    #[test]
    fn no_witness_is_a_panic(
        rest in prop::collection::vec(any::<u8>(), 0..1200),
        lengths in prop::collection::vec(0..9u8, 32), numbers in prop::collection::vec(any::<u8>(), 256),
        at in 0..40u8, words in prop::collection::vec(any::<u32>(), 16), made_up in any::<bool>(),
    ) {
        let profile = MachineProfile::new(Extensions::IMFD, 12, 0x100, 64).expect("a machine");
        let mut bytes = rest;
        if !made_up {
            // A running machine whose pc is in the code, and a proof of the code: the step goes further.
            let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let Proof { leaf, siblings } = Tree::of_bytes(&code, 1).proof(u64::from(at) / 16);
            let lengths: Vec<u8> = lengths[..31].iter().copied().chain([2]).collect();
            let count: usize = lengths[..31].iter().map(|&length| usize::from(length)).sum();
            let lengths: Vec<u8> = lengths.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
            let proof = [&leaf.0[..], &[1], &siblings[0].0].concat();
            bytes = [&[0], &lengths[..], &numbers[..count], &[1, 2 * at], &proof, &bytes].concat();
        }
        match verify(profile, &bytes, Root::ZERO) {
            Err(WitnessError::State { found, .. }) => prop_assert!(verify(profile, &bytes, found).is_ok()),
            other => prop_assert!(other.is_err(), "{:?}", other),
        }
    }
}
