//! Sets of pages that grow in a tight loop.

use crate::space::reserve_power;
use memmap2::MmapMut;

/// A set of pages: a mark for each page, and a list of the marked pages.
#[derive(Debug)]
pub struct Pages {
    /// One byte per page.
    pub marks: MmapMut,
    /// In the order of insertion.
    pub list: Vec<u64>,
}

impl Pages {
    /// An empty set for 2^bits pages.
    pub fn new(bits: u32) -> std::io::Result<Self> {
        Ok(Self { marks: reserve_power(bits)?, list: Vec::new() })
    }

    /// Inserts a page, if a page with this number exists.
    #[inline(always)]
    pub fn insert(&mut self, page: usize) {
        if let Some(mark @ 0) = self.marks.get_mut(page) {
            *mark = 1;
            listed(&mut self.list, page);
        }
    }

    /// Removes and returns all pages, in no particular order.
    pub fn take(&mut self) -> Vec<u64> {
        let list = std::mem::take(&mut self.list);
        for &page in &list {
            if let Some(mark) = self.marks.get_mut(page as usize) {
                *mark = 0;
            }
        }
        list
    }
}

/// Lists a page that wasn't marked. Rare, so it stays out of the loop.
#[cold]
#[inline(never)]
pub fn listed(list: &mut Vec<u64>, page: usize) {
    list.push(page as u64);
}
