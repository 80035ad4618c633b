//! The machine's memory and its Merkle tree.
//!
//! Memory is one mapping of the whole address space, reserved but not backed. On first touch, the system
//! supplies a page: zeros, or a page of the image's file ([`Base`]). An access is therefore a bounds check
//! and a move, and untouched memory costs nothing. Writes mark 4 KiB pages. A root rehashes the marked pages
//! and the nodes above them, so its cost depends on what changed since the last root. Hashing uses batches,
//! and several threads if many pages changed. Roots depend on neither. A [`Snapshot`] copies what changed
//! since the previous one, and can be restored.

mod base;
mod checkpoints;
mod executable;
mod page_map;
mod pages;
mod snapshot;
mod space;
mod tree;
mod view;

pub use base::{Base, BaseError, Damage, extents};
pub use checkpoints::Checkpoints;
pub use executable::Executable;
use isa::Size;
use memmap2::MmapMut;
pub use merkle::Hasher;
use merkle::{LEAF, Proof, Root};
use pages::Pages;
use snapshot::Saved;
pub use snapshot::Snapshot;
use std::sync::Arc;
use tree::PageTree;
pub use view::View;

/// log2 of the page size.
pub const PAGE_BITS: u32 = 12;
/// The size of a page in bytes.
pub const PAGE: usize = 1 << PAGE_BITS;

/// Memory of 2^bits bytes.
#[derive(Debug)]
pub struct Memory {
    bits: u32,
    bytes: MmapMut,
    tree: PageTree,
    /// The initial contents; `None` if all bytes are zero.
    base: Option<Arc<Base>>,
    /// The pages written since the last root.
    changed: Pages,
    /// The pages that left `changed` since the last snapshot.
    unsaved: Pages,
    /// The pages of the last snapshot.
    saved: Saved,
    hashed: u64,
}

impl Memory {
    /// Memory of 2^bits zero bytes, at least a page. Fails if the system can't reserve that many addresses.
    pub fn new(bits: u32) -> std::io::Result<Self> {
        let bits = bits.max(PAGE_BITS);
        // If there are enough addresses for memory, there are enough for data about its pages.
        let bytes = space::reserve_power(bits)?;
        Self::with(bits, bytes, PageTree::new(bits - PAGE_BITS)?)
    }

    /// Memory with the initial contents of a base. Nothing is read, copied or hashed before it is needed.
    pub fn over(base: &Arc<Base>) -> std::io::Result<Self> {
        let mut bytes = space::reserve_power(base.bits())?;
        base.overlay_pages(&mut bytes)?;
        Ok(Self { base: Some(base.clone()), ..Self::with(base.bits(), bytes, PageTree::over(base)?)? })
    }

    fn with(bits: u32, bytes: MmapMut, tree: PageTree) -> std::io::Result<Self> {
        let pages = bits - PAGE_BITS;
        let (changed, unsaved) = (Pages::new(pages)?, Pages::new(pages)?);
        let saved = Saved::new(pages);
        let (base, hashed) = Default::default();
        Ok(Self { bits, bytes, tree, base, changed, unsaved, saved, hashed })
    }

    /// The same memory with another hasher than the fastest. Roots do not depend on it.
    #[must_use]
    pub fn with_hasher(mut self, hasher: Hasher) -> Self {
        self.tree.set_hasher(hasher);
        self
    }

    /// log2 of the size.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Reads `size` little-endian bytes, zero-extended. Returns 0 unless the access lies wholly inside
    /// memory.
    #[inline(always)]
    #[must_use]
    pub fn load(&self, address: u64, size: Size) -> u64 {
        let at = address as usize;
        match size {
            Size::Byte => self.bytes.get(at).copied().map_or(0, u64::from),
            Size::Half => self.array(at).map_or(0, |bytes| u16::from_le_bytes(bytes).into()),
            Size::Word => self.array(at).map_or(0, |bytes| u32::from_le_bytes(bytes).into()),
            Size::Double => self.array(at).map_or(0, u64::from_le_bytes),
        }
    }

    /// Writes the low `size` bytes of `value`. Does nothing unless the access lies wholly inside memory. The
    /// access must be aligned, so that it lies in one page.
    #[inline(always)]
    pub fn store(&mut self, address: u64, size: Size, value: u64) {
        let mut view = self.view();
        match size {
            Size::Byte => view.store(address, [value as u8]),
            Size::Half => view.store(address, (value as u16).to_le_bytes()),
            Size::Word => view.store(address, (value as u32).to_le_bytes()),
            Size::Double => view.store(address, value.to_le_bytes()),
        }
    }

    /// The bytes at an address; `None` if they aren't wholly inside memory.
    #[must_use]
    pub fn read(&self, address: u64, length: usize) -> Option<&[u8]> {
        let at = usize::try_from(address).ok()?;
        self.bytes.get(at..at.checked_add(length)?)
    }

    /// Writes bytes at an address. `None`, and nothing is written, if they aren't wholly inside memory.
    #[must_use]
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Option<()> {
        let at = usize::try_from(address).ok()?;
        let end = at.checked_add(bytes.len())?;
        self.bytes.get_mut(at..end)?.copy_from_slice(bytes);
        for page in at / PAGE..end.div_ceil(PAGE) {
            self.changed.insert(page);
        }
        Some(())
    }

