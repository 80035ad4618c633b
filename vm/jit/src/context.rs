//! The data that host code and its caller share.

use memmap2::{MmapMut, MmapOptions};
use memory::{Memory, PAGE_BITS};
use std::io;

/// The argument of translated code. It is built for each call from data that is borrowed for the duration of
/// the call.
#[repr(C)]
pub(crate) struct Context {
    /// The integer registers.
    pub x: [u64; 32],
    /// The float registers.
    pub f: [u64; 32],
    /// The guest's memory.
    pub memory: *mut u8,
    /// One byte per page of memory: whether the page is listed.
    pub marks: *mut u8,
    /// The pages that have been written, `count` of them.
    pub pages: *mut u64,
    pub count: u64,
    /// The guest's next instruction.
    pub pc: u64,
    /// The forms in which the code left the float registers that it writes. Bit r: register r holds a
    /// binary32. Bit 32 + r: any NaN in register r stands for the canonical one.
    pub forms: u64,
    /// The number of steps that may still be made.
    pub left: i64,
    /// A single-block loop may continue without new checks while `left` is at least this.
    pub bound: i64,
}

/// The pages that translated code has written since the last call of [`tell`](Self::tell).
#[derive(Debug)]
pub(crate) struct Written {
    marks: MmapMut,
    /// Has room for every page. Each page is listed once, so the code needs no bounds check.
    pages: MmapMut,
    pub count: u64,
}

impl Written {
    /// For memory of 2^bits bytes. It has at least one page.
    pub fn new(bits: u32) -> io::Result<Self> {
        let pages = 1usize.checked_shl(bits.saturating_sub(PAGE_BITS)).ok_or(io::ErrorKind::OutOfMemory)?;
        let reserve = |len: usize| MmapOptions::new().len(len).no_reserve_swap().map_anon();
        let list = pages.checked_mul(size_of::<u64>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { marks: reserve(pages)?, pages: reserve(list)?, count: 0 })
    }

    /// Pointers to the marks and the list.
    pub fn parts(&mut self) -> (*mut u8, *mut u64) {
        // A mapping starts at a page boundary, so the list is aligned.
        (self.marks.as_mut_ptr(), self.pages.as_mut_ptr().cast())
    }

    /// Reports the written pages to memory, and clears the list.
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
