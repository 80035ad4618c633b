//! Sets of pages that are added to in a tight loop.

use crate::space::reserve_power;
use memmap2::MmapMut;

/// A set of pages: a mark for each page, and a list of those that have one.
#[derive(Debug)]
pub struct Pages {
    /// One byte a page.
    pub marks: MmapMut,
    /// In the order in which they were added.
    pub list: Vec<u64>,
}

impl Pages {
    /// None of 2^bits pages.
    pub fn new(bits: u32) -> std::io::Result<Self> {
        Ok(Self { marks: reserve_power(bits)?, list: Vec::new() })
    }

    /// Adds a page, if there is one of that number.
    #[inline(always)]
    pub fn insert(&mut self, page: usize) {
        if let Some(mark @ 0) = self.marks.get_mut(page) {
            *mark = 1;
            listed(&mut self.list, page);
        }
    }

    /// The pages, in no order; none are left.
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

/// Lists a page that had no mark. Rare, so it stays out of the loop.
#[cold]
#[inline(never)]
pub fn listed(list: &mut Vec<u64>, page: usize) {
    list.push(page as u64);
}
