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
    let state = State {
        code_root: Root([1; 32]),
        memory_root: Root([2; 32]),
        float_hash: Root([3; 32]),
        pc: 0x0405_0607_0809_0a0b,
        status: Status::Trapped(Trap::LoadFault),
        x: std::array::from_fn(|i| i as u64 * 0x0101_0101_0101_0101),
    };
    let bytes = state.to_bytes();
    assert_eq!(bytes[..32], [1; 32]);
    assert_eq!(bytes[32..64], [2; 32]);
    assert_eq!(bytes[64..96], [3; 32]);
    assert_eq!(bytes[96..104], [4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(bytes[104], 21);
    assert_eq!(bytes[105..113], [1; 8]);
    assert_eq!(bytes[345..], [31; 8]);
    assert_eq!(State::from_bytes(&bytes), Ok(state));
    assert_eq!(state.root(), keccak(&bytes));
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
fn the_float_hash_takes_low_halves_first() {
    let floats = Floats(std::array::from_fn(|i| (i as u64 + 100) << 32 | i as u64));
    let halves = (0..32u32).chain(100..132).flat_map(u32::to_be_bytes).collect::<Vec<_>>();
    assert_eq!(floats.hash(), keccak(&halves));
    let reset = [[0u8; 128], [0xff; 128]].concat();
    assert_eq!(Floats::RESET.hash(), keccak(&reset));
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
        mut bytes in prop::collection::vec(any::<u8>(), 0..1200),
        status in 0..4u8, at in 0..40u64, words in prop::collection::vec(any::<u32>(), 16), real in any::<bool>(),
    ) {
        let profile = MachineProfile::new(Extensions::IMFD, 12, 0x100, 64).expect("a machine");
        if bytes.len() >= State::SIZE {
            bytes[104] = if status == 0 { bytes[104] } else { 0 };
            bytes[96..104].copy_from_slice(&(0x100 + 2 * at).to_be_bytes());
            if real {
                // With a valid proof of the code, the step gets further.
                let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                let tree = Tree::of_bytes(&code, 1);
                bytes[..32].copy_from_slice(&tree.root().0);
                let Proof { leaf, siblings } = tree.proof(2 * at / 32);
                let proof = [leaf.0.to_vec(), 1u64.to_be_bytes().to_vec(), siblings[0].0.to_vec()].concat();
                bytes.splice(State::SIZE..State::SIZE, proof);
            }
            let root = keccak(&bytes[..State::SIZE]);
            let _ = verify(profile, &bytes, root);
        }
        let error = verify(profile, &bytes, Root::ZERO);
        let early = matches!(error, Err(WitnessError::TooShort { .. } | WitnessError::State { .. } | WitnessError::Status { .. }));
        prop_assert!(early, "{error:?}");
    }
}
