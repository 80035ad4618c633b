//! A view of memory for an interpreter's loop: slices, and no errors that carry data.

use crate::PAGE_BITS;
use crate::pages::listed;

/// Memory for reads and writes in a tight loop.
#[derive(Debug)]
pub struct View<'a> {
    pub(crate) bytes: &'a mut [u8],
    pub(crate) marks: &'a mut [u8],
    pub(crate) list: &'a mut Vec<u64>,
}

impl View<'_> {
    /// The same view for a shorter time.
    #[inline(always)]
    #[must_use]
    pub fn reborrow(&mut self) -> View<'_> {
        View { bytes: self.bytes, marks: self.marks, list: self.list }
    }

    /// Whether an address is inside memory.
    #[inline(always)]
    #[must_use]
    pub fn contains(&self, address: u64) -> bool {
        address < self.bytes.len() as u64
    }

    /// Bytes at an aligned address; zeros outside memory.
    #[inline(always)]
    #[must_use]
    pub fn load<const N: usize>(&self, address: u64) -> [u8; N] {
        let at = address as usize;
        self.bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }

    /// Replaces bytes at an aligned address. Does nothing outside memory.
    #[inline(always)]
    pub fn store<const N: usize>(&mut self, address: u64, value: [u8; N]) {
        let at = address as usize;
        let Some(to) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) else { return };
        *to = value;
        let page = at >> PAGE_BITS;
        if let Some(mark @ 0) = self.marks.get_mut(page) {
            *mark = 1;
            listed(self.list, page);
        }
    }
}