    /// Zeroes the 2^bits bytes around an address. Pages that the tree shows to be zero are skipped, so the
    /// cost depends on what has been used, not on the size of the region.
    pub fn clear(&mut self, address: u64, bits: u32) {
        let bits = bits.min(self.bits);
        let level = bits.saturating_sub(PAGE_BITS);
        let index = address >> PAGE_BITS >> level;
        let mut pages = self.tree.pages(level, index);
        pages.extend(self.changed.list.iter().filter(|&page| page >> level == index));
        let length = PAGE.min(1 << bits.min(PAGE_BITS));
        for page in pages {
            let at = if bits < PAGE_BITS { address >> bits << bits } else { page << PAGE_BITS };
            if self.read(at, length).is_some_and(|bytes| bytes.iter().any(|&byte| byte != 0)) {
                // A range that can be read can be written.
                let _ = self.write(at, &[0; PAGE][..length]);
            }
        }
    }

    /// All of memory, for writes that the caller then reports to [`touch`](Self::touch). The tree follows
    /// only reported writes.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Records that bytes were written through [`bytes_mut`](Self::bytes_mut). Addresses outside memory are
    /// ignored.
    pub fn touch(&mut self, address: u64, length: u64) {
        let end = address.saturating_add(length).min(self.bytes.len() as u64);
        for page in address >> PAGE_BITS..end.div_ceil(PAGE as u64) {
            self.changed.insert(page as usize);
        }
    }

    /// The root.
    pub fn root(&mut self) -> Root {
        self.settle();
        self.tree.root()
    }

    /// The root of the aligned 2^bits bytes, at least 32, around an address. It commits to a tensor that
    /// fills them. Memory is zero beyond its end.
    pub fn subtree(&mut self, address: u64, bits: u32) -> Root {
        self.settle();
        let at = (address >> PAGE_BITS) as usize;
        match bits.checked_sub(PAGE_BITS) {
            Some(levels) => self.tree.node(levels, address >> PAGE_BITS >> levels),
            None => tree::part_of_page(page(&self.bytes, at), address as usize % PAGE, bits),
        }
    }

    /// The number of nodes hashed for roots so far, including those over zeros. A measure of what roots have
    /// cost.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.hashed
    }

    /// The leaf that contains an address, with its siblings up to the root. Outside memory, the proof is
    /// invalid.
    pub fn proof(&mut self, address: u64) -> Proof {
        self.settle();
        let at = (address >> PAGE_BITS) as usize;
        let mut proof = tree::leaf_in_page(page(&self.bytes, at), address as usize % PAGE);
        proof.siblings.extend(self.tree.siblings(address >> PAGE_BITS));
        proof
    }

    /// The root of the aligned 2^bits bytes, at least 32, around an address, with its siblings up to the root
    /// of memory.
    pub fn subtree_proof(&mut self, address: u64, bits: u32) -> Proof {
        let level = bits.saturating_sub(LEAF.ilog2()) as usize;
        let siblings = self.proof(address).siblings.into_iter().skip(level).collect();
        Proof { leaf: self.subtree(address, bits), siblings }
    }

    /// Brings the tree up to date.
    fn settle(&mut self) {
        let mut changed = self.changed.take();
        if changed.is_empty() {
            return;
        }
        changed.sort_unstable();
        changed.iter().for_each(|&page| self.unsaved.insert(page as usize));
        let bytes = &self.bytes;
        self.hashed += self.tree.update(changed, |index| page(bytes, index as usize));
    }

    /// `N` bytes, if they are inside memory.
    #[inline(always)]
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    /// A view of memory for a tight loop.
    #[must_use]
    pub fn view(&mut self) -> View<'_> {
        View { bytes: &mut self.bytes, marks: &mut self.changed.marks, list: &mut self.changed.list }
    }
}

