//! The contents of memory at one point of a run.

use crate::base::Base;
use crate::page_map::PageMap;
use crate::{Memory, PAGE};
use merkle::Root;
use std::sync::Arc;

/// The contents of memory at one point. They can be restored to this memory, or to another of the same base.
///
/// A snapshot holds the pages that differ from the base. It shares them with earlier snapshots, so it costs
/// only what changed since the last one.
#[derive(Debug, Clone)]
pub struct Snapshot {
    base: Option<Arc<Base>>,
    bits: u32,
    pages: Saved,
    copied: usize,
}

/// The pages that differ from the base, by number.
pub type Saved = PageMap<Page>;

/// The bytes of a page, with their root.
#[derive(Debug, Clone)]
pub struct Page(Arc<(Root, [u8; PAGE])>);

impl PartialEq for Page {
    /// Whether both are the same copy. Two copies with equal bytes are not.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Snapshot {
    /// The number of pages that it holds.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// The number of pages copied for this snapshot. It shares the others with the snapshot before it.
    #[must_use]
    pub fn copied(&self) -> usize {
        self.copied
    }
}

impl Memory {
    /// Takes a snapshot. This costs a root, and a copy of the pages that changed since the last snapshot.
    pub fn snapshot(&mut self) -> Snapshot {
        self.settle();
        let mut copied = 0;
        for page in self.unsaved.take() {
            let root = self.tree.node(0, page);
            match page_of(&self.bytes, page) {
                Some(bytes) if root != self.base_root(page) => {
                    copied += 1;
                    self.saved.insert(page, Page(Arc::new((root, *bytes))));
                }
                _ => {
                    self.saved.remove(page);
                }
            }
        }
        Snapshot { base: self.base.clone(), bits: self.bits, pages: self.saved.clone(), copied }
    }

    /// Restores a snapshot. This costs a copy of the pages that differ, and hashing the nodes above them.
    /// `None`, and nothing changes, if the snapshot has another base.
    #[must_use]
    pub fn restore(&mut self, snapshot: &Snapshot) -> Option<()> {
        let bases = [&self.base, &snapshot.base].map(|base| base.as_ref().map(Arc::as_ptr));
        if bases[0] != bases[1] || self.bits != snapshot.bits {
            return None;
        }
        let mut pages = self.changed.take();
        pages.extend(self.unsaved.take());
        pages.extend(self.saved.differences(&snapshot.pages));
        pages.sort_unstable();
        pages.dedup();
        let mut roots = Vec::with_capacity(pages.len());
        for &page in &pages {
            let (root, bytes) = match snapshot.pages.get(page) {
                Some(Page(saved)) => (saved.0, Some(&saved.1)),
                None => (self.base_root(page), self.base.as_ref().and_then(|base| base.page(page))),
            };
            roots.push(root);
            let start = page as usize * PAGE;
            if let Some(to) = self.bytes.get_mut(start..start + PAGE) {
                to.copy_from_slice(bytes.unwrap_or(&[0; PAGE]));
            }
        }
        self.hashed += self.tree.replace(pages, &roots);
        self.saved = snapshot.pages.clone();
        Some(())
    }

    /// The root of a page of the base.
    fn base_root(&self, page: u64) -> Root {
        self.base.as_ref().map_or(Root::ZERO, |base| base.node(0, page))
    }
}

fn page_of(bytes: &[u8], page: u64) -> Option<&[u8; PAGE]> {
    bytes.get((page as usize).checked_mul(PAGE)?..)?.first_chunk()
}
