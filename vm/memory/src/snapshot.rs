//! What memory holds at some moment.

use crate::base::Base;
use crate::{Memory, PAGE};
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use merkle::Root;
use std::sync::Arc;

/// What memory holds at some moment, to come back to: on this memory, or on another of the same base.
///
/// It has copies of the pages that differ from the base, and shares those that others have too, so it costs what
/// changed since the last one.
#[derive(Debug, Clone)]
pub struct Snapshot {
    base: Option<Arc<Base>>,
    bits: u32,
    pages: Saved,
    copied: usize,
}

/// Pages by number that differ from those of the base.
pub type Saved = OrdMap<u64, Page>;

/// A page that is kept, with its root.
#[derive(Debug, Clone)]
pub struct Page(Arc<(Root, [u8; PAGE])>);

impl PartialEq for Page {
    /// Whether they are one; pages with the same bytes may not be.
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
    /// Keeps what memory holds. Costs a root, and a copy of the pages that changed since the last snapshot.
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
                    self.saved.remove(&page);
                }
            }
        }
        Snapshot { base: self.base.clone(), bits: self.bits, pages: self.saved.clone(), copied }
    }

    /// Makes memory hold again what it held then. Costs a copy of the pages that differ, and the nodes above them. `None`, and nothing
    /// done, if it is a snapshot of memory of another base.
    #[must_use]
    pub fn restore(&mut self, snapshot: &Snapshot) -> Option<()> {
        let bases = [&self.base, &snapshot.base].map(|base| base.as_ref().map(Arc::as_ptr));
        if bases[0] != bases[1] || self.bits != snapshot.bits {
            return None;
        }
        let mut pages = self.changed.take();
        pages.extend(self.unsaved.take());
        pages.extend(self.saved.diff(&snapshot.pages).map(|item| match item {
            DiffItem::Add(&page, _) | DiffItem::Remove(&page, _) => page,
            DiffItem::Update { new: (&page, _), .. } => page,
        }));
        pages.sort_unstable();
        pages.dedup();
        let mut roots = Vec::with_capacity(pages.len());
        for &page in &pages {
            let (root, bytes) = match snapshot.pages.get(&page) {
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
