//! What code of the host and its caller share.

use memmap2::{MmapMut, MmapOptions};
use memory::{Memory, PAGE_BITS};
use std::io;

/// What translated code gets. It is made anew for every call from things that are borrowed for as long as the call lasts.
#[repr(C)]
pub(crate) struct Context {
    /// The integer registers.
    pub x: [u64; 32],
    /// The float registers.
    pub f: [u64; 32],
    /// The guest's memory.
    pub memory: *mut u8,
    /// One byte a page of memory: whether it is listed.
    pub marks: *mut u8,
    /// The pages that have been written, as many as `count`.
    pub pages: *mut u64,
    pub count: u64,
    /// Where the guest goes on.
    pub pc: u64,
    /// In what forms the code has left the float registers that it writes: which hold a binary32 in the lower half, and above
    /// that in which NaNs stand for the canonical one.
    pub forms: u64,
    /// How many steps may be made, and how many of them have not been.
    pub left: i64,
    /// How many steps have to be left for another turn of a loop without new checks.
    pub bound: i64,
}

/// The pages that translated code has written since they were last told to memory.
#[derive(Debug)]
pub(crate) struct Written {
    marks: MmapMut,
    /// Room for every page, so that nothing has to be checked: a page is listed once.
    pages: MmapMut,
    pub count: u64,
}

impl Written {
    /// For memory of 2^bits bytes, at least a page.
    pub fn new(bits: u32) -> io::Result<Self> {
        let pages = 1usize.checked_shl(bits.saturating_sub(PAGE_BITS)).ok_or(io::ErrorKind::OutOfMemory)?;
        let reserve = |len: usize| MmapOptions::new().len(len).no_reserve_swap().map_anon();
        let list = pages.checked_mul(size_of::<u64>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { marks: reserve(pages)?, pages: reserve(list)?, count: 0 })
    }

    /// Where the marks and the list are.
    pub fn parts(&mut self) -> (*mut u8, *mut u64) {
        // A mapping starts at a page, so the list is aligned.
        (self.marks.as_mut_ptr(), self.pages.as_mut_ptr().cast())
    }

    /// Tells memory what was written, and forgets it.
    pub fn tell(&mut self, memory: &mut Memory) {
        let count = usize::try_from(std::mem::take(&mut self.count)).unwrap_or(usize::MAX);
        for page in self.pages.as_chunks::<8>().0.iter().take(count) {
            let page = u64::from_ne_bytes(*page);
            memory.touch(page << PAGE_BITS, 1);
            if let Some(mark) = usize::try_from(page).ok().and_then(|page| self.marks.get_mut(page)) {
                *mark = 0;
            }
        }
    }
}
