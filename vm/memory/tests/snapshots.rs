//! Tests memory from a file, and restored memory, against plain bytes and trees hashed from scratch.

use isa::Size;
use memory::{Base, BaseError, Damage, Memory, PAGE, Snapshot, extents};
use merkle::{Root, Tree};
use proptest::prelude::*;
use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;

/// log2 of the size of memory in these tests: 32 pages.
const BITS: u32 = 17;
const SIZE: usize = 1 << BITS;

/// An operation on memory, or on its model.
#[derive(Debug, Clone)]
enum Deed {
    Store(u64, u64),
    Write(u64, Vec<u8>),
    /// Writes bytes that are reported to the tree later.
    Touch(u64, u8),
    /// Zeroes 2^bits bytes.
    Clear(u64, u32),
    Root,
    Snapshot,
    Restore(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let address = || (0..SIZE as u64).prop_map(|address| address & !7);
    prop_oneof![
        8 => (address(), any::<u64>()).prop_map(|(address, value)| Deed::Store(address, value)),
        2 => (address(), prop::collection::vec(any::<u8>(), 0..2 * PAGE)).prop_map(|(at, bytes)| Deed::Write(at, bytes)),
        2 => (address(), any::<u8>()).prop_map(|(address, byte)| Deed::Touch(address, byte)),
        2 => (address(), 5..=BITS).prop_map(|(address, bits)| Deed::Clear(address, bits)),
        3 => Just(Deed::Root),
        3 => Just(Deed::Snapshot),
        4 => any::<usize>().prop_map(Deed::Restore),
    ]
}

/// Pieces of memory with gaps between them, in order.
fn pieces() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    let piece = (0..3 * PAGE, prop::collection::vec(any::<u8>(), 0..2 * PAGE));
    prop::collection::vec(piece, 0..6).prop_map(|pieces| {
        let (mut end, mut kept) = (0, Vec::new());
        for (gap, bytes) in pieces {
            let start = end + gap;
            if start + bytes.len() > SIZE {
                break;
            }
            end = start + bytes.len();
            kept.push((start as u64, bytes));
        }
        kept
    })
}

fn borrowed(pieces: &[(u64, Vec<u8>)]) -> Vec<(u64, &[u8])> {
    pieces.iter().map(|(address, bytes)| (*address, bytes.as_slice())).collect()
}

fn base(pieces: &[(u64, Vec<u8>)]) -> Arc<Base> {
    Arc::new(Base::new(BITS, &borrowed(pieces)).expect("a file"))
}

fn flat(pieces: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut all = vec![0; SIZE];
    for (address, bytes) in pieces {
        all[*address as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    all
}

fn root(bytes: &[u8]) -> Root {
    Tree::of_bytes(bytes, BITS - 5).root()
}

/// A file that begins with an unrelated page.
fn copied(base: &Base) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&[0xee; PAGE]).expect("room");
    file.write_all(base.bytes()).expect("room");
    file
}