/// A page's bytes; empty outside memory.
fn page(bytes: &[u8], page: usize) -> &[u8] {
    page.checked_mul(PAGE).and_then(|start| bytes.get(start..start.checked_add(PAGE)?)).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use merkle::Tree;
    use proptest::prelude::*;

    /// The tree over all of memory, hashed from scratch.
    fn naive(memory: &Memory) -> Tree {
        Tree::of_bytes(memory.read(0, 1 << memory.bits()).expect("all of it"), memory.bits() - 5)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn roots_and_proofs_are_those_of_the_full_tree(
            bits in 12u32..16,
            writes in prop::collection::vec((any::<u64>(), 0..4usize, any::<u64>(), any::<bool>()), 1..60),
        ) {
            let mut memory = Memory::new(bits).expect("a small mapping");
            for (address, size, value, check) in writes {
                let size = [Size::Byte, Size::Half, Size::Word, Size::Double][size];
                let address = (address & ((1 << bits) - 1)) & !(size.bytes() - 1);
                // Zeros are frequent, so that subtrees become zero again.
                let value = if value % 3 == 0 { 0 } else { value };
                memory.store(address, size, value);
                prop_assert_eq!(memory.load(address, size), value & (u64::MAX >> (64 - size.bits())));
                if check {
                    let full = naive(&memory);
                    prop_assert_eq!(memory.root(), full.root());
                    let proof = memory.proof(address);
                    prop_assert_eq!(&proof, &full.proof(address / 32));
                    prop_assert_eq!(proof.root(proof.leaf, address / 32), full.root());
                    for level in 5..=bits {
                        let start = address >> level << level;
                        let bytes = memory.read(start, 1 << level).expect("inside").to_vec();
                        prop_assert_eq!(memory.subtree(address, level), Tree::of_bytes(&bytes, level - 5).root());
                    }
                }
            }
        }
    }

    /// keccak of two nodes, for the other tree.
    #[derive(Clone)]
    struct Keccak;
    impl rs_merkle::Hasher for Keccak {
        type Hash = [u8; 32];
        fn hash(data: &[u8]) -> [u8; 32] {
            merkle::keccak(data).0
        }
    }

    #[test]
    fn a_full_tree_is_that_of_rs_merkle() {
        let mut memory = Memory::new(13).expect("a small mapping");
        let bytes: Vec<u8> = (0..1u32 << 13).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8 | 1).collect();
        memory.write(0, &bytes).expect("inside");
        let leaves: Vec<[u8; 32]> = bytes
            .chunks_exact(32)
            .map(|leaf| leaf.iter().rev().copied().collect::<Vec<_>>().try_into().expect("32 bytes"))
            .collect();
        let other = rs_merkle::MerkleTree::<Keccak>::from_leaves(&leaves);
        assert_eq!(Some(memory.root().0), other.root());
        assert_eq!(
            memory.proof(77 * 32).siblings.iter().map(|root| root.0).collect::<Vec<_>>(),
            other.proof(&[77]).proof_hashes()
        );
    }

    #[test]
    fn what_is_touched_is_hashed_again() {
        let mut memory = Memory::new(15).expect("a small mapping");
        memory.bytes_mut()[5000..5010].fill(3);
        memory.bytes_mut()[12_287..12_289].fill(4);
        memory.touch(5000, 10);
        memory.touch(12_287, 2);
        memory.touch(u64::MAX - 5, 5000);
        assert_eq!(memory.root(), naive(&memory).root());
        memory.bytes_mut()[5000] = 9;
        assert_ne!(memory.root(), naive(&memory).root());
        memory.touch(5000, 1);
        assert_eq!(memory.root(), naive(&memory).root());
    }

    #[test]
    fn neither_threads_nor_hashers_change_a_root() {
        // Enough pages that threads share the levels above them too, with a gap of zeros.
        const PAGES: u64 = 1 << 15;
        let root = |threads: usize, hasher: Hasher| {
            let mut memory = Memory::new(PAGE_BITS + 15).expect("a mapping").with_hasher(hasher);
            for page in (0..PAGES).filter(|page| !(1000..9000).contains(page)) {
                memory.store(page * PAGE as u64 + page % 512 * 8, Size::Double, page + 1);
            }
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let first = pool.install(|| memory.root());
            memory.store(5000 * PAGE as u64, Size::Byte, 1);
            [
                first,
                pool.install(|| memory.root()),
                memory.proof(77 << 12).root(memory.proof(77 << 12).leaf, 77 << 7),
            ]
        };
        let expected = root(1, Hasher::best());
        assert_eq!(expected[1], expected[2]);
        assert_eq!(root(3, Hasher::best()), expected);
        // One word per page makes eight nodes per page: few enough for every hasher.
        assert!(Hasher::all().all(|hasher| root(2, hasher) == expected));
    }

    #[test]
    fn a_large_space_costs_nothing() {
        let mut memory = Memory::new(45).expect("a reservation");
        assert_eq!(memory.root(), Root::ZERO);
        memory.store((1 << 45) - 8, Size::Double, 7);
        let proof = memory.proof((1 << 45) - 8);
        assert_eq!(proof.siblings.len(), 40);
        assert!(proof.siblings.iter().all(Root::is_zero));
        assert_eq!(proof.root(proof.leaf, (1 << 40) - 1), memory.root());
        memory.store((1 << 45) - 8, Size::Double, 0);
        assert_eq!(memory.root(), Root::ZERO);
    }

    #[test]
    fn accesses_outside_do_nothing() {
        assert!(Memory::new(62).is_err() && Memory::new(u32::MAX).is_err());
        let mut memory = Memory::new(12).expect("a small mapping");
        memory.store(4096, Size::Byte, 1);
        memory.store(u64::MAX - 7, Size::Double, 1);
        assert_eq!((memory.load(4096, Size::Byte), memory.load(u64::MAX - 7, Size::Double)), (0, 0));
        assert_eq!((memory.write(4090, &[1; 7]), memory.write(u64::MAX, &[1])), (None, None));
        assert_eq!((memory.read(4090, 7), memory.read(u64::MAX, 1)), (None, None));
        assert_eq!(memory.root(), Root::ZERO);
    }
}
