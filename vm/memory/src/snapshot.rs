//! What memory holds at one point of a run.

use crate::base::Base;
use crate::page_map::PageMap;
use crate::{Memory, PAGE};
use merkle::Root;
use std::sync::Arc;

/// What memory holds at one point, to come back to: on this memory, or on another of the same base.
///
/// It holds the pages that differ from the base and shares them with the snapshots before it, so it costs what changed
/// since the last one.
#[derive(Debug, Clone)]
pub struct Snapshot {
    base: Option<Arc<Base>>,
    bits: u32,
    pages: Saved,
    copied: usize,
}

/// Pages by number that differ from those of the base.
pub type Saved = PageMap<Page>;

/// The bytes of a page, with their root.
#[derive(Debug, Clone)]
pub struct Page(Arc<(Root, [u8; PAGE])>);

impl PartialEq for Page {
    /// Whether they are the same copy; two copies with equal bytes are not.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Snapshot {
    /// How many pages it keeps.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// How many of them were copied for it: the others it shares with the snapshot before it.
    #[must_use]
    pub fn copied(&self) -> usize {
        self.copied
    }
}

impl Memory {
    /// Keeps what memory holds. This costs a root, and a copy of the pages that changed since the last snapshot.
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

    /// Makes memory hold again what it held then. This costs a copy of the pages that differ, and the nodes above them.
    /// `None`, and nothing done, if it is a snapshot of memory of another base.
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