fn ranges(base: &Base) -> Vec<Range<u64>> {
    base.extents()
        .map(|(address, bytes)| address / PAGE as u64..(address as usize + bytes.len()) as u64 / PAGE as u64)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn memory_is_what_it_was(pieces in pieces(), deeds in prop::collection::vec(deed(), 1..60)) {
        let base = base(&pieces);
        // A second memory of the same base follows the first through snapshots alone.
        let (mut memory, mut other) = (Memory::over(&base).expect("memory"), Memory::over(&base).expect("memory"));
        let mut bytes = flat(&pieces);
        let mut kept: Vec<(Snapshot, Vec<u8>)> = Vec::new();
        for deed in deeds {
            match deed {
                Deed::Store(address, value) => {
                    memory.store(address, Size::Double, value);
                    bytes[address as usize..][..8].copy_from_slice(&value.to_le_bytes());
                }
                Deed::Write(address, new) => {
                    let fits = bytes.get_mut(address as usize..address as usize + new.len()).map(|to| to.copy_from_slice(&new));
                    prop_assert_eq!(memory.write(address, &new), fits);
                }
                Deed::Touch(address, byte) => {
                    memory.bytes_mut()[address as usize] = byte;
                    memory.touch(address, 1);
                    bytes[address as usize] = byte;
                }
                Deed::Clear(address, bits) => {
                    memory.clear(address, bits);
                    bytes[address as usize >> bits << bits..][..1 << bits].fill(0);
                }
                Deed::Root => prop_assert_eq!(memory.root(), root(&bytes)),
                Deed::Snapshot => {
                    kept.push((memory.snapshot(), bytes.clone()));
                    prop_assert!(other.restore(&kept[kept.len() - 1].0).is_some());
                    prop_assert_eq!(other.read(0, SIZE), Some(&bytes[..]));
                }
                Deed::Restore(which) => if let Some((snapshot, then)) = kept.get(which % kept.len().max(1)) {
                    prop_assert!(memory.restore(snapshot).is_some());
                    bytes.clone_from(then);
                }
            }
            prop_assert_eq!(memory.read(0, SIZE), Some(&bytes[..]));
        }
        prop_assert_eq!(memory.root(), root(&bytes));
        let proof = memory.proof(PAGE as u64);
        prop_assert_eq!(proof.root(proof.leaf, PAGE as u64 / 32), root(&bytes));
        if let Some((_, bytes)) = kept.last() {
            prop_assert_eq!(other.root(), root(bytes));
        }
        // The writes stayed in memory.
        prop_assert_eq!(base.verify(|_| ()).expect("memory"), Ok(()));
    }

    #[test]
    fn a_base_is_the_memory_that_was_written(pieces in pieces()) {
        let made = base(&pieces);
        let opened = Base::open(copied(&made), PAGE as u64, BITS, &ranges(&made)).expect("a file");
        prop_assert_eq!(opened.bytes(), made.bytes());
        prop_assert_eq!(Base::length(BITS, &extents(&borrowed(&pieces))).expect("ranges"), made.bytes().len() as u64);
        let mut written = Memory::new(BITS).expect("memory");
        for (address, bytes) in &pieces {
            prop_assert!(written.write(*address, bytes).is_some());
        }
        for base in [made, Arc::new(opened)] {
            let mut memory = Memory::over(&base).expect("memory");
            prop_assert_eq!(memory.read(0, SIZE), written.read(0, SIZE));
            for address in (0..SIZE as u64).step_by(PAGE) {
                prop_assert_eq!(memory.proof(address), written.proof(address));
            }
            prop_assert_eq!([memory.root(), base.root()], [written.root(); 2]);
            prop_assert_eq!(memory.hashed(), 0);
            prop_assert_eq!(base.verify(|_| ()).expect("memory"), Ok(()));
        }
    }
}

#[test]
fn every_damaged_byte_is_found() {
    let made = base(&[(0x1003, vec![7; 5000]), (0x1_5000, vec![9; 10])]);
    let bytes = made.bytes();
    // Three pages and a block, which stores the pages' nodes and those above them. Tests every byte except
    // the block's unused slot.
    assert_eq!(bytes.len(), 4 * PAGE);
    for at in (0..bytes.len()).step_by(31).chain([bytes.len() - 1]) {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 4;
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&damaged).expect("room");
        let base = Base::open(file, 0, BITS, &ranges(&made)).expect("a file");
        let found = base.verify(|_| ()).expect("memory");
        assert!(found.is_err(), "byte {at}");
        assert_eq!(
            matches!(found, Err(Damage::Node(_))),
            base.root() == made.root() && at >= 3 * PAGE,
            "byte {at}"
        );
    }
}

#[test]
fn verifying_tells_how_far_it_is() {
    let made = base(&[(0, vec![7; 5 * PAGE])]);
    let mut seen = Vec::new();
    assert_eq!(made.verify(|pages| seen.push(pages)).expect("memory"), Ok(()));
    assert_eq!((seen.last(), made.count()), (Some(&5), 5));
}

#[test]
fn what_cant_be_had_is_an_error() {
    let open = |bits, extents: &[Range<u64>]| {
        Base::open(tempfile::tempfile().expect("a file"), 0, bits, extents).err()
    };
    let (page, range) = (0..1, |start, end| Range { start, end });
    for (bits, extents) in [
        (11, vec![page.clone()]),
        (BITS, vec![range(0, 33)]),
        (BITS, vec![range(0, 1 << 60)]),
        (BITS, vec![page.clone(), 1..2]),
        (BITS, vec![4..5, page.clone()]),
        (BITS, vec![range(3, 2)]),
        (BITS, vec![range(2, 2)]),
        (200, vec![]),
    ] {
        assert!(matches!(open(bits, &extents), Some(BaseError::Extents)), "{bits} {extents:?}");
    }
    let short = open(BITS, &[page, 8..9]);
    assert!(matches!(short, Some(BaseError::Length { expected: 12_288, found: 0 })), "{short:?}");
    assert!(open(45, &[range(0, 1 << 33)]).is_some_and(|error| matches!(error, BaseError::Length { .. })));
    assert!(open(BITS, &[]).is_none());
}

#[test]
fn snapshots_of_other_memory_are_refused() {
    let piece = [(0, vec![1; 10])];
    let (one, two) = (base(&piece), base(&piece));
    let mut memories = [
        Memory::over(&one).expect("memory"),
        Memory::over(&two).expect("memory"),
        Memory::new(BITS).expect("memory"),
        Memory::new(BITS + 1).expect("memory"),
    ];
    let snapshots: Vec<Snapshot> = memories.iter_mut().map(Memory::snapshot).collect();
    for (i, memory) in memories.iter_mut().enumerate() {
        memory.store(64, Size::Byte, 7);
        for (j, snapshot) in snapshots.iter().enumerate() {
            let before = memory.load(64, Size::Byte);
            assert_eq!(memory.restore(snapshot).is_some(), i == j);
            assert!(i == j || memory.load(64, Size::Byte) == before, "nothing is done");
        }
    }
}

#[test]
fn a_snapshot_costs_what_changed() {
    let mut memory = Memory::over(&base(&[(0, vec![1; 8 * PAGE])])).expect("memory");
    assert_eq!(memory.snapshot().pages(), 0);
    memory.store(0, Size::Byte, 2);
    memory.store(20 * PAGE as u64, Size::Byte, 2);
    let changed = memory.snapshot();
    assert_eq!((changed.pages(), changed.copied()), (2, 2));
    memory.store(4096, Size::Byte, 2);
    let more = memory.snapshot();
    assert_eq!((more.pages(), more.copied()), (3, 1));
    memory.store(4096, Size::Byte, 1);
    memory.store(0, Size::Byte, 1);
    memory.store(20 * PAGE as u64, Size::Byte, 0);
    // The pages equal the base again.
    assert_eq!(memory.snapshot().pages(), 0);
    let before = memory.hashed();
    memory.restore(&changed).expect("the same base");
    // Two paths of five nodes above pages, which share the topmost node. The pages themselves need no
    // hashing.
    assert_eq!(memory.hashed() - before, 9);
}

#[test]
fn a_base_of_many_parts_is_the_tree_of_its_bytes() {
    // Pieces that begin and end inside pages, over several of the parts that are written at once.
    let bytes: Vec<u8> = (0..6u32 << 20).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 11) as u8).collect();
    let places = [(0x123, 0..100), (0x200, 100..5 << 20), ((9 << 20) + 5, 5 << 20..6 << 20)];
    let pieces: Vec<(u64, &[u8])> =
        places.iter().map(|(address, range)| (*address, &bytes[range.clone()])).collect();
    let mut done = Vec::new();
    let file = tempfile::tempfile().expect("a file");
    let base = Base::write(file, PAGE as u64, 25, &pieces, |pages| done.push(pages)).expect("room");
    assert!(done.is_sorted() && done.len() > 2 && done.last() == Some(&base.count()), "{done:?}");
    let mut memory = Memory::new(25).expect("a mapping");
    for (address, piece) in &pieces {
        memory.write(*address, piece).expect("inside");
    }
    let mut over = Memory::over(&Arc::new(base)).expect("a mapping");
    assert_eq!(over.root(), memory.root());
    assert_eq!(over.read(0, 1 << 25), memory.read(0, 1 << 25));
    for bad in [[(50, &bytes[..100]), (149, &bytes[..1])], [(50, &bytes[..1]), (0, &bytes[..1])]] {
        assert!(matches!(Base::new(25, &bad), Err(BaseError::Extents)));
    }
}
